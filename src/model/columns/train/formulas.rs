//! What keys and header values are made of: texts of the value, found in them.

use std::collections::{HashMap, HashSet};

use crate::model::columns::framing::{Formula, MAX_FORMULAS, MAX_PARTS, Part};

/// A text, and the texts that it may be made of, by number.
pub(super) struct Example<'a> {
    pub text: &'a [u8],
    pub sources: Vec<Option<&'a [u8]>>,
}

/// Longest text that is looked at.
const LONGEST: usize = 256;
/// Formulas that are tried on all examples.
const TRIED: usize = 64;
/// Shortest texts that are taken for parts, in two looks: short ones are found where they are not meant.
const SHORTEST: [usize; 2] = [1, 3];
/// Of the examples that no formula makes yet, another must make one in so many; of all, one in so many; and so many at least.
const LEAST_OF_LEFT: usize = 4;
const LEAST_OF_ALL: usize = 20;
const LEAST: usize = 8;

/// The formulas that make most of the texts, each of many that those before it do not make.
pub(super) fn search(examples: &[Example<'_>]) -> Vec<Formula> {
    let mut votes: HashMap<Formula, usize> = HashMap::new();
    for example in examples.iter().filter(|example| example.text.len() <= LONGEST) {
        for shortest in SHORTEST {
            if let Some(formula) = read(example, shortest) {
                *votes.entry(formula).or_insert(0) += 1;
            }
        }
    }
    let mut tried: Vec<(usize, Formula)> = votes.into_iter().map(|(formula, votes)| (votes, formula)).collect();
    tried.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    tried.truncate(TRIED);
    let mut left: Vec<&Example<'_>> = examples.iter().collect();
    let mut found = Vec::new();
    while found.len() < MAX_FORMULAS {
        let made = |formula: &Formula| left.iter().filter(|example| makes(formula, example)).count();
        let best = tried.iter().map(|(_, formula)| (made(formula), formula));
        // Of those that make as many the simplest, then the first.
        let best = best.min_by_key(|(made, formula)| (std::cmp::Reverse(*made), formula.parts.len(), *formula));
        let Some((made, formula)) = best else { break };
        let least = LEAST.max(examples.len() / LEAST_OF_ALL).max(left.len() / LEAST_OF_LEFT);
        // What is always the same is like a field by chance.
        let texts: HashSet<&[u8]> =
            left.iter().filter(|example| makes(formula, example)).map(|example| example.text).collect();
        if made < least || texts.len() < 2 {
            break;
        }
        left.retain(|example| !makes(formula, example));
        found.push(formula.clone());
    }
    found
}

fn makes(formula: &Formula, example: &Example<'_>) -> bool {
    formula.makes(example.text, |source| example.sources.get(usize::from(source)).copied().flatten())
}

/// A formula that makes a text: from the left, the longest source that stands there.
fn read(example: &Example<'_>, shortest: usize) -> Option<Formula> {
    let mut parts: Vec<Part> = Vec::new();
    let mut rest = example.text;
    while !rest.is_empty() {
        let mut longest: Option<(usize, usize)> = None;
        for (number, source) in example.sources.iter().enumerate() {
            if let Some(source) = source
                && source.len() >= shortest
                && rest.starts_with(source)
                && longest.is_none_or(|(length, _)| source.len() > length)
            {
                longest = Some((source.len(), number));
            }
        }
        match (longest, parts.last_mut()) {
            (Some((length, number)), _) => {
                parts.push(Part::Source(number as u16));
                rest = &rest[length..];
            }
            (None, Some(Part::Literal(literal))) => {
                literal.push(rest[0]);
                rest = &rest[1..];
            }
            (None, _) => {
                parts.push(Part::Literal(vec![rest[0]]));
                rest = &rest[1..];
            }
        }
    }
    let has_source = parts.iter().any(|part| matches!(part, Part::Source(_)));
    (has_source && parts.len() <= MAX_PARTS).then_some(Formula { parts })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formulas(examples: &[(String, Vec<String>)]) -> Vec<Formula> {
        let examples: Vec<Example<'_>> = examples
            .iter()
            .map(|(text, sources)| Example {
                text: text.as_bytes(),
                sources: sources.iter().map(|source| Some(source.as_bytes())).collect(),
            })
            .collect();
        search(&examples)
    }

    #[test]
    fn joined_and_quoted_fields_are_found_and_what_is_alike_by_chance_is_not() {
        let record = |i: usize| vec![["UA", "AA", "B6"][i % 3].to_owned(), (i % 40).to_string(), "1".to_owned()];
        let texts = |text: &dyn Fn(&[String]) -> String| {
            formulas(&(0..200).map(|i| (text(&record(i)), record(i))).collect::<Vec<_>>())
        };
        let literal = |text: &str| Part::Literal(text.as_bytes().to_vec());
        let joined = texts(&|record| format!("{}-{}", record[0], record[1]));
        assert_eq!(joined, [Formula { parts: vec![Part::Source(0), literal("-"), Part::Source(1)] }]);
        let quoted = texts(&|record| format!("\"{}\"", record[1]));
        assert_eq!(quoted, [Formula { parts: vec![literal("\""), Part::Source(1), literal("\"")] }]);
        assert_eq!(texts(&|_| "1".to_owned()), []);
        // A key that is one of two fields by turns.
        let either = texts(&|record| record[usize::from(record[1].len() == 2)].clone());
        assert_eq!(either.len(), 2, "{either:?}");
        assert_eq!(formulas(&[]), []);
    }
}
