//! Records of fields, drawn: `autoregressive`, `vae`, `gan` and `classical` of rows.
//!
//! 1. A **codebook** (`codebook`, `learn`) makes a record a row of codes: presence and NULL, categories, numbers in bins, parts of
//!    times, choices of syntax. Nothing that fewer than five records had is in it. **Structural zeros** (`zeros`) are pairs of codes
//!    that never go together. Numbers that others make are **linked** to these (`relate`, `link`). A time that goes on from record to record is
//!    a **walk** (`walk`). All of it is a `scheme`, which all models of rows have.
//! 2. A **network** tells which codes are likely: of any variable from any set of others (`network`, `autoregressive`), or of all at once from
//!    noise (`decoder`). `crate::training::rows` trains them. Or there is none, and real rows are changed (`classical`, `bases`).
//! 3. Drawing (`draw`) begins with what the **condition** fixes (`condition`), draws the other codes, then values within their codes,
//!    and **writes** them in the topic's syntax (`writer`).
//! 4. A network that tells any variable from any others also says what is not there: what a record (`reading`) lacks is drawn (`complete`, `filling`), and
//!    what it has is weighed (`surprise`).
//!
//! All of it is integers and `f32` in a stated order: the same model, seed, condition and number give the same bytes on every
//! machine.

mod artefact;
mod autoregressive;
mod bases;
mod bin;
mod classical;
mod codebook;
mod complete;
mod condition;
mod decoder;
mod draw;
mod filling;
mod learn;
mod link;
mod network;
mod reading;
mod relate;
mod scheme;
mod surprise;
mod walk;
mod writer;
mod zeros;

use super::mixture::MixtureError;
use super::perceptron::LayerError;
pub use artefact::is_of_rows;
pub use autoregressive::RowsModel;
pub use classical::{ClassicalRecipe, ClassicalRows, MAX_BASES, MAX_NEIGHBOURS};
pub use complete::Completed;
pub use decoder::{DecoderParts, MAX_LATENTS, MAX_LAYERS, Prior, RowsDecoder};
pub use learn::{Coded, learn};
pub use network::{BlockWeights, Weights};
pub use surprise::{FieldSurprise, Surprise};

/// Most codes of all variables.
pub const MAX_CODES: usize = 8192;
/// Most fields of a record.
pub const MAX_FIELDS: usize = 1024;
/// Most units of a layer.
pub const MAX_WIDTH: usize = 1024;
/// Most blocks of a network.
pub const MAX_BLOCKS: usize = 8;

/// Why there is no model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowsError {
    /// There is too little to learn from.
    #[error("{found} records with a common syntax are too few to learn from: at least {least} are needed")]
    TooFew {
        /// How many there are.
        found: usize,
        /// How many there must be.
        least: usize,
    },
    /// Records have more in them than a model may.
    #[error("the records have {found} {what}, a model at most {most}")]
    TooWide {
        /// Fields or codes.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there may be.
        most: usize,
    },
    /// The bytes are no model of rows.
    #[error("it is no model of rows: {0}")]
    Invalid(String),
    /// A newer program wrote it.
    #[error("it has version {version} of the format, this program reads {}: use a newer latentd", artefact::VERSION)]
    Version {
        /// What it says.
        version: u32,
    },
}

impl From<MixtureError> for RowsError {
    fn from(error: MixtureError) -> Self {
        match error {
            MixtureError::Invalid(what) => Self::Invalid(what.to_owned()),
            MixtureError::TooFew { found } => Self::TooFew { found, least: super::mixture::FEWEST },
        }
    }
}

impl From<LayerError> for RowsError {
    fn from(error: LayerError) -> Self {
        Self::Invalid(error.to_string())
    }
}

#[cfg(test)]
mod tests;
