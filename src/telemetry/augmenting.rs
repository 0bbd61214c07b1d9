//! What a pipeline says of the records that it generates: whether it publishes them, and what decides that.

use serde::Serialize;
use utoipa::ToSchema;

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
