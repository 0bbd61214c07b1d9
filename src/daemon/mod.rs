//! The daemon: configuration in, running pipelines out, signals between.
//!
//! Start order: logs, configuration, registry, admin server, pipelines, ready. Stop order: not ready, pipelines stop
//! polling, finish or abort their transactions and leave their groups, the admin server last; one deadline for all.

mod actions;
mod pipelines;

pub use pipelines::PipelineSet;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::admin::{AdminError, AdminHandle, AdminServer, AdminSettings};
use crate::config::{self, Config, ConfigErrors};
use crate::registry::{Registry, RegistryError};
use crate::telemetry::StatusBoard;
use crate::telemetry::log::{self, LogError};
use actions::DaemonActions;

/// Why the daemon did not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The configuration has errors.
    #[error("{}", .0.rendered(config::Style::Plain))]
    Config(ConfigErrors),
    /// The log cannot be set up.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The registry's URL is of no use.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The admin server has no port.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The operating system refused a thread or a signal handler.
    #[error("the operating system refused {what}")]
    System {
        /// What.
        what: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Some pipeline did not end within the deadline; what it had not committed will be read again.
    #[error("{0} did not end within the shutdown deadline; what was not committed will be read again")]
    Undrained(String),
}

/// Runs the daemon until it is told to stop.
pub fn run(path: &Path) -> Result<(), DaemonError> {
    let runtime = Runtime::new().map_err(|source| DaemonError::System { what: "a runtime", source })?;
    let daemon = Daemon::load(path, &runtime)?;
    let reason = runtime.block_on(daemon.until_stopped())?;
    tracing::info!(target: "latentd", reason, "draining");
    daemon.stop()
}

/// A running daemon.
pub struct Daemon {
    board: StatusBoard,
    pipelines: Arc<PipelineSet>,
    actions: Arc<DaemonActions>,
    admin: AdminHandle,
    stop_admin: CancellationToken,
    deadline: Duration,
}

impl Daemon {
    /// Starts what the configuration at `path` says, its log included: one daemon per process.
    pub fn load(path: &Path, runtime: &Runtime) -> Result<Self, DaemonError> {
        let config = config::load(path).map_err(DaemonError::Config)?;
        let board = StatusBoard::new(env!("CARGO_PKG_VERSION"));
        log::init(&config.log, board.errors())?;
        for notice in config.notices() {
            tracing::warn!(target: "latentd", "{}", notice.rendered(config::Style::Plain));
        }
        Self::start(path, config, board, runtime)
    }

    /// Where page, API and metrics are served.
    pub fn addr(&self) -> SocketAddr {
        self.admin.addr()
    }

    fn start(path: &Path, config: Config, board: StatusBoard, runtime: &Runtime) -> Result<Self, DaemonError> {
        let token = config.admin.token.as_ref().map(|token| token.expose().to_owned());
        // The port first: a daemon that cannot be watched starts nothing.
        let server = AdminServer::bind(&AdminSettings::new(config.admin.listen, token))?;
        let options = config.registry.options.iter().map(|(name, value)| (name.clone(), value.expose().to_owned()));
        let registry = Registry::open(config.registry.url.as_str(), &options.collect())?;
        let deadline = config.shutdown.deadline;
        let path: PathBuf = path.to_owned();
        let pipelines = Arc::new(PipelineSet::new(board.clone(), registry.clone(), runtime.handle().clone(), &config));
        let actions = Arc::new(DaemonActions::new(path, config, Arc::clone(&pipelines), registry, runtime));
        let stop_admin = CancellationToken::new();
        let admin = server.spawn(board.clone(), Arc::clone(&actions) as _, stop_admin.clone())?;
        tracing::info!(target: "latentd", version = env!("CARGO_PKG_VERSION"), admin = %admin.addr(), "started");
        actions.start_all().map_err(|source| DaemonError::System { what: "a thread", source })?;
        Ok(Self { board, pipelines, actions, admin, stop_admin, deadline })
    }

    /// Waits for a signal to stop; reloads on SIGHUP; tells systemd what happens.
    async fn until_stopped(&self) -> Result<&'static str, DaemonError> {
        let refused = |source| DaemonError::System { what: "a signal handler", source };
        let mut terminate = signal(SignalKind::terminate()).map_err(refused)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(refused)?;
        let mut hangup = signal(SignalKind::hangup()).map_err(refused)?;
        notify(&[sd_notify::NotifyState::Ready]);
        loop {
            tokio::select! {
                _ = terminate.recv() => return Ok("SIGTERM"),
                _ = interrupt.recv() => return Ok("SIGINT"),
                _ = hangup.recv() => {
                    let actions = Arc::clone(&self.actions);
                    // Reading files and stopping pipelines blocks.
                    let reloaded = tokio::task::spawn_blocking(move || actions.reload_and_tell()).await;
                    if let Err(error) = reloaded {
                        tracing::error!(target: "latentd", "the reload ended by a panic: {error}");
                    }
                }
            }
        }
    }

    /// Drains and stops everything, under the configured deadline.
    pub fn stop(self) -> Result<(), DaemonError> {
        let deadline = Instant::now() + self.deadline;
        notify(&[sd_notify::NotifyState::Stopping]);
        self.board.drain();
        let late = self.pipelines.stop_all(deadline);
        self.stop_admin.cancel();
        if !self.admin.join() {
            tracing::error!(target: "latentd", "the admin server ended by a panic");
        }
        if late.is_empty() {
            tracing::info!(target: "latentd", "stopped");
            return Ok(());
        }
        let names = late.iter().map(|name| format!("pipeline `{name}`")).collect::<Vec<_>>().join(", ");
        Err(DaemonError::Undrained(names))
    }
}

fn notify(states: &[sd_notify::NotifyState<'_>]) {
    // Without systemd there is nobody to tell.
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd was not told");
    }
}
