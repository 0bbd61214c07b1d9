//! How fast each codec is on real records: one by one, and in chunks of 64 KiB.
//!
//! `cargo bench --bench codecs`, or `cargo bench --bench codecs -- huffman` for one of them. Throughput is of raw bytes, both ways.

#[path = "../tools/mod.rs"]
mod tools;

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use latentd::codec::{self, Algorithm, Codec, CodecSpec, ModelSource, NoModels};

/// Every codec at its default level, and zstd as high as Kafka's users go.
fn specs() -> Vec<CodecSpec> {
    let zstd_19 = CodecSpec::with_level(Algorithm::Zstd, 19).expect("zstd has levels 1 to 22");
    // Without a dictionary, zstd-dict is zstd.
    let defaults = Algorithm::ALL.into_iter().filter(|algorithm| *algorithm != Algorithm::ZstdDict);
    defaults.map(CodecSpec::new).chain([zstd_19]).collect()
}

/// Inputs of one kind, all of which are coded in one pass.
struct Corpus {
    name: &'static str,
    pieces: Vec<Vec<u8>>,
}

impl Corpus {
    fn bytes(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.len() as u64).sum()
    }

    /// Rows of the flights topic, of about 300 bytes, spread over the year.
    fn flights_records() -> Self {
        let file = read("flights.jsonl");
        let rows: Vec<&[u8]> = file.split(|byte| *byte == b'\n').filter(|row| !row.is_empty()).collect();
        let pieces = rows.iter().step_by(rows.len() / 1000).take(1000).map(|row| row.to_vec()).collect();
        Self { name: "flights records", pieces }
    }

    fn flights_chunks() -> Self {
        Self { name: "flights 64 KiB", pieces: chunks(&read("flights.jsonl")) }
    }

    fn mnist_chunks() -> Self {
        Self { name: "mnist 64 KiB", pieces: chunks(&read("train-images-idx3-ubyte")) }
    }
}

fn read(file: &str) -> Vec<u8> {
    let path = tools::data(file).unwrap_or_else(|error| panic!("{error}"));
    fs::read(&path).unwrap_or_else(|error| panic!("`{}`: {error}", path.display()))
}

/// Sixteen chunks from the whole length of a file.
fn chunks(file: &[u8]) -> Vec<Vec<u8>> {
    const CHUNK: usize = 64 << 10;
    let all: Vec<&[u8]> = file.chunks_exact(CHUNK).collect();
    all.iter().step_by(all.len() / 16).take(16).map(|chunk| chunk.to_vec()).collect()
}

fn measure(group: &mut BenchmarkGroup<'_, WallTime>, spec: CodecSpec, corpus: &Corpus) {
    let models: Arc<dyn ModelSource> = Arc::new(NoModels);
    let mut codec = codec::build(spec, &models).expect("every codec is built");
    let coded: Vec<Vec<u8>> = corpus.pieces.iter().map(|piece| encoded(&mut *codec, piece)).collect();
    let size: usize = coded.iter().map(Vec::len).sum();
    println!("{spec} on {}: {:.3} of the size", corpus.name, size as f64 / corpus.bytes() as f64);
    group.throughput(Throughput::Bytes(corpus.bytes()));
    let mut output = Vec::new();
    group.bench_function(format!("{spec}/encode"), |bencher| {
        bencher.iter(|| {
            for piece in &corpus.pieces {
                output.clear();
                codec.encode(piece, &mut output).expect("real data is coded");
            }
        });
    });
    group.bench_function(format!("{spec}/decode"), |bencher| {
        bencher.iter(|| {
            for (piece, coded) in corpus.pieces.iter().zip(&coded) {
                output.clear();
                codec.decode(coded, piece.len(), &mut output).expect("what was coded is decoded");
            }
        });
    });
}

fn encoded(codec: &mut dyn Codec, piece: &[u8]) -> Vec<u8> {
    let mut coded = Vec::new();
    codec.encode(piece, &mut coded).expect("real data is coded");
    coded
}

fn codecs(criterion: &mut Criterion) {
    for corpus in [Corpus::flights_records(), Corpus::flights_chunks(), Corpus::mnist_chunks()] {
        let mut group = criterion.benchmark_group(corpus.name);
        group.sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
        for spec in specs() {
            measure(&mut group, spec, &corpus);
        }
        group.finish();
    }
}

criterion_group!(benches, codecs);
criterion_main!(benches);
