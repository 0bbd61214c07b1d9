//! What the daemon says about itself: metric families, the state of pipelines, events, log lines.
//!
//! Written by whoever does the work, at the place where it happens; read by the admin server. Nothing here decides.

mod augmenting;
mod board;
mod clock;
mod condition;
mod events;
pub mod families;
mod learning;
mod limiter;
mod liveness;
pub mod log;
mod metrics;
mod pipeline_metrics;
mod pipeline_status;
mod process;
mod rates;
mod snapshot;
mod state;
mod worker_status;

pub use augmenting::{AugmentReport, GateReport, GeneratorReport};
pub use board::{Hold, NotReady, Readiness, StatusBoard};
pub use clock::{thread_cpu_seconds, unix_millis};
pub use events::{Event, EventId, EventKind, Events, Heard, Subscription};
pub use learning::{CandidateReport, ChoiceReport, LearningReport, ProgressReport, TrainingReport};
pub use limiter::{Limiter, Verdict};
pub use liveness::{Liveness, Stuck, Watched};
pub use log::ErrorLog;
pub use metrics::Metrics;
pub use pipeline_metrics::{
    CodecBatch, CodecMetrics, Direction, Lag, PipelineFamilies, PipelineMetrics, Published, PublishedKind,
};
pub use pipeline_status::{Control, PipelineStatus};
pub use rates::{Rates, Totals};
pub use snapshot::{ErrorReport, ModelReport, PartitionSnapshot, PipelineInfo, PipelineSnapshot, WorkerSnapshot};
pub use state::PipelineState;
pub use worker_status::{Progress, WorkerStatus};
