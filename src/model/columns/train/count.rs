//! Counts for a chain, and the escapes that were met on the way.

use std::collections::HashMap;

use crate::model::columns::chain::{
    ChainCounts, Escapes, LevelCounts, MAX_SPARSE, OCCURRENCES_CLASSES, SYMBOLS_CLASSES, Sparse, occurrences_class,
    symbols_class,
};

/// Counts as a coder that learns would: a level's counts grow where it codes the symbol or escapes, and those of the
/// levels behind it only after an escape (Moffat 1990, "update exclusion"), because only then are they asked.
pub(super) struct ChainCounter {
    levels: Vec<LevelCounter>,
    dense: Vec<u32>,
}

#[derive(Default)]
struct LevelCounter {
    sparse: HashMap<u32, Vec<(u16, u32)>>,
    /// Escapes and all, by class.
    escapes: [[(u64, u64); SYMBOLS_CLASSES]; OCCURRENCES_CLASSES],
}

impl ChainCounter {
    pub fn new(levels: usize, symbols: usize) -> Self {
        Self { levels: (0..levels).map(|_| LevelCounter::default()).collect(), dense: vec![0; symbols] }
    }

    pub fn add(&mut self, symbol: u16, mut key: impl FnMut(usize) -> u32) {
        for (i, level) in self.levels.iter_mut().enumerate() {
            let counts = level.sparse.entry(key(i)).or_default();
            let place = counts.binary_search_by_key(&symbol, |(symbol, _)| *symbol);
            if !counts.is_empty() {
                let occurrences = counts.iter().map(|(_, count)| u64::from(*count)).sum();
                let class = &mut level.escapes[occurrences_class(occurrences)][symbols_class(counts.len())];
                class.1 += 1;
                class.0 += u64::from(place.is_err());
            }
            match place {
                Ok(place) => {
                    counts[place].1 += 1;
                    return;
                }
                Err(place) => counts.insert(place, (symbol, 1)),
            }
        }
        self.dense[usize::from(symbol)] += 1;
    }

    /// The counts of contexts that occurred `least` times or more.
    pub fn finish(self, least: u32) -> ChainCounts {
        ChainCounts { levels: self.levels.into_iter().map(|level| level.finish(least)).collect(), dense: self.dense }
    }
}

impl LevelCounter {
    fn finish(self, least: u32) -> LevelCounts {
        let mut sparse: Vec<Sparse> = self
            .sparse
            .into_iter()
            .filter(|(_, counts)| counts.iter().map(|(_, count)| count).sum::<u32>() >= least)
            .map(|(key, mut counts)| {
                if counts.len() > MAX_SPARSE {
                    counts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
                    counts.truncate(MAX_SPARSE);
                    counts.sort_unstable();
                }
                Sparse { key, counts }
            })
            .collect();
        sparse.sort_unstable_by_key(|sparse| sparse.key);
        let mut escapes = Escapes::default();
        for (row, met) in escapes.by_class.iter_mut().zip(self.escapes) {
            for (class, (escaped, all)) in row.iter_mut().zip(met) {
                // Half an escape and half a hit beside what was met.
                *class = ((2 * escaped + 1) * 65_535 / (2 * all + 2)).clamp(1, 65_535) as u16;
            }
        }
        LevelCounts { sparse, escapes }
    }
}
