//! A training's way down its loss: steps, what is measured now and then, and going back to the best when that has become worse.

use std::ops::ControlFlow;
use std::time::Duration;

use tch::Tensor;

use super::adam::Adam;
use super::budget::{cosine, left};
use super::curve::Curve;
use super::snapshot::Snapshot;
use super::{Budget, TrainingError};
use crate::model::{CurvePoint, Monitor, Phase, Progress};

/// Steps in which the rate rises.
const RISE: u32 = 100;

/// What is left of the rate at the end.
const RATE_FLOOR: f64 = 1e-3;

/// How much worse than the best is worse, and not chance.
const TOLERANCE: f64 = 1.05;

/// Stands for what was not measured yet. JSON has no infinity.
pub(super) const UNMEASURED: f64 = f64::MAX;

/// After so many rewinds a training is given up.
const MAX_REWINDS: u32 = 8;

/// Steps of Adam, and what they came to.
#[derive(Debug)]
pub(super) struct Descent {
    budget: Budget,
    adam: Adam,
    /// Steps so far.
    pub step: u32,
    /// Steps that Adam's moments are of.
    moments: u32,
    /// How often it went back.
    pub rewinds: u32,
    /// What the rate is multiplied with: half with each rewind.
    calm: f64,
    /// The best that was measured.
    pub best: f64,
    checkpoint: Snapshot,
    curve: Curve,
    /// The loss of the last step, as it is told.
    pub loss: f64,
}

/// What a training tells at its end.
#[derive(Debug)]
pub(super) struct Came {
    /// The best that was measured, if anything was.
    pub measured: Option<f64>,
    pub cpu: Duration,
    pub curve: Vec<CurvePoint>,
}

impl Descent {
    /// From where these parameters are.
    pub fn new(parameters: &[&Tensor], budget: Budget) -> Result<Self, TrainingError> {
        let adam = Adam::new(parameters)?;
        Ok(Self {
            checkpoint: Snapshot::of(parameters, &adam, 0),
            budget,
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
    pub fn fraction(&self, monitor: &mut dyn Monitor) -> f64 {
        self.budget.fraction(self.step, monitor)
    }

    /// The rate of the next step: up to `most`, and down to nothing along half a wave.
    pub fn rate(&self, most: f64, fraction: f64) -> f64 {
        let rise = f64::from(self.step + 1) / f64::from(RISE);
        most * self.calm * rise.min(cosine(fraction) + RATE_FLOOR)
    }

    /// Takes a step against the gradient of `loss`, which is told as `told`; back to the best where it is not finite. Whether it moved.
    pub fn step(
        &mut self,
        parameters: &[&Tensor],
        (loss, told): (&Tensor, f64),
        rate: f64,
        monitor: &mut dyn Monitor,
    ) -> Result<bool, TrainingError> {
        self.loss = told;
        let moved = told.is_finite() && self.adam.step(parameters, loss, rate, self.moments + 1)?;
        self.step += 1;
        self.moments += 1;
        self.curve.add(self.step, monitor.spent(), told, self.measured());
        if !moved {
            self.rewind(parameters)?;
        }
        Ok(moved)
    }

    /// Makes a checkpoint if what was measured has become better, goes back to the last one if it has become worse.
    pub fn settle(&mut self, parameters: &[&Tensor], measured: f64) -> Result<(), TrainingError> {
        if !measured.is_finite() || measured >= self.best * TOLERANCE {
            return self.rewind(parameters);
        }
        if measured < self.best {
            self.best = measured;
            self.checkpoint = Snapshot::of(parameters, &self.adam, self.moments);
        }
        Ok(())
    }

    /// Back to the best.
    pub fn restore(&self, parameters: &[&Tensor]) -> Result<(), TrainingError> {
        self.checkpoint.restore(parameters, &self.adam)
    }

    /// Back to the best, and on with half the rate.
    pub fn rewind(&mut self, parameters: &[&Tensor]) -> Result<(), TrainingError> {
        self.restore(parameters)?;
        self.moments = self.checkpoint.moments;
        self.calm /= 2.0;
        self.rewinds += 1;
        match self.rewinds > MAX_REWINDS {
            true => Err(TrainingError::Diverged { rewinds: self.rewinds }),
            false => Ok(()),
        }
    }

    /// The best that was measured, if anything was.
    fn measured(&self) -> Option<f64> {
        Some(self.best).filter(|best| *best < UNMEASURED)
    }

    /// Tells how far it is; an error where that ends it.
    pub fn report(&self, monitor: &mut dyn Monitor, phase: Phase) -> Result<(), TrainingError> {
        let (fraction, spent) = (self.fraction(monitor), monitor.spent());
        let progress = Progress {
            phase,
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

    /// Ends it.
    pub fn finish(self, monitor: &mut dyn Monitor) -> Came {
        let (cpu, measured) = (monitor.spent(), self.measured());
        Came { measured, cpu, curve: self.curve.finish(self.step, cpu, measured) }
    }
}
