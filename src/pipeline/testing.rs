//! A cluster in memory that fails as told: what librdkafka and brokers do on their worst days, repeatable.
//!
//! The end-to-end suite runs against a real broker; this is for the orders of events that a real one shows once a
//! year: a commit that happened and was never answered, a call that does not return, a fenced producer.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;

use super::holdings::Holdings;
use super::observer::Observer;
use super::settings::{AugmentSettings, Gates, GeneratorChoice, TopicTemplate};
use crate::augment::Rate;
use crate::model::Condition;
use crate::record::{Record, RecordRef, Timestamp, TopicPartition};
use crate::sink::{OutRecord, Producer, SendError, TransactionalProducer};
use crate::source::{
    Backlog, ClientError, Diagnosis, Polled, Positions, Rebalance, Source, SourceRecord, UnreadableRecord,
};
use crate::telemetry::{PipelineInfo, StatusBoard};

/// What a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails and nothing has happened; the transaction must be aborted.
    Abortable,
    /// It fails and nothing has happened; calling again helps.
    Retriable,
    /// It takes effect, and the answer is lost.
    DoneButUnanswered,
    /// It has no effect, and nobody says so.
    LostUnanswered,
    /// It does not return for so long, and has no effect.
    Hangs(Duration),
    /// It takes so long, takes effect, and says so.
    Slow(Duration),
    /// Another producer has taken the transactional id.
    Fenced,
}

/// The calls that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// `init_transactions`.
    Init,
    /// `begin_transaction`.
    Begin,
    /// Queueing a record.
    Send,
    /// Delivering a record.
    Deliver,
    /// `send_offsets_to_transaction`.
    SendOffsets,
    /// `commit_transaction`.
    Commit,
    /// `abort_transaction`.
    Abort,
    /// Committing outside a transaction.
    ConsumerCommit,
}

#[derive(Default)]
struct State {
    input: BTreeMap<TopicPartition, Vec<Record>>,
    committed: BTreeMap<TopicPartition, i64>,
    output: Vec<(String, Option<i32>, Record)>,
    epoch: u64,
    faults: VecDeque<(Call, Fault)>,
    happened: Vec<(Call, Fault)>,
    positions: BTreeMap<TopicPartition, i64>,
    events: VecDeque<Rebalance>,
    accepted: Vec<Rebalance>,
}

/// The cluster.
#[derive(Clone, Default)]
pub struct Cluster {
    state: Arc<Mutex<State>>,
}

impl Cluster {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Appends a record to an input partition.
    pub fn append(&self, at: &TopicPartition, value: &[u8]) {
        let mut state = self.lock();
        let log = state.input.entry(at.clone()).or_default();
        let offset = log.len() as i64;
        log.push(Record {
            key: Some(Bytes::from(offset.to_string())),
            value: Some(Bytes::copy_from_slice(value)),
            headers: Vec::new(),
            timestamp: Timestamp::create(1_000 + offset),
            offset,
        });
    }

    /// Lets the next call of a kind fail.
    pub fn fail(&self, call: Call, fault: Fault) {
        self.lock().faults.push_back((call, fault));
    }

    /// Faults that have happened.
    pub fn happened(&self) -> Vec<(Call, Fault)> {
        self.lock().happened.clone()
    }

    /// Lets the member read a partition again from here, though nobody asked for it.
    pub fn repeat(&self, at: &TopicPartition, from: i64) {
        self.lock().positions.insert(at.clone(), from);
    }

    /// Lets the group forget what was committed after this.
    pub fn forget_commits(&self, at: &TopicPartition, after: i64) {
        self.lock().committed.insert(at.clone(), after);
    }

    /// Queues a rebalance.
    pub fn rebalance(&self, event: Rebalance) {
        self.lock().events.push_back(event);
    }

    /// Rebalances that the member has accepted.
    pub fn accepted(&self) -> Vec<Rebalance> {
        self.lock().accepted.clone()
    }

    /// What a `read_committed` reader sees.
    pub fn output(&self) -> Vec<(String, Option<i32>, Record)> {
        self.lock().output.clone()
    }

    /// The group's committed position.
    pub fn committed(&self, at: &TopicPartition) -> Option<i64> {
        self.lock().committed.get(at).copied()
    }

    /// A member of the group.
    pub fn source(&self) -> MemorySource {
        MemorySource { cluster: self.clone() }
    }

    /// A producer with the one transactional id there is.
    pub fn producer(&self) -> MemoryProducer {
        MemoryProducer { cluster: self.clone(), inner: Mutex::default() }
    }

    fn fault(&self, call: Call) -> Option<Fault> {
        let mut state = self.lock();
        let index = state.faults.iter().position(|(kind, _)| *kind == call)?;
        let (_, fault) = state.faults.remove(index)?;
        state.happened.push((call, fault));
        Some(fault)
    }
}

/// A member of the group.
pub struct MemorySource {
    cluster: Cluster,
}

/// A record of the source.
pub struct MemoryRecord {
    at: TopicPartition,
    record: Record,
}

impl SourceRecord for MemoryRecord {
    fn topic(&self) -> &str {
        &self.at.topic
    }
    fn partition(&self) -> i32 {
        self.at.partition
    }
    fn offset(&self) -> i64 {
        self.record.offset
    }
    fn record(&self) -> Result<RecordRef<'_>, UnreadableRecord> {
        Ok(self.record.as_ref())
    }
    fn without_headers(&self) -> RecordRef<'_> {
        RecordRef { headers: Default::default(), ..self.record.as_ref() }
    }
}

impl Source for MemorySource {
    type Record<'a> = MemoryRecord;
    type Group = ();

    fn poll(&self, timeout: Duration) -> Result<Polled<MemoryRecord>, ClientError> {
        let mut state = self.cluster.lock();
        if let Some(event) = state.events.pop_front() {
            return Ok(Polled::Rebalance(event));
        }
        let State { input, positions, .. } = &mut *state;
        for (at, position) in positions.iter_mut() {
            let index = usize::try_from(*position).unwrap();
            if let Some(record) = input.get(at).and_then(|log| log.get(index)) {
                *position += 1;
                return Ok(Polled::Record(MemoryRecord { at: at.clone(), record: record.clone() }));
            }
        }
        drop(state);
        std::thread::sleep(timeout.min(Duration::from_millis(1)));
        Ok(Polled::Nothing)
    }

    fn accept(&self, rebalance: &Rebalance) -> Result<(), ClientError> {
        let mut state = self.cluster.lock();
        match rebalance {
            Rebalance::Assigned(partitions) => {
                for at in partitions {
                    let position = state.committed.get(at).copied().unwrap_or(0);
                    state.positions.insert(at.clone(), position);
                }
            }
            Rebalance::Revoked { partitions, .. } => {
                for at in partitions {
                    state.positions.remove(at);
                }
            }
        }
        state.accepted.push(rebalance.clone());
        Ok(())
    }

    fn seek(&self, to: &Positions, _timeout: Duration) -> Result<(), ClientError> {
        let mut state = self.cluster.lock();
        for (at, position) in to {
            let old = state.positions.insert(at.clone(), *position);
            assert!(old.is_some(), "seek on a partition that is not assigned: {at}");
        }
        Ok(())
    }

    fn committed(&self, of: &[TopicPartition], _timeout: Duration) -> Result<Positions, ClientError> {
        let state = self.cluster.lock();
        Ok(of.iter().filter_map(|at| Some((at.clone(), *state.committed.get(at)?))).collect())
    }

    fn commit(&self, positions: &Positions) -> Result<(), ClientError> {
        if self.cluster.fault(Call::ConsumerCommit).is_some() {
            return Err(ClientError::new(Diagnosis::Retriable, "committing offsets", "told to"));
        }
        self.cluster.lock().committed.extend(positions.iter().cloned());
        Ok(())
    }

    fn pause(&self, _partitions: &[TopicPartition], _paused: bool) -> Result<(), ClientError> {
        Ok(())
    }

    fn group(&self) -> Option<()> {
        Some(())
    }

    fn backlog(&self) -> Backlog {
        Backlog::default()
    }
}

/// A producer.
pub struct MemoryProducer {
    cluster: Cluster,
    inner: Mutex<Inner>,
}

/// A record, and the topic and partition that it was written to.
type Written = (String, Option<i32>, Record);

#[derive(Default)]
struct Inner {
    epoch: u64,
    open: bool,
    must_abort: bool,
    queued: VecDeque<(usize, Written)>,
    acknowledged: Vec<Written>,
    offsets: Positions,
    delivered: Vec<usize>,
    failure: Option<ClientError>,
}

impl MemoryProducer {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// Plays a fault; `Ok` when the call is to take effect and succeed, `Err((error, effect))` otherwise.
    fn play(&self, call: Call, doing: &'static str) -> Result<(), (ClientError, bool)> {
        let error = |diagnosis| ClientError::new(diagnosis, doing, "told to");
        if call != Call::Init && self.inner().epoch != self.cluster.lock().epoch {
            return Err((error(Diagnosis::Fenced), false));
        }
        match self.cluster.fault(call) {
            None => Ok(()),
            Some(Fault::Abortable) => {
                self.inner().must_abort = true;
                Err((error(Diagnosis::Abortable), false))
            }
            Some(Fault::Retriable) => Err((error(Diagnosis::Retriable), false)),
            Some(Fault::DoneButUnanswered) => Err((error(Diagnosis::Fatal), true)),
            Some(Fault::LostUnanswered) => Err((error(Diagnosis::Fatal), false)),
            Some(Fault::Slow(time)) => {
                std::thread::sleep(time);
                Ok(())
            }
            Some(Fault::Fenced) => Err((error(Diagnosis::Fenced), false)),
            Some(Fault::Hangs(time)) => {
                std::thread::sleep(time);
                Err((error(Diagnosis::Fatal), false))
            }
        }
    }
}

impl Producer for MemoryProducer {
    fn send(&self, record: &OutRecord<'_>, token: usize) -> Result<(), SendError> {
        match self.play(Call::Send, "producing") {
            Ok(()) => {}
            Err((ClientError { diagnosis: Diagnosis::Retriable, .. }, _)) => return Err(SendError::QueueFull),
            Err((error, _)) => return Err(error.into()),
        }
        let owned = RecordRef {
            key: record.key,
            value: record.value,
            headers: record.headers.iter().copied().collect(),
            timestamp: Timestamp::create(record.timestamp),
            offset: 0,
        }
        .to_owned();
        self.inner().queued.push_back((token, (record.topic.to_owned(), record.partition, owned)));
        Ok(())
    }

    fn serve(&self, _timeout: Duration) {
        while let Some((token, record)) = { self.inner().queued.pop_front() } {
            match self.play(Call::Deliver, "delivering") {
                Ok(()) => {
                    let mut inner = self.inner();
                    if inner.open {
                        inner.acknowledged.push(record);
                    } else {
                        self.cluster.lock().output.push(record);
                        inner.delivered.push(token);
                    }
                }
                Err((error, _)) => {
                    self.inner().failure.get_or_insert(error);
                }
            }
        }
    }

    fn in_flight(&self) -> usize {
        self.inner().queued.len()
    }

    fn failure(&self) -> Option<ClientError> {
        self.inner().failure.clone()
    }

    fn delivered(&self, into: &mut Vec<usize>) {
        into.append(&mut self.inner().delivered);
    }
}

impl TransactionalProducer for MemoryProducer {
    type Group = ();

    fn init(&self, _timeout: Duration) -> Result<(), ClientError> {
        self.play(Call::Init, "starting transactions").map_err(|(error, _)| error)?;
        let mut state = self.cluster.lock();
        state.epoch += 1;
        self.inner().epoch = state.epoch;
        Ok(())
    }

    fn begin(&self) -> Result<(), ClientError> {
        self.play(Call::Begin, "beginning a transaction").map_err(|(error, _)| error)?;
        let mut inner = self.inner();
        assert!(!inner.open, "a transaction is open already");
        inner.open = true;
        inner.failure = None;
        Ok(())
    }

    fn send_offsets(&self, positions: &Positions, (): &(), _timeout: Duration) -> Result<(), ClientError> {
        self.play(Call::SendOffsets, "sending offsets").map_err(|(error, _)| error)?;
        self.inner().offsets.clone_from(positions);
        Ok(())
    }

    fn commit(&self, _timeout: Duration) -> Result<(), ClientError> {
        let played = self.play(Call::Commit, "committing");
        let (answer, effect) = match played {
            Ok(()) => (Ok(()), true),
            Err((error, effect)) => (Err(error), effect),
        };
        if effect {
            let mut inner = self.inner();
            assert!(inner.queued.is_empty(), "a commit before everything was delivered");
            assert!(!inner.must_abort, "a commit of a transaction that must be aborted");
            let mut state = self.cluster.lock();
            state.output.append(&mut inner.acknowledged);
            state.committed.extend(inner.offsets.drain(..));
            inner.open = false;
        }
        answer
    }

    fn abort(&self, _timeout: Duration) -> Result<(), ClientError> {
        self.play(Call::Abort, "aborting").map_err(|(error, _)| error)?;
        let mut inner = self.inner();
        inner.queued.clear();
        inner.acknowledged.clear();
        inner.offsets.clear();
        inner.open = false;
        inner.must_abort = false;
        inner.failure = None;
        Ok(())
    }
}

/// A pipeline that carries a topic.
pub fn info() -> PipelineInfo {
    PipelineInfo {
        name: "p".to_owned(),
        operation: "compress".to_owned(),
        from: vec!["t".to_owned()],
        to: "t.z".to_owned(),
        codec: None,
        layout: None,
        delivery: "exactly-once".to_owned(),
        several_topics: false,
    }
}

/// An observer that nobody listens to.
pub fn observer() -> Observer {
    let board = StatusBoard::new("test");
    let status = board.add(info());
    Observer::new(board, status, Arc::default(), Holdings::default())
}

/// What a pipeline is told that draws from its codec's model.
pub fn augment() -> AugmentSettings {
    AugmentSettings {
        to: TopicTemplate::new("t.augmented"),
        generator: GeneratorChoice::Columns,
        condition: Condition::new(),
        balance: None,
        label: None,
        rate: Rate::PerRecord(0.1),
        share: 1.0,
        gates: Gates::Default,
        target: None,
        seed: 0,
        cpu: Duration::from_secs(1),
        bases: None,
    }
}
