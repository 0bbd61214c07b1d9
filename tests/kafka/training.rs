//! Models made by hand from a topic, put to use and taken back while a daemon runs; and records whose model is missing.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use latentd::augment::Emitted;
use latentd::codec::{Algorithm, Codec as _, seal};
use latentd::model::columns::Options;
use latentd::model::{ColumnsCodec, ColumnsModel, Family, Manifest, package};
use latentd::record::{Header, Record, Timestamp};
use latentd::registry::{EmittedPage, EmittedPages, Registry};
use serde_json::Value;

use crate::broker::shared;
use crate::daemon::Daemon;
use crate::tools;
use crate::topics::{Partitions, header_text};

const PATIENCE: Duration = Duration::from_secs(240);

fn latentd(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_latentd")).args(arguments).output().unwrap()
}

fn report(arguments: &[&str]) -> Value {
    let output = latentd(&[arguments, &["--format", "json"]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Rows of the flights topic, in their order, over two partitions.
fn flights(from: usize, count: usize) -> Partitions {
    let text = fs::read(tools::data("flights.jsonl").unwrap()).unwrap();
    let mut partitions = Partitions::from([(0, Vec::new()), (1, Vec::new())]);
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate().skip(from).take(count) {
        partitions.get_mut(&(index as i32 / 500 % 2)).unwrap().push(Record {
            key: None,
            value: Some(Bytes::copy_from_slice(line)),
            headers: Vec::new(),
            timestamp: Timestamp::create(1_700_000_000_000 + index as i64),
            offset: 0,
        });
    }
    partitions
}

#[test]
fn a_model_trained_by_hand_is_judged_promoted_and_rolled_back_under_a_running_daemon() {
    let broker = &shared();
    broker.create("handmade", 2, &[]);
    broker.produce("handmade", &flights(0, 5_000), false);
    let tables = "[pipelines.handmade]\nfrom = \"handmade\"\nto = \"handmade.z\"\ncodec = \"columns\"\n\
                  [pipelines.handmade.learn]\nevery = \"1h\"\n";
    // Few enough records that the daemon trains nothing itself.
    let daemon = Daemon::start(broker, "handmade", tables);
    daemon.ready(PATIENCE);
    let config = daemon.path("latentd.toml");
    let train = ["train", "--pipeline", "handmade", "--config", config.to_str().unwrap(), "--promote"];
    let first = report(&train);
    assert_eq!(first["promoted"]["pipeline"], "handmade", "{first}");
    let (trained, held_out) = (first["trained_records"].as_u64().unwrap(), first["held_out_records"].as_u64().unwrap());
    assert!(trained + held_out == 5_000 && held_out > 250, "{first}");
    assert_eq!(first["manifest"]["window"].as_array().unwrap().len(), 2, "{first}");
    let model = || {
        let (_, pipeline) = daemon.json("/api/v1/pipelines/handmade")?;
        Some(pipeline["model"]["id"].as_str()?.to_owned())
    };
    let id = |report: &Value| report["manifest"]["model"].as_str().unwrap().to_owned();
    let in_use = |expected: &str| {
        daemon.until("the model in use", PATIENCE, || model().filter(|found| found == expected));
    };
    in_use(&id(&first));
    // The same records teach the same again, which is no better.
    let again = latentd(&train);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("not promoted"), "{again:?}");
    // The stream has gone on, and away from what was learned.
    broker.produce("handmade", &flights(120_000, 6_000), false);
    let second = report(&train);
    assert_eq!(second["manifest"]["parent"], first["manifest"]["model"], "{second}");
    assert!(second["candidate_bytes"].as_u64() < second["incumbent_bytes"].as_u64(), "{second}");
    in_use(&id(&second));
    let (status, body) = daemon.post("/api/v1/pipelines/handmade/rollback");
    assert!(status == 200 && body.contains(&id(&first)) && body.contains("by the API"), "{status} {body}");
    in_use(&id(&first));
    let (status, body) = daemon.post(&format!("/api/v1/models/{}/promote", &id(&second)[..12]));
    assert!(status == 200 && body.contains(&id(&second)), "{status} {body}");
    in_use(&id(&second));
    assert_eq!(daemon.post("/api/v1/pipelines/nobody/rollback").0, 404);
    // On the topic itself, both models side by side.
    let registry = format!("file://{}", daemon.registry().display());
    let (a, b) = (id(&first), id(&second));
    let compared = report(&[
        "models",
        "--registry",
        &registry,
        "compare",
        &a,
        &b,
        "--topic",
        "handmade",
        "--brokers",
        &broker.servers(),
        "--limit",
        "2000",
    ]);
    let bytes = |side: &str| compared["measured"][side]["bytes"].as_u64().unwrap();
    assert!(bytes("b") < bytes("a"), "{compared}");
    daemon.stop();
}

#[test]
fn a_model_trained_by_hand_from_a_topic_learns_from_no_generated_records() {
    let broker = &shared();
    broker.create("mixed-in", 2, &[]);
    let mut records = flights(0, 4_000);
    let event = Header { name: "ce_type".to_owned(), value: Some(Bytes::from_static(b"latentd.generated.v1")) };
    let mut generated = 0;
    for record in records.values_mut().flatten().skip(100).step_by(4) {
        record.headers.push(event.clone());
        generated += 1;
    }
    broker.produce("mixed-in", &records, false);
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, topic: &str| {
        let path = folder.path().join(name);
        let tables = format!(
            "[kafka]\nbrokers = [\"{}\"]\n[registry]\nurl = \"file://{}\"\n[pipelines.p]\nfrom = \"{topic}\"\nto = \"{topic}.z\"\n\
             codec = \"columns\"\n[pipelines.p.learn]\n",
            broker.servers(),
            folder.path().display(),
        );
        fs::write(&path, tables).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let config = write("mixed.toml", "mixed-in");
    let trained = report(&["train", "--pipeline", "p", "--config", &config]);
    let count = |name: &str| trained[name].as_u64().unwrap();
    assert_eq!(count("refused_records"), generated, "{trained}");
    assert_eq!(count("trained_records") + count("held_out_records"), 4_000 - generated, "{trained}");
    // Nothing else is there, and it has lost its headers: the registry knows it.
    broker.create("only-generated", 2, &[]);
    records.values_mut().for_each(|records| records.retain(|record| !record.headers.is_empty()));
    let mut emitted = Emitted::default();
    for record in records.values_mut().flatten() {
        record.headers.clear();
        emitted.add(record.value.as_deref().unwrap());
    }
    let registry = Registry::open(&format!("file://{}", folder.path().display()), &BTreeMap::new()).unwrap();
    let page = EmittedPage { begun_ms: 1, instance: "elsewhere".to_owned(), digests: emitted.take_untold() };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(registry.keep_emitted("p", &page, &mut EmittedPages::default())).unwrap();
    broker.produce("only-generated", &records, false);
    let output = latentd(&["train", "--pipeline", "p", "--config", &write("only.toml", "only-generated")]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("none but generated records"), "{said}");
}

/// A model of rows of this kind, as a file that the registry takes, and its codec.
fn fields(word: &str, folder: &Path) -> (std::path::PathBuf, ColumnsCodec) {
    let rows: Vec<String> = (0..400).map(|i| format!("{{\"{word}\":{i},\"half\":{}}}", i / 2)).collect();
    let values: Vec<&[u8]> = rows.iter().map(|row| row.as_bytes()).collect();
    let model = ColumnsModel::train(&values, &Options { alone: true, effort: 1_000_000, ..Options::default() });
    let manifest = Manifest::new(model.artefact(), Family::COLUMNS, word, "2026-01-01T00:00:00Z");
    let file = folder.join(word);
    fs::write(&file, package::pack(&manifest.to_json().unwrap(), model.artefact()).unwrap()).unwrap();
    (file, ColumnsCodec::new(Arc::new(model)))
}

#[test]
fn records_whose_model_is_missing_wait_or_become_dead_letters_that_name_it_and_none_is_lost() {
    let broker = &shared();
    broker.create("orphan", 1, &[]);
    let folder = tempfile::tempdir().unwrap();
    let (file, mut codec) = fields("orphan", folder.path());
    let (other, _) = fields("other", folder.path());
    let model = codec.model().unwrap();
    let plain: Vec<String> = (0..100).map(|i| format!("{{\"orphan\":{i},\"half\":{}}}", i / 2)).collect();
    let coded = plain.iter().zip(0..).map(|(value, number)| {
        let (mut coded, mut sealed) = (Vec::new(), Vec::new());
        codec.encode(value.as_bytes(), &mut coded).unwrap();
        seal(Algorithm::Columns, Some(model.prefix()), &coded, value.as_bytes(), &mut sealed);
        let coding = Header { name: "content-encoding".to_owned(), value: Some(Bytes::from_static(b"latentd")) };
        let timestamp = Timestamp::create(1_700_000_000_000 + number);
        Record { key: None, value: Some(sealed.into()), headers: vec![coding], timestamp, offset: 0 }
    });
    broker.produce("orphan", &Partitions::from([(0, coded.collect())]), false);
    let tables = "[pipelines.waits]\nfrom = \"orphan\"\nto = \"orphan.waited\"\noperation = \"restore\"\n\
                  dead_letter = \"orphan.unexpected\"\n\
                  [pipelines.letters]\nfrom = \"orphan\"\nto = \"orphan.back\"\noperation = \"restore\"\n\
                  missing_model = \"dead-letter\"\n";
    let daemon = Daemon::start(broker, "orphan", tables);
    let registry = format!("file://{}", daemon.registry().display());
    // A registry that was never written to says nothing about what it lacks; one with another model does.
    report(&["models", "--registry", &registry, "import", other.to_str().unwrap()]);
    let prefix = &model.to_string()[..8];
    let dead = broker.consume("orphan.dead", 100, PATIENCE);
    for letter in &dead[&0] {
        let message = header_text(letter, "latentd-error-message").unwrap();
        assert_eq!(header_text(letter, "latentd-error-reason"), Some("missing_model"));
        assert!(message.contains(prefix) && message.contains(&registry), "{message}");
    }
    daemon.not_ready_because(prefix, PATIENCE);
    daemon.not_ready_because(&registry, PATIENCE);
    let shown = latentd(&["cat", "orphan", "--brokers", &broker.servers(), "--registry", &registry, "-e"]);
    let told = String::from_utf8_lossy(&shown.stderr);
    assert!(shown.status.code() == Some(1) && told.contains(prefix) && told.contains(&registry), "{told}");
    // The model comes, and with it all that waited.
    report(&["models", "--registry", &registry, "import", file.to_str().unwrap()]);
    let back = broker.consume("orphan.waited", 100, PATIENCE);
    let values: Vec<&[u8]> = back[&0].iter().filter_map(|record| record.value.as_deref()).collect();
    assert_eq!(values, plain.iter().map(|value| value.as_bytes()).collect::<Vec<_>>());
    daemon.ready(PATIENCE);
    daemon.stop();
}
