//! Images drawn from the model, many at once.

use std::ops::Range;

use super::{Class, ImagesModel, LABEL, Network};
use crate::engine::exp;
use crate::model::chance::Chance;
use crate::model::generator::{Condition, DrawError, Generator, numbers_of};
use crate::model::mixture::choose;

/// Images that are drawn side by side; none follows from another.
const RUN: u32 = 64;

impl ImagesModel {
    /// A class by its share of all images.
    pub(super) fn class_by_chance(&self, chance: &mut Chance) -> usize {
        by_chance(&self.classes, chance)
    }

    /// The classes that a condition leaves.
    fn admitted(&self, condition: &Condition) -> Result<Range<usize>, DrawError> {
        let Some((field, value)) = condition.iter().find(|(field, _)| *field != LABEL).or(condition.iter().next())
        else {
            return Ok(0..self.classes.len());
        };
        if self.labels().next().is_none() {
            return Err(DrawError::Unconditional {
                family: self.name(),
                why: "its images had no classes, which `latentd train --labels` takes",
            });
        }
        if field != LABEL {
            return Err(DrawError::UnknownField { field: field.clone(), known: LABEL.to_owned() });
        }
        let place = self.classes.iter().position(|class| class.label.as_ref() == Some(value));
        place.map(|place| place..place + 1).ok_or_else(|| DrawError::Impossible {
            field: field.clone(),
            value: value.clone(),
            detail: format!("it is one of {}", self.labels().collect::<Vec<_>>().join(", ")),
        })
    }

    /// The samples of an image, in the order row, column, channel, of their logits in planar order.
    pub(super) fn samples(&self, logits: &[f32]) -> Vec<u8> {
        let plane = self.shape.plane();
        let channels = self.shape.channels();
        (0..plane * channels).map(|place| sample(logits[place % channels * plane + place / channels])).collect()
    }
}

/// The place of a class, by its share of the images of these.
fn by_chance(classes: &[Class], chance: &mut Chance) -> usize {
    let images = || classes.iter().map(|class| u64::from(class.images));
    choose(chance.below(images().sum()), images())
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
        self.admitted(condition).map(drop)
    }

    fn draw(
        &self,
        seed: u64,
        condition: &Condition,
        run: u64,
        count: u32,
        records: &mut Vec<Vec<u8>>,
    ) -> Result<(), DrawError> {
        self.draw_numbers(seed, condition, &numbers_of(run, count, RUN), records)
    }

    fn draw_numbers(
        &self,
        seed: u64,
        condition: &Condition,
        numbers: &[u64],
        records: &mut Vec<Vec<u8>>,
    ) -> Result<(), DrawError> {
        let classes = self.admitted(condition)?;
        let mut inputs = Vec::new();
        for number in numbers {
            let mut chance = Chance::of(seed, *number);
            let class = classes.start + by_chance(&self.classes[classes.clone()], &mut chance);
            self.network.random(class, &mut chance, &mut inputs);
        }
        let logits = self.logits(&inputs);
        records.extend(logits.chunks_exact(self.shape.samples()).map(|logits| self.samples(logits)));
        Ok(())
    }

    fn classes(&self, field: &str, condition: &Condition) -> Result<Vec<(String, f64)>, DrawError> {
        let no_classes = |detail: &str| DrawError::NoClasses { field: field.to_owned(), detail: detail.to_owned() };
        if condition.contains_key(field) {
            return Err(no_classes("a condition says what it is"));
        }
        if field != LABEL {
            return Err(DrawError::UnknownField { field: field.to_owned(), known: LABEL.to_owned() });
        }
        let all: u64 = self.classes.iter().map(|class| u64::from(class.images)).sum();
        let of = |class: &Class| Some((class.label.clone()?, f64::from(class.images) / all as f64));
        let classes: Vec<(String, f64)> = self.classes.iter().filter_map(of).collect();
        if classes.is_empty() { Err(no_classes("the images that it learned from had no labels")) } else { Ok(classes) }
    }
}

impl ImagesModel {
    /// The label of the image with this number: that of the class that [`Generator::draw`] draws it from; `None` without labels.
    pub fn label_of(&self, seed: u64, number: u64) -> Option<&str> {
        self.classes[self.class_by_chance(&mut Chance::of(seed, number))].label.as_deref()
    }
}
