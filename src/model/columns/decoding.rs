//! The chain of an alphabet's distributions, as a decoder asks it: it has a slot and looks for the symbol.

use super::chain::{ChainCounts, ESCAPE, LevelCounts, entries};
use super::coding::{Source, TOTAL};
use super::dense::Dense;
use super::index::{Chosen, Index};
use super::sparse::{Line, Table};

/// What a key chooses: a distribution of one symbol as it is, which most are, or where another one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(align(8))]
struct Head {
    /// Where the distribution is, or [`Head::ONE`].
    table: Table,
    /// The one symbol, and where the slots of the escape begin.
    symbol: u16,
    escape: u16,
}

impl Head {
    /// There is one symbol.
    const ONE: Table = Table(u32::MAX - 1);
}

impl Chosen for Head {
    const NOTHING: Self = Self { table: Table(u32::MAX), symbol: 0, escape: 0 };
}

/// Symbols of a line, of which two are a cache line.
const SYMBOLS: usize = 6;

/// A line, which lies in one cache line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(align(32))]
struct Half(Line<SYMBOLS>);

/// A level that is ready for decoding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Level {
    index: Index<Head>,
    /// Distributions of two symbols and more.
    lines: Vec<Half>,
}

impl Level {
    fn new(counts: &LevelCounts) -> Self {
        let mut lines = Vec::new();
        let index = Index::new(counts.sparse.iter().map(|sparse| {
            let entries = entries(&sparse.counts, &counts.escapes);
            let head = match entries[..] {
                // An escape has a slot at least and leaves one.
                [(symbol, _), (_, escape)] => Head { table: Head::ONE, symbol, escape: escape as u16 },
                _ => Head { table: Table::write(&entries, &mut lines), symbol: 0, escape: 0 },
            };
            (sparse.key, head)
        }));
        Self { index, lines: lines.into_iter().map(Half).collect() }
    }
}

/// Distributions of one alphabet, as a decoder asks them. The last resort is that of the encoder's chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct DecodingChain {
    levels: Vec<Level>,
}

impl DecodingChain {
    /// From what was learned.
    pub fn new(counts: &ChainCounts) -> Self {
        Self { levels: counts.levels.iter().map(Level::new).collect() }
    }

    /// Decodes a symbol; `key` gives the key of each context.
    #[inline(always)]
    pub fn decode(&self, mut key: impl FnMut(usize) -> u32, last_resort: &Dense, source: &mut impl Source) -> u16 {
        for (i, level) in self.levels.iter().enumerate() {
            let Some(head) = level.index.find(key(i)) else { continue };
            let symbol = source.symbol(|slot| {
                if head.table == Head::ONE {
                    let escape = u32::from(head.escape);
                    return if slot < escape { (head.symbol, 0, escape) } else { (ESCAPE, escape, TOTAL - escape) };
                }
                let found = head.table.by_slot(|at| &level.lines[at].0, slot);
                (found.symbol, found.start, found.frequency)
            });
            if symbol != ESCAPE {
                return symbol;
            }
        }
        last_resort.decode(source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::columns::chain::{Chain, Escapes, Sparse};
    use crate::model::columns::coding::testing::Slots;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn symbols_come_back_from_whatever_level_knows_them(
            sets in prop::collection::vec(prop::collection::btree_map(0u16..300, 1u32..500, 1..60usize), 1..6usize),
            few in prop::collection::vec((0u16..300, 1u32..9), 1..6usize),
            escape: u16,
            keys in prop::collection::vec((0u32..8, 0u32..8), 1..40usize),
        ) {
            let mut escapes = Escapes::default();
            escapes.by_class.iter_mut().flatten().for_each(|class| *class = escape);
            let sparse = |(key, counts): (usize, Vec<(u16, u32)>)| Sparse { key: key as u32, counts };
            let many = sets.iter().map(|set| set.iter().map(|(symbol, count)| (*symbol, *count)).collect());
            let one = few.iter().map(|symbol| vec![*symbol]);
            let levels = [many.enumerate().map(sparse).collect(), one.enumerate().map(sparse).collect()];
            let levels = levels.into_iter().map(|sparse| LevelCounts { sparse, escapes }).collect();
            let counts = ChainCounts { levels, dense: vec![1; 300] };
            let (chain, decoding) = (Chain::new(&counts), DecodingChain::new(&counts));
            for (i, (first, second)) in keys.into_iter().enumerate() {
                let key = |level: usize| if level == 0 { first } else { second };
                let mut slots = Slots::default();
                for symbol in (0..300).skip(i % 7).step_by(7) {
                    chain.encode(symbol, key, &mut slots);
                    prop_assert_eq!(decoding.decode(key, chain.last_resort(), &mut slots), symbol);
                    prop_assert!(slots.0.is_empty());
                }
            }
        }
    }
}
