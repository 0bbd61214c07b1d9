//! How an adversarial pair of rows is made.

use crate::model::rows::{MAX_LATENTS, MAX_WIDTH};
use crate::training::TrainingError;
use crate::training::adversaries::Terms;

/// What is trained, and how. The default is what the measurements of `docs/generation.md` chose.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// Numbers of noise.
    pub latents: usize,
    /// Units of the generator's hidden layers.
    pub width: usize,
    /// Units of the critic's hidden layers.
    pub critic: usize,
    /// Rows that the critic sees side by side (*packing*; Lin et al. 2018, arXiv:1712.04086).
    pub pack: usize,
    /// Rows of a step, real ones and generated ones each.
    pub batch: usize,
    /// Adam's rates of generator and critic; they fall to 0 along half a cosine.
    pub rates: [f64; 2],
    /// What gradient penalties count at the beginning and at the end.
    pub gamma: [f64; 2],
    /// Temperature of the softmax that gradients go through.
    pub temperature: f64,
    /// How much of the mean of weights is left after a step.
    pub mean: f64,
    /// Steps between two measurements.
    pub interval: u32,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            latents: 64,
            width: 128,
            critic: 256,
            pack: 1,
            batch: 256,
            rates: [1e-3, 1e-3],
            gamma: [1.0, 0.1],
            temperature: 0.7,
            mean: 0.998,
            interval: 200,
        }
    }
}

impl Recipe {
    /// How the two learn.
    pub(super) fn terms(&self) -> Terms {
        Terms { rates: self.rates, gamma: self.gamma, mean: self.mean }
    }

    /// Whether there is such a model, and such a training.
    pub(super) fn check(&self) -> Result<(), TrainingError> {
        let holds = |holds: bool, what: &str| if holds { Ok(()) } else { Err(TrainingError::Recipe(what.to_owned())) };
        holds((1..=MAX_LATENTS).contains(&self.latents), "it does not have 1 to 128 numbers of noise")?;
        let units = 1..=MAX_WIDTH;
        holds(units.contains(&self.width) && units.contains(&self.critic), "its layers do not have 1 to 1024 units")?;
        let batch = (1..=65_536).contains(&self.batch) && self.pack > 0 && self.batch.is_multiple_of(self.pack);
        holds(batch, "a batch is not 1 to 65536 rows in whole packs")?;
        self.terms().check()?;
        holds((0.01..=100.0).contains(&self.temperature), "its temperature is not 0.01 to 100")?;
        holds(self.interval > 0, "it never measures")
    }
}
