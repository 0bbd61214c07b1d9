//! Trains an adversarial pair of rows (`crate::training::adversaries`): a generator that draws codes, and a critic that tells them from real ones.
//!
//! Nothing tells a generator's likelihood: every so often rows are drawn, and pairs of codes compared with real ones; the training ends with what was
//! nearest.

mod networks;
mod pairs;
mod recipe;

use std::time::Duration;

use tch::Tensor;

pub use recipe::Recipe;

use super::batches::{Purpose, Rows, generator};
use super::bytes_of;
use crate::model::rows::{Coded, DecoderParts, Prior, RowsDecoder};
use crate::model::{CurvePoint, Monitor};
use crate::training::adversaries::Adversaries;
use crate::training::affine::normals;
use crate::training::checkpoint::identity;
use crate::training::epochs::Epochs;
use crate::training::{Budget, TrainingError, use_one_thread};
use networks::{Critic, Generator, codes, draw, gumbels};
use pairs::Pairs;

/// Rows that are drawn to be compared.
const COMPARED: usize = 8192;

/// A model, and how it was made.
#[derive(Debug)]
pub struct Trained {
    /// The model.
    pub model: RowsDecoder,
    /// How far pairs of drawn codes are from real ones, 0 to 1.
    pub distance: f64,
    /// Steps that it took.
    pub steps: u32,
    /// CPU time that the monitor told at its end.
    pub cpu: Duration,
    /// How the critic's loss went.
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
    // One row validates, and nothing else needs any: pairs are compared with those that are learned from.
    let rows = Rows::new(coded, [coded.rows, 1], seed);
    if rows.order.is_empty() {
        return Err(TrainingError::Data("all its records are the same".to_owned()));
    }
    let mut session = Session::new(&rows, recipe, seed, budget)?;
    let training = identity(format!("gan {recipe:?} {seed} {}", budget.steps), &[&bytes_of(coded)]);
    let parameters = [&session.generator.parameters()[..], &session.critic.parameters()];
    session.adversaries.resume(parameters, training, monitor)?;
    // Where numbers are no longer finite, it ends with the nearest of before.
    while session.adversaries.fraction(monitor) < 1.0 && session.step(monitor)? {}
    session.finish(coded, monitor)
}

/// A training under way.
struct Session<'a> {
    rows: &'a Rows<'a>,
    heads: Vec<(i64, i64)>,
    recipe: &'a Recipe,
    seed: u64,
    epochs: Epochs,
    pairs: Pairs,
    generator: Generator,
    critic: Critic,
    adversaries: Adversaries,
}

impl<'a> Session<'a> {
    fn new(rows: &'a Rows<'a>, recipe: &'a Recipe, seed: u64, budget: Budget) -> Result<Self, TrainingError> {
        let mut rng = generator(seed, Purpose::Weights);
        let generator = Generator::new(rows, recipe, &mut rng)?;
        let critic = Critic::new(rows.codes(), recipe, &mut rng)?;
        let parameters = [&generator.parameters()[..], &critic.parameters()];
        Ok(Self {
            heads: rows.heads(),
            epochs: rows.epochs(recipe.batch, seed),
            pairs: Pairs::of(rows),
            adversaries: Adversaries::new(parameters, recipe.terms(), budget)?,
            rows,
            recipe,
            seed,
            generator,
            critic,
        })
    }

    /// Takes a step of both; whether all that came of it are finite numbers.
    fn step(&mut self, monitor: &mut dyn Monitor) -> Result<bool, TrainingError> {
        let Recipe { latents, temperature, interval, .. } = *self.recipe;
        let step = self.adversaries.step;
        let mut rng = generator(self.seed, Purpose::Step(step));
        let numbers = self.epochs.of(step).to_vec();
        let count = numbers.len() / self.recipe.pack * self.recipe.pack;
        let real = self.real(&numbers[..count])?;
        let noise = normals(count, latents, &mut rng)?;
        let gumbel = gumbels(count, self.rows.codes(), &mut rng)?;
        let fake = draw(&self.generator.logits(&noise)?, &self.heads, temperature, &gumbel)?;
        let critic = &self.critic;
        let parameters = [&self.generator.parameters()[..], &critic.parameters()];
        if !self.adversaries.step(parameters, [&real, &fake], &|rows| critic.score(rows), monitor)? {
            return Ok(false);
        }
        if self.adversaries.step.is_multiple_of(interval) {
            self.settle()?;
            self.adversaries.keep([&self.generator.parameters(), &self.critic.parameters()], monitor)?;
        }
        self.adversaries.report([&self.generator.parameters(), &self.critic.parameters()], monitor)?;
        Ok(true)
    }

    /// Real rows as 0 and 1, `[rows, codes]`.
    fn real(&self, numbers: &[usize]) -> Result<Tensor, TrainingError> {
        let codes = self.rows.codes();
        let mut values = vec![0f32; numbers.len() * codes];
        for (number, row) in numbers.iter().zip(values.chunks_exact_mut(codes)) {
            self.rows.all_codes(*number).for_each(|code| row[code] = 1.0);
        }
        Ok(Tensor::f_from_slice(&values)?.f_view([numbers.len() as i64, codes as i64])?)
    }

    /// Draws with the means of weights, and keeps the best.
    fn settle(&mut self) -> Result<(), TrainingError> {
        let Self { rows, heads, recipe, seed, pairs, generator: network, adversaries, .. } = self;
        adversaries.settle(&network.parameters(), || {
            let mut rng = generator(*seed, Purpose::Measure);
            let noise = normals(COMPARED, recipe.latents, &mut rng)?;
            let gumbel = gumbels(COMPARED, rows.codes(), &mut rng)?;
            Ok(pairs.distance(&codes(&network.logits(&noise)?, heads, &gumbel)?))
        })
    }

    /// Ends with what was nearest.
    fn finish(mut self, coded: &Coded, monitor: &mut dyn Monitor) -> Result<Trained, TrainingError> {
        self.settle()?;
        let (distance, steps) = (self.adversaries.best, self.adversaries.step);
        let came = self.adversaries.finish(&self.generator.parameters(), monitor)?;
        let parts = DecoderParts { prior: Prior::Normal, layers: self.generator.export()? };
        let model = RowsDecoder::new(coded, &parts)?;
        Ok(Trained { model, distance, steps, cpu: came.cpu, curve: came.curve })
    }
}

/// A model that has learned nothing, and what libtorch makes of noise with it.
#[cfg(test)]
pub(super) fn untrained(
    coded: &Coded,
    recipe: &Recipe,
    noise: &Tensor,
) -> Result<(Vec<f32>, RowsDecoder), TrainingError> {
    let rows = Rows::new(coded, [coded.rows, 1], 1);
    let network = Generator::new(&rows, recipe, &mut generator(1, Purpose::Weights))?;
    let expected = crate::training::affine::floats(&tch::no_grad(|| network.logits(noise))?)?;
    let parts = DecoderParts { prior: Prior::Normal, layers: network.export()? };
    Ok((expected, RowsDecoder::new(coded, &parts)?))
}

#[cfg(test)]
mod tests;
