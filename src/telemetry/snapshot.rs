//! How the API shows pipelines: plain data, made from a pipeline's status at one moment.

use std::fmt;

use serde::Serialize;
use utoipa::ToSchema;

use super::augmenting::{AugmentReport, GeneratorReport};
use super::clock::unix_millis;
use super::learning::{ChoiceReport, LearningReport};
use super::rates::{Rates, Totals};
use super::state::PipelineState;

/// What a pipeline was told to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PipelineInfo {
    /// Its name.
    pub name: String,
    /// `compress`, `restore` or `generate`.
    pub operation: String,
    /// The source topics, or their pattern.
    pub from: Vec<String>,
    /// The target topic, or its template.
    pub to: String,
    /// The codec, as in the configuration; absent for a restore, which reads any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub codec: Option<String>,
    /// `block` or `record`; absent for a restore.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layout: Option<String>,
    /// `exactly-once` or `at-least-once`.
    pub delivery: String,
    /// Whether partitions need their topic's name to be told apart.
    #[serde(skip)]
    pub several_topics: bool,
}

/// The newest error, and how many there were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ErrorReport {
    /// What went wrong, from a closed set.
    pub kind: String,
    /// The error, with what to do about it.
    pub message: String,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// How many errors there were since the start, this one included.
    pub count: u64,
}

impl ErrorReport {
    /// Puts an error into the place of the one before it.
    pub(super) fn note(slot: &mut Option<Self>, kind: &'static str, error: &dyn fmt::Display) {
        let count = slot.as_ref().map_or(0, |last| last.count) + 1;
        *slot = Some(Self { kind: kind.to_owned(), message: error.to_string(), at_ms: unix_millis(), count });
    }
}

/// A pipeline as the API shows it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PipelineSnapshot {
    /// What it was told.
    #[serde(flatten)]
    pub info: PipelineInfo,
    /// What it is doing.
    pub state: PipelineState,
    /// Why, when there is something to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when it is in this state, in milliseconds since the Unix epoch.
    pub since_ms: i64,
    /// Whether a pause is asked for.
    pub pause_requested: bool,
    /// Since the daemon started.
    pub totals: Totals,
    /// At the moment.
    pub rates: Rates,
    /// Raw bytes per coded byte since the start (keys, values, headers on both sides).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
    /// The same for Kafka's own zstd-3 in batches of 128 KiB, on a sample of the same records, its overhead included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kafka_ratio: Option<f64>,
    /// Records not committed yet, over the partitions that this process reads.
    pub lag_records: i64,
    /// When it last committed, in milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_commit_ms: Option<i64>,
    /// The model in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelReport>,
    /// How its learning stands, where it learns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learning: Option<LearningReport>,
    /// What it chose, with `codec = "auto"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub choice: Option<ChoiceReport>,
    /// How its generating stands, where it generates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub augment: Option<AugmentReport>,
    /// How the learning of its generator stands, where it learns one beside its codec.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generator: Option<GeneratorReport>,
    /// The newest error outside of a worker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<ErrorReport>,
    /// Its workers.
    pub workers: Vec<WorkerSnapshot>,
}

/// A model in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ModelReport {
    /// Its id.
    pub id: String,
    /// Its family.
    pub family: String,
}

/// A worker as the API shows it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WorkerSnapshot {
    /// Its number in the pipeline.
    pub worker: usize,
    /// What it is doing.
    pub state: PipelineState,
    /// Why, when there is something to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Its partitions.
    pub partitions: Vec<PartitionSnapshot>,
    /// When it last committed, in milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_commit_ms: Option<i64>,
    /// Its newest error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<ErrorReport>,
}

/// A partition as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PartitionSnapshot {
    /// The topic.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// The next offset to read; absent until the first report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<i64>,
    /// The committed offset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub committed: Option<i64>,
    /// The offset at which the partition ends for now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<i64>,
    /// Records not committed yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag: Option<i64>,
}
