//! Who is told what happens in a pipeline: metrics, the status board and the log, in one place.
//!
//! The parts of a pipeline say what happened; here it becomes counters, a state with its reason, and at most a few log
//! lines. Cheap to clone; one clone per worker.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::slots::Slots;
use super::tally::Tally;
use crate::codec::MissingModel;
use crate::record::TopicPartition;
use crate::source::{Backlog, ClientError, Diagnosis, Rebalance, Source};
use crate::telemetry::{Lag, Metrics, PipelineMetrics, PipelineState, PublishedKind};

/// Time between two looks at lag and memory.
const LOOK: Duration = Duration::from_secs(1);

/// Who is told.
#[derive(Clone)]
pub struct Observer {
    shared: Arc<Shared>,
    worker: Option<usize>,
    own: Arc<Mutex<Own>>,
}

struct Shared {
    name: String,
    metrics: PipelineMetrics,
    process: Arc<Metrics>,
    memory: Arc<MemoryUse>,
    several_topics: bool,
}

/// What one worker remembers between two reports.
#[derive(Default)]
struct Own {
    looked: Option<Instant>,
    lags: BTreeMap<TopicPartition, Lag>,
    memory: u64,
    troubled: bool,
}

/// Bytes in flight of all pipelines together.
#[derive(Debug, Default)]
pub struct MemoryUse(AtomicU64);

impl MemoryUse {
    /// One holder's share has changed.
    fn change(&self, from: u64, to: u64) -> u64 {
        if to >= from {
            self.0.fetch_add(to - from, Ordering::Relaxed) + (to - from)
        } else {
            self.0.fetch_sub(from - to, Ordering::Relaxed) - (from - to)
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Observer {
    /// The observer of a pipeline. With several source topics, lag is labelled `topic/partition`.
    pub fn new(name: &str, process: Arc<Metrics>, memory: Arc<MemoryUse>, several_topics: bool) -> Self {
        let metrics = process.pipeline(name);
        let shared = Shared { name: name.to_owned(), metrics, process, memory, several_topics };
        Self { shared: Arc::new(shared), worker: None, own: Arc::default() }
    }

    /// The observer of one worker.
    pub fn for_worker(&self, index: usize) -> Self {
        Self { shared: Arc::clone(&self.shared), worker: Some(index), own: Arc::default() }
    }

    /// The pipeline's metrics.
    pub fn metrics(&self) -> &PipelineMetrics {
        &self.shared.metrics
    }

    fn state(&self, state: PipelineState, reason: &str) {
        self.shared.metrics.set_state(state);
        tracing::debug!(pipeline = self.shared.name, worker = self.worker, %state, reason, "state");
    }

    /// The workers are being started.
    pub fn starting(&self) {
        self.state(PipelineState::Starting, "");
    }

    /// Something does not work and is tried again.
    pub fn trouble(&self, error: &ClientError) {
        lock(&self.own).troubled = true;
        self.state(PipelineState::Waiting, &error.to_string());
        let pipeline = &self.shared.name;
        match error.diagnosis {
            Diagnosis::Refused | Diagnosis::MissingTopic | Diagnosis::Fenced => {
                tracing::error!(pipeline, worker = self.worker, "{error}");
            }
            _ => tracing::warn!(pipeline, worker = self.worker, "{error}"),
        }
    }

    /// What did not work works again.
    pub fn well(&self) {
        self.flowing();
    }

    /// Records flow.
    pub fn flowing(&self) {
        let mut own = lock(&self.own);
        if std::mem::take(&mut own.troubled) {
            drop(own);
            self.state(PipelineState::Running, "");
        }
    }

    /// A record waits for a model.
    pub fn waiting(&self, missing: &MissingModel) {
        lock(&self.own).troubled = true;
        self.state(PipelineState::Waiting, &missing.to_string());
        tracing::error!(pipeline = self.shared.name, worker = self.worker, "{missing}; waiting for it");
    }

    /// A transaction was thrown away or is in doubt, and its records are read again.
    pub fn aborted(&self, error: &ClientError) {
        tracing::warn!(
            pipeline = self.shared.name,
            worker = self.worker,
            "reading again from the last commit: {error}"
        );
    }

    /// A commit is durable.
    pub fn committed(&self) {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        self.shared.metrics.last_commit.set(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
    }

    /// A sampled record took this long from its timestamp to its commit.
    pub fn latency(&self, millis: i64) {
        self.shared.metrics.end_to_end_seconds.observe(millis.max(0) as f64 / 1e3);
    }

    /// Partitions come or go.
    pub fn rebalance(&self, rebalance: &Rebalance) {
        self.shared.metrics.rebalances.inc();
        let (what, partitions) = match rebalance {
            Rebalance::Assigned(partitions) => ("assigned", partitions),
            Rebalance::Revoked { partitions, lost: false } => ("revoked", partitions),
            Rebalance::Revoked { partitions, lost: true } => ("lost", partitions),
        };
        let list: Vec<String> = partitions.iter().map(ToString::to_string).collect();
        tracing::info!(pipeline = self.shared.name, worker = self.worker, partitions = list.join(" "), "{what}");
        if what == "assigned" {
            lock(&self.own).troubled = true;
            self.flowing();
        }
    }

    /// A partition is no longer ours.
    pub fn gone(&self, at: &TopicPartition) {
        lock(&self.own).lags.remove(at);
    }

    /// Paused, or going on.
    pub fn paused(&self, paused: bool) {
        self.state(if paused { PipelineState::Paused } else { PipelineState::Running }, "");
        tracing::info!(pipeline = self.shared.name, worker = self.worker, paused, "pause");
    }

    /// A hanging worker was replaced.
    pub fn replaced(&self, error: &ClientError) {
        self.shared.metrics.transactions_rebuilt.inc();
        tracing::error!(pipeline = self.shared.name, "{error}");
    }

    /// Finishing what was read.
    pub fn draining(&self) {
        self.state(PipelineState::Draining, "");
    }

    /// Not everything read could be committed before the end; it will be read again.
    pub fn uncommitted(&self, reason: &str) {
        tracing::warn!(pipeline = self.shared.name, "stopped before the last commit, which will be repeated: {reason}");
    }

    /// All workers have ended as asked.
    pub fn stopped(&self) {
        self.state(PipelineState::Stopped, "");
        tracing::info!(pipeline = self.shared.name, "stopped");
    }

    /// A worker cannot go on; the others finish.
    pub fn failing(&self, reason: &str) {
        tracing::error!(pipeline = self.shared.name, "the pipeline stops: {reason}");
    }

    /// The pipeline has stopped because it cannot go on.
    pub fn failed(&self, reason: &str) {
        self.state(PipelineState::Failed, reason);
    }

    /// Moves what a worker counted to the metrics, and looks at lag and memory now and then.
    pub fn report<S: Source>(&self, tally: &mut Tally, slots: &Slots, source: &S, buffered: usize) {
        let metrics = &self.shared.metrics;
        if tally.consumed_records > 0 {
            metrics.consumed_records.inc_by(tally.consumed_records);
            metrics.consumed_bytes.inc_by(tally.consumed_bytes);
            for kind in [PublishedKind::Compressed, PublishedKind::Restored] {
                let records = tally.published_records[kind as usize];
                if records > 0 {
                    metrics.published(kind).records.inc_by(records);
                    metrics.published(kind).bytes.inc_by(tally.published_bytes[kind as usize]);
                }
            }
            for (reason, count) in tally.dead_letters.drain(..) {
                metrics.dead_letter(reason.name()).inc_by(count);
                metrics.published(PublishedKind::DeadLetter).records.inc_by(count);
            }
            if tally.dead_letter_bytes > 0 {
                metrics.published(PublishedKind::DeadLetter).bytes.inc_by(tally.dead_letter_bytes);
            }
            *tally = Tally::default();
        }
        let mut own = lock(&self.own);
        if own.looked.is_some_and(|looked| looked.elapsed() < LOOK) {
            return;
        }
        own.looked = Some(Instant::now());
        let backlog = source.backlog();
        let used = backlog.fetched_bytes + buffered as u64;
        let total = self.shared.memory.change(own.memory, used);
        own.memory = used;
        self.shared.process.memory_used.set(i64::try_from(total).unwrap_or(i64::MAX));
        self.lags(&mut own, slots, &backlog);
    }

    fn lags(&self, own: &mut Own, slots: &Slots, backlog: &Backlog) {
        for slot in slots.iter() {
            let Some((_, end)) = backlog.ends.iter().find(|(at, _)| *at == slot.at) else { continue };
            let position = slot.base.map_or(0, |_| slot.next);
            // At the end of a partition only control records of transactions lie between us and its last offset.
            let lag = if slot.at_end { 0 } else { (end - position).max(0) };
            own.lags
                .entry(slot.at.clone())
                .or_insert_with(|| {
                    let label =
                        if self.shared.several_topics { slot.at.to_string() } else { slot.at.partition.to_string() };
                    self.shared.metrics.lag(&label)
                })
                .set(lag);
        }
    }
}
