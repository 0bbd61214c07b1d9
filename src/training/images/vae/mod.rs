//! Trains a variational autoencoder of images, and then mixtures of what its encoder makes of them.
//!
//! The loss is the evidence lower bound (Kingma and Welling 2014, arXiv:1312.6114, equation 3) with the divergence weighed (Higgins et al. 2017,
//! *beta-VAE*): cross-entropy of samples, each taken as a share of light, and the Kullback-Leibler divergence of posterior and prior.
//!
//! Every so often validation images are measured: if that is not finite or clearly worse than the best so far, the training goes
//! back to the best and on with half the rate.
//!
//! In the last part of the training the encoder stays as it is, mixtures are fitted to what it makes of images, and the decoder learns to make images of
//! *them*: beside the lower bound counts how far those are from the learned images, all together (`likeness`). It ends with the best.

mod latents;
mod likeness;
mod network;
mod recipe;

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use tch::{Tensor, no_grad};

pub use recipe::Recipe;

use super::batches::{Batches, Purpose, generator};
use super::classes::Classes;
use super::{Data, parted};
use crate::model::images::{Class, ImagesParts, NetworkParts, VaeParts, contrast, half_light};
use crate::model::mixture::{Mixture, fit};
use crate::model::{CurvePoint, ImagesError, Monitor, Phase};
use crate::training::affine::{floats, normals};
use crate::training::descent::Descent;
use crate::training::{Budget, TrainingError, use_one_thread};
use latents::Latents;
use likeness::{LEARNED, Likeness, Running, affordable, together};
use network::Network;

/// Images that are encoded at once.
const ENCODED: usize = 512;

/// Images that are drawn to be measured.
const MEASURED: usize = 1024;

/// Most of the last part's time that classifiers take to learn.
const SET_UP: f64 = 0.35;

/// A model, and how it was made.
#[derive(Debug)]
pub struct Trained {
    /// The model's parts.
    pub parts: ImagesParts,
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
    let images = data.enough(budget.steps)?;
    let mut session = Session::new(data, images, recipe, seed, budget)?;
    let training = data.identity(format!("vae {recipe:?} {seed} {}", budget.steps));
    session.learned = match budget.cpu {
        Some(cpu) => affordable(data, cpu.mul_f64(recipe.likeness * SET_UP), monitor)?,
        None => LEARNED,
    };
    session.resume(training, monitor)?;
    loop {
        let fraction = session.descent.fraction(monitor);
        if fraction >= 1.0 {
            return session.finish(monitor);
        }
        if session.last.is_none() && fraction >= session.turn_at() {
            session.turn(monitor)?;
        }
        match session.step(monitor) {
            // What the last part cannot make better stays as it is.
            Err(TrainingError::Diverged { .. }) if session.last.is_some() => {
                session.descent.restore(&session.network.parameters())?;
                return session.finish(monitor);
            }
            stepped => stepped?,
        }
    }
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
    running: Running,
    /// From how many images the last part's classifiers learn; where from none, there is no last part.
    learned: usize,
    last: Option<Last>,
}

/// The mixtures of a model.
#[derive(Debug)]
struct Mixed {
    classes: Vec<Class>,
    mixtures: Vec<Mixture>,
    left_out: usize,
}

/// What the last part of a training has.
#[derive(Debug)]
struct Last {
    mixed: Mixed,
    latents: Latents,
    likeness: Likeness,
    contrast: f64,
    /// What is drawn to be measured, and the places of its classes.
    measured: (Tensor, Vec<usize>),
}

impl<'a> Session<'a> {
    fn new(
        data: Data<'a>,
        images: usize,
        recipe: &'a Recipe,
        seed: u64,
        budget: Budget,
    ) -> Result<Self, TrainingError> {
        let [learned, validation] = parted(0..images);
        let batches = Batches::new(data.shape, data.images, learned, recipe.batch, seed);
        let mut rng = generator(seed, Purpose::Validation);
        let measured =
            [batches.images(&validation, 0, &mut rng)?, normals(validation.len(), recipe.latents, &mut rng)?];
        let network = Network::new(data.shape.samples(), recipe, &mut generator(seed, Purpose::Weights))?;
        let running = Running::new()?;
        let descent = Descent::new(&network.parameters(), budget)?.beside(running.tensors());
        let learned = LEARNED;
        Ok(Self { data, images, batches, measured, recipe, seed, network, descent, running, learned, last: None })
    }

    /// Goes on where the training was ended.
    fn resume(&mut self, training: String, monitor: &mut dyn Monitor) -> Result<(), TrainingError> {
        self.descent.resume(&self.network.parameters(), training, monitor)?;
        if self.running.steps()? > 0 {
            self.last = Some(self.last(self.mixed()?, monitor)?);
        }
        Ok(())
    }

    /// How much of the budget is spent when the last part begins.
    fn turn_at(&self) -> f64 {
        if self.learned == 0 { 1.0 } else { 1.0 - self.recipe.likeness }
    }

    /// Begins the last part, with the best that was measured.
    fn turn(&mut self, monitor: &mut dyn Monitor) -> Result<(), TrainingError> {
        self.settle()?;
        self.descent.turn(&self.network.parameters())?;
        self.descent.keep(&self.network.parameters(), monitor)?;
        let mixed = self.mixed()?;
        self.running.begin(self.contrast(&mixed)?, self.learned)?;
        self.last = Some(self.last(mixed, monitor)?);
        self.settle()
    }

    /// What the last part has, which does not change in it.
    fn last(&self, mixed: Mixed, monitor: &mut dyn Monitor) -> Result<Last, TrainingError> {
        let latents = Latents::new(&mixed.classes, &mixed.mixtures)?;
        let measured = latents.draw(MEASURED, &mut generator(self.seed, Purpose::Validation))?;
        let from = (self.running.learned()?, self.seed);
        let likeness = Likeness::new(self.data, &mixed.classes, from, || {
            self.descent.report(&self.network.parameters(), monitor, Phase::Float)
        })?;
        Ok(Last { mixed, latents, likeness, contrast: self.running.contrast()?, measured })
    }

    /// Images `[batch, D]` of 0 to 1 of latents, with a contrast.
    fn images(&self, latents: &Tensor, contrast: f64) -> Result<Tensor, TrainingError> {
        Ok((self.network.decode(latents)? * contrast).f_sigmoid()?)
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
        let moved = match &self.last {
            None => {
                let rate = self.descent.rate(self.recipe.rate, (fraction / self.turn_at()).min(1.0));
                self.descent.step(&self.network.parameters(), (&loss, bits), rate, monitor)?
            }
            Some(last) => {
                let drawn = self.recipe.drawn.min(together(self.data.shape));
                let (latents, classes) = last.latents.draw(drawn, &mut rng)?;
                let drawn = self.images(&latents, last.contrast)?;
                let (apart, told, moments) = last.likeness.loss(&drawn, &classes, &self.running)?;
                let (loss, told) = (loss + apart, bits + told);
                let gone = (fraction - (1.0 - self.recipe.likeness)) / self.recipe.likeness;
                let rate = self.descent.rate(self.recipe.last_rate, gone.clamp(0.0, 1.0));
                let moved = self.descent.step(&self.network.of_decoder(), (&loss, told), rate, monitor)?;
                if moved {
                    last.likeness.keep(&moments, &self.running)?;
                }
                moved
            }
        };
        if moved && self.descent.step.is_multiple_of(self.recipe.interval) {
            self.settle()?;
            self.descent.keep(&self.network.parameters(), monitor)?;
        }
        self.descent.report(&self.network.parameters(), monitor, Phase::Float)
    }

    /// Bits of loss for each sample of validation images.
    fn validation(&self) -> Result<f64, TrainingError> {
        let [images, normals] = &self.measured;
        Ok(no_grad(|| self.bits(images, normals))?.f_double_value(&[])?)
    }

    /// Measures validation images, and in the last part drawn ones.
    fn settle(&mut self) -> Result<(), TrainingError> {
        let mut measured = self.validation()?;
        if let Some(last) = &self.last {
            let (latents, classes) = &last.measured;
            measured += no_grad(|| last.likeness.distance(&self.images(latents, last.contrast)?, classes))?;
        }
        self.descent.settle(&self.network.parameters(), measured)
    }

    /// Ends with the best that was measured.
    fn finish(mut self, monitor: &mut dyn Monitor) -> Result<Trained, TrainingError> {
        self.settle()?;
        self.descent.restore(&self.network.parameters())?;
        self.descent.report(&self.network.parameters(), monitor, Phase::Calibration)?;
        let validation = self.validation()?;
        let (mixed, contrast) = match self.last.take() {
            Some(last) => (last.mixed, last.contrast as f32),
            None => {
                let mixed = self.mixed()?;
                let contrast = self.contrast(&mixed)?;
                (mixed, contrast)
            }
        };
        let parts = self.parts(&mixed)?.with_contrast(contrast)?;
        let Descent { step: steps, rewinds, .. } = self.descent;
        let (left_out, came) = (mixed.left_out, self.descent.finish(monitor));
        Ok(Trained { parts, contrast, validation, left_out, steps, rewinds, cpu: came.cpu, curve: came.curve })
    }

    /// The model of these mixtures, without contrast.
    fn parts(&self, mixed: &Mixed) -> Result<ImagesParts, TrainingError> {
        let Mixed { classes, mixtures, .. } = mixed;
        let network = NetworkParts::Vae(VaeParts { mixtures: mixtures.clone(), decoder: self.network.export()? });
        Ok(ImagesParts { shape: self.data.shape, classes: classes.clone(), network })
    }

    /// What logits are multiplied by, so that drawn images have as much half-light as real ones.
    fn contrast(&self, mixed: &Mixed) -> Result<f32, TrainingError> {
        Ok(contrast(&self.parts(mixed)?, half_light(self.data.images))?)
    }

    /// Mixtures of what the encoder makes of images.
    fn mixed(&self) -> Result<Mixed, TrainingError> {
        let mut rng = generator(self.seed, Purpose::Mixture);
        let posterior = self.posterior(&mut rng)?;
        let Classes { members, left_out } = Classes::of(self.images, self.data.labels);
        let (classes, mixtures) = self.mixtures(members, &posterior, &mut rng)?;
        Ok(Mixed { classes, mixtures, left_out })
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

    /// A mixture for each class.
    fn mixtures(
        &self,
        members: Vec<(Class, Vec<usize>)>,
        posterior: &[f32],
        rng: &mut ChaCha8Rng,
    ) -> Result<(Vec<Class>, Vec<Mixture>), TrainingError> {
        let Recipe { latents, draws, spread, fit: ref options, .. } = *self.recipe;
        let (mut classes, mut mixtures) = (Vec::new(), Vec::new());
        for (class, members) in members {
            let of = |number: &usize| &posterior[number * draws * latents..][..draws * latents];
            let samples: Vec<f32> = members.iter().flat_map(of).copied().collect();
            let mixture = fit(&samples, latents, draws, options, rng).and_then(|mixture| mixture.spread(spread));
            mixtures.push(mixture.map_err(ImagesError::from)?);
            classes.push(class);
        }
        Ok((classes, mixtures))
    }
}

#[cfg(test)]
mod tests;
