//! `classical`: records made of real ones by an [`Operation`], without a network. Rows are made by `crate::model::rows` (`classical`), images
//! here:
//!
//! 1. A **class** is drawn by its share of the images, or is asked for by its label; in it one of the real images, the *base*.
//! 2. The **operation** changes it (`alter`): a part of it, a shift, its mirror image, noise, another brightness and contrast, or a mean with
//!    another of its class, whose label what is drawn has.
//!
//! **The model holds these images as they are**, and what it draws is near to one of them. All of it is whole numbers, and for noise `f32` in a
//! stated order: the same model, seed, condition and number give the same bytes on every machine.

mod alter;
mod artefact;
mod draw;
mod operation;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::chance::Chance;
use super::images::{Class, classes};
use super::mixture::FEWEST;
use crate::codec::ModelId;
use crate::payload::image::{Shape, ShapeError};

pub use artefact::MAX_ARTEFACT_BYTES;
pub use operation::{Operation, UnknownOperation};

/// Why there is no model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClassicalError {
    /// The bytes or parts are no model of this kind.
    #[error("it is no model that makes images of others: {0}")]
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
    /// No class has images enough.
    #[error("{found} images, of a class at most, are too few to make others of: at least {FEWEST} are needed")]
    TooFew {
        /// How many there are of the largest class.
        found: usize,
    },
}

impl ClassicalError {
    fn invalid(what: impl std::fmt::Display) -> Self {
        Self::Invalid(what.to_string())
    }
}

/// What is made of images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImagesRecipe {
    /// Of which each image is made by one.
    pub operations: Vec<Operation>,
    /// Images that are kept at most, chosen by the seed.
    pub bases: usize,
}

impl ImagesRecipe {
    /// What is done where nothing else is asked for: no flip, which makes another letter of a letter.
    pub const OPERATIONS: [Operation; 5] =
        [Operation::Crop, Operation::Shift, Operation::Noise, Operation::Jitter, Operation::Mixup];
}

/// What a model is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassicalParts {
    /// The images' shape.
    pub shape: Shape,
    /// Of which each image is made by one.
    pub operations: Vec<Operation>,
    /// Classes, by ascending label.
    pub classes: Vec<Class>,
    /// `[images, D]`: samples in planar order, class by class.
    pub bases: Vec<u8>,
}

impl ClassicalParts {
    fn check(&self) -> Result<(), ClassicalError> {
        let holds = |holds: bool, what: &str| if holds { Ok(()) } else { Err(ClassicalError::invalid(what)) };
        if let Some(fault) = Operation::fault(&self.operations, &Operation::OF_IMAGES) {
            return Err(ClassicalError::invalid(fault));
        }
        if let Some(fault) = classes::fault(&self.classes) {
            return Err(ClassicalError::invalid(fault));
        }
        holds(self.classes.iter().all(|class| class.images > 1), "a class has fewer than two images")?;
        let images: u64 = self.classes.iter().map(|class| u64::from(class.images)).sum();
        let bytes = images.checked_mul(self.shape.samples() as u64);
        holds(bytes == Some(self.bases.len() as u64), "its images are not those of its classes")
    }

    /// Of images with labels, all of them or none: `images: [images, D]`, samples in planar order. The same images, recipe and seed make the
    /// same parts. Classes of fewer than five images are left out, and how many that are is said.
    pub fn of(
        shape: Shape,
        images: &[u8],
        labels: &[String],
        recipe: &ImagesRecipe,
        seed: u64,
    ) -> Result<(Self, usize), ClassicalError> {
        let count = images.len() / shape.samples();
        if !labels.is_empty() && labels.len() != count {
            return Err(ClassicalError::invalid("there is not a label for each image"));
        }
        let most = recipe.bases.min(MAX_ARTEFACT_BYTES / 2 / shape.samples());
        let mut by_class: BTreeMap<Option<&str>, Vec<usize>> = BTreeMap::new();
        let (mut left_out, mut largest) = (0, 0);
        for number in Chance::of(seed, 0).some_of(count, most) {
            by_class.entry(labels.get(number).map(String::as_str)).or_default().push(number);
        }
        by_class.retain(|_, numbers| {
            largest = largest.max(numbers.len());
            let stays = numbers.len() >= FEWEST;
            left_out += if stays { 0 } else { numbers.len() };
            stays
        });
        if by_class.is_empty() {
            return Err(ClassicalError::TooFew { found: largest });
        }
        let class = |(label, numbers): (&Option<&str>, &Vec<usize>)| Class {
            label: label.map(str::to_owned),
            images: numbers.len() as u32,
        };
        let classes = by_class.iter().map(class).collect();
        let samples = |number: &usize| &images[number * shape.samples()..][..shape.samples()];
        let bases = by_class.values().flatten().flat_map(samples).copied().collect();
        let parts = Self { shape, operations: recipe.operations.clone(), classes, bases };
        parts.check()?;
        Ok((parts, left_out))
    }
}

/// A model that makes images of real ones, which it holds.
pub struct ClassicalImages {
    artefact: Arc<[u8]>,
    id: ModelId,
    parts: ClassicalParts,
}

impl ClassicalImages {
    /// Of its parts.
    pub fn new(parts: &ClassicalParts) -> Result<Self, ClassicalError> {
        parts.check()?;
        Self::parse(&artefact::write(parts))
    }

    /// Reads an artefact that comes from anywhere. Takes memory in proportion to its length.
    pub fn parse(artefact: &[u8]) -> Result<Self, ClassicalError> {
        let parts = artefact::read(artefact)?;
        parts.check()?;
        Ok(Self { artefact: artefact.into(), id: ModelId::of(artefact), parts })
    }

    /// Its bytes.
    pub fn artefact(&self) -> &Arc<[u8]> {
        &self.artefact
    }

    /// Its content address.
    pub fn id(&self) -> ModelId {
        self.id
    }

    /// How many images it holds.
    pub fn bases(&self) -> usize {
        self.parts.bases.len() / self.parts.shape.samples()
    }
}

impl std::fmt::Debug for ClassicalImages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (id, shape, classes, bases) = (self.id, self.parts.shape, self.parts.classes.len(), self.bases());
        write!(f, "ClassicalImages {{ id: {id}, shape: {shape}, classes: {classes}, bases: {bases} }}")
    }
}

#[cfg(test)]
mod tests;
