//! Records in, fewer bytes out: one by one, or as blocks.

use std::sync::Arc;
use std::time::Instant;

use super::{Halt, Output, Publication, Reason, Stage};
use crate::codec::block::{BlockBuilder, BlockReader, DecodeLimits};
use crate::codec::{self, Algorithm, Codec, CodecError, CodecSpec, Decoders, ModelSource};
use crate::frame;
use crate::pipeline::deliver::SlotId;
use crate::pipeline::learn::Learner;
use crate::pipeline::settings::{BlockSettings, EncodingHeader, Layout, Settings};
use crate::record::{HeaderRef, HeaderRefs, RecordRef};
use crate::telemetry::PipelineMetrics;

/// The header that names the coding of a record's value (RFC 9110, 8.4).
pub const CONTENT_ENCODING: &str = "content-encoding";

/// The token of latentd's own frame.
pub const LATENTD: &str = "latentd";

/// One record in so many has its coding timed: two looks at the clock cost more than a small record.
const TIME_SAMPLE: u32 = 16;

/// The compressing stage.
pub struct Compress {
    spec: CodecSpec,
    layout: Layout,
    headers: EncodingHeader,
    limits: BlockSettings,
    max_decoded: usize,
    codec: Box<dyn Codec>,
    verifier: Option<Decoders>,
    learner: Option<Learner>,
    model_version: u64,
    metrics: PipelineMetrics,
    counted: Counted,
    encoded: Vec<u8>,
    checked: Vec<u8>,
    blocks: Vec<OpenBlock>,
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

/// Bytes through the codec since they were last moved to the metrics.
#[derive(Default)]
struct Counted {
    input: u64,
    output: u64,
    records: u32,
}

impl Compress {
    /// A stage for these settings.
    pub fn new(
        settings: &Settings,
        models: &Arc<dyn ModelSource>,
        learner: Option<Learner>,
        metrics: PipelineMetrics,
    ) -> Result<Self, CodecError> {
        let mut stage = Self {
            spec: settings.codec,
            layout: settings.layout,
            headers: settings.headers,
            limits: settings.block,
            max_decoded: settings.max_decoded.as_usize(),
            codec: codec::build(settings.codec, models)?,
            verifier: settings.verify.then(|| Decoders::new(models)),
            learner,
            model_version: 0,
            metrics,
            counted: Counted::default(),
            encoded: Vec::new(),
            checked: Vec::new(),
            blocks: Vec::new(),
            spare: Vec::new(),
        };
        stage.take_model();
        Ok(stage)
    }

    /// Takes the learner's newest model, if it is newer than ours.
    fn take_model(&mut self) {
        let Some(learner) = &self.learner else { return };
        let Some((version, artefact)) = learner.newer_than(self.model_version) else { return };
        self.model_version = version;
        match codec::ZstdDictCodec::with_dictionary(self.spec.level(), artefact) {
            Ok(codec) => self.codec = Box::new(codec),
            Err(error) => tracing::error!(%error, "a published dictionary cannot be used; the old one stays"),
        }
    }

    fn record(&mut self, record: &RecordRef<'_>, output: &mut dyn Output) -> Result<(), Halt> {
        let position = Some(record.offset + 1);
        let mut algorithm = Algorithm::Identity;
        if let Some(value) = record.value {
            if let Some(learner) = &self.learner {
                learner.tap(value);
            }
            algorithm = self.encode(value);
        }
        let mut headers: HeaderRefs<'_> = record.headers.iter().copied().collect();
        let coded: Option<&[u8]>;
        let sealed;
        match self.headers {
            EncodingHeader::ContentEncoding => {
                let token = algorithm.content_encoding().as_bytes();
                headers.push(HeaderRef { name: CONTENT_ENCODING, value: Some(token) });
                coded = match algorithm {
                    Algorithm::Identity => record.value,
                    _ => Some(&self.encoded),
                };
            }
            EncodingHeader::None => {
                sealed = record.value.map(|value| {
                    let bytes = if algorithm == Algorithm::Identity { value } else { &self.encoded };
                    frame::seal_without_header(algorithm, bytes, value)
                });
                coded = sealed.as_deref();
            }
        }
        let publication =
            Publication { key: record.key, value: coded, headers: &headers, timestamp: record.timestamp.millis };
        if record.timestamp.millis == 0 {
            let message = "its timestamp is 0, which the client library writes as the current time";
            return output.dead_letter(record, Reason::Timestamp, message, position);
        }
        if !output.fits(&publication) {
            let message = "compressed, it is still larger than the target topic's `max.message.bytes`";
            return output.dead_letter(record, Reason::TooLarge, message, position);
        }
        output.publish(&publication, position)
    }

    /// Codes a value into `self.encoded`; says with what it really was coded.
    fn encode(&mut self, value: &[u8]) -> Algorithm {
        self.encoded.clear();
        self.counted.records = self.counted.records.wrapping_add(1);
        let timed = self.counted.records.is_multiple_of(TIME_SAMPLE).then(Instant::now);
        let result = self.codec.encode(value, &mut self.encoded);
        if let Some(started) = timed {
            self.metrics.codec_seconds(self.spec.algorithm(), true, started.elapsed());
        }
        let mut algorithm = self.spec.algorithm();
        if let Err(error) = result {
            tracing::warn!(%error, codec = %self.spec, "a record was not coded and is sent as it is");
            algorithm = Algorithm::Identity;
        } else if self.encoded.len() >= value.len() {
            algorithm = Algorithm::Identity;
        } else if let Some(verifier) = &mut self.verifier {
            self.checked.clear();
            let decoded = verifier.decode(algorithm, &self.encoded, value.len(), &mut self.checked);
            if decoded.is_err() || self.checked != value {
                tracing::error!(codec = %self.spec, "a record did not decode to itself and is sent as it is");
                algorithm = Algorithm::Identity;
            }
        }
        self.counted.input += value.len() as u64;
        self.counted.output +=
            if algorithm == Algorithm::Identity { value.len() } else { self.encoded.len() } as u64;
        algorithm
    }

    fn push(&mut self, slot: SlotId, record: &RecordRef<'_>, output: &mut dyn Output) -> Result<(), Halt> {
        if let (Some(learner), Some(value)) = (&self.learner, record.value) {
            learner.tap(value);
        }
        let index = match self.blocks.iter().position(|block| block.slot == slot) {
            Some(index) => index,
            None => {
                self.blocks.push(OpenBlock {
                    slot,
                    builder: self.spare.pop().unwrap_or_default(),
                    opened: Instant::now(),
                    position: record.offset,
                    timestamp: i64::MIN,
                });
                self.blocks.len() - 1
            }
        };
        // A record that does not fit beside what is there starts the next block.
        let raw = self.blocks[index].builder.raw_bytes();
        if raw > 0 && raw + record.payload_len() > self.limits.max_bytes.as_usize() {
            self.close(slot, output)?;
            return self.push(slot, record, output);
        }
        let block = &mut self.blocks[index];
        block.builder.push(record);
        block.position = record.offset + 1;
        block.timestamp = block.timestamp.max(record.timestamp.millis);
        let full = block.builder.records() >= self.limits.max_records
            || block.builder.raw_bytes() >= self.limits.max_bytes.as_usize();
        if full { self.close(slot, output) } else { Ok(()) }
    }

    /// Publishes a builder's records as one block, or as several when one is too large for the topic.
    fn publish_block(
        &mut self,
        builder: &mut BlockBuilder,
        timestamp: i64,
        position: Option<i64>,
        output: &mut dyn Output,
    ) -> Result<(), Halt> {
        let mut encoded = std::mem::take(&mut self.encoded);
        encoded.clear();
        let started = Instant::now();
        let coded = self.code_block(builder, &mut encoded);
        self.metrics.codec_seconds(self.spec.algorithm(), true, started.elapsed());
        let result = match coded {
            Ok(()) => {
                let header = [HeaderRef { name: CONTENT_ENCODING, value: Some(LATENTD.as_bytes()) }];
                let headers: &[HeaderRef<'_>] = match self.headers {
                    EncodingHeader::ContentEncoding => &header,
                    EncodingHeader::None => &[],
                };
                // 0 would be written as the current time.
                let timestamp = if timestamp == 0 { 1 } else { timestamp };
                let publication = Publication { key: None, value: Some(&encoded), headers, timestamp };
                if output.fits(&publication) {
                    self.counted.input += builder.raw_bytes() as u64;
                    self.counted.output += encoded.len() as u64;
                    output.publish(&publication, position)
                } else {
                    self.split_block(&encoded, position, output)
                }
            }
            Err(error) => Err(Halt::Stop(format!("a block could not be coded: {error}"))),
        };
        self.encoded = encoded;
        result
    }

    fn code_block(&mut self, builder: &mut BlockBuilder, encoded: &mut Vec<u8>) -> Result<(), CodecError> {
        builder.encode(&mut *self.codec, encoded)?;
        let Some(verifier) = &mut self.verifier else { return Ok(()) };
        let limits = DecodeLimits { max_bytes: self.max_decoded, max_records: self.limits.max_records };
        let mut reader = BlockReader::default();
        if reader.decode(encoded, verifier, &limits).is_ok() && builder.holds(&reader) {
            return Ok(());
        }
        tracing::error!(codec = %self.spec, "a block did not decode to itself and is sent uncoded");
        encoded.clear();
        builder.encode(&mut codec::Identity, encoded).map(drop)
    }

    fn split_block(&mut self, encoded: &[u8], position: Option<i64>, output: &mut dyn Output) -> Result<(), Halt> {
        let limits = DecodeLimits { max_bytes: usize::MAX, max_records: usize::MAX };
        let mut reader = BlockReader::default();
        let mut decoders = Decoders::of(&*self.codec);
        reader
            .decode(encoded, &mut decoders, &limits)
            .map_err(|error| Halt::Stop(format!("a block just coded cannot be decoded: {error}")))?;
        let records: Vec<RecordRef<'_>> = reader.records().collect();
        if let [record] = &records[..] {
            let message = "coded as a block, it is still larger than the target topic's `max.message.bytes`";
            return output.dead_letter(record, Reason::TooLarge, message, position);
        }
        let (left, right) = records.split_at(records.len() / 2);
        for (half, position) in [(left, None), (right, position)] {
            let mut builder = self.spare.pop().unwrap_or_default();
            half.iter().for_each(|record| builder.push(record));
            let timestamp = half.iter().map(|record| record.timestamp.millis).max().unwrap_or(-1);
            let result = self.publish_block(&mut builder, timestamp, position, output);
            builder.clear();
            self.spare.push(builder);
            result?;
        }
        Ok(())
    }

    fn count(&mut self) {
        let counted = std::mem::take(&mut self.counted);
        self.metrics.codec_bytes(self.spec.algorithm(), counted.input, counted.output);
        self.counted.records = counted.records;
    }
}

impl Stage for Compress {
    fn take(&mut self, slot: SlotId, record: &RecordRef<'_>, output: &mut dyn Output) -> Result<(), Halt> {
        match self.layout {
            Layout::Record => self.record(record, output),
            Layout::Block => self.push(slot, record, output),
        }
    }

    fn close(&mut self, slot: SlotId, output: &mut dyn Output) -> Result<(), Halt> {
        let Some(index) = self.blocks.iter().position(|block| block.slot == slot) else { return Ok(()) };
        let mut block = self.blocks.swap_remove(index);
        let result = self.publish_block(&mut block.builder, block.timestamp, Some(block.position), output);
        block.builder.clear();
        self.spare.push(block.builder);
        result
    }

    fn due(&self, now: Instant, into: &mut Vec<SlotId>) {
        let due = self.blocks.iter().filter(|block| now.duration_since(block.opened) >= self.limits.linger);
        into.extend(due.map(|block| block.slot));
    }

    fn next_due(&self) -> Option<Instant> {
        self.blocks.iter().map(|block| block.opened + self.limits.linger).min()
    }

    fn open(&self, into: &mut Vec<SlotId>) {
        into.extend(self.blocks.iter().map(|block| block.slot));
    }

    fn discard(&mut self) {
        for mut block in self.blocks.drain(..) {
            block.builder.clear();
            self.spare.push(block.builder);
        }
    }

    fn remove(&mut self, slot: SlotId) {
        if let Some(index) = self.blocks.iter().position(|block| block.slot == slot) {
            let mut block = self.blocks.swap_remove(index);
            block.builder.clear();
            self.spare.push(block.builder);
        }
    }

    fn at_boundary(&mut self) {
        self.count();
        self.take_model();
    }

    fn buffered_bytes(&self) -> usize {
        self.blocks.iter().map(|block| block.builder.raw_bytes()).sum()
    }
}

