//! The thread that learns: trains a dictionary from the reservoir when it is time, and publishes it when it is better.
//!
//! Of all processes of a group one trains: the one that holds partition 0 of the pipeline's first topic. The others
//! look into the registry and take what was published.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use tokio::runtime::Handle;

use super::{Learner, lock};
use crate::codec::ModelId;
use crate::model::{Decision, Dictionary, DictionaryError, Family, Manifest, Split, challenge};
use crate::pipeline::holdings::Holdings;
use crate::pipeline::pulse::Pulse;
use crate::pipeline::settings::{Layout, LearnSettings, Settings};
use crate::registry::{Activation, Expect, Registry, RegistryError, Signature};
use crate::telemetry::PipelineStatus;

/// How often the thread looks around.
const TICK: Duration = Duration::from_millis(500);

/// How often processes that do not train look for a new model.
const LOOK: Duration = Duration::from_secs(10);

/// Pause after a registry did not answer.
const RETRY: Duration = Duration::from_secs(10);

/// The first training waits for this many bytes of samples per byte of dictionary: zstd's own advice is a hundred, and
/// a tenth of it is already better than none. The next training comes with its share of the stream.
const FIRST_TRAINING: usize = 10;

/// Largest piece of a block's value column that is judged at once.
const PIECE: usize = 128 << 10;

/// What a lesson is made from.
pub struct LessonParts {
    /// What the workers show their records to.
    pub learner: Learner,
    /// What the pipeline is told.
    pub settings: Settings,
    /// How it learns.
    pub learn: LearnSettings,
    /// Where models go.
    pub registry: Registry,
    /// What runs the registry's requests.
    pub runtime: Handle,
    /// The partitions that this process holds.
    pub holdings: Holdings,
    /// Who changes models: name and instance of the process.
    pub by: String,
    /// What shows the model in use.
    pub status: Arc<PipelineStatus>,
}

/// The loop.
pub struct Lesson {
    parts: LessonParts,
    known: Option<Activation>,
    incumbent: Option<Dictionary>,
    trained: Option<Instant>,
    looked: Option<Instant>,
    learned_from: u64,
}

/// Why a lesson led to nothing.
#[derive(Debug, thiserror::Error)]
enum LessonError {
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Dictionary(#[from] DictionaryError),
}

impl Lesson {
    /// A loop that has not started.
    pub fn new(parts: LessonParts) -> Self {
        Self { parts, known: None, incumbent: None, trained: None, looked: None, learned_from: 0 }
    }

    /// Takes the model that the registry says is in use, if it says so in time: a restart goes on where it was.
    pub fn resume(&mut self) {
        if let Err(error) = self.look() {
            self.complain("registry", &error);
        }
    }

    /// Runs until asked to stop.
    pub fn run(mut self, wishes: &Pulse) {
        let mut not_before = Instant::now();
        while !wishes.stopping() {
            std::thread::sleep(TICK);
            if Instant::now() < not_before {
                continue;
            }
            if let Err(error) = self.step() {
                self.complain("learning", &error);
                not_before = Instant::now() + RETRY;
            }
        }
    }

    fn complain(&self, kind: &'static str, error: &LessonError) {
        self.parts.status.error(kind, error);
    }

    fn step(&mut self) -> Result<(), LessonError> {
        if self.looked.is_none_or(|looked| looked.elapsed() >= LOOK) {
            self.look()?;
        }
        if self.trains() && self.is_time() { self.train() } else { Ok(()) }
    }

    /// Takes a model that somebody else put to use.
    fn look(&mut self) -> Result<(), LessonError> {
        let LessonParts { registry, runtime, settings, .. } = &self.parts;
        let newest = runtime.block_on(async {
            match &self.known {
                Some(known) => registry.newer(known).await,
                None => registry.active(&settings.name).await,
            }
        })?;
        self.looked = Some(Instant::now());
        let Some(activation) = newest else { return Ok(()) };
        if let Some(id) = activation.model {
            let model = runtime.block_on(registry.load(&id))?;
            self.take(&id, Dictionary::parse(&model.artefact)?);
        }
        self.known = Some(activation);
        Ok(())
    }

    fn take(&mut self, id: &ModelId, dictionary: Dictionary) {
        self.parts.learner.swap(dictionary.artefact().into());
        self.parts.status.set_model(Some((&id.to_string(), Family::ZSTD_DICTIONARY.as_str())));
        self.incumbent = Some(dictionary);
    }

    /// Whether this process trains.
    fn trains(&self) -> bool {
        let from = self.parts.settings.from.first_topic();
        match from {
            Some(topic) => self.parts.holdings.hold_first_of(topic),
            None => self.parts.holdings.hold_a_first(),
        }
    }

    fn is_time(&self) -> bool {
        let (seen, bytes) = {
            let notes = lock(&self.parts.learner.shared.notes);
            (notes.reservoir.seen(), notes.reservoir.bytes())
        };
        match self.trained {
            None => bytes >= self.parts.learn.dictionary.as_usize() * FIRST_TRAINING,
            Some(trained) => trained.elapsed() >= self.parts.learn.every && seen > self.learned_from,
        }
    }

    fn train(&mut self) -> Result<(), LessonError> {
        let started = Instant::now();
        let (snapshot, seen) = {
            let notes = lock(&self.parts.learner.shared.notes);
            (notes.reservoir.snapshot(), notes.reservoir.seen())
        };
        self.learned_from = seen;
        let window = self.parts.learner.spans();
        let parts = snapshot.split(Split::DICTIONARY);
        let train: Vec<&[u8]> = parts.train.iter().map(|sample| &sample[..]).collect();
        let size = self.parts.learn.dictionary.as_usize();
        let candidate = match Dictionary::train(&train, size) {
            Ok(candidate) => candidate,
            // Too little yet, or nothing repeats: the next lesson has other records.
            Err(error @ (DictionaryError::TooFewSamples { .. } | DictionaryError::Untrainable { .. })) => {
                self.trained = Some(Instant::now());
                tracing::info!(pipeline = self.parts.settings.name, "no dictionary yet: {error}");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let pieces = self.pieces(&parts.holdout);
        let holdout: Vec<&[u8]> = pieces.iter().map(|piece| &piece[..]).collect();
        let level = self.parts.settings.codec.level();
        let verdict = challenge(Some(&candidate), self.incumbent.as_ref(), &holdout, level)?;
        let metrics = verdict.metrics(parts.holdout.len() as u64);
        self.trained = Some(Instant::now());
        tracing::info!(
            pipeline = self.parts.settings.name,
            seconds = started.elapsed().as_secs_f64(),
            decision = ?verdict.decision,
            metrics = ?metrics,
            "trained a dictionary"
        );
        if verdict.decision != Decision::Replace {
            return Ok(());
        }
        let parent = self.known.as_ref().and_then(|known| known.model);
        let candidate = self.publish(candidate, parent, |manifest| {
            manifest.window = window.clone();
            manifest.metrics = metrics.clone();
            manifest.config = serde_json::json!({ "dictionary_bytes": size, "level": level });
        })?;
        let id = candidate.model_id();
        let LessonParts { registry, runtime, settings, .. } = &self.parts;
        let signature = self.signature();
        let activation =
            runtime.block_on(registry.set_active(&settings.name, &id, Expect::Model(parent), &signature))?;
        self.take(&id, candidate);
        self.known = Some(activation);
        Ok(())
    }

    /// Publishes a dictionary; when its number is taken by another one, under the next number.
    fn publish(
        &self,
        candidate: Dictionary,
        parent: Option<ModelId>,
        describe: impl Fn(&mut Manifest),
    ) -> Result<Dictionary, LessonError> {
        let LessonParts { registry, runtime, settings, .. } = &self.parts;
        let mut candidate = candidate;
        let mut salt = 0;
        loop {
            let artefact = Bytes::copy_from_slice(candidate.artefact());
            let created = self.signature().at;
            let mut manifest = Manifest::new(&artefact, Family::ZSTD_DICTIONARY, settings.name.as_str(), created);
            manifest.parent = parent;
            describe(&mut manifest);
            match runtime.block_on(registry.publish(&manifest, artefact)) {
                Ok(_) => return Ok(candidate),
                Err(RegistryError::Taken { .. }) if salt < 16 => {
                    salt += 1;
                    candidate = candidate.with_salt(salt);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn signature(&self) -> Signature {
        let at = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        Signature { by: self.parts.by.clone(), at }
    }

    /// What the codec will be handed: values one by one, or a block's values together.
    fn pieces(&self, holdout: &[&Bytes]) -> Vec<Vec<u8>> {
        let limit = match self.parts.settings.layout {
            Layout::Record => 0,
            Layout::Block => self.parts.settings.block.max_bytes.as_usize().min(PIECE),
        };
        let mut pieces: Vec<Vec<u8>> = Vec::new();
        for value in holdout {
            match pieces.last_mut() {
                Some(piece) if piece.len() + value.len() <= limit => piece.extend_from_slice(value),
                _ => pieces.push(value.to_vec()),
            }
        }
        pieces
    }
}
