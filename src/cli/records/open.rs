//! A file of records, cut as asked or as its name and first bytes suggest.

use std::io::{Cursor, Read};
use std::path::Path;

use super::{RecordMode, RecordReader};
use crate::cli::file_format::MOST_BYTES;
use crate::cli::output::input;

/// Reads the records of a file or of standard input.
pub type FileReader = RecordReader<Box<dyn Read>>;

/// Bytes of a file that its kind is guessed from.
const HEAD: u64 = 1 << 20;

/// Opens a file. No more of it is read than its kind is guessed from. The header of an idx file, which is no item, is
/// passed over.
pub fn open(path: &Path, mode: Option<RecordMode>) -> anyhow::Result<(RecordMode, FileReader)> {
    let mut file = input(Some(path))?;
    let mut head = Vec::new();
    if mode.is_none() {
        file.by_ref().take(HEAD).read_to_end(&mut head)?;
    }
    let mode = mode.unwrap_or_else(|| RecordMode::guess(&path.to_string_lossy(), &head));
    let mut reader: FileReader = RecordReader::new(Box::new(Cursor::new(head).chain(file)), mode, MOST_BYTES);
    if mode == RecordMode::Idx {
        reader.next()?;
    }
    Ok((mode, reader))
}
