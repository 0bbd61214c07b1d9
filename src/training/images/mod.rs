//! Trains models that draw images ([`crate::model::images`]).

pub mod gan;
pub mod vae;

pub(super) mod batches;
mod chosen;
mod classes;

pub use chosen::Chosen;

use super::TrainingError;
use super::checkpoint::identity;
use crate::payload::image::Shape;

/// One image in so many validates, and most that do.
const VALIDATES: usize = 15;
const MOST_VALIDATION: usize = 1024;

/// The least images to learn from.
const MIN_IMAGES: usize = 32;

/// What is learned from.
#[derive(Clone, Copy, Debug)]
pub struct Data<'a> {
    /// The images' shape.
    pub shape: Shape,
    /// `[images, D]`, samples in planar order.
    pub images: &'a [u8],
    /// The class of each image; empty without.
    pub labels: &'a [String],
}

impl Data<'_> {
    /// How many images there are; an error where they are not whole, or not as many as labels.
    pub(super) fn count(&self) -> Result<usize, TrainingError> {
        let (samples, bytes) = (self.shape.samples(), self.images.len());
        if !bytes.is_multiple_of(samples) {
            return Err(TrainingError::Data(format!("{bytes} bytes are not images of {}", self.shape)));
        }
        let (images, labels) = (bytes / samples, self.labels.len());
        if labels != 0 && labels != images {
            return Err(TrainingError::Data(format!("there are {images} images and {labels} labels")));
        }
        Ok(images)
    }

    /// What a training on them by this recipe is, hashed.
    fn identity(&self, recipe: String) -> String {
        let labels = self.labels.join("\n");
        identity(format!("{recipe} {}", self.shape), &[self.images, labels.as_bytes()])
    }

    /// How many there are, where a training of so many steps has enough to learn from.
    fn enough(&self, steps: u32) -> Result<usize, TrainingError> {
        let images = self.count()?;
        match images < MIN_IMAGES || steps == 0 {
            true => Err(TrainingError::Data(format!("{images} images and {steps} steps: it takes 32 and 1 at least"))),
            false => Ok(images),
        }
    }
}

/// Of some images' numbers those that are learned, and those that validate.
fn parted(images: impl Iterator<Item = usize>) -> [Vec<usize>; 2] {
    let (mut validation, mut learned) = (Vec::new(), Vec::new());
    for (place, number) in images.enumerate() {
        let validates = place % VALIDATES == 0 && validation.len() < MOST_VALIDATION;
        if validates { validation.push(number) } else { learned.push(number) }
    }
    [learned, validation]
}

#[cfg(test)]
pub(super) mod tests;
