//! Outputs first, offsets after them: an offset moves only over a contiguous prefix of delivered outputs, so that a
//! crash repeats some records and loses none.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::prefix::PrefixTracker;
use super::{Deliver, Interrupted, Limits, SlotId};
use crate::pipeline::pulse::Pulse;
use crate::record::TopicPartition;
use crate::sink::{OutRecord, Producer, SendError};
use crate::source::{ClientError, Diagnosis, Positions, Source};
use crate::telemetry::PipelineMetrics;

/// A token is the slot in the high half and the tracker's number in the low one.
const SLOT_SHIFT: u32 = 40;
const NUMBER_MASK: usize = (1 << SLOT_SHIFT) - 1;

/// Told when offsets could not be committed.
pub type OnUncommitted = Box<dyn FnMut(&ClientError) + Send>;

/// What an [`AtLeastOnce`] is made from.
pub struct AtLeastOnceParts<F> {
    /// Makes a producer.
    pub make: F,
    /// How long things may take.
    pub limits: Limits,
    /// The worker's pulse.
    pub pulse: Arc<Pulse>,
    /// Where commits of offsets are counted.
    pub metrics: PipelineMetrics,
    /// Told when offsets could not be committed.
    pub on_uncommitted: OnUncommitted,
}

/// An idempotent producer, and offsets behind it.
pub struct AtLeastOnce<P: Producer, F> {
    make: F,
    limits: Limits,
    pulse: Arc<Pulse>,
    metrics: PipelineMetrics,
    on_uncommitted: OnUncommitted,
    producer: Option<P>,
    slots: BTreeMap<SlotId, Track>,
    partitions: BTreeMap<TopicPartition, SlotId>,
    reports: Vec<usize>,
    /// Positions committed and not told to the worker yet.
    told: Positions,
}

#[derive(Default)]
struct Track {
    tracker: PrefixTracker,
    committed: Option<i64>,
}

impl<P, F> AtLeastOnce<P, F>
where
    P: Producer,
    F: FnMut() -> Result<P, ClientError>,
{
    /// A stage without a producer yet: call [`Deliver::start`].
    pub fn new(parts: AtLeastOnceParts<F>) -> Self {
        Self {
            make: parts.make,
            limits: parts.limits,
            pulse: parts.pulse,
            metrics: parts.metrics,
            on_uncommitted: parts.on_uncommitted,
            producer: None,
            slots: BTreeMap::new(),
            partitions: BTreeMap::new(),
            reports: Vec::new(),
            told: Positions::new(),
        }
    }

    fn producer(&self) -> &P {
        self.producer.as_ref().expect("`start` was called: the worker does so first and after every restart")
    }

    /// Takes delivery reports; the first failure ends it.
    fn reports(&mut self, wait: Duration) -> Result<(), Interrupted> {
        self.producer().serve(wait);
        let mut reports = std::mem::take(&mut self.reports);
        self.producer().delivered(&mut reports);
        for token in reports.drain(..) {
            let slot = SlotId::try_from(token >> SLOT_SHIFT).unwrap_or(SlotId::MAX);
            // Reports of partitions that were given up meanwhile are of no use.
            if let Some(track) = self.slots.get_mut(&slot) {
                track.tracker.finished(token & NUMBER_MASK);
            }
        }
        self.reports = reports;
        self.producer().failure().map_or(Ok(()), |error| Err(self.give_up(error)))
    }

    /// Drops the producer with what it holds: those records are read and sent again.
    fn give_up(&mut self, error: ClientError) -> Interrupted {
        self.forget();
        Interrupted::Restart(error)
    }

    fn forget(&mut self) {
        self.slots.clear();
        self.partitions.clear();
    }

    fn commit_durable<S: Source>(&mut self, source: &S) -> Result<Option<Positions>, Interrupted> {
        let mut positions = Positions::new();
        for (at, slot) in &self.partitions {
            let Some(track) = self.slots.get(slot) else { continue };
            if let Some(position) = track.tracker.durable().filter(|position| track.committed != Some(*position)) {
                positions.push((at.clone(), position));
            }
        }
        if positions.is_empty() {
            return Ok(None);
        }
        let since = Instant::now();
        match source.commit(&positions) {
            Ok(()) => {
                self.metrics.transactions_committed.inc();
                self.metrics.transaction_seconds.observe(since.elapsed().as_secs_f64());
                for (at, position) in &positions {
                    if let Some(track) = self.partitions.get(at).and_then(|slot| self.slots.get_mut(slot)) {
                        track.committed = Some(*position);
                    }
                }
                Ok(Some(positions))
            }
            Err(error) if error.ends_consumer() => Err(self.give_up(error)),
            // A rebalance is under way or nobody answers: the next commit covers this one.
            Err(error) => {
                self.metrics.transactions_aborted.inc();
                (self.on_uncommitted)(&error);
                Ok(None)
            }
        }
    }

    fn drain(&mut self, deadline: Instant) -> Result<(), Interrupted> {
        while self.producer().in_flight() > 0 {
            self.pulse.beat();
            self.reports(Duration::from_millis(1))?;
            if self.pulse.is_abandoned() {
                return Err(Interrupted::Cancelled);
            }
            if Instant::now() > deadline {
                let text = format!("{} records were not acknowledged in time", self.producer().in_flight());
                return Err(self.give_up(ClientError::new(Diagnosis::Unreachable, "delivering", text)));
            }
        }
        self.reports(Duration::ZERO)
    }
}

impl<S, P, F> Deliver<S> for AtLeastOnce<P, F>
where
    S: Source,
    P: Producer,
    F: FnMut() -> Result<P, ClientError>,
{
    fn start(&mut self) -> Result<(), Interrupted> {
        self.forget();
        if self.producer.take().is_some() {
            self.metrics.transactions_rebuilt.inc();
        }
        match (self.make)() {
            Ok(producer) => {
                self.producer = Some(producer);
                Ok(())
            }
            Err(error) => Err(Interrupted::Restart(error)),
        }
    }

    fn emit(
        &mut self,
        record: &OutRecord<'_>,
        _topic: &Arc<str>,
        slot: SlotId,
        position: Option<i64>,
    ) -> Result<(), Interrupted> {
        let number = self.slots.entry(slot).or_default().tracker.sent(position);
        let token = (slot as usize) << SLOT_SHIFT | number & NUMBER_MASK;
        let mut full_since: Option<Instant> = None;
        loop {
            match self.producer().send(record, token) {
                Ok(()) => return Ok(()),
                Err(SendError::QueueFull) => {
                    self.pulse.beat();
                    self.reports(Duration::from_millis(1))?;
                    if self.pulse.is_abandoned() || self.pulse.stopping() {
                        return Err(Interrupted::Cancelled);
                    }
                    if full_since.get_or_insert_with(Instant::now).elapsed() > self.limits.whole {
                        let text = "no broker took a record in time";
                        return Err(self.give_up(ClientError::new(Diagnosis::Unreachable, "producing", text)));
                    }
                }
                Err(SendError::Failed(error)) => return Err(self.give_up(error)),
            }
        }
    }

    fn progress(&mut self, _source: &S, wait: Duration) -> Result<Option<Positions>, Interrupted> {
        self.reports(wait)?;
        let told = std::mem::take(&mut self.told);
        Ok((!told.is_empty()).then_some(told))
    }

    fn can_commit(&self) -> bool {
        true
    }

    fn commit(&mut self, source: &S, positions: Positions) -> Result<(), Interrupted> {
        for (at, _) in positions {
            debug_assert!(self.partitions.contains_key(&at), "`watch` names every partition");
        }
        self.reports(Duration::ZERO)?;
        self.told = self.commit_durable(source)?.unwrap_or_default();
        Ok(())
    }

    fn settle(&mut self, source: &S, deadline: Instant) -> Result<Option<Positions>, Interrupted> {
        self.drain(deadline)?;
        self.commit_durable(source)
    }

    fn watch(&mut self, at: &TopicPartition, slot: SlotId) {
        self.partitions.insert(at.clone(), slot);
        self.slots.insert(slot, Track::default());
    }

    fn unwatch(&mut self, at: &TopicPartition) {
        if let Some(slot) = self.partitions.remove(at) {
            self.slots.remove(&slot);
        }
    }

    fn discard(&mut self) -> Result<Option<Positions>, Interrupted> {
        Ok(None)
    }

    fn buffered_bytes(&self) -> usize {
        0
    }
}
