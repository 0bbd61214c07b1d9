//! Whether generated records may be published: gates between a generator and a topic.
//!
//! A [`Judge`] learns from real records what the topic's columns are (`schema`), then compares generated records with real
//! ones that the generator never saw (the *holdout*) and with those that it learned from. Each [`Gate`] asks one question:
//!
//! * are they real? Trees that try to tell them from held-out records (`boost`), the distributions of columns and of pairs of
//!   columns (`distributions`), neighbourhoods (`neighbours`), syntax and NULLs;
//! * are they copies? Distance to training records against distance to held-out ones, identical records;
//! * are they of use? A model trained on them, or on them and real ones, tested on held-out records (`target`).
//!
//! `docs/generation.md` has the equations, their sources, and what the gates cannot see. A [`Report`] has
//! figures, the names of columns, and of values those alone that training records had five times or more.

pub mod images;

mod boost;
mod distributions;
mod gate;
mod judge;
mod neighbours;
mod overlay;
mod report;
mod sample;
mod schema;
mod table;
mod target;
mod validator;

pub use gate::{Bounds, Gate, GateName, Verdict};
pub use judge::{Judge, LEAST_ROWS, Options};
pub use overlay::{Bins, Overlay};
pub use report::{Judged, LeftOutColumn, Report, Rows, Skipped};
pub use schema::LeftOut;
pub use validator::Validator;

/// Why records cannot be judged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QualityError {
    /// There are too few to say anything.
    #[error("{found} {what} records are too few to judge by: at least {LEAST_ROWS} are needed")]
    TooFew {
        /// Which records.
        what: &'static str,
        /// How many there are.
        found: usize,
    },
    /// The target is no column.
    #[error("no column `{name}` to predict: there are {known}")]
    UnknownTarget {
        /// What was asked for.
        name: String,
        /// The columns that there are.
        known: String,
    },
    /// The target has nothing to predict.
    #[error("column `{name}` cannot be predicted: {reason}")]
    Target {
        /// The column.
        name: String,
        /// Why not.
        reason: &'static str,
    },
    /// The trees could not be trained.
    #[error("boosted trees: {0}")]
    Trees(String),
}

#[cfg(test)]
mod tests;
