//! Who watches a training that takes minutes, and how one begins.

use std::ops::ControlFlow;
use std::time::Duration;

/// What a training does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It learns with floating point numbers.
    Float,
    /// It learns with the integers of the artefact: *quantisation-aware*.
    Quantised,
    /// It counts what the tables are made of.
    Calibration,
}

impl Phase {
    /// A word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Float => "float",
            Self::Quantised => "quantised",
            Self::Calibration => "calibration",
        }
    }
}

/// How far a training is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// What it does.
    pub phase: Phase,
    /// Steps done.
    pub step: u32,
    /// How much of its budget is spent: 0 to 1.
    pub fraction: f64,
    /// CPU time that it will still take.
    pub left: Duration,
    /// Bits for each sample in the latest step.
    pub loss: f64,
    /// Bits for each sample of validation images, at the latest checkpoint; `f64::MAX` before the first.
    pub validation: f64,
    /// How often it went back to a checkpoint.
    pub rewinds: u32,
}

impl Progress {
    /// Bits for each sample of validation images, once that was measured.
    pub fn validated(&self) -> Option<f64> {
        (self.validation < f64::MAX).then_some(self.validation)
    }
}

/// What a training begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start<'a> {
    /// Random weights.
    #[default]
    Anew,
    /// A checkpoint of this training: it ends with the model that it would have ended with anyway, as long as steps bound it
    /// and not time.
    Resume(&'a [u8]),
    /// The weights of a checkpoint of another training, with the same recipe and images of the same shape; nothing else of it.
    Warm(&'a [u8]),
}

/// Watches a training: says what it has spent, hears how far it is, keeps its checkpoints, and may end it.
pub trait Monitor {
    /// CPU time that this training has had, before its checkpoint too, if it goes on from one.
    fn spent(&mut self) -> Duration;

    /// Called after each step, some tens of milliseconds apart. The training waits for the answer, so that who wants it to
    /// take a share of the CPU sleeps here. A break ends it without a model.
    fn progress(&mut self, progress: &Progress) -> ControlFlow<()>;

    /// The checkpoint to go on from where a training of the same was ended, once. Trainings that are told their [`Start`] do not ask.
    fn resume(&mut self) -> Option<Vec<u8>> {
        None
    }

    /// A state to go on from, after a restart too. It replaces the one before it.
    fn checkpoint(&mut self, state: Vec<u8>) {
        let _ = state;
    }
}
