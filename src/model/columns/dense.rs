//! A distribution over all symbols of an alphabet.

use super::coding::{SCALE_BITS, Sink, Source, TOTAL};

/// Bits of a slot that the first guess looks at.
const GUESS_BITS: u32 = 8;

/// Symbols that are looked through at once.
const WIDTH: usize = 8;

/// Symbols up to which all are looked through.
const FEW: usize = 2 * WIDTH;

/// Frequencies of all symbols, each at least 1, that sum to 2^16.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Dense {
    /// Where each symbol's slots begin; the total, as often as it takes to look at [`WIDTH`] of them at once.
    starts: Vec<i32>,
    /// For each value of a slot's high bits, the symbol of the first such slot; nothing where there are few symbols.
    guesses: Vec<u16>,
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
        // A look begins behind any symbol where there are guesses, and else behind the first, and behind each eighth from there.
        let few = counts.len() <= FEW;
        let length = if few { 1 + counts.len().next_multiple_of(WIDTH) } else { counts.len() + WIDTH };
        let mut starts = Vec::with_capacity(length);
        let mut start = 0;
        for (symbol, count) in counts.iter().enumerate() {
            starts.push(start as i32);
            start += frequency(*count) + if symbol == largest { left } else { 0 };
        }
        starts.resize(length, start as i32);
        // Few symbols are found as fast without.
        let guesses = (0..if few { 0 } else { 1 << GUESS_BITS })
            .map(|high| (starts.partition_point(|start| *start <= high << (SCALE_BITS - GUESS_BITS)) - 1) as u16)
            .collect();
        Self { starts, guesses }
    }

    /// Where a symbol's slots begin, and how many there are.
    #[inline]
    pub fn interval(&self, symbol: u16) -> (u32, u32) {
        let symbol = usize::from(symbol);
        let (start, end) = (self.starts[symbol] as u32, self.starts[symbol + 1] as u32);
        (start, end - start)
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
        let high = (slot >> (SCALE_BITS - GUESS_BITS)) as usize;
        let mut symbol = 0;
        if let Some(first) = self.guesses.get(high) {
            symbol = usize::from(*first);
            // Where symbols have a slot or two, many have the same high bits.
            let last = self.guesses.get(high + 1).map_or(self.starts.len() - WIDTH - 1, |last| usize::from(*last));
            if last - symbol > FEW {
                symbol += self.starts[symbol + 1..=last].partition_point(|start| *start <= slot as i32);
            }
        }
        // How many of the next ones begin at the slot or before it is seen at once: no guess of a branch is wrong as long as they are
        // not all.
        while let Some(next) = self.starts.get(symbol + 1..).and_then(<[i32]>::first_chunk::<WIDTH>) {
            let passed = next.iter().map(|start| u32::from(*start <= slot as i32)).sum::<u32>() as usize;
            symbol += passed;
            if passed < WIDTH {
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
