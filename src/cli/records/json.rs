//! A record per JSON value.

use serde::de::IgnoredAny;
use serde_json::Deserializer;

use super::{Cutter, Flaw, Piece};

/// JSON values (RFC 8259) one after the other, whatever space is between them. Space belongs to the value before it, and
/// that before the first value to the first.
pub(super) struct Values;

impl Cutter for Values {
    fn cut(&mut self, bytes: &[u8], ended: bool) -> Result<Option<Piece>, Flaw> {
        let start = space(bytes);
        let mut values = Deserializer::from_slice(bytes).into_iter::<IgnoredAny>();
        match values.next() {
            None if ended => Ok(Some(Piece { all: bytes.len(), content: 0..0 })),
            None => Ok(None),
            Some(Ok(_)) => {
                let end = values.byte_offset();
                let all = end + space(&bytes[end..]);
                // A number could go on, and space too.
                let whole = ended || all < bytes.len();
                Ok(whole.then_some(Piece { all, content: start..end }))
            }
            Some(Err(error)) if !ended && (error.is_eof() || place(&error, bytes) == bytes.len()) => Ok(None),
            Some(Err(error)) => {
                // Its line and column count from this value, not from the file's beginning.
                let text = error.to_string();
                let detail = text.split(" at line ").next().unwrap_or_default().to_owned();
                Err(Flaw { mode: "json", detail, at: start })
            }
        }
    }
}

/// Up to where a value was read when it turned out to be none. At the very end, a number was cut: `-` and `1.` count as
/// malformed.
fn place(error: &serde_json::Error, bytes: &[u8]) -> usize {
    let lines: usize = bytes.split_inclusive(|byte| *byte == b'\n').take(error.line() - 1).map(<[u8]>::len).sum();
    lines + error.column()
}

/// How many bytes of JSON's white space are in front.
fn space(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count()
}
