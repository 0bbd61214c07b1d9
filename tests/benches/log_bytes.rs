//! Bytes on the log of a real Apache Kafka: what a pipeline that learns writes, beside Kafka's own zstd of the same records.
//!
//! `cargo bench --bench log_bytes`. The first rows of each topic are there for pipelines to learn from, as they come; those behind
//! them are measured, by what the brokers say that their log has grown (`kafka-log-dirs.sh`), everything in it: batches, blocks,
//! headers, transaction markers. The rival is the broker's own zstd (a topic's `compression.zstd.level`, KIP-390: librdkafka stops at
//! level 12) of batches of so many raw bytes. Java's producer counts coded bytes, so that its 16 KiB lie between 16 KiB and 128 KiB
//! here. `LATENTD_BENCH_FILES` names other data sets.

#![allow(clippy::unwrap_used, reason = "what cannot be had ends the benchmark")]

#[path = "kafka.rs"]
mod kafka;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use bytes::Bytes;
use latentd::record::{Header, Record, Timestamp};
use rdkafka::producer::{BaseProducer, Producer};

use broker::Broker;
use daemon::Daemon;
use kafka::{broker, daemon, node, ports, tools, topics};
use topics::{Partitions, assert_same, send};

/// Rows that are measured, at most; half of a smaller set teaches.
const MEASURED: usize = 20_000;

/// Rows that teach, at most.
const TAUGHT: usize = 60_000;

/// Rows a second, of those that teach.
const PACE: usize = 3_000;

const PATIENCE: Duration = Duration::from_secs(600);

/// Raw bytes of a batch or a block.
const SIZES: [(&str, usize); 3] = [("16KiB", 16 << 10), ("128KiB", 128 << 10), ("1MiB", 1 << 20)];

const LEVELS: [i32; 2] = [3, 19];

/// What stands beside the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// No key, no header, a record each millisecond.
    Bare,
    /// A key that a field has too, two headers that are alike, every 12 ms and up to 5 ms late.
    Usual,
}

/// Cuts a data set into rows that teach and rows that are measured.
fn rows(file: &str) -> (Vec<Bytes>, Vec<Bytes>) {
    let text = std::fs::read(tools::data(file).unwrap()).unwrap();
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let skip = usize::from(file.ends_with(".csv"));
    let mut rows: Vec<Bytes> = lines.skip(skip).map(Bytes::copy_from_slice).collect();
    let taught = (rows.len() / 2).min(TAUGHT);
    let mut measured = rows.split_off(taught);
    measured.truncate(MEASURED);
    (rows, measured)
}

fn record(row: &Bytes, index: usize, framing: Framing) -> Record {
    let index = index as i64;
    let (key, headers, millis) = match framing {
        Framing::Bare => (None, Vec::new(), index),
        Framing::Usual => {
            let row: serde_json::Value = serde_json::from_slice(row).unwrap_or_default();
            let key = ["tailnum", "occupation", "origin"].iter().find_map(|name| row[name].as_str().map(str::to_owned));
            let header = |name: &str, value: &'static [u8]| Header { name: name.to_owned(), value: Some(value.into()) };
            let late = (index.wrapping_mul(2_654_435_761) >> 7).rem_euclid(6);
            (key, vec![header("source", b"gateway-7"), header("schema", b"v3")], index * 12 + late)
        }
    };
    Record {
        key: key.map(Bytes::from),
        value: Some(row.clone()),
        headers,
        timestamp: Timestamp::create(1_700_000_000_000 + millis),
        offset: 0,
    }
}

/// Bytes of a topic on the brokers' log.
fn log_bytes(broker: &Broker, topic: &str) -> u64 {
    let mut command = node::java("org.apache.kafka.tools.LogDirsCommand");
    let output = command.args(["--bootstrap-server", &broker.servers(), "--describe", "--topic-list", topic]).output();
    let output = output.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find(|line| line.starts_with('{')).unwrap_or_else(|| panic!("{text}"));
    let report: serde_json::Value = serde_json::from_str(line).unwrap();
    let folders = report["brokers"].as_array().unwrap().iter().flat_map(|broker| broker["logDirs"].as_array().unwrap());
    folders.flat_map(|folder| folder["partitions"].as_array().unwrap()).map(|p| p["size"].as_u64().unwrap()).sum()
}

fn produce(broker: &Broker, topic: &str, records: &[Record], settings: &[(&str, String)]) {
    let mut config = broker.client();
    config.set("enable.idempotence", "true").set("queue.buffering.max.messages", "1000000").set("linger.ms", "1000");
    for (name, value) in settings {
        config.set(*name, value);
    }
    let producer: BaseProducer = config.create().unwrap();
    records.iter().for_each(|record| send(&producer, topic, 0, record));
    producer.flush(PATIENCE).unwrap();
}

fn measure(broker: &Broker, file: &str, framing: Framing) {
    let (taught, measured) = rows(file);
    let all: Vec<Record> =
        taught.iter().chain(&measured).enumerate().map(|(index, row)| record(row, index, framing)).collect();
    let (first, second) = all.split_at(taught.len());
    let count = second.len() as f64;
    let raw: usize = measured.iter().map(Bytes::len).sum();
    let source = format!("{}-{framing:?}", file.split('.').next().unwrap()).to_lowercase();
    println!(
        "\n{file}, {framing:?}: {} rows teach, {} of {:.1} bytes are measured",
        first.len(),
        second.len(),
        raw as f64 / count
    );
    println!("| bytes a record on the log | 16 KiB | 128 KiB | 1 MiB |\n|---|---|---|---|");
    for level in LEVELS {
        let mut line = format!("| Kafka's own zstd-{level} |");
        for (name, bytes) in SIZES {
            let topic = format!("{source}.zstd{level}.{name}");
            let level = level.to_string();
            let properties = [
                ("compression.type", "zstd"),
                ("compression.zstd.level", level.as_str()),
                ("max.message.bytes", "4000000"),
            ];
            broker.create(&topic, 1, &properties);
            let settings = [
                ("batch.size", bytes.to_string()),
                ("batch.num.messages", "1000000".to_owned()),
                ("message.max.bytes", "4000000".to_owned()),
            ];
            produce(broker, &topic, second, &settings);
            write!(line, " {:.2} |", log_bytes(broker, &topic) as f64 / count).unwrap();
        }
        println!("{line}");
    }
    broker.create(&source, 1, &[]);
    let payload = if file.ends_with(".csv") { "csv" } else { "json" };
    let mut tables = String::new();
    let pipelines: Vec<String> =
        SIZES.iter().map(|(name, _)| format!("b{name}")).chain(["record".to_owned()]).collect();
    for (pipeline, size) in pipelines.iter().zip(SIZES.iter().map(|(name, _)| *name).chain([""])) {
        let layout = if size.is_empty() { "record" } else { "block" };
        write!(
            tables,
            "[pipelines.{pipeline}]\nfrom = \"{source}\"\nto = \"{source}.{pipeline}\"\npayload = \"{payload}\"\n\
             codec = \"columns\"\nlayout = \"{layout}\"\n[pipelines.{pipeline}.learn]\nevery = \"1h\"\n"
        )
        .unwrap();
        if !size.is_empty() {
            write!(tables, "[pipelines.{pipeline}.block]\nmax_bytes = \"{size}\"\nmax_records = 100000\n").unwrap();
        }
        write!(
            tables,
            "[pipelines.{pipeline}-back]\nfrom = \"{source}.{pipeline}\"\nto = \"{source}.{pipeline}.back\"\n\
             operation = \"restore\"\n"
        )
        .unwrap();
    }
    let daemon = Daemon::start(broker, &source, &tables);
    daemon.ready(PATIENCE);
    // A stream of a pace at which the tap shows all of it: of a faster one it passes over records.
    for second in first.chunks(PACE) {
        let begun = Instant::now();
        produce(broker, &source, second, &[("linger.ms", "5".to_owned())]);
        std::thread::sleep(Duration::from_secs(1).saturating_sub(begun.elapsed()));
    }
    for pipeline in &pipelines {
        daemon.until("a model in use", PATIENCE, || {
            let (_, state) = daemon.json(&format!("/api/v1/pipelines/{pipeline}"))?;
            state["model"]["id"].as_str().map(drop)
        });
    }
    let settled = || {
        daemon.until("everything is committed", PATIENCE, || {
            (daemon.metric("latentd_lag_records", &[]) == Some(0.0)).then_some(())
        });
    };
    settled();
    // A model made now, of everything before the rows that are measured.
    for pipeline in &pipelines {
        assert_eq!(daemon.post(&format!("/api/v1/pipelines/{pipeline}/train")).0, 202);
        daemon.until("the training that was asked for", PATIENCE, || {
            let (_, state) = daemon.json(&format!("/api/v1/pipelines/{pipeline}"))?;
            (state["learning"]["last"]["cause"] == "asked").then_some(())
        });
    }
    let before: Vec<u64> = pipelines.iter().map(|name| log_bytes(broker, &format!("{source}.{name}"))).collect();
    produce(broker, &source, second, &[]);
    std::thread::sleep(Duration::from_secs(2));
    settled();
    let original: Partitions = broker.consume(&source, all.len(), PATIENCE);
    let after = pipelines.iter().map(|name| log_bytes(broker, &format!("{source}.{name}")));
    let grown: Vec<f64> = after.zip(&before).map(|(after, before)| (after - before) as f64 / count).collect();
    println!("| **columns**, blocks | {:.2} | {:.2} | {:.2} |", grown[0], grown[1], grown[2]);
    println!("| columns, single records | {:.2} | | |", grown[3]);
    for pipeline in &pipelines {
        let back = format!("{source}.{pipeline}.back");
        assert_same(&original, &broker.consume(&back, all.len(), PATIENCE), &back);
    }
    println!("restored from all four: equal to the source in order, keys, values, headers and timestamps");
    daemon.stop();
}

fn main() {
    // `cargo test --benches` and `cargo clippy` call it for nothing.
    if std::env::args().any(|argument| argument == "--test" || argument == "--list") {
        return;
    }
    let files = std::env::var("LATENTD_BENCH_FILES").unwrap_or_else(|_| "flights.jsonl adult.jsonl".to_owned());
    let broker = Broker::start(&[]);
    for file in files.split_whitespace() {
        measure(&broker, file, Framing::Bare);
        if file.ends_with(".jsonl") {
            measure(&broker, file, Framing::Usual);
        }
    }
}
