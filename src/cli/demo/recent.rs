//! How a stream does just now: bytes per record over the last seconds, which a sum since the start hides.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How far back it looks.
const SPAN: Duration = Duration::from_secs(10);

/// Sums at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sums {
    /// Records.
    pub records: u64,
    /// Bytes that they take.
    pub bytes: u64,
}

/// Sums of the last seconds.
#[derive(Debug, Default)]
pub struct Recent {
    seen: VecDeque<(Instant, Sums)>,
}

impl Recent {
    /// Takes the sums of this moment.
    pub fn note(&mut self, now: Instant, sums: Sums) {
        self.seen.push_back((now, sums));
        while self.seen.len() > 1 && now.saturating_duration_since(self.seen[1].0) >= SPAN {
            self.seen.pop_front();
        }
    }

    /// Bytes per record since the oldest moment that is remembered.
    pub fn bytes_per_record(&self) -> Option<f64> {
        let (first, last) = (self.seen.front()?.1, self.seen.back()?.1);
        let records = last.records.checked_sub(first.records).filter(|records| *records > 0)?;
        Some(last.bytes.saturating_sub(first.bytes) as f64 / records as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_long_ago_no_longer_counts() {
        let (mut recent, start) = (Recent::default(), Instant::now());
        assert_eq!(recent.bytes_per_record(), None);
        let mut sums = Sums::default();
        for second in 0..30 {
            recent.note(start + Duration::from_secs(second), sums);
            sums.records += 100;
            sums.bytes += if second < 15 { 4_000 } else { 500 };
        }
        assert_eq!(recent.bytes_per_record(), Some(5.0));
    }
}
