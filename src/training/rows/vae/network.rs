//! Encoder and decoder of rows as libtorch sees them.

use rand_chacha::ChaCha8Rng;
use tch::{Kind, Tensor};

use super::Recipe;
use crate::model::perceptron::Linear;
use crate::training::TrainingError;
use crate::training::affine::{Affine, random};
use crate::training::rows::batches::{Rows, Whole};
use crate::training::rows::network::{bags, log_likelihoods};

/// Log-variances of the posterior stay within this, so that none overflows.
const MOST: f64 = 12.0;

/// Multilayer perceptrons with ReLU between.
#[derive(Debug)]
pub(super) struct Network {
    /// `[codes, width]`: the first layer of the encoder, whose inputs are 1 for codes that a row has and 0 for others.
    embedding: Tensor,
    /// From there to `L` means and `L` logarithms of variances.
    encoder: [Affine; 2],
    bias: Tensor,
    /// From `L` latents to the logits of all codes, `crate::model::rows::RowsDecoder`'s.
    decoder: [Affine; 3],
    latents: i64,
    heads: Vec<(i64, i64)>,
}

/// What rows cost in the mean, in nats.
#[derive(Debug)]
pub(super) struct Nats {
    /// Of codes, given latents.
    pub codes: Tensor,
    /// Kullback-Leibler divergence of posterior and prior.
    pub latents: Tensor,
}

impl Network {
    /// The network before it has learned anything but how frequent each code is.
    pub fn new(rows: &Rows<'_>, recipe: &Recipe, rng: &mut ChaCha8Rng) -> Result<Self, TrainingError> {
        let Recipe { latents, width, .. } = *recipe;
        let codes = rows.codes();
        let heads = rows.heads();
        let decoder = [
            Affine::new(latents, width, 1.0, rng)?,
            Affine::new(width, width, 1.0, rng)?,
            Affine::new(width, codes, 0.25, rng)?,
        ];
        let logs = Tensor::f_from_slice(&rows.logs())?;
        tch::no_grad(|| decoder[2].bias.shallow_clone().f_copy_(&logs).map(drop))?;
        Ok(Self {
            embedding: random(&[codes as i64, width as i64], (6.0 / heads.len().max(1) as f64).sqrt(), rng)?,
            bias: Tensor::f_zeros([width as i64], (Kind::Float, tch::Device::Cpu))?.set_requires_grad(true),
            encoder: [Affine::new(width, width, 1.0, rng)?, Affine::new(width, 2 * latents, 0.25, rng)?],
            decoder,
            latents: latents as i64,
            heads,
        })
    }

    /// What is learned.
    pub fn parameters(&self) -> Vec<&Tensor> {
        let layers = self.encoder.iter().chain(&self.decoder).flat_map(Affine::parameters);
        [&self.embedding, &self.bias].into_iter().chain(layers).collect()
    }

    /// Means and standard deviations of posteriors, `[rows, L]`.
    pub fn encode(&self, rows: &Whole) -> Result<[Tensor; 2], TrainingError> {
        let [count, width] = [rows.codes.size()[0], rows.codes.size()[1]];
        let offsets: Vec<i64> = (0..count).map(|row| row * width).collect();
        let sums = bags(&self.embedding, &rows.codes.f_view(-1)?, &Tensor::f_from_slice(&offsets)?)?;
        let hidden = self.encoder[0].forward(&sums.f_add(&self.bias)?.f_relu()?)?.f_relu()?;
        let outputs = self.encoder[1].forward(&hidden)?;
        let mean = outputs.f_narrow(1, 0, self.latents)?;
        let deviation = outputs.f_narrow(1, self.latents, self.latents)?.f_clamp(-MOST, MOST)?.f_mul_scalar(0.5)?;
        Ok([mean, deviation.f_exp()?])
    }

    /// Logits of all codes, `[rows, codes]`, of latents `[rows, L]`.
    pub fn decode(&self, latents: &Tensor) -> Result<Tensor, TrainingError> {
        let first = self.decoder[0].forward(latents)?.f_relu()?;
        self.decoder[2].forward(&self.decoder[1].forward(&first)?.f_relu()?)
    }

    /// What rows cost, with normal numbers `[rows, L]`.
    pub fn nats(&self, rows: &Whole, normals: &Tensor) -> Result<Nats, TrainingError> {
        let [mean, deviation] = self.encode(rows)?;
        let logits = self.decode(&(&mean + &deviation * normals))?;
        let count = rows.own.size()[0] as f64;
        let codes = -(log_likelihoods(&logits, &self.heads, &rows.own)?.f_sum(Kind::Float)? / count);
        let divergence = (mean.square() + deviation.square() - 1.0) / 2.0 - deviation.log();
        Ok(Nats { codes, latents: divergence.f_sum(Kind::Float)? / count })
    }

    /// The decoder's layers.
    pub fn export(&self) -> Result<Vec<Linear>, TrainingError> {
        self.decoder.iter().map(Affine::export).collect()
    }
}
