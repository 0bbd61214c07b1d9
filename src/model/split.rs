//! Divides samples into what is learned from, what is tuned on, and what judges.
//!
//! By time or by key, never by chance within one stream: near copies of a record follow each other, and a holdout that
//! holds copies of what was learned flatters every model.

use xxhash_rust::xxh3::xxh3_64;

/// How samples are divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SplitBy {
    /// The oldest are learned from, the newest judge: what a model meets in use.
    Time,
    /// All samples of one key fall on the same side, so that a key that was learned by heart does not judge. Samples
    /// without a key are divided by time among themselves.
    Key,
}

/// How samples are divided, and into what shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    by: SplitBy,
    validation: u8,
    holdout: u8,
}

impl Split {
    /// For a dictionary, which has nothing to tune: 80 % to learn from, the newest 20 % to judge.
    pub const DICTIONARY: Self = Self { by: SplitBy::Time, validation: 0, holdout: 20 };
    /// For models that are tuned, by time: 80 %, then 10 %, then the newest 10 %.
    pub const BY_TIME: Self = Self { by: SplitBy::Time, validation: 10, holdout: 10 };
    /// For models that are tuned, by key: 80 %, 10 %, 10 % of the keys.
    pub const BY_KEY: Self = Self { by: SplitBy::Key, validation: 10, holdout: 10 };

    /// Shares in percent; `None` when nothing would be left to learn from, or nothing to judge.
    pub const fn new(by: SplitBy, validation: u8, holdout: u8) -> Option<Self> {
        if holdout == 0 || validation > 100 || holdout > 100 || validation + holdout >= 100 {
            return None;
        }
        Some(Self { by, validation, holdout })
    }

    /// Divides items that lie in order of time, oldest first. Order is kept within each part.
    pub fn divide<'a, T>(self, items: &[&'a T], key: impl Fn(&T) -> Option<&[u8]>) -> Parts<'a, T> {
        let mut parts = Parts { train: Vec::new(), validation: Vec::new(), holdout: Vec::new() };
        let (validation, holdout) = (usize::from(self.validation), usize::from(self.holdout));
        let keyless = match self.by {
            SplitBy::Time => items.len(),
            SplitBy::Key => items.iter().filter(|item| key(item).is_none()).count(),
        };
        // Rounded in favour of the judges: with two samples there is one to learn from and one to judge.
        let holdout_from = keyless - (keyless * holdout).div_ceil(100).min(keyless.saturating_sub(1));
        let validation_from = holdout_from - (keyless * validation / 100).min(holdout_from.saturating_sub(1));
        let mut place = 0;
        for item in items {
            let share = match (self.by, key(item)) {
                (SplitBy::Key, Some(key)) => {
                    let bucket = (xxh3_64(key) % 100) as usize;
                    if bucket < holdout {
                        &mut parts.holdout
                    } else if bucket < holdout + validation {
                        &mut parts.validation
                    } else {
                        &mut parts.train
                    }
                }
                _ => {
                    place += 1;
                    if place > holdout_from {
                        &mut parts.holdout
                    } else if place > validation_from {
                        &mut parts.validation
                    } else {
                        &mut parts.train
                    }
                }
            };
            share.push(*item);
        }
        parts
    }
}

/// Samples divided; each part in order of time.
#[derive(Debug, PartialEq, Eq)]
pub struct Parts<'a, T> {
    /// To learn from.
    pub train: Vec<&'a T>,
    /// To tune on: stop early, choose among settings.
    pub validation: Vec<&'a T>,
    /// To judge, once.
    pub holdout: Vec<&'a T>,
}

#[cfg(test)]
mod tests {
    use super::*;

    type Item = (u32, Option<&'static [u8]>);

    fn sizes<T>(parts: &Parts<'_, T>) -> [usize; 3] {
        [parts.train.len(), parts.validation.len(), parts.holdout.len()]
    }

    #[test]
    fn by_time_the_newest_judge() {
        let items: Vec<Item> = (0..50).map(|i| (i, None)).collect();
        let refs: Vec<&Item> = items.iter().collect();
        let parts = Split::BY_TIME.divide(&refs, |item| item.1);
        assert_eq!(sizes(&parts), [40, 5, 5]);
        assert_eq!(parts.train.last(), Some(&&items[39]));
        assert_eq!(parts.holdout, [&items[45], &items[46], &items[47], &items[48], &items[49]]);
        assert_eq!(sizes(&Split::DICTIONARY.divide(&refs, |item| item.1)), [40, 0, 10]);
    }

    #[test]
    fn of_two_samples_one_teaches_and_one_judges() {
        let items: Vec<Item> = (0..2).map(|i| (i, None)).collect();
        let refs: Vec<&Item> = items.iter().collect();
        for split in [Split::DICTIONARY, Split::BY_TIME] {
            assert_eq!(sizes(&split.divide(&refs, |item| item.1)), [1, 0, 1]);
            assert_eq!(sizes(&split.divide(&refs[..1], |item| item.1)), [1, 0, 0]);
            assert_eq!(sizes(&split.divide(&[], |item: &Item| item.1)), [0, 0, 0]);
        }
    }

    #[test]
    fn by_key_no_key_falls_on_two_sides() {
        let keys: Vec<[u8; 2]> = (0..1000u16).map(u16::to_le_bytes).collect();
        let items: Vec<(usize, [u8; 2])> = (0..5000).map(|i| (i, keys[i * 7919 % 1000])).collect();
        let refs: Vec<&(usize, [u8; 2])> = items.iter().collect();
        let parts = Split::BY_KEY.divide(&refs, |item| Some(&item.1));
        let [train, validation, holdout] = sizes(&parts);
        assert_eq!(train + validation + holdout, 5000);
        assert!((350..=650).contains(&validation) && (350..=650).contains(&holdout), "{validation} {holdout}");
        for judge in parts.holdout.iter().chain(&parts.validation) {
            assert!(parts.train.iter().all(|item| item.1 != judge.1));
        }
    }

    #[test]
    fn keyless_samples_are_divided_by_time_when_the_others_are_by_key() {
        let items: Vec<Item> = (0..100).map(|i| (i, (i % 2 == 0).then_some(&b"k"[..]))).collect();
        let refs: Vec<&Item> = items.iter().collect();
        let parts = Split::BY_KEY.divide(&refs, |item| item.1);
        let judges: Vec<u32> = parts.holdout.iter().filter(|item| item.1.is_none()).map(|item| item.0).collect();
        assert_eq!(judges, [91, 93, 95, 97, 99]);
    }

    #[test]
    fn shares_that_leave_nothing_are_refused() {
        assert!(Split::new(SplitBy::Time, 50, 50).is_none());
        assert!(Split::new(SplitBy::Time, 10, 0).is_none());
        assert!(Split::new(SplitBy::Key, 0, 99).is_some());
        assert!(Split::new(SplitBy::Key, 200, 200).is_none());
    }
}
