//! One process of Apache Kafka, broker and controller in one, from the jars that `make setup` fetches.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::ports::Port;

/// How long a process may take to begin, to answer and to end.
pub const START: Duration = Duration::from_secs(90);

/// A process of a cluster. Dropping it kills it; so does the end of this process.
pub struct Node {
    folder: TempDir,
    port: Port,
    _controller: Port,
    pid: AtomicU32,
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

/// The voters of as many nodes, and the ports that each has for clients and for the quorum.
pub fn quorum(nodes: usize) -> (Vec<(Port, Port)>, String) {
    let ports: Vec<(Port, Port)> = (0..nodes).map(|_| (Port::reserve(), Port::reserve())).collect();
    let voter = |(index, (_, controller)): (usize, &(Port, Port))| format!("{}@127.0.0.1:{controller}", index + 1);
    let voters: Vec<String> = ports.iter().enumerate().map(voter).collect();
    (ports, voters.join(","))
}

impl Node {
    /// Formats the storage of a node, with further arguments (users of SCRAM), and starts it. Does not wait for it.
    pub fn start(
        id: usize,
        (port, controller): (Port, Port),
        properties: &BTreeMap<String, String>,
        format: &[&str],
    ) -> Self {
        let node = Self { folder: folder("latentd-kafka-"), port, _controller: controller, pid: AtomicU32::new(0) };
        let mut all: BTreeMap<String, String> = [
            ("process.roles", "broker,controller".to_owned()),
            ("node.id", id.to_string()),
            ("listeners", "PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}".to_owned()),
            ("advertised.listeners", "PLAINTEXT://127.0.0.1:{port}".to_owned()),
            ("controller.listener.names", "CONTROLLER".to_owned()),
            ("inter.broker.listener.name", "PLAINTEXT".to_owned()),
            ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned()),
            ("log.dirs", node.path("data").display().to_string()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        all.extend(properties.clone());
        let text: String = all.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        let text =
            text.replace("{port}", &node.port.to_string()).replace("{controller}", &node._controller.to_string());
        fs::write(node.path("server.properties"), text).unwrap();
        let formatted = java("kafka.tools.StorageTool")
            .args(["format", "-t", "AAAAAAAAQACAAAAAAAAAAA", "-c"])
            .arg(node.path("server.properties"))
            .args(format)
            .output()
            .unwrap();
        assert!(formatted.status.success(), "{}", String::from_utf8_lossy(&formatted.stderr));
        node.launch();
        node
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts it on its ports and data. Does not wait for it.
    pub fn launch(&self) {
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
        self.pid.store(receiver.recv().unwrap(), Ordering::Relaxed);
    }

    /// What it has logged last.
    pub fn log(&self) -> String {
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

    /// Where clients reach it.
    pub fn server(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Waits until it takes connections.
    pub fn wait_for_port(&self) {
        let deadline = Instant::now() + START;
        while std::net::TcpStream::connect(("127.0.0.1", self.port.number())).is_err() {
            assert!(Instant::now() < deadline, "the broker does not answer:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn pid(&self) -> u32 {
        self.pid.load(Ordering::Relaxed)
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([&format!("-{signal}"), &self.pid().to_string()]).status().unwrap();
        assert!(status.success(), "no signal {signal} to the broker");
    }

    fn gone(&self) {
        let deadline = Instant::now() + START;
        while PathBuf::from(format!("/proc/{}", self.pid())).exists() {
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

    /// Stops its clock.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal("CONT");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = Command::new("kill").args(["-KILL", &self.pid().to_string()]).stderr(Stdio::null()).status();
    }
}
