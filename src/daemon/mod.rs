//! The daemon: configuration in, running pipelines out, signals between.
//!
//! Start order: logs, configuration, registry, admin server, pipelines, ready. Stop order: not ready, pipelines stop
//! polling, finish or abort their transactions and leave their groups, the admin server last; one deadline for all.

mod actions;
mod drawing;
mod pipelines;

pub use pipelines::{PipelineSet, StartError};

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::admin::{AdminError, AdminHandle, AdminServer, AdminSettings};
use crate::config::{self, Config, ConfigErrors};
use crate::pipeline::Pulse;
use crate::registry::{Registry, RegistryError};
use crate::telemetry::log::{self, LogError};
use crate::telemetry::{StatusBoard, Watched};
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
    /// A pipeline has no thread.
    #[error("a pipeline cannot be started: {0}")]
    Start(#[from] StartError),
    /// The operating system refused a runtime or a signal handler.
    #[error("the operating system refused {what}")]
    System {
        /// What.
        what: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Something did not end within the deadline; what it had not committed will be read again.
    #[error("{0} did not end within the shutdown deadline; what was not committed will be read again")]
    Undrained(String),
}

/// Runs the daemon until it is told to stop.
pub fn run(path: &Path) -> Result<(), DaemonError> {
    let runtime = Runtime::new().map_err(|source| DaemonError::System { what: "a runtime", source })?;
    // Before anything runs: whoever stops the daemon while it starts is heard when it has.
    let mut signals = {
        let _inside = runtime.enter();
        Signals::listen().map_err(|source| DaemonError::System { what: "a signal handler", source })?
    };
    let daemon = Daemon::load(path, &runtime)?;
    notify(&[sd_notify::NotifyState::Ready]);
    let reason = runtime.block_on(daemon.until_stopped(&mut signals));
    tracing::info!(target: "latentd", reason, "draining");
    let stopped = daemon.stop();
    // Whatever still runs on it has missed the deadline.
    runtime.shutdown_background();
    stopped
}

/// The signals that the daemon hears.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

/// How long the runtime of the daemon may be silent: it beats once a second, and nothing on it blocks.
const RUNTIME_STALL: Duration = Duration::from_secs(60);

/// A running daemon.
pub struct Daemon {
    board: StatusBoard,
    pipelines: Arc<PipelineSet>,
    actions: Arc<DaemonActions>,
    admin: AdminHandle,
    stop_admin: CancellationToken,
    _watched: Watched,
}

impl Daemon {
    /// Starts what the configuration at `path` says, its log included: one daemon per process.
    pub fn load(path: &Path, runtime: &Runtime) -> Result<Self, DaemonError> {
        let config = config::load(path).map_err(DaemonError::Config)?;
        let board = StatusBoard::new(env!("CARGO_PKG_VERSION"));
        log::init(&config.log, board.errors())?;
        tell(&config);
        Self::start(path, config, board, runtime)
    }

    /// Where page, API and metrics are served.
    pub fn addr(&self) -> SocketAddr {
        self.admin.addr()
    }

    /// The condition of its pipelines.
    pub fn board(&self) -> &StatusBoard {
        &self.board
    }

    fn start(path: &Path, config: Config, board: StatusBoard, runtime: &Runtime) -> Result<Self, DaemonError> {
        let token = config.admin.token.as_ref().map(|token| token.expose().to_owned());
        // The port first: a daemon that cannot be watched starts nothing.
        let server = AdminServer::bind(&AdminSettings::new(config.admin.listen, token))?;
        let options = config.registry.options.iter().map(|(name, value)| (name.clone(), value.expose().to_owned()));
        let registry = Registry::open(config.registry.url.as_str(), &options.collect())?;
        let path: PathBuf = path.to_owned();
        let pipelines = Arc::new(PipelineSet::new(board.clone(), registry.clone(), runtime.handle().clone(), &config));
        let actions = Arc::new(DaemonActions::new(path, config, Arc::clone(&pipelines), registry, runtime));
        let stop_admin = CancellationToken::new();
        // A board without pipelines has nothing to wait for, so it must not be looked at before they are there.
        let starting = board.hold("the pipelines are being started");
        let admin = server.spawn(board.clone(), Arc::clone(&actions) as _, stop_admin.clone())?;
        tracing::info!(target: "latentd", version = env!("CARGO_PKG_VERSION"), admin = %admin.addr(), "started");
        actions.start_all()?;
        drop(starting);
        let pulse = Arc::new(Pulse::default());
        runtime.spawn(beat(Arc::clone(&pulse)));
        let watched = board.liveness().watch("runtime", RUNTIME_STALL, move || pulse.silence());
        Ok(Self { board, pipelines, actions, admin, stop_admin, _watched: watched })
    }

    /// Waits for a signal to stop; reloads on SIGHUP meanwhile.
    async fn until_stopped(&self, signals: &mut Signals) -> &'static str {
        let Signals { terminate, interrupt, hangup } = signals;
        let reloads = async {
            loop {
                hangup.recv().await;
                let actions = Arc::clone(&self.actions);
                // Reading files and stopping pipelines blocks.
                let reloaded = tokio::task::spawn_blocking(move || actions.reload_and_tell()).await;
                if let Err(error) = reloaded {
                    tracing::error!(target: "latentd", "the reload ended by a panic: {error}");
                }
            }
        };
        // A reload under way keeps nobody from being heard who wants the daemon to stop.
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
            () = reloads => unreachable!("it goes on for ever"),
        }
    }

    /// Drains and stops everything, under the configured deadline.
    pub fn stop(self) -> Result<(), DaemonError> {
        let deadline = Instant::now() + self.actions.deadline();
        notify(&[sd_notify::NotifyState::Stopping]);
        self.board.drain();
        let mut late = self.pipelines.stop_all(deadline);
        // A reload under way stops pipelines of its own, and starts none any more.
        if !self.actions.settle(deadline) {
            late.push("a reload".to_owned());
        }
        self.stop_admin.cancel();
        if !self.admin.join() {
            tracing::error!(target: "latentd", "the admin server ended by a panic");
        }
        if late.is_empty() {
            tracing::info!(target: "latentd", "stopped");
            return Ok(());
        }
        Err(DaemonError::Undrained(late.join(", ")))
    }
}

/// Says what is odd about a configuration.
fn tell(config: &Config) {
    for notice in config.notices() {
        tracing::warn!(target: "latentd", "{}", notice.rendered(config::Style::Plain));
    }
}

/// Shows that the runtime moves.
async fn beat(pulse: Arc<Pulse>) {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    loop {
        seconds.tick().await;
        pulse.beat();
    }
}

fn notify(states: &[sd_notify::NotifyState<'_>]) {
    // Without systemd there is nobody to tell.
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd was not told");
    }
}
