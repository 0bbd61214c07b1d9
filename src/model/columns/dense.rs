//! A distribution over all symbols of an alphabet.

use crate::engine::rank;

use super::coding::{SCALE_BITS, Sink, Source, TOTAL};
use super::sparse::{WIDTH, between, biased};

/// High bits of a slot that say which symbol is the first it can be, where there are more than are looked at once.
const GUESS_BITS: u32 = 8;

/// Frequencies of all symbols, each at least 1, that sum to 2^16.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Dense {
    /// [`biased`], the slot before the first symbol's, then each one's last; then the last of all, as often as it takes to look at [`WIDTH`] of
    /// them behind each.
    bounds: Vec<i16>,
    /// By the high bits of a slot, the symbol of the first of these slots; the last symbol.
    guesses: Vec<u16>,
    /// How many bits of a slot are not among these.
    low: u32,
}

impl Dense {
    /// From counts of 1 to 65,535 symbols: `1 + floor(count * (65,536 - symbols) / sum)`, and what is left goes to the
    /// symbol with the largest count, the first of equals. With a sum of 0 each symbol counts once.
    pub fn from_counts(counts: &[u32]) -> Self {
        debug_assert!((1..TOTAL as usize).contains(&counts.len()));
        let sum: u64 = counts.iter().map(|count| u64::from(*count)).sum();
        let share = u64::from(TOTAL) - counts.len() as u64;
        let frequency = |count: u32| match sum {
            0 => 1 + (share / counts.len() as u64) as u32,
            sum => 1 + (u64::from(count) * share / sum) as u32,
        };
        let left = TOTAL - counts.iter().map(|count| frequency(*count)).sum::<u32>();
        let largest = (0..counts.len()).rev().max_by_key(|symbol| counts[*symbol]).unwrap_or(0);
        let mut end = 0;
        let ends = counts.iter().enumerate().map(|(symbol, count)| {
            end += frequency(*count) + if symbol == largest { left } else { 0 };
            end
        });
        let ends: Vec<u32> = ends.collect();
        let rest = std::iter::repeat_n(TOTAL, WIDTH);
        let bounds =
            std::iter::once(&0).chain(&ends).copied().chain(rest).map(|end| biased(end.wrapping_sub(1))).collect();
        let bits = if counts.len() <= WIDTH { 0 } else { GUESS_BITS };
        let low = SCALE_BITS - bits;
        let first = |high: u32| ends.partition_point(|end| *end <= high << low) as u16;
        let guesses = (0..1 << bits).map(first).chain([counts.len() as u16 - 1]).collect();
        Self { bounds, guesses, low }
    }

    /// Where a symbol's slots begin, and how many there are.
    #[inline]
    pub fn interval(&self, symbol: u16) -> (u32, u32) {
        let symbol = usize::from(symbol);
        between(self.bounds[symbol], self.bounds[symbol + 1])
    }

    #[inline]
    pub fn encode(&self, symbol: u16, sink: &mut impl Sink) {
        let (start, frequency) = self.interval(symbol);
        sink.push(start, frequency);
    }

    #[inline]
    pub fn decode(&self, source: &mut impl Source) -> u16 {
        source.symbol(|slot| {
            let symbol = self.find(slot);
            let (start, frequency) = self.interval(symbol);
            (symbol, start, frequency)
        })
    }

    /// The symbol that has a slot.
    #[inline(always)]
    fn find(&self, slot: u32) -> u16 {
        let high = (slot >> self.low) as usize;
        let (mut symbol, last) = (usize::from(self.guesses[high]), usize::from(self.guesses[high + 1]));
        let slot = biased(slot);
        // Where symbols have a slot or two, many have the same high bits.
        if last - symbol > 2 * WIDTH {
            symbol += self.bounds[symbol + 1..=last].partition_point(|last| *last < slot);
        }
        while let Some(lasts) = self.bounds.get(symbol + 1..).and_then(<[i16]>::first_chunk) {
            let below = rank(lasts, slot);
            symbol += below;
            if below < WIDTH {
                break;
            }
        }
        symbol as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_slot_has_its_symbol(counts in prop::collection::vec(prop_oneof![Just(0u32), 0u32..10, any::<u32>()], 1..600)) {
            let dense = Dense::from_counts(&counts);
            let mut next = 0;
            for symbol in 0..counts.len() as u16 {
                let (start, frequency) = dense.interval(symbol);
                prop_assert_eq!(start, next);
                prop_assert!(frequency >= 1);
                next = start + frequency;
                for slot in [start, next - 1] {
                    prop_assert_eq!(dense.decode(&mut Slot(slot)), symbol);
                }
            }
            prop_assert_eq!(next, TOTAL);
        }
    }

    /// Gives one slot.
    struct Slot(u32);
    impl Source for Slot {
        fn symbol<S>(&mut self, find: impl FnOnce(u32) -> (S, u32, u32)) -> S {
            let (symbol, start, frequency) = find(self.0);
            assert!((start..start + frequency).contains(&self.0));
            symbol
        }
        fn raw(&mut self, _bits: u32) -> u64 {
            0
        }
    }
}
