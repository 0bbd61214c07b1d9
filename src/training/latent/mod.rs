//! Trains a model of small images ([`crate::model::latent`]).
//!
//! 0. **Peaks.** If it pays, the highest values are told from one another by their neighbours, and are one value for what follows.
//! 1. **Floats.** The network learns to tell each sample from its neighbours (and the latent, where there is one): the bits that it
//!    takes are the loss. Samples are told with logistic distributions over bins whose edges are learned.
//! 2. **Integers.** Weights and outputs are rounded as the artefact rounds them, and the gradient goes through the rounding.
//! 3. **Tables.** The integer networks see all images once more, and what falls on each position and scale is counted.
//!
//! Every so often the loss on validation images is measured: if it is not finite or clearly worse than the best so
//! far, the training goes back to the last checkpoint and on with half the rate.

mod batches;
mod calibrate;
mod checkpoint;
mod network;
mod peaks;
mod recipe;

use std::ops::ControlFlow;
use std::time::Duration;

pub use recipe::Recipe;

pub use super::Budget;
pub use super::curve::MAX_POINTS;

use super::adam::Adam;
use super::budget::{cosine, left};
use super::curve::Curve;
use super::epochs::Epochs;
use super::{TrainingError, use_one_thread};
use crate::model::latent::{Autoencoder, LatentParts, Peaks};
use crate::model::{CurvePoint, Monitor, Phase, Progress, Start};
use crate::payload::image::Shape;
use batches::{Batch, Images, Purpose, generator};
use calibrate::{Calibrated, Counter, calibrate};
use checkpoint::{Checkpoint, State};
use network::Network;
use peaks::ChosenPeaks;

/// The least images to learn from.
const MIN_IMAGES: usize = 32;

/// Validation images that the loss is measured on; tables are chosen with all of them.
const MEASURED: usize = 256;

/// Steps in which the rate rises.
const RISE: u32 = 30;

/// What is left of the rate at the end.
const RATE_FLOOR: f64 = 3e-3;

/// How much worse than the best of the phase is worse, and not chance.
const TOLERANCE: f64 = 1.05;

/// Stands for bits that were not measured yet. JSON has no infinity.
const UNMEASURED: f64 = f64::MAX;

/// After so many rewinds a training is given up.
const MAX_REWINDS: u32 = 8;

/// What is learned from.
#[derive(Clone, Copy, Debug)]
pub struct Data<'a> {
    /// The images' shape.
    pub shape: Shape,
    /// `[images, D]`: what is learned.
    pub training: &'a [u8],
    /// `[images, D]`: what decides when to go back, and how tables are smoothed.
    pub validation: &'a [u8],
}

/// A model, and how it was made.
#[derive(Debug)]
pub struct Trained {
    /// The model's parts.
    pub parts: LatentParts,
    /// Bits for each validation sample, of latent numbers and of samples, as the tables code them.
    pub validation: Validation,
    /// Steps that it took.
    pub steps: u32,
    /// How often it went back to a checkpoint.
    pub rewinds: u32,
    /// CPU time that the monitor told at its end.
    pub cpu: Duration,
    /// How its loss fell: up to [`MAX_POINTS`] and one.
    pub curve: Vec<CurvePoint>,
    /// The checkpoint at its end, for a later training to start warm from.
    pub state: Vec<u8>,
}

/// Bits for each validation sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Validation {
    /// Latent numbers.
    pub latents: f64,
    /// Samples.
    pub samples: f64,
}

impl Validation {
    /// All bits.
    pub fn total(self) -> f64 {
        self.latents + self.samples
    }
}

/// Trains a model. A checkpoint to start from that is damaged, or is not what [`Start`] asks for, is
/// [`TrainingError::Checkpoint`].
pub fn train(
    data: Data<'_>,
    recipe: &Recipe,
    seed: u64,
    budget: Budget,
    start: Start<'_>,
    monitor: &mut dyn Monitor,
) -> Result<Trained, TrainingError> {
    recipe.check()?;
    use_one_thread();
    let training = Images::new(data.training, data.shape, recipe)?;
    let validation = Images::new(data.validation, data.shape, recipe)?;
    if training.len() < MIN_IMAGES || budget.steps == 0 {
        let (found, steps) = (training.len(), budget.steps);
        return Err(TrainingError::Data(format!("{found} images and {steps} steps: it takes 32 and 1 at least")));
    }
    let near = (0..data.shape.channels()).map(|channel| Peaks::most_near(&recipe.neighbours_of(channel))).min();
    let near = near.filter(|_| recipe.peaks).unwrap_or(0);
    let peaks = peaks::choose([data.training, data.validation], data.shape, near)?;
    let mut session = Session::new(&training, &validation, recipe, seed, budget, peaks)?;
    match start {
        Start::Anew => {}
        Start::Resume(bytes) => session.go_on_from(bytes)?,
        Start::Warm(bytes) => session.warm_from(bytes)?,
    }
    while session.fraction(monitor) < 1.0 {
        session.step(monitor)?;
    }
    session.settle()?;
    session.finish(monitor)
}

/// A training under way.
struct Session<'a> {
    training: &'a Images,
    measured: Batch,
    validation: &'a Images,
    recipe: &'a Recipe,
    shape: Shape,
    seed: u64,
    budget: Budget,
    epochs: Epochs,
    network: Network,
    peaks: Option<ChosenPeaks>,
    adam: Adam,
    state: State,
    checkpoint: Checkpoint,
    loss: f64,
}

impl<'a> Session<'a> {
    fn new(
        training: &'a Images,
        validation: &'a Images,
        recipe: &'a Recipe,
        seed: u64,
        budget: Budget,
        peaks: Option<ChosenPeaks>,
    ) -> Result<Self, TrainingError> {
        let shape = training.shape();
        let network = Network::new(shape, recipe, peaks.as_ref().map(|chosen| chosen.peaks.threshold()), seed)?;
        let adam = Adam::new(&network.parameters())?;
        let mut hash = blake3::Hasher::new();
        hash.update(format!("{shape} {recipe:?} {seed} {}", budget.steps).as_bytes());
        hash.update(blake3::hash(training.raw()).as_bytes()).update(blake3::hash(validation.raw()).as_bytes());
        let numbers: Vec<usize> = (0..validation.len().min(MEASURED)).collect();
        let state = State {
            model: format!("{shape} {recipe:?}"),
            training: hash.finalize().to_hex().to_string(),
            step: 0,
            moments: 0,
            rewinds: 0,
            calm: 1.0,
            validation: UNMEASURED,
            best: UNMEASURED,
            quantised: false,
            curve: Curve::default(),
        };
        Ok(Self {
            measured: validation.batch(&numbers, recipe.latents, &mut generator(seed, Purpose::Validation))?,
            checkpoint: Checkpoint::of(state.clone(), &network, &adam),
            epochs: Epochs::new((0..training.len()).collect(), recipe.batch, seed, |seed, epoch| {
                generator(seed, Purpose::Order(epoch))
            }),
            loss: f64::NAN,
            training,
            validation,
            recipe,
            shape,
            seed,
            budget,
            network,
            peaks,
            adam,
            state,
        })
    }

    fn go_on_from(&mut self, bytes: &[u8]) -> Result<(), TrainingError> {
        self.checkpoint = Checkpoint::read(bytes, &self.network)?;
        if self.checkpoint.state.training != self.state.training {
            return Err(TrainingError::Checkpoint("it is of other data, another recipe or another seed".to_owned()));
        }
        self.state = self.checkpoint.state.clone();
        self.checkpoint.restore(&mut self.network, &mut self.adam)
    }

    fn warm_from(&mut self, bytes: &[u8]) -> Result<(), TrainingError> {
        let other = Checkpoint::read(bytes, &self.network)?;
        if other.state.model != self.state.model {
            return Err(TrainingError::Checkpoint("it is of images of another shape, or of another recipe".to_owned()));
        }
        other.restore_weights(&self.network)?;
        self.checkpoint = Checkpoint::of(self.state.clone(), &self.network, &self.adam);
        Ok(())
    }

    /// How much of the budget is spent.
    fn fraction(&self, monitor: &mut dyn Monitor) -> f64 {
        self.budget.fraction(self.state.step, monitor)
    }

    fn step(&mut self, monitor: &mut dyn Monitor) -> Result<(), TrainingError> {
        let fraction = self.fraction(monitor);
        if fraction >= self.recipe.float && !self.network.is_quantised() {
            self.quantise()?;
        }
        let step = self.state.step;
        let mut rng = generator(self.seed, Purpose::Step(step));
        let batch = self.training.batch(self.epochs.of(step), self.recipe.latents, &mut rng)?;
        let bits = self.network.forward(&batch, true)?;
        let loss = (bits.samples + bits.latents) / batch.samples as f64;
        self.loss = loss.f_double_value(&[])?;
        let rise = f64::from(step + 1) / f64::from(RISE);
        let rate = self.recipe.rate * self.state.calm * rise.min(cosine(fraction) + RATE_FLOOR);
        let parameters = self.network.parameters();
        let moved = self.loss.is_finite() && self.adam.step(&parameters, &loss, rate, self.state.moments + 1)?;
        self.state.step += 1;
        self.state.moments += 1;
        self.state.curve.add(self.state.step, monitor.spent(), self.loss, self.validation_bits());
        if !moved {
            self.rewind()?;
        } else if self.state.step.is_multiple_of(self.recipe.interval) {
            self.settle()?;
            monitor.checkpoint(self.checkpoint.write()?);
        }
        self.report(monitor, if self.network.is_quantised() { Phase::Quantised } else { Phase::Float })
    }

    /// Begins the second phase, from the best of the first.
    fn quantise(&mut self) -> Result<(), TrainingError> {
        self.settle()?;
        self.network.quantise()?;
        self.state.quantised = true;
        // What rounding costs at first is no reason to go back.
        (self.state.validation, self.state.best) = (UNMEASURED, UNMEASURED);
        self.checkpoint = Checkpoint::of(self.state.clone(), &self.network, &self.adam);
        Ok(())
    }

    /// Makes a checkpoint, or goes back to the last one if things have become worse since.
    fn settle(&mut self) -> Result<(), TrainingError> {
        let bits = tch::no_grad(|| self.network.forward(&self.measured, false))?;
        let bits = (bits.samples + bits.latents).f_double_value(&[])? / self.measured.samples as f64;
        if !bits.is_finite() || bits >= self.state.best * TOLERANCE {
            return self.rewind();
        }
        (self.state.validation, self.state.best) = (bits, bits.min(self.state.best));
        self.checkpoint = Checkpoint::of(self.state.clone(), &self.network, &self.adam);
        Ok(())
    }

    fn rewind(&mut self) -> Result<(), TrainingError> {
        self.checkpoint.restore(&mut self.network, &mut self.adam)?;
        let (step, rewinds) = (self.state.step, self.state.rewinds + 1);
        let curve = std::mem::take(&mut self.state.curve);
        // Steps are not taken back: what is spent is spent, and other images follow.
        self.state = State { step, rewinds, curve, calm: self.state.calm / 2.0, ..self.checkpoint.state.clone() };
        if rewinds > MAX_REWINDS {
            return Err(TrainingError::Diverged { rewinds });
        }
        Ok(())
    }

    /// Bits for each validation sample at the latest checkpoint, if they were measured.
    fn validation_bits(&self) -> Option<f64> {
        Some(self.checkpoint.state.validation).filter(|bits| *bits < UNMEASURED)
    }

    fn report(&self, monitor: &mut dyn Monitor, phase: Phase) -> Result<(), TrainingError> {
        let (fraction, spent) = (self.fraction(monitor), monitor.spent());
        let progress = Progress {
            phase,
            step: self.state.step,
            fraction,
            left: left(fraction, spent),
            loss: self.loss,
            validation: self.checkpoint.state.validation,
            rewinds: self.state.rewinds,
        };
        match monitor.progress(&progress) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(TrainingError::Cancelled),
        }
    }

    /// Counts what tables are made of, and puts the model together.
    fn finish(mut self, monitor: &mut dyn Monitor) -> Result<Trained, TrainingError> {
        if !self.network.is_quantised() {
            self.network.quantise()?;
        }
        self.report(monitor, Phase::Calibration)?;
        let (autoencoder, nets) = (self.network.export_autoencoder()?, self.network.export_nets()?);
        let places = [self.recipe.positions, self.recipe.scales];
        let counter = Counter::new(self.shape, autoencoder.as_ref(), &nets, places);
        let (training, validation) = (counter.count(self.training.raw()), counter.count(self.validation.raw()));
        let levels = autoencoder.as_ref().map_or(0, Autoencoder::levels);
        let Calibrated { tables, latents, bits } =
            calibrate(places, levels, &self.network.expected()?, &training, &validation, self.peaks.take())?;
        let autoencoder = autoencoder.map(|mut autoencoder| {
            autoencoder.frequencies = latents;
            autoencoder
        });
        let samples = self.validation.raw().len() as f64;
        let cpu = monitor.spent();
        let measured = self.validation_bits();
        Ok(Trained {
            parts: LatentParts::new(self.shape, autoencoder, nets, tables)?,
            validation: Validation { latents: bits[0] / samples, samples: bits[1] / samples },
            steps: self.state.step,
            rewinds: self.state.rewinds,
            cpu,
            state: self.checkpoint.write()?,
            curve: self.state.curve.finish(self.state.step, cpu, measured),
        })
    }
}

#[cfg(test)]
mod tests;
