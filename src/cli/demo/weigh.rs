//! Bytes on the broker's log: of what we wrote, and of what Kafka's own compression would have written.

use std::sync::{Mutex, PoisonError};

use crate::frame::{BatchCompression, BatchSizer};
use crate::pipeline::kafka_zstd::{Compress, compressor};
use crate::record::RecordRef;

/// Puts a topic's records into Kafka's own batches, one open batch per partition, and adds up their bytes.
pub struct Scales {
    partitions: Mutex<Vec<BatchSizer<Compress>>>,
}

impl Scales {
    /// Records as a producer without compression writes them: ours are coded already.
    pub fn plain(partitions: i32) -> Self {
        let sizer = || -> BatchSizer<Compress> {
            BatchSizer::new(1_000_000, BatchCompression::None, Box::new(|_: &[u8], _: &mut Vec<u8>| Ok(())))
        };
        Self { partitions: Mutex::new((0..partitions).map(|_| sizer()).collect()) }
    }

    /// Records as a producer with `compression.type=zstd` (level 3) and batches of so many bytes writes them.
    pub fn zstd(partitions: i32, batch: usize) -> Self {
        let sizer = |_| BatchSizer::new(batch, BatchCompression::Zstd, compressor());
        Self { partitions: Mutex::new((0..partitions).map(sizer).collect()) }
    }

    /// Adds a record of a partition.
    pub fn add(&self, partition: i32, record: &RecordRef<'_>) -> Result<(), String> {
        let mut partitions = self.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sizer) = partitions.get_mut(partition as usize) else { return Ok(()) };
        sizer.push(record).map(drop)
    }

    /// Closes every open batch, as a producer does that has waited long enough.
    pub fn close(&self) -> Result<(), String> {
        let mut partitions = self.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        partitions.iter_mut().try_for_each(|sizer| sizer.close().map(drop))
    }

    /// Bytes of the batches closed so far, and of the keys, values and headers in them.
    pub fn read(&self) -> Weight {
        let partitions = self.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        partitions.iter().map(BatchSizer::totals).fold(Weight::default(), |sum, totals| Weight {
            bytes: sum.bytes + totals.bytes,
            payload: sum.payload + totals.payload_bytes,
            records: sum.records + totals.records,
        })
    }
}

/// What lies on the scales.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weight {
    /// Bytes of the batches.
    pub bytes: u64,
    /// Bytes of keys, values and headers in them.
    pub payload: u64,
    /// Records in them.
    pub records: u64,
}
