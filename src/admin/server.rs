//! The server's life: a port, a thread, an end.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

use super::actions::Actions;
use super::connection::{Limited, MOST, SILENCE};
use super::guard::Guard;
use super::routes::{Shared, router};
use crate::telemetry::StatusBoard;

/// How long requests under way may take once the server is to end.
const LAST: Duration = Duration::from_secs(2);

/// What the server is told.
#[derive(Clone)]
pub struct AdminSettings {
    listen: SocketAddr,
    token: Option<String>,
}

impl AdminSettings {
    /// Where it listens, and the token that callers must show.
    pub fn new(listen: SocketAddr, token: Option<String>) -> Self {
        Self { listen, token }
    }
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The port cannot be had.
    #[error("cannot listen on {listen}: {source}: choose another `admin.listen`, or stop what listens there")]
    Bind {
        /// The address.
        listen: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// The operating system refused a thread or a runtime.
    #[error("the admin server cannot start: {0}")]
    Start(#[from] io::Error),
}

/// A server that has its port and does not answer yet.
pub struct AdminServer {
    listener: TcpListener,
    addr: SocketAddr,
    token: Option<String>,
}

/// A running server.
pub struct AdminHandle {
    addr: SocketAddr,
    thread: JoinHandle<()>,
}

impl AdminServer {
    /// Takes the port.
    pub fn bind(settings: &AdminSettings) -> Result<Self, AdminError> {
        let failed = |source| AdminError::Bind { listen: settings.listen, source };
        let listener = TcpListener::bind(settings.listen).map_err(failed)?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        Ok(Self { listener, addr, token: settings.token.clone() })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until `stop` is cancelled.
    pub fn spawn(
        self,
        board: StatusBoard,
        actions: Arc<dyn Actions>,
        stop: CancellationToken,
    ) -> Result<AdminHandle, AdminError> {
        let runtime = Builder::new_current_thread().enable_all().thread_name("admin-action").build()?;
        let addr = self.addr;
        let thread = thread::Builder::new().name("admin".to_owned()).spawn(move || {
            self.run(&runtime, board, actions, stop);
            // An action that still runs is the daemon's business.
            runtime.shutdown_background();
        })?;
        Ok(AdminHandle { addr, thread })
    }

    fn run(self, runtime: &Runtime, board: StatusBoard, actions: Arc<dyn Actions>, stop: CancellationToken) {
        runtime.block_on(async move {
            let listener = match tokio::net::TcpListener::from_std(self.listener) {
                Ok(listener) => Limited::new(listener, MOST, SILENCE),
                Err(error) => {
                    tracing::error!(target: "latentd", "the admin server has lost its port: {error}");
                    return;
                }
            };
            let ticks = tokio::spawn(tick(board.clone()));
            let routes = router(Shared::new(board, actions, stop.clone()), Guard::new(self.token, self.addr));
            let ending = stop.clone();
            let serving = axum::serve(listener, routes).with_graceful_shutdown(async move { ending.cancelled().await });
            let late = async {
                stop.cancelled().await;
                tokio::time::sleep(LAST).await;
            };
            tokio::select! {
                ended = serving => if let Err(error) = ended {
                    tracing::error!(target: "latentd", "the admin server has ended: {error}");
                },
                () = late => {}
            }
            ticks.abort();
        });
    }
}

/// Rates and limits of log lines move on once a second.
async fn tick(board: StatusBoard) {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        seconds.tick().await;
        board.tick(Instant::now());
    }
}

impl AdminHandle {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Waits for its end; false when it ended by a panic.
    pub fn join(self) -> bool {
        self.thread.join().is_ok()
    }
}
