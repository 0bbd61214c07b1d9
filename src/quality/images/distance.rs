//! How far two sets of features are apart.

use super::Features;
use super::eigen::Eigen;

/// Mean and covariance of features.
#[derive(Debug)]
pub(super) struct Moments {
    mean: Vec<f64>,
    /// `[width, width]`.
    covariance: Vec<f64>,
}

impl Moments {
    /// Of two rows or more.
    pub fn of(features: &Features<'_>) -> Self {
        let (width, rows) = (features.width, features.rows());
        let mut mean = vec![0.0; width];
        for row in features.values.chunks_exact(width) {
            mean.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
        mean.iter_mut().for_each(|sum| *sum /= rows as f64);
        let mut covariance = vec![0.0; width * width];
        let mut away = vec![0.0; width];
        for row in features.values.chunks_exact(width) {
            away.iter_mut().zip(row.iter().zip(&mean)).for_each(|(away, (value, mean))| *away = value - mean);
            for (weight, sums) in away.iter().zip(covariance.chunks_exact_mut(width)) {
                sums.iter_mut().zip(&away).for_each(|(sum, away)| *sum += weight * away);
            }
        }
        covariance.iter_mut().for_each(|sum| *sum /= (rows - 1) as f64);
        Self { mean, covariance }
    }

    /// Frechet's distance of the Gaussians with these moments (Dowson and Landau 1982; Heusel et al. 2017, arXiv:1706.08500):
    /// `|m - n|² + tr(C + D - 2 (C^½ D C^½)^½)`.
    pub fn frechet(&self, other: &Self) -> f64 {
        let width = self.mean.len();
        let means: f64 = self.mean.iter().zip(&other.mean).map(|(a, b)| (a - b) * (a - b)).sum();
        let trace = |matrix: &[f64]| matrix.iter().step_by(width + 1).sum::<f64>();
        let root = Eigen::of(self.covariance.clone(), width).root();
        let product = multiply(&multiply(&root, &other.covariance, width), &root, width);
        let both: f64 = Eigen::of(product, width).values.iter().map(|value| value.max(0.0).sqrt()).sum();
        (means + trace(&self.covariance) + trace(&other.covariance) - 2.0 * both).max(0.0)
    }
}

fn multiply(a: &[f64], b: &[f64], side: usize) -> Vec<f64> {
    let mut product = vec![0.0; side * side];
    for (row, sums) in a.chunks_exact(side).zip(product.chunks_exact_mut(side)) {
        for (weight, values) in row.iter().zip(b.chunks_exact(side)) {
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += weight * value);
        }
    }
    product
}

/// The squared maximum mean discrepancy without bias, with the kernel `(x·y / width + 1)³` (Binkowski et al. 2018, arXiv:1801.01401).
/// Of equal distributions it is 0 on average, and may be less.
pub(super) fn kernel_distance(a: &Features<'_>, b: &Features<'_>) -> f64 {
    let kernel = |x: &[f64], y: &[f64]| {
        let product: f64 = x.iter().zip(y).map(|(x, y)| x * y).sum();
        (product / x.len() as f64 + 1.0).powi(3)
    };
    let within = |features: &Features<'_>| {
        let rows = features.rows();
        let pairs = (0..rows).flat_map(|one| (0..one).map(move |other| (one, other)));
        let sum: f64 = pairs.map(|(one, other)| kernel(features.row(one), features.row(other))).sum();
        2.0 * sum / (rows * (rows - 1)) as f64
    };
    let pairs = (0..a.rows()).flat_map(|one| (0..b.rows()).map(move |other| (one, other)));
    let between: f64 = pairs.map(|(one, other)| kernel(a.row(one), b.row(other))).sum();
    within(a) + within(b) - 2.0 * between / (a.rows() * b.rows()) as f64
}

/// The share of real rows with a generated one no farther than their `k`th nearest real one, and how many such neighbourhoods
/// a generated row lies in, over `k` (Naeem et al. 2020, arXiv:2002.09797).
pub(super) fn coverage(real: &Features<'_>, generated: &Features<'_>, k: usize) -> (f64, f64) {
    let distance = |x: &[f64], y: &[f64]| -> f64 { x.iter().zip(y).map(|(x, y)| (x - y) * (x - y)).sum() };
    let (mut covered, mut inside) = (0usize, 0usize);
    for number in 0..real.rows() {
        let row = real.row(number);
        let others = (0..real.rows()).filter(|other| *other != number);
        let mut distances: Vec<f64> = others.map(|other| distance(row, real.row(other))).collect();
        let place = (k - 1).min(distances.len() - 1);
        let radius = *distances.select_nth_unstable_by(place, f64::total_cmp).1;
        let near = (0..generated.rows()).filter(|other| distance(row, generated.row(*other)) <= radius).count();
        covered += usize::from(near > 0);
        inside += near;
    }
    (covered as f64 / real.rows() as f64, inside as f64 / (k * generated.rows()) as f64)
}
