//! `gan`: the generator of an adversarial pair (Goodfellow et al. 2014, arXiv:1406.2661), conditional on the class.
//!
//! Two layers make a coarse grid of noise and class, transposed convolutions double its sides until it is as large as an image (Radford et al. 2016,
//! *DCGAN*, arXiv:1511.06434), and a last convolution makes logits of it:
//!
//! ```text
//! g = max(0, W2 max(0, W1 [z, y] + b1) + b2)        g <- max(0, U_n * g + u_n), n of 0 to N - 1        l = V * g + v
//! ```
//!
//! `z` are normal numbers, `y` is a 1 among zeros, in the class's place. What sticks out below and to the right is cut off.

use super::upsampling::{Grids, Output, Upsampling};
use super::{ImagesError, MAX_LATENTS, MAX_WIDTH, holds};
use crate::engine::{Kernel, padded};
use crate::model::chance::Chance;
use crate::model::perceptron::{Linear, Perceptron};
use crate::payload::image::Shape;

/// Most convolutions that double the sides of a grid.
pub const MAX_UPS: usize = 4;
/// Most channels of a grid.
pub const MAX_CHANNELS: usize = 256;
/// Most products of an image, so that none takes long: a quarter of a second at a billion a second.
pub const MAX_PRODUCTS: usize = 1 << 28;

/// Images that are made together: their grids fit a processor's cache, and are whole tiles of rows for every kernel.
const TOGETHER: usize = 8;

/// Height and width of the first grid, whose sides are doubled so many times.
pub const fn first_grid(shape: Shape, ups: usize) -> [usize; 2] {
    [shape.height().div_ceil(1 << ups), shape.width().div_ceil(1 << ups)]
}

/// What a training makes.
#[derive(Clone, Debug, PartialEq)]
pub struct GanParts {
    /// From `L` normal numbers and as many as there are classes, one of them 1 and the others 0, to hidden units to the first grid, in the order row,
    /// column, channel.
    pub dense: [Linear; 2],
    /// What doubles a grid's sides: weights of 2 by 2 products for each of 2 by 2 places, `[2, 2, 2, 2, channels, channels]`, see `Upsampling`.
    pub ups: Vec<Linear>,
    /// From the last grid to samples: weights `[3, 3, channels, image's channels]`.
    pub output: Linear,
}

impl GanParts {
    pub(super) fn check(&self, shape: Shape, classes: usize) -> Result<(), ImagesError> {
        let [first, second] = &self.dense;
        let latents = first.inputs().checked_sub(classes);
        let is_noise = latents.is_some_and(|latents| (1..=MAX_LATENTS).contains(&latents));
        holds(is_noise, "it does not have 1 to 128 numbers of noise")?;
        holds((1..=MAX_WIDTH).contains(&first.outputs()), "a layer does not have 1 to 2048 units")?;
        holds((1..=MAX_UPS).contains(&self.ups.len()), "it does not double its grid 1 to 4 times")?;
        let [mut height, mut width] = first_grid(shape, self.ups.len());
        let mut channels = second.outputs() / (height * width);
        let is_grid = second.inputs() == first.outputs() && second.outputs() == channels * height * width;
        holds(is_grid && channels > 0, "its layers do not fit each other and its shape")?;
        let mut products = padded(first.inputs()) * padded(first.outputs()) + second.weights().len();
        for up in &self.ups {
            holds(up.inputs() == 16 * channels, "a convolution does not fit the one before")?;
            holds(channels.max(up.outputs()) <= MAX_CHANNELS, "a grid has more than 256 channels")?;
            products += 16 * padded(channels) * padded(up.outputs()) * height * width;
            (height, width, channels) = (2 * height, 2 * width, up.outputs());
        }
        products += 9 * padded(channels) * self.output.outputs() * shape.plane();
        let fits = self.output.inputs() == 9 * channels && self.output.outputs() == shape.channels();
        holds(fits, "its last convolution does not make images of its shape")?;
        holds(products <= MAX_PRODUCTS, "an image takes more than 2^28 products")
    }
}

/// The layers, ready to draw.
#[derive(Debug)]
pub(super) struct Generator {
    latents: usize,
    classes: usize,
    dense: Perceptron,
    first: [usize; 2],
    ups: Vec<Upsampling>,
    output: Output,
}

impl Generator {
    /// Of parts that were checked.
    pub fn new(parts: &GanParts, shape: Shape, classes: usize, kernel: Kernel) -> Self {
        Self {
            latents: parts.dense[0].inputs() - classes,
            classes,
            dense: Perceptron::new(&parts.dense, kernel),
            first: first_grid(shape, parts.ups.len()),
            ups: parts.ups.iter().map(|up| Upsampling::new(up, kernel)).collect(),
            output: Output::new(&parts.output, shape),
        }
    }

    /// Appends noise, and the class.
    pub fn random(&self, class: usize, chance: &mut Chance, inputs: &mut Vec<f32>) {
        let end = inputs.len() + self.latents;
        while inputs.len() < end {
            inputs.extend(chance.normals());
        }
        inputs.truncate(end);
        inputs.extend((0..self.classes).map(|place| if place == class { 1.0 } else { 0.0 }));
    }

    /// `[rows, L + classes]` to `[rows, D]`.
    pub fn logits(&self, inputs: &[f32]) -> Vec<f32> {
        let (columns, width, outputs) = (self.latents + self.classes, self.dense.width(), self.dense.outputs());
        let mut logits = Vec::with_capacity(inputs.len() / columns * self.output.samples());
        for inputs in inputs.chunks(TOGETHER * columns) {
            let dense = self.dense.apply(inputs);
            let mut grids = Grids::of(self.first, dense.chunks_exact(width).map(|row| &row[..outputs]));
            for up in &self.ups {
                grids = up.apply(&grids);
            }
            self.output.apply(&grids, &mut logits);
        }
        logits
    }
}
