//! What hashed keys choose: open addressing, one look at memory a key.

/// What a key may choose: a few bytes, one value of which stands for nothing.
pub(super) trait Chosen: Copy + PartialEq {
    /// Nothing is chosen.
    const NOTHING: Self;
}

/// Numbers below 2^32 - 1.
impl Chosen for u32 {
    const NOTHING: Self = Self::MAX;
}

/// Where what a key chooses is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Index<T = u32> {
    /// By the low bits of keys, each at the first free place.
    entries: Vec<Entry<T>>,
    /// They are by rising key instead.
    is_sorted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry<T> {
    key: u32,
    chosen: T,
}

/// Longest run of entries in a table: keys that were hashed make none so long, and whoever chose them shall not make a search
/// of every look.
const MAX_RUN: usize = 256;

/// Entries by the low bits of their keys, each at the first free place; `None` when they crowd.
fn hashed<T: Chosen>(entries: &[Entry<T>]) -> Option<Vec<Entry<T>>> {
    let size = (2 * entries.len()).next_power_of_two().max(2);
    let mut index = vec![Entry { key: 0, chosen: T::NOTHING }; size];
    let is_free = |entry: &Entry<T>| entry.chosen == T::NOTHING;
    for entry in entries {
        let first = entry.key as usize;
        let free = (first..first + MAX_RUN).map(|place| place & (size - 1)).find(|place| is_free(&index[*place]))?;
        index[free] = *entry;
    }
    let mut run = 0;
    // Twice round, since a run may go on from the end to the beginning.
    for entry in index.iter().chain(&index) {
        run = if is_free(entry) { 0 } else { run + 1 };
        if run > MAX_RUN {
            return None;
        }
    }
    Some(index)
}

impl<T: Chosen> Default for Index<T> {
    fn default() -> Self {
        Self::new(std::iter::empty())
    }
}

impl<T: Chosen> Index<T> {
    /// Of keys, which rise, and what they choose.
    pub fn new(chosen: impl Iterator<Item = (u32, T)>) -> Self {
        let entries: Vec<Entry<T>> = chosen.map(|(key, chosen)| Entry { key, chosen }).collect();
        match hashed(&entries) {
            Some(hashed) => Self { entries: hashed, is_sorted: false },
            None => Self { entries, is_sorted: true },
        }
    }

    /// What a key chooses.
    #[inline(always)]
    pub fn find(&self, key: u32) -> Option<T> {
        if self.is_sorted {
            return self.search(key);
        }
        let mask = self.entries.len() - 1;
        let mut place = key as usize & mask;
        loop {
            let Entry { key: found, chosen } = self.entries[place];
            if chosen == T::NOTHING {
                return None;
            }
            if found == key {
                return Some(chosen);
            }
            place = (place + 1) & mask;
        }
    }

    /// [`Index::find`] among those by rising key.
    #[cold]
    #[inline(never)]
    fn search(&self, key: u32) -> Option<T> {
        let place = self.entries.binary_search_by_key(&key, |entry| entry.key).ok()?;
        Some(self.entries[place].chosen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_found_and_no_other_however_keys_crowd() {
        // Spread as hashes are; all at one place; one behind the other.
        let spread: Vec<u32> = (0..20_000u32).map(|i| i.wrapping_mul(0x9e37_79b1)).collect();
        let crowded: Vec<u32> = (0..20_000u32).map(|i| i << 16).collect();
        let in_line: Vec<u32> = (0..20_000u32).collect();
        for (mut keys, is_sorted) in [(spread, false), (crowded, true), (in_line, true), (Vec::new(), false)] {
            keys.sort_unstable();
            let index = Index::new(keys.iter().copied().zip(0..));
            assert_eq!(index.is_sorted, is_sorted);
            for (i, key) in keys.iter().enumerate() {
                assert_eq!(index.find(*key), Some(i as u32));
                let next = key.wrapping_add(1);
                assert_eq!(index.find(next).is_some(), keys.binary_search(&next).is_ok());
            }
            assert!(index.find(0xffff_fff1).is_none());
        }
    }
}
