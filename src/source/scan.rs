//! Reading a topic without a group: from a place, in the order of its partitions, to its end or for ever.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use super::client::AskingContext;
use super::kafka::KafkaRecord;
use super::topics::TopicReader;
use super::{ClientError, Diagnosis, KafkaSettings};

/// Where a scan begins, in each partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanFrom {
    /// At the oldest record.
    Beginning,
    /// Behind the newest record.
    End,
    /// At this offset, or at the oldest record when it is gone.
    Offset(i64),
    /// So many offsets before the end.
    Last(i64),
}

/// What is scanned.
#[derive(Clone, Debug)]
pub struct ScanSettings {
    /// The cluster.
    pub kafka: KafkaSettings,
    /// The topic.
    pub topic: String,
    /// One partition, or all.
    pub partition: Option<i32>,
    /// Where it begins.
    pub from: ScanFrom,
    /// Bytes that may lie fetched and not yet handed out.
    pub queue_bytes: u64,
}

/// What a scan brought.
pub enum Scanned<'a> {
    /// A record.
    Record(KafkaRecord<'a>),
    /// Every partition is read to the end that it had when the scan began.
    End,
    /// Nothing within the timeout.
    Nothing,
}

/// A scan of one topic, `read_committed`. Nothing is committed.
pub struct TopicScan {
    consumer: BaseConsumer<AskingContext>,
    /// Where each partition ended when the scan began, as long as it has not been reached.
    ends: BTreeMap<i32, i64>,
    told: bool,
}

impl TopicScan {
    /// Begins a scan; asks the brokers for partitions and their ends, at most `timeout` for each answer.
    pub fn open(settings: &ScanSettings, timeout: Duration) -> Result<Self, ClientError> {
        let topic = settings.topic.as_str();
        let reader = TopicReader::connect(&settings.kafka)?;
        let count = reader.topic(topic, timeout)?.partitions;
        if let Some(wanted) = settings.partition.filter(|wanted| !(0..count).contains(wanted)) {
            let text = format!("topic `{topic}` has partitions 0 to {}, and no {wanted}", count - 1);
            return Err(ClientError::new(Diagnosis::MissingTopic, "looking a partition up", text));
        }
        let mut assignment = TopicPartitionList::new();
        let mut ends = BTreeMap::new();
        for partition in (0..count).filter(|number| settings.partition.is_none_or(|wanted| wanted == *number)) {
            let (first, end) = reader.watermarks(topic, partition, timeout)?;
            let start = match settings.from {
                ScanFrom::Beginning => first,
                ScanFrom::End => end,
                ScanFrom::Offset(offset) => offset.clamp(first, end),
                ScanFrom::Last(count) => end.saturating_sub(count).max(first),
            };
            if start < end {
                ends.insert(partition, end);
            }
            assignment
                .add_partition_offset(topic, partition, Offset::Offset(start))
                .map_err(|error| ClientError::from_kafka("naming an offset", &error))?;
        }
        let kilobytes = (settings.queue_bytes / 1024).max(1).to_string();
        let consumer: BaseConsumer<AskingContext> = settings
            .kafka
            .client_config(&[
                // librdkafka asks for a name even where no group is joined.
                ("group.id", "latentd-scan"),
                ("isolation.level", "read_committed"),
                ("enable.auto.commit", "false"),
                ("enable.auto.offset.store", "false"),
                ("auto.offset.reset", "earliest"),
                ("enable.partition.eof", "true"),
                ("fetch.queue.backoff.ms", "10"),
                ("fetch.wait.max.ms", "100"),
                ("queued.max.messages.kbytes", &kilobytes),
                ("allow.auto.create.topics", "false"),
            ])
            .create_with_context(AskingContext::default())
            .map_err(|error| ClientError::from_kafka("creating the consumer", &error))?;
        consumer.assign(&assignment).map_err(|error| ClientError::from_kafka("taking partitions", &error))?;
        Ok(Self { consumer, ends, told: false })
    }

    /// The next record, or that the end has been reached (once; later records are handed out all the same).
    pub fn poll(&mut self, timeout: Duration) -> Result<Scanned<'_>, ClientError> {
        if self.ends.is_empty() && !self.told {
            self.told = true;
            return Ok(Scanned::End);
        }
        match self.consumer.poll(timeout) {
            Some(Ok(message)) => {
                use rdkafka::Message;
                if self.ends.get(&message.partition()).is_some_and(|end| message.offset() + 1 >= *end) {
                    self.ends.remove(&message.partition());
                }
                Ok(Scanned::Record(KafkaRecord::new(message)))
            }
            // Control records of transactions may lie between the last record and the end.
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                self.ends.remove(&partition);
                Ok(Scanned::Nothing)
            }
            Some(Err(error)) => {
                let own = ClientError::from_kafka("consuming", &error);
                Err(self.consumer.context().complaints.take().unwrap_or(own))
            }
            None => match self.consumer.context().complaints.take() {
                Some(complaint) => Err(complaint),
                None => Ok(Scanned::Nothing),
            },
        }
    }
}
