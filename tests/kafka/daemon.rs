//! The daemon as its users run it: the program, a configuration, signals, HTTP.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::broker::Broker;
use crate::node::folder;
use crate::ports::Port;

/// A running `latentd run`. Dropping it kills it.
pub struct Daemon {
    folder: TempDir,
    admin: Port,
    pid: u32,
    ended: Receiver<std::process::ExitStatus>,
}

/// A client that takes every status for an answer.
fn agent() -> ureq::Agent {
    let config =
        ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(10)));
    config.build().into()
}

impl Daemon {
    /// Starts it with these tables beside `[kafka]`, `[admin]`, `[registry]` and `[log]`.
    pub fn start(broker: &Broker, instance: &str, tables: &str) -> Self {
        Self::with_kafka(broker, instance, "", tables)
    }

    /// The same with librdkafka properties.
    pub fn with_kafka(broker: &Broker, instance: &str, properties: &str, tables: &str) -> Self {
        let folder = folder("latentd-daemon-");
        let registry = folder.path().join("registry");
        fs::create_dir(&registry).unwrap();
        Self::with_registry(&broker.servers(), instance, properties, tables, folder, &registry.display().to_string())
    }

    /// The same with a listener of its own choice, and with a registry that others use too.
    pub fn with_registry(
        servers: &str,
        instance: &str,
        properties: &str,
        tables: &str,
        folder: TempDir,
        registry: &str,
    ) -> Self {
        let admin = Port::reserve();
        let servers = servers.replace(',', "\", \"");
        let text = format!(
            "[daemon]\nname = \"test\"\ninstance = \"{instance}\"\n[kafka]\nbrokers = [\"{servers}\"]\n[kafka.properties]\n{properties}\n\
             [registry]\nurl = \"file://{registry}\"\n[admin]\nlisten = \"127.0.0.1:{admin}\"\n[log]\nformat = \"json\"\nlevel = \"{}\"\n{tables}",
            std::env::var("LATENTD_TEST_LOG").unwrap_or_else(|_| "info".to_owned())
        );
        fs::write(folder.path().join("latentd.toml"), text).unwrap();
        let mut daemon = Self { folder, admin, pid: 0, ended: channel().1 };
        daemon.launch();
        daemon
    }

    /// A file of its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn launch(&mut self) {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap();
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", env!("CARGO_BIN_EXE_latentd"), "run", "-c"])
            .arg(self.path("latentd.toml"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let (sender, receiver) = channel();
        let (ended, end) = channel();
        std::thread::spawn(move || {
            let mut child = command.spawn().unwrap();
            sender.send(child.id()).unwrap();
            let _ = ended.send(child.wait().unwrap());
        });
        self.pid = receiver.recv().unwrap();
        self.ended = end;
    }

    /// Starts it again after its end.
    pub fn restart(&mut self) {
        self.launch();
    }

    /// Everything it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Changes its configuration's file.
    pub fn edit(&self, from: &str, to: &str) {
        let path = self.path("latentd.toml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from} is not in {text}");
        fs::write(path, text.replace(from, to)).unwrap();
    }

    /// Where its models are.
    pub fn registry(&self) -> PathBuf {
        self.path("registry")
    }

    /// Where it serves health, metrics and the API.
    pub fn admin(&self) -> String {
        format!("127.0.0.1:{}", self.admin.number())
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Asks it something; the status and the body, or `None` when it does not answer.
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut response = agent().get(format!("http://127.0.0.1:{}{path}", self.admin)).call().ok()?;
        Some((response.status().as_u16(), response.body_mut().read_to_string().ok()?))
    }

    /// Asks it to do something.
    pub fn post(&self, path: &str) -> (u16, String) {
        let mut response = agent().post(format!("http://127.0.0.1:{}{path}", self.admin)).send_empty().unwrap();
        (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
    }

    /// The same with a body.
    pub fn post_body(&self, path: &str, body: &str) -> (u16, String) {
        let mut response = agent().post(format!("http://127.0.0.1:{}{path}", self.admin)).send(body).unwrap();
        (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
    }

    /// What it says as JSON.
    pub fn json(&self, path: &str) -> Option<(u16, Value)> {
        let (status, body) = self.get(path)?;
        Some((status, serde_json::from_str(&body).ok()?))
    }

    /// Waits until it is ready.
    pub fn ready(&self, patience: Duration) {
        self.until("ready", patience, || matches!(self.get("/readyz"), Some((200, _))).then_some(()));
    }

    /// Waits until `/readyz` or the log gives this reason.
    pub fn not_ready_because(&self, reason: &str, patience: Duration) {
        self.until(reason, patience, || {
            self.get("/readyz").filter(|(status, body)| *status == 503 && body.contains(reason)).map(drop)
        });
    }

    /// Asks again and again until there is an answer.
    pub fn until<T>(&self, what: &str, patience: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(answer) = ask() {
                return answer;
            }
            assert!(
                Instant::now() < deadline,
                "not in {patience:?}: {what}\nreadyz: {:?}\nlog: {}",
                self.get("/readyz"),
                self.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The sum of a metric's series whose labels contain all of these texts.
    pub fn metric(&self, name: &str, labels: &[&str]) -> Option<f64> {
        let (_, text) = self.get("/metrics")?;
        let series = text.lines().filter(|line| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
                && labels.iter().all(|label| line.contains(label))
        });
        let values: Vec<f64> = series.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([&format!("-{signal}"), &self.pid.to_string()]).status().unwrap();
        assert!(status.success(), "no signal {signal} to the daemon");
    }

    /// kill -9, and waits for its end.
    pub fn kill(&self) {
        self.signal("KILL");
        self.end(Duration::from_secs(10));
    }

    /// Waits for its end.
    pub fn end(&self, patience: Duration) -> std::process::ExitStatus {
        self.ended.recv_timeout(patience).unwrap_or_else(|_| panic!("it does not end in {patience:?}:\n{}", self.log()))
    }

    /// SIGTERM, and a clean end.
    pub fn stop(&self) {
        self.signal("TERM");
        let status = self.end(Duration::from_secs(40));
        assert!(status.success(), "{status}:\n{}", self.log());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-KILL", &self.pid.to_string()]).stderr(Stdio::null()).status();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("the end of the daemon's log:\n{}", lines[lines.len().saturating_sub(300)..].join("\n"));
        }
    }
}
