//! The whole way through a real Apache Kafka: consume, zstd-3, produce, beside a bare librdkafka loop in the same run.
//!
//! `cargo bench --bench throughput`. Variants take turns, each in a process of its own that starts anew; figures are taken
//! between the records at 10 % and 90 % of the run, so that joining a group and draining count for nobody. Printed are
//! medians. CPU is that of the measured process alone, the broker is not in it; but the broker has the same cores.
//! `LATENTD_BENCH_MB` sets the size of a run, `LATENTD_BENCH_ROUNDS` their number, `LATENTD_BENCH_ONLY` which variants run
//! beside the bare loop: those whose names contain it.

#![allow(clippy::unwrap_used, reason = "what cannot be had ends the benchmark")]

#[path = "kafka.rs"]
mod kafka;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use latentd::record::{Record, Timestamp};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rustix::time::{ClockId, clock_gettime};

use broker::Broker;
use daemon::Daemon;
use kafka::{broker, daemon, median, node, ports, setting, tools, topics};
use topics::Partitions;

const PARTITIONS: i32 = 4;
const SOURCE: &str = "bench";

const BARE: &str = "bare librdkafka loop";

/// The same with the header that names the coding, which latentd adds to every record.
const WITH_HEADER: &str = "bare librdkafka loop, with a `content-encoding` header";

/// One variant: its name, and the tables of its pipeline; the bare loop has none.
const VARIANTS: [(&str, Option<&str>); 11] = [
    (BARE, None),
    (WITH_HEADER, None),
    ("record, at-least-once", Some("layout = \"record\"\ndelivery = \"at-least-once\"")),
    ("record, no header, at-least-once", Some("layout = \"record\"\nheaders = \"none\"\ndelivery = \"at-least-once\"")),
    ("record, exactly-once, 500 ms", Some("layout = \"record\"")),
    ("record, no header, exactly-once, 500 ms", Some("layout = \"record\"\nheaders = \"none\"")),
    ("record, exactly-once, 100 ms", Some("layout = \"record\"\ncommit_interval = \"100ms\"")),
    (
        "record, exactly-once, 100 ms, no overlap",
        Some("layout = \"record\"\ncommit_interval = \"100ms\"\noverlap_commits = false"),
    ),
    ("record, pass-through, exactly-once, 500 ms", Some("layout = \"record\"\ncodec = \"identity\"")),
    ("block, exactly-once, 500 ms", Some("layout = \"block\"")),
    ("block, at-least-once", Some("layout = \"block\"\ndelivery = \"at-least-once\"")),
];

/// What a run did between two moments.
#[derive(Clone, Copy, Default)]
struct Sample {
    seconds: f64,
    cpu: f64,
    records: f64,
}

/// A figure per raw byte of the source, of one run.
struct Rate {
    mb_per_second: f64,
    cpu_per_mb: f64,
}

fn rate(first: Sample, last: Sample, bytes_per_record: f64) -> Rate {
    let mb = (last.records - first.records) * bytes_per_record / 1e6;
    Rate { mb_per_second: mb / (last.seconds - first.seconds), cpu_per_mb: (last.cpu - first.cpu) / mb }
}

/// Records of about 900 bytes: three flights each.
fn records(count: usize) -> Partitions {
    let text = std::fs::read(tools::data("flights.jsonl").unwrap()).unwrap();
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    let mut records: Partitions = (0..PARTITIONS).map(|partition| (partition, Vec::new())).collect();
    for index in 0..count {
        let line = |step: usize| lines[(index * 3 + step) % lines.len()];
        let value = [b"{\"legs\":[", line(0), b",", line(1), b",", line(2), b"]}"].concat();
        records.get_mut(&(index as i32 % PARTITIONS)).unwrap().push(Record {
            key: Some(format!("trip-{index}").into()),
            value: Some(value.into()),
            headers: Vec::new(),
            timestamp: Timestamp::create(1_700_000_000_000 + index as i64),
            offset: 0,
        });
    }
    records
}

fn main() {
    // `cargo test --benches` and `cargo clippy` call it for nothing.
    if std::env::args().any(|argument| argument == "--test" || argument == "--list") {
        return;
    }
    if let Ok(task) = std::env::var("LATENTD_BENCH_BARE") {
        let [servers, target, total, header] = &task.split(' ').collect::<Vec<_>>()[..] else { panic!("{task}") };
        return bare(servers, target, total.parse().unwrap(), header.parse().unwrap());
    }
    let broker = Broker::start(&[]);
    let count = setting("LATENTD_BENCH_MB", 400) * 1_000_000 / 912;
    let records = records(count);
    let bytes: usize = records.values().flatten().map(|record| record.as_ref().payload_len()).sum();
    let per_record = bytes as f64 / count as f64;
    broker.create(SOURCE, PARTITIONS, &[]);
    broker.produce_plain(SOURCE, &records);
    drop(records);
    let rounds = setting("LATENTD_BENCH_ROUNDS", 5);
    println!("{count} records of {per_record:.0} bytes, {PARTITIONS} partitions, one worker, {rounds} rounds\n");
    let only = std::env::var("LATENTD_BENCH_ONLY").unwrap_or_default();
    let mut rates: BTreeMap<usize, Vec<Rate>> = BTreeMap::new();
    for round in 0..rounds {
        for (index, (name, tables)) in VARIANTS.iter().enumerate() {
            if index > 0 && !name.contains(&only) {
                continue;
            }
            let target = format!("out-{round}-{index}");
            broker.create(&target, PARTITIONS, &[("cleanup.policy", "delete")]);
            let (first, last) = match tables {
                None => run_bare(&broker, &target, count, *name == WITH_HEADER),
                Some(tables) => run_latentd(&broker, &target, tables, count),
            };
            let rate = rate(first, last, per_record);
            eprintln!("round {round}: {name}: {:.0} MB/s, {:.4} CPU-s/MB", rate.mb_per_second, rate.cpu_per_mb);
            rates.entry(index).or_default().push(rate);
            broker.delete(&target);
        }
    }
    report(&rates);
}

fn report(rates: &BTreeMap<usize, Vec<Rate>>) {
    let speed = |index: usize| median(rates[&index].iter().map(|rate| rate.mb_per_second));
    let cpu = |index: usize| median(rates[&index].iter().map(|rate| rate.cpu_per_mb));
    println!("| consume, zstd-3, produce | MB/s | of the bare loop | CPU-s per MB | of the bare loop |");
    println!("|---|---|---|---|---|");
    for &index in rates.keys() {
        let (name, _) = VARIANTS[index];
        println!(
            "| {name} | {:.0} | {:.0} % | {:.4} | {:.2} x |",
            speed(index),
            100.0 * speed(index) / speed(0),
            cpu(index),
            cpu(index) / cpu(0)
        );
    }
}

fn run_latentd(broker: &Broker, target: &str, tables: &str, count: usize) -> (Sample, Sample) {
    let tables =
        format!("[pipelines.{target}]\nfrom = \"{SOURCE}\"\nto = \"{target}\"\ndead_letter = \"stop\"\n{tables}\n");
    let daemon = Daemon::start(broker, target, &tables);
    let started = Instant::now();
    let mut first = None;
    let last = loop {
        // Seldom: what it costs to answer counts as well.
        std::thread::sleep(Duration::from_millis(100));
        assert!(started.elapsed() < Duration::from_secs(300), "{}", daemon.log());
        let Some(records) = daemon.metric("latentd_consumed_records_total", &[]) else { continue };
        let cpu = cpu_seconds(daemon.pid());
        let sample = Sample { seconds: started.elapsed().as_secs_f64(), cpu, records };
        if records >= count as f64 * 0.1 && first.is_none() {
            first = Some(sample);
        }
        if records >= count as f64 * 0.9 {
            break sample;
        }
    };
    daemon.until("everything is committed", Duration::from_secs(60), || {
        (daemon.metric("latentd_lag_records", &[]) == Some(0.0)).then_some(())
    });
    daemon.stop();
    (first.unwrap(), last)
}

/// CPU seconds of another process, all threads: fields 14 and 15 of proc(5)'s `stat`, in hundredths.
fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields = stat.rsplit(')').next().unwrap().split_whitespace().skip(11).take(2);
    fields.map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / 100.0
}

fn run_bare(broker: &Broker, target: &str, count: usize, header: bool) -> (Sample, Sample) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .env("LATENTD_BENCH_BARE", format!("{} {target} {count} {header}", broker.servers()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let samples: Vec<Sample> = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(|line| {
            let line = line.unwrap();
            let numbers: Vec<f64> = line.split(' ').map(|number| number.parse().unwrap()).collect();
            Sample { seconds: numbers[0], cpu: numbers[1], records: numbers[2] }
        })
        .collect();
    assert!(child.wait().unwrap().success());
    (samples[0], samples[1])
}

/// The loop that a careful engineer writes around librdkafka, with the settings that latentd uses: no transactions, offsets
/// committed at the end.
fn bare(servers: &str, target: &str, total: usize, header: bool) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers);
    let consumer: BaseConsumer = config
        .clone()
        .set("group.id", target)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "earliest")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("fetch.queue.backoff.ms", "10")
        .set("queued.max.messages.kbytes", "196608")
        .create()
        .unwrap();
    consumer.subscribe(&[SOURCE]).unwrap();
    let producer: BaseProducer = config
        .set("enable.idempotence", "true")
        .set("linger.ms", "5")
        .set("batch.size", "1000000")
        .set("batch.num.messages", "10000")
        .set("queue.buffering.max.messages", "1000000")
        .create()
        .unwrap();
    let mut compressor = zstd::bulk::Compressor::new(3).unwrap();
    let mut buffer = Vec::with_capacity(1 << 20);
    let started = Instant::now();
    let mut records = 0usize;
    let sample = |records: usize| {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let cpu = cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9;
        println!("{} {cpu} {records}", started.elapsed().as_secs_f64());
    };
    while records < total {
        let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
        let message = message.unwrap();
        let value = message.payload().unwrap();
        buffer.resize(zstd::zstd_safe::compress_bound(value.len()), 0);
        let coded = compressor.compress_to_buffer(value, &mut buffer[..]).unwrap();
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(target)
            .partition(message.partition())
            .timestamp(message.timestamp().to_millis().unwrap())
            .payload(&buffer[..coded]);
        if let Some(key) = message.key() {
            record = record.key(key);
        }
        if header {
            let encoding = Header { key: "content-encoding", value: Some("zstd") };
            record = record.headers(OwnedHeaders::new_with_capacity(1).insert(encoding));
        }
        while let Err((_, back)) = producer.send(record) {
            producer.poll(Duration::from_millis(1));
            record = back;
        }
        records += 1;
        if records.is_multiple_of(1024) {
            producer.poll(Duration::ZERO);
        }
        if records == total / 10 || records == total / 10 * 9 {
            sample(records);
        }
    }
    while producer.in_flight_count() > 0 {
        producer.poll(Duration::from_millis(5));
    }
}
