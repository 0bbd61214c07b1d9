//! What a judge says.

use serde::{Deserialize, Serialize};

use super::gate::{Gate, GateName, Verdict};
use super::overlay::Overlay;
use super::schema::LeftOut;

/// All gates and what they come to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The worst verdict of any gate.
    pub verdict: Verdict,
    /// Whether models may be trained on the records: not where the lift is negative by more than half a point.
    pub for_training: bool,
    /// The gates, in the order of [`GateName::ROWS`] or [`GateName::IMAGES`].
    pub gates: Vec<Gate>,
    /// Gates that could not be evaluated.
    pub skipped: Vec<Skipped>,
    /// What was looked at.
    pub rows: Rows,
    /// What columns there are.
    pub columns: Judged,
    /// How the compared columns are distributed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overlays: Vec<Overlay>,
}

/// A gate that could not be evaluated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Skipped {
    /// Which.
    pub name: GateName,
    /// Why.
    pub reason: String,
}

/// Numbers of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rows {
    /// Real ones that the generator learned from.
    pub train: usize,
    /// Real ones that it did not.
    pub holdout: usize,
    /// Generated ones.
    pub generated: usize,
    /// Generated ones that are valid; all gates but `valid_share` judge these alone.
    pub valid: usize,
    /// Records of each kind that were compared at most, chosen by the seed.
    pub most_compared: usize,
}

/// Columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// How many features were compared: columns, or parts of times.
    pub compared: usize,
    /// Columns that were not compared.
    pub left_out: Vec<LeftOutColumn>,
}

/// A column that is not compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOutColumn {
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: LeftOut,
}

impl Report {
    /// On images, which have gates of their own and no columns.
    pub fn of_images(gates: Vec<Gate>, rows: Rows) -> Self {
        Self {
            verdict: gates.iter().map(|gate| gate.verdict).max().unwrap_or(Verdict::Block),
            for_training: true,
            gates,
            skipped: Vec::new(),
            rows,
            columns: Judged { compared: 0, left_out: Vec::new() },
            overlays: Vec::new(),
        }
    }

    /// With some gates in the place of its own, and what they come to with the others.
    pub fn with(mut self, gates: &[Gate]) -> Self {
        for gate in &mut self.gates {
            if let Some(other) = gates.iter().find(|other| other.name == gate.name) {
                gate.clone_from(other);
            }
        }
        self.verdict = self.gates.iter().map(|gate| gate.verdict).max().unwrap_or(Verdict::Block);
        self
    }

    /// A gate, if it was evaluated.
    pub fn gate(&self, name: GateName) -> Option<&Gate> {
        self.gates.iter().find(|gate| gate.name == name)
    }

    /// The gates that block.
    pub fn blocking(&self) -> impl Iterator<Item = &Gate> {
        self.gates.iter().filter(|gate| gate.verdict == Verdict::Block)
    }
}
