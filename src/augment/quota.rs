//! How many records are to be drawn: as many as were asked for, and never more than a share of the real ones.

use std::time::Duration;

/// How many records are asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rate {
    /// So many for each record that is consumed.
    PerRecord(f64),
    /// So many in each such time, all workers of the process together.
    PerTime {
        /// The time.
        every: Duration,
        /// How many.
        records: u64,
    },
}

/// Real records over which the share is held: what was not drawn for older ones is forgone.
const WINDOW: f64 = 10_000.0;

/// One worker's account.
#[derive(Clone, Debug)]
pub struct Quota {
    rate: Rate,
    share: f64,
    workers: f64,
    due: f64,
    /// How many the share still allows.
    allowed: f64,
    at: Option<Duration>,
}

impl Quota {
    /// Nothing is due yet. Of what comes with time each of so many workers draws its part.
    pub fn new(rate: Rate, share: f64, workers: usize) -> Self {
        Self { rate, share, workers: workers.max(1) as f64, due: 0.0, allowed: 0.0, at: None }
    }

    /// Real records were consumed.
    pub fn consumed(&mut self, records: u64) {
        let records = records as f64;
        self.allowed = (self.allowed + self.share * records).min(self.share * WINDOW);
        if let Rate::PerRecord(rate) = self.rate {
            self.due = (self.due + rate * records).min(rate * WINDOW);
        }
    }

    /// How many are to be drawn now, at this time since whenever.
    pub fn due(&mut self, now: Duration) -> u64 {
        if let Rate::PerTime { every, records } = self.rate {
            let records = records as f64 / self.workers;
            let passed = self.at.map_or(Duration::ZERO, |at| now.saturating_sub(at));
            self.at = Some(now);
            // Never more at once than in one such time.
            self.due =
                (self.due + records * passed.as_secs_f64() / every.as_secs_f64().max(1e-3)).min(records.max(1.0));
        }
        self.due.min(self.allowed).max(0.0) as u64
    }

    /// Records were drawn.
    pub fn drawn(&mut self, records: u64) {
        self.due -= records as f64;
        self.allowed -= records as f64;
    }

    /// What was drawn and consumed since the last commit will be again. What was due before is forgone.
    pub fn discard(&mut self) {
        (self.due, self.allowed) = (0.0, 0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(quota: &mut Quota, now: u64) -> u64 {
        let due = quota.due(Duration::from_secs(now));
        quota.drawn(due);
        due
    }

    #[test]
    fn fractions_add_up_and_the_share_bounds_them() {
        let mut quota = Quota::new(Rate::PerRecord(0.1), 0.5, 1);
        let drawn: u64 = (0..1_000)
            .map(|_| {
                quota.consumed(7);
                draw(&mut quota, 0)
            })
            .sum();
        assert!((699..=700).contains(&drawn), "{drawn}");
        let mut greedy = Quota::new(Rate::PerRecord(3.0), 0.25, 1);
        let drawn: u64 = (0..1_000)
            .map(|_| {
                greedy.consumed(10);
                draw(&mut greedy, 0)
            })
            .sum();
        assert_eq!(drawn, 2_500);
        greedy.consumed(1_000_000);
        assert_eq!(draw(&mut greedy, 0), 2_500, "of a long time without a generator only the end counts");
        greedy.consumed(100);
        greedy.discard();
        assert_eq!(draw(&mut greedy, 0), 0);
    }

    #[test]
    fn what_comes_with_time_is_shared_among_workers_and_comes_only_beside_real_records() {
        let rate = Rate::PerTime { every: Duration::from_secs(60), records: 600 };
        let mut quota = Quota::new(rate, 0.5, 2);
        assert_eq!(draw(&mut quota, 0), 0);
        assert_eq!(draw(&mut quota, 30), 0, "nothing real has come");
        quota.consumed(10_000);
        assert_eq!(draw(&mut quota, 30), 150);
        assert_eq!(draw(&mut quota, 60), 150);
        assert_eq!(draw(&mut quota, 6_000), 300, "never more than in one such time");
    }
}
