//! What can be wrong with wire bytes.

/// Why bytes are no frame of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The bytes do not begin with the magic.
    #[error("not a latentd frame: it begins neither with the bytes 91 4c nor with c1")]
    NotAFrame,
    /// The bytes end before the frame does.
    #[error("the frame ends early, at byte {at}: the record was cut")]
    Truncated {
        /// How many bytes there were.
        at: usize,
    },
    /// The bytes are not what they say they are.
    #[error("the frame is corrupt at byte {at}: {what}")]
    Corrupt {
        /// What was found.
        what: &'static str,
        /// Where, in bytes from the start of the frame.
        at: usize,
    },
    /// The checksum of what was decoded is not the one that was written.
    #[error("the frame is corrupt: its content has checksum {found:08x}, and {expected:08x} was written")]
    Checksum {
        /// What the frame says.
        expected: u32,
        /// What its content has.
        found: u32,
    },
    /// Decoding would pass a cap.
    #[error("{what} would be {needed}, over the cap of {limit}: raise the cap if such records are real")]
    LimitExceeded {
        /// What is capped.
        what: &'static str,
        /// The cap.
        limit: u64,
        /// What the frame asks for, at least.
        needed: u64,
    },
    /// A newer latentd wrote it.
    #[error("the frame has format version {version}, and this program reads version 1: use a newer latentd")]
    UnsupportedVersion {
        /// The version it has.
        version: u8,
    },
}
