//! What can be learned, and by what rules: a zstd dictionary, a model of fields, or one of images.

use std::sync::Arc;

use crate::codec::{Algorithm, CodecError, CodecSpec};
use crate::model::columns::{FRAMED_RECORDS, Options};
use crate::model::{
    ColumnsModel, CurvePoint, Dictionary, DictionaryError, Family, LatentError, MIN_HOLDOUT, Monitor, OnLog, Sizes,
    Start, Verdict, WrappedError, judge,
};
use crate::pipeline::settings::{CodecChoice, EncodingHeader, Layout, LearnSettings, Settings};
use crate::record::RecordRef;
use crate::units::ByteSize;

use super::audition::Log;
use super::carriage::{Carriage, CarriageError, Clocks, Manner};
use super::images::{Images, SEED};
use super::renewal::Measure;
use super::samples::newest;
use super::{CpuClock, Run, Setup, rivals};

/// Largest piece of a block's value column that is judged at once.
const PIECE: usize = 128 << 10;

/// Fewest pieces of a holdout, where it has so many records.
const PIECES: usize = 2 * MIN_HOLDOUT;

/// A dictionary's first training waits for this many bytes of samples per byte of dictionary: zstd's own advice is a
/// hundred, and a tenth of it is already better than none. The next training comes with its share of the stream.
const DICTIONARY_SAMPLES: u64 = 10;

/// A first model of fields is trained on so many records, or so many bytes of them, whichever comes first.
const COLUMNS_RECORDS: u64 = 20_000;
const COLUMNS_BYTES: u64 = 4 << 20;

/// Most bytes that a model of fields is trained on; training takes about five times as much memory.
const COLUMNS_MOST: usize = 24 << 20;

/// Bytes of records in a row that a model of fields learns from.
const COLUMNS_RUN: usize = 64 << 10;

/// A first model of images is trained on so many records, or so many bytes of them, whichever comes first.
const IMAGES_RECORDS: u64 = 4_000;
const IMAGES_BYTES: u64 = 16 << 20;

/// Most bytes that a model of images is trained on.
const IMAGES_MOST: usize = 48 << 20;

/// zstd's level that a pipeline codes at until it has a learned model.
const PLAIN_LEVEL: i32 = 3;

/// What a pipeline learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    kind: Kind,
    layout: Layout,
    /// Most raw bytes of a block.
    block: usize,
    /// Most raw bytes of what is coded at once, to be compared piece by piece.
    piece: usize,
}

/// Blocks that a holdout is cut into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pieces {
    /// Most raw bytes of each.
    pub most: ByteSize,
    /// Whether they are smaller than those of other holdouts, so that there are enough to judge by.
    pub is_small_holdout: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Dictionary { bytes: usize, level: i32 },
    Columns,
    Images(Images),
}

/// A model that was learned.
#[derive(Clone, Debug)]
pub struct Taught {
    /// Its bytes.
    pub artefact: Arc<[u8]>,
    /// What the next training can begin with, where that helps.
    pub state: Option<Vec<u8>>,
    /// How the training went, where it took minutes.
    pub curve: Vec<CurvePoint>,
    /// How often it went back to a checkpoint.
    pub rewinds: u32,
}

impl Taught {
    fn at_once(artefact: Arc<[u8]>) -> Self {
        Self { artefact, state: None, curve: Vec::new(), rewinds: 0 }
    }
}

/// Why nothing was learned, or not judged.
#[derive(Debug, thiserror::Error)]
pub enum SubjectError {
    /// A dictionary.
    #[error(transparent)]
    Dictionary(#[from] DictionaryError),
    /// A training with libtorch.
    #[cfg(feature = "training")]
    #[error(transparent)]
    Training(#[from] crate::training::TrainingError),
    /// What was trained is no model.
    #[error(transparent)]
    Latent(#[from] LatentError),
    /// What was trained draws no files of images.
    #[error(transparent)]
    Wrapped(#[from] WrappedError),
    /// A model cannot be used.
    #[error("it is no model that codes: {0}")]
    Codec(#[from] CodecError),
    /// Records could not be coded, or did not come back.
    #[error("the newest records could not be carried: {0}")]
    Carriage(#[from] CarriageError),
}

impl Subject {
    /// What a pipeline with these settings learns, if anything.
    pub fn of(settings: &Settings) -> Option<(Self, LearnSettings)> {
        let CodecChoice::Fixed(spec) = settings.codec else { return None };
        Some((Self::new(spec, settings)?, settings.learn?))
    }

    /// What a codec learns in a pipeline with these settings, if anything.
    pub fn new(spec: CodecSpec, settings: &Settings) -> Option<Self> {
        let learn = settings.learn?;
        if spec.algorithm() == Algorithm::Latent {
            let images = Images { shape: settings.shape?, cpu: learn.cpu, seed: SEED };
            return Some(Self::of_images(images, settings.layout, settings.block.max_bytes));
        }
        Self::of_codec(spec, settings.layout, settings.block.max_bytes, learn.dictionary)
    }

    /// What there is to learn of images.
    pub fn of_images(images: Images, layout: Layout, block: ByteSize) -> Self {
        Self { kind: Kind::Images(images), layout, block: block.as_usize(), piece: piece(layout, block) }
    }

    /// What there is to learn for a codec in a layout where no pipeline says it: blocks hold so many raw bytes at most, and
    /// a dictionary gets its size. `None` for a codec that learns nothing, or images, of which more has to be known.
    pub fn of_codec(codec: CodecSpec, layout: Layout, block: ByteSize, dictionary: ByteSize) -> Option<Self> {
        let kind = match codec.algorithm() {
            Algorithm::ZstdDict => Kind::Dictionary { bytes: dictionary.as_usize(), level: codec.level() },
            Algorithm::Columns => Kind::Columns,
            _ => return None,
        };
        Some(Self { kind, layout, block: block.as_usize(), piece: piece(layout, block) })
    }

    /// The codec that its models are for.
    pub fn spec(&self) -> CodecSpec {
        match self.kind {
            Kind::Dictionary { level, .. } => {
                CodecSpec::with_level(Algorithm::ZstdDict, level).unwrap_or(CodecSpec::new(Algorithm::ZstdDict))
            }
            Kind::Columns => CodecSpec::new(Algorithm::Columns),
            Kind::Images(_) => CodecSpec::new(Algorithm::Latent),
        }
    }

    /// Whether its models are of fields.
    pub fn models_fields(&self) -> bool {
        self.kind == Kind::Columns
    }

    /// The kind of its models.
    pub fn family(&self) -> Family {
        match self.kind {
            Kind::Dictionary { .. } => Family::ZSTD_DICTIONARY,
            Kind::Columns => Family::COLUMNS,
            Kind::Images(_) => Family::LATENT,
        }
    }

    /// Bytes of records in a row that it learns from.
    pub fn run_bytes(&self) -> usize {
        match self.kind {
            Kind::Dictionary { .. } | Kind::Images(_) => 0,
            Kind::Columns => COLUMNS_RUN,
        }
    }

    /// Most bytes of records that it learns from.
    pub fn most_bytes(&self) -> usize {
        match self.kind {
            Kind::Dictionary { .. } => usize::MAX,
            Kind::Columns => COLUMNS_MOST,
            Kind::Images(_) => IMAGES_MOST,
        }
    }

    /// Whether a training takes minutes: then it is watched, goes on after a restart, and begins where the last one ended.
    pub fn is_long(&self) -> bool {
        matches!(self.kind, Kind::Images(_))
    }

    /// The settings of a training, for the manifest.
    pub fn config(&self) -> serde_json::Value {
        match self.kind {
            Kind::Dictionary { bytes, level } => {
                serde_json::json!({ "dictionary_bytes": bytes, "level": level, "layout": self.layout.name() })
            }
            Kind::Columns => {
                let Options { alone, text, effort } = self.options();
                serde_json::json!({ "alone": alone, "text_bytes": text, "effort": effort })
            }
            Kind::Images(images) => images.config(),
        }
    }

    /// Whether so much of a stream is enough for a first training.
    pub fn is_enough(&self, records: u64, bytes: u64) -> bool {
        match self.kind {
            Kind::Dictionary { bytes: size, .. } => bytes >= size as u64 * DICTIONARY_SAMPLES,
            Kind::Columns => records >= COLUMNS_RECORDS || bytes >= COLUMNS_BYTES,
            Kind::Images(_) => records >= IMAGES_RECORDS || bytes >= IMAGES_BYTES,
        }
    }

    fn options(&self) -> Options {
        Options { alone: self.layout == Layout::Record, ..Options::default() }
    }

    /// Learns a model from samples, the oldest first; `None` where there is nothing to learn yet, and why. What has nothing to tune
    /// learns from what validates too: dictionaries, and models of fields, which are searched by what all of it takes together.
    pub fn train(
        &self,
        train: &[&Run],
        validation: &[&Run],
        start: Start<'_>,
        monitor: &mut dyn Monitor,
    ) -> Result<Result<Taught, String>, SubjectError> {
        let samples = [train, validation].concat();
        match self.kind {
            Kind::Dictionary { bytes, .. } => {
                let values: Vec<&[u8]> = samples.iter().flat_map(|run| run.values()).collect();
                match Dictionary::train(&values, bytes) {
                    Ok(dictionary) => Ok(Ok(Taught::at_once(dictionary.artefact().into()))),
                    Err(error @ (DictionaryError::TooFewSamples { .. } | DictionaryError::Untrainable { .. })) => {
                        Ok(Err(error.to_string()))
                    }
                    Err(error) => Err(error.into()),
                }
            }
            // The newest are the most like what comes.
            Kind::Columns => {
                let newest = newest(&samples, COLUMNS_MOST);
                let values: Vec<&[u8]> = newest.iter().flat_map(|run| run.values()).collect();
                if values.is_empty() {
                    return Ok(Err("there are no records yet".to_owned()));
                }
                // Of what stands beside values the newest will do.
                let count: usize = newest.iter().map(|run| run.records_len()).sum();
                let records = newest.iter().flat_map(|run| run.records());
                let records: Vec<RecordRef<'_>> = records.skip(count.saturating_sub(FRAMED_RECORDS)).collect();
                let model = ColumnsModel::train_framed(&values, &records, &self.options());
                Ok(Ok(Taught::at_once(Arc::clone(model.artefact()))))
            }
            Kind::Images(images) => images.train(newest(train, IMAGES_MOST), validation, start, monitor),
        }
    }

    /// Whether an artefact that comes from anywhere is a model of this kind.
    pub fn check(&self, artefact: &[u8]) -> Result<(), SubjectError> {
        match self.kind {
            Kind::Dictionary { .. } => drop(Dictionary::parse(artefact)?),
            Kind::Columns | Kind::Images(_) => {
                drop(self.setup(artefact).alone()?);
            }
        }
        Ok(())
    }

    /// Compares a candidate with what is in use and with plain zstd, on samples that neither has seen: what the pipeline would
    /// write, and that it comes back.
    pub fn judge(&self, candidate: &[u8], incumbent: Option<&[u8]>, holdout: &[&Run]) -> Result<Verdict, SubjectError> {
        Ok(judge(self.measured(candidate, incumbent, &self.records(holdout))?))
    }

    /// The same, and against all that needs no model, in blocks of so many raw bytes: the best of the codecs, and Kafka's own
    /// compression. A dictionary is one more way to use a codec that somebody has chosen: all else is measured beside it and bars
    /// nothing.
    pub fn challenge(
        &self,
        candidate: &[u8],
        incumbent: Option<&[u8]>,
        holdout: &[&Run],
        block_bytes: usize,
        clock: CpuClock<'_>,
    ) -> Result<Verdict, SubjectError> {
        let records = self.records(holdout);
        let mut sizes = self.measured(candidate, incumbent, &records)?;
        // In blocks as large as the pipeline's: large ones are worth more to some than to others.
        let manner = self.manner(self.block.min(block_bytes).min(self.raw_bytes(&records)));
        let on_log = self.written(&self.setup(candidate), &records, manner.block_bytes)?.on_log;
        let is_dictionary = matches!(self.kind, Kind::Dictionary { .. });
        let (mut rivals, left_out) = rivals::classical(&records, &manner, !is_dictionary, clock);
        rivals.extend(rivals::kafka(&records, &manner, !is_dictionary));
        let block_bytes = if self.layout == Layout::Block { manner.block_bytes as u64 } else { 0 };
        sizes.on_log = Some(OnLog { block_bytes, candidate: on_log, rivals, left_out });
        Ok(judge(sizes))
    }

    /// What the holdout takes with either model and without, piece by piece.
    fn measured(
        &self,
        candidate: &[u8],
        incumbent: Option<&[u8]>,
        records: &[RecordRef<'_>],
    ) -> Result<Sizes, SubjectError> {
        let raw_bytes = self.raw_bytes(records);
        let block_bytes = self.judged(raw_bytes);
        let each = |setup: &Setup| self.written(setup, records, block_bytes).map(|written| written.each);
        Ok(Sizes {
            raw_bytes: raw_bytes as u64,
            plain: each(&self.plain())?,
            incumbent: incumbent.map(|artefact| each(&self.setup(artefact))).transpose()?,
            candidate: Some(each(&self.setup(candidate))?),
            candidate_artefact_bytes: Some(candidate.len()),
            on_log: None,
        })
    }

    /// What blocks [`Self::judge`] cuts a holdout into; nothing where records are judged each for itself.
    pub fn judged_in(&self, holdout: &[&Run]) -> Option<Pieces> {
        let raw_bytes = self.raw_bytes(&self.records(holdout));
        let most = self.judged(raw_bytes);
        let pieces = Pieces { most: ByteSize::new(most as u64), is_small_holdout: most < self.piece };
        (self.layout == Layout::Block).then_some(pieces)
    }

    /// Smaller blocks where there would be too few to judge by.
    fn judged(&self, raw_bytes: usize) -> usize {
        self.piece.min(raw_bytes / PIECES)
    }

    fn raw_bytes(&self, records: &[RecordRef<'_>]) -> usize {
        let of_one = |record: &RecordRef<'_>| match self.layout {
            Layout::Block => record.payload_len(),
            Layout::Record => record.value.map_or(0, <[u8]>::len),
        };
        records.iter().map(of_one).sum()
    }

    /// What records take with a model and under plain zstd, each.
    pub fn measure(&self, artefact: &[u8], runs: &[&Run]) -> Result<Measure, SubjectError> {
        let records = self.records(runs);
        let each = |setup: Setup| -> Result<f64, SubjectError> {
            let written = self.written(&setup, &records, self.piece)?;
            Ok(written.each.iter().sum::<u64>() as f64 / records.len().max(1) as f64)
        };
        Ok(Measure { model: each(self.setup(artefact))?, plain: each(self.plain())? })
    }

    fn setup(&self, artefact: &[u8]) -> Setup {
        Setup::with_model(self.spec(), artefact.into())
    }

    /// What needs no model: zstd, at the dictionary's level.
    fn plain(&self) -> Setup {
        let level = if let Kind::Dictionary { level, .. } = self.kind { level } else { PLAIN_LEVEL };
        Setup::plain(CodecSpec::with_level(Algorithm::Zstd, level).unwrap_or(CodecSpec::new(Algorithm::Zstd)))
    }

    /// What is written: in single records all that have a value.
    fn records<'a>(&self, runs: &[&'a Run]) -> Vec<RecordRef<'a>> {
        let records = runs.iter().flat_map(|run| run.records());
        records.filter(|record| self.layout == Layout::Block || record.value.is_some()).collect()
    }

    /// How records are written, to be judged.
    fn manner(&self, block_bytes: usize) -> Manner {
        Manner { layout: self.layout, block_bytes, headers: EncodingHeader::ContentEncoding }
    }

    fn written(&self, setup: &Setup, records: &[RecordRef<'_>], block_bytes: usize) -> Result<Written, SubjectError> {
        let clock = || 0.0;
        let manner = self.manner(block_bytes);
        let carriage = Carriage { manner, clocks: Clocks { all: &clock, each: &clock }, patience: f64::INFINITY };
        let (mut each, mut log) = (Vec::new(), Log::default());
        carriage.carry(&mut *setup.alone()?, records, &mut |output| {
            each.push(output.value.map_or(0, <[u8]>::len) as u64);
            log.push(output);
        })?;
        Ok(Written { each, on_log: log.bytes() })
    }
}

/// What records become.
struct Written {
    /// Bytes of each output record: of a block with all that is in it, or of a value with its frame, if it has one.
    each: Vec<u64>,
    /// Bytes on the broker's log.
    on_log: u64,
}

/// Most raw bytes of what is coded at once, for a judgement: of a block no more than [`PIECE`].
fn piece(layout: Layout, block: ByteSize) -> usize {
    match layout {
        Layout::Record => 0,
        Layout::Block => block.as_usize().min(PIECE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::learn::CpuTime;

    #[test]
    fn a_small_holdout_of_blocks_is_cut_into_enough_pieces_to_judge_by() {
        let subject = Subject { kind: Kind::Columns, layout: Layout::Block, block: PIECE, piece: PIECE };
        let mut run = Run::default();
        (0..1_000).for_each(|number| run.push(format!("{{\"number\":{number},\"of\":1000}}").as_bytes()));
        let model = subject.train(&[&run], &[], Start::Anew, &mut CpuTime::begin()).unwrap().unwrap().artefact;
        let verdict = subject.judge(&model, None, &[&run]).unwrap();
        assert!((PIECES..=2 * PIECES).contains(&verdict.samples), "{verdict:?}");
        let judged = subject.judged_in(&[&run]).unwrap();
        let most = judged.most.as_usize();
        assert!(most * PIECES <= verdict.raw_bytes as usize && most < PIECE && judged.is_small_holdout, "{judged:?}");
        let mut large = Run::default();
        (0..40).for_each(|_| large.push(&[b' '; 64 << 10]));
        let judged = subject.judged_in(&[&large]).unwrap();
        assert_eq!(judged, Pieces { most: ByteSize::new(PIECE as u64), is_small_holdout: false });
        let records = Subject { layout: Layout::Record, piece: 0, ..subject };
        assert_eq!(records.judged_in(&[&run]), None);
        assert_eq!(records.judge(&model, Some(&model), &[&run]).unwrap().samples, 1_000);
        assert!(records.judge(b"no model", None, &[&run]).is_err());
    }
}
