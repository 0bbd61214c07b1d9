//! Records as a pipeline writes them, and back: what an audition and a contest of codecs measure. The clocks are handed in.

use super::CpuClock;
use crate::codec::block::{BlockBuilder, BlockReader, DecodeLimits};
use crate::codec::{Algorithm, CONTENT_ENCODING, Codec, CodecError, LATENTD, seal};
use crate::pipeline::settings::{EncodingHeader, Layout};
use crate::record::{HeaderRef, HeaderRefs, RecordRef};

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

/// Clocks that go in seconds.
#[derive(Clone, Copy)]
pub struct Clocks<'a> {
    /// Tells what all takes. It is asked seldom, so that asking may take its time.
    pub all: CpuClock<'a>,
    /// Tells what one output record takes. It is asked before and after each.
    pub each: CpuClock<'a>,
}

/// Lets a codec carry records.
#[derive(Clone, Copy)]
pub struct Carriage<'a> {
    /// How they are written.
    pub manner: Manner,
    /// What measures that.
    pub clocks: Clocks<'a>,
    /// Most seconds that all may take to code, by the clock of each.
    pub patience: f64,
}

/// What carrying records took.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Carried {
    /// Seconds to code them all.
    pub encode_seconds: f64,
    /// Seconds to decode them all.
    pub decode_seconds: f64,
    /// Seconds to code each output record.
    pub each: Vec<f64>,
    /// The sum of that.
    pub spent: f64,
}

/// Why records were not carried.
#[derive(Debug, thiserror::Error)]
pub enum CarriageError {
    /// The codec did not code them.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// It takes too long for a try.
    #[error("it takes more than {patience} s for these records")]
    TooSlow {
        /// What it was given.
        patience: f64,
    },
    /// It does not give back what it was given.
    #[error("what was coded of the record at offset {offset} did not come back")]
    Different {
        /// The record's, or that of the first in its block.
        offset: i64,
    },
}

impl Carriage<'_> {
    /// Codes records, decodes what was made of them, and shows each output record. Offsets of outputs mean nothing.
    pub fn carry(
        &self,
        codec: &mut dyn Codec,
        records: &[RecordRef<'_>],
        output: &mut dyn FnMut(&RecordRef<'_>),
    ) -> Result<Carried, CarriageError> {
        match self.manner.layout {
            Layout::Block => self.blocks(codec, records, output),
            Layout::Record => self.singles(codec, records, output),
        }
    }

    fn blocks(
        &self,
        codec: &mut dyn Codec,
        records: &[RecordRef<'_>],
        output: &mut dyn FnMut(&RecordRef<'_>),
    ) -> Result<Carried, CarriageError> {
        let header = HeaderRef { name: CONTENT_ENCODING, value: Some(LATENTD.as_bytes()) };
        let named = self.manner.headers == EncodingHeader::ContentEncoding;
        let mut carried = Carried::default();
        let mut builder = BlockBuilder::default();
        let mut reader = BlockReader::default();
        let (mut block, mut first) = (Vec::new(), 0);
        let mut records = records.iter().peekable();
        while let Some(record) = records.next() {
            if builder.records() == 0 {
                first = record.offset;
            }
            builder.push(record);
            let full = |next: &&RecordRef<'_>| builder.raw_bytes() + next.payload_len() > self.manner.block_bytes;
            if !records.peek().is_none_or(full) {
                continue;
            }
            block.clear();
            let begun = (self.clocks.all)();
            self.each(&mut carried, || builder.encode(codec, &mut block).map(drop))?;
            let coded = (self.clocks.all)();
            reader.decode_with(&block, codec, &DecodeLimits::UNLIMITED)?;
            carried.decode_seconds += (self.clocks.all)() - coded;
            carried.encode_seconds += coded - begun;
            if !builder.holds(&reader) {
                return Err(CarriageError::Different { offset: first });
            }
            let headers = if named { &[header][..] } else { &[] };
            let (value, timestamp) = (Some(block.as_slice()), record.timestamp);
            output(&RecordRef { key: None, value, headers: headers.into(), timestamp, offset: first });
            builder.clear();
        }
        Ok(carried)
    }

    fn singles(
        &self,
        codec: &mut dyn Codec,
        records: &[RecordRef<'_>],
        output: &mut dyn FnMut(&RecordRef<'_>),
    ) -> Result<Carried, CarriageError> {
        let named = self.manner.headers == EncodingHeader::ContentEncoding;
        let mut carried = Carried::default();
        let mut coded: Vec<Vec<u8>> = Vec::with_capacity(records.len());
        let begun = (self.clocks.all)();
        for record in records {
            let mut bytes = Vec::new();
            if let Some(value) = record.value {
                self.each(&mut carried, || codec.encode(value, &mut bytes))?;
            }
            coded.push(bytes);
        }
        carried.encode_seconds = (self.clocks.all)() - begun;
        let mut decoded = Vec::new();
        let begun = (self.clocks.all)();
        for (record, bytes) in records.iter().zip(&coded) {
            if let Some(value) = record.value.filter(|value| bytes.len() < value.len()) {
                decoded.clear();
                codec.decode(bytes, value.len(), &mut decoded)?;
                if decoded != value {
                    return Err(CarriageError::Different { offset: record.offset });
                }
            }
        }
        carried.decode_seconds = (self.clocks.all)() - begun;
        let model = codec.model().map(|model| model.prefix()).filter(|_| codec.algorithm().is_learned());
        let mut sealed = Vec::new();
        for (record, coded) in records.iter().zip(&coded) {
            let Some(value) = record.value else {
                output(record);
                continue;
            };
            let smaller = coded.len() < value.len();
            let algorithm = if smaller { codec.algorithm() } else { Algorithm::Identity };
            let (bytes, model) = if smaller { (coded.as_slice(), model) } else { (value, None) };
            sealed.clear();
            if model.is_some() || !named {
                seal(algorithm, model, bytes, value, &mut sealed);
            } else {
                sealed.extend_from_slice(bytes);
            }
            let mut headers: HeaderRefs<'_> = record.headers.iter().copied().collect();
            if named {
                let token = algorithm.content_encoding().as_bytes();
                headers.push(HeaderRef { name: CONTENT_ENCODING, value: Some(token) });
            }
            output(&RecordRef {
                key: record.key,
                value: Some(&sealed),
                headers,
                timestamp: record.timestamp,
                offset: record.offset,
            });
        }
        Ok(carried)
    }

    /// Notes what one output takes.
    fn each(&self, carried: &mut Carried, code: impl FnOnce() -> Result<(), CodecError>) -> Result<(), CarriageError> {
        let begun = (self.clocks.each)();
        code()?;
        let seconds = (self.clocks.each)() - begun;
        carried.each.push(seconds);
        carried.spent += seconds;
        if carried.spent > self.patience {
            return Err(CarriageError::TooSlow { patience: self.patience });
        }
        Ok(())
    }
}
