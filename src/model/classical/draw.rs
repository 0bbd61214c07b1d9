//! Images made of others, each for itself.

use std::ops::Range;

use super::{ClassicalImages, Operation, alter};
use crate::model::chance::Chance;
use crate::model::generator::{Condition, DrawError, Generator, ImageGenerator};
use crate::model::images::{Class, classes};
use crate::payload::image::Shape;

/// Images of a run; none follows from another.
const RUN: u32 = 64;

impl ClassicalImages {
    /// What makes an image: the first of what its chance decides.
    fn operation(&self, chance: &mut Chance) -> Operation {
        let operations = &self.parts.operations;
        operations[chance.below(operations.len() as u64) as usize]
    }

    /// The samples of an image in planar order.
    fn samples(&self, seed: u64, number: u64, admitted: Range<usize>) -> Vec<u8> {
        let (shape, mut chance) = (self.parts.shape, Chance::of(seed, number));
        let operation = self.operation(&mut chance);
        // The class is the second of what its chance decides.
        let class = classes::by_chance(&self.parts.classes, admitted, &mut chance);
        let images = |class: &Class| class.images as usize;
        let before: usize = self.parts.classes[..class].iter().map(images).sum();
        let of_class = images(&self.parts.classes[class]);
        let base = |number: usize| &self.parts.bases[(before + number) * shape.samples()..][..shape.samples()];
        let one = chance.below(of_class as u64) as usize;
        match operation {
            Operation::Crop => alter::crop(shape, base(one), &mut chance),
            Operation::Shift => alter::shift(shape, base(one), &mut chance),
            Operation::Flip => alter::flip(shape, base(one)),
            Operation::Noise => alter::noise(base(one), &mut chance),
            Operation::Mixup => {
                // Any other of the class, of which there are two at least.
                let other = chance.below(of_class as u64 - 1) as usize;
                let other = if other < one { other } else { other + 1 };
                alter::mixup(base(one), base(other), &mut chance)
            }
            Operation::Jitter | Operation::SmoteNc => alter::jitter(base(one), &mut chance),
        }
    }
}

impl Generator for ClassicalImages {
    fn name(&self) -> &'static str {
        "classical"
    }

    fn made_by(&self, seed: u64, number: u64) -> &'static str {
        self.operation(&mut Chance::of(seed, number)).lineage()
    }

    fn content_type(&self) -> &'static str {
        "application/octet-stream"
    }

    fn run_length(&self) -> u32 {
        RUN
    }

    fn admits(&self, condition: &Condition) -> Result<(), DrawError> {
        classes::admitted(&self.parts.classes, self.name(), condition).map(drop)
    }

    fn draw_numbers(
        &self,
        seed: u64,
        condition: &Condition,
        numbers: &[u64],
        records: &mut Vec<Vec<u8>>,
    ) -> Result<(), DrawError> {
        let admitted = classes::admitted(&self.parts.classes, self.name(), condition)?;
        let (plane, channels) = (self.parts.shape.plane(), self.parts.shape.channels());
        for number in numbers {
            let samples = self.samples(seed, *number, admitted.clone());
            // In the order row, column, channel.
            let of = |place: usize| samples[place % channels * plane + place / channels];
            records.push((0..samples.len()).map(of).collect());
        }
        Ok(())
    }

    fn classes(&self, field: &str, condition: &Condition) -> Result<Vec<(String, f64)>, DrawError> {
        classes::shares(&self.parts.classes, field, condition)
    }
}

impl ImageGenerator for ClassicalImages {
    fn shape(&self) -> Shape {
        self.parts.shape
    }

    fn labels(&self) -> Vec<&str> {
        classes::labels(&self.parts.classes)
    }

    fn label_of(&self, seed: u64, number: u64) -> Option<&str> {
        let mut chance = Chance::of(seed, number);
        self.operation(&mut chance);
        let all = 0..self.parts.classes.len();
        let class = classes::by_chance(&self.parts.classes, all, &mut chance);
        self.parts.classes[class].label.as_deref()
    }
}
