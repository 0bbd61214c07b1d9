//! A layer that is trained with floats and ends as integers.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use tch::{Kind, Tensor, no_grad};

use super::TrainingError;
use crate::engine::{Dense, MAX_EXPONENT, Output};

/// Sums stay below this in size, in units of a row's exponent, so that `f32` holds each of them exactly: a quarter of the
/// integers that it can hold, since biases move while exponents are fixed.
const EXACT: f64 = (1 << 22) as f64;

/// The largest weight of a [`Dense`] layer.
const MAX_WEIGHT: f64 = 127.0;

/// The most that the sum of an [`Output`] may come to, so that `f32` holds it.
const MAX_SUM: f64 = (1 << 24) as f64;

/// What is learned of a number out of its range, against what is learned in it: without it, a unit that has left its range for
/// all inputs would never come back.
const LEAK: f64 = 0.1;

/// `y = W u + b`, in the units of [`Dense`]: inputs are 0 to 255, or small signed integers, outputs what its rounding
/// is made of.
///
/// Its parameters are of size 1: `W = weight * output / input`, `b = bias * output`, for inputs of size `input` and outputs of size
/// `output`. After [`Layer::quantise`] each row computes with the integers that [`Layer::export`] writes, `W = round(W 2^e) / 2^e`, and its
/// gradient goes through the rounding as if there were none (*straight-through*; Bengio et al. 2013, arXiv:1308.3432).
///
/// # Shapes
///
/// `weight: [outputs, inputs]`, `bias: [outputs]`, both f32.
#[derive(Debug)]
pub(super) struct Layer {
    pub weight: Tensor,
    pub bias: Tensor,
    /// `[outputs]` of `2^e`, once it is quantised.
    pub power: Option<Tensor>,
    /// The largest weight, once it is quantised.
    most: f64,
    input: f64,
    /// `[outputs]`.
    output: Tensor,
}

impl Layer {
    /// A layer of random weights that keep the size of what comes in (LeCun et al. 1998, *Efficient BackProp*, 4.6, for a uniform
    /// distribution), `gain` times as large. Rows take turns with the sizes of `output`, and with these biases.
    pub fn new(
        [inputs, outputs]: [usize; 2],
        (input, output): (f64, &[f64]),
        (gain, bias): (f64, &[f64]),
        rng: &mut ChaCha8Rng,
    ) -> Result<Self, TrainingError> {
        let bound = gain / (inputs as f64).sqrt();
        let weights: Vec<f32> = (0..inputs * outputs).map(|_| ((uniform(rng) * 2.0 - 1.0) * bound) as f32).collect();
        let weight = Tensor::f_from_slice(&weights)?.f_view([outputs as i64, inputs as i64])?.set_requires_grad(true);
        let bias: Vec<f32> = (0..outputs).map(|row| bias[row % bias.len()] as f32).collect();
        let bias = Tensor::f_from_slice(&bias)?.set_requires_grad(true);
        let output: Vec<f32> = (0..outputs).map(|row| output[row % output.len()] as f32).collect();
        Ok(Self { weight, bias, power: None, most: MAX_WEIGHT, input, output: Tensor::f_from_slice(&output)? })
    }

    /// The layer that ends as an [`Output`], whose weights are as large as leaves its sums exact.
    pub fn wide(mut self) -> Result<Self, TrainingError> {
        let inputs = self.weight.size2()?.1 as f64;
        self.most = (MAX_SUM / 2.0 / (255.0 * inputs)).log2().floor().exp2() - 1.0;
        self.most = self.most.min(f64::from(i16::MAX));
        Ok(self)
    }

    /// What is learned.
    pub fn parameters(&self) -> [&Tensor; 2] {
        [&self.weight, &self.bias]
    }

    /// `W`, `b`.
    fn coefficients(&self) -> (Tensor, Tensor) {
        let weight = &self.weight * (&self.output / self.input).unsqueeze(1);
        let bias = &self.bias * &self.output;
        let Some(power) = &self.power else { return (weight, bias) };
        let column = power.unsqueeze(1);
        let integers = (weight.detach() * &column).round().clamp(-self.most, self.most);
        let weight = through(&(integers / column), &weight);
        let bias = through(&((bias.detach() * power).round() / power), &bias);
        (weight, bias)
    }

    /// `y` of `x: [batch, inputs]`, which [`clamped`] makes the layer's outputs of. The sums of a quantised layer are exact while
    /// they are below 2^24 in units of `2^-e`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TrainingError> {
        let (weight, bias) = self.coefficients();
        let kind = x.f_kind()?;
        Ok(x.f_linear(&weight.to_kind(kind), Some(bias.to_kind(kind)))?)
    }

    /// Fixes the exponent of each row at the largest one that its weights fit, and computes with integers from now on.
    pub fn quantise(&mut self) -> Result<(), TrainingError> {
        let (weight, bias) = no_grad(|| self.coefficients());
        let largest = weight.abs().amax([1].as_slice(), false).maximum(&Tensor::from(1e-30));
        let (largest, bias) = (numbers(&largest)?, numbers(&bias)?);
        let powers = largest.iter().zip(&bias).map(|(largest, bias)| {
            let exponent = (self.most / largest).log2().min((EXACT / bias.abs().max(1.0)).log2()).floor();
            exponent.clamp(0.0, f64::from(MAX_EXPONENT)).exp2() as f32
        });
        self.power = Some(Tensor::f_from_slice(&powers.collect::<Vec<_>>())?);
        Ok(())
    }

    /// The integer layer. `raised` is what is added to its inputs before they come in: the generator's are u8 then.
    pub fn export(&self, raised: i32) -> Result<Dense, TrainingError> {
        let power = self.power.as_ref().ok_or_else(|| TrainingError::Recipe("it was not quantised".to_owned()))?;
        let (weight, bias) = no_grad(|| self.coefficients());
        let inputs = weight.size2()?.1 as usize;
        let weights: Vec<i8> = numbers(&(weight * power.unsqueeze(1)))?.iter().map(|weight| *weight as i8).collect();
        let bias = numbers(&(bias * power))?.into_iter().zip(weights.chunks_exact(inputs)).map(|(bias, row)| {
            let sum: i32 = row.iter().map(|weight| i32::from(*weight)).sum();
            (bias as i32).saturating_sub(sum.saturating_mul(raised))
        });
        let bias = bias.collect();
        let exponent = numbers(power)?.into_iter().map(|power| power.log2() as u8).collect();
        Ok(Dense::new(inputs, weights, bias, exponent)?)
    }

    /// The integer layer of a net's outputs.
    pub fn export_output(&self) -> Result<Output, TrainingError> {
        let power = self.power.as_ref().ok_or_else(|| TrainingError::Recipe("it was not quantised".to_owned()))?;
        let (weight, bias) = no_grad(|| self.coefficients());
        let inputs = weight.size2()?.1 as usize;
        let weights: Vec<i16> = numbers(&(weight * power.unsqueeze(1)))?.iter().map(|weight| *weight as i16).collect();
        let (bias, powers) = (numbers(&(bias * power))?, numbers(power)?);
        Ok(Output::new(
            std::array::from_fn(|row| weights[row * inputs..][..inputs].to_vec()),
            std::array::from_fn(|row| bias[row] as i32),
            std::array::from_fn(|row| powers[row].log2() as u8),
        )?)
    }
}

/// `value`, with the gradient of `smooth`, of the same shape.
fn through(value: &Tensor, smooth: &Tensor) -> Tensor {
    // The difference is exactly 0, so that the value is not changed by a bit.
    value.detach() + (smooth - smooth.detach())
}

/// `y` as a layer's outputs: clamped to `low..=high`, rounded half up if `rounded`. The gradient goes through the rounding, and
/// leaks where it is clamped.
pub(super) fn clamped(y: &Tensor, low: f64, high: f64, rounded: bool) -> Tensor {
    let clamped = y.clamp(low, high);
    let smooth = &clamped + (y - &clamped) * LEAK;
    let value = if rounded { (y.detach() + 0.5).floor().clamp(low, high) } else { clamped.detach() };
    through(&value, &smooth)
}

/// The numbers of a tensor.
pub(super) fn numbers(tensor: &Tensor) -> Result<Vec<f64>, TrainingError> {
    Ok(Vec::<f64>::try_from(tensor.f_to_kind(Kind::Double)?.f_contiguous()?.f_view(-1)?)?)
}

/// A number of 0 to 1, without 1.
pub(super) fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}
