//! Compress, restore, compare: records of every shape, every codec, both layouts.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use bytes::Bytes;
use latentd::codec::Algorithm;
use latentd::record::{Header, Record, Timestamp};

use crate::broker::shared;
use crate::daemon::Daemon;
use crate::tools;
use crate::topics::{Partitions, assert_same};

const PATIENCE: Duration = Duration::from_secs(240);

fn header(name: &str, value: Option<&[u8]>) -> Header {
    Header { name: name.to_owned(), value: value.map(Bytes::copy_from_slice) }
}

/// Flights as JSON with keys, and among them every odd shape that a record can have.
pub fn records(partitions: i32, count: usize) -> Partitions {
    let text = fs::read(tools::data("flights.jsonl").unwrap()).unwrap();
    let lines: Vec<Bytes> =
        text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(Bytes::copy_from_slice).collect();
    let mut records: Partitions = (0..partitions).map(|partition| (partition, Vec::new())).collect();
    for index in 0..count {
        let millis = 1_700_000_000_000 + (index as i64 / 3) * 7 - (index as i64 % 11) * 1000;
        let mut record = Record {
            key: Some(Bytes::from(format!("flight-{}", index % 977))),
            value: Some(lines[index % lines.len()].clone()),
            headers: vec![header("source", Some(b"nyc"))],
            timestamp: Timestamp::create(millis),
            offset: 0,
        };
        match index % 101 {
            7 => record.value = None,
            13 => record.key = None,
            17 => record.value = Some(Bytes::new()),
            19 => record.key = Some(Bytes::new()),
            23 => record.headers = vec![header("h", None), header("h", Some(b"")), header("h", Some(&[0xff, 0xfe]))],
            29 => record.headers = vec![header("", Some(b"x")), header("content-encoding", Some(b"gzip"))],
            31 => record.headers.clear(),
            37 => record.value = Some(Bytes::from(vec![0x91, 0x4c, 0x11, 0, 1, 2, 3, 4])),
            41 => record.value = Some(Bytes::from((0..3000u32).map(|i| ((i * i) >> 3) as u8).collect::<Vec<_>>())),
            43 => record.timestamp = Timestamp::create(1),
            _ => {}
        }
        records.get_mut(&((index % 7) as i32 % partitions)).unwrap().push(record);
    }
    records
}

fn total(records: &Partitions) -> usize {
    records.values().map(Vec::len).sum()
}

#[test]
fn two_hundred_thousand_records_come_back_exactly_in_both_layouts_past_aborted_transactions() {
    let broker = &shared();
    let records = records(4, 200_000);
    broker.create("e2e", 4, &[]);
    broker.produce("e2e", &records, true);
    let mut tables = String::new();
    for layout in ["record", "block"] {
        write!(
            tables,
            "[pipelines.{layout}]\nfrom = \"e2e\"\nto = \"e2e.{layout}\"\nlayout = \"{layout}\"\nworkers = 2\n\
             [pipelines.{layout}-back]\nfrom = \"e2e.{layout}\"\nto = \"e2e.{layout}.back\"\noperation = \"restore\"\n"
        )
        .unwrap();
    }
    // The restoring pipelines begin before the topics that they read are there.
    let daemon = Daemon::start(broker, "e2e", &tables);
    for layout in ["record", "block"] {
        let back = broker.consume(&format!("e2e.{layout}.back"), total(&records), PATIENCE);
        assert_same(&records, &back, layout);
        let compressed = broker.consume(&format!("e2e.{layout}"), 1, PATIENCE);
        let count = total(&compressed);
        if layout == "record" {
            assert_eq!(count, 200_000);
        } else {
            assert!(count < 20_000, "{count} blocks");
        }
        assert_eq!(broker.partitions(&format!("e2e.{layout}")), Some(4), "as many as the source has");
    }
    daemon.ready(Duration::from_secs(20));
    assert_eq!(daemon.metric("latentd_dead_letters_total", &[]), None);
    let saved = daemon.metric("latentd_kafka_baseline_bytes_total", &["pipeline=\"block\""]);
    assert!(saved.is_some_and(|bytes| bytes > 0.0), "the rival was not measured");
    daemon.stop();
}

#[test]
fn every_codec_gives_every_record_back_in_both_layouts() {
    let broker = &shared();
    let records = records(2, 3_000);
    broker.create("codecs", 2, &[]);
    broker.produce("codecs", &records, false);
    let layouts = ["record", "block"];
    let mut tables = "[resources]\nmemory = \"2GiB\"\n".to_owned();
    for algorithm in Algorithm::ALL {
        for layout in layouts {
            let headers =
                if layout == "record" && (algorithm as u8).is_multiple_of(2) { "none" } else { "content-encoding" };
            write!(
                tables,
                "[pipelines.{algorithm}-{layout}]\nfrom = \"codecs\"\nto = \"codecs.{algorithm}.{layout}\"\n\
                 codec = \"{algorithm}\"\nlayout = \"{layout}\"\nheaders = \"{headers}\"\nverify = true\n\
                 [pipelines.{algorithm}-{layout}-back]\nfrom = \"codecs.{algorithm}.{layout}\"\n\
                 to = \"codecs.{algorithm}.{layout}.back\"\noperation = \"restore\"\n"
            )
            .unwrap();
        }
    }
    let daemon = Daemon::start(broker, "codecs", &tables);
    for algorithm in Algorithm::ALL {
        for layout in layouts {
            let back = broker.consume(&format!("codecs.{algorithm}.{layout}.back"), total(&records), PATIENCE);
            assert_same(&records, &back, &format!("{algorithm}, {layout}"));
        }
    }
    daemon.stop();
}
