//! What the demonstration shows: where to look, ratios as they change, and the summary.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use indicatif::{HumanBytes, HumanCount, MultiProgress, ProgressBar, ProgressStyle};

use super::Broker;
use super::threads::Course;
use super::weigh::Weight;
use crate::cli::Format;
use crate::pipeline::Delivery;

/// Time between two lines where there is no terminal.
const LINE: Duration = Duration::from_secs(5);

/// The figures of a stream at one moment.
struct Figures {
    fed: u64,
    restored: u64,
    raw: u64,
    ours: Weight,
    kafka: Weight,
}

impl Figures {
    fn of(course: &Course) -> Self {
        let sums = course.ledger.sums();
        Self {
            fed: sums.fed,
            restored: sums.restored,
            raw: sums.fed_bytes,
            ours: course.ours.read(),
            kafka: course.kafka.read(),
        }
    }

    /// Raw bytes (keys, values, headers) per byte on the log, of what has been restored.
    fn ratio(&self) -> Option<f64> {
        // What was restored was compressed before; what is under way is not on the scales yet.
        let raw = self.raw as f64 * self.restored as f64 / self.fed.max(1) as f64;
        (self.ours.bytes > 0).then(|| raw / self.ours.bytes as f64)
    }

    fn kafka_ratio(&self) -> Option<f64> {
        (self.kafka.bytes > 0).then(|| self.kafka.payload as f64 / self.kafka.bytes as f64)
    }
}

fn times(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}x"))
}

/// Lines on a terminal that change in place, or a line now and then.
pub struct Screen {
    courses: Vec<Arc<Course>>,
    bars: Option<(MultiProgress, Vec<ProgressBar>)>,
    last_line: Instant,
}

impl Screen {
    /// A screen for these streams.
    pub fn new(courses: &[Arc<Course>]) -> Self {
        let bars = std::io::stderr().is_terminal().then(|| {
            let all = MultiProgress::new();
            let bars = courses.iter().map(|_| all.add(line())).collect();
            (all, bars)
        });
        Self { courses: courses.to_vec(), bars, last_line: Instant::now() }
    }

    /// Says what runs, and where to look.
    pub fn introduce(&self, broker: &Broker, delivery: Delivery, admin: SocketAddr, config: &Path) {
        let mut text = String::new();
        let servers = broker.kafka.brokers.join(",");
        let _ = if broker.is_embedded() {
            writeln!(
                text,
                "An embedded broker runs inside this process (librdkafka's mock cluster, {servers}): no Kafka is needed.\n\
                 It shows aborted records to readers and does not fence, so exactly-once is refused on it: the pipelines\n\
                 run {}. `--brokers HOST:PORT` takes a real cluster, exactly once.",
                delivery.name()
            )
        } else {
            writeln!(text, "Broker {servers}, delivery {}.", delivery.name())
        };
        for course in &self.courses {
            let stream = &course.stream;
            let _ = writeln!(
                text,
                "\n  {}: {}\n    {} -> {} -> {}   ({}, layout {}{})",
                stream.name,
                stream.what,
                course.topic,
                course.compressed(),
                course.restored(),
                stream.codec,
                stream.layout,
                if stream.learns { ", learns its dictionary from the stream" } else { "" },
            );
        }
        let _ = writeln!(
            text,
            "\n  page     http://{admin}/\n  metrics  http://{admin}/metrics\n  state    http://{admin}/api/v1/pipelines\n  \
             config   {}\n\nRatios are raw bytes (keys, values, headers) per byte on the broker's log, all overhead in;\n\
             beside them Kafka's own zstd-3 in batches of 128 KiB on the same records. Ctrl-C ends with a summary.\n",
            config.display()
        );
        self.say(&text);
    }

    /// Nothing more is fed.
    pub fn waiting(&self) {
        self.say("Waiting for what was fed to come back …");
    }

    fn say(&self, text: &str) {
        match &self.bars {
            Some((all, _)) => drop(all.println(text)),
            None => eprintln!("{text}"),
        }
    }

    /// Shows the figures of the moment.
    pub fn draw(&mut self) {
        if self.bars.is_none() && self.last_line.elapsed() < LINE {
            return;
        }
        self.last_line = Instant::now();
        for (index, course) in self.courses.iter().enumerate() {
            let figures = Figures::of(course);
            let text = format!(
                "{:8} {:>9} fed  {:>9} restored and equal   latentd {:>7}   Kafka's zstd {:>7}",
                course.stream.name,
                HumanCount(figures.fed).to_string(),
                HumanCount(figures.restored).to_string(),
                times(figures.ratio()),
                times(figures.kafka_ratio()),
            );
            match &self.bars {
                Some((_, bars)) => bars[index].set_message(text),
                None => eprintln!("{text}"),
            }
        }
    }

    /// Takes the changing lines away.
    pub fn clear(&mut self) {
        if let Some((all, _)) = self.bars.take() {
            // What cannot be cleared stays on the screen, which harms nobody.
            let _ = all.clear();
        }
    }
}

fn line() -> ProgressBar {
    let style = ProgressStyle::with_template("  {spinner} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
    let bar = ProgressBar::new_spinner().with_style(style);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Prints what came of it.
pub fn summarize(courses: &[Arc<Course>], seconds: f64, format: Format) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if format == Format::Json {
        let streams: Vec<_> = courses.iter().map(|course| json(course, seconds)).collect();
        serde_json::to_writer_pretty(&mut out, &serde_json::json!({ "seconds": seconds, "streams": streams }))?;
        writeln!(out)?;
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header([
        "stream",
        "records",
        "raw",
        "Kafka zstd-3,\n128 KiB batches",
        "latentd",
        "bytes/record:\nraw, Kafka, latentd",
        "smaller than\nKafka's zstd by",
        "restored",
    ]);
    for course in courses {
        let figures = Figures::of(course);
        let per = |bytes: u64, records: u64| bytes as f64 / records.max(1) as f64;
        let kafka = per(figures.kafka.bytes, figures.kafka.records);
        let ours = per(figures.ours.bytes, figures.restored);
        let equal = figures.restored == figures.fed && course.ledger.sums().difference.is_none();
        table.add_row([
            course.stream.name.to_owned(),
            HumanCount(figures.fed).to_string(),
            HumanBytes(figures.raw).to_string(),
            format!("{} ({})", HumanBytes(figures.kafka.bytes), times(figures.kafka_ratio())),
            format!("{} ({})", HumanBytes(figures.ours.bytes), times(figures.ratio())),
            format!("{:.1}, {kafka:.1}, {ours:.1}", per(figures.raw, figures.fed)),
            if ours <= kafka { format!("{:.0} %", 100.0 * (1.0 - ours / kafka)) } else { "larger".to_owned() },
            if equal { "all, identical".to_owned() } else { format!("{} of {}", figures.restored, figures.fed) },
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    writeln!(out, "{table}")?;
    writeln!(
        out,
        "Fed for {seconds:.0} s. Sizes are bytes on the broker's log: batch and record headers, keys, all in."
    )?;
    Ok(())
}

fn json(course: &Course, seconds: f64) -> serde_json::Value {
    let figures = Figures::of(course);
    let sums = course.ledger.sums();
    serde_json::json!({
        "stream": course.stream.name,
        "codec": course.stream.codec,
        "layout": course.stream.layout,
        "records": figures.fed,
        "records_per_second": figures.fed as f64 / seconds.max(1e-9),
        "restored_equal": figures.restored,
        "difference": sums.difference,
        "raw_bytes": figures.raw,
        "kafka_zstd_bytes": figures.kafka.bytes,
        "latentd_bytes": figures.ours.bytes,
    })
}
