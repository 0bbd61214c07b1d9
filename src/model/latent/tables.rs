//! The distributions that samples are coded with.

use super::LatentError;
use crate::entropy::Table;

/// The most tables of a model.
pub const MAX_TABLES: usize = 8192;

/// Symbols of a sample.
const SYMBOLS: usize = 256;

/// What frequencies sum to.
const TOTAL: u32 = 1 << 16;

/// A distribution of samples for each position and scale: table `position * scales + scale`.
///
/// A sample is coded in two steps: whether it is 0, and, if it is not, which of 1 to 255. So both ends of an image's
/// certainty have 16 bits: a background that is almost surely 0, and what is not background.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleTables {
    positions: u16,
    scales: u16,
    frequencies: Box<[u16]>,
}

impl SampleTables {
    /// Tables from their frequencies.
    ///
    /// # Shapes
    ///
    /// `frequencies: [positions, scales, 256]`. The first of a table's is how many of 65,536 samples are 0: 1 to 65,535.
    /// The others are of 1 to 255 among those that are not 0: each is at least 1, and they sum to 65,536.
    pub fn new(positions: u16, scales: u16, frequencies: Vec<u16>) -> Result<Self, LatentError> {
        let tables = usize::from(positions) * usize::from(scales);
        if !(1..=MAX_TABLES).contains(&tables) {
            return Err(LatentError::invalid(format_args!("it has {tables} tables, and may have 1 to {MAX_TABLES}")));
        }
        if frequencies.len() != tables * SYMBOLS {
            let found = frequencies.len();
            return Err(LatentError::invalid(format_args!("{tables} tables have {found} frequencies, not 256 each")));
        }
        for (number, table) in frequencies.chunks_exact(SYMBOLS).enumerate() {
            let others: u32 = table[1..].iter().map(|frequency| u32::from(*frequency)).sum();
            if table.contains(&0) || others != TOTAL {
                return Err(LatentError::invalid(format_args!("table {number} has a symbol that cannot be coded")));
            }
        }
        Ok(Self { positions, scales, frequencies: frequencies.into() })
    }

    /// Tables from counts of samples, `[positions, scales, 256]`, as they fit those counts best. Add what smoothing there
    /// shall be before: a count of 0 is taken for 1.
    pub fn from_counts(positions: u16, scales: u16, counts: &[u32]) -> Result<Self, LatentError> {
        let mut all = Vec::with_capacity(counts.len());
        for table in counts.chunks(SYMBOLS) {
            let others: u64 = table.iter().skip(1).map(|count| u64::from(*count)).sum();
            let others = u32::try_from(others).unwrap_or(u32::MAX);
            let zero = frequencies(&[table[0].max(1), others.max(1)])?;
            all.push(zero[0]);
            all.extend(frequencies(&table[1..])?);
        }
        Self::new(positions, scales, all)
    }

    /// How many positions there are.
    pub fn positions(&self) -> u16 {
        self.positions
    }

    /// How many scales there are for each position.
    pub fn scales(&self) -> u16 {
        self.scales
    }

    /// All frequencies, table by table.
    pub fn frequencies(&self) -> &[u16] {
        &self.frequencies
    }
}

/// The frequencies, of 65,536 and each at least 1, that code these counts in the fewest bits. There are two counts at
/// least; a count of 0 is taken for 1.
pub fn frequencies(counts: &[u32]) -> Result<Vec<u16>, LatentError> {
    let counts: Vec<u32> = counts.iter().map(|count| (*count).max(1)).collect();
    let table = Table::from_counts(&counts, 16).map_err(LatentError::invalid)?;
    let fits = |frequency| u16::try_from(frequency).map_err(|_| LatentError::invalid("a table has a single symbol"));
    table.frequencies().map(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_fit_the_counts_that_they_are_made_of() {
        let mut counts = vec![0; 2 * SYMBOLS];
        (counts[0], counts[7], counts[SYMBOLS + 255]) = (3000, 1000, 5);
        let tables = SampleTables::from_counts(2, 1, &counts).unwrap();
        let (first, second) = tables.frequencies().split_at(SYMBOLS);
        assert_eq!((first[0], first[7] > 52_000, first[8]), (49_152, true, first[9]));
        assert_eq!(second[0], 10_923);
        assert_eq!(SampleTables::new(2, 1, tables.frequencies().to_vec()), Ok(tables));
    }

    #[test]
    fn tables_that_leave_out_a_symbol_are_refused() {
        let good = SampleTables::from_counts(1, 2, &[1; 512]).unwrap().frequencies().to_vec();
        let with = |at: usize, value: u16| {
            let mut frequencies = good.clone();
            frequencies[at] = value;
            SampleTables::new(1, 2, frequencies)
        };
        assert!(with(0, 65_535).is_ok());
        for (at, value) in [(0, 0), (256, 0), (1, 0), (511, 1), (300, 65_535)] {
            assert!(with(at, value).is_err(), "{at} {value}");
        }
        assert!(SampleTables::new(2, 2, good.clone()).is_err());
        assert!(SampleTables::new(0, 2, Vec::new()).is_err());
        assert!(SampleTables::new(u16::MAX, u16::MAX, good).is_err());
        assert!(SampleTables::from_counts(1, 1, &[1]).is_err());
        assert!(frequencies(&[5]).is_err());
    }
}
