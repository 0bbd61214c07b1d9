//! From the tree to the [`Config`], table by table.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::node::Node;
use super::pipelines;
use super::section::{Notes, Placed, Read, Section, Word, Words, texts};
use super::{AdminConfig, Config, DaemonConfig, RegistryConfig, ResourcesConfig, Secret, ShutdownConfig};
use crate::cost::Prices;
use crate::source::KafkaSettings;
use crate::telemetry::log::{LogFormat, LogSettings, check_filter};
use crate::units::ByteSize;

/// Least memory of one worker: below it librdkafka's queues hold not even one large message.
const LEAST_PER_WORKER: ByteSize = ByteSize::mib(16);

impl Words for LogFormat {
    const WORDS: &'static [(&'static str, Self)] = &[("text", Self::Text), ("json", Self::Json)];
}

struct Address(SocketAddr);

impl Read for Address {
    fn read(node: &Node) -> Result<Self, String> {
        let text = String::read(node)?;
        text.parse()
            .map(Self)
            .map_err(|_| format!("`{text}` is no address: write an IP address and a port, such as \"127.0.0.1:9644\""))
    }
    fn placeholder() -> Self {
        Self(SocketAddr::from(([127, 0, 0, 1], 0)))
    }
}

/// Reads everything; what is wrong is in the notes, and the result is of no use then.
pub fn resolve(root: &Node, notes: &mut Notes) -> Config {
    let mut top = Section::new("", Some(root), notes);
    let daemon = daemon(top.below("daemon"), notes);
    let kafka = kafka(top.below("kafka"), notes);
    let registry = registry(top.below("registry"), notes);
    let admin = admin(top.below("admin"), notes);
    let (resources, memory) = resources(top.below("resources"), notes);
    let log = log(top.below("log"), notes);
    let shutdown = shutdown(top.below("shutdown"), notes);
    let cost = cost(top.below("cost"), notes);
    let pipelines = pipelines::resolve(top.below("pipelines"), notes);
    top.finish(notes);
    let config = Config {
        daemon,
        kafka,
        registry,
        admin,
        resources,
        log,
        shutdown,
        cost,
        pipelines,
        notices: Vec::new(),
        explained: Vec::new(),
    };
    check_memory(&config, &memory, notes);
    config
}

fn check_memory(config: &Config, memory: &Placed<ByteSize>, notes: &mut Notes) {
    let workers: usize = config.pipelines.iter().map(|settings| settings.workers).sum();
    let share = config.memory_per_worker();
    if share < LEAST_PER_WORKER {
        let needed = ByteSize::new(LEAST_PER_WORKER.bytes() * workers.max(1) as u64);
        let message = format!(
            "{} for {workers} workers is {share} each, and a worker needs {LEAST_PER_WORKER}: write at least \"{needed}\", or \
             use fewer workers",
            memory.value
        );
        notes.problem(memory.key.as_str(), &memory.origin, message);
    }
}

/// Whether a text can be part of a group name, a transactional id and a metric label.
pub fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 100
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

/// What [`is_name`] asks for.
pub const NAME: &str = "letters, digits, `.`, `_` and `-`, at most 100 of them";

fn daemon(node: Option<&Node>, notes: &mut Notes) -> DaemonConfig {
    let mut section = Section::new("daemon", node, notes);
    let name: Placed<String> = section.get("name", notes);
    let instance: Placed<String> = section.get("instance", notes);
    for placed in [&name, &instance] {
        if !is_name(&placed.value) {
            notes.problem(
                placed.key.as_str(),
                &placed.origin,
                format!("`{}` is no name: a name is {NAME}", placed.value),
            );
        }
    }
    section.finish(notes);
    DaemonConfig { name: name.value, instance: instance.value }
}

/// Properties that delivery depends on, and why they are ours.
const OURS: &[(&str, &str)] = &[
    ("bootstrap.servers", "write `kafka.brokers`"),
    ("metadata.broker.list", "write `kafka.brokers`"),
    ("group.id", "it is `daemon.name`.PIPELINE"),
    ("group.instance.id", "a static member keeps its partitions while it is gone, and its transactions open"),
    ("transactional.id", "it is made of `daemon.name`, the pipeline, `daemon.instance` and the worker"),
    ("transaction.timeout.ms", "commits are far more frequent"),
    ("enable.idempotence", "delivery depends on it"),
    ("enable.auto.commit", "offsets are committed with the records"),
    ("enable.auto.offset.store", "offsets are committed with the records"),
    ("isolation.level", "records of aborted transactions must not be read"),
    ("enable.partition.eof", "lag is measured with it"),
    ("partition.assignment.strategy", "rebalances are handled for `cooperative-sticky`"),
    ("partitioner", "keys are hashed as Java's producer hashes them"),
    ("allow.auto.create.topics", "write `create_topics` in the pipeline"),
    ("compression.type", "what is coded already is not coded again"),
    ("compression.codec", "what is coded already is not coded again"),
    ("acks", "delivery depends on all replicas"),
    ("request.required.acks", "delivery depends on all replicas"),
    ("queued.max.messages.kbytes", "it is set from `resources.memory`"),
    ("queue.buffering.max.kbytes", "it is set from `resources.memory`"),
    ("message.max.bytes", "it is taken from the target topic"),
    ("delivery.report.only.error", "delivery depends on reports"),
    ("statistics.interval.ms", "lag is measured with it"),
];

/// Whether a property or option holds a secret, by its name.
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["password", "secret", "token", "key", "credential", "sasl.jaas", "oauthbearer.config"]
        .iter()
        .any(|word| name.contains(word))
        && !["ssl.key.location", "ssl.ca.location", "ssl.certificate.location"].contains(&name.as_str())
}

fn kafka(node: Option<&Node>, notes: &mut Notes) -> KafkaSettings {
    let mut section = Section::new("kafka", node, notes);
    let brokers: Placed<Vec<String>> = section.get("brokers", notes);
    if brokers.value.is_empty() {
        notes.problem(brokers.key.as_str(), &brokers.origin, "the list is empty: write at least one `host:port`");
    }
    for broker in &brokers.value {
        let port = broker.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
        if port.is_none_or(|(host, port)| host.is_empty() || port == 0) {
            let message = format!("`{broker}` is no broker: write `host:port`, such as \"127.0.0.1:9092\"");
            notes.problem(brokers.key.as_str(), &brokers.origin, message);
        }
    }
    let mut properties = BTreeMap::new();
    for (name, value) in texts("kafka.properties", section.below("properties"), is_secret, notes) {
        if let Some((_, why)) = OURS.iter().find(|(ours, _)| *ours == name) {
            notes.problem(value.key.as_str(), &value.origin, format!("this property is not the user's to set: {why}"));
        }
        properties.insert(name, value.value);
    }
    section.finish(notes);
    KafkaSettings { brokers: brokers.value, properties }
}

fn registry(node: Option<&Node>, notes: &mut Notes) -> RegistryConfig {
    let mut section = Section::new("registry", node, notes);
    let url: Placed<String> = section.get("url", notes);
    if !["file://", "s3://", "gs://", "az://"].iter().any(|scheme| url.value.starts_with(scheme)) {
        let message = format!(
            "`{}` is no registry: write a URL that begins with `file://`, `s3://`, `gs://` or `az://`",
            url.value
        );
        notes.problem(url.key.as_str(), &url.origin, message);
    }
    let options = texts("registry.options", section.below("options"), is_secret, notes);
    section.finish(notes);
    RegistryConfig {
        url: url.value,
        options: options.into_iter().map(|(name, value)| (name, Secret::new(value.value))).collect(),
    }
}

fn admin(node: Option<&Node>, notes: &mut Notes) -> AdminConfig {
    let mut section = Section::new("admin", node, notes);
    let listen: Placed<Address> = section.get("listen", notes);
    let token: Option<Placed<String>> = section.optional("token", true, notes);
    if let Some(token) = token.as_ref().filter(|token| token.value.len() < 8) {
        notes.problem(token.key.as_str(), &token.origin, "this token is shorter than 8 characters: take a longer one");
    }
    if token.is_none() && !listen.value.0.ip().is_loopback() {
        let message = format!(
            "{} is reachable from other machines, so `admin.token` must be set: a POST there pauses pipelines",
            listen.value.0
        );
        notes.problem(listen.key.as_str(), &listen.origin, message);
    }
    section.finish(notes);
    AdminConfig { listen: listen.value.0, token: token.map(|token| Secret::new(token.value)) }
}

fn resources(node: Option<&Node>, notes: &mut Notes) -> (ResourcesConfig, Placed<ByteSize>) {
    let mut section = Section::new("resources", node, notes);
    let memory: Placed<ByteSize> = section.get("memory", notes);
    let threads = within(section.get("training_threads", notes), 1, 256, notes);
    section.finish(notes);
    let config = ResourcesConfig { memory: memory.value, training_threads: usize::try_from(threads).unwrap_or(1) };
    (config, memory)
}

fn log(node: Option<&Node>, notes: &mut Notes) -> LogSettings {
    let mut section = Section::new("log", node, notes);
    let level: Placed<String> = section.get("level", notes);
    if let Err(error) = check_filter(&level.value) {
        notes.problem(level.key.as_str(), &level.origin, error.to_string());
    }
    let format: Placed<Word<LogFormat>> = section.get("format", notes);
    section.finish(notes);
    LogSettings { format: format.value.0, filter: level.value }
}

fn shutdown(node: Option<&Node>, notes: &mut Notes) -> ShutdownConfig {
    let mut section = Section::new("shutdown", node, notes);
    let deadline = lasting(section.get("deadline", notes), Duration::from_secs(1), Duration::from_secs(3600), notes);
    section.finish(notes);
    ShutdownConfig { deadline }
}

fn cost(node: Option<&Node>, notes: &mut Notes) -> Prices {
    let mut section = Section::new("cost", node, notes);
    let cost = Prices {
        cpu_hour: section.get("cpu_hour", notes).value,
        gigabyte_moved: section.get("gigabyte_moved", notes).value,
        gigabyte_month: section.get("gigabyte_month", notes).value,
        retention: section.get("retention", notes).value,
        replication: within(section.get("replication", notes), 1, 100, notes),
    };
    section.finish(notes);
    cost
}

/// A number within bounds, or a problem.
pub fn within(placed: Placed<u64>, least: u64, most: u64, notes: &mut Notes) -> u64 {
    if !(least..=most).contains(&placed.value) {
        let message = format!("{} is out of bounds: write a number from {least} to {most}", placed.value);
        notes.problem(placed.key.as_str(), &placed.origin, message);
    }
    placed.value
}

/// A duration within bounds, or a problem.
pub fn lasting(placed: Placed<Duration>, least: Duration, most: Duration, notes: &mut Notes) -> Duration {
    if !(least..=most).contains(&placed.value) {
        let message = format!(
            "{} is out of bounds: write a duration from \"{}\" to \"{}\"",
            humantime::format_duration(placed.value),
            humantime::format_duration(least),
            humantime::format_duration(most)
        );
        notes.problem(placed.key.as_str(), &placed.origin, message);
    }
    placed.value
}

/// A size within bounds, or a problem.
pub fn sized(placed: Placed<ByteSize>, least: ByteSize, most: ByteSize, notes: &mut Notes) -> ByteSize {
    if !(least..=most).contains(&placed.value) {
        let message = format!("{} is out of bounds: write a size from \"{least}\" to \"{most}\"", placed.value);
        notes.problem(placed.key.as_str(), &placed.origin, message);
    }
    placed.value
}
