//! What is learned for a contest from the earlier half of the records.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::contest::Way;
use crate::cli::corpus;
use crate::codec::{Algorithm, CodecSpec};
use crate::model::split::PARTS;
use crate::model::{Dictionary, DictionaryError, Start};
use crate::pipeline::{CpuTime, Images, Layout, Run, Subject};
use crate::record::Record;
use crate::telemetry::thread_cpu_seconds;
use crate::units::ByteSize;

/// Size of the dictionary that zstd-dict trains.
pub const DICTIONARY: usize = 110 << 10;

/// Most raw bytes of a block that a model is made for; it does not depend on it.
const BLOCK: ByteSize = ByteSize::mib(1);

/// A model and what its training took.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The model's bytes.
    pub artefact: Arc<[u8]>,
    /// CPU seconds.
    pub seconds: f64,
}

/// What can be learned; several ways may share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Dictionary,
    /// A model of fields for records in a row.
    InBlocks,
    /// A model of fields for each record by itself.
    Alone,
    /// A model of images.
    Images,
}

impl Kind {
    fn of(way: Way) -> Option<Self> {
        match way.spec()?.algorithm() {
            Algorithm::ZstdDict => Some(Self::Dictionary),
            Algorithm::Latent => Some(Self::Images),
            algorithm if !algorithm.is_learned() => None,
            _ if matches!(way, Way::Block(..)) => Some(Self::InBlocks),
            _ => Some(Self::Alone),
        }
    }
}

/// The models of a contest. `None` is what could not be learned.
#[derive(Clone, Debug, Default)]
pub struct Models(BTreeMap<Kind, Option<Trained>>);

impl Models {
    /// Learns what these ways code with.
    pub fn train(
        ways: &[Way],
        records: &[Record],
        images: Option<Images>,
        told: impl Fn(&str),
    ) -> anyhow::Result<Self> {
        let mut models = BTreeMap::new();
        for way in ways {
            let (Some(kind), Some(spec)) = (Kind::of(*way), way.spec()) else { continue };
            if models.contains_key(&kind) {
                continue;
            }
            told(&format!("training for {way}"));
            let before = thread_cpu_seconds();
            let learned = match kind {
                Kind::Dictionary => dictionary(records)?,
                Kind::InBlocks => learned(fields(spec, Layout::Block), records)?,
                Kind::Alone => learned(fields(spec, Layout::Record), records)?,
                Kind::Images => {
                    learned(images.map(|images| Subject::of_images(images, Layout::Block, BLOCK)), records)?
                }
            };
            let seconds = thread_cpu_seconds() - before;
            if let Err(reason) = &learned {
                eprintln!("nothing was learned, so no row of {way}: {reason}");
            }
            models.insert(kind, learned.ok().map(|artefact| Trained { artefact, seconds }));
        }
        Ok(Self(models))
    }

    /// The model of a way that needs one.
    pub fn of(&self, way: Way) -> Option<&Trained> {
        self.0.get(&Kind::of(way)?)?.as_ref()
    }
}

fn fields(spec: CodecSpec, layout: Layout) -> Option<Subject> {
    Subject::of_codec(spec, layout, BLOCK, ByteSize::new(DICTIONARY as u64))
}

fn learned(subject: Option<Subject>, records: &[Record]) -> anyhow::Result<Result<Arc<[u8]>, String>> {
    let Some(subject) = subject else { return Ok(Err("there is nothing to learn".to_owned())) };
    let runs = corpus::runs(records.iter().map(Record::as_ref), subject.run_bytes());
    let runs: Vec<&Run> = runs.iter().collect();
    let (train, validation) = runs.split_at(runs.len() - runs.len() / PARTS);
    Ok(subject.train(train, validation, Start::Anew, &mut CpuTime::begin())?.map(|taught| taught.artefact))
}

/// A dictionary of the newest records, which are the most like what comes; zstd's own advice is a hundred bytes of samples
/// per byte.
fn dictionary(records: &[Record]) -> anyhow::Result<Result<Arc<[u8]>, String>> {
    let mut values: Vec<&[u8]> = records.iter().filter_map(|record| record.value.as_deref()).collect();
    let mut bytes = 0;
    let newest = values.iter().rev().take_while(|value| {
        bytes += value.len();
        bytes <= DICTIONARY * 100
    });
    let kept = newest.count();
    let first = values.len() - kept;
    match Dictionary::train(&values.split_off(first), DICTIONARY) {
        Ok(dictionary) => Ok(Ok(dictionary.artefact().into())),
        Err(error @ (DictionaryError::TooFewSamples { .. } | DictionaryError::Untrainable { .. })) => {
            Ok(Err(error.to_string()))
        }
        Err(error) => Err(error.into()),
    }
}
