//! New records: what the decoder makes of chance.

use rand_chacha::rand_core::Rng;

use crate::payload::fields::Page;

use super::ColumnsModel;
use super::coding::{SCALE_BITS, Source};
use super::model::Inline;

/// Longest record that is drawn.
const LONGEST: usize = 1 << 20;
/// How often a record is drawn until one is whole.
const TRIES: usize = 64;

/// Random bits in place of a stream.
struct Chance<'a, R> {
    rng: &'a mut R,
    /// A symbol was drawn that training never saw: it has a slot of 2^16 only so that it can be coded at all.
    unheard_of: bool,
}

impl<R: Rng> Source for Chance<'_, R> {
    fn symbol<S>(&mut self, find: impl FnOnce(u32) -> (S, u32, u32)) -> S {
        let (symbol, _, frequency) = find(self.rng.next_u32() >> (u32::BITS - SCALE_BITS));
        self.unheard_of |= frequency == 1;
        symbol
    }
    fn raw(&mut self, bits: u32) -> u64 {
        self.rng.next_u64().checked_shr(u64::BITS - bits).unwrap_or(0)
    }
}

/// Draws records one after the other: each follows the one before it, as the topic's do.
pub struct Drawing<'a> {
    model: &'a ColumnsModel,
    registers: super::registers::Registers,
}

impl ColumnsModel {
    /// A row of new records, of which the first follows the last that the model was trained on.
    pub fn drawing(&self) -> Drawing<'_> {
        Drawing { model: self, registers: self.model.start.clone() }
    }

    /// A new record, drawn from what the model takes for likely. The same random numbers give the same record.
    pub fn draw(&self, rng: &mut impl Rng) -> Option<Vec<u8>> {
        self.drawing().next(rng)
    }
}

impl Drawing<'_> {
    /// The next record. What is drawn is decoded from random bits, and drawn again where it would be no record of this
    /// topic's syntax (a text that ends too early, a number that has no digits for it) or has something that the topic
    /// never had: the coder leaves room for any number, and one far out in a row of records would lead the next ones astray.
    /// Where all tries have such a thing, the first that is a record is taken; `None` where none is one.
    pub fn next(&mut self, rng: &mut impl Rng) -> Option<Vec<u8>> {
        let mut strange = None;
        for attempt in 0..TRIES {
            // A row may have led where nothing goes on, to the end of all dates, say: then it begins anew.
            let from = if attempt < TRIES / 2 { &self.registers } else { &self.model.model.start };
            let (mut registers, mut page) = (from.clone(), Page::new(Vec::new(), LONGEST));
            let mut chance = Chance { rng, unheard_of: false };
            let model = &self.model.model;
            let drawn = model.decode(&mut registers, &mut chance, &mut Inline::new(model), &mut (), &mut page);
            let record = page.into_bytes();
            if drawn.is_err() || !model.is_regular(&record) {
                continue;
            }
            if !chance.unheard_of {
                self.registers = registers;
                return Some(record);
            }
            strange.get_or_insert((record, registers));
        }
        let (record, registers) = strange?;
        self.registers = registers;
        Some(record)
    }
}
