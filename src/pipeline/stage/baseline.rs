//! The rival, measured on the live stream: what Kafka's own zstd-3 would make of a sample of the same records.
//!
//! A sample is a run of consecutive records of one input partition, put into one of Kafka's batches of 128 KiB (what a
//! busy Java producer makes of its 16 KiB: its `batch.size` counts compressed bytes) and compressed as a producer with
//! `compression.type=zstd` does. A batch closes when it is full, or at a commit: Kafka gets no more time than we take.

use crate::frame::{BatchCompression, BatchSizer};
use crate::pipeline::deliver::SlotId;
use crate::pipeline::kafka_zstd::{BATCH_BYTES, Compress, compressor};
use crate::record::RecordRef;
use crate::telemetry::PipelineMetrics;

/// One byte in so many is sampled on a busy stream, so that the measurement costs about as much of the CPU.
const SHARE: usize = 64;

/// A quiet stream is sampled at least once in so many commits.
const COMMITS: u32 = 20;

/// Samples batches of one worker.
pub struct Baseline {
    sizer: BatchSizer<Compress>,
    /// The partition whose records are being sampled.
    sampling: Option<SlotId>,
    /// Bytes still to pass before the next sample.
    skip: usize,
    /// Commits since the last sample.
    commits: u32,
    input: u64,
    metrics: PipelineMetrics,
}

impl Baseline {
    /// A sampler that begins with the first record.
    pub fn new(metrics: &PipelineMetrics) -> Self {
        Self {
            sizer: BatchSizer::new(BATCH_BYTES, BatchCompression::Zstd, compressor()),
            sampling: None,
            skip: 0,
            commits: 0,
            input: 0,
            metrics: metrics.clone(),
        }
    }

    /// Shows a record of a slot.
    #[inline]
    pub fn take(&mut self, slot: SlotId, record: &RecordRef<'_>) {
        match self.sampling {
            Some(sampled) if sampled == slot => self.sample(record),
            Some(_) => {}
            None => {
                let bytes = record.payload_len();
                if self.skip > bytes {
                    self.skip -= bytes;
                } else {
                    self.sampling = Some(slot);
                    self.commits = 0;
                    self.sample(record);
                }
            }
        }
    }

    /// A moment between two transactions.
    pub fn at_boundary(&mut self) {
        if self.sampling.is_some() {
            let closed = self.sizer.close();
            self.count(closed);
        }
        self.commits += 1;
        if self.commits >= COMMITS {
            self.skip = 0;
        }
    }

    /// What was read is read again: an open sample is worth nothing.
    pub fn discard(&mut self) {
        self.sizer.discard();
        self.input = 0;
        self.sampling = None;
    }

    fn sample(&mut self, record: &RecordRef<'_>) {
        let before = self.input;
        self.input += record.payload_len() as u64;
        let closed = self.sizer.push(record);
        if !matches!(closed, Ok(None)) {
            // The record that did not fit opened another batch, which is not wanted.
            self.sizer.discard();
            self.input = before;
            self.count(closed);
        }
    }

    fn count(&mut self, closed: Result<Option<u64>, String>) {
        match closed {
            Ok(Some(bytes)) => {
                self.metrics.baseline_bytes.inc_by(bytes);
                self.metrics.baseline_input_bytes.inc_by(self.input);
            }
            Ok(None) => {}
            Err(error) => tracing::warn!("a sample of Kafka's own zstd was not measured: {error}"),
        }
        self.skip = BATCH_BYTES * (SHARE - 1);
        self.input = 0;
        self.sampling = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::testing::observer;
    use crate::record::Timestamp;

    fn show(baseline: &mut Baseline, slot: SlotId, range: std::ops::Range<u32>) {
        for i in range {
            let value = format!("{{\"id\":{i},\"name\":\"record number {i}\",\"amount\":{}}}", i * 7919 % 1000);
            let record = RecordRef {
                key: Some(b"key"),
                value: Some(value.as_bytes()),
                headers: Default::default(),
                timestamp: Timestamp::create(1_700_000_000_000 + i64::from(i)),
                offset: i64::from(i),
            };
            baseline.take(slot, &record);
        }
    }

    #[test]
    fn a_quiet_stream_is_sampled_at_its_first_commit_and_then_now_and_then() {
        let metrics = observer().metrics().clone();
        let mut baseline = Baseline::new(&metrics);
        show(&mut baseline, 0, 0..100);
        assert_eq!(metrics.baseline_bytes.get(), 0, "the batch is open");
        baseline.at_boundary();
        let (first, input) = (metrics.baseline_bytes.get(), metrics.baseline_input_bytes.get());
        assert!(first > 61 && first < input / 2, "{first} of {input}");
        for _ in 1..COMMITS {
            show(&mut baseline, 0, 0..1);
            baseline.at_boundary();
        }
        assert_eq!(metrics.baseline_bytes.get(), first);
        show(&mut baseline, 0, 0..100);
        baseline.at_boundary();
        assert!(metrics.baseline_bytes.get() > first);
    }

    #[test]
    fn a_busy_stream_is_sampled_in_full_batches_of_one_partition_and_its_share() {
        let metrics = observer().metrics().clone();
        let mut baseline = Baseline::new(&metrics);
        let mut total = 0u64;
        for round in 0..2000 {
            // Of two partitions that take turns, one is sampled at a time.
            show(&mut baseline, round % 2, 0..200);
            total += 200 * 55;
        }
        let sampled = metrics.baseline_input_bytes.get();
        assert!(sampled > 100_000 && sampled < total / 16, "{sampled} of {total}");
    }

    #[test]
    fn records_that_will_be_read_again_are_not_counted() {
        let metrics = observer().metrics().clone();
        let mut baseline = Baseline::new(&metrics);
        show(&mut baseline, 0, 0..100);
        baseline.discard();
        baseline.at_boundary();
        assert_eq!(metrics.baseline_input_bytes.get(), 0);
    }
}
