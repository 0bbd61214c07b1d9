//! Short texts that are written again and again.

use crate::payload::fields::Page;

use super::fault::Fault;
use super::model::afford;

/// Bytes that are copied at once: as many as most texts have at most.
pub(super) const PIECE: usize = 24;

/// Texts by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Snippets {
    texts: Vec<Snippet>,
    /// Those that are longer than a piece, one behind the other.
    long: Vec<u8>,
}

/// What writing a text takes, in half a cache line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Snippet {
    /// The text, if it is no longer.
    piece: [u8; PIECE],
    length: u32,
    /// Where a longer one begins.
    start: u32,
}

impl Snippets {
    /// Of less than 4 GiB together.
    pub fn new<'a>(texts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut snippets = Self::default();
        for text in texts {
            let mut snippet =
                Snippet { piece: [0; PIECE], length: text.len() as u32, start: snippets.long.len() as u32 };
            match snippet.piece.get_mut(..text.len()) {
                Some(piece) => piece.copy_from_slice(text),
                None => snippets.long.extend_from_slice(text),
            }
            snippets.texts.push(snippet);
        }
        snippets
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Appends a text.
    #[inline(always)]
    pub fn append(&self, number: usize, page: &mut Page) -> Result<(), Fault> {
        let snippet = &self.texts[number];
        let length = snippet.length as usize;
        afford(page, length)?;
        if length <= PIECE {
            page.piece(&snippet.piece, length);
        } else {
            self.append_long(snippet, page);
        }
        Ok(())
    }

    #[inline(never)]
    fn append_long(&self, snippet: &Snippet, page: &mut Page) {
        page.extend(&self.long[snippet.start as usize..][..snippet.length as usize]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_appended_whatever_their_length_and_the_room() {
        let texts: Vec<Vec<u8>> = (0..70u8).map(|length| (0..length).collect()).collect();
        let snippets = Snippets::new(texts.iter().map(Vec::as_slice));
        for room in [0, 10, 23, 24, 25, 200] {
            for (number, text) in texts.iter().enumerate() {
                let mut before = Vec::with_capacity(room);
                before.push(b'x');
                let mut page = Page::new(before, text.len());
                snippets.append(number, &mut page).unwrap();
                assert_eq!(page.since(0), [b"x", text.as_slice()].concat());
                // Now there is no room for another.
                assert_eq!(snippets.append(number, &mut page).is_err(), !text.is_empty());
            }
        }
    }
}
