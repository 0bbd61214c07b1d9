//! What a pipeline says of the records that it generates: whether it publishes them, and what decides that.

use serde::Serialize;
use utoipa::ToSchema;

use super::learning::{ProgressReport, TrainingReport};

/// How generating stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct AugmentReport {
    /// `waiting`, `publishing` or `blocked`.
    pub state: String,
    /// Why, in words.
    pub reason: String,
    /// The model that is drawn from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Its generator's family.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generator: Option<String>,
    /// The report that decided: `ce_latentdreport` of the records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<String>,
    /// `pass`, `warn` or `block`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// When that report was made, in milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judged_ms: Option<i64>,
    /// The gates of that report.
    pub gates: Vec<GateReport>,
}

/// A gate of a report.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct GateReport {
    /// Its name.
    pub gate: String,
    /// What was measured.
    pub value: f64,
    /// Up to where it passes, or from where on: of two such ends the one that is nearer to the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// `pass`, `warn` or `block`.
    pub verdict: String,
    /// What it means, in words.
    pub explanation: String,
}

/// How the learning of a generator stands, beside that of the codec.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct GeneratorReport {
    /// `train` or `wait`.
    pub decision: String,
    /// Why, from a closed set: `first`, `grown`, `moved`, `fallen`, `age`, `asked`, `too_little`, `too_soon`, `fresh`, `busy`, `elsewhere`.
    pub cause: String,
    /// Why, in words.
    pub reason: String,
    /// The generator in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How far the training under way is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub training: Option<ProgressReport>,
    /// How the last training ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<TrainingReport>,
}
