//! Texts that no alphabet has, token by token: pieces of words that the topic's texts are made of, after those before them.
//!
//! A token is a few bytes that often stand together; each byte by itself is one too, so that any text has tokens. They say
//! two to three bytes each, so that a text takes fewer steps than it has bytes.

use std::ops::Range;

use crate::payload::fields::Page;

use super::automaton::Automaton;
use super::chain::{Chain, ChainCounts};
use super::coding::{Sink, Source};
use super::fault::Fault;
use super::model::afford;
use super::registers::mix;

/// How many levels the chain has: after two tokens, after one, and by the column alone.
pub(super) const LEVELS: usize = 3;

/// Tokens of one byte, which are their own symbols. Behind them come longer ones, then the end of a text.
pub(super) const BYTES: usize = 256;

/// Most tokens of more than one byte, and most bytes of one.
pub(super) const MAX_TOKENS: usize = 4096;
pub(super) const MAX_TOKEN: usize = 64;

/// What stands before a text.
const START: u16 = u16::MAX;

/// A node of the trie that is the end of no token.
const NO_TOKEN: u16 = u16::MAX;

/// The tokens before the next one, the last one first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Before([u16; 2]);

impl Before {
    pub const START: Self = Self([START; 2]);

    #[inline]
    pub fn push(&mut self, token: u16) {
        self.0 = [token, self.0[0]];
    }

    /// Those of them that a level looks at.
    pub fn seen(self, level: usize) -> Self {
        let [last, before] = self.0;
        Self([if level < 2 { last } else { START }, if level == 0 { before } else { START }])
    }

    /// The key of a level's context, in a text of this column.
    #[inline]
    pub fn key(self, level: usize, column: usize) -> u32 {
        let [last, before] = self.0.map(i64::from);
        let tokens = match level {
            0 => last | before << 16,
            1 => last,
            _ => 0,
        };
        mix(mix(0, tokens ^ (level as i64) << 56), column as i64) as u32
    }
}

/// Tokens, and how a text is cut into them: the longest one that stands next, again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Vocabulary {
    /// Those of more than one byte, by symbol less [`BYTES`].
    tokens: Vec<Vec<u8>>,
    /// A trie, level by level. Its first nodes are those of one byte; the children of node `n` are the entries
    /// `firsts[n]..firsts[n + 1]` of `bytes`, and entry `i` is node `BYTES + i`.
    firsts: Vec<u32>,
    bytes: Vec<u8>,
    /// By node, the token that ends there.
    ends: Vec<u16>,
    /// By symbol, its bytes.
    short: Vec<Short>,
}

/// The bytes of a token in as many as are copied at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Short {
    bytes: [u8; 15],
    /// How many there are; more where the token is longer.
    length: u8,
}

impl Short {
    fn new(token: &[u8]) -> Self {
        let mut bytes = [0; 15];
        bytes.iter_mut().zip(token).for_each(|(byte, of)| *byte = *of);
        Self { bytes, length: token.len() as u8 }
    }
}

impl Vocabulary {
    /// Of tokens of more than one byte, which are all different.
    pub fn new(tokens: Vec<Vec<u8>>) -> Self {
        debug_assert!(tokens.len() <= MAX_TOKENS);
        let mut sorted: Vec<(&[u8], u16)> = tokens.iter().map(Vec::as_slice).zip(BYTES as u16..).collect();
        sorted.sort_unstable();
        // Which tokens are below a node, and how many bytes lead to it.
        let mut nodes: Vec<(Range<usize>, usize)> = (0..BYTES)
            .map(|byte| {
                let from = sorted.partition_point(|(token, _)| usize::from(token[0]) < byte);
                (from..sorted.partition_point(|(token, _)| usize::from(token[0]) <= byte), 1)
            })
            .collect();
        let mut ends: Vec<u16> = (0..BYTES as u16).collect();
        let (mut firsts, mut bytes) = (Vec::new(), Vec::new());
        let mut at = 0;
        while at < nodes.len() {
            let (Range { start: mut from, end }, depth) = nodes[at].clone();
            firsts.push(bytes.len() as u32);
            if depth > 1 && sorted[from].0.len() == depth {
                ends[at] = sorted[from].1;
                from += 1;
            }
            while from < end {
                let byte = sorted[from].0[depth];
                let to = from + sorted[from..end].partition_point(|(token, _)| token[depth] == byte);
                nodes.push((from..to, depth + 1));
                bytes.push(byte);
                ends.push(NO_TOKEN);
                from = to;
            }
            at += 1;
        }
        firsts.push(bytes.len() as u32);
        let short = (0..=u8::MAX).map(|byte| Short::new(&[byte])).chain(tokens.iter().map(|token| Short::new(token)));
        Self { short: short.collect(), tokens, firsts, bytes, ends }
    }

    /// Those of more than one byte, in the order of their symbols.
    pub fn tokens(&self) -> &[Vec<u8>] {
        &self.tokens
    }

    /// The bytes of a token.
    fn token(&self, symbol: u16) -> &[u8] {
        match usize::from(symbol).checked_sub(BYTES) {
            Some(place) => &self.tokens[place],
            None => &self.short[usize::from(symbol)].bytes[..1],
        }
    }

    /// Number of symbols, that of a text's end included.
    pub fn symbols(&self) -> usize {
        BYTES + self.tokens.len() + 1
    }

    /// The symbol of a text's end.
    #[inline]
    pub fn end(&self) -> u16 {
        (BYTES + self.tokens.len()) as u16
    }

    /// The longest token that a text begins with, and its length. There is a text.
    #[inline]
    fn longest(&self, text: &[u8]) -> (u16, usize) {
        let mut node = usize::from(text[0]);
        let mut found = (u16::from(text[0]), 1);
        for (depth, byte) in text.iter().enumerate().skip(1) {
            let children = self.firsts[node] as usize..self.firsts[node + 1] as usize;
            let Some(place) = self.bytes[children.clone()].iter().position(|child| child == byte) else { break };
            node = BYTES + children.start + place;
            if self.ends[node] != NO_TOKEN {
                found = (self.ends[node], depth + 1);
            }
        }
        found
    }

    /// Sees each token of a text, and its end, with what stands before it.
    #[inline]
    pub fn cut(&self, mut text: &[u8], mut see: impl FnMut(u16, Before)) {
        let mut before = Before::START;
        while !text.is_empty() {
            let (token, length) = self.longest(text);
            see(token, before);
            before.push(token);
            text = &text[length..];
        }
        see(self.end(), before);
    }
}

/// Codes texts among the symbols.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TokenModel {
    vocabulary: Vocabulary,
    chain: Chain,
    /// The same for decoding, which has to wait for each token before it can look for the next.
    automaton: Automaton,
}

impl TokenModel {
    /// Of texts of so many columns.
    pub fn new(vocabulary: Vocabulary, counts: &ChainCounts, columns: usize) -> Self {
        let automaton = Automaton::new(counts, columns, vocabulary.end());
        Self { vocabulary, chain: Chain::new(counts), automaton }
    }

    pub fn encode(&self, column: usize, text: &[u8], sink: &mut impl Sink) {
        self.vocabulary.cut(text, |token, before| self.chain.encode(token, |level| before.key(level, column), sink));
    }

    /// Appends a text.
    pub fn decode(&self, column: usize, source: &mut impl Source, page: &mut Page) -> Result<(), Fault> {
        let mut before = Before::START;
        let mut state = self.automaton.start(column);
        loop {
            let symbol;
            // There are 4098 columns of texts at most.
            (symbol, state) = self.automaton.decode(state, column as u16, before, source);
            let Some(short) = self.vocabulary.short.get(usize::from(symbol)) else { return Ok(()) };
            let length = usize::from(short.length);
            afford(page, length)?;
            if length <= short.bytes.len() {
                page.piece(&short.bytes, length);
            } else {
                page.extend(self.vocabulary.token(symbol));
            }
            before.push(symbol);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::columns::chain::{Escapes, LevelCounts, OCCURRENCES_CLASSES, SYMBOLS_CLASSES, Sparse};
    use crate::model::columns::coding::testing::Slots;
    use proptest::prelude::*;

    fn vocabulary(tokens: &[&str]) -> Vocabulary {
        Vocabulary::new(tokens.iter().map(|token| token.as_bytes().to_vec()).collect())
    }

    fn cut(vocabulary: &Vocabulary, text: &[u8]) -> Vec<u16> {
        let mut tokens = Vec::new();
        vocabulary.cut(text, |token, _| tokens.push(token));
        tokens
    }

    #[test]
    fn the_longest_token_is_taken() {
        let vocabulary = vocabulary(&["ab", "abcd", "bc", " yards", "\u{e4}"]);
        assert_eq!(cut(&vocabulary, b"abcabcd"), [256, u16::from(b'c'), 257, 261]);
        assert_eq!(cut(&vocabulary, b"bc yard"), [258, 32, 121, 97, 114, 100, 261]);
        assert_eq!(cut(&vocabulary, " yards\u{e4}".as_bytes()), [259, 260, 261]);
        assert_eq!(cut(&vocabulary, b""), [261]);
        assert_eq!(cut(&super::Vocabulary::new(Vec::new()), b"\x00\xff"), [0, 255, 256]);
    }

    proptest! {
        #[test]
        fn a_text_comes_back_however_much_is_known_of_its_tokens(
            seen in prop::collection::vec(("[a-c]{0,9}", 0usize..3), 1..30),
            texts in prop::collection::vec(("[a-d]{0,12}", 0usize..3), 1..20),
            forgotten in 0u32..4,
        ) {
            let vocabulary = vocabulary(&["ab", "ca", "abc", "bb"]);
            // By level and key, the symbols that were seen; a level forgets some of its keys.
            let mut counts = vec![std::collections::BTreeMap::<u32, std::collections::BTreeMap<u16, u32>>::new(); LEVELS];
            for (text, column) in &seen {
                vocabulary.cut(text.as_bytes(), |token, before| for (level, counts) in counts.iter_mut().enumerate() {
                    *counts.entry(before.key(level, *column)).or_default().entry(token).or_default() += 1;
                });
            }
            let levels = counts.into_iter().map(|counts| LevelCounts {
                sparse: counts.into_iter().filter(|(key, _)| key % 4 >= forgotten)
                    .map(|(key, counts)| Sparse { key, counts: counts.into_iter().collect() }).collect(),
                escapes: Escapes { by_class: [[9000; SYMBOLS_CLASSES]; OCCURRENCES_CLASSES] },
            }).collect();
            let counts = ChainCounts { levels, dense: vec![1; vocabulary.symbols()] };
            let model = TokenModel::new(vocabulary, &counts, 2);
            for (text, column) in &texts {
                let (mut slots, mut page) = (Slots::default(), Page::new(Vec::new(), 100));
                model.encode(*column, text.as_bytes(), &mut slots);
                model.decode(*column, &mut slots, &mut page).unwrap();
                prop_assert_eq!(page.into_bytes(), text.as_bytes());
                prop_assert!(slots.0.is_empty());
            }
        }

        #[test]
        fn tokens_laid_end_to_end_are_the_text(
            tokens in prop::collection::hash_set("[a-c]{2,5}", 0..40), text in "[a-d]{0,40}",
        ) {
            let tokens: Vec<Vec<u8>> = tokens.into_iter().map(String::into_bytes).collect();
            let vocabulary = Vocabulary::new(tokens.clone());
            let (mut at, mut rest) = (cut(&vocabulary, text.as_bytes()), text.as_bytes());
            prop_assert_eq!(at.pop(), Some(vocabulary.end()));
            for token in at {
                let bytes = match u8::try_from(token) {
                    Ok(byte) => vec![byte],
                    Err(_) => tokens[usize::from(token) - BYTES].clone(),
                };
                prop_assert!(rest.starts_with(&bytes));
                let longer = tokens.iter().filter(|other| rest.starts_with(other)).map(Vec::len).max();
                prop_assert!(longer.unwrap_or(1) == bytes.len());
                rest = &rest[bytes.len()..];
            }
            prop_assert!(rest.is_empty());
        }
    }
}
