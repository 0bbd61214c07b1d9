//! Images drawn from the model, many at once.

use super::{ImagesModel, Network, classes};
use crate::engine::exp;
use crate::model::chance::Chance;
use crate::model::generator::{Condition, DrawError, Generator, ImageGenerator};
use crate::payload::image::Shape;

/// Images that are drawn side by side; none follows from another.
const RUN: u32 = 64;

impl ImagesModel {
    /// A class by its share of all images.
    pub(super) fn class_by_chance(&self, chance: &mut Chance) -> usize {
        classes::by_chance(&self.classes, 0..self.classes.len(), chance)
    }

    /// The samples of an image, in the order row, column, channel, of their logits in planar order.
    pub(super) fn samples(&self, logits: &[f32]) -> Vec<u8> {
        let plane = self.shape.plane();
        let channels = self.shape.channels();
        (0..plane * channels).map(|place| sample(logits[place % channels * plane + place / channels])).collect()
    }
}

/// A sample of its logit: the logistic function times 255, rounded.
fn sample(logit: f32) -> u8 {
    let small = exp(-logit.abs());
    let share = if logit < 0.0 { small / (1.0 + small) } else { 1.0 / (1.0 + small) };
    (share * 255.0 + 0.5) as u8
}

impl Generator for ImagesModel {
    fn name(&self) -> &'static str {
        match self.network {
            Network::Vae(_) => "vae",
            Network::Gan(_) => "gan",
        }
    }

    fn content_type(&self) -> &'static str {
        "application/octet-stream"
    }

    fn run_length(&self) -> u32 {
        RUN
    }

    fn admits(&self, condition: &Condition) -> Result<(), DrawError> {
        classes::admitted(&self.classes, self.name(), condition).map(drop)
    }

    fn draw_numbers(
        &self,
        seed: u64,
        condition: &Condition,
        numbers: &[u64],
        records: &mut Vec<Vec<u8>>,
    ) -> Result<(), DrawError> {
        let admitted = classes::admitted(&self.classes, self.name(), condition)?;
        let mut inputs = Vec::new();
        for number in numbers {
            let mut chance = Chance::of(seed, *number);
            let class = classes::by_chance(&self.classes, admitted.clone(), &mut chance);
            self.network.random(class, &mut chance, &mut inputs);
        }
        let logits = self.logits(&inputs);
        records.extend(logits.chunks_exact(self.shape.samples()).map(|logits| self.samples(logits)));
        Ok(())
    }

    fn classes(&self, field: &str, condition: &Condition) -> Result<Vec<(String, f64)>, DrawError> {
        classes::shares(&self.classes, field, condition)
    }
}

impl ImageGenerator for ImagesModel {
    fn shape(&self) -> Shape {
        self.shape
    }

    fn labels(&self) -> Vec<&str> {
        classes::labels(&self.classes)
    }

    fn label_of(&self, seed: u64, number: u64) -> Option<&str> {
        self.classes[self.class_by_chance(&mut Chance::of(seed, number))].label.as_deref()
    }
}
