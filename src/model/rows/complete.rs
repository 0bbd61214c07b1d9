//! Records whose missing values are drawn (*imputation*), beside what they have.
//!
//! The network is told all that a record has. What it lacks is drawn field by field in the model's order, each beside those before it; a number
//! that others make is made of them, and one of these, where it alone is missing, is what makes that number.

use super::RowsModel;
use super::codebook::{Code, is_null};
use super::condition::Fixed;
use super::draw::{TRIES, Table};
use super::network::Known;
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
    /// The fields that stay NULL: beside the others the model has seen them like that alone, or nothing that it drew was of the topic's
    /// syntax and added up.
    pub left: Vec<String>,
}

/// A value that is drawn, and the slot that it is for.
type Value = (u16, Vec<u8>);

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

    /// Whether a link is of one of some fields.
    fn touches(&self, link: usize, fields: &[usize]) -> bool {
        let link = &self.book.links[link];
        fields.iter().any(|field| *field == usize::from(link.field) || link.of.map(usize::from).contains(field))
    }

    /// What the network is told of a record that lacks some fields: nothing of how literals stand between values, which says where one is NULL.
    fn beside(&self, missing: &[usize], codes: &[Option<u16>]) -> Fixed {
        let mut fixed = Fixed::nothing(&self.book);
        fixed.codes.copy_from_slice(codes);
        let mut forget = |variable: usize| fixed.codes[variable] = None;
        self.book.forks.iter().for_each(|fork| forget(usize::from(fork.variable)));
        missing.iter().for_each(|field| self.variables_of(*field).into_iter().for_each(&mut forget));
        for (number, link) in self.book.links.iter().enumerate() {
            // By how much it is off is not known, or says what it is.
            let own = self.book.fields[usize::from(link.field)].variable;
            forget(usize::from(if self.touches(number, missing) { link.variable } else { own }));
        }
        fixed
    }

    /// A record with values in the place of some NULLs, if that is one of the topic's syntax and numbers that others make are what the model says that
    /// they are.
    fn with_values(&self, reading: &Reading, values: &[(usize, Value)]) -> Option<Reading> {
        let mut text = reading.text.clone();
        let quoted = reading.quoted();
        let cell = |number: usize| reading.cells.cells[number];
        let mut places: Vec<(u32, u32, Vec<u8>)> = Vec::new();
        for (number, (to, value)) in values {
            let (from, start, end) = cell(*number)?;
            let is_quoted = |slot: u16| matches!(self.scan(slot), Scan::JsonString | Scan::CsvQuoted);
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
        let adds_up = |number: usize| {
            let link = &self.book.links[number];
            let has_numbers = [link.field, link.of[0], link.of[1]]
                .iter()
                .all(|field| self.book.number(*field, &read.cells, &read.text).is_some());
            let code = usize::from(self.book.off(link, &read.cells, &read.text));
            !self.touches(number, &filled)
                || !has_numbers
                || !self.is_never(self.first[usize::from(link.variable)] + code)
        };
        (values.iter().all(is_so) && (0..self.book.links.len()).all(adds_up)).then_some(read)
    }
}

impl RowsModel {
    /// Draws what is NULL in a record from what the record has: `null` in JSON, an empty cell in CSV. The same seed and number draw the same. What
    /// the record has stays byte for byte, and so does the end of its line, if it has one. `None` where the record is not one of the topic's syntax.
    pub fn complete(&self, record: &[u8], seed: u64, number: u64) -> Option<Completed> {
        let scheme = &self.scheme;
        let mut reading = scheme.reading(record)?;
        let missing = reading.nulls.clone();
        let mut chance = Chance::of(seed, number);
        if let Some(completed) = self.filled(&reading, &missing, number, &mut chance) {
            reading = completed;
        } else if missing.len() > 1 {
            // What has no value that fits keeps none of the others from theirs.
            for field in &missing {
                if let Some(completed) = self.filled(&reading, &[*field], number, &mut chance) {
                    reading = completed;
                }
            }
        }
        let names = |is_left: bool| {
            let fields = missing.iter().filter(|field| reading.nulls.contains(field) == is_left);
            let field = fields.map(|field| &scheme.book.fields[*field]);
            field.map(|field| scheme.book.variables[usize::from(field.variable)].name.clone()).collect()
        };
        let (filled, left) = (names(false), names(true));
        let mut completed = reading.text[..reading.length].to_vec();
        let mut quoted = reading.quoted();
        quoted.sort_unstable_by_key(|start| std::cmp::Reverse(*start));
        for start in quoted {
            completed.splice(start as usize - 1..start as usize + 1, *b"null");
        }
        completed.extend_from_slice(&record[without_end(record).len()..]);
        Some(Completed { record: completed, filled, left })
    }

    /// A record with values for some of its fields that are NULL, or for those of them that are not always NULL beside the others.
    fn filled(&self, reading: &Reading, missing: &[usize], number: u64, chance: &mut Chance) -> Option<Reading> {
        let fixed = self.scheme.beside(missing, &reading.codes);
        (0..TRIES).find_map(|_| {
            let values = Filling::new(self, reading, (&fixed, missing), number).draw(missing, chance)?;
            self.scheme.with_values(reading, &values)
        })
    }
}

/// A record under way.
struct Filling<'a> {
    model: &'a RowsModel,
    /// Its place in its file, for values that go on.
    number: u64,
    /// Its codes, in the only row.
    table: Table,
    known: Known,
    /// By field: its number, where it has one.
    numbers: Vec<Option<i64>>,
    /// By link: whether its variable has a code.
    told: Vec<bool>,
}

impl<'a> Filling<'a> {
    fn new(model: &'a RowsModel, reading: &Reading, (fixed, missing): (&Fixed, &[usize]), number: u64) -> Self {
        let (scheme, book) = (&model.scheme, &model.scheme.book);
        let (mut table, mut known) = (Table::default(), Known::default());
        table.begin(scheme, fixed, &[None]);
        missing.iter().for_each(|field| table.avoid(&scheme.nothing(*field)));
        model.network.begin(1, &mut known);
        for (variable, code) in fixed.codes.iter().enumerate() {
            model.network.tell(variable, std::iter::once(*code), &mut known);
        }
        let number_of = |field: usize| {
            book.number(field as u16, &reading.cells, &reading.text).filter(|_| !missing.contains(&field))
        };
        let numbers = (0..book.fields.len()).map(number_of).collect();
        let told = book.links.iter().map(|link| fixed.codes[usize::from(link.variable)].is_some()).collect();
        Self { model, number, table, known, numbers, told }
    }

    /// Values of some fields; `None` where one of them comes to nothing.
    fn draw(mut self, missing: &[usize], chance: &mut Chance) -> Option<Vec<(usize, Value)>> {
        let scheme = &self.model.scheme;
        let place = |field: &usize| {
            let own = scheme.book.fields[*field].variable;
            scheme.order.iter().position(|variable| *variable == own)
        };
        let mut fields = missing.to_vec();
        fields.sort_by_key(place);
        let mut values = Vec::new();
        for field in fields {
            let value = match self.made(field, chance)? {
                Some(made) => Some(made),
                None => self.own(field, chance)?,
            };
            values.extend(value.map(|value| (field, value)));
        }
        Some(values)
    }

    /// Draws a variable, if it is to be drawn, and tells it.
    fn pick(&mut self, variable: usize, chance: &mut Chance) {
        let (network, scheme) = (&self.model.network, &self.model.scheme);
        if !self.table.is_open(scheme, variable, 0) {
            return;
        }
        if scheme.size(variable) > 1 {
            network.ask(variable, &mut self.known);
            scheme.pick(variable, &mut self.known.logits, 0, chance, &mut self.table);
        }
        self.tell(variable);
    }

    /// Tells what a variable is, but for those that are told by a condition alone.
    fn tell(&mut self, variable: usize) {
        if self.model.scheme.book.guards[variable].is_none() {
            let code = self.table.row(0)[variable];
            self.model.network.tell(variable, std::iter::once(Some(code)), &mut self.known);
        }
    }

    /// By how much a link's number is off; `None` where it is not made of others.
    fn off(&mut self, link: usize, chance: &mut Chance) -> Option<(u16, i64)> {
        let variable = self.model.scheme.book.links[link].variable;
        if !std::mem::replace(&mut self.told[link], true) {
            self.pick(usize::from(variable), chance);
        }
        match *self.model.scheme.code(variable, self.table.row(0)) {
            Code::Off { slot, by } => Some((slot, by)),
            _ => None,
        }
    }

    /// The number that a field must have beside others, if these say so: what they make, or what makes one of them. `None` where there is none.
    fn made(&mut self, field: usize, chance: &mut Chance) -> Option<Option<Value>> {
        let (scheme, book) = (&self.model.scheme, &self.model.scheme.book);
        for (number, link) in book.links.iter().enumerate() {
            let of = link.of.map(usize::from);
            if usize::from(link.field) == field {
                let [Some(a), Some(b)] = of.map(|of| self.numbers[of]) else {
                    // It is not made of what is not there.
                    self.told[number] = true;
                    let last = book.variables[usize::from(link.variable)].codes.len() - 1;
                    self.table.put(scheme, (0, usize::from(link.variable)), last as u16);
                    self.tell(usize::from(link.variable));
                    continue;
                };
                if let Some((slot, by)) = self.off(number, chance) {
                    return Some(Some(self.written(field, slot, link.relation.apply([a, b], by)?)?));
                }
            } else if let Some(which) = of.iter().position(|of| *of == field)
                && let Some(made) = self.numbers[usize::from(link.field)]
            {
                // Of a time in minutes the one nearest to none.
                let others = of.map(|of| if of == field { Some(0) } else { self.numbers[of] });
                let [Some(a), Some(b)] = others else { continue };
                if let Some((_, by)) = self.off(number, chance) {
                    let solved = link.relation.solved(link.relation.wanted(made, by)?, [a, b], which)?;
                    let own = book.fields[field].variable;
                    let slot = book.variables[usize::from(own)].codes.iter().find_map(|code| match code {
                        Code::Number { slot, .. } => Some(*slot),
                        _ => None,
                    })?;
                    if let Some(code) = book.code_of(field, solved) {
                        self.table.put(scheme, (0, usize::from(own)), code);
                        self.tell(usize::from(own));
                    }
                    return Some(Some(self.written(field, slot, solved)?));
                }
            }
        }
        Some(None)
    }

    /// A number as a field has it.
    fn written(&mut self, field: usize, slot: u16, number: i64) -> Option<Value> {
        let mut text = Vec::new();
        self.model.scheme.book.fields[field].kind.append(number, &mut text)?;
        self.numbers[field] = Some(number);
        Some((slot, text))
    }

    /// A value of a field's own codes, if it is not NULL beside the others; `None` where its code has no text.
    fn own(&mut self, number: usize, chance: &mut Chance) -> Option<Option<Value>> {
        let scheme = &self.model.scheme;
        let field = &scheme.book.fields[number];
        self.pick(usize::from(field.variable), chance);
        let code = scheme.code(field.variable, self.table.row(0));
        if matches!(code, Code::Time { .. }) {
            field.parts.iter().flatten().for_each(|part| self.pick(usize::from(*part), chance));
        }
        let mut text = Vec::new();
        let drawn = scheme.value(field, code, (self.number, None), self.table.row(0), chance, &mut text)?;
        self.numbers[number] = drawn;
        let slot = code.slot().filter(|slot| !is_null(scheme.scan(*slot), &text));
        Some(slot.map(|slot| (slot, text)))
    }
}
