//! A training that nobody watches.

use std::ops::ControlFlow;
use std::time::Duration;

use crate::model::{Monitor, Progress};
use crate::telemetry::thread_cpu_seconds;

/// Watches nothing but the CPU time of the thread that it was made on, so that a training of minutes ends.
pub struct CpuTime {
    begun: f64,
}

impl CpuTime {
    /// Of a training that begins now, on this thread.
    pub fn begin() -> Self {
        Self { begun: thread_cpu_seconds() }
    }
}

impl Monitor for CpuTime {
    fn spent(&mut self) -> Duration {
        Duration::try_from_secs_f64(thread_cpu_seconds() - self.begun).unwrap_or_default()
    }

    fn progress(&mut self, _progress: &Progress) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}
