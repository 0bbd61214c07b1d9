//! What the integer networks say of images, counted: the tables that samples and latent numbers are coded with.

use crate::engine::{CausalNet, CausalNets, Kernel, Layer, Planes, Scratch};
use crate::model::latent::{Autoencoder, LatentError, SampleTables, frequencies, raise};
use crate::payload::image::Shape;

/// Symbols of a sample.
const SYMBOLS: usize = 256;

/// What the expected distribution weighs in a table, in samples: the candidates among which validation images choose.
const WEIGHTS: [f64; 7] = [0.5, 2.0, 8.0, 32.0, 128.0, 512.0, 2048.0];

/// Counts are multiplied by so much, so that parts of a sample count.
const FINENESS: f64 = 64.0;

/// How often samples fell on each table, and latent numbers on each of theirs.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Counts {
    /// `[tables, 256]`.
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
        let mut counts = Counts { samples: vec![0; self.tables * SYMBOLS], latents: vec![0; latents * levels] };
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
            let samples = &mut counts.samples;
            self.nets.encode(kernel, &mut planes, image, |table, value| {
                samples[usize::from(table) * SYMBOLS + usize::from(value)] += 1;
            });
        }
        counts
    }
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

/// Tables of training counts, each begun with its expected distribution, which weighs so many samples as is best for the validation
/// counts.
pub(super) fn calibrate(
    [positions, scales]: [u16; 2],
    levels: usize,
    expected: &[f64],
    training: &Counts,
    validation: &Counts,
) -> Result<Calibrated, LatentError> {
    let mut best: Option<(f64, SampleTables)> = None;
    for weight in WEIGHTS {
        let mut smoothed = Vec::with_capacity(expected.len());
        for (counts, shares) in training.samples.chunks_exact(SYMBOLS).zip(expected.chunks_exact(SYMBOLS)) {
            let sum: f64 = counts.iter().map(|count| f64::from(*count)).sum();
            // As fine as leaves room in 32 bits.
            let fineness = (f64::from(u32::MAX >> 1) / (sum + 2.0 * weight)).min(FINENESS);
            let count = |(count, share): (&u32, &f64)| ((f64::from(*count) + share * weight) * fineness).round() as u32;
            smoothed.extend(counts.iter().zip(shares).map(count));
        }
        let tables = SampleTables::from_counts(positions, scales, &smoothed)?;
        let bits = sample_bits(tables.frequencies(), &validation.samples);
        if best.as_ref().is_none_or(|(least, _)| bits < *least) {
            best = Some((bits, tables));
        }
    }
    let (samples, tables) = best.expect("there are weights to choose from");
    let mut latents = Vec::with_capacity(training.latents.len());
    for counts in training.latents.chunks_exact(levels.max(1)) {
        let smoothed: Vec<u32> = counts.iter().map(|count| count.saturating_mul(4) + 1).collect();
        latents.extend(frequencies(&smoothed)?);
    }
    let bits =
        latents.iter().zip(&validation.latents).map(|(frequency, count)| cost(*count, *frequency)).sum::<f64>().abs();
    Ok(Calibrated { tables, latents, bits: [bits, samples] })
}

/// Bits of so many symbols of a frequency of 65,536.
fn cost(count: u32, frequency: u16) -> f64 {
    f64::from(count) * (16.0 - f64::from(frequency).log2())
}

/// Bits of samples with these tables: whether it is 0, and, if not, which other.
fn sample_bits(frequencies: &[u16], counts: &[u32]) -> f64 {
    let each = frequencies.chunks_exact(SYMBOLS).zip(counts.chunks_exact(SYMBOLS));
    each.map(|(frequencies, counts)| {
        let others: u32 = counts[1..].iter().sum();
        // 65,536 - f fits: f is at least 1.
        let other = f64::from(others) * (16.0 - (65_536.0 - f64::from(frequencies[0])).log2());
        counts.iter().zip(frequencies).map(|(count, frequency)| cost(*count, *frequency)).sum::<f64>() + other
    })
    .sum()
}
