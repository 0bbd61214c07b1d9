//! Trains a model of rows ([`crate::model::rows`]).
//!
//! The network learns to tell variables from others: of each row some are known, the others are asked for. Which are known
//! is any set (Uria, Murray, Larochelle 2014, arXiv:1310.1757, equation 8: what is asked for counts `D / (D - d)` where `d` of `D`
//! variables are known, so that all orders count alike), the beginning of the order in which rows are drawn, or such a beginning
//! behind some variables that a condition may fix.
//!
//! Every so often validation rows are measured, in the order in which rows are drawn: if that is not finite or clearly worse than
//! the best so far, the training goes back to the best and on with half the rate. It ends with what it ends with, unless the best
//! was better by one in a hundred.

mod batches;
mod network;
mod recipe;

use std::ops::ControlFlow;
use std::time::Duration;

use tch::no_grad;

pub use recipe::Recipe;

use super::adam::Adam;
use super::budget::{cosine, left};
use super::curve::Curve;
use super::snapshot::Snapshot;
use super::{Budget, TrainingError, use_one_thread};
use crate::model::rows::{Coded, RowsModel};
use crate::model::{CurvePoint, Monitor, Phase, Progress};
use batches::Rows;
use network::Network;

/// Steps in which the rate rises.
const RISE: u32 = 100;

/// What is left of the rate at the end.
const RATE_FLOOR: f64 = 1e-3;

/// Most validation rows.
const VALIDATION: usize = 2048;

/// How much worse than the best is worse, and not chance.
const TOLERANCE: f64 = 1.05;

/// How much worse than the best the end may be and still be taken: the best of before was measured at a high rate, whose noise
/// moves frequencies by more than bits show.
const SLACK: f64 = 1.01;

/// Stands for bits that were not measured yet. JSON has no infinity.
const UNMEASURED: f64 = f64::MAX;

/// After so many rewinds a training is given up.
const MAX_REWINDS: u32 = 8;

/// A model, and how it was made.
#[derive(Debug)]
pub struct Trained {
    /// The model.
    pub model: RowsModel,
    /// Bits for each validation row, of codes.
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
    let rows = Rows::new(coded, recipe, VALIDATION, seed);
    let passes = (recipe.passes * rows.len() as f64 / recipe.batch as f64).ceil() as u32;
    let budget = Budget { steps: budget.steps.min(passes.max(1)), ..budget };
    let mut session = Session::new(&rows, recipe, seed, budget)?;
    while session.fraction(monitor) < 1.0 && !rows.order.is_empty() {
        session.step(monitor)?;
    }
    session.finish(coded, monitor)
}

/// A training under way.
struct Session<'a> {
    rows: &'a Rows<'a>,
    recipe: &'a Recipe,
    seed: u64,
    budget: Budget,
    network: Network,
    adam: Adam,
    step: u32,
    moments: u32,
    rewinds: u32,
    calm: f64,
    best: f64,
    checkpoint: Snapshot,
    curve: Curve,
    loss: f64,
}

impl<'a> Session<'a> {
    fn new(rows: &'a Rows<'a>, recipe: &'a Recipe, seed: u64, budget: Budget) -> Result<Self, TrainingError> {
        let network = Network::new(rows, recipe, seed)?;
        let adam = Adam::new(&network.parameters())?;
        Ok(Self {
            checkpoint: Snapshot::of(&network.parameters(), &adam, 0),
            rows,
            recipe,
            seed,
            budget,
            network,
            adam,
            step: 0,
            moments: 0,
            rewinds: 0,
            calm: 1.0,
            best: UNMEASURED,
            curve: Curve::default(),
            loss: f64::NAN,
        })
    }

    /// How much of the budget is spent.
    fn fraction(&self, monitor: &mut dyn Monitor) -> f64 {
        self.budget.fraction(self.step, monitor)
    }

    fn step(&mut self, monitor: &mut dyn Monitor) -> Result<(), TrainingError> {
        let fraction = self.fraction(monitor);
        let batch = self.rows.batch(self.recipe, self.seed, self.step)?;
        let nats = self.network.loss(self.rows, &batch)?;
        self.loss = nats.f_double_value(&[])? / std::f64::consts::LN_2;
        let rise = f64::from(self.step + 1) / f64::from(RISE);
        let rate = self.recipe.rate * self.calm * rise.min(cosine(fraction) + RATE_FLOOR);
        // Of one variable: the limit on the gradient's length is for losses of such a size.
        let loss = nats / self.rows.order.len() as f64;
        let parameters = self.network.parameters();
        let moved = self.loss.is_finite() && self.adam.step(&parameters, &loss, rate, self.moments + 1)?;
        self.step += 1;
        self.moments += 1;
        let validation = Some(self.best).filter(|bits| *bits < UNMEASURED);
        self.curve.add(self.step, monitor.spent(), self.loss, validation);
        if !moved {
            self.rewind()?;
        } else {
            self.network.decay(1.0 - rate * self.recipe.decay)?;
            if self.step.is_multiple_of(self.recipe.interval) {
                self.settle()?;
            }
        }
        self.report(monitor)
    }

    /// Makes a checkpoint if things have become better, goes back to the last one if they have become worse.
    fn settle(&mut self) -> Result<(), TrainingError> {
        let bits = self.measure()?;
        if !bits.is_finite() || bits >= self.best * TOLERANCE {
            return self.rewind();
        }
        if bits < self.best {
            self.best = bits;
            self.checkpoint = Snapshot::of(&self.network.parameters(), &self.adam, self.moments);
        }
        Ok(())
    }

    /// Bits for each validation row, variable after variable in the order in which rows are drawn.
    fn measure(&self) -> Result<f64, TrainingError> {
        no_grad(|| {
            let mut nats = 0.0;
            for place in 0..self.rows.order.len() {
                let batch = self.rows.validation(place)?;
                nats += self.network.loss(self.rows, &batch)?.f_double_value(&[])?;
            }
            Ok(nats / std::f64::consts::LN_2)
        })
    }

    fn rewind(&mut self) -> Result<(), TrainingError> {
        self.checkpoint.restore(&self.network.parameters(), &self.adam)?;
        self.moments = self.checkpoint.moments;
        self.calm /= 2.0;
        self.rewinds += 1;
        if self.rewinds > MAX_REWINDS {
            return Err(TrainingError::Diverged { rewinds: self.rewinds });
        }
        Ok(())
    }

    fn report(&self, monitor: &mut dyn Monitor) -> Result<(), TrainingError> {
        let (fraction, spent) = (self.fraction(monitor), monitor.spent());
        let progress = Progress {
            phase: Phase::Float,
            step: self.step,
            fraction,
            left: left(fraction, spent),
            loss: self.loss,
            validation: self.best,
            rewinds: self.rewinds,
        };
        match monitor.progress(&progress) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(TrainingError::Cancelled),
        }
    }

    /// Ends with the weights of now, or with clearly better ones of before.
    fn finish(mut self, coded: &Coded, monitor: &mut dyn Monitor) -> Result<Trained, TrainingError> {
        if !self.rows.order.is_empty() {
            let bits = self.measure()?;
            if bits.is_finite() && bits <= self.best * SLACK {
                self.best = bits;
            } else {
                self.checkpoint.restore(&self.network.parameters(), &self.adam)?;
            }
        }
        let cpu = monitor.spent();
        let measured = Some(self.best).filter(|bits| *bits < UNMEASURED);
        Ok(Trained {
            model: RowsModel::new(coded, &self.network.export()?)?,
            validation: measured.unwrap_or(0.0),
            steps: self.step,
            rewinds: self.rewinds,
            cpu,
            curve: self.curve.finish(self.step, cpu, measured),
        })
    }
}
