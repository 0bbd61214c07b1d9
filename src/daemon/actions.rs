//! What the admin server and signals can ask of the daemon.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use tokio::runtime::{Handle, Runtime};

use super::drawing;
use super::pipelines::{Common, PipelineSet, StartError};
use crate::admin::{ActionError, Actions, GenerateRequest, Generated, ReloadSummary, Role};
use crate::config::{self, Config};
use crate::registry::{Expect, Registry, RegistryError, Signature, generator_of, log_of};
use crate::telemetry::{EventKind, PipelineState, PipelineStatus};

/// How long the registry may take to answer.
const ASK: Duration = Duration::from_secs(20);

/// The daemon's side of [`Actions`].
pub struct DaemonActions {
    path: PathBuf,
    config: Mutex<Config>,
    deadline: Mutex<Duration>,
    pipelines: Arc<PipelineSet>,
    registry: Registry,
    runtime: Handle,
    /// Who changes models for whoever calls.
    by: String,
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
        let deadline = Mutex::new(config.shutdown.deadline);
        let by = format!("{}/{}, by the API", config.daemon.name, config.daemon.instance);
        let (config, runtime) = (Mutex::new(config), runtime.handle().clone());
        Self { path, config, deadline, pipelines, registry, runtime, by }
    }

    /// Starts every pipeline of the configuration.
    pub fn start_all(&self) -> Result<(), StartError> {
        let config = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        config.pipelines.iter().try_for_each(|settings| self.pipelines.start(settings, &common(&config)))
    }

    /// How long stopping may take.
    pub fn deadline(&self) -> Duration {
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no reload is under way; false when one still is at the deadline.
    pub fn settle(&self, deadline: Instant) -> bool {
        while matches!(self.config.try_lock(), Err(TryLockError::WouldBlock)) {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        true
    }

    /// Reloads, and tells the log and the event bus how it went.
    pub fn reload_and_tell(&self) -> Result<ReloadSummary, ActionError> {
        let result = self.try_reload();
        let (applied, message) = match &result {
            Ok(summary) => (true, summary.to_string()),
            Err(error @ ActionError::Failed(_)) => (true, error.to_string()),
            Err(error) => (false, error.to_string()),
        };
        match (&result, applied) {
            (Ok(_), _) => tracing::info!(target: "latentd", "reloaded: {message}"),
            (Err(_), true) => tracing::error!(target: "latentd", "reloaded, but {message}"),
            (Err(_), false) => {
                tracing::error!(target: "latentd", "not reloaded, everything stays as it was: {message}");
            }
        }
        self.pipelines.board().events().publish(None, EventKind::Reload { applied, message });
        result
    }

    /// [`ActionError::Failed`] says that the new configuration is in force and not all of it works; after any other error
    /// everything is as it was.
    fn try_reload(&self) -> Result<ReloadSummary, ActionError> {
        // One reload at a time; the lock is held to its end.
        let mut current = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        let new =
            config::load(&self.path).map_err(|errors| ActionError::Invalid(errors.rendered(config::Style::Plain)))?;
        super::tell(&new);
        let restart = current.needs_restart(&new);
        if !restart.is_empty() {
            let keys: Vec<String> = restart.iter().map(ToString::to_string).collect();
            let text = format!("these keys change only with a restart of the process: {}", keys.join(", "));
            return Err(ActionError::Conflict(text));
        }
        if self.pipelines.is_closed() {
            return Err(ActionError::Unavailable("the daemon is stopping".to_owned()));
        }
        let mut changes = current.changed_pipelines(&new);
        // A pipeline that has failed is given another try: whatever stopped it may be mended.
        let (ended, keep) = changes.keep.into_iter().partition(|name| self.pipelines.has_ended(name));
        changes.keep = keep;
        changes.restart.extend::<Vec<String>>(ended);
        let deadline = Instant::now() + current.shutdown.deadline;
        let gone: Vec<String> = changes.stop.iter().chain(&changes.restart).cloned().collect();
        for late in self.pipelines.stop(&gone, deadline) {
            tracing::warn!(target: "latentd", pipeline = late, "did not end in time; what it had not committed is read again");
        }
        for name in &changes.stop {
            self.pipelines.board().remove(name);
        }
        let common = common(&new);
        let begin = new
            .pipelines
            .iter()
            .filter(|settings| changes.start.contains(&settings.name) || changes.restart.contains(&settings.name));
        let failures: Vec<String> = begin
            .filter_map(|settings| {
                Some(format!("`{}`: {}", settings.name, self.pipelines.start(settings, &common).err()?))
            })
            .collect();
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner) = new.shutdown.deadline;
        *current = new;
        if !failures.is_empty() {
            return Err(ActionError::Failed(format!("not all of it was started: {}", failures.join("; "))));
        }
        Ok(ReloadSummary {
            added: changes.start,
            removed: changes.stop,
            restarted: changes.restart,
            unchanged: changes.keep,
        })
    }

    fn known(&self, pipeline: &str) -> Result<Arc<PipelineStatus>, ActionError> {
        let status = self.pipelines.board().pipeline(pipeline);
        status.ok_or_else(|| ActionError::NotFound(format!("there is no pipeline `{pipeline}`")))
    }

    fn signature(&self) -> Signature {
        let at = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        Signature { by: self.by.clone(), at, retention_ms: None }
    }

    fn control(&self, pipeline: &str, paused: bool) -> Result<(), ActionError> {
        let status = self.known(pipeline)?;
        let (state, reason) = status.state();
        if matches!(state, PipelineState::Failed | PipelineState::Stopped) {
            let because = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
            let text = format!("pipeline `{pipeline}` has {state}{because}: a reload starts it again");
            return Err(ActionError::Conflict(text));
        }
        if paused {
            status.control().pause()
        } else {
            status.control().resume()
        }
        Ok(())
    }
}

impl DaemonActions {
    /// Asks the registry, which may be on the other side of the world.
    fn ask<T>(&self, question: impl Future<Output = Result<T, RegistryError>>) -> Result<T, ActionError> {
        match self.runtime.block_on(async { tokio::time::timeout(ASK, question).await }) {
            Ok(answer) => answer.map_err(|error| sorted(&error)),
            Err(_) => {
                let text = format!("the registry has not answered for {} s", ASK.as_secs());
                Err(ActionError::Unavailable(text))
            }
        }
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

    fn train(&self, pipeline: &str) -> Result<(), ActionError> {
        let status = self.known(pipeline)?;
        let learns = {
            let config = self.config.lock().unwrap_or_else(PoisonError::into_inner);
            config.pipelines.iter().any(|settings| settings.name == pipeline && settings.learn.is_some())
        };
        if !learns {
            let text = format!("pipeline `{pipeline}` learns nothing: give it a table `[pipelines.{pipeline}.learn]`");
            return Err(ActionError::Conflict(text));
        }
        if status.learning().is_some_and(|learning| learning.cause == "elsewhere") {
            let text = format!(
                "pipeline `{pipeline}` is trained by the process that holds its topic's first partition: ask that one"
            );
            return Err(ActionError::Conflict(text));
        }
        status.control().train();
        Ok(())
    }

    fn models(&self) -> Result<Vec<Value>, ActionError> {
        let listing = self.ask(self.registry.list())?;
        listing.models.iter().map(json).collect()
    }

    fn model(&self, id: &str) -> Result<Value, ActionError> {
        let manifest = self.ask(async {
            let id = self.registry.resolve(id).await?;
            self.registry.manifest(&id).await
        })?;
        json(&manifest)
    }

    fn promote(&self, id: &str, pipeline: Option<&str>) -> Result<Value, ActionError> {
        let (id, family, pipeline) = self.ask(async {
            let id = self.registry.resolve(id).await?;
            let manifest = self.registry.manifest(&id).await?;
            Ok((id, manifest.family, pipeline.map_or(manifest.pipeline, str::to_owned)))
        })?;
        self.known(&pipeline)?;
        let log = log_of(&pipeline, &family);
        json(&self.ask(self.registry.set_active(&log, &id, Expect::Anything, &self.signature()))?)
    }

    fn generate(&self, pipeline: &str, request: &GenerateRequest) -> Result<Generated, ActionError> {
        let status = self.known(pipeline)?;
        drawing::check(request)?;
        let Some(augmentation) = self.pipelines.augmentation(pipeline) else {
            let text =
                format!("pipeline `{pipeline}` generates nothing: give it a table `[pipelines.{pipeline}.augment]`");
            return Err(ActionError::Conflict(text));
        };
        let Some(licence) = augmentation.licence() else {
            let reason = status.snapshot().augment.map_or_else(String::new, |augment| augment.reason);
            return Err(ActionError::Conflict(format!(
                "pipeline `{pipeline}` publishes no generated records: {reason}"
            )));
        };
        let generated = drawing::drawn(&licence, request)?;
        // Whoever asked for them may write them to the topic that is learned from.
        let values: Vec<_> = generated.records.iter().map(drawing::bytes).collect();
        augmentation.emitted(values.iter().map(AsRef::as_ref));
        Ok(generated)
    }

    fn rollback(&self, pipeline: &str, of: Role) -> Result<Value, ActionError> {
        self.known(pipeline)?;
        let log = match of {
            Role::Codec => pipeline.to_owned(),
            Role::Generator => generator_of(pipeline),
        };
        json(&self.ask(self.registry.rollback(&log, &self.signature()))?)
    }
}

fn common(config: &Config) -> Common {
    Common {
        kafka: config.kafka.clone(),
        memory_per_worker: config.memory_per_worker(),
        deadline: config.shutdown.deadline,
        prices: config.cost,
    }
}

fn json(value: &impl serde::Serialize) -> Result<Value, ActionError> {
    serde_json::to_value(value).map_err(|error| ActionError::Failed(error.to_string()))
}

fn sorted(error: &RegistryError) -> ActionError {
    match error {
        RegistryError::NotFound { .. } => ActionError::NotFound(error.to_string()),
        RegistryError::Invalid { .. } => ActionError::Invalid(error.to_string()),
        RegistryError::Conflict { .. } => ActionError::Conflict(error.to_string()),
        error if error.is_retriable() => ActionError::Unavailable(error.to_string()),
        _ => ActionError::Failed(error.to_string()),
    }
}
