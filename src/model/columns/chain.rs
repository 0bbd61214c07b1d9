//! A symbol's distribution, chosen by contexts: the most specific first, and from each an escape to the next.

use super::coding::{Sink, TOTAL};
use super::dense::Dense;
use super::index::Index;

/// Most contexts of a chain.
pub(super) const MAX_LEVELS: usize = 3;

/// Most symbols of one sparse distribution.
pub(super) const MAX_SPARSE: usize = 1024;

/// The symbol that stands for all that a distribution lacks.
pub(super) const ESCAPE: u16 = u16::MAX;

/// How often symbols followed one value of a context: by rising symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sparse {
    /// What the context came to.
    pub key: u32,
    /// Symbols and their counts, which are at least 1.
    pub counts: Vec<(u16, u32)>,
}

/// Escapes that were met where a distribution had so many symbols that occurred so often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Escapes {
    /// Probability of an escape in units of 2^-16, by [`occurrences_class`] and [`symbols_class`].
    pub by_class: [[u16; SYMBOLS_CLASSES]; OCCURRENCES_CLASSES],
}

pub(super) const OCCURRENCES_CLASSES: usize = 12;
pub(super) const SYMBOLS_CLASSES: usize = 5;

/// 1, 2, 3, 4, 5-6, 7-8, 9-12, 13-16, 17-32, 33-64, 65-256, more.
pub(super) fn occurrences_class(occurrences: u64) -> usize {
    match occurrences {
        ..=4 => (occurrences as usize).saturating_sub(1),
        5..=6 => 4,
        7..=8 => 5,
        9..=12 => 6,
        13..=16 => 7,
        17..=32 => 8,
        33..=64 => 9,
        65..=256 => 10,
        _ => 11,
    }
}

/// 1, 2, 3-4, 5-8, more.
pub(super) fn symbols_class(symbols: usize) -> usize {
    match symbols {
        ..=1 => 0,
        2 => 1,
        3..=4 => 2,
        5..=8 => 3,
        _ => 4,
    }
}

/// What a level of a chain was learned to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LevelCounts {
    /// By rising key.
    pub sparse: Vec<Sparse>,
    pub escapes: Escapes,
}

/// What a chain was learned to be: enough to make it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ChainCounts {
    pub levels: Vec<LevelCounts>,
    /// Of every symbol of the alphabet.
    pub dense: Vec<u32>,
}

/// A level that is ready for encoding. What one look takes lies side by side: an entry of the index, then one distribution.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Level {
    /// Where the entries of a key's distribution begin.
    index: Index,
    /// Distributions, each with the number of its entries before them. An entry is a symbol, and in the upper half where its
    /// slots begin; [`ESCAPE`] is the last of each.
    entries: Vec<u32>,
}

impl Level {
    fn new(counts: &LevelCounts) -> Self {
        let mut all = Vec::new();
        let index = Index::new(counts.sparse.iter().map(|sparse| {
            let entries = entries(&sparse.counts, &counts.escapes);
            all.push(entries.len() as u32);
            let first = all.len();
            all.extend(entries.iter().map(|(symbol, start)| start << 16 | u32::from(*symbol)));
            (sparse.key, first as u32)
        }));
        Self { index, entries: all }
    }

    /// The entries of the distribution that a key chooses.
    #[inline]
    fn find(&self, key: u32) -> Option<&[u32]> {
        let first = self.index.find(key)? as usize;
        Some(&self.entries[first..first + self.entries[first - 1] as usize])
    }
}

/// The entries of a distribution. The escape takes what its class says, at least 1 and at most what leaves 1 for each symbol;
/// a symbol with count c takes `1 + floor((2c - 1) * rest / sum)`, where `rest` is what is left when each has 1,
/// and `sum` is that of all `2c - 1`; what is left over goes to the largest count, the first of equals.
pub(super) fn entries(counts: &[(u16, u32)], escapes: &Escapes) -> Vec<(u16, u32)> {
    let occurrences: u64 = counts.iter().map(|(_, count)| u64::from(*count)).sum();
    let class = escapes.by_class[occurrences_class(occurrences)][symbols_class(counts.len())];
    let escape = u32::from(class).clamp(1, TOTAL - counts.len() as u32);
    let rest = u64::from(TOTAL - escape) - counts.len() as u64;
    let weight = |count: u32| 2 * u64::from(count) - 1;
    let sum: u64 = counts.iter().map(|(_, count)| weight(*count)).sum();
    let frequency = |count: u32| 1 + (weight(count) * rest / sum) as u32;
    let left = TOTAL - escape - counts.iter().map(|(_, count)| frequency(*count)).sum::<u32>();
    let largest = (0..counts.len()).rev().max_by_key(|i| counts[*i].1).unwrap_or(0);
    let mut start = 0;
    let mut entries = Vec::with_capacity(counts.len() + 1);
    for (i, (symbol, count)) in counts.iter().enumerate() {
        entries.push((*symbol, start));
        start += frequency(*count) + if i == largest { left } else { 0 };
    }
    entries.push((ESCAPE, start));
    entries
}

/// The symbol of an entry.
#[inline]
const fn symbol_of(entry: u32) -> u16 {
    entry as u16
}

/// The slots of entry `i` of a distribution.
#[inline]
fn interval(entries: &[u32], i: usize) -> (u32, u32) {
    let start = entries[i] >> 16;
    let end = entries.get(i + 1).map_or(TOTAL, |end| end >> 16);
    (start, end - start)
}

/// Distributions of one alphabet, as an encoder asks them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Chain {
    levels: Vec<Level>,
    dense: Dense,
}

impl Chain {
    /// From what was learned.
    pub fn new(counts: &ChainCounts) -> Self {
        Self { levels: counts.levels.iter().map(Level::new).collect(), dense: Dense::from_counts(&counts.dense) }
    }

    /// The distribution of all values.
    #[inline]
    pub fn last_resort(&self) -> &Dense {
        &self.dense
    }

    /// Codes a symbol; `key` gives the key of each context.
    #[inline]
    pub fn encode(&self, symbol: u16, mut key: impl FnMut(usize) -> u32, sink: &mut impl Sink) {
        for (i, level) in self.levels.iter().enumerate() {
            let Some(entries) = level.find(key(i)) else { continue };
            let place = if entries.len() <= 32 {
                entries.iter().position(|entry| symbol_of(*entry) >= symbol).unwrap_or(entries.len() - 1)
            } else {
                entries.partition_point(|entry| symbol_of(*entry) < symbol)
            };
            if symbol_of(entries[place]) == symbol {
                let (start, frequency) = interval(entries, place);
                return sink.push(start, frequency);
            }
            let (start, frequency) = interval(entries, entries.len() - 1);
            sink.push(start, frequency);
        }
        self.dense.encode(symbol, sink);
    }
}
