//! `vae`: the decoder of a variational autoencoder (Kingma and Welling 2014, arXiv:1312.6114).
//!
//! 1. A **mixture** of Gaussians for each class of images says which latents the class has ([`crate::model::mixture`]). It is fitted to samples of the
//!    posterior: what an encoder makes of real images is far from the prior that it was trained with, so that
//!    latents drawn from the prior make images of nothing (*ex-post density estimation*; Ghosh et al. 2020, arXiv:1903.12436).
//! 2. A **decoder** of three layers makes an image of a latent, with as much *contrast* as real images have (`contrast`).

use super::{ImagesError, MAX_LATENTS, MAX_WIDTH, holds};
use crate::engine::Kernel;
use crate::model::chance::Chance;
use crate::model::mixture::Mixture;
use crate::model::perceptron::{Linear, Perceptron};
use crate::payload::image::Shape;

/// What a training makes.
#[derive(Clone, Debug, PartialEq)]
pub struct VaeParts {
    /// The latents of each class.
    pub mixtures: Vec<Mixture>,
    /// From latents to hidden units to hidden units to the logits of samples in planar order.
    pub decoder: [Linear; 3],
}

impl VaeParts {
    /// Latent numbers.
    pub fn latents(&self) -> usize {
        self.decoder[0].inputs()
    }

    pub(super) fn check(&self, shape: Shape, classes: usize) -> Result<(), ImagesError> {
        let [first, second, last] = &self.decoder;
        holds((1..=MAX_LATENTS).contains(&first.inputs()), "it does not have 1 to 128 latent numbers")?;
        for hidden in [first, second] {
            holds((1..=MAX_WIDTH).contains(&hidden.outputs()), "a layer does not have 1 to 2048 units")?;
        }
        let follows = second.inputs() == first.outputs() && last.inputs() == second.outputs();
        holds(follows && last.outputs() == shape.samples(), "its layers do not fit each other and its shape")?;
        holds(self.mixtures.len() == classes, "it does not have a mixture for each class")?;
        let fits = self.mixtures.iter().all(|mixture| mixture.latents() == self.latents());
        holds(fits, "a mixture is of other latents")
    }
}

/// Mixtures and decoder, ready to draw.
#[derive(Debug)]
pub(super) struct Decoder {
    mixtures: Vec<Mixture>,
    decoder: Perceptron,
}

impl Decoder {
    pub fn new(parts: &VaeParts, kernel: Kernel) -> Self {
        Self { mixtures: parts.mixtures.clone(), decoder: Perceptron::new(&parts.decoder, kernel) }
    }

    /// Appends latents of a class.
    pub fn random(&self, class: usize, chance: &mut Chance, latents: &mut Vec<f32>) {
        self.mixtures[class].draw(chance, latents);
    }

    /// `[rows, L]` to `[rows, D]`.
    pub fn logits(&self, latents: &[f32]) -> Vec<f32> {
        let logits = self.decoder.apply(latents);
        let rows = logits.chunks_exact(self.decoder.width());
        rows.flat_map(|row| &row[..self.decoder.outputs()]).copied().collect()
    }
}
