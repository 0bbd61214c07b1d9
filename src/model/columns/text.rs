//! Texts that no alphabet has: token by token, or byte by byte with the distributions of a byte after the bytes before it.

use crate::payload::fields::Page;

use super::chain::{Chain, ChainCounts};
use super::coding::{Sink, Source};
use super::decoding::DecodingChain;
use super::dense::Dense;
use super::fault::Fault;
use super::model::afford;
use super::parts::TextParts;
use super::registers::mix;
use super::tokens::{TokenModel, Vocabulary};

/// How many bytes each context looks back.
pub(super) const ORDERS: [usize; 3] = [4, 3, 2];

/// Bits of a length's class.
const CLASSES: usize = 33;

/// Codes texts on their own, as a record or a small block has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TextModel {
    bytes: Chain,
    decoding: DecodingChain,
}

/// The key of the context that looks back `order` bytes, in a text of this column.
#[inline]
pub(super) fn key(order: usize, column: usize, history: u64) -> u32 {
    let kept = history & ((1u64 << (8 * order)) - 1);
    let tagged = kept as i64 ^ (order as i64) << 56;
    let column = if order == 2 { 0 } else { column as i64 };
    mix(mix(0, tagged), column) as u32
}

impl TextModel {
    /// From what was learned.
    pub fn new(bytes: &ChainCounts) -> Self {
        Self { bytes: Chain::new(bytes), decoding: DecodingChain::new(bytes) }
    }

    pub fn encode(&self, column: usize, text: &[u8], sink: &mut impl Sink) {
        let mut history = 0u64;
        for byte in text {
            self.bytes.encode(u16::from(*byte), |level| key(ORDERS[level], column, history), sink);
            history = history << 8 | u64::from(*byte);
        }
    }

    /// Appends `length` bytes.
    pub fn decode(&self, column: usize, length: usize, source: &mut impl Source, page: &mut Page) {
        let mut history = 0u64;
        for _ in 0..length {
            let byte =
                self.decoding.decode(|level| key(ORDERS[level], column, history), self.bytes.last_resort(), source)
                    as u8;
            page.push(byte);
            history = history << 8 | u64::from(byte);
        }
    }
}

/// What texts among the symbols are coded with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Spelling {
    Bytes(TextModel),
    Tokens(Box<TokenModel>),
}

impl Spelling {
    /// From what was learned, for texts of so many columns.
    pub fn new(parts: &TextParts, columns: usize) -> Self {
        match parts {
            TextParts::Bytes(counts) => Self::Bytes(TextModel::new(counts)),
            TextParts::Tokens { tokens, chain } => {
                Self::Tokens(Box::new(TokenModel::new(Vocabulary::new(tokens.clone()), chain, columns)))
            }
        }
    }

    /// Codes a text, and where it ends.
    #[inline]
    pub fn encode(&self, column: usize, text: &[u8], lengths: &Dense, sink: &mut impl Sink) {
        match self {
            Self::Bytes(model) => {
                encode_length(lengths, text.len(), sink);
                model.encode(column, text, sink);
            }
            Self::Tokens(model) => model.encode(column, text, sink),
        }
    }

    /// Appends a text.
    #[inline]
    pub fn decode(
        &self,
        column: usize,
        lengths: &Dense,
        source: &mut impl Source,
        page: &mut Page,
    ) -> Result<(), Fault> {
        match self {
            Self::Bytes(model) => {
                let length = decode_length(lengths, source);
                afford(page, length)?;
                model.decode(column, length, source, page);
                Ok(())
            }
            Self::Tokens(model) => model.decode(column, source, page),
        }
    }
}

/// The class of a text's length: its number of bits.
pub(super) fn length_class(length: usize) -> u16 {
    (usize::BITS - length.leading_zeros()) as u16
}

/// Codes a length of less than 4 GiB: its class, then the bits below the leading one.
pub(super) fn encode_length(lengths: &Dense, length: usize, sink: &mut impl Sink) {
    let class = length_class(length);
    lengths.encode(class, sink);
    if class > 1 {
        sink.raw(length as u64 ^ 1 << (class - 1), u32::from(class) - 1);
    }
}

pub(super) fn decode_length(lengths: &Dense, source: &mut impl Source) -> usize {
    match lengths.decode(source) {
        0 => 0,
        class => (1 << (class - 1) | source.raw(u32::from(class) - 1)) as usize,
    }
}

/// Number of classes of lengths.
pub(super) const fn length_classes() -> usize {
    CLASSES
}
