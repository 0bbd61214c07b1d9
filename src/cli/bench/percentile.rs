//! The slow ones among many times.

/// The 99th percentile; 0 of nothing.
pub fn p99(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds.get((seconds.len() * 99 / 100).min(seconds.len().saturating_sub(1))).copied().unwrap_or(0.0)
}
