//! The table of a contest.

use std::io::{self, Write as _};

use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, Table, presets};
use indicatif::{HumanBytes, HumanCount};
use serde_json::json;

use super::contest::{Figures, Way};
use super::name;
use super::sample::Sample;
use crate::cli::Format;
use crate::cost::{Effort, Prices};
use crate::record::Record;

/// A measured way.
pub struct Row {
    /// The way.
    pub way: Way,
    /// What it took.
    pub figures: Figures,
}

/// All of it.
pub struct Report {
    source: String,
    train: usize,
    records: usize,
    raw_bytes: u64,
    rows: Vec<Row>,
    prices: Prices,
}

impl Report {
    /// A report of these rows, smallest first.
    pub fn new(source: &str, sample: &Sample, mut rows: Vec<Row>, prices: Prices) -> Self {
        rows.sort_by_key(|row| row.figures.log_bytes);
        let raw_bytes = sample.test.iter().map(|record: &Record| record.as_ref().payload_len() as u64).sum();
        Self { source: name(source), train: sample.train.len(), records: sample.test.len(), raw_bytes, rows, prices }
    }

    fn per_record(&self, row: &Row) -> f64 {
        row.figures.log_bytes as f64 / self.records as f64
    }

    fn euros(&self, row: &Row) -> f64 {
        self.prices.per_terabyte(&Effort {
            raw_bytes: self.raw_bytes as f64,
            log_bytes: row.figures.log_bytes as f64,
            encode_seconds: row.figures.encode_seconds,
            decode_seconds: row.figures.decode_seconds,
        })
    }

    fn speed(&self, seconds: f64) -> f64 {
        self.raw_bytes as f64 / 1e6 / seconds.max(1e-9)
    }

    /// Prints it.
    pub fn print(&self, format: Format) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        if format == Format::Json {
            serde_json::to_writer_pretty(&mut out, &self.json())?;
            writeln!(out)?;
            return Ok(());
        }
        let best_kafka = self.rows.iter().filter(|row| row.way.is_kafka()).map(|row| row.figures.log_bytes).min();
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header([
            "way",
            "bytes/record",
            "ratio",
            "encode MB/s",
            "decode MB/s",
            "p99 encode",
            "model",
            "per TB",
            "",
        ]);
        let mut ours_seen = false;
        for row in &self.rows {
            let kafka = row.way.is_kafka();
            let note = match (kafka, best_kafka) {
                (true, Some(best)) if best == row.figures.log_bytes => "Kafka's smallest",
                (false, _) if !std::mem::replace(&mut ours_seen, true) => "our smallest",
                (false, Some(best)) if row.figures.log_bytes > best => "larger than Kafka's smallest",
                _ => "",
            };
            let mut way = Cell::new(row.way.to_string());
            if kafka {
                way = way.fg(Color::Yellow).add_attribute(Attribute::Bold);
            }
            table.add_row([
                way,
                Cell::new(format!("{:.1}", self.per_record(row))),
                Cell::new(format!("{:.2}", self.raw_bytes as f64 / row.figures.log_bytes as f64)),
                Cell::new(format!("{:.0}", self.speed(row.figures.encode_seconds))),
                Cell::new(format!("{:.0}", self.speed(row.figures.decode_seconds))),
                Cell::new(time(row.figures.p99_seconds)),
                Cell::new(if row.figures.model_bytes == 0 {
                    "-".to_owned()
                } else {
                    HumanBytes(row.figures.model_bytes).to_string()
                }),
                Cell::new(format!("{:.2}", self.euros(row))),
                Cell::new(note),
            ]);
        }
        for column in table.column_iter_mut().skip(1).take(7) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        writeln!(out, "{table}")?;
        writeln!(
            out,
            "{}: {} records of {:.1} bytes (keys, values, headers), the ones after {} to learn from. Bytes are those on one\n\
             broker's log, record and batch overhead in; ratio is raw bytes per byte of log. Per TB: of raw bytes, encoded and\n\
             decoded once, moved to {} replicas and one reader, kept on each.",
            self.source,
            HumanCount(self.records as u64),
            self.raw_bytes as f64 / self.records as f64,
            HumanCount(self.train as u64),
            self.prices.replication,
        )?;
        Ok(())
    }

    fn json(&self) -> serde_json::Value {
        let rows: Vec<_> = self
            .rows
            .iter()
            .map(|row| {
                json!({
                    "way": row.way.to_string(),
                    "kafka": row.way.is_kafka(),
                    "log_bytes": row.figures.log_bytes,
                    "bytes_per_record": self.per_record(row),
                    "encode_cpu_seconds": row.figures.encode_seconds,
                    "decode_cpu_seconds": row.figures.decode_seconds,
                    "encode_bytes_per_second": self.speed(row.figures.encode_seconds) * 1e6,
                    "decode_bytes_per_second": self.speed(row.figures.decode_seconds) * 1e6,
                    "p99_encode_seconds": row.figures.p99_seconds,
                    "model_bytes": row.figures.model_bytes,
                    "price_per_terabyte": self.euros(row),
                    "passes": row.figures.passes,
                })
            })
            .collect();
        json!({
            "source": self.source,
            "records": self.records,
            "learned_from_records": self.train,
            "raw_bytes": self.raw_bytes,
            "rows": rows,
        })
    }
}

fn time(seconds: f64) -> String {
    if seconds >= 1e-3 { format!("{:.1} ms", seconds * 1e3) } else { format!("{:.1} µs", seconds * 1e6) }
}
