//! `latentd bench`: every codec that fits, in both layouts, beside Kafka's own zstd, on records that nothing has seen.

mod batches;
mod contest;
mod models;
mod percentile;
mod report;
mod sample;

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::records::RecordMode;
use super::{Format, UsageError};
use crate::codec::{Algorithm, CodecSpec};
use crate::config;
use crate::cost::Prices;
use crate::payload::image::Shape;
use crate::pipeline::{Images, SEED};
use contest::Way;
use models::Models;
use report::{Report, Row};
use sample::Sample;

/// Compare every codec on a file, a folder or a topic, always beside Kafka's own zstd
///
/// Twice --limit records are read, from the front of the source and no further. The earlier half of them is there to learn
/// from (a dictionary, a model of fields), the later half is measured. Sizes are bytes on the broker's log: keys, headers, record and batch
/// overhead, all in. Speeds are by CPU time of one core. Everything is decoded and compared.
#[derive(Debug, clap::Args)]
pub struct BenchArgs {
    /// A file, a folder (each file is a record), or with --brokers a topic
    source: String,
    /// The cluster of a topic, `host:port`, several with commas
    #[arg(short, long, value_name = "HOST:PORT", value_delimiter = ',')]
    brokers: Vec<String>,
    /// How a file is cut into records [default: by its name and first bytes]
    #[arg(short, long, value_enum)]
    records: Option<RecordMode>,
    /// Codecs, such as `zstd:19,xz` [default: every codec]
    #[arg(short, long, value_delimiter = ',')]
    codecs: Vec<CodecSpec>,
    /// Height, width and channels of records that are images, which `latent` learns then: 28x28, 64x64x3
    #[arg(long, value_name = "HxWxC")]
    shape: Option<Shape>,
    /// CPU time that a training on images takes
    #[arg(long, default_value = "60s", value_parser = humantime::parse_duration, value_name = "TIME")]
    cpu: Duration,
    /// Most records that are measured, and most that come before them to learn from
    #[arg(short, long, default_value_t = 20_000, value_name = "N")]
    limit: usize,
    /// Time for the passes of one row; slow ones get one pass all the same
    #[arg(long, default_value = "1s", value_parser = humantime::parse_duration, value_name = "TIME")]
    time: Duration,
    /// A configuration whose `[cost]` says the prices that are not written here; not read where all are
    #[arg(long, value_name = "FILE", env = "LATENTD_CONFIG")]
    config: Option<PathBuf>,
    /// Price of an hour of one core [default: of --config, or 0.04]
    #[arg(long)]
    cpu_hour: Option<f64>,
    /// Price of moving 10⁹ bytes [default: of --config, or 0.05]
    #[arg(long)]
    gigabyte_moved: Option<f64>,
    /// Price of keeping 10⁹ bytes on one broker for a month [default: of --config, or 0.08]
    #[arg(long)]
    gigabyte_month: Option<f64>,
    /// How long the topic keeps its records [default: of --config, or 30d]
    #[arg(long, value_parser = humantime::parse_duration, value_name = "TIME")]
    retention: Option<Duration>,
    /// On how many brokers a record lies [default: of --config, or 3]
    #[arg(long)]
    replication: Option<u64>,
    /// How the table is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Kafka's batches, and our blocks: raw bytes.
const SIZES: [usize; 3] = [16 << 10, 128 << 10, 1 << 20];

/// Kafka's levels of zstd that are always a row.
const LEVELS: [i32; 2] = [3, 19];

/// Measures.
pub fn run(args: &BenchArgs) -> anyhow::Result<()> {
    if args.limit == 0 {
        return Err(UsageError::new("--limit 0 measures nothing: write a number of records").into());
    }
    let quote = Quote::of(args)?;
    let path = Path::new(&args.source);
    let most = args.limit.saturating_mul(2);
    let sample = match (args.brokers.is_empty(), path.exists()) {
        (false, _) => Sample::from_topic(&args.source, &args.brokers, most)?,
        (true, true) => Sample::from_path(path, args.records, most)?,
        (true, false) => {
            let message = format!("there is no file or folder `{}`; a topic needs --brokers HOST:PORT", args.source);
            return Err(UsageError::new(message).into());
        }
    };
    let images = args.shape.map(|shape| Images { shape, cpu: args.cpu, seed: SEED });
    let ways = ways(&args.codecs, images.is_some())?;
    let bar = progress(ways.len() as u64);
    let models = Models::train(&ways, &sample.train, images, |told| bar.set_message(told.to_owned()))?;
    let mut rows = Vec::new();
    for way in ways {
        let model = models.of(way);
        if !way.learns() || model.is_some() {
            bar.set_message(way.to_string());
            rows.push(Row { way, figures: way.measure(&sample.test, model, args.time)? });
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Report::new(&args.source, &sample, rows, quote).print(args.format)
}

/// Prices, and where they are from.
struct Quote {
    prices: Prices,
    /// The configuration that says those which the command line does not; without one, they are the usual ones.
    config: Option<PathBuf>,
    /// Those that the command line says.
    by_hand: Vec<&'static str>,
}

/// Prices that there are.
const PRICES: usize = 5;

impl Quote {
    /// The prices in force: those of the configuration, but for what is said by hand. Where all are, no configuration is read.
    fn of(args: &BenchArgs) -> anyhow::Result<Self> {
        let said: [(&'static str, bool); PRICES] = [
            ("--cpu-hour", args.cpu_hour.is_some()),
            ("--gigabyte-moved", args.gigabyte_moved.is_some()),
            ("--gigabyte-month", args.gigabyte_month.is_some()),
            ("--retention", args.retention.is_some()),
            ("--replication", args.replication.is_some()),
        ];
        let by_hand: Vec<_> = said.into_iter().filter_map(|(name, is_said)| is_said.then_some(name)).collect();
        let path = args.config.clone().filter(|_| by_hand.len() < PRICES);
        let config = path.as_ref().map(|path| config::load(path)).transpose();
        let config = config.map_err(|errors| UsageError::new(errors.rendered(config::Style::Plain)))?;
        let known = config.map_or_else(Prices::default, |config| config.cost);
        let prices = Prices {
            cpu_hour: args.cpu_hour.unwrap_or(known.cpu_hour),
            gigabyte_moved: args.gigabyte_moved.unwrap_or(known.gigabyte_moved),
            gigabyte_month: args.gigabyte_month.unwrap_or(known.gigabyte_month),
            retention: args.retention.unwrap_or(known.retention),
            replication: args.replication.unwrap_or(known.replication),
        };
        Ok(Self { prices, config: path, by_hand })
    }

    /// Where they are from, in words.
    fn origin(&self) -> String {
        let others = match &self.config {
            _ if self.by_hand.len() == PRICES => return "all by hand".to_owned(),
            Some(path) => format!("`[cost]` of `{}`", path.display()),
            None => "by default".to_owned(),
        };
        if self.by_hand.is_empty() { others } else { format!("{others}; by hand {}", self.by_hand.join(", ")) }
    }
}

/// All ways, Kafka's own first.
fn ways(codecs: &[CodecSpec], images: bool) -> Result<Vec<Way>, UsageError> {
    let latent = CodecSpec::new(Algorithm::Latent);
    if codecs.contains(&latent) && !images {
        return Err(UsageError::new("`latent` learns images: write --shape HEIGHTxWIDTH, such as 28x28"));
    }
    let mut ways = vec![Way::Kafka { level: None, batch: SIZES[1] }];
    for level in LEVELS {
        ways.extend(SIZES.map(|batch| Way::Kafka { level: Some(level), batch }));
    }
    let mut specs = codecs.to_vec();
    if specs.is_empty() {
        specs.extend(Algorithm::ALL.into_iter().chain([Algorithm::Columns]).map(CodecSpec::new));
        specs.extend(images.then_some(latent));
        let high = [(Algorithm::Zstd, 19), (Algorithm::ZstdDict, 19), (Algorithm::Brotli, 11)];
        specs.extend(high.into_iter().filter_map(|(algorithm, level)| CodecSpec::with_level(algorithm, level)));
    }
    for spec in specs {
        ways.extend([Way::Record(spec), Way::RecordInKafka(spec)]);
        ways.extend(SIZES.map(|most| Way::Block(spec, most)));
    }
    Ok(ways)
}

fn progress(rows: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len}  {msg}  {eta} left");
    ProgressBar::new(rows).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// The file's name, for the report.
fn name(source: &str) -> String {
    PathBuf::from(source).file_name().map_or_else(|| source.to_owned(), |name| name.to_string_lossy().into_owned())
}
