//! Bytes that are written piece by piece.

/// Room that is made at first.
const ROOM: usize = 256;

/// Goes on behind what a vector holds. Behind what is written there is room, as a rule, so that a piece of known length is
/// copied whole with one comparison, whatever part of it counts: appending to a vector takes many times as long.
#[derive(Debug, Default)]
pub struct Page {
    /// What is written, then room.
    bytes: Vec<u8>,
    /// How much is written.
    at: usize,
    /// How much may be.
    most: usize,
    /// The last day that was written, and its text.
    date: Option<(u64, [u8; 16])>,
}

impl Page {
    /// Behind these bytes, and `limit` bytes long at most. Whoever writes asks what is [left](Self::left).
    pub fn new(bytes: Vec<u8>, limit: usize) -> Self {
        let at = bytes.len();
        Self { bytes, at, most: at.saturating_add(limit), date: None }
    }

    /// What is written, with what stood before it.
    pub fn into_bytes(mut self) -> Vec<u8> {
        self.bytes.truncate(self.at);
        self.bytes
    }

    /// Forgets what stands behind the first `length` bytes.
    pub fn truncate(&mut self, length: usize) {
        self.at = self.at.min(length);
    }

    /// Forgets what stands behind the first `length` bytes, and allows `limit` behind them.
    pub fn rewind(&mut self, length: usize, limit: usize) {
        self.truncate(length);
        self.most = self.at.saturating_add(limit);
    }

    /// Bytes that stand there, with those before the first that was written.
    #[inline]
    pub fn len(&self) -> usize {
        self.at
    }

    /// Whether nothing stands there.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.at == 0
    }

    /// How many bytes may follow; `None` when there are already more than may be.
    #[inline]
    pub fn left(&self) -> Option<usize> {
        self.most.checked_sub(self.at)
    }

    /// Whether so many bytes may follow.
    #[inline]
    pub fn affords(&self, bytes: usize) -> bool {
        // Neither is more than memory has.
        self.at + bytes <= self.most
    }

    /// What stands there from a place on.
    #[inline]
    pub fn since(&self, start: usize) -> &[u8] {
        self.bytes.get(start..self.at).unwrap_or_default()
    }

    /// What stands there from a place on, to be changed.
    pub fn since_mut(&mut self, start: usize) -> &mut [u8] {
        self.bytes.get_mut(start..self.at).unwrap_or_default()
    }

    /// What stands between two places; nothing where they are none.
    #[inline]
    pub fn between(&self, start: usize, end: usize) -> &[u8] {
        self.bytes.get(start..end.min(self.at)).unwrap_or_default()
    }

    /// The text of a day, which `write` gives: times that are written one behind the other mostly have the same.
    #[inline]
    pub(super) fn date(&mut self, day: u64, write: impl FnOnce(u64) -> Option<[u8; 16]>) -> Option<[u8; 16]> {
        match self.date {
            Some((last, text)) if last == day => Some(text),
            _ => {
                let text = write(day)?;
                self.date = Some((day, text));
                Some(text)
            }
        }
    }

    /// Appends the first bytes of a piece, `length` of its `N`.
    #[inline]
    pub fn piece<const N: usize>(&mut self, piece: &[u8; N], length: usize) {
        debug_assert!(length <= N);
        match self.bytes.get_mut(self.at..).and_then(<[u8]>::first_chunk_mut) {
            Some(room) => *room = *piece,
            None => self.append(piece),
        }
        self.at += length.min(N);
    }

    /// Appends a byte.
    #[inline]
    pub fn push(&mut self, byte: u8) {
        self.piece(&[byte], 1);
    }

    /// Appends bytes.
    #[inline]
    pub fn extend(&mut self, bytes: &[u8]) {
        match self.bytes.get_mut(self.at..).and_then(|room| room.get_mut(..bytes.len())) {
            Some(room) => room.copy_from_slice(bytes),
            None => self.append(bytes),
        }
        self.at += bytes.len();
    }

    /// Writes bytes for which there is no room yet, and makes some.
    #[cold]
    #[inline(never)]
    fn append(&mut self, bytes: &[u8]) {
        let least = self.at + bytes.len();
        // Twice what there is, but no more than may be written and what stands behind that of a piece.
        let room = (2 * self.bytes.len()).max(self.at + ROOM).min(self.most.saturating_add(ROOM)).max(least);
        self.bytes.reserve_exact(room - self.bytes.len());
        self.bytes.resize(room, 0);
        self.bytes[self.at..least].copy_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pieces_stand_one_behind_the_other_and_memory_is_bounded(
            before in prop::collection::vec(any::<u8>(), 0..300),
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..200),
            limit in 0usize..5000,
        ) {
            let mut expected = before.clone();
            let mut page = Page::new(before, limit);
            let most = expected.len() + limit;
            for (i, piece) in pieces.iter().enumerate() {
                if page.left().is_none_or(|left| piece.len() > left) {
                    continue;
                }
                match piece.first_chunk::<16>() {
                    Some(chunk) if i % 2 == 0 => {
                        page.piece(chunk, i % 17);
                        expected.extend_from_slice(&chunk[..i % 17]);
                    }
                    _ => {
                        page.extend(piece);
                        expected.extend_from_slice(piece);
                    }
                }
                page.push(i as u8);
                expected.push(i as u8);
                prop_assert_eq!(page.len(), expected.len());
                prop_assert_eq!(page.left(), most.checked_sub(expected.len()));
                prop_assert!(page.left().is_none_or(|left| page.affords(left) && !page.affords(left + 1)));
                prop_assert_eq!(page.since(expected.len() / 2), &expected[expected.len() / 2..]);
            }
            let bytes = page.into_bytes();
            prop_assert!(bytes.capacity() <= (most + 2 * ROOM).max(expected.len()));
            prop_assert_eq!(bytes, expected);
        }
    }
}
