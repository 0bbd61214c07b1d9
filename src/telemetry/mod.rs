//! What the daemon says about itself: metric families, the state of pipelines, events, log lines.
//!
//! Written by whoever does the work, at the place where it happens; read by the admin server. Nothing here decides.

pub mod families;
mod metrics;
mod pipeline_metrics;
mod process;
mod state;

pub use metrics::Metrics;
pub use pipeline_metrics::{
    CodecBatch, CodecMetrics, Direction, Lag, PipelineFamilies, PipelineMetrics, Published, PublishedKind,
};
pub use state::PipelineState;
