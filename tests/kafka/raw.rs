//! A produce request written byte by byte, for records that clients do not write: timestamps of 0 and below, header names
//! that are not UTF-8.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::broker::Broker;

/// A record whose parts are nothing but bytes.
#[derive(Clone, Debug, Default)]
pub struct RawRecord {
    /// Key.
    pub key: Option<Vec<u8>>,
    /// Value.
    pub value: Option<Vec<u8>>,
    /// Names and values.
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// Milliseconds.
    pub timestamp: i64,
}

/// Produce, version 3: the oldest that a broker of today takes, and the last without flexible fields around batches.
const PRODUCE: (i16, i16) = (0, 3);

/// Unknown topic or partition, leader not available, not the leader.
const NOT_YET: [i16; 3] = [3, 5, 6];

/// Sends one batch to a partition and panics when the broker does not take it.
pub fn produce(broker: &Broker, topic: &str, partition: i32, records: &[RawRecord]) {
    let batch = batch(records);
    let mut request = Vec::new();
    request.extend(PRODUCE.0.to_be_bytes());
    request.extend(PRODUCE.1.to_be_bytes());
    request.extend(7i32.to_be_bytes()); // Correlation.
    string(&mut request, b"test"); // Client.
    request.extend((-1i16).to_be_bytes()); // No transactional id.
    request.extend((-1i16).to_be_bytes()); // All replicas answer for it.
    request.extend(30_000i32.to_be_bytes());
    request.extend(1i32.to_be_bytes()); // Topics.
    string(&mut request, topic.as_bytes());
    request.extend(1i32.to_be_bytes()); // Partitions.
    request.extend(partition.to_be_bytes());
    request.extend(i32::try_from(batch.len()).unwrap().to_be_bytes());
    request.extend(batch);
    // A topic that was just made may not be led yet, which clients wait for.
    let error = broker.until(|| Some(answer(broker, topic, &request)).filter(|error| !NOT_YET.contains(error)));
    assert_eq!(error, 0, "the broker answers with error {error}");
}

/// Sends a request and gives the error of its one partition.
fn answer(broker: &Broker, topic: &str, request: &[u8]) -> i16 {
    let mut stream = TcpStream::connect(broker.servers()).unwrap();
    stream.write_all(&i32::try_from(request.len()).unwrap().to_be_bytes()).unwrap();
    stream.write_all(request).unwrap();
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut answer).unwrap();
    // Correlation, count of topics, name, count of partitions, partition, then the error.
    let at = 4 + 4 + 2 + topic.len() + 4 + 4;
    i16::from_be_bytes([answer[at], answer[at + 1]])
}

fn string(out: &mut Vec<u8>, text: &[u8]) {
    out.extend(i16::try_from(text.len()).unwrap().to_be_bytes());
    out.extend(text);
}

fn varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    varint(out, bytes.map_or(-1, |bytes| bytes.len() as i64));
    out.extend(bytes.unwrap_or_default());
}

/// A record batch of format v2 (KIP-98).
fn batch(records: &[RawRecord]) -> Vec<u8> {
    let base = records[0].timestamp;
    let mut tail = Vec::new();
    tail.extend(0i16.to_be_bytes()); // Attributes.
    tail.extend(i32::try_from(records.len() - 1).unwrap().to_be_bytes());
    tail.extend(base.to_be_bytes());
    tail.extend(records.iter().map(|record| record.timestamp).max().unwrap().to_be_bytes());
    tail.extend((-1i64).to_be_bytes()); // Producer.
    tail.extend((-1i16).to_be_bytes());
    tail.extend((-1i32).to_be_bytes());
    tail.extend(i32::try_from(records.len()).unwrap().to_be_bytes());
    for (index, record) in records.iter().enumerate() {
        let mut body = vec![0];
        varint(&mut body, record.timestamp - base);
        varint(&mut body, index as i64);
        nullable(&mut body, record.key.as_deref());
        nullable(&mut body, record.value.as_deref());
        varint(&mut body, record.headers.len() as i64);
        for (name, value) in &record.headers {
            nullable(&mut body, Some(name));
            nullable(&mut body, value.as_deref());
        }
        varint(&mut tail, body.len() as i64);
        tail.extend(body);
    }
    let mut batch = Vec::new();
    batch.extend(0i64.to_be_bytes());
    batch.extend(i32::try_from(4 + 1 + 4 + tail.len()).unwrap().to_be_bytes());
    batch.extend((-1i32).to_be_bytes()); // Leader's epoch.
    batch.push(2);
    batch.extend(crc32c::crc32c(&tail).to_be_bytes());
    batch.extend(tail);
    batch
}
