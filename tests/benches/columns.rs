//! What `columns` makes of real topics: bytes a record, speed both ways, training time and the model's size, beside
//! zstd in the same blocks.
//!
//! `cargo bench --no-default-features --bench columns [-- [--ablations] NAME...]`; a name may be that of a file. Every model is trained
//! on the first half of the rows and measured on those that follow, 20,000 at most. All times are CPU times of the one
//! thread; bytes are of the raw lines, without anything around them.

mod measure;
#[path = "../tools/mod.rs"]
mod tools;

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use latentd::codec::{Column, ColumnCodec};
use latentd::model::columns::Options;
use latentd::model::{ColumnsCodec, ColumnsModel};

use measure::cpu;

/// Rows of a file that are looked at, and rows that are measured.
const ROWS: usize = 120_000;
const MEASURED: usize = 20_000;

/// Block sizes in bytes of raw lines.
const BLOCKS: [usize; 3] = [16 << 10, 128 << 10, 1 << 20];

/// CPU time of a measurement, at least.
const AT_LEAST: Duration = Duration::from_millis(600);

/// Rows in a file's order, cut into blocks of about so many bytes.
fn blocks(rows: &[&[u8]], bytes: usize) -> Vec<Column> {
    let mut blocks = vec![Column::default()];
    for row in rows {
        if blocks.last().is_some_and(|block| !block.is_empty() && block.bytes.len() + row.len() > bytes) {
            blocks.push(Column::default());
        }
        blocks.last_mut().expect("there is a block from the start").push(row);
    }
    blocks
}

/// Bytes that zstd makes of the blocks' lines.
fn zstd_blocks(blocks: &[Column], level: i32) -> usize {
    let mut writer = zstd::bulk::Compressor::new(level).expect("zstd has the level");
    blocks.iter().map(|block| writer.compress(&block.bytes).expect("zstd codes anything").len()).sum()
}

fn zstd_records(rows: &[&[u8]], train: &[&[u8]]) -> usize {
    let step = train.len().div_ceil(20_000).max(1);
    let samples: Vec<&[u8]> = train.iter().copied().step_by(step).collect();
    let dictionary = zstd::dict::from_samples(&samples, 110 << 10).expect("the topic has a dictionary");
    let mut writer = zstd::bulk::Compressor::with_dictionary(19, &dictionary).expect("zstd has the level");
    rows.iter().map(|row| writer.compress(row).expect("zstd codes anything").len()).sum()
}

fn report(name: &str, file: &[u8]) {
    let mut rows: Vec<&[u8]> = file.split(|byte| *byte == b'\n').filter(|row| !row.is_empty()).take(ROWS).collect();
    if name.ends_with(".csv") {
        rows.remove(0);
    }
    let (train, rest) = rows.split_at(rows.len() / 2);
    let test = &rest[..rest.len().min(MEASURED)];
    let raw: usize = test.iter().map(|row| row.len()).sum();
    let each = |bytes: usize| bytes as f64 / test.len() as f64;
    let speed = |seconds: f64| raw as f64 / 1e6 / seconds;
    println!("\n{name}: {} rows learned, {} measured, {:.1} bytes each", train.len(), test.len(), each(raw));
    println!(
        "| | bytes a record | encode / decode MB/s | zstd-3 | zstd-19 | times smaller than zstd-3 |\n|---|---|---|---|---|---|"
    );
    let start = cpu();
    let model = Arc::new(ColumnsModel::train(train, &Options::default()));
    let trained = cpu() - start;
    let start = cpu();
    let again = ColumnsModel::parse(model.artefact()).expect("an artefact that was written is read");
    let loaded = cpu() - start;
    assert_eq!(again.id(), model.id());
    for size in BLOCKS {
        let blocks = blocks(test, size);
        let ours = measure::columns(&mut ColumnsCodec::new(Arc::clone(&model)), &blocks, AT_LEAST);
        let fast = zstd_blocks(&blocks, 3);
        println!(
            "| {} KiB | {:.2} | {:.0} / {:.0} | {:.2} | {:.2} | {:.2} |",
            size >> 10,
            each(ours.bytes),
            speed(ours.encode),
            speed(ours.decode),
            each(fast),
            each(zstd_blocks(&blocks, 19)),
            fast as f64 / ours.bytes as f64,
        );
    }
    let start = cpu();
    let options = Options { alone: true, ..Options::default() };
    let alone = Arc::new(ColumnsModel::train(train, &options));
    let trained_alone = cpu() - start;
    let ours = measure::records(&mut ColumnsCodec::new(Arc::clone(&alone)), test, AT_LEAST);
    println!(
        "| single | {:.2} | {:.0} / {:.0} | | {:.2} with a dictionary of 110 KiB | |",
        each(ours.bytes),
        speed(ours.encode),
        speed(ours.decode),
        each(zstd_records(test, train)),
    );
    println!(
        "trained in {:.1} s ({:.1} s for single records), {} bytes of model ({} for single records), read in {:.0} ms",
        trained.as_secs_f64(),
        trained_alone.as_secs_f64(),
        model.artefact().len(),
        alone.artefact().len(),
        loaded.as_secs_f64() * 1e3,
    );
}

/// Bytes a record in blocks of 128 KiB.
fn bytes_of(model: ColumnsModel, test: &[&[u8]]) -> f64 {
    let mut codec = ColumnsCodec::new(Arc::new(model));
    let mut coded = Vec::new();
    for block in blocks(test, BLOCKS[1]) {
        codec.encode_column(block.as_ref(), &mut coded).expect("blocks are coded");
    }
    coded.len() as f64 / test.len() as f64
}

/// What the search, the number of records learned from and the age of the model do to bytes a record.
fn ablate(name: &str, file: &[u8]) {
    let rows: Vec<&[u8]> = file.split(|byte| *byte == b'\n').filter(|row| !row.is_empty()).take(ROWS).collect();
    let (train, rest) = rows.split_at(rows.len() / 2);
    let test = &rest[..rest.len().min(MEASURED)];
    println!("\n{name}: bytes a record in blocks of 128 KiB");
    for effort in [0, 20_000_000, 100_000_000, Options::default().effort] {
        let start = cpu();
        let model = ColumnsModel::train(train, &Options { effort, ..Options::default() });
        let time = (cpu() - start).as_secs_f64();
        let size = model.artefact().len();
        println!("| effort of {effort} | {:.2} | {time:.1} s, {size} bytes of model |", bytes_of(model, test));
    }
    for part in [64, 16, 4] {
        let newest = &train[train.len() - train.len() / part..];
        let bytes = bytes_of(ColumnsModel::train(newest, &Options::default()), test);
        println!("| the newest {} records | {bytes:.2} | |", newest.len());
    }
    for (place, part) in rest.chunks(MEASURED).enumerate() {
        let bytes = bytes_of(ColumnsModel::train(train, &Options::default()), part);
        println!("| records {} to {} after training | {bytes:.2} | |", place * MEASURED, place * MEASURED + part.len());
    }
}

fn main() {
    let ablations = std::env::args().any(|argument| argument == "--ablations");
    let names: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let names = if names.is_empty() { tools::TOPICS.map(str::to_owned).to_vec() } else { names };
    for name in &names {
        let path = if fs::metadata(name).is_ok() {
            name.into()
        } else {
            tools::data(name).unwrap_or_else(|error| panic!("{error}"))
        };
        let file = fs::read(&path).unwrap_or_else(|error| panic!("`{}`: {error}", path.display()));
        if ablations { ablate(name, &file) } else { report(name, &file) }
    }
}
