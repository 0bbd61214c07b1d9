//! Where a command's data goes: standard output, or a file that appears whole or not at all.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufReader, IsTerminal, Read, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use tempfile::NamedTempFile;

use super::interrupt::RemoveOnSignal;

/// An output under construction.
pub enum Output {
    /// Standard output.
    Stdout(io::Stdout),
    /// What is there and no file: a pipe or a device is written to, never replaced.
    Device(File),
    /// A file beside its place; moved there by [`Output::finish`].
    File(NamedTempFile, PathBuf, RemoveOnSignal),
}

impl Output {
    /// To a file, or to standard output, which must be no terminal when bytes go there.
    pub fn open(path: Option<&Path>, binary: bool) -> anyhow::Result<Self> {
        let Some(path) = path.filter(|path| *path != Path::new("-")) else {
            let out = io::stdout();
            ensure!(
                !binary || !out.is_terminal(),
                "compressed bytes are not for a terminal: redirect standard output, or name a file with -o"
            );
            return Ok(Self::Stdout(out));
        };
        let there = fs::metadata(path).ok();
        if there.as_ref().is_some_and(|there| !there.is_file()) {
            let device = OpenOptions::new().write(true).open(path);
            return Ok(Self::Device(device.with_context(|| format!("cannot write to `{}`", path.display()))?));
        }
        let place = place(path);
        let folder = place.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // What is replaced keeps its permissions; what is new has those that any new file has here.
        let permissions = Permissions::from_mode(0o666);
        let file = tempfile::Builder::new().prefix(".latentd-").permissions(permissions).tempfile_in(folder);
        let file = file.with_context(|| format!("cannot write into `{}`", folder.display()))?;
        if let Some(there) = there {
            file.as_file().set_permissions(there.permissions())?;
        }
        let guard = RemoveOnSignal::new(file.path())?;
        Ok(Self::File(file, place, guard))
    }

    /// Makes the file appear.
    pub fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::Stdout(mut out) => Ok(out.flush()?),
            Self::Device(mut out) => Ok(out.flush()?),
            Self::File(file, path, _guard) => {
                file.as_file().sync_all()?;
                file.persist(&path).with_context(|| format!("cannot write `{}`", path.display()))?;
                Ok(())
            }
        }
    }
}

/// Where a path leads: the file behind a link is written, and the link stays.
fn place(path: &Path) -> PathBuf {
    let behind = || Some(path.parent()?.join(fs::read_link(path).ok()?));
    fs::canonicalize(path).ok().or_else(behind).unwrap_or_else(|| path.to_owned())
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(out) => out.write(bytes),
            Self::Device(out) => out.write(bytes),
            Self::File(file, ..) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.flush(),
            Self::Device(out) => out.flush(),
            Self::File(file, ..) => file.flush(),
        }
    }
}

/// A file, or standard input.
pub fn input(path: Option<&Path>) -> anyhow::Result<Box<dyn Read + Send>> {
    match path.filter(|path| *path != Path::new("-")) {
        None => Ok(Box::new(BufReader::new(io::stdin()))),
        Some(path) => {
            let file = File::open(path).with_context(|| format!("cannot read `{}`", path.display()))?;
            Ok(Box::new(BufReader::with_capacity(1 << 16, file)))
        }
    }
}

/// The whole of a file, or of standard input.
pub fn read_all(path: Option<&Path>) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input(path)?.read_to_end(&mut bytes).context("cannot read the input")?;
    Ok(bytes)
}
