//! What happens to a record between intake and delivery: [`CompressRecords`], [`CompressBlocks`], [`Restore`] or
//! [`Observe`].

mod baseline;
mod coder;
mod compress_blocks;
mod compress_records;
mod observe;
mod restore;
#[cfg(test)]
mod round_trip;

pub use coder::Coder;
pub use compress_blocks::CompressBlocks;
pub use compress_records::CompressRecords;
pub use observe::Observe;
pub use restore::Restore;

use std::time::Instant;

use super::deliver::{Interrupted, SlotId};
use crate::codec::MissingModel;
use crate::record::{HeaderRef, RecordRef, TopicPartition};

/// Why a record with timestamp 0 cannot be written.
const WRITES_NOW: &str = "its timestamp is 0, which the client library would write as the current time";

/// Why a record becomes a dead letter. The names are metric labels and header values: a closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is not what its header or its frame says.
    Undecodable,
    /// It would decode to more than `max_decoded`.
    OverCap,
    /// The target topic does not take a record of its size.
    TooLarge,
    /// It names a model that the registry does not have.
    MissingModel,
    /// The client library cannot hand it out.
    Unreadable,
    /// The client library cannot write its timestamp (0, the epoch itself, which it takes for "now").
    Timestamp,
}

impl Reason {
    /// The label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Undecodable => "undecodable",
            Self::OverCap => "over_cap",
            Self::TooLarge => "too_large",
            Self::MissingModel => "missing_model",
            Self::Unreadable => "unreadable",
            Self::Timestamp => "timestamp",
        }
    }
}

/// Why a stage stopped in the middle of a record. The record counts as not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Halt {
    /// Delivery was interrupted.
    Interrupted(Interrupted),
    /// A record cannot be processed, and the configuration says to stop then.
    Stop(String),
    /// A model is missing, and the configuration says to wait for it.
    Wait(MissingModel),
}

impl From<Interrupted> for Halt {
    fn from(interrupted: Interrupted) -> Self {
        Self::Interrupted(interrupted)
    }
}

/// What a stage publishes: where it goes is the output's business.
#[derive(Clone, Debug)]
pub struct Publication<'a> {
    /// Key.
    pub key: Option<&'a [u8]>,
    /// Value.
    pub value: Option<&'a [u8]>,
    /// Headers in order.
    pub headers: &'a [HeaderRef<'a>],
    /// Milliseconds since the Unix epoch.
    pub timestamp: i64,
}

/// Where a stage's outputs go: one input partition's view of delivery.
pub trait Output {
    /// The input partition.
    fn origin(&self) -> &TopicPartition;
    /// Whether the target topic takes it.
    fn fits(&self, publication: &Publication<'_>) -> bool;
    /// Publishes. `position` is where reading goes on after it; `None` while more of the same record follows.
    fn publish(&mut self, publication: &Publication<'_>, position: Option<i64>) -> Result<(), Halt>;
    /// Publishes a record as a dead letter, or halts when the configuration says so.
    fn dead_letter(
        &mut self,
        record: &RecordRef<'_>,
        reason: Reason,
        message: &str,
        position: Option<i64>,
    ) -> Result<(), Halt>;
}

/// The role between intake and delivery.
pub trait Stage {
    /// Takes the next record of a slot.
    fn take(&mut self, slot: SlotId, record: &RecordRef<'_>, output: &mut dyn Output) -> Result<(), Halt>;

    /// Publishes what is held back of a slot (an open block).
    fn close(&mut self, slot: SlotId, output: &mut dyn Output) -> Result<(), Halt>;

    /// Slots whose held-back records have waited long enough by `now`.
    fn due(&self, now: Instant, into: &mut Vec<SlotId>);

    /// When the next slot will be due.
    fn next_due(&self) -> Option<Instant>;

    /// Slots that hold something back.
    fn open(&self, into: &mut Vec<SlotId>);

    /// Forgets what is held back of every slot: it will be read again.
    fn discard(&mut self);

    /// Forgets a slot that is no longer ours.
    fn remove(&mut self, slot: SlotId);

    /// A moment between two transactions: takes a newly learned model, if there is one.
    fn at_boundary(&mut self) {}

    /// No record has been taken since the last boundary: it is still one. A quiet stream need not code a whole transaction
    /// before it uses what was learned from it.
    fn at_rest(&mut self) {}

    /// Bytes held back.
    fn buffered_bytes(&self) -> usize;
}

impl<T: Stage + ?Sized> Stage for Box<T> {
    fn take(&mut self, slot: SlotId, record: &RecordRef<'_>, output: &mut dyn Output) -> Result<(), Halt> {
        (**self).take(slot, record, output)
    }
    fn close(&mut self, slot: SlotId, output: &mut dyn Output) -> Result<(), Halt> {
        (**self).close(slot, output)
    }
    fn due(&self, now: Instant, into: &mut Vec<SlotId>) {
        (**self).due(now, into);
    }
    fn next_due(&self) -> Option<Instant> {
        (**self).next_due()
    }
    fn open(&self, into: &mut Vec<SlotId>) {
        (**self).open(into);
    }
    fn discard(&mut self) {
        (**self).discard();
    }
    fn remove(&mut self, slot: SlotId) {
        (**self).remove(slot);
    }
    fn at_boundary(&mut self) {
        (**self).at_boundary();
    }
    fn at_rest(&mut self) {
        (**self).at_rest();
    }
    fn buffered_bytes(&self) -> usize {
        (**self).buffered_bytes()
    }
}
