//! One pipeline's metrics: plain handles, looked up once, so that counting is one atomic addition.
//!
//! Per record even that is too much: workers add up in plain integers and histograms of their own ([`CodecBatch`]) and
//! move the sums here once per batch.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use prometheus::core::Collector;
use prometheus::local::LocalHistogram;
use prometheus::{
    GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
};

use super::PipelineState;
use super::families::{self, Family, FamilyType};

/// The kinds of published records: label `kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishedKind {
    /// By a compressing pipeline.
    Compressed,
    /// By a restoring pipeline.
    Restored,
    /// Drawn from a model.
    Augmented,
    /// Could not be processed.
    DeadLetter,
}

impl PublishedKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Compressed, Self::Restored, Self::Augmented, Self::DeadLetter];

    /// The label's value.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Compressed => "compressed",
            Self::Restored => "restored",
            Self::Augmented => "augmented",
            Self::DeadLetter => "dead_letter",
        }
    }
}

/// Which way a codec ran: label `direction`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Raw to coded.
    Encode,
    /// Coded to raw.
    Decode,
}

impl Direction {
    /// The label's value.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Encode => "encode",
            Self::Decode => "decode",
        }
    }
}

/// Counters of one kind of published records.
#[derive(Clone, Debug)]
pub struct Published {
    /// Records.
    pub records: IntCounter,
    /// Bytes of their keys, values and headers.
    pub bytes: IntCounter,
}

/// A pipeline's metrics; [`PipelineFamilies`] has the handles. Cheap to clone.
#[derive(Clone)]
pub struct PipelineMetrics(Arc<PipelineFamilies>);

impl Deref for PipelineMetrics {
    type Target = PipelineFamilies;

    fn deref(&self) -> &PipelineFamilies {
        &self.0
    }
}

impl fmt::Debug for PipelineMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PipelineMetrics").finish()
    }
}

/// The handles of one pipeline.
///
/// The pipeline's name is a constant label of each family. As a variable one it would not do: the crate finds a series
/// by a hash of its label values joined without a separator, so pipeline `p` with partition 11 and pipeline `p1` with
/// partition 1 would be one series. Of the families with two more labels, `direction` ends in one of two words of
/// equal length and a pipeline has one model at a time, so these cannot be confused.
pub struct PipelineFamilies {
    /// Records read.
    pub consumed_records: IntCounter,
    /// Bytes read.
    pub consumed_bytes: IntCounter,
    /// What a sample would take with Kafka's own zstd.
    pub baseline_bytes: IntCounter,
    /// Raw bytes of that sample.
    pub baseline_input_bytes: IntCounter,
    /// Record timestamp to commit.
    pub end_to_end_seconds: Histogram,
    /// Transactions that were committed.
    pub transactions_committed: IntCounter,
    /// Transactions that were aborted.
    pub transactions_aborted: IntCounter,
    /// Transactions whose outcome was unknown.
    pub transactions_rebuilt: IntCounter,
    /// Time to end a transaction.
    pub transaction_seconds: Histogram,
    /// When the pipeline last committed, in seconds since the Unix epoch.
    pub last_commit: IntGauge,
    /// Assignments and revocations.
    pub rebalances: IntCounter,
    /// Records that the tap did not see.
    pub tap_dropped_records: IntCounter,
    /// Generated records that came in and were not learned from.
    pub tap_refused_records: IntCounter,
    published: [OnceLock<Published>; 4],
    published_records: IntCounterVec,
    published_bytes: IntCounterVec,
    codec_input_bytes: IntCounterVec,
    codec_output_bytes: IntCounterVec,
    codec_seconds: HistogramVec,
    lag_records: IntGaugeVec,
    lag_holders: Mutex<BTreeMap<String, usize>>,
    transactions: IntCounterVec,
    dead_letters: IntCounterVec,
    gate_value: GaugeVec,
    gate_threshold: GaugeVec,
    gate_blocked: IntGaugeVec,
    augment_discarded: IntCounterVec,
    model_info: IntGaugeVec,
    training_runs: IntCounterVec,
    codec_misfits: IntCounterVec,
    training_progress: GaugeVec,
    training_loss: GaugeVec,
    bits_per_record: GaugeVec,
    codec_price: GaugeVec,
    codec_chosen: IntGaugeVec,
    states: IntGaugeVec,
}

impl PipelineMetrics {
    pub(super) fn new(pipeline: &str) -> Self {
        let of = Of(pipeline);
        let transactions = of.counters(families::TRANSACTIONS);
        let families = PipelineFamilies {
            consumed_records: of.counter(families::CONSUMED_RECORDS),
            consumed_bytes: of.counter(families::CONSUMED_BYTES),
            baseline_bytes: of.counter(families::BASELINE_BYTES),
            baseline_input_bytes: of.counter(families::BASELINE_INPUT_BYTES),
            end_to_end_seconds: of.histogram(families::END_TO_END_SECONDS),
            transactions_committed: transactions.with_label_values(&["committed"]),
            transactions_aborted: transactions.with_label_values(&["aborted"]),
            transactions_rebuilt: transactions.with_label_values(&["rebuilt"]),
            transaction_seconds: of.histogram(families::TRANSACTION_SECONDS),
            last_commit: of.gauge(families::LAST_COMMIT),
            rebalances: of.counter(families::REBALANCES),
            tap_dropped_records: of.counter(families::TAP_DROPPED_RECORDS),
            tap_refused_records: of.counter(families::TAP_REFUSED_RECORDS),
            published: Default::default(),
            published_records: of.counters(families::PUBLISHED_RECORDS),
            published_bytes: of.counters(families::PUBLISHED_BYTES),
            codec_input_bytes: of.counters(families::CODEC_INPUT_BYTES),
            codec_output_bytes: of.counters(families::CODEC_OUTPUT_BYTES),
            codec_seconds: of.histograms(families::CODEC_SECONDS),
            lag_records: of.gauges(families::LAG_RECORDS),
            lag_holders: Mutex::default(),
            transactions,
            dead_letters: of.counters(families::DEAD_LETTERS),
            gate_value: of.fractions(families::GATE_VALUE),
            gate_threshold: of.fractions(families::GATE_THRESHOLD),
            gate_blocked: of.gauges(families::GATE_BLOCKED),
            augment_discarded: of.counters(families::AUGMENT_DISCARDED),
            model_info: of.gauges(families::MODEL_INFO),
            training_runs: of.counters(families::TRAINING_RUNS),
            codec_misfits: of.counters(families::CODEC_MISFITS),
            training_progress: of.fractions(families::TRAINING_PROGRESS),
            training_loss: of.fractions(families::TRAINING_LOSS),
            bits_per_record: of.fractions(families::BITS_PER_RECORD),
            codec_price: of.fractions(families::CODEC_PRICE),
            codec_chosen: of.gauges(families::CODEC_CHOSEN),
            states: of.gauges(families::PIPELINE_STATE),
        };
        families.set_state(PipelineState::Starting);
        Self(Arc::new(families))
    }

    pub(super) fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![
            Box::new(self.consumed_records.clone()),
            Box::new(self.consumed_bytes.clone()),
            Box::new(self.baseline_bytes.clone()),
            Box::new(self.baseline_input_bytes.clone()),
            Box::new(self.end_to_end_seconds.clone()),
            Box::new(self.transaction_seconds.clone()),
            Box::new(self.last_commit.clone()),
            Box::new(self.rebalances.clone()),
            Box::new(self.tap_dropped_records.clone()),
            Box::new(self.published_records.clone()),
            Box::new(self.published_bytes.clone()),
            Box::new(self.codec_input_bytes.clone()),
            Box::new(self.codec_output_bytes.clone()),
            Box::new(self.codec_seconds.clone()),
            Box::new(self.lag_records.clone()),
            Box::new(self.transactions.clone()),
            Box::new(self.dead_letters.clone()),
            Box::new(self.tap_refused_records.clone()),
            Box::new(self.gate_value.clone()),
            Box::new(self.gate_threshold.clone()),
            Box::new(self.gate_blocked.clone()),
            Box::new(self.augment_discarded.clone()),
            Box::new(self.model_info.clone()),
            Box::new(self.training_runs.clone()),
            Box::new(self.codec_misfits.clone()),
            Box::new(self.training_progress.clone()),
            Box::new(self.training_loss.clone()),
            Box::new(self.bits_per_record.clone()),
            Box::new(self.codec_price.clone()),
            Box::new(self.codec_chosen.clone()),
            Box::new(self.states.clone()),
        ]
    }

    /// The lag of one partition, by its label: its number, or `topic/number` where the pipeline reads several topics.
    ///
    /// The series is there as long as somebody holds a handle, so a partition that moves from one worker to another
    /// keeps it whichever of the two is first.
    pub fn lag(&self, label: &str) -> Lag {
        let mut holders = self.lag_holders.lock().unwrap_or_else(PoisonError::into_inner);
        *holders.entry(label.to_owned()).or_default() += 1;
        let gauge = self.lag_records.with_label_values(&[label]);
        Lag { gauge, label: label.to_owned(), metrics: self.clone() }
    }
}

impl PipelineFamilies {
    /// The counters of a kind of published records.
    pub fn published(&self, kind: PublishedKind) -> &Published {
        self.published[kind as usize].get_or_init(|| Published {
            records: self.published_records.with_label_values(&[kind.name()]),
            bytes: self.published_bytes.with_label_values(&[kind.name()]),
        })
    }

    /// The counters of a kind, if anything of it was ever published.
    pub(super) fn published_so_far(&self, kind: PublishedKind) -> Option<&Published> {
        self.published[kind as usize].get()
    }

    /// The handles of a codec, by its name; to be asked for once and kept.
    pub fn codec(&self, name: &'static str) -> CodecMetrics {
        CodecMetrics {
            input_bytes: self.codec_input_bytes.with_label_values(&[name]),
            output_bytes: self.codec_output_bytes.with_label_values(&[name]),
            name,
            seconds: self.codec_seconds.clone(),
        }
    }

    /// The counter of dead letters of a reason.
    pub fn dead_letter(&self, reason: &'static str) -> IntCounter {
        self.dead_letters.with_label_values(&[reason])
    }

    /// Generated records that are not published, by reason.
    pub fn discarded(&self, reason: &'static str) -> IntCounter {
        self.augment_discarded.with_label_values(&[reason])
    }

    /// Says what gates measured: each by its name, with its value and where it begins to pass.
    pub fn set_gates<'a>(&self, blocked: bool, gates: impl Iterator<Item = (&'a str, f64, Option<f64>)>) {
        self.gate_value.reset();
        self.gate_threshold.reset();
        for (gate, value, threshold) in gates {
            self.gate_value.with_label_values(&[gate]).set(value);
            if let Some(threshold) = threshold {
                self.gate_threshold.with_label_values(&[gate]).set(threshold);
            }
        }
        self.gate_blocked.with_label_values::<&str>(&[]).set(i64::from(blocked));
    }

    /// Says which model is in use: its id and its family.
    pub fn set_model(&self, model: Option<(&str, &str)>) {
        self.model_info.reset();
        if let Some((id, family)) = model {
            self.model_info.with_label_values(&[family, id]).set(1);
        }
    }

    /// Counts a training by its outcome.
    pub fn training(&self, outcome: &str) {
        self.training_runs.with_label_values(&[outcome]).inc();
    }

    /// Counts values that a learned codec's model did not fit.
    pub fn misfits(&self, codec: &str, values: u64) {
        if values > 0 {
            self.codec_misfits.with_label_values(&[codec]).inc_by(values);
        }
    }

    /// Says how far a training is that takes minutes, and its loss; nothing where none is under way.
    pub fn set_training(&self, now: Option<(f64, f64)>) {
        match now {
            Some((fraction, loss)) => {
                self.training_progress.with_label_values::<&str>(&[]).set(fraction);
                self.training_loss.with_label_values::<&str>(&[]).set(loss);
            }
            None => {
                self.training_progress.reset();
                self.training_loss.reset();
            }
        }
    }

    /// Says what a record of a set takes, in bytes.
    pub fn set_bytes_per_record(&self, set: &str, bytes: f64) {
        self.bits_per_record.with_label_values(&[set]).set(bytes * 8.0);
    }

    /// Says which codec was chosen, and among which prices.
    pub fn set_choice<'a>(&self, chosen: &str, prices: impl Iterator<Item = (&'a str, f64)>) {
        self.codec_price.reset();
        self.codec_chosen.reset();
        for (codec, price) in prices {
            self.codec_price.with_label_values(&[codec]).set(price);
        }
        self.codec_chosen.with_label_values(&[chosen]).set(1);
    }

    /// Says which state the pipeline is in.
    pub fn set_state(&self, state: PipelineState) {
        for each in PipelineState::ALL {
            self.states.with_label_values(&[each.name()]).set(i64::from(each == state));
        }
    }
}

/// The handles of one codec in one pipeline.
#[derive(Clone)]
pub struct CodecMetrics {
    /// Bytes given to the codec.
    pub input_bytes: IntCounter,
    /// Bytes it gave back.
    pub output_bytes: IntCounter,
    name: &'static str,
    seconds: HistogramVec,
}

impl CodecMetrics {
    /// The times of a direction; to be asked for once and kept.
    pub fn seconds(&self, direction: Direction) -> Histogram {
        self.seconds.with_label_values(&[self.name, direction.name()])
    }

    /// An accumulator for a worker's hot path.
    pub fn batch(&self, direction: Direction) -> CodecBatch {
        CodecBatch { codec: self.clone(), input: 0, output: 0, seconds: self.seconds(direction).local() }
    }
}

/// What one worker's codec did since the last [`CodecBatch::flush`]: plain integers, no atomics.
pub struct CodecBatch {
    codec: CodecMetrics,
    input: u64,
    output: u64,
    seconds: LocalHistogram,
}

impl CodecBatch {
    /// One call of the codec.
    pub fn coded(&mut self, input: usize, output: usize, seconds: f64) {
        self.input += input as u64;
        self.output += output as u64;
        self.seconds.observe(seconds);
    }

    /// One call of the codec that was not timed: on a fast stream a clock costs as much as a small record.
    pub fn untimed(&mut self, input: usize, output: usize) {
        self.input += input as u64;
        self.output += output as u64;
    }

    /// Moves the sums to the shared metrics.
    pub fn flush(&mut self) {
        self.codec.input_bytes.inc_by(std::mem::take(&mut self.input));
        self.codec.output_bytes.inc_by(std::mem::take(&mut self.output));
        self.seconds.flush();
    }
}

/// The lag of a partition that somebody reads. Dropping the last handle takes the series away.
pub struct Lag {
    gauge: IntGauge,
    label: String,
    metrics: PipelineMetrics,
}

impl Lag {
    /// Sets it.
    pub fn set(&self, records: i64) {
        self.gauge.set(records);
    }
}

impl Drop for Lag {
    fn drop(&mut self) {
        let mut holders = self.metrics.lag_holders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = holders.get_mut(&self.label) {
            *count -= 1;
            if *count == 0 {
                holders.remove(&self.label);
                // Nobody else removes it, so there is no error to handle.
                let _ = self.metrics.lag_records.remove_label_values(&[&self.label]);
            }
        }
    }
}

/// Makes the families of a pipeline of this name.
struct Of<'a>(&'a str);

/// Why making a family cannot fail.
const VALID: &str = "the table of families holds valid names";

impl Of<'_> {
    fn opts(&self, family: Family) -> Opts {
        debug_assert!(family.per_pipeline, "{} belongs to the process", family.name);
        Opts::new(family.name, family.help).const_label("pipeline", self.0)
    }

    fn histogram_opts(&self, family: Family) -> HistogramOpts {
        let FamilyType::Histogram(buckets) = family.ty else { unreachable!("{} is no histogram", family.name) };
        HistogramOpts { common_opts: self.opts(family), buckets: buckets.to_vec() }
    }

    fn counter(&self, family: Family) -> IntCounter {
        IntCounter::with_opts(self.opts(family)).expect(VALID)
    }

    fn counters(&self, family: Family) -> IntCounterVec {
        IntCounterVec::new(self.opts(family), family.labels).expect(VALID)
    }

    fn gauge(&self, family: Family) -> IntGauge {
        IntGauge::with_opts(self.opts(family)).expect(VALID)
    }

    fn gauges(&self, family: Family) -> IntGaugeVec {
        IntGaugeVec::new(self.opts(family), family.labels).expect(VALID)
    }

    fn fractions(&self, family: Family) -> GaugeVec {
        GaugeVec::new(self.opts(family), family.labels).expect(VALID)
    }

    fn histogram(&self, family: Family) -> Histogram {
        Histogram::with_opts(self.histogram_opts(family)).expect(VALID)
    }

    fn histograms(&self, family: Family) -> HistogramVec {
        HistogramVec::new(self.histogram_opts(family), family.labels).expect(VALID)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_counts_nothing_before_it_is_flushed_and_everything_once_after() {
        let metrics = PipelineMetrics::new("p");
        let zstd = metrics.codec("zstd");
        let mut batch = zstd.batch(Direction::Encode);
        batch.coded(100, 10, 0.25);
        batch.coded(50, 5, 0.5);
        assert_eq!(zstd.input_bytes.get(), 0);
        batch.flush();
        batch.flush();
        assert_eq!((zstd.input_bytes.get(), zstd.output_bytes.get()), (150, 15));
        let seconds = zstd.seconds(Direction::Encode);
        assert_eq!((seconds.get_sample_count(), seconds.get_sample_sum()), (2, 0.75));
        assert_eq!(zstd.seconds(Direction::Decode).get_sample_count(), 0);
    }

    #[test]
    fn only_kinds_that_were_asked_for_are_shown() {
        let metrics = PipelineMetrics::new("p");
        assert!(metrics.published_so_far(PublishedKind::Restored).is_none());
        metrics.published(PublishedKind::Restored).records.inc();
        assert_eq!(metrics.published_so_far(PublishedKind::Restored).unwrap().records.get(), 1);
        assert!(metrics.published_so_far(PublishedKind::Compressed).is_none());
    }
}
