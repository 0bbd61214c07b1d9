//! What the admin server and signals can ask of the daemon.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde_json::Value;
use tokio::runtime::{Handle, Runtime};

use super::pipelines::{Common, PipelineSet};
use crate::admin::{ActionError, Actions, ReloadSummary};
use crate::config::{self, Config};
use crate::registry::{Registry, RegistryError};
use crate::telemetry::EventKind;

/// The daemon's side of [`Actions`].
pub struct DaemonActions {
    path: PathBuf,
    config: Mutex<Config>,
    pipelines: Arc<PipelineSet>,
    registry: Registry,
    runtime: Handle,
}

impl DaemonActions {
    /// Actions on these pipelines, under the configuration in force.
    pub fn new(
        path: PathBuf,
        config: Config,
        pipelines: Arc<PipelineSet>,
        registry: Registry,
        runtime: &Runtime,
    ) -> Self {
        Self { path, config: Mutex::new(config), pipelines, registry, runtime: runtime.handle().clone() }
    }

    /// Starts every pipeline of the configuration.
    pub fn start_all(&self) -> std::io::Result<()> {
        let config = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        config.pipelines.iter().try_for_each(|settings| self.pipelines.start(settings, &common(&config)))
    }

    /// Reloads, and tells the log and the event bus how it went.
    pub fn reload_and_tell(&self) -> Result<ReloadSummary, ActionError> {
        let result = self.try_reload();
        let (applied, message) = match &result {
            Ok(summary) => {
                let changed =
                    [("added", &summary.added), ("removed", &summary.removed), ("restarted", &summary.restarted)];
                let parts: Vec<String> = changed
                    .iter()
                    .filter(|(_, names)| !names.is_empty())
                    .map(|(what, names)| format!("{what} {}", names.join(", ")))
                    .collect();
                (true, if parts.is_empty() { "nothing has changed".to_owned() } else { parts.join("; ") })
            }
            Err(error) => (false, error.to_string()),
        };
        if applied {
            tracing::info!(target: "latentd", "reloaded: {message}");
        } else {
            tracing::error!(target: "latentd", "not reloaded, everything stays as it was: {message}");
        }
        self.pipelines.board().events().publish(None, EventKind::Reload { applied, message });
        result
    }

    fn try_reload(&self) -> Result<ReloadSummary, ActionError> {
        // One reload at a time; the lock is held to its end.
        let mut current = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        let new =
            config::load(&self.path).map_err(|errors| ActionError::Invalid(errors.rendered(config::Style::Plain)))?;
        let restart = current.needs_restart(&new);
        if !restart.is_empty() {
            let keys: Vec<String> = restart.iter().map(ToString::to_string).collect();
            let text = format!("these keys change only with a restart of the process: {}", keys.join(", "));
            return Err(ActionError::Conflict(text));
        }
        let changes = current.changed_pipelines(&new);
        let deadline = Instant::now() + current.shutdown.deadline;
        let gone: Vec<String> = changes.stop.iter().chain(&changes.restart).cloned().collect();
        for late in self.pipelines.stop(&gone, deadline) {
            tracing::warn!(target: "latentd", pipeline = late, "did not end in time; what it had not committed is read again");
        }
        for name in &changes.stop {
            self.pipelines.board().remove(name);
        }
        let common = common(&new);
        for settings in &new.pipelines {
            if changes.start.contains(&settings.name) || changes.restart.contains(&settings.name) {
                self.pipelines
                    .start(settings, &common)
                    .map_err(|error| ActionError::Failed(format!("no thread for `{}`: {error}", settings.name)))?;
            }
        }
        let summary = ReloadSummary {
            added: changes.start,
            removed: changes.stop,
            restarted: changes.restart,
            unchanged: changes.keep,
        };
        *current = new;
        Ok(summary)
    }

    fn control(&self, pipeline: &str, paused: bool) -> Result<(), ActionError> {
        let status = self
            .pipelines
            .board()
            .pipeline(pipeline)
            .ok_or_else(|| ActionError::NotFound(format!("there is no pipeline `{pipeline}`")))?;
        if paused {
            status.control().pause()
        } else {
            status.control().resume()
        }
        Ok(())
    }
}

impl Actions for DaemonActions {
    fn reload(&self) -> Result<ReloadSummary, ActionError> {
        self.reload_and_tell()
    }

    fn pause(&self, pipeline: &str) -> Result<(), ActionError> {
        self.control(pipeline, true)
    }

    fn resume(&self, pipeline: &str) -> Result<(), ActionError> {
        self.control(pipeline, false)
    }

    fn models(&self) -> Result<Vec<Value>, ActionError> {
        let listing = self.runtime.block_on(self.registry.list()).map_err(|error| sorted(&error))?;
        listing.models.iter().map(json).collect()
    }

    fn model(&self, id: &str) -> Result<Value, ActionError> {
        let manifest = self.runtime.block_on(async {
            let id = self.registry.resolve(id).await?;
            self.registry.manifest(&id).await
        });
        json(&manifest.map_err(|error| sorted(&error))?)
    }
}

fn common(config: &Config) -> Common {
    Common {
        kafka: config.kafka.clone(),
        memory_per_worker: config.memory_per_worker(),
        deadline: config.shutdown.deadline,
    }
}

fn json(value: &impl serde::Serialize) -> Result<Value, ActionError> {
    serde_json::to_value(value).map_err(|error| ActionError::Failed(error.to_string()))
}

fn sorted(error: &RegistryError) -> ActionError {
    match error {
        RegistryError::NotFound { .. } => ActionError::NotFound(error.to_string()),
        RegistryError::Invalid { .. } => ActionError::Invalid(error.to_string()),
        error if error.is_retriable() => ActionError::Unavailable(error.to_string()),
        _ => ActionError::Failed(error.to_string()),
    }
}
