//! What a compressing pipeline wrote in, the same records out, whatever mixture of codecs and layouts it holds.

use std::sync::Arc;
use std::time::Instant;

use super::compress::{CONTENT_ENCODING, LATENTD};
use super::{Halt, Output, Publication, Reason, Stage};
use crate::codec::block::{BlockReader, DecodeLimits};
use crate::codec::{Algorithm, CodecError, Decoders, ModelSource};
use crate::frame::{self, Opened};
use crate::pipeline::deliver::SlotId;
use crate::pipeline::settings::{MissingModelPolicy, Settings};
use crate::record::{HeaderRefs, RecordRef};
use crate::telemetry::PipelineMetrics;

/// Most records that a block may claim: bounds what a hostile one makes us allocate.
const MAX_BLOCK_RECORDS: usize = 1 << 20;

/// The restoring stage.
pub struct Restore {
    decoders: Decoders,
    max_decoded: usize,
    missing_model: MissingModelPolicy,
    metrics: PipelineMetrics,
    decoded: Vec<u8>,
    block: BlockReader,
    seen: u32,
}

/// How a value is coded.
enum Coding {
    Stream(Algorithm),
    Frame,
}

/// What the value of a record turned out to be.
enum Restored {
    /// One record; its value is in `decoded`.
    Record,
    /// A block of records, in `block`.
    Block,
}

impl Restore {
    /// A stage for these settings.
    pub fn new(settings: &Settings, models: &Arc<dyn ModelSource>, metrics: PipelineMetrics) -> Self {
        Self {
            decoders: Decoders::new(models),
            max_decoded: settings.max_decoded.as_usize(),
            missing_model: settings.missing_model,
            metrics,
            decoded: Vec::new(),
            block: BlockReader::default(),
            seen: 0,
        }
    }

    fn decode(&mut self, coding: &Coding, value: &[u8]) -> Result<Restored, CodecError> {
        self.decoded.clear();
        match coding {
            Coding::Stream(algorithm) => {
                self.decoders.decode(*algorithm, value, self.max_decoded, &mut self.decoded)?;
                Ok(Restored::Record)
            }
            Coding::Frame => match frame::open(value)? {
                Opened::Record(record) => {
                    self.decoders.decode_frame(&record, self.max_decoded, &mut self.decoded)?;
                    Ok(Restored::Record)
                }
                Opened::Block => {
                    let limits = DecodeLimits { max_bytes: self.max_decoded, max_records: MAX_BLOCK_RECORDS };
                    self.block.decode(value, &mut self.decoders, &limits)?;
                    Ok(Restored::Block)
                }
            },
        }
    }

    fn refuse(&self, record: &RecordRef<'_>, error: &CodecError, output: &mut dyn Output) -> Result<(), Halt> {
        let reason = match error {
            CodecError::MissingModel(missing)
                if missing.retriable || self.missing_model == MissingModelPolicy::Wait =>
            {
                return Err(Halt::Wait(missing.clone()));
            }
            CodecError::MissingModel(_) => Reason::MissingModel,
            CodecError::LimitExceeded { .. } => Reason::OverCap,
            _ => Reason::Undecodable,
        };
        output.dead_letter(record, reason, &error.to_string(), Some(record.offset + 1))
    }
}

/// Publishes one restored record, or its dead letter when the target cannot hold it.
fn publish(record: &RecordRef<'_>, position: Option<i64>, output: &mut dyn Output) -> Result<(), Halt> {
    let publication = Publication {
        key: record.key,
        value: record.value,
        headers: &record.headers,
        timestamp: record.timestamp.millis,
    };
    if record.timestamp.millis == 0 {
        let message = "its timestamp is 0, which the client library writes as the current time";
        return output.dead_letter(record, Reason::Timestamp, message, position);
    }
    if !output.fits(&publication) {
        let message = "restored, it is larger than the target topic's `max.message.bytes`";
        return output.dead_letter(record, Reason::TooLarge, message, position);
    }
    output.publish(&publication, position)
}

impl Stage for Restore {
    fn take(&mut self, _slot: SlotId, record: &RecordRef<'_>, output: &mut dyn Output) -> Result<(), Halt> {
        let position = Some(record.offset + 1);
        // Ours is the last header of that name: the others came with the record.
        let ours = record.headers.iter().rposition(|header| header.name == CONTENT_ENCODING);
        let mut headers: HeaderRefs<'_> = record.headers.iter().copied().collect();
        let coding = match ours.map(|index| (index, headers.remove(index).value.unwrap_or_default())) {
            None => frame::sniff(record.value.unwrap_or_default()),
            Some((_, token)) if token == LATENTD.as_bytes() => Some(Coding::Frame),
            Some((_, token)) => match Algorithm::from_content_encoding(token) {
                Some(algorithm) => Some(Coding::Stream(algorithm)),
                None => {
                    let message = format!(
                        "no codec has the content-encoding `{}`: this record was not written by this release",
                        String::from_utf8_lossy(token)
                    );
                    return output.dead_letter(record, Reason::Undecodable, &message, position);
                }
            },
        };
        let Some(value) = record.value else {
            return publish(&RecordRef { headers, ..record.clone() }, position, output);
        };
        let coding = coding.unwrap_or(Coding::Stream(Algorithm::Identity));
        self.seen = self.seen.wrapping_add(1);
        let timed = self.seen.is_multiple_of(16).then(Instant::now);
        let restored = match self.decode(&coding, value) {
            Ok(restored) => restored,
            Err(error) => return self.refuse(record, &error, output),
        };
        match restored {
            Restored::Record => {
                if let (Some(started), Coding::Stream(algorithm)) = (timed, &coding) {
                    self.metrics.codec_seconds(*algorithm, false, started.elapsed());
                }
                let restored = RecordRef { value: Some(&self.decoded), headers, ..record.clone() };
                publish(&restored, position, output)
            }
            Restored::Block => {
                let count = self.block.len();
                for (index, restored) in self.block.records().enumerate() {
                    publish(&restored, if index + 1 == count { position } else { None }, output)?;
                }
                Ok(())
            }
        }
    }

    fn close(&mut self, _slot: SlotId, _output: &mut dyn Output) -> Result<(), Halt> {
        Ok(())
    }
    fn due(&self, _now: Instant, _into: &mut Vec<SlotId>) {}
    fn next_due(&self) -> Option<Instant> {
        None
    }
    fn open(&self, _into: &mut Vec<SlotId>) {}
    fn discard(&mut self) {}
    fn remove(&mut self, _slot: SlotId) {}
    fn buffered_bytes(&self) -> usize {
        0
    }
}
