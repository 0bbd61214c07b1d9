//! What a training may take.

use std::time::Duration;

/// What a training may take. It ends when either is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Steps. With them alone the same training makes the same model.
    pub steps: u32,
    /// CPU time, as the monitor tells it.
    pub cpu: Option<Duration>,
}
