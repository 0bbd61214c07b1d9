//! The codec of a compressing stage, with what surrounds it: timing, verification, newly learned models.

use std::sync::Arc;
use std::time::Instant;

use super::baseline::Baseline;
use crate::codec::block::{BlockBuilder, BlockReader, DecodeLimits};
use crate::codec::{
    self, Algorithm, Codec, CodecError, CodecSpec, Decoders, IdentityCodec, ModelPrefix, ModelRef, ModelSource,
};
use crate::pipeline::augment::Augmentation;
use crate::pipeline::deliver::SlotId;
use crate::pipeline::learn::{Curriculum, Learner, Setup, Tap};
use crate::pipeline::settings::Settings;
use crate::record::{RecordRef, TopicPartition};
use crate::telemetry::{CodecBatch, Direction, PipelineMetrics};

/// A codec at work.
pub struct Coder {
    /// What records are coded with where nothing was learned.
    first: CodecSpec,
    spec: CodecSpec,
    codec: Box<dyn Codec>,
    models: Arc<dyn ModelSource>,
    verifier: Decoders,
    verify: bool,
    /// Records that a learned codec has still to prove itself on: until then each is decoded before it is sent.
    unproved: u64,
    checked: Vec<u8>,
    tap: Option<Tap>,
    baseline: Baseline,
    metrics: PipelineMetrics,
    counts: CodecBatch,
    records: u32,
}

/// Of single records one in so many is timed.
const TIMED: u32 = 8;

/// Records that a learned codec proves itself on after each change of its model.
const PROOF: u64 = 100_000;

/// What shows records to a learner.
pub(super) fn tap(learner: Learner, run_bytes: usize, augmentation: Option<&Augmentation>) -> Tap {
    let tap = Tap::new(learner, run_bytes);
    match augmentation {
        Some(augmentation) => tap.knowing(augmentation.clone()),
        None => tap,
    }
}

impl Coder {
    /// The codec that the settings name, at its newest model.
    pub fn new(
        settings: &Settings,
        models: &Arc<dyn ModelSource>,
        learner: Option<Learner>,
        augmentation: Option<&Augmentation>,
        metrics: &PipelineMetrics,
    ) -> Result<Self, CodecError> {
        let first = settings.codec.first();
        let run_bytes = Curriculum::of(settings).map_or(0, |curriculum| curriculum.run_bytes());
        let mut coder = Self {
            first,
            spec: first,
            codec: codec::build(first, models)?,
            models: Arc::clone(models),
            verifier: Decoders::new(models),
            verify: settings.verify,
            unproved: 0,
            checked: Vec::new(),
            tap: learner.map(|learner| tap(learner, run_bytes, augmentation)),
            baseline: Baseline::new(metrics),
            metrics: metrics.clone(),
            counts: metrics.codec(first.algorithm().name()).batch(Direction::Encode),
            records: TIMED - 1,
        };
        coder.take_model();
        Ok(coder)
    }

    /// Codes a block into `encoded`, which it empties first, and decodes it again when the settings ask for that or the codec has
    /// still to prove itself. One that does not come back is written uncoded.
    pub fn encode_block(&mut self, builder: &mut BlockBuilder, encoded: &mut Vec<u8>) -> Result<(), CodecError> {
        encoded.clear();
        let written = builder.encode(&mut *self.codec, encoded)?;
        if !self.verify && self.unproved == 0 {
            return Ok(());
        }
        let mut again = BlockReader::default();
        if again.decode(encoded, &mut self.verifier, &DecodeLimits::UNLIMITED).is_ok() && builder.holds(&again) {
            // What a fallback wrote says nothing of the codec.
            if written == self.codec.algorithm() {
                self.proved(builder.records());
            }
            return Ok(());
        }
        tracing::error!(codec = %self.spec, "a block did not decode to itself and is sent uncoded");
        encoded.clear();
        builder.encode(&mut IdentityCodec, encoded)?;
        Ok(())
    }

    /// So many records were decoded to what they were.
    fn proved(&mut self, records: usize) {
        self.unproved = self.unproved.saturating_sub(records as u64);
    }

    /// The model of the codec in use, when its streams travel in a frame that names it.
    pub fn model(&self) -> Option<ModelPrefix> {
        self.codec.algorithm().is_learned().then(|| self.codec.model()).flatten().map(|model| model.prefix())
    }

    /// Shows a record to what measures the rival, and to what learns.
    pub fn observe(&mut self, slot: SlotId, at: &TopicPartition, record: &RecordRef<'_>) {
        self.baseline.take(slot, record);
        if let Some(tap) = &mut self.tap {
            tap.take(at, record);
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
        let mut algorithm = self.codec.algorithm();
        if let Err(error) = result {
            tracing::warn!(codec = %algorithm, "a record was not coded and is sent as it is: {error}");
            algorithm = Algorithm::Identity;
        } else if encoded.len() >= value.len() {
            algorithm = Algorithm::Identity;
        } else if self.verify || self.unproved > 0 {
            if self.comes_back(algorithm, encoded, value) {
                self.proved(1);
            } else {
                tracing::error!(codec = %algorithm, "a record did not decode to itself and is sent as it is");
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

    fn comes_back(&mut self, algorithm: Algorithm, encoded: &[u8], value: &[u8]) -> bool {
        self.checked.clear();
        let decoder = self.verifier.codec(algorithm, self.model().map(ModelRef::Prefix));
        let decoded = decoder.and_then(|decoder| decoder.decode(encoded, value.len(), &mut self.checked));
        decoded.is_ok() && self.checked == value
    }

    /// Counts a block that was coded.
    pub fn coded(&mut self, input: usize, output: usize, seconds: f64) {
        self.counts.coded(input, output, seconds);
    }

    /// A moment between two transactions: moves the counts, and takes the newest model.
    pub fn at_boundary(&mut self) {
        self.counts.flush();
        self.metrics.misfits(self.codec.algorithm().name(), self.codec.take_misfits());
        self.baseline.at_boundary();
        if let Some(tap) = &mut self.tap {
            tap.at_boundary();
        }
        self.take_model();
    }

    /// What was read since the last commit will be read again.
    pub fn discard(&mut self) {
        self.baseline.discard();
        if let Some(tap) = &mut self.tap {
            tap.discard();
        }
    }

    /// Takes the newest model: only between two transactions.
    pub fn take_model(&mut self) {
        let Some(setup) = self.tap.as_mut().and_then(Tap::newer_setup) else { return };
        let setup = setup.unwrap_or(Setup::plain(self.first));
        match setup.codec(&self.models) {
            Ok(codec) => {
                let algorithm = setup.spec.algorithm();
                self.codec = codec;
                self.spec = setup.spec;
                self.counts.flush();
                self.counts = self.metrics.codec(algorithm.name()).batch(Direction::Encode);
                self.unproved = if algorithm.is_learned() { PROOF } else { 0 };
            }
            Err(error) => tracing::error!("a published model cannot be used, and the old one stays: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{LearnedCodecs, MissingModel, ModelId, NoModels};
    use crate::model::columns::Options;
    use crate::model::{ColumnsModel, Learned};
    use crate::record::{HeaderRefs, Timestamp};
    use crate::telemetry::Metrics;

    /// Has one model.
    struct One(Arc<[u8]>);

    impl ModelSource for One {
        fn learned(&self) -> &dyn LearnedCodecs {
            &Learned
        }

        fn artefact(&self, model: ModelRef) -> Result<Arc<[u8]>, MissingModel> {
            if model == ModelRef::Prefix(ModelId::of(&self.0).prefix()) {
                return Ok(Arc::clone(&self.0));
            }
            NoModels.artefact(model)
        }
    }

    #[test]
    fn a_codec_proves_itself_on_blocks_of_its_own_alone() {
        let record = |i: u64| format!("{{\"id\":{i},\"of\":{}}}", i * 7919 % 1000).into_bytes();
        let learned: Vec<Vec<u8>> = (0..2_000).map(record).collect();
        let refs: Vec<&[u8]> = learned.iter().map(Vec::as_slice).collect();
        let model = ColumnsModel::train(&refs, &Options { effort: 1_000_000, ..Options::default() });
        let spec = CodecSpec::new(Algorithm::Columns);
        let models: Arc<dyn ModelSource> = Arc::new(One(Arc::clone(model.artefact())));
        let metrics = Metrics::new("1").pipeline("p");
        let mut coder = Coder {
            first: spec,
            spec,
            codec: Setup::with_model(spec, Arc::clone(model.artefact())).codec(&models).unwrap(),
            models: Arc::clone(&models),
            verifier: Decoders::new(&models),
            verify: false,
            unproved: PROOF,
            checked: Vec::new(),
            tap: None,
            baseline: Baseline::new(&metrics),
            metrics: metrics.clone(),
            counts: metrics.codec("columns").batch(Direction::Encode),
            records: 0,
        };
        let foreign = vec![b"a text of no such form".to_vec(); 3_000];
        let own: Vec<Vec<u8>> = (2_000..3_000).map(record).collect();
        for (values, written, proved) in [(foreign, Algorithm::Zstd, 0), (own, Algorithm::Columns, 1_000)] {
            let (mut builder, mut encoded) = (BlockBuilder::default(), Vec::new());
            for (value, offset) in values.iter().zip(0..) {
                let (headers, timestamp) = (HeaderRefs::new(), Timestamp::create(1_700_000_000_000));
                builder.push(&RecordRef { key: None, value: Some(value), headers, timestamp, offset });
            }
            assert_eq!(builder.encode(&mut *coder.codec, &mut Vec::new()).unwrap(), written);
            coder.encode_block(&mut builder, &mut encoded).unwrap();
            assert_eq!(PROOF - coder.unproved, proved, "{written}");
        }
    }
}
