//! Bad records: each goes to the dead letters once, with all that it was, in the transaction that its neighbours are in; or
//! it stops the pipeline.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use latentd::record::{Header, Record, Timestamp};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::broker::shared;
use crate::daemon::Daemon;
use crate::topics::{Partitions, assert_same, header_text, number_of};

const PATIENCE: Duration = Duration::from_secs(240);

fn record(number: i64, value: impl Into<Bytes>) -> Record {
    Record {
        key: Some(Bytes::from(format!("key {number}"))),
        value: Some(value.into()),
        headers: vec![Header { name: "own".to_owned(), value: Some(Bytes::from_static(b"mine")) }],
        timestamp: Timestamp::create(1_700_000_000_000 + number),
        offset: 0,
    }
}

/// Bytes that no codec makes smaller.
fn noise(bytes: usize) -> Bytes {
    let mut noise = vec![0; bytes];
    ChaCha8Rng::seed_from_u64(bytes as u64).fill_bytes(&mut noise);
    noise.into()
}

fn in_partition(number: i32, records: Vec<Record>) -> Partitions {
    BTreeMap::from([(number, records)])
}

/// A dead letter is the record with five headers more.
fn assert_letter(letter: &Record, of: &Record, reason: &str, topic: &str, offset: i64) {
    assert_eq!((&letter.key, &letter.value, letter.timestamp), (&of.key, &of.value, of.timestamp));
    assert_eq!(letter.headers[..of.headers.len()], of.headers[..]);
    assert_eq!(header_text(letter, "latentd-error-reason"), Some(reason));
    assert!(header_text(letter, "latentd-error-message").is_some_and(|message| !message.is_empty()));
    assert_eq!(header_text(letter, "latentd-origin-topic"), Some(topic));
    assert_eq!(number_of(letter, "latentd-origin-partition"), 0);
    assert_eq!(number_of(letter, "latentd-origin-offset"), offset);
    assert_eq!(letter.headers.len(), of.headers.len() + 5);
}

#[test]
fn what_the_target_does_not_take_becomes_a_dead_letter_and_the_rest_goes_on() {
    let broker = &shared();
    for layout in ["record", "block"] {
        let source = format!("large-{layout}");
        broker.create(&source, 1, &[("max.message.bytes", "5000000")]);
        // Made by hand, and smaller than the source allows.
        broker.create(&format!("{source}.z"), 1, &[]);
        let mut records: Vec<Record> = (0..50).map(|i| record(i, format!("small {i}, small {i}, small {i}"))).collect();
        records[20] = record(20, noise(2_000_000));
        // This one is larger too, and small when coded.
        records[30] = record(30, vec![b'a'; 2_000_000]);
        broker.produce(&source, &in_partition(0, records.clone()), false);
        let tables = format!(
            "[pipelines.there]\nfrom = \"{source}\"\nto = \"{source}.z\"\nlayout = \"{layout}\"\n\
             [pipelines.back]\nfrom = \"{source}.z\"\nto = \"{source}.back\"\noperation = \"restore\"\n"
        );
        // Restored, number 30 needs a topic that takes it.
        broker.create(&format!("{source}.back"), 1, &[("max.message.bytes", "5000000")]);
        let daemon = Daemon::start(broker, &source, &tables);
        let bad = records.remove(20);
        let back = broker.consume(&format!("{source}.back"), records.len(), PATIENCE);
        assert_same(&in_partition(0, records), &back, layout);
        let dead = broker.consume(&format!("{source}.dead"), 1, PATIENCE);
        let [letter] = &dead[&0][..] else { panic!("{} dead letters", dead[&0].len()) };
        assert_letter(letter, &bad, "too_large", &source, 20);
        daemon.until("it is counted", PATIENCE, || {
            (daemon.metric("latentd_dead_letters_total", &["reason=\"too_large\""]) == Some(1.0)).then_some(())
        });
        daemon.stop();
    }
}

#[test]
fn batches_stay_below_what_a_target_with_a_small_limit_takes() {
    let broker = &shared();
    broker.create("narrow", 1, &[]);
    for target in ["narrow.z", "narrow.blocks"] {
        broker.create(target, 1, &[("max.message.bytes", "5000")]);
    }
    let records: Vec<Record> = (0..2_000).map(|i| record(i, noise(300 + i as usize % 700))).collect();
    broker.produce("narrow", &in_partition(0, records.clone()), false);
    let tables = "[pipelines.records]\nfrom = \"narrow\"\nto = \"narrow.z\"\nlayout = \"record\"\n\
                  [pipelines.blocks]\nfrom = \"narrow\"\nto = \"narrow.blocks\"\nlayout = \"block\"\n\
                  [pipelines.records-back]\nfrom = \"narrow.z\"\nto = \"narrow.z.back\"\noperation = \"restore\"\n\
                  [pipelines.blocks-back]\nfrom = \"narrow.blocks\"\nto = \"narrow.blocks.back\"\noperation = \"restore\"\n";
    let daemon = Daemon::start(broker, "narrow", tables);
    for topic in ["narrow.z.back", "narrow.blocks.back"] {
        let back = broker.consume(topic, records.len(), PATIENCE);
        assert_same(&in_partition(0, records.clone()), &back, topic);
    }
    assert_eq!(daemon.metric("latentd_dead_letters_total", &[]), None);
    daemon.stop();
}

#[test]
fn a_record_larger_than_a_workers_share_of_the_memory_passes() {
    let broker = &shared();
    broker.create("huge", 1, &[("max.message.bytes", "40000000")]);
    let mut records: Vec<Record> = (0..20).map(|i| record(i, noise(1_000))).collect();
    records[10] = record(10, noise(30_000_000));
    broker.produce("huge", &in_partition(0, records.clone()), false);
    let tables = "[resources]\nmemory = \"32MiB\"\n\
                  [pipelines.there]\nfrom = \"huge\"\nto = \"huge.z\"\nlayout = \"record\"\n\
                  [pipelines.back]\nfrom = \"huge.z\"\nto = \"huge.back\"\noperation = \"restore\"\n";
    let daemon = Daemon::start(broker, "huge", tables);
    let back = broker.consume("huge.back", records.len(), PATIENCE);
    assert_same(&in_partition(0, records), &back, "huge");
    daemon.stop();
}

#[test]
fn what_cannot_be_decoded_becomes_a_dead_letter_once_while_its_neighbours_are_restored() {
    let broker = &shared();
    broker.create("broken", 1, &[]);
    let coded = |mut record: Record| {
        let coding = Header { name: "content-encoding".to_owned(), value: Some(Bytes::from_static(b"zstd")) };
        record.headers.push(coding);
        record
    };
    let good = |i: i64| coded(record(i, zstd::bulk::compress(format!("good {i}").as_bytes(), 3).unwrap()));
    let mut records: Vec<Record> = (0..100).map(good).collect();
    records[33] = coded(record(33, "this is no zstd frame"));
    // It says zstd, and would be far more than is allowed.
    records[66] = coded(record(66, zstd::bulk::compress(&vec![0; 5 << 20], 3).unwrap()));
    broker.produce("broken", &in_partition(0, records.clone()), false);
    let tables = "[pipelines.back]\nfrom = \"broken\"\nto = \"broken.back\"\noperation = \"restore\"\n\
                  max_decoded = \"4MiB\"\ncommit_interval = \"50ms\"\n";
    let mut daemon = Daemon::start(broker, "broken", tables);
    let back = broker.consume("broken.back", 98, PATIENCE);
    let values: Vec<String> =
        back[&0].iter().map(|r| String::from_utf8(r.value.clone().unwrap().to_vec()).unwrap()).collect();
    let expected: Vec<String> = (0..100).filter(|i| ![33, 66].contains(i)).map(|i| format!("good {i}")).collect();
    assert_eq!(values, expected);
    // Offsets are in the same transaction: a restart repeats nothing.
    daemon.stop();
    daemon.restart();
    broker.produce("broken", &in_partition(0, vec![good(100)]), false);
    assert_eq!(broker.consume("broken.back", 99, PATIENCE)[&0].len(), 99);
    let dead = broker.consume("broken.dead", 2, PATIENCE);
    let [first, second] = &dead[&0][..] else { panic!("{} dead letters", dead[&0].len()) };
    assert_letter(first, &records[33], "undecodable", "broken", 33);
    assert_letter(second, &records[66], "over_cap", "broken", 66);
    daemon.stop();
}

#[test]
fn told_to_stop_at_a_bad_record_a_pipeline_stops_says_why_and_leaves_the_others_alone() {
    let broker = &shared();
    broker.create("strict", 1, &[]);
    let mut records: Vec<Record> = (0..10).map(|i| record(i, format!("fine {i}"))).collect();
    let coding = Header { name: "content-encoding".to_owned(), value: Some(Bytes::from_static(b"gzip")) };
    records[5].headers.push(coding);
    broker.produce("strict", &in_partition(0, records), false);
    let tables = "[pipelines.strict]\nfrom = \"strict\"\nto = \"strict.back\"\noperation = \"restore\"\n\
                  dead_letter = \"stop\"\n[pipelines.other]\nfrom = \"strict\"\nto = \"strict.z\"\n";
    let mut daemon = Daemon::start(broker, "strict", tables);
    daemon.not_ready_because("strict/0/5", PATIENCE);
    let (_, pipeline) = daemon.json("/api/v1/pipelines/strict").unwrap();
    assert_eq!(pipeline["state"], "failed", "{pipeline}");
    assert!(pipeline["reason"].as_str().unwrap().contains("`dead_letter` is \"stop\""), "{pipeline}");
    assert!(daemon.log().contains("strict/0/5"), "the log does not say it");
    daemon.until("the other pipeline is running", PATIENCE, || {
        let (_, other) = daemon.json("/api/v1/pipelines/other")?;
        (other["state"] == "running").then_some(())
    });
    daemon.stop();
    // Told to go on with dead letters, nothing is missing and nothing is there twice.
    daemon.edit("dead_letter = \"stop\"", "dead_letter = \"strict.dead\"");
    daemon.restart();
    assert_eq!(broker.consume("strict.back", 9, PATIENCE)[&0].len(), 9);
    assert_eq!(broker.consume("strict.dead", 1, PATIENCE)[&0].len(), 1);
    daemon.stop();
}
