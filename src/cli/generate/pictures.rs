//! `latentd generate` of a model that draws images: one file of samples after another, or a sheet to look at.

use std::io::Write as _;

use anyhow::{Context, ensure};
use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};

use super::GenerateArgs;
use crate::augment::Balance;
use crate::cli::UsageError;
use crate::cli::output::Output;
use crate::model::{Condition, Generator, VaeModel};
use crate::payload::image::Shape;

/// Samples between the images of a sheet, and at its edges.
const GAP: usize = 2;

/// Most bytes of a sheet's samples.
const MOST_SHEET: usize = 1 << 28;

/// Draws: samples alone, or a PNG sheet where the output's name ends so.
pub fn draw(args: &GenerateArgs, model: &VaeModel, condition: &Condition) -> anyhow::Result<()> {
    model.admits(condition).map_err(|error| UsageError::new(format!("--where: {error}")))?;
    let balance = args.balance.as_deref().map(|field| Balance::new(model, field, condition, f64::INFINITY));
    let balance = balance.transpose().map_err(|error| UsageError::new(format!("--balance: {error}")))?;
    if args.against.is_some() {
        let message =
            "--against judges records of fields: images are judged as docs/generation.md says under \"Images\"";
        return Err(UsageError::new(message).into());
    }
    let is_sheet = args
        .output
        .as_ref()
        .is_some_and(|path| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png")));
    let mut out = Output::open(args.output.as_deref(), true)?;
    let (mut left, mut images, mut drawn) = (args.count, Vec::new(), Vec::new());
    for run in 0u64.. {
        let count = left.min(u64::from(model.run_length()));
        if count == 0 {
            break;
        }
        left -= count;
        drawn.clear();
        match &balance {
            Some(balance) => balance.draw(model, args.seed, run, count as u32, &mut drawn)?,
            None => model.draw(args.seed, condition, run, count as u32, &mut drawn)?,
        }
        if is_sheet {
            images.append(&mut drawn);
            let bytes = images.len() * model.shape().samples();
            ensure!(bytes <= MOST_SHEET, "a sheet of so many images is too large: draw fewer, or a file of samples");
        } else {
            drawn.iter().try_for_each(|image| out.write_all(image))?;
        }
    }
    if is_sheet {
        out.write_all(&sheet(&images, model.shape())?)?;
    }
    out.finish()
}

/// A PNG file (RFC 2083) of images side by side, in a square as far as they go. Samples are in the order row, column, channel.
fn sheet(images: &[Vec<u8>], shape: Shape) -> anyhow::Result<Vec<u8>> {
    let across = (images.len() as f64).sqrt().ceil().max(1.0) as usize;
    let down = images.len().div_ceil(across).max(1);
    let channels = shape.channels();
    let [height, width] =
        [(shape.height(), down), (shape.width(), across)].map(|(side, count)| GAP + count * (side + GAP));
    // Each row begins with its filter: none.
    let stride = 1 + width * channels;
    let mut rows = vec![0u8; height * stride];
    for (number, image) in images.iter().enumerate() {
        let top = GAP + number / across * (shape.height() + GAP);
        let left = GAP + number % across * (shape.width() + GAP);
        for (row, samples) in image.chunks_exact(shape.width() * channels).enumerate() {
            rows[(top + row) * stride + 1 + left * channels..][..samples.len()].copy_from_slice(samples);
        }
    }
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::default());
    packed.write_all(&rows)?;
    let side = |side: usize| u32::try_from(side).context("a sheet's side fits 32 bits").map(u32::to_be_bytes);
    let colour = if channels == 1 { 0 } else { 2 };
    let mut header = [side(width)?, side(height)?].concat();
    header.extend([8, colour, 0, 0, 0]);
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, data) in [(b"IHDR", header), (b"IDAT", packed.finish()?), (b"IEND", Vec::new())] {
        file.extend(side(data.len())?);
        let mut checksum = Crc::new();
        checksum.update(kind);
        checksum.update(&data);
        file.extend_from_slice(kind);
        file.extend(data);
        file.extend(checksum.sum().to_be_bytes());
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::ZlibDecoder;
    use std::io::Read as _;

    /// Sides, and rows with their filters.
    fn opened(file: &[u8]) -> ([u32; 2], Vec<u8>) {
        let (signature, mut rest) = file.split_at(8);
        assert_eq!(signature, b"\x89PNG\r\n\x1a\n");
        let number = |bytes: &[u8]| u32::from_be_bytes(bytes[..4].try_into().unwrap());
        let (mut sides, mut rows) = ([0; 2], Vec::new());
        while !rest.is_empty() {
            let (kind, data) = rest[4..8 + number(rest) as usize].split_at(4);
            let mut checksum = Crc::new();
            checksum.update(kind);
            checksum.update(data);
            assert_eq!(checksum.sum(), number(&rest[8 + data.len()..]));
            match kind {
                b"IHDR" => sides = [number(data), number(&data[4..])],
                b"IDAT" => drop(ZlibDecoder::new(data).read_to_end(&mut rows).unwrap()),
                _ => assert_eq!(kind, b"IEND"),
            }
            rest = &rest[12 + data.len()..];
        }
        (sides, rows)
    }

    #[test]
    fn a_sheet_is_a_png_with_every_image_at_its_place() {
        for channels in [1, 3] {
            let shape = Shape::new(8, 9, channels).unwrap();
            let images: Vec<Vec<u8>> = (0..3u8)
                .map(|number| (0..shape.samples()).map(|at| number * 70 + at as u8 % 50 + 1).collect())
                .collect();
            // Two by two, with gaps: 22 rows of 24.
            let (sides, rows) = opened(&sheet(&images, shape).unwrap());
            let stride = 1 + 24 * channels;
            assert_eq!((sides, rows.len()), ([24, 22], 22 * stride));
            for (number, image) in images.iter().enumerate() {
                let (top, left) = (2 + number / 2 * 10, 2 + number % 2 * 11);
                for (at, sample) in image.iter().enumerate() {
                    let (row, column, channel) = (at / channels / 9, at / channels % 9, at % channels);
                    assert_eq!(rows[(top + row) * stride + 1 + (left + column) * channels + channel], *sample);
                }
            }
            assert_eq!(rows[..stride].iter().max(), Some(&0));
        }
    }
}
