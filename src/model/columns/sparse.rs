//! Distributions of some symbols each, laid out so that a look takes one cache line and, as a rule, no guess of a branch.
//!
//! A distribution is a table of lines: the high bits of a slot choose the line, which has the symbols whose slots reach into its
//! part. Where these are too many the others are in a line of their own, to which the first one points.

use crate::engine::rank;

use super::coding::{SCALE_BITS, TOTAL};

/// Bounds that are compared at once.
pub(super) const WIDTH: usize = 8;

/// Most high bits that choose a line.
const MAX_BITS: u32 = 10;

/// Slots of 2^16 of which a second line may have to be looked at.
const OVER: u32 = TOTAL / 16;

/// A part of a distribution: up to `N` symbols, fewer than [`WIDTH`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line<const N: usize> {
    /// By [`biased`], the slot before the first symbol's, then each one's last; [`i16::MAX`] where there is no further one.
    bounds: [i16; WIDTH + 1],
    /// The last one again where there is no further one.
    symbols: [u16; N],
    /// The line behind the first one of the distribution where the slots behind these are; 0 where there are none.
    over: u16,
}

/// Where a distribution is: its first line, and above [`Table::FIRST_BITS`] how many high bits of a slot choose the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Table(pub u32);

/// What a look has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub symbol: u16,
    /// Where its slots begin, and how many there are.
    pub start: u32,
    pub frequency: u32,
    /// In which line it was, counted from the first one of all, and at which place of that.
    pub line: usize,
    pub place: usize,
}

impl<const N: usize> Line<N> {
    /// Of symbols, each with its first slot, whose slots go up to slot `end`.
    fn new(entries: &[(u16, u32)], end: u32) -> Self {
        const { assert!(N < WIDTH) };
        let last = entries.last().map_or(0, |(symbol, _)| *symbol);
        let mut line = Self { bounds: [i16::MAX; WIDTH + 1], symbols: [last; N], over: 0 };
        let ends = entries.iter().skip(1).map(|(_, start)| *start).chain([end]);
        for (place, ((symbol, start), end)) in entries.iter().zip(ends).enumerate() {
            line.symbols[place] = *symbol;
            line.bounds[place] = biased(start.wrapping_sub(1));
            line.bounds[place + 1] = biased(end - 1);
        }
        line
    }

    /// The symbols, the last one again where there are fewer.
    pub fn symbols(&self) -> &[u16; N] {
        &self.symbols
    }

    /// How many symbols' slots end before this one.
    #[inline(always)]
    fn below(&self, slot: u32) -> usize {
        let [_, lasts @ ..] = &self.bounds;
        rank(lasts, biased(slot))
    }
}

/// A slot as it is compared: vectors have no comparison without signs.
#[inline(always)]
pub(super) const fn biased(slot: u32) -> i16 {
    (slot as u16 ^ 0x8000) as i16
}

/// The slots behind one bound up to the next, both [`biased`]: the first one, and how many there are, which is 1 at least and may be all.
#[inline(always)]
pub(super) const fn between(before: i16, last: i16) -> (u32, u32) {
    let start = (before as u16 ^ 0x8000).wrapping_add(1);
    (start as u32, last.wrapping_sub(before).wrapping_sub(1) as u16 as u32 + 1)
}

impl Table {
    /// Bits of the number of a line.
    const FIRST_BITS: u32 = 25;

    /// Its first line.
    pub const fn first(self) -> usize {
        (self.0 & ((1 << Self::FIRST_BITS) - 1)) as usize
    }

    const fn bits(self) -> u32 {
        self.0 >> Self::FIRST_BITS & 0xf
    }

    /// Appends a distribution: symbols, which rise, and where their slots begin. It takes fewer lines than four for each `N` of its symbols, and
    /// one for each that ends in another line than it began; so all distributions of an artefact, which takes two bytes for a symbol and has 8 MiB
    /// at most, take fewer than 2^25.
    pub fn write<const N: usize>(entries: &[(u16, u32)], lines: &mut Vec<Line<N>>) -> Self {
        let most = MAX_BITS.min((entries.len() / N).next_power_of_two().ilog2() + 1);
        let bits = (0..most).find(|bits| over::<N>(entries, *bits) <= OVER).unwrap_or(most);
        let first = lines.len();
        lines.resize(first + (1 << bits), Line::new(&[], TOTAL));
        for (at, part) in parts(entries, bits).enumerate() {
            let end = |place: usize| entries.get(place).map_or(TOTAL, |(_, start)| *start);
            let mut line = first + at;
            for begin in part.clone().step_by(N) {
                let behind = part.end.min(begin + N);
                if begin > part.start {
                    lines[line].over = (lines.len() - first) as u16;
                    line = lines.len();
                    lines.push(Line::new(&[], TOTAL));
                }
                lines[line] = Line::new(&entries[begin..behind], end(behind));
            }
        }
        debug_assert!(lines.len() <= 1 << Self::FIRST_BITS);
        Self(first as u32 | bits << Self::FIRST_BITS)
    }

    /// Finds whose a slot is. `line` gives the lines of all distributions.
    #[inline(always)]
    pub fn by_slot<'a, const N: usize>(self, line: impl Fn(usize) -> &'a Line<N>, slot: u32) -> Found {
        let mut at = self.first() + (slot >> (SCALE_BITS - self.bits())) as usize;
        loop {
            let here = line(at);
            let place = here.below(slot);
            if place < N {
                let (start, frequency) = between(here.bounds[place], here.bounds[place + 1]);
                return Found { symbol: here.symbols[place], start, frequency, line: at, place };
            }
            at = self.first() + usize::from(here.over);
        }
    }
}

/// The entries whose slots reach into each part of all slots, of which there are `2^bits`.
fn parts(entries: &[(u16, u32)], bits: u32) -> impl Iterator<Item = std::ops::Range<usize>> {
    let begins = move |slot: u32| entries.partition_point(move |(_, start)| *start < slot);
    (0..1u32 << bits).map(move |part| {
        let first = begins((part << (SCALE_BITS - bits)) + 1) - 1;
        first..begins((part + 1) << (SCALE_BITS - bits))
    })
}

/// Slots that are not in the first line of their part.
fn over<const N: usize>(entries: &[(u16, u32)], bits: u32) -> u32 {
    let slots = parts(entries, bits).enumerate().map(|(at, part)| {
        let end = (at as u32 + 1) << (SCALE_BITS - bits);
        if part.len() > N { end - entries[part.start + N].1 } else { 0 }
    });
    slots.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::columns::chain::ESCAPE;
    use proptest::prelude::*;

    /// Whether each symbol is found by its first and last slots and by some between them, which may be those of a line that it fills.
    fn finds_all<const N: usize>(entries: &[(u16, u32)]) -> Result<(), TestCaseError> {
        let mut lines = vec![Line::<N>::new(&[(0, 0)], TOTAL)];
        let table = Table::write(entries, &mut lines);
        let ends = entries[1..].iter().map(|(_, start)| *start).chain([TOTAL]);
        for ((symbol, start), end) in entries.iter().copied().zip(ends) {
            for slot in (start..end).step_by(509).chain([(start + end) / 2, end - 1]) {
                let found = table.by_slot(|at| &lines[at], slot);
                prop_assert_eq!((found.symbol, found.start, found.frequency), (symbol, start, end - start));
                prop_assert_eq!(lines[found.line].symbols()[found.place], symbol);
            }
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn every_slot_has_its_symbol(
            gaps in prop::collection::vec((1u16..60, 1u32..64), 1..1025usize), low: bool, dominant in 0usize..1024,
        ) {
            let mut symbol = 0;
            let rising = gaps.iter().map(|(gap, _)| { symbol += gap; symbol - 1 });
            let symbols: Vec<u16> = rising.chain([ESCAPE]).collect();
            // All have few slots but for one, and the escape if `low`.
            let mut start = 0;
            let starts: Vec<u32> = (0..symbols.len()).map(|i| {
                let here = start;
                start += gaps.get(i).map_or(0, |(_, slots)| if low { 1 } else { *slots });
                start += if i == dominant % symbols.len() && !low { 1000 - gaps.len() as u32 / 2 } else { 0 };
                here
            }).collect();
            let entries: Vec<(u16, u32)> = symbols.iter().copied().zip(starts).collect();
            finds_all::<6>(&entries)?;
            finds_all::<7>(&entries)?;
        }
    }
}
