//! Small images, drawn: `vae` and `gan` of images.
//!
//! 1. A **class** is chosen by its share of all images, or is asked for by its label. Without labels all images are one class.
//! 2. A **network** makes the logits of an image's samples of random numbers and the class: the decoder of a variational autoencoder over
//!    a mixture of Gaussians for each class (`vae`), or the generator of an adversarial pair (`gan`). `crate::training::images` trains them.
//! 3. **Samples** are the logistic function of logits, times 255.
//!
//! All of it is `f32` and `f64` in a stated order, with an exponential and a logarithm of our own: the same model, seed, condition and
//! number give the same bytes on every machine.

mod artefact;
pub(super) mod classes;
mod contrast;
mod draw;
mod gan;
mod upsampling;
mod vae;

use std::sync::Arc;

use super::Family;
use super::chance::Chance;
use super::mixture::{FEWEST, MixtureError};
use super::perceptron::LayerError;
use crate::codec::ModelId;
use crate::engine::Kernel;
use crate::payload::image::{Shape, ShapeError};

pub use artefact::MAX_ARTEFACT_BYTES;
pub use classes::Class;
pub use contrast::{contrast, half_light};
pub use gan::{GanParts, MAX_CHANNELS, MAX_PRODUCTS, MAX_UPS, first_grid};
pub use vae::VaeParts;

/// Most latent numbers, or numbers of noise.
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
pub enum ImagesError {
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
    /// There are too few images to draw others like them.
    #[error("{found} images of a class are too few to draw others like them: at least {FEWEST} are needed")]
    TooFew {
        /// How many there are.
        found: usize,
    },
}

impl From<MixtureError> for ImagesError {
    fn from(error: MixtureError) -> Self {
        match error {
            MixtureError::Invalid(what) => Self::invalid(what),
            MixtureError::TooFew { found } => Self::TooFew { found },
        }
    }
}

impl From<LayerError> for ImagesError {
    fn from(error: LayerError) -> Self {
        Self::invalid(error)
    }
}

impl ImagesError {
    fn invalid(what: impl std::fmt::Display) -> Self {
        Self::Invalid(what.to_string())
    }
}

/// That what is asked of parts holds.
fn holds(holds: bool, what: &str) -> Result<(), ImagesError> {
    if holds { Ok(()) } else { Err(ImagesError::invalid(what)) }
}

/// What a training makes.
#[derive(Clone, Debug, PartialEq)]
pub struct ImagesParts {
    /// The images' shape.
    pub shape: Shape,
    /// Classes, by ascending label.
    pub classes: Vec<Class>,
    /// What makes images of them.
    pub network: NetworkParts,
}

/// The network of a family.
#[derive(Clone, Debug, PartialEq)]
pub enum NetworkParts {
    /// A decoder over mixtures.
    Vae(VaeParts),
    /// A generator of upsampling convolutions.
    Gan(GanParts),
}

impl ImagesParts {
    fn check(&self) -> Result<(), ImagesError> {
        if let Some(fault) = classes::fault(&self.classes) {
            return Err(ImagesError::invalid(fault));
        }
        match &self.network {
            NetworkParts::Vae(parts) => parts.check(self.shape, self.classes.len()),
            NetworkParts::Gan(parts) => parts.check(self.shape, self.classes.len()),
        }
    }
}

/// A network, ready to draw.
#[derive(Debug)]
enum Network {
    Vae(vae::Decoder),
    Gan(gan::Generator),
}

impl Network {
    fn new(parts: &ImagesParts, kernel: Kernel) -> Self {
        match &parts.network {
            NetworkParts::Vae(network) => Self::Vae(vae::Decoder::new(network, kernel)),
            NetworkParts::Gan(network) => {
                Self::Gan(gan::Generator::new(network, parts.shape, parts.classes.len(), kernel))
            }
        }
    }

    /// Appends what an image of a class is made of.
    fn random(&self, class: usize, chance: &mut Chance, inputs: &mut Vec<f32>) {
        match self {
            Self::Vae(decoder) => decoder.random(class, chance, inputs),
            Self::Gan(generator) => generator.random(class, chance, inputs),
        }
    }
}

/// A model that draws images.
pub struct ImagesModel {
    artefact: Arc<[u8]>,
    id: ModelId,
    shape: Shape,
    classes: Vec<Class>,
    network: Network,
}

impl ImagesModel {
    /// Of parts that were trained.
    pub fn new(parts: &ImagesParts) -> Result<Self, ImagesError> {
        parts.check()?;
        Self::parse(&artefact::write(parts))
    }

    /// Reads an artefact that comes from anywhere. Takes memory in proportion to its length.
    pub fn parse(artefact: &[u8]) -> Result<Self, ImagesError> {
        Self::with_kernel(artefact, Kernel::best())
    }

    /// [`ImagesModel::parse`], with a kernel of choice: all draw the same.
    pub fn with_kernel(artefact: &[u8], kernel: Kernel) -> Result<Self, ImagesError> {
        let parts = artefact::read(artefact)?;
        parts.check()?;
        Ok(Self {
            artefact: artefact.into(),
            id: ModelId::of(artefact),
            shape: parts.shape,
            network: Network::new(&parts, kernel),
            classes: parts.classes,
        })
    }

    /// Its family.
    pub fn family(&self) -> Family {
        match self.network {
            Network::Vae(_) => Family::VAE,
            Network::Gan(_) => Family::GAN,
        }
    }

    /// Its bytes.
    pub fn artefact(&self) -> &Arc<[u8]> {
        &self.artefact
    }

    /// Its content address.
    pub fn id(&self) -> ModelId {
        self.id
    }

    /// The logits of samples for what images are made of: `[rows, inputs]` to `[rows, D]`, samples in planar order. A `vae` makes them of
    /// latents, a `gan` of noise and a 1 among zeros, in the class's place.
    ///
    /// # Panics
    ///
    /// If `inputs` are not whole rows.
    pub fn logits(&self, inputs: &[f32]) -> Vec<f32> {
        match &self.network {
            Network::Vae(decoder) => decoder.logits(inputs),
            Network::Gan(generator) => generator.logits(inputs),
        }
    }
}

impl std::fmt::Debug for ImagesModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (family, id, bytes, shape) = (self.family(), self.id, self.artefact.len(), self.shape);
        let classes = self.classes.len();
        write!(f, "ImagesModel {{ family: {family}, id: {id}, bytes: {bytes}, shape: {shape}, classes: {classes} }}")
    }
}

#[cfg(test)]
mod tests;
