//! Decoding: one table lookup a symbol, in all streams by turns.

use super::bits::load;
use super::canonical::CodeLengths;
use super::{MAX_CODE_BITS, segment};
use crate::codec::{Algorithm, CodecError};

const ENTRIES: usize = 1 << MAX_CODE_BITS;
/// Symbols that one load holds for sure: a load has 57 bits, a code at most 11.
const BURST: usize = 5;

/// The symbol at the front of any eleven bits, and its code's length.
pub(super) struct DecodeTable {
    /// `symbol << 8 | length`.
    entries: [u16; ENTRIES],
}

impl Default for DecodeTable {
    fn default() -> Self {
        Self { entries: [0; ENTRIES] }
    }
}

impl DecodeTable {
    /// Makes the table of these lengths. They fill the code space, so every entry is written.
    pub fn fill(&mut self, lengths: &CodeLengths) {
        let mut rest = &mut self.entries[..];
        lengths.for_each_code(|symbol, _, length| {
            let (same, after) = std::mem::take(&mut rest).split_at_mut(1 << (MAX_CODE_BITS - length));
            same.fill(u16::from(symbol) << 8 | length as u16);
            rest = after;
        });
        debug_assert!(rest.is_empty());
    }

    /// The entry for the code at the top of a word.
    #[inline(always)]
    fn lookup(&self, word: u64) -> u16 {
        self.entries[(word >> (64 - MAX_CODE_BITS)) as usize]
    }
}

/// Fills `output` from `S` streams, each of which holds one segment and nothing else.
pub(super) fn decode<const S: usize>(
    table: &DecodeTable,
    streams: [&[u8]; S],
    output: &mut [u8],
) -> Result<(), CodecError> {
    let size = output.len();
    let mut rest = output;
    let mut segments: [&mut [u8]; S] = std::array::from_fn(|i| {
        let (segment, after) = std::mem::take(&mut rest).split_at_mut(segment(size, i, S).len());
        rest = after;
        segment
    });
    // Bits read of each stream.
    let mut positions = [0usize; S];
    let mut done = 0;
    let bursts: [&mut [[u8; BURST]]; S] = segments.each_mut().map(|segment| segment.as_chunks_mut().0);
    let shortest = bursts.iter().map(|bursts| bursts.len()).min().unwrap_or(0);
    'together: while done < shortest {
        let mut words = [0u64; S];
        for ((word, position), stream) in words.iter_mut().zip(positions).zip(streams) {
            let byte = position / 8;
            let Some(eight) = stream.get(byte..byte + 8) else { break 'together };
            *word = u64::from_be_bytes(eight.try_into().expect("eight bytes are eight bytes")) << (position % 8);
        }
        for symbol in 0..BURST {
            for s in 0..S {
                let entry = table.lookup(words[s]);
                words[s] = words[s].wrapping_shl(u32::from(entry));
                positions[s] += usize::from(entry & 0xff);
                bursts[s][done][symbol] = (entry >> 8) as u8;
            }
        }
        done += 1;
    }
    for ((stream, position), segment) in streams.into_iter().zip(positions).zip(segments) {
        finish(table, stream, position, &mut segment[done * BURST..])?;
    }
    Ok(())
}

/// Decodes the last symbols of a stream, which must end with them.
fn finish(table: &DecodeTable, stream: &[u8], mut position: usize, output: &mut [u8]) -> Result<(), CodecError> {
    let end = stream.len() * 8;
    for byte in output {
        let entry = table.lookup(load(stream, position));
        position += usize::from(entry & 0xff);
        if position > end {
            return Err(Algorithm::Huffman.truncated());
        }
        *byte = (entry >> 8) as u8;
    }
    if position > end {
        return Err(Algorithm::Huffman.truncated());
    }
    if end - position >= 8 {
        return Err(Algorithm::Huffman.trailing((end - position) / 8));
    }
    if end > position && load(stream, position) != 0 {
        return Err(Algorithm::Huffman.corrupt("padding bits are not zero"));
    }
    Ok(())
}
