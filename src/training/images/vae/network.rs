//! Encoder and decoder as libtorch sees them.

use rand_chacha::ChaCha8Rng;
use tch::{Kind, Reduction, Tensor};

use super::Recipe;
use crate::model::perceptron::Linear;
use crate::training::TrainingError;
use crate::training::affine::Affine;

/// Log-variances of the posterior stay within this, so that none overflows.
const MOST: f64 = 12.0;

/// Multilayer perceptrons of three layers with ReLU between.
#[derive(Debug)]
pub(super) struct Network {
    /// From `D` samples to `L` means and `L` logarithms of variances.
    encoder: [Affine; 3],
    /// From `L` latents to the logits of `D` samples, `crate::model::images`'s.
    decoder: [Affine; 3],
    latents: i64,
}

/// What images cost, in nats, all together.
#[derive(Debug)]
pub(super) struct Nats {
    /// Cross-entropy of each sample, taken as a share of light, and the decoder's share.
    pub samples: Tensor,
    /// Kullback-Leibler divergence of posterior and prior.
    pub latents: Tensor,
}

impl Network {
    pub fn new(samples: usize, recipe: &Recipe, rng: &mut ChaCha8Rng) -> Result<Self, TrainingError> {
        let Recipe { latents, width, .. } = *recipe;
        Ok(Self {
            encoder: [
                Affine::new(samples, width, 1.0, rng)?,
                Affine::new(width, width, 1.0, rng)?,
                Affine::new(width, 2 * latents, 0.5, rng)?,
            ],
            decoder: [
                Affine::new(latents, width, 1.0, rng)?,
                Affine::new(width, width, 1.0, rng)?,
                Affine::new(width, samples, 0.5, rng)?,
            ],
            latents: latents as i64,
        })
    }

    /// What is learned, the decoder's first.
    pub fn parameters(&self) -> Vec<&Tensor> {
        self.decoder.iter().chain(&self.encoder).flat_map(Affine::parameters).collect()
    }

    /// What is learned of the decoder.
    pub fn of_decoder(&self) -> Vec<&Tensor> {
        self.decoder.iter().flat_map(Affine::parameters).collect()
    }

    /// Means and standard deviations of posteriors, `[batch, L]`, of images `[batch, D]` of 0 to 1.
    pub fn encode(&self, images: &Tensor) -> Result<[Tensor; 2], TrainingError> {
        let outputs = through(&self.encoder, images)?;
        let mean = outputs.f_narrow(1, 0, self.latents)?;
        let deviation = outputs.f_narrow(1, self.latents, self.latents)?.f_clamp(-MOST, MOST)?.f_mul_scalar(0.5)?;
        Ok([mean, deviation.f_exp()?])
    }

    /// Logits of samples, `[batch, D]`, of latents `[batch, L]`.
    pub fn decode(&self, latents: &Tensor) -> Result<Tensor, TrainingError> {
        through(&self.decoder, latents)
    }

    /// What images `[batch, D]` cost, with normal numbers `[batch, L]`.
    pub fn nats(&self, images: &Tensor, normals: &Tensor) -> Result<Nats, TrainingError> {
        let [mean, deviation] = self.encode(images)?;
        let logits = self.decode(&(&mean + &deviation * normals))?;
        let samples = logits.f_binary_cross_entropy_with_logits::<Tensor>(images, None, None, Reduction::Sum)?;
        let divergence = (mean.square() + deviation.square() - 1.0) / 2.0 - deviation.log();
        Ok(Nats { samples, latents: divergence.f_sum(Kind::Float)? })
    }

    /// The decoder's layers.
    pub fn export(&self) -> Result<[Linear; 3], TrainingError> {
        let [first, second, last] = &self.decoder;
        Ok([first.export()?, second.export()?, last.export()?])
    }
}

fn through(layers: &[Affine; 3], x: &Tensor) -> Result<Tensor, TrainingError> {
    let first = layers[0].forward(x)?.f_relu()?;
    layers[2].forward(&layers[1].forward(&first)?.f_relu()?)
}
