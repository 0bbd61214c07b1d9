//! Which bytes often stand together in texts: byte pair encoding (Gage 1994; Sennrich et al. 2016, arXiv:1508.07909), within
//! words.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};

use crate::model::columns::chain::MAX_SPARSE;
use crate::model::columns::tokens::{BYTES, MAX_TOKEN, Vocabulary};

/// Fewest occurrences of a pair that becomes a token.
const LEAST: u64 = 4;

/// Most tokens: with the end of a text there are as many symbols as one distribution may have.
const MOST: usize = MAX_SPARSE - BYTES - 1;

/// Longest word, in bytes: no token is longer.
const MAX_WORD: usize = MAX_TOKEN;

type Pair = (u16, u16);

/// A word that occurs, and its tokens so far.
struct Word {
    count: u64,
    tokens: Vec<u16>,
}

/// Learns the tokens of texts.
pub(super) fn learn<'a>(texts: impl Iterator<Item = &'a [u8]>) -> Vocabulary {
    // In order, so that the same texts make the same tokens.
    let mut counts: BTreeMap<&[u8], u64> = BTreeMap::new();
    texts.flat_map(words).filter(|word| word.len() > 1).for_each(|word| *counts.entry(word).or_insert(0) += 1);
    let words = counts
        .into_iter()
        .map(|(word, count)| Word { count, tokens: word.iter().map(|byte| u16::from(*byte)).collect() });
    let mut pairs = Pairs::new(words.collect());
    let mut tokens: Vec<Vec<u8>> = (0..=u8::MAX).map(|byte| vec![byte]).collect();
    while tokens.len() < BYTES + MOST
        && let Some((left, right)) = pairs.most_frequent()
    {
        let token = [tokens[usize::from(left)].as_slice(), &tokens[usize::from(right)]].concat();
        // Different pairs may make the same bytes.
        let fits = token.len() <= MAX_TOKEN && !tokens.contains(&token);
        pairs.merge((left, right), fits.then_some(tokens.len() as u16));
        if fits {
            tokens.push(token);
        }
    }
    Vocabulary::new(tokens.split_off(BYTES))
}

/// A text's words: letters with what stands before them, but digits by themselves, since numbers are seldom alike. What is
/// longer than a word may be is cut, between characters where it is UTF-8.
fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let letter = |byte: u8| byte.is_ascii_alphabetic() || !byte.is_ascii();
    text.chunk_by(move |a, b| !a.is_ascii_digit() && !b.is_ascii_digit() && (!letter(*a) || letter(*b))).flat_map(cut)
}

/// A word in pieces of at most [`MAX_WORD`] bytes.
fn cut(mut word: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let begins = |at: &usize| word.get(*at).is_none_or(|byte| byte & 0xc0 != 0x80);
        let end = (MAX_WORD - 3..=MAX_WORD).rev().find(begins).unwrap_or(MAX_WORD).min(word.len());
        let (piece, rest) = word.split_at(end);
        word = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

/// How often which tokens stand side by side.
struct Pairs {
    words: Vec<Word>,
    counts: HashMap<Pair, u64>,
    /// Words that have a pair, or had it.
    places: HashMap<Pair, Vec<u32>>,
    /// The most frequent first, the lowest of equals; those whose count is another by now are stale.
    heap: BinaryHeap<(u64, Reverse<Pair>)>,
    /// Pairs that make no token.
    rejected: HashSet<Pair>,
}

impl Pairs {
    fn new(words: Vec<Word>) -> Self {
        let mut pairs = Self {
            words,
            counts: HashMap::new(),
            places: HashMap::new(),
            heap: BinaryHeap::new(),
            rejected: HashSet::new(),
        };
        for word in 0..pairs.words.len() {
            pairs.add(word);
        }
        pairs.heap = pairs.counts.iter().map(|(pair, count)| (*count, Reverse(*pair))).collect();
        pairs
    }

    /// Counts the pairs of a word.
    fn add(&mut self, word: usize) {
        let Word { count, tokens } = &self.words[word];
        for pair in tokens.windows(2) {
            let pair = (pair[0], pair[1]);
            *self.counts.entry(pair).or_insert(0) += count;
            let places = self.places.entry(pair).or_default();
            if places.last() != Some(&(word as u32)) {
                places.push(word as u32);
            }
        }
    }

    fn most_frequent(&mut self) -> Option<Pair> {
        loop {
            let (count, Reverse(pair)) = self.heap.pop()?;
            if self.counts.get(&pair) == Some(&count) && !self.rejected.contains(&pair) {
                return (count >= LEAST).then_some(pair);
            }
        }
    }

    /// Makes a pair one token everywhere; or, without one, never comes back to it.
    fn merge(&mut self, pair: Pair, token: Option<u16>) {
        let Some(token) = token else {
            self.rejected.insert(pair);
            return;
        };
        let mut changed = Vec::new();
        for place in self.places.remove(&pair).unwrap_or_default() {
            let Word { count, tokens } = &mut self.words[place as usize];
            let old = std::mem::take(tokens);
            let mut at = 0;
            // Only the pairs that a merged one touches are counted again.
            let mut after_merged = false;
            while at < old.len() {
                let merged = old.get(at..at + 2) == Some(&[pair.0, pair.1]);
                let before = tokens.last().copied();
                if merged || after_merged {
                    if at > 0 {
                        let gone = (old[at - 1], old[at]);
                        *self.counts.entry(gone).or_insert(0) -= *count;
                        changed.push(gone);
                    }
                    if let Some(before) = before {
                        let came = (before, if merged { token } else { old[at] });
                        *self.counts.entry(came).or_insert(0) += *count;
                        changed.push(came);
                        let places = self.places.entry(came).or_default();
                        if places.last() != Some(&place) {
                            places.push(place);
                        }
                    }
                }
                if merged {
                    *self.counts.entry(pair).or_insert(0) -= *count;
                }
                tokens.push(if merged { token } else { old[at] });
                at += if merged { 2 } else { 1 };
                after_merged = merged;
            }
        }
        self.counts.remove(&pair);
        changed.sort_unstable();
        changed.dedup();
        let counted = changed.into_iter().filter_map(|pair| Some((*self.counts.get(&pair)?, Reverse(pair))));
        self.heap.extend(counted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Merges as [`learn`] does, and counts all pairs again after each one.
    fn is_counted_well(texts: &[String]) {
        let mut counts: BTreeMap<&[u8], u64> = BTreeMap::new();
        texts.iter().flat_map(|text| words(text.as_bytes())).for_each(|word| *counts.entry(word).or_insert(0) += 1);
        let words = counts
            .into_iter()
            .map(|(word, count)| Word { count, tokens: word.iter().map(|byte| u16::from(*byte)).collect() });
        let mut pairs = Pairs::new(words.collect());
        let mut tokens: Vec<Vec<u8>> = (0..=u8::MAX).map(|byte| vec![byte]).collect();
        while let Some((left, right)) = pairs.most_frequent() {
            let token = [tokens[usize::from(left)].as_slice(), &tokens[usize::from(right)]].concat();
            let fits = token.len() <= MAX_TOKEN && !tokens.contains(&token);
            pairs.merge((left, right), fits.then_some(tokens.len() as u16));
            if fits {
                tokens.push(token);
            }
            let mut again: HashMap<Pair, u64> = HashMap::new();
            for Word { count, tokens } in &pairs.words {
                tokens.windows(2).for_each(|next| *again.entry((next[0], next[1])).or_insert(0) += count);
            }
            let counted: HashMap<Pair, u64> =
                pairs.counts.iter().filter(|(_, count)| **count > 0).map(|(pair, count)| (*pair, *count)).collect();
            assert_eq!(counted, again);
        }
    }

    #[test]
    fn pairs_of_one_letter_again_and_again_are_counted_well() {
        let texts: Vec<String> = (1..80).map(|length| "-".repeat(length * 37 % 400)).collect();
        is_counted_well(&texts);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn pairs_are_counted_well(texts in prop::collection::vec("[ab]{0,60}|a{0,200}|(ab){0,90}", 1..40)) {
            is_counted_well(&texts);
        }
    }

    #[test]
    fn words_have_what_stands_before_them_and_digits_stand_alone() {
        let all: Vec<&[u8]> = words(b"(14:56) E.Manning at S\xc3\xa4o").collect();
        let expected: [&[u8]; 10] = [b"(", b"1", b"4", b":", b"5", b"6", b") E", b".Manning", b" at", b" S\xc3\xa4o"];
        assert_eq!(all, expected);
        assert_eq!(words(b"").count(), 0);
        let long = ["ä".repeat(100), "-".repeat(130)].concat();
        let pieces: Vec<&[u8]> = words(long.as_bytes()).collect();
        assert_eq!(pieces.iter().map(|piece| piece.len()).collect::<Vec<_>>(), [64, 64, 64, 8, 64, 64, 2]);
        let odd = [b"a".as_slice(), "ä".repeat(70).as_bytes()].concat();
        assert!(words(&odd).all(|piece| piece.len() <= MAX_WORD && std::str::from_utf8(piece).is_ok()));
        assert_eq!(words(&[0x80; 200]).map(<[u8]>::len).collect::<Vec<_>>(), [64, 64, 64, 8]);
    }

    #[test]
    fn frequent_words_become_tokens_and_rare_ones_do_not() {
        let texts: Vec<String> = (0..400)
            .map(|i| format!("pass {} to {}{}", ["short", "deep"][i % 2], ["NYG", "DAL"][i / 2 % 2], i))
            .collect();
        let vocabulary = learn(texts.iter().map(String::as_bytes));
        for word in ["pass", " short", " deep", " to", " NYG", " DAL"] {
            assert!(vocabulary.tokens().contains(&word.as_bytes().to_vec()), "{word}");
        }
        assert!(vocabulary.tokens().iter().all(|token| token.iter().all(|byte| !byte.is_ascii_digit())));
        assert_eq!(learn([&b"never seen before"[..]].into_iter()).tokens().len(), 0);
        assert_eq!(learn(texts.iter().map(String::as_bytes)), vocabulary);
    }

    #[test]
    fn there_are_no_more_tokens_than_a_distribution_may_have() {
        let letter = |i: usize| char::from(b'a' + (i % 26) as u8);
        let texts: Vec<String> = (0..26 * 26 * 3)
            .map(|i| [letter(i), letter(i / 26), letter(i / 3), letter(i / 7)].iter().collect::<String>().repeat(5))
            .collect();
        let vocabulary = learn(texts.iter().map(String::as_bytes));
        assert_eq!(vocabulary.symbols(), MAX_SPARSE);
    }
}
