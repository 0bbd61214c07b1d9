//! Counting and encoding.

use super::canonical::CodeLengths;
use super::segment;

/// Codes that go into the accumulator between two stores: five of eleven bits, behind seven bits that were left.
const BURST: usize = 5;

/// How often each byte occurs in each of `S` segments. Separate tables also keep equal neighbours from waiting for
/// each other's store.
pub(super) struct Histograms<const S: usize>([[u32; 256]; S]);

impl<const S: usize> Histograms<S> {
    pub fn of(input: &[u8]) -> Self {
        let mut tables = [[0u32; 256]; S];
        let segments: [&[u8]; S] = std::array::from_fn(|i| &input[segment(input.len(), i, S)]);
        let shortest = input.len() / S;
        for i in 0..shortest {
            for (table, segment) in tables.iter_mut().zip(&segments) {
                table[usize::from(segment[i])] += 1;
            }
        }
        for (table, segment) in tables.iter_mut().zip(&segments) {
            for byte in &segment[shortest..] {
                table[usize::from(*byte)] += 1;
            }
        }
        Self(tables)
    }

    /// The counts of all segments together.
    pub fn total(&self) -> [u32; 256] {
        std::array::from_fn(|symbol| self.0.iter().map(|table| table[symbol]).sum())
    }

    /// The bytes that each segment takes in these codes.
    pub fn coded_sizes(&self, lengths: &CodeLengths) -> [usize; S] {
        self.0.each_ref().map(|table| {
            let bits = lengths.used().map(|(symbol, length)| u64::from(table[usize::from(symbol)]) * u64::from(length));
            bits.sum::<u64>().div_ceil(8) as usize
        })
    }
}

/// Code and length of each symbol.
pub(super) struct EncodeTable {
    /// `code << 4 | length`.
    entries: [u16; 256],
}

impl EncodeTable {
    pub fn new(lengths: &CodeLengths) -> Self {
        let mut entries = [0; 256];
        lengths.for_each_code(|symbol, code, length| entries[usize::from(symbol)] = (code << 4 | length) as u16);
        Self { entries }
    }

    /// Fills `output`, whose size must be that of the coded `input`.
    pub fn encode(&self, input: &[u8], output: &mut [u8]) {
        // The low `count` bits of `pending` are yet to be written.
        let (mut pending, mut count, mut position) = (0u64, 0u32, 0);
        let (bursts, rest) = input.as_chunks::<BURST>();
        for burst in bursts {
            for byte in burst {
                (pending, count) = self.append(*byte, pending, count);
            }
            // More bytes are written than are finished; the next store overwrites them. Near the end there is no
            // room for that.
            match output.get_mut(position..position + 8) {
                Some(eight) => eight.copy_from_slice(&pending.wrapping_shl(64 - count).to_be_bytes()),
                None => store_whole_bytes(pending, count, output, position),
            }
            position += (count / 8) as usize;
            count %= 8;
        }
        for byte in rest {
            (pending, count) = self.append(*byte, pending, count);
        }
        store_whole_bytes(pending, count, output, position);
        if !count.is_multiple_of(8) {
            output[position + (count / 8) as usize] = (pending << (8 - count % 8)) as u8;
        }
    }

    fn append(&self, byte: u8, pending: u64, count: u32) -> (u64, u32) {
        let entry = self.entries[usize::from(byte)];
        let length = u32::from(entry & 15);
        (pending << length | u64::from(entry >> 4), count + length)
    }
}

fn store_whole_bytes(pending: u64, count: u32, output: &mut [u8], position: usize) {
    for i in 0..count / 8 {
        output[position + i as usize] = (pending >> (count - 8 * (i + 1))) as u8;
    }
}
