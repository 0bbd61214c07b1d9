//! The thread that learns: trains a model from the reservoir when it is time, and publishes it when it is better.
//!
//! Of all processes of a group one trains: the one that holds partition 0 of the pipeline's first topic. The others
//! look into the registry and take what was published.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::runtime::Handle;

use super::subject::SubjectError;
use super::{Learner, NewModel, Run, Subject, lock};
use crate::codec::ModelId;
use crate::model::{Decision, Manifest};
use crate::pipeline::holdings::Holdings;
use crate::pipeline::pulse::Pulse;
use crate::pipeline::settings::{LearnSettings, Settings};
use crate::registry::{Activation, Expect, Registry, RegistryError, Signature};
use crate::telemetry::PipelineStatus;

/// How often the thread looks around.
const TICK: Duration = Duration::from_millis(500);

/// How often processes that do not train look for a new model.
const LOOK: Duration = Duration::from_secs(10);

/// Pause after a training that led to no first model.
const FIRST_RETRY: Duration = Duration::from_secs(60);

/// Pause after a registry did not answer.
const RETRY: Duration = Duration::from_secs(10);

/// What a lesson is made from.
pub struct LessonParts {
    /// What the workers show their records to.
    pub learner: Learner,
    /// What the pipeline is told.
    pub settings: Settings,
    /// What it learns.
    pub subject: Subject,
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
    incumbent: Option<Arc<[u8]>>,
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
    Subject(#[from] SubjectError),
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
            if model.manifest.family == self.parts.subject.family() {
                self.parts.subject.check(&model.artefact)?;
                self.take(&id, model.artefact.as_ref().into());
            } else {
                // The pipeline learned something else before its configuration was changed.
                tracing::info!(
                    pipeline = self.parts.settings.name,
                    model = %id,
                    family = %model.manifest.family,
                    "the registry's active model is of another family and is not used"
                );
            }
        }
        self.known = Some(activation);
        Ok(())
    }

    fn take(&mut self, id: &ModelId, artefact: Arc<[u8]>) {
        self.parts.learner.swap(Arc::clone(&artefact));
        self.parts.status.set_model(Some((&id.to_string(), self.parts.subject.family().as_str())));
        self.incumbent = Some(artefact);
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
        let (records, bytes) = {
            let notes = lock(&self.parts.learner.shared.notes);
            (notes.records, notes.bytes)
        };
        match self.trained {
            None => self.parts.subject.is_enough(records, bytes),
            Some(trained) => {
                // Until there is a model, more of the stream may be all that is missing.
                let pause = match self.incumbent {
                    Some(_) => self.parts.learn.every,
                    None => self.parts.learn.every.min(FIRST_RETRY),
                };
                trained.elapsed() >= pause && records > self.learned_from
            }
        }
    }

    fn train(&mut self) -> Result<(), LessonError> {
        let started = Instant::now();
        let (snapshot, records) = {
            let notes = lock(&self.parts.learner.shared.notes);
            (notes.reservoir.snapshot(), notes.records)
        };
        self.learned_from = records;
        let window = self.parts.learner.spans();
        let subject = self.parts.subject;
        let parts = snapshot.split(subject.split());
        let (train, holdout): (Vec<&Run>, Vec<&Run>) = (parts.train, parts.holdout);
        let candidate = match subject.train(&train)? {
            Ok(candidate) => candidate,
            // Too little yet, or nothing repeats: the next lesson has other records.
            Err(reason) => {
                self.trained = Some(Instant::now());
                tracing::info!(pipeline = self.parts.settings.name, "no {} yet: {reason}", subject.family());
                return Ok(());
            }
        };
        let verdict = subject.judge(&candidate, self.incumbent.as_deref(), &holdout)?;
        let metrics = verdict.metrics(holdout.iter().map(|run| run.len() as u64).sum());
        self.trained = Some(Instant::now());
        tracing::info!(
            pipeline = self.parts.settings.name,
            family = %subject.family(),
            seconds = started.elapsed().as_secs_f64(),
            decision = ?verdict.decision,
            metrics = ?metrics,
            "trained"
        );
        if verdict.decision != Decision::Replace {
            return Ok(());
        }
        let parent = self.known.as_ref().and_then(|known| known.model);
        let artefact = self.publish(candidate, parent, |manifest| {
            manifest.window = window.clone();
            manifest.metrics = metrics.clone();
            manifest.config = subject.config();
        })?;
        let id = ModelId::of(&artefact);
        let LessonParts { registry, runtime, settings, .. } = &self.parts;
        let signature = self.signature();
        let activation =
            runtime.block_on(registry.set_active(&settings.name, &id, Expect::Model(parent), &signature))?;
        self.take(&id, artefact);
        self.known = Some(activation);
        Ok(())
    }

    /// Publishes a model. When a dictionary's number is taken by another one, under the next number.
    fn publish(
        &self,
        candidate: Arc<[u8]>,
        parent: Option<ModelId>,
        describe: impl Fn(&mut Manifest),
    ) -> Result<Arc<[u8]>, LessonError> {
        let LessonParts { registry, runtime, settings, subject, .. } = &self.parts;
        let created = self.signature().at;
        let mut manifest = Manifest::new(&candidate, subject.family(), settings.name.as_str(), created);
        manifest.parent = parent;
        describe(&mut manifest);
        let new = NewModel { manifest, artefact: candidate };
        Ok(runtime.block_on(new.publish(registry))?.artefact)
    }

    fn signature(&self) -> Signature {
        let at = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        Signature { by: self.parts.by.clone(), at }
    }
}
