//! Where records come from: the role ([`Source`]) and Kafka's way to fill it.
//!
//! This folder and `sink` are the only homes of `rdkafka`. `sink` takes the client settings and the sorting of errors
//! from here, so that both sides speak to the cluster in one way.

pub mod client;
mod embedded;
mod kafka;
mod scan;
mod stuck;
pub mod topics;

pub use client::{ClientError, Diagnosis, KafkaSettings};
pub use embedded::{EmbeddedBroker, PARTITION_BYTES};
pub use kafka::{ConsumerSettings, GroupMetadata, KafkaRecord, KafkaSource, Leaver};
pub use scan::{ScanFrom, ScanSettings, Scanned, TopicScan};

use std::time::{Duration, Instant};

use crate::record::{RecordRef, TopicPartition};

/// A position per partition: the next offset to read.
pub type Positions = Vec<(TopicPartition, i64)>;

/// A record as the source holds it.
pub trait SourceRecord {
    /// The source topic.
    fn topic(&self) -> &str;
    /// The source partition.
    fn partition(&self) -> i32;
    /// Its place in the partition; known even when the rest cannot be read.
    fn offset(&self) -> i64;
    /// The record, or what about it cannot be represented.
    fn record(&self) -> Result<RecordRef<'_>, UnreadableRecord>;
    /// What can be read of any record.
    fn without_headers(&self) -> RecordRef<'_>;
}

/// A record that the client library cannot hand out whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct UnreadableRecord {
    /// What is wrong with it.
    pub detail: &'static str,
}

/// What a poll brought.
pub enum Polled<R> {
    /// A record.
    Record(R),
    /// The partition has no more records for now.
    EndOfPartition(i32),
    /// Partitions come or go. Nothing has changed until [`Source::accept`] is called.
    Rebalance(Rebalance),
    /// Nothing within the timeout.
    Nothing,
}

/// Partitions come or go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rebalance {
    /// These are ours now.
    Assigned(Vec<TopicPartition>),
    /// These are to be given up once what was read from them is committed.
    Revoked {
        /// The partitions.
        partitions: Vec<TopicPartition>,
        /// They belong to another member already: nothing of them may be committed any more.
        lost: bool,
    },
}

/// A group member that reads records. All methods are called on one thread.
pub trait Source {
    /// What [`Source::poll`] hands out; it borrows the source's memory.
    type Record<'a>: SourceRecord
    where
        Self: 'a;
    /// What identifies the member and its generation to the transaction coordinator.
    type Group: Send + 'static;

    /// The next record or event.
    fn poll(&self, timeout: Duration) -> Result<Polled<Self::Record<'_>>, ClientError>;
    /// Takes the partitions of an assignment, or lets those of a revocation go.
    fn accept(&self, rebalance: &Rebalance) -> Result<(), ClientError>;
    /// Reads on from these positions.
    fn seek(&self, to: &Positions, timeout: Duration) -> Result<(), ClientError>;
    /// The group's committed positions; partitions without one are left out.
    fn committed(&self, of: &[TopicPartition], timeout: Duration) -> Result<Positions, ClientError>;
    /// Commits positions outside a transaction and waits for the answer.
    fn commit(&self, positions: &Positions) -> Result<(), ClientError>;
    /// Stops or restarts delivery from these partitions; group membership goes on.
    fn pause(&self, partitions: &[TopicPartition], paused: bool) -> Result<(), ClientError>;
    /// The member's identity, when it has joined.
    fn group(&self) -> Option<Self::Group>;
    /// Records waiting in the partition behind its position, and bytes fetched ahead, as of the last statistics.
    fn backlog(&self) -> Backlog;
}

/// What the client knows about what is still to come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// End of each assigned partition (last stable offset) as of the last statistics.
    pub ends: Positions,
    /// Bytes fetched and not yet polled.
    pub fetched_bytes: u64,
    /// Who could be reached; absent before the first statistics.
    pub reach: Option<Reach>,
}

/// Whether everybody whom a group member needs could be reached: its coordinator and its partitions' leaders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// When that was so.
    pub at: Instant,
    /// Who could not be.
    pub missing: Option<String>,
}
