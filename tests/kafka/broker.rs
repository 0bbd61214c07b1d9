//! A real Apache Kafka, one node, started for a test from the jars that `make setup` fetches.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tempfile::TempDir;

use crate::ports::Port;

/// How long the broker may take to answer.
const START: Duration = Duration::from_secs(90);

/// A running broker. Dropping it kills it; so does the end of this process.
pub struct Broker {
    folder: TempDir,
    port: Port,
    _controller: Port,
    properties: BTreeMap<String, String>,
    pid: u32,
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

/// A folder for a server's files; `LATENTD_TEST_KEEP=1` leaves it there for a look.
pub fn folder(prefix: &str) -> TempDir {
    let mut folder = tempfile::Builder::new().prefix(prefix).tempdir().unwrap();
    folder.disable_cleanup(std::env::var_os("LATENTD_TEST_KEEP").is_some());
    folder
}

fn libs() -> PathBuf {
    let cache = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
    let libs = std::env::var_os("LATENTD_TEST_KAFKA_LIBS").map(PathBuf::from).unwrap_or_else(|| {
        std::env::var_os("XDG_CACHE_HOME").map_or_else(cache, PathBuf::from).join("latentd/kafka/4.3.1/libs")
    });
    assert!(libs.is_dir(), "no Apache Kafka at `{}`: `make setup` fetches it", libs.display());
    libs
}

/// A program of Apache Kafka.
pub fn java(class: &str) -> Command {
    let mut command = Command::new("java");
    command.args(["-cp", &format!("{}/*", libs().display()), class]);
    command
}

impl Broker {
    /// Starts one, with properties over the usual ones.
    pub fn start(properties: &[(&str, &str)]) -> Self {
        Self::formatted(properties, &[])
    }

    /// Starts one whose storage is formatted with further arguments (users of SCRAM).
    pub fn formatted(properties: &[(&str, &str)], format: &[&str]) -> Self {
        let folder = folder("latentd-kafka-");
        let (port, controller) = (Port::reserve(), Port::reserve());
        let mut all: BTreeMap<String, String> = [
            ("process.roles", "broker,controller".to_owned()),
            ("node.id", "1".to_owned()),
            ("controller.quorum.voters", format!("1@127.0.0.1:{controller}")),
            ("listeners", format!("PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}")),
            ("advertised.listeners", format!("PLAINTEXT://127.0.0.1:{port}")),
            ("controller.listener.names", "CONTROLLER".to_owned()),
            ("inter.broker.listener.name", "PLAINTEXT".to_owned()),
            ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned()),
            ("log.dirs", folder.path().join("data").display().to_string()),
            ("offsets.topic.replication.factor", "1".to_owned()),
            ("offsets.topic.num.partitions", "4".to_owned()),
            ("transaction.state.log.replication.factor", "1".to_owned()),
            ("transaction.state.log.min.isr", "1".to_owned()),
            ("transaction.state.log.num.partitions", "4".to_owned()),
            ("share.coordinator.state.topic.replication.factor", "1".to_owned()),
            ("share.coordinator.state.topic.min.isr", "1".to_owned()),
            ("group.initial.rebalance.delay.ms", "0".to_owned()),
            ("group.min.session.timeout.ms", "1000".to_owned()),
            ("auto.create.topics.enable", "false".to_owned()),
            // The records of the tests are years old.
            ("log.retention.ms", "-1".to_owned()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        for (name, value) in properties {
            let value = value.replace("{port}", &port.to_string()).replace("{controller}", &controller.to_string());
            all.insert((*name).to_owned(), value);
        }
        let mut broker = Self { folder, port, _controller: controller, properties: all, pid: 0 };
        let text: String = broker.properties.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        fs::write(broker.path("server.properties"), text).unwrap();
        let formatted = java("kafka.tools.StorageTool")
            .args(["format", "-t", "AAAAAAAAQACAAAAAAAAAAA", "-c"])
            .arg(broker.path("server.properties"))
            .args(format)
            .output()
            .unwrap();
        assert!(formatted.status.success(), "{}", String::from_utf8_lossy(&formatted.stderr));
        broker.launch();
        broker
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn launch(&mut self) {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap();
        let java = java("kafka.Kafka");
        // setpriv: the kernel kills the broker when the thread that started it ends, whatever happens to this process.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "java", "-Xmx512m", "-XX:+UseSerialGC"]);
        command.args(java.get_args()).arg(self.path("server.properties"));
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            let mut child = command.spawn().unwrap();
            sender.send(child.id()).unwrap();
            // This thread lives as long as the broker, and takes its end.
            child.wait().unwrap();
        });
        self.pid = receiver.recv().unwrap();
        self.wait();
    }

    /// Waits until the broker answers.
    pub fn wait(&self) {
        if !self.properties["listeners"].starts_with("PLAINTEXT://") {
            return self.wait_for_port();
        }
        let deadline = Instant::now() + START;
        let consumer: BaseConsumer = self.client().create().unwrap();
        loop {
            match consumer.fetch_metadata(None, Duration::from_secs(2)) {
                Ok(metadata) if !metadata.brokers().is_empty() => return,
                _ => assert!(Instant::now() < deadline, "the broker does not answer:\n{}", self.log()),
            }
        }
    }

    fn wait_for_port(&self) {
        let deadline = Instant::now() + START;
        while std::net::TcpStream::connect(("127.0.0.1", self.port.number())).is_err() {
            assert!(Instant::now() < deadline, "the broker does not answer:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What it has logged last.
    fn log(&self) -> String {
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// The batches of a partition as they lie in its log: offsets, producer, epoch, sequence, control records.
    pub fn batches(&self, topic: &str, partition: i32) -> Vec<String> {
        let folder = self.path("data").join(format!("{topic}-{partition}"));
        let mut segments: Vec<PathBuf> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
            .collect();
        segments.sort();
        let mut lines = Vec::new();
        for segment in segments {
            let mut command = java("org.apache.kafka.tools.DumpLogSegments");
            let output = command.arg("--files").arg(segment).output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            lines.extend(text.lines().filter(|line| line.starts_with("baseOffset")).map(str::to_owned));
        }
        lines
    }

    /// How clients reach it.
    pub fn servers(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A client's configuration.
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.servers());
        config.set("reconnect.backoff.max.ms", "500");
        config
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([&format!("-{signal}"), &self.pid.to_string()]).status().unwrap();
        assert!(status.success(), "no signal {signal} to the broker");
    }

    fn gone(&self) {
        let deadline = Instant::now() + START;
        while PathBuf::from(format!("/proc/{}", self.pid)).exists() {
            assert!(Instant::now() < deadline, "the broker does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// kill -9, as a power cut would.
    pub fn kill(&self) {
        self.signal("KILL");
        self.gone();
    }

    /// A clean end.
    pub fn stop(&self) {
        self.signal("TERM");
        self.gone();
    }

    /// Starts it again on its ports and data.
    pub fn restart(&mut self) {
        self.launch();
    }

    /// Stops its clock.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal("CONT");
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = Command::new("kill").args(["-KILL", &self.pid.to_string()]).stderr(Stdio::null()).status();
    }
}
