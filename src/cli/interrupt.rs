//! Ctrl-C and SIGTERM while a file is being written: the half of it goes, and the process ends as a signal ends it.

use std::fs;
use std::io;
use std::path::Path;
use std::process;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

/// Removes a file when the process is told to end, for as long as this lives.
pub struct RemoveOnSignal(Option<Runtime>);

impl RemoveOnSignal {
    /// Watches for signals on a thread of its own.
    pub fn new(path: &Path) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("signals").enable_io().build()?;
        let entered = runtime.enter();
        for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
            let (mut signals, path) = (signal(kind)?, path.to_owned());
            runtime.spawn(async move {
                signals.recv().await;
                // Gone already when the signal comes as the file is moved to its place.
                let _ = fs::remove_file(&path);
                process::exit(128 + kind.as_raw_value());
            });
        }
        drop(entered);
        Ok(Self(Some(runtime)))
    }
}

impl Drop for RemoveOnSignal {
    fn drop(&mut self) {
        // Also from within another runtime, where waiting for one to end is forbidden.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
