//! How fast blocks are built, coded and decoded, and what they cost beside the coded values.
//!
//! `cargo bench --bench container`. Throughput is of the records' raw bytes: values, and keys where there are any.

#[path = "../tools/mod.rs"]
mod tools;

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use latentd::codec::block::{BlockBuilder, BlockReader, DecodeLimits};
use latentd::codec::{self, Decoders, ModelSource, NoModels};
use latentd::record::{Header, Record, Timestamp};

/// Records per block.
const RECORDS: usize = 1000;

/// Rows of the flights topic in a row, as one commit reads them: a few milliseconds apart.
fn flights() -> Vec<Record> {
    let path = tools::data("flights.jsonl").unwrap_or_else(|error| panic!("{error}"));
    let file = fs::read(&path).unwrap_or_else(|error| panic!("`{}`: {error}", path.display()));
    let rows = file.split(|byte| *byte == b'\n').skip(100_000).take(RECORDS);
    let mut millis = 1_700_000_000_000;
    let records = rows.zip(4_000_000..).map(|(row, offset)| {
        millis += 1 + i64::from(row[row.len() / 2] % 7);
        Record {
            key: None,
            value: Some(row.to_vec().into()),
            headers: Vec::new(),
            timestamp: Timestamp::create(millis),
            offset,
        }
    });
    records.collect()
}

/// The same records with what a careful producer adds: a key, and two headers.
fn dressed(records: &[Record]) -> Vec<Record> {
    let dress = |record: &Record| {
        let header = |name: &str, value: String| Header { name: name.to_owned(), value: Some(value.into()) };
        Record {
            key: Some(format!("flight-{}", record.offset % 4096).into()),
            headers: vec![
                header("content-type", "application/json".to_owned()),
                header("trace", format!("{:016x}", (record.offset as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))),
            ],
            ..record.clone()
        }
    };
    records.iter().map(dress).collect()
}

fn measure(criterion: &mut Criterion, name: &str, codec: &str, records: &[Record]) {
    let models: Arc<dyn ModelSource> = Arc::new(NoModels);
    let mut codec_at_work = codec::build(codec.parse().expect("a codec"), &models).expect("every codec is built");
    let mut decoders = Decoders::new(&models);
    let (mut builder, mut reader) = (BlockBuilder::default(), BlockReader::default());
    let mut block = Vec::new();
    records.iter().for_each(|record| builder.push(&record.as_ref()));
    builder.encode(&mut *codec_at_work, &mut block).expect("real records are coded");
    let values: Vec<u8> = records.iter().flat_map(|record| record.value.iter().flatten().copied()).collect();
    let mut coded = Vec::new();
    codec_at_work.encode(&values, &mut coded).expect("real values are coded");
    println!(
        "{name}, {codec}: {RECORDS} records, {:.1} bytes each, {:.2} in the block, {:.2} of them for what is beside the values",
        builder.raw_bytes() as f64 / RECORDS as f64,
        block.len() as f64 / RECORDS as f64,
        (block.len() as f64 - coded.len() as f64) / RECORDS as f64,
    );
    let mut group = criterion.benchmark_group(format!("{name}, {codec}"));
    group.sample_size(20).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
    group.throughput(Throughput::Bytes(builder.raw_bytes() as u64));
    group.bench_function("build and encode", |bencher| {
        bencher.iter(|| {
            builder.clear();
            records.iter().for_each(|record| builder.push(&record.as_ref()));
            block.clear();
            builder.encode(&mut *codec_at_work, &mut block).expect("real records are coded");
        });
    });
    group.bench_function("decode", |bencher| {
        bencher.iter(|| {
            reader.decode(&block, &mut decoders, &DecodeLimits::UNLIMITED).expect("what was coded is decoded");
            reader.records().map(|record| record.payload_len()).sum::<usize>()
        });
    });
    group.bench_function("the codec alone, values in one piece", |bencher| {
        bencher.iter(|| {
            coded.clear();
            codec_at_work.encode(&values, &mut coded).expect("real values are coded");
        });
    });
    group.finish();
}

fn container(criterion: &mut Criterion) {
    let plain = flights();
    let dressed = dressed(&plain);
    for codec in ["identity", "huffman", "zstd:3"] {
        measure(criterion, "flights", codec, &plain);
    }
    measure(criterion, "flights with keys and headers", "zstd:3", &dressed);
}

criterion_group!(benches, container);
criterion_main!(benches);
