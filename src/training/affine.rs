//! A layer of floats, and chance as floats.

use rand_chacha::ChaCha8Rng;
use tch::{Tensor, no_grad};

use super::TrainingError;
use super::layer::uniform;
use crate::model::perceptron::Linear;

/// `y = x W + b`.
///
/// # Shapes
///
/// `weight: [inputs, outputs]`, `bias: [outputs]`, both f32.
#[derive(Debug)]
pub(super) struct Affine {
    pub weight: Tensor,
    pub bias: Tensor,
}

impl Affine {
    /// Random weights that keep the size of what comes through ReLU (He et al. 2015, arXiv:1502.01852), `gain` times as large.
    pub fn new(inputs: usize, outputs: usize, gain: f64, rng: &mut ChaCha8Rng) -> Result<Self, TrainingError> {
        let weight = random(&[inputs as i64, outputs as i64], gain * (6.0 / inputs as f64).sqrt(), rng)?;
        let bias = Tensor::f_zeros([outputs as i64], (tch::Kind::Float, tch::Device::Cpu))?.set_requires_grad(true);
        Ok(Self { weight, bias })
    }

    /// `y` of `x: [batch, inputs]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TrainingError> {
        Ok(self.bias.f_addmm(x, &self.weight)?)
    }

    /// The same layer in plain floats.
    pub fn export(&self) -> Result<Linear, TrainingError> {
        Ok(Linear::new(floats(&self.weight)?, floats(&self.bias)?)?)
    }

    /// What is learned.
    pub fn parameters(&self) -> [&Tensor; 2] {
        [&self.weight, &self.bias]
    }
}

/// Parameters of -`bound` to `bound`, each as likely.
pub(super) fn random(shape: &[i64], bound: f64, rng: &mut ChaCha8Rng) -> Result<Tensor, TrainingError> {
    let count = shape.iter().product::<i64>();
    let values: Vec<f32> = (0..count).map(|_| ((uniform(rng) * 2.0 - 1.0) * bound) as f32).collect();
    Ok(Tensor::f_from_slice(&values)?.f_view(shape)?.set_requires_grad(true))
}

/// `[rows, columns]` of normal numbers (Box and Muller 1958).
pub(super) fn normals(rows: usize, columns: usize, rng: &mut ChaCha8Rng) -> Result<Tensor, TrainingError> {
    let pair = |_| {
        let (length, angle) = ((-2.0 * (1.0 - uniform(rng)).ln()).sqrt(), std::f64::consts::TAU * uniform(rng));
        [(length * angle.cos()) as f32, (length * angle.sin()) as f32]
    };
    let mut values: Vec<f32> = (0..(rows * columns).div_ceil(2)).flat_map(pair).collect();
    values.truncate(rows * columns);
    Ok(Tensor::f_from_slice(&values)?.f_view([rows as i64, columns as i64])?)
}

/// Copies of tensors, which do not change with them.
pub(super) fn copies(tensors: &[&Tensor]) -> Vec<Tensor> {
    tensors.iter().map(|tensor| tensor.detach().copy()).collect()
}

/// Puts tensors back to what they were when they were copied.
pub(super) fn put_back(tensors: &[&Tensor], copies: &[Tensor]) -> Result<(), TrainingError> {
    no_grad(|| {
        for (tensor, copy) in tensors.iter().zip(copies) {
            tensor.shallow_clone().f_copy_(copy)?;
        }
        Ok(())
    })
}

/// The numbers of a tensor, as they are.
pub(super) fn floats(tensor: &Tensor) -> Result<Vec<f32>, TrainingError> {
    Ok(Vec::<f32>::try_from(tensor.f_detach()?.f_contiguous()?.f_view(-1)?)?)
}
