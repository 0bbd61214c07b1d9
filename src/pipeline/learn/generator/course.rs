//! The generator of one pipeline: trained when it is time, tried by the examiner, put to use, and followed where another process
//! puts one to use. What a training learns from and how far it is lies in the registry, beside the codec's: whoever trains next goes on
//! with one that was not ended.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::timetable::{Reason, Rest, Timetable};
use super::{Bounds, Drawing, Drawn, Material};
use crate::codec::ModelId;
use crate::model::{Manifest, Monitor, Start};
use crate::pipeline::augment::{Examiner, Subject as Examinee};
use crate::pipeline::learn::study::{Beginning, Bookmark, Plan, SAVE, Study};
use crate::pipeline::learn::subject::SubjectError;
use crate::pipeline::learn::{Learner, Publication, Seat, Turn};
use crate::pipeline::settings::{LearnSettings, Settings};
use crate::quality::Verdict;
use crate::registry::{Activation, Change, Expect, Registry, RegistryError, Signature, Unfinished, generator_of};
use crate::telemetry::{
    GeneratorReport, PipelineStatus, ProgressReport, TrainingReport, thread_cpu_seconds, unix_millis,
};

/// What came of a training, and the CPU time that it took.
type Trained = Result<(Result<Drawn, String>, f64, Vec<Vec<u8>>), SubjectError>;

/// What a course is made from.
pub struct CourseParts {
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
    /// Who changes models: name and instance of the process.
    pub by: String,
    /// What shows how it stands.
    pub status: Arc<PipelineStatus>,
    /// A permit for each training of minutes that may go on at the same time, in all pipelines together.
    pub threads: Arc<Semaphore>,
}

/// The generator of one pipeline.
pub struct Course {
    parts: CourseParts,
    drawing: Drawing,
    timetable: Timetable,
    /// The generator's log in the registry.
    log: String,
    known: Option<Activation>,
    in_use: Option<Examinee>,
    study: Option<Study<Trained>>,
    saved: Instant,
    /// Whether there is a training that was begun and not ended is known.
    looked_back: bool,
    /// When the registry did not say so.
    refused: Option<Instant>,
    last: Option<TrainingReport>,
}

/// Why a course led to nothing.
#[derive(Debug, thiserror::Error)]
pub enum CourseError {
    /// The registry does not answer.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The training failed.
    #[error(transparent)]
    Training(#[from] SubjectError),
    /// The operating system refused a thread.
    #[error("no thread to train a generator on: {0}")]
    Thread(#[from] std::io::Error),
    /// Its thread panicked.
    #[error("the thread that trained a generator broke down: this is an error of latentd, please report it")]
    Broken,
}

/// What a training led to.
enum Outcome {
    Replaced,
    Kept(String),
    Nothing(String),
}

impl Outcome {
    fn told(self) -> (&'static str, Option<String>) {
        match self {
            Self::Replaced => ("replaced", None),
            Self::Kept(why) => ("kept", Some(why)),
            Self::Nothing(why) => ("nothing", Some(why)),
        }
    }
}

impl Course {
    /// A course that has not begun, where the pipeline learns to draw beside its codec.
    pub fn new(parts: CourseParts) -> Option<Self> {
        let drawing = Drawing::of(&parts.settings)?;
        let timetable = Timetable::new(parts.learn.every, drawing.enough());
        let log = generator_of(&parts.settings.name);
        Some(Self {
            parts,
            drawing,
            timetable,
            log,
            known: None,
            in_use: None,
            study: None,
            saved: Instant::now(),
            looked_back: false,
            refused: None,
            last: None,
        })
    }

    /// The generator in use.
    pub fn in_use(&self) -> Option<&Examinee> {
        self.in_use.as_ref()
    }

    /// There is a sign that another one is needed.
    pub fn wish(&mut self, reason: Reason) {
        self.timetable.wish(reason);
    }

    /// Takes what somebody else put to use.
    pub fn follow(&mut self, at: Duration) -> Result<(), CourseError> {
        let CourseParts { registry, runtime, .. } = &self.parts;
        let newest = runtime.block_on(async {
            match &self.known {
                Some(known) => registry.newer(known).await,
                None => registry.active(&self.log).await,
            }
        })?;
        let Some(activation) = newest else { return Ok(()) };
        // First, so that a registry that fails takes nothing away.
        let model = activation.model.map(|id| runtime.block_on(registry.load(&id))).transpose()?;
        self.in_use = None;
        self.timetable.gone();
        if let Some((id, model)) = activation.model.zip(model) {
            let family = model.manifest.family;
            let too_many = self.drawing.too_many(&family, &model.artefact);
            if let Some(held) = too_many {
                tracing::warn!(
                    target: "latentd", pipeline = self.parts.settings.name, model = %id,
                    "the generator in use holds {held} records, more than `augment.bases` allows, and is not drawn from any more"
                );
            } else if self.drawing.takes(&family, &model.artefact) {
                let records = model.manifest.config.get("records").and_then(serde_json::Value::as_u64);
                self.timetable.taken(at, records);
                self.in_use = Some(Examinee { model: id, family, artefact: model.artefact.as_ref().into() });
            } else {
                tracing::info!(
                    pipeline = self.parts.settings.name, model = %id, family = %family,
                    "the registry's generator is of another family, or draws other things, and is not used"
                );
            }
        }
        if activation.change == Change::Rollback {
            self.timetable.held(at);
        }
        self.known = Some(activation);
        Ok(())
    }

    /// Begins a training when it is time, and looks after one that is under way.
    pub fn step(&mut self, at: Duration, examiner: Option<&mut Examiner>, seat: &mut Seat) -> Result<(), CourseError> {
        if self.study.as_ref().is_some_and(Study::has_ended) {
            // What it came to is judged.
            let Some(turn) = seat.take() else { return Ok(()) };
            let Some(study) = self.study.take() else { return Ok(()) };
            self.parts.status.metrics().set_training(None);
            return self.conclude(study, at, examiner, &turn);
        }
        let refused = self.refused.is_some_and(|at| at.elapsed() < SAVE);
        if self.study.is_none() && !self.looked_back && !self.timetable.rests(at) {
            if !refused {
                self.go_on(seat)?;
            }
            if !self.looked_back {
                // Another one would be written over what may lie there.
                self.tell("wait", Rest::Busy.name(), Rest::Busy.to_string(), None);
                return Ok(());
            }
        }
        if self.study.is_some() {
            self.watch();
            return Ok(());
        }
        let (seen, _) = self.parts.learner.seen();
        match self.timetable.decide(at, seen, self.available()) {
            Ok(reason) => self.begin(reason, seat),
            Err(rest) => {
                self.tell("wait", rest.name(), rest.to_string(), None);
                Ok(())
            }
        }
    }

    /// Says that another process trains; ends a training that is that one's from here on.
    pub fn rest(&mut self) {
        self.leave();
        self.looked_back = false;
        self.tell("wait", "elsewhere", "the process that holds the topic's first partition trains".to_owned(), None);
    }

    /// Ends a training before it is done. Where it was is kept.
    pub fn leave(&mut self) {
        let Some(study) = self.study.take() else { return };
        let plan = study.plan().clone();
        if let Some(bookmark) = study.cancel() {
            self.save(&plan, &bookmark);
        }
        self.parts.status.metrics().set_training(None);
        tracing::info!(
            target: "latentd", pipeline = self.parts.settings.name, "training of a generator: ended before it was done"
        );
    }

    /// About how many records a training would learn from now.
    fn available(&self) -> u64 {
        let (records, bytes) = self.parts.learner.seen();
        let most: Bounds = self.drawing.bounds();
        let kept = self.parts.learn.reservoir.bytes().min(most.bytes as u64 * 5 / 4);
        let share = (kept as f64 / bytes.max(1) as f64).min(1.0);
        // A fifth of what is kept judges.
        ((records as f64 * share * 0.8) as u64).min(most.records as u64)
    }

    /// The permit and the turn that a training takes to begin. A place in the row is kept only where there is a thread.
    fn admit(&self, seat: &mut Seat) -> Option<(OwnedSemaphorePermit, Turn)> {
        let permit = Arc::clone(&self.parts.threads).try_acquire_owned().ok()?;
        Some((permit, seat.take()?))
    }

    fn begin(&mut self, reason: Reason, seat: &mut Seat) -> Result<(), CourseError> {
        let Some(admitted) = self.admit(seat) else {
            self.tell("wait", Rest::Busy.name(), Rest::Busy.to_string(), None);
            return Ok(());
        };
        self.tell("train", reason.name(), reason.to_string(), None);
        // What the reservoir gives up meanwhile is to be free: what is learned from is a copy.
        let samples = self.parts.learner.scattered(self.drawing.holdout_bytes());
        let material = self.drawing.material(&samples);
        drop(samples);
        let samples = material.to_bytes();
        let plan = Plan::new(reason.name(), self.drawing.config(), self.parts.learner.spans(), &samples);
        let progress = plan.with(&Bookmark::default()).into();
        // A training that cannot be gone on with is better than none.
        self.note(|registry, log| async move {
            registry.begin_training(&log, &Unfinished { samples: samples.into(), progress }).await
        });
        tracing::info!(
            target: "latentd", pipeline = self.parts.settings.name, cause = reason.name(), "training of a generator: {reason}"
        );
        self.study = Some(self.study(plan, material, Beginning::Anew, admitted)?);
        self.saved = Instant::now();
        Ok(())
    }

    /// Goes on with a training that another thread, another process or another host began.
    fn go_on(&mut self, seat: &mut Seat) -> Result<(), CourseError> {
        let Some(admitted) = self.admit(seat) else { return Ok(()) };
        let CourseParts { registry, runtime, settings, .. } = &self.parts;
        let unfinished = match runtime.block_on(registry.unfinished_training(&self.log)) {
            Ok(unfinished) => unfinished,
            Err(error) => {
                self.refused = Some(Instant::now());
                return Err(error.into());
            }
        };
        self.looked_back = true;
        let Some(Unfinished { samples, progress }) = unfinished else { return Ok(()) };
        let read = Plan::read(&progress, &samples).zip(Material::from_bytes(&samples));
        let Some(((plan, bookmark), material)) = read.filter(|((plan, _), _)| plan.config == self.drawing.config())
        else {
            // Damaged, or of other settings.
            return Ok(runtime.block_on(registry.end_training(&self.log))?);
        };
        tracing::info!(
            target: "latentd", pipeline = settings.name, cause = plan.cause, cpu_seconds = bookmark.spent.as_secs_f64(),
            "training of a generator: goes on with one that was not ended"
        );
        self.study = Some(self.study(plan, material, Beginning::At(bookmark), admitted)?);
        self.saved = Instant::now();
        Ok(())
    }

    fn study(
        &self,
        plan: Plan,
        material: Material,
        beginning: Beginning,
        (permit, turn): (OwnedSemaphorePermit, Turn),
    ) -> io::Result<Study<Trained>> {
        let (name, drawing) = (format!("{}-draw", self.parts.settings.name), self.drawing.clone());
        let earlier = beginning.spent().as_secs_f64();
        let work = move |_: Start<'_>, monitor: &mut dyn Monitor| -> Trained {
            let begun = thread_cpu_seconds();
            let remembered = drawing.remembered(&material);
            let drawn = drawing.train(material, turn, monitor)?;
            Ok((drawn, earlier + thread_cpu_seconds() - begun, remembered))
        };
        Study::begin(&name, plan, true, beginning, Some(permit), work)
    }

    /// Tells the registry something of a training that does without it if need be.
    fn note<F>(&self, request: impl FnOnce(Registry, String) -> F)
    where
        F: Future<Output = Result<(), RegistryError>>,
    {
        let CourseParts { registry, runtime, status, .. } = &self.parts;
        if let Err(error) = runtime.block_on(request(registry.clone(), self.log.clone())) {
            status.error("registry", &error);
        }
    }

    fn save(&self, plan: &Plan, bookmark: &Bookmark) {
        let progress = plan.with(bookmark).into();
        self.note(|registry, log| async move { registry.save_training(&log, progress).await });
    }

    /// Tells how far a training is.
    fn watch(&mut self) {
        let Some(study) = &self.study else { return };
        let training = study.report();
        if let Some(training) = &training {
            self.parts.status.metrics().set_training(Some((training.fraction, training.loss)));
        }
        self.tell("train", &study.plan().cause, "a training is under way".to_owned(), training);
        if self.saved.elapsed() >= SAVE
            && let Some(bookmark) = study.bookmark()
        {
            self.save(study.plan(), &bookmark);
            self.saved = Instant::now();
        }
    }

    /// Does what a training led to.
    fn conclude(
        &mut self,
        study: Study<Trained>,
        at: Duration,
        examiner: Option<&mut Examiner>,
        turn: &Turn,
    ) -> Result<(), CourseError> {
        let (plan, took) = (study.plan().clone(), study.took());
        let trained = study.end().ok_or(CourseError::Broken).and_then(|trained| Ok(trained?));
        let mut cpu_seconds = 0.0;
        let done = trained.and_then(|(drawn, cpu, remembered)| {
            cpu_seconds = cpu;
            match drawn {
                Ok(drawn) => self.put_to_use((drawn, remembered), &plan, at, examiner, turn),
                Err(reason) => Ok(Outcome::Nothing(reason)),
            }
        });
        self.timetable.trained(at, took, matches!(done, Ok(Outcome::Replaced)));
        // What was begun and not ended is gone on with: it may be the registry that failed.
        self.looked_back = !matches!(done, Err(CourseError::Registry(_)));
        if self.looked_back {
            self.note(|registry, log| async move { registry.end_training(&log).await });
        }
        let (done, outcome, detail) = match done {
            Ok(outcome) => {
                let (word, detail) = outcome.told();
                (Ok(()), word, detail)
            }
            Err(error) => {
                let detail = error.to_string();
                (Err(error), "failed", Some(detail))
            }
        };
        tracing::info!(
            target: "latentd", pipeline = self.parts.settings.name, cause = plan.cause, outcome,
            seconds = took.as_secs_f64(), cpu_seconds,
            "trained a generator{}", detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default()
        );
        self.parts.status.metrics().training(outcome);
        let (cause, outcome) = (plan.cause, outcome.to_owned());
        self.last = Some(TrainingReport { at_ms: unix_millis(), cause, outcome, detail, cpu_seconds });
        done
    }

    /// Publishes a generator, lets it be judged, and puts it to use: one that is blocked takes the place of none that is not.
    fn put_to_use(
        &mut self,
        (drawn, remembered): (Drawn, Vec<Vec<u8>>),
        plan: &Plan,
        at: Duration,
        examiner: Option<&mut Examiner>,
        turn: &Turn,
    ) -> Result<Outcome, CourseError> {
        let CourseParts { registry, runtime, settings, learner, by, .. } = &self.parts;
        let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        // What only draws codes nothing that is kept.
        let signature = Signature { by: by.clone(), at: now, retention_ms: None };
        let parent = self.known.as_ref().and_then(|known| known.model);
        let family = self.drawing.family();
        let mut manifest =
            Manifest::new(&drawn.artefact, family.clone(), settings.name.as_str(), signature.at.as_str());
        manifest.parent = parent;
        manifest.window.clone_from(&plan.window);
        manifest.seed = self.drawing.seed();
        manifest.config = self.drawing.config();
        manifest.config["records"] = drawn.records.into();
        manifest.metrics = drawn.metrics;
        manifest.curve = drawn.curve;
        let publication = Publication { manifest, artefact: drawn.artefact };
        let artefact = runtime.block_on(publication.publish(registry))?.artefact;
        let candidate = Examinee { model: ModelId::of(&artefact), family, artefact };
        let blocked = examiner.and_then(|examiner| {
            let verdict = examiner.try_out(&candidate, remembered, learner, turn);
            let holds = self.in_use.as_ref().is_some_and(|in_use| examiner.publishes(&in_use.model));
            match verdict {
                Ok(Some(Verdict::Block)) if holds => Some("what it draws is blocked".to_owned()),
                Err(error) if holds => Some(error.to_string()),
                Ok(_) | Err(_) => None,
            }
        });
        if let Some(why) = blocked {
            return Ok(Outcome::Kept(why));
        }
        let expected = Expect::Model(parent);
        let activation = runtime.block_on(registry.set_active(&self.log, &candidate.model, expected, &signature))?;
        self.known = Some(activation);
        self.in_use = Some(candidate);
        self.timetable.taken(at, Some(drawn.records));
        Ok(Outcome::Replaced)
    }

    fn tell(&self, decision: &str, cause: &str, reason: String, training: Option<ProgressReport>) {
        self.parts.status.set_generator(GeneratorReport {
            decision: decision.to_owned(),
            cause: cause.to_owned(),
            reason,
            model: self.in_use.as_ref().map(|in_use| in_use.model.to_string()),
            training,
            last: self.last.clone(),
        });
    }
}
