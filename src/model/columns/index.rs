//! Numbers by hashed keys: open addressing, two words of memory a key.

/// Where what a key chooses is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Index {
    /// Key in the upper half, what it chooses in the lower, which is not 0: open addressing, where 0 is empty.
    entries: Vec<u64>,
    /// They are by rising key instead.
    is_sorted: bool,
}

/// Longest run of entries in a table: keys that were hashed make none so long, and whoever chose them shall not make a search
/// of every look.
const MAX_RUN: usize = 256;

/// Entries by the low bits of their keys, each at the first free place; `None` when they crowd.
fn hashed(entries: &[u64]) -> Option<Vec<u64>> {
    let size = (2 * entries.len()).next_power_of_two().max(2);
    let mut index = vec![0; size];
    for entry in entries {
        let first = (entry >> 32) as usize;
        let free = (first..first + MAX_RUN).map(|place| place & (size - 1)).find(|place| index[*place] == 0)?;
        index[free] = *entry;
    }
    let mut run = 0;
    // Twice round, since a run may go on from the end to the beginning.
    for entry in index.iter().chain(&index) {
        run = if *entry == 0 { 0 } else { run + 1 };
        if run > MAX_RUN {
            return None;
        }
    }
    Some(index)
}

impl Index {
    /// Of keys, which rise, and what they choose: numbers below 2^32 - 1.
    pub fn new(chosen: impl Iterator<Item = (u32, usize)>) -> Self {
        let entries: Vec<u64> = chosen.map(|(key, chosen)| u64::from(key) << 32 | (chosen as u64 + 1)).collect();
        match hashed(&entries) {
            Some(hashed) => Self { entries: hashed, is_sorted: false },
            None => Self { entries, is_sorted: true },
        }
    }

    /// What a key chooses.
    #[inline]
    pub fn find(&self, key: u32) -> Option<usize> {
        if self.is_sorted {
            return self.search(key);
        }
        let mask = self.entries.len() - 1;
        let mut place = key as usize & mask;
        loop {
            let entry = self.entries[place];
            if entry == 0 {
                return None;
            }
            if (entry >> 32) as u32 == key {
                return Some(entry as u32 as usize - 1);
            }
            place = (place + 1) & mask;
        }
    }

    /// [`Index::find`] among those by rising key.
    #[cold]
    fn search(&self, key: u32) -> Option<usize> {
        let place = self.entries.binary_search_by_key(&key, |entry| (entry >> 32) as u32).ok()?;
        Some(self.entries[place] as u32 as usize - 1)
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
                assert_eq!(index.find(*key), Some(i));
                let next = key.wrapping_add(1);
                assert_eq!(index.find(next).is_some(), keys.binary_search(&next).is_ok());
            }
            assert!(index.find(0xffff_fff1).is_none());
        }
    }
}
