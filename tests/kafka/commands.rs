//! The commands that talk to a cluster, against a real one: `check --online`, `cat`, `bench TOPIC`, `demo --brokers`.

use std::fs;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;

use crate::broker::{Broker, shared};
use crate::daemon::Daemon;
use crate::end_to_end::records;
use crate::topics::Partitions;

fn latentd(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_latentd")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn check(broker: &Broker, tables: &str) -> (Option<i32>, Value) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("latentd.toml");
    let kafka = format!("[kafka]\nbrokers = [\"{}\"]\n", broker.servers());
    let registry = format!("[registry]\nurl = \"file://{}\"\n", folder.path().display());
    fs::write(&path, format!("{kafka}{registry}{tables}")).unwrap();
    let output = latentd(&["check", "--online", "--format", "json", "-c", path.to_str().unwrap()]);
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output.stderr)));
    (output.status.code(), report)
}

#[test]
fn check_asks_the_brokers_and_changes_nothing() {
    let broker = &shared();
    broker.create("checked", 3, &[]);
    let tables = "[pipelines.there]\nfrom = \"checked\"\nto = \"checked.z\"\n";
    let (code, report) = check(broker, tables);
    let findings = report["findings"].to_string();
    assert_eq!(code, Some(0), "{findings}");
    for expected in [
        "reads `checked`: 3 partitions",
        "`checked.z`: will be created with 3 partitions",
        "`latentd.there` has committed offsets of 0 of 3",
        // The broker of the tests is one.
        "one replica only: __consumer_offsets",
    ] {
        assert!(findings.contains(expected), "{expected} is not in {findings}");
    }
    assert_eq!(broker.partitions("checked.z"), None, "it was only a question");
    let tables = "[pipelines.gone]\nfrom = \"not-there\"\nto = \"x\"\n[pipelines.fixed]\nfrom = \"checked\"\nto = \"fixed\"\ncreate_topics = false\n";
    let (code, report) = check(broker, tables);
    let findings = report["findings"].to_string();
    assert_eq!(code, Some(1));
    assert!(findings.contains("no topic `not-there`: create the topic"), "{findings}");
    assert!(findings.contains("no topic `fixed`, and `create_topics` is false"), "{findings}");
}

fn all(records: &Partitions) -> usize {
    records.values().map(Vec::len).sum()
}

#[test]
fn cat_prints_restored_records_whatever_they_were_coded_with() {
    let broker = &shared();
    let records = records(2, 500);
    broker.create("shown", 2, &[]);
    broker.produce("shown", &records, false);
    let tables = "[pipelines.a]\nfrom = \"shown\"\nto = \"shown.z\"\n\
                  [pipelines.b]\nfrom = \"shown\"\nto = \"shown.r\"\nlayout = \"record\"\ncodec = \"brotli\"\nheaders = \"none\"\n";
    let daemon = Daemon::start(broker, "shown", tables);
    broker.consume("shown.z", 1, Duration::from_secs(60));
    broker.consume("shown.r", all(&records), Duration::from_secs(60));
    daemon.stop();
    let servers = broker.servers();
    let lines = |topic: &str, rest: &[&str]| -> Vec<Value> {
        let arguments = [&["cat", topic, "--brokers", &servers, "--exit", "-f", "json"], rest].concat();
        let output = latentd(&arguments);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    for topic in ["shown", "shown.z", "shown.r"] {
        // Some of the plain records look coded.
        let printed = lines(topic, if topic == "shown" { &["--as-is"] } else { &[] });
        assert_eq!(printed.len(), 500, "{topic}");
        for (partition, records) in &records {
            let of = printed.iter().filter(|line| line["partition"] == *partition);
            for (line, record) in of.zip(records) {
                assert_eq!(line["timestamp"], record.timestamp.millis, "{topic}");
                if let Some(Ok(value)) = record.value.as_deref().map(std::str::from_utf8) {
                    assert_eq!(line["value"], value, "{topic}");
                }
                assert_eq!(line["headers"].as_array().unwrap().len(), record.headers.len(), "{topic}: {line}");
            }
        }
    }
    assert_eq!(lines("shown.r", &["-p", "1", "-c", "3"]).len(), 3);
    // The end of the transaction takes one of the two offsets.
    assert_eq!(lines("shown.r", &["-p", "0", "-o", "-2"]).len(), 1);
    let output = latentd(&["cat", "nowhere", "--brokers", &servers]);
    assert!(text(&output.stderr).contains("no topic `nowhere`"), "{}", text(&output.stderr));
}

#[test]
fn bench_reads_a_topic() {
    let broker = &shared();
    broker.create("measured", 2, &[]);
    broker.produce("measured", &records(2, 2_000), false);
    let servers = broker.servers();
    let output =
        latentd(&["bench", "measured", "--brokers", &servers, "-c", "zstd", "--time", "1ms", "--format", "json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["records"], 1_000, "the later half");
    assert!(report["rows"].to_string().contains("Kafka zstd-19, 1MiB"));
}

#[test]
fn the_demo_runs_exactly_once_on_a_real_cluster_and_leaves_nothing_behind() {
    let broker = &shared();
    let data = crate::tools::data("flights.jsonl").unwrap();
    let folder = data.parent().unwrap().to_str().unwrap();
    let servers = broker.servers();
    let output = latentd(&[
        "demo",
        "--brokers",
        &servers,
        "--for",
        "5s",
        "--data",
        folder,
        "--listen",
        "127.0.0.1:0",
        "--format",
        "json",
    ]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("exactly-once"), "{}", text(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    for stream in report["streams"].as_array().unwrap() {
        assert!(stream["records"].as_u64().unwrap() > 100);
        assert_eq!(stream["records"], stream["restored_equal"], "{stream}");
    }
    broker.until(|| {
        let consumer: rdkafka::consumer::BaseConsumer = broker.client().create().unwrap();
        use rdkafka::consumer::Consumer;
        let metadata = consumer.fetch_metadata(None, Duration::from_secs(10)).unwrap();
        let left = metadata.topics().iter().any(|topic| topic.name().starts_with("latentd-demo"));
        (!left).then_some(())
    });
}
