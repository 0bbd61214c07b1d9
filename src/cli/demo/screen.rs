//! What the demonstration shows while it runs: where to look, ratios as they change, models as they come into use.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{HumanCount, MultiProgress, ProgressBar, ProgressStyle};

use super::Broker;
use super::recent::{Recent, Sums};
use super::threads::Course;
use super::weigh::Weight;
use crate::pipeline::Delivery;
use crate::telemetry::StatusBoard;

/// Time between two lines where there is no terminal.
const LINE: Duration = Duration::from_secs(5);

/// The figures of a stream at one moment.
pub struct Figures {
    /// Records fed.
    pub fed: u64,
    /// Records that came back as they were.
    pub restored: u64,
    /// Bytes fed: keys, values, headers.
    pub raw: u64,
    /// What the compressed topic weighs.
    pub ours: Weight,
    /// What Kafka's own zstd would weigh.
    pub kafka: Weight,
}

impl Figures {
    /// Those of this moment.
    pub fn of(course: &Course) -> Self {
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
    pub fn ratio(&self) -> Option<f64> {
        // What was restored was compressed before; what is under way is not on the scales yet.
        let raw = self.raw as f64 * self.restored as f64 / self.fed.max(1) as f64;
        (self.ours.bytes > 0).then(|| raw / self.ours.bytes as f64)
    }

    /// The same of Kafka's own zstd.
    pub fn kafka_ratio(&self) -> Option<f64> {
        (self.kafka.bytes > 0).then(|| self.kafka.payload as f64 / self.kafka.bytes as f64)
    }
}

/// Bytes per record over the last seconds.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// On the compressed topic.
    pub ours: Option<f64>,
    /// As Kafka's own zstd would have it.
    pub kafka: Option<f64>,
}

/// A ratio in few letters.
pub fn times(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}x"))
}

/// Lines on a terminal that change in place, or a line now and then.
pub struct Screen {
    courses: Vec<Arc<Course>>,
    board: StatusBoard,
    /// Per stream: ours, and Kafka's own zstd.
    recent: Vec<[Recent; 2]>,
    bars: Option<(MultiProgress, Vec<ProgressBar>)>,
    last_line: Instant,
}

impl Screen {
    /// A screen for these streams.
    pub fn new(courses: &[Arc<Course>], board: &StatusBoard) -> Self {
        let bars = std::io::stderr().is_terminal().then(|| {
            let all = MultiProgress::new();
            let bars = courses.iter().map(|_| all.add(line())).collect();
            (all, bars)
        });
        let recent = courses.iter().map(|_| Default::default()).collect();
        Self { courses: courses.to_vec(), board: board.clone(), recent, bars, last_line: Instant::now() }
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
                "\n  {}: {}\n    {} -> {} -> {}   ({}, layout {}, learned from the stream)",
                stream.name,
                stream.what,
                course.topic,
                course.compressed(),
                course.restored(),
                stream.codec,
                stream.layout,
            );
        }
        let _ = writeln!(
            text,
            "\n  page     http://{admin}/\n  metrics  http://{admin}/metrics\n  state    http://{admin}/api/v1/pipelines\n  \
             config   {}\n\nRatios are raw bytes (keys, values, headers) per byte on the broker's log, all overhead in;\n\
             beside them Kafka's own zstd-3 in batches of 16 KiB, a producer's default, on the same records. A line tells when a\n\
             pipeline swaps a model in. Ctrl-C ends with a summary.\n",
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

    /// Shows the figures of the moment, and marks the models that came into use.
    pub fn draw(&mut self) {
        for course in &self.courses {
            if let Some(swap) = course.learned.look(&self.board) {
                let name = course.stream.name;
                let text = format!(
                    "▲ {:4.0} s  {name}: model {}… is in use, learned from the stream and better on records it had not seen",
                    swap.seconds,
                    swap.short()
                );
                self.say(&text);
            }
        }
        if self.bars.is_none() && self.last_line.elapsed() < LINE {
            return;
        }
        self.last_line = Instant::now();
        for (index, course) in self.courses.iter().enumerate() {
            let figures = Figures::of(course);
            let now = self.last_line;
            let [ours, kafka] = &mut self.recent[index];
            ours.note(now, Sums { records: figures.restored, bytes: figures.ours.bytes });
            kafka.note(now, Sums { records: figures.kafka.records, bytes: figures.kafka.bytes });
            let each = |recent: &Recent| {
                recent.bytes_per_record().map_or_else(|| "-".to_owned(), |bytes| format!("{bytes:.1}"))
            };
            let mut text = format!(
                "{:8} {:>8} fed {:>8} back, equal   latentd {:>7}, now {:>5} B/record   Kafka's zstd {:>6}, now {:>5}",
                course.stream.name,
                HumanCount(figures.fed).to_string(),
                HumanCount(figures.restored).to_string(),
                times(figures.ratio()),
                each(ours),
                times(figures.kafka_ratio()),
                each(kafka),
            );
            if let Some(training) = self.training(course.stream.name) {
                text.push_str(&training);
            }
            match &self.bars {
                Some((_, bars)) => bars[index].set_message(text),
                None => eprintln!("{text}"),
            }
        }
    }

    /// How far a training of minutes is.
    fn training(&self, pipeline: &str) -> Option<String> {
        let training = self.board.pipeline(pipeline)?.learning()?.training?;
        let percent = training.fraction * 100.0;
        Some(format!(
            "   training {percent:.0} %, {:.3} bits a sample, {:.0} s of CPU left",
            training.loss, training.cpu_seconds_left
        ))
    }

    /// Bytes per record over the last seconds, per stream.
    pub fn now(&self) -> Vec<Now> {
        let of = |[ours, kafka]: &[Recent; 2]| Now { ours: ours.bytes_per_record(), kafka: kafka.bytes_per_record() };
        self.recent.iter().map(of).collect()
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
