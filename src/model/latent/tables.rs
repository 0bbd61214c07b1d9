//! The distributions that samples are coded with.

use super::{LatentError, Peaks};
use crate::engine::ZERO_LEVELS;
use crate::entropy::Table;

/// The most tables of a model.
pub const MAX_TABLES: usize = 8192;

/// Samples that are not 0.
pub const OTHERS: usize = 255;

/// Levels of zero.
const LEVELS: usize = ZERO_LEVELS as usize;

/// What frequencies sum to.
const TOTAL: u32 = 1 << 16;

/// A distribution of samples that are not 0 for each position and scale, table `position * scales + scale`, and of whether they
/// are 0 for each level of zero.
///
/// A sample is coded in two steps: whether it is 0, and, if it is not, which of 1 to 255. So both ends of an image's
/// certainty have 16 bits: a background that is almost surely 0, and what is not background.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleTables {
    positions: u16,
    scales: u16,
    zeroes: Box<[u16]>,
    frequencies: Box<[u16]>,
    peaks: Option<Peaks>,
}

impl SampleTables {
    /// Tables from their frequencies.
    ///
    /// # Shapes
    ///
    /// `zeroes: [256]`: how many of 65,536 samples are 0, by their level of zero: 1 to 65,535.
    /// `frequencies: [positions, scales, 255]` of 1 to 255 among those that are not 0: each is at least 1, and they sum to 65,536.
    pub fn new(positions: u16, scales: u16, zeroes: Vec<u16>, frequencies: Vec<u16>) -> Result<Self, LatentError> {
        let tables = usize::from(positions) * usize::from(scales);
        if !(1..=MAX_TABLES).contains(&tables) {
            return Err(LatentError::invalid(format_args!("it has {tables} tables, and may have 1 to {MAX_TABLES}")));
        }
        if frequencies.len() != tables * OTHERS {
            let found = frequencies.len();
            return Err(LatentError::invalid(format_args!("{tables} tables have {found} frequencies, not 255 each")));
        }
        if zeroes.len() != LEVELS || zeroes.contains(&0) {
            return Err(LatentError::invalid("there are not 256 levels of zero, or some say that no sample is 0"));
        }
        for (number, table) in frequencies.chunks_exact(OTHERS).enumerate() {
            let others: u32 = table.iter().map(|frequency| u32::from(*frequency)).sum();
            if table.contains(&0) || others != TOTAL {
                return Err(LatentError::invalid(format_args!("table {number} has a symbol that cannot be coded")));
            }
        }
        Ok(Self { positions, scales, zeroes: zeroes.into(), frequencies: frequencies.into(), peaks: None })
    }

    /// These tables, of which samples from a threshold on have no more than their sum: which one it is, its neighbours tell.
    pub fn with_peaks(self, peaks: Option<Peaks>) -> Self {
        Self { peaks, ..self }
    }

    /// The highest values, if neighbours tell them.
    pub fn peaks(&self) -> Option<&Peaks> {
        self.peaks.as_ref()
    }

    /// Tables from counts of samples, as they fit those counts best: `zeroes: [256]` of those that are 0 and that are not, and
    /// `counts: [positions, scales, 255]` of these. Add what smoothing there shall be before: a count of 0 is taken for 1.
    pub fn from_counts(positions: u16, scales: u16, zeroes: &[[u32; 2]], counts: &[u32]) -> Result<Self, LatentError> {
        let zeroes = zeroes.iter().map(|counts| Ok(frequencies(counts)?[0])).collect::<Result<_, LatentError>>()?;
        let mut all = Vec::with_capacity(counts.len());
        for table in counts.chunks(OTHERS) {
            all.extend(frequencies(table)?);
        }
        Self::new(positions, scales, zeroes, all)
    }

    /// How many positions there are.
    pub fn positions(&self) -> u16 {
        self.positions
    }

    /// How many scales there are for each position.
    pub fn scales(&self) -> u16 {
        self.scales
    }

    /// How many of 65,536 samples are 0, by level.
    pub fn zeroes(&self) -> &[u16] {
        &self.zeroes
    }

    /// All frequencies of samples that are not 0, table by table.
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
        let (mut zeroes, mut counts) = (vec![[1, 1]; LEVELS], vec![0; 2 * OTHERS]);
        (zeroes[7], counts[6], counts[OTHERS + 254]) = ([3000, 1000], 1000, 5);
        let tables = SampleTables::from_counts(2, 1, &zeroes, &counts).unwrap();
        assert_eq!((tables.zeroes()[7], tables.zeroes()[8]), (49_152, 32_768));
        let (first, second) = tables.frequencies().split_at(OTHERS);
        assert_eq!((first[6] > 52_000, first[7], second[254] > second[0]), (true, first[8], true));
        let again = SampleTables::new(2, 1, tables.zeroes().to_vec(), tables.frequencies().to_vec());
        assert_eq!(again, Ok(tables));
    }

    #[test]
    fn tables_that_leave_out_a_symbol_are_refused() {
        let flat = vec![[1, 1]; LEVELS];
        let good = SampleTables::from_counts(1, 2, &flat, &[1; 2 * OTHERS]).unwrap();
        let (zeroes, good) = (good.zeroes().to_vec(), good.frequencies().to_vec());
        let with = |at: usize, value: u16| {
            let mut frequencies = good.clone();
            frequencies[at] = value;
            SampleTables::new(1, 2, zeroes.clone(), frequencies)
        };
        let zeroes_with = |value: u16| {
            let mut zeroes = zeroes.clone();
            zeroes[200] = value;
            SampleTables::new(1, 2, zeroes, good.clone())
        };
        assert!(zeroes_with(65_535).is_ok() && zeroes_with(1).is_ok() && zeroes_with(0).is_err());
        for (at, value) in [(0, 0), (1, 0), (509, 1), (300, 65_535)] {
            assert!(with(at, value).is_err(), "{at} {value}");
        }
        assert!(SampleTables::new(1, 2, zeroes[1..].to_vec(), good.clone()).is_err());
        assert!(SampleTables::new(2, 2, zeroes.clone(), good.clone()).is_err());
        assert!(SampleTables::new(0, 2, zeroes.clone(), Vec::new()).is_err());
        assert!(SampleTables::new(u16::MAX, u16::MAX, zeroes, good).is_err());
        assert!(SampleTables::from_counts(1, 1, &flat, &[1]).is_err());
        assert!(frequencies(&[5]).is_err());
    }
}
