//! Distributions of some symbols each, laid out so that a look takes one cache line and no guess of a branch where it can.

use super::coding::{SCALE_BITS, TOTAL};

/// Words that are compared at once.
pub(super) const WIDTH: usize = 8;

/// Entries up to which there is no guess: those of two lines.
const FEW: usize = 2 * WIDTH - 2;

/// Bits of a slot that the guess looks at: for each of their values it has the line of the first such slot, in a byte.
const GUESS_BITS: u32 = 5;

/// A part of a distribution. An entry is a symbol, and in the upper half where its slots begin; both rise. Before the first
/// one stands how many there are, and behind the last one zeros, at least one. Where there are many, guesses are the second
/// line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(align(32))]
pub(super) struct Line([u32; WIDTH]);

/// What a look has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub symbol: u16,
    /// Where its slots begin, and how many there are.
    pub start: u32,
    pub frequency: u32,
    /// The number of its entry, from 1 on.
    pub entry: usize,
}

/// The symbol of an entry.
#[inline]
const fn symbol_of(entry: u32) -> u16 {
    entry as u16
}

impl Line {
    /// Appends a distribution: symbols, which rise, and where their slots begin. [`ESCAPE`] is the last one.
    pub fn write(entries: &[(u16, u32)], lines: &mut Vec<Self>) {
        let words = entries.iter().map(|(symbol, start)| start << 16 | u32::from(*symbol));
        let words: Vec<u32> = std::iter::once(entries.len() as u32).chain(words).chain([0]).collect();
        let mut parts = words.chunks(WIDTH).map(|words| {
            let mut line = Self::default();
            line.0[..words.len()].copy_from_slice(words);
            line
        });
        lines.extend(parts.next());
        if entries.len() > FEW {
            let mut guesses = Self::default();
            for high in 0..1u32 << GUESS_BITS {
                let first = high << (SCALE_BITS - GUESS_BITS);
                let line = entries.partition_point(|(_, start)| *start <= first) / WIDTH;
                guesses.0[high as usize / 4] |= (line as u32) << (8 * (high % 4));
            }
            lines.push(guesses);
        }
        lines.extend(parts);
    }

    /// In which line behind this one, which is the first of a distribution, the entry of this number stands, from 1 on.
    pub const fn line(&self, entry: usize) -> usize {
        let line = entry / WIDTH;
        line + (line > 0 && self.count() > FEW) as usize
    }

    /// The symbol of the entry in a lane.
    pub const fn symbol(&self, lane: usize) -> u16 {
        symbol_of(self.0[lane])
    }

    /// The number of entries of the distribution that begins with this line.
    #[inline]
    pub const fn count(&self) -> usize {
        self.0[0] as usize
    }

    /// How many words are larger than this one.
    #[inline]
    fn above(&self, last: u32) -> usize {
        self.0.iter().map(|word| u32::from(*word > last)).sum::<u32>() as usize
    }
}

/// Finds whose a slot is. `line` gives the lines of one distribution.
#[inline(always)]
pub(super) fn by_slot<'a>(line: impl Fn(usize) -> &'a Line, slot: u32) -> Found {
    // What follows is below it up to the entry that has the slot; so are the count and the zeros.
    let last = slot << 16 | 0xffff;
    let head = line(0);
    let count = head.count();
    if count < WIDTH - 1 {
        return found(head, head, 0, count - head.above(last));
    }
    let mut at = 0;
    if count > FEW {
        let high = (slot >> (SCALE_BITS - GUESS_BITS)) as usize;
        at = (line(1).0[high / 4] >> (8 * (high % 4)) & 0xff) as usize;
    }
    let nth = |at: usize| line(if count > FEW && at > 0 { at + 1 } else { at });
    while at < count / WIDTH && nth(at + 1).0[0] <= last {
        at += 1;
    }
    let whole = nth(at);
    let lane = words(count, at) - 1 - whole.above(last);
    found(whole, if lane == WIDTH - 1 { nth(at + 1) } else { whole }, at, lane)
}

/// How many words of a line are the count or entries.
#[inline]
fn words(count: usize, line: usize) -> usize {
    WIDTH.min(count + 1 - WIDTH * line)
}

/// The entry in a lane of a line; the next one is in the lane behind it, of the line `next`.
#[inline]
fn found(line: &Line, next: &Line, at: usize, lane: usize) -> Found {
    let entry = line.0[lane % WIDTH];
    let start = entry >> 16;
    // Behind the last one stands zero, which is the total in 16 bits. No symbol has all slots.
    let frequency = (next.0[(lane + 1) % WIDTH] >> 16).wrapping_sub(start) % TOTAL;
    Found { symbol: symbol_of(entry), start, frequency, entry: WIDTH * at + lane }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::columns::chain::ESCAPE;
    use proptest::prelude::*;

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
            let mut lines = vec![Line([u32::MAX; WIDTH])];
            Line::write(&entries, &mut lines);
            prop_assert_eq!(lines[1].count(), entries.len());
            let line = |at: usize| &lines[1 + at];
            let ends = entries[1..].iter().map(|(_, start)| *start).chain([TOTAL]);
            for ((symbol, start), end) in entries.iter().copied().zip(ends) {
                for slot in [start, end - 1] {
                    let found = by_slot(line, slot);
                    prop_assert_eq!((found.symbol, found.start, found.frequency), (symbol, start, end - start));
                    prop_assert_eq!(lines[1 + lines[1].line(found.entry)].symbol(found.entry % WIDTH), symbol);
                }
            }
        }
    }
}
