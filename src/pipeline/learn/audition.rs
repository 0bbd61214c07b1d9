//! What records would take if a codec carried them: bytes on the log, everything in, and CPU both ways.
//!
//! The records are written as the pipeline writes them, in its layout, with its headers, in blocks of the size that it
//! makes, and read back. The clock is handed in.

use crate::codec::{Codec, CodecSpec};
use crate::cost::Effort;
use crate::frame::{BatchCompression, BatchSizer};
use crate::record::RecordRef;

use super::CpuClock;
use super::carriage::{Carriage, CarriageError, Clocks, Manner};
use super::choice::Tried;

/// Uncompressed bytes of a batch of our output: librdkafka's default `batch.size`.
const OUTPUT_BATCH: usize = 1_000_000;

/// Most CPU seconds that a codec may take to code what a choice is made from.
pub const PATIENCE: f64 = 2.0;

/// Lets a codec carry records.
pub fn audition(
    spec: CodecSpec,
    codec: &mut dyn Codec,
    records: &[RecordRef<'_>],
    manner: &Manner,
    clock: CpuClock<'_>,
    patience: f64,
) -> Result<Tried, CarriageError> {
    let raw_bytes: usize = records.iter().map(RecordRef::payload_len).sum();
    let mut log = Log::default();
    let carriage = Carriage { manner: *manner, clocks: Clocks { all: clock, each: clock }, patience };
    let mut carried = carriage.carry(codec, records, &mut |output| log.push(output))?;
    carried.each.sort_by(f64::total_cmp);
    Ok(Tried {
        spec,
        model_bytes: 0,
        records: records.len() as u64,
        effort: Effort {
            raw_bytes: raw_bytes as f64,
            log_bytes: log.bytes() as f64,
            // Without what it takes to ask the clock so often.
            encode_seconds: carried.spent,
            decode_seconds: carried.decode_seconds,
        },
        slow_seconds: carried.each.get(carried.each.len() * 99 / 100).copied().unwrap_or(0.0),
    })
}

type Nothing = fn(&[u8], &mut Vec<u8>) -> Result<(), std::convert::Infallible>;

/// What output records come to on the broker's log.
pub(super) struct Log {
    sizer: BatchSizer<Nothing>,
    records: i64,
}

impl Default for Log {
    fn default() -> Self {
        Self { sizer: BatchSizer::new(OUTPUT_BATCH, BatchCompression::None, |_, _| Ok(())), records: 0 }
    }
}

impl Log {
    /// Adds a record.
    pub fn push(&mut self, output: &RecordRef<'_>) {
        let record = RecordRef { offset: self.records, ..output.clone() };
        self.records += 1;
        let Ok(_) = self.sizer.push(&record);
    }

    /// Bytes of all, with what Kafka itself needs.
    pub fn bytes(mut self) -> u64 {
        let Ok(_) = self.sizer.close();
        self.sizer.totals().bytes
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::codec::{ModelSource, NoModels, build};
    use crate::pipeline::learn::Run;
    use crate::pipeline::settings::{EncodingHeader, Layout};

    fn run() -> Run {
        let mut run = Run::default();
        for number in 0..2_000 {
            run.push(
                format!("{{\"id\":{number},\"name\":\"record {number}\",\"amount\":{}}}", number * 7919 % 1000)
                    .as_bytes(),
            );
        }
        run
    }

    fn tried(codec: &str, layout: Layout, headers: EncodingHeader) -> Tried {
        let models: Arc<dyn ModelSource> = Arc::new(NoModels);
        let spec: CodecSpec = codec.parse().unwrap();
        let manner = Manner { layout, block_bytes: 16 << 10, headers };
        // Each look at the clock is ten microseconds later.
        let looks = std::cell::Cell::new(0.0);
        let clock = || {
            looks.set(looks.get() + 1e-5);
            looks.get()
        };
        let runs = [run(), run()];
        let records: Vec<RecordRef<'_>> = runs.iter().flat_map(Run::records).collect();
        audition(spec, &mut *build(spec, &models).unwrap(), &records, &manner, &clock, PATIENCE).unwrap()
    }

    #[test]
    fn bytes_are_those_of_the_log_and_time_is_that_of_both_ways() {
        let block = tried("zstd", Layout::Block, EncodingHeader::ContentEncoding);
        assert_eq!(block.records, 4_000);
        let raw = block.effort.raw_bytes;
        // 51 bytes a record, in blocks of 16 KiB; every block was coded and decoded for ten microseconds.
        let blocks = (block.effort.encode_seconds * 1e5).round();
        assert!(blocks >= (raw / 16384.0).ceil() && blocks <= (raw / 16384.0).ceil() + 1.0, "{blocks} of {raw}");
        assert!((block.effort.decode_seconds - block.effort.encode_seconds).abs() < 1e-9);
        assert!((block.slow_seconds - 1e-5).abs() < 1e-9);
        assert!(block.effort.log_bytes < raw / 3.0, "{block:?}");
        let plain = tried("identity", Layout::Record, EncodingHeader::None);
        // A batch of 61 bytes, and 6 to 9 a record.
        let over = (plain.effort.log_bytes - raw - 61.0) / 4_000.0;
        assert!((6.0..9.0).contains(&over), "{over}");
        let named = tried("identity", Layout::Record, EncodingHeader::ContentEncoding);
        assert_eq!(
            named.effort.log_bytes - plain.effort.log_bytes,
            4_000.0 * 27.0,
            "a name of 16, a value of 8, their lengths, and a longer one of the record"
        );
    }

    #[test]
    fn what_takes_too_long_is_given_up() {
        let models: Arc<dyn ModelSource> = Arc::new(NoModels);
        let manner = Manner { layout: Layout::Record, block_bytes: 0, headers: EncodingHeader::None };
        let looks = std::cell::Cell::new(0.0);
        let clock = || {
            looks.set(looks.get() + 0.01);
            looks.get()
        };
        let spec: CodecSpec = "zstd".parse().unwrap();
        let run = run();
        let records: Vec<RecordRef<'_>> = run.records().collect();
        let error =
            audition(spec, &mut *build(spec, &models).unwrap(), &records, &manner, &clock, PATIENCE).unwrap_err();
        assert!(matches!(error, CarriageError::TooSlow { .. }), "{error}");
    }
}
