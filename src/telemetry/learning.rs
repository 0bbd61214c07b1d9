//! What a pipeline says of its learning: why it trains or does not, and what it chose.

use serde::Serialize;
use utoipa::ToSchema;

/// How learning stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct LearningReport {
    /// `train` or `wait`.
    pub decision: String,
    /// Why, from a closed set: `first`, `pays_off`, `age`, `asked`, `too_little`, `too_soon`, `nothing_new`, `busy`, `held`, `not_paid`,
    /// `no_drift`, `elsewhere`, `nothing`.
    pub cause: String,
    /// Why, in words.
    pub reason: String,
    /// Bytes that each of the newest records took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_record: Option<f64>,
    /// Bytes that each is expected to take with a model made now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_bytes_per_record: Option<f64>,
    /// What the model in use has cost beyond that since it was made, in the currency of `[cost]`.
    pub owed: f64,
    /// What `owed` has to come to for a training.
    pub price: f64,
    /// How far the training under way is, where it takes minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub training: Option<ProgressReport>,
    /// How the last training ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<TrainingReport>,
}

/// How far a training is.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ProgressReport {
    /// `float`, `quantised` or `calibration`.
    pub phase: String,
    /// How much of its budget is spent: 0 to 1.
    pub fraction: f64,
    /// Steps done.
    pub step: u32,
    /// Bits for each sample of a value in the latest step.
    pub loss: f64,
    /// The same of what it is validated on, at the latest checkpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<f64>,
    /// How often it went back to a checkpoint.
    pub rewinds: u32,
    /// CPU time that it has had.
    pub cpu_seconds: f64,
    /// CPU time that it will still take.
    pub cpu_seconds_left: f64,
}

/// A training that has ended.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct TrainingReport {
    /// When it ended, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Why it began.
    pub cause: String,
    /// `replaced`, `kept`, `nothing` or `failed`.
    pub outcome: String,
    /// More, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// CPU time that it took.
    pub cpu_seconds: f64,
}

/// What a pipeline chose among all codecs.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ChoiceReport {
    /// The codec in use.
    pub codec: String,
    /// When it was chosen, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// All that were measured, the cheapest first.
    pub candidates: Vec<CandidateReport>,
}

/// A codec that was measured on the newest records.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct CandidateReport {
    /// The codec.
    pub codec: String,
    /// Bytes on the log for each record, everything in.
    pub bytes_per_record: f64,
    /// 10⁶ raw bytes that a CPU second codes.
    pub encode_mb_per_second: f64,
    /// 10⁶ raw bytes that a CPU second gives back.
    pub decode_mb_per_second: f64,
    /// The price of 10⁶ records, in the currency of `[cost]`.
    pub price_per_million: f64,
    /// Of it, CPU.
    pub cpu: f64,
    /// Of it, bytes moved.
    pub moved: f64,
    /// Of it, bytes kept.
    pub kept: f64,
    /// Of it, the model.
    pub model: f64,
    /// Why it is not taken at any price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excluded: Option<String>,
}
