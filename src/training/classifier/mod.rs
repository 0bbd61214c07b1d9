//! A small convolutional classifier: what images are judged with ([`crate::quality::images`]).
//!
//! Two convolutions of 3 by 3 with ReLU, each followed by the largest of 2 by 2, a hidden layer, whose outputs are an image's
//! *features*, and the logits of classes (after LeCun et al. 1998).

use std::collections::BTreeSet;

use rand_chacha::ChaCha8Rng;
use tch::{Kind, Reduction, Tensor, no_grad};

use super::adam::Adam;
use super::affine::{Affine, random};
use super::budget::cosine;
use super::images::Data;
use super::images::batches::{Batches, Purpose, generator};
use super::layer::numbers;
use super::{TrainingError, use_one_thread};
use crate::payload::image::Shape;

#[cfg(feature = "quality")]
mod judge;

#[cfg(feature = "quality")]
pub use judge::{Images, JudgeError, judge, judge_class};

/// Channels behind each convolution.
pub(super) const CHANNELS: [i64; 2] = [16, 32];

/// Features of an image.
pub const FEATURES: usize = 64;

/// Images in a step.
const BATCH: usize = 64;

/// The fewest images that one learns from.
pub(super) const FEWEST: usize = BATCH;

/// Adam's rate at first; it falls to 0 along half a cosine.
const RATE: f64 = 2e-3;

/// What is left of it at the end.
const RATE_FLOOR: f64 = 3e-3;

/// Images are learned moved by up to so many samples.
const SHIFT: u8 = 1;

/// Images that are looked at together.
const TOGETHER: usize = 512;

/// A classifier of images.
#[derive(Debug)]
pub struct Classifier {
    shape: Shape,
    labels: Vec<String>,
    /// Weights `[outputs, inputs, 3, 3]` and biases.
    convolutions: [[Tensor; 2]; 2],
    hidden: Affine,
    output: Affine,
}

/// Features and classes of images.
#[derive(Clone, Debug, PartialEq)]
pub struct Classified<'a> {
    /// `[images, FEATURES]`.
    pub features: Vec<f64>,
    /// The most likely class of each.
    pub labels: Vec<&'a str>,
}

impl Classifier {
    /// Learns the labels of images, each seen `epochs` times. The same data and seed make the same classifier.
    pub fn train(data: Data<'_>, epochs: u32, seed: u64) -> Result<Self, TrainingError> {
        use_one_thread();
        let images = data.count()?;
        let labels: BTreeSet<&String> = data.labels.iter().collect();
        if images < FEWEST || labels.len() < 2 {
            let found = labels.len();
            return Err(TrainingError::Data(format!("{images} images of {found} classes: it takes 64 and 2 at least")));
        }
        let labels: Vec<String> = labels.into_iter().cloned().collect();
        let place = |label: &String| labels.partition_point(|other| other < label) as i64;
        let places: Vec<i64> = data.labels.iter().map(place).collect();
        let classifier = Self::random(data.shape, labels, &mut generator(seed, Purpose::Weights))?;
        let parameters = classifier.parameters();
        let mut adam = Adam::new(&parameters)?;
        let mut batches = Batches::new(data.shape, data.images, (0..images).collect(), BATCH, seed);
        let steps = u32::try_from(images / BATCH).unwrap_or(u32::MAX).saturating_mul(epochs);
        for step in 0..steps {
            let mut rng = generator(seed, Purpose::Step(step));
            let chosen = batches.numbers(step).to_vec();
            let [.., logits] = classifier.forward(&batches.images(&chosen, SHIFT, &mut rng)?)?;
            let places: Vec<i64> = chosen.iter().map(|number| places[*number]).collect();
            let loss = logits.f_cross_entropy_loss::<Tensor>(
                &Tensor::f_from_slice(&places)?,
                None,
                Reduction::Mean,
                -100,
                0.0,
            )?;
            let rate = RATE * (cosine(f64::from(step) / f64::from(steps)) + RATE_FLOOR);
            if !adam.step(&parameters, &loss, rate, step + 1)? {
                return Err(TrainingError::Diverged { rewinds: 0 });
            }
        }
        Ok(classifier)
    }

    /// One that has learned nothing: its features tell images apart where there are no labels to learn from.
    pub fn untrained(shape: Shape, seed: u64) -> Result<Self, TrainingError> {
        use_one_thread();
        Self::random(shape, vec![String::new()], &mut generator(seed, Purpose::Weights))
    }

    fn random(shape: Shape, labels: Vec<String>, rng: &mut ChaCha8Rng) -> Result<Self, TrainingError> {
        let mut convolution = |inputs: i64, outputs: i64| -> Result<[Tensor; 2], TrainingError> {
            let weight = random(&[outputs, inputs, 3, 3], (6.0 / (9 * inputs) as f64).sqrt(), rng)?;
            Ok([weight, random(&[outputs], 1e-3, rng)?])
        };
        let convolutions = [convolution(shape.channels() as i64, CHANNELS[0])?, convolution(CHANNELS[0], CHANNELS[1])?];
        let flat = shape.height() / 4 * (shape.width() / 4) * CHANNELS[1] as usize;
        let hidden = Affine::new(flat, FEATURES, 1.0, rng)?;
        let output = Affine::new(FEATURES, labels.len(), 0.5, rng)?;
        Ok(Self { shape, labels, convolutions, hidden, output })
    }

    /// The classes whose logits it tells, in their order.
    pub(super) fn labels(&self) -> &[String] {
        &self.labels
    }

    fn parameters(&self) -> Vec<&Tensor> {
        let layers = self.hidden.parameters().into_iter().chain(self.output.parameters());
        self.convolutions.iter().flatten().chain(layers).collect()
    }

    /// What the last convolution makes, `[batch, CHANNELS, height / 4, width / 4]`, features `[batch, FEATURES]` and logits of images `[batch, D]` of
    /// 0 to 1.
    pub(super) fn forward(&self, images: &Tensor) -> Result<[Tensor; 3], TrainingError> {
        let [channels, height, width] =
            [self.shape.channels(), self.shape.height(), self.shape.width()].map(|side| side as i64);
        let mut x = images.f_view([-1, channels, height, width])?;
        for [weight, bias] in &self.convolutions {
            x = x.f_conv2d(weight, Some(bias), [1, 1], [1, 1], [1, 1], 1)?.f_relu()?;
            x = x.f_max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false)?;
        }
        let features = self.hidden.forward(&x.f_flatten(1, 3)?)?.f_relu()?;
        let logits = self.output.forward(&features)?;
        Ok([x, features, logits])
    }

    /// Features `[batch, FEATURES]` of images `[batch, D]` of 0 to 1.
    pub(super) fn features(&self, images: &Tensor) -> Result<Tensor, TrainingError> {
        let [_, features, _] = self.forward(images)?;
        Ok(features)
    }

    /// What it sees in images `[images, D]`, samples in planar order.
    pub fn classify(&self, images: &[u8]) -> Result<Classified<'_>, TrainingError> {
        use_one_thread();
        let count = Data { shape: self.shape, images, labels: &[] }.count()?;
        let batches = Batches::new(self.shape, images, Vec::new(), BATCH, 0);
        let (mut features, mut labels) = (Vec::new(), Vec::new());
        for first in (0..count).step_by(TOGETHER) {
            let chosen: Vec<usize> = (first..count.min(first + TOGETHER)).collect();
            let images = batches.images(&chosen, 0, &mut generator(0, Purpose::Validation))?;
            let [_, seen, logits] = no_grad(|| self.forward(&images))?;
            features.extend(numbers(&seen)?);
            let places = Vec::<i64>::try_from(logits.f_argmax(1, false)?.f_to_kind(Kind::Int64)?)?;
            labels.extend(places.into_iter().map(|place| self.labels[place as usize].as_str()));
        }
        Ok(Classified { features, labels })
    }

    /// The share of images that it gives their labels.
    pub fn accuracy(&self, data: Data<'_>) -> Result<f64, TrainingError> {
        data.count()?;
        let found = self.classify(data.images)?.labels;
        let right = found.iter().zip(data.labels).filter(|(found, label)| *found == label).count();
        Ok(right as f64 / found.len().max(1) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::images::tests::bars;

    #[test]
    fn it_learns_to_tell_classes_and_the_same_each_time() {
        let shape = Shape::new(12, 12, 1).unwrap();
        let ((images, labels), (others, their)) = (bars(300, 1), bars(120, 2));
        let data = Data { shape, images: &images, labels: &labels };
        let classifier = Classifier::train(data, 5, 1).unwrap();
        let accuracy = classifier.accuracy(Data { shape, images: &others, labels: &their }).unwrap();
        assert!(accuracy > 0.97, "{accuracy}");
        let seen = classifier.classify(&others).unwrap();
        assert_eq!((seen.features.len(), seen.labels.len()), (120 * FEATURES, 120));
        let again = Classifier::train(data, 5, 1).unwrap();
        assert_eq!(again.classify(&others).unwrap(), seen);
        // Labels that say nothing cannot be learned.
        let swapped: Vec<String> = (0..300).map(|number| (number / 7 % 2).to_string()).collect();
        let fooled = Classifier::train(Data { shape, images: &images, labels: &swapped }, 5, 1).unwrap();
        let random: Vec<String> = (0..120).map(|number| (number / 5 % 2).to_string()).collect();
        assert!(fooled.accuracy(Data { shape, images: &others, labels: &random }).unwrap() < 0.7);
        let one = vec!["a".to_owned(); 300];
        assert!(matches!(
            Classifier::train(Data { shape, images: &images, labels: &one }, 1, 1),
            Err(TrainingError::Data(_))
        ));
    }
}
