//! What was seen so seldom that drawing it would give away whose it was.

use super::alphabet::bucket_bits;
use super::chain::ChainCounts;
use super::parts::{ColumnParts, Parts};

/// What was seen less often is not drawn.
pub(super) const LEAST_SEEN: u32 = 5;

/// By column, what may not be drawn.
#[derive(Clone, Debug)]
pub(super) struct Rare {
    columns: Vec<RareColumn>,
}

#[derive(Clone, Debug)]
struct RareColumn {
    /// By symbol.
    symbols: Vec<bool>,
    /// By bucket; nothing where no number of it was seen.
    buckets: Vec<Option<Cells>>,
}

/// The numbers of a bucket, in cells of those that have the same modelled bits.
#[derive(Clone, Debug)]
struct Cells {
    /// By modelled bits.
    rare: Vec<bool>,
    /// The first and the last cell of which any number was seen.
    seen: (u64, u64),
    /// Whether a cell is more than one number.
    is_coarse: bool,
}

/// What becomes of modelled bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bits {
    /// They stay.
    Kept,
    /// Others take their place: any from the first of these to the last.
    Anew(u64, u64),
    /// The number is drawn by nobody.
    Refused,
}

impl Rare {
    /// Of what was learned.
    pub fn of(parts: &Parts) -> Self {
        Self { columns: parts.columns.iter().map(RareColumn::of).collect() }
    }

    /// Whether a symbol of a column may not be drawn.
    pub fn is_rare(&self, column: usize, symbol: u16) -> bool {
        let symbols = self.columns.get(column).map(|column| &column.symbols);
        symbols.and_then(|symbols| symbols.get(usize::from(symbol))).is_none_or(|rare| *rare)
    }

    /// What becomes of a number's modelled bits. Numbers of a rare cell are few: where the cell is a single number it is
    /// refused, otherwise the bits are any between the first and the last that were seen.
    pub fn bits(&self, column: usize, bucket: usize, high: u64) -> Bits {
        let cells = self.columns.get(column).and_then(|column| column.buckets.get(bucket)?.as_ref());
        let Some(Cells { rare, seen, is_coarse }) = cells else { return Bits::Refused };
        match usize::try_from(high).ok().and_then(|high| rare.get(high)) {
            Some(false) => Bits::Kept,
            Some(true) if *is_coarse => Bits::Anew(seen.0, seen.1),
            _ => Bits::Refused,
        }
    }
}

impl RareColumn {
    fn of(parts: &ColumnParts) -> Self {
        let mut buckets: Vec<Option<Cells>> = Vec::new();
        for (bucket, counts) in &parts.mantissas {
            let bucket = usize::from(*bucket);
            // The artefact has `2 * count + 1`.
            let count = |stored: &u32| stored / 2;
            let is_seen = |stored: &u32| count(stored) > 0;
            let Some(first) = counts.iter().position(is_seen) else { continue };
            let last = counts.iter().rposition(is_seen).unwrap_or(first);
            buckets.resize(buckets.len().max(bucket + 1), None);
            buckets[bucket] = Some(Cells {
                rare: counts.iter().map(|stored| count(stored) < LEAST_SEEN).collect(),
                seen: (first as u64, last as u64),
                is_coarse: bucket_bits(bucket).1 > 0,
            });
        }
        Self {
            symbols: occurrences(&parts.chain).into_iter().map(|count| count < u64::from(LEAST_SEEN)).collect(),
            buckets,
        }
    }
}

/// How often each symbol was seen. Training counts it where its context knows it already; in each context before that one it
/// is put down as met once. So all that a context has beyond the first are occurrences of their own.
fn occurrences(chain: &ChainCounts) -> Vec<u64> {
    let mut counts: Vec<u64> = chain.dense.iter().map(|count| u64::from(*count)).collect();
    for (symbol, count) in chain.levels.iter().flat_map(|level| &level.sparse).flat_map(|sparse| &sparse.counts) {
        if let Some(sum) = counts.get_mut(usize::from(*symbol)) {
            *sum += u64::from(count.saturating_sub(1));
        }
    }
    counts
}
