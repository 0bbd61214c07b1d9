//! What a compressing pipeline wrote in, the same records out, whatever mixture of codecs and layouts it holds.

use std::sync::Arc;
use std::time::Instant;

use super::{Halt, Output, Publication, Reason, Stage, WRITES_NOW};
use crate::codec::{Algorithm, CodecError, Content, ModelSource, Restorer};
use crate::frame::FrameError;
use crate::pipeline::deliver::SlotId;
use crate::pipeline::settings::{MissingModelPolicy, Settings};
use crate::record::RecordRef;
use crate::telemetry::{CodecBatch, Direction, PipelineMetrics};

/// Most records that a block may claim: bounds what a hostile one makes us allocate.
const MAX_BLOCK_RECORDS: usize = 1 << 20;

/// The restoring stage.
pub struct Restore {
    restorer: Restorer,
    missing_model: MissingModelPolicy,
    metrics: PipelineMetrics,
    /// By codec byte.
    counts: [Option<CodecBatch>; Algorithm::TABLE],
}

impl Restore {
    /// A stage for these settings.
    pub fn new(settings: &Settings, models: &Arc<dyn ModelSource>, metrics: PipelineMetrics) -> Self {
        Self {
            restorer: Restorer::new(models, settings.max_decoded.as_usize(), MAX_BLOCK_RECORDS),
            missing_model: settings.missing_model,
            metrics,
            counts: Default::default(),
        }
    }
}

/// A record that cannot be restored waits for its model or becomes a dead letter.
fn refuse(
    record: &RecordRef<'_>,
    error: &CodecError,
    policy: MissingModelPolicy,
    output: &mut dyn Output,
) -> Result<(), Halt> {
    let reason = match error {
        CodecError::MissingModel(missing) if missing.retriable || policy == MissingModelPolicy::Wait => {
            return Err(Halt::Wait(missing.clone()));
        }
        CodecError::MissingModel(_) => Reason::MissingModel,
        CodecError::LimitExceeded { .. } | CodecError::Frame(FrameError::LimitExceeded { .. }) => Reason::OverCap,
        _ => Reason::Undecodable,
    };
    output.dead_letter(record, reason, &error.to_string(), Some(record.offset + 1))
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
        return output.dead_letter(record, Reason::Timestamp, WRITES_NOW, position);
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
        let started = Instant::now();
        let restored = match self.restorer.restore(record) {
            Ok(restored) => restored,
            Err(error) => return refuse(record, &error, self.missing_model, output),
        };
        let seconds = started.elapsed().as_secs_f64();
        let metrics = &self.metrics;
        let counts = self.counts[restored.algorithm as usize]
            .get_or_insert_with(|| metrics.codec(restored.algorithm.name()).batch(Direction::Decode));
        let coded = record.value.map_or(0, <[u8]>::len);
        match restored.content {
            Content::Record(restored) => {
                counts.coded(coded, restored.value.map_or(0, <[u8]>::len), seconds);
                publish(&restored, position, output)
            }
            Content::Block(block) => {
                counts.coded(coded, block.payload_bytes(), seconds);
                let last = block.len().saturating_sub(1);
                for (index, restored) in block.records().enumerate() {
                    publish(&restored, if index == last { position } else { None }, output)?;
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
    fn at_boundary(&mut self) {
        self.counts.iter_mut().flatten().for_each(CodecBatch::flush);
    }
    fn buffered_bytes(&self) -> usize {
        0
    }
}
