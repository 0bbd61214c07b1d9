//! Records whose missing values are drawn (*imputation*), beside what they have.
//!
//! The network is told all that a record has. What it lacks is drawn field by field (`filling`), each beside those before it: first whatever others
//! determine, a number that they make or one that they are made of, and then the next in the model's order. A record is read again before it is given.

use super::RowsModel;
use super::draw::TRIES;
use super::filling::{Filled, Filling, Value};
use super::reading::{Reading, without_end};
use super::scheme::Scheme;
use crate::model::chance::Chance;
use crate::payload::fields::Scan;

/// A record that was completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completed {
    /// All that it had, byte for byte, and values in the place of NULLs.
    pub record: Vec<u8>,
    /// The fields that were NULL and are not.
    pub filled: Vec<String>,
    /// The fields that stay NULL: beside the others the model has seen them like that alone, or they go on from record to record, or nothing that
    /// was drawn was of the topic's syntax and added up.
    pub left: Vec<String>,
}

impl Scheme {
    /// A record with values in the place of some NULLs, if that is one of the topic's syntax and numbers are as much off as was drawn.
    fn with_values(&self, reading: &Reading, values: &[(usize, Value)], offs: &[Option<u16>]) -> Option<Reading> {
        let mut text = reading.text.clone();
        let quoted = reading.quoted();
        let mut places: Vec<(u32, u32, Vec<u8>)> = Vec::new();
        for (number, (to, value)) in values {
            let (from, start, end) = reading.cells.cells[*number]?;
            let is_quoted = |slot: u16| matches!(self.book.grammar.scan(slot), Scan::JsonString | Scan::CsvQuoted);
            let quote: &[u8] = if is_quoted(*to) && !is_quoted(from) { b"\"" } else { b"" };
            places.push((start, end, [quote, value, quote].concat()));
        }
        // The last one first, so that those before it stay where they are.
        places.sort_unstable_by_key(|(start, ..)| std::cmp::Reverse(*start));
        for (start, end, value) in &places {
            text.splice(*start as usize..*end as usize, value.iter().copied());
        }
        let moved = |to: u32| {
            let before = places.iter().filter(|(start, ..)| *start < to);
            before.fold(to as usize, |place, (start, end, value)| place + value.len() - (end - start) as usize) as u32
        };
        let is_left = |start: &u32| places.iter().all(|(place, ..)| place != start);
        let quoted: Vec<u32> = quoted.into_iter().filter(is_left).map(moved).collect();
        let length = text.len() - (reading.text.len() - reading.length);
        let read = Reading::of(self, text, length, &quoted)?;
        let is_so = |(number, (slot, _)): &(usize, Value)| {
            read.cells.cells[*number].is_some_and(|(found, ..)| found == *slot) && !read.nulls.contains(number)
        };
        let filled: Vec<usize> = values.iter().map(|(number, _)| *number).collect();
        (values.iter().all(is_so) && self.adds_up(&read, &filled, offs)).then_some(read)
    }

    /// Whether in a record the numbers that some fields make, or are made of, are as much off as was drawn; where that was not, as any frequent
    /// ones are.
    fn adds_up(&self, read: &Reading, fields: &[usize], offs: &[Option<u16>]) -> bool {
        self.book.links.iter().zip(offs).filter(|(link, _)| link.touches(fields)).all(|(link, off)| {
            let all = [link.field, link.of[0], link.of[1]];
            let has_numbers = all.iter().all(|field| self.book.number(*field, &read.cells, &read.text).is_some());
            let (found, last) =
                (self.book.off(link, &read.cells, &read.text), self.size(usize::from(link.variable)) - 1);
            match off {
                Some(off) => !has_numbers || found == *off || usize::from(*off) == last,
                None => !has_numbers || usize::from(found) != last,
            }
        })
    }
}

impl RowsModel {
    /// Draws what is NULL in a record from what the record has: `null` in JSON, an empty cell in CSV. The same seed and number draw the same. What
    /// the record has stays byte for byte, and so does the end of its line, if it has one. `None` where the record is not one of the topic's syntax.
    pub fn complete(&self, record: &[u8], seed: u64, number: u64) -> Option<Completed> {
        let reading = self.scheme.reading(record)?;
        let missing = reading.nulls.clone();
        let read = match missing.is_empty() {
            true => reading,
            false => self.filled(reading, &missing, (seed, number)),
        };
        let names = |is_left: bool| {
            let fields = missing.iter().filter(|field| read.nulls.contains(field) == is_left);
            let field = fields.map(|field| &self.scheme.book.fields[*field]);
            field.map(|field| self.scheme.book.variables[usize::from(field.variable)].name.clone()).collect()
        };
        let mut completed = read.record(&self.scheme);
        completed.extend_from_slice(&record[without_end(record).len()..]);
        Some(Completed { record: completed, filled: names(false), left: names(true) })
    }

    /// A record with values for fields that it lacks: all of them but those that are always NULL beside the others, or else as many as fit.
    fn filled(&self, reading: Reading, missing: &[usize], (seed, number): (u64, u64)) -> Reading {
        let (scheme, mut chance) = (&self.scheme, Chance::of(seed, number));
        let begun = Filling::new(self, &reading, missing, number);
        let (mut best, mut last): (Option<(usize, Reading)>, _) = (None, Filled::default());
        for _ in 0..TRIES {
            last = begun.clone().draw(missing, &mut chance);
            if let Some(read) = scheme.with_values(&reading, &last.values, &last.offs) {
                if last.failed == 0 {
                    return read;
                }
                if best.as_ref().is_none_or(|(failed, _)| last.failed < *failed) {
                    best = Some((last.failed, read));
                }
            }
        }
        if let Some((_, read)) = best {
            return read;
        }
        // One of them fits nowhere: the others are kept.
        last.values.iter().fold(reading, |reading, value| {
            scheme.with_values(&reading, std::slice::from_ref(value), &last.offs).unwrap_or(reading)
        })
    }
}
