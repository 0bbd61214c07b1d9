//! A static distribution over an alphabet.

use super::normalise::normalise;
use super::{Decoder, Encoder, EntropyError, Interval, MAX_BITS, MAX_SYMBOLS, serial};
use crate::frame::Reader;

/// There are eight to sixteen search buckets for each symbol, where there are as many slots. With fewer, the search goes on
/// behind the first entry too often; with more, the many tables of a codec fall out of the cache (measured).
const BUCKETS_PER_SYMBOL_LOG2: u32 = 3;

/// A distribution: each symbol's frequency of `2^bits`.
///
/// It has 16 bytes for each symbol of the alphabet, and 22 to 38 more for each that can be coded.
#[derive(Clone, Debug)]
pub struct Table {
    bits: u32,
    /// By symbol; `None` has frequency 0.
    encoding: Box<[Option<Interval>]>,
    /// Symbols that can be coded, by their slots: the likeliest, then the others, rising.
    decoding: Box<[Entry]>,
    /// For the slots of each bucket the first entry that has one of them.
    buckets: Box<[u16]>,
    /// The binary logarithm of the slots in a bucket.
    bucket_bits: u32,
}

/// What a decoder wants to know of a symbol.
#[derive(Clone, Copy, Debug)]
struct Entry {
    start: u16,
    last: u16,
    symbol: u16,
}

impl Table {
    /// The table that codes these counts in the fewest bits: symbols with a count get a frequency of at least 1, others
    /// cannot be coded.
    ///
    /// It is an error if no symbol has a count, if more have one than there are slots, and if there are more than
    /// 65,536 symbols or `bits` is not 1 to 16.
    pub fn from_counts(counts: &[u32], bits: u32) -> Result<Self, EntropyError> {
        let codable = counts.iter().filter(|count| **count > 0).count();
        check_shape(bits, counts.len(), codable)?;
        Ok(Self::new(&normalise(counts, bits), bits))
    }

    /// The table of these frequencies, whose sum must be `2^bits`.
    pub fn from_frequencies(frequencies: &[u32], bits: u32) -> Result<Self, EntropyError> {
        let codable = frequencies.iter().filter(|frequency| **frequency > 0).count();
        check_shape(bits, frequencies.len(), codable)?;
        if frequencies.iter().map(|frequency| u64::from(*frequency)).sum::<u64>() != 1 << bits {
            let what = "frequencies do not sum to 2^bits";
            return Err(EntropyError::Shape { bits, symbols: frequencies.len(), codable, what });
        }
        Ok(Self::new(frequencies, bits))
    }

    /// `frequencies` sum to `2^bits`. There are 65,536 at most.
    fn new(frequencies: &[u32], bits: u32) -> Self {
        // The likeliest symbol has the first slots: an empty state takes it for nothing.
        let likeliest = (0..frequencies.len()).rev().max_by_key(|symbol| frequencies[*symbol]).unwrap_or(0);
        let mut start = 0;
        let mut encoding = vec![None; frequencies.len()].into_boxed_slice();
        let mut decoding = Vec::with_capacity(frequencies.iter().filter(|frequency| **frequency > 0).count());
        for symbol in std::iter::once(likeliest).chain((0..frequencies.len()).filter(|symbol| *symbol != likeliest)) {
            let frequency = frequencies[symbol];
            if frequency > 0 {
                encoding[symbol] = Some(Interval::new(start, frequency, bits));
                let last = start + frequency - 1;
                decoding.push(Entry { start: start as u16, last: last as u16, symbol: symbol as u16 });
                start += frequency;
            }
        }
        let wanted = usize::BITS - (decoding.len() - 1).leading_zeros() + BUCKETS_PER_SYMBOL_LOG2;
        let bucket_bits = bits.saturating_sub(wanted);
        let mut entry = 0;
        let buckets = (0..1u32 << (bits - bucket_bits)).map(|bucket| {
            while u32::from(decoding[entry].last) < bucket << bucket_bits {
                entry += 1;
            }
            entry as u16
        });
        Self { bits, buckets: buckets.collect(), encoding, decoding: decoding.into_boxed_slice(), bucket_bits }
    }

    /// Reads a table that [`Table::write`] wrote, of `limit` symbols at most: more are refused before there is room made
    /// for them. What is allocated is bounded by `limit`, at less than 64 bytes a symbol, however few bytes are read.
    pub fn read(reader: &mut Reader<'_>, limit: usize) -> Result<Self, EntropyError> {
        let (frequencies, bits) = serial::read(reader, limit.min(MAX_SYMBOLS))?;
        Ok(Self::new(&frequencies, bits))
    }

    /// Appends the table: about a byte for each symbol that can be coded, and little for runs of others.
    pub fn write(&self, output: &mut Vec<u8>) {
        serial::write(&self.frequencies().collect::<Vec<_>>(), self.bits, output);
    }

    /// Each symbol's frequency.
    pub fn frequencies(&self) -> impl Iterator<Item = u32> {
        self.encoding.iter().map(|interval| interval.map_or(0, Interval::frequency))
    }

    /// The binary logarithm of the sum of all frequencies.
    pub fn bits(&self) -> u32 {
        self.bits
    }

    /// How many symbols the alphabet has, whether they can be coded or not.
    pub fn symbols(&self) -> usize {
        self.encoding.len()
    }

    /// The interval of a symbol; `None` if it cannot be coded.
    #[inline]
    pub fn interval(&self, symbol: u16) -> Option<Interval> {
        self.encoding.get(usize::from(symbol)).copied().flatten()
    }

    /// Gives a symbol to the encoder.
    ///
    /// # Panics
    ///
    /// If the symbol cannot be coded: it is not of the alphabet, or has frequency 0.
    #[inline]
    pub fn encode(&self, symbol: u16, encoder: &mut Encoder) {
        encoder.push(self.interval(symbol).expect("only symbols with a frequency are encoded"));
    }

    /// Gives symbols to the encoder, as [`Table::encode`] would one by one.
    ///
    /// # Panics
    ///
    /// If one of them cannot be coded.
    pub fn encode_all(&self, symbols: &[u16], encoder: &mut Encoder) {
        encoder.extend(
            symbols.iter().map(|symbol| self.interval(*symbol).expect("only symbols with a frequency are encoded")),
        );
    }

    /// The next symbol.
    #[inline]
    pub fn decode<const LANES: usize>(&self, decoder: &mut Decoder<'_, LANES>) -> u16 {
        decoder.decode(self.bits, |slot| self.find(slot))
    }

    /// The next symbols, as [`Table::decode`] would give them one by one.
    pub fn decode_all<const LANES: usize>(&self, decoder: &mut Decoder<'_, LANES>, symbols: &mut [u16]) {
        decoder.decode_all(self.bits, symbols, |slot| self.find(slot));
    }

    /// The symbol that has a slot, its first slot and its frequency.
    #[inline(always)]
    fn find(&self, slot: u32) -> (u16, u32, u32) {
        let mut at = usize::from(self.buckets[(slot >> self.bucket_bits) as usize]);
        while u32::from(self.decoding[at].last) < slot {
            at += 1;
        }
        let Entry { start, last, symbol } = self.decoding[at];
        (symbol, u32::from(start), u32::from(last) - u32::from(start) + 1)
    }
}

/// Whether there can be a table of so many bits for so many symbols.
fn check_shape(bits: u32, symbols: usize, codable: usize) -> Result<(), EntropyError> {
    let what = match () {
        () if !(1..=MAX_BITS).contains(&bits) => "bits are 1 to 16",
        () if symbols > MAX_SYMBOLS => "an alphabet has 65,536 symbols at most",
        () if codable == 0 => "one symbol at least must have a count",
        () if codable > 1 << bits => "more symbols than slots",
        () => return Ok(()),
    };
    Err(EntropyError::Shape { bits, symbols, codable, what })
}
