//! Records whose missing values are drawn (*imputation*), beside what they have.

use super::RowsModel;
use super::codebook::{Cells, Code, is_null};
use super::condition::Fixed;
use super::draw::{TRIES, Table};
use super::network::Known;
use super::scheme::Scheme;
use super::writer::Draft;
use crate::model::chance::Chance;
use crate::payload::fields::Scan;

/// A record that was completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completed {
    /// All that it had, byte for byte, and values in the place of NULLs.
    pub record: Vec<u8>,
    /// The fields that were NULL and are not.
    pub filled: Vec<String>,
    /// The fields that stay NULL: the model has seen them like that alone where the others are as they are.
    pub left: Vec<String>,
}

impl Scheme {
    /// The variables of a field: its own, those of a time's parts, and by how much it is off what others make.
    pub(super) fn variables_of(&self, number: usize) -> Vec<usize> {
        let field = &self.book.fields[number];
        let own = std::iter::once(field.variable).chain(field.parts.iter().flatten().copied());
        let links = self.book.links.iter().filter(|link| usize::from(link.field) == number).map(|link| link.variable);
        own.chain(links).map(usize::from).collect()
    }

    /// Codes of a field with which it would have nothing, counted over all variables.
    fn nothing(&self, number: usize) -> Vec<usize> {
        let codes = |variable: usize| self.book.variables[variable].codes.iter().enumerate();
        let is_nothing = |code: &Code| matches!(code, Code::Null { .. } | Code::Absent);
        let variables = self.variables_of(number).into_iter();
        let nothing = variables.flat_map(|variable| {
            codes(variable).filter(|(_, code)| is_nothing(code)).map(move |(code, _)| self.first[variable] + code)
        });
        // Where it was never another number than others make, it is what they make.
        let own = usize::from(self.book.fields[number].variable);
        let never =
            self.book.guards[own].map(|(by, code)| self.first[usize::from(by)] + usize::from(code)).filter(|asked| {
                let is_value = |code: &Code| !is_nothing(code) && *code != Code::Rare;
                codes(own)
                    .filter(|(_, code)| is_value(code))
                    .all(|(code, _)| self.zeros.has(*asked, self.first[own] + code))
            });
        nothing.chain(never).collect()
    }

    /// What is fixed where all of a record is known but for some fields.
    fn all_but(&self, missing: &[usize], record: &[u8], cells: &Cells, codes: &[u16]) -> Fixed {
        let mut fixed = Fixed::nothing(&self.book);
        let is_missing = |field: u16| missing.contains(&usize::from(field));
        fixed.codes = codes.iter().map(|code| Some(*code)).collect();
        for number in 0..self.book.fields.len() {
            if missing.contains(&number) {
                self.variables_of(number).into_iter().for_each(|variable| fixed.codes[variable] = None);
            } else if let Some((_, start, end)) = cells.cells[number] {
                fixed.values[number] = Some(record[start as usize..end as usize].to_vec());
            }
        }
        for link in &self.book.links {
            let (own, variable) =
                (usize::from(self.book.fields[usize::from(link.field)].variable), usize::from(link.variable));
            match (is_missing(link.field), link.of.into_iter().any(is_missing)) {
                // By how much it is off is known, and says what it is.
                (false, false) => fixed.codes[own] = None,
                // It is known, and by how much it is off is not.
                (false, true) => (fixed.codes[variable], fixed.idle[variable]) = (None, true),
                (true, _) => {}
            }
        }
        fixed
    }
}

impl RowsModel {
    /// Draws what is NULL in a record from what the record has: `null` in JSON, an empty cell in CSV. The same seed and number draw the same. What
    /// the record has stays byte for byte. `None` where the record is not one of the topic's syntax.
    pub fn complete(&self, record: &[u8], seed: u64, number: u64) -> Option<Completed> {
        let (scheme, book) = (&self.scheme, &self.scheme.book);
        u32::try_from(record.len()).ok()?;
        let (mut cells, mut codes) = (Cells::default(), Vec::new());
        book.read(record, &mut cells, &mut codes)?;
        let scan = |slot: u16| book.grammar.slots()[usize::from(slot)].scan;
        let is_missing = |number: &usize| {
            let null = |(slot, start, end): (u16, u32, u32)| is_null(scan(slot), &record[start as usize..end as usize]);
            cells.cells[*number].is_some_and(null)
        };
        let missing: Vec<usize> = (0..book.fields.len()).filter(is_missing).collect();
        let name = |number: usize| book.variables[usize::from(book.fields[number].variable)].name.clone();
        let names = |fields: &[usize]| fields.iter().map(|number| name(*number)).collect();
        let as_it_is = || Completed { record: record.to_vec(), filled: Vec::new(), left: names(&missing) };
        if missing.is_empty() {
            return Some(as_it_is());
        }
        let fixed = scheme.all_but(&missing, record, &cells, &codes);
        let nothing: Vec<usize> = missing.iter().flat_map(|number| scheme.nothing(*number)).collect();
        let (mut chance, mut known) = (Chance::of(seed, number), Known::default());
        let (mut table, mut draft) = (Table::default(), Draft::default());
        for _ in 0..TRIES {
            table.begin(scheme, &fixed, &[None]);
            table.exclude(&nothing);
            self.draw_codes(&fixed, &mut [&mut chance], &mut table, &mut known);
            let row = table.row(0).to_vec();
            if !scheme.values(&fixed, (number, None), &row, &mut chance, &mut draft) {
                continue;
            }
            let (mut completed, mut filled) = (record.to_vec(), Vec::new());
            let mut places: Vec<(usize, u16, u32, u32)> = missing
                .iter()
                .filter_map(|number| cells.cells[*number].map(|(slot, start, end)| (*number, slot, start, end)))
                .collect();
            // The last one first, so that those before it stay where they are.
            places.sort_unstable_by_key(|(.., start, _)| std::cmp::Reverse(*start));
            for (number, from, start, end) in places {
                let Some(to) = draft.slots[number] else { continue };
                let (first, last) = draft.spans[number];
                let value = &draft.bytes[first..last];
                if is_null(scan(to), value) {
                    continue;
                }
                let is_quoted = |slot: u16| matches!(scan(slot), Scan::JsonString | Scan::CsvQuoted);
                let quote: &[u8] = if is_quoted(to) && !is_quoted(from) { b"\"" } else { b"" };
                completed.splice(start as usize..end as usize, [quote, value, quote].concat());
                filled.push(number);
            }
            // It is read again as what it is to be.
            let mut found = Cells::default();
            let is_regular = found.find(book, &completed);
            let is_so = |number: &usize| found.cells[*number].map(|(slot, ..)| slot) == draft.slots[*number];
            if is_regular && filled.iter().all(is_so) {
                filled.sort_unstable();
                let left: Vec<usize> = missing.iter().copied().filter(|number| !filled.contains(number)).collect();
                return Some(Completed { record: completed, filled: names(&filled), left: names(&left) });
            }
        }
        Some(as_it_is())
    }
}
