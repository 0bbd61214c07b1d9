//! Whether it is worth looking for a key, from a table so small that it stays in a cache where the index of all keys does not.

/// Says of most keys that they are none of a set: a bit for each value of their low bits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sieve {
    bits: Vec<u64>,
}

impl Sieve {
    /// Of these keys; one that is none of them passes once in eight times at most.
    pub fn new(keys: impl ExactSizeIterator<Item = u32>) -> Self {
        let mut bits = vec![0; (keys.len() / 8).next_power_of_two()];
        for key in keys {
            let word = (key as usize / 64) & (bits.len() - 1);
            bits[word] |= 1 << (key % 64);
        }
        Self { bits }
    }

    /// Whether a key may be one of them.
    #[inline]
    pub fn may_have(&self, key: u32) -> bool {
        let word = (key as usize / 64) & self.bits.len().wrapping_sub(1);
        self.bits.get(word).is_some_and(|bits| (bits >> (key % 64)) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_passes_and_of_others_few() {
        for count in [0u32, 1, 9, 1000, 30_000] {
            let key = |i: u32| i.wrapping_mul(0x9e37_79b1) ^ (i >> 7);
            let sieve = Sieve::new((0..count as usize).map(|i| key(i as u32)));
            assert!((0..count).all(|i| sieve.may_have(key(i))));
            let others = (count..count + 10_000).filter(|i| sieve.may_have(key(*i))).count();
            assert!(others <= 10_000 / 5, "{others} others of {count} pass");
        }
        assert!(!Sieve::default().may_have(0));
    }
}
