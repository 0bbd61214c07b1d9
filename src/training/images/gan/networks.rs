//! Generator and critic as libtorch sees them.

use rand_chacha::ChaCha8Rng;
use tch::{Kind, Tensor};

use super::Recipe;
use crate::model::images::{GanParts, first_grid};
use crate::model::perceptron::Linear;
use crate::payload::image::Shape;
use crate::training::TrainingError;
use crate::training::affine::{Affine, floats, random};

/// Slope of the critic's units below 0.
const LEAK: f64 = 0.2;

/// How much larger than those of noise the weights of classes begin: there is one class among many numbers of noise.
const CLASS: f64 = 4.0;

/// Weights and biases of a convolution.
type Convolution = [Tensor; 2];

/// Random weights that keep the size of what comes through, of so many inputs for each output.
fn convolution(
    shape: [usize; 4],
    inputs: usize,
    outputs: usize,
    rng: &mut ChaCha8Rng,
) -> Result<Convolution, TrainingError> {
    let weight = random(&shape.map(|side| side as i64), (6.0 / inputs as f64).sqrt(), rng)?;
    let bias = Tensor::f_zeros([outputs as i64], (Kind::Float, tch::Device::Cpu))?.set_requires_grad(true);
    Ok([weight, bias])
}

/// From noise and class to images, `crate::model::images::GanParts`.
#[derive(Debug)]
pub(super) struct Generator {
    shape: Shape,
    dense: [Affine; 2],
    /// Weights `[inputs, outputs, 4, 4]`.
    ups: Vec<Convolution>,
    /// Weights `[outputs, inputs, 3, 3]`.
    output: Convolution,
}

impl Generator {
    pub fn new(shape: Shape, classes: usize, recipe: &Recipe, rng: &mut ChaCha8Rng) -> Result<Self, TrainingError> {
        let Recipe { latents, hidden, ref channels, .. } = *recipe;
        let [first, ups] = [channels[0], channels.len() - 1];
        let [height, width] = first_grid(shape, ups);
        // All but one of the classes' inputs are 0.
        let gain = ((latents + classes) as f64 / (latents + 1) as f64).sqrt();
        let dense = [
            Affine::new(latents + classes, hidden, gain, rng)?,
            Affine::new(hidden, height * width * first, 1.0, rng)?,
        ];
        tch::no_grad(|| dense[0].weight.f_narrow(0, latents as i64, classes as i64)?.f_mul_scalar_(CLASS).map(drop))?;
        let ups = channels
            .windows(2)
            .map(|pair| convolution([pair[0], pair[1], 4, 4], 4 * pair[0], pair[1], rng))
            .collect::<Result<_, _>>()?;
        let last = channels[channels.len() - 1];
        let output = convolution([shape.channels(), last, 3, 3], 9 * last, shape.channels(), rng)?;
        Ok(Self { shape, dense, ups, output })
    }

    /// What is learned.
    pub fn parameters(&self) -> Vec<&Tensor> {
        let dense = self.dense.iter().flat_map(Affine::parameters);
        dense.chain(self.ups.iter().flatten()).chain(&self.output).collect()
    }

    /// Logits of samples, `[batch, D]`, of noise `[batch, L]` and classes `[batch, classes]`.
    pub fn logits(&self, noise: &Tensor, classes: &Tensor) -> Result<Tensor, TrainingError> {
        let hidden = self.dense[0].forward(&Tensor::f_cat(&[noise, classes], 1)?)?.f_relu()?;
        let [height, width] = first_grid(self.shape, self.ups.len()).map(|side| side as i64);
        let grid = self.dense[1].forward(&hidden)?.f_relu()?.f_view([noise.size()[0], height, width, -1])?;
        let mut grid = grid.f_permute([0, 3, 1, 2])?;
        for [weight, bias] in &self.ups {
            grid = grid.f_conv_transpose2d(weight, Some(bias), [2, 2], [1, 1], [0, 0], 1, [1, 1])?.f_relu()?;
        }
        let [weight, bias] = &self.output;
        let samples = grid.f_conv2d(weight, Some(bias), [1, 1], [1, 1], [1, 1], 1)?;
        let samples = samples.f_narrow(2, 0, self.shape.height() as i64)?.f_narrow(3, 0, self.shape.width() as i64)?;
        Ok(samples.f_reshape([noise.size()[0], -1])?)
    }

    /// Images `[batch, D]` of 0 to 1.
    pub fn images(&self, noise: &Tensor, classes: &Tensor) -> Result<Tensor, TrainingError> {
        Ok(self.logits(noise, classes)?.f_sigmoid()?)
    }

    /// The layers.
    pub fn export(&self) -> Result<GanParts, TrainingError> {
        let up = |[weight, bias]: &Convolution| -> Result<Linear, TrainingError> {
            // By place and neighbour: row `3 - place - 2 neighbour` of the four, and columns alike.
            let order = Tensor::f_from_slice(&[3i64, 1, 2, 0])?;
            let sides = weight.f_detach()?.f_index_select(2, &order)?.f_index_select(3, &order)?;
            let [inputs, outputs] = [weight.size()[0], weight.size()[1]];
            let places = sides.f_view([inputs, outputs, 2, 2, 2, 2])?.f_permute([2, 4, 3, 5, 0, 1])?;
            Ok(Linear::new(floats(&places)?, floats(bias)?)?)
        };
        let [weight, bias] = &self.output;
        Ok(GanParts {
            dense: [self.dense[0].export()?, self.dense[1].export()?],
            ups: self.ups.iter().map(up).collect::<Result<_, _>>()?,
            output: Linear::new(floats(&weight.f_detach()?.f_permute([2, 3, 1, 0])?)?, floats(bias)?)?,
        })
    }
}

/// How real an image of a class seems: convolutions with leaky ReLU, each of which halves the sides, and behind them a score for all classes and
/// one for each (*projection*; Miyato and Koyama 2018, arXiv:1802.05637).
#[derive(Debug)]
pub(super) struct Critic {
    shape: Shape,
    /// Weights `[outputs, inputs, 4, 4]`.
    downs: Vec<Convolution>,
    scores: Affine,
}

impl Critic {
    pub fn new(shape: Shape, classes: usize, recipe: &Recipe, rng: &mut ChaCha8Rng) -> Result<Self, TrainingError> {
        let mut downs = Vec::new();
        let (mut sides, mut inputs) = ([shape.height(), shape.width()], shape.channels());
        for outputs in &recipe.critic {
            downs.push(convolution([*outputs, inputs, 4, 4], 16 * inputs, *outputs, rng)?);
            (sides, inputs) = (sides.map(|side| side / 2), *outputs);
        }
        let scores = Affine::new(sides[0] * sides[1] * inputs, 1 + classes, 1.0, rng)?;
        Ok(Self { shape, downs, scores })
    }

    /// What is learned.
    pub fn parameters(&self) -> Vec<&Tensor> {
        self.downs.iter().flatten().chain(self.scores.parameters()).collect()
    }

    /// `[batch]`, of images `[batch, D]` of -1 to 1 and classes `[batch, classes]`.
    pub fn score(&self, images: &Tensor, classes: &Tensor) -> Result<Tensor, TrainingError> {
        let [channels, height, width] =
            [self.shape.channels(), self.shape.height(), self.shape.width()].map(|side| side as i64);
        let mut grid = images.f_view([-1, channels, height, width])?;
        for [weight, bias] in &self.downs {
            let sums = grid.f_conv2d(weight, Some(bias), [2, 2], [1, 1], [1, 1], 1)?;
            grid = sums.f_relu()?.f_lerp(&sums, LEAK)?;
        }
        let scores = self.scores.forward(&grid.f_flatten(1, 3)?)?;
        let own = scores.f_narrow(1, 1, classes.size()[1])?.f_mul(classes)?;
        Ok(scores.f_select(1, 0)? + own.f_sum_dim_intlist([1i64].as_slice(), false, Kind::Float)?)
    }
}
