//! What stands beside the values of a block costs: keys, timestamps, offsets and headers of several kinds, coded by the
//! container alone, and with a model that has learned them.
//!
//! `cargo bench --no-default-features --bench framing [-- NAME...]`. Models are learned from the first 60,000 rows and blocks
//! made of the 20,000 that follow. Bytes are those of the block less those of its column of values: the frame's header, its
//! checksum and all numbers are in. All times are CPU times of the one thread.

mod measure;
#[path = "../tools/mod.rs"]
mod tools;

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use latentd::codec::block::{BlockBuilder, BlockReader, DecodeLimits};
use latentd::codec::{Column, ColumnCodec};
use latentd::model::columns::Options;
use latentd::model::{ColumnsCodec, ColumnsModel};
use latentd::record::{Header, Record, RecordRef, Timestamp, TimestampKind};

use measure::cpu;

/// Rows that are learned from, and rows that are measured.
const LEARNED: usize = 60_000;
const MEASURED: usize = 20_000;

/// Block sizes in bytes of raw lines.
const BLOCKS: [usize; 2] = [16 << 10, 128 << 10];

/// The work that a search may take: values are beside the point here.
const EFFORT: u64 = 100_000_000;

/// A number without a pattern for each number (the finaliser of MurmurHash3).
fn noise(i: usize) -> u64 {
    let mut word = i as u64 + 1;
    for factor in [0xff51_afd7_ed55_8ccd, 0xc4ce_b9fe_1a85_ec53] {
        word = (word ^ word >> 33).wrapping_mul(factor);
    }
    word ^ word >> 33
}

/// The text of a field of a row of compact JSON.
fn field<'a>(row: &'a [u8], name: &str) -> &'a str {
    let row = std::str::from_utf8(row).expect("rows are UTF-8");
    let key = format!("\"{name}\":");
    let rest = &row[row.find(&key).expect("rows have the field") + key.len()..];
    rest[..rest.find([',', '}']).expect("a field ends")].trim_matches('"')
}

/// What the producer of a topic does.
struct Producer {
    name: &'static str,
    dress: fn(&mut Record, usize, &[u8]),
}

const START: i64 = 1_700_000_000_000;

/// Seconds since 1970 of a time such as `2013-01-01T10:00:00Z`, by counting days.
fn seconds(time: &str) -> i64 {
    let number = |from: usize, to: usize| time[from..to].parse::<i64>().expect("a time has digits");
    let (year, month, day) = (number(0, 4), number(5, 7), number(8, 10));
    // Days from civil: years begin in March (H. Hinnant, "chrono-compatible low-level date algorithms").
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    days * 86_400 + number(11, 13) * 3600 + number(14, 16) * 60 + number(17, 19)
}

fn header(name: &str, value: impl Into<Vec<u8>>) -> Header {
    Header { name: name.to_owned(), value: Some(value.into().into()) }
}

/// A clock that ticks steadily, but for a few milliseconds.
fn paced(record: &mut Record, i: usize) {
    record.timestamp = Timestamp::create(START + 12 * i as i64 + (noise(i) % 7) as i64);
}

const NOTHING: Producer = Producer { name: "nothing: no key, no header, one timestamp", dress: |_, _, _| {} };

fn keys(topic: &str) -> Vec<Producer> {
    let mut keys = vec![
        Producer { name: "key: a counter, `17`", dress: |record, i, _| record.key = Some(format!("{i}").into()) },
        Producer {
            name: "key: a counter of eight bytes",
            dress: |record, i, _| record.key = Some((i as i64).to_be_bytes().to_vec().into()),
        },
        Producer {
            name: "key: one of 5,000 that the value does not have",
            dress: |record, i, _| record.key = Some(format!("device-{:04}", noise(i) % 5000).into()),
        },
    ];
    keys.extend(match topic {
        "flights" => vec![
            Producer {
                name: "key: a field, the tail number",
                dress: |record, _, row| record.key = Some(field(row, "tailnum").to_owned().into()),
            },
            Producer {
                name: "key: two fields joined, carrier and flight",
                dress: |record, _, row| {
                    record.key = Some(format!("{}-{}", field(row, "carrier"), field(row, "flight")).into());
                },
            },
        ],
        _ => vec![Producer {
            name: "key: a field, the occupation",
            dress: |record, _, row| record.key = Some(field(row, "occupation").to_owned().into()),
        }],
    });
    keys
}

fn others(topic: &str) -> Vec<Producer> {
    let mut others = vec![
        Producer { name: "time: every 12 ms, up to 6 ms late", dress: |record, i, _| paced(record, i) },
        Producer {
            name: "time: of the broker, alike for 50 records",
            dress: |record, i, _| {
                let batch = i / 50;
                let millis = START + 600 * batch as i64 + (noise(batch) % 100) as i64;
                record.timestamp = Timestamp { kind: TimestampKind::LogAppendTime, millis };
            },
        },
        Producer {
            name: "headers: two that are alike in all records",
            dress: |record, _, _| {
                record.headers = vec![header("content-type", "application/json"), header("source", "eu-central-1")];
            },
        },
        Producer {
            name: "headers: an identifier of 16 hexadecimal digits",
            dress: |record, i, _| record.headers = vec![header("trace", format!("{:016x}", noise(i)))],
        },
        Producer {
            name: "offsets: with a gap behind every 500 records, as transactions leave",
            dress: |record, i, _| record.offset = (i + i / 500) as i64,
        },
    ];
    if topic == "flights" {
        others.push(Producer {
            name: "time: a field, the hour of the flight",
            dress: |record, _, row| record.timestamp = Timestamp::create(1000 * seconds(field(row, "time_hour"))),
        });
        others.push(Producer {
            name: "all: tail number, 12 ms, two headers",
            dress: |record, i, row| {
                record.key = Some(field(row, "tailnum").to_owned().into());
                record.headers = vec![header("content-type", "application/json"), header("source", "eu-central-1")];
                paced(record, i);
            },
        });
    }
    others
}

fn records(producer: &Producer, rows: &[&[u8]]) -> Vec<Record> {
    let record = |(i, row): (usize, &&[u8])| {
        let mut record = Record {
            key: None,
            value: Some(row.to_vec().into()),
            headers: Vec::new(),
            timestamp: Timestamp::create(START),
            offset: 4_000_000 + i as i64,
        };
        (producer.dress)(&mut record, i, row);
        record
    };
    rows.iter().enumerate().map(record).collect()
}

/// Bytes a record beside the values, and nanoseconds a record of coding and of decoding whole blocks.
fn measure(model: &Arc<ColumnsModel>, records: &[Record], bytes: usize) -> (f64, [f64; 2]) {
    let mut codec = ColumnsCodec::new(Arc::clone(model));
    let (mut builder, mut reader) = (BlockBuilder::default(), BlockReader::default());
    let (mut block, mut column, mut values) = (Vec::new(), Column::default(), Vec::new());
    let (mut beside, mut times) = (0, [Duration::ZERO; 2]);
    let mut from = 0;
    while from < records.len() {
        builder.clear();
        column.clear();
        let mut to = from;
        while to < records.len() && (to == from || builder.raw_bytes() < bytes) {
            builder.push(&records[to].as_ref());
            column.push(records[to].value.as_ref().expect("rows have values"));
            to += 1;
        }
        block.clear();
        let start = cpu();
        builder.encode(&mut codec, &mut block).expect("blocks are coded");
        times[0] += cpu() - start;
        let start = cpu();
        reader.decode_with(&block, &mut codec, &DecodeLimits::UNLIMITED).expect("what was coded is decoded");
        times[1] += cpu() - start;
        assert!(builder.holds(&reader));
        values.clear();
        codec.encode_column(column.as_ref(), &mut values).expect("values are coded");
        beside += block.len() - values.len();
        from = to;
    }
    (beside as f64 / records.len() as f64, times.map(|time| time.as_nanos() as f64 / records.len() as f64))
}

fn report(topic: &str, file: &[u8]) {
    let rows: Vec<&[u8]> = file.split(|byte| *byte == b'\n').filter(|row| !row.is_empty()).collect();
    let learned = LEARNED.min(rows.len() / 2);
    let rows = &rows[..rows.len().min(learned + MEASURED)];
    let options = Options { effort: EFFORT, ..Options::default() };
    let plain = Arc::new(ColumnsModel::train(&rows[..learned], &options));
    println!("\n{topic}: {learned} rows learned, {} measured", rows.len() - learned);
    println!("| | the container's, 16 KiB / 128 KiB | learned | ns a record at 128 KiB, encode and decode | learned |");
    println!("|---|---|---|---|---|");
    for producer in std::iter::once(NOTHING).chain(keys(topic)).chain(others(topic)) {
        let records = records(&producer, rows);
        let refs: Vec<RecordRef<'_>> = records[..learned].iter().map(Record::as_ref).collect();
        let framed = Arc::new(ColumnsModel::train_records(&refs, &options));
        let [before, after] =
            [&plain, &framed].map(|model| BLOCKS.map(|bytes| measure(model, &records[learned..], bytes)));
        let bytes = |measured: [(f64, [f64; 2]); 2]| format!("{:.2} / {:.2}", measured[0].0, measured[1].0);
        let times = |measured: [(f64, [f64; 2]); 2]| format!("{:.0} / {:.0}", measured[1].1[0], measured[1].1[1]);
        println!("| {} | {} | {} | {} | {} |", producer.name, bytes(before), bytes(after), times(before), times(after));
    }
}

fn main() {
    let names: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    for topic in ["flights", "adult"] {
        if !names.is_empty() && !names.iter().any(|name| name == topic) {
            continue;
        }
        let path = tools::data(&format!("{topic}.jsonl")).unwrap_or_else(|error| panic!("{error}"));
        let file = fs::read(&path).unwrap_or_else(|error| panic!("`{}`: {error}", path.display()));
        report(topic, &file);
    }
}
