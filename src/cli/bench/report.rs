//! The table of a contest.

use std::io::{self, Write as _};

use comfy_table::{Attribute, Cell, CellAlignment, Color};
use indicatif::HumanCount;
use serde_json::json;

use super::contest::{Figures, Way};
use super::sample::Sample;
use super::{Quote, SIZES, name};
use crate::cli::Format;
use crate::cli::show::{print_json, table};
use crate::cost::Effort;
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
    quote: Quote,
}

impl Report {
    /// A report of these rows, smallest first.
    pub fn new(source: &str, sample: &Sample, mut rows: Vec<Row>, quote: Quote) -> Self {
        rows.sort_by_key(|row| row.figures.log_bytes);
        let raw_bytes = sample.test.iter().map(|record: &Record| record.as_ref().payload_len() as u64).sum();
        Self { source: name(source), train: sample.train.len(), records: sample.test.len(), raw_bytes, rows, quote }
    }

    fn per_record(&self, row: &Row) -> f64 {
        row.figures.log_bytes as f64 / self.records as f64
    }

    fn euros(&self, row: &Row) -> f64 {
        self.quote.prices.per_terabyte(&Effort {
            raw_bytes: self.raw_bytes as f64,
            log_bytes: row.figures.log_bytes as f64,
            encode_seconds: row.figures.encode_seconds,
            decode_seconds: row.figures.decode_seconds,
        })
    }

    /// Raw bytes per second; `None` where nothing is done.
    fn speed(&self, seconds: f64) -> Option<f64> {
        (seconds > 0.0).then(|| self.raw_bytes as f64 / seconds)
    }

    /// What Kafka's own zstd-3 takes at the same latency: in batches as large as our blocks. A single record is there at
    /// once; the smallest batches come nearest.
    fn rival(&self, row: &Row) -> Option<u64> {
        let size = match row.way {
            Way::Kafka { .. } => return None,
            Way::Record(_) | Way::RecordInKafka(_) => SIZES[0],
            Way::Block(_, most) => most,
        };
        let same = |other: &&Row| other.way == Way::Kafka { level: Some(3), batch: size };
        self.rows.iter().find(same).map(|row| row.figures.log_bytes)
    }

    /// Prints it.
    pub fn print(&self, format: Format) -> anyhow::Result<()> {
        if format == Format::Json {
            return print_json(&self.json());
        }
        let mut out = io::stdout().lock();
        let mut table = table([
            "way",
            "bytes/record",
            "ratio",
            "encode MB/s",
            "decode MB/s",
            "p99 encode",
            "model, training",
            "per TB",
            "",
        ]);
        let (mut ours_seen, mut kafka_seen) = (false, false);
        for row in &self.rows {
            let kafka = row.way.is_kafka();
            let first_of_ours = !kafka && !std::mem::replace(&mut ours_seen, true);
            let first_of_kafka = kafka && !std::mem::replace(&mut kafka_seen, true);
            let note = if first_of_ours {
                "our smallest"
            } else if first_of_kafka {
                "Kafka's smallest"
            } else if self.rival(row).is_some_and(|rival| row.figures.log_bytes > rival) {
                "larger than Kafka zstd-3"
            } else {
                ""
            };
            let mut way = Cell::new(row.way.to_string());
            if kafka {
                way = way.fg(Color::Yellow).add_attribute(Attribute::Bold);
            }
            table.add_row([
                way,
                Cell::new(format!("{:.1}", self.per_record(row))),
                Cell::new(format!("{:.2}", self.raw_bytes as f64 / row.figures.log_bytes as f64)),
                Cell::new(megabytes(self.speed(row.figures.encode_seconds))),
                Cell::new(megabytes(self.speed(row.figures.decode_seconds))),
                Cell::new(time(row.figures.p99_seconds)),
                Cell::new(match row.figures.model_bytes {
                    0 => NOTHING.to_owned(),
                    bytes => format!("{}, {:.1} s", size(bytes), row.figures.training_seconds),
                }),
                Cell::new(format!("{:.2}", self.euros(row))),
                Cell::new(note),
            ]);
        }
        for column in table.column_iter_mut().skip(1).take(7) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        writeln!(out, "{table}")?;
        let prices = &self.quote.prices;
        writeln!(
            out,
            "{}: {} records of {:.1} bytes (keys, values, headers), the ones after {} to learn from. Bytes are those on one\n\
             broker's log, record and batch overhead in; ratio is raw bytes per byte of log. Per TB: of raw bytes, encoded and\n\
             decoded once, moved to {} replicas and one reader, kept on each. `record, in Kafka zstd-3` are single records on a topic\n\
             whose batches are coded once more, `compression.type=zstd`. Compared with Kafka zstd-3 are blocks with batches of the same\n\
             size, and single records with batches of 16 KiB. A model is fetched once by each reader; its training, in CPU seconds, is\n\
             not in the price. An hour of a core is {}, 10⁹ bytes moved {}, kept for a month {}, for {} on each: {}.",
            self.source,
            HumanCount(self.records as u64),
            self.raw_bytes as f64 / self.records as f64,
            HumanCount(self.train as u64),
            prices.replication,
            prices.cpu_hour,
            prices.gigabyte_moved,
            prices.gigabyte_month,
            humantime::format_duration(prices.retention),
            self.quote.origin(),
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
                    "encode_bytes_per_second": self.speed(row.figures.encode_seconds),
                    "decode_bytes_per_second": self.speed(row.figures.decode_seconds),
                    "p99_encode_seconds": row.figures.p99_seconds,
                    "model_bytes": row.figures.model_bytes,
                    "training_cpu_seconds": row.figures.training_seconds,
                    "price_per_terabyte": self.euros(row),
                    "passes": row.figures.passes,
                })
            })
            .collect();
        json!({
            "source": self.source,
            "records": self.records,
            "learned_from_records": self.train,
            "prices": {
                "cpu_hour": self.quote.prices.cpu_hour,
                "gigabyte_moved": self.quote.prices.gigabyte_moved,
                "gigabyte_month": self.quote.prices.gigabyte_month,
                "retention_seconds": self.quote.prices.retention.as_secs(),
                "replication": self.quote.prices.replication,
                "config": self.quote.config,
                "by_hand": self.quote.by_hand,
            },
            "raw_bytes": self.raw_bytes,
            "rows": rows,
        })
    }
}

/// What stands where there is no figure.
const NOTHING: &str = "-";

/// A size in few letters.
fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..0x10_0000 => format!("{:.0} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / (1 << 20) as f64),
    }
}

fn megabytes(bytes_per_second: Option<f64>) -> String {
    bytes_per_second.map_or(NOTHING.to_owned(), |bytes| format!("{:.0}", bytes / 1e6))
}

fn time(seconds: f64) -> String {
    match seconds {
        0.0 => NOTHING.to_owned(),
        1e-3.. => format!("{:.1} ms", seconds * 1e3),
        _ => format!("{:.1} µs", seconds * 1e6),
    }
}
