//! What a training may take.

use std::time::Duration;

use crate::model::Monitor;

/// What a training may take. It ends when either is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Steps. With them alone the same training makes the same model.
    pub steps: u32,
    /// CPU time, as the monitor tells it.
    pub cpu: Option<Duration>,
}

impl Budget {
    /// How much of it is spent after so many steps.
    pub(super) fn fraction(&self, step: u32, monitor: &mut dyn Monitor) -> f64 {
        let steps = f64::from(step) / f64::from(self.steps);
        let cpu = self.cpu.map_or(0.0, |cpu| monitor.spent().as_secs_f64() / cpu.as_secs_f64().max(1e-9));
        steps.max(cpu).min(1.0)
    }
}

/// The time that is left when this fraction has taken so much.
pub(super) fn left(fraction: f64, spent: Duration) -> Duration {
    spent.mul_f64((1.0 / fraction.max(1e-3) - 1.0).max(0.0))
}

/// From 1 to 0 along half a wave.
pub(super) fn cosine(fraction: f64) -> f64 {
    (1.0 + (fraction * std::f64::consts::PI).cos()) / 2.0
}
