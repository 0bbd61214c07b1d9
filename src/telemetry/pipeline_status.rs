//! What a pipeline says about itself, and what it is asked: written by its threads, read by the API.
//!
//! Writers take a short lock at most once per batch. Every method does all that belongs to its occasion: status,
//! metric, event and log line, so that the place where something happens needs one call.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::augmenting::{AugmentReport, GeneratorReport};
use super::clock::unix_millis;
use super::condition::Condition;
use super::events::{EventKind, Events};
use super::learning::{ChoiceReport, LearningReport, TrainingReport};
use super::limiter::{Limiter, Verdict};
use super::log::ErrorLog;
use super::pipeline_metrics::PipelineMetrics;
use super::rates::{RateWindow, Totals};
use super::snapshot::{ErrorReport, ModelReport, PipelineInfo, PipelineSnapshot};
use super::state::PipelineState;
use super::worker_status::{Worker, WorkerStatus};
use crate::record::TopicPartition;

/// At most one event of dead letters per reason, and of aborts per worker, in this time.
const REPEATED_EVENTS: Duration = Duration::from_secs(1);

/// What a pipeline is asked to do while it runs.
#[derive(Debug, Default)]
pub struct Control {
    paused: AtomicBool,
    training: AtomicBool,
}

impl Control {
    /// Asks it to keep its partitions and consume nothing.
    pub fn pause(&self) {
        self.paused.store(true, Ordering::Release);
    }
    /// Asks it to go on.
    pub fn resume(&self) {
        self.paused.store(false, Ordering::Release);
    }
    /// What was asked last.
    pub fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Acquire)
    }
    /// Asks it to train, as soon as there is enough to learn from.
    pub fn train(&self) {
        self.training.store(true, Ordering::Release);
    }
    /// Whether a training was asked for that has not begun.
    pub fn is_training_asked(&self) -> bool {
        self.training.load(Ordering::Acquire)
    }
    /// A training begins.
    pub fn training_begins(&self) {
        self.training.store(false, Ordering::Release);
    }
}

/// What a pipeline says about itself.
pub struct PipelineStatus {
    info: PipelineInfo,
    metrics: PipelineMetrics,
    pub(super) events: Arc<Events>,
    pub(super) errors: ErrorLog,
    control: Arc<Control>,
    retired: AtomicBool,
    now: Mutex<Now>,
    rates: Mutex<RateWindow>,
    dead_letters: Mutex<Limiter<&'static str>>,
    aborts: Mutex<Limiter<usize>>,
}

pub(super) struct Now {
    /// What the pipeline says of itself, its workers aside.
    own: Condition,
    /// What is shown: made of its own word and its workers'.
    shown: Condition,
    since_ms: i64,
    model: Option<ModelReport>,
    learning: Option<LearningReport>,
    choice: Option<ChoiceReport>,
    augment: Option<AugmentReport>,
    generator: Option<GeneratorReport>,
    last_error: Option<ErrorReport>,
    pub(super) last_commit_ms: Option<i64>,
    lives: u64,
    pub(super) workers: BTreeMap<usize, Worker>,
}

impl PipelineStatus {
    pub(super) fn new(
        info: PipelineInfo,
        metrics: PipelineMetrics,
        events: Arc<Events>,
        errors: ErrorLog,
        control: Arc<Control>,
    ) -> Self {
        metrics.set_state(PipelineState::Starting);
        Self {
            info,
            metrics,
            events,
            errors,
            control,
            retired: AtomicBool::new(false),
            now: Mutex::new(Now {
                own: Condition::default(),
                shown: Condition::default(),
                since_ms: unix_millis(),
                model: None,
                learning: None,
                choice: None,
                augment: None,
                generator: None,
                last_error: None,
                last_commit_ms: None,
                lives: 0,
                workers: BTreeMap::new(),
            }),
            rates: Mutex::default(),
            dead_letters: Mutex::new(Limiter::new(1, REPEATED_EVENTS)),
            aborts: Mutex::new(Limiter::new(1, REPEATED_EVENTS)),
        }
    }

    /// What the pipeline was told.
    pub fn info(&self) -> &PipelineInfo {
        &self.info
    }

    /// The pipeline's metrics.
    pub fn metrics(&self) -> &PipelineMetrics {
        &self.metrics
    }

    /// What the pipeline is asked.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Another pipeline of this name takes this one's place, or none does: from here on it speaks for itself alone, and
    /// no longer for the name in metrics and events. Returns what was asked of it, for its successor.
    pub(super) fn retire(&self) -> Arc<Control> {
        // Whoever writes holds this lock, so that nothing of before is written after.
        let _now = self.lock();
        self.retired.store(true, Ordering::Release);
        Arc::clone(&self.control)
    }

    /// The pipeline says of itself, its workers aside, that it is in this state, for this reason (empty: nothing to
    /// say). `Running` means that its workers are at work: then it shows what they do.
    pub fn set_state(&self, state: PipelineState, reason: &str) {
        self.change(|now| now.own = Condition::new(state, reason));
    }

    /// Changes something. What is shown follows, and is told and logged when it is something else than before.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Now) -> T) -> T {
        let mut now = self.lock();
        let done = change(&mut now);
        let workers = now.workers.values().map(|worker| &worker.condition);
        let shown = Condition::of_whole(&now.own, workers).clone();
        if shown == now.shown {
            return done;
        }
        let same_state = now.shown.state == shown.state;
        if !same_state {
            now.since_ms = unix_millis();
        }
        now.shown = shown.clone();
        if self.retired.load(Ordering::Acquire) {
            return done;
        }
        self.metrics.set_state(shown.state);
        let event = EventKind::State { state: shown.state, reason: shown.reason.clone() };
        self.events.publish(Some(&self.info.name), event);
        drop(now);
        self.log_state(&shown, same_state);
        done
    }

    fn log_state(&self, shown: &Condition, same_state: bool) {
        let name = self.info.name.as_str();
        let state = shown.state;
        let because = shown.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        match state {
            PipelineState::Failed => tracing::error!(target: "latentd", pipeline = name, "failed{because}"),
            PipelineState::Waiting => self.errors.warn(name, "waiting", &format_args!("waiting{because}")),
            // The same state for another reason is worth an event, not a line.
            _ if same_state => {}
            _ => self.errors.info(name, state.name(), &format_args!("{state}{because}")),
        }
    }

    /// The pipeline's state.
    pub fn state(&self) -> (PipelineState, Option<String>) {
        let now = self.lock();
        (now.shown.state, now.shown.reason.clone())
    }

    /// Another model is in use: its id and family.
    pub fn set_model(&self, model: Option<(&str, &str)>) {
        let report = model.map(|(id, family)| ModelReport { id: id.to_owned(), family: family.to_owned() });
        {
            let mut now = self.lock();
            if now.model == report {
                return;
            }
            now.model.clone_from(&report);
            if self.retired.load(Ordering::Acquire) {
                return;
            }
            self.metrics.set_model(model);
            let (id, family) = report.map(|report| (report.id, report.family)).unzip();
            self.events.publish(Some(&self.info.name), EventKind::Model { id, family });
        }
        let (id, family) = model.unzip();
        tracing::info!(target: "latentd", pipeline = self.info.name, id, family, "model in use");
    }

    /// How learning stands, once it has begun.
    pub fn learning(&self) -> Option<LearningReport> {
        self.lock().learning.clone()
    }

    /// How learning stands. A change of its cause is worth a line.
    pub fn set_learning(&self, mut report: LearningReport) {
        let changed = {
            let mut now = self.lock();
            let before = now.learning.take();
            let changed = before.as_ref().is_none_or(|before| before.cause != report.cause);
            report.last = report.last.or_else(|| before.and_then(|before| before.last));
            now.learning = Some(report.clone());
            changed
        };
        if self.retired.load(Ordering::Acquire) {
            return;
        }
        if let Some(bytes) = report.bytes_per_record {
            self.metrics.set_bytes_per_record("live", bytes);
        }
        if let Some(bytes) = report.expected_bytes_per_record {
            self.metrics.set_bytes_per_record("expected", bytes);
        }
        if changed {
            tracing::info!(
                target: "latentd",
                pipeline = self.info.name,
                decision = report.decision,
                cause = report.cause,
                "learning: {}",
                report.reason
            );
        }
    }

    /// A training has ended.
    pub fn trained(&self, report: TrainingReport) {
        if !self.retired.load(Ordering::Acquire) {
            self.metrics.training(&report.outcome);
        }
        self.lock().learning.get_or_insert_default().last = Some(report);
    }

    /// Another codec is in use, or the same one at other prices.
    pub fn set_choice(&self, report: ChoiceReport) {
        let before = self.lock().choice.replace(report.clone());
        if self.retired.load(Ordering::Acquire) {
            return;
        }
        let prices = report.candidates.iter().map(|one| (one.codec.as_str(), one.price_per_million));
        self.metrics.set_choice(&report.codec, prices);
        if before.is_none_or(|before| before.codec != report.codec) {
            self.events.publish(Some(&self.info.name), EventKind::Codec { codec: report.codec.clone() });
        }
    }

    /// How generating stands. Another state, or the same for another reason while it is blocked, is told and logged.
    pub fn set_augment(&self, report: AugmentReport) {
        let before = self.lock().augment.replace(report.clone());
        if self.retired.load(Ordering::Acquire) {
            return;
        }
        let gates = report.gates.iter().map(|gate| (gate.gate.as_str(), gate.value, gate.threshold));
        self.metrics.set_gates(report.state == "blocked", gates);
        let same = before.is_some_and(|before| {
            before.state == report.state
                && before.model == report.model
                && (report.state != "blocked" || before.reason == report.reason)
        });
        if same {
            return;
        }
        let name = self.info.name.as_str();
        let (model, reason) = (report.model.clone(), report.reason.as_str());
        match report.state.as_str() {
            "blocked" => {
                self.errors.warn(name, "blocked", &format_args!("generated records are not published: {reason}"))
            }
            state => tracing::info!(target: "latentd", pipeline = name, model, "generated records: {state}: {reason}"),
        }
        let kind = EventKind::Augment { state: report.state, reason: report.reason, model };
        self.events.publish(Some(name), kind);
    }

    /// How the learning of a generator stands.
    pub fn set_generator(&self, report: GeneratorReport) {
        self.lock().generator = Some(report);
    }

    /// Something outside of a worker went wrong, and the pipeline goes on. Logged, but not too often.
    pub fn error(&self, kind: &'static str, error: &dyn fmt::Display) {
        ErrorReport::note(&mut self.lock().last_error, kind, error);
        self.errors.warn(&self.info.name, kind, error);
    }

    /// A record went to the dead-letter topic. Its counters are the caller's, who adds them up per batch.
    pub fn dead_letter(&self, reason: &'static str, at: &TopicPartition, offset: i64, message: &str) {
        let verdict = self.dead_letters.lock().unwrap_or_else(PoisonError::into_inner).check(reason, Instant::now());
        let Verdict::Emit { suppressed } = verdict else { return };
        let origin = format!("{at}/{offset}");
        self.errors.warn(&self.info.name, reason, &format_args!("record {origin} is a dead letter: {message}"));
        let kind = EventKind::DeadLetters {
            reason: reason.to_owned(),
            count: suppressed + 1,
            message: message.to_owned(),
            origin,
        };
        self.events.publish(Some(&self.info.name), kind);
    }

    /// A transaction of a worker was aborted. Its counters are the caller's.
    pub(super) fn aborted(&self, worker: usize, reason: &dyn fmt::Display) {
        self.errors.warn(&self.info.name, "aborted", reason);
        let verdict = self.aborts.lock().unwrap_or_else(PoisonError::into_inner).check(worker, Instant::now());
        let Verdict::Emit { suppressed } = verdict else { return };
        let kind = EventKind::Aborted { worker, reason: reason.to_string(), count: suppressed + 1 };
        self.events.publish(Some(&self.info.name), kind);
    }

    /// A worker begins. What an earlier worker of this number still writes has no effect.
    pub fn worker(self: &Arc<Self>, worker: usize) -> WorkerStatus {
        let life = self.change(|now| {
            now.lives += 1;
            let before = now.workers.remove(&worker);
            now.workers.insert(worker, Worker::new(now.lives, before));
            now.lives
        });
        WorkerStatus::new(Arc::clone(self), worker, life)
    }

    pub(super) fn sample(&self, now: Instant) {
        self.rates.lock().unwrap_or_else(PoisonError::into_inner).sample(now, Totals::read(&self.metrics));
    }

    /// The pipeline as the API shows it.
    pub fn snapshot(&self) -> PipelineSnapshot {
        let totals = Totals::read(&self.metrics);
        let rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner).rates();
        let quotient = |raw: u64, coded: u64| (raw > 0 && coded > 0).then(|| raw as f64 / coded as f64);
        let ratio = if self.info.operation == "restore" {
            quotient(totals.published_bytes, totals.consumed_bytes)
        } else {
            quotient(totals.consumed_bytes, totals.published_bytes)
        };
        let now = self.lock();
        let workers: Vec<_> = now.workers.iter().map(|(index, worker)| worker.snapshot(*index)).collect();
        PipelineSnapshot {
            info: self.info.clone(),
            state: now.shown.state,
            reason: now.shown.reason.clone(),
            since_ms: now.since_ms,
            pause_requested: self.control.is_paused(),
            totals,
            rates,
            ratio,
            kafka_ratio: quotient(self.metrics.baseline_input_bytes.get(), self.metrics.baseline_bytes.get()),
            lag_records: workers.iter().flat_map(|w| &w.partitions).filter_map(|partition| partition.lag).sum(),
            last_commit_ms: now.last_commit_ms,
            model: now.model.clone(),
            learning: now.learning.clone(),
            choice: now.choice.clone(),
            augment: now.augment.clone(),
            generator: now.generator.clone(),
            last_error: now.last_error.clone(),
            workers,
        }
    }

    /// The label of a partition in the metrics.
    pub(super) fn label(&self, at: &TopicPartition) -> String {
        if self.info.several_topics { at.to_string() } else { at.partition.to_string() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for PipelineStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PipelineStatus").field(&self.info.name).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Heard, PublishedKind, StatusBoard};
    use super::*;

    fn info() -> PipelineInfo {
        PipelineInfo {
            name: "flights".to_owned(),
            operation: "compress".to_owned(),
            from: vec!["flights".to_owned()],
            to: "flights.z".to_owned(),
            codec: Some("zstd".to_owned()),
            layout: Some("block".to_owned()),
            delivery: "exactly-once".to_owned(),
            several_topics: false,
        }
    }

    /// The events so far.
    fn events(board: &StatusBoard) -> Vec<EventKind> {
        let mut all = board.events().subscribe(usize::MAX);
        let mut kinds = Vec::new();
        while let Some(Some(Heard::Event(event))) = futures::FutureExt::now_or_never(all.next()) {
            kinds.push(event.kind.clone());
        }
        kinds
    }

    #[test]
    fn a_state_is_told_once_and_keeps_its_time_when_only_its_reason_changes() {
        let board = StatusBoard::new("1");
        let status = board.add(info());
        status.set_state(PipelineState::Waiting, "no broker");
        let since = status.snapshot().since_ms;
        status.set_state(PipelineState::Waiting, "no broker");
        status.set_state(PipelineState::Waiting, "no topic");
        let snapshot = status.snapshot();
        assert_eq!((snapshot.since_ms, snapshot.reason.as_deref()), (since, Some("no topic")));
        let state = |reason: &str| EventKind::State { state: PipelineState::Waiting, reason: Some(reason.to_owned()) };
        assert_eq!(events(&board), [state("no broker"), state("no topic")]);
    }

    #[test]
    fn the_ratio_is_raw_over_coded_whichever_way_the_pipeline_goes() {
        let board = StatusBoard::new("1");
        let compress = board.add(info());
        assert_eq!(compress.snapshot().ratio, None);
        compress.metrics().consumed_bytes.inc_by(1000);
        compress.metrics().published(PublishedKind::Compressed).bytes.inc_by(100);
        compress.metrics().baseline_input_bytes.inc_by(500);
        compress.metrics().baseline_bytes.inc_by(100);
        assert_eq!((compress.snapshot().ratio, compress.snapshot().kafka_ratio), (Some(10.0), Some(5.0)));
        let restore = board.add(PipelineInfo { name: "back".to_owned(), operation: "restore".to_owned(), ..info() });
        restore.metrics().consumed_bytes.inc_by(100);
        restore.metrics().published(PublishedKind::Restored).bytes.inc_by(1000);
        assert_eq!(restore.snapshot().ratio, Some(10.0));
    }

    #[test]
    fn a_flood_of_aborts_is_one_event_per_second_and_worker() {
        let board = StatusBoard::new("1");
        let status = board.add(info());
        for _ in 0..1000 {
            status.aborted(0, &"no broker");
            status.aborted(1, &"no broker");
        }
        let events = events(&board);
        // Two, unless this test took longer than a second.
        assert!((2..100).contains(&events.len()), "{events:?}");
        assert_eq!(events[1], EventKind::Aborted { worker: 1, reason: "no broker".to_owned(), count: 1 });
    }

    #[test]
    fn a_pipeline_shows_what_its_workers_do_while_it_says_that_it_runs() {
        let board = StatusBoard::new("1");
        let status = board.add(info());
        let workers = [status.worker(0), status.worker(1)];
        workers[0].set_state(PipelineState::Running, "");
        assert_eq!(status.state().0, PipelineState::Starting, "the pipeline is not done with starting its workers");
        status.set_state(PipelineState::Running, "");
        assert_eq!(status.state().0, PipelineState::Starting, "one worker has not joined yet");
        workers[1].set_state(PipelineState::Running, "");
        assert!(board.readiness().ready);
        workers[1].set_state(PipelineState::Waiting, "no broker");
        workers[0].set_state(PipelineState::Running, "");
        assert_eq!(status.state(), (PipelineState::Waiting, Some("no broker".to_owned())));
        assert!(!board.readiness().ready);
        let shown = status.snapshot();
        assert_eq!((shown.workers[0].state, shown.workers[1].state), (PipelineState::Running, PipelineState::Waiting));
        status.set_state(PipelineState::Draining, "");
        workers[1].set_state(PipelineState::Running, "");
        status.set_state(PipelineState::Failed, "a bad record");
        workers[0].set_state(PipelineState::Waiting, "late");
        assert_eq!(status.state(), (PipelineState::Failed, Some("a bad record".to_owned())));
        let told: Vec<_> = events(&board)
            .into_iter()
            .map(|kind| match kind {
                EventKind::State { state, .. } => state,
                other => panic!("{other:?}"),
            })
            .collect();
        use PipelineState::{Draining, Failed, Running, Waiting};
        assert_eq!(told, [Running, Waiting, Draining, Failed]);
    }

    #[test]
    fn a_flood_of_dead_letters_is_one_event_per_second_and_reason() {
        let board = StatusBoard::new("1");
        let status = board.add(info());
        let at = TopicPartition::new("flights", 2);
        for offset in 0..1000 {
            status.dead_letter("undecodable", &at, offset, "bad magic");
            status.dead_letter("too_large", &at, offset, "2 MB");
        }
        let events = events(&board);
        // Two, unless this test took longer than a second.
        assert!((2..100).contains(&events.len()), "{events:?}");
        let EventKind::DeadLetters { reason, count, origin, .. } = &events[0] else { panic!("{events:?}") };
        assert_eq!((reason.as_str(), *count, origin.as_str()), ("undecodable", 1, "flights/2/0"));
    }
}
