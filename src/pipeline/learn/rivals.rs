//! What a new model has to be smaller than beside the one in use: the best of the codecs that need none, and Kafka's own
//! compression. Bytes on the broker's log, everything in.

use super::audition::audition;
use super::carriage::{CarriageError, Manner};
use super::{CpuClock, Setup};
use crate::codec::{Algorithm, CodecSpec};
use crate::frame::{BatchCompression, BatchSizer};
use crate::model::{KAFKA, Rival};
use crate::pipeline::kafka_zstd::{BATCH_BYTES, compressor};
use crate::pipeline::settings::Layout;
use crate::record::RecordRef;

/// The codecs without a model that code smallest: one of them is the best of all, whatever the records are.
const CLASSICAL: [(Algorithm, i32); 4] =
    [(Algorithm::Zstd, 19), (Algorithm::Brotli, 11), (Algorithm::Xz, 6), (Algorithm::Bzip2, 9)];

/// Most CPU seconds that one may take to code the holdout, which is a megabyte or two: several times of what the slowest takes.
const PATIENCE: f64 = 15.0;

/// Lets codecs without a model carry the holdout. One that takes far too long is left out.
pub fn classical(
    records: &[RecordRef<'_>],
    manner: &Manner,
    bars: bool,
    clock: CpuClock<'_>,
) -> (Vec<Rival>, Vec<String>) {
    let (mut rivals, mut left_out) = (Vec::new(), Vec::new());
    let specs = CLASSICAL.into_iter().filter_map(|(algorithm, level)| CodecSpec::with_level(algorithm, level));
    for spec in specs {
        let tried = Setup::plain(spec).alone().map_err(CarriageError::from);
        let tried = tried.and_then(|mut codec| audition(spec, &mut *codec, records, manner, clock, PATIENCE));
        match tried {
            Ok(tried) => rivals.push(Rival { name: spec.to_string(), bytes: tried.effort.log_bytes as u64, bars }),
            Err(error) => {
                tracing::warn!(target: "latentd", codec = %spec, "a new model is not compared with this codec: {error}");
                left_out.push(spec.to_string());
            }
        }
    }
    (rivals, left_out)
}

/// The records as they are in Kafka's own batches, compressed as a producer does, at the same latency: as many bytes in a batch
/// as there are in a block. Single records wait for nobody, and Kafka's batches do: there it is measured, and bars nothing.
pub fn kafka(records: &[RecordRef<'_>], manner: &Manner, bars: bool) -> Option<Rival> {
    let limit = if manner.layout == Layout::Block { manner.block_bytes } else { BATCH_BYTES };
    match batches(records, limit) {
        Ok(bytes) => Some(Rival { name: KAFKA.to_owned(), bytes, bars: bars && manner.layout == Layout::Block }),
        Err(error) => {
            tracing::warn!(target: "latentd", "a new model is not compared with Kafka's own zstd: {error}");
            None
        }
    }
}

fn batches(records: &[RecordRef<'_>], limit: usize) -> Result<u64, String> {
    let mut sizer = BatchSizer::new(limit, BatchCompression::Zstd, compressor());
    // Offsets of a batch are one after the other.
    for (offset, record) in (0..).zip(records) {
        sizer.push(&RecordRef { offset, ..record.clone() })?;
    }
    sizer.close()?;
    Ok(sizer.totals().bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::learn::Run;
    use crate::pipeline::settings::EncodingHeader;

    fn run() -> Run {
        let mut run = Run::default();
        for number in 0..4_000 {
            let amount = number * 7919 % 1000;
            run.push(format!("{{\"id\":{number},\"name\":\"record {number}\",\"amount\":{amount}}}").as_bytes());
        }
        run
    }

    #[test]
    fn every_rival_is_measured_on_the_log_and_kafka_bars_blocks_only() {
        let run = run();
        let records: Vec<RecordRef<'_>> = run.records().collect();
        let raw: u64 = run.values_len() as u64;
        let clock = || 0.0;
        let manner = |layout| Manner { layout, block_bytes: 16 << 10, headers: EncodingHeader::ContentEncoding };
        let (rivals, left_out) = classical(&records, &manner(Layout::Block), true, &clock);
        let names = ["zstd:19", "brotli:11", "xz:6", "bzip2:9"].to_vec();
        assert_eq!(rivals.iter().map(|rival| rival.name.as_str()).collect::<Vec<_>>(), names);
        assert!(rivals.iter().all(|rival| rival.bars && rival.bytes * 3 < raw), "{rivals:?}");
        let kafka_blocks = kafka(&records, &manner(Layout::Block), true).unwrap();
        let kafka_single = kafka(&records, &manner(Layout::Record), true).unwrap();
        assert!(kafka_blocks.bars && !kafka_single.bars);
        assert!(rivals.iter().all(|rival| rival.bytes < kafka_blocks.bytes), "{rivals:?} {kafka_blocks:?}");
        assert!(kafka_single.bytes < kafka_blocks.bytes, "larger batches take less");
        // What takes too long is no rival.
        let looks = std::cell::Cell::new(0.0);
        let slow = || {
            looks.set(looks.get() + 10.0);
            looks.get()
        };
        assert!(left_out.is_empty());
        let (rivals, left_out) = classical(&records, &manner(Layout::Block), true, &slow);
        assert_eq!((rivals, left_out), (Vec::new(), names.into_iter().map(str::to_owned).collect()));
    }
}
