//! Where the tests find what is not Rust: other people's programs, and the data sets.
//!
//! `make setup` puts both in place, and `make test` names the places in the environment. Plain `cargo test` looks into
//! the same cache. What is missing fails the test that needs it, with the remedy; nothing is skipped.

#![allow(dead_code, reason = "every test binary uses its own part of this folder")]

use std::env;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// A program by its name: the first on PATH, else the one that the set-up unpacked (`prometheus`, `promtool`).
pub fn program(name: &str) -> Result<PathBuf> {
    let unpacked = cache()?.join("tools/bin");
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders = env::split_paths(&path).chain([unpacked.clone()]);
    folders.find_map(|folder| Some(folder.join(name)).filter(|file| file.is_file())).with_context(|| {
        format!("no program `{name}` on PATH or in `{}`: run `make setup`, which installs it", unpacked.display())
    })
}

/// A file of the data sets by its name, such as `flights.jsonl`; `deploy/setup/data.py --list` names them all.
pub fn data(file: &str) -> Result<PathBuf> {
    let folder = match env::var_os("LATENTD_TEST_DATA") {
        Some(folder) => PathBuf::from(folder),
        None => cache()?.join("data"),
    };
    let path = folder.join(file);
    if !path.is_file() {
        bail!(
            "no data file `{}`: run `make setup`, which fetches it, or name its folder in LATENTD_TEST_DATA",
            path.display()
        );
    }
    Ok(path)
}

/// The data sets of records of fields, each as one topic would have it.
pub const TOPICS: [&str; 8] = [
    "flights.jsonl",
    "adult.jsonl",
    "weather.jsonl",
    "glucose.csv",
    "sea.csv",
    "gtfs-mbta-stop-times.csv",
    "nfl.csv",
    "worldcitiespop.csv",
];

/// A file of the project, by its path from the root.
pub fn project(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

/// How a program ended and all that it said.
#[derive(Debug)]
pub struct Said {
    /// Whether it exited with 0.
    pub success: bool,
    /// Standard output and standard error, one after the other.
    pub text: String,
}

/// Runs a program to its end, without input.
pub fn run(program: &Path, arguments: &[&str]) -> Result<Said> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("`{}` did not start", program.display()))?;
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    Ok(Said { success: output.status.success(), text })
}

/// Runs a program as a filter: what it writes to standard output for this standard input. What it says when it fails is
/// in the error.
pub fn filter(program: &Path, arguments: &[&str], input: &[u8]) -> Result<Vec<u8>> {
    // From a file, so that neither side waits for the other on a full pipe.
    let mut file = tempfile::tempfile().context("no temporary file")?;
    file.write_all(input)?;
    file.rewind()?;
    let output = Command::new(program)
        .args(arguments)
        .stdin(file)
        .output()
        .with_context(|| format!("`{}` did not start", program.display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{} {}` failed ({}): {said}", program.display(), arguments.join(" "), output.status);
    }
    Ok(output.stdout)
}

/// Where the set-up keeps what it fetched, as the scripts in `deploy/setup` have it.
fn cache() -> Result<PathBuf> {
    let base = match env::var_os("XDG_CACHE_HOME").filter(|folder| !folder.is_empty()) {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(env::var_os("HOME").context("neither XDG_CACHE_HOME nor HOME is set")?).join(".cache"),
    };
    Ok(base.join("latentd"))
}
