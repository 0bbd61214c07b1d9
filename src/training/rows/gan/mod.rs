//! Trains an adversarial pair of rows: a generator that draws codes, and a critic that tells them from real ones.
//!
//! The loss is relativistic (RpGAN; Jolicoeur-Martineau 2019) and both real and generated rows' gradients are penalised, as Huang et al. 2024
//! (arXiv:2501.05441, equations 2 to 4) have it, so that the pair converges:
//!
//! ```text
//! critic:     mean softplus(D(G(z)) - D(x)) + gamma / 2 (mean |dD(x)/dx|^2 + mean |dD(G(z))/dG(z)|^2)
//! generator:  mean softplus(D(x) - D(G(z)))
//! ```
//!
//! What is kept are the means of the generator's weights over the last steps. Nothing tells a generator's likelihood: every so often rows are drawn,
//! and pairs of codes compared with real ones; the training ends with what was nearest.

mod networks;
mod pairs;
mod recipe;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor, no_grad};

pub use recipe::Recipe;

use super::batches::{Purpose, Rows, generator};
use super::bytes_of;
use crate::model::rows::{Coded, DecoderParts, Prior, RowsDecoder};
use crate::model::{CurvePoint, Monitor, Phase, Progress};
use crate::training::adam::Adam;
use crate::training::affine::{copies, normals, put_back};
use crate::training::budget::{cosine, left};
use crate::training::checkpoint::{Saved, identity, shapes, write};
use crate::training::curve::Curve;
use crate::training::epochs::Epochs;
use crate::training::{Budget, TrainingError, use_one_thread};
use networks::{Critic, Generator, codes, draw, gumbels};
use pairs::Pairs;

/// Rows that are drawn to be compared.
const COMPARED: usize = 8192;

/// Decays of Adam's moments: none of the first, as in the paper.
const BETAS: [f64; 2] = [0.0, 0.99];

/// Steps in which rates rise.
const RISE: u32 = 100;

/// Stands for what was not measured yet.
const UNMEASURED: f64 = f64::MAX;

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
    session.training = identity(format!("gan {recipe:?} {seed} {}", budget.steps), &[&bytes_of(coded)]);
    session.resume(monitor)?;
    // Where numbers are no longer finite, it ends with the nearest of before.
    while budget.fraction(session.step, monitor) < 1.0 && session.step(monitor)? {}
    session.finish(coded, monitor)
}

/// A training under way.
struct Session<'a> {
    rows: &'a Rows<'a>,
    heads: Vec<(i64, i64)>,
    recipe: &'a Recipe,
    seed: u64,
    budget: Budget,
    epochs: Epochs,
    pairs: Pairs,
    generator: Generator,
    critic: Critic,
    adams: [Adam; 2],
    /// The means of the generator's weights.
    mean: Vec<Tensor>,
    /// The best of them.
    kept: Vec<Tensor>,
    best: f64,
    step: u32,
    loss: f64,
    curve: Curve,
    /// What it is of, hashed.
    training: String,
}

/// All of a training that is no tensor.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    training: String,
    step: u32,
    best: f64,
    curve: Curve,
}

impl<'a> Session<'a> {
    fn new(rows: &'a Rows<'a>, recipe: &'a Recipe, seed: u64, budget: Budget) -> Result<Self, TrainingError> {
        let mut rng = generator(seed, Purpose::Weights);
        let generator = Generator::new(rows, recipe, &mut rng)?;
        let critic = Critic::new(rows.codes(), recipe, &mut rng)?;
        Ok(Self {
            heads: rows.heads(),
            epochs: rows.epochs(recipe.batch, seed),
            pairs: Pairs::of(rows),
            adams: [Adam::with(&generator.parameters(), BETAS)?, Adam::with(&critic.parameters(), BETAS)?],
            mean: copies(&generator.parameters()),
            kept: copies(&generator.parameters()),
            best: UNMEASURED,
            rows,
            recipe,
            seed,
            budget,
            generator,
            critic,
            step: 0,
            loss: f64::NAN,
            curve: Curve::default(),
            training: String::new(),
        })
    }

    /// All tensors that change, in groups.
    fn tensors(&self) -> [(&'static str, Vec<&Tensor>); 8] {
        let [generator, critic] = &self.adams;
        [
            ("generator", self.generator.parameters()),
            ("critic", self.critic.parameters()),
            ("generator-first", generator.first.iter().collect()),
            ("generator-second", generator.second.iter().collect()),
            ("critic-first", critic.first.iter().collect()),
            ("critic-second", critic.second.iter().collect()),
            ("mean", self.mean.iter().collect()),
            ("kept", self.kept.iter().collect()),
        ]
    }

    /// Goes on where a training of the same was ended, if the monitor knows of one.
    fn resume(&mut self, monitor: &mut dyn Monitor) -> Result<(), TrainingError> {
        let Some(bytes) = monitor.resume() else { return Ok(()) };
        let saved = Saved::open(&bytes)?;
        let state: State = saved.state()?;
        if state.training != self.training {
            return Err(TrainingError::Checkpoint("it is of other data, another recipe or another seed".to_owned()));
        }
        for (group, (name, tensors)) in self.tensors().iter().enumerate() {
            put_back(tensors, &saved.group(group, name, &shapes(tensors))?)?;
        }
        (self.step, self.best, self.curve) = (state.step, state.best, state.curve);
        Ok(())
    }

    /// Gives the monitor a place to go on from: this one.
    fn keep(&self, monitor: &mut dyn Monitor) -> Result<(), TrainingError> {
        let (training, curve) = (self.training.clone(), self.curve.clone());
        monitor.checkpoint(write(&State { training, step: self.step, best: self.best, curve }, &self.tensors())?);
        Ok(())
    }

    /// Takes a step of both; whether all that came of it are finite numbers.
    fn step(&mut self, monitor: &mut dyn Monitor) -> Result<bool, TrainingError> {
        let fraction = self.budget.fraction(self.step, monitor);
        let Recipe { latents, temperature, rates, gamma, mean, .. } = *self.recipe;
        let mut rng = generator(self.seed, Purpose::Step(self.step));
        let numbers = self.epochs.of(self.step).to_vec();
        let count = numbers.len() / self.recipe.pack * self.recipe.pack;
        let real = self.real(&numbers[..count])?;
        let noise = normals(count, latents, &mut rng)?;
        let gumbel = gumbels(count, self.rows.codes(), &mut rng)?;
        let number = self.step + 1;
        let fall = (f64::from(number) / f64::from(RISE)).min(cosine(fraction));
        let gamma = gamma[1] + (gamma[0] - gamma[1]) * cosine(fraction);

        let fake = draw(&self.generator.logits(&noise)?, &self.heads, temperature, &gumbel)?;
        let loss = self.of_critic(&real, &fake.f_detach()?, gamma)?;
        self.loss = loss.f_double_value(&[])?;
        let moved =
            self.loss.is_finite() && self.adams[1].step(&self.critic.parameters(), &loss, rates[1] * fall, number)?;
        // The critic has moved: it is asked again, and its gradient goes through the same draw.
        let truth = no_grad(|| self.critic.score(&real))?;
        let loss = (truth - self.critic.score(&fake)?).f_softplus()?.f_mean(Kind::Float)?;
        let moved = moved && self.adams[0].step(&self.generator.parameters(), &loss, rates[0] * fall, number)?;
        if !moved {
            return Ok(false);
        }
        let share = (1.0 - mean).max(1.0 / f64::from(number + 1));
        no_grad(|| {
            for (mean, parameter) in self.mean.iter_mut().zip(self.generator.parameters()) {
                let _ = mean.f_lerp_(parameter, share)?;
            }
            Ok::<(), TrainingError>(())
        })?;
        self.step += 1;
        self.curve.add(self.step, monitor.spent(), self.loss, Some(self.best).filter(|best| *best < UNMEASURED));
        if self.step.is_multiple_of(self.recipe.interval) {
            self.settle()?;
            self.keep(monitor)?;
        }
        self.report(monitor)?;
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

    /// The critic's loss.
    fn of_critic(&self, real: &Tensor, fake: &Tensor, gamma: f64) -> Result<Tensor, TrainingError> {
        let (truth, first) = penalised(&self.critic, real)?;
        let (drawn, second) = penalised(&self.critic, fake)?;
        let loss = (drawn - truth).f_softplus()?.f_mean(Kind::Float)?;
        Ok(loss + (first + second) * (gamma / 2.0))
    }

    /// Draws with the means of weights, and keeps the best.
    fn settle(&mut self) -> Result<(), TrainingError> {
        let own = copies(&self.generator.parameters());
        put_back(&self.generator.parameters(), &self.mean)?;
        let mut rng = generator(self.seed, Purpose::Measure);
        let noise = normals(COMPARED, self.recipe.latents, &mut rng)?;
        let gumbel = gumbels(COMPARED, self.rows.codes(), &mut rng)?;
        let drawn = no_grad(|| codes(&self.generator.logits(&noise)?, &self.heads, &gumbel))?;
        put_back(&self.generator.parameters(), &own)?;
        let distance = self.pairs.distance(&drawn);
        if distance < self.best {
            self.best = distance;
            self.kept = copies(&self.mean.iter().collect::<Vec<_>>());
        }
        Ok(())
    }

    fn report(&self, monitor: &mut dyn Monitor) -> Result<(), TrainingError> {
        let (fraction, spent) = (self.budget.fraction(self.step, monitor), monitor.spent());
        let progress = Progress {
            phase: Phase::Float,
            step: self.step,
            fraction,
            left: left(fraction, spent),
            loss: self.loss,
            validation: self.best,
            rewinds: 0,
        };
        match monitor.progress(&progress) {
            std::ops::ControlFlow::Continue(()) => Ok(()),
            std::ops::ControlFlow::Break(()) => {
                self.keep(monitor)?;
                Err(TrainingError::Cancelled)
            }
        }
    }

    /// Ends with what was nearest.
    fn finish(mut self, coded: &Coded, monitor: &mut dyn Monitor) -> Result<Trained, TrainingError> {
        self.settle()?;
        put_back(&self.generator.parameters(), &self.kept)?;
        let parts = DecoderParts { prior: Prior::Normal, layers: self.generator.export()? };
        let (cpu, measured) = (monitor.spent(), Some(self.best));
        Ok(Trained {
            model: RowsDecoder::new(coded, &parts)?,
            distance: self.best,
            steps: self.step,
            cpu,
            curve: self.curve.finish(self.step, cpu, measured),
        })
    }
}

/// The scores of rows' packs, and the mean square of the lengths of their gradients, which has a gradient itself.
fn penalised(critic: &Critic, rows: &Tensor) -> Result<(Tensor, Tensor), TrainingError> {
    let rows = rows.f_detach()?.set_requires_grad(true);
    let scores = critic.score(&rows)?;
    let gradients = Tensor::f_run_backward(&[scores.f_sum(Kind::Float)?], &[&rows], true, true)?;
    let square = gradients[0].square().f_sum(Kind::Float)? / scores.size()[0] as f64;
    Ok((scores, square))
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
    let expected = crate::training::affine::floats(&no_grad(|| network.logits(noise))?)?;
    let parts = DecoderParts { prior: Prior::Normal, layers: network.export()? };
    Ok((expected, RowsDecoder::new(coded, &parts)?))
}

#[cfg(test)]
mod tests;
