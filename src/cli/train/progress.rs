//! Shows how far a training is that takes minutes.

use std::ops::ControlFlow;
use std::time::Duration;

use indicatif::ProgressBar;

use crate::model::{Monitor, Phase, Progress};
use crate::pipeline::CpuTime;

/// A training on this thread, on a bar.
pub struct Shown<'a> {
    time: CpuTime,
    bar: &'a ProgressBar,
}

impl<'a> Shown<'a> {
    /// One that begins now.
    pub fn on(bar: &'a ProgressBar) -> Self {
        Self { time: CpuTime::begin(), bar }
    }
}

impl Monitor for Shown<'_> {
    fn spent(&mut self) -> Duration {
        self.time.spent()
    }

    fn progress(&mut self, progress: &Progress) -> ControlFlow<()> {
        let phase = match progress.phase {
            Phase::Float => "with floats",
            Phase::Quantised => "with integers",
            Phase::Calibration => "counting",
        };
        let validation = progress.validated().map(|bits| format!(", {bits:.4} validated"));
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
