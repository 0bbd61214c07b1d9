//! What moves through the daemon: a Kafka record, borrowed or owned. Pure data.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's number.
    pub partition: i32,
}

impl TopicPartition {
    /// `topic`/`partition`.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

/// Which clock a record's timestamp came from (KIP-32).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimestampKind {
    /// Set by the producer.
    CreateTime,
    /// Set by the broker when it appended the record (`message.timestamp.type=LogAppendTime`).
    LogAppendTime,
}

/// A record's timestamp: milliseconds since the Unix epoch, may be negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timestamp {
    /// Whose clock.
    pub kind: TimestampKind,
    /// Milliseconds since the Unix epoch. `-1` is Kafka's "none".
    pub millis: i64,
}

impl Timestamp {
    /// A producer's timestamp.
    pub const fn create(millis: i64) -> Self {
        Self { kind: TimestampKind::CreateTime, millis }
    }
}

/// One header, borrowed. Names may repeat and keep their order; a value may be null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderRef<'a> {
    /// The name.
    pub name: &'a str,
    /// The value; `None` is Kafka's null, which differs from empty.
    pub value: Option<&'a [u8]>,
}

/// Headers of one record without an allocation in the usual case.
pub type HeaderRefs<'a> = SmallVec<[HeaderRef<'a>; 4]>;

/// One record, borrowed from wherever it lies (librdkafka's memory, a decoded block, an owned [`Record`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordRef<'a> {
    /// The key; `None` is null.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Headers in order.
    pub headers: HeaderRefs<'a>,
    /// Timestamp and its kind.
    pub timestamp: Timestamp,
    /// Offset in its partition.
    pub offset: i64,
}

impl RecordRef<'_> {
    /// Bytes of key, value and headers: what memory and size limits count.
    pub fn payload_len(&self) -> usize {
        let headers: usize = self.headers.iter().map(|h| h.name.len() + h.value.map_or(0, <[u8]>::len)).sum();
        self.key.map_or(0, <[u8]>::len) + self.value.map_or(0, <[u8]>::len) + headers
    }

    /// Copies the record out of the memory it is borrowed from.
    pub fn to_owned(&self) -> Record {
        Record {
            key: self.key.map(Bytes::copy_from_slice),
            value: self.value.map(Bytes::copy_from_slice),
            headers: self
                .headers
                .iter()
                .map(|h| Header { name: h.name.to_owned(), value: h.value.map(Bytes::copy_from_slice) })
                .collect(),
            timestamp: self.timestamp,
            offset: self.offset,
        }
    }
}

/// One header, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The name.
    pub name: String,
    /// The value; `None` is null.
    pub value: Option<Bytes>,
}

/// One record, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The key; `None` is null.
    pub key: Option<Bytes>,
    /// The value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Headers in order.
    pub headers: Vec<Header>,
    /// Timestamp and its kind.
    pub timestamp: Timestamp,
    /// Offset in its partition.
    pub offset: i64,
}

impl Record {
    /// Borrows the record.
    pub fn as_ref(&self) -> RecordRef<'_> {
        RecordRef {
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: self.headers.iter().map(|h| HeaderRef { name: &h.name, value: h.value.as_deref() }).collect(),
            timestamp: self.timestamp,
            offset: self.offset,
        }
    }
}
