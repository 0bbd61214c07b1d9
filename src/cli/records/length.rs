//! Records behind their lengths.

use super::{Cutter, Flaw, Piece};

/// Four bytes of length, high byte first, then the record.
pub(super) struct Prefixed;

impl Cutter for Prefixed {
    fn cut(&mut self, bytes: &[u8], ended: bool) -> Result<Option<Piece>, Flaw> {
        let cut = |detail: &str| match ended {
            true => Err(Flaw { mode: "length", detail: detail.to_owned(), at: 0 }),
            false => Ok(None),
        };
        let Some(head) = bytes.first_chunk::<4>() else {
            return cut("four bytes of length are cut");
        };
        let all = 4 + u32::from_be_bytes(*head) as usize;
        if all > bytes.len() {
            return cut("the record is longer than the file");
        }
        Ok(Some(Piece { all, content: 4..all }))
    }
}
