//! Where a file's records begin and end. Cutting loses nothing: the pieces laid end to end are the file.

use std::ops::Range;

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

/// A record's place in its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Everything of it, separators too.
    pub all: Range<usize>,
    /// The record itself.
    pub content: Range<usize>,
}

/// Why a file has no such records.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("these are no {mode} records: {detail} at byte {at}")]
pub struct CutError {
    mode: &'static str,
    detail: String,
    at: usize,
}

impl RecordMode {
    /// What a file probably holds, by its name and first bytes.
    pub fn guess(name: &str, bytes: &[u8]) -> Self {
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension).to_ascii_lowercase();
        match extension.as_str() {
            "jsonl" | "ndjson" | "log" | "txt" => Self::Lines,
            "json" => Self::Json,
            "csv" | "tsv" => Self::Csv,
            _ if idx_header(bytes).is_some() => Self::Idx,
            _ if bytes.starts_with(b"{") && bytes.contains(&b'\n') => Self::Lines,
            _ => Self::Whole,
        }
    }

    /// Cuts a file.
    pub fn cut(self, bytes: &[u8]) -> Result<Vec<Piece>, CutError> {
        let pieces = match self {
            Self::Lines => lines(bytes),
            Self::Json => json(bytes)?,
            Self::Csv => csv(bytes)?,
            Self::Length => length(bytes)?,
            Self::Idx => idx(bytes)?,
            Self::Whole => vec![Piece { all: 0..bytes.len(), content: 0..bytes.len() }],
        };
        debug_assert!(
            pieces.iter().try_fold(0, |at, piece| (piece.all.start == at).then_some(piece.all.end)).is_some()
        );
        Ok(pieces)
    }
}

fn lines(bytes: &[u8]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut start = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let end = start + line.len();
        let content = line.strip_suffix(b"\n").unwrap_or(line);
        let content = content.strip_suffix(b"\r").unwrap_or(content);
        pieces.push(Piece { all: start..end, content: start..start + content.len() });
        start = end;
    }
    pieces
}

fn json(bytes: &[u8]) -> Result<Vec<Piece>, CutError> {
    let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<serde::de::IgnoredAny>();
    let mut pieces: Vec<Piece> = Vec::new();
    loop {
        let before = values.byte_offset();
        match values.next() {
            None => break,
            Some(Ok(_)) => {
                let end = values.byte_offset();
                let space = bytes[before..end].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
                // Space between two values belongs to the first of them.
                if let Some(last) = pieces.last_mut() {
                    last.all.end = before + space;
                }
                let start = pieces.last().map_or(0, |last| last.all.end);
                pieces.push(Piece { all: start..end, content: before + space..end });
            }
            Some(Err(error)) => {
                return Err(CutError { mode: "json", detail: error.to_string(), at: before });
            }
        }
    }
    match pieces.last_mut() {
        Some(last) => last.all.end = bytes.len(),
        None if bytes.is_empty() => {}
        None => pieces.push(Piece { all: 0..bytes.len(), content: 0..0 }),
    }
    Ok(pieces)
}

fn csv(bytes: &[u8]) -> Result<Vec<Piece>, CutError> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
    let mut record = csv::ByteRecord::new();
    let mut starts = Vec::new();
    loop {
        let at = usize::try_from(reader.position().byte()).unwrap_or(usize::MAX);
        match reader.read_byte_record(&mut record) {
            // The reader stops between the two bytes of a CRLF, and before empty lines.
            Ok(true) => starts.push(at + bytes[at..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count()),
            Ok(false) => break,
            Err(error) => return Err(CutError { mode: "csv", detail: error.to_string(), at }),
        }
    }
    // What lies before the first row (empty lines) belongs to it, and what lies behind the last one to that.
    let mut pieces = Vec::new();
    for (index, start) in starts.iter().enumerate() {
        let start = if index == 0 { 0 } else { *start };
        let end = starts.get(index + 1).copied().unwrap_or(bytes.len());
        let content =
            bytes[start..end].iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |last| last + 1);
        pieces.push(Piece { all: start..end, content: start..start + content });
    }
    if pieces.is_empty() && !bytes.is_empty() {
        pieces.push(Piece { all: 0..bytes.len(), content: 0..0 });
    }
    Ok(pieces)
}

fn length(bytes: &[u8]) -> Result<Vec<Piece>, CutError> {
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let cut = |detail: &str| CutError { mode: "length", detail: detail.to_owned(), at };
        let head = bytes.get(at..at + 4).ok_or_else(|| cut("four bytes of length are cut"))?;
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let end = at + 4 + length;
        if end > bytes.len() {
            return Err(cut("the record is longer than the file"));
        }
        pieces.push(Piece { all: at..end, content: at + 4..end });
        at = end;
    }
    Ok(pieces)
}

/// The lengths of an idx file's header and of one item.
fn idx_header(bytes: &[u8]) -> Option<(usize, usize)> {
    let head = bytes.get(..4)?;
    let width = match head[2] {
        0x08 | 0x09 => 1,
        0x0b => 2,
        0x0c | 0x0d => 4,
        0x0e => 8,
        _ => return None,
    };
    let dimensions = usize::from(head[3]);
    if head[..2] != [0, 0] || dimensions == 0 {
        return None;
    }
    let header = 4 + 4 * dimensions;
    let sizes =
        bytes.get(4..header)?.chunks_exact(4).map(|size| u32::from_be_bytes([size[0], size[1], size[2], size[3]]));
    let item = sizes.skip(1).try_fold(width, |product: usize, size| product.checked_mul(size as usize))?;
    (item > 0).then_some((header, item))
}

fn idx(bytes: &[u8]) -> Result<Vec<Piece>, CutError> {
    let (header, item) = idx_header(bytes).ok_or_else(|| CutError {
        mode: "idx",
        detail: "an idx file begins with two zeros, a type, a number of dimensions and their sizes".to_owned(),
        at: 0,
    })?;
    let mut pieces = vec![Piece { all: 0..header, content: 0..header }];
    let mut at = header;
    while at < bytes.len() {
        let end = (at + item).min(bytes.len());
        pieces.push(Piece { all: at..end, content: at..end });
        at = end;
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn contents(mode: RecordMode, text: &str) -> Vec<String> {
        let pieces = mode.cut(text.as_bytes()).unwrap();
        let joined: Vec<u8> = pieces.iter().flat_map(|piece| &text.as_bytes()[piece.all.clone()]).copied().collect();
        assert_eq!(joined, text.as_bytes(), "{mode:?}");
        pieces.iter().map(|piece| text[piece.content.clone()].to_owned()).collect()
    }

    #[test]
    fn records_are_cut_where_they_end_and_nothing_is_lost() {
        assert_eq!(contents(RecordMode::Lines, "a\r\n\nb"), ["a", "", "b"]);
        assert_eq!(contents(RecordMode::Json, " {\"a\": [1, 2]}\n\n3 \"x\" "), ["{\"a\": [1, 2]}", "3", "\"x\""]);
        assert_eq!(contents(RecordMode::Csv, "a,b\r\n\"x\ny\",2\r\n\"q\"\"\",3"), ["a,b", "\"x\ny\",2", "\"q\"\"\",3"]);
        assert_eq!(contents(RecordMode::Length, "\0\0\0\x02ab\0\0\0\0"), ["ab", ""]);
        assert_eq!(contents(RecordMode::Whole, "all"), ["all"]);
        assert_eq!(contents(RecordMode::Lines, ""), [""; 0]);
        assert_eq!(contents(RecordMode::Json, " "), [""]);
        let idx = "\0\0\x08\x02\0\0\0\x02\0\0\0\x03abcdefg";
        assert_eq!(contents(RecordMode::Idx, idx)[1..], ["abc", "def", "g"]);
    }

    #[test]
    fn what_is_cut_short_says_where() {
        let error = RecordMode::Length.cut(b"\0\0\0\x05ab").unwrap_err();
        assert_eq!(error.to_string(), "these are no length records: the record is longer than the file at byte 0");
        assert!(RecordMode::Json.cut(b"{\"a\":").is_err());
        assert!(RecordMode::Idx.cut(b"\0\0\x08").is_err());
    }

    proptest! {
        #[test]
        fn pieces_of_any_bytes_laid_end_to_end_are_the_bytes(bytes in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'"'), Just(b','), Just(b'\r'), any::<u8>()], 0..200)) {
            for mode in [RecordMode::Lines, RecordMode::Csv, RecordMode::Json, RecordMode::Length, RecordMode::Idx] {
                if let Ok(pieces) = mode.cut(&bytes) {
                    let mut at = 0;
                    for piece in &pieces {
                        prop_assert_eq!(piece.all.start, at);
                        prop_assert!(piece.all.start <= piece.content.start && piece.content.end <= piece.all.end.max(piece.content.start));
                        at = piece.all.end;
                    }
                    prop_assert_eq!(at, bytes.len(), "{:?}", mode);
                }
            }
        }
    }
}
