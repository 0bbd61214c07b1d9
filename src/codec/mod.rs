//! Bytes to fewer bytes and back: pure, synchronous, size-capped.
//!
//! Every codec is one [`Codec`]: a coder that owns its contexts, is made once per worker and reused for every record.
//! `encode` appends one self-contained stream to `output`, `decode` reads exactly one back and refuses to write more
//! than `limit` bytes. Standard codecs write plain standard streams that any other program reads.

pub mod block;
mod brotli;
mod build;
mod bzip2;
mod decoders;
mod deflate;
mod error;
mod gzip;
mod huffman;
mod identity;
mod lz4;
mod lzw;
mod restorer;
mod seal;
mod sink;
mod spec;
mod stream;
mod xz;
mod zstd;

pub use brotli::BrotliCodec;
pub use build::build;
pub use bzip2::Bzip2Codec;
pub use decoders::Decoders;
pub use deflate::DeflateCodec;
pub use error::{CodecError, MissingModel};
pub use gzip::GzipCodec;
pub use huffman::HuffmanCodec;
pub use identity::IdentityCodec;
pub use lz4::Lz4Codec;
pub use lzw::LzwCodec;
pub use restorer::{Content, Restored, Restorer};
pub use seal::{CONTENT_ENCODING, Coding, LATENTD, seal, skippable, sniff};
pub use spec::{Algorithm, CodecSpec, ParseCodecSpecError};
pub use xz::XzCodec;
pub use zstd::{ZstdCodec, ZstdDictCodec};

use std::sync::Arc;

use crate::frame::{Guard, SHORTEST_MAGIC};
use block::{RowSink, Rows};

/// A coder. Holds its contexts, so it is `&mut`; one per worker thread.
pub trait Codec: Send {
    /// Which codec this is.
    fn algorithm(&self) -> Algorithm;

    /// Appends one self-contained encoded stream of `input` to `output`. On an error `output` is as it was.
    fn encode(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<(), CodecError>;

    /// Appends the decoded bytes of `input`, which is exactly one encoded stream, to `output`.
    ///
    /// Never appends more than `limit` bytes and never allocates more than `limit` plus a constant: what would be
    /// larger is [`CodecError::LimitExceeded`]. Bytes after the stream are [`CodecError::Corrupt`]. On an error
    /// `output` is as it was.
    fn decode(&mut self, input: &[u8], limit: usize, output: &mut Vec<u8>) -> Result<(), CodecError>;

    /// The codec's way to take a whole column of values at once, with their boundaries, when it has one.
    ///
    /// Classical codecs have none: the block container then codes lengths and bytes as two columns. A learned codec
    /// that models values (fields, pixels) returns itself.
    fn columns(&mut self) -> Option<&mut dyn ColumnCodec> {
        None
    }

    /// The codec's way to take a whole block, when it has one. Such a codec also takes columns.
    fn blocks(&mut self) -> Option<&mut dyn BlockCodec> {
        None
    }

    /// The model that a decoder needs, when the codec has one. Its prefix goes into the frame.
    fn model(&self) -> Option<ModelId> {
        None
    }

    /// The codec of blocks that this one does not fit, when it has one.
    fn fallback(&mut self) -> Option<&mut dyn Codec> {
        None
    }

    /// Whether a block of the last column may be smaller in the fallback's hands.
    fn falls_back(&self) -> bool {
        false
    }

    /// Which it was, after [`Codec::falls_back`]: whether the block of the last column is the fallback's, or stayed this codec's.
    fn settle(&mut self, _fell_back: bool) {}

    /// Values coded since the last call that the model does not fit, which zstd coded in its place. None where there is no model.
    fn take_misfits(&mut self) -> u64 {
        0
    }
}

/// A codec that takes a column of values with their boundaries.
pub trait ColumnCodec {
    /// Appends the encoded column to `output`. Boundaries must come back from [`ColumnCodec::decode_column`].
    fn encode_column(&mut self, values: ColumnRef<'_>, output: &mut Vec<u8>) -> Result<(), CodecError>;

    /// Decodes a column of exactly `count` values and at most `limit` bytes into `column`.
    fn decode_column(
        &mut self,
        input: &[u8],
        count: usize,
        limit: usize,
        column: &mut Column,
    ) -> Result<(), CodecError>;
}

/// A codec that takes whole blocks: the values, and what Kafka keeps beside a value, which may say much about it, or it
/// about them: key, headers, timestamp, offset.
///
/// A block is two streams, so that the container can code what stands beside the values by itself where that is smaller:
/// the values stand on their own, and what stands beside them may be decoded with their help.
pub trait BlockCodec {
    /// Appends the coded column of values to `values`, as [`ColumnCodec::encode_column`] does, and what stands beside them
    /// to `beside`; `false` when that is left to the container. `column` has the values of `rows` that are not null.
    fn encode_block(
        &mut self,
        rows: &Rows,
        column: ColumnRef<'_>,
        beside: &mut Vec<u8>,
        values: &mut Vec<u8>,
    ) -> Result<bool, CodecError>;

    /// Decodes a block of exactly `count` records, for whose number the sink has paid, into `rows`. Makes no more than
    /// twice what the sink has left, plus a constant.
    fn decode_block(
        &mut self,
        beside: &[u8],
        values: &[u8],
        count: usize,
        rows: &mut RowSink<'_>,
    ) -> Result<(), CodecError>;
}

/// Values of one column laid end to end: value `i` is `bytes[ends[i - 1]..ends[i]]`.
#[derive(Clone, Copy, Debug)]
pub struct ColumnRef<'a> {
    /// All values, concatenated.
    pub bytes: &'a [u8],
    /// Where each value ends in `bytes`; not decreasing; the last is `bytes.len()`.
    pub ends: &'a [u32],
}

/// Owned twin of [`ColumnRef`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Column {
    /// All values, concatenated.
    pub bytes: Vec<u8>,
    /// Where each value ends in `bytes`.
    pub ends: Vec<u32>,
}

impl Column {
    /// Appends one value.
    pub fn push(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        self.ends
            .push(u32::try_from(self.bytes.len()).expect("a column holds at most one block, which is under 4 GiB"));
    }
    /// Number of values.
    pub fn len(&self) -> usize {
        self.ends.len()
    }
    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
    /// Value `i`.
    pub fn get(&self, i: usize) -> Option<&[u8]> {
        let end = *self.ends.get(i)? as usize;
        let start = if i == 0 { 0 } else { self.ends[i - 1] as usize };
        self.bytes.get(start..end)
    }
    /// Empties the column and keeps its memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
    /// Borrows the column.
    pub fn as_ref(&self) -> ColumnRef<'_> {
        ColumnRef { bytes: &self.bytes, ends: &self.ends }
    }
}

/// Content address of a model artefact: BLAKE3 of its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelId([u8; 32]);

/// The first four bytes of a [`ModelId`]: what a frame can afford to carry.
pub type ModelPrefix = [u8; 4];

impl ModelId {
    /// The id of these artefact bytes.
    pub fn of(artefact: &[u8]) -> Self {
        Self(*blake3::hash(artefact).as_bytes())
    }
    /// From the 32 bytes of a hash.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
    /// The 32 bytes of the hash.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
    /// What frames carry.
    pub fn prefix(&self) -> ModelPrefix {
        [self.0[0], self.0[1], self.0[2], self.0[3]]
    }
    /// What the shortest frames carry, where the id begins as they do.
    pub fn short_name(&self) -> Option<ShortName> {
        (self.0[0] == SHORTEST_MAGIC).then_some([self.0[0], self.0[1], self.0[2]])
    }
}

impl std::fmt::Display for ModelId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for ModelId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ModelId({self})")
    }
}

impl std::str::FromStr for ModelId {
    type Err = ParseModelIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseModelIdError { text: text.to_owned() };
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(error());
        }
        let mut bytes = [0; 32];
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).map_err(|_| error())?;
        }
        Ok(Self(bytes))
    }
}

impl serde::Serialize for ModelId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for ModelId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Why a text is no model id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no model id: a model id is 64 hexadecimal digits")]
pub struct ParseModelIdError {
    text: String,
}

/// The first three bytes of a [`ModelId`]: what the shortest frames carry.
pub type ShortName = [u8; 3];

/// How a stream names the model it was written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ModelRef {
    /// The prefix in one of our frames.
    Prefix(ModelPrefix),
    /// The name in one of our shortest frames. A registry gives it to one model, and never to another one.
    Short(ShortName),
    /// The dictionary id in a zstd frame header.
    ZstdDictionary(u32),
}

impl ModelRef {
    /// What a frame names.
    pub const fn of(guard: Guard) -> Option<Self> {
        match guard {
            Guard::Checksum(_) => None,
            Guard::Model(prefix) => Some(Self::Prefix(prefix)),
            Guard::ShortModel(name) => Some(Self::Short(name)),
        }
    }

    /// Whether these are the first bytes of a model's id. A dictionary's number is none of them.
    pub fn begins(self, id: &ModelId) -> bool {
        match self {
            Self::Prefix(prefix) => id.prefix() == prefix,
            Self::Short(name) => id.short_name() == Some(name),
            Self::ZstdDictionary(_) => false,
        }
    }
}

/// Where a decoder finds the artefacts that streams name. Implemented by the registry; pure code sees only this.
pub trait ModelSource: Send + Sync {
    /// The artefact's bytes, or why there is none and where it was looked for.
    fn artefact(&self, model: ModelRef) -> Result<Arc<[u8]>, MissingModel>;

    /// Who makes codecs of artefacts. Without a word nobody does, and frames that name a model are an error.
    fn learned(&self) -> &dyn LearnedCodecs {
        &NoLearnedCodecs
    }
}

/// Makes codecs that need a model. Implemented where the models are; pure code sees only this.
pub trait LearnedCodecs {
    /// The codec that `algorithm` is with this artefact, which comes from anywhere.
    fn open(&self, algorithm: Algorithm, artefact: &Arc<[u8]>) -> Result<Box<dyn Codec>, CodecError>;
}

/// Knows no learned codec.
pub struct NoLearnedCodecs;

impl LearnedCodecs for NoLearnedCodecs {
    fn open(&self, algorithm: Algorithm, _artefact: &Arc<[u8]>) -> Result<Box<dyn Codec>, CodecError> {
        Err(algorithm.corrupt("the frame names a model, and no codec of this reader takes one: use a newer latentd"))
    }
}

/// A source without models.
pub struct NoModels;

impl ModelSource for NoModels {
    fn artefact(&self, model: ModelRef) -> Result<Arc<[u8]>, MissingModel> {
        Err(MissingModel { model, looked_in: "no registry is configured".to_owned(), retriable: false })
    }
}
