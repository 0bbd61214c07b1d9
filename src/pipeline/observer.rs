//! Who is told what happens in a pipeline: metrics, the status board, the log. One place for all of it.
//!
//! The parts of a pipeline say what happened; here it becomes counters, a state with its reason, events, and at most a
//! few log lines. One clone per worker.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::health::Health;
use super::holdings::Holdings;
use super::slots::Slots;
use super::tally::Tally;
use crate::codec::MissingModel;
use crate::record::TopicPartition;
use crate::source::{Backlog, ClientError, Rebalance, Source};
use crate::telemetry::{
    PipelineMetrics, PipelineState, PipelineStatus, Progress, PublishedKind, StatusBoard, WorkerStatus,
};

/// Time between two looks at lag and memory.
const LOOK: Duration = Duration::from_secs(1);

/// Bytes in flight of all pipelines together.
#[derive(Debug, Default)]
pub struct MemoryUse(AtomicU64);

impl MemoryUse {
    /// One holder's share has changed; the new total.
    fn change(&self, from: u64, to: u64) -> u64 {
        if to >= from {
            self.0.fetch_add(to - from, Ordering::Relaxed) + (to - from)
        } else {
            self.0.fetch_sub(from - to, Ordering::Relaxed) - (from - to)
        }
    }
}

/// Who is told what happens in a pipeline.
#[derive(Clone)]
pub struct Observer {
    board: StatusBoard,
    status: Arc<PipelineStatus>,
    memory: Arc<MemoryUse>,
    holdings: Holdings,
}

impl Observer {
    /// The observer of a pipeline.
    pub fn new(board: StatusBoard, status: Arc<PipelineStatus>, memory: Arc<MemoryUse>, holdings: Holdings) -> Self {
        Self { board, status, memory, holdings }
    }

    /// The pipeline's metrics.
    pub fn metrics(&self) -> &PipelineMetrics {
        self.status.metrics()
    }

    /// The daemon's condition.
    pub fn board(&self) -> &StatusBoard {
        &self.board
    }

    /// Whether somebody asked for a pause.
    pub fn pause_wished(&self) -> bool {
        self.status.control().is_paused()
    }

    /// The observer of a new worker of this number.
    pub fn for_worker(&self, index: usize) -> WorkerObserver {
        WorkerObserver { shared: self.clone(), status: self.status.worker(index), own: Mutex::default() }
    }

    /// The workers are being started.
    pub fn starting(&self) {
        self.status.set_state(PipelineState::Starting, "joining the group");
    }

    /// All workers are started: the pipeline does what they do.
    pub fn started(&self) {
        self.status.set_state(PipelineState::Running, "");
    }

    /// Something outside of a worker does not work and is tried again.
    pub fn trouble(&self, error: &ClientError) {
        self.status.set_state(PipelineState::Waiting, &error.to_string());
    }

    /// Finishing what was read.
    pub fn draining(&self) {
        self.status.set_state(PipelineState::Draining, "");
    }

    /// Not everything read could be committed before the end; it will be read again.
    pub fn uncommitted(&self, reason: &str) {
        let name = &self.status.info().name;
        tracing::warn!(
            target: "latentd", pipeline = name,
            "stopped before the last commit; its records will be read again: {reason}"
        );
    }

    /// All workers have ended as asked.
    pub fn stopped(&self) {
        self.status.set_state(PipelineState::Stopped, "");
    }

    /// The pipeline has stopped because it cannot go on.
    pub fn failed(&self, reason: &str) {
        self.status.set_state(PipelineState::Failed, reason);
    }
}

/// Who is told what happens in one worker.
pub struct WorkerObserver {
    shared: Observer,
    status: WorkerStatus,
    own: Mutex<Own>,
}

/// What a worker's observer remembers between two reports.
#[derive(Default)]
struct Own {
    looked: Option<Instant>,
    memory: u64,
    held: BTreeSet<TopicPartition>,
    health: Health,
}

impl WorkerObserver {
    /// The pipeline's metrics.
    pub fn metrics(&self) -> &PipelineMetrics {
        self.shared.metrics()
    }

    fn own(&self) -> std::sync::MutexGuard<'_, Own> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something has happened to the worker's health; its state follows.
    fn health(&self, happened: impl FnOnce(&mut Own)) {
        let mut own = self.own();
        happened(&mut own);
        let (state, reason) = own.health.state();
        self.status.set_state(state, reason);
    }

    /// Reading does not work and is tried again.
    pub fn trouble(&self, error: &ClientError) {
        self.status.note(error.diagnosis.name(), error);
        self.health(|own| own.health.reading_failed(error, Instant::now()));
    }

    /// Whether hearing from every partition would be news.
    pub fn is_in_doubt(&self) -> bool {
        self.own().health.is_in_doubt()
    }

    /// Every partition was heard from since it was last in doubt.
    pub fn heard_from_all(&self) {
        self.health(|own| own.health.heard_from_all());
    }

    /// Starting a producer, or asking where to read on, does not work and is tried again.
    pub fn recovering(&self, error: &ClientError) {
        self.status.note(error.diagnosis.name(), error);
        self.health(|own| own.health.recovery_failed(error));
    }

    /// The producer is there, and it is known where to read on.
    pub fn recovered(&self) {
        self.health(|own| own.health.recovered());
    }

    /// A record waits for a model.
    pub fn waiting(&self, missing: &MissingModel) {
        self.status.note("missing_model", missing);
        self.health(|own| own.health.lacks_a_model(missing.to_string()));
    }

    /// Whether a record waited for a model when last heard.
    pub fn is_lacking(&self) -> bool {
        self.own().health.is_lacking()
    }

    /// No record waits for a model any more.
    pub fn has_all_models(&self) {
        self.health(|own| own.health.has_all_models());
    }

    /// A transaction was thrown away or is in doubt, and its records are read again.
    pub fn aborted(&self, error: &ClientError) {
        self.status.aborted(error);
        self.health(|own| own.health.commit_failed(error));
    }

    /// Offsets could not be committed; the next commit covers them.
    pub fn uncommitted(&self, error: &ClientError) {
        self.status.error(error.diagnosis.name(), error);
        self.health(|own| own.health.commit_failed(error));
    }

    /// A commit is durable.
    pub fn committed(&self) {
        self.status.committed();
        self.health(|own| own.health.all_committed());
    }

    /// Whether a commit failed since the last that succeeded.
    pub fn owes_a_commit(&self) -> bool {
        self.own().health.owes_a_commit()
    }

    /// There is nothing to commit.
    pub fn all_committed(&self) {
        self.health(|own| own.health.all_committed());
    }

    /// A sampled record took this long from its timestamp to its commit.
    pub fn latency(&self, millis: i64) {
        self.metrics().end_to_end_seconds.observe(millis.max(0) as f64 / 1e3);
    }

    /// Partitions come or go.
    pub fn rebalance(&self, rebalance: &Rebalance) {
        match rebalance {
            Rebalance::Assigned(partitions) => {
                self.shared.holdings.add(partitions);
                self.status.assigned(partitions);
                self.health(|own| {
                    own.held.extend(partitions.iter().cloned());
                    own.health.assigned(!own.held.is_empty());
                });
            }
            Rebalance::Revoked { partitions, lost } => {
                let mut own = self.own();
                let gone: Vec<_> = partitions.iter().filter(|at| own.held.remove(*at)).cloned().collect();
                drop(own);
                self.shared.holdings.remove(&gone);
                self.status.revoked(partitions, *lost);
                if *lost {
                    self.health(|own| own.health.lost());
                }
            }
        }
    }

    /// Paused, or going on.
    pub fn paused(&self, paused: bool) {
        self.health(|own| own.health.paused(paused));
    }

    /// The worker hangs, and another takes its place. Its partitions are no longer its own; its memory is, until it ends.
    pub fn replaced(&self, error: &ClientError) {
        self.metrics().transactions_rebuilt.inc();
        self.status.rebuilt(error);
        self.let_go();
    }

    /// The worker has ended.
    pub fn ended(&self) {
        self.let_go();
        self.remember(0);
        self.status.ended();
    }

    fn let_go(&self) {
        let held: Vec<_> = std::mem::take(&mut self.own().held).into_iter().collect();
        self.shared.holdings.remove(&held);
    }

    /// The worker holds so many bytes.
    fn remember(&self, bytes: u64) {
        let before = std::mem::replace(&mut self.own().memory, bytes);
        let total = self.shared.memory.change(before, bytes);
        self.shared.board.metrics().memory_used.set(i64::try_from(total).unwrap_or(i64::MAX));
    }

    /// Moves what a worker counted to the metrics, and looks at lag and memory now and then.
    pub fn report<S: Source>(&self, tally: &mut Tally, slots: &Slots, source: &S, buffered: usize) {
        if *tally != Tally::default() {
            self.count(tally);
        }
        let now = Instant::now();
        if self.own().looked.is_some_and(|looked| now.duration_since(looked) < LOOK) {
            return;
        }
        self.own().looked = Some(now);
        let backlog = source.backlog();
        self.remember(backlog.fetched_bytes + buffered as u64);
        if let Some(reach) = &backlog.reach {
            self.health(|own| own.health.reached(reach));
        }
        let progress = slots.iter().map(|slot| {
            let end = end_of(&backlog, &slot.at);
            // At the end of a partition only control records of transactions lie between us and its last offset.
            let end = if slot.at_end { Some(slot.next) } else { end };
            (&slot.at, Progress { position: slot.next, committed: slot.base, end })
        });
        self.status.report(progress);
    }

    fn count(&self, tally: &mut Tally) {
        let metrics = self.metrics();
        metrics.consumed_records.inc_by(tally.consumed_records);
        metrics.consumed_bytes.inc_by(tally.consumed_bytes);
        for kind in [PublishedKind::Compressed, PublishedKind::Restored, PublishedKind::Augmented] {
            let records = tally.published_records[kind as usize];
            if records > 0 {
                metrics.published(kind).records.inc_by(records);
                metrics.published(kind).bytes.inc_by(tally.published_bytes[kind as usize]);
            }
        }
        for letter in tally.dead_letters.drain(..) {
            metrics.dead_letter(letter.reason.name()).inc_by(letter.count);
            let published = metrics.published(PublishedKind::DeadLetter);
            published.records.inc_by(letter.count);
            published.bytes.inc_by(letter.bytes);
            self.shared.status.dead_letter(letter.reason.name(), &letter.at, letter.offset, &letter.message);
        }
        *tally = Tally::default();
    }
}

fn end_of(backlog: &Backlog, at: &TopicPartition) -> Option<i64> {
    backlog.ends.iter().find(|(known, _)| known == at).map(|(_, end)| *end)
}
