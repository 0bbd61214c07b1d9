//! The `record` layout: each input record becomes one output record with the same key, headers and timestamp.

use std::time::Instant;

use super::coder::Coder;
use super::{Halt, Output, Publication, Reason, Stage, WRITES_NOW};
use crate::codec::{Algorithm, CONTENT_ENCODING, seal};
use crate::pipeline::deliver::SlotId;
use crate::pipeline::settings::EncodingHeader;
use crate::record::{HeaderRef, HeaderRefs, RecordRef};

/// Codes record by record.
pub struct CompressRecords {
    coder: Coder,
    header: EncodingHeader,
    encoded: Vec<u8>,
    sealed: Vec<u8>,
}

impl CompressRecords {
    /// A stage around a codec.
    pub fn new(coder: Coder, header: EncodingHeader) -> Self {
        Self { coder, header, encoded: Vec::new(), sealed: Vec::new() }
    }
}

impl Stage for CompressRecords {
    fn take(&mut self, slot: SlotId, record: &RecordRef<'_>, output: &mut dyn Output) -> Result<(), Halt> {
        let position = Some(record.offset + 1);
        if record.timestamp.millis == 0 {
            return output.dead_letter(record, Reason::Timestamp, WRITES_NOW, position);
        }
        let mut algorithm = Algorithm::Identity;
        self.coder.observe(slot, output.origin(), record);
        if let Some(value) = record.value {
            algorithm = self.coder.encode(value, &mut self.encoded);
        }
        let coded = match algorithm {
            Algorithm::Identity => record.value,
            _ => Some(&self.encoded[..]),
        };
        self.sealed.clear();
        let mut headers: HeaderRefs<'_> = record.headers.iter().copied().collect();
        // A record that has a header of this name already gets ours as well, or a reader would take its own for ours.
        let named = match self.header {
            EncodingHeader::ContentEncoding => true,
            EncodingHeader::None => headers.iter().any(|header| header.name == CONTENT_ENCODING),
        };
        if named {
            headers.push(HeaderRef { name: CONTENT_ENCODING, value: Some(algorithm.content_encoding().as_bytes()) });
        }
        // A learned codec's stream is nothing without its frame, which names the model.
        let model = self.coder.model().filter(|_| algorithm.is_learned());
        let value = match (coded, record.value) {
            (Some(coded), Some(raw)) if model.is_some() || !named => {
                seal(algorithm, model, coded, raw, &mut self.sealed);
                Some(&self.sealed[..])
            }
            _ => coded,
        };
        let publication = Publication { key: record.key, value, headers: &headers, timestamp: record.timestamp.millis };
        if !output.fits(&publication) {
            let message = "compressed, it is still larger than the target topic's `max.message.bytes`";
            return output.dead_letter(record, Reason::TooLarge, message, position);
        }
        output.publish(&publication, position)
    }

    fn close(&mut self, _slot: SlotId, _output: &mut dyn Output) -> Result<(), Halt> {
        Ok(())
    }
    fn due(&self, _now: Instant, _into: &mut Vec<SlotId>) {}
    fn next_due(&self) -> Option<Instant> {
        None
    }
    fn open(&self, _into: &mut Vec<SlotId>) {}
    fn discard(&mut self) {
        self.coder.discard();
    }
    fn remove(&mut self, _slot: SlotId) {}
    fn at_boundary(&mut self) {
        self.coder.at_boundary();
    }

    fn at_rest(&mut self) {
        self.coder.take_model();
    }
    fn buffered_bytes(&self) -> usize {
        0
    }
}
