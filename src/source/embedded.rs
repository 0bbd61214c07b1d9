//! A broker inside the process: librdkafka's mock cluster, for demonstrations and tests that need no Kafka.
//!
//! It keeps at most 5 MiB per partition, does not hide aborted records and does not fence, so `exactly-once` means
//! nothing on it; and it knows no topic configuration and creates no topic on request, so topics are made here.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use super::{ClientError, KafkaSettings};

/// Bytes that a partition keeps; older records are dropped, read or not.
pub const PARTITION_BYTES: u64 = 5 << 20;

/// Where the embedded brokers of this process listen.
static RUNNING: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

fn running() -> MutexGuard<'static, BTreeSet<String>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether these brokers are inside this process.
pub(super) fn runs(brokers: &[String]) -> bool {
    let running = running();
    brokers.iter().any(|broker| running.contains(broker))
}

/// A running mock cluster of one broker. Dropping it ends it.
pub struct EmbeddedBroker {
    cluster: MockCluster<'static, DefaultProducerContext>,
}

impl Drop for EmbeddedBroker {
    fn drop(&mut self) {
        let mut running = running();
        for broker in self.settings().brokers {
            running.remove(&broker);
        }
    }
}

impl EmbeddedBroker {
    /// Starts it on a free port of the loopback interface.
    pub fn start() -> Result<Self, ClientError> {
        let cluster =
            MockCluster::new(1).map_err(|error| ClientError::from_kafka("starting the embedded broker", &error))?;
        let broker = Self { cluster };
        running().extend(broker.settings().brokers);
        Ok(broker)
    }

    /// How clients reach it.
    pub fn settings(&self) -> KafkaSettings {
        let servers = self.cluster.bootstrap_servers();
        KafkaSettings { brokers: servers.split(',').map(str::to_owned).collect(), ..KafkaSettings::default() }
    }

    /// Makes a topic.
    pub fn create_topic(&self, name: &str, partitions: i32) -> Result<(), ClientError> {
        self.cluster
            .create_topic(name, partitions, 1)
            .map_err(|error| ClientError::from_kafka("creating a topic on the embedded broker", &error))
    }
}
