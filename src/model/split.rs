//! How samples are divided into what is learned from, what is tuned on, and what judges: eight tenths, one and one.
//!
//! By time or by key, never by chance within one stream: near copies of a record follow each other, and a holdout that
//! holds copies of what was learned flatters every model.

use xxhash_rust::xxh3::xxh3_64;

/// What samples are divided by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Split {
    /// The oldest are learned from, the newest judge: what a model meets in use.
    #[default]
    Time,
    /// All samples of one key fall on the same side, so that a key that was learned by heart does not judge. Samples
    /// without a key are divided by time among themselves.
    Key,
}

/// A side on which a sample falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// To learn from: eight tenths.
    Train,
    /// To tune on, to stop early and to choose among settings: a tenth. What has nothing to tune learns from it.
    Validation,
    /// To judge: a tenth.
    Holdout,
}

/// Parts that validate, and parts that judge: one of so many each.
pub const PARTS: usize = 10;

impl Side {
    /// The side of all samples with this key, everywhere and for ever.
    pub fn of_key(key: &[u8]) -> Self {
        match xxh3_64(key) % PARTS as u64 {
            0 => Self::Holdout,
            1 => Self::Validation,
            _ => Self::Train,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_keys_a_tenth_judges_and_a_tenth_validates() {
        let sides: Vec<Side> = (0..10_000u32).map(|key| Side::of_key(&key.to_le_bytes())).collect();
        let count = |side| sides.iter().filter(|one| **one == side).count();
        let [judges, validates] = [Side::Holdout, Side::Validation].map(count);
        assert!((900..=1_100).contains(&judges) && (900..=1_100).contains(&validates), "{judges} {validates}");
        assert_eq!(Side::of_key(b"a key"), Side::of_key(b"a key"));
    }
}
