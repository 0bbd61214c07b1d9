//! How fast a stream comes in, and how large its blocks are. The time is handed in.

use std::time::Duration;

/// Share of the highest rate that is left after each sample without a higher one.
const FADE: f64 = 0.9;

/// What was counted so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records read.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Output records written.
    pub written: u64,
}

/// The highest rates of late: a codec has to keep up with a stream's busy minutes.
#[derive(Debug, Default)]
pub struct Pace {
    last: Option<(Duration, Counts)>,
    records: f64,
    bytes: f64,
    block_bytes: Option<usize>,
}

impl Pace {
    /// So much was counted by now. Samples are to be taken at regular times.
    pub fn sample(&mut self, at: Duration, counts: Counts) {
        let Some((before, last)) = self.last.replace((at, counts)) else { return };
        let seconds = at.saturating_sub(before).as_secs_f64();
        if seconds <= 0.0 {
            return;
        }
        let bytes = counts.bytes.saturating_sub(last.bytes);
        self.records = (counts.records.saturating_sub(last.records) as f64 / seconds).max(self.records * FADE);
        self.bytes = (bytes as f64 / seconds).max(self.bytes * FADE);
        if let Some(mean) = bytes.checked_div(counts.written.saturating_sub(last.written)).filter(|mean| *mean > 0) {
            self.block_bytes = usize::try_from(mean).ok();
        }
    }

    /// Records a second.
    pub fn records_per_second(&self) -> f64 {
        self.records
    }

    /// Bytes a second.
    pub fn bytes_per_second(&self) -> f64 {
        self.bytes
    }

    /// Raw bytes of an output record, where any was written.
    pub fn block_bytes(&self) -> Option<usize> {
        self.block_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_moment_is_remembered_and_fades() {
        let mut pace = Pace::default();
        let mut counts = Counts::default();
        for (second, records) in [0, 1_000, 100, 100, 100].into_iter().enumerate() {
            counts.records += records;
            counts.bytes += records * 300;
            counts.written += records / 50;
            pace.sample(Duration::from_secs(second as u64), counts);
        }
        assert!((pace.records_per_second() - 1_000.0 * FADE.powi(3)).abs() < 1e-9);
        assert!((pace.bytes_per_second() - 300_000.0 * FADE.powi(3)).abs() < 1e-6);
        assert_eq!(pace.block_bytes(), Some(15_000));
        for second in 5..60 {
            counts.records += 100;
            pace.sample(Duration::from_secs(second), counts);
        }
        assert_eq!(pace.records_per_second(), 100.0);
        assert_eq!(pace.block_bytes(), Some(15_000), "nothing was written since");
    }
}
