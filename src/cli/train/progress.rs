//! Shows how far a training is that takes minutes.

use std::ops::ControlFlow;
use std::time::Duration;

use indicatif::ProgressBar;

use crate::model::{Monitor, Phase, Progress};
use crate::telemetry::thread_cpu_seconds;

/// A training on this thread, on a bar.
pub struct Shown<'a> {
    begun: f64,
    bar: &'a ProgressBar,
}

impl<'a> Shown<'a> {
    /// One that begins now.
    pub fn on(bar: &'a ProgressBar) -> Self {
        Self { begun: thread_cpu_seconds(), bar }
    }
}

impl Monitor for Shown<'_> {
    fn spent(&mut self) -> Duration {
        Duration::from_secs_f64((thread_cpu_seconds() - self.begun).max(0.0))
    }

    fn progress(&mut self, progress: &Progress) -> ControlFlow<()> {
        let phase = match progress.phase {
            Phase::Float => "with floats",
            Phase::Quantised => "with integers",
            Phase::Calibration => "counting",
        };
        let validation = (progress.validation < f64::MAX).then(|| format!(", {:.4} validated", progress.validation));
        self.bar.set_message(format!(
            "training {phase}: {:.0} %, {:.4} bits a sample{}, {:.0} s of CPU left",
            progress.fraction * 100.0,
            progress.loss,
            validation.unwrap_or_default(),
            progress.left.as_secs_f64()
        ));
        ControlFlow::Continue(())
    }
}
