//! The thread that learns: trains when it is time, and publishes what is better.
//!
//! Of all processes of a group one trains: the one that holds partition 0 of the pipeline's first topic. The others
//! look into the registry and take what was published.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::runtime::Handle;

use super::choice::Choice;
use super::pace::{Counts, Pace};
use super::renewal::{Cause, Decision};
use super::trainer::{Better, Codecs, Lecture, Outcome, Stream, Trainer, TrainerError};
use super::{Curriculum, Learner, Load, Publication, Setup};
use crate::codec::{Algorithm, CodecError, CodecSpec, ModelId, ModelSource};
use crate::cost::Prices;
use crate::model::{Family, Manifest};
use crate::pipeline::holdings::Holdings;
use crate::pipeline::pulse::Pulse;
use crate::pipeline::settings::Settings;
use crate::registry::{Activation, Change, Expect, Registry, RegistryError, Signature};
use crate::telemetry::{
    CandidateReport, ChoiceReport, LearningReport, PipelineStatus, PublishedKind, TrainingReport, thread_cpu_seconds,
};

/// How often the thread looks around.
const TICK: Duration = Duration::from_millis(500);

/// How often the registry is asked for a new model, and the newest records are looked at.
const LOOK: Duration = Duration::from_secs(10);

/// Pause after a registry did not answer.
const RETRY: Duration = Duration::from_secs(10);

/// Shortest time between two changes among codecs that were tried already.
const SWITCH: Duration = Duration::from_secs(60);

/// What a lesson is made from.
pub struct LessonParts {
    /// What the workers show their records to.
    pub learner: Learner,
    /// What the pipeline is told.
    pub settings: Settings,
    /// What it learns.
    pub curriculum: Curriculum,
    /// What CPU and bytes cost.
    pub prices: Prices,
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
    trainer: Trainer,
    begun: Instant,
    pace: Pace,
    known: Option<Activation>,
    looked: Option<Instant>,
    switched: Option<Instant>,
}

/// Why a lesson led to nothing.
#[derive(Debug, thiserror::Error)]
enum LessonError {
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Trainer(#[from] TrainerError),
    #[error("the model in the registry is of no use: {0}")]
    Codec(#[from] CodecError),
}

impl Lesson {
    /// A loop that has not started.
    pub fn new(parts: LessonParts) -> Self {
        let trainer = Trainer::new(parts.curriculum.clone(), parts.prices, parts.learner.clone());
        Self { parts, trainer, begun: Instant::now(), pace: Pace::default(), known: None, looked: None, switched: None }
    }

    /// Takes the model that the registry says is in use, if it says so in time: a restart goes on where it was.
    pub fn resume(&mut self) {
        if let Err(error) = self.follow() {
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

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    fn counts(&self) -> Counts {
        let metrics = self.parts.status.metrics();
        Counts {
            records: metrics.consumed_records.get(),
            bytes: metrics.consumed_bytes.get(),
            written: metrics.published(PublishedKind::Compressed).records.get(),
        }
    }

    fn stream(&self) -> Stream {
        let counts = self.counts();
        // A first training comes before there is much of a pace: then the mean has to do.
        let seconds = self.now().as_secs_f64().max(1.0);
        let mean_block = counts.bytes.checked_div(counts.written).and_then(|mean| usize::try_from(mean).ok());
        Stream {
            records: counts.records,
            block_bytes: self.pace.block_bytes().or(mean_block).unwrap_or(usize::MAX),
            load: Load {
                bytes_per_second: self.pace.bytes_per_second().max(counts.bytes as f64 / seconds),
                records_per_second: self.pace.records_per_second().max(counts.records as f64 / seconds),
                workers: self.parts.settings.workers,
                life: self.parts.curriculum.learn().every,
            },
        }
    }

    fn step(&mut self) -> Result<(), LessonError> {
        let looks = self.looked.is_none_or(|looked| looked.elapsed() >= LOOK);
        if looks {
            // First, so that an error is no reason to ask again at once.
            self.looked = Some(Instant::now());
            self.pace.sample(self.now(), self.counts());
            self.follow()?;
        }
        if !self.trains() {
            self.parts.status.set_learning(LearningReport {
                decision: "wait".to_owned(),
                cause: "elsewhere".to_owned(),
                reason: "the process that holds the topic's first partition trains".to_owned(),
                ..LearningReport::default()
            });
            return Ok(());
        }
        let stream = self.stream();
        if looks {
            // What cannot be looked at can still be replaced.
            if let Err(error) = self.trainer.look(&stream, &thread_cpu_seconds) {
                self.complain("learning", &error.into());
            }
            self.reconsider(&stream)?;
        }
        let control = self.parts.status.control();
        let decision = if control.is_training_asked() {
            self.trainer.decide_what_is_asked()
        } else {
            self.trainer.decide(self.now(), stream.records)
        };
        self.tell(&decision);
        match decision {
            Decision::Train(cause) => {
                // Before it, so that one asked for meanwhile is another one.
                control.training_begins();
                self.train(cause, &stream)
            }
            Decision::Wait(_) => Ok(()),
        }
    }

    fn tell(&self, decision: &Decision) {
        let figures = self.trainer.figures();
        let (word, cause) = match decision {
            Decision::Train(cause) => ("train", cause.name()),
            Decision::Wait(wait) => ("wait", wait.name()),
        };
        self.parts.status.set_learning(LearningReport {
            decision: word.to_owned(),
            cause: cause.to_owned(),
            reason: decision.to_string(),
            bytes_per_record: figures.live,
            expected_bytes_per_record: figures.expected,
            owed: figures.owed,
            price: figures.price,
            last: None,
        });
    }

    /// Takes what somebody else put to use.
    fn follow(&mut self) -> Result<(), LessonError> {
        let LessonParts { registry, runtime, settings, .. } = &self.parts;
        let newest = runtime.block_on(async {
            match &self.known {
                Some(known) => registry.newer(known).await,
                None => registry.active(&settings.name).await,
            }
        })?;
        let Some(activation) = newest else { return Ok(()) };
        self.obey(&activation)?;
        if activation.change == Change::Rollback {
            self.trainer.held(self.now());
        }
        self.known = Some(activation);
        Ok(())
    }

    fn obey(&mut self, activation: &Activation) -> Result<(), LessonError> {
        let records = self.counts().records;
        let chooses = self.parts.curriculum.auto().is_some();
        let named = activation.codec.as_ref().filter(|_| chooses).and_then(|codec| codec.parse::<CodecSpec>().ok());
        let (setup, model, metrics) = match activation.model {
            Some(id) => {
                let LessonParts { registry, runtime, .. } = &self.parts;
                let model = runtime.block_on(registry.load(&id))?;
                let Some(spec) = self.spec_of(&model.manifest.family, named) else {
                    // The pipeline learned something else before its configuration was changed.
                    tracing::info!(
                        pipeline = self.parts.settings.name,
                        model = %id,
                        family = %model.manifest.family,
                        "the registry's active model is of another family and is not used"
                    );
                    return Ok(());
                };
                let setup = Setup::with_model(spec, model.artefact.as_ref().into());
                (setup, Some((id, model.manifest.family)), model.manifest.metrics)
            }
            None => match named.filter(|spec| !needs_model(*spec)) {
                Some(spec) => (Setup::plain(spec), None, Default::default()),
                None => {
                    if self.trainer.setup().is_some() {
                        self.trainer.gone(self.now(), records);
                        self.parts.learner.swap(None);
                        self.parts.status.set_model(None);
                    }
                    return Ok(());
                }
            },
        };
        // Whoever wrote it: what does not code is not put to use.
        let models: Arc<dyn ModelSource> = Arc::new(Codecs);
        drop(setup.codec(&models)?);
        self.trainer.taken(self.now(), records, setup.clone(), &metrics);
        self.take(setup, model);
        if chooses {
            self.show_choice(None);
        }
        Ok(())
    }

    /// The codec that a model of this family is for here.
    fn spec_of(&self, family: &Family, named: Option<CodecSpec>) -> Option<CodecSpec> {
        if let Some(subject) = self.parts.curriculum.subject() {
            return (subject.family() == *family).then(|| subject.spec());
        }
        let algorithm = family.algorithm()?;
        Some(named.filter(|spec| spec.algorithm() == algorithm).unwrap_or(CodecSpec::new(algorithm)))
    }

    /// Workers code with it from here on.
    fn take(&self, setup: Setup, model: Option<(ModelId, Family)>) {
        self.parts.learner.swap(Some(setup));
        let model = model.map(|(id, family)| (id.to_string(), family));
        self.parts.status.set_model(model.as_ref().map(|(id, family)| (id.as_str(), family.as_str())));
    }

    /// Whether this process trains.
    fn trains(&self) -> bool {
        let from = self.parts.settings.from.first_topic();
        match from {
            Some(topic) => self.parts.holdings.hold_first_of(topic),
            None => self.parts.holdings.hold_a_first(),
        }
    }

    /// Changes to another codec that was tried already, where the stream asks for it now.
    fn reconsider(&mut self, stream: &Stream) -> Result<(), LessonError> {
        if self.switched.is_some_and(|switched| switched.elapsed() < SWITCH) {
            return Ok(());
        }
        let Some((better, choice)) = self.trainer.reconsider(&stream.load) else { return Ok(()) };
        let setup = self.put_to_use(&better, None)?;
        self.trainer.adopt(setup);
        self.show_choice(Some(&choice));
        Ok(())
    }

    fn train(&mut self, cause: Cause, stream: &Stream) -> Result<(), LessonError> {
        let started = Instant::now();
        tracing::info!(
            target: "latentd", pipeline = self.parts.settings.name, cause = cause.name(), "training: {}",
            Decision::Train(cause)
        );
        let window = self.parts.learner.spans();
        let done = self.trainer.train(stream, &thread_cpu_seconds).map_err(LessonError::from).and_then(|lecture| {
            let published = match &lecture.outcome {
                Outcome::Take(better) => Some(self.put_to_use(better, Some((&lecture, &window)))?),
                Outcome::Keep(_) | Outcome::Nothing(_) => None,
            };
            Ok((lecture, published))
        });
        let (at, took) = (self.now(), started.elapsed());
        let report = |outcome: &str, detail: Option<String>, cpu_seconds: f64| TrainingReport {
            at_ms: i64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_millis()).unwrap_or(i64::MAX),
            cause: cause.name().to_owned(),
            outcome: outcome.to_owned(),
            detail,
            cpu_seconds,
        };
        match done {
            Err(error) => {
                self.trainer.failed(at, took, stream.records);
                self.parts.status.trained(report("failed", Some(error.to_string()), 0.0));
                Err(error)
            }
            Ok((lecture, published)) => {
                let (word, detail) = match &lecture.outcome {
                    Outcome::Take(_) => ("replaced", None),
                    Outcome::Keep(reason) => ("kept", Some(reason.clone())),
                    Outcome::Nothing(reason) => ("nothing", Some(reason.clone())),
                };
                tracing::info!(
                    target: "latentd",
                    pipeline = self.parts.settings.name,
                    cause = cause.name(),
                    outcome = word,
                    seconds = took.as_secs_f64(),
                    cpu_seconds = lecture.cpu_seconds,
                    metrics = ?lecture.metrics,
                    "trained{}",
                    detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default()
                );
                if let Some(bytes) = lecture.metrics.get(crate::model::manifest::metric::CANDIDATE) {
                    self.parts.status.metrics().set_bytes_per_record("holdout", *bytes);
                }
                self.trainer.trained(at, took, stream.records, &lecture, published);
                if let Some(choice) = &lecture.choice {
                    self.show_choice(Some(choice));
                }
                self.parts.status.trained(report(word, detail, lecture.cpu_seconds));
                Ok(())
            }
        }
    }

    /// Publishes what has a model, tells the registry what is in use from here on, and lets the workers code with it.
    fn put_to_use(
        &mut self,
        better: &Better,
        made: Option<(&Lecture, &[crate::model::Span])>,
    ) -> Result<Setup, LessonError> {
        let parent = self.known.as_ref().and_then(|known| known.model);
        let mut setup = better.setup.clone();
        let mut model = None;
        if let Some((artefact, family)) = better.setup.artefact.clone().zip(better.setup.family()) {
            let artefact = self.publish(artefact, &family, parent, |manifest| {
                manifest.config = better.config.clone();
                if let Some((lecture, window)) = made {
                    manifest.window = window.to_vec();
                    manifest.metrics = lecture.metrics.clone();
                }
            })?;
            model = Some((ModelId::of(&artefact), family));
            setup.artefact = Some(artefact);
        }
        let LessonParts { registry, runtime, settings, curriculum, .. } = &self.parts;
        let id = model.as_ref().map(|(id, _)| *id);
        let signature = self.signature();
        let activation = runtime.block_on(async {
            match id.filter(|_| curriculum.auto().is_none()) {
                Some(id) => registry.set_active(&settings.name, &id, Expect::Model(parent), &signature).await,
                None => {
                    let codec = setup.spec.to_string();
                    registry.choose(&settings.name, &codec, id.as_ref(), Expect::Model(parent), &signature).await
                }
            }
        })?;
        self.take(setup.clone(), model);
        self.known = Some(activation);
        self.switched = Some(Instant::now());
        Ok(setup)
    }

    /// Publishes a model. When a dictionary's number is taken by another one, under the next number.
    fn publish(
        &self,
        candidate: Arc<[u8]>,
        family: &Family,
        parent: Option<ModelId>,
        describe: impl Fn(&mut Manifest),
    ) -> Result<Arc<[u8]>, LessonError> {
        let LessonParts { registry, runtime, settings, .. } = &self.parts;
        let created = self.signature().at;
        let mut manifest = Manifest::new(&candidate, family.clone(), settings.name.as_str(), created);
        manifest.parent = parent;
        describe(&mut manifest);
        let publication = Publication { manifest, artefact: candidate };
        Ok(runtime.block_on(publication.publish(registry))?.artefact)
    }

    /// Says what was chosen, and among what.
    fn show_choice(&self, choice: Option<&Choice>) {
        let Some(setup) = self.trainer.setup() else { return };
        let mut candidates: Vec<CandidateReport> = Vec::new();
        for one in choice.into_iter().flat_map(|choice| &choice.candidates) {
            candidates.push(CandidateReport {
                codec: one.tried.spec.to_string(),
                bytes_per_record: one.bytes_per_record(),
                encode_mb_per_second: one.encode_speed(),
                decode_mb_per_second: one.decode_speed(),
                price_per_million: one.price(),
                cpu: one.bill.cpu,
                moved: one.bill.moved,
                kept: one.bill.kept,
                model: one.model,
                excluded: one.bar.map(|bar| bar.to_string()),
            });
        }
        candidates.sort_by(|a, b| a.price_per_million.total_cmp(&b.price_per_million));
        let codec = setup.spec.to_string();
        let table: Vec<String> = candidates
            .iter()
            .map(|one| {
                let excluded = one.excluded.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
                format!("{} {:.4} at {:.1} bytes{excluded}", one.codec, one.price_per_million, one.bytes_per_record)
            })
            .collect();
        tracing::info!(
            target: "latentd",
            pipeline = self.parts.settings.name,
            codec,
            "codec in use; the price of 10⁶ records with each that was tried: {}",
            if table.is_empty() { "not known here".to_owned() } else { table.join(", ") }
        );
        let at_ms = i64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_millis()).unwrap_or(i64::MAX);
        self.parts.status.set_choice(ChoiceReport { codec, at_ms, candidates });
    }

    fn signature(&self) -> Signature {
        let at = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        Signature { by: self.parts.by.clone(), at }
    }
}

/// Whether a codec is nothing without its model.
fn needs_model(spec: CodecSpec) -> bool {
    spec.algorithm().is_learned() || spec.algorithm() == Algorithm::ZstdDict
}
