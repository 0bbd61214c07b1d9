//! The highest values, told from those next to them.

use super::LatentError;
use crate::engine::Neighbour;

/// Neighbours that peaks are told from, the most telling first.
const NEAR: [(i8, i8); 6] = [(0, -1), (-1, 0), (-1, 1), (-1, -1), (0, -2), (-2, 0)];

/// The lowest threshold.
pub const LEAST_THRESHOLD: u8 = 248;

/// The most contexts.
pub const MAX_CONTEXTS: usize = 1 << 16;

/// Which of the highest values a sample has, given that it has one of them, by those of the samples next to it.
///
/// Strokes, skies and papers are as bright as can be, and often by a value or two less: which one is nothing that a smooth
/// distribution says, and much that neighbours do. A sample of `threshold` or more is a *peak*. Its context has a digit for each of
/// `near` neighbours: 0 if that is no peak, else by how much it is above the threshold, and one more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peaks {
    threshold: u8,
    near: usize,
    frequencies: Box<[u16]>,
}

impl Peaks {
    /// Peaks from a threshold of 248 to 254 on, told from the first so many neighbours, 1 to 6.
    ///
    /// # Shapes
    ///
    /// `frequencies: [contexts, values]`: `values` is 256 less the threshold, `contexts` the power of one more, 65,536 at most. Each is at
    /// least 1, and those of a context sum to 65,536.
    pub fn new(threshold: u8, near: usize, frequencies: Vec<u16>) -> Result<Self, LatentError> {
        let (values, contexts) = Self::size(threshold, near)?;
        if frequencies.len() != contexts * values {
            let found = frequencies.len();
            return Err(LatentError::invalid(format_args!("{contexts} contexts of peaks have {found} frequencies")));
        }
        for table in frequencies.chunks_exact(values) {
            if table.contains(&0) || table.iter().map(|frequency| u32::from(*frequency)).sum::<u32>() != 1 << 16 {
                return Err(LatentError::invalid("frequencies of peaks are 0, or do not sum to 65,536"));
            }
        }
        Ok(Self { threshold, near, frequencies: frequencies.into() })
    }

    /// How many values and contexts there are.
    pub(super) fn size(threshold: u8, near: usize) -> Result<(usize, usize), LatentError> {
        if !(LEAST_THRESHOLD..=254).contains(&threshold) || !(1..=NEAR.len()).contains(&near) {
            return Err(LatentError::invalid("peaks begin below 248 or above 254, or have no neighbours, or over 6"));
        }
        let values = 256 - usize::from(threshold);
        match (values + 1).pow(near as u32) {
            contexts if contexts <= MAX_CONTEXTS => Ok((values, contexts)),
            contexts => Err(LatentError::invalid(format_args!("peaks have {contexts} contexts, over 65,536"))),
        }
    }

    /// The lowest peak.
    pub fn threshold(&self) -> u8 {
        self.threshold
    }

    /// How many neighbours tell them.
    pub fn near(&self) -> usize {
        self.near
    }

    /// The frequencies, context by context.
    pub fn frequencies(&self) -> &[u16] {
        &self.frequencies
    }

    /// How many neighbours may tell peaks where nets look at these: the first of their own that are among them.
    pub fn most_near(neighbours: &[Neighbour]) -> usize {
        let seen =
            |(row, column): &(i8, i8)| neighbours.contains(&Neighbour { channel: 0, row: *row, column: *column });
        NEAR.iter().take_while(|near| seen(near)).count()
    }

    /// The context of a peak, by the samples so many rows and columns away from it.
    #[inline(always)]
    pub fn context(threshold: u8, near: usize, around: impl Fn(i8, i8) -> u8) -> usize {
        let digits = 257 - usize::from(threshold);
        let digit = |(row, column): &(i8, i8)| usize::from(around(*row, *column).saturating_sub(threshold - 1));
        NEAR.iter().take(near).fold(0, |context, near| context * digits + digit(near))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_that_leave_out_a_value_are_refused() {
        let even = |threshold: u8, near: u32| {
            let values = 256 - usize::from(threshold);
            let mut table = vec![(65_536 / values) as u16; values];
            table[0] += (65_536 % values) as u16;
            table.repeat((values + 1).pow(near))
        };
        for (threshold, near) in [(254, 1), (252, 6), (248, 5), (250, 5)] {
            let peaks = Peaks::new(threshold, near as usize, even(threshold, near)).unwrap();
            assert_eq!(Peaks::new(threshold, near as usize, peaks.frequencies().to_vec()), Ok(peaks));
        }
        for (threshold, near) in [(255, 1), (247, 1), (252, 0), (252, 7), (248, 6)] {
            assert!(Peaks::new(threshold, near, vec![32_768; 8]).is_err(), "{threshold} {near}");
        }
        let with = |at: usize, value: u16| {
            let mut frequencies = even(252, 2);
            frequencies[at] = value;
            Peaks::new(252, 2, frequencies)
        };
        assert!(with(0, 16_384).is_ok() && with(0, 0).is_err() && with(99, 16_385).is_err());
        assert!(Peaks::new(252, 2, even(252, 3)).is_err());
    }
}
