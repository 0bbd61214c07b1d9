//! What can go wrong in a codec.

use super::{Algorithm, ModelRef};
use crate::frame::FrameError;

/// Why bytes were not encoded or decoded.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The stream ends before its end.
    #[error("the {algorithm} stream ends early: the record was cut")]
    Truncated {
        /// The codec.
        algorithm: Algorithm,
    },
    /// The stream is not what it says it is.
    #[error("the {algorithm} stream is corrupt: {detail}")]
    Corrupt {
        /// The codec.
        algorithm: Algorithm,
        /// What was found.
        detail: String,
    },
    /// Decoding would pass the cap.
    #[error("decoded size is over the cap of {limit} bytes: raise `max_decoded` if such records are real")]
    LimitExceeded {
        /// The cap in bytes.
        limit: usize,
    },
    /// The bytes around the stream are no frame of ours, or a damaged one.
    #[error(transparent)]
    Frame(FrameError),
    /// The record's `content-encoding` is none that we know.
    #[error("no codec has the content-encoding `{token}`: this record was not written by this release")]
    UnknownEncoding {
        /// What the header says.
        token: String,
    },
    /// The stream names a model that is not to be had.
    #[error(transparent)]
    MissingModel(#[from] MissingModel),
    /// The coder itself failed (a library refused its parameters, memory ran out).
    #[error("the {algorithm} coder failed: {detail}")]
    Coder {
        /// The codec.
        algorithm: Algorithm,
        /// What the library said.
        detail: String,
    },
}

impl From<FrameError> for CodecError {
    fn from(error: FrameError) -> Self {
        Self::Frame(error)
    }
}

/// A model that a stream names and nobody has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no model {model}: {looked_in}")]
pub struct MissingModel {
    /// What the stream names.
    pub model: ModelRef,
    /// Where it was looked for, and what happened there.
    pub looked_in: String,
    /// Whether looking again later may find it (the store did not answer).
    pub retriable: bool,
}

impl std::fmt::Display for ModelRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Prefix(p) => write!(f, "`{:02x}{:02x}{:02x}{:02x}…`", p[0], p[1], p[2], p[3]),
            Self::Short(n) => write!(f, "`{:02x}{:02x}{:02x}…`", n[0], n[1], n[2]),
            Self::ZstdDictionary(id) => write!(f, "for zstd dictionary id {id}"),
        }
    }
}
