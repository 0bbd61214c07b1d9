//! The codec of a compressing stage, with what surrounds it: timing, verification, newly learned models.

use std::sync::Arc;
use std::time::Instant;

use super::baseline::Baseline;
use crate::codec::{self, Algorithm, Codec, CodecError, CodecSpec, Decoders, ModelSource};
use crate::pipeline::deliver::SlotId;
use crate::pipeline::learn::Learner;
use crate::pipeline::settings::Settings;
use crate::record::{RecordRef, TopicPartition};
use crate::telemetry::{CodecBatch, Direction, PipelineMetrics};

/// A codec at work.
pub struct Coder {
    spec: CodecSpec,
    codec: Box<dyn Codec>,
    verifier: Option<Decoders>,
    checked: Vec<u8>,
    tap: Option<Tap>,
    baseline: Baseline,
    counts: CodecBatch,
    records: u32,
}

/// Of single records one in so many is timed.
const TIMED: u32 = 8;

/// Most bytes that one worker shows to what learns between two commits.
const TAPPED_BYTES: usize = 1 << 20;

/// What shows records to the learner: every `stride`-th, so that a fast stream costs no more than a slow one.
struct Tap {
    learner: Learner,
    model_version: u64,
    stride: u64,
    seen: u64,
    seen_bytes: usize,
    skipped: u64,
}

impl Coder {
    /// The codec that the settings name, at its newest model.
    pub fn new(
        settings: &Settings,
        models: &Arc<dyn ModelSource>,
        learner: Option<Learner>,
        metrics: &PipelineMetrics,
    ) -> Result<Self, CodecError> {
        let spec = settings.codec;
        let mut coder = Self {
            spec,
            codec: codec::build(spec, models)?,
            verifier: settings.verify.then(|| Decoders::new(models)),
            checked: Vec::new(),
            tap: learner.map(|learner| Tap {
                learner,
                model_version: 0,
                stride: 1,
                seen: 0,
                seen_bytes: 0,
                skipped: 0,
            }),
            baseline: Baseline::new(metrics),
            counts: metrics.codec(spec.algorithm().name()).batch(Direction::Encode),
            records: TIMED - 1,
        };
        coder.take_model();
        Ok(coder)
    }

    /// Which codec it is.
    pub fn spec(&self) -> CodecSpec {
        self.spec
    }

    /// The codec itself.
    pub fn codec(&mut self) -> &mut dyn Codec {
        &mut *self.codec
    }

    /// What decodes for verification, when the settings ask for it.
    pub fn verifier(&mut self) -> Option<&mut Decoders> {
        self.verifier.as_mut()
    }

    /// Shows a record to what measures the rival, and its value to what learns.
    pub fn observe(&mut self, slot: SlotId, at: &TopicPartition, record: &RecordRef<'_>) {
        self.baseline.take(slot, record);
        if let Some(value) = record.value {
            self.tap(at, record.offset, value);
        }
    }

    fn tap(&mut self, at: &TopicPartition, offset: i64, value: &[u8]) {
        let Some(tap) = &mut self.tap else { return };
        tap.seen += 1;
        tap.seen_bytes += value.len();
        if tap.seen.is_multiple_of(tap.stride) {
            tap.learner.tap(at, offset, value);
        } else {
            tap.skipped += 1;
        }
    }

    /// Codes a value into `encoded`, which it empties first; says with what it really was coded: a value that the codec
    /// makes larger, or that does not come back, is [`Algorithm::Identity`] and `encoded` is of no use.
    pub fn encode(&mut self, value: &[u8], encoded: &mut Vec<u8>) -> Algorithm {
        encoded.clear();
        self.records = self.records.wrapping_add(1);
        let started = self.records.is_multiple_of(TIMED).then(Instant::now);
        let result = self.codec.encode(value, encoded);
        let seconds = started.map(|started| started.elapsed().as_secs_f64());
        let mut algorithm = self.spec.algorithm();
        if let Err(error) = result {
            tracing::warn!(codec = %self.spec, "a record was not coded and is sent as it is: {error}");
            algorithm = Algorithm::Identity;
        } else if encoded.len() >= value.len() {
            algorithm = Algorithm::Identity;
        } else if let Some(verifier) = &mut self.verifier {
            self.checked.clear();
            let decoded = verifier.decode(algorithm, encoded, value.len(), &mut self.checked);
            if decoded.is_err() || self.checked != value {
                tracing::error!(codec = %self.spec, "a record did not decode to itself and is sent as it is");
                algorithm = Algorithm::Identity;
            }
        }
        let size = if algorithm == Algorithm::Identity { value.len() } else { encoded.len() };
        match seconds {
            Some(seconds) => self.counts.coded(value.len(), size, seconds),
            None => self.counts.untimed(value.len(), size),
        }
        algorithm
    }

    /// Counts something that was coded through [`Coder::codec`].
    pub fn coded(&mut self, input: usize, output: usize, seconds: f64) {
        self.counts.coded(input, output, seconds);
    }

    /// A moment between two transactions: moves the counts, and takes the newest model.
    pub fn at_boundary(&mut self) {
        self.counts.flush();
        self.baseline.at_boundary();
        if let Some(tap) = &mut self.tap {
            tap.learner.dropped(std::mem::take(&mut tap.skipped));
            tap.stride = (std::mem::take(&mut tap.seen_bytes) / TAPPED_BYTES).max(1) as u64;
        }
        self.take_model();
    }

    /// What was read since the last commit will be read again.
    pub fn discard(&mut self) {
        self.baseline.discard();
    }

    /// Takes the newest model: only between two transactions.
    pub fn take_model(&mut self) {
        let Some(tap) = &mut self.tap else { return };
        let Some((version, artefact)) = tap.learner.newer_than(tap.model_version) else { return };
        tap.model_version = version;
        match codec::ZstdDictCodec::with_dictionary(self.spec.level(), artefact) {
            Ok(codec) => self.codec = Box::new(codec),
            Err(error) => tracing::error!("a published dictionary cannot be used, and the old one stays: {error}"),
        }
    }
}
