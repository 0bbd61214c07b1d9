//! What makes numbers no network.

/// Why numbers are no layer or no net.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// Its parts do not fit one another.
    #[error("{what} should have {expected} numbers and has {found}")]
    Length {
        /// Which part.
        what: &'static str,
        /// What its shape asks for.
        expected: usize,
        /// What there is.
        found: usize,
    },
    /// A number is not what it may be.
    #[error("{what} is {found}, and may be {accepted}")]
    Range {
        /// Which number.
        what: &'static str,
        /// What it is.
        found: i64,
        /// What it may be.
        accepted: &'static str,
    },
    /// A sum could leave 32 bits.
    #[error("row {row} of a layer could overflow: its bias is {bias}, and it has {inputs} inputs")]
    Overflow {
        /// The row.
        row: usize,
        /// Its bias.
        bias: i32,
        /// How many products it adds up.
        inputs: usize,
    },
}

/// Whether a part has the length that it should have.
pub(super) fn check_length(what: &'static str, expected: usize, found: usize) -> Result<(), EngineError> {
    if expected == found { Ok(()) } else { Err(EngineError::Length { what, expected, found }) }
}
