//! The code lengths as they are written in front of the coded streams.
//!
//! Bits, most significant first: the number of symbols less one (8 bits); the longest length (4 bits); then for each
//! symbol, rising: how many symbols were skipped before it, plus one, as an Elias gamma code, and how much shorter its
//! code is than the longest, as a Rice code with one low bit. Zero bits fill the last byte.

use super::MAX_CODE_BITS;
use super::bits::{BitReader, BitWriter};
use super::canonical::CodeLengths;
use crate::codec::{Algorithm, CodecError};

/// The bits that a peek gives.
const PEEKED_BITS: u32 = 57;
/// The most bits of one symbol: a gap of 256, and a code ten bits shorter than the longest.
const SYMBOL_BITS: u32 = 17 + 7;

/// Writes the header into `output`, which is emptied first.
pub(super) fn write(lengths: &CodeLengths, output: &mut Vec<u8>) {
    output.clear();
    let longest = lengths.longest();
    let mut bits = BitWriter::new(output);
    bits.put(lengths.used().count() as u32 - 1, 8);
    bits.put(longest, 4);
    let mut expected = 0;
    for (symbol, length) in lengths.used() {
        let gap = u32::from(symbol) - expected + 1;
        let shorter = longest - length;
        let rice_bits = shorter / 2 + 2;
        // `k` zeroes and the `k + 1` bits of the gap; as many zeroes as half of the difference, a one, its lowest bit.
        bits.put(gap << rice_bits | 0b10 | shorter & 1, 2 * gap.ilog2() + 1 + rice_bits);
        expected = u32::from(symbol) + 1;
    }
    bits.finish();
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
    let mut lengths = CodeLengths::none();
    let mut next = 0;
    // What was taken of the word; it is skipped before the next one is loaded.
    let (mut word, mut taken) = (bits.peek(), 0);
    for _ in 0..count {
        if taken > PEEKED_BITS - SYMBOL_BITS {
            bits.skip(taken)?;
            (word, taken) = (bits.peek(), 0);
        }
        let zeroes = word.leading_zeros();
        let gap_bits = 2 * zeroes + 1;
        // A gap of 256 has eight zeroes; the end of the input has many.
        if zeroes > 8 {
            bits.skip(taken + gap_bits)?;
            return Err(corrupt("a gap between symbols is over 255"));
        }
        next += (word >> (64 - gap_bits)) as usize - 1;
        word <<= gap_bits;
        let half = word.leading_zeros();
        let rice_bits = half + 2;
        taken += gap_bits + rice_bits;
        // Half of the longest code leaves no bit; checked first, because the end of the input has many zeroes.
        let shorter =
            if half > MAX_CODE_BITS / 2 { MAX_CODE_BITS } else { 2 * half + (word >> (64 - rice_bits)) as u32 % 2 };
        let (Ok(symbol), 1..) = (u8::try_from(next), longest.saturating_sub(shorter)) else {
            bits.skip(taken)?;
            return Err(corrupt("a symbol is over 255, or its code is shorter than one bit"));
        };
        lengths.add(symbol, (longest - shorter) as u8);
        word <<= rice_bits;
        next += 1;
    }
    bits.skip(taken)?;
    if !lengths.are_complete() {
        return Err(corrupt("its codes do not fill the code space"));
    }
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
            let mut header = Vec::new();
            write(&lengths, &mut header);
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
