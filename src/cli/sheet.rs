//! Images side by side, as a PNG file to look at.

use std::io::Write as _;

use anyhow::{Context, ensure};
use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};

use crate::payload::image::Shape;

/// Samples between the images of a sheet, and at its edges.
const GAP: usize = 2;

/// Most bytes of a sheet's samples.
const MOST_SHEET: usize = 1 << 28;

/// How many images stand side by side where they are to be a square as far as they go.
pub fn square(images: usize) -> usize {
    (images as f64).sqrt().ceil().max(1.0) as usize
}

/// A PNG file (RFC 2083) of images, `across` of them in a row. Samples are in the order row, column, channel.
pub fn sheet(images: &[Vec<u8>], shape: Shape, across: usize) -> anyhow::Result<Vec<u8>> {
    let across = across.max(1);
    let bytes = images.len() * shape.samples();
    ensure!(bytes <= MOST_SHEET, "a sheet of so many images is too large: draw fewer, or a file of samples");
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
            let (sides, rows) = opened(&sheet(&images, shape, square(images.len())).unwrap());
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
