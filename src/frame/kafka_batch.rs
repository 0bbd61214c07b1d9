//! Kafka's own record batch, format v2 (KIP-98), byte for byte as a producer sends it.
//!
//! This is the rival: what the same records cost when a producer batches them and, with `compression.type=zstd`, codes
//! the records of a batch together. A batch is 61 bytes of header, then the records, which are compressed as one stream;
//! the header never is. Offsets are those that a producer writes, 0, 1, 2, ...: the broker adds the base offset when
//! it appends, and a broker refuses any other numbering. For the same reason the timestamp kind is always *create time*.

use crate::record::{HeaderRef, RecordRef};

use super::varint::{put_signed, varint_len, zigzag};

/// Bytes of a batch before its first record.
pub const BATCH_HEADER_LEN: usize = 61;

/// Where the checksummed part begins: at the attributes.
const CRC_START: usize = 21;

/// The compression codes of a batch's attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i16)]
pub enum BatchCompression {
    /// None.
    None = 0,
    /// gzip.
    Gzip = 1,
    /// Snappy in the framing of xerial's library.
    Snappy = 2,
    /// LZ4 frame.
    Lz4 = 3,
    /// Zstandard frame.
    Zstd = 4,
}

/// A batch under construction. Emptied by [`RecordBatch::clear`], which keeps its memory.
#[derive(Debug, Default)]
pub struct RecordBatch {
    records: Vec<u8>,
    count: i32,
    base_timestamp: i64,
    max_timestamp: i64,
}

impl RecordBatch {
    /// Adds a record.
    pub fn push(&mut self, record: &RecordRef<'_>) {
        let timestamp = record.timestamp.millis;
        if self.count == 0 {
            (self.base_timestamp, self.max_timestamp) = (timestamp, timestamp);
        }
        self.max_timestamp = self.max_timestamp.max(timestamp);
        let (timestamp_delta, offset_delta) = self.deltas(timestamp);
        let body = body_len(record, timestamp_delta, offset_delta);
        let out = &mut self.records;
        put_signed(body as i64, out);
        out.push(0); // Attributes of a record: none are defined.
        put_signed(timestamp_delta, out);
        put_signed(offset_delta, out);
        put_nullable(record.key, out);
        put_nullable(record.value, out);
        put_signed(record.headers.len() as i64, out);
        for HeaderRef { name, value } in &record.headers {
            put_nullable(Some(name.as_bytes()), out);
            put_nullable(*value, out);
        }
        self.count += 1;
    }

    /// Bytes that the batch would have with this record added, before compression.
    pub fn len_with(&self, record: &RecordRef<'_>) -> usize {
        let (timestamp_delta, offset_delta) = self.deltas(record.timestamp.millis);
        self.uncompressed_len() + framed(body_len(record, timestamp_delta, offset_delta))
    }

    /// Bytes of the batch before compression, header included.
    pub fn uncompressed_len(&self) -> usize {
        BATCH_HEADER_LEN + self.records.len()
    }

    /// The records section, before compression.
    pub fn records(&self) -> &[u8] {
        &self.records
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Empties the batch and keeps its memory.
    pub fn clear(&mut self) {
        self.records.clear();
        self.count = 0;
    }

    /// Appends the batch without compression.
    pub fn write(&self, output: &mut Vec<u8>) {
        self.write_with(BatchCompression::None, &self.records, output);
    }

    /// Appends the batch with `coded` as its records section: [`RecordBatch::records`], compressed.
    pub fn write_with(&self, compression: BatchCompression, coded: &[u8], output: &mut Vec<u8>) {
        let start = output.len();
        output.extend_from_slice(&0i64.to_be_bytes()); // Base offset: the broker's to fill in.
        let after_length = BATCH_HEADER_LEN - 12 + coded.len();
        output.extend_from_slice(&i32::try_from(after_length).unwrap_or(i32::MAX).to_be_bytes());
        output.extend_from_slice(&(-1i32).to_be_bytes()); // Partition leader epoch: unknown to producers.
        output.push(2); // Magic: record batch v2.
        output.extend_from_slice(&[0; 4]); // CRC-32C, below.
        output.extend_from_slice(&(compression as i16).to_be_bytes());
        output.extend_from_slice(&(self.count - 1).to_be_bytes());
        output.extend_from_slice(&self.base_timestamp.to_be_bytes());
        output.extend_from_slice(&self.max_timestamp.to_be_bytes());
        output.extend_from_slice(&(-1i64).to_be_bytes()); // Producer id, epoch and sequence: not idempotent.
        output.extend_from_slice(&(-1i16).to_be_bytes());
        output.extend_from_slice(&(-1i32).to_be_bytes());
        output.extend_from_slice(&self.count.to_be_bytes());
        output.extend_from_slice(coded);
        let crc = crc32c::crc32c(&output[start + CRC_START..]);
        output[start + CRC_START - 4..start + CRC_START].copy_from_slice(&crc.to_be_bytes());
    }

    fn deltas(&self, timestamp: i64) -> (i64, i64) {
        let base = if self.count == 0 { timestamp } else { self.base_timestamp };
        (timestamp.wrapping_sub(base), i64::from(self.count))
    }
}

/// Bytes of a record in an uncompressed batch, its length included, `offset_delta` and `timestamp_delta` after the first.
pub fn record_len(record: &RecordRef<'_>, timestamp_delta: i64, offset_delta: i64) -> usize {
    framed(body_len(record, timestamp_delta, offset_delta))
}

fn framed(body: usize) -> usize {
    signed_len(body as i64) + body
}

fn body_len(record: &RecordRef<'_>, timestamp_delta: i64, offset_delta: i64) -> usize {
    let headers: usize =
        record.headers.iter().map(|h| nullable_len(Some(h.name.as_bytes())) + nullable_len(h.value)).sum();
    1 + signed_len(timestamp_delta)
        + signed_len(offset_delta)
        + nullable_len(record.key)
        + nullable_len(record.value)
        + signed_len(record.headers.len() as i64)
        + headers
}

fn signed_len(value: i64) -> usize {
    varint_len(zigzag(value))
}

fn nullable_len(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(1, |b| signed_len(b.len() as i64) + b.len())
}

fn put_nullable(bytes: Option<&[u8]>, output: &mut Vec<u8>) {
    match bytes {
        None => put_signed(-1, output),
        Some(bytes) => {
            put_signed(bytes.len() as i64, output);
            output.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::*;
    use crate::record::Timestamp;

    fn record<'a>(key: Option<&'a [u8]>, value: Option<&'a [u8]>, millis: i64) -> RecordRef<'a> {
        RecordRef { key, value, headers: smallvec![], timestamp: Timestamp::create(millis), offset: 0 }
    }

    /// What Apache Kafka's own Java client builds from the same records (`MemoryRecordsBuilder`, magic 2, no
    /// compression, `ensureValid` passed): see `tests/golden/kafka/README.md`.
    #[test]
    fn a_plain_batch_has_the_bytes_that_apache_kafkas_client_writes() {
        let mut batch = RecordBatch::default();
        let mut first = record(Some(b"key"), Some(b"value"), 1_700_000_000_000);
        first.headers = smallvec![
            HeaderRef { name: "trace", value: Some(b"\x00\xff") },
            HeaderRef { name: "trace", value: None },
            HeaderRef { name: "", value: Some(b"") },
        ];
        batch.push(&first);
        batch.push(&record(None, None, 1_700_000_000_250));
        batch.push(&record(Some(b""), Some(b""), 1_699_999_999_000));
        batch.push(&record(Some(b"long"), Some(&[7; 300]), 1_700_000_000_100));
        let mut bytes = Vec::new();
        batch.write(&mut bytes);
        assert_eq!(bytes.len(), batch.uncompressed_len());
        let expected = include_bytes!("../../tests/golden/kafka/java-plain.bin");
        assert_eq!(bytes, expected);
    }

    #[test]
    fn the_size_with_one_more_record_is_the_size_it_then_has() {
        let mut batch = RecordBatch::default();
        for i in 0..300i64 {
            let value = vec![1; (i * 7 % 200) as usize];
            let record = record(Some(b"k"), Some(&value), i * i * 1000 - 5);
            let foretold = batch.len_with(&record);
            batch.push(&record);
            assert_eq!(batch.uncompressed_len(), foretold);
        }
        assert_eq!(batch.len(), 300);
        batch.clear();
        assert_eq!(batch.uncompressed_len(), BATCH_HEADER_LEN);
    }

    #[test]
    fn extreme_timestamps_do_not_overflow() {
        let mut batch = RecordBatch::default();
        batch.push(&record(None, None, i64::MAX));
        batch.push(&record(None, None, i64::MIN));
        let mut bytes = Vec::new();
        batch.write_with(BatchCompression::Zstd, b"coded", &mut bytes);
        assert_eq!(bytes.len(), BATCH_HEADER_LEN + 5);
        assert_eq!(bytes[22], 4);
    }
}
