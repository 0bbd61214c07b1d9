//! What a worker does to a record between intake and delivery: code, seal, count, sample the rival; and back.
//!
//! `cargo bench --bench stage`. Throughput is of the records' raw bytes. What is published is counted and dropped, so no broker
//! and no client library is in these figures: `throughput` has those.

#![allow(clippy::unwrap_used, reason = "what cannot be had ends the benchmark")]

#[path = "../tools/mod.rs"]
mod tools;

use std::fs;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use latentd::codec::{ModelSource, NoModels};
use latentd::config;
use latentd::pipeline::stage::{
    Coder, CompressBlocks, CompressRecords, Halt, Output, Publication, Reason, Restore, Stage,
};
use latentd::pipeline::{Layout, Settings};
use latentd::record::{Record, RecordRef, Timestamp, TopicPartition};
use latentd::telemetry::{PipelineInfo, PipelineMetrics, StatusBoard};

/// Records of one pass.
const RECORDS: usize = 20_000;

/// Records of one commit.
const COMMIT: usize = 5_000;

const SLOT: u32 = 0;

/// Rows of the flights topic, as they follow each other.
fn flights() -> Vec<Record> {
    let file = fs::read(tools::data("flights.jsonl").unwrap()).unwrap();
    let rows = file.split(|byte| *byte == b'\n').skip(100_000).take(RECORDS);
    let record = |(row, offset): (&[u8], i64)| Record {
        key: Some(format!("flight-{offset}").into()),
        value: Some(row.to_vec().into()),
        headers: Vec::new(),
        timestamp: Timestamp::create(1_700_000_000_000 + offset),
        offset,
    };
    rows.zip(0..).map(record).collect()
}

/// What a pipeline of a configuration is told.
fn settings(table: &str) -> Settings {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("latentd.toml");
    fs::write(&path, format!("[pipelines.p]\nfrom = \"t\"\nto = \"t.z\"\n{table}\n")).unwrap();
    let config = config::load(&path).unwrap_or_else(|errors| panic!("{errors}"));
    config.pipelines.into_iter().next().unwrap()
}

fn metrics() -> PipelineMetrics {
    let status = StatusBoard::new("bench").add(PipelineInfo {
        name: "p".to_owned(),
        operation: "compress".to_owned(),
        from: vec!["t".to_owned()],
        to: "t.z".to_owned(),
        codec: None,
        layout: None,
        delivery: "exactly-once".to_owned(),
        several_topics: false,
    });
    status.metrics().clone()
}

/// Counts what is published, and keeps it when it is told to.
struct Counted {
    origin: TopicPartition,
    bytes: usize,
    kept: Option<Vec<Record>>,
}

impl Counted {
    fn new(keep: bool) -> Self {
        Self { origin: TopicPartition::new("t", 0), bytes: 0, kept: keep.then(Vec::new) }
    }
}

impl Output for Counted {
    fn origin(&self) -> &TopicPartition {
        &self.origin
    }
    fn fits(&self, publication: &Publication<'_>) -> bool {
        publication.value.is_none_or(|value| value.len() <= 1 << 20)
    }
    fn publish(&mut self, publication: &Publication<'_>, position: Option<i64>) -> Result<(), Halt> {
        self.bytes += publication.value.map_or(0, <[u8]>::len);
        if let Some(kept) = &mut self.kept {
            let record = RecordRef {
                key: publication.key,
                value: publication.value,
                headers: publication.headers.into(),
                timestamp: Timestamp::create(publication.timestamp),
                offset: position.unwrap_or_default(),
            };
            kept.push(record.to_owned());
        }
        Ok(())
    }
    fn dead_letter(&mut self, _: &RecordRef<'_>, reason: Reason, message: &str, _: Option<i64>) -> Result<(), Halt> {
        panic!("{reason:?}: {message}");
    }
}

/// All records through a stage, with a commit now and then.
fn pass(stage: &mut dyn Stage, records: &[Record], output: &mut Counted) {
    let mut due = Vec::new();
    for commit in records.chunks(COMMIT) {
        for record in commit {
            stage.take(SLOT, &record.as_ref(), output).unwrap();
        }
        due.clear();
        stage.open(&mut due);
        for slot in &due {
            stage.close(*slot, output).unwrap();
        }
        stage.at_boundary();
    }
}

fn compressing(settings: &Settings, models: &Arc<dyn ModelSource>) -> Box<dyn Stage> {
    let coder = Coder::new(settings, models, None, None, &metrics()).unwrap();
    match settings.layout {
        Layout::Record => Box::new(CompressRecords::new(coder, settings.headers)),
        Layout::Block => Box::new(CompressBlocks::new(coder, settings.headers, settings.block)),
    }
}

fn stages(criterion: &mut Criterion) {
    let models: Arc<dyn ModelSource> = Arc::new(NoModels);
    let records = flights();
    let raw: usize = records.iter().map(|record| record.as_ref().payload_len()).sum();
    for layout in ["record", "block"] {
        for codec in ["identity", "lz4", "zstd:3"] {
            let settings = settings(&format!("layout = \"{layout}\"\ncodec = \"{codec}\""));
            let mut kept = Counted::new(true);
            pass(&mut *compressing(&settings, &models), &records, &mut kept);
            let written = kept.kept.take().unwrap();
            let mut group = criterion.benchmark_group(format!("{layout}, {codec}"));
            group.throughput(Throughput::Bytes(raw as u64)).sample_size(10).measurement_time(Duration::from_secs(3));
            let mut stage = compressing(&settings, &models);
            group.bench_function("compress", |bencher| {
                bencher.iter(|| {
                    let mut output = Counted::new(false);
                    pass(&mut *stage, &records, &mut output);
                    black_box(output.bytes)
                });
            });
            let mut stage = Restore::new(&settings, &models, metrics());
            group.bench_function("restore", |bencher| {
                bencher.iter(|| {
                    let mut output = Counted::new(false);
                    pass(&mut stage, &written, &mut output);
                    black_box(output.bytes)
                });
            });
            group.finish();
        }
    }
}

criterion_group!(benches, stages);
criterion_main!(benches);
