//! Where a command's data goes: standard output, or a file that appears whole or not at all.

use std::fs::File;
use std::io::{self, BufReader, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use tempfile::NamedTempFile;

/// An output under construction.
pub enum Output {
    /// Standard output.
    Stdout(io::Stdout),
    /// A file beside its place; moved there by [`Output::finish`].
    File(NamedTempFile, PathBuf),
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
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file =
            NamedTempFile::new_in(folder).with_context(|| format!("cannot write into `{}`", folder.display()))?;
        Ok(Self::File(file, path.to_owned()))
    }

    /// Makes the file appear.
    pub fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::Stdout(mut out) => Ok(out.flush()?),
            Self::File(file, path) => {
                file.as_file().sync_all()?;
                file.persist(&path).with_context(|| format!("cannot write `{}`", path.display()))?;
                Ok(())
            }
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(out) => out.write(bytes),
            Self::File(file, _) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.flush(),
            Self::File(file, _) => file.flush(),
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
