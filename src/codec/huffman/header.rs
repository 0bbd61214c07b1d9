//! The code lengths as they are written in front of the coded streams.
//!
//! Bits, most significant first: the number of symbols less one (8 bits); the longest length (4 bits); then for each
//! symbol, rising: how many symbols were skipped before it, plus one, as an Elias gamma code, and how much shorter its
//! code is than the longest, as a Rice code with one low bit. Zero bits fill the last byte.

use super::MAX_CODE_BITS;
use super::bits::{BitReader, BitWriter};
use super::canonical::CodeLengths;
use crate::codec::{Algorithm, CodecError};

/// The bytes of the header.
pub(super) fn write(lengths: &CodeLengths) -> Vec<u8> {
    let (count, longest) =
        lengths.used().fold((0, 0), |(count, longest), (_, length)| (count + 1, length.max(longest)));
    let mut bits = BitWriter::default();
    bits.put(count - 1, 8);
    bits.put(longest, 4);
    let mut expected = 0;
    for (symbol, length) in lengths.used() {
        let gap = u32::from(symbol) - expected + 1;
        // `k` zeroes, then the `k + 1` bits of the number.
        bits.put(gap, 2 * gap.ilog2() + 1);
        let shorter = longest - length;
        // As many zeroes as half of it, a one, and its lowest bit.
        bits.put(0b10 | shorter & 1, shorter / 2 + 2);
        expected = u32::from(symbol) + 1;
    }
    bits.finish()
}

/// Reads the header and returns what follows it.
pub(super) fn read(input: &[u8]) -> Result<(CodeLengths, &[u8]), CodecError> {
    let corrupt = |detail| Algorithm::Huffman.corrupt(detail);
    let mut bits = BitReader::new(input);
    let count = bits.take(8)? + 1;
    let longest = bits.take(4)?;
    if !(1..=MAX_CODE_BITS).contains(&longest) {
        return Err(corrupt("its longest code is not of 1 to 11 bits"));
    }
    let mut lengths = [0; 256];
    let mut next = 0;
    for _ in 0..count {
        let word = bits.peek();
        let zeroes = word.leading_zeros();
        // A gap of 256 has eight zeroes; the end of the input has many.
        if zeroes > 8 {
            bits.skip(2 * zeroes + 1)?;
            return Err(corrupt("a gap between symbols is over 255"));
        }
        let gap_bits = 2 * zeroes + 1;
        next += (word >> (64 - gap_bits)) as usize - 1;
        let word = word << gap_bits;
        let half = word.leading_zeros();
        let rice_bits = half + 2;
        if half > MAX_CODE_BITS / 2 {
            bits.skip(gap_bits + rice_bits)?;
            return Err(corrupt("a code is shorter than one bit"));
        }
        let shorter = 2 * half + (word >> (64 - rice_bits)) as u32 % 2;
        bits.skip(gap_bits + rice_bits)?;
        let length = lengths.get_mut(next).ok_or_else(|| corrupt("a symbol is over 255"))?;
        *length = longest
            .checked_sub(shorter)
            .filter(|length| *length > 0)
            .ok_or_else(|| corrupt("a code is shorter than one bit"))? as u8;
        next += 1;
    }
    let lengths = CodeLengths::checked(lengths).ok_or_else(|| corrupt("its codes do not fill the code space"))?;
    Ok((lengths, bits.finish()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_lengths_come_back_from_the_header() {
        for counts in [
            std::array::from_fn(|i| u32::from(i == 0 || i == 255)),
            std::array::from_fn(|i| 1 << (i % 17)),
            std::array::from_fn(|i| u32::from(i.is_multiple_of(51))),
            [1; 256],
        ] {
            let lengths = CodeLengths::optimal(&counts);
            let mut header = write(&lengths);
            let size = header.len();
            header.extend_from_slice(b"rest");
            let (read_back, rest) = read(&header).unwrap();
            assert_eq!(read_back, lengths);
            assert_eq!(rest, b"rest");
            for cut in 0..size {
                assert!(matches!(read(&header[..cut]), Err(CodecError::Truncated { .. })), "cut at {cut} of {size}");
            }
        }
    }

    #[test]
    fn a_header_of_any_bytes_is_read_or_refused() {
        let mut state = 1u64;
        for _ in 0..20_000 {
            let bytes: Vec<u8> = (0..40)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (state >> 56) as u8
                })
                .collect();
            read(&bytes).ok();
        }
        assert!(read(&[0; 64]).is_err());
        assert!(read(&[255; 64]).is_err());
    }
}
