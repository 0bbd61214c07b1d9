//! The newest records that were published, by digest: what comes back without its headers is known all the same.

use std::collections::{HashSet, VecDeque};

use xxhash_rust::xxh3::xxh3_128;

/// Records that are remembered.
const MOST: usize = 1 << 17;

/// Digests of what was published.
#[derive(Debug, Default)]
pub struct Emitted {
    known: HashSet<u128>,
    order: VecDeque<u128>,
}

impl Emitted {
    /// A record was published. The oldest of too many is forgotten.
    pub fn add(&mut self, record: &[u8]) {
        let digest = xxh3_128(record);
        if !self.known.insert(digest) {
            return;
        }
        self.order.push_back(digest);
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// Whether a record is one of them.
    pub fn knows(&self, record: &[u8]) -> bool {
        !self.known.is_empty() && self.known.contains(&xxh3_128(record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_known_and_no_more_than_there_is_room_for() {
        let mut emitted = Emitted::default();
        assert!(!emitted.knows(b"0"));
        let record = |number: usize| number.to_string().into_bytes();
        (0..MOST + 10).for_each(|number| emitted.add(&record(number)));
        emitted.add(&record(MOST));
        assert!(!emitted.knows(b"9") && emitted.knows(b"10") && emitted.knows(&record(MOST + 9)));
        assert_eq!((emitted.known.len(), emitted.order.len()), (MOST, MOST));
    }
}
