//! From totals to rates: the difference over the last seconds.
//!
//! Counters are read, never written, so a rate costs the workers nothing.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde::Serialize;
use utoipa::ToSchema;

use super::pipeline_metrics::{PipelineFamilies, PublishedKind};

/// How far back rates look.
const WINDOW: Duration = Duration::from_secs(10);

/// What a pipeline has done since the daemon started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Totals {
    /// Records read.
    pub consumed_records: u64,
    /// Bytes of keys, values and headers read.
    pub consumed_bytes: u64,
    /// Records written, dead letters excepted.
    pub published_records: u64,
    /// Bytes of keys, values and headers written, dead letters excepted.
    pub published_bytes: u64,
    /// Dead letters written.
    pub dead_letters: u64,
    /// Transactions (at-least-once: commits of offsets) that were committed.
    pub commits: u64,
    /// Transactions that were aborted, or whose outcome was unknown.
    pub aborts: u64,
}

impl Totals {
    /// The counters as they are now.
    pub(super) fn read(metrics: &PipelineFamilies) -> Self {
        let published = |kinds: &[PublishedKind]| {
            kinds
                .iter()
                .filter_map(|kind| metrics.published_so_far(*kind))
                .fold((0, 0), |(records, bytes), each| (records + each.records.get(), bytes + each.bytes.get()))
        };
        let made = [PublishedKind::Compressed, PublishedKind::Restored];
        let (published_records, published_bytes) = published(&made);
        Self {
            consumed_records: metrics.consumed_records.get(),
            consumed_bytes: metrics.consumed_bytes.get(),
            published_records,
            published_bytes,
            dead_letters: published(&[PublishedKind::DeadLetter]).0,
            commits: metrics.transactions_committed.get(),
            aborts: metrics.transactions_aborted.get() + metrics.transactions_rebuilt.get(),
        }
    }
}

/// What a pipeline does at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Rates {
    /// The seconds that were looked at; 0 when there was nothing to compare yet.
    pub window_seconds: f64,
    /// Records read per second.
    pub consumed_records: f64,
    /// Bytes read per second.
    pub consumed_bytes: f64,
    /// Records written per second.
    pub published_records: f64,
    /// Bytes written per second.
    pub published_bytes: f64,
}

/// Totals of the last seconds.
#[derive(Clone, Debug, Default)]
pub(super) struct RateWindow {
    samples: VecDeque<(Instant, Totals)>,
}

impl RateWindow {
    /// Adds the totals of a moment; to be called about once a second.
    pub(super) fn sample(&mut self, now: Instant, totals: Totals) {
        self.samples.push_back((now, totals));
        // The oldest one stays as long as it is the one at the far end of the window.
        while self.samples.len() > 2 && now.saturating_duration_since(self.samples[1].0) >= WINDOW {
            self.samples.pop_front();
        }
    }

    /// The rates over the window.
    pub(super) fn rates(&self) -> Rates {
        let (Some((start, first)), Some((end, last))) = (self.samples.front(), self.samples.back()) else {
            return Rates::default();
        };
        let seconds = end.saturating_duration_since(*start).as_secs_f64();
        if seconds == 0.0 {
            return Rates::default();
        }
        let rate = |first: u64, last: u64| last.saturating_sub(first) as f64 / seconds;
        Rates {
            window_seconds: seconds,
            consumed_records: rate(first.consumed_records, last.consumed_records),
            consumed_bytes: rate(first.consumed_bytes, last.consumed_bytes),
            published_records: rate(first.published_records, last.published_records),
            published_bytes: rate(first.published_bytes, last.published_bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_differences_over_the_last_ten_seconds() {
        let start = Instant::now();
        let mut window = RateWindow::default();
        assert_eq!(window.rates(), Rates::default());
        let at = |second: u64, records: u64| {
            (start + Duration::from_secs(second), Totals { consumed_records: records, ..Totals::default() })
        };
        // 1000 records per second for 20 s, then 10 per second.
        for second in 0..=20 {
            let (now, totals) = at(second, second * 1000);
            window.sample(now, totals);
        }
        assert_eq!(window.rates().consumed_records, 1000.0);
        assert_eq!(window.rates().window_seconds, 10.0);
        assert_eq!(window.samples.len(), 11);
        for second in 21..=30 {
            let (now, totals) = at(second, 20_000 + (second - 20) * 10);
            window.sample(now, totals);
        }
        assert_eq!(window.rates().consumed_records, 10.0);
    }

    #[test]
    fn totals_are_what_the_counters_say() {
        let metrics = super::super::Metrics::new("1").pipeline("p");
        metrics.consumed_bytes.inc_by(100);
        metrics.published(PublishedKind::Compressed).bytes.inc_by(10);
        metrics.published(PublishedKind::DeadLetter).records.inc();
        metrics.transactions_aborted.inc();
        metrics.transactions_rebuilt.inc();
        let totals = Totals::read(&metrics);
        let expected =
            Totals { consumed_bytes: 100, published_bytes: 10, dead_letters: 1, aborts: 2, ..Totals::default() };
        assert_eq!(totals, expected);
    }
}
