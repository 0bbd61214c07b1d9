//! New records: what the decoder makes of chance, less what would give a record away that was learned from.
//!
//! A model that compresses well holds values of single records. Of these none is drawn: values, texts and literals that were seen
//! fewer than five times are drawn again, numbers of a rare size stand anywhere between the smallest and the largest of it,
//! and texts that the alphabet lacks keep their shape alone, with letters and digits by chance.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::coding::{SCALE_BITS, Source};
use super::dense::Dense;
use super::fault::Fault;
use super::model::{Inline, Model, TextSource};
use super::rare::{Bits, Rare};
use super::registers::Registers;
use super::{ColumnsError, ColumnsModel, artefact};
use crate::model::generator::{Condition, DrawError, Generator};
use crate::payload::fields::{Page, Scan};

/// Longest record that is drawn.
const LONGEST: usize = 1 << 20;

/// How often a record is drawn until one is whole.
const TRIES: usize = 256;

/// Records of a run: each follows the one before it, as the topic's do, and the first of them the last that was learned from.
const RUN: u32 = 64;

/// Why no field is fixed before the others.
const UNCONDITIONAL: &str = "its records follow one another, each byte after the one before; `latentd train --generator \
     autoregressive` makes a model that takes any condition";

/// Draws from a model of fields.
#[derive(Debug)]
pub struct ColumnsGenerator {
    model: ColumnsModel,
    rare: Rare,
}

impl ColumnsGenerator {
    /// Reads an artefact that comes from anywhere.
    pub fn parse(artefact: &[u8]) -> Result<Self, ColumnsError> {
        let parts = artefact::read(artefact)?;
        Ok(Self { rare: Rare::of(&parts), model: ColumnsModel::of(&parts, artefact.into()) })
    }

    /// The next record of a run. What is drawn is decoded from random bits, and drawn again where it would be no record of this
    /// topic's syntax (a text that ends too early, a number that has no digits for it), where it has something rare, or
    /// something that the topic never had: the coder leaves room for any number, and one far out in a row of records would
    /// lead the next ones astray. Where all tries have such a thing, the first that is a record without anything rare is
    /// taken; `None` where none is one.
    fn next(&self, registers: &mut Registers, rng: &mut ChaCha8Rng) -> Option<Vec<u8>> {
        let model = &self.model.model;
        let mut strange = None;
        for attempt in 0..TRIES {
            // A row may have led where nothing goes on, to the end of all dates, say: then it begins anew.
            let from = if attempt < TRIES / 2 { &*registers } else { &model.start };
            let (mut after, mut page) = (from.clone(), Page::new(Vec::new(), LONGEST));
            let mut chance = Chance { rng, rare: &self.rare, has_rare: false, unheard_of: false };
            let mut texts = Shapes { spelled: Inline::new(model), model };
            let drawn = model.decode(&mut after, &mut chance, &mut texts, &mut (), &mut page);
            let record = page.into_bytes();
            if drawn.is_err() || chance.has_rare || !model.is_regular(&record) {
                continue;
            }
            if !chance.unheard_of {
                *registers = after;
                return Some(record);
            }
            strange.get_or_insert((record, after));
        }
        let (record, after) = strange?;
        *registers = after;
        Some(record)
    }
}

impl Generator for ColumnsGenerator {
    fn name(&self) -> &'static str {
        "columns"
    }

    fn content_type(&self) -> &'static str {
        // Parts of strings say nothing of it.
        let type_of = |scan| match scan {
            Scan::JsonString | Scan::JsonBare => Some("application/json"),
            Scan::CsvPlain(_) | Scan::CsvQuoted => Some("text/csv"),
            Scan::Rest | Scan::Hex { .. } | Scan::Time { .. } => None,
        };
        let mut slots = self.model.model.grammar.slots().iter();
        slots.find_map(|slot| type_of(slot.scan)).unwrap_or("application/octet-stream")
    }

    fn run_length(&self) -> u32 {
        RUN
    }

    fn admits(&self, condition: &Condition) -> Result<(), DrawError> {
        if condition.is_empty() {
            Ok(())
        } else {
            Err(DrawError::Unconditional { family: self.name(), why: UNCONDITIONAL })
        }
    }

    fn draw_numbers(
        &self,
        seed: u64,
        condition: &Condition,
        numbers: &[u64],
        records: &mut Vec<Vec<u8>>,
    ) -> Result<(), DrawError> {
        // Each record follows from those before it in its run, which are drawn in vain.
        let mut run = Vec::new();
        for number in numbers {
            run.clear();
            let (of_run, place) = (number / u64::from(RUN), number % u64::from(RUN));
            self.draw(seed, condition, of_run, place as u32 + 1, &mut run)?;
            records.extend(run.pop());
        }
        Ok(())
    }

    fn draw(
        &self,
        seed: u64,
        condition: &Condition,
        run: u64,
        count: u32,
        records: &mut Vec<Vec<u8>>,
    ) -> Result<(), DrawError> {
        self.admits(condition)?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(run);
        let mut registers = self.model.model.start.clone();
        for number in 0..count.min(RUN) {
            let index = run.wrapping_mul(u64::from(RUN)).wrapping_add(u64::from(number));
            records.push(self.next(&mut registers, &mut rng).ok_or(DrawError::NotWhole { seed, index })?);
        }
        Ok(())
    }
}

/// Random bits in place of a stream.
struct Chance<'a> {
    rng: &'a mut ChaCha8Rng,
    rare: &'a Rare,
    /// Something was drawn that was seen too seldom.
    has_rare: bool,
    /// A symbol was drawn that training never saw: it has a slot of 2^16 only so that it can be coded at all.
    unheard_of: bool,
}

impl Source for Chance<'_> {
    fn symbol<S>(&mut self, find: impl FnOnce(u32) -> (S, u32, u32)) -> S {
        let (symbol, _, frequency) = find(self.rng.next_u32() >> (u32::BITS - SCALE_BITS));
        self.unheard_of |= frequency == 1;
        symbol
    }

    fn raw(&mut self, bits: u32) -> u64 {
        self.rng.next_u64().checked_shr(u64::BITS - bits).unwrap_or(0)
    }

    fn took(&mut self, column: usize, symbol: u16) {
        self.has_rare |= self.rare.is_rare(column, symbol);
    }

    fn took_bits(&mut self, column: usize, bucket: usize, high: u64) -> u64 {
        match self.rare.bits(column, bucket, high) {
            Bits::Kept => high,
            // At most 64 cells: what the remainder favours is out of all proportion.
            Bits::Anew(first, last) => first + self.rng.next_u64() % (last - first + 1),
            Bits::Refused => {
                self.has_rare = true;
                high
            }
        }
    }
}

/// Texts that the alphabet lacks: spelled as the model spells them, of which only the shape stays.
struct Shapes<'a> {
    spelled: Inline<'a>,
    model: &'a Model,
}

impl TextSource for Shapes<'_> {
    fn take(&mut self, column: usize, lengths: &Dense, source: &mut impl Source, page: &mut Page) -> Result<(), Fault> {
        let start = page.len();
        self.spelled.take(column, lengths, source, page)?;
        let slots = self.model.grammar.slots();
        let has_letters = slots.get(column).is_none_or(|slot| slot.scan != Scan::JsonBare);
        let text = page.since_mut(start);
        let is_hex = text.iter().any(u8::is_ascii_digit)
            && text.iter().all(|byte| !byte.is_ascii_alphabetic() || byte.is_ascii_hexdigit());
        // Bytes of an escape stay, and a group of digits that begins with none begins with none.
        let (mut escaped, mut in_digits) = (0, false);
        for byte in text {
            let was = *byte;
            if escaped == ESCAPE {
                escaped = if was == b'u' { UNICODE } else { 0 };
            } else if escaped > 0 {
                escaped -= 1;
            } else {
                *byte = match was {
                    b'\\' => {
                        escaped = ESCAPE;
                        was
                    }
                    b'0' if !in_digits => was,
                    b'1'..=b'9' if !in_digits => b'1' + below(source, 9),
                    b'0'..=b'9' => b'0' + below(source, 10),
                    b'a'..=b'z' if has_letters => b'a' + below(source, if is_hex { 6 } else { 26 }),
                    b'A'..=b'Z' if has_letters => b'A' + below(source, if is_hex { 6 } else { 26 }),
                    _ => was,
                };
            }
            in_digits = was.is_ascii_digit();
        }
        Ok(())
    }
}

/// A backslash was seen, and what it escapes comes.
const ESCAPE: u8 = u8::MAX;
/// Four digits come.
const UNICODE: u8 = 4;

/// A number below this one.
fn below(source: &mut impl Source, end: u64) -> u8 {
    (source.raw(32) % end) as u8
}
