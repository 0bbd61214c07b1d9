//! Mixtures of Gaussians: which latents what is real has, as an encoder sees it.
//!
//! A decoder that was trained beside an encoder is drawn from with latents of such a mixture: what an encoder makes of real records lies
//! elsewhere than the prior that it was trained with (*ex-post density estimation*; Ghosh et al. 2020, arXiv:1903.12436).

mod fit;

use super::chance::Chance;
pub use fit::{FEWEST, Fit, fit};

/// Most Gaussians of a mixture.
pub const MAX_COMPONENTS: usize = 256;

/// Why there is no mixture.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MixtureError {
    /// These numbers are none.
    #[error("{0}")]
    Invalid(&'static str),
    /// There are too few records to fit one to.
    #[error("{found} records are too few to draw others like them: at least {FEWEST} are needed")]
    TooFew {
        /// How many there are.
        found: usize,
    },
}

/// A mixture of Gaussians with full covariances.
///
/// # Shapes
///
/// `weights: [K]`, as whole numbers, so that choosing is exact; `means: [K, L]`; `factors: [K, L (L + 1) / 2]`: the rows of lower triangular
/// `A` with `A Aᵀ` the covariance (Cholesky).
#[derive(Clone, Debug, PartialEq)]
pub struct Mixture {
    weights: Vec<u32>,
    means: Vec<f32>,
    factors: Vec<f32>,
    /// The sum of the weights.
    total: u64,
}

impl Mixture {
    /// A mixture of these Gaussians.
    pub fn new(weights: Vec<u32>, means: Vec<f32>, factors: Vec<f32>) -> Result<Self, MixtureError> {
        let components = weights.len();
        let total = weights.iter().map(|weight| u64::from(*weight)).sum();
        if !(1..=MAX_COMPONENTS).contains(&components) || total == 0 {
            return Err(MixtureError::Invalid("a mixture does not have 1 to 256 components, or all weigh nothing"));
        }
        let latents = means.len() / components;
        if latents == 0 || means.len() != components * latents || factors.len() != components * triangle(latents) {
            return Err(MixtureError::Invalid("a mixture's means and covariances are not of the same latents"));
        }
        if !means.iter().chain(&factors).all(|value| value.is_finite()) {
            return Err(MixtureError::Invalid("a mixture has what is no number"));
        }
        Ok(Self { weights, means, factors, total })
    }

    /// The same with standard deviations so many times as large: *truncation* below 1, as Brock et al. 2019 (arXiv:1809.11096) draw
    /// a generator's noise.
    pub fn spread(self, factor: f32) -> Result<Self, MixtureError> {
        let factors = self.factors.iter().map(|value| value * factor).collect();
        Self::new(self.weights, self.means, factors)
    }

    /// Gaussians.
    pub fn components(&self) -> usize {
        self.weights.len()
    }

    /// Latent numbers.
    pub fn latents(&self) -> usize {
        self.means.len() / self.weights.len()
    }

    /// `[K]`.
    pub fn weights(&self) -> &[u32] {
        &self.weights
    }

    /// `[K, L]`.
    pub fn means(&self) -> &[f32] {
        &self.means
    }

    /// `[K, L (L + 1) / 2]`.
    pub fn factors(&self) -> &[f32] {
        &self.factors
    }

    /// Appends a latent: a component by its weight, its mean, and its factor times normals.
    pub(super) fn draw(&self, chance: &mut Chance, latents: &mut Vec<f32>) {
        let length = self.latents();
        let component = choose(chance.below(self.total), self.weights.iter().map(|weight| u64::from(*weight)));
        let mut normals = Vec::with_capacity(length + 1);
        while normals.len() < length {
            normals.extend(chance.normals());
        }
        let mean = &self.means[component * length..][..length];
        let mut rest = &self.factors[component * triangle(length)..][..triangle(length)];
        for (row, mean) in mean.iter().enumerate() {
            let (factors, after) = rest.split_at(row + 1);
            rest = after;
            let mut sum = *mean;
            for (factor, normal) in factors.iter().zip(&normals) {
                sum += factor * normal;
            }
            latents.push(sum);
        }
    }
}

/// Numbers of a lower triangle.
pub(super) const fn triangle(side: usize) -> usize {
    side * (side + 1) / 2
}

/// Which of some weights the number, which is below their sum, falls on.
pub(super) fn choose(mut number: u64, weights: impl Iterator<Item = u64>) -> usize {
    let mut last = 0;
    for (place, weight) in weights.enumerate() {
        last = place;
        if number < weight {
            break;
        }
        number -= weight;
    }
    last
}
