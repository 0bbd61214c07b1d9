//! Where a file's records begin and end. Cutting loses nothing: the pieces laid end to end are the file.

mod csv;
mod idx;
mod json;
mod length;
mod lines;
mod open;
mod pictures;
mod reader;
mod shown;
mod unlike;

use std::ops::Range;

pub use lines::without_end;
pub use open::{FileReader, open};
pub use pictures::Pictures;
#[cfg(feature = "training")]
pub use pictures::Planar;
pub use reader::RecordReader;
pub use shown::shown;
pub use unlike::Unlike;

/// How a file is cut into records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum RecordMode {
    /// A line each.
    Lines,
    /// A JSON value each, whatever space is between them.
    Json,
    /// A CSV row each; quoted fields may hold line breaks.
    Csv,
    /// Four bytes of length, high byte first, then the record.
    Length,
    /// The items of an idx file (MNIST's format); its header is the first record.
    Idx,
    /// The whole file is one record.
    Whole,
}

impl RecordMode {
    /// What a file probably holds, by its name and first bytes.
    pub fn guess(name: &str, head: &[u8]) -> Self {
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension).to_ascii_lowercase();
        match extension.as_str() {
            "jsonl" | "ndjson" | "log" | "txt" => Self::Lines,
            "json" => Self::Json,
            "csv" | "tsv" => Self::Csv,
            _ if idx::shape(head).is_some() => Self::Idx,
            _ if head.starts_with(b"{") && head.contains(&b'\n') => Self::Lines,
            _ => Self::Whole,
        }
    }

    /// What finds the ends of such records, from the first on.
    fn cutter(self) -> Box<dyn Cutter> {
        match self {
            Self::Lines => Box::new(lines::Lines),
            Self::Json => Box::new(json::Values),
            Self::Csv => Box::new(csv::Rows::default()),
            Self::Length => Box::new(length::Prefixed),
            Self::Idx => Box::new(idx::Items::default()),
            Self::Whole => Box::new(Whole),
        }
    }
}

impl std::fmt::Display for RecordMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Lines => "lines",
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Length => "length",
            Self::Idx => "idx",
            Self::Whole => "whole",
        })
    }
}

/// Finds where records end, in a file that is seen piece by piece.
trait Cutter {
    /// The first record of `bytes`, which begin where the record before it ended and are not empty.
    ///
    /// `None` asks for more of the file. At its end, which `ended` tells, there is always a record or a flaw: what
    /// belongs to no record of its own goes to the one before or after it. The answer must not depend on how much of the
    /// file is there, so a record that more bytes could make longer is not one yet.
    fn cut(&mut self, bytes: &[u8], ended: bool) -> Result<Option<Piece>, Flaw>;
}

/// A record at the front of some bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Piece {
    /// Length of everything of it, separators too.
    all: usize,
    /// The record itself.
    content: Range<usize>,
}

/// Why bytes hold no record.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Flaw {
    mode: &'static str,
    detail: String,
    /// Where, from the front of the bytes.
    at: usize,
}

/// The whole file as one record.
struct Whole;

impl Cutter for Whole {
    fn cut(&mut self, bytes: &[u8], ended: bool) -> Result<Option<Piece>, Flaw> {
        Ok(ended.then_some(Piece { all: bytes.len(), content: 0..bytes.len() }))
    }
}
