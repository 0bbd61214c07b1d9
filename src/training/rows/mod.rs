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

pub mod gan;
pub mod vae;

mod batches;
mod network;
mod recipe;

use std::time::Duration;

use tch::no_grad;

pub use recipe::Recipe;

use super::checkpoint::identity;
use super::descent::Descent;
use super::{Budget, TrainingError, use_one_thread};
use crate::model::rows::{Coded, RowsModel};
use crate::model::{CurvePoint, Monitor, Phase};
use batches::Rows;
use network::Network;

/// Most validation rows.
const VALIDATION: usize = 2048;

/// How much worse than the best the end may be and still be taken: the best of before was measured at a high rate, whose noise
/// moves frequencies by more than bits show.
const SLACK: f64 = 1.01;

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
    let rows = Rows::new(coded, [recipe.validation, VALIDATION], seed);
    let passes = (recipe.passes * rows.len() as f64 / recipe.batch as f64).ceil() as u32;
    let budget = Budget { steps: budget.steps.min(passes.max(1)), ..budget };
    let network = Network::new(&rows, recipe, seed)?;
    let descent = Descent::new(&network.parameters(), budget)?;
    let mut session = Session { rows: &rows, recipe, seed, network, descent };
    let training = identity(format!("autoregressive {recipe:?} {seed} {}", budget.steps), &[&bytes_of(coded)]);
    session.descent.resume(&session.network.parameters(), training, monitor)?;
    while session.descent.fraction(monitor) < 1.0 && !rows.order.is_empty() {
        session.step(monitor)?;
    }
    session.finish(coded, monitor)
}

/// What rows are learned from, as bytes.
fn bytes_of(coded: &Coded) -> Vec<u8> {
    let sizes = coded.sizes().into_iter().flat_map(|size| (size as u64).to_le_bytes());
    sizes.chain(coded.codes().iter().flat_map(|code| code.to_le_bytes())).collect()
}

/// A training under way.
struct Session<'a> {
    rows: &'a Rows<'a>,
    recipe: &'a Recipe,
    seed: u64,
    network: Network,
    descent: Descent,
}

impl Session<'_> {
    fn step(&mut self, monitor: &mut dyn Monitor) -> Result<(), TrainingError> {
        let fraction = self.descent.fraction(monitor);
        let batch = self.rows.batch(self.recipe, self.seed, self.descent.step)?;
        let nats = self.network.loss(self.rows, &batch)?;
        let bits = nats.f_double_value(&[])? / std::f64::consts::LN_2;
        let rate = self.descent.rate(self.recipe.rate, fraction);
        // Of one variable: the limit on the gradient's length is for losses of such a size.
        let loss = nats / self.rows.order.len() as f64;
        let parameters = self.network.parameters();
        if self.descent.step(&parameters, (&loss, bits), rate, monitor)? {
            self.network.decay(1.0 - rate * self.recipe.decay)?;
            if self.descent.step.is_multiple_of(self.recipe.interval) {
                self.descent.settle(&parameters, self.measure()?)?;
                self.descent.keep(&parameters, monitor)?;
            }
        }
        self.descent.report(&self.network.parameters(), monitor, Phase::Float)
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

    /// Ends with the weights of now, or with clearly better ones of before.
    fn finish(mut self, coded: &Coded, monitor: &mut dyn Monitor) -> Result<Trained, TrainingError> {
        if !self.rows.order.is_empty() {
            let bits = self.measure()?;
            if bits.is_finite() && bits <= self.descent.best * SLACK {
                self.descent.best = bits;
            } else {
                self.descent.restore(&self.network.parameters())?;
            }
        }
        let model = RowsModel::new(coded, &self.network.export()?)?;
        let (steps, rewinds) = (self.descent.step, self.descent.rewinds);
        let came = self.descent.finish(monitor);
        let validation = came.measured.unwrap_or(0.0);
        Ok(Trained { model, validation, steps, rewinds, cpu: came.cpu, curve: came.curve })
    }
}

#[cfg(test)]
mod tests;
