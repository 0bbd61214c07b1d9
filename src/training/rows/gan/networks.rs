//! Generator and critic as libtorch sees them.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use tch::{Kind, Tensor};

use super::Recipe;
use crate::model::perceptron::Linear;
use crate::training::TrainingError;
use crate::training::affine::Affine;
use crate::training::rows::batches::Rows;

/// Slope of the critic's units below 0.
const LEAK: f64 = 0.2;

/// From noise to the logits of all codes, `crate::model::rows::RowsDecoder`'s: three layers with ReLU between.
#[derive(Debug)]
pub(super) struct Generator {
    layers: [Affine; 3],
}

impl Generator {
    /// One that draws codes as frequent as they are, each for itself.
    pub fn new(rows: &Rows<'_>, recipe: &Recipe, rng: &mut ChaCha8Rng) -> Result<Self, TrainingError> {
        let Recipe { latents, width, .. } = *recipe;
        let layers = [
            Affine::new(latents, width, 1.0, rng)?,
            Affine::new(width, width, 1.0, rng)?,
            Affine::new(width, rows.codes(), 0.25, rng)?,
        ];
        let logs = Tensor::f_from_slice(&rows.logs())?;
        tch::no_grad(|| layers[2].bias.shallow_clone().f_copy_(&logs).map(drop))?;
        Ok(Self { layers })
    }

    /// What is learned.
    pub fn parameters(&self) -> Vec<&Tensor> {
        self.layers.iter().flat_map(Affine::parameters).collect()
    }

    /// Logits of all codes, `[rows, codes]`, of noise `[rows, L]`.
    pub fn logits(&self, noise: &Tensor) -> Result<Tensor, TrainingError> {
        let first = self.layers[0].forward(noise)?.f_relu()?;
        self.layers[2].forward(&self.layers[1].forward(&first)?.f_relu()?)
    }

    /// The layers.
    pub fn export(&self) -> Result<Vec<Linear>, TrainingError> {
        self.layers.iter().map(Affine::export).collect()
    }
}

/// How real a pack of rows seems: three layers with leaky ReLU between.
#[derive(Debug)]
pub(super) struct Critic {
    layers: [Affine; 3],
    /// Codes of a pack.
    inputs: i64,
}

impl Critic {
    pub fn new(codes: usize, recipe: &Recipe, rng: &mut ChaCha8Rng) -> Result<Self, TrainingError> {
        let (inputs, width) = (codes * recipe.pack, recipe.critic);
        let layers = [
            // One code of each variable is 1, and the others are 0.
            Affine::new(inputs, width, 3.0, rng)?,
            Affine::new(width, width, 1.0, rng)?,
            Affine::new(width, 1, 1.0, rng)?,
        ];
        Ok(Self { layers, inputs: inputs as i64 })
    }

    /// What is learned.
    pub fn parameters(&self) -> Vec<&Tensor> {
        self.layers.iter().flat_map(Affine::parameters).collect()
    }

    /// `[packs]`, of rows `[rows, codes]` of 0 and 1.
    pub fn score(&self, rows: &Tensor) -> Result<Tensor, TrainingError> {
        let leaky = |x: Tensor| -> Result<Tensor, TrainingError> { Ok(x.f_relu()? * (1.0 - LEAK) + x * LEAK) };
        let first = leaky(self.layers[0].forward(&rows.f_view([-1, self.inputs])?)?)?;
        let second = leaky(self.layers[1].forward(&first)?)?;
        Ok(self.layers[2].forward(&second)?.f_view(-1)?)
    }
}

/// Rows of 0 and 1, `[rows, codes]`, drawn by `logits: [rows, codes]`: each variable's code as often as its softmax says, and its gradient that of the
/// softmax of logits and the same chance (*straight-through Gumbel-softmax*; Jang, Gu and Poole 2017, arXiv:1611.01144).
pub(super) fn draw(
    logits: &Tensor,
    heads: &[(i64, i64)],
    temperature: f64,
    gumbel: &Tensor,
) -> Result<Tensor, TrainingError> {
    let shaken = logits.f_add(gumbel)?;
    let mut end = 0;
    let mut parts = Vec::with_capacity(heads.len());
    let mut sorted = heads.to_vec();
    sorted.sort_unstable();
    for (first, codes) in sorted {
        // A variable with one code has it always.
        if first > end {
            parts.push(logits.f_narrow(1, end, first - end)?.f_ones_like()?);
        }
        let own = shaken.f_narrow(1, first, codes)?;
        let soft = own.f_div_scalar(temperature)?.f_softmax(1, Kind::Float)?;
        let hard = soft.f_zeros_like()?.f_detach()?.f_scatter_value(1, &own.f_argmax(1, true)?, 1.0)?;
        parts.push(hard - soft.f_detach()? + soft);
        end = first + codes;
    }
    let all = logits.size()[1];
    if all > end {
        parts.push(logits.f_narrow(1, end, all - end)?.f_ones_like()?);
    }
    Ok(Tensor::f_cat(&parts, 1)?)
}

/// The codes of drawn rows, `[rows, heads]`, codes of the variable.
pub(super) fn codes(logits: &Tensor, heads: &[(i64, i64)], gumbel: &Tensor) -> Result<Vec<i64>, TrainingError> {
    let shaken = logits.f_add(gumbel)?;
    let own = heads.iter().map(|(first, codes)| shaken.f_narrow(1, *first, *codes)?.f_argmax(1, true));
    let codes = Tensor::f_cat(&own.collect::<Result<Vec<_>, _>>()?, 1)?;
    Ok(Vec::<i64>::try_from(codes.f_view(-1)?)?)
}

/// `[rows, columns]` of numbers of the standard Gumbel distribution: -ln(-ln(u)).
pub(super) fn gumbels(rows: usize, columns: usize, rng: &mut ChaCha8Rng) -> Result<Tensor, TrainingError> {
    // Odd numbers of 25 bits: neither 0 nor 1 comes of them.
    let unit = |bits: u32| ((bits >> 8) as f32 + 0.5) / (1 << 24) as f32;
    let values: Vec<f32> = (0..rows * columns).map(|_| unit(rng.next_u32())).collect();
    let values = Tensor::f_from_slice(&values)?.f_view([rows as i64, columns as i64])?;
    // 1 - 2^-25 rounds to 1.
    Ok(values.f_clamp_max(1.0 - f64::from(f32::EPSILON))?.f_log()?.f_neg()?.f_log()?.f_neg()?)
}
