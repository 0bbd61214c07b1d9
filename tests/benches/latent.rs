//! What `latent` makes of images: bits a raw byte and speed both ways, for records and blocks, beside zstd with a dictionary.
//!
//! `cargo bench --no-default-features --bench latent -- --model FILE --images t10k-images-idx3-ubyte [--train FILE] [--limit N]`; the
//! model is an artefact or a `.latentd-model` file. The dictionary is learned from the idx file `--train`. All times are CPU
//! times of the one thread; bytes are what the codec writes, with the eight of a record's frame where that is said.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use latentd::codec::{Codec, Column};
use latentd::engine::Kernel;
use latentd::frame::HEADER_LEN;
use latentd::model::package::unpack;
use latentd::model::{Dictionary, LatentCodec, LatentModel};

/// Images of a block.
const BLOCKS: [usize; 2] = [64, 1024];

/// Bytes of the dictionary.
const DICTIONARY: usize = 112 << 10;

/// CPU time of this thread.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Repeats until enough time has passed to be measured; gives the time of the fastest round in seconds.
fn fastest(mut round: impl FnMut()) -> f64 {
    let begun = cpu();
    let mut best = f64::MAX;
    while cpu() - begun < Duration::from_millis(1500) || best == f64::MAX {
        let start = cpu();
        round();
        best = best.min((cpu() - start).as_secs_f64());
    }
    best
}

/// The items of an idx file.
fn items(path: &str) -> Vec<Vec<u8>> {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("`{path}`: {error}"));
    let dimensions = usize::from(bytes[3]);
    let sizes = bytes[4..4 + 4 * dimensions].as_chunks::<4>().0.iter();
    let item: usize = sizes.skip(1).map(|size| u32::from_be_bytes(*size) as usize).product();
    bytes[4 + 4 * dimensions..].chunks_exact(item).map(<[u8]>::to_vec).collect()
}

fn print(name: &str, raw: usize, bytes: usize, encode: f64, decode: f64) {
    let bits = 8.0 * bytes as f64 / raw as f64;
    let speed = |seconds: f64| raw as f64 / seconds / 1e6;
    println!("| {name} | {bits:.4} | {:.1} | {:.1} |", speed(encode), speed(decode));
}

/// Records one by one. `framing` is what each record takes beside its stream.
fn records(name: &str, codec: &mut dyn Codec, images: &[Vec<u8>], framing: usize) {
    let raw: usize = images.iter().map(Vec::len).sum();
    let mut coded: Vec<Vec<u8>> = Vec::new();
    let mut scratch = Vec::new();
    let encode = fastest(|| {
        coded.clear();
        for image in images {
            scratch.clear();
            codec.encode(image, &mut scratch).expect("images are coded");
            coded.push(scratch.clone());
        }
    });
    let mut decoded = Vec::new();
    let decode = fastest(|| {
        for (coded, image) in coded.iter().zip(images) {
            decoded.clear();
            codec.decode(coded, image.len(), &mut decoded).expect("what was coded is decoded");
            assert!(decoded == *image, "an image comes back");
        }
    });
    let bytes = coded.iter().map(|coded| coded.len() + framing).sum();
    print(name, raw, bytes, encode, decode);
}

/// Columns of so many images.
fn columns(name: &str, codec: &mut dyn Codec, images: &[Vec<u8>], size: usize) {
    let raw: usize = images.iter().map(Vec::len).sum();
    let codec = codec.columns().expect("`latent` takes columns");
    let blocks: Vec<Column> = images
        .chunks(size)
        .map(|images| {
            let mut column = Column::default();
            images.iter().for_each(|image| column.push(image));
            column
        })
        .collect();
    let mut coded = vec![Vec::new(); blocks.len()];
    let encode = fastest(|| {
        for (block, coded) in blocks.iter().zip(&mut coded) {
            coded.clear();
            codec.encode_column(block.as_ref(), coded).expect("images are coded");
        }
    });
    let mut decoded = Column::default();
    let decode = fastest(|| {
        for (block, coded) in blocks.iter().zip(&coded) {
            decoded.clear();
            codec
                .decode_column(coded, block.len(), block.bytes.len(), &mut decoded)
                .expect("what was coded is decoded");
            assert!(decoded == *block, "images come back");
        }
    });
    print(name, raw, coded.iter().map(Vec::len).sum(), encode, decode);
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
        let encode = fastest(|| {
            coded = images.iter().map(|image| self.compressor.compress(image).expect("zstd codes images")).collect();
        });
        let decode = fastest(|| {
            for (coded, image) in coded.iter().zip(images) {
                assert!(self.decompressor.decompress(coded, image.len()).expect("zstd decodes") == *image);
            }
        });
        print(name, raw, coded.iter().map(Vec::len).sum(), encode, decode);
    }
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
    println!("| | bits a raw byte | encode MB/s | decode MB/s |\n|---|---|---|---|");
    for kernel in Kernel::here() {
        let codec = &mut LatentCodec::with_kernel(Arc::clone(&model), kernel);
        records(&format!("latent, records, frames in, {kernel}"), codec, &images, HEADER_LEN);
        for size in BLOCKS {
            columns(&format!("latent, blocks of {size}, {kernel}"), codec, &images, size);
        }
    }
    Zstd::new(19, &[]).measure("zstd -19, records", &images);
    if let Some(train) = given.get("train") {
        let samples = items(train);
        let samples: Vec<&[u8]> = samples.iter().map(Vec::as_slice).collect();
        let dictionary = Dictionary::train(&samples, DICTIONARY).expect("images make a dictionary");
        Zstd::new(19, dictionary.artefact()).measure("zstd -19 with a dictionary of 112 KiB, records", &images);
    }
}
