//! `latentd run`: the daemon.

use std::path::PathBuf;

use crate::cli::UsageError;
use crate::daemon::{self, DaemonError};

/// Run the pipelines of a configuration until SIGTERM or SIGINT; SIGHUP reloads it
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// The configuration (docs/configuration.md)
    #[arg(short, long, value_name = "FILE", env = "LATENTD_CONFIG")]
    config: PathBuf,
}

/// Runs the daemon.
pub fn run(args: &RunArgs) -> anyhow::Result<()> {
    match daemon::run(&args.config) {
        Ok(()) => Ok(()),
        Err(error @ DaemonError::Config(_)) => Err(UsageError::new(error.to_string()).into()),
        Err(error) => Err(error.into()),
    }
}
