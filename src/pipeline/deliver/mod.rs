//! The last stage: outputs and offsets to Kafka, together ([`ExactlyOnce`]) or in order ([`AtLeastOnce`]).

mod at_least_once;
mod exactly_once;
mod prefix;
mod spool;
mod transactor;

pub use at_least_once::{AtLeastOnce, AtLeastOnceParts};
pub use exactly_once::{ExactlyOnce, ExactlyOnceParts};
pub use transactor::Limits;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::record::TopicPartition;
use crate::sink::OutRecord;
use crate::source::{ClientError, Positions, Source};

/// One input partition, as the worker numbers them; never reused within a worker's life.
pub type SlotId = u32;

/// Why delivering cannot go on as if nothing had happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interrupted {
    /// What was not committed is gone for certain: read on from the last committed positions.
    Rewind(ClientError),
    /// Nobody knows whether the last commit happened: call [`Deliver::start`], then ask the group where to read on.
    Restart(ClientError),
    /// A wish of the supervisor (stop, abandon) came while waiting.
    Cancelled,
}

/// The role of the last stage.
pub trait Deliver<S: Source> {
    /// Makes a new producer and waits until it may write; tries for ever, until a wish of the supervisor.
    fn start(&mut self) -> Result<(), Interrupted>;

    /// Hands an output on. `position` is where reading goes on once this output is durable; `None` while more outputs
    /// of the same record follow. Outputs of a slot come in the order of its records.
    fn emit(
        &mut self,
        record: &OutRecord<'_>,
        topic: &Arc<str>,
        slot: SlotId,
        position: Option<i64>,
    ) -> Result<(), Interrupted>;

    /// Lets things move without waiting longer than `wait`; the positions that became durable, if any did.
    fn progress(&mut self, source: &S, wait: Duration) -> Result<Option<Positions>, Interrupted>;

    /// Whether [`Deliver::commit`] may be called: not while a commit is under way.
    fn can_commit(&self) -> bool;

    /// Begins to commit everything emitted. `positions` are where reading goes on, per partition consumed.
    fn commit(&mut self, source: &S, positions: Positions) -> Result<(), Interrupted>;

    /// Waits until a commit under way has ended.
    fn settle(&mut self, source: &S, deadline: Instant) -> Result<Option<Positions>, Interrupted>;

    /// A partition has become ours under this number.
    fn watch(&mut self, _at: &TopicPartition, _slot: SlotId) {}

    /// A partition is no longer ours.
    fn unwatch(&mut self, _at: &TopicPartition) {}

    /// Throws away what is not committed: its partitions are no longer ours. A commit under way is waited for; the
    /// positions are those that it made durable.
    fn discard(&mut self) -> Result<Option<Positions>, Interrupted>;

    /// Bytes held in memory by this stage.
    fn buffered_bytes(&self) -> usize;
}
