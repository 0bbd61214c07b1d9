//! What records would take if a codec carried them: bytes on the log, everything in, and CPU both ways.
//!
//! The records are written as the pipeline writes them, in its layout, with its headers, in blocks of the size that it
//! makes, and read back. The clock is handed in.

use crate::codec::block::{BlockBuilder, BlockReader, DecodeLimits};
use crate::codec::{Algorithm, CONTENT_ENCODING, Codec, CodecError, CodecSpec, LATENTD, seal};
use crate::cost::Effort;
use crate::frame::{BatchCompression, BatchSizer};
use crate::pipeline::settings::{EncodingHeader, Layout};
use crate::record::{HeaderRef, RecordRef, Timestamp};

use super::Run;
use super::choice::Tried;

/// Uncompressed bytes of a batch of our output: librdkafka's default `batch.size`.
const OUTPUT_BATCH: usize = 1_000_000;

/// Most CPU seconds that a codec may take to code the holdout.
const PATIENCE: f64 = 2.0;

/// How a pipeline writes records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// Its layout.
    pub layout: Layout,
    /// Raw bytes of its blocks.
    pub block_bytes: usize,
    /// Whether records carry `content-encoding`.
    pub headers: EncodingHeader,
}

/// Why a codec was not measured.
#[derive(Debug, thiserror::Error)]
pub enum AuditionError {
    /// It did not code the records.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// It takes too long for a try.
    #[error("it takes more than {PATIENCE} s for the newest records")]
    TooSlow,
    /// It does not give back what it was given.
    #[error("a record did not come back")]
    Different,
}

/// Lets a codec carry runs of records.
pub fn audition(
    spec: CodecSpec,
    codec: &mut dyn Codec,
    runs: &[&Run],
    manner: &Manner,
    clock: &dyn Fn() -> f64,
) -> Result<Tried, AuditionError> {
    let records: Vec<RecordRef<'_>> = runs.iter().flat_map(|run| run.records()).collect();
    let raw_bytes: usize = records.iter().map(RecordRef::payload_len).sum();
    let trial = Trial { records: &records, manner, clock };
    let Outcome { log_bytes, encode_seconds, decode_seconds, mut each } = match manner.layout {
        Layout::Block => trial.blocks(codec)?,
        Layout::Record => trial.singles(codec)?,
    };
    each.sort_by(f64::total_cmp);
    Ok(Tried {
        spec,
        model_bytes: 0,
        records: records.len() as u64,
        effort: Effort { raw_bytes: raw_bytes as f64, log_bytes: log_bytes as f64, encode_seconds, decode_seconds },
        slow_seconds: each.get(each.len() * 99 / 100).copied().unwrap_or(0.0),
    })
}

struct Trial<'a, 'b> {
    records: &'a [RecordRef<'b>],
    manner: &'a Manner,
    clock: &'a dyn Fn() -> f64,
}

struct Outcome {
    log_bytes: u64,
    encode_seconds: f64,
    decode_seconds: f64,
    /// CPU seconds to code each output record.
    each: Vec<f64>,
}

impl Trial<'_, '_> {
    fn blocks(&self, codec: &mut dyn Codec) -> Result<Outcome, AuditionError> {
        let header = [HeaderRef { name: CONTENT_ENCODING, value: Some(LATENTD.as_bytes()) }];
        let headers: &[HeaderRef<'_>] = match self.manner.headers {
            EncodingHeader::ContentEncoding => &header,
            EncodingHeader::None => &[],
        };
        let mut log = Log::default();
        let mut builder = BlockBuilder::default();
        let mut reader = BlockReader::default();
        let (mut encode_seconds, mut decode_seconds, mut each) = (0.0, 0.0, Vec::new());
        let mut block = Vec::new();
        let mut records = self.records.iter().peekable();
        while let Some(record) = records.next() {
            builder.push(record);
            let full =
                records.peek().is_none_or(|next| builder.raw_bytes() + next.payload_len() > self.manner.block_bytes);
            if !full {
                continue;
            }
            block.clear();
            let begun = (self.clock)();
            builder.encode(codec, &mut block)?;
            let coded = (self.clock)();
            reader.decode_with(&block, codec, &DecodeLimits::UNLIMITED)?;
            decode_seconds += (self.clock)() - coded;
            if !builder.holds(&reader) {
                return Err(AuditionError::Different);
            }
            encode_seconds += coded - begun;
            each.push(coded - begun);
            log.push(None, Some(&block), headers, record.timestamp);
            builder.clear();
            if encode_seconds > PATIENCE {
                return Err(AuditionError::TooSlow);
            }
        }
        Ok(Outcome { log_bytes: log.bytes(), encode_seconds, decode_seconds, each })
    }

    fn singles(&self, codec: &mut dyn Codec) -> Result<Outcome, AuditionError> {
        let mut log = Log::default();
        let (mut encode_seconds, mut decode_seconds, mut each) = (0.0, 0.0, Vec::new());
        let (mut coded, mut sealed, mut decoded) = (Vec::new(), Vec::new(), Vec::new());
        let model = codec.model().map(|model| model.prefix()).filter(|_| codec.algorithm().is_learned());
        for record in self.records {
            let Some(value) = record.value else { continue };
            coded.clear();
            sealed.clear();
            decoded.clear();
            let begun = (self.clock)();
            codec.encode(value, &mut coded)?;
            let ended = (self.clock)();
            encode_seconds += ended - begun;
            each.push(ended - begun);
            let smaller = coded.len() < value.len();
            let algorithm = if smaller { codec.algorithm() } else { Algorithm::Identity };
            if smaller {
                let begun = (self.clock)();
                codec.decode(&coded, value.len(), &mut decoded)?;
                decode_seconds += (self.clock)() - begun;
                if decoded != value {
                    return Err(AuditionError::Different);
                }
            }
            let named = self.manner.headers == EncodingHeader::ContentEncoding;
            let bytes = if smaller { &coded[..] } else { value };
            let model = model.filter(|_| smaller);
            if model.is_some() || !named {
                seal(algorithm, model, bytes, value, &mut sealed);
            } else {
                sealed.extend_from_slice(bytes);
            }
            let mut headers = record.headers.clone();
            if named {
                let token = algorithm.content_encoding().as_bytes();
                headers.push(HeaderRef { name: CONTENT_ENCODING, value: Some(token) });
            }
            log.push(record.key, Some(&sealed), &headers, record.timestamp);
            if encode_seconds > PATIENCE {
                return Err(AuditionError::TooSlow);
            }
        }
        Ok(Outcome { log_bytes: log.bytes(), encode_seconds, decode_seconds, each })
    }
}

type Nothing = fn(&[u8], &mut Vec<u8>) -> Result<(), std::convert::Infallible>;

/// What output records come to on the broker's log.
struct Log {
    sizer: BatchSizer<Nothing>,
    records: i64,
}

impl Default for Log {
    fn default() -> Self {
        Self { sizer: BatchSizer::new(OUTPUT_BATCH, BatchCompression::None, |_, _| Ok(())), records: 0 }
    }
}

impl Log {
    fn push(&mut self, key: Option<&[u8]>, value: Option<&[u8]>, headers: &[HeaderRef<'_>], timestamp: Timestamp) {
        let record = RecordRef { key, value, headers: headers.into(), timestamp, offset: self.records };
        self.records += 1;
        let Ok(_) = self.sizer.push(&record);
    }

    fn bytes(mut self) -> u64 {
        let Ok(_) = self.sizer.close();
        self.sizer.totals().bytes
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::codec::{ModelSource, NoModels, build};

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
        audition(spec, &mut *build(spec, &models).unwrap(), &[&run(), &run()], &manner, &clock).unwrap()
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
        let error = audition(spec, &mut *build(spec, &models).unwrap(), &[&run()], &manner, &clock).unwrap_err();
        assert!(matches!(error, AuditionError::TooSlow), "{error}");
    }
}
