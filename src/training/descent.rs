//! A training's way down its loss: steps, what is measured now and then, and going back to the best when that has become worse.

use std::ops::ControlFlow;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::adam::Adam;
use super::affine::put_back;
use super::budget::{cosine, left};
use super::checkpoint::{Saved, shapes, write};
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

/// After so many rewinds of one loss a training is given up.
const MAX_REWINDS: u32 = 8;

/// Groups of a checkpoint's tensors: what there is now, and the best that was measured where that is something else. What is kept beside them comes last.
const GROUPS: [&str; 6] = ["parameter", "first", "second", "best-parameter", "best-first", "best-second"];

/// The last group's name.
const BESIDE: &str = "beside";

/// All of a descent that is no tensor.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    training: String,
    step: u32,
    moments: u32,
    rewinds: u32,
    #[serde(default)]
    rewinds_before: u32,
    calm: f64,
    best: f64,
    checked: u32,
    checked_moments: u32,
    curve: Curve,
}

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
    /// How often it did before it turned to another loss.
    rewinds_before: u32,
    /// What the rate is multiplied with: half with each rewind.
    calm: f64,
    /// The best that was measured.
    pub best: f64,
    checkpoint: Snapshot,
    /// The step that it is of.
    checked: u32,
    /// What changes with the training and is not learned.
    beside: Vec<Tensor>,
    curve: Curve,
    /// What the training is of, where it can be gone on with.
    training: Option<String>,
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
            rewinds_before: 0,
            calm: 1.0,
            best: UNMEASURED,
            checked: 0,
            beside: Vec::new(),
            curve: Curve::default(),
            training: None,
            loss: f64::NAN,
        })
    }

    /// With these tensors kept in its checkpoints, which change with the training and are not learned. It does not go back to them.
    pub fn beside(mut self, tensors: Vec<Tensor>) -> Self {
        self.beside = tensors;
        self
    }

    /// Begins to go down another loss from the best of this one: nothing is left of moments, rewinds' rates and what was measured.
    pub fn turn(&mut self, parameters: &[&Tensor]) -> Result<(), TrainingError> {
        self.restore(parameters)?;
        self.adam = Adam::new(parameters)?;
        (self.moments, self.calm, self.best, self.checked) = (0, 1.0, UNMEASURED, self.step);
        self.rewinds_before = self.rewinds;
        self.checkpoint = Snapshot::of(parameters, &self.adam, 0);
        Ok(())
    }

    /// Goes on where a training of the same was ended, if the monitor knows of one, and keeps places to go on from. `training` is what
    /// it is of, hashed.
    pub fn resume(
        &mut self,
        parameters: &[&Tensor],
        training: String,
        monitor: &mut dyn Monitor,
    ) -> Result<(), TrainingError> {
        if let Some(bytes) = monitor.resume() {
            let saved = Saved::open(&bytes)?;
            let state: State = saved.state()?;
            if state.training != training {
                return Err(TrainingError::Checkpoint(
                    "it is of other data, another recipe or another seed".to_owned(),
                ));
            }
            let shapes = shapes(parameters);
            let snapshot = |groups: [usize; 3], moments: u32| -> Result<Snapshot, TrainingError> {
                let [parameters, first, second] = groups.map(|group| saved.group(group, GROUPS[group], &shapes));
                Ok(Snapshot { parameters: parameters?, first: first?, second: second?, moments })
            };
            let now = snapshot([0, 1, 2], state.moments)?;
            let best = if state.checked == state.step { [0, 1, 2] } else { [3, 4, 5] };
            self.checkpoint = snapshot(best, state.checked_moments)?;
            now.restore(parameters, &self.adam)?;
            let beside: Vec<&Tensor> = self.beside.iter().collect();
            let last = if state.checked == state.step { 3 } else { GROUPS.len() };
            put_back(&beside, &saved.group(last, BESIDE, &self::shapes(&beside))?)?;
            let State { step, moments, rewinds, rewinds_before, calm, best, checked, curve, .. } = state;
            (self.step, self.moments, self.calm) = (step, moments, calm);
            (self.rewinds, self.rewinds_before) = (rewinds, rewinds_before);
            (self.best, self.checked, self.curve) = (best, checked, curve);
        }
        self.training = Some(training);
        Ok(())
    }

    /// Gives the monitor a place to go on from: this one.
    pub fn keep(&self, parameters: &[&Tensor], monitor: &mut dyn Monitor) -> Result<(), TrainingError> {
        let Some(training) = &self.training else { return Ok(()) };
        let state = State {
            training: training.clone(),
            step: self.step,
            moments: self.moments,
            rewinds: self.rewinds,
            rewinds_before: self.rewinds_before,
            calm: self.calm,
            best: self.best,
            checked: self.checked,
            checked_moments: self.checkpoint.moments,
            curve: self.curve.clone(),
        };
        let mut tensors: Vec<Vec<&Tensor>> =
            vec![parameters.to_vec(), self.adam.first.iter().collect(), self.adam.second.iter().collect()];
        if self.checked != self.step {
            let Snapshot { parameters, first, second, .. } = &self.checkpoint;
            tensors.extend([parameters, first, second].map(|group| group.iter().collect()));
        }
        let mut groups: Vec<(&str, Vec<&Tensor>)> = GROUPS.into_iter().zip(tensors).collect();
        groups.push((BESIDE, self.beside.iter().collect()));
        monitor.checkpoint(write(&state, &groups)?);
        Ok(())
    }

    /// How much of the budget is spent.
    pub fn fraction(&self, monitor: &mut dyn Monitor) -> f64 {
        self.budget.fraction(self.step, monitor)
    }

    /// The rate of the next step: up to `most`, and down to nothing along half a wave.
    pub fn rate(&self, most: f64, fraction: f64) -> f64 {
        let rise = f64::from(self.moments + 1) / f64::from(RISE);
        most * self.calm * rise.min(cosine(fraction) + RATE_FLOOR)
    }

    /// Takes a step against the gradient of `loss`, which is told as `told`; back to the best where it is not finite. Whether it moved. Parameters may
    /// be the first of all: the others stay as they are.
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
            self.checked = self.step;
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
        match self.rewinds - self.rewinds_before > MAX_REWINDS {
            true => Err(TrainingError::Diverged { rewinds: self.rewinds }),
            false => Ok(()),
        }
    }

    /// The best that was measured, if anything was.
    fn measured(&self) -> Option<f64> {
        Some(self.best).filter(|best| *best < UNMEASURED)
    }

    /// Tells how far it is; an error where that ends it, with a place to go on from.
    pub fn report(&self, parameters: &[&Tensor], monitor: &mut dyn Monitor, phase: Phase) -> Result<(), TrainingError> {
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
            ControlFlow::Break(()) => {
                self.keep(parameters, monitor)?;
                Err(TrainingError::Cancelled)
            }
        }
    }

    /// Ends it.
    pub fn finish(self, monitor: &mut dyn Monitor) -> Came {
        let (cpu, measured) = (monitor.spent(), self.measured());
        Came { measured, cpu, curve: self.curve.finish(self.step, cpu, measured) }
    }
}
