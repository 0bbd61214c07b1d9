//! What can go wrong in entropy coding.

/// Why a table was not made, or a stream not decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntropyError {
    /// The bytes end before the table or the stream does.
    #[error("the entropy-coded bytes end early: the record or the model was cut")]
    Truncated,
    /// The bytes are not what an encoder writes.
    #[error("the entropy-coded bytes are corrupt: {what}")]
    Corrupt {
        /// What was found.
        what: &'static str,
    },
    /// A table would pass the caller's cap.
    #[error("a table has {needed} symbols, over the cap of {limit}")]
    LimitExceeded {
        /// The cap.
        limit: usize,
        /// What the table asks for.
        needed: usize,
    },
    /// No table has this shape.
    #[error("no table of {bits} bits for {symbols} symbols, {codable} of which can be coded: {what}")]
    Shape {
        /// The bits of its probabilities.
        bits: u32,
        /// The size of its alphabet.
        symbols: usize,
        /// Symbols with a count or a frequency.
        codable: usize,
        /// Which rule it breaks.
        what: &'static str,
    },
}
