//! At most so many per key and interval; what is held back is counted.
//!
//! Pure: the time is passed in.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// Most keys that are told apart. Keys come from closed sets times pipeline names; more than this share one window.
const MAX_KEYS: usize = 1024;

/// What to do with an occurrence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Let it through. So many before it were held back since the last one that was not.
    Emit {
        /// Number of occurrences held back.
        suppressed: u64,
    },
    /// Hold it back.
    Suppress,
}

/// Limits how often things of a kind come through.
#[derive(Debug)]
pub struct Limiter<K> {
    burst: u32,
    interval: Duration,
    windows: HashMap<K, Window>,
    overflow: Option<Window>,
}

#[derive(Debug)]
struct Window {
    start: Instant,
    emitted: u32,
    suppressed: u64,
}

impl<K: Hash + Eq> Limiter<K> {
    /// At most `burst` per key in each `interval`.
    pub fn new(burst: u32, interval: Duration) -> Self {
        Self { burst, interval, windows: HashMap::new(), overflow: None }
    }

    /// An occurrence of `key`.
    pub fn check(&mut self, key: K, now: Instant) -> Verdict {
        let fresh = || Window { start: now, emitted: 0, suppressed: 0 };
        let window = if self.windows.len() < MAX_KEYS || self.windows.contains_key(&key) {
            self.windows.entry(key).or_insert_with(fresh)
        } else {
            self.overflow.get_or_insert_with(fresh)
        };
        if now.saturating_duration_since(window.start) >= self.interval {
            window.start = now;
            window.emitted = 0;
        }
        if window.emitted < self.burst {
            window.emitted += 1;
            Verdict::Emit { suppressed: std::mem::take(&mut window.suppressed) }
        } else {
            window.suppressed += 1;
            Verdict::Suppress
        }
    }

    /// Forgets the keys whose interval has passed, and returns those of which some were held back: without it nobody
    /// would hear of an error that stopped while it was being held back.
    pub fn take_expired(&mut self, now: Instant) -> Vec<(K, u64)> {
        let interval = self.interval;
        if self.overflow.as_ref().is_some_and(|window| now.saturating_duration_since(window.start) >= interval) {
            self.overflow = None;
        }
        self.windows
            .extract_if(|_, window| now.saturating_duration_since(window.start) >= interval)
            .filter_map(|(key, window)| (window.suppressed > 0).then_some((key, window.suppressed)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_passes_and_the_rest_is_counted_until_the_next_interval() {
        let start = Instant::now();
        let mut limiter = Limiter::new(2, 10 * SECOND);
        assert_eq!(limiter.check("a", start), Verdict::Emit { suppressed: 0 });
        assert_eq!(limiter.check("a", start + SECOND), Verdict::Emit { suppressed: 0 });
        for i in 2..10 {
            assert_eq!(limiter.check("a", start + i * SECOND), Verdict::Suppress);
        }
        assert_eq!(limiter.check("b", start + 9 * SECOND), Verdict::Emit { suppressed: 0 });
        assert_eq!(limiter.check("a", start + 10 * SECOND), Verdict::Emit { suppressed: 8 });
        assert_eq!(limiter.check("a", start + 11 * SECOND), Verdict::Emit { suppressed: 0 });
    }

    #[test]
    fn what_stopped_while_it_was_held_back_is_told_once() {
        let start = Instant::now();
        let mut limiter = Limiter::new(1, SECOND);
        for _ in 0..5 {
            limiter.check("a", start);
        }
        limiter.check("quiet", start);
        assert_eq!(limiter.take_expired(start + SECOND / 2), []);
        assert_eq!(limiter.take_expired(start + SECOND), [("a", 4)]);
        assert_eq!(limiter.take_expired(start + SECOND), []);
        assert!(limiter.windows.is_empty());
    }

    #[test]
    fn keys_without_end_take_no_memory_without_end() {
        let start = Instant::now();
        let mut limiter = Limiter::new(1, SECOND);
        let emitted = (0..10 * MAX_KEYS).filter(|key| limiter.check(*key, start) != Verdict::Suppress).count();
        assert_eq!(emitted, MAX_KEYS + 1);
        assert_eq!(limiter.windows.len(), MAX_KEYS);
    }
}
