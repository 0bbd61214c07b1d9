//! Which numbers are made of which others.

use std::collections::HashMap;

use super::link::{RELATIONS, Relation};
use crate::payload::fields::LEAST_COUNT;

/// Different numbers from which on it is worth while.
const LEAST_NUMBERS: usize = 64;
/// Rows that are looked at, and those of a first look.
const ROWS: usize = 4096;
const FIRST_LOOK: usize = 48;
/// Most columns that a number is looked for in: those that stand near.
const SOURCES: usize = 32;
/// The same for all columns together, and what each has in any case.
const ALL_SOURCES: usize = 800;
const LEAST_SOURCES: usize = 4;
/// The least share of numbers that are off by something frequent.
const MADE: f64 = 0.9;
/// What is frequent: the same share that gives a number a code of its own.
const OFTEN: f64 = 0.005;
/// The most of these.
const MOST_OFF: usize = 64;
/// Bits for each number that it must save.
const SAVES: f64 = 1.0;

/// A field that is mostly made of others.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Made {
    pub field: usize,
    pub of: [usize; 2],
    pub relation: Relation,
    /// By how much it is frequently off, in ascending order.
    pub off: Vec<i64>,
    saves: f64,
}

/// Fields that are made of others, those first that others are made of. `numbers` has each field's by row, and nothing of fields that are no numbers.
pub(super) fn relations(numbers: &[Vec<Option<i64>>]) -> Vec<Made> {
    let fields: Vec<usize> = (0..numbers.len()).filter(|field| !numbers[*field].is_empty()).collect();
    let sources = SOURCES.min(ALL_SOURCES / fields.len().max(1)).max(LEAST_SOURCES);
    let mut found: Vec<Made> = Vec::new();
    for field in fields.iter().copied() {
        let Some(target) = Target::of(&numbers[field]) else { continue };
        let mut near: Vec<usize> = fields.iter().copied().filter(|other| *other != field).collect();
        near.sort_by_key(|other| (other.abs_diff(field), *other));
        near.truncate(sources);
        for a in near.iter().copied() {
            for b in near.iter().copied() {
                for relation in RELATIONS {
                    let is_alone = relation == Relation::Same;
                    if is_alone != (a == b) || (relation.is_symmetric() && a > b) {
                        continue;
                    }
                    if let Some((off, saves)) = target.judge(relation, [&numbers[a], &numbers[b]]) {
                        found.push(Made { field, of: [a, b], relation, off, saves });
                    }
                }
            }
        }
    }
    // Those first that save the most; of those that save the same, what is simplest.
    found.sort_by(|a, b| {
        b.saves.total_cmp(&a.saves).then_with(|| (a.relation, a.field, a.of).cmp(&(b.relation, b.field, b.of)))
    });
    let mut made: Vec<Made> = Vec::new();
    for one in found {
        let is_made = made.iter().any(|other| other.field == one.field);
        if !is_made && !one.of.iter().any(|source| needs(&made, *source, one.field)) {
            made.push(one);
        }
    }
    in_order(made)
}

/// Whether a field is, or is made of, another.
fn needs(made: &[Made], field: usize, other: usize) -> bool {
    let own = made.iter().find(|one| one.field == field);
    field == other || own.is_some_and(|one| one.of.iter().any(|source| needs(made, *source, other)))
}

/// What others are made of comes first.
fn in_order(mut left: Vec<Made>) -> Vec<Made> {
    left.sort_by_key(|one| one.field);
    let mut made: Vec<Made> = Vec::new();
    while let Some(next) = left.iter().position(|one| !left.iter().any(|other| one.of.contains(&other.field))) {
        made.push(left.remove(next));
    }
    made
}

/// A column that may be made of others.
struct Target<'a> {
    numbers: &'a [Option<i64>],
    /// Rows that are looked at, of those that have a number.
    rows: Vec<usize>,
    /// Bits of a number.
    entropy: f64,
}

impl<'a> Target<'a> {
    fn of(numbers: &'a [Option<i64>]) -> Option<Self> {
        let rows: Vec<usize> = (0..numbers.len()).filter(|row| numbers[*row].is_some()).collect();
        let rows: Vec<usize> = rows.iter().copied().step_by(rows.len().div_ceil(ROWS).max(1)).collect();
        let mut counts: HashMap<i64, u32> = HashMap::new();
        rows.iter().filter_map(|row| numbers[*row]).for_each(|number| *counts.entry(number).or_insert(0) += 1);
        let entropy = entropy(counts.values().copied(), rows.len());
        (counts.len() >= LEAST_NUMBERS).then_some(Self { numbers, rows, entropy })
    }

    /// By how much it is frequently off, and the bits that this saves, if it is worth while.
    fn judge(&self, relation: Relation, of: [&[Option<i64>]; 2]) -> Option<(Vec<i64>, f64)> {
        let off = |row: &usize| relation.off(self.numbers[*row]?, [of[0][*row]?, of[1][*row]?]);
        let step = self.rows.len().div_ceil(FIRST_LOOK).max(1);
        let mut first: Vec<Option<i64>> = self.rows.iter().step_by(step).map(off).collect();
        let looked = first.len();
        first.sort_unstable();
        first.dedup();
        if first.len() * 3 > looked {
            return None;
        }
        let mut counts: HashMap<i64, u32> = HashMap::new();
        self.rows.iter().filter_map(off).for_each(|off| *counts.entry(off).or_insert(0) += 1);
        let least = (OFTEN * self.rows.len() as f64).max(f64::from(LEAST_COUNT));
        counts.retain(|_, count| f64::from(*count) >= least);
        let made: u32 = counts.values().sum();
        let share = f64::from(made) / self.rows.len() as f64;
        let others = self.rows.len() as u32 - made;
        let costs = entropy(counts.values().copied().chain([others]), self.rows.len()) + (1.0 - share) * self.entropy;
        let saves = self.entropy - costs;
        if share < MADE || counts.len() > MOST_OFF || saves < SAVES {
            return None;
        }
        let mut off: Vec<i64> = counts.into_keys().collect();
        off.sort_unstable();
        Some((off, saves))
    }
}

/// Bits of one of so many, counted by what they are. The order of the counts is of no account but for the last places of the sum, so that they are
/// sorted first.
fn entropy(counts: impl Iterator<Item = u32>, all: usize) -> f64 {
    let mut counts: Vec<u32> = counts.filter(|count| *count > 0).collect();
    counts.sort_unstable();
    counts.iter().map(|count| f64::from(*count) / all as f64).map(|share| -share * share.log2()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mixed(n: i64) -> i64 {
        // The finaliser of SplitMix64: sums of arguments make no sums.
        let n = (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let n = (n ^ n >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((n ^ n >> 27) >> 40) as i64
    }

    #[test]
    fn a_sum_is_found_and_what_is_made_of_it_too() {
        let column = |of: &dyn Fn(i64) -> i64| (0..3000).map(|n| Some(of(n))).collect::<Vec<_>>();
        let (net, tax) = (|n| mixed(n) % 5000, |n| mixed(n + 5000) % 900);
        let hour = |n| mixed(n + 9000) % 24;
        let minute = |n| mixed(n + 12_000) % 60;
        let mut gross = column(&|n| net(n) + tax(n) + i64::from(n % 50 == 0));
        gross[17] = None;
        let numbers = [
            gross,
            column(&net),
            column(&|n| net(n) + 2 * tax(n)),
            column(&tax),
            Vec::new(),
            column(&hour),
            column(&minute),
            column(&|n| 100 * hour(n) + minute(n)),
            column(&|n| mixed(n + 20_000)),
        ];
        let made = relations(&numbers);
        let what: Vec<_> = made.iter().map(|made| (made.field, made.of, made.relation, &*made.off)).collect();
        assert_eq!(what.len(), 3, "{what:?}");
        assert!(what.contains(&(7, [5, 6], Relation::Hundreds, &[0])), "{what:?}");
        for (place, made) in made.iter().enumerate() {
            assert!(!made_later(&what[place..], made.of), "{what:?}");
        }
    }

    fn made_later(what: &[(usize, [usize; 2], Relation, &[i64])], of: [usize; 2]) -> bool {
        what.iter().any(|(field, ..)| of.contains(field))
    }

    #[test]
    fn nothing_is_made_of_what_it_makes() {
        // Each is the sum or the difference of the other two.
        let numbers: Vec<Vec<Option<i64>>> = (0..3)
            .map(|which| (0..500).map(|n| Some([mixed(n), mixed(n + 500), mixed(n) + mixed(n + 500)][which])).collect())
            .collect();
        assert_eq!(relations(&numbers).len(), 1);
        assert!(relations(&numbers[..2]).is_empty(), "two that have nothing to do with one another");
    }
}
