//! What the integer networks say of images, counted: the tables that samples and latent numbers are coded with.

use super::peaks::ChosenPeaks;
use crate::engine::{CausalNet, CausalNets, Kernel, Layer, Planes, Scratch, ZERO_LEVELS};
use crate::model::latent::{Autoencoder, LatentError, OTHERS, SampleTables, frequencies, raise};
use crate::payload::image::Shape;

/// What the expected distribution weighs in a table, in samples: the candidates among which validation images choose.
const WEIGHTS: [f64; 7] = [0.5, 2.0, 8.0, 32.0, 128.0, 512.0, 2048.0];

/// What a table's neighbours, those of the next positions and scales, count for in it: the candidates.
const SHARES: [f64; 4] = [0.0, 0.03, 0.1, 0.3];

/// Counts are multiplied by so much, so that parts of a sample count.
const FINENESS: f64 = 64.0;

/// How often samples fell on each table, and latent numbers on each of theirs.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Counts {
    /// `[256]`: those that are 0 and that are not, by level of zero.
    pub zeroes: Vec<[u32; 2]>,
    /// `[tables, 255]` of those that are not.
    pub samples: Vec<u32>,
    /// `[L, 2 limit + 1]`.
    pub latents: Vec<u32>,
}

/// The networks whose outputs are counted.
pub(super) struct Counter {
    shape: Shape,
    autoencoder: Option<([Layer; 4], u8)>,
    nets: CausalNets,
    tables: usize,
}

impl Counter {
    pub fn new(
        shape: Shape,
        autoencoder: Option<&Autoencoder>,
        nets: &[CausalNet],
        [positions, scales]: [u16; 2],
    ) -> Self {
        let layers = |halves: &Autoencoder| {
            let [first, second] = &halves.encoder;
            let [third, fourth] = &halves.generator;
            ([first, second, third, fourth].map(Layer::new), halves.limit)
        };
        Self {
            shape,
            autoencoder: autoencoder.map(layers),
            nets: CausalNets::new(shape.height(), shape.width(), nets, positions, scales),
            tables: usize::from(positions) * usize::from(scales),
        }
    }

    /// Counts images, `[images, D]`.
    pub fn count(&self, images: &[u8]) -> Counts {
        let kernel = Kernel::best();
        let levels = self.autoencoder.as_ref().map_or(0, |(_, limit)| 2 * usize::from(*limit) + 1);
        let latents = self.autoencoder.as_ref().map_or(0, |(layers, _)| layers[1].outputs());
        let mut counts = Counts {
            zeroes: vec![[0; 2]; ZERO_LEVELS.into()],
            samples: vec![0; self.tables * OTHERS],
            latents: vec![0; latents * levels],
        };
        let (mut scratch, mut planes, mut hidden, mut latent) = <(Scratch, Planes, Vec<u8>, Vec<i16>)>::default();
        let mut raised = Vec::new();
        for image in images.chunks_exact(self.shape.samples()) {
            if let Some(([first, second, third, fourth], limit)) = &self.autoencoder {
                first.relu(kernel, image, &mut scratch, &mut hidden);
                second.signed(kernel, &hidden, i16::from(*limit), &mut scratch, &mut latent);
                for (counts, number) in counts.latents.chunks_exact_mut(levels).zip(&latent) {
                    counts[(number + i16::from(*limit)) as usize] += 1;
                }
                raise(&latent, &mut raised);
                third.relu(kernel, &raised, &mut scratch, &mut hidden);
                fourth.relu(kernel, &hidden, &mut scratch, &mut planes.features);
            }
            let (zeroes, samples) = (&mut counts.zeroes, &mut counts.samples);
            self.nets.encode(kernel, &mut planes, image, |name, value, _| {
                zeroes[usize::from(name.zero())][usize::from(value != 0)] += 1;
                if value != 0 {
                    samples[usize::from(name.table()) * OTHERS + usize::from(value) - 1] += 1;
                }
            });
        }
        counts
    }
}

/// What counts are thought to be like before there are any.
#[derive(Debug)]
pub(super) struct Expected {
    /// `[256]`: the share of samples that are 0, by level of zero.
    pub zeroes: Vec<f64>,
    /// `[tables, 255]`: distributions of those that are not.
    pub samples: Vec<f64>,
}

/// What is counted of each value where all from a threshold on are one: that has the counts of all.
fn merged<T: Copy + Default + std::ops::AddAssign>(counts: &[T], threshold: u8) -> Vec<T> {
    let mut merged = counts.to_vec();
    let first = usize::from(threshold) - 1;
    for table in merged.chunks_exact_mut(OTHERS) {
        let (all, others) = table[first..].split_first_mut().expect("a threshold is a value");
        for other in others {
            *all += std::mem::take(other);
        }
    }
    merged
}

/// Tables of counts, and what they take.
#[derive(Debug)]
pub(super) struct Calibrated {
    pub tables: SampleTables,
    /// `[L, 2 limit + 1]`.
    pub latents: Vec<u16>,
    /// Bits of all validation images with them, latent numbers and samples.
    pub bits: [f64; 2],
}

/// Tables of training counts, each begun with its expected distribution and with a share of its neighbours' counts, as much of
/// both as is best for the validation counts.
pub(super) fn calibrate(
    [positions, scales]: [u16; 2],
    levels: usize,
    expected: &Expected,
    training: &Counts,
    validation: &Counts,
    peaks: Option<ChosenPeaks>,
) -> Result<Calibrated, LatentError> {
    let threshold = peaks.as_ref().map_or(u8::MAX, |chosen| chosen.peaks.threshold());
    let (trained, validated) = (merged(&training.samples, threshold), merged(&validation.samples, threshold));
    let expected_samples = merged(&expected.samples, threshold);
    let counts: Vec<f64> = trained.iter().map(|count| f64::from(*count)).collect();
    let shared = shared(&counts, [positions, scales].map(usize::from));
    let mut best: Option<(f64, Vec<f64>)> = None;
    for share in SHARES {
        for weight in WEIGHTS {
            let mut smoothed = Vec::with_capacity(counts.len());
            let all = counts.iter().zip(&shared).zip(&expected_samples);
            smoothed.extend(all.map(|((count, near), expected)| count + near * share + expected * weight));
            let tables = smoothed.chunks_exact(OTHERS).zip(validated.chunks_exact(OTHERS));
            let bits = tables.map(|(table, counts)| cost(table, counts)).sum();
            if best.as_ref().is_none_or(|(least, _)| bits < *least) {
                best = Some((bits, smoothed));
            }
        }
    }
    let (samples, smoothed) = best.expect("there are weights to choose from");
    let smoothed: Vec<u32> = smoothed.chunks_exact(OTHERS).flat_map(whole).collect();
    let mut best: Option<(f64, Vec<[f64; 2]>)> = None;
    for weight in WEIGHTS {
        let all = training.zeroes.iter().zip(&expected.zeroes);
        let smoothed: Vec<[f64; 2]> = all
            .map(|([zero, other], share)| {
                [f64::from(*zero) + share * weight, f64::from(*other) + (1.0 - share) * weight]
            })
            .collect();
        let bits = smoothed.iter().zip(&validation.zeroes).map(|(table, counts)| cost(table, counts)).sum();
        if best.as_ref().is_none_or(|(least, _)| bits < *least) {
            best = Some((bits, smoothed));
        }
    }
    let (flags, zeroes) = best.expect("there are weights to choose from");
    let zeroes: Vec<u32> = zeroes.iter().flat_map(|table| whole(table)).collect();
    let which = peaks.as_ref().map_or(0.0, |chosen| chosen.bits);
    let tables = SampleTables::from_counts(positions, scales, zeroes.as_chunks().0, &smoothed)?;
    let tables = tables.with_peaks(peaks.map(|chosen| chosen.peaks));
    let mut latents = Vec::with_capacity(training.latents.len());
    for counts in training.latents.chunks_exact(levels.max(1)) {
        let smoothed: Vec<u32> = counts.iter().map(|count| count.saturating_mul(4) + 1).collect();
        latents.extend(frequencies(&smoothed)?);
    }
    let bits = latents.chunks_exact(levels.max(1)).zip(validation.latents.chunks_exact(levels.max(1)));
    let bits = bits.map(|(table, counts)| cost(&table.iter().map(|f| f64::from(*f)).collect::<Vec<_>>(), counts)).sum();
    Ok(Calibrated { tables, latents, bits: [bits, samples + flags + which] })
}

/// For each table the counts of those beside it, `[positions, scales, 255]`.
fn shared(counts: &[f64], [positions, scales]: [usize; 2]) -> Vec<f64> {
    let mut sums = vec![0.0; counts.len()];
    for (table, sums) in sums.chunks_exact_mut(OTHERS).enumerate() {
        let (position, scale) = (table / scales, table % scales);
        let mut add = |table: usize| {
            sums.iter_mut().zip(&counts[table * OTHERS..][..OTHERS]).for_each(|(sum, count)| *sum += count);
        };
        if position > 0 {
            add(table - scales);
        }
        if position + 1 < positions {
            add(table + scales);
        }
        if scale > 0 {
            add(table - 1);
        }
        if scale + 1 < scales {
            add(table + 1);
        }
    }
    sums
}

/// Counts with parts as whole ones, as fine as leaves room in 32 bits.
pub(super) fn whole(counts: &[f64]) -> Vec<u32> {
    let fineness = (f64::from(u32::MAX >> 1) / (counts.iter().sum::<f64>() + 1.0)).min(FINENESS);
    counts.iter().map(|count| (count * fineness).round() as u32).collect()
}

/// Bits of so many of each symbol, with these counts for frequencies.
pub(super) fn cost(table: &[f64], counts: &[u32]) -> f64 {
    if counts.iter().all(|count| *count == 0) {
        return 0.0;
    }
    let sum: f64 = table.iter().sum();
    let symbols = table.iter().zip(counts).filter(|(_, count)| **count > 0);
    symbols.map(|(share, count)| f64::from(*count) * (sum / share.max(f64::MIN_POSITIVE)).log2()).sum()
}
