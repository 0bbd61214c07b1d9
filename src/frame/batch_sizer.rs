//! What a stream of records costs in Kafka's own batches.

use super::kafka_batch::{BatchCompression, RecordBatch};
use crate::record::RecordRef;

/// Sums over the batches of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchTotals {
    /// Batches closed.
    pub batches: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes of keys, values and headers in them.
    pub payload_bytes: u64,
    /// Bytes of the batches before compression, headers included.
    pub uncompressed_bytes: u64,
    /// Bytes of the batches as they lie on the broker's log.
    pub bytes: u64,
}

/// Cuts a stream of records into batches and adds up their size on the broker's log.
///
/// A batch is closed before a record that would take it over `limit` bytes *uncompressed*, as librdkafka's `batch.size`
/// does; a single record over the limit is a batch of its own. Java's producer counts differently: its `batch.size` is
/// compared with an estimate of the *compressed* size, so with 5:1 compression its 16 KiB batches hold what librdkafka
/// puts into 80 KiB. To stand for a busy Java producer with default settings, use 128 KiB here.
#[derive(Debug)]
pub struct BatchSizer<F> {
    batch: RecordBatch,
    limit: usize,
    compression: BatchCompression,
    compress: F,
    coded: Vec<u8>,
    payload: u64,
    totals: BatchTotals,
}

impl<E, F: FnMut(&[u8], &mut Vec<u8>) -> Result<(), E>> BatchSizer<F> {
    /// Batches of at most `limit` bytes; `compress` appends the compressed records section.
    pub fn new(limit: usize, compression: BatchCompression, compress: F) -> Self {
        let (batch, coded) = (RecordBatch::default(), Vec::new());
        Self { batch, limit, compression, compress, coded, payload: 0, totals: BatchTotals::default() }
    }

    /// Adds a record, and closes the batch before it when it is full. Returns that batch's bytes then.
    pub fn push(&mut self, record: &RecordRef<'_>) -> Result<Option<u64>, E> {
        let full = !self.batch.is_empty() && self.batch.len_with(record) > self.limit;
        let closed = if full { self.close()? } else { None };
        self.batch.push(record);
        self.payload += record.payload_len() as u64;
        Ok(closed)
    }

    /// Closes the open batch, as a commit or `linger.ms` would. Returns its bytes.
    pub fn close(&mut self) -> Result<Option<u64>, E> {
        if self.batch.is_empty() {
            return Ok(None);
        }
        let plain = self.batch.uncompressed_len() as u64;
        let bytes = if self.compression == BatchCompression::None {
            plain
        } else {
            self.coded.clear();
            (self.compress)(self.batch.records(), &mut self.coded)?;
            (super::BATCH_HEADER_LEN + self.coded.len()) as u64
        };
        self.totals.batches += 1;
        self.totals.records += self.batch.len() as u64;
        self.totals.payload_bytes += std::mem::take(&mut self.payload);
        self.totals.uncompressed_bytes += plain;
        self.totals.bytes += bytes;
        self.batch.clear();
        Ok(Some(bytes))
    }

    /// Forgets the open batch.
    pub fn discard(&mut self) {
        self.batch.clear();
        self.payload = 0;
    }

    /// Sums over the batches closed so far.
    pub fn totals(&self) -> BatchTotals {
        self.totals
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use smallvec::smallvec;

    use super::*;
    use crate::frame::BATCH_HEADER_LEN;
    use crate::record::Timestamp;

    fn record(value: &[u8]) -> RecordRef<'_> {
        RecordRef {
            key: None,
            value: Some(value),
            headers: smallvec![],
            timestamp: Timestamp::create(1_700_000_000_000),
            offset: 0,
        }
    }

    #[test]
    fn a_batch_closes_before_the_record_that_would_not_fit() {
        let mut sizer = BatchSizer::new(900, BatchCompression::Zstd, |plain: &[u8], out: &mut Vec<u8>| {
            out.extend_from_slice(&plain[..plain.len() / 2]);
            Ok::<_, Infallible>(())
        });
        let value = [0; 300];
        let closed: Vec<_> = (0..7).filter_map(|_| sizer.push(&record(&value)).unwrap()).collect();
        assert_eq!(closed.len(), 3, "two records of 309 bytes and 61 of header fit, three do not");
        sizer.close().unwrap();
        assert_eq!(sizer.close().unwrap(), None);
        let totals = sizer.totals();
        assert_eq!((totals.batches, totals.records, totals.payload_bytes), (4, 7, 2100));
        let records = totals.uncompressed_bytes - 4 * BATCH_HEADER_LEN as u64;
        assert_eq!(totals.bytes, records / 2 + 4 * BATCH_HEADER_LEN as u64);
    }

    #[test]
    fn a_record_over_the_limit_is_a_batch_of_its_own() {
        let mut sizer =
            BatchSizer::new(100, BatchCompression::None, |_: &[u8], _: &mut Vec<u8>| Ok::<_, Infallible>(()));
        let big = [0; 500];
        sizer.push(&record(&big)).unwrap();
        sizer.push(&record(b"small")).unwrap();
        sizer.close().unwrap();
        assert_eq!(sizer.totals().batches, 2);
        assert_eq!(sizer.totals().bytes, sizer.totals().uncompressed_bytes);
    }
}
