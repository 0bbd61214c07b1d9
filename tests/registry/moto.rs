//! A real S3 server for the tests: moto, started on this machine and gone when the test process is.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

use latentd::registry::Registry;

/// A running server.
pub struct Moto {
    child: Child,
    port: u16,
}

/// The server that the suite shares.
static SHARED: LazyLock<Moto> = LazyLock::new(Moto::start);

impl Moto {
    /// Starts a server of the caller's own. It ends with the value, or with the process however that ends: the shell
    /// around it waits for its standard input to close.
    pub fn start() -> Self {
        let program = program();
        // Below the ports that a client's own sockets get, and spread so that test processes do not meet; a port that
        // is taken all the same makes the server end, and the next one is tried.
        let first = 18_000 + u16::try_from(std::process::id() % 10_000).unwrap();
        for port in (first..32_000).step_by(97) {
            let mut child = Command::new("sh")
                .arg("-c")
                .arg(r#""$0" -H 127.0.0.1 -p "$1" & server=$!; (wait "$server"; exec 2>&-) & cat >/dev/null; kill "$server""#)
                .arg(&program)
                .arg(port.to_string())
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
            let up = lines.by_ref().map_while(Result::ok).find_map(|line| {
                let up = line.contains("Running on");
                (up || line.contains("in use") || line.contains("Traceback")).then_some(up)
            });
            // What it logs for each request must be read, or it stops when the pipe is full.
            std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
            let moto = Self { child, port };
            if up == Some(true) {
                return moto;
            }
        }
        panic!("`{program}` found no free port between {first} and 32000");
    }

    /// An empty registry in a new bucket.
    pub fn registry(&self, bucket: &str) -> Registry {
        self.create_bucket(bucket);
        self.open(bucket)
    }

    /// A registry in a bucket that may not exist.
    pub fn open(&self, bucket: &str) -> Registry {
        let properties = BTreeMap::from(
            [
                ("aws_endpoint", format!("http://127.0.0.1:{}", self.port).as_str()),
                ("aws_region", "us-east-1"),
                ("aws_access_key_id", "test"),
                ("aws_secret_access_key", "test"),
                ("allow_http", "true"),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned())),
        );
        Registry::open(&format!("s3://{bucket}/some/models"), &properties).unwrap()
    }

    fn create_bucket(&self, bucket: &str) {
        let url = format!("http://127.0.0.1:{}/{bucket}", self.port);
        ureq::put(&url).send_empty().unwrap();
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// An empty registry in a new bucket of the server that the suite shares.
pub fn registry(case: &str) -> Registry {
    SHARED.registry(&case.replace('_', "-").chars().take(60).collect::<String>())
}

/// The server's program: `LATENTD_TEST_MOTO`, or what the project's own script installs.
fn program() -> String {
    if let Ok(program) = std::env::var("LATENTD_TEST_MOTO") {
        return program;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/setup/moto.sh");
    let output = Command::new(script).stderr(Stdio::inherit()).output();
    let output = output.unwrap_or_else(|error| panic!("`{script}` cannot be run: {error}"));
    assert!(
        output.status.success(),
        "`{script}` could not install moto's S3 server, which the registry's S3 tests need: run it by hand to see why, \
         or set LATENTD_TEST_MOTO to a `moto_server` program"
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
