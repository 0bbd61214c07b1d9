//! The states of a pipeline.

use std::fmt;

use serde::Serialize;
use utoipa::ToSchema;

/// What a pipeline is doing. The names are metric labels and API values: a closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PipelineState {
    /// Looking topics up, joining the group, fencing a predecessor.
    Starting,
    /// Records flow, or would if there were any.
    Running,
    /// Somebody asked for a pause: partitions are kept, nothing is consumed.
    Paused,
    /// Something outside is missing (a broker, a right, a topic, a model); it goes on by itself.
    Waiting,
    /// Finishing what was read, taking nothing new.
    Draining,
    /// Ended as asked.
    Stopped,
    /// Ended because it could not go on: a human must act.
    Failed,
}

impl PipelineState {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Starting, Self::Running, Self::Paused, Self::Waiting, Self::Draining, Self::Stopped, Self::Failed];

    /// The name in metrics and in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Waiting => "waiting",
            Self::Draining => "draining",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }

    /// Whether the pipeline does what it was told. A pause is what it was told.
    pub const fn is_ready(self) -> bool {
        matches!(self, Self::Running | Self::Paused)
    }
}

impl fmt::Display for PipelineState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_and_the_metrics_call_a_state_the_same() {
        for state in PipelineState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.name());
        }
    }
}
