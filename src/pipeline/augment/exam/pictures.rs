//! Images, judged by what a classifier of the topic's own labels sees in them.

use super::{Exam, FEWEST, Sat};
use crate::model::images::LABEL;
use crate::model::{Condition, DrawError};
use crate::payload::image::Shape;
use crate::pipeline::augment::ExaminerError;
use crate::pipeline::learn::pictures::Pictures;
use crate::pipeline::learn::{Run, Samples};
use crate::quality::{Report, Rows};
use crate::training::classifier::{Images, judge, judge_class};
use crate::training::images::Data;

/// Most real images of a kind, and drawn ones, that are compared.
const IMAGES: usize = 2_500;

/// Most images that a classifier learns from, and most bytes of samples of them, where these are no fewer than are compared.
const TAUGHT: usize = 10_000;
const TAUGHT_BYTES: usize = 32 << 20;

/// How often a classifier sees each image.
const EPOCHS: u32 = 4;

/// The golden ratio's fraction, whose multiples spread evenly.
const SPREAD: f64 = 0.618_033_988_749_894_9;

/// A value and its class.
type Labelled<'a> = (&'a [u8], Option<&'a str>);

impl Exam<'_> {
    pub(super) fn pictures(&self, samples: &Samples, shape: Shape) -> Result<Sat, ExaminerError> {
        let class = self.settings.condition.get(LABEL).map(String::as_str);
        let (learned, holdout) = (samples.learned(), samples.holdout());
        let (learned, holdout) = (self.real(&learned), self.real(&holdout));
        let taught = (TAUGHT_BYTES / shape.samples()).clamp(IMAGES, TAUGHT);
        let newest = |all: &[Labelled<'_>], class, most| Pictures::of(&newest(all, class, most), shape);
        // What tells classes apart learned from all of them.
        let all = newest(&learned, None, taught);
        let of_class = class.map(|_| newest(&learned, class, IMAGES));
        let (train, holdout) = (of_class.as_ref().unwrap_or(&all), newest(&holdout, class, IMAGES));
        let count = |pictures: &Pictures| pictures.samples.len() / shape.samples();
        if count(train) < FEWEST || count(&holdout) < FEWEST {
            return Ok(Sat::TooFew { learned: count(train), held_out: count(&holdout) });
        }
        // Classifiers of drawn images and of real ones are compared where each learned from as many.
        let is_learned_from = class.is_none() && !data(train, shape).labels.is_empty();
        let (images, labels) = self.drawn(if is_learned_from { count(train) } else { count(&holdout) })?;
        let drawn: Vec<Labelled<'_>> = images
            .iter()
            .enumerate()
            .map(|(number, image)| (image.as_slice(), labels.get(number).map(String::as_str)))
            .collect();
        let drawn = Pictures::of(&drawn, shape);
        let [of_train, of_holdout, generated] = [train, &holdout, &drawn].map(|pictures| data(pictures, shape));
        let (seed, images) = (self.number, Images { train: of_train, holdout: of_holdout, generated });
        let gates = match class {
            Some(class) => judge_class(data(&all, shape), &images, class, EPOCHS, seed)?,
            None => judge(&images, EPOCHS, seed)?,
        };
        let generated = count(&drawn);
        let rows =
            Rows { train: count(train), holdout: count(&holdout), generated, valid: generated, most_compared: IMAGES };
        Ok(Sat::Judged(Box::new(Report::of_images(gates, rows)), None, false))
    }

    /// Real records: with a place for classes those that have one.
    fn real<'a>(&self, runs: &[&'a Run]) -> Vec<Labelled<'a>> {
        let label = self.settings.label.as_ref();
        let records = runs.iter().flat_map(|run| run.records());
        let labelled = |record: crate::record::RecordRef<'a>| {
            let class = label.map(|label| label.of(&record));
            record.value.filter(|_| class != Some(None)).map(|value| (value, class.flatten()))
        };
        records.filter_map(labelled).collect()
    }

    /// Drawn images with their classes, which come as often as the model draws them.
    fn drawn(&self, count: usize) -> Result<(Vec<Vec<u8>>, Vec<String>), DrawError> {
        let (seed, condition) = (self.number + 1, &self.settings.condition);
        let mut images = Vec::new();
        let classes = match (condition.get(LABEL), &self.settings.label) {
            (Some(class), _) => vec![(class.clone(), 1.0)],
            (None, Some(_)) => self.generator.classes(LABEL, condition)?,
            (None, None) => Vec::new(),
        };
        let numbers: Vec<u64> = (0..count as u64).collect();
        if classes.is_empty() {
            self.generator.draw_numbers(seed, condition, &numbers, &mut images)?;
            return Ok((images, Vec::new()));
        }
        let class_of = |number: u64| {
            let mut left = (number as f64 * SPREAD).fract();
            let class = classes.iter().position(|(_, share)| {
                left -= share;
                left < 0.0
            });
            class.unwrap_or(classes.len() - 1)
        };
        let mut drawn = Vec::new();
        for (place, (class, _)) in classes.iter().enumerate() {
            let own: Vec<u64> = numbers.iter().copied().filter(|number| class_of(*number) == place).collect();
            let mut some = Vec::new();
            let condition = Condition::from([(LABEL.to_owned(), class.clone())]);
            self.generator.draw_numbers(seed, &condition, &own, &mut some)?;
            drawn.extend(own.into_iter().zip(some).map(|(number, image)| (number, image, class.clone())));
        }
        drawn.sort_unstable_by_key(|(number, ..)| *number);
        Ok(drawn.into_iter().map(|(_, image, class)| (image, class)).unzip())
    }
}

/// The newest of a class, or of all, these first.
fn newest<'a>(records: &[Labelled<'a>], class: Option<&str>, most: usize) -> Vec<Labelled<'a>> {
    let own = |(_, label): &&Labelled<'a>| class.is_none_or(|class| *label == Some(class));
    records.iter().rev().filter(own).take(most).copied().collect()
}

fn data(pictures: &Pictures, shape: Shape) -> Data<'_> {
    // One class is none: there is nothing to tell apart.
    let labels = &pictures.labels;
    let several = labels.iter().any(|label| Some(label) != labels.first());
    Data { shape, images: &pictures.samples, labels: if several { labels } else { &[] } }
}
