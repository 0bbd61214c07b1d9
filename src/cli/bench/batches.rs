//! Records in Kafka's own batches, as a producer writes them and the broker keeps them.

use std::time::Instant;

use anyhow::ensure;

use super::percentile::p99;
use crate::frame::{BatchCompression, BatchSizer};
use crate::record::RecordRef;
use crate::telemetry::thread_cpu_seconds;

/// The batches of some records.
pub struct Batches {
    /// Level of zstd, when they are compressed.
    level: Option<i32>,
    /// Most uncompressed bytes of a batch.
    limit: usize,
    bytes: u64,
    /// What each batch became; nothing without compression.
    frames: Vec<Vec<u8>>,
    /// CPU seconds of all of it.
    encode: f64,
    /// Wall seconds to compress each batch.
    seconds: Vec<f64>,
}

impl Batches {
    /// Writes records into batches of at most `limit` uncompressed bytes.
    pub fn write(records: &[RecordRef<'_>], level: Option<i32>, limit: usize) -> anyhow::Result<Self> {
        let mut compressor = zstd::bulk::Compressor::new(level.unwrap_or_default())?;
        let (mut frames, mut seconds) = (Vec::new(), Vec::new());
        let before = thread_cpu_seconds();
        let bytes = total(records, level, limit, |plain| {
            let started = Instant::now();
            let frame = compressor.compress(plain)?;
            seconds.push(started.elapsed().as_secs_f64());
            let length = frame.len();
            frames.push(frame);
            Ok(length)
        })?;
        Ok(Self { level, limit, bytes, frames, encode: thread_cpu_seconds() - before, seconds })
    }

    /// Reads the batches, which must hold these records, byte for byte. Returns the CPU seconds of decompression.
    pub fn read(&self, records: &[RecordRef<'_>]) -> anyhow::Result<f64> {
        let mut decompressor = zstd::bulk::Decompressor::new()?;
        let mut frames = self.frames.iter();
        let mut seconds = 0.0;
        // The same records, cut again, say what each batch held.
        total(records, self.level, self.limit, |plain| {
            let frame = frames.next().map(Vec::as_slice).unwrap_or_default();
            let before = thread_cpu_seconds();
            let decoded = decompressor.decompress(frame, plain.len())?;
            seconds += thread_cpu_seconds() - before;
            ensure!(decoded == plain, "a batch of {} bytes did not come back", plain.len());
            Ok(frame.len())
        })?;
        ensure!(frames.next().is_none(), "more batches came back than were written");
        Ok(seconds)
    }

    /// Bytes on the broker's log.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// CPU seconds to write them.
    pub fn encode(&self) -> f64 {
        self.encode
    }

    /// Of the times to compress a batch, the 99th percentile, in wall seconds.
    pub fn p99(&self) -> f64 {
        p99(self.seconds.clone())
    }
}

/// Cuts records into batches, hands each batch that is compressed to `compressed`, which says how long it becomes, and adds
/// them up as they lie on the broker's log.
fn total(
    records: &[RecordRef<'_>],
    level: Option<i32>,
    limit: usize,
    mut compressed: impl FnMut(&[u8]) -> anyhow::Result<usize>,
) -> anyhow::Result<u64> {
    let compression = if level.is_some() { BatchCompression::Zstd } else { BatchCompression::None };
    let mut sizer = BatchSizer::new(limit, compression, |plain: &[u8], coded: &mut Vec<u8>| -> anyhow::Result<()> {
        let length = compressed(plain)?;
        coded.resize(length, 0);
        Ok(())
    });
    for record in records {
        sizer.push(record)?;
    }
    sizer.close()?;
    Ok(sizer.totals().bytes)
}
