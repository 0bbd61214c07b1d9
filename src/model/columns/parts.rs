//! What training makes and the artefact holds.

use crate::payload::fields::Grammar;

use super::alphabet::Alphabet;
use super::chain::ChainCounts;
use super::feature::Context;
use super::framing::FramingParts;
use super::registers::Registers;

/// A column: a slot's values, or the choice of the literal that follows one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ColumnParts {
    /// Of values; a choice has the alphabet that its number of literals gives.
    pub alphabet: Alphabet,
    /// One for each level of the chain.
    pub contexts: Vec<Context>,
    pub chain: ChainCounts,
    /// Counts of the modelled bits below the leading one, by bucket, rising; buckets that are not here were not seen.
    pub mantissas: Vec<(u8, Vec<u32>)>,
    /// Counts of the classes of the lengths of other texts; empty where there were none.
    pub lengths: Vec<u32>,
}

/// What texts are made of: bytes, as models of versions 1 and 2 have it, or tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TextParts {
    Bytes(ChainCounts),
    Tokens { tokens: Vec<Vec<u8>>, chain: ChainCounts },
}

/// A whole model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    pub grammar: Grammar,
    /// Of the slots, then of the states.
    pub columns: Vec<ColumnParts>,
    /// How many records were foreign in part, and how many were not.
    pub regular: [u32; 2],
    /// Whether each record is coded as if it were the first.
    pub alone: bool,
    /// What is remembered before the first record.
    pub start: Registers,
    /// What texts that stand among the symbols are made of.
    pub text: TextParts,
    /// Counts of the classes of the lengths of foreign bytes.
    pub foreign: Vec<u32>,
    /// Texts of the topic, for zstd.
    pub dictionary: Vec<u8>,
    /// What Kafka keeps beside values, where that was learned too.
    pub framing: Option<FramingParts>,
}
