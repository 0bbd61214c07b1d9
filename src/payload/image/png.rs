//! PNG files (RFC 2083) whose compressed samples zlib made, taken apart so that they can be made again.

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::deflate::{MAX_INPUT, Settings, deflate};
use super::{MAX_HEADER, Shape};

const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";

/// The largest number of a filter.
pub const MAX_FILTER: u8 = 4;

/// A PNG file of 8 bits a sample, grey or RGB, not interlaced, with one chunk `IDAT`, apart from its samples.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Png {
    /// All before the chunk `IDAT`.
    pub head: Vec<u8>,
    /// All behind it.
    pub tail: Vec<u8>,
    /// The two bytes that the zlib stream begins with.
    pub zlib: [u8; 2],
    /// What zlib was told.
    pub settings: Settings,
    /// The filter of all rows; `None` where each has its own.
    pub filter: Option<u8>,
}

impl Png {
    /// The form of a file with an image of this shape; `None` when it cannot be made again.
    pub fn of(value: &[u8], shape: Shape) -> Option<Self> {
        let head = head(value, shape)?;
        let (data, tail) = data(value.get(head..)?)?;
        let filtered = inflate(data, shape)?;
        let filters = || filtered.chunks_exact(row_bytes(shape)).map(|row| row[0]);
        let first = filters().next()?;
        let mut png = Self {
            head: value[..head].to_vec(),
            tail: tail.to_vec(),
            zlib: *data.first_chunk()?,
            settings: Settings { level: 6, memory: 8, filtered: false },
            filter: filters().all(|filter| filter == first).then_some(first),
        };
        // Those that are met most come first.
        let levels = [6, 9, 1, 3, 8, 7, 5, 4, 2];
        let ways = levels.into_iter().flat_map(|level| [(level, 8), (level, 9)]);
        for (level, memory) in ways {
            for filtered_only in [false, true] {
                png.settings = Settings { level, memory, filtered: filtered_only };
                if png.compressed(&filtered) == data && png.fits(shape) {
                    return Some(png);
                }
            }
        }
        None
    }

    /// Whether this is the form of a file of this shape.
    pub fn fits(&self, shape: Shape) -> bool {
        let is_head = head(&self.head, shape) == Some(self.head.len());
        let small = self.head.len() <= MAX_HEADER && self.tail.len() <= MAX_HEADER;
        is_head && small && self.settings.are_valid() && self.filter.is_none_or(|filter| filter <= MAX_FILTER)
    }

    /// Samples in the order row, column, channel, and the filter of each row where it is not the same for all. `None` when
    /// the file has another form.
    pub(super) fn open(&self, value: &[u8], shape: Shape) -> Option<(Vec<u8>, Vec<u8>)> {
        let (data, tail) = data(value.strip_prefix(&self.head[..])?)?;
        if tail != self.tail {
            return None;
        }
        let filtered = inflate(data, shape)?;
        let filters: Vec<u8> = filtered.chunks_exact(row_bytes(shape)).map(|row| row[0]).collect();
        let known = self.filter.is_none_or(|filter| filters.iter().all(|other| *other == filter));
        if !known || self.compressed(&filtered) != data {
            return None;
        }
        let samples = unfilter(&filtered, shape)?;
        Some((samples, if self.filter.is_some() { Vec::new() } else { filters }))
    }

    /// Appends the file of these samples. `filters` are those of the rows, none above 4, where they are not all the same.
    pub(super) fn write(&self, samples: &[u8], filters: &[u8], shape: Shape, value: &mut Vec<u8>) {
        let data = self.compressed(&filter(samples, self.filter, filters, shape));
        value.extend_from_slice(&self.head);
        value.extend_from_slice(&(data.len() as u32).to_be_bytes());
        let start = value.len();
        value.extend_from_slice(b"IDAT");
        value.extend_from_slice(&data);
        let mut crc = Crc::new();
        crc.update(&value[start..]);
        value.extend_from_slice(&crc.sum().to_be_bytes());
        value.extend_from_slice(&self.tail);
    }

    /// A zlib stream (RFC 1950).
    fn compressed(&self, filtered: &[u8]) -> Vec<u8> {
        let mut stream = self.zlib.to_vec();
        stream.extend(deflate(filtered, self.settings));
        let (mut low, mut high) = (1u32, 0u32);
        for byte in filtered {
            low = (low + u32::from(*byte)) % 65_521;
            high = (high + low) % 65_521;
        }
        stream.extend((high << 16 | low).to_be_bytes());
        stream
    }
}

/// Bytes of a filtered row.
fn row_bytes(shape: Shape) -> usize {
    1 + shape.width() * shape.channels()
}

/// Where the first chunk `IDAT` begins in a file of this shape, or would.
fn head(value: &[u8], shape: Shape) -> Option<usize> {
    let size = |side: usize| (side as u32).to_be_bytes();
    let colour = if shape.channels() == 1 { 0 } else { 2 };
    let header = [&b"IHDR"[..], &size(shape.width()), &size(shape.height()), &[8, colour, 0, 0, 0]].concat();
    let mut at = value.starts_with(&SIGNATURE).then_some(SIGNATURE.len())?;
    if value.get(at + 4..)?.get(..header.len())? != header {
        return None;
    }
    while at < value.len() {
        let (length, kind) = (value.get(at..at + 4)?, value.get(at + 4..at + 8)?);
        if kind == b"IDAT" {
            break;
        }
        let length = u32::from_be_bytes(*length.first_chunk()?) as usize;
        at = at.checked_add(length)?.checked_add(12).filter(|at| *at <= value.len().min(MAX_HEADER))?;
    }
    Some(at)
}

/// What a chunk `IDAT` holds, whose checksum is right, and what follows it: no other.
fn data(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = u32::from_be_bytes(*value.first_chunk()?) as usize;
    let chunk = value.get(4..)?.get(..length.checked_add(4)?)?;
    let data = chunk.strip_prefix(b"IDAT")?;
    let rest = value.get(4 + chunk.len()..)?;
    let mut crc = Crc::new();
    crc.update(chunk);
    let (checksum, tail) = rest.split_first_chunk::<4>()?;
    let one = tail.get(4..8) != Some(b"IDAT") && tail.len() <= MAX_HEADER;
    (one && u32::from_be_bytes(*checksum) == crc.sum()).then_some((data, tail))
}

/// The filtered samples that a zlib stream holds, all of it.
fn inflate(stream: &[u8], shape: Shape) -> Option<Vec<u8>> {
    let size = shape.height() * row_bytes(shape);
    // One byte more shows a stream that does not end.
    let mut filtered = vec![0; size + 1];
    let mut reader = Decompress::new(true);
    let status = reader.decompress(stream, &mut filtered, FlushDecompress::Finish).ok()?;
    let whole = status == Status::StreamEnd
        && reader.total_in() == stream.len() as u64
        && reader.total_out() == size as u64
        && size <= MAX_INPUT;
    filtered.truncate(size);
    whole.then_some(filtered)
}

/// What a filter takes from a sample (RFC 2083, 6), given the samples to the left, above, and above to the left.
fn prediction(filter: u8, left: u8, above: u8, corner: u8) -> u8 {
    match filter {
        1 => left,
        2 => above,
        3 => ((u16::from(left) + u16::from(above)) / 2) as u8,
        4 => {
            let [a, b, c] = [left, above, corner].map(i16::from);
            let [to_a, to_b, to_c] = [(b - c).abs(), (a - c).abs(), (a + b - 2 * c).abs()];
            match () {
                () if to_a <= to_b && to_a <= to_c => left,
                () if to_b <= to_c => above,
                () => corner,
            }
        }
        _ => 0,
    }
}

/// Samples around one: to the left, above, above to the left. `samples` are those before it at least.
fn around(samples: &[u8], at: usize, shape: Shape) -> [u8; 3] {
    let (row, pixel) = (shape.width() * shape.channels(), shape.channels());
    let has_left = at % row >= pixel;
    let get = |back: usize, there: bool| if there && back <= at { samples[at - back] } else { 0 };
    [get(pixel, has_left), get(row, true), get(row + pixel, has_left)]
}

fn unfilter(filtered: &[u8], shape: Shape) -> Option<Vec<u8>> {
    let mut samples = Vec::with_capacity(shape.samples());
    for row in filtered.chunks_exact(row_bytes(shape)) {
        let (filter, row) = row.split_first()?;
        if *filter > MAX_FILTER {
            return None;
        }
        for difference in row {
            let [left, above, corner] = around(&samples, samples.len(), shape);
            samples.push(difference.wrapping_add(prediction(*filter, left, above, corner)));
        }
    }
    Some(samples)
}

fn filter(samples: &[u8], all: Option<u8>, each: &[u8], shape: Shape) -> Vec<u8> {
    let width = row_bytes(shape) - 1;
    let mut filtered = Vec::with_capacity(shape.height() * row_bytes(shape));
    for (row, values) in samples.chunks_exact(width).enumerate() {
        let filter = all.or_else(|| each.get(row).copied()).unwrap_or(0);
        filtered.push(filter);
        for (column, sample) in values.iter().enumerate() {
            let [left, above, corner] = around(samples, row * width + column, shape);
            filtered.push(sample.wrapping_sub(prediction(filter, left, above, corner)));
        }
    }
    filtered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::image::{Opened, Wrapping};

    /// A file of waves, as zlib would have made it.
    fn file(shape: Shape, settings: Settings, all: Option<u8>, before: &[u8]) -> Vec<u8> {
        let size = |side: usize| (side as u32).to_be_bytes();
        let colour = if shape.channels() == 1 { 0 } else { 2 };
        let header = [&b"IHDR"[..], &size(shape.width()), &size(shape.height()), &[8, colour, 0, 0, 0]].concat();
        let head = [&SIGNATURE[..], &size(13), &header, &[1, 2, 3, 4], before].concat();
        let png =
            Png { head, tail: b"\0\0\0\0IEND\xae\x42\x60\x82".to_vec(), zlib: [0x78, 0x9c], settings, filter: all };
        let samples: Vec<u8> = (0..shape.samples()).map(|at| (at * at / 50 + at) as u8).collect();
        let filters: Vec<u8> = (0..shape.height()).map(|row| (row * row % 5) as u8).collect();
        let mut value = Vec::new();
        png.write(&samples, &filters, shape, &mut value);
        value
    }

    #[test]
    fn files_come_back_whatever_their_filters_and_settings() {
        for shape in ["8x8", "28x28", "9x13x3", "64x64x3"].map(|shape| shape.parse::<Shape>().unwrap()) {
            for (level, memory, filtered, all) in
                [(6, 8, true, None), (9, 9, false, Some(0)), (1, 8, false, Some(4)), (4, 9, true, Some(1))]
            {
                let gamma = b"\0\0\0\x04gAMA\0\0\xb1\x8f\x0b\xfc\x61\x05";
                let value = file(shape, Settings { level, memory, filtered }, all, gamma);
                let wrapping = Wrapping::of(&value, shape).unwrap();
                let Wrapping::Png(png) = &wrapping else { panic!("{wrapping:?}") };
                assert!(png.fits(shape));
                assert_eq!(png.filter, all, "{png:?}");
                let (mut opened, mut again) = (Opened::default(), Vec::new());
                assert!(wrapping.open(&value, shape, &mut opened));
                assert_eq!(opened.filters.len(), wrapping.filters(shape));
                wrapping.wrap(&opened, shape, &mut again);
                assert_eq!(again, value);
                let mut other = value.clone();
                *other.last_mut().unwrap() ^= 1;
                assert!(!wrapping.open(&other, shape, &mut opened));
            }
        }
    }

    #[test]
    fn files_that_cannot_be_made_again_and_damaged_ones_have_no_form_or_come_back_all_the_same() {
        let shape: Shape = "12x9".parse().unwrap();
        let value = file(shape, Settings { level: 6, memory: 8, filtered: false }, None, b"");
        assert!(Png::of(&value, shape).is_some());
        assert!(Png::of(&value, "9x12".parse().unwrap()).is_none());
        assert!(Png::of(&value, "12x9x3".parse().unwrap()).is_none());
        let mut opened = Opened::default();
        for at in 0..value.len() {
            assert!(Png::of(&value[..at], shape).is_none() || at >= value.len() - 12, "{at}");
            let mut damaged = value.clone();
            damaged[at] ^= 1 << (at % 8);
            if let Some(wrapping) = Wrapping::of(&damaged, shape) {
                let mut again = Vec::new();
                assert!(wrapping.open(&damaged, shape, &mut opened));
                wrapping.wrap(&opened, shape, &mut again);
                assert_eq!(again, damaged, "{at}");
            }
        }
    }
}
