//! What the cluster says about topics.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::{Offset, TopicPartitionList};

use super::client::AskingContext;
use super::{ClientError, Diagnosis, KafkaSettings, Positions};
use crate::record::TopicPartition;

/// The committed positions of a consumer's group.
pub(super) fn committed<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    of: &[TopicPartition],
    timeout: Duration,
) -> Result<Positions, ClientError> {
    let doing = "asking for committed offsets";
    let mut list = TopicPartitionList::with_capacity(of.len());
    for at in of {
        list.add_partition(&at.topic, at.partition);
    }
    let answer = consumer.committed_offsets(list, timeout).map_err(|error| ClientError::from_kafka(doing, &error))?;
    let mut positions = Positions::new();
    for element in answer.elements() {
        element.error().map_err(|error| ClientError::from_kafka(doing, &error))?;
        if let Offset::Offset(offset) = element.offset() {
            positions.push((TopicPartition::new(element.topic(), element.partition()), offset));
        }
    }
    Ok(positions)
}

/// A topic and its number of partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicInfo {
    /// Name.
    pub name: String,
    /// Partitions.
    pub partitions: i32,
    /// Every partition has a leader.
    pub is_led: bool,
    /// Replicas of the partition that has the fewest.
    pub replicas: usize,
}

/// How long the election of a new topic's leaders is waited for.
const ELECTION: Duration = Duration::from_secs(5);

/// Most events that are taken at once.
const EVENTS: usize = 64;

/// Time between two looks at it.
const AGAIN: Duration = Duration::from_millis(50);

/// A connection that asks about topics.
pub struct TopicReader {
    consumer: BaseConsumer<AskingContext>,
}

impl TopicReader {
    /// A connection to the cluster. Does not wait for it.
    pub fn connect(kafka: &KafkaSettings) -> Result<Self, ClientError> {
        Self::with(kafka, &[("allow.auto.create.topics", "false")])
    }

    /// The same, able to ask for a group's offsets. It does not join the group.
    pub fn in_group(kafka: &KafkaSettings, group: &str) -> Result<Self, ClientError> {
        Self::with(kafka, &[("allow.auto.create.topics", "false"), ("group.id", group)])
    }

    fn with(kafka: &KafkaSettings, ours: &[(&str, &str)]) -> Result<Self, ClientError> {
        let consumer = kafka
            .client_config(ours)
            .create_with_context(AskingContext::default())
            .map_err(|error| ClientError::from_kafka("creating a client", &error))?;
        Ok(Self { consumer })
    }

    /// All topics of the cluster.
    pub fn list(&self, timeout: Duration) -> Result<Vec<TopicInfo>, ClientError> {
        self.metadata(None, timeout)
    }

    /// One topic; a missing one is [`Diagnosis::MissingTopic`].
    pub fn topic(&self, name: &str, timeout: Duration) -> Result<TopicInfo, ClientError> {
        self.metadata(Some(name), timeout)?.into_iter().find(|topic| topic.partitions > 0).ok_or_else(|| {
            ClientError::new(Diagnosis::MissingTopic, "looking a topic up", format!("no topic `{name}`"))
        })
    }

    /// Waits a moment for a topic, just made, to be known and to have a leader for each partition. A consumer that meets it
    /// earlier can fail to see the leader for a long time (librdkafka's issue 5430). A partition whose leader is away for
    /// longer is no reason not to begin with the others.
    pub fn until_led(&self, name: &str, timeout: Duration, beat: &dyn Fn()) -> Result<(), ClientError> {
        let deadline = Instant::now() + ELECTION;
        loop {
            beat();
            match self.topic(name, timeout) {
                Ok(topic) if topic.is_led => return Ok(()),
                Err(error) if error.diagnosis != Diagnosis::MissingTopic => return Err(error),
                _ if Instant::now() >= deadline => return Ok(()),
                _ => std::thread::sleep(AGAIN),
            }
        }
    }

    /// First and next offset of a partition.
    pub fn watermarks(&self, topic: &str, partition: i32, timeout: Duration) -> Result<(i64, i64), ClientError> {
        self.consumer
            .fetch_watermarks(topic, partition, timeout)
            .map_err(|error| self.sorted("asking for the ends of a partition", &error))
    }

    /// The group's committed positions; partitions without one are left out.
    pub fn committed(&self, of: &[TopicPartition], timeout: Duration) -> Result<Positions, ClientError> {
        committed(&self.consumer, of, timeout)
    }

    fn metadata(&self, topic: Option<&str>, timeout: Duration) -> Result<Vec<TopicInfo>, ClientError> {
        let doing = "asking for topics";
        self.hear();
        let metadata = self.consumer.fetch_metadata(topic, timeout).map_err(|error| self.sorted(doing, &error))?;
        let mut topics = Vec::new();
        for topic in metadata.topics() {
            if let Some(code) = topic.error() {
                let code = rdkafka::error::RDKafkaErrorCode::from(code);
                let error = ClientError::from_kafka(doing, &rdkafka::error::KafkaError::MetadataFetch(code));
                if error.diagnosis == Diagnosis::MissingTopic || metadata.topics().len() > 1 {
                    continue;
                }
                return Err(ClientError { text: format!("topic `{}`: {}", topic.name(), error.text), ..error });
            }
            let partitions = i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX);
            let is_led = topic.partitions().iter().all(|partition| partition.leader() >= 0);
            let replicas = topic.partitions().iter().map(|partition| partition.replicas().len()).min().unwrap_or(0);
            topics.push(TopicInfo { name: topic.name().to_owned(), partitions, is_led, replicas });
        }
        Ok(topics)
    }

    /// Serves the event queue, where refusals arrive among log lines and statistics. One poll takes one event.
    fn hear(&self) {
        for _ in 0..EVENTS {
            let _ = self.consumer.poll(Duration::ZERO);
        }
    }

    /// A call that found nobody is explained by the refusal that arrived beside it, when there is one.
    fn sorted(&self, doing: &'static str, error: &rdkafka::error::KafkaError) -> ClientError {
        self.hear();
        let own = ClientError::from_kafka(doing, error);
        match self.consumer.context().complaints.take() {
            Some(complaint) if complaint.diagnosis == Diagnosis::Refused => complaint,
            _ => own,
        }
    }
}
