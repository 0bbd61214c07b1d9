//! The highest values, counted by those next to them.

use super::calibrate::{cost, whole};
use crate::model::latent::{LEAST_THRESHOLD, LatentError, MAX_CONTEXTS, Peaks, frequencies};
use crate::payload::image::Shape;

/// Values that may be peaks.
const VALUES: usize = 256 - LEAST_THRESHOLD as usize;

/// Digits of the contexts that are counted: those of the lowest threshold.
const DIGITS: usize = VALUES + 1;

/// What the distribution of fewer neighbours weighs, in samples: the candidates among which validation images choose.
const WEIGHTS: [f64; 4] = [1.0, 4.0, 16.0, 64.0];

/// What peaks must save of the bits that they take.
const WORTH: f64 = 0.02;

/// How often each of the highest values came, by its neighbours, as the lowest threshold sees them. Those of every other threshold
/// and number of neighbours are sums of these.
#[derive(Debug)]
struct PeakCounts {
    near: usize,
    /// `[DIGITS ^ near, VALUES]`.
    counts: Vec<u32>,
}

/// Peaks, and what they take of validation images.
#[derive(Clone, Debug)]
pub(super) struct ChosenPeaks {
    pub peaks: Peaks,
    pub bits: f64,
}

/// The peaks of these images, `[images, D]`, if neighbours tell them: as many of them as all nets look at.
pub(super) fn choose(
    [training, validation]: [&[u8]; 2],
    shape: Shape,
    near: usize,
) -> Result<Option<ChosenPeaks>, LatentError> {
    match near {
        0 => Ok(None),
        _ if training.iter().all(|sample| *sample < LEAST_THRESHOLD) => Ok(None),
        _ => PeakCounts::of(training, shape, near).choose(&PeakCounts::of(validation, shape, near)),
    }
}

impl PeakCounts {
    /// None yet.
    fn new(near: usize) -> Self {
        Self { near, counts: vec![0; DIGITS.pow(near as u32) * VALUES] }
    }

    fn of(images: &[u8], shape: Shape, near: usize) -> Self {
        let mut counts = Self::new(near);
        let (height, width) = (shape.height(), shape.width());
        for plane in images.chunks_exact(height * width) {
            for (at, sample) in plane.iter().enumerate().filter(|(_, sample)| **sample >= LEAST_THRESHOLD) {
                let around = |up: i8, left: i8| {
                    let (row, column) = ((at / width).checked_add_signed(up.into()), at % width);
                    let column = column.checked_add_signed(left.into()).filter(|column| *column < width);
                    row.zip(column).map_or(0, |(row, column)| plane[row * width + column])
                };
                let context = Peaks::context(LEAST_THRESHOLD, near, around);
                counts.counts[context * VALUES + usize::from(sample - LEAST_THRESHOLD)] += 1;
            }
        }
        counts
    }

    /// `[contexts, values]` of a threshold and all neighbours.
    fn above(&self, threshold: u8) -> Vec<u32> {
        let (values, below) = (256 - usize::from(threshold), usize::from(threshold - LEAST_THRESHOLD));
        let mut sums = vec![0; (values + 1).pow(self.near as u32) * values];
        for (context, counts) in self.counts.chunks_exact(VALUES).enumerate() {
            if counts[below..].iter().all(|count| *count == 0) {
                continue;
            }
            let (mut rest, mut here, mut place) = (context, 0, 1);
            for _ in 0..self.near {
                here += place * (rest % DIGITS).saturating_sub(below);
                (rest, place) = (rest / DIGITS, place * (values + 1));
            }
            sums[here * values..][..values].iter_mut().zip(&counts[below..]).for_each(|(sum, count)| *sum += count);
        }
        sums
    }

    /// The peaks that save most of validation counts, of these training counts, against one distribution for each threshold;
    /// none where that is little.
    fn choose(&self, validation: &Self) -> Result<Option<ChosenPeaks>, LatentError> {
        let mut best: Option<(f64, f64, u8, usize, Vec<f64>)> = None;
        for threshold in LEAST_THRESHOLD..=254 {
            let values = 256 - usize::from(threshold);
            let (ours, theirs) = (self.above(threshold), validation.above(threshold));
            for weight in WEIGHTS {
                let even = vec![1.0 / values as f64; values];
                let mut tables = smoothed(&summed(&ours, 1, values), &even, weight);
                let plain = cost(&tables, &summed(&theirs, 1, values));
                for near in 1..=self.near {
                    let contexts = (values + 1).pow(near as u32);
                    if contexts > MAX_CONTEXTS {
                        break;
                    }
                    let [counts, others] = [&ours, &theirs].map(|counts| summed(counts, contexts, values));
                    let fewer = |context: usize| &tables[context / (values + 1) * values..][..values];
                    let all = counts.chunks_exact(values).enumerate();
                    tables = all.flat_map(|(context, counts)| smoothed(counts, fewer(context), weight)).collect();
                    let pairs = tables.chunks_exact(values).zip(others.chunks_exact(values));
                    let bits = pairs.map(|(table, counts)| cost(table, counts)).sum::<f64>();
                    let saved = plain - bits;
                    if saved > WORTH * plain && best.as_ref().is_none_or(|(most, ..)| saved > *most) {
                        best = Some((saved, bits, threshold, near, tables.clone()));
                    }
                }
            }
        }
        let Some((_, bits, threshold, near, tables)) = best else { return Ok(None) };
        let mut all = Vec::with_capacity(tables.len());
        for table in tables.chunks_exact(256 - usize::from(threshold)) {
            // Shares, as counts of many.
            all.extend(frequencies(&whole(&table.iter().map(|share| share * 65_536.0).collect::<Vec<_>>()))?);
        }
        Ok(Some(ChosenPeaks { peaks: Peaks::new(threshold, near, all)?, bits }))
    }
}

/// Counts by the first neighbours alone, `[contexts, values]`: the first has the highest digit.
fn summed(counts: &[u32], contexts: usize, values: usize) -> Vec<u32> {
    let behind = counts.len() / contexts;
    let sum =
        |context: usize, value: usize| counts[context * behind..][..behind].iter().skip(value).step_by(values).sum();
    (0..contexts).flat_map(|context| (0..values).map(move |value| sum(context, value))).collect()
}

/// Shares of counts, begun with those of fewer neighbours.
fn smoothed(counts: &[u32], before: &[f64], weight: f64) -> Vec<f64> {
    let all = f64::from(counts.iter().sum::<u32>()) + weight;
    counts.iter().zip(before).map(|(count, share)| (f64::from(*count) + share * weight) / all).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Peaks that are mostly as the one before them.
    fn echoes(seed: u64, count: usize) -> PeakCounts {
        let mut counts = PeakCounts::new(2);
        let (mut state, mut before) = (seed, [0usize; 2]);
        for _ in 0..count {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let chance = (state >> 40) as usize;
            let value = if !chance.is_multiple_of(8) && before[0] > 0 { before[0] - 1 } else { 4 + chance / 8 % 4 };
            counts.counts[(before[0] * DIGITS + before[1]) * VALUES + value] += 1;
            before = [value + 1, before[0]];
        }
        counts
    }

    #[test]
    fn peaks_that_neighbours_tell_are_told_from_them() {
        let (training, validation) = (echoes(1, 20_000), echoes(2, 2000));
        let chosen = training.choose(&validation).unwrap().unwrap();
        // Seven of eight are as the one before them, and the others one of four.
        assert!((1000.0..1500.0).contains(&chosen.bits), "{}", chosen.bits);
        assert!(chosen.peaks.threshold() <= 252, "{chosen:?}");
        // The same, whatever is beside it.
        let alike = |times: u32| {
            let mut counts = PeakCounts::new(2);
            for context in counts.counts.chunks_exact_mut(VALUES) {
                context.iter_mut().zip(1..).for_each(|(count, place)| *count = place * times);
            }
            counts
        };
        assert!(alike(9).choose(&alike(1)).unwrap().is_none());
    }

    #[test]
    fn images_are_counted_by_their_own_samples_alone() {
        let shape: Shape = "8x8".parse().unwrap();
        let mut images = vec![0; 128];
        // The last of a row, the first of the next one, and the first of the next image.
        images[15] = 250;
        (images[16], images[64]) = (255, 248);
        let counts = PeakCounts::of(&images, shape, 6);
        assert_eq!((counts.counts.iter().sum::<u32>(), &counts.counts[..VALUES]), (3, &[1, 0, 1, 0, 0, 0, 0, 1][..]));
        (images[14], images[7]) = (255, 251);
        let counts = PeakCounts::of(&images, shape, 2);
        let context = 8 * DIGITS + 4;
        assert_eq!(counts.counts[context * VALUES + 2], 1);
    }

    #[test]
    fn counts_of_a_higher_threshold_are_sums() {
        let mut counts = PeakCounts::new(2);
        // Neighbours 250 and 254, and below 248: once each, of 253.
        for context in [3 * DIGITS + 7, 0] {
            counts.counts[context * VALUES + 5] += 1;
        }
        let above = counts.above(252);
        // Digits to five: 250 is no peak now, 254 is the third.
        let expected = |context: usize| above[context * 4 + 1];
        assert_eq!((above.iter().sum::<u32>(), expected(3), expected(0)), (2, 1, 1));
        assert_eq!(summed(&above, 5, 4)[1], 2);
    }
}
