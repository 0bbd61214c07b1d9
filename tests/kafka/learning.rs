//! Models are learned from the live stream, put to use between two transactions, and picked up by whoever needs them.

use std::time::Duration;

use bytes::Bytes;
use latentd::record::{Header, Record, Timestamp};

use crate::broker::{Broker, shared};
use crate::daemon::Daemon;
use crate::end_to_end::records;
use crate::tools;
use crate::topics::{Partitions, assert_same};

const PATIENCE: Duration = Duration::from_secs(240);

const TABLES: &str = "[pipelines.learn]\nfrom = \"learn\"\nto = \"learn.z\"\ncodec = \"zstd-dict\"\nlayout = \"record\"\n\
                      [pipelines.learn.learn]\nevery = \"1h\"\nreservoir = \"8MiB\"\ndictionary = \"16KiB\"\n\
                      [pipelines.learn-back]\noperation = \"restore\"\nfrom = \"learn.z\"\nto = \"learn.back\"\n";

fn model(daemon: &Daemon) -> Option<String> {
    model_of(daemon, "learn")
}

fn model_of(daemon: &Daemon, pipeline: &str) -> Option<String> {
    let (_, pipeline) = daemon.json(&format!("/api/v1/pipelines/{pipeline}"))?;
    Some(pipeline["model"]["id"].as_str()?.to_owned())
}

/// Bytes of the values of a topic's records from one of them on, in each partition.
fn bytes(found: &Partitions, from: &Partitions) -> usize {
    let of = |(partition, records): (&i32, &Vec<latentd::record::Record>)| -> usize {
        let skip = from[partition].len();
        records[skip..].iter().map(|record| record.value.as_ref().map_or(0, |value| value.len())).sum()
    };
    found.iter().map(of).sum()
}

fn produce(broker: &Broker, records: &Partitions) {
    broker.produce("learn", records, false);
}

#[test]
fn a_dictionary_is_learned_swapped_in_found_by_the_restore_and_picked_up_by_a_second_daemon() {
    let broker = &shared();
    broker.create("learn", 2, &[]);
    let first = records(2, 6_000);
    produce(broker, &first);
    let daemon = Daemon::start(broker, "learn-a", TABLES);
    let id = daemon.until("a dictionary in use", PATIENCE, || model(&daemon));
    assert_eq!(daemon.metric("latentd_model_info", &[&id, "zstd-dictionary"]), Some(1.0));
    // What comes from here on is coded with it, from a transaction's beginning on.
    let second = records(2, 6_000);
    produce(broker, &second);
    let both: Partitions =
        first.iter().map(|(partition, records)| (*partition, [&records[..], &second[partition]].concat())).collect();
    let back = broker.consume("learn.back", 12_000, PATIENCE);
    assert_same(&both, &back, "with a dictionary");
    let coded = broker.consume("learn.z", 12_000, PATIENCE);
    let nothing: Partitions = first.keys().map(|partition| (*partition, Vec::new())).collect();
    let (all, later) = (bytes(&coded, &nothing), bytes(&coded, &first));
    assert!(later * 2 < all - later, "{later} bytes with the dictionary, {} without", all - later);
    // A second daemon of the group learns nothing itself and uses what was published.
    let folder = tempfile::tempdir().unwrap();
    let registry = daemon.registry().display().to_string();
    let other = Daemon::with_registry(&broker.servers(), "learn-b", "", TABLES, folder, &registry);
    assert_eq!(other.until("the published dictionary", PATIENCE, || model(&other)), id);
    other.stop();
    daemon.stop();
}

/// Rows of the flights topic, in their order, over two partitions: under the tail number as key, with two headers, one of
/// them a number of eight bytes that counts, twelve milliseconds apart, but for a few.
fn flights(from: usize, count: usize) -> Partitions {
    let tail = |line: &[u8]| {
        let line = std::str::from_utf8(line).unwrap();
        let field = line.split("\"tailnum\":").nth(1).unwrap().split(',').next().unwrap();
        field.trim_matches('"').to_owned()
    };
    let header = |name: &str, value: Vec<u8>| Header { name: name.to_owned(), value: Some(value.into()) };
    let text = std::fs::read(tools::data("flights.jsonl").unwrap()).unwrap();
    let mut partitions = Partitions::from([(0, Vec::new()), (1, Vec::new())]);
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate().skip(from).take(count) {
        // A thousand in a row on each side: neighbours stay neighbours.
        partitions.get_mut(&(index as i32 / 1000 % 2)).unwrap().push(Record {
            key: Some(tail(line).into()),
            value: Some(Bytes::copy_from_slice(line)),
            headers: vec![
                header("content-type", b"application/json".to_vec()),
                header("sequence", (index as i64).to_be_bytes().to_vec()),
            ],
            timestamp: Timestamp::create(1_700_000_000_000 + 12 * index as i64 + (index * index) as i64 % 7),
            offset: 0,
        });
    }
    partitions
}

#[test]
fn a_model_of_fields_is_learned_in_both_layouts_and_writes_the_topic_at_a_fraction() {
    let broker = &shared();
    broker.create("fields", 2, &[]);
    let pipeline = |layout: &str| {
        format!(
            "[pipelines.{layout}]\nfrom = \"fields\"\nto = \"fields.{layout}\"\ncodec = \"columns\"\n\
             layout = \"{layout}\"\n[pipelines.{layout}.learn]\nevery = \"1h\"\n\
             [pipelines.{layout}-back]\noperation = \"restore\"\nfrom = \"fields.{layout}\"\nto = \"fields.{layout}.back\"\n"
        )
    };
    let first = flights(0, 30_000);
    broker.produce("fields", &first, false);
    let daemon = Daemon::start(broker, "fields", &format!("{}{}", pipeline("block"), pipeline("record")));
    for layout in ["block", "record"] {
        let id = daemon.until("a model in use", PATIENCE, || model_of(&daemon, layout));
        assert_eq!(daemon.metric("latentd_model_info", &[&id, "columns"]), Some(1.0));
    }
    let second = flights(30_000, 30_000);
    broker.produce("fields", &second, false);
    let both: Partitions =
        first.iter().map(|(partition, records)| (*partition, [&records[..], &second[partition]].concat())).collect();
    // What is counted of a row: in blocks all that it has, one by one its value.
    let count = both.values().map(Vec::len).sum::<usize>() as f64;
    let rows = || both.values().flatten();
    let payload = rows().map(|record| record.as_ref().payload_len()).sum::<usize>() as f64 / count;
    let value = rows().flat_map(|record| &record.value).map(Bytes::len).sum::<usize>() as f64 / count;
    // Bytes that Kafka's own zstd needs for such a row: 40 and more. The models here have seen a tenth of a year. In blocks key,
    // headers, timestamp and offset are in.
    for (layout, most, each) in [("block", 7.5, payload), ("record", 25.0, value)] {
        let back = broker.consume(&format!("fields.{layout}.back"), 60_000, PATIENCE);
        assert_same(&both, &back, layout);
        let input = |codec: &str| {
            let name = format!("pipeline=\"{layout}\"");
            let labels = [name.as_str(), codec];
            let output = daemon.metric("latentd_codec_output_bytes_total", &labels)?;
            Some((daemon.metric("latentd_codec_input_bytes_total", &labels)?, output))
        };
        let (raw, coded) = input("codec=\"columns\"").unwrap();
        let rows = raw / each;
        println!("{layout}: {rows:.0} rows at {:.1} bytes each", coded / rows);
        assert!(rows > 20_000.0, "{layout}: only {rows} rows were coded with the model");
        assert!(coded / rows < most, "{layout}: {} bytes a row", coded / rows);
        assert_eq!(daemon.metric("latentd_dead_letters_total", &[&format!("pipeline=\"{layout}\"")]), None);
    }
    let (status, body) = daemon.post("/api/v1/pipelines/block-back/train");
    assert!(status == 409 && body.contains("learns nothing"), "{status} {body}");
    assert_eq!(daemon.post("/api/v1/pipelines/nobody/train").0, 404);
    assert_eq!(daemon.post("/api/v1/pipelines/block/train").0, 202);
    let outcome = daemon.until("the training that was asked for", PATIENCE, || {
        let (_, pipeline) = daemon.json("/api/v1/pipelines/block")?;
        let last = &pipeline["learning"]["last"];
        (last["cause"] == "asked").then(|| last["outcome"].as_str().map(str::to_owned))?
    });
    assert!(outcome == "replaced" || outcome == "kept", "{outcome}");
    daemon.stop();
}
