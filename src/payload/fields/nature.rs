//! What a column's values are, judged by all of them: what a generator learns it by, and a judge compares it by.

use std::collections::HashMap;

use super::{Kind, TimeFormat};

/// How often a value must have been seen to be known: a rarer one may belong to somebody.
pub const LEAST_COUNT: u32 = 5;
/// Different numbers from which on a column is one of numbers; fewer are categories.
const LEAST_NUMBERS: usize = 10;
/// Different numbers from which on those that only go up, or only down, are a sequence.
const LEAST_SEQUENCE: usize = 100;
/// Longest mean length of categories; longer ones are text.
const LONGEST_CATEGORY: usize = 64;
/// Greatest number that is taken for one: sums of squares of such are finite.
const GREATEST: f64 = 1e120;
/// Values that a kind is learned from at most.
const KIND_SAMPLES: usize = 4_000;

/// What a column's values are.
#[derive(Clone, Debug, PartialEq)]
pub enum Nature {
    /// There are none.
    Empty,
    /// Numbers that only go up, or only down: a counter or a clock.
    Sequence,
    /// Numbers.
    Number,
    /// Times of this format.
    Time(TimeFormat),
    /// Values of which most come back.
    Category,
    /// Words that mostly do not come back.
    Text,
    /// Names of things, nearly each another one.
    Identifier,
}

impl Nature {
    /// That of values that come in the order of their topic. `is_hex`: they are hexadecimal digits, whose decimal ones are no
    /// numbers.
    pub fn of(values: &[&[u8]], is_hex: bool) -> Self {
        if values.is_empty() {
            return Self::Empty;
        }
        let mut counts: HashMap<&[u8], u32> = HashMap::new();
        values.iter().for_each(|value| *counts.entry(value).or_insert(0) += 1);
        if !is_hex {
            let numbers: Vec<f64> = values.iter().filter_map(|value| number(value)).collect();
            if nearly_all(numbers.len(), values.len()) && counts.len() >= LEAST_NUMBERS {
                let sequence = counts.len() >= LEAST_SEQUENCE && is_sequence(&numbers);
                return if sequence { Self::Sequence } else { Self::Number };
            }
            let kind = kind(values);
            if let Kind::Time(format) = kind {
                let parsed = values.iter().filter(|value| kind.parse(value).is_some()).count();
                if nearly_all(parsed, values.len()) {
                    return Self::Time(format);
                }
            }
        }
        let known: usize = counts.values().filter(|count| **count >= LEAST_COUNT).map(|count| *count as usize).sum();
        let bytes: usize = values.iter().map(|value| value.len()).sum();
        if known * 2 >= values.len() && bytes <= LONGEST_CATEGORY * values.len() {
            return Self::Category;
        }
        let has_words = values.iter().filter(|value| value.contains(&b' ')).count() * 2 > values.len();
        if has_words { Self::Text } else { Self::Identifier }
    }
}

/// Whether so many are all but one in twenty.
pub fn nearly_all(count: usize, all: usize) -> bool {
    count * 20 >= all * 19
}

/// The kind of values, learned from some of them.
pub fn kind(values: &[&[u8]]) -> Kind {
    let step = values.len().div_ceil(KIND_SAMPLES).max(1);
    let some: Vec<&[u8]> = values.iter().copied().step_by(step).collect();
    Kind::learn(&some)
}

/// A number as JSON writes it.
pub fn number(text: &[u8]) -> Option<f64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    match digits {
        [b'0', b'0'..=b'9', ..] => return None,
        [b'0'..=b'9', ..] => {}
        _ => return None,
    }
    std::str::from_utf8(text).ok()?.parse().ok().filter(|number: &f64| number.abs() <= GREATEST)
}

/// Whether numbers only go up, or only down, but for one step in a hundred, and mostly differ.
pub fn is_sequence<T: PartialOrd>(numbers: &[T]) -> bool {
    let steps = || numbers.windows(2).filter_map(|pair| pair[0].partial_cmp(&pair[1]));
    let all = numbers.len().saturating_sub(1);
    let count = |wanted| steps().filter(|step| *step == wanted).count();
    let (up, down) = (count(std::cmp::Ordering::Less), count(std::cmp::Ordering::Greater));
    (up + down) * 2 > all && up.min(down) * 100 <= all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: impl Iterator<Item = String>) -> Nature {
        let values: Vec<String> = values.collect();
        Nature::of(&values.iter().map(String::as_bytes).collect::<Vec<_>>(), false)
    }

    #[test]
    fn a_column_is_what_nearly_all_of_its_values_are() {
        let mixed = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        assert_eq!(of((0..400).map(|n| n.to_string())), Nature::Sequence);
        assert_eq!(of((0..400).map(|n| mixed(n).to_string())), Nature::Number);
        assert_eq!(of((0..400).map(|n| (n % 3).to_string())), Nature::Category);
        assert_eq!(of((0..400).map(|n| format!("v{}", n % 40))), Nature::Category);
        assert_eq!(of((0..400).map(|n| format!("v{}", mixed(n)))), Nature::Identifier);
        assert_eq!(of((0..400).map(|n| format!("a note on {}", mixed(n)))), Nature::Text);
        assert!(matches!(of((0..400).map(|n| format!("2013-01-{:02}", n % 28 + 1))), Nature::Time(_)));
        assert_eq!(of(std::iter::empty()), Nature::Empty);
        assert_eq!(number(b"007"), None);
        assert_eq!(number(b"-1.5e3"), Some(-1500.0));
    }
}
