//! Trains a model that draws images ([`crate::model::vae`]): a variational autoencoder, then mixtures of what its encoder makes
//! of the images.
//!
//! The loss is the evidence lower bound (Kingma and Welling 2014, arXiv:1312.6114, equation 3) with the divergence weighed (Higgins et al. 2017,
//! *beta-VAE*): cross-entropy of samples, each taken as a share of light, and the Kullback-Leibler divergence of posterior and prior.
//!
//! Every so often validation images are measured: if that is not finite or clearly worse than the best so far, the training goes
//! back to the best and on with half the rate. It ends with the best.

pub(super) mod batches;
mod network;
mod recipe;

use std::collections::BTreeMap;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use tch::{Tensor, no_grad};

pub use recipe::Recipe;

use super::affine::{floats, normals};
use super::checkpoint::identity;
use super::descent::Descent;
use super::{Budget, TrainingError, use_one_thread};
use crate::model::mixture::{FEWEST, fit};
use crate::model::vae::{Class, VaeParts, contrast, half_light};
use crate::model::{CurvePoint, Monitor, Phase, VaeError};
use crate::payload::image::Shape;
use batches::{Batches, Purpose, generator};
use network::Network;

/// One image in so many validates, and most that do.
const VALIDATES: usize = 15;
const MOST_VALIDATION: usize = 1024;

/// The least images to learn from.
const MIN_IMAGES: usize = 32;

/// Images that are encoded at once.
const ENCODED: usize = 512;

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
}

/// A model, and how it was made.
#[derive(Debug)]
pub struct Trained {
    /// The model's parts.
    pub parts: VaeParts,
    /// What the logits of the network are multiplied by in them.
    pub contrast: f32,
    /// Bits of loss for each sample of validation images.
    pub validation: f64,
    /// Images of classes that have too few to draw others like them.
    pub left_out: usize,
    /// Steps that it took.
    pub steps: u32,
    /// How often it went back.
    pub rewinds: u32,
    /// CPU time that the monitor told at its end.
    pub cpu: Duration,
    /// How its loss fell.
    pub curve: Vec<CurvePoint>,
}

/// Trains a model.
pub fn train(
    data: Data<'_>,
    recipe: &Recipe,
    seed: u64,
    budget: Budget,
    monitor: &mut dyn Monitor,
) -> Result<Trained, TrainingError> {
    recipe.check()?;
    use_one_thread();
    let images = data.count()?;
    if images < MIN_IMAGES || budget.steps == 0 {
        let steps = budget.steps;
        return Err(TrainingError::Data(format!("{images} images and {steps} steps: it takes 32 and 1 at least")));
    }
    let mut session = Session::new(data, images, recipe, seed, budget)?;
    let labels = data.labels.join("\n");
    let training = format!("vae {} {recipe:?} {seed} {}", data.shape, budget.steps);
    let training = identity(training, &[data.images, labels.as_bytes()]);
    session.descent.resume(&session.network.parameters(), training, monitor)?;
    while session.descent.fraction(monitor) < 1.0 {
        session.step(monitor)?;
    }
    session.finish(monitor)
}

/// A training under way.
struct Session<'a> {
    data: Data<'a>,
    images: usize,
    batches: Batches<'a>,
    /// Validation images and their noise.
    measured: [Tensor; 2],
    recipe: &'a Recipe,
    seed: u64,
    network: Network,
    descent: Descent,
}

impl<'a> Session<'a> {
    fn new(
        data: Data<'a>,
        images: usize,
        recipe: &'a Recipe,
        seed: u64,
        budget: Budget,
    ) -> Result<Self, TrainingError> {
        let (mut validation, mut learned): (Vec<usize>, Vec<usize>) =
            (0..images).partition(|number| number % VALIDATES == 0);
        learned.extend(validation.drain(validation.len().min(MOST_VALIDATION)..));
        let batches = Batches::new(data.shape, data.images, learned, recipe.batch, seed);
        let mut rng = generator(seed, Purpose::Validation);
        let measured =
            [batches.images(&validation, 0, &mut rng)?, normals(validation.len(), recipe.latents, &mut rng)?];
        let network = Network::new(data.shape.samples(), recipe, &mut generator(seed, Purpose::Weights))?;
        let descent = Descent::new(&network.parameters(), budget)?;
        Ok(Self { data, images, batches, measured, recipe, seed, network, descent })
    }

    /// The loss of images, bits for each sample.
    fn bits(&self, images: &Tensor, normals: &Tensor) -> Result<Tensor, TrainingError> {
        let nats = self.network.nats(images, normals)?;
        let samples = images.numel() as f64;
        Ok((nats.samples + nats.latents * self.recipe.beta) / (samples * std::f64::consts::LN_2))
    }

    fn step(&mut self, monitor: &mut dyn Monitor) -> Result<(), TrainingError> {
        let fraction = self.descent.fraction(monitor);
        let mut rng = generator(self.seed, Purpose::Step(self.descent.step));
        let numbers = self.batches.numbers(self.descent.step).to_vec();
        let images = self.batches.images(&numbers, self.recipe.shift, &mut rng)?;
        let loss = self.bits(&images, &normals(numbers.len(), self.recipe.latents, &mut rng)?)?;
        let bits = loss.f_double_value(&[])?;
        let rate = self.descent.rate(self.recipe.rate, fraction);
        let moved = self.descent.step(&self.network.parameters(), (&loss, bits), rate, monitor)?;
        if moved && self.descent.step.is_multiple_of(self.recipe.interval) {
            self.settle()?;
            self.descent.keep(&self.network.parameters(), monitor)?;
        }
        self.descent.report(&self.network.parameters(), monitor, Phase::Float)
    }

    /// Measures validation images.
    fn settle(&mut self) -> Result<(), TrainingError> {
        let [images, normals] = &self.measured;
        let bits = no_grad(|| self.bits(images, normals))?.f_double_value(&[])?;
        self.descent.settle(&self.network.parameters(), bits)
    }

    /// Ends with the best that was measured, and fits the mixtures.
    fn finish(mut self, monitor: &mut dyn Monitor) -> Result<Trained, TrainingError> {
        self.settle()?;
        self.descent.restore(&self.network.parameters())?;
        self.descent.report(&self.network.parameters(), monitor, Phase::Calibration)?;
        let mut rng = generator(self.seed, Purpose::Mixture);
        let posterior = self.posterior(&mut rng)?;
        let (classes, left_out) = self.classes(&posterior, &mut rng)?;
        let parts = VaeParts { shape: self.data.shape, classes, decoder: self.network.export()? };
        let contrast = contrast(&parts, half_light(self.data.images))?;
        let parts = parts.with_contrast(contrast)?;
        let Descent { step: steps, rewinds, best: validation, .. } = self.descent;
        let came = self.descent.finish(monitor);
        Ok(Trained { parts, contrast, validation, left_out, steps, rewinds, cpu: came.cpu, curve: came.curve })
    }

    /// Samples of all images' posteriors, `[images, draws, L]`.
    fn posterior(&self, rng: &mut ChaCha8Rng) -> Result<Vec<f32>, TrainingError> {
        let Recipe { latents, draws, .. } = *self.recipe;
        let mut samples = Vec::with_capacity(self.images * draws * latents);
        for first in (0..self.images).step_by(ENCODED) {
            let numbers: Vec<usize> = (first..self.images.min(first + ENCODED)).collect();
            let images = self.batches.images(&numbers, 0, rng)?;
            let [mean, deviation] = no_grad(|| self.network.encode(&images))?;
            let noise = normals(numbers.len(), draws * latents, rng)?;
            let noise = noise.f_view([numbers.len() as i64, draws as i64, latents as i64])?;
            let drawn = mean.f_unsqueeze(1)? + deviation.f_unsqueeze(1)? * noise;
            samples.extend(floats(&drawn)?);
        }
        Ok(samples)
    }

    /// A mixture for each class that has images enough, and the number of images of the others.
    fn classes(&self, posterior: &[f32], rng: &mut ChaCha8Rng) -> Result<(Vec<Class>, usize), TrainingError> {
        let Recipe { latents, draws, fit: ref options, .. } = *self.recipe;
        let mut members: BTreeMap<Option<&String>, Vec<usize>> = BTreeMap::new();
        (0..self.images).for_each(|number| members.entry(self.data.labels.get(number)).or_default().push(number));
        let (mut classes, mut left_out) = (Vec::new(), 0);
        for (label, members) in members {
            if members.len() < FEWEST {
                left_out += members.len();
                continue;
            }
            let of = |number: &usize| &posterior[number * draws * latents..][..draws * latents];
            let samples: Vec<f32> = members.iter().flat_map(of).copied().collect();
            let mixture = fit(&samples, latents, draws, options, rng).map_err(VaeError::from)?;
            classes.push(Class { label: label.cloned(), images: members.len() as u32, mixture });
        }
        Ok((classes, left_out))
    }
}

#[cfg(test)]
pub(super) mod tests;
