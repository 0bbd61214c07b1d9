//! What a worker says about itself: its partitions, how far it is, what went wrong.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::clock::unix_millis;
use super::condition::Condition;
use super::events::EventKind;
use super::pipeline_metrics::Lag;
use super::pipeline_status::PipelineStatus;
use super::snapshot::{ErrorReport, PartitionSnapshot, WorkerSnapshot};
use super::state::PipelineState;
use crate::record::TopicPartition;

/// How far one partition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The next offset to read.
    pub position: i64,
    /// The committed offset, once there is one.
    pub committed: Option<i64>,
    /// The offset at which the partition ends for now, once it is known.
    pub end: Option<i64>,
}

impl Progress {
    /// Records that are not committed yet, once that can be known.
    pub fn lag(&self) -> Option<i64> {
        self.end.map(|end| (end - self.committed.unwrap_or(self.position)).max(0))
    }
}

/// One life of one worker, as it tells about itself.
#[derive(Debug)]
pub struct WorkerStatus {
    pipeline: Arc<PipelineStatus>,
    worker: usize,
    life: u64,
}

impl WorkerStatus {
    pub(super) fn new(pipeline: Arc<PipelineStatus>, worker: usize, life: u64) -> Self {
        Self { pipeline, worker, life }
    }

    /// The pipeline's status.
    pub fn pipeline(&self) -> &Arc<PipelineStatus> {
        &self.pipeline
    }

    /// The worker is in this state, for this reason (empty: nothing to say). What the pipeline shows follows.
    pub fn set_state(&self, state: PipelineState, reason: &str) {
        self.write(|worker| worker.condition = Condition::new(state, reason));
    }

    /// Partitions were given to the worker.
    pub fn assigned(&self, partitions: &[TopicPartition]) {
        self.rebalanced(partitions, &[], false);
    }

    /// Partitions were taken from the worker; `lost` when others have them already.
    pub fn revoked(&self, partitions: &[TopicPartition], lost: bool) {
        self.rebalanced(&[], partitions, lost);
    }

    fn rebalanced(&self, assigned: &[TopicPartition], revoked: &[TopicPartition], lost: bool) {
        let pipeline = &self.pipeline;
        let known = self.write(|worker| {
            for at in assigned {
                worker.partitions.insert(at.clone(), Partition::default());
            }
            for at in revoked {
                worker.partitions.remove(at);
            }
        });
        if known.is_none() {
            return;
        }
        pipeline.metrics().rebalances.inc();
        let names =
            |partitions: &[TopicPartition]| partitions.iter().map(TopicPartition::to_string).collect::<Vec<_>>();
        let (assigned, revoked) = (names(assigned), names(revoked));
        tracing::info!(
            target: "latentd", pipeline = pipeline.info().name, worker = self.worker, ?assigned, ?revoked, lost, "rebalance"
        );
        let kind = EventKind::Rebalance { worker: self.worker, assigned, revoked, lost };
        pipeline.events.publish(Some(&pipeline.info().name), kind);
    }

    /// How far the worker's partitions are; once per batch. Partitions that are not the worker's are passed over.
    pub fn report<'a>(&self, progress: impl IntoIterator<Item = (&'a TopicPartition, Progress)>) {
        let pipeline = &self.pipeline;
        self.write(|worker| {
            for (at, progress) in progress {
                let Some(partition) = worker.partitions.get_mut(at) else { continue };
                partition.progress = Some(progress);
                if let Some(lag) = progress.lag() {
                    partition.lag.get_or_insert_with(|| pipeline.metrics().lag(&pipeline.label(at))).set(lag);
                }
            }
        });
    }

    /// A commit has succeeded. Its counters are the caller's.
    pub fn committed(&self) {
        let at = unix_millis();
        if self.write(|worker| worker.last_commit_ms = Some(at)).is_some() {
            self.pipeline.metrics().last_commit.set(at / 1000);
            self.pipeline.lock().last_commit_ms = Some(at);
        }
    }

    /// A transaction was aborted; its records are read again. Logged, but not too often. Its counters are the caller's.
    pub fn aborted(&self, reason: &dyn fmt::Display) {
        if self.write(|worker| ErrorReport::note(&mut worker.last_error, "aborted", reason)).is_some() {
            self.pipeline.aborted(self.worker, reason);
        }
    }

    /// The worker, or its producer, was replaced. Its counters are the caller's.
    pub fn rebuilt(&self, reason: &dyn fmt::Display) {
        if self.write(|worker| ErrorReport::note(&mut worker.last_error, "rebuilt", reason)).is_some() {
            self.pipeline.errors.warn(&self.pipeline.info().name, "rebuilt", reason);
            let kind = EventKind::Rebuilt { worker: self.worker, reason: reason.to_string() };
            self.pipeline.events.publish(Some(&self.pipeline.info().name), kind);
        }
    }

    /// Something went wrong, and the worker goes on. Logged, but not too often.
    pub fn error(&self, kind: &'static str, error: &dyn fmt::Display) {
        if self.note(kind, error) {
            self.pipeline.errors.warn(&self.pipeline.info().name, kind, error);
        }
    }

    /// Something went wrong that the worker's state says as well, and the log with it.
    pub fn note(&self, kind: &'static str, error: &dyn fmt::Display) -> bool {
        self.write(|worker| ErrorReport::note(&mut worker.last_error, kind, error)).is_some()
    }

    /// The worker has ended: its partitions are no longer its own. What it last said stands until another takes its
    /// place, or the pipeline says what becomes of the whole.
    pub fn ended(&self) {
        self.write(|worker| worker.partitions.clear());
    }

    /// Changes the worker's entry, unless another has taken its place.
    fn write<T>(&self, change: impl FnOnce(&mut Worker) -> T) -> Option<T> {
        self.pipeline
            .change(|now| now.workers.get_mut(&self.worker).filter(|worker| worker.life == self.life).map(change))
    }
}

/// One life of a worker, as the status keeps it.
#[derive(Default)]
pub(super) struct Worker {
    life: u64,
    pub(super) condition: Condition,
    partitions: BTreeMap<TopicPartition, Partition>,
    last_commit_ms: Option<i64>,
    last_error: Option<ErrorReport>,
}

#[derive(Default)]
struct Partition {
    progress: Option<Progress>,
    // Held for as long as the partition is ours; its series goes with it. Made once the lag is known.
    lag: Option<Lag>,
}

impl Worker {
    /// A worker that starts in the place of another, if there was one: what that one said last is still worth knowing.
    pub(super) fn new(life: u64, before: Option<Self>) -> Self {
        let before = before.unwrap_or_default();
        Self { life, last_commit_ms: before.last_commit_ms, last_error: before.last_error, ..Self::default() }
    }

    pub(super) fn snapshot(&self, worker: usize) -> WorkerSnapshot {
        let partitions = self.partitions.iter().map(|(at, partition)| PartitionSnapshot {
            topic: at.topic.to_string(),
            partition: at.partition,
            position: partition.progress.map(|progress| progress.position),
            committed: partition.progress.and_then(|progress| progress.committed),
            end: partition.progress.and_then(|progress| progress.end),
            lag: partition.progress.and_then(|progress| progress.lag()),
        });
        WorkerSnapshot {
            worker,
            state: self.condition.state,
            reason: self.condition.reason.clone(),
            partitions: partitions.collect(),
            last_commit_ms: self.last_commit_ms,
            last_error: self.last_error.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{PipelineInfo, StatusBoard};
    use super::*;

    fn board(several_topics: bool) -> (StatusBoard, Arc<PipelineStatus>) {
        let board = StatusBoard::new("1");
        let info = PipelineInfo {
            name: "p".to_owned(),
            operation: "compress".to_owned(),
            from: vec!["t".to_owned()],
            to: "t.z".to_owned(),
            codec: None,
            layout: None,
            delivery: "exactly-once".to_owned(),
            several_topics,
        };
        let status = board.add(info);
        (board, status)
    }

    fn progress(committed: i64, end: i64) -> Progress {
        Progress { position: committed, committed: Some(committed), end: Some(end) }
    }

    #[test]
    fn a_partition_s_lag_is_shown_while_a_worker_has_it() {
        let (board, status) = board(false);
        let (zero, one) = (TopicPartition::new("t", 0), TopicPartition::new("t", 1));
        let worker = status.worker(0);
        worker.assigned(std::slice::from_ref(&zero));
        worker.report([(&zero, progress(10, 25)), (&one, progress(0, 1000))]);
        let snapshot = status.snapshot();
        assert_eq!(snapshot.lag_records, 15, "partition 1 is not this worker's");
        assert_eq!(snapshot.workers[0].partitions[0].lag, Some(15));
        assert!(board.metrics().render().contains("latentd_lag_records{partition=\"0\",pipeline=\"p\"} 15"));
        worker.revoked(&[zero], false);
        assert_eq!(status.snapshot().lag_records, 0);
        assert!(!board.metrics().render().contains("latentd_lag_records{"));
        assert_eq!(status.metrics().rebalances.get(), 2);
    }

    #[test]
    fn partitions_of_several_topics_are_told_apart() {
        let (board, status) = board(true);
        let worker = status.worker(0);
        let at = [TopicPartition::new("a", 0), TopicPartition::new("b", 0)];
        worker.assigned(&at);
        worker.report([(&at[0], progress(0, 1)), (&at[1], progress(0, 2))]);
        let text = board.metrics().render();
        assert!(text.contains("partition=\"a/0\",pipeline=\"p\"} 1"), "{text}");
        assert!(text.contains("partition=\"b/0\",pipeline=\"p\"} 2"), "{text}");
    }

    #[test]
    fn a_worker_that_was_replaced_can_no_longer_write() {
        let (board, status) = board(false);
        let at = TopicPartition::new("t", 0);
        let stuck = status.worker(0);
        stuck.assigned(std::slice::from_ref(&at));
        stuck.report([(&at, progress(0, 7))]);
        let successor = status.worker(0);
        assert!(!board.metrics().render().contains("latentd_lag_records{"), "the old one's partitions went with it");
        successor.assigned(std::slice::from_ref(&at));
        successor.report([(&at, progress(5, 7))]);
        stuck.report([(&at, progress(0, 7))]);
        stuck.error("stall", &"came back to life");
        stuck.set_state(PipelineState::Running, "");
        stuck.committed();
        stuck.ended();
        let snapshot = status.snapshot();
        assert_eq!(snapshot.lag_records, 2);
        assert_eq!((&snapshot.workers[0].last_error, snapshot.last_commit_ms), (&None, None));
        assert_eq!(snapshot.workers[0].state, PipelineState::Starting);
        successor.ended();
        assert!(status.snapshot().workers[0].partitions.is_empty());
        assert!(!board.metrics().render().contains("latentd_lag_records{"));
    }

    #[test]
    fn a_successor_keeps_what_is_worth_knowing_of_the_worker_before_it() {
        let (_board, status) = board(false);
        let worker = status.worker(0);
        worker.committed();
        worker.rebuilt(&"it did not move");
        let shown = {
            status.worker(0);
            status.snapshot().workers.remove(0)
        };
        assert_eq!(shown.last_error.unwrap().kind, "rebuilt");
        assert!(shown.last_commit_ms.is_some());
    }

    #[test]
    fn errors_keep_the_newest_and_their_number() {
        let (_board, status) = board(false);
        let worker = status.worker(0);
        worker.error("unreachable", &"no broker");
        worker.aborted(&"lost the assignment");
        worker.committed();
        let shown = status.snapshot().workers.remove(0);
        let error = shown.last_error.unwrap();
        assert_eq!((error.kind.as_str(), error.message.as_str(), error.count), ("aborted", "lost the assignment", 2));
        assert!(shown.last_commit_ms.is_some());
        assert_eq!(status.metrics().last_commit.get(), shown.last_commit_ms.unwrap() / 1000);
    }
}
