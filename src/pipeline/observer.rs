//! Who is told what happens in a pipeline: metrics, the status board, the log. One place for all of it.
//!
//! The parts of a pipeline say what happened; here it becomes counters, a state with its reason, events, and at most a
//! few log lines. One clone per worker.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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
        WorkerObserver {
            shared: self.clone(),
            status: self.status.worker(index),
            own: Mutex::new(Own { looked: None, memory: 0, troubled: true }),
        }
    }

    /// The workers are being started.
    pub fn starting(&self) {
        self.status.set_state(PipelineState::Starting, "joining the group");
    }

    /// Something outside of a worker does not work and is tried again.
    pub fn trouble(&self, error: &ClientError) {
        self.status.set_state(PipelineState::Waiting, &error.to_string());
    }

    /// A hanging worker was replaced.
    pub fn replaced(&self, worker: usize, error: &ClientError) {
        self.metrics().transactions_rebuilt.inc();
        self.status.worker(worker).rebuilt(error);
    }

    /// Finishing what was read.
    pub fn draining(&self) {
        self.status.set_state(PipelineState::Draining, "");
    }

    /// Not everything read could be committed before the end; it will be read again.
    pub fn uncommitted(&self, reason: &str) {
        let name = &self.status.info().name;
        tracing::warn!(pipeline = name, "stopped before the last commit; its records will be read again: {reason}");
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
struct Own {
    looked: Option<Instant>,
    memory: u64,
    troubled: bool,
}

impl WorkerObserver {
    /// The pipeline's metrics.
    pub fn metrics(&self) -> &PipelineMetrics {
        self.shared.metrics()
    }

    fn own(&self) -> std::sync::MutexGuard<'_, Own> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something does not work and is tried again.
    pub fn trouble(&self, error: &ClientError) {
        self.own().troubled = true;
        self.shared.status.set_state(PipelineState::Waiting, &error.to_string());
    }

    /// Records flow, or would if there were any.
    pub fn well(&self) {
        if std::mem::take(&mut self.own().troubled) {
            self.shared.status.set_state(PipelineState::Running, "");
        }
    }

    /// A record waits for a model.
    pub fn waiting(&self, missing: &MissingModel) {
        self.own().troubled = true;
        self.shared.status.set_state(PipelineState::Waiting, &missing.to_string());
    }

    /// A transaction was thrown away or is in doubt, and its records are read again.
    pub fn aborted(&self, error: &ClientError) {
        self.status.aborted(error);
        self.status.error(error.diagnosis.name(), error);
    }

    /// A commit is durable.
    pub fn committed(&self) {
        self.status.committed();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.metrics().last_commit.set(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
        self.well();
    }

    /// A sampled record took this long from its timestamp to its commit.
    pub fn latency(&self, millis: i64) {
        self.metrics().end_to_end_seconds.observe(millis.max(0) as f64 / 1e3);
    }

    /// Partitions come or go.
    pub fn rebalance(&self, rebalance: &Rebalance) {
        self.metrics().rebalances.inc();
        match rebalance {
            Rebalance::Assigned(partitions) => {
                self.shared.holdings.add(partitions);
                self.status.assigned(partitions);
                self.well();
            }
            Rebalance::Revoked { partitions, lost } => {
                self.shared.holdings.remove(partitions);
                self.status.revoked(partitions, *lost);
            }
        }
    }

    /// Paused, or going on.
    pub fn paused(&self, paused: bool) {
        let state = if paused { PipelineState::Paused } else { PipelineState::Running };
        self.shared.status.set_state(state, if paused { "as asked" } else { "" });
    }

    /// The worker has ended, holding these partitions.
    pub fn ended(&self, partitions: &[TopicPartition]) {
        self.shared.holdings.remove(partitions);
        let mut own = self.own();
        self.shared.memory.change(own.memory, 0);
        own.memory = 0;
        drop(own);
        self.status.ended();
    }

    /// Moves what a worker counted to the metrics, and looks at lag and memory now and then.
    pub fn report<S: Source>(&self, tally: &mut Tally, slots: &Slots, source: &S, buffered: usize) {
        if *tally != Tally::default() {
            self.count(tally);
        }
        let mut own = self.own();
        if own.looked.is_some_and(|looked| looked.elapsed() < LOOK) {
            return;
        }
        own.looked = Some(Instant::now());
        let backlog = source.backlog();
        let used = backlog.fetched_bytes + buffered as u64;
        let total = self.shared.memory.change(own.memory, used);
        own.memory = used;
        self.shared.board.metrics().memory_used.set(i64::try_from(total).unwrap_or(i64::MAX));
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
        for kind in [PublishedKind::Compressed, PublishedKind::Restored] {
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
