//! How a model that draws images is made.

use crate::model::images::{MAX_LATENTS, MAX_WIDTH};
use crate::model::mixture::Fit;
use crate::training::TrainingError;

/// What is trained, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// Latent numbers of an image.
    pub latents: usize,
    /// Units of the hidden layers.
    pub width: usize,
    /// What a bit of latents counts against a bit of samples. Below 1, images come back sharper, and latents are farther from the
    /// prior, which the mixture does not mind.
    pub beta: f64,
    /// Images are learned moved by up to so many samples, up or down and to either side.
    pub shift: u8,
    /// Images in a step.
    pub batch: usize,
    /// Adam's rate after its rise; it falls to 0 along half a cosine.
    pub rate: f64,
    /// Steps between two measurements of validation images.
    pub interval: u32,
    /// Samples of each image's posterior that mixtures are fitted to.
    pub draws: usize,
    /// How far from the middle of its Gaussian what is drawn lies, relative to what they were fitted to. Below 1, fewer images
    /// could be of another class, and what is seldom is drawn less often.
    pub spread: f32,
    /// How they are fitted.
    pub fit: Fit,
    /// The share of the budget, at its end, in which the decoder learns to draw images that are like the learned ones all together.
    pub likeness: f64,
    /// Images that are drawn in each of its steps.
    pub drawn: usize,
    /// Adam's rate in it, which falls to 0 as the first does.
    pub last_rate: f64,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            latents: 24,
            width: 512,
            beta: 0.5,
            shift: 1,
            batch: 64,
            rate: 1e-3,
            interval: 500,
            draws: 5,
            spread: 0.9,
            fit: Fit::default(),
            likeness: 0.5,
            drawn: 256,
            last_rate: 3e-4,
        }
    }
}

impl Recipe {
    /// Whether there is such a model, and such a training.
    pub(super) fn check(&self) -> Result<(), TrainingError> {
        let holds = |holds: bool, what: &str| if holds { Ok(()) } else { Err(TrainingError::Recipe(what.to_owned())) };
        holds((1..=MAX_LATENTS).contains(&self.latents), "it does not have 1 to 128 latent numbers")?;
        holds((1..=MAX_WIDTH).contains(&self.width), "its layers do not have 1 to 2048 units")?;
        holds((0.0..=100.0).contains(&self.beta), "latents do not count 0 to 100 times")?;
        holds(self.shift < 8, "images are moved by 8 samples or more")?;
        holds((1..=4096).contains(&self.batch), "a batch is not 1 to 4096 images")?;
        holds((1e-6..=1.0).contains(&self.rate), "its rate is not 0.000001 to 1")?;
        holds(self.interval > 0, "it never measures")?;
        holds((1..=64).contains(&self.draws), "its posterior is not sampled 1 to 64 times")?;
        holds(self.spread > 0.0 && self.spread <= 2.0, "its mixtures are not spread 0 to 2 times as far")?;
        holds(self.fit.components > 0 && self.fit.rounds > 0, "a mixture has no Gaussians")?;
        holds((0.0..=1.0).contains(&self.fit.floor), "what is added to variances is not 0 to 1")?;
        holds((0.0..=0.9).contains(&self.likeness), "likeness does not take 0 to 0.9 of the budget")?;
        holds((1..=4096).contains(&self.drawn), "a step does not draw 1 to 4096 images")?;
        holds((1e-6..=1.0).contains(&self.last_rate), "its last rate is not 0.000001 to 1")
    }
}
