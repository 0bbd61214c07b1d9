//! librdkafka's producer as a [`Producer`] and [`TransactionalProducer`].
//!
//! `BaseProducer`, not `FutureProducer`: the worker polls it itself, in short steps, and no thread sleeps 100 ms on a
//! full queue.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use rdkafka::{Offset, TopicPartitionList};

use super::{OutRecord, Producer, SendError, TransactionalProducer};
use crate::source::client;
use crate::source::{ClientError, Diagnosis, GroupMetadata, KafkaSettings, Positions};

/// What a producer is told.
#[derive(Clone, Debug)]
pub struct ProducerSettings {
    /// The cluster.
    pub kafka: KafkaSettings,
    /// `transactional.id`; without one the producer is idempotent only.
    pub transactional_id: Option<String>,
    /// Bytes that may lie queued or in flight.
    pub queue_bytes: u64,
    /// Largest record batch that some target topic takes: larger records are refused here.
    pub max_record_bytes: usize,
    /// Largest record batch that every target topic takes: several records together stay below it.
    pub max_batch_bytes: usize,
}

/// librdkafka's own default for `batch.size`; smaller ones cost CPU.
const BATCH_BYTES: usize = 1_000_000;

/// How long a transaction may stay open before the coordinator aborts it: bounds how long readers wait behind a
/// process that froze, and is far above any commit interval.
pub const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(30);

/// A producer.
pub struct KafkaProducer {
    producer: BaseProducer<DeliveryContext>,
}

struct DeliveryContext {
    transactional: bool,
    failure: Mutex<Option<ClientError>>,
    delivered: Mutex<Vec<usize>>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl DeliveryContext {
    fn fail(&self, error: ClientError) {
        lock(&self.failure).get_or_insert(error);
    }
}

impl ClientContext for DeliveryContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        client::log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let sorted = ClientError::from_kafka("talking to the brokers", &error);
        tracing::debug!(%error, reason, "producer event");
        // Everything else is retried by librdkafka; what it cannot cure comes back from a call or a delivery.
        if sorted.diagnosis == Diagnosis::Fatal || sorted.diagnosis == Diagnosis::Fenced {
            self.fail(ClientError { text: format!("{}: {reason}", sorted.text), ..sorted });
        }
    }
}

impl ProducerContext for DeliveryContext {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, token: usize) {
        match result {
            Ok(_) if self.transactional => {}
            Ok(_) => lock(&self.delivered).push(token),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight), _)) => {
                self.fail(ClientError::new(Diagnosis::Abortable, "delivering", "records were purged"));
            }
            Err((error, _)) => self.fail(ClientError::from_kafka("delivering", error)),
        }
    }
}

impl KafkaProducer {
    /// A producer. Does not wait for the cluster.
    pub fn create(settings: &ProducerSettings) -> Result<Self, ClientError> {
        // A record larger than the queue would be refused for ever.
        let queue_bytes = settings.queue_bytes.max(2 * settings.max_record_bytes as u64);
        let kilobytes = (queue_bytes / 1024).max(64).to_string();
        let messages = (settings.queue_bytes / 256).clamp(10_000, 1_000_000).to_string();
        let max_record = settings.max_record_bytes.to_string();
        let batch = settings.max_batch_bytes.min(BATCH_BYTES).to_string();
        let timeout = TRANSACTION_TIMEOUT.as_millis().to_string();
        let mut ours = vec![
            ("enable.idempotence", "true"),
            ("queue.buffering.max.kbytes", kilobytes.as_str()),
            ("queue.buffering.max.messages", &messages),
            ("message.max.bytes", &max_record),
            ("batch.size", &batch),
            ("batch.num.messages", "10000"),
            ("linger.ms", "5"),
            // What is coded already is not coded again.
            ("compression.type", "none"),
            ("partitioner", "murmur2_random"),
        ];
        if let Some(id) = &settings.transactional_id {
            ours.push(("transactional.id", id));
            ours.push(("transaction.timeout.ms", &timeout));
            // Successes are counted by the queue's length; only failures are worth a report.
            ours.push(("delivery.report.only.error", "true"));
        }
        let context = DeliveryContext {
            transactional: settings.transactional_id.is_some(),
            failure: Mutex::default(),
            delivered: Mutex::default(),
        };
        let producer = settings
            .kafka
            .client_config(&ours)
            .create_with_context(context)
            .map_err(|error| ClientError::from_kafka("creating the producer", &error))?;
        Ok(Self { producer })
    }

    fn context(&self) -> &DeliveryContext {
        self.producer.client().context()
    }

    /// Takes the delivery reports that wait, and says how many of successes there were.
    fn take_reports(&self) -> usize {
        // One `poll` takes one event, the reports of one batch; a fast worker has many of them waiting.
        let delivered = || lock(&self.context().delivered).len();
        let first = delivered();
        let mut before = first;
        loop {
            self.producer.poll(Duration::ZERO);
            let now = delivered();
            if now == before {
                return now - first;
            }
            before = now;
        }
    }
}

impl Producer for KafkaProducer {
    fn send(&self, record: &OutRecord<'_>, token: usize) -> Result<(), SendError> {
        let mut out: BaseRecord<'_, [u8], [u8], usize> =
            BaseRecord::with_opaque_to(record.topic, token).timestamp(record.timestamp);
        out.partition = record.partition;
        out.key = record.key;
        out.payload = record.value;
        if !record.headers.is_empty() {
            let headers =
                record.headers.iter().fold(OwnedHeaders::new_with_capacity(record.headers.len()), |headers, header| {
                    headers.insert(Header { key: header.name, value: header.value })
                });
            out.headers = Some(headers);
        }
        match self.producer.send(out) {
            Ok(()) => Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => Err(SendError::QueueFull),
            Err((error, _)) => Err(ClientError::from_kafka("producing", &error).into()),
        }
    }

    fn serve(&self, timeout: Duration) {
        let taken = self.take_reports();
        if taken == 0 && !timeout.is_zero() {
            // Not in `poll`: it waits in whole milliseconds and spins through the last one.
            std::thread::sleep(timeout);
            self.take_reports();
        }
    }

    fn in_flight(&self) -> usize {
        usize::try_from(self.producer.in_flight_count()).unwrap_or(0)
    }

    fn failure(&self) -> Option<ClientError> {
        lock(&self.context().failure).clone()
    }

    fn delivered(&self, into: &mut Vec<usize>) {
        into.append(&mut lock(&self.context().delivered));
    }
}

impl TransactionalProducer for KafkaProducer {
    type Group = GroupMetadata;

    fn init(&self, timeout: Duration) -> Result<(), ClientError> {
        self.producer
            .init_transactions(timeout)
            .map_err(|error| ClientError::from_kafka("starting transactions", &error))
    }

    fn begin(&self) -> Result<(), ClientError> {
        *lock(&self.context().failure) = None;
        self.producer.begin_transaction().map_err(|error| ClientError::from_kafka("beginning a transaction", &error))
    }

    fn send_offsets(&self, positions: &Positions, group: &GroupMetadata, timeout: Duration) -> Result<(), ClientError> {
        let doing = "sending offsets to the transaction";
        let mut list = TopicPartitionList::with_capacity(positions.len());
        for (at, offset) in positions {
            list.add_partition_offset(&at.topic, at.partition, Offset::Offset(*offset))
                .map_err(|error| ClientError::from_kafka(doing, &error))?;
        }
        self.producer
            .send_offsets_to_transaction(&list, &group.0, timeout)
            .map_err(|error| ClientError::from_kafka(doing, &error))
    }

    fn commit(&self, timeout: Duration) -> Result<(), ClientError> {
        self.producer
            .commit_transaction(timeout)
            .map_err(|error| ClientError::from_kafka("committing the transaction", &error))
    }

    fn abort(&self, timeout: Duration) -> Result<(), ClientError> {
        self.producer
            .abort_transaction(timeout)
            .map_err(|error| ClientError::from_kafka("aborting the transaction", &error))
    }
}
