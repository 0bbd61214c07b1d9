//! The `block` layout: consecutive records of one input partition become one output record, columnar.

use std::time::Instant;

use super::coder::Coder;
use super::{Halt, Output, Publication, Reason, Stage};
use crate::codec::block::{BlockBuilder, BlockReader};
use crate::codec::{CONTENT_ENCODING, IdentityCodec, LATENTD};
use crate::pipeline::deliver::SlotId;
use crate::pipeline::settings::{BlockSettings, EncodingHeader};
use crate::record::{HeaderRef, RecordRef};

/// Codes blocks.
pub struct CompressBlocks {
    coder: Coder,
    header: EncodingHeader,
    limits: BlockSettings,
    encoded: Vec<u8>,
    open: Vec<OpenBlock>,
    /// Builders whose memory is used again.
    spare: Vec<BlockBuilder>,
}

/// An open block of one slot.
struct OpenBlock {
    slot: SlotId,
    builder: BlockBuilder,
    opened: Instant,
    /// Where reading goes on after its last record.
    position: i64,
    /// Latest timestamp in it: what retention by time goes by.
    timestamp: i64,
}

impl CompressBlocks {
    /// A stage around a codec.
    pub fn new(coder: Coder, header: EncodingHeader, limits: BlockSettings) -> Self {
        Self { coder, header, limits, encoded: Vec::new(), open: Vec::new(), spare: Vec::new() }
    }

    fn keep(&mut self, mut builder: BlockBuilder) {
        builder.clear();
        self.spare.push(builder);
    }

    /// Publishes a builder's records as one block, or as several when one is too large for the topic.
    fn publish(
        &mut self,
        builder: &mut BlockBuilder,
        timestamp: i64,
        position: Option<i64>,
        output: &mut dyn Output,
    ) -> Result<(), Halt> {
        let mut encoded = std::mem::take(&mut self.encoded);
        let result = self.code_and_publish(builder, &mut encoded, timestamp, position, output);
        self.encoded = encoded;
        result
    }

    fn code_and_publish(
        &mut self,
        builder: &mut BlockBuilder,
        encoded: &mut Vec<u8>,
        timestamp: i64,
        position: Option<i64>,
        output: &mut dyn Output,
    ) -> Result<(), Halt> {
        let started = Instant::now();
        self.coder
            .encode_block(builder, encoded)
            .map_err(|error| Halt::Stop(format!("a block could not be coded: {error}")))?;
        let seconds = started.elapsed().as_secs_f64();
        let header = [HeaderRef { name: CONTENT_ENCODING, value: Some(LATENTD.as_bytes()) }];
        let headers: &[HeaderRef<'_>] = match self.header {
            EncodingHeader::ContentEncoding => &header,
            EncodingHeader::None => &[],
        };
        // A block's own timestamp serves retention only; 0 would be written as the current time.
        let timestamp = if timestamp == 0 { 1 } else { timestamp };
        let publication = Publication { key: None, value: Some(encoded), headers, timestamp };
        if output.fits(&publication) {
            self.coder.coded(builder.raw_bytes(), encoded.len(), seconds);
            return output.publish(&publication, position);
        }
        self.split(builder, encoded, position, output)
    }

    /// A block that the topic does not take is halved until its parts fit; a single record that does not is a dead letter.
    fn split(
        &mut self,
        builder: &mut BlockBuilder,
        encoded: &mut Vec<u8>,
        position: Option<i64>,
        output: &mut dyn Output,
    ) -> Result<(), Halt> {
        // An uncoded copy is the simplest way to the records: this path is rare.
        encoded.clear();
        let mut reader = BlockReader::default();
        builder
            .encode(&mut IdentityCodec, encoded)
            .and_then(|_| reader.decode_uncoded(encoded))
            .map_err(|error| Halt::Stop(format!("a block could not be split: {error}")))?;
        let records: Vec<RecordRef<'_>> = reader.records().collect();
        if let [record] = &records[..] {
            let message = "coded as a block, it is still larger than the target topic's `max.message.bytes`";
            return output.dead_letter(record, Reason::TooLarge, message, position);
        }
        let (left, right) = records.split_at(records.len() / 2);
        for (half, position) in [(left, None), (right, position)] {
            let mut part = self.spare.pop().unwrap_or_default();
            half.iter().for_each(|record| part.push(record));
            let timestamp = half.iter().map(|record| record.timestamp.millis).max().unwrap_or(-1);
            let result = self.publish(&mut part, timestamp, position, output);
            self.keep(part);
            result?;
        }
        Ok(())
    }

    /// The slot's open block, opened now if there is none.
    fn block(&mut self, slot: SlotId) -> &mut OpenBlock {
        let index = self.open.iter().position(|block| block.slot == slot).unwrap_or_else(|| {
            let builder = self.spare.pop().unwrap_or_default();
            self.open.push(OpenBlock { slot, builder, opened: Instant::now(), position: 0, timestamp: i64::MIN });
            self.open.len() - 1
        });
        &mut self.open[index]
    }
}

impl Stage for CompressBlocks {
    fn take(&mut self, slot: SlotId, record: &RecordRef<'_>, output: &mut dyn Output) -> Result<(), Halt> {
        self.coder.observe(slot, output.origin(), record);
        let limits = self.limits;
        let raw = self.block(slot).builder.raw_bytes();
        // A record that does not fit beside what is there starts the next block.
        if raw > 0 && raw + record.payload_len() > limits.max_bytes.as_usize() {
            self.close(slot, output)?;
        }
        let block = self.block(slot);
        block.builder.push(record);
        block.position = record.offset + 1;
        block.timestamp = block.timestamp.max(record.timestamp.millis);
        let full =
            block.builder.records() >= limits.max_records || block.builder.raw_bytes() >= limits.max_bytes.as_usize();
        if full { self.close(slot, output) } else { Ok(()) }
    }

    fn close(&mut self, slot: SlotId, output: &mut dyn Output) -> Result<(), Halt> {
        let Some(index) = self.open.iter().position(|block| block.slot == slot) else { return Ok(()) };
        let mut block = self.open.swap_remove(index);
        let mut result = Ok(());
        if block.builder.records() > 0 {
            result = self.publish(&mut block.builder, block.timestamp, Some(block.position), output);
        }
        self.keep(block.builder);
        result
    }

    fn due(&self, now: Instant, into: &mut Vec<SlotId>) {
        let due = self.open.iter().filter(|block| now.duration_since(block.opened) >= self.limits.linger);
        into.extend(due.map(|block| block.slot));
    }

    fn next_due(&self) -> Option<Instant> {
        self.open.iter().map(|block| block.opened + self.limits.linger).min()
    }

    fn open(&self, into: &mut Vec<SlotId>) {
        into.extend(self.open.iter().map(|block| block.slot));
    }

    fn discard(&mut self) {
        self.coder.discard();
        while let Some(block) = self.open.pop() {
            self.keep(block.builder);
        }
    }

    fn remove(&mut self, slot: SlotId) {
        if let Some(index) = self.open.iter().position(|block| block.slot == slot) {
            let block = self.open.swap_remove(index);
            self.keep(block.builder);
        }
    }

    fn at_boundary(&mut self) {
        self.coder.at_boundary();
    }

    fn at_rest(&mut self) {
        self.coder.take_model();
    }

    fn buffered_bytes(&self) -> usize {
        self.open.iter().map(|block| block.builder.raw_bytes()).sum()
    }
}
