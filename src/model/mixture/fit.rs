//! Fits a mixture to latents: expectation-maximisation (Dempster, Laird and Rubin 1977), begun with k-means++ (Arthur and
//! Vassilvitskii 2007).
//!
//! In `f64`, on one thread, with chance from a seed.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

use super::{MAX_COMPONENTS, Mixture, MixtureError, triangle};

/// The fewest records that a mixture, and each of its Gaussians, is made of: a model holds nothing that fewer records had.
pub const FEWEST: usize = 5;

/// The sum of a mixture's weights, about.
const WEIGHT: f64 = (1 << 24) as f64;

/// It has converged when the mean log-likelihood of a sample rises by less.
const RISE: f64 = 1e-4;

/// How a mixture is fitted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    /// Gaussians at most.
    pub components: usize,
    /// Records of a Gaussian at least, so that its covariance is one of many; `FEWEST` at least.
    pub members: usize,
    /// Rounds at most.
    pub rounds: usize,
    /// Added to each variance.
    pub floor: f64,
}

impl Default for Fit {
    fn default() -> Self {
        Self { components: 10, members: 60, rounds: 60, floor: 1e-3 }
    }
}

/// The mixture of `samples: [records * draws, L]`: samples of each record's posterior, `draws` of each record, one after the other.
pub fn fit(
    samples: &[f32],
    latents: usize,
    draws: usize,
    options: &Fit,
    rng: &mut ChaCha8Rng,
) -> Result<Mixture, MixtureError> {
    let (latents, draws) = (latents.max(1), draws.max(1));
    let rows = samples.len() / latents;
    let records = rows / draws;
    if records < FEWEST {
        return Err(MixtureError::TooFew { found: records });
    }
    let samples: Vec<f64> = samples[..rows * latents].iter().map(|value| f64::from(*value)).collect();
    let most = options.components.clamp(1, MAX_COMPONENTS);
    let components = (records / options.members.max(FEWEST)).clamp(1, most);
    let mut shares = begin(&samples, latents, components, rng);
    let mut gaussians = Vec::new();
    let mut before = f64::NEG_INFINITY;
    for _ in 0..options.rounds.max(1) {
        // A Gaussian of fewer records gives its own up to the others, in the next expectation.
        let least = (FEWEST * draws) as f64;
        gaussians = maximise(&samples, latents, &shares, options.floor, least);
        if gaussians.is_empty() {
            let all: Vec<f64> = vec![1.0; rows];
            gaussians = maximise(&samples, latents, &[all], options.floor, 0.0);
        }
        let likelihood = expect(&samples, latents, &gaussians, &mut shares);
        if likelihood - before < RISE {
            break;
        }
        before = likelihood;
    }
    let weights = gaussians.iter().map(|gaussian| (gaussian.share * WEIGHT).round().max(1.0) as u32).collect();
    let floats = |values: &[f64]| values.iter().map(|value| *value as f32).collect::<Vec<f32>>();
    let means = gaussians.iter().flat_map(|gaussian| floats(&gaussian.mean)).collect();
    let factors = gaussians.iter().flat_map(|gaussian| floats(&gaussian.factor)).collect();
    Mixture::new(weights, means, factors)
}

/// A Gaussian under way.
struct Gaussian {
    share: f64,
    mean: Vec<f64>,
    /// The rows of its covariance's Cholesky factor.
    factor: Vec<f64>,
}

/// Each sample's component, as shares of 0 and 1, `[K][rows]`: the nearest of centres that are chosen far from one another.
fn begin(samples: &[f64], latents: usize, components: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<f64>> {
    let rows = samples.len() / latents;
    let unit = |rng: &mut ChaCha8Rng| (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
    let row = |number: usize| &samples[number * latents..][..latents];
    let mut nearest = vec![(f64::INFINITY, 0usize); rows];
    let mut chosen = (unit(rng) * rows as f64) as usize;
    for component in 0..components {
        for (number, nearest) in nearest.iter_mut().enumerate() {
            let distance: f64 = row(number).iter().zip(row(chosen)).map(|(a, b)| (a - b) * (a - b)).sum();
            if distance < nearest.0 {
                *nearest = (distance, component);
            }
        }
        let all: f64 = nearest.iter().map(|(distance, _)| distance).sum();
        let mut left = unit(rng) * all;
        chosen = nearest
            .iter()
            .position(|(distance, _)| {
                left -= distance;
                left < 0.0
            })
            .unwrap_or(rows - 1);
    }
    let share = |component| nearest.iter().map(|(_, of)| if *of == component { 1.0 } else { 0.0 }).collect();
    (0..components).map(share).collect()
}

/// Gaussians of the samples that they have shares of, but for those that have less than `least` of all.
fn maximise(samples: &[f64], latents: usize, shares: &[Vec<f64>], floor: f64, least: f64) -> Vec<Gaussian> {
    let rows = samples.len() / latents;
    let of = |shares: &Vec<f64>| {
        let all: f64 = shares.iter().sum();
        if all < least.max(f64::MIN_POSITIVE) {
            return None;
        }
        let mut mean = vec![0.0; latents];
        for (row, share) in samples.chunks_exact(latents).zip(shares).filter(|(_, share)| **share > 0.0) {
            mean.iter_mut().zip(row).for_each(|(mean, value)| *mean += share * value);
        }
        mean.iter_mut().for_each(|mean| *mean /= all);
        let mut covariance = vec![0.0; triangle(latents)];
        let mut away = vec![0.0; latents];
        for (row, share) in samples.chunks_exact(latents).zip(shares).filter(|(_, share)| **share > 1e-9) {
            away.iter_mut().zip(row.iter().zip(&mean)).for_each(|(away, (value, mean))| *away = value - mean);
            let mut rest = covariance.as_mut_slice();
            for column in 0..latents {
                let (row, after) = rest.split_at_mut(column + 1);
                let weighted = share * away[column];
                row.iter_mut().zip(&away).for_each(|(sum, away)| *sum += weighted * away);
                rest = after;
            }
        }
        covariance.iter_mut().for_each(|sum| *sum /= all);
        (0..latents).for_each(|side| covariance[triangle(side + 1) - 1] += floor);
        Some(Gaussian { share: all / rows as f64, mean, factor: cholesky(&covariance, latents)? })
    };
    shares.iter().filter_map(of).collect()
}

/// Lower triangular `A` with `A Aᵀ` the matrix, all in rows of the lower triangle; `None` where it is not positive.
fn cholesky(matrix: &[f64], side: usize) -> Option<Vec<f64>> {
    let mut factor = vec![0.0; triangle(side)];
    for row in 0..side {
        for column in 0..=row {
            let (a, b) = (triangle(row), triangle(column));
            let sum: f64 = (0..column).map(|place| factor[a + place] * factor[b + place]).sum();
            let left = matrix[a + column] - sum;
            factor[a + column] = if row == column {
                if left.is_nan() || left <= 0.0 {
                    return None;
                }
                left.sqrt()
            } else {
                left / factor[b + column]
            };
        }
    }
    Some(factor)
}

/// Each Gaussian's share of each sample, `[K][rows]`, and the mean log-likelihood of a sample.
fn expect(samples: &[f64], latents: usize, gaussians: &[Gaussian], shares: &mut Vec<Vec<f64>>) -> f64 {
    let rows = samples.len() / latents;
    *shares = vec![vec![0.0; rows]; gaussians.len()];
    let mut solved = vec![0.0; latents];
    for (gaussian, shares) in gaussians.iter().zip(shares.iter_mut()) {
        let mut constant = gaussian.share.ln() - 0.5 * latents as f64 * (2.0 * std::f64::consts::PI).ln();
        (0..latents).for_each(|side| constant -= gaussian.factor[triangle(side + 1) - 1].ln());
        for (row, share) in samples.chunks_exact(latents).zip(shares.iter_mut()) {
            // `A y = x - mean` from the first number on: the square of `y` is Mahalanobis' distance.
            let (mut distance, mut rest) = (0.0, gaussian.factor.as_slice());
            for side in 0..latents {
                let (factors, after) = rest.split_at(side + 1);
                rest = after;
                let sum: f64 = factors[..side].iter().zip(&solved).map(|(factor, solved)| factor * solved).sum();
                solved[side] = (row[side] - gaussian.mean[side] - sum) / factors[side];
                distance += solved[side] * solved[side];
            }
            *share = constant - 0.5 * distance;
        }
    }
    let mut likelihood = 0.0;
    for row in 0..rows {
        let most = shares.iter().map(|shares| shares[row]).fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = shares.iter().map(|shares| (shares[row] - most).exp()).sum();
        let all = most + sum.ln();
        likelihood += all;
        shares.iter_mut().for_each(|shares| shares[row] = (shares[row] - all).exp());
    }
    likelihood / rows as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::chance::Chance;
    use rand_chacha::rand_core::SeedableRng;

    fn drawn(mixture: &Mixture, rows: u64) -> Vec<f32> {
        let mut samples = Vec::new();
        (0..rows).for_each(|number| mixture.draw(&mut Chance::of(3, number), &mut samples));
        samples
    }

    #[test]
    fn the_mixture_that_samples_come_from_is_found() {
        let truth = Mixture::new(vec![3, 1], vec![-4.0, 0.0, 4.0, 2.0], vec![1.0, 0.8, 0.6, 0.5, 0.0, 2.0]).unwrap();
        let samples = drawn(&truth, 20_000);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let options = Fit { components: 2, floor: 0.0, ..Fit::default() };
        let found = fit(&samples, 2, 1, &options, &mut rng).unwrap();
        let order: [usize; 2] = if found.weights()[0] > found.weights()[1] { [0, 1] } else { [1, 0] };
        let near = |found: &[f32], truth: &[f32]| found.iter().zip(truth).all(|(a, b)| (a - b).abs() < 0.06);
        for (place, other) in order.into_iter().enumerate() {
            assert!(near(&found.means()[other * 2..][..2], &truth.means()[place * 2..][..2]), "{found:?}");
            assert!(near(&found.factors()[other * 3..][..3], &truth.factors()[place * 3..][..3]), "{found:?}");
        }
        let share = f64::from(found.weights()[order[0]]) / WEIGHT;
        assert!((share - 0.75).abs() < 0.02, "{share}");
        assert_eq!(fit(&samples, 2, 1, &options, &mut ChaCha8Rng::seed_from_u64(1)).unwrap(), found);
    }

    #[test]
    fn no_gaussian_is_of_fewer_records_than_it_may_be() {
        let mut samples = drawn(&Mixture::new(vec![1], vec![0.0; 3], vec![1.0, 0.0, 1.0, 0.0, 0.0, 1.0]).unwrap(), 500);
        // Four records far away, with two draws each.
        samples.extend([90.0; 24]);
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let options = Fit { components: 8, members: FEWEST, ..Fit::default() };
        let found = fit(&samples, 3, 2, &options, &mut rng).unwrap();
        let total: u32 = found.weights().iter().sum();
        for (weight, mean) in found.weights().iter().zip(found.means().chunks_exact(3)) {
            assert!(f64::from(*weight) / f64::from(total) >= 0.98 * 5.0 / 254.0);
            assert!(mean[0] < 80.0, "a Gaussian of the four: {mean:?}");
        }
        assert_eq!(fit(&samples[..24], 3, 2, &options, &mut rng), Err(MixtureError::TooFew { found: 4 }));
    }
}
