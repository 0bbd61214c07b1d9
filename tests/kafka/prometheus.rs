//! A real Prometheus scrapes a running daemon with the configuration and the rules of `deploy/`, and answers queries.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::broker::shared;
use crate::daemon::Daemon;
use crate::end_to_end::records;
use crate::ports::Port;
use crate::tools;

/// A Prometheus of the test's own. Dropping it kills it.
struct Prometheus {
    folder: tempfile::TempDir,
    port: Port,
    child: std::process::Child,
}

impl Prometheus {
    fn start(target: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = fs::read_to_string(tools::project("deploy/prometheus/prometheus.yml")).unwrap();
        assert!(config.contains("127.0.0.1:9644") && config.contains("scrape_interval: 15s"));
        let config = config.replace("127.0.0.1:9644", target).replace(": 15s", ": 1s");
        fs::write(folder.path().join("prometheus.yml"), config).unwrap();
        let rules = tools::project("deploy/prometheus/latentd.rules.yml");
        fs::copy(rules, folder.path().join("latentd.rules.yml")).unwrap();
        let port = Port::reserve();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let child = Command::new(tools::program("prometheus").unwrap())
            .arg(format!("--config.file={}", folder.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{}", port.number()))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { folder, port, child }
    }

    /// The series that a query finds, once there are any for which `good` holds.
    fn query(&self, query: &str, good: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let url = format!("http://127.0.0.1:{}/api/v1/query", self.port.number());
            if let Ok(mut answer) = ureq::get(url).query("query", query).call() {
                let answer: Value = serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap();
                let series = answer["data"]["result"].as_array().cloned().unwrap_or_default();
                if good(&series) {
                    return series;
                }
            }
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "no answer to `{query}`:\n{log}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_real_prometheus_scrapes_a_running_daemon_and_answers() {
    let broker = &shared();
    let records = records(2, 2_000);
    broker.create("scraped", 2, &[]);
    broker.produce("scraped", &records, false);
    let daemon = Daemon::start(broker, "scraped", "[pipelines.scraped]\nfrom = \"scraped\"\nto = \"scraped.z\"\n");
    daemon.ready(Duration::from_secs(60));
    let prometheus = Prometheus::start(&daemon.admin());
    let is = |series: &[Value], value: &str| series.len() == 1 && series[0]["value"][1] == value;
    prometheus.query("up{job=\"latentd\"}", |series| is(series, "1"));
    let info = prometheus.query("latentd_build_info", |series| is(series, "1"));
    assert_eq!(info[0]["metric"]["version"], env!("CARGO_PKG_VERSION"));
    prometheus.query("latentd_consumed_records_total{pipeline=\"scraped\"}", |series| is(series, "2000"));
    prometheus.query("latentd_pipeline_state{pipeline=\"scraped\", state=\"running\"}", |series| is(series, "1"));
    prometheus.query("sum(latentd_lag_records{pipeline=\"scraped\"})", |series| is(series, "0"));
    // The rules are loaded and evaluated, and nothing is wrong.
    prometheus.query("count(ALERTS{alertstate=\"firing\"}) or vector(0)", |series| is(series, "0"));
    daemon.stop();
    prometheus.query("up{job=\"latentd\"}", |series| is(series, "0"));
}
