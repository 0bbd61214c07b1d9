//! Why bytes are no record, block or framing.

use std::fmt::Display;

use crate::codec::{Algorithm, CodecError};

/// Why symbols make no record. A byte: every value that is decoded gives one or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("it would be longer than is allowed")]
    Limit,
    // What follows no encoder writes.
    #[error("no such text is remembered")]
    NotRemembered,
    #[error("there is nothing to echo")]
    NoEcho,
    #[error("a number has no text")]
    NoText,
    #[error("a column has fewer texts than are asked for")]
    FewTexts,
    #[error("a regular record has foreign bytes")]
    Foreign,
    #[error("foreign bytes lead to no slot")]
    NoSlot,
    #[error("a value that follows another at once has no bytes")]
    NoBytes,
    #[error("a number of its framing is none")]
    NoNumber,
    #[error("a binary number has no such text")]
    NotBinary,
    #[error("no such formula is known")]
    NoFormula,
    #[error("a formula is of a field that is not there")]
    NoField,
    #[error("a header's name is no UTF-8")]
    NoName,
}

impl Fault {
    /// As a codec says it, where so many bytes were allowed.
    pub fn error(self, limit: usize) -> CodecError {
        match self {
            Self::Limit => CodecError::LimitExceeded { limit },
            fault => corrupt(fault),
        }
    }
}

/// Damaged bytes.
pub(super) fn corrupt(detail: impl Display) -> CodecError {
    CodecError::Corrupt { algorithm: Algorithm::Columns, detail: detail.to_string() }
}
