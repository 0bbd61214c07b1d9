//! Decoding: one table lookup a symbol, in all streams by turns.

use super::bits::load;
use super::canonical::CodeLengths;
use super::{MAX_CODE_BITS, segment};
use crate::codec::{Algorithm, CodecError};

const ENTRIES: usize = 1 << MAX_CODE_BITS;
/// The longest code of most small records. Their table is an eighth of the full one, and is made as much faster.
const SHORT_CODE_BITS: u32 = 8;
/// What one load holds for sure.
const LOAD_BITS: u32 = 57;
/// Symbols in a load, by the longest code.
const LONG_BURST: usize = (LOAD_BITS / MAX_CODE_BITS) as usize;
const SHORT_BURST: usize = (LOAD_BITS / SHORT_CODE_BITS) as usize;

/// The symbol at the front of any eight or eleven bits, and its code's length.
pub(super) struct DecodeTable {
    /// `symbol << 8 | length`.
    entries: [u16; ENTRIES],
    /// The longest codes are no longer than [`SHORT_CODE_BITS`], which is then the number of bits of an index.
    short: bool,
}

impl Default for DecodeTable {
    fn default() -> Self {
        Self { entries: [0; ENTRIES], short: false }
    }
}

impl DecodeTable {
    /// Makes the table of these lengths. They fill the code space, so every entry is written.
    pub fn fill(&mut self, lengths: &CodeLengths) {
        self.short = lengths.longest() <= SHORT_CODE_BITS;
        let index_bits = if self.short { SHORT_CODE_BITS } else { MAX_CODE_BITS };
        let mut rest = &mut self.entries[..1 << index_bits];
        lengths.for_each_code(|symbol, _, length| {
            let (same, after) = std::mem::take(&mut rest).split_at_mut(1 << (index_bits - length));
            same.fill(u16::from(symbol) << 8 | length as u16);
            rest = after;
        });
        debug_assert!(rest.is_empty());
    }

    /// The entry for the code at the top of a word.
    #[inline(always)]
    fn lookup<const INDEX_BITS: u32>(&self, word: u64) -> u16 {
        self.entries[(word >> (64 - INDEX_BITS)) as usize]
    }
}

/// Fills `output` from `S` streams, each of which holds one segment and nothing else.
pub(super) fn decode<const S: usize>(
    table: &DecodeTable,
    streams: [&[u8]; S],
    output: &mut [u8],
) -> Result<(), CodecError> {
    match table.short {
        true => decode_indexed::<S, SHORT_CODE_BITS, SHORT_BURST>(table, streams, output),
        false => decode_indexed::<S, MAX_CODE_BITS, LONG_BURST>(table, streams, output),
    }
}

fn decode_indexed<const S: usize, const INDEX_BITS: u32, const BURST: usize>(
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
        #[expect(clippy::needless_range_loop, reason = "it walks through the bursts of all streams at once")]
        for symbol in 0..BURST {
            for s in 0..S {
                let entry = table.lookup::<INDEX_BITS>(words[s]);
                words[s] = words[s].wrapping_shl(u32::from(entry));
                positions[s] += usize::from(entry & 0xff);
                bursts[s][done][symbol] = (entry >> 8) as u8;
            }
        }
        done += 1;
    }
    for ((stream, position), segment) in streams.into_iter().zip(positions).zip(segments) {
        finish::<INDEX_BITS>(table, stream, position, &mut segment[done * BURST..])?;
    }
    Ok(())
}

/// Decodes the last symbols of a stream, which must end with them.
fn finish<const INDEX_BITS: u32>(
    table: &DecodeTable,
    stream: &[u8],
    mut position: usize,
    output: &mut [u8],
) -> Result<(), CodecError> {
    let mut output = output.iter_mut();
    while let Some(eight) = stream.get(position / 8..position / 8 + 8) {
        let Some(byte) = output.next() else { break };
        let word = u64::from_be_bytes(eight.try_into().expect("eight bytes are eight bytes")) << (position % 8);
        let entry = table.lookup::<INDEX_BITS>(word);
        position += usize::from(entry & 0xff);
        *byte = (entry >> 8) as u8;
    }
    // The rest of the stream fits into a word, unless it is longer than its symbols.
    let mut left = (stream.len() * 8).checked_sub(position).ok_or(Algorithm::Huffman.truncated())?;
    let mut word = load(stream, position);
    for byte in output {
        let entry = table.lookup::<INDEX_BITS>(word);
        left = left.checked_sub(usize::from(entry & 0xff)).ok_or(Algorithm::Huffman.truncated())?;
        word = word.wrapping_shl(u32::from(entry));
        *byte = (entry >> 8) as u8;
    }
    if left >= 8 {
        return Err(Algorithm::Huffman.trailing(left / 8));
    }
    if left > 0 && word != 0 {
        return Err(Algorithm::Huffman.corrupt("padding bits are not zero"));
    }
    Ok(())
}
