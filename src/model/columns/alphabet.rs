//! One column's values as symbols.
//!
//! ```text
//! frequent differences | frequent texts | sign and length of other differences | recent texts | an echo | any other text
//! ```

use crate::payload::fields::{Kind, Page};

use super::base::Base;
use super::echo::Echo;
use super::registers::{RECENT, Registers, TEXT, hash_bytes, known_text, unknown_text};

/// Buckets of differences: none, then each length of 1 to 64 bits with both signs.
pub(super) const BUCKETS: usize = 1 + 2 * 64;

/// Most frequent differences and texts together.
pub(super) const MAX_KNOWN: usize = 32_768;

/// Bits of a difference below the leading one that are modelled; the others are raw.
pub(super) const MANTISSA_BITS: u32 = 6;

/// How the values of a column become symbols.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Alphabet {
    /// How numbers are written.
    pub kind: Kind,
    /// Numbers are `offset + n * unit`, and n is what is meant everywhere else.
    pub unit: i64,
    pub offset: i64,
    /// What n is expected to be.
    pub base: Base,
    /// Frequent differences to what was expected.
    pub differences: Vec<i64>,
    /// Frequent texts.
    pub texts: Vec<Vec<u8>>,
    /// What other texts may be.
    pub echo: Option<Echo>,
    lookup: Lookup,
}

/// A value as it is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub symbol: u16,
    /// What the column's register becomes.
    pub register: i64,
    /// The difference, where the symbol is a bucket.
    pub difference: i64,
}

/// What a symbol is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning<'a> {
    Difference(i64),
    Text(&'a [u8]),
    Bucket(usize),
    /// The text that is so many texts old.
    Recent(usize),
    /// That of another column.
    Echo(Echo),
    Other,
}

impl Alphabet {
    /// An alphabet of these parts. `unit` is at least 1; differences and texts are all different.
    pub fn new(kind: Kind, unit: i64, offset: i64, base: Base, differences: Vec<i64>, texts: Vec<Vec<u8>>) -> Self {
        let lookup = Lookup::new(&differences, &texts);
        Self { kind, unit, offset, base, differences, texts, echo: None, lookup }
    }

    /// Number of symbols.
    pub fn symbols(&self) -> usize {
        self.other() + 1
    }

    /// The first bucket.
    pub fn first_bucket(&self) -> usize {
        self.differences.len() + self.texts.len()
    }

    /// The symbol of the latest text that is remembered.
    pub fn first_recent(&self) -> usize {
        self.first_bucket() + if self.kind == Kind::Text { 0 } else { BUCKETS }
    }

    /// The symbol of any other text. The one before it is that of the echo, if there is one.
    #[inline]
    pub fn other(&self) -> usize {
        self.first_recent() + RECENT + usize::from(self.echo.is_some())
    }

    /// The number that a value stands for, in units.
    #[inline]
    pub fn number(&self, value: &[u8]) -> Option<i64> {
        let number = self.kind.parse(value)?;
        if self.unit == 1 {
            return Some(number.wrapping_sub(self.offset));
        }
        let from = number.wrapping_sub(self.offset);
        (from % self.unit == 0).then(|| from / self.unit)
    }

    /// Writes a number in units; `None` when no value has it.
    #[inline]
    pub fn render(&self, number: i64, page: &mut Page) -> Option<()> {
        self.kind.render(number.wrapping_mul(self.unit).wrapping_add(self.offset), page)
    }

    /// A value of `column` as it is coded.
    #[inline]
    pub fn cell(&self, column: usize, value: &[u8], registers: &Registers) -> Cell {
        if let Some(number) = self.number(value)
            && let Some(difference) = self.base.difference(number, self.base.of(column, registers))
        {
            let symbol = match self.lookup.difference(difference, &self.differences) {
                Some(symbol) => symbol,
                None => (self.first_bucket() + bucket(difference)) as u16,
            };
            return Cell { symbol, register: number, difference };
        }
        if let Some(Echo { column, case }) = self.echo
            && let Some(text) = registers.heard(column)
            && case.makes(text, value)
        {
            return Cell { symbol: self.other() as u16 - 1, register: unknown_text(value), difference: 0 };
        }
        match self.lookup.text(value, &self.texts) {
            Some(text) => {
                let symbol = (self.differences.len() + text) as u16;
                Cell { symbol, register: known_text(text), difference: 0 }
            }
            None => {
                let symbol = match registers.recency(column, value) {
                    Some(place) => self.first_recent() + place,
                    None => self.other(),
                };
                Cell { symbol: symbol as u16, register: unknown_text(value), difference: 0 }
            }
        }
    }

    /// What a symbol is, which must be one of the alphabet.
    #[inline]
    pub fn meaning(&self, symbol: u16) -> Meaning<'_> {
        let symbol = usize::from(symbol);
        if let Some(difference) = self.differences.get(symbol) {
            return Meaning::Difference(*difference);
        }
        if let Some(text) = self.texts.get(symbol - self.differences.len()) {
            return Meaning::Text(text);
        }
        if symbol < self.first_recent() {
            return Meaning::Bucket(symbol - self.first_bucket());
        }
        let recent = symbol - self.first_recent();
        match self.echo {
            _ if recent < RECENT => Meaning::Recent(recent),
            Some(echo) if recent == RECENT => Meaning::Echo(echo),
            _ => Meaning::Other,
        }
    }
}

/// The bucket of a difference: 0 for 0, else twice its length in bits, less 1 where it is positive.
#[inline]
pub(super) fn bucket(difference: i64) -> usize {
    let length = (u64::BITS - difference.unsigned_abs().leading_zeros()) as usize;
    2 * length - usize::from(difference > 0)
}

/// The bits of a bucket's differences below the leading one: those that are modelled, and those that are raw.
#[inline]
pub(super) fn bucket_bits(bucket: usize) -> (u32, u32) {
    let below = (bucket as u32).div_ceil(2).saturating_sub(1);
    (below.min(MANTISSA_BITS), below.saturating_sub(MANTISSA_BITS))
}

/// The difference of a bucket that has these bits below its leading one.
#[inline]
pub(super) fn difference(bucket: usize, below: u64) -> i64 {
    if bucket == 0 {
        return 0;
    }
    let magnitude = 1u64 << (bucket.div_ceil(2) - 1) | below;
    if bucket.is_multiple_of(2) { (magnitude as i64).wrapping_neg() } else { magnitude as i64 }
}

/// Symbols by what they stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Lookup {
    /// Symbols of small differences, plus one.
    near: Vec<u16>,
    /// Open addressing over all others; 0 is empty.
    far: Vec<u16>,
    /// The same of texts.
    texts: Vec<u32>,
}

/// Differences from the negative of this to it are looked up directly.
const NEAR: i64 = 512;

impl Lookup {
    fn new(differences: &[i64], texts: &[Vec<u8>]) -> Self {
        let mut lookup = Self::default();
        if !differences.is_empty() {
            lookup.near = vec![0; 2 * NEAR as usize + 1];
            lookup.far = vec![0; (2 * differences.len()).next_power_of_two()];
        }
        let mask = lookup.far.len().wrapping_sub(1);
        for (symbol, difference) in differences.iter().enumerate() {
            if difference.unsigned_abs() <= NEAR as u64 {
                lookup.near[(difference + NEAR) as usize] = symbol as u16 + 1;
                continue;
            }
            let mut place = place(*difference) & mask;
            while lookup.far[place] != 0 {
                place = (place + 1) & mask;
            }
            lookup.far[place] = symbol as u16 + 1;
        }
        if !texts.is_empty() {
            lookup.texts = vec![0; (2 * texts.len()).next_power_of_two()];
        }
        let mask = lookup.texts.len().wrapping_sub(1);
        for (number, text) in texts.iter().enumerate() {
            let hash = hash_bytes(text);
            let mut place = hash as usize & mask;
            while lookup.texts[place] != 0 {
                place = (place + 1) & mask;
            }
            lookup.texts[place] = (hash >> 48 << 16) as u32 | (number as u32 + 1);
        }
        lookup
    }

    #[inline]
    fn difference(&self, difference: i64, differences: &[i64]) -> Option<u16> {
        if self.near.is_empty() {
            return None;
        }
        if difference.unsigned_abs() <= NEAR as u64 {
            return self.near[(difference + NEAR) as usize].checked_sub(1);
        }
        let mask = self.far.len() - 1;
        let mut place = place(difference) & mask;
        loop {
            let symbol = self.far[place].checked_sub(1)?;
            if differences[usize::from(symbol)] == difference {
                return Some(symbol);
            }
            place = (place + 1) & mask;
        }
    }

    #[inline]
    fn text(&self, text: &[u8], texts: &[Vec<u8>]) -> Option<usize> {
        if texts.is_empty() {
            return None;
        }
        let mask = self.texts.len() - 1;
        let hash = hash_bytes(text);
        let mut place = hash as usize & mask;
        loop {
            let entry = self.texts[place];
            if entry == 0 {
                return None;
            }
            let number = (entry as u16 - 1) as usize;
            if entry >> 16 == (hash >> 48) as u32 && texts[number] == text {
                return Some(number);
            }
            place = (place + 1) & mask;
        }
    }
}

/// Where a difference is looked for first.
fn place(difference: i64) -> usize {
    super::registers::mix(TEXT as u64, difference) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn alphabet() -> Alphabet {
        let differences = vec![0, 5, -3, NEAR + 1, i64::MIN, 1 << 40];
        let texts = vec![b"null".to_vec(), b"".to_vec(), b"a longer text".to_vec()];
        Alphabet::new(Kind::Integer, 1, 0, Base::Last(0), differences, texts)
    }

    #[test]
    fn frequent_values_have_symbols_of_their_own() {
        let alphabet = alphabet();
        let mut registers = Registers::new(1);
        registers.push(0, 100);
        for (value, symbol) in [("100", 0), ("105", 1), ("97", 2), ("null", 6), ("", 7), ("a longer text", 8)] {
            assert_eq!(alphabet.cell(0, value.as_bytes(), &registers).symbol, symbol, "{value}");
        }
        assert_eq!(alphabet.cell(0, b"007", &registers).symbol as usize, alphabet.other());
        assert_eq!(alphabet.meaning(6), Meaning::Text(b"null"));
        assert_eq!(alphabet.meaning(3), Meaning::Difference(NEAR + 1));
    }

    proptest! {
        #[test]
        fn a_difference_comes_back_from_its_bucket(difference: i64, shift in 0u32..64) {
            let alphabet = alphabet();
            for number in [difference, difference >> shift] {
                let bucket = bucket(number);
                prop_assert!(bucket < BUCKETS);
                let (modelled, raw) = bucket_bits(bucket);
                let below = number.unsigned_abs() & ((1u128 << (modelled + raw)) - 1) as u64;
                prop_assert_eq!(super::difference(bucket, below), number);
                prop_assert_eq!(alphabet.meaning((alphabet.first_bucket() + bucket) as u16), Meaning::Bucket(bucket));
            }
        }
    }
}
