//! A record per line.

use super::{Cutter, Flaw, Piece};

/// Lines. They end with LF or CRLF; the last one may have no end.
pub(super) struct Lines;

impl Cutter for Lines {
    fn cut(&mut self, bytes: &[u8], ended: bool) -> Result<Option<Piece>, Flaw> {
        let all = match bytes.iter().position(|byte| *byte == b'\n') {
            Some(end) => end + 1,
            None if ended => bytes.len(),
            None => return Ok(None),
        };
        let line = &bytes[..all];
        Ok(Some(Piece { all, content: 0..without_end(line).len() }))
    }
}

/// A line without its end, which is the file's and not the topic's.
pub fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}
