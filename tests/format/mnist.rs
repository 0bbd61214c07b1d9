//! The MNIST test set through a small model that is committed, however it is done.

use std::fs;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result, ensure};
use latentd::codec::{Codec, Column};
use latentd::engine::Kernel;
use latentd::model::package::unpack;
use latentd::model::{LatentCodec, LatentModel};
use sha2::{Digest, Sha256};

use crate::tools::{data, project};

/// A model of MNIST's training file that few steps made, by the command in `docs/codecs/latent.md`.
const MODEL: &str = "tests/golden/mnist/mnist.latentd-model";

/// Bytes before the images of an idx file of three dimensions.
const IDX_HEADER: usize = 16;

/// Images of a block.
const BLOCK: usize = 250;

/// What a way to do it wrote: all records, one after the other, and all blocks.
pub struct Written {
    /// How it was done.
    pub way: String,
    /// SHA-256 of the records and of the blocks.
    pub hashes: [String; 2],
    /// Their bytes.
    pub bytes: [usize; 2],
}

fn records(codec: &mut LatentCodec, images: &[&[u8]]) -> Result<Vec<u8>> {
    let (mut all, mut back) = (Vec::new(), Vec::new());
    for image in images {
        let start = all.len();
        codec.encode(image, &mut all)?;
        back.clear();
        codec.decode(&all[start..], image.len(), &mut back)?;
        ensure!(back == *image, "an image comes back as another");
    }
    Ok(all)
}

fn blocks(codec: &mut LatentCodec, images: &[&[u8]]) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    for images in images.chunks(BLOCK) {
        let (mut column, mut back) = (Column::default(), Column::default());
        images.iter().for_each(|image| column.push(image));
        let (start, codec) = (all.len(), codec.columns().context("latent codes columns")?);
        codec.encode_column(column.as_ref(), &mut all)?;
        codec.decode_column(&all[start..], images.len(), column.bytes.len(), &mut back)?;
        ensure!(back == column, "a block comes back as another");
    }
    Ok(all)
}

/// All test images, by every kernel of this processor, and by one, two and seven threads.
pub fn write() -> Result<Vec<Written>> {
    let file = fs::read(project(MODEL))?;
    let model = Arc::new(LatentModel::parse(unpack(&file)?.artefact)?);
    let file = fs::read(data("t10k-images-idx3-ubyte")?)?;
    let images: Vec<&[u8]> = file[IDX_HEADER..].chunks_exact(model.shape().samples()).collect();
    ensure!(images.len() == 10_000, "the test set has 10,000 images");
    let ways = Kernel::here().map(|kernel| (kernel, 1)).chain([(Kernel::best(), 2), (Kernel::best(), 7)]);
    let mut written = Vec::new();
    for (kernel, threads) in ways {
        // Whole blocks for each thread, so that their bytes can be put side by side.
        let share = (images.len() / BLOCK).div_ceil(threads) * BLOCK;
        let parts: Result<Vec<[Vec<u8>; 2]>> = thread::scope(|scope| {
            let work = |images| {
                let model = Arc::clone(&model);
                scope.spawn(move || {
                    let mut codec = LatentCodec::with_kernel(model, kernel);
                    Ok([records(&mut codec, images)?, blocks(&mut codec, images)?])
                })
            };
            let threads: Vec<_> = images.chunks(share).map(work).collect();
            threads.into_iter().map(|thread| thread.join().expect("no thread panics")).collect()
        });
        let parts = parts?;
        let of = |kind: usize| {
            let mut hash = Sha256::new();
            parts.iter().for_each(|part| hash.update(&part[kind]));
            let hash: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
            (hash, parts.iter().map(|part| part[kind].len()).sum())
        };
        let [(records, record_bytes), (blocks, block_bytes)] = [of(0), of(1)];
        let way = format!("{kernel}, {threads} threads");
        written.push(Written { way, hashes: [records, blocks], bytes: [record_bytes, block_bytes] });
    }
    Ok(written)
}
