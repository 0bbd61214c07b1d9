//! The thread that learns: has a training done when it is time, and publishes what is better.
//!
//! Of all processes of a group one trains: the one that holds partition 0 of the pipeline's first topic. The others
//! look into the registry and take what was published.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::choice::Choice;
use super::contest::Codecs;
use super::pace::{Counts, Pace};
use super::renewal::{Cause, Decision, Wait};
use super::study::{Beginning, Bookmark, Plan, Study};
use super::{
    Better, Curriculum, Learner, Lecture, Load, Outcome, Publication, Samples, Setup, Stream, Trainer, TrainerError,
};
use crate::codec::{Algorithm, CodecError, CodecSpec, ModelId, ModelSource};
use crate::cost::Prices;
use crate::model::{Family, Manifest, Span};
use crate::pipeline::holdings::Holdings;
use crate::pipeline::pulse::Pulse;
use crate::pipeline::settings::Settings;
use crate::registry::{Activation, Change, Expect, Registry, RegistryError, Signature, Unfinished};
use crate::telemetry::{
    CandidateReport, ChoiceReport, LearningReport, PipelineStatus, ProgressReport, PublishedKind, TrainingReport,
    thread_cpu_seconds,
};

/// How often the thread looks around.
const TICK: Duration = Duration::from_millis(500);

/// How often the registry is asked for a new model, and the newest records are looked at.
const LOOK: Duration = Duration::from_secs(10);

/// Pause after a registry did not answer.
const RETRY: Duration = Duration::from_secs(10);

/// Shortest time between two changes among codecs that were tried already.
const SWITCH: Duration = Duration::from_secs(60);

/// How often the registry is told how far a training is that takes minutes.
const SAVE: Duration = Duration::from_secs(10);

/// How often a line is logged of it.
const TOLD: Duration = Duration::from_secs(60);

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
    /// A permit for each training of minutes that may go on at the same time, in all pipelines together.
    pub threads: Arc<Semaphore>,
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
    study: Option<Study>,
    saved: Instant,
    told: Instant,
    /// Whether there is a training of this pipeline that was begun and not ended is known.
    looked_back: bool,
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
    #[error("no thread to train on: {0}")]
    Thread(#[from] std::io::Error),
    #[error("the thread that trained broke down: this is an error of latentd, please report it")]
    Broken,
}

impl Lesson {
    /// A loop that has not started.
    pub fn new(parts: LessonParts) -> Self {
        let trainer = Trainer::new(parts.curriculum.clone(), parts.prices, parts.learner.clone());
        let now = Instant::now();
        Self {
            parts,
            trainer,
            begun: now,
            pace: Pace::default(),
            known: None,
            looked: None,
            switched: None,
            study: None,
            saved: now,
            told: now,
            looked_back: false,
        }
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
        self.leave();
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
            self.leave();
            self.looked_back = false;
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
            if self.study.is_none() {
                self.reconsider(&stream)?;
            }
        }
        if self.study.is_none() && !self.looked_back {
            self.go_on(&stream)?;
        }
        if self.study.is_some() {
            return self.attend(&stream);
        }
        let asked = self.parts.status.control().is_training_asked();
        let decision = match asked {
            true => self.trainer.decide_what_is_asked(),
            false => self.trainer.decide(self.now(), stream.records),
        };
        match decision {
            Decision::Train(cause) => self.begin(cause, &stream),
            Decision::Wait(_) => {
                self.tell(&decision);
                Ok(())
            }
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
            training: None,
            last: None,
        });
    }

    /// Begins a training, if there is a thread for it.
    fn begin(&mut self, cause: Cause, stream: &Stream) -> Result<(), LessonError> {
        let long = self.parts.curriculum.long_config();
        let permit = match long {
            Some(_) => match Arc::clone(&self.parts.threads).try_acquire_owned() {
                Ok(permit) => Some(permit),
                Err(_) => {
                    self.tell(&Decision::Wait(Wait::Busy));
                    return Ok(());
                }
            },
            None => None,
        };
        self.tell(&Decision::Train(cause));
        // Before it, so that one asked for meanwhile is another one.
        self.parts.status.control().training_begins();
        let assignment = self.trainer.assign(stream);
        let window = self.parts.learner.spans();
        let (plan, beginning) = match long {
            None => (Plan::new(cause.name(), serde_json::Value::Null, window, &[]), Beginning::Anew),
            Some(config) => {
                let samples = assignment.samples.to_bytes();
                let plan = Plan::new(cause.name(), config, window, &samples);
                let progress = plan.with(&Bookmark::default()).into();
                // A training that cannot be gone on with is better than none.
                self.note(|registry, name| {
                    let unfinished = Unfinished { samples: samples.into(), progress };
                    async move { registry.begin_training(&name, &unfinished).await }
                });
                (plan, self.warmth())
            }
        };
        tracing::info!(
            target: "latentd", pipeline = self.parts.settings.name, cause = cause.name(),
            warm = matches!(beginning, Beginning::Warm(_)), "training: {}", Decision::Train(cause)
        );
        self.study = Some(Study::begin(&self.thread_name(), plan, assignment, beginning, permit)?);
        (self.saved, self.told) = (Instant::now(), Instant::now());
        Ok(())
    }

    /// Goes on with a training that another thread, another process or another host began.
    fn go_on(&mut self, stream: &Stream) -> Result<(), LessonError> {
        let Some(config) = self.parts.curriculum.long_config() else {
            self.looked_back = true;
            return Ok(());
        };
        let Ok(permit) = Arc::clone(&self.parts.threads).try_acquire_owned() else { return Ok(()) };
        let LessonParts { registry, runtime, settings, .. } = &self.parts;
        let unfinished = runtime.block_on(registry.unfinished_training(&settings.name))?;
        self.looked_back = true;
        let Some(Unfinished { samples, progress }) = unfinished else { return Ok(()) };
        let read = Plan::read(&progress, &samples).zip(Samples::from_bytes(&samples));
        let Some(((plan, bookmark), samples)) = read.filter(|((plan, _), _)| plan.config == config) else {
            // Damaged, or of other settings.
            return Ok(runtime.block_on(registry.end_training(&settings.name))?);
        };
        tracing::info!(
            target: "latentd", pipeline = settings.name, cause = plan.cause, cpu_seconds = bookmark.spent.as_secs_f64(),
            "training: goes on with one that was not ended"
        );
        let assignment = self.trainer.assignment(stream, samples);
        self.study = Some(Study::begin(&self.thread_name(), plan, assignment, Beginning::At(bookmark), Some(permit))?);
        (self.saved, self.told) = (Instant::now(), Instant::now());
        Ok(())
    }

    /// What the last training came to, if what is in use is its model.
    fn warmth(&self) -> Beginning {
        let Some(id) = self.known.as_ref().and_then(|known| known.model) else { return Beginning::Anew };
        let LessonParts { registry, runtime, .. } = &self.parts;
        match runtime.block_on(registry.state(&id)) {
            Ok(Some(state)) => Beginning::Warm(state.to_vec()),
            Ok(None) => Beginning::Anew,
            Err(error) => {
                self.complain("registry", &error.into());
                Beginning::Anew
            }
        }
    }

    fn thread_name(&self) -> String {
        format!("{}-train", self.parts.settings.name)
    }

    /// Tells the registry something of a training that does without it if need be.
    fn note<F>(&self, request: impl FnOnce(Registry, String) -> F)
    where
        F: Future<Output = Result<(), RegistryError>>,
    {
        let LessonParts { registry, runtime, settings, .. } = &self.parts;
        if let Err(error) = runtime.block_on(request(registry.clone(), settings.name.clone())) {
            self.complain("registry", &error.into());
        }
    }

    fn save(&self, plan: &Plan, bookmark: &Bookmark) {
        let progress = plan.with(bookmark).into();
        self.note(|registry, name| async move { registry.save_training(&name, progress).await });
    }

    /// Looks after a training under way.
    fn attend(&mut self, stream: &Stream) -> Result<(), LessonError> {
        let Some(study) = self.study.take_if(|study| study.has_ended()) else {
            self.watch();
            return Ok(());
        };
        self.parts.status.metrics().set_training(None);
        self.conclude(study, stream)
    }

    /// Tells how far a training is.
    fn watch(&mut self) {
        let Some(study) = &self.study else { return };
        let figures = self.trainer.figures();
        let training = study.progress().map(|(progress, spent)| ProgressReport {
            phase: progress.phase.name().to_owned(),
            fraction: progress.fraction,
            step: progress.step,
            loss: progress.loss,
            validation: (progress.validation < f64::MAX).then_some(progress.validation),
            rewinds: progress.rewinds,
            cpu_seconds: spent.as_secs_f64(),
            cpu_seconds_left: progress.left.as_secs_f64(),
        });
        if let Some(training) = &training {
            self.parts.status.metrics().set_training(Some((training.fraction, training.loss)));
            if self.told.elapsed() >= TOLD {
                self.told = Instant::now();
                tracing::info!(
                    target: "latentd", pipeline = self.parts.settings.name, phase = training.phase, step = training.step,
                    loss = training.loss, validation = training.validation, cpu_seconds = training.cpu_seconds,
                    cpu_seconds_left = training.cpu_seconds_left, "training: {:.0} %", training.fraction * 100.0
                );
            }
        }
        self.parts.status.set_learning(LearningReport {
            decision: "train".to_owned(),
            cause: study.plan().cause.clone(),
            reason: "a training is under way".to_owned(),
            bytes_per_record: figures.live,
            expected_bytes_per_record: figures.expected,
            owed: figures.owed,
            price: figures.price,
            training,
            last: None,
        });
        if self.saved.elapsed() >= SAVE
            && let Some(bookmark) = study.bookmark()
        {
            self.save(study.plan(), &bookmark);
            self.saved = Instant::now();
        }
    }

    /// Ends a training that is somebody else's from here on, or has to wait for the next start. Where it was is kept.
    fn leave(&mut self) {
        let Some(study) = self.study.take() else { return };
        let plan = study.plan().clone();
        if let Some(bookmark) = study.cancel() {
            self.save(&plan, &bookmark);
        }
        self.parts.status.metrics().set_training(None);
        tracing::info!(target: "latentd", pipeline = self.parts.settings.name, "training: ended before it was done");
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

    /// Does what a training led to.
    fn conclude(&mut self, study: Study, stream: &Stream) -> Result<(), LessonError> {
        let (plan, took, long) = (study.plan().clone(), study.took(), self.parts.curriculum.is_long());
        let unchanged = study.setup() == self.trainer.setup();
        let done = study.end().ok_or(LessonError::Broken).and_then(|lecture| Ok(lecture?)).and_then(|mut lecture| {
            if !unchanged {
                lecture.outcome = Outcome::Keep("something else was put to use meanwhile".to_owned());
            }
            let published = match &lecture.outcome {
                Outcome::Take(better) => Some(self.put_to_use(better, Some((&lecture, &plan.window)))?),
                Outcome::Keep(_) | Outcome::Nothing(_) => None,
            };
            Ok((lecture, published))
        });
        let at = self.now();
        let report = |outcome: &str, detail: Option<String>, cpu_seconds: f64| TrainingReport {
            at_ms: i64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_millis()).unwrap_or(i64::MAX),
            cause: plan.cause.clone(),
            outcome: outcome.to_owned(),
            detail,
            cpu_seconds,
        };
        match done {
            Err(error) => {
                // What was begun and not ended is gone on with: it may be the registry that failed.
                self.looked_back = !matches!(error, LessonError::Registry(_));
                self.trainer.failed(at, took, stream.records);
                self.parts.status.trained(report("failed", Some(error.to_string()), 0.0));
                if long && self.looked_back {
                    self.note(|registry, name| async move { registry.end_training(&name).await });
                }
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
                    cause = plan.cause,
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
                let (cpu_seconds, choice) = (lecture.cpu_seconds, lecture.choice.clone());
                self.trainer.trained(at, took, stream.records, lecture, published);
                if choice.is_some() {
                    self.show_choice(choice.as_ref());
                }
                self.parts.status.trained(report(word, detail, cpu_seconds));
                if long {
                    self.note(|registry, name| async move { registry.end_training(&name).await });
                }
                Ok(())
            }
        }
    }

    /// Publishes what has a model, tells the registry what is in use from here on, and lets the workers code with it.
    fn put_to_use(&mut self, better: &Better, made: Option<(&Lecture, &[Span])>) -> Result<Setup, LessonError> {
        let parent = self.known.as_ref().and_then(|known| known.model);
        let mut setup = better.setup.clone();
        let mut model = None;
        if let Some((artefact, family)) = better.setup.artefact.clone().zip(better.setup.family()) {
            let artefact = self.publish(artefact, &family, parent, |manifest| {
                manifest.config = better.config.clone();
                if let Some((lecture, window)) = made {
                    manifest.window = window.to_vec();
                    manifest.metrics = lecture.metrics.clone();
                    manifest.curve = lecture.curve.clone();
                }
            })?;
            if let Some(state) = better.state.clone() {
                let id = ModelId::of(&artefact);
                self.note(|registry, _| async move { registry.keep_state(&id, state.into()).await });
            }
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
