//! What `latent` makes of images: bits a raw byte and speed both ways, for records and blocks, beside zstd with a dictionary, xz,
//! brotli and Kafka's own batches. `tests/tools/image_codecs.py` measures image formats on the same file.
//!
//! `cargo bench --no-default-features --bench latent -- --model FILE --images t10k-images-idx3-ubyte [--train FILE] [--limit N]
//! [--kernel NAME]`; the model is an artefact or a `.latentd-model` file. The dictionary is learned from the idx file `--train`. All times are CPU
//! times of the one thread; bytes are what the codec writes, with those of a record's frame where that is said.

mod measure;

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use latentd::codec::{Algorithm, Column, NoModels, build};
use latentd::engine::Kernel;
use latentd::frame::{BatchCompression, FrameHeader, Guard, Kind, RecordBatch};
use latentd::model::package::unpack;
use latentd::model::{Dictionary, LatentCodec, LatentModel};
use latentd::record::{HeaderRefs, RecordRef, Timestamp};

use measure::{Measured, fastest};

/// Images of a block.
const BLOCKS: [usize; 2] = [64, 1024];

/// Classical codecs, each image on its own.
const CLASSICAL: [&str; 2] = ["xz:9", "brotli:11"];

/// Raw bytes of Kafka's batches, and zstd's level: the producer's own, and a high one.
const BATCHES: [(usize, i32); 4] = [(16 << 10, 3), (16 << 10, 19), (1 << 20, 3), (1 << 20, 19)];

/// Bytes of the dictionary.
const DICTIONARY: usize = 112 << 10;

/// CPU time of a measurement, at least.
const AT_LEAST: Duration = Duration::from_millis(1500);

/// The items of an idx file.
fn items(path: &str) -> Vec<Vec<u8>> {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("`{path}`: {error}"));
    let dimensions = usize::from(bytes[3]);
    let sizes = bytes[4..4 + 4 * dimensions].as_chunks::<4>().0.iter();
    let item: usize = sizes.skip(1).map(|size| u32::from_be_bytes(*size) as usize).product();
    bytes[4 + 4 * dimensions..].chunks_exact(item).map(<[u8]>::to_vec).collect()
}

fn print(name: &str, raw: usize, measured: &Measured) {
    let bits = 8.0 * measured.bytes as f64 / raw as f64;
    let speed = |seconds: f64| raw as f64 / seconds / 1e6;
    println!("| {name} | {bits:.4} | {:.1} | {:.1} |", speed(measured.encode), speed(measured.decode));
}

/// Columns of so many images.
fn columns(images: &[Vec<u8>], size: usize) -> Vec<Column> {
    let column = |images: &[Vec<u8>]| {
        let mut column = Column::default();
        images.iter().for_each(|image| column.push(image));
        column
    };
    images.chunks(size).map(column).collect()
}

/// zstd with a dictionary, or without one.
struct Zstd {
    compressor: zstd::bulk::Compressor<'static>,
    decompressor: zstd::bulk::Decompressor<'static>,
}

impl Zstd {
    fn new(level: i32, dictionary: &[u8]) -> Self {
        let compressor = zstd::bulk::Compressor::with_dictionary(level, dictionary).expect("zstd takes its dictionary");
        let decompressor = zstd::bulk::Decompressor::with_dictionary(dictionary).expect("zstd takes its dictionary");
        Self { compressor, decompressor }
    }

    fn measure(&mut self, name: &str, images: &[Vec<u8>]) {
        let raw: usize = images.iter().map(Vec::len).sum();
        let mut coded = Vec::new();
        let encode = fastest(AT_LEAST, || {
            coded = images.iter().map(|image| self.compressor.compress(image).expect("zstd codes images")).collect();
        });
        let decode = fastest(AT_LEAST, || {
            for (coded, image) in coded.iter().zip(images) {
                assert!(self.decompressor.decompress(coded, image.len()).expect("zstd decodes") == *image);
            }
        });
        print(name, raw, &Measured { bytes: coded.iter().map(Vec::len).sum(), encode, decode });
    }
}

/// Kafka's own compression of a producer's batches, header and all.
fn kafka(images: &[Vec<u8>], size: usize, level: i32) {
    let mut batches = vec![RecordBatch::default()];
    for image in images {
        let record = RecordRef {
            key: None,
            value: Some(image),
            headers: HeaderRefs::new(),
            timestamp: Timestamp::create(1_700_000_000_000),
            offset: 0,
        };
        if batches.last().is_some_and(|batch| !batch.is_empty() && batch.len_with(&record) > size) {
            batches.push(RecordBatch::default());
        }
        batches.last_mut().expect("there is a batch").push(&record);
    }
    let (mut compressor, mut decompressor) =
        (zstd::bulk::Compressor::new(level).expect("a level"), zstd::bulk::Decompressor::new().expect("memory"));
    let mut coded: Vec<Vec<u8>> = Vec::new();
    let encode = fastest(AT_LEAST, || {
        let batch = |batch: &RecordBatch| {
            let records = compressor.compress(batch.records()).expect("zstd codes records");
            let mut bytes = Vec::new();
            batch.write_with(BatchCompression::Zstd, &records, &mut bytes);
            bytes
        };
        coded = batches.iter().map(batch).collect();
    });
    let decode = fastest(AT_LEAST, || {
        for (coded, batch) in coded.iter().zip(&batches) {
            let records = &coded[latentd::frame::BATCH_HEADER_LEN..];
            let records = decompressor.decompress(records, batch.records().len()).expect("zstd decodes");
            assert!(records == batch.records());
        }
    });
    let name = format!("Kafka's zstd -{level}, batches of {} KiB", size >> 10);
    let raw = images.iter().map(Vec::len).sum();
    print(&name, raw, &Measured { bytes: coded.iter().map(Vec::len).sum(), encode, decode });
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let given: BTreeMap<&str, &str> =
        arguments.chunks_exact(2).map(|pair| (pair[0].trim_start_matches("--"), pair[1].as_str())).collect();
    let (Some(model), Some(images)) = (given.get("model"), given.get("images")) else {
        println!("name a model and images: --model FILE --images FILE [--train FILE] [--limit N]");
        return;
    };
    let file = fs::read(model).unwrap_or_else(|error| panic!("`{model}`: {error}"));
    let artefact = unpack(&file).map_or(&file[..], |unpacked| unpacked.artefact);
    let model = Arc::new(LatentModel::parse(artefact).unwrap_or_else(|error| panic!("`{model}`: {error}")));
    let mut images = items(images);
    images.truncate(given.get("limit").map_or(usize::MAX, |limit| limit.parse().expect("the limit is a number")));

    println!("{} images of {}, a model of {} bytes", images.len(), model.shape(), model.artefact().len());
    let raw: usize = images.iter().map(Vec::len).sum();
    let mut frame = Vec::new();
    let guard = Guard::Model(model.id().prefix());
    FrameHeader { kind: Kind::Record, codec: Algorithm::Latent as u8, guard }.write(&mut frame);
    println!("| | bits a raw byte | encode MB/s | decode MB/s |\n|---|---|---|---|");
    let alone = given.get("kernel");
    for kernel in Kernel::here().filter(|kernel| alone.is_none_or(|name| kernel.to_string() == *name)) {
        let codec = &mut LatentCodec::with_kernel(Arc::clone(&model), kernel);
        let mut measured = measure::records(codec, &images, AT_LEAST);
        measured.bytes += images.len() * frame.len();
        print(&format!("latent, records, frames in, {kernel}"), raw, &measured);
        for size in BLOCKS {
            let measured = measure::columns(codec, &columns(&images, size), AT_LEAST);
            print(&format!("latent, blocks of {size}, {kernel}"), raw, &measured);
        }
    }
    if alone.is_some() {
        return;
    }
    let models: Arc<dyn latentd::codec::ModelSource> = Arc::new(NoModels);
    for name in CLASSICAL {
        let spec = name.parse().expect("the codec is known");
        let mut codec = build(spec, &models).expect("it takes no model");
        print(&format!("{name}, records"), raw, &measure::records(&mut *codec, &images, AT_LEAST));
    }
    for (size, level) in BATCHES {
        kafka(&images, size, level);
    }
    Zstd::new(19, &[]).measure("zstd -19, records", &images);
    if let Some(train) = given.get("train") {
        let samples = items(train);
        let samples: Vec<&[u8]> = samples.iter().map(Vec::as_slice).collect();
        let dictionary = Dictionary::train(&samples, DICTIONARY).expect("images make a dictionary");
        Zstd::new(19, dictionary.artefact()).measure("zstd -19 with a dictionary of 112 KiB, records", &images);
    }
}
