//! A member of a Kafka consumer group as a [`Source`].
//!
//! Rebalances are taken out of librdkafka's callback and handed to the worker as events: librdkafka waits in its
//! `WAIT_ASSIGN_CALL` / `WAIT_UNASSIGN_CALL` state until [`Source::accept`] is called, so the worker can finish and
//! commit its transaction before a partition goes, on its own stack and not inside a callback.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, ConsumerGroupMetadata};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::statistics::Statistics;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};

use super::client::{self, Complaints};
use super::stuck::Stuck;
use super::{
    Backlog, ClientError, Diagnosis, KafkaSettings, Polled, Positions, Reach, Rebalance, Source, SourceRecord,
    UnreadableRecord,
};
use crate::record::{HeaderRef, HeaderRefs, RecordRef, Timestamp, TimestampKind, TopicPartition};

/// What a group member is told.
#[derive(Clone, Debug)]
pub struct ConsumerSettings {
    /// The cluster.
    pub kafka: KafkaSettings,
    /// `group.id`.
    pub group: String,
    /// Topic names; a name that starts with `^` is a regular expression.
    pub topics: Vec<String>,
    /// Bytes that may lie fetched and not yet polled.
    pub queue_bytes: u64,
}

/// Far above what a worker takes between two polls, which the watchdog bounds.
const POLL_INTERVAL: &str = "60000";

/// librdkafka's own default for the largest answer.
const RECEIVE_BYTES: u64 = 100_000_000;

/// librdkafka counts payload only; a queued message costs it about this much beside.
const MESSAGE_OVERHEAD: u64 = 512;

impl ConsumerSettings {
    fn create(&self, context: GroupContext) -> Result<BaseConsumer<GroupContext>, KafkaError> {
        let kilobytes = (self.queue_bytes / 1024).max(1).to_string();
        let messages = (self.queue_bytes / MESSAGE_OVERHEAD).clamp(1_000, 100_000).to_string();
        // One answer may not be much larger than the queue that holds it.
        let fetch = self.queue_bytes.clamp(1 << 20, 50 << 20);
        // A batch that is larger than what was asked for comes all the same: this only guards against garbage.
        let receive = (fetch + (1 << 20)).max(RECEIVE_BYTES).to_string();
        self.kafka
            .client_config(&[
                ("group.id", &self.group),
                ("isolation.level", "read_committed"),
                ("enable.auto.commit", "false"),
                ("enable.auto.offset.store", "false"),
                ("partition.assignment.strategy", "cooperative-sticky"),
                ("auto.offset.reset", "earliest"),
                ("enable.partition.eof", "true"),
                // Also how long a group waits for a member that does not come back. A coordinator that was killed and is back
                // at once can forget that its members' sessions end, and then nothing else ends the wait.
                ("max.poll.interval.ms", POLL_INTERVAL),
                // The default of one second starves a fast worker whenever the queue was full for a moment.
                ("fetch.queue.backoff.ms", "10"),
                ("fetch.wait.max.ms", "100"),
                ("queued.max.messages.kbytes", &kilobytes),
                ("queued.min.messages", &messages),
                ("fetch.max.bytes", &fetch.to_string()),
                ("receive.message.max.bytes", &receive),
                ("statistics.interval.ms", "2000"),
                ("topic.metadata.refresh.interval.ms", "30000"),
                ("allow.auto.create.topics", "false"),
            ])
            .create_with_context(context)
    }
}

/// What identifies a group member to the transaction coordinator.
pub struct GroupMetadata(pub(crate) ConsumerGroupMetadata);

/// A member of a consumer group.
pub struct KafkaSource {
    consumer: Arc<BaseConsumer<GroupContext>>,
}

struct GroupContext {
    born: Instant,
    rebalances: Mutex<VecDeque<Rebalance>>,
    backlog: Mutex<Backlog>,
    stuck: Mutex<Stuck>,
    complaints: Complaints,
    closing: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ClientContext for GroupContext {
    fn stats(&self, statistics: Statistics) {
        // Statistics wait until somebody polls, so they say themselves when they were made.
        let at = self.born + Duration::from_micros(u64::try_from(statistics.age).unwrap_or(0));
        let mut backlog = Backlog::default();
        let mut stuck = lock(&self.stuck);
        for (topic, stats) in &statistics.topics {
            for (partition, stats) in &stats.partitions {
                let fetched = stats.fetch_state == "active" && stats.broker >= 0;
                stuck.note(topic, *partition, stats.desired && !fetched, at);
                backlog.fetched_bytes += stats.fetchq_size;
                if stats.ls_offset >= 0 && stats.fetch_state == "active" {
                    backlog.ends.push((TopicPartition::new(topic.as_str(), *partition), stats.ls_offset));
                }
            }
        }
        backlog.reach = Some(Reach { at, missing: missing(&statistics) });
        *lock(&self.backlog) = backlog;
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        client::log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.complaints.note(&error, reason);
    }
}

/// Whom the member needs and cannot reach.
fn missing(statistics: &Statistics) -> Option<String> {
    if statistics.cgrp.as_ref().is_some_and(|group| group.state != "up") {
        return Some("the group's coordinator does not answer".to_owned());
    }
    let is_up = |id: i32| statistics.brokers.values().any(|broker| broker.nodeid == id && broker.state == "UP");
    let partitions =
        statistics.topics.iter().flat_map(|(topic, stats)| stats.partitions.values().map(move |at| (topic, at)));
    let read = partitions.filter(|(_, at)| !matches!(at.fetch_state.as_str(), "none" | "stopping" | "stopped"));
    let (topic, at) = read.into_iter().find(|(_, at)| !is_up(at.broker))?;
    Some(match at.broker {
        ..0 => format!("`{topic}/{}` has no leader", at.partition),
        broker => format!("broker {broker}, which serves `{topic}/{}`, does not answer", at.partition),
    })
}

impl ConsumerContext for GroupContext {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let assigned = code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.closing.load(Ordering::Acquire) {
            // Nobody polls for events any more; closing waits for this call.
            if !assigned && let Err(error) = consumer.incremental_unassign(partitions) {
                tracing::debug!(%error, "partitions were let go while closing");
            }
            return;
        }
        let list = partitions.elements().iter().map(|e| TopicPartition::new(e.topic(), e.partition())).collect();
        lock(&self.rebalances).push_back(if assigned {
            Rebalance::Assigned(list)
        } else {
            Rebalance::Revoked { partitions: list, lost: consumer.assignment_lost() }
        });
    }
}

impl KafkaSource {
    /// Joins the group. Returns before the group has answered; what goes wrong later comes out of `poll`.
    pub fn join(settings: &ConsumerSettings) -> Result<Self, ClientError> {
        let context = GroupContext {
            born: Instant::now(),
            rebalances: Mutex::default(),
            backlog: Mutex::default(),
            stuck: Mutex::default(),
            complaints: Complaints::default(),
            closing: AtomicBool::new(false),
        };
        let consumer =
            settings.create(context).map_err(|error| ClientError::from_kafka("creating the consumer", &error))?;
        let topics: Vec<&str> = settings.topics.iter().map(String::as_str).collect();
        consumer.subscribe(&topics).map_err(|error| ClientError::from_kafka("subscribing", &error))?;
        Ok(Self { consumer: Arc::new(consumer) })
    }

    /// A handle with which another thread can make this member leave its group when the owner no longer answers.
    pub fn leaver(&self) -> Leaver {
        Leaver { consumer: Arc::downgrade(&self.consumer) }
    }

    fn list(positions: &[(TopicPartition, i64)]) -> Result<TopicPartitionList, ClientError> {
        let mut list = TopicPartitionList::with_capacity(positions.len());
        for (at, offset) in positions {
            list.add_partition_offset(&at.topic, at.partition, Offset::Offset(*offset))
                .map_err(|error| ClientError::from_kafka("naming an offset", &error))?;
        }
        Ok(list)
    }

    fn partitions(partitions: &[TopicPartition]) -> TopicPartitionList {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for at in partitions {
            list.add_partition(&at.topic, at.partition);
        }
        list
    }
}

impl Drop for KafkaSource {
    fn drop(&mut self) {
        self.consumer.context().closing.store(true, Ordering::Release);
    }
}

/// Makes a member leave its group from another thread. A member that has ended has left by itself.
pub struct Leaver {
    // Weak: a member closes where its worker ends, and not where this handle is dropped.
    consumer: Weak<BaseConsumer<GroupContext>>,
}

impl Leaver {
    /// Leaves the group, waiting at most `timeout` for the goodbye to be said.
    pub fn leave(self, timeout: Duration) {
        let Some(consumer) = self.consumer.upgrade() else { return };
        consumer.context().closing.store(true, Ordering::Release);
        if consumer.close_queue().is_err() {
            return;
        }
        let deadline = Instant::now() + timeout;
        while !consumer.closed() && Instant::now() < deadline {
            let _ = consumer.poll(Duration::from_millis(50));
        }
    }
}

impl Source for KafkaSource {
    type Record<'a> = KafkaRecord<'a>;
    type Group = GroupMetadata;

    fn poll(&self, timeout: Duration) -> Result<Polled<KafkaRecord<'_>>, ClientError> {
        let context = self.consumer.context();
        if let Some(rebalance) = lock(&context.rebalances).pop_front() {
            return Ok(Polled::Rebalance(rebalance));
        }
        if let Some(text) = lock(&context.stuck).complaint() {
            return Err(ClientError::new(Diagnosis::Fatal, "consuming", text));
        }
        match self.consumer.poll(timeout) {
            Some(Ok(message)) => Ok(Polled::Record(KafkaRecord::new(message))),
            Some(Err(KafkaError::PartitionEOF(partition))) => Ok(Polled::EndOfPartition(partition)),
            // The complaint about the same error has the better text.
            Some(Err(error)) if error_is_fatal(&error) => Err(ClientError::from_kafka("consuming", &error)),
            Some(Err(error)) => {
                Err(context.complaints.take().unwrap_or_else(|| ClientError::from_kafka("consuming", &error)))
            }
            None => match lock(&context.rebalances).pop_front() {
                Some(rebalance) => Ok(Polled::Rebalance(rebalance)),
                None => match context.complaints.take() {
                    Some(complaint) => Err(complaint),
                    None => Ok(Polled::Nothing),
                },
            },
        }
    }

    fn accept(&self, rebalance: &Rebalance) -> Result<(), ClientError> {
        match rebalance {
            Rebalance::Assigned(partitions) => self
                .consumer
                .incremental_assign(&Self::partitions(partitions))
                .map_err(|error| ClientError::from_kafka("taking partitions", &error)),
            Rebalance::Revoked { partitions, .. } => self
                .consumer
                .incremental_unassign(&Self::partitions(partitions))
                .map_err(|error| ClientError::from_kafka("letting partitions go", &error)),
        }
    }

    fn seek(&self, to: &Positions, timeout: Duration) -> Result<(), ClientError> {
        if to.is_empty() {
            return Ok(());
        }
        let doing = "seeking back";
        let answer = self
            .consumer
            .seek_partitions(Self::list(to)?, timeout)
            .map_err(|error| ClientError::from_kafka(doing, &error))?;
        match answer.elements().iter().find_map(|element| element.error().err()) {
            Some(error) => Err(ClientError::from_kafka(doing, &error)),
            None => Ok(()),
        }
    }

    fn committed(&self, of: &[TopicPartition], timeout: Duration) -> Result<Positions, ClientError> {
        super::topics::committed(&self.consumer, of, timeout)
    }

    fn commit(&self, positions: &Positions) -> Result<(), ClientError> {
        if positions.is_empty() {
            return Ok(());
        }
        self.consumer
            .commit(&Self::list(positions)?, CommitMode::Sync)
            .map_err(|error| ClientError::from_kafka("committing offsets", &error))
    }

    fn pause(&self, partitions: &[TopicPartition], paused: bool) -> Result<(), ClientError> {
        let list = Self::partitions(partitions);
        let result = if paused { self.consumer.pause(&list) } else { self.consumer.resume(&list) };
        result.map_err(|error| ClientError::from_kafka("pausing or resuming", &error))
    }

    fn group(&self) -> Option<GroupMetadata> {
        let group = self.consumer.group_metadata()?;
        // A member that lost its place has no id and perhaps no generation, and offsets without either are taken by the
        // coordinator from anybody. The loss is marked before the id goes, so it is looked for after the id was read.
        (!self.consumer.assignment_lost()).then_some(GroupMetadata(group))
    }

    fn backlog(&self) -> Backlog {
        lock(&self.consumer.context().backlog).clone()
    }
}

fn error_is_fatal(error: &KafkaError) -> bool {
    matches!(error, KafkaError::MessageConsumptionFatal(_))
}

/// A record in librdkafka's memory.
pub struct KafkaRecord<'a> {
    message: BorrowedMessage<'a>,
}

impl<'a> KafkaRecord<'a> {
    pub(super) fn new(message: BorrowedMessage<'a>) -> Self {
        Self { message }
    }
}

impl SourceRecord for KafkaRecord<'_> {
    fn topic(&self) -> &str {
        self.message.topic()
    }

    fn partition(&self) -> i32 {
        self.message.partition()
    }

    fn offset(&self) -> i64 {
        self.message.offset()
    }

    fn record(&self) -> Result<RecordRef<'_>, UnreadableRecord> {
        let mut record = self.without_headers();
        if let Some(borrowed) = self.message.headers() {
            // rdkafka panics on a header name that is not UTF-8, which the protocol forbids and a broker lets pass.
            record.headers = catch_unwind(AssertUnwindSafe(|| {
                borrowed.iter().map(|h| HeaderRef { name: h.key, value: h.value }).collect()
            }))
            .map_err(|_| UnreadableRecord { detail: "a header's name is not UTF-8" })?;
        }
        Ok(record)
    }

    fn without_headers(&self) -> RecordRef<'_> {
        let timestamp = match self.message.timestamp() {
            rdkafka::Timestamp::NotAvailable => Timestamp::create(-1),
            rdkafka::Timestamp::CreateTime(millis) => Timestamp::create(millis),
            rdkafka::Timestamp::LogAppendTime(millis) => Timestamp { kind: TimestampKind::LogAppendTime, millis },
        };
        RecordRef {
            key: self.message.key(),
            value: self.message.payload(),
            headers: HeaderRefs::new(),
            timestamp,
            offset: self.message.offset(),
        }
    }
}

impl ClientError {
    /// The consumer must be dropped and made anew.
    pub fn ends_consumer(&self) -> bool {
        matches!(self.diagnosis, Diagnosis::Fatal | Diagnosis::Fenced)
    }
}
