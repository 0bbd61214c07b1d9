//! Who watches a training.

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

/// Watches a training: says what it has spent, hears how far it is, keeps its checkpoints, and may end it.
pub trait Monitor {
    /// CPU time that this training has had, before its checkpoint too, if it goes on from one.
    fn spent(&mut self) -> Duration;

    /// Called after each step, some tens of milliseconds apart. The training waits for the answer, so that who wants it to
    /// take a share of the CPU sleeps here. A break ends it with [`super::TrainingError::Cancelled`].
    fn progress(&mut self, progress: &Progress) -> ControlFlow<()>;

    /// A state to go on from, after a restart too. It replaces the one before it.
    fn checkpoint(&mut self, state: Vec<u8>) {
        let _ = state;
    }
}
