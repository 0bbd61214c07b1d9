//! Why bytes are no record, block or framing.

use std::fmt::Display;

use crate::codec::{Algorithm, CodecError};

/// Why symbols make no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It would be longer than is allowed.
    Limit,
    /// No encoder writes such symbols.
    Corrupt(&'static str),
}

impl Fault {
    /// As a codec says it, where so many bytes were allowed.
    pub fn error(self, limit: usize) -> CodecError {
        match self {
            Self::Limit => CodecError::LimitExceeded { limit },
            Self::Corrupt(detail) => corrupt(detail),
        }
    }
}

/// Damaged bytes.
pub(super) fn corrupt(detail: impl Display) -> CodecError {
    CodecError::Corrupt { algorithm: Algorithm::Columns, detail: detail.to_string() }
}
