//! A real Apache Kafka, one node or several, started for a test.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::node::{Node, START, quorum};

/// A running cluster; most are a single broker.
pub struct Broker {
    nodes: Vec<Node>,
    /// Whether clients reach it without a password.
    is_open: bool,
}

/// The broker that tests share which do not hurt theirs. The last of them to end stops it.
pub fn shared() -> Arc<Broker> {
    static SHARED: Mutex<Weak<Broker>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let broker = Arc::new(Broker::start(&[]));
        *shared = Arc::downgrade(&broker);
        broker
    })
}

impl Broker {
    /// Starts one, with properties over the usual ones.
    pub fn start(properties: &[(&str, &str)]) -> Self {
        Self::formatted(properties, &[])
    }

    /// Starts one whose storage is formatted with further arguments (users of SCRAM).
    pub fn formatted(properties: &[(&str, &str)], format: &[&str]) -> Self {
        Self::launch(1, properties, format)
    }

    /// Starts three nodes, each of which holds every partition, and of which two must have what is acknowledged.
    pub fn cluster(properties: &[(&str, &str)]) -> Self {
        Self::launch(3, properties, &[])
    }

    fn launch(count: usize, properties: &[(&str, &str)], format: &[&str]) -> Self {
        let (ports, voters) = quorum(count);
        let replicas = count.to_string();
        let in_sync = count.min(2).to_string();
        let usual = [
            ("controller.quorum.voters", voters.as_str()),
            ("default.replication.factor", &replicas),
            ("min.insync.replicas", &in_sync),
            ("offsets.topic.replication.factor", &replicas),
            ("offsets.topic.num.partitions", "4"),
            ("transaction.state.log.replication.factor", &replicas),
            ("transaction.state.log.min.isr", &in_sync),
            ("transaction.state.log.num.partitions", "4"),
            ("share.coordinator.state.topic.replication.factor", &replicas),
            ("share.coordinator.state.topic.min.isr", &in_sync),
            ("group.initial.rebalance.delay.ms", "0"),
            ("group.min.session.timeout.ms", "1000"),
            ("auto.create.topics.enable", "false"),
            // The records of the tests are years old.
            ("log.retention.ms", "-1"),
        ];
        let all: BTreeMap<String, String> =
            usual.iter().chain(properties).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let start = |(index, ports)| Node::start(index + 1, ports, &all, format);
        let nodes = ports.into_iter().enumerate().map(start).collect();
        let is_open = all.get("listeners").is_none_or(|listeners| listeners.starts_with("PLAINTEXT://"));
        let broker = Self { nodes, is_open };
        broker.wait();
        broker
    }

    /// The nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The only node of most.
    pub fn node(&self) -> &Node {
        &self.nodes[0]
    }

    /// Starts a node again that has ended, and waits until all are there.
    pub fn restart(&self, node: &Node) {
        node.launch();
        self.wait();
    }

    /// Waits until all nodes answer.
    pub fn wait(&self) {
        if !self.is_open {
            return self.nodes.iter().for_each(Node::wait_for_port);
        }
        let deadline = Instant::now() + START;
        for node in &self.nodes {
            let consumer: BaseConsumer = client(&node.server()).create().unwrap();
            loop {
                match consumer.fetch_metadata(None, Duration::from_secs(2)) {
                    Ok(metadata) if metadata.brokers().len() == self.nodes.len() => break,
                    _ => assert!(Instant::now() < deadline, "a broker does not answer:\n{}", node.log()),
                }
            }
        }
    }

    /// Waits until each partition is on all nodes that are to hold it, as who restarts brokers one by one does.
    pub fn in_sync(&self) {
        let deadline = Instant::now() + START;
        let consumer: BaseConsumer = self.client().create().unwrap();
        loop {
            if let Ok(metadata) = consumer.fetch_metadata(None, Duration::from_secs(2)) {
                let mut partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
                if metadata.brokers().len() == self.nodes.len()
                    && partitions.all(|partition| partition.isr().len() == partition.replicas().len())
                {
                    return;
                }
            }
            assert!(Instant::now() < deadline, "replicas stay behind:\n{}", self.node().log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The batches of a partition as they lie in its log: offsets, producer, epoch, sequence, control records.
    pub fn batches(&self, topic: &str, partition: i32) -> Vec<String> {
        self.nodes.iter().map(|node| node.batches(topic, partition)).max_by_key(Vec::len).unwrap_or_default()
    }

    /// How clients reach it.
    pub fn servers(&self) -> String {
        self.nodes.iter().map(Node::server).collect::<Vec<_>>().join(",")
    }

    /// A client's configuration.
    pub fn client(&self) -> ClientConfig {
        client(&self.servers())
    }
}

fn client(servers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers);
    config.set("reconnect.backoff.max.ms", "500");
    config
}
