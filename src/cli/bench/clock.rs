//! Times of a contest: CPU seconds for speeds, and the slow ones among many.

use rustix::time::{ClockId, clock_gettime};

/// CPU seconds of this thread.
pub fn cpu() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// The 99th percentile; 0 of nothing.
pub fn p99(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds.get((seconds.len() * 99 / 100).min(seconds.len().saturating_sub(1))).copied().unwrap_or(0.0)
}
