//! Generated records beside those that are carried: published once, with their lineage, while the gates hold, and drawn again
//! from their headers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use latentd::augment::Origin;
use latentd::codec::ModelId;
use latentd::model::{Family, Generator, Manifest, open_generator};
use latentd::record::Record;
use latentd::registry::Registry;
use serde_json::Value;

use crate::broker::{Broker, shared};
use crate::daemon::Daemon;
use crate::feed::Feed;
use crate::fire::{SESSION, files};
use crate::tools;
use crate::topics::{Partitions, TopicReader, header_text};

const PATIENCE: Duration = Duration::from_secs(240);

fn tables(name: &str) -> String {
    format!(
        "[pipelines.{name}]\nfrom = \"{name}\"\nto = \"{name}.z\"\ncodec = \"columns\"\nworkers = 2\n\
         commit_interval = \"100ms\"\n[pipelines.{name}.learn]\nevery = \"1h\"\n\
         [pipelines.{name}.augment]\nto = \"{name}.augmented\"\nrate = 0.2\nseed = 3\n"
    )
}

pub fn published(daemon: &Daemon) -> f64 {
    daemon.metric("latentd_published_records_total", &["kind=\"augmented\""]).unwrap_or(0.0)
}

pub fn state(daemon: &Daemon, pipeline: &str) -> Option<Value> {
    let (_, pipeline) = daemon.json(&format!("/api/v1/pipelines/{pipeline}"))?;
    Some(pipeline["augment"].clone()).filter(Value::is_object)
}

fn until_state(daemon: &Daemon, pipeline: &str, word: &str) -> Value {
    daemon.until(word, PATIENCE, || state(daemon, pipeline).filter(|augment| augment["state"] == word))
}

/// All records of a topic, partition by partition, as a reader sees them who reads what is committed.
pub fn all(broker: &Broker, topic: &str) -> Vec<Record> {
    let mut reader = TopicReader::open(broker, topic, 2);
    reader.read_to_the_end();
    reader.records.into_values().flatten().collect()
}

pub fn origin(record: &Record) -> Origin {
    let headers = record.headers.iter().filter_map(|header| Some((header.name.as_str(), header.value.as_deref()?)));
    Origin::read(headers).unwrap()
}

/// Draws a record from its headers alone, as anybody can who has the registry.
pub fn redraw(generators: &mut BTreeMap<ModelId, Arc<dyn Generator>>, registry: &Registry, origin: &Origin) -> Vec<u8> {
    let generator = generators.entry(origin.model).or_insert_with(|| {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let model = runtime.block_on(registry.load(&origin.model)).unwrap();
        open_generator(&model.manifest.family, &model.artefact).unwrap()
    });
    let length = u64::from(generator.run_length());
    let (run, number) = (origin.index / length, origin.index % length);
    let mut records = Vec::new();
    generator.draw(origin.seed, &origin.condition, run, number as u32 + 1, &mut records).unwrap();
    records.pop().unwrap()
}

#[test]
fn generated_records_are_published_once_with_their_lineage_over_workers_and_kills_and_drawn_again_from_it() {
    let broker = &shared();
    broker.create("census", 2, &[]);
    let feed = Feed::adult(broker, "census");
    let mut daemon = Daemon::with_kafka(broker, "census", SESSION, &tables("census"));
    let told = until_state(&daemon, "census", "publishing");
    assert!(told["verdict"] == "pass" || told["verdict"] == "warn", "{told}");
    let report = told["report"].as_str().unwrap().to_owned();
    for gate in ["c2st_auc", "column_shapes", "column_pairs", "coverage", "dcr_share", "valid_share"] {
        let labels = [format!("gate=\"{gate}\"")];
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        let value = daemon.metric("latentd_gate_value", &labels).unwrap_or_else(|| panic!("no value of {gate}"));
        println!("{gate}: {value:.3}, {:?}", daemon.metric("latentd_gate_threshold", &labels));
    }
    assert_eq!(daemon.metric("latentd_gate_blocked", &[]), Some(0.0));
    let (status, body) = daemon.post("/api/v1/pipelines/census/generate");
    let drawn: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, drawn["records"].as_array().unwrap().len()), (200, 10), "{body}");
    assert_eq!((&drawn["report"], &drawn["model"]), (&told["report"], &told["model"]));
    daemon.until("records published", PATIENCE, || (published(&daemon) > 1_000.0).then_some(()));
    for _ in 0..3 {
        // Wherever it is: the feed goes on, so that transactions are open nearly all the time.
        std::thread::sleep(Duration::from_millis(770));
        println!("killed with {} published", published(&daemon));
        daemon.kill();
        daemon.restart();
        daemon.until("records published again", PATIENCE, || (published(&daemon) > 300.0).then_some(()));
    }
    let sent: usize = feed.stop().values().map(Vec::len).sum();
    daemon.until("nothing left to read", PATIENCE, || {
        (daemon.metric("latentd_lag_records", &[]) == Some(0.0)).then_some(())
    });
    let registry = Registry::open(&format!("file://{}", daemon.registry().display()), &BTreeMap::new()).unwrap();
    daemon.stop();

    let records = all(broker, "census.augmented");
    // What comes back without its headers is known to the process that comes next.
    let bare = |record: &Record| Record { headers: Vec::new(), ..record.clone() };
    let returned: Vec<Record> = records.iter().rev().take(50).map(bare).collect();
    daemon.restart();
    broker.produce("census", &Partitions::from([(0, returned)]), false);
    daemon.until("records refused", PATIENCE, || {
        daemon.metric("latentd_tap_refused_records_total", &[]).filter(|refused| *refused >= 50.0)
    });
    daemon.stop();

    println!("{} generated records beside {sent}", records.len());
    assert!(records.len() > 2_000 && records.len() * 2 <= sent, "{} of {sent}", records.len());
    let mut ids = BTreeSet::new();
    let mut seeds: BTreeMap<u64, usize> = BTreeMap::new();
    let mut generators = BTreeMap::new();
    for record in &records {
        let text = |name: &str| header_text(record, name).unwrap_or_else(|| panic!("no {name}: {record:?}"));
        assert!(ids.insert(text("ce_id").to_owned()), "{} is there twice", text("ce_id"));
        assert_eq!((text("ce_specversion"), text("ce_type")), ("1.0", "latentd.generated.v1"));
        assert_eq!((text("ce_source"), text("content-type")), ("/latentd/test/census", "application/json"));
        assert!(text("ce_latentdtrainedon").contains("census/0/"), "{}", text("ce_latentdtrainedon"));
        assert!(text("ce_latentduse").contains("training") && text("ce_latentdreport").len() == 16);
        let row: Value = serde_json::from_slice(record.value.as_deref().unwrap()).unwrap();
        assert!(row["age"].is_u64() && row["income"].is_string(), "{row}");
        let origin = origin(record);
        *seeds.entry(origin.seed).or_default() += 1;
        // Drawing from the middle of a run takes all before it: some will do.
        if ids.len() % 17 == 1 {
            assert_eq!(redraw(&mut generators, &registry, &origin), record.value.as_deref().unwrap());
        }
    }
    assert!(seeds.len() == 2 && seeds.values().all(|count| *count > 200), "one for each partition: {seeds:?}");
    // The report that they name lies beside the model.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let model = origin(&records[0]).model;
    let kept = runtime.block_on(registry.report(&model, &report)).unwrap().unwrap();
    let kept: Value = serde_json::from_slice(&kept).unwrap();
    assert!(kept["report"]["gates"].as_array().unwrap().len() > 5, "{kept}");
}

#[test]
fn whether_a_model_copies_is_told_by_what_it_learned_from_and_known_after_a_kill() {
    let broker = &shared();
    broker.create("copied", 2, &[]);
    let feed = Feed::adult(broker, "copied");
    let tables = "[pipelines.copied]\noperation = \"generate\"\nfrom = \"copied\"\nto = \"copied.augmented\"\n\
                  [pipelines.copied.augment]\ngenerator = \"classical\"\nbases = 1000\nrate = 0.1\n";
    let mut daemon = Daemon::with_kafka(broker, "copied", SESSION, tables);
    let judged = |daemon: &Daemon, after: i64| {
        daemon.until("a judgement", PATIENCE, || {
            let judged = |told: &Value| told["judged_ms"].as_i64().is_some_and(|at| at > after);
            // A process that has found a report has no gates to show until it has judged itself.
            state(daemon, "copied")
                .filter(|told| judged(told) && told["gates"].as_array().is_some_and(|all| !all.is_empty()))
        })
    };
    let gate = |told: &Value, name: &str| {
        let gates = told["gates"].as_array().unwrap().iter();
        gates.clone().find(|gate| gate["gate"] == name).unwrap_or_else(|| panic!("no {name}: {told}")).clone()
    };
    let told = judged(&daemon, 0);
    daemon.kill();
    daemon.restart();
    let again = judged(&daemon, told["judged_ms"].as_i64().unwrap());
    println!("{}\n{}", gate(&told, "dcr_share"), gate(&again, "column_shapes"));
    assert_eq!(told["model"], again["model"]);
    for name in ["dcr_share", "identical_share"] {
        assert_eq!(gate(&told, name), gate(&again, name), "the process that learned it is gone");
    }
    assert_ne!(gate(&told, "column_shapes")["value"], gate(&again, "column_shapes")["value"], "judged anew");
    feed.stop();
    daemon.stop();
    let reports = files(&daemon.registry(), |name| name.starts_with("report-"));
    assert!(reports.len() >= 2, "{reports:?}");
    for report in reports {
        let report: Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
        assert_eq!(report["of_learned"], true, "{report}");
    }
}

/// How the learning of the generator stands.
pub fn generator(daemon: &Daemon, pipeline: &str) -> Option<Value> {
    let (_, pipeline) = daemon.json(&format!("/api/v1/pipelines/{pipeline}"))?;
    Some(pipeline["generator"].clone()).filter(Value::is_object)
}

/// Waits until records of this family are published, and says from what.
pub fn until_drawn_by(daemon: &Daemon, pipeline: &str, family: &str) -> Value {
    daemon.until(family, PATIENCE, || {
        state(daemon, pipeline).filter(|told| told["state"] == "publishing" && told["generator"] == family)
    })
}

#[test]
fn a_generator_is_learned_beside_the_codec_takes_over_through_kills_and_is_taken_back() {
    let broker = &shared();
    broker.create("learned", 2, &[]);
    let feed = Feed::adult(broker, "learned");
    let tables = tables("learned") + "cpu = \"8s\"\n";
    let mut daemon = Daemon::with_kafka(broker, "learned", SESSION, &tables);
    let begun = Instant::now();
    // At first from the model that the codec has.
    until_drawn_by(&daemon, "learned", "columns");
    println!("from `columns` after {:?}", begun.elapsed());
    daemon.until("records published", PATIENCE, || (published(&daemon) > 200.0).then_some(()));
    // Killed in a training: it goes on, from a place that it came to or from its beginning.
    daemon.until("a training of a generator", PATIENCE, || {
        let training = generator(&daemon, "learned")?["training"].clone();
        training["step"].as_u64().filter(|step| *step > 20)
    });
    daemon.kill();
    daemon.restart();
    let told = until_drawn_by(&daemon, "learned", "autoregressive");
    println!("from `autoregressive` after {:?}: {}", begun.elapsed(), generator(&daemon, "learned").unwrap());
    assert!(daemon.log().contains("training of a generator: goes on with one that was not ended"), "{}", daemon.log());
    assert!(told["verdict"] == "pass" || told["verdict"] == "warn", "{told}");
    for gate in ["c2st_auc", "column_shapes", "column_pairs", "coverage", "dcr_share", "valid_share"] {
        let label = format!("gate=\"{gate}\"");
        let value = daemon.metric("latentd_gate_value", &[&label]).unwrap_or_else(|| panic!("no value of {gate}"));
        println!("{gate}: {value:.3}, {:?}", daemon.metric("latentd_gate_threshold", &[&label]));
    }
    daemon.until("records published", PATIENCE, || (published(&daemon) > 500.0).then_some(()));
    // Killed while it publishes: it goes on with the generator that the registry names.
    daemon.kill();
    daemon.restart();
    let again = until_drawn_by(&daemon, "learned", "autoregressive");
    assert_eq!(again["model"], told["model"]);
    daemon.until("records published", PATIENCE, || (published(&daemon) > 500.0).then_some(()));
    // Taken back by hand, and put to use again.
    let (status, body) = daemon.post("/api/v1/pipelines/learned/rollback?of=generator");
    assert_eq!(status, 200, "{body}");
    until_drawn_by(&daemon, "learned", "columns");
    let id = told["model"].as_str().unwrap();
    let (status, body) = daemon.post(&format!("/api/v1/models/{id}/promote"));
    assert!(status == 200 && body.contains("learned/generator"), "{body}");
    until_drawn_by(&daemon, "learned", "autoregressive");
    let sent: usize = feed.stop().values().map(Vec::len).sum();
    daemon.until("nothing left to read", PATIENCE, || {
        (daemon.metric("latentd_lag_records", &[]) == Some(0.0)).then_some(())
    });
    let registry = Registry::open(&format!("file://{}", daemon.registry().display()), &BTreeMap::new()).unwrap();
    daemon.stop();

    let records = all(broker, "learned.augmented");
    println!("{} generated records beside {sent}", records.len());
    let (mut ids, mut families, mut generators) = (BTreeSet::new(), BTreeMap::new(), BTreeMap::new());
    for record in &records {
        let id = header_text(record, "ce_id").unwrap().to_owned();
        assert!(ids.insert(id.clone()), "{id} is there twice");
        let origin = origin(record);
        let many = families.entry(origin.generator.clone()).or_insert(0usize);
        *many += 1;
        let row: Value = serde_json::from_slice(record.value.as_deref().unwrap()).unwrap();
        assert!(row["age"].is_u64() && row["income"].is_string(), "{row}");
        if many.is_multiple_of(29) {
            assert_eq!(redraw(&mut generators, &registry, &origin), record.value.as_deref().unwrap());
        }
    }
    println!("{families:?}");
    assert!(families["columns"] > 200 && families["autoregressive"] > 1_000, "{families:?}");
    // What it is, and where it comes from.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let manifest = runtime.block_on(registry.manifest(&id.parse().unwrap())).unwrap();
    assert_eq!((manifest.family.as_str(), manifest.pipeline.as_str()), ("autoregressive", "learned"));
    assert!(!manifest.window.is_empty() && !manifest.curve.is_empty(), "{manifest:?}");
    assert!(manifest.config["records"].as_u64().is_some_and(|records| records >= 5_000), "{manifest:?}");
}

#[test]
fn records_are_drawn_under_a_condition_with_rare_classes_filled_up_or_not_at_all() {
    let broker = &shared();
    broker.create("wanted", 2, &[]);
    let feed = Feed::adult(broker, "wanted");
    let tables = "[pipelines.wanted]\noperation = \"generate\"\nfrom = \"wanted\"\nto = \"wanted.augmented\"\n\
                  commit_interval = \"100ms\"\n[pipelines.wanted.augment]\nrate = 0.2\ncpu = \"8s\"\n\
                  where = { income = \">50K\" }\nbalance = \"race\"\n";
    let daemon = Daemon::start(broker, "wanted", tables);
    let told = until_drawn_by(&daemon, "wanted", "autoregressive");
    println!("{told}");
    daemon.until("records published", PATIENCE, || (published(&daemon) > 500.0).then_some(()));
    // As the pipeline draws, as somebody else wants it, and what cannot be.
    let drawn = |body: &str| -> (u16, Value) {
        let (status, answer) = daemon.post_body("/api/v1/pipelines/wanted/generate", body);
        (status, serde_json::from_str(&answer).unwrap())
    };
    let row = |record: &Value| -> Value { serde_json::from_str(record["value"].as_str().unwrap()).unwrap() };
    let (status, answer) = drawn("{\"count\": 20}");
    assert_eq!(status, 200, "{answer}");
    for record in answer["records"].as_array().unwrap() {
        let row = row(record);
        assert!(row["income"] == ">50K" && record["where"]["income"] == ">50K", "{record}");
        assert_eq!(row["race"], record["where"]["race"]);
    }
    let (status, answer) = drawn("{\"count\": 20, \"where\": {\"sex\": \"Female\"}}");
    assert_eq!(status, 200, "{answer}");
    assert!(answer["records"].as_array().unwrap().iter().all(|record| row(record)["sex"] == "Female"), "{answer}");
    let (status, answer) = drawn("{\"where\": {\"sex\": \"Neither\"}}");
    assert!(status == 422 && answer["detail"].as_str().unwrap().contains("is never `Neither`"), "{answer}");
    feed.stop();
    let registry = Registry::open(&format!("file://{}", daemon.registry().display()), &BTreeMap::new()).unwrap();
    daemon.stop();

    let (mut generators, mut classes) = (BTreeMap::new(), BTreeMap::new());
    let records = all(broker, "wanted.augmented");
    for (number, record) in records.iter().enumerate() {
        let origin = origin(record);
        let row: Value = serde_json::from_slice(record.value.as_deref().unwrap()).unwrap();
        let race = row["race"].as_str().unwrap().to_owned();
        assert_eq!(row["income"], ">50K", "{row}");
        assert_eq!((&origin.condition["income"], &origin.condition["race"]), (&">50K".to_owned(), &race));
        *classes.entry(race).or_insert(0usize) += 1;
        if number % 29 == 0 {
            assert_eq!(redraw(&mut generators, &registry, &origin), record.value.as_deref().unwrap());
        }
    }
    println!("{classes:?}");
    // Nine of ten real ones are white: of those there are enough.
    assert!(!classes.contains_key("White") && classes.len() >= 3, "{classes:?}");
    assert!(classes["Other"] * 5 > records.len() && classes["Amer-Indian-Eskimo"] * 5 > records.len(), "{classes:?}");
}

/// Rows whose columns belong to different records.
fn shuffled() -> Vec<Vec<u8>> {
    let text = std::fs::read_to_string(tools::data("adult.jsonl").unwrap()).unwrap();
    let cells = |line: &'_ str| -> Vec<String> { line[1..line.len() - 1].split(",\"").map(str::to_owned).collect() };
    let rows: Vec<Vec<String>> = text.lines().map(cells).collect();
    let mixed = |index: usize| -> Vec<u8> {
        let cell = |column: usize| rows[(index * 7 + column * 4_999) % rows.len()][column].as_str();
        format!("{{{}}}", (0..rows[0].len()).map(cell).collect::<Vec<_>>().join(",\"")).into_bytes()
    };
    (0..20_000).map(mixed).collect()
}

#[test]
fn a_model_that_draws_badly_publishes_nothing_and_says_why() {
    let broker = &shared();
    broker.create("blocked", 2, &[]);
    broker.create("blocked.augmented", 2, &[("retention.ms", "604800000")]);
    let feed = Feed::adult(broker, "blocked");
    let tables = "[pipelines.blocked]\noperation = \"generate\"\nfrom = \"blocked\"\nto = \"blocked.augmented\"\n\
                  commit_interval = \"100ms\"\n[pipelines.blocked.augment]\ngenerator = \"columns\"\nrate = 0.1\n";
    let daemon = Daemon::start(broker, "blocked", tables);
    until_state(&daemon, "blocked", "publishing");
    daemon.until("records published", PATIENCE, || (published(&daemon) > 100.0).then_some(()));
    // Whoever asks for records gets them with the headers from which they are drawn again.
    let (status, body) = daemon.post("/api/v1/pipelines/blocked/generate");
    let asked: Value = serde_json::from_str(&body).unwrap();
    assert!(status == 200 && asked["left_out"].as_u64().is_some_and(|left_out| left_out < 10), "{body}");
    let registry = Registry::open(&format!("file://{}", daemon.registry().display()), &BTreeMap::new()).unwrap();
    let mut generators = BTreeMap::new();
    for record in asked["records"].as_array().unwrap() {
        let headers = record["headers"].as_array().unwrap().iter();
        let headers =
            headers.map(|header| (header["name"].as_str().unwrap(), header["value"].as_str().unwrap().as_bytes()));
        let again = redraw(&mut generators, &registry, &Origin::read(headers).unwrap());
        assert_eq!(record["value"].as_str().unwrap().as_bytes(), again);
    }
    // What removes models knows without a broker how long the topic keeps its records: a week, and a week until a segment ends.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let active = runtime.block_on(registry.active("blocked")).unwrap().unwrap();
    assert_eq!(active.retention_ms, Some(14 * 86_400_000), "{active:?}");
    // A model of rows whose columns have nothing to do with one another, put to use by hand.
    let rows = shuffled();
    let rows: Vec<&[u8]> = rows.iter().map(Vec::as_slice).collect();
    let model = latentd::model::ColumnsModel::train(&rows, &Default::default());
    let manifest = Manifest::new(model.artefact(), Family::COLUMNS, "blocked", "2026-01-01T00:00:00Z");
    runtime.block_on(registry.publish(&manifest, model.artefact().to_vec())).unwrap();
    let (status, body) = daemon.post(&format!("/api/v1/models/{}/promote", model.id()));
    assert_eq!(status, 200, "{body}");
    let told = until_state(&daemon, "blocked", "blocked");
    assert_eq!(told["model"], model.id().to_string());
    let reason = told["reason"].as_str().unwrap();
    assert!(reason.contains("`c2st_auc` is") || reason.contains("`column_pairs` is"), "{reason}");
    println!("{reason}");
    assert_eq!(daemon.metric("latentd_gate_blocked", &[]), Some(1.0));
    let (status, body) = daemon.post("/api/v1/pipelines/blocked/generate");
    assert!(status == 409 && body.contains("publishes no generated records: `"), "{status} {body}");
    assert!(daemon.log().contains("generated records are not published: "), "{}", daemon.log());
    // What was drawn before is published by now; nothing comes after it, though records are consumed.
    std::thread::sleep(Duration::from_secs(1));
    let (before, consumed) = (published(&daemon), daemon.metric("latentd_consumed_records_total", &[]).unwrap());
    daemon.until("more records consumed", PATIENCE, || {
        (daemon.metric("latentd_consumed_records_total", &[])? > consumed + 8_000.0).then_some(())
    });
    assert_eq!(published(&daemon), before);
    feed.stop();
    daemon.stop();
    let others = all(broker, "blocked.augmented").iter().filter(|record| origin(record).model == model.id()).count();
    assert_eq!(others, 0);
}
