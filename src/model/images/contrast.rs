//! How much there is between dark and light.
//!
//! A decoder is trained to the mean of all images that a latent may stand for, and so its edges are softer than those of any of
//! them. Its logits are multiplied by one number, chosen so that what is drawn has as much *half-light*, the mean of `x (1 - x)`
//! over samples of 0 to 1, as real images have.

use super::{ImagesError, ImagesModel, ImagesParts, NetworkParts};
use crate::engine::exp;
use crate::model::chance::Chance;
use crate::model::perceptron::Linear;

/// Images that are drawn to choose by.
const DRAWN: u64 = 512;
/// The largest factor: at 8, what a decoder holds for four in five is as good as white.
const MOST: f32 = 8.0;
/// Halvings of the range of factors.
const HALVINGS: u32 = 12;

/// The mean of `x (1 - x)` over samples, which are 255 times `x`.
pub fn half_light(samples: &[u8]) -> f64 {
    let sum: u64 = samples.iter().map(|sample| u64::from(*sample) * u64::from(255 - *sample)).sum();
    sum as f64 / (255.0 * 255.0 * samples.len().max(1) as f64)
}

/// The factor of logits, 1 to 8, with which drawn images have that much half-light.
pub fn contrast(parts: &ImagesParts, wanted: f64) -> Result<f32, ImagesError> {
    let model = ImagesModel::new(parts)?;
    let mut inputs = Vec::new();
    for number in 0..DRAWN {
        let mut chance = Chance::of(0, number);
        let class = model.class_by_chance(&mut chance);
        model.network.random(class, &mut chance, &mut inputs);
    }
    let logits = model.logits(&inputs);
    let of = |factor: f32| {
        let half = |logit: &f32| {
            // x (1 - x) of the logistic function x, which is alike on both sides of 0.
            let small = exp(-(factor * logit).abs());
            f64::from(small / ((1.0 + small) * (1.0 + small)))
        };
        logits.iter().map(half).sum::<f64>() / logits.len().max(1) as f64
    };
    let (mut low, mut high) = (1.0f32, MOST);
    if of(low) <= wanted {
        return Ok(low);
    }
    for _ in 0..HALVINGS {
        let middle = (low + high) / 2.0;
        if of(middle) > wanted { low = middle } else { high = middle }
    }
    Ok(low)
}

impl ImagesParts {
    /// The same model with its logits multiplied.
    pub fn with_contrast(mut self, factor: f32) -> Result<Self, ImagesError> {
        let last = match &mut self.network {
            NetworkParts::Vae(parts) => &mut parts.decoder[2],
            NetworkParts::Gan(parts) => &mut parts.output,
        };
        let times = |values: &[f32]| values.iter().map(|value| value * factor).collect();
        *last = Linear::new(times(last.weights()), times(last.bias()))?;
        Ok(self)
    }
}
