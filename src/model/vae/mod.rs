//! `vae`: small images, drawn by the decoder of a variational autoencoder (Kingma and Welling 2014, arXiv:1312.6114).
//!
//! 1. A **mixture** of Gaussians for each class of images says which latents the class has ([`super::mixture`]). It is fitted to samples of the
//!    posterior: what an encoder makes of real images is far from the prior that it was trained with, so that
//!    latents drawn from the prior make images of nothing (*ex-post density estimation*; Ghosh et al. 2020, arXiv:1903.12436).
//! 2. A **decoder** of three layers makes an image of a latent, with as much *contrast* as real images have (`contrast`).
//!
//! Classes are drawn by their shares, or one is asked for by its label. Without labels all images are one class.
//!
//! All of it is `f32` and `f64` in a stated order, with an exponential and a logarithm of our own: the same model, seed, condition and
//! number give the same bytes on every machine.

mod artefact;
mod contrast;
mod draw;

use std::sync::Arc;

use super::mixture::{FEWEST, Mixture, MixtureError};
use super::perceptron::{LayerError, Linear, Perceptron};
use crate::codec::ModelId;
use crate::engine::Kernel;
use crate::payload::image::{Shape, ShapeError};

pub use artefact::MAX_ARTEFACT_BYTES;
pub use contrast::{contrast, half_light};

/// Most latent numbers.
pub const MAX_LATENTS: usize = 128;
/// Most units of a hidden layer.
pub const MAX_WIDTH: usize = 2048;
/// Most classes.
pub const MAX_CLASSES: usize = 512;
/// Most bytes of a class's label.
pub const MAX_LABEL: usize = 64;

/// The field that a condition may name.
pub const LABEL: &str = "label";

/// Why there is no model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VaeError {
    /// The bytes or parts are no model of this kind.
    #[error("it is no model that draws images: {0}")]
    Invalid(String),
    /// A newer program wrote it.
    #[error("it has version {version} of the format, this program reads {}: use a newer latentd", artefact::VERSION)]
    Version {
        /// What it says.
        version: u32,
    },
    /// There is no such shape.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// There are too few images to fit a mixture to.
    #[error("{found} images of a class are too few to draw others like them: at least {FEWEST} are needed")]
    TooFew {
        /// How many there are.
        found: usize,
    },
}

impl From<MixtureError> for VaeError {
    fn from(error: MixtureError) -> Self {
        match error {
            MixtureError::Invalid(what) => Self::invalid(what),
            MixtureError::TooFew { found } => Self::TooFew { found },
        }
    }
}

impl From<LayerError> for VaeError {
    fn from(error: LayerError) -> Self {
        Self::invalid(error)
    }
}

impl VaeError {
    fn invalid(what: impl std::fmt::Display) -> Self {
        Self::Invalid(what.to_string())
    }
}

/// A class of images.
#[derive(Clone, Debug, PartialEq)]
pub struct Class {
    /// What it is asked for by; only a class that is the only one has none.
    pub label: Option<String>,
    /// Images that it was learned from: classes are drawn in proportion to them.
    pub images: u32,
    /// Its latents.
    pub mixture: Mixture,
}

/// What a training makes.
#[derive(Clone, Debug, PartialEq)]
pub struct VaeParts {
    /// The images' shape.
    pub shape: Shape,
    /// Classes, by ascending label.
    pub classes: Vec<Class>,
    /// From latents to hidden units to hidden units to the logits of samples in planar order.
    pub decoder: [Linear; 3],
}

impl VaeParts {
    /// Latent numbers.
    pub fn latents(&self) -> usize {
        self.decoder[0].inputs()
    }

    fn check(&self) -> Result<(), VaeError> {
        let holds = |holds: bool, what: &str| if holds { Ok(()) } else { Err(VaeError::invalid(what)) };
        let [first, second, last] = &self.decoder;
        holds((1..=MAX_LATENTS).contains(&first.inputs()), "it does not have 1 to 128 latent numbers")?;
        for hidden in [first, second] {
            holds((1..=MAX_WIDTH).contains(&hidden.outputs()), "a layer does not have 1 to 2048 units")?;
        }
        let follows = second.inputs() == first.outputs() && last.inputs() == second.outputs();
        holds(follows && last.outputs() == self.shape.samples(), "its layers do not fit each other and its shape")?;
        holds((1..=MAX_CLASSES).contains(&self.classes.len()), "it does not have 1 to 512 classes")?;
        let named = self.classes.iter().all(|class| class.label.is_some());
        holds(named || self.classes.len() == 1, "a class has no label")?;
        holds(
            self.classes.windows(2).all(|pair| pair[0].label < pair[1].label),
            "its classes are not in the order of their labels",
        )?;
        for Class { label, images, mixture } in &self.classes {
            holds(label.as_ref().is_none_or(|label| label.len() <= MAX_LABEL), "a label has more than 64 bytes")?;
            holds(*images > 0, "a class has no images")?;
            holds(mixture.latents() == self.latents(), "a mixture is of other latents")?;
        }
        Ok(())
    }
}

/// A model that draws images.
pub struct VaeModel {
    artefact: Arc<[u8]>,
    id: ModelId,
    shape: Shape,
    classes: Vec<Class>,
    decoder: Perceptron,
}

impl VaeModel {
    /// Of parts that were trained.
    pub fn new(parts: &VaeParts) -> Result<Self, VaeError> {
        parts.check()?;
        Self::parse(&artefact::write(parts))
    }

    /// Reads an artefact that comes from anywhere. Takes memory in proportion to its length.
    pub fn parse(artefact: &[u8]) -> Result<Self, VaeError> {
        Self::with_kernel(artefact, Kernel::best())
    }

    /// [`VaeModel::parse`], with a kernel of choice: all draw the same.
    pub fn with_kernel(artefact: &[u8], kernel: Kernel) -> Result<Self, VaeError> {
        let parts = artefact::read(artefact)?;
        parts.check()?;
        Ok(Self {
            artefact: artefact.into(),
            id: ModelId::of(artefact),
            shape: parts.shape,
            decoder: Perceptron::new(&parts.decoder, kernel),
            classes: parts.classes,
        })
    }

    /// Its bytes.
    pub fn artefact(&self) -> &Arc<[u8]> {
        &self.artefact
    }

    /// Its content address.
    pub fn id(&self) -> ModelId {
        self.id
    }

    /// The shape of its images.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The labels that can be asked for, in ascending order; none without labels.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.classes.iter().filter_map(|class| class.label.as_deref())
    }

    /// The logits of samples for latents: `[rows, L]` to `[rows, D]`, samples in planar order.
    ///
    /// # Panics
    ///
    /// If `latents` are not whole rows.
    pub fn decode(&self, latents: &[f32]) -> Vec<f32> {
        let logits = self.decoder.apply(latents);
        let rows = logits.chunks_exact(self.decoder.width());
        rows.flat_map(|row| &row[..self.decoder.outputs()]).copied().collect()
    }
}

impl std::fmt::Debug for VaeModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (id, bytes, shape, classes) = (self.id, self.artefact.len(), self.shape, self.classes.len());
        write!(f, "VaeModel {{ id: {id}, bytes: {bytes}, shape: {shape}, classes: {classes} }}")
    }
}

#[cfg(test)]
mod tests;
