//! What a training of minutes costs the stream beside it, on a real Apache Kafka.
//!
//! `cargo bench --bench beside`. Two daemons take turns: in one a second pipeline trains a network on images all the time, in the
//! other it compresses the same images and learns nothing. Measured are the rate at which the first pipeline works off a
//! backlog, between a tenth and nine tenths of it, and how long records of a steady feed take from their timestamp to their
//! commit, as `latentd_end_to_end_seconds` has it. Medians of `LATENTD_BENCH_ROUNDS` rounds; `LATENTD_BENCH_MB` sets the backlog.

#![allow(clippy::unwrap_used, reason = "what cannot be had ends the benchmark")]

#[path = "kafka.rs"]
mod kafka;

use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use latentd::record::{Record, Timestamp};
use rdkafka::producer::BaseProducer;

use broker::Broker;
use daemon::Daemon;
use kafka::{broker, daemon, median, node, ports, setting, tools, topics};
use topics::{Partitions, flush, send};

const PARTITIONS: i32 = 2;

/// What there is to learn from.
const IMAGES: usize = 8_000;

/// Records of the steady feed: so many, after each pause.
const CHUNK: usize = 50;
const PAUSE: Duration = Duration::from_millis(10);
const FED: Duration = Duration::from_secs(15);

const PATIENCE: Duration = Duration::from_secs(300);

fn record(value: Bytes, timestamp: i64) -> Record {
    Record { key: None, value: Some(value), headers: Vec::new(), timestamp: Timestamp::create(timestamp), offset: 0 }
}

fn now() -> i64 {
    i64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap()
}

fn partitions(values: impl Iterator<Item = Bytes>) -> Partitions {
    let mut partitions: Partitions = (0..PARTITIONS).map(|partition| (partition, Vec::new())).collect();
    for (index, value) in values.enumerate() {
        partitions.get_mut(&(index as i32 / 100 % PARTITIONS)).unwrap().push(record(value, 1_700_000_000_000));
    }
    partitions
}

/// Figures of one run.
struct Figures {
    mb_per_second: f64,
    half_seconds: f64,
    most_seconds: f64,
}

/// The upper bounds of the histogram's buckets, and how many records took no longer.
fn latencies(daemon: &Daemon) -> Vec<(f64, f64)> {
    let (_, text) = daemon.get("/metrics").unwrap();
    let buckets = text
        .lines()
        .filter(|line| line.starts_with("latentd_end_to_end_seconds_bucket") && line.contains("pipeline=\"bench\""));
    let bucket = |line: &str| {
        let bound = line.split("le=\"").nth(1).unwrap().split('"').next().unwrap();
        let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().unwrap() };
        (bound, line.rsplit(' ').next().unwrap().parse().unwrap())
    };
    buckets.map(bucket).collect()
}

/// Below which so large a share of the records between two readings were: as a histogram can say it, evenly within a bucket.
fn quantile(before: &[(f64, f64)], after: &[(f64, f64)], share: f64) -> f64 {
    let counts: Vec<(f64, f64)> = after
        .iter()
        .map(|(bound, count)| {
            let earlier = before.iter().find(|(old, _)| old == bound).map_or(0.0, |(_, count)| *count);
            (*bound, count - earlier)
        })
        .collect();
    let wanted = counts.last().unwrap().1 * share;
    let (mut from, mut below) = (0.0, 0.0);
    for (bound, count) in counts {
        if count >= wanted {
            return from + (bound - from) * (wanted - below) / (count - below).max(1.0);
        }
        (from, below) = (bound, count);
    }
    from
}

fn main() {
    // `cargo test --benches` and `cargo clippy` call it for nothing.
    if std::env::args().any(|argument| argument == "--test" || argument == "--list") {
        return;
    }
    let text = std::fs::read(tools::data("flights.jsonl").unwrap()).unwrap();
    let lines: Vec<Bytes> =
        text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(Bytes::copy_from_slice).collect();
    let images = std::fs::read(tools::data("train-images-idx3-ubyte").unwrap()).unwrap();
    let bytes = setting("LATENTD_BENCH_MB", 300) * 1_000_000;
    let count = bytes / (text.len() / lines.len());
    let broker = Broker::start(&[]);
    let images = partitions(images[16..].chunks_exact(784).take(IMAGES).map(Bytes::copy_from_slice));
    let flights = partitions(lines.iter().cycle().take(count).cloned());
    let rounds = setting("LATENTD_BENCH_ROUNDS", 3);
    println!("a backlog of {count} flights, then {} a second; {rounds} rounds\n", CHUNK * 100);
    let mut all: [Vec<Figures>; 2] = Default::default();
    for round in 0..rounds {
        for (trains, figures) in all.iter_mut().enumerate() {
            let name = format!("r{round}-{trains}");
            // Topics of its own: the group of the daemon before has read the others.
            for (topic, records) in [("bench", &flights), ("images", &images)] {
                broker.create(&format!("{topic}-{name}"), PARTITIONS, &[]);
                broker.produce_plain(&format!("{topic}-{name}"), records);
            }
            let one = run(&broker, &name, trains == 1, &lines, count, bytes);
            ["bench", "images"].iter().for_each(|topic| broker.delete(&format!("{topic}-{name}")));
            eprintln!(
                "round {round}, {}: {:.0} MB/s, {:.0} and {:.0} ms",
                if trains == 1 { "training" } else { "nothing" },
                one.mb_per_second,
                one.half_seconds * 1e3,
                one.most_seconds * 1e3
            );
            figures.push(one);
        }
    }
    println!(
        "| beside the stream | backlog, MB/s | to commit: half of the records, ms | 99 of 100, ms |\n|---|---|---|---|"
    );
    for (name, figures) in ["nothing", "a training"].into_iter().zip(&all) {
        let middle = |of: fn(&Figures) -> f64| median(figures.iter().map(of));
        println!(
            "| {name} | {:.0} | {:.0} | {:.0} |",
            middle(|one| one.mb_per_second),
            middle(|one| one.half_seconds) * 1e3,
            middle(|one| one.most_seconds) * 1e3
        );
    }
}

fn run(broker: &Broker, name: &str, trains: bool, lines: &[Bytes], count: usize, bytes: usize) -> Figures {
    let codec = if trains { "latent" } else { "zstd" };
    let learn = if trains { "[pipelines.images.learn]\ncpu = \"1h\"\n" } else { "" };
    let tables = format!(
        "[pipelines.bench]\nfrom = \"bench-{name}\"\nto = \"bench-{name}.z\"\n\
         [pipelines.images]\nfrom = \"images-{name}\"\nto = \"images-{name}.z\"\npayload = \"image\"\nshape = \"28x28\"\n\
         codec = \"{codec}\"\n{learn}"
    );
    let daemon = Daemon::start(broker, name, &tables);
    daemon.until("its server", PATIENCE, || daemon.get("/livez"));
    daemon.until("the pipeline", PATIENCE, || (daemon.post("/api/v1/pipelines/bench/pause").0 < 300).then_some(()));
    daemon.until("the images", PATIENCE, || {
        let read = daemon.metric("latentd_consumed_records_total", &["pipeline=\"images\""])?;
        (read >= IMAGES as f64).then_some(())
    });
    if trains {
        daemon.until("a training", PATIENCE, || daemon.metric("latentd_training_loss", &[]));
    }
    daemon.post("/api/v1/pipelines/bench/resume");
    let read = || daemon.metric("latentd_consumed_records_total", &["pipeline=\"bench\""]).unwrap_or(0.0);
    let until = |share: f64| loop {
        let records = read();
        if records >= count as f64 * share {
            break (Instant::now(), records);
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let (first, last) = (until(0.1), until(0.9));
    let mb = (last.1 - first.1) * bytes as f64 / count as f64 / 1e6;
    let mb_per_second = mb / (last.0 - first.0).as_secs_f64();
    until(1.0);
    std::thread::sleep(Duration::from_secs(2));

    let before = latencies(&daemon);
    let producer: BaseProducer = broker.client().set("linger.ms", "5").create().unwrap();
    let (started, mut next) = (Instant::now(), 0);
    while started.elapsed() < FED {
        for _ in 0..CHUNK {
            let partition = next as i32 / CHUNK as i32 % PARTITIONS;
            send(&producer, &format!("bench-{name}"), partition, &record(lines[next % lines.len()].clone(), now()));
            next += 1;
        }
        std::thread::sleep(PAUSE);
    }
    flush(&producer);
    daemon.until("all of the feed", PATIENCE, || (read() >= (count + next) as f64).then_some(()));
    // What was read last is committed with the next interval.
    std::thread::sleep(Duration::from_secs(2));
    let after = latencies(&daemon);
    if trains {
        assert!(daemon.metric("latentd_training_loss", &[]).is_some(), "the training has ended");
    }
    daemon.stop();
    Figures {
        mb_per_second,
        half_seconds: quantile(&before, &after, 0.5),
        most_seconds: quantile(&before, &after, 0.99),
    }
}
