//! Trains an autoencoder of rows: a variational autoencoder of codes, then a mixture of what its encoder makes of the rows.
//!
//! The loss is the evidence lower bound (Kingma and Welling 2014, arXiv:1312.6114, equation 3) with the divergence weighed (Higgins et al. 2017,
//! *beta-VAE*): the cross-entropy of each variable's code under its softmax, as TVAE has it (Xu et al. 2019, arXiv:1907.00503, section 4.4),
//! and the Kullback-Leibler divergence of posterior and prior. The mixture takes the prior's place (Ghosh et al. 2020, arXiv:1903.12436).

mod network;
mod recipe;

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use tch::{Tensor, no_grad};

pub use recipe::Recipe;

use super::batches::{Purpose, Rows, Whole, generator};
use super::bytes_of;
use crate::model::mixture::fit;
use crate::model::rows::{Coded, DecoderParts, Prior, RowsDecoder, RowsError};
use crate::model::{CurvePoint, Monitor, Phase};
use crate::training::affine::{floats, normals};
use crate::training::checkpoint::identity;
use crate::training::descent::Descent;
use crate::training::epochs::Epochs;
use crate::training::{Budget, TrainingError, use_one_thread};
use network::Network;

/// Most validation rows.
const VALIDATION: usize = 2048;

/// Rows that are encoded at once.
const ENCODED: usize = 2048;

/// Most rows that the mixture is fitted to.
const MIXED: usize = 65_536;

/// How much of the budget the steps take; the rest is for the mixture.
const STEPS: f64 = 0.75;

/// A model, and how it was made.
#[derive(Debug)]
pub struct Trained {
    /// The model.
    pub model: RowsDecoder,
    /// Bits of loss for each validation row.
    pub validation: f64,
    /// Steps that it took.
    pub steps: u32,
    /// How often it went back to a checkpoint.
    pub rewinds: u32,
    /// CPU time that the monitor told at its end.
    pub cpu: Duration,
    /// How its loss fell.
    pub curve: Vec<CurvePoint>,
}

/// Trains a model of records that were coded.
pub fn train(
    coded: &Coded,
    recipe: &Recipe,
    seed: u64,
    budget: Budget,
    monitor: &mut dyn Monitor,
) -> Result<Trained, TrainingError> {
    recipe.check()?;
    use_one_thread();
    if budget.steps == 0 {
        return Err(TrainingError::Data("it takes a step at least".to_owned()));
    }
    let rows = Rows::new(coded, [recipe.validation, VALIDATION], seed);
    if rows.order.is_empty() {
        return Err(TrainingError::Data("all its records are the same".to_owned()));
    }
    let passes = (recipe.passes * rows.len() as f64 / recipe.batch as f64).ceil() as u32;
    let cpu = budget.cpu.map(|cpu| cpu.mul_f64(STEPS));
    let budget = Budget { steps: budget.steps.min(passes.max(1)), cpu };
    let mut session = Session::new(&rows, recipe, seed, budget)?;
    let training = identity(format!("vae {recipe:?} {seed} {}", budget.steps), &[&bytes_of(coded)]);
    session.descent.resume(&session.network.parameters(), training, monitor)?;
    while session.descent.fraction(monitor) < 1.0 {
        session.step(monitor)?;
    }
    session.finish(coded, monitor)
}

/// A training under way.
struct Session<'a> {
    rows: &'a Rows<'a>,
    recipe: &'a Recipe,
    seed: u64,
    epochs: Epochs,
    /// Validation rows, and their noise.
    measured: (Whole, Tensor),
    network: Network,
    descent: Descent,
}

impl<'a> Session<'a> {
    fn new(rows: &'a Rows<'a>, recipe: &'a Recipe, seed: u64, budget: Budget) -> Result<Self, TrainingError> {
        let network = Network::new(rows, recipe, &mut generator(seed, Purpose::Weights))?;
        let noise = normals(rows.validating().len(), recipe.latents, &mut generator(seed, Purpose::Measure))?;
        Ok(Self {
            descent: Descent::new(&network.parameters(), budget)?,
            measured: (rows.whole(rows.validating())?, noise),
            epochs: rows.epochs(recipe.batch, seed),
            rows,
            recipe,
            seed,
            network,
        })
    }

    /// The loss of rows in the mean, in bits.
    fn bits(&self, rows: &Whole, normals: &Tensor) -> Result<Tensor, TrainingError> {
        let nats = self.network.nats(rows, normals)?;
        Ok((nats.codes + nats.latents * self.recipe.beta) / std::f64::consts::LN_2)
    }

    fn step(&mut self, monitor: &mut dyn Monitor) -> Result<(), TrainingError> {
        let fraction = self.descent.fraction(monitor);
        let step = self.descent.step;
        let numbers = self.epochs.of(step);
        let noise = normals(numbers.len(), self.recipe.latents, &mut generator(self.seed, Purpose::Step(step)))?;
        let rows = self.rows.whole(numbers)?;
        let bits = self.bits(&rows, &noise)?;
        let told = bits.f_double_value(&[])?;
        let rate = self.descent.rate(self.recipe.rate, fraction);
        // Of one variable: the limit on the gradient's length is for losses of such a size.
        let loss = bits / self.rows.order.len() as f64;
        let moved = self.descent.step(&self.network.parameters(), (&loss, told), rate, monitor)?;
        if moved && self.descent.step.is_multiple_of(self.recipe.interval) {
            self.settle()?;
            self.descent.keep(&self.network.parameters(), monitor)?;
        }
        self.descent.report(&self.network.parameters(), monitor, Phase::Float)
    }

    /// Measures validation rows.
    fn settle(&mut self) -> Result<(), TrainingError> {
        let (rows, noise) = &self.measured;
        let bits = no_grad(|| self.bits(rows, noise))?.f_double_value(&[])?;
        self.descent.settle(&self.network.parameters(), bits)
    }

    /// Ends with the best that was measured, and fits the mixture.
    fn finish(mut self, coded: &Coded, monitor: &mut dyn Monitor) -> Result<Trained, TrainingError> {
        self.settle()?;
        self.descent.restore(&self.network.parameters())?;
        self.descent.report(&self.network.parameters(), monitor, Phase::Calibration)?;
        let mut rng = generator(self.seed, Purpose::Mixture);
        let posterior = self.posterior(coded.rows, &mut rng)?;
        let Recipe { latents, draws, fit: ref options, .. } = *self.recipe;
        let mixture = fit(&posterior, latents, draws, options, &mut rng).map_err(RowsError::from)?;
        let parts = DecoderParts { prior: Prior::Mixture(mixture), layers: self.network.export()? };
        let model = RowsDecoder::new(coded, &parts)?;
        let Descent { step: steps, rewinds, best: validation, .. } = self.descent;
        let came = self.descent.finish(monitor);
        Ok(Trained { model, validation, steps, rewinds, cpu: came.cpu, curve: came.curve })
    }

    /// Samples of rows' posteriors, `[rows, draws, L]`: of all, or of every second, third and so on.
    fn posterior(&self, rows: usize, rng: &mut ChaCha8Rng) -> Result<Vec<f32>, TrainingError> {
        let Recipe { latents, draws, .. } = *self.recipe;
        let numbers: Vec<usize> = (0..rows).step_by(rows.div_ceil(MIXED).max(1)).collect();
        let mut samples = Vec::with_capacity(numbers.len() * draws * latents);
        for numbers in numbers.chunks(ENCODED) {
            let [mean, deviation] = no_grad(|| self.network.encode(&self.rows.whole(numbers)?))?;
            let noise = normals(numbers.len(), draws * latents, rng)?;
            let noise = noise.f_view([numbers.len() as i64, draws as i64, latents as i64])?;
            samples.extend(floats(&(mean.f_unsqueeze(1)? + deviation.f_unsqueeze(1)? * noise))?);
        }
        Ok(samples)
    }
}

/// A model that has learned nothing, and what libtorch makes of noise with it.
#[cfg(test)]
pub(super) fn untrained(
    coded: &Coded,
    recipe: &Recipe,
    noise: &Tensor,
) -> Result<(Vec<f32>, RowsDecoder), TrainingError> {
    let rows = Rows::new(coded, [recipe.validation, VALIDATION], 1);
    let network = Network::new(&rows, recipe, &mut generator(1, Purpose::Weights))?;
    let expected = floats(&no_grad(|| network.decode(noise))?)?;
    let posterior = floats(&normals(100, recipe.latents, &mut generator(1, Purpose::Mixture))?)?;
    let mixture = fit(&posterior, recipe.latents, 1, &recipe.fit, &mut generator(1, Purpose::Mixture));
    let prior = Prior::Mixture(mixture.map_err(RowsError::from)?);
    Ok((expected, RowsDecoder::new(coded, &DecoderParts { prior, layers: network.export()? })?))
}
