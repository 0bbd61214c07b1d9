//! Short texts that are written again and again.

use super::fault::Fault;
use super::model::afford;

/// Bytes that are copied at once: as many as most texts have at most.
const PIECE: usize = 16;

/// Texts by number, side by side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Snippets {
    /// One behind the other; behind the last one stand as many bytes as are copied at once.
    bytes: Vec<u8>,
    /// Where each begins, and how long it is.
    spans: Vec<(u32, u32)>,
}

impl Snippets {
    /// Of less than 4 GiB together.
    pub fn new<'a>(texts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut snippets = Self::default();
        for text in texts {
            snippets.spans.push((snippets.bytes.len() as u32, text.len() as u32));
            snippets.bytes.extend_from_slice(text);
        }
        snippets.bytes.resize(snippets.bytes.len() + PIECE, 0);
        snippets
    }

    /// Appends a text, which makes `output` `most` bytes long at most.
    #[inline]
    pub fn append(&self, number: usize, most: usize, output: &mut Vec<u8>) -> Result<(), Fault> {
        let (start, length) = self.spans[number];
        let (start, length) = (start as usize, length as usize);
        afford(output, length, most)?;
        let end = output.len() + length;
        if length <= PIECE
            && output.capacity() - output.len() >= PIECE
            && let Some(piece) = self.bytes[start..].first_chunk::<PIECE>()
        {
            // A copy of known length takes no call.
            output.extend_from_slice(piece);
            output.truncate(end);
        } else {
            output.extend_from_slice(&self.bytes[start..start + length]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_appended_whatever_their_length_and_the_room() {
        let texts: Vec<Vec<u8>> = (0..70u8).map(|length| (0..length).collect()).collect();
        let snippets = Snippets::new(texts.iter().map(Vec::as_slice));
        for room in [0, 10, 31, 32, 33, 200] {
            for (number, text) in texts.iter().enumerate() {
                let mut output = Vec::with_capacity(room);
                output.push(b'x');
                snippets.append(number, text.len() + 1, &mut output).unwrap();
                assert_eq!(output, [b"x", text.as_slice()].concat());
                // One byte too little for another of these.
                let most = output.len() + text.len().saturating_sub(1);
                assert_eq!(snippets.append(number, most, &mut output).is_err(), !text.is_empty());
            }
        }
    }
}
