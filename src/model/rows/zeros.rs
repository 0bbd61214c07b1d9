//! Pairs of codes that never occur together, though chance alone would have brought them together often.
//!
//! A network leaves some probability to everything: one flight in ten thousand that never departed would arrive. Pairs that
//! independent columns would have shown [`EXPECTED`] times or more, and that no record has, are *structural zeros* (Agresti 2013,
//! *Categorical Data Analysis*, 10.6.3): such a code is never drawn beside the other. So `arr_time` is NULL where `dep_time` is,
//! without anybody having declared it.

use std::collections::BTreeMap;

/// How often chance would have to bring codes together, so that never is no chance: e^-14 is one in 1.2 million.
const EXPECTED: f64 = 14.0;

/// Which codes, counted over all variables, may stand beside which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Zeros {
    codes: usize,
    /// Words of a row.
    words: usize,
    /// `[codes, words]`: a bit for each pair that may not be.
    bits: Vec<u64>,
}

impl Zeros {
    /// Those of rows of codes: `codes: [rows, variables]`; `first` has the number of each variable's first code, and at its end the
    /// number of all codes. `class` puts codes of a variable together that are counted together, so that NULL beside any of a hundred numbers is
    /// found though each of them is rare; nothing is concluded about a code without one.
    pub fn of(codes: &[u16], first: &[usize], class: impl Fn(usize) -> Option<u8>) -> Self {
        let (variables, all) = (first.len() - 1, first[first.len() - 1]);
        let mut seen = Self::none(all);
        let mut counts = vec![0u32; all];
        let rows = codes.len() / variables.max(1);
        let mut present = vec![0; variables];
        for row in codes.chunks_exact(variables) {
            for (variable, code) in row.iter().enumerate() {
                present[variable] = first[variable] + usize::from(*code);
                counts[present[variable]] += 1;
            }
            for a in &present {
                present.iter().for_each(|b| seen.set(*a, *b));
            }
        }
        let mut zeros = Self::none(all);
        let never = |one: usize, others: &[usize]| {
            let count = others.iter().map(|other| f64::from(counts[*other])).sum::<f64>();
            let expected = f64::from(counts[one]) * count / rows as f64;
            expected >= EXPECTED && others.iter().all(|other| !seen.has(one, *other))
        };
        let known = |variable: usize| (first[variable]..first[variable + 1]).filter(|code| class(*code).is_some());
        for b in 0..variables {
            let mut classes: BTreeMap<Option<u8>, Vec<usize>> = BTreeMap::new();
            known(b).for_each(|code| classes.entry(class(code)).or_default().push(code));
            for one in (0..variables).filter(|a| *a != b).flat_map(known) {
                for members in classes.values() {
                    if never(one, members) {
                        members.iter().for_each(|other| zeros.set_both(one, *other));
                    }
                    for other in members.iter().filter(|other| never(one, &[**other])) {
                        zeros.set_both(one, *other);
                    }
                }
            }
        }
        zeros
    }

    fn none(codes: usize) -> Self {
        let words = codes.div_ceil(64);
        Self { codes, words, bits: vec![0; codes * words] }
    }

    fn set(&mut self, one: usize, other: usize) {
        self.bits[one * self.words + other / 64] |= 1 << (other % 64);
    }

    fn set_both(&mut self, one: usize, other: usize) {
        self.set(one, other);
        self.set(other, one);
    }

    /// Two codes are never together.
    pub fn forbid(&mut self, one: usize, other: usize) {
        self.set_both(one, other);
    }

    /// Whether two codes are never together.
    pub fn has(&self, one: usize, other: usize) -> bool {
        self.bits[one * self.words + other / 64] >> (other % 64) & 1 == 1
    }

    /// Adds all that are never beside a code to a set of such.
    pub fn exclude(&self, code: usize, excluded: &mut [u64]) {
        let row = &self.bits[code * self.words..][..self.words];
        excluded.iter_mut().zip(row).for_each(|(all, own)| *all |= own);
    }

    /// Words that a set of codes has.
    pub fn words(&self) -> usize {
        self.words
    }

    /// All bits, row by row.
    pub fn bytes(&self) -> Vec<u8> {
        self.bits.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// How many bytes [`Zeros::bytes`] makes for so many codes.
    pub fn size(codes: usize) -> usize {
        codes * codes.div_ceil(64) * 8
    }

    /// What [`Zeros::bytes`] has made; `None` if the length is another.
    pub fn parse(codes: usize, bytes: &[u8]) -> Option<Self> {
        if bytes.len() != Self::size(codes) {
            return None;
        }
        let bits = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
        Some(Self { codes, words: codes.div_ceil(64), bits })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_never_together_is_found_and_what_is_only_rare_is_not() {
        // The second variable is 1 where the first is, and nowhere else; the third is independent, with one value in a hundred.
        let rows = (0..1000u16).flat_map(|n| [n % 2, n % 2, u16::from(n % 101 == 0)]);
        let zeros = Zeros::of(&rows.collect::<Vec<_>>(), &[0, 2, 4, 6], |_| Some(0));
        assert!(zeros.has(0, 3) && zeros.has(1, 2) && zeros.has(3, 0) && zeros.has(2, 1));
        assert!(!zeros.has(0, 2) && !zeros.has(1, 3));
        assert!(!zeros.has(0, 5) && !zeros.has(1, 5), "five of each are expected, and chance may miss them");
        assert_eq!(Zeros::parse(6, &zeros.bytes()), Some(zeros.clone()));
        assert_eq!(Zeros::parse(7, &zeros.bytes()), None);
        let mut excluded = vec![0; zeros.words()];
        zeros.exclude(0, &mut excluded);
        assert_eq!(excluded, [1 << 3]);
    }
}
