//! One worker: a consumer, a stage and a delivery on one thread, with no queue between them.
//!
//! The loop polls a batch, hands each record to the stage, lets delivery progress and commits when the interval is
//! over. Everything that can go wrong comes back as a [`Halt`] and is cured here: by reading again from the last
//! committed positions, by a new producer, by waiting, or by ending with a reason.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::augment::Augmenter;
use super::deliver::{Deliver, Interrupted, SlotId};
use super::observer::WorkerObserver;
use super::output::SlotOutput;
use super::pulse::Pulse;
use super::slots::Slots;
use super::stage::{Halt, Output, Reason, Stage};
use super::tally::Tally;
use super::topology::Topology;
use crate::record::TopicPartition;
use crate::source::{ClientError, Diagnosis, Polled, Positions, Rebalance, Source, SourceRecord};
use crate::telemetry::PublishedKind;

/// Most records of one batch: bounds the time between two looks at the clock.
const BATCH_RECORDS: usize = 1024;

/// Most bytes of one batch.
const BATCH_BYTES: usize = 1 << 20;

/// Longest wait for a record when there is nothing to do.
const IDLE: Duration = Duration::from_millis(100);

/// Wait for a record while a commit is under way: its end starts the next transaction.
const COMMITTING: Duration = Duration::from_millis(2);

/// How long one question to the cluster may take.
const ASK: Duration = Duration::from_secs(10);

/// Pause before a record is tried again whose model is missing.
const MODEL_RETRY: Duration = Duration::from_secs(2);

/// Pause after being fenced by another process with our transactional id: a fight would help neither.
const FENCED_PAUSE: Duration = Duration::from_secs(5);

/// Time between two attempts to hear from partitions of which some was refused.
const PROBE: Duration = Duration::from_secs(5);

/// Pause before a cure that failed is tried again.
const CURE_PAUSE: Duration = Duration::from_millis(200);

/// One record in so many has its way from timestamp to commit measured.
const LATENCY_SAMPLE: u64 = 64;

/// Why a worker ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It was asked to, and everything read is committed.
    Stopped,
    /// It was asked to, and could not commit in time; what was not committed will be read again.
    StoppedUncommitted(String),
    /// Another worker has taken its place.
    Abandoned,
    /// The pipeline must stop: a record cannot be processed and there is nowhere to put it.
    Failed(String),
    /// A new consumer is needed.
    Restart(ClientError),
}

/// What a worker is made from.
pub struct WorkerParts<S, D, T> {
    /// Where records come from.
    pub source: S,
    /// Where they go.
    pub deliver: D,
    /// What happens between.
    pub stage: T,
    /// Which topic goes where.
    pub topology: Arc<Topology>,
    /// The kind its publications count as.
    pub kind: PublishedKind,
    /// Time between commits.
    pub commit_interval: Duration,
    /// Time to finish in when asked to stop, or when partitions are taken away.
    pub drain_timeout: Duration,
    /// What draws records beside those that are carried.
    pub augmenter: Option<Augmenter>,
    /// Bytes that open blocks may hold together.
    pub open_bytes: usize,
    /// Its pulse.
    pub pulse: Arc<Pulse>,
    /// Who is told what happens.
    pub observer: Arc<WorkerObserver>,
}

/// One worker.
pub struct Worker<S, D, T> {
    source: S,
    deliver: D,
    stage: T,
    topology: Arc<Topology>,
    kind: PublishedKind,
    commit_interval: Duration,
    drain_timeout: Duration,
    augmenter: Option<Augmenter>,
    open_bytes: usize,
    pulse: Arc<Pulse>,
    observer: Arc<WorkerObserver>,
    slots: Slots,
    tally: Tally,
    dirty_since: Option<Instant>,
    paused: bool,
    held: Vec<(TopicPartition, Instant)>,
    latencies: Latencies,
    due: Vec<SlotId>,
    probed: Option<Instant>,
}

/// Timestamps of sampled records: of the open transaction and of the one that commits.
#[derive(Default)]
struct Latencies {
    open: Vec<i64>,
    committing: Vec<i64>,
    seen: u64,
}

impl<S, D, T> Worker<S, D, T>
where
    S: Source,
    D: Deliver<S>,
    T: Stage,
{
    /// A worker that has not started.
    pub fn new(parts: WorkerParts<S, D, T>) -> Self {
        Self {
            source: parts.source,
            deliver: parts.deliver,
            stage: parts.stage,
            topology: parts.topology,
            kind: parts.kind,
            commit_interval: parts.commit_interval,
            drain_timeout: parts.drain_timeout,
            augmenter: parts.augmenter,
            open_bytes: parts.open_bytes,
            pulse: parts.pulse,
            observer: parts.observer,
            slots: Slots::default(),
            tally: Tally::default(),
            dirty_since: None,
            paused: false,
            held: Vec::new(),
            latencies: Latencies::default(),
            due: Vec::new(),
            probed: None,
        }
    }

    /// Runs until there is a reason to end.
    pub fn run(mut self) -> Exit {
        let mut result = self.deliver.start().map_err(Halt::from);
        loop {
            self.pulse.beat();
            if self.pulse.is_abandoned() {
                return Exit::Abandoned;
            }
            let cured = match result {
                Ok(()) => Ok(()),
                Err(halt) => self.cure(halt),
            };
            if let Err(exit) = cured {
                return exit;
            }
            if self.pulse.stopping() {
                return self.finish();
            }
            result = self.turn();
        }
    }

    fn turn(&mut self) -> Result<(), Halt> {
        self.follow_wishes()?;
        if self.dirty_since.is_none() {
            self.stage.at_rest();
        }
        self.take_batch()?;
        let now = Instant::now();
        self.due.clear();
        if self.stage.buffered_bytes() > self.open_bytes {
            self.stage.open(&mut self.due);
        } else {
            self.stage.due(now, &mut self.due);
        }
        self.close_due()?;
        if let Some(positions) = self.deliver.progress(&self.source, Duration::ZERO)? {
            self.durable(&positions);
        }
        if self.dirty_since.is_none() && self.deliver.can_commit() && self.slots.is_dirty() {
            // Not everything was durable at the last commit.
            self.dirty_since = Some(now);
        }
        let due = self.dirty_since.is_some_and(|since| now.duration_since(since) >= self.commit_interval);
        if due && self.deliver.can_commit() {
            self.commit()?;
        }
        self.report();
        self.take_heart(now)
    }

    /// Looks for what shows that trouble is over, while there is some.
    fn take_heart(&mut self, now: Instant) -> Result<(), Halt> {
        if self.observer.owes_a_commit() && self.slots.is_idle() {
            self.observer.all_committed();
        }
        if self.observer.is_lacking() && !self.slots.iter().any(|slot| slot.lacking) {
            self.observer.has_all_models();
        }
        if !self.observer.is_in_doubt() {
            self.probed = None;
            return Ok(());
        }
        let partitions = self.slots.partitions();
        if !partitions.is_empty() && self.slots.iter().all(|slot| slot.heard) {
            self.observer.heard_from_all();
        } else if !self.paused && self.held.is_empty() && self.probed.is_some_and(|at| now - at >= PROBE) {
            // A refusal is told once, and a partition at its end says nothing. Made to fetch anew, each says how it is.
            doubt(&mut self.slots, &mut self.probed);
            self.source.pause(&partitions, true).map_err(restart)?;
            self.source.pause(&partitions, false).map_err(restart)?;
        }
        Ok(())
    }

    /// How long to wait for the first record of a batch.
    fn patience(&self) -> Duration {
        if !self.deliver.can_commit() {
            return COMMITTING;
        }
        let now = Instant::now();
        let commit = self.dirty_since.map(|since| (since + self.commit_interval).saturating_duration_since(now));
        let block = self.stage.next_due().map(|due| due.saturating_duration_since(now));
        [commit, block].into_iter().flatten().fold(IDLE, Duration::min)
    }

    fn take_batch(&mut self) -> Result<(), Halt> {
        let mut records = 0;
        let mut bytes = 0;
        while records < BATCH_RECORDS && bytes < BATCH_BYTES {
            let wait = if records == 0 { self.patience() } else { Duration::ZERO };
            // The record borrows the source, so an event that needs all of `self` leaves the match first.
            let rebalance = match self.source.poll(wait) {
                Ok(Polled::Record(record)) => {
                    records += 1;
                    bytes += take_one::<S, D, T>(
                        &record,
                        &mut self.slots,
                        &mut self.stage,
                        &mut self.deliver,
                        &mut self.tally,
                        &mut self.latencies,
                        self.kind,
                    )?;
                    continue;
                }
                Ok(Polled::EndOfPartition(partition)) => {
                    self.slots.at_end(partition);
                    continue;
                }
                Ok(Polled::Rebalance(rebalance)) => rebalance,
                Ok(Polled::Nothing) => break,
                Err(error) if error.ends_consumer() => return Err(Interrupted::Restart(error).into()),
                Err(error) => {
                    self.observer.trouble(&error);
                    if !error.is_passing() {
                        doubt(&mut self.slots, &mut self.probed);
                    }
                    break;
                }
            };
            self.rebalance(&rebalance)?;
            break;
        }
        if records > 0 {
            self.dirty_since.get_or_insert_with(Instant::now);
            if let Some(augmenter) = &mut self.augmenter {
                augmenter.consumed(records as u64, &self.slots, &mut self.deliver, &mut self.tally)?;
            }
        }
        Ok(())
    }

    fn close_due(&mut self) -> Result<(), Halt> {
        let due = std::mem::take(&mut self.due);
        let mut result = Ok(());
        for id in &due {
            let Some(slot) = self.slots.get(*id) else { continue };
            let mut output = SlotOutput::new(&mut self.deliver, slot, &mut self.tally, self.kind);
            result = self.stage.close(*id, &mut output);
            if result.is_err() {
                break;
            }
        }
        self.due = due;
        result
    }

    /// Begins to commit everything read so far.
    fn commit(&mut self) -> Result<(), Halt> {
        self.due.clear();
        self.stage.open(&mut self.due);
        self.close_due()?;
        self.deliver.commit(&self.source, self.slots.positions())?;
        self.dirty_since = None;
        self.latencies.committing.append(&mut self.latencies.open);
        self.stage.at_boundary();
        Ok(())
    }

    /// Commits everything read so far and waits for it.
    fn settle(&mut self) -> Result<(), Halt> {
        let deadline = Instant::now() + self.drain_timeout;
        if let Some(positions) = self.deliver.settle(&self.source, deadline)? {
            self.durable(&positions);
        }
        self.due.clear();
        self.stage.open(&mut self.due);
        if self.slots.is_dirty() || !self.due.is_empty() {
            self.commit()?;
            if let Some(positions) = self.deliver.settle(&self.source, deadline)? {
                self.durable(&positions);
            }
        }
        Ok(())
    }

    fn durable(&mut self, positions: &Positions) {
        self.slots.committed(positions);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
        for timestamp in self.latencies.committing.drain(..) {
            self.observer.latency(now.saturating_sub(timestamp));
        }
        self.observer.committed();
    }

    fn rebalance(&mut self, rebalance: &Rebalance) -> Result<(), Halt> {
        self.observer.rebalance(rebalance);
        match rebalance {
            Rebalance::Assigned(partitions) => {
                let mut routes = Vec::with_capacity(partitions.len());
                for at in partitions {
                    let route = self.topology.route(&at.topic).cloned().ok_or_else(|| {
                        let text = format!("topic `{}` is new", at.topic);
                        Interrupted::Restart(ClientError::new(Diagnosis::Fatal, "taking partitions", text))
                    })?;
                    routes.push((at.clone(), route));
                }
                for (at, route) in routes {
                    let id = self.slots.add(at.clone(), route);
                    self.deliver.watch(&at, id);
                }
                self.recall(partitions);
                self.accept(rebalance)?;
                if self.paused {
                    self.source.pause(partitions, true).map_err(restart)?;
                }
                Ok(())
            }
            Rebalance::Revoked { partitions, lost } => {
                let settled = if *lost {
                    self.discard();
                    self.dirty_since = None;
                    self.latencies.open.clear();
                    match self.deliver.discard() {
                        Ok(positions) => {
                            positions.iter().for_each(|positions| self.durable(positions));
                            Ok(())
                        }
                        Err(interrupted) => Err(interrupted.into()),
                    }
                } else {
                    self.settle()
                };
                for at in partitions {
                    if let Some(slot) = self.slots.remove(at) {
                        self.stage.remove(slot.id);
                        self.deliver.unwatch(at);
                    }
                    self.held.retain(|(held, _)| held != at);
                }
                self.accept(rebalance)?;
                if *lost && settled.is_ok() {
                    // What else was in the thrown-away transaction is still ours and must be read again.
                    self.rewind()?;
                }
                settled
            }
        }
    }

    /// Partitions that come back may be told to begin before what was committed here: a coordinator that is killed and back at
    /// once can forget commits for a while (Apache Kafka 4.3.1 takes a group for loaded that it is still loading).
    fn recall(&mut self, partitions: &[TopicPartition]) {
        let held = self.slots.held_before(partitions);
        if held.is_empty() {
            return;
        }
        match self.source.committed(&held, ASK) {
            Ok(committed) => self.slots.pass_over_what_is_done(&committed),
            Err(error) => tracing::debug!(%error, "the group did not say where partitions begin that were held before"),
        }
    }

    fn accept(&mut self, rebalance: &Rebalance) -> Result<(), Halt> {
        self.source.accept(rebalance).map_err(restart)
    }

    /// Cures what can be cured; what cannot ends the worker.
    fn cure(&mut self, halt: Halt) -> Result<(), Exit> {
        let mut halt = halt;
        loop {
            let again = match halt {
                Halt::Stop(reason) => return Err(Exit::Failed(reason)),
                Halt::Interrupted(Interrupted::Cancelled) => return Ok(()),
                Halt::Interrupted(Interrupted::Rewind(error)) => {
                    self.observer.aborted(&error);
                    if error.diagnosis == Diagnosis::TooLarge {
                        // The topic's limit has changed since it was looked up.
                        return Err(Exit::Restart(error));
                    }
                    self.forget();
                    self.rewind()
                }
                Halt::Interrupted(Interrupted::Restart(error)) => {
                    self.observer.aborted(&error);
                    if error.ends_consumer() && error.doing == "consuming" {
                        return Err(Exit::Restart(error));
                    }
                    self.forget();
                    if error.diagnosis == Diagnosis::Fenced && !self.nap(FENCED_PAUSE) {
                        return Ok(());
                    }
                    self.restart()
                }
                Halt::Wait(missing) => {
                    self.observer.waiting(&missing);
                    self.hold_back()
                }
            };
            match again {
                Ok(()) => return Ok(()),
                Err(Halt::Interrupted(Interrupted::Restart(error))) if error.doing == "seeking back" => {
                    return Err(Exit::Restart(error));
                }
                Err(next) => {
                    halt = next;
                    self.nap(CURE_PAUSE);
                }
            }
            if self.pulse.is_abandoned() || self.pulse.stopping() {
                return Ok(());
            }
        }
    }

    fn discard(&mut self) {
        self.stage.discard();
        if let Some(augmenter) = &mut self.augmenter {
            augmenter.discard();
        }
    }

    fn forget(&mut self) {
        self.discard();
        self.dirty_since = None;
        self.latencies.open.clear();
        self.latencies.committing.clear();
    }

    /// Reads on from the last committed positions.
    fn rewind(&mut self) -> Result<(), Halt> {
        let positions = self.slots.rewind();
        self.source.seek(&positions, ASK).map_err(restart)
    }

    /// A new producer; then the group says what is committed, since nobody else knows.
    fn restart(&mut self) -> Result<(), Halt> {
        self.deliver.start()?;
        let partitions = self.slots.partitions();
        loop {
            match self.source.committed(&partitions, ASK) {
                Ok(positions) => {
                    self.observer.recovered();
                    self.slots.believe(&positions);
                    break;
                }
                Err(error) => {
                    self.observer.recovering(&error);
                    if !self.nap(Duration::from_millis(500)) {
                        return Err(Interrupted::Cancelled.into());
                    }
                }
            }
        }
        for slot in self.slots.iter() {
            self.deliver.watch(&slot.at, slot.id);
        }
        self.rewind()
    }

    /// Commits what is before the record whose model is missing, and tries it again later. Other partitions go on.
    fn hold_back(&mut self) -> Result<(), Halt> {
        self.settle()?;
        let Some((at, next)) = self.slots.iter().find(|slot| slot.waiting).map(|slot| (slot.at.clone(), slot.next))
        else {
            return Ok(());
        };
        for slot in self.slots.iter_mut() {
            slot.waiting = false;
        }
        self.source.seek(&vec![(at.clone(), next)], ASK).map_err(restart)?;
        self.source.pause(std::slice::from_ref(&at), true).map_err(restart)?;
        self.held.push((at, Instant::now() + MODEL_RETRY));
        Ok(())
    }

    /// Pauses and goes on as the supervisor wishes, and resumes partitions that were held back long enough.
    fn follow_wishes(&mut self) -> Result<(), Halt> {
        let wish = self.pulse.paused();
        if wish != self.paused {
            if wish {
                self.settle()?;
            }
            self.source.pause(&self.slots.partitions(), wish).map_err(restart)?;
            self.paused = wish;
            self.observer.paused(wish);
        }
        let now = Instant::now();
        if !self.paused && self.held.iter().any(|(_, until)| *until <= now) {
            let (ready, held) = self.held.drain(..).partition(|(_, until)| *until <= now);
            self.held = held;
            let ready: Vec<_> = ready.into_iter().map(|(at, _): (TopicPartition, Instant)| at).collect();
            self.source.pause(&ready, false).map_err(restart)?;
        }
        Ok(())
    }

    /// Finishes: everything read is committed, or is left for the next owner.
    fn finish(&mut self) -> Exit {
        match self.settle() {
            Ok(()) => {
                self.report();
                Exit::Stopped
            }
            Err(Halt::Interrupted(Interrupted::Rewind(error) | Interrupted::Restart(error))) => {
                Exit::StoppedUncommitted(error.to_string())
            }
            Err(Halt::Interrupted(Interrupted::Cancelled)) => Exit::StoppedUncommitted("it was cancelled".to_owned()),
            Err(Halt::Stop(reason)) => Exit::Failed(reason),
            Err(Halt::Wait(missing)) => Exit::StoppedUncommitted(missing.to_string()),
        }
    }

    fn report(&mut self) {
        let buffered = self.deliver.buffered_bytes() + self.stage.buffered_bytes();
        self.observer.report(&mut self.tally, &self.slots, &self.source, buffered);
    }

    /// Sleeps with a pulse; false when a wish cut it short.
    fn nap(&self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        while Instant::now() < until {
            self.pulse.beat();
            if self.pulse.is_abandoned() || self.pulse.stopping() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        true
    }
}

/// From here on each partition must be heard from again.
fn doubt(slots: &mut Slots, probed: &mut Option<Instant>) {
    *probed = Some(Instant::now());
    slots.iter_mut().for_each(|slot| slot.heard = false);
}

fn restart(error: ClientError) -> Halt {
    Interrupted::Restart(error).into()
}

/// Takes one record: the worker's fields, borrowed apart while the record borrows the source.
fn take_one<S: Source, D: Deliver<S>, T: Stage>(
    record: &S::Record<'_>,
    slots: &mut Slots,
    stage: &mut T,
    deliver: &mut D,
    tally: &mut Tally,
    latencies: &mut Latencies,
    kind: PublishedKind,
) -> Result<usize, Halt> {
    let offset = record.offset();
    let Some(slot) = slots.find(record.topic(), record.partition()) else {
        // Fetched before its partition was given up.
        return Ok(0);
    };
    slot.at_end = false;
    slot.heard = true;
    if slot.base.is_some() && offset < slot.next {
        // After a broker's restart the library can hand records out again that it has handed out before, or the topic was
        // made anew. A new member reads on from what is committed, and gets each record once.
        let text = format!("`{}` gives offset {offset} again, when {} is next", slot.at, slot.next);
        return Err(restart(ClientError::new(Diagnosis::Fatal, "consuming", text)));
    }
    if slot.base.is_none() && offset < slot.done {
        return Ok(0);
    }
    slot.base.get_or_insert(offset);
    let slot_ref = &*slot;
    let mut output = SlotOutput::new(deliver, slot_ref, tally, kind);
    let taken = match record.record() {
        Ok(view) => {
            let bytes = view.payload_len();
            latencies.seen += 1;
            if latencies.seen % LATENCY_SAMPLE == 1 {
                latencies.open.push(view.timestamp.millis);
            }
            stage.take(slot_ref.id, &view, &mut output).map(|()| bytes)
        }
        Err(unreadable) => {
            let view = record.without_headers();
            let message = format!("{}: the headers are left out", unreadable.detail);
            stage
                .close(slot_ref.id, &mut output)
                .and_then(|()| output.dead_letter(&view, Reason::Unreadable, &message, Some(offset + 1)))
                .map(|()| view.payload_len())
        }
    };
    match taken {
        Ok(bytes) => {
            slot.next = offset + 1;
            slot.lacking = false;
            tally.consumed(bytes);
            Ok(bytes)
        }
        Err(halt) => {
            if matches!(halt, Halt::Wait(_)) {
                slot.next = offset;
                slot.waiting = true;
                slot.lacking = true;
            }
            Err(halt)
        }
    }
}
