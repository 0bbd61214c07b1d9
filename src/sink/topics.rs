//! Target topics: what they allow, and making those that are missing.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, ConfigSource, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;

use crate::source::client::AskingContext;
use crate::source::{ClientError, Diagnosis, KafkaSettings};

/// A connection that creates and describes topics.
pub struct TopicAdmin {
    admin: AdminClient<AskingContext>,
    /// The embedded broker knows no configuration and does not say so: a question would wait for its timeout.
    describes: bool,
    /// A topic has told nothing for all of [`SPREAD`]: the right to be told is missing, and no other is waited for.
    is_told_nothing: Cell<bool>,
}

/// How long a broker may take to hear of a topic that another has made.
const SPREAD: Duration = Duration::from_secs(3);

/// Time between two questions about one.
const AGAIN: Duration = Duration::from_millis(50);

/// What Kafka allows when a topic does not say (`message.max.bytes` of the broker: 1 MiB and the batch overhead).
pub const DEFAULT_MAX_MESSAGE_BYTES: usize = 1_048_588;

/// How a topic is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicProperties {
    /// The largest record batch it takes.
    pub max_message_bytes: usize,
    /// How long it keeps its records at most, in milliseconds: its retention and the time of a segment, which goes as a whole.
    /// -1 for ever, as one that is only compacted does whatever else it says. Nothing where it was not told.
    pub retention_ms: Option<i64>,
    /// What is set on the topic itself, over the brokers' defaults.
    pub own: BTreeMap<String, String>,
}

impl Default for TopicProperties {
    /// A topic on which nothing is set.
    fn default() -> Self {
        Self { max_message_bytes: DEFAULT_MAX_MESSAGE_BYTES, retention_ms: None, own: BTreeMap::new() }
    }
}

/// Kafka's default of `segment.ms`: a week.
const SEGMENT_MS: i64 = 7 * 86_400_000;

/// How long a record lies in a topic at most: brokers remove whole segments, by the newest record in each, and a segment takes
/// records for `segment.ms`. Negative is for ever, as it is where nothing closes a segment by time.
fn longest_ms(retention_ms: Option<i64>, segment_ms: Option<i64>) -> Option<i64> {
    let (retention_ms, segment_ms) = (retention_ms?, segment_ms.unwrap_or(SEGMENT_MS));
    Some(if retention_ms < 0 || segment_ms < 0 { -1 } else { retention_ms.saturating_add(segment_ms) })
}

impl TopicAdmin {
    /// A connection to the cluster. Does not wait for it.
    pub fn connect(kafka: &KafkaSettings) -> Result<Self, ClientError> {
        let admin = kafka
            .client_config(&[])
            .create_with_context(AskingContext::default())
            .map_err(|error| ClientError::from_kafka("creating an admin client", &error))?;
        Ok(Self { admin, describes: !kafka.are_embedded(), is_told_nothing: Cell::new(false) })
    }

    /// Creates a topic with the brokers' default replication. One that exists already is success.
    pub fn create(
        &self,
        name: &str,
        partitions: i32,
        properties: &BTreeMap<String, String>,
        timeout: Duration,
    ) -> Result<(), ClientError> {
        let doing = "creating a topic";
        // -1: the broker's `default.replication.factor` (KIP-464).
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(-1));
        for (key, value) in properties {
            topic = topic.set(key, value);
        }
        let options = AdminOptions::new().request_timeout(Some(timeout)).operation_timeout(Some(timeout));
        let results = block_on(self.admin.create_topics([&topic], &options))
            .map_err(|error| ClientError::from_kafka(doing, &error))?;
        for result in results {
            match result {
                Ok(_) | Err((_, Code::TopicAlreadyExists)) => {}
                Err((name, code)) => {
                    let error = ClientError::from_kafka(doing, &KafkaError::AdminOp(code));
                    return Err(ClientError { text: format!("`{name}`: {}", error.text), ..error });
                }
            }
        }
        Ok(())
    }

    /// Deletes a topic. One that does not exist is success.
    pub fn delete(&self, name: &str, timeout: Duration) -> Result<(), ClientError> {
        let doing = "deleting a topic";
        let options = AdminOptions::new().request_timeout(Some(timeout)).operation_timeout(Some(timeout));
        let results = block_on(self.admin.delete_topics(&[name], &options))
            .map_err(|error| ClientError::from_kafka(doing, &error))?;
        for result in results {
            match result {
                Ok(_) | Err((_, Code::UnknownTopic | Code::UnknownTopicOrPartition)) => {}
                Err((name, code)) => {
                    let error = ClientError::from_kafka(doing, &KafkaError::AdminOp(code));
                    return Err(ClientError { text: format!("`{name}`: {}", error.text), ..error });
                }
            }
        }
        Ok(())
    }

    /// The topic's `max.message.bytes`: the largest record batch it takes.
    pub fn max_message_bytes(&self, topic: &str, timeout: Duration) -> Result<usize, ClientError> {
        Ok(self.properties(topic, timeout)?.max_message_bytes)
    }

    /// How the topic is configured; the defaults where the right to know (DescribeConfigs) is missing.
    pub fn properties(&self, topic: &str, timeout: Duration) -> Result<TopicProperties, ClientError> {
        if !self.describes {
            return Ok(TopicProperties::default());
        }
        // The binding tells neither a missing right nor a topic that the asked broker has not heard of yet: both come back as
        // a topic without entries. The second passes.
        let deadline = Instant::now() + SPREAD;
        loop {
            if let Some(properties) = self.describe(topic, timeout)? {
                return Ok(properties);
            }
            if self.is_told_nothing.get() || Instant::now() >= deadline {
                self.is_told_nothing.set(true);
                return Ok(TopicProperties::default());
            }
            std::thread::sleep(AGAIN);
        }
    }

    fn describe(&self, topic: &str, timeout: Duration) -> Result<Option<TopicProperties>, ClientError> {
        let doing = "asking for a topic's configuration";
        let options = AdminOptions::new().request_timeout(Some(timeout));
        let results = block_on(self.admin.describe_configs([&ResourceSpecifier::Topic(topic)], &options))
            .map_err(|error| ClientError::from_kafka(doing, &error))?;
        let resource = match results.into_iter().next() {
            Some(Ok(resource)) => resource,
            None | Some(Err(Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed)) => return Ok(None),
            Some(Err(code)) => return Err(ClientError::from_kafka(doing, &KafkaError::AdminOp(code))),
        };
        let mut properties = TopicProperties::default();
        let (mut is_told, mut is_compacted) = (false, false);
        let (mut retention_ms, mut segment_ms) = (None, None);
        for entry in resource.entries {
            is_told = true;
            let Some(value) = entry.value else { continue };
            if entry.name == "max.message.bytes" {
                properties.max_message_bytes = value.parse().map_err(|_| {
                    ClientError::new(Diagnosis::Retriable, doing, format!("`max.message.bytes` is `{value}`"))
                })?;
            }
            if entry.name == "retention.ms" {
                retention_ms = value.parse().ok();
            }
            if entry.name == "segment.ms" {
                segment_ms = value.parse().ok();
            }
            is_compacted |= entry.name == "cleanup.policy" && value.trim() == "compact";
            if matches!(entry.source, ConfigSource::DynamicTopic) {
                properties.own.insert(entry.name, value);
            }
        }
        properties.retention_ms = if is_compacted { Some(-1) } else { longest_ms(retention_ms, segment_ms) };
        Ok(is_told.then_some(properties))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_lies_for_the_retention_and_the_time_of_a_segment() {
        for (retention, segment, is) in [
            (Some(1_000), Some(50), Some(1_050)),
            (Some(1_000), None, Some(1_000 + SEGMENT_MS)),
            (Some(-1), Some(50), Some(-1)),
            (Some(1_000), Some(-1), Some(-1)),
            (Some(i64::MAX), Some(50), Some(i64::MAX)),
            (None, Some(50), None),
        ] {
            assert_eq!(longest_ms(retention, segment), is, "{retention:?} and {segment:?}");
        }
    }
}
