//! Generators that are learned beside a stream, of rows and of images: trained through kills and stops, judged, published from, drawn
//! again from headers, and followed by other processes of the group.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use latentd::record::{Header, Record, Timestamp};
use latentd::registry::Registry;
use serde_json::Value;

use crate::augment::{all, generator, origin, published, redraw, state, until_drawn_by};
use crate::broker::shared;
use crate::daemon::Daemon;
use crate::feed::Feed;
use crate::fire::{SESSION, catch, files};
use crate::node::folder;
use crate::tools;
use crate::topics::header_text;

const PATIENCE: Duration = Duration::from_secs(300);

/// Images of 28 times 28 as PGM files.
const HEADER: &[u8] = b"P5\n28 28\n255\n";

/// Bytes in front of the images, and of the labels, of an idx file.
const IDX_HEADERS: [usize; 2] = [16, 8];

fn open(daemon: &Daemon) -> Registry {
    Registry::open(&format!("file://{}", daemon.registry().display()), &BTreeMap::new()).unwrap()
}

/// A thousand digits a second, each with its class in the key and in a header.
fn digits(topic: &'static str, broker: &crate::broker::Broker) -> Feed {
    let [images, labels] =
        ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"].map(|name| tools::data(name).unwrap());
    let (images, labels) = (std::fs::read(images).unwrap(), std::fs::read(labels).unwrap());
    let digit = move |number: usize| {
        let number = number % (labels.len() - IDX_HEADERS[1]);
        let image = &images[IDX_HEADERS[0] + number * 28 * 28..][..28 * 28];
        let label = Bytes::from(labels[IDX_HEADERS[1] + number].to_string());
        Record {
            key: Some(label.clone()),
            value: Some([HEADER, image].concat().into()),
            headers: vec![Header { name: "digit".to_owned(), value: Some(label) }],
            timestamp: Timestamp::create(1_700_000_000_000 + number as i64),
            offset: 0,
        }
    };
    Feed::of(broker, topic, 50, digit)
}

/// CPU seconds of the training that is under way, up to the place that it can be gone on from.
fn spent(registry: &Path) -> Option<f64> {
    let file = files(&registry.join("trainings"), |name| name == "progress").pop()?;
    let file = std::fs::read(file).ok()?;
    let plan = serde_json::Deserializer::from_slice(&file).into_iter::<Value>().next()?.ok()?;
    plan["spent_seconds"].as_f64()
}

fn went_on(daemon: &Daemon) -> usize {
    daemon.log().matches("training of a generator: goes on with one that was not ended").count()
}

/// Waits until what is drawn is judged and published, and says how it was judged. What comes of so short a training is at the edge of
/// what may be published: where it is blocked it is drawn all the same, as not for training.
fn until_judged(daemon: &Daemon, pipeline: &str, family: &str) -> Value {
    let told = daemon.until("a judgement", PATIENCE, || {
        state(daemon, pipeline).filter(|told| told["generator"] == family && told["verdict"].is_string())
    });
    if told["state"] == "blocked" {
        println!("blocked: {}", told["reason"]);
        let table = format!("[pipelines.{pipeline}.augment]\n");
        daemon.edit(&table, &format!("{table}gates = \"off\"\n"));
        assert_eq!(daemon.post("/-/reload").0, 200);
    }
    until_drawn_by(daemon, pipeline, family);
    told
}

#[test]
fn images_are_learned_through_kills_and_stops_judged_and_drawn_class_by_class() {
    let broker = &shared();
    broker.create("digits", 2, &[]);
    let feed = digits("digits", broker);
    let tables = "[pipelines.digits]\nfrom = \"digits\"\nto = \"digits.z\"\npayload = \"image\"\nshape = \"28x28\"\n\
                  codec = \"zstd-dict\"\nlayout = \"record\"\ncommit_interval = \"100ms\"\n[pipelines.digits.learn]\nevery = \"1h\"\n\
                  [pipelines.digits.augment]\nto = \"digits.augmented\"\ncpu = \"40s\"\nrate = 0.2\nlabel = { header = \"digit\" }\n\
                  balance = \"label\"\n";
    let mut daemon = Daemon::with_kafka(broker, "digits", SESSION, tables);
    let registry = daemon.registry();
    // In a training, behind a place that it can go on from; then stopped in it, as a host is that goes down.
    catch(&daemon, "in a training of images", || spent(&registry).is_some_and(|seconds| seconds > 0.0));
    daemon.restart();
    let training = daemon.until("the training goes on", PATIENCE, || {
        generator(&daemon, "digits")?.get("training").filter(|training| training["loss"].is_number()).cloned()
    });
    println!("{training}");
    assert!(training["cpu_seconds"].as_f64().unwrap() > 2.0 && training["step"].as_u64().unwrap() >= 500, "{training}");
    daemon.stop();
    let kept = spent(&registry).unwrap();
    assert!(kept >= training["cpu_seconds"].as_f64().unwrap(), "a stop loses nothing of it");
    daemon.restart();
    let told = until_judged(&daemon, "digits", "vae");
    assert_eq!(went_on(&daemon), 2);
    println!("ended {kept:.1} s into it, then {told}");
    for gate in ["frechet_ratio", "kernel_distance", "coverage", "density", "label_agreement", "cas_ratio"] {
        let label = format!("gate=\"{gate}\"");
        let found = told["gates"].as_array().unwrap().iter().find(|found| found["gate"] == gate);
        let value = found.unwrap_or_else(|| panic!("no value of {gate}"))["value"].as_f64().unwrap();
        println!("{gate}: {value:.3}");
        if told["state"] == "publishing" {
            assert_eq!(daemon.metric("latentd_gate_value", &[&label]), Some(value), "{gate}");
        }
    }
    assert!(
        files(&registry.join("trainings"), |name| name == "progress").is_empty(),
        "what has ended is not gone on with"
    );
    let judged = daemon.log();
    let judged: Vec<&str> = judged.lines().filter(|line| line.contains("generated records: judged")).collect();
    println!("{judged:?}");
    daemon.until("images published", PATIENCE, || (published(&daemon) > 500.0).then_some(()));
    // Killed while it publishes.
    daemon.kill();
    daemon.restart();
    daemon.until("images published again", PATIENCE, || (published(&daemon) > 300.0).then_some(()));
    // On request: of a class, and of one that there is not.
    let drawn = |body: &str| -> (u16, Value) {
        let (status, answer) = daemon.post_body("/api/v1/pipelines/digits/generate", body);
        (status, serde_json::from_str(&answer).unwrap())
    };
    let (status, answer) = drawn("{\"count\": 5, \"where\": {\"label\": \"3\"}}");
    assert_eq!((status, answer["content_type"].as_str().unwrap()), (200, "image/x-portable-graymap"), "{answer}");
    for record in answer["records"].as_array().unwrap() {
        let value = BASE64.decode(record["value_base64"].as_str().unwrap()).unwrap();
        assert!(value.starts_with(HEADER) && value.len() == HEADER.len() + 28 * 28 && record["where"]["label"] == "3");
    }
    let (status, answer) = drawn("{\"where\": {\"label\": \"three\"}}");
    assert!(status == 422 && answer["detail"].as_str().unwrap().contains("is never `three`"), "{answer}");
    let sent: usize = feed.stop().values().map(Vec::len).sum();
    daemon.until("nothing left to read", PATIENCE, || {
        (daemon.metric("latentd_lag_records", &[]) == Some(0.0)).then_some(())
    });
    let registry = open(&daemon);
    daemon.stop();

    let records = all(broker, "digits.augmented");
    println!("{} generated images beside {sent}", records.len());
    let (mut ids, mut classes, mut generators) = (BTreeSet::new(), BTreeMap::new(), BTreeMap::new());
    for record in &records {
        let text = |name: &str| header_text(record, name).unwrap_or_else(|| panic!("no {name}: {record:?}"));
        assert!(ids.insert(text("ce_id").to_owned()), "{} is there twice", text("ce_id"));
        assert_eq!((text("ce_latentdgenerator"), text("content-type")), ("vae", "image/x-portable-graymap"));
        assert!(text("ce_latentdtrainedon").contains("digits/0/"));
        let usage = if told["state"] == "publishing" { "training" } else { "not-for-training" };
        assert_eq!(text("ce_latentduse"), usage);
        let value = record.value.as_deref().unwrap();
        assert!(value.starts_with(HEADER) && value.len() == HEADER.len() + 28 * 28);
        let origin = origin(record);
        let many = classes.entry(origin.condition["label"].clone()).or_insert(0usize);
        *many += 1;
        if many.is_multiple_of(7) {
            assert_eq!(redraw(&mut generators, &registry, &origin), value);
        }
    }
    println!("{classes:?}");
    assert!(records.len() > 800 && classes.len() >= 5, "{classes:?}");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let manifest = runtime.block_on(registry.manifest(&origin(&records[0]).model)).unwrap();
    assert_eq!(
        (manifest.config["shape"].as_str(), manifest.config["label"].as_str()),
        (Some("28x28"), Some("header `digit`"))
    );
    assert!(manifest.config["records"].as_u64().is_some_and(|images| images > 2_000), "{manifest:?}");
}

#[test]
fn one_class_of_images_is_drawn_alone_and_judged_by_real_ones_of_it() {
    let broker = &shared();
    broker.create("threes", 2, &[]);
    let feed = digits("threes", broker);
    let tables = "[pipelines.threes]\noperation = \"generate\"\nfrom = \"threes\"\nto = \"threes.augmented\"\npayload = \"image\"\n\
                  shape = \"28x28\"\ncommit_interval = \"100ms\"\n[pipelines.threes.augment]\ncpu = \"20s\"\nrate = 0.2\nlabel = \"key\"\n\
                  where = { label = 3 }\n\
                  [pipelines.pair]\noperation = \"generate\"\nfrom = \"threes\"\nto = \"pair.augmented\"\npayload = \"image\"\n\
                  shape = \"28x28\"\ncommit_interval = \"100ms\"\n[pipelines.pair.augment]\ngenerator = \"gan\"\ncpu = \"15s\"\n\
                  rate = 0.2\nlabel = \"key\"\nwhere = { label = 7 }\ngates = \"off\"\n";
    let daemon = Daemon::start(broker, "threes", tables);
    let told = until_judged(&daemon, "threes", "vae");
    println!("{told}");
    // What comes of an adversarial pair in so little time is not judged.
    until_drawn_by(&daemon, "pair", "gan");
    let gates: Vec<&str> = told["gates"].as_array().unwrap().iter().filter_map(|gate| gate["gate"].as_str()).collect();
    assert!(gates.contains(&"label_agreement") && !gates.contains(&"cas_ratio"), "{gates:?}");
    for pipeline in ["threes", "pair"] {
        let label = format!("pipeline=\"{pipeline}\"");
        daemon.until("images published", PATIENCE, || {
            let count = daemon.metric("latentd_published_records_total", &["kind=\"augmented\"", &label])?;
            (count > 200.0).then_some(())
        });
    }
    feed.stop();
    let registry = open(&daemon);
    daemon.stop();
    let mut generators = BTreeMap::new();
    for (topic, kind, class) in [("threes.augmented", "vae", "3"), ("pair.augmented", "gan", "7")] {
        let records = all(broker, topic);
        assert!(records.len() > 200, "{topic}");
        for record in records.iter().step_by(11) {
            let origin = origin(record);
            assert_eq!(origin.generator, kind);
            assert_eq!(origin.condition, BTreeMap::from([("label".to_owned(), class.to_owned())]));
            assert_eq!(redraw(&mut generators, &registry, &origin), record.value.as_deref().unwrap());
        }
    }
}

#[test]
fn real_images_changed_are_judged_as_all_are_and_each_says_which_operation_made_it() {
    let broker = &shared();
    broker.create("changed", 2, &[]);
    let feed = digits("changed", broker);
    let tables = "[pipelines.changed]\noperation = \"generate\"\nfrom = \"changed\"\nto = \"changed.augmented\"\npayload = \"image\"\n\
                  shape = \"28x28\"\ncommit_interval = \"100ms\"\n[pipelines.changed.augment]\ngenerator = \"classical\"\nrate = 0.2\n\
                  label = \"key\"\nbalance = \"label\"\nbases = 2000\n";
    let daemon = Daemon::start(broker, "changed", tables);
    let told = until_judged(&daemon, "changed", "classical");
    println!("{told}");
    daemon.until("images published", PATIENCE, || (published(&daemon) > 500.0).then_some(()));
    feed.stop();
    let registry = open(&daemon);
    daemon.stop();

    let (mut made, mut generators) = (BTreeMap::new(), BTreeMap::new());
    let records = all(broker, "changed.augmented");
    for record in &records {
        let origin = origin(record);
        // Those of a model that was blocked were published once nobody judged.
        assert_eq!(header_text(record, "ce_latentdreport").is_some(), told["state"] == "publishing");
        let many = made.entry(origin.generator.clone()).or_insert(0usize);
        *many += 1;
        if many.is_multiple_of(7) {
            assert_eq!(redraw(&mut generators, &registry, &origin), record.value.as_deref().unwrap());
            assert_eq!(generators[&origin.model].made_by(origin.seed, origin.index), origin.generator);
        }
    }
    println!("{made:?}");
    let operations = ["crop", "jitter", "mixup", "noise", "shift"].map(|operation| format!("classical/{operation}"));
    assert!(records.len() > 500 && made.keys().eq(&operations), "{made:?}");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let manifest = runtime.block_on(registry.manifest(&origin(&records[0]).model)).unwrap();
    let (family, holds) = (manifest.family.as_str(), manifest.config["holds"].as_str());
    assert_eq!((family, holds), ("classical", Some("training images, as they are")));
    assert_eq!(manifest.metrics.get("bases"), Some(&2000.0));
}

#[test]
fn the_generators_of_rows_that_draw_all_fields_at_once_are_learned_beside_a_stream() {
    let broker = &shared();
    broker.create("atonce", 2, &[]);
    let feed = Feed::adult(broker, "atonce");
    // What comes of an adversarial pair in so little time is not judged: that it is drawn and told is what is looked at.
    let table = |kind: &str, gates: &str| {
        format!(
            "[pipelines.{kind}]\noperation = \"generate\"\nfrom = \"atonce\"\nto = \"atonce.{kind}\"\ncommit_interval = \"100ms\"\n\
             [pipelines.{kind}.augment]\ngenerator = \"{kind}\"\nrate = 0.1\ncpu = \"15s\"\ngates = \"{gates}\"\n"
        )
    };
    let daemon = Daemon::start(broker, "atonce", &(table("vae", "default") + &table("gan", "off")));
    for kind in ["vae", "gan"] {
        let told = until_drawn_by(&daemon, kind, kind);
        println!("{kind}: {told}");
        assert_eq!(told["verdict"].is_string(), kind == "vae", "{told}");
        let label = format!("pipeline=\"{kind}\"");
        daemon.until("records published", PATIENCE, || {
            let count = daemon.metric("latentd_published_records_total", &["kind=\"augmented\"", &label])?;
            (count > 500.0).then_some(())
        });
    }
    feed.stop();
    let registry = open(&daemon);
    daemon.stop();
    let mut generators = BTreeMap::new();
    for (kind, metric, usage) in [("vae", "validation.loss", "training"), ("gan", "pairs.distance", "not-for-training")]
    {
        let records = all(broker, &format!("atonce.{kind}"));
        for record in records.iter().step_by(31) {
            let origin = origin(record);
            assert_eq!((origin.generator.as_str(), header_text(record, "ce_latentduse")), (kind, Some(usage)));
            let row: Value = serde_json::from_slice(record.value.as_deref().unwrap()).unwrap();
            assert!(row["age"].is_u64() && row["income"].is_string(), "{row}");
            assert_eq!(redraw(&mut generators, &registry, &origin), record.value.as_deref().unwrap());
        }
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let manifest = runtime.block_on(registry.manifest(&origin(&records[0]).model)).unwrap();
        assert!(manifest.family.as_str() == kind && manifest.metrics.contains_key(metric), "{manifest:?}");
    }
}

#[test]
fn another_process_of_the_group_publishes_from_a_new_generator_within_ten_seconds() {
    let broker = &shared();
    broker.create("followed", 2, &[]);
    let feed = Feed::adult(broker, "followed");
    let tables = "[pipelines.followed]\noperation = \"generate\"\nfrom = \"followed\"\nto = \"followed.augmented\"\n\
                  commit_interval = \"100ms\"\n[pipelines.followed.augment]\ngenerator = \"autoregressive\"\nrate = 0.2\ncpu = \"5s\"\n";
    let shared_registry = folder("latentd-registry-");
    let registry = shared_registry.path().display().to_string();
    let begin = |instance: &str| {
        let own = folder("latentd-daemon-");
        Daemon::with_registry(&broker.servers(), instance, SESSION, tables, own, &registry)
    };
    let daemons = [begin("one"), begin("two")];
    // Each holds one of two partitions, and the one that holds the first trains.
    let trains = |daemon: &Daemon| generator(daemon, "followed").is_some_and(|told| told["cause"] != "elsewhere");
    let first = daemons[0].until("who trains", PATIENCE, || {
        let settled = daemons.iter().filter(|daemon| trains(daemon)).count() == 1;
        let consumed = |daemon: &Daemon| daemon.metric("latentd_consumed_records_total", &[]).unwrap_or(0.0);
        (settled && daemons.iter().all(|daemon| consumed(daemon) > 10_000.0))
            .then(|| daemons.iter().position(trains))
            .flatten()
    });
    let (leader, follower) = (&daemons[first], &daemons[1 - first]);
    let publishes = |daemon: &Daemon| {
        let told = state(daemon, "followed").filter(|told| told["state"] == "publishing")?;
        Some(told["model"].as_str()?.to_owned())
    };
    let model = leader.until("a generator", PATIENCE, || publishes(leader));
    let followed = |model: &str| {
        let begun = Instant::now();
        follower.until("the other one follows", PATIENCE, || publishes(follower).filter(|found| found == model));
        begun.elapsed()
    };
    println!("followed after {:?}", followed(&model));
    // Another one.
    assert_eq!(leader.post("/api/v1/pipelines/followed/train").0, 202);
    let next = leader.until("another generator", PATIENCE, || publishes(leader).filter(|found| *found != model));
    let took = followed(&next);
    println!("followed after {took:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    let before = published(follower);
    follower.until("records of it", PATIENCE, || (published(follower) > before + 300.0).then_some(()));
    feed.stop();
    daemons.iter().for_each(Daemon::stop);
    // Both partitions have records of it: each has a seed of its own.
    let records = all(broker, "followed.augmented");
    let of_next = records.iter().map(origin).filter(|origin| origin.model.to_string() == next);
    assert_eq!(of_next.map(|origin| origin.seed).collect::<BTreeSet<_>>().len(), 2);
    let ids: BTreeSet<&str> = records.iter().filter_map(|record| header_text(record, "ce_id")).collect();
    assert_eq!(ids.len(), records.len(), "a record is there twice");
}
