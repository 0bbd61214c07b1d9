//! How an autoencoder of rows is made.

use crate::model::mixture::Fit;
use crate::model::rows::{MAX_LATENTS, MAX_WIDTH};
use crate::training::TrainingError;

/// What is trained, and how. The default is what the measurements of `docs/generation.md` chose.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// Latent numbers of a row.
    pub latents: usize,
    /// Units of the hidden layers.
    pub width: usize,
    /// What a bit of latents counts against a bit of codes. Below 1, latents say more of a row, and lie farther from the prior, which
    /// the mixture does not mind.
    pub beta: f64,
    /// Rows of a step.
    pub batch: usize,
    /// How often each row is seen at most.
    pub passes: f64,
    /// Adam's rate after its rise; it falls to 0 along half a cosine.
    pub rate: f64,
    /// Steps between two measurements of validation rows.
    pub interval: u32,
    /// One row in so many validates.
    pub validation: usize,
    /// Samples of each row's posterior that the mixture is fitted to.
    pub draws: usize,
    /// How it is fitted.
    pub fit: Fit,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            latents: 24,
            width: 128,
            beta: 0.5,
            batch: 256,
            passes: 100.0,
            rate: 2e-3,
            interval: 200,
            validation: 16,
            draws: 1,
            fit: Fit { components: 24, members: 200, rounds: 40, floor: 1e-3 },
        }
    }
}

impl Recipe {
    /// Whether there is such a model, and such a training.
    pub(super) fn check(&self) -> Result<(), TrainingError> {
        let holds = |holds: bool, what: &str| if holds { Ok(()) } else { Err(TrainingError::Recipe(what.to_owned())) };
        holds((1..=MAX_LATENTS).contains(&self.latents), "it does not have 1 to 128 latent numbers")?;
        holds((1..=MAX_WIDTH).contains(&self.width), "its layers do not have 1 to 1024 units")?;
        holds((0.0..=100.0).contains(&self.beta), "latents do not count 0 to 100 times")?;
        holds((1..=65_536).contains(&self.batch), "a batch is not 1 to 65536 rows")?;
        holds(self.passes > 0.0 && self.passes.is_finite(), "rows are never seen")?;
        holds((1e-6..=1.0).contains(&self.rate), "its rate is not 0.000001 to 1")?;
        holds(self.interval > 0 && self.validation > 1, "it never validates, or with all rows")?;
        holds((1..=64).contains(&self.draws), "its posterior is not sampled 1 to 64 times")?;
        holds(self.fit.components > 0 && self.fit.rounds > 0, "a mixture has no Gaussians")?;
        holds((0.0..=1.0).contains(&self.fit.floor), "what is added to variances is not 0 to 1")
    }
}
