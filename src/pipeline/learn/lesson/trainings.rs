//! Trainings: begun, watched, gone on with, and what they lead to.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;

use super::{Lectured, Lesson, LessonError, LessonParts};
use crate::model::manifest::metric;
use crate::pipeline::learn::generator::Reason;
use crate::pipeline::learn::renewal::{Cause, Decision, Wait};
use crate::pipeline::learn::study::{Beginning, Bookmark, Plan, SAVE, Study};
use crate::pipeline::learn::{Assignment, Outcome, Samples, Stream, Turn};
use crate::registry::{Registry, RegistryError, Unfinished};
use crate::telemetry::{TrainingReport, thread_cpu_seconds, unix_millis};

/// A stream has moved when a model of now saves such a share of what the one before it takes.
const MOVED: f64 = 0.05;

/// How often a line is logged of it.
const TOLD: Duration = Duration::from_secs(60);

impl Lesson {
    /// Begins a training, if there is a thread for it.
    pub(super) fn begin(&mut self, cause: Cause, stream: &Stream) -> Result<(), LessonError> {
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
        // One of minutes takes less at once, and holds up nobody who is done in seconds.
        let turn = match long {
            Some(_) => None,
            None => match self.seat.take() {
                Some(turn) => Some(turn),
                None => {
                    self.tell(&Decision::Wait(Wait::Busy));
                    return Ok(());
                }
            },
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
        if let (Some(course), Cause::Asked) = (&mut self.course, cause) {
            course.wish(Reason::Asked);
        }
        tracing::info!(
            target: "latentd", pipeline = self.parts.settings.name, cause = cause.name(),
            warm = matches!(beginning, Beginning::Warm(_)), "training: {}", Decision::Train(cause)
        );
        self.study = Some(self.study(plan, assignment, beginning, (permit, turn))?);
        (self.saved, self.told) = (Instant::now(), Instant::now());
        Ok(())
    }

    /// Goes on with a training that another thread, another process or another host began.
    pub(super) fn go_on(&mut self, stream: &Stream) -> Result<(), LessonError> {
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
        self.study = Some(self.study(plan, assignment, Beginning::At(bookmark), (Some(permit), None))?);
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

    fn study(
        &self,
        plan: Plan,
        assignment: Assignment,
        beginning: Beginning,
        (permit, turn): (Option<OwnedSemaphorePermit>, Option<Turn>),
    ) -> io::Result<Study<Lectured>> {
        let name = format!("{}-train", self.parts.settings.name);
        let (long, earlier) = (assignment.curriculum.is_long(), beginning.spent());
        Study::begin(&name, plan, long, beginning, permit, move |start, monitor| {
            let _turn = turn;
            // What it learned from is given up before the turn is.
            let assignment = assignment;
            let mut lecture = assignment.work(&thread_cpu_seconds, start, monitor)?;
            lecture.took_cpu(earlier.as_secs_f64());
            Ok(lecture)
        })
    }

    /// Tells the registry something of a training that does without it if need be.
    pub(super) fn note<F>(&self, request: impl FnOnce(Registry, String) -> F)
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
    pub(super) fn attend(&mut self, stream: &Stream) -> Result<(), LessonError> {
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
        let training = study.report();
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
        self.report("train", &study.plan().cause, "a training is under way".to_owned(), training);
        if self.saved.elapsed() >= SAVE
            && let Some(bookmark) = study.bookmark()
        {
            self.save(study.plan(), &bookmark);
            self.saved = Instant::now();
        }
    }

    /// Ends a training that is somebody else's from here on, or has to wait for the next start. Where it was is kept.
    pub(super) fn leave(&mut self) {
        let Some(study) = self.study.take() else { return };
        let plan = study.plan().clone();
        if let Some(bookmark) = study.cancel() {
            self.save(&plan, &bookmark);
        }
        self.parts.status.metrics().set_training(None);
        tracing::info!(target: "latentd", pipeline = self.parts.settings.name, "training: ended before it was done");
    }

    /// Does what a training led to.
    fn conclude(&mut self, study: Study<Lectured>, stream: &Stream) -> Result<(), LessonError> {
        let (plan, took, long) = (study.plan().clone(), study.took(), self.parts.curriculum.is_long());
        let done = study.end().ok_or(LessonError::Broken).and_then(|lecture| Ok(lecture?)).and_then(|mut lecture| {
            if lecture.against.as_ref() != self.trainer.setup() {
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
            at_ms: unix_millis(),
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
                if let Some(bytes) = lecture.metrics.get(metric::CANDIDATE) {
                    self.parts.status.metrics().set_bytes_per_record("holdout", *bytes);
                }
                let has_moved = published.is_some() && lecture.gain.is_some_and(|gain| gain >= MOVED);
                if let Some(course) = self.course.as_mut().filter(|_| has_moved) {
                    course.wish(Reason::Moved);
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
}
