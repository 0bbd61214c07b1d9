//! Where records go: the roles ([`Producer`], [`TransactionalProducer`]) and Kafka's way to fill them.

mod kafka;
pub mod topics;

pub use kafka::{KafkaProducer, ProducerSettings, TRANSACTION_TIMEOUT};

use std::time::Duration;

use crate::record::HeaderRef;
use crate::source::{ClientError, Positions};

/// A record to be written.
#[derive(Clone, Debug)]
pub struct OutRecord<'a> {
    /// Target topic.
    pub topic: &'a str,
    /// Target partition; `None` lets the key's hash choose (murmur2, as Java's producer does).
    pub partition: Option<i32>,
    /// Key.
    pub key: Option<&'a [u8]>,
    /// Value.
    pub value: Option<&'a [u8]>,
    /// Headers in order.
    pub headers: &'a [HeaderRef<'a>],
    /// Milliseconds since the Unix epoch.
    pub timestamp: i64,
}

impl OutRecord<'_> {
    /// Bytes of key, value and headers.
    pub fn payload_len(&self) -> usize {
        let headers: usize = self.headers.iter().map(|h| h.name.len() + h.value.map_or(0, <[u8]>::len)).sum();
        self.key.map_or(0, <[u8]>::len) + self.value.map_or(0, <[u8]>::len) + headers
    }

    /// Upper bound of the bytes of a Kafka record batch that holds this record alone, uncompressed: what a broker
    /// compares with `max.message.bytes`. 61 bytes of batch header (KIP-98); each length and delta is a varint.
    pub fn batch_len(&self) -> usize {
        const BATCH_HEADER: usize = 61;
        const RECORD_VARINTS: usize = 5 + 1 + 10 + 5 + 5 + 5 + 5;
        const HEADER_VARINTS: usize = 5 + 5;
        BATCH_HEADER + RECORD_VARINTS + self.payload_len() + self.headers.len() * HEADER_VARINTS
    }
}

/// Why a record was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The queue is full: serve the producer and try again.
    #[error("the producer's queue is full")]
    QueueFull,
    /// The producer does not take it.
    #[error(transparent)]
    Failed(#[from] ClientError),
}

/// A producer. `send` never blocks; deliveries are reported while it is served.
pub trait Producer: Send + Sync + 'static {
    /// Queues a record. `token` comes back in [`Producer::delivered`].
    fn send(&self, record: &OutRecord<'_>, token: usize) -> Result<(), SendError>;
    /// Takes delivery reports for up to `timeout`.
    fn serve(&self, timeout: Duration);
    /// Records queued or sent and not yet reported.
    fn in_flight(&self) -> usize;
    /// The first record that was not delivered since the last transaction began, if any.
    fn failure(&self) -> Option<ClientError>;
    /// Tokens delivered since the last call, in any order (not kept by a transactional producer).
    fn delivered(&self, into: &mut Vec<usize>);
}

/// A producer whose records become visible together with offsets.
pub trait TransactionalProducer: Producer {
    /// What identifies the group member whose offsets are sent.
    type Group: Send + 'static;

    /// Fences predecessors of the same transactional id and ends their transaction.
    fn init(&self, timeout: Duration) -> Result<(), ClientError>;
    /// Begins a transaction.
    fn begin(&self) -> Result<(), ClientError>;
    /// Adds positions of the group to the transaction.
    fn send_offsets(&self, positions: &Positions, group: &Self::Group, timeout: Duration) -> Result<(), ClientError>;
    /// Commits.
    fn commit(&self, timeout: Duration) -> Result<(), ClientError>;
    /// Aborts: drops what is not sent yet and waits for the rest. [`Diagnosis::Retriable`] when that takes longer: serve
    /// the producer and call again.
    ///
    /// [`Diagnosis::Retriable`]: crate::source::Diagnosis::Retriable
    fn abort(&self, timeout: Duration) -> Result<(), ClientError>;
}
