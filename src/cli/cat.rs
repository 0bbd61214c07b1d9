//! `latentd cat`: a topic's records, restored, on standard output.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value, json};

use crate::cli::UsageError;
use crate::codec::{Content, ModelSource, NoModels, Restorer};
use crate::config;
use crate::record::{HeaderRef, RecordRef, TimestampKind};
use crate::registry::{CacheSettings, ModelCache, Registry};
use crate::source::{KafkaSettings, ScanFrom, ScanSettings, Scanned, SourceRecord, TopicScan};
use crate::units::ByteSize;

/// Print a topic's records, restored, whatever mixture of codecs and layouts it holds
///
/// Joins no group and commits nothing. Plain records are printed as they are; one that says that it is coded and is not (its own
/// `content-encoding`, for example) asks for --as-is.
#[derive(Debug, clap::Args)]
pub struct CatArgs {
    /// The topic
    topic: String,
    /// The cluster's `host:port`, several with commas [default: from --config]
    #[arg(short, long, value_name = "HOST:PORT", value_delimiter = ',')]
    brokers: Vec<String>,
    /// A librdkafka property, such as security.protocol=sasl_ssl
    #[arg(short = 'X', long = "property", value_name = "NAME=VALUE")]
    properties: Vec<String>,
    /// A configuration whose brokers, properties and registry are used
    #[arg(long, value_name = "FILE", env = "LATENTD_CONFIG")]
    config: Option<PathBuf>,
    /// Where models lie that records name (zstd dictionaries) [default: from --config]
    #[arg(long, value_name = "URL")]
    registry: Option<String>,
    /// Where to begin: `beginning`, `end`, an offset, or -N for the last N offsets (a transaction's end takes one too)
    #[arg(short, long, default_value = "beginning", allow_hyphen_values = true, value_parser = parse_from)]
    offset: ScanFrom,
    /// Only this partition
    #[arg(short, long)]
    partition: Option<i32>,
    /// End after so many records
    #[arg(short, long, value_name = "N")]
    count: Option<u64>,
    /// End at the end of the topic, as it was at the start, instead of waiting for more
    #[arg(short, long)]
    exit: bool,
    /// `value`: a line each; `raw`: values end to end; `json`: an object a line, with key, headers, timestamp and place
    #[arg(short, long, default_value = "value")]
    format: CatFormat,
    /// Print records as they lie, without restoring: for topics that latentd did not write
    #[arg(long)]
    as_is: bool,
    /// Most bytes that one record or block may decode to
    #[arg(long, default_value = "64MiB", value_name = "SIZE")]
    max_decoded: ByteSize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum CatFormat {
    Value,
    Raw,
    Json,
}

fn parse_from(text: &str) -> Result<ScanFrom, String> {
    match text {
        "beginning" => Ok(ScanFrom::Beginning),
        "end" => Ok(ScanFrom::End),
        number => match number.parse::<i64>() {
            Ok(last) if last < 0 => Ok(ScanFrom::Last(last.unsigned_abs().try_into().unwrap_or(i64::MAX))),
            Ok(offset) => Ok(ScanFrom::Offset(offset)),
            Err(_) => Err("write `beginning`, `end`, an offset, or -N for the last N".to_owned()),
        },
    }
}

/// How long one answer of the brokers may take.
const ASK: Duration = Duration::from_secs(10);

/// Bytes that may lie fetched and not yet printed.
const QUEUE: u64 = 32 << 20;

/// Most records that a block may claim.
const BLOCK_RECORDS: usize = 1 << 20;

/// Prints.
pub fn run(args: &CatArgs) -> anyhow::Result<()> {
    let (kafka, models, _runtime) = world(args)?;
    let mut scan = TopicScan::open(
        &ScanSettings {
            kafka,
            topic: args.topic.clone(),
            partition: args.partition,
            from: args.offset,
            queue_bytes: QUEUE,
        },
        ASK,
    )?;
    let mut restorer = Restorer::new(&models, args.max_decoded.as_usize(), BLOCK_RECORDS);
    let mut printer = Printer { out: BufWriter::new(io::stdout().lock()), args, left: args.count.unwrap_or(u64::MAX) };
    let mut skipped = 0u64;
    while printer.left > 0 {
        match scan.poll(Duration::from_millis(100)) {
            Ok(Scanned::Record(record)) => {
                let at = format!("{}/{}/{}", record.topic(), record.partition(), record.offset());
                let printed = record
                    .record()
                    .map_err(anyhow::Error::from)
                    .and_then(|view| print(&mut restorer, &view, record.partition(), &mut printer));
                if let Err(error) = printed {
                    if error.is::<io::Error>() {
                        return Err(error);
                    }
                    skipped += 1;
                    eprintln!("latentd: {at} is not printed: {error:#}");
                }
            }
            Ok(Scanned::End) if args.exit => break,
            Ok(Scanned::End) => printer.out.flush()?,
            Ok(Scanned::Nothing) => printer.out.flush()?,
            Err(error) if error.is_passing() => eprintln!("latentd: {error}"),
            Err(error) => return Err(error.into()),
        }
    }
    printer.out.flush()?;
    if skipped > 0 {
        bail!("{skipped} records could not be restored: see above");
    }
    Ok(())
}

/// The cluster and the models, from the command line over the configuration. The runtime serves the registry.
type World = (KafkaSettings, Arc<dyn ModelSource>, Option<tokio::runtime::Runtime>);

fn world(args: &CatArgs) -> anyhow::Result<World> {
    let mut kafka = KafkaSettings::default();
    let mut registry = None;
    if let Some(path) = &args.config {
        let config = config::load(path).map_err(|errors| UsageError::new(errors.rendered(config::Style::Plain)))?;
        let options: BTreeMap<String, String> =
            config.registry.options.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())).collect();
        registry = Some((config.registry.url.as_str().to_owned(), options));
        kafka = config.kafka;
    }
    if !args.brokers.is_empty() {
        kafka.brokers.clone_from(&args.brokers);
    }
    for property in &args.properties {
        let (name, value) = property
            .split_once('=')
            .ok_or_else(|| UsageError::new(format!("`{property}` is no property: write NAME=VALUE")))?;
        kafka.properties.insert(name.to_owned(), value.to_owned());
    }
    if kafka.brokers.is_empty() {
        return Err(UsageError::new("which cluster? Name it with --brokers HOST:PORT or --config FILE").into());
    }
    if let Some(url) = &args.registry {
        registry = Some((url.clone(), BTreeMap::new()));
    }
    let Some((url, options)) = registry else { return Ok((kafka, Arc::new(NoModels), None)) };
    let runtime = tokio::runtime::Runtime::new().context("no runtime")?;
    let models = ModelCache::new(Registry::open(&url, &options)?, runtime.handle().clone(), CacheSettings::default());
    Ok((kafka, Arc::new(models), Some(runtime)))
}

fn print<W: Write>(
    restorer: &mut Restorer,
    record: &RecordRef<'_>,
    partition: i32,
    printer: &mut Printer<'_, W>,
) -> anyhow::Result<()> {
    if printer.args.as_is {
        return printer.record(record, partition);
    }
    match restorer.restore(record)?.content {
        Content::Record(record) => printer.record(&record, partition),
        Content::Block(block) => block.records().try_for_each(|record| printer.record(&record, partition)),
    }
}

struct Printer<'a, W> {
    out: W,
    args: &'a CatArgs,
    left: u64,
}

impl<W: Write> Printer<'_, W> {
    fn record(&mut self, record: &RecordRef<'_>, partition: i32) -> anyhow::Result<()> {
        if self.left == 0 {
            return Ok(());
        }
        self.left -= 1;
        let out = &mut self.out;
        match self.args.format {
            CatFormat::Raw => out.write_all(record.value.unwrap_or_default())?,
            CatFormat::Value => {
                out.write_all(record.value.unwrap_or_default())?;
                out.write_all(b"\n")?;
            }
            CatFormat::Json => {
                serde_json::to_writer(&mut *out, &object(record, &self.args.topic, partition))
                    .map_err(io::Error::from)?;
                out.write_all(b"\n")?;
            }
        }
        Ok(())
    }
}

/// A record as JSON. Bytes that are no UTF-8 stand under `NAME_base64`.
fn object(record: &RecordRef<'_>, topic: &str, partition: i32) -> Value {
    let mut object = Map::new();
    object.insert("topic".to_owned(), json!(topic));
    object.insert("partition".to_owned(), json!(partition));
    object.insert("offset".to_owned(), json!(record.offset));
    object.insert("timestamp".to_owned(), json!(record.timestamp.millis));
    let kind = match record.timestamp.kind {
        TimestampKind::CreateTime => "create",
        TimestampKind::LogAppendTime => "append",
    };
    object.insert("timestamp_type".to_owned(), json!(kind));
    let headers: Vec<Value> = record.headers.iter().map(entry).collect();
    object.insert("headers".to_owned(), Value::Array(headers));
    put(&mut object, "key", record.key);
    put(&mut object, "value", record.value);
    Value::Object(object)
}

/// A header as JSON.
pub fn entry(header: &HeaderRef<'_>) -> Value {
    let mut entry = Map::new();
    entry.insert("name".to_owned(), json!(header.name));
    put(&mut entry, "value", header.value);
    Value::Object(entry)
}

/// Puts bytes into an object, as text where they are UTF-8.
pub fn put(object: &mut Map<String, Value>, name: &str, bytes: Option<&[u8]>) {
    match bytes.map(std::str::from_utf8) {
        None => object.insert(name.to_owned(), Value::Null),
        Some(Ok(text)) => object.insert(name.to_owned(), json!(text)),
        Some(Err(_)) => object.insert(format!("{name}_base64"), json!(BASE64.encode(bytes.unwrap_or_default()))),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Timestamp;

    #[test]
    fn a_record_as_json_keeps_null_apart_from_empty_and_shows_bytes_as_base64() {
        let record = RecordRef {
            key: Some(&[0xff, 0x00]),
            value: None,
            headers: [HeaderRef { name: "h", value: Some(b"") }, HeaderRef { name: "h", value: None }]
                .into_iter()
                .collect(),
            timestamp: Timestamp::create(5),
            offset: 9,
        };
        let expected = json!({
            "topic": "t", "partition": 2, "offset": 9, "timestamp": 5, "timestamp_type": "create",
            "headers": [{ "name": "h", "value": "" }, { "name": "h", "value": null }],
            "key_base64": "/wA=", "value": null,
        });
        assert_eq!(object(&record, "t", 2), expected);
    }

    #[test]
    fn places_read_as_kcat_reads_them() {
        assert_eq!(parse_from("beginning"), Ok(ScanFrom::Beginning));
        assert_eq!(parse_from("-5"), Ok(ScanFrom::Last(5)));
        assert_eq!(parse_from("17"), Ok(ScanFrom::Offset(17)));
        assert!(parse_from("start").is_err());
    }
}
