//! An adversarial pair under way: a generator that draws samples, and a critic that tells them from real ones.
//!
//! The loss is relativistic (RpGAN; Jolicoeur-Martineau 2019, arXiv:1807.00734) and the gradients at both real and generated samples are penalised, as Huang et al. 2024
//! (arXiv:2501.05441, equations 2 to 4) have it, so that the pair converges:
//!
//! ```text
//! critic:     mean softplus(D(G(z)) - D(x)) + gamma / 2 (mean |dD(x)/dx|^2 + mean |dD(G(z))/dG(z)|^2)
//! generator:  mean softplus(D(x) - D(G(z)))
//! ```
//!
//! What is kept are the means of the generator's weights over the last steps. Nothing tells a generator's likelihood: every so often what it
//! draws is compared with what is real, and the training ends with what was nearest.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor, no_grad};

use super::adam::Adam;
use super::affine::{copies, put_back};
use super::budget::{cosine, left};
use super::checkpoint::{Saved, shapes, write};
use super::curve::Curve;
use super::descent::{Came, UNMEASURED};
use super::{Budget, TrainingError};
use crate::model::{Monitor, Phase, Progress};

/// Decays of Adam's moments: none of the first, as in the paper.
const BETAS: [f64; 2] = [0.0, 0.99];

/// Steps in which rates rise.
const RISE: u32 = 100;

/// How the two learn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// Adam's rates of generator and critic; they fall to 0 along half a cosine.
    pub rates: [f64; 2],
    /// What gradient penalties count at the beginning and at the end.
    pub gamma: [f64; 2],
    /// How much of the mean of weights is left after a step.
    pub mean: f64,
}

impl Terms {
    /// Whether there is such a training.
    pub fn check(&self) -> Result<(), TrainingError> {
        let holds = |holds: bool, what: &str| if holds { Ok(()) } else { Err(TrainingError::Recipe(what.to_owned())) };
        holds(self.rates.iter().all(|rate| (1e-6..=1.0).contains(rate)), "a rate is not 0.000001 to 1")?;
        holds(self.gamma.iter().all(|gamma| (0.0..=1e4).contains(gamma)), "penalties do not count 0 to 10000")?;
        holds((0.0..1.0).contains(&self.mean), "what is left of a mean is not 0 to 1")
    }
}

/// The pair. Its networks are the caller's: parameters are given with each call, the generator's first.
#[derive(Debug)]
pub(super) struct Adversaries {
    terms: Terms,
    budget: Budget,
    adams: [Adam; 2],
    /// The means of the generator's weights.
    pub mean: Vec<Tensor>,
    /// The best of them.
    pub kept: Vec<Tensor>,
    /// How far what they draw is from what is real.
    pub best: f64,
    /// Steps so far.
    pub step: u32,
    loss: f64,
    curve: Curve,
    /// What the training is of, hashed.
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

impl Adversaries {
    pub fn new([generator, critic]: [&[&Tensor]; 2], terms: Terms, budget: Budget) -> Result<Self, TrainingError> {
        Ok(Self {
            terms,
            budget,
            adams: [Adam::with(generator, BETAS)?, Adam::with(critic, BETAS)?],
            mean: copies(generator),
            kept: copies(generator),
            best: UNMEASURED,
            step: 0,
            loss: f64::NAN,
            curve: Curve::default(),
            training: String::new(),
        })
    }

    /// All tensors that change, in groups.
    fn tensors<'a>(&'a self, [generator, critic]: [&[&'a Tensor]; 2]) -> [(&'static str, Vec<&'a Tensor>); 8] {
        let [of_generator, of_critic] = &self.adams;
        [
            ("generator", generator.to_vec()),
            ("critic", critic.to_vec()),
            ("generator-first", of_generator.first.iter().collect()),
            ("generator-second", of_generator.second.iter().collect()),
            ("critic-first", of_critic.first.iter().collect()),
            ("critic-second", of_critic.second.iter().collect()),
            ("mean", self.mean.iter().collect()),
            ("kept", self.kept.iter().collect()),
        ]
    }

    /// Goes on where a training of the same, which `training` says as a hash, was ended, if the monitor knows of one.
    pub fn resume(
        &mut self,
        parameters: [&[&Tensor]; 2],
        training: String,
        monitor: &mut dyn Monitor,
    ) -> Result<(), TrainingError> {
        self.training = training;
        let Some(bytes) = monitor.resume() else { return Ok(()) };
        let saved = Saved::open(&bytes)?;
        let state: State = saved.state()?;
        if state.training != self.training {
            return Err(TrainingError::Checkpoint("it is of other data, another recipe or another seed".to_owned()));
        }
        for (group, (name, tensors)) in self.tensors(parameters).iter().enumerate() {
            put_back(tensors, &saved.group(group, name, &shapes(tensors))?)?;
        }
        (self.step, self.best, self.curve) = (state.step, state.best, state.curve);
        Ok(())
    }

    /// Gives the monitor a place to go on from: this one.
    pub fn keep(&self, parameters: [&[&Tensor]; 2], monitor: &mut dyn Monitor) -> Result<(), TrainingError> {
        let (training, curve) = (self.training.clone(), self.curve.clone());
        let state = State { training, step: self.step, best: self.best, curve };
        monitor.checkpoint(write(&state, &self.tensors(parameters))?);
        Ok(())
    }

    /// How much of the budget is spent.
    pub fn fraction(&self, monitor: &mut dyn Monitor) -> f64 {
        self.budget.fraction(self.step, monitor)
    }

    /// Takes a step of both, with real samples and as many generated ones, which have a gradient; whether all that came of it are finite
    /// numbers. `score` is the critic's, of each sample.
    pub fn step(
        &mut self,
        [generator, critic]: [&[&Tensor]; 2],
        [real, fake]: [&Tensor; 2],
        score: &dyn Fn(&Tensor) -> Result<Tensor, TrainingError>,
        monitor: &mut dyn Monitor,
    ) -> Result<bool, TrainingError> {
        let fraction = self.fraction(monitor);
        let Terms { rates, gamma, mean } = self.terms;
        let number = self.step + 1;
        let fall = (f64::from(number) / f64::from(RISE)).min(cosine(fraction));
        let gamma = gamma[1] + (gamma[0] - gamma[1]) * cosine(fraction);

        let loss = of_critic(score, real, &fake.f_detach()?, gamma)?;
        self.loss = loss.f_double_value(&[])?;
        let moved = self.loss.is_finite() && self.adams[1].step(critic, &loss, rates[1] * fall, number)?;
        // The critic has moved: it is asked again, and its gradient goes through the same draw.
        let truth = no_grad(|| score(real))?;
        let loss = (truth - score(fake)?).f_softplus()?.f_mean(Kind::Float)?;
        let moved = moved && self.adams[0].step(generator, &loss, rates[0] * fall, number)?;
        if !moved {
            return Ok(false);
        }
        let share = (1.0 - mean).max(1.0 / f64::from(number + 1));
        no_grad(|| {
            for (mean, parameter) in self.mean.iter_mut().zip(generator) {
                let _ = mean.f_lerp_(parameter, share)?;
            }
            Ok::<(), TrainingError>(())
        })?;
        self.step += 1;
        self.curve.add(self.step, monitor.spent(), self.loss, self.measured());
        Ok(true)
    }

    /// Measures what the generator draws with the means of its weights, and keeps the best of these.
    pub fn settle(
        &mut self,
        generator: &[&Tensor],
        measure: impl FnOnce() -> Result<f64, TrainingError>,
    ) -> Result<(), TrainingError> {
        let own = copies(generator);
        put_back(generator, &self.mean)?;
        let distance = no_grad(measure);
        put_back(generator, &own)?;
        let distance = distance?;
        if distance < self.best {
            self.best = distance;
            self.kept = copies(&self.mean.iter().collect::<Vec<_>>());
        }
        Ok(())
    }

    /// The best that was measured, if anything was.
    fn measured(&self) -> Option<f64> {
        Some(self.best).filter(|best| *best < UNMEASURED)
    }

    /// Tells how far it is; an error where that ends it, with a place to go on from.
    pub fn report(&self, parameters: [&[&Tensor]; 2], monitor: &mut dyn Monitor) -> Result<(), TrainingError> {
        let (fraction, spent) = (self.fraction(monitor), monitor.spent());
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
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => {
                self.keep(parameters, monitor)?;
                Err(TrainingError::Cancelled)
            }
        }
    }

    /// Ends it, with what was nearest in the generator.
    pub fn finish(self, generator: &[&Tensor], monitor: &mut dyn Monitor) -> Result<Came, TrainingError> {
        put_back(generator, &self.kept)?;
        let (cpu, measured) = (monitor.spent(), self.measured());
        Ok(Came { measured, cpu, curve: self.curve.finish(self.step, cpu, measured) })
    }
}

/// The critic's loss.
fn of_critic(
    score: &dyn Fn(&Tensor) -> Result<Tensor, TrainingError>,
    real: &Tensor,
    fake: &Tensor,
    gamma: f64,
) -> Result<Tensor, TrainingError> {
    let (truth, first) = penalised(score, real)?;
    let (drawn, second) = penalised(score, fake)?;
    let loss = (drawn - truth).f_softplus()?.f_mean(Kind::Float)?;
    Ok(loss + (first + second) * (gamma / 2.0))
}

/// Scores of samples, and the mean square of the lengths of their gradients, which has a gradient itself.
pub(super) fn penalised(
    score: &dyn Fn(&Tensor) -> Result<Tensor, TrainingError>,
    samples: &Tensor,
) -> Result<(Tensor, Tensor), TrainingError> {
    let samples = samples.f_detach()?.set_requires_grad(true);
    let scores = score(&samples)?;
    let gradients = Tensor::f_run_backward(&[scores.f_sum(Kind::Float)?], &[&samples], true, true)?;
    let square = gradients[0].square().f_sum(Kind::Float)? / scores.size()[0] as f64;
    Ok((scores, square))
}
