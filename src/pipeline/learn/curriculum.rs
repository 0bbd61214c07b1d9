//! What a pipeline has to learn: one kind of model, or which of all codecs is cheapest.

use crate::codec::{Algorithm, CodecSpec};
use crate::cost::Prices;
use crate::payload::fields::Grammar;
use crate::pipeline::settings::{
    AutoSettings, CodecChoice, EncodingHeader, Layout, LearnSettings, Operation, Payload, Settings,
};
use crate::record::RecordRef;

use super::assignment::TrainerError;
use super::carriage::Manner;
use super::choice::{Rules, Tried};
use super::contest::try_one;
use super::renewal::Measure;
use super::samples::{HOLDOUT, holdout_bytes};
use super::{CpuClock, Run, Setup, Subject};

/// A choice is made from so many records, or so many bytes of them, whichever comes first.
const ENOUGH_RECORDS: u64 = 20_000;
const ENOUGH_BYTES: u64 = 4 << 20;

/// Most bytes of a holdout that a choice is made from: more than [`HOLDOUT`], because blocks are large.
const HOLDOUT_OF_CHOICE: usize = 2 << 20;

/// Largest blocks of a look at what the newest records take.
const LOOK_BLOCK: usize = 128 << 10;

/// Codecs that need no model, with the levels that are worth a try. `deflate` stands for `zlib` and `gzip`, which wrap the
/// same stream in a few bytes more.
const PLAIN: [(Algorithm, Option<i32>); 15] = [
    (Algorithm::Identity, None),
    (Algorithm::Lz4, None),
    (Algorithm::Zstd, Some(1)),
    (Algorithm::Zstd, Some(3)),
    (Algorithm::Zstd, Some(6)),
    (Algorithm::Zstd, Some(12)),
    (Algorithm::Zstd, Some(19)),
    (Algorithm::Deflate, Some(6)),
    (Algorithm::Brotli, Some(5)),
    (Algorithm::Brotli, Some(9)),
    (Algorithm::Brotli, Some(11)),
    (Algorithm::Xz, Some(6)),
    (Algorithm::Bzip2, Some(9)),
    (Algorithm::Huffman, None),
    (Algorithm::Lzw, None),
];

/// Levels of zstd that are tried with a dictionary.
const DICTIONARY_LEVELS: [i32; 3] = [3, 12, 19];

/// Records that are looked at to tell what they are.
const LOOKED_AT: usize = 500;

/// What a pipeline has to learn.
#[derive(Clone, Debug)]
pub struct Curriculum {
    subjects: Vec<Subject>,
    auto: Option<AutoSettings>,
    payload: Payload,
    layout: Layout,
    headers: EncodingHeader,
    most_block_bytes: usize,
    learn: LearnSettings,
    /// Whether records are drawn, from the codec's model too.
    draws: bool,
}

impl Curriculum {
    /// What a pipeline with these settings learns, if anything.
    pub fn of(settings: &Settings) -> Option<Self> {
        let learn = settings.learn.filter(|_| settings.operation != Operation::Restore)?;
        let (subjects, auto) = match settings.codec {
            CodecChoice::Fixed(_) => match Subject::of(settings) {
                Some((subject, _)) => (vec![subject], None),
                // Records are kept for what draws.
                None if settings.operation == Operation::Generate => (Vec::new(), None),
                None => return None,
            },
            CodecChoice::Auto(auto) => {
                let kinds = [Algorithm::ZstdDict, Algorithm::Columns, Algorithm::Latent];
                let subjects = kinds.into_iter().filter_map(|kind| Subject::new(CodecSpec::new(kind), settings));
                (if auto.learns { subjects.collect() } else { Vec::new() }, Some(auto))
            }
        };
        Some(Self {
            subjects,
            auto,
            payload: settings.payload,
            layout: settings.layout,
            headers: settings.headers,
            most_block_bytes: settings.block.max_bytes.as_usize(),
            learn,
            draws: settings.augment.is_some(),
        })
    }

    /// How it learns.
    pub fn learn(&self) -> LearnSettings {
        self.learn
    }

    /// What bounds the choice, where there is one.
    pub fn auto(&self) -> Option<AutoSettings> {
        self.auto
    }

    /// The one kind of model, where there is no choice.
    pub fn subject(&self) -> Option<Subject> {
        self.subjects.first().copied().filter(|_| self.auto.is_none())
    }

    /// Whether nothing is learned to code with.
    pub fn is_idle(&self) -> bool {
        self.subjects.is_empty() && self.auto.is_none()
    }

    /// Bytes of records in a row that it learns from.
    pub fn run_bytes(&self) -> usize {
        let most = self.subjects.iter().map(Subject::run_bytes).max().unwrap_or(0);
        if self.auto.is_some() { most.max(RUN) } else { most }
    }

    /// Whether a training may take minutes.
    pub fn is_long(&self) -> bool {
        self.subjects.iter().any(Subject::is_long)
    }

    /// The settings of that training.
    pub fn long_config(&self) -> Option<serde_json::Value> {
        self.subjects.iter().find(|subject| subject.is_long()).map(Subject::config)
    }

    /// Most bytes of records that are learned from.
    pub fn most_bytes(&self) -> usize {
        self.subjects.iter().map(Subject::most_bytes).max().unwrap_or(0)
    }

    /// Most bytes of records that judge.
    pub fn holdout_bytes(&self) -> usize {
        // What is drawn from the model is judged by the same records, which it must not have learned from.
        let of_draws = if self.draws { holdout_bytes(None) } else { 0 };
        let of_codec = if self.auto.is_some() { HOLDOUT_OF_CHOICE } else { HOLDOUT };
        of_draws.max(of_codec)
    }

    /// By what is chosen.
    pub fn rules(&self, prices: Prices) -> Rules {
        let none = AutoSettings { learns: false, max_latency: None, max_cpu: None };
        Rules { prices, bounds: self.auto.unwrap_or(none) }
    }

    /// What records take with a codec, and with plain zstd.
    pub fn measure(
        &self,
        setup: &Setup,
        runs: &[&Run],
        block_bytes: usize,
        clock: CpuClock<'_>,
    ) -> Result<Measure, TrainerError> {
        if let (Some(subject), Some(artefact)) = (self.subject(), &setup.artefact) {
            return Ok(subject.measure(artefact, runs)?);
        }
        let manner = self.manner(block_bytes.min(LOOK_BLOCK));
        let records: Vec<RecordRef<'_>> = runs.iter().flat_map(|run| run.records()).collect();
        let each = |tried: Tried| tried.effort.log_bytes / tried.records.max(1) as f64;
        let plain = Setup::plain(CodecSpec::new(Algorithm::Zstd));
        Ok(Measure {
            model: each(try_one(setup, &records, &manner, clock)?),
            plain: each(try_one(&plain, &records, &manner, clock)?),
        })
    }

    /// Whether so much of a stream is enough to begin with.
    pub fn is_enough(&self, records: u64, bytes: u64) -> bool {
        match self.subject() {
            Some(subject) => subject.is_enough(records, bytes),
            None => records >= ENOUGH_RECORDS || bytes >= ENOUGH_BYTES,
        }
    }

    /// How records are written, in blocks of about so many raw bytes.
    pub fn manner(&self, block_bytes: usize) -> Manner {
        Manner { layout: self.layout, block_bytes: block_bytes.clamp(1, self.most_block_bytes), headers: self.headers }
    }

    /// The codecs to choose among that need no model.
    pub fn plain(&self) -> Vec<CodecSpec> {
        let spec = |(algorithm, level): (Algorithm, Option<i32>)| match level {
            Some(level) => CodecSpec::with_level(algorithm, level),
            None => Some(CodecSpec::new(algorithm)),
        };
        PLAIN.into_iter().filter_map(spec).collect()
    }

    /// The kinds of models that are worth learning from such records.
    pub fn subjects(&self, runs: &[&Run]) -> Vec<Subject> {
        let fields = match self.payload {
            Payload::Json | Payload::Csv => true,
            Payload::Bytes | Payload::Text | Payload::Image => false,
            Payload::Auto => has_fields(runs),
        };
        let fits = |subject: &&Subject| self.auto.is_none() || fields || !subject.models_fields();
        self.subjects.iter().filter(fits).copied().collect()
    }

    /// The codecs that a model of a kind is for.
    pub fn codecs_of(&self, subject: &Subject) -> Vec<CodecSpec> {
        let spec = subject.spec();
        if spec.algorithm() != Algorithm::ZstdDict {
            return vec![spec];
        }
        DICTIONARY_LEVELS.iter().filter_map(|level| CodecSpec::with_level(Algorithm::ZstdDict, *level)).collect()
    }
}

/// Bytes of records in a row that a choice is made from.
const RUN: usize = 64 << 10;

/// Whether most records are made of fields.
fn has_fields(runs: &[&Run]) -> bool {
    let all: Vec<&[u8]> = runs.iter().flat_map(|run| run.values()).collect();
    let step = all.len().div_ceil(LOOKED_AT).max(1);
    let some: Vec<&[u8]> = all.into_iter().step_by(step).collect();
    Grammar::learn(&some).slots().len() > 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(value: impl Fn(u32) -> Vec<u8>) -> bool {
        let mut run = Run::default();
        (0..2_000).for_each(|number| run.push(&value(number)));
        has_fields(&[&run])
    }

    #[test]
    fn records_of_fields_are_told_from_other_bytes() {
        assert!(fields(|number| format!("{{\"number\":{number},\"half\":{}}}", number / 2).into_bytes()));
        assert!(fields(|number| format!("{number},{},x{number}", number * 7 % 11).into_bytes()));
        assert!(!fields(|number| blake3::hash(&number.to_le_bytes()).as_bytes().to_vec()));
        assert!(!fields(|number| vec![number as u8; 784]));
    }
}
