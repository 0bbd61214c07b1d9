//! Target topics: what they allow, and making those that are missing.

use std::time::Duration;

use futures::executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaErrorCode as Code;

use crate::source::client::AskingContext;
use crate::source::{ClientError, Diagnosis, KafkaSettings};

/// A connection that creates and describes topics.
pub struct TopicAdmin {
    admin: AdminClient<AskingContext>,
    /// The embedded broker knows no configuration and does not say so: a question would wait for its timeout.
    describes: bool,
}

/// What Kafka allows when a topic does not say (`message.max.bytes` of the broker: 1 MiB and the batch overhead).
pub const DEFAULT_MAX_MESSAGE_BYTES: usize = 1_048_588;

impl TopicAdmin {
    /// A connection to the cluster. Does not wait for it.
    pub fn connect(kafka: &KafkaSettings) -> Result<Self, ClientError> {
        let admin = kafka
            .client_config(&[])
            .create_with_context(AskingContext::default())
            .map_err(|error| ClientError::from_kafka("creating an admin client", &error))?;
        Ok(Self { admin, describes: !kafka.are_embedded() })
    }

    /// Creates a topic with the brokers' default replication. One that exists already is success.
    pub fn create(
        &self,
        name: &str,
        partitions: i32,
        properties: &[(&str, &str)],
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
        if !self.describes {
            return Ok(DEFAULT_MAX_MESSAGE_BYTES);
        }
        let doing = "asking for a topic's configuration";
        let options = AdminOptions::new().request_timeout(Some(timeout));
        let results = block_on(self.admin.describe_configs([&ResourceSpecifier::Topic(topic)], &options))
            .map_err(|error| ClientError::from_kafka(doing, &error))?;
        for result in results {
            let resource = match result {
                Ok(resource) => resource,
                // Describing is a right of its own (DescribeConfigs); without it the default is assumed.
                Err(RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::ClusterAuthorizationFailed) => {
                    return Ok(DEFAULT_MAX_MESSAGE_BYTES);
                }
                Err(code) => return Err(ClientError::from_kafka(doing, &KafkaError::AdminOp(code))),
            };
            if let Some(value) = resource.get("max.message.bytes").and_then(|entry| entry.value.as_ref()) {
                return value.parse().map_err(|_| {
                    ClientError::new(Diagnosis::Retriable, doing, format!("`max.message.bytes` is `{value}`"))
                });
            }
        }
        Ok(DEFAULT_MAX_MESSAGE_BYTES)
    }
}
