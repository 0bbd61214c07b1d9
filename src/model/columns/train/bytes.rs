//! Texts byte by byte, and whether the bytes of a field's texts are best coded one by one, without what stands before them.

use super::count::ChainCounter;
use crate::model::columns::chain::ChainCounts;
use crate::model::columns::coding::{Sink, TOTAL, log2};
use crate::model::columns::dense::Dense;
use crate::model::columns::text::{ORDERS, TextModel, key};

/// Fewest texts that tell, and most that are asked.
const LEAST: usize = 32;
const MOST: usize = 8_000;

/// Counts bits, in 2^-16.
#[derive(Default)]
struct Bits(u64);

impl Sink for Bits {
    fn push(&mut self, _start: u32, frequency: u32) {
        self.0 += u64::from(log2(TOTAL) - log2(frequency));
    }
    fn raw(&mut self, _value: u64, bits: u32) {
        self.0 += u64::from(bits) << 16;
    }
}

/// Counts of the bytes of a column's texts, if those by themselves are better than the bytes before: learned from the older
/// half, judged on the newer. Random identifiers are such texts.
pub(super) fn own(column: usize, texts: &[&[u8]]) -> Option<Vec<u32>> {
    let texts = &texts[texts.len().saturating_sub(MOST)..];
    if texts.len() < LEAST {
        return None;
    }
    let (older, newer) = texts.split_at(texts.len() / 2);
    let model = TextModel::new(&chain(older.iter().map(|text| (column, *text))));
    let plain = Dense::from_counts(&counts(older));
    let (mut with, mut without) = (Bits::default(), Bits::default());
    for text in newer {
        model.encode(column, text, &mut with);
        text.iter().for_each(|byte| plain.encode(u16::from(*byte), &mut without));
    }
    (without.0 < with.0).then(|| counts(texts))
}

/// Counts of the bytes of texts after those before them.
pub(super) fn chain<'a>(texts: impl Iterator<Item = (usize, &'a [u8])>) -> ChainCounts {
    let mut counter = ChainCounter::new(ORDERS.len(), 256);
    for (column, text) in texts {
        let mut history = 0u64;
        for byte in text {
            counter.add(u16::from(*byte), |level| key(ORDERS[level], column, history));
            history = history << 8 | u64::from(*byte);
        }
    }
    counter.finish(2)
}

fn counts(texts: &[&[u8]]) -> Vec<u32> {
    let mut counts = vec![0u32; 256];
    texts.iter().flat_map(|text| text.iter()).for_each(|byte| counts[usize::from(*byte)] += 1);
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};

    #[test]
    fn random_digits_are_best_by_themselves_and_words_are_not() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let digits: Vec<String> = (0..500).map(|_| format!("{:016x}", rng.next_u64())).collect();
        let words: Vec<String> = (0..500).map(|i| format!("delivery of parcel {}", i * i % 97)).collect();
        fn bytes(texts: &[String]) -> Vec<&[u8]> {
            texts.iter().map(String::as_bytes).collect()
        }
        let counts = own(3, &bytes(&digits)).unwrap();
        assert_eq!(counts.iter().filter(|count| **count > 0).count(), 16);
        assert_eq!(own(3, &bytes(&words)), None);
        assert_eq!(own(3, &bytes(&digits[..20])), None);
    }
}
