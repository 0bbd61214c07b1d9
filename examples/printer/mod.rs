//! What the trainings of the examples print, and how long they took.

use std::ops::ControlFlow;
use std::time::Duration;

use latentd::model::{Monitor, Progress};
use rustix::time::{ClockId, clock_gettime};

/// CPU time of this thread.
pub fn thread_cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// Prints how far a training is, ten times.
pub struct Printer {
    /// The thread's CPU time when it began.
    pub begun: Duration,
    printed: f64,
}

impl Printer {
    /// Of a training that begins now.
    pub fn new() -> Self {
        Self { begun: thread_cpu(), printed: 0.0 }
    }
}

impl Monitor for Printer {
    fn spent(&mut self) -> Duration {
        thread_cpu() - self.begun
    }

    fn progress(&mut self, progress: &Progress) -> ControlFlow<()> {
        if progress.fraction >= self.printed {
            let Progress { step, loss, validation, .. } = progress;
            // Nothing is validated at first.
            let validated =
                if *validation < f64::MAX { format!(", validation {validation:.4}") } else { String::new() };
            eprintln!("{:.1} s, step {step}: loss {loss:.4}{validated}", self.spent().as_secs_f64());
            self.printed += 0.1;
        }
        ControlFlow::Continue(())
    }
}
