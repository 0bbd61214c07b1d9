//! Records as codes: what the network learns of them.
//!
//! A record is a walk along its topic's grammar ([`crate::payload::fields`]). Where its values stand are its *fields*: each path
//! once, or several times where it is in an array. What a field has is said by one *variable* of few *codes*, or by several where
//! it is a time: one for the year, one for the month, and so on. Where the grammar has several literals between the same two
//! slots (an empty array, say), which of them stands there is a variable too, and so is by how much a number is off what others make
//! ([`Link`]). Then the field's own variable is one that is told by a condition, and drawn only where the number is not made of others.

use std::collections::HashMap;

use super::bin::Bin;
use super::link::Link;
use super::walk::Walk;
use crate::payload::fields::{Clock, Grammar, Kind, Scan, Step, Steps, TimeFormat};

/// Most times that a path may occur in a record.
pub(super) const MAX_OCCURRENCES: usize = 8;

/// Parts of a time: those that a calendar and a clock show, and the day of the week.
pub(super) const PARTS: usize = 8;
/// The day of the week among them, 0 for Monday.
pub(super) const WEEKDAY: usize = 7;

/// What a variable may say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Code {
    /// There is nothing: no value, no part of one, no such literal passed.
    Absent,
    /// NULL in this slot: `null` in JSON, an empty cell in CSV.
    Null { slot: u16 },
    /// This text.
    Text { slot: u16, text: Vec<u8> },
    /// One of these texts, which were seen so often.
    Texts { slot: u16, texts: Vec<(Vec<u8>, u32)> },
    /// A number of the field's kind.
    Number { slot: u16, bin: Bin },
    /// A number that goes on: `base + step * n` in the record with the number `n - 1`.
    Sequence { slot: u16, base: i64, step: i64 },
    /// A time, whose parts are variables of their own.
    Time { slot: u16 },
    /// A part of a time.
    Part(i64),
    /// The literal with this number among those between the same slots.
    Literal(u16),
    /// What was seen too rarely. Never drawn.
    Rare,
    /// A number that is so much off what others make.
    Off { slot: u16, by: i64 },
    /// What the field's own variable says.
    Own,
}

impl Code {
    /// The slot that its value is written to.
    pub fn slot(&self) -> Option<u16> {
        match self {
            Self::Null { slot }
            | Self::Text { slot, .. }
            | Self::Texts { slot, .. }
            | Self::Number { slot, .. }
            | Self::Sequence { slot, .. }
            | Self::Time { slot }
            | Self::Off { slot, .. } => Some(*slot),
            Self::Absent | Self::Part(_) | Self::Literal(_) | Self::Rare | Self::Own => None,
        }
    }
}

/// What the network tells at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Variable {
    /// For people.
    pub name: String,
    /// At least one, of which at least one is not [`Code::Rare`].
    pub codes: Vec<Code>,
}

impl Variable {
    /// The slot of its numbers, if it has any.
    pub fn number_slot(&self) -> Option<u16> {
        self.codes.iter().find_map(|code| match code {
            Code::Number { slot, .. } => Some(*slot),
            _ => None,
        })
    }

    /// The bins of its numbers.
    pub fn bins(&self) -> impl Iterator<Item = &Bin> {
        self.codes.iter().filter_map(|code| if let Code::Number { bin, .. } = code { Some(bin) } else { None })
    }

    /// By how much a number is frequently off what others make, where it says so.
    pub fn offs(&self) -> impl Iterator<Item = i64> {
        self.codes.iter().filter_map(|code| if let Code::Off { by, .. } = code { Some(*by) } else { None })
    }

    /// The least and the largest number that its codes say.
    pub fn range(&self) -> Option<(i64, i64)> {
        let ends = self.bins().flat_map(|bin| {
            let atoms = [bin.atoms.first(), bin.atoms.last()].into_iter().flatten().map(|(atom, _)| *atom);
            atoms.chain([bin.edges.first(), bin.edges.last()].into_iter().flatten().copied()).collect::<Vec<_>>()
        });
        ends.fold(None, |range, end| {
            Some(range.map_or((end, end), |(low, high): (i64, i64)| (low.min(end), high.max(end))))
        })
    }
}

impl Variable {
    /// The least and the largest number that nobody would call new: those of [`Variable::range`], and as far beyond them as a twentieth of what lies
    /// between. What bins end with are means of some numbers, none of them rare, so that some that were learned lie beyond.
    pub fn reach(&self) -> Option<(i64, i64)> {
        let (low, high) = self.range()?;
        let more = high.abs_diff(low).div_ceil(20);
        Some((low.saturating_sub_unsigned(more), high.saturating_add_unsigned(more)))
    }
}

/// A place of a value in a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// Its path.
    pub column: u16,
    /// How often the path occurs before it.
    pub occurrence: u8,
    /// The variable that says what it has.
    pub variable: u16,
    /// What its numbers or times are read as.
    pub kind: Kind,
    /// Where its numbers are times: digits of the fraction of a second that they count.
    pub epoch: Option<u8>,
    /// The variables of the parts that a time has, where it is one.
    pub parts: [Option<u16>; PARTS],
}

impl Field {
    /// The format whose numbers are the field's, where it has times.
    pub fn format(&self) -> Option<TimeFormat> {
        match (&self.kind, self.epoch) {
            (Kind::Time(format), _) => Some(*format),
            (_, Some(fraction)) => {
                Some(TimeFormat { date: true, between: b'T', clock: Clock::Seconds, fraction, zulu: true })
            }
            _ => None,
        }
    }
}

/// The day of the week, 0 for Monday, so many days after 1970-01-01, which was a Thursday.
pub(super) fn weekday(day: i64) -> i64 {
    (day.rem_euclid(7) + 3) % 7
}

/// The parts of a time.
pub(super) fn parts(format: &TimeFormat, time: i64) -> Option<[i64; PARTS]> {
    let mut all = [0; PARTS];
    all[..WEEKDAY].copy_from_slice(&format.parts(time)?);
    if format.date {
        all[WEEKDAY] = weekday(time.div_euclid(format.units_a_day()));
    }
    Some(all)
}

/// Literals between the same two slots, of which a variable says which one stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fork {
    /// The state.
    pub from: Option<u16>,
    /// The slot that all of them lead to.
    pub to: Option<u16>,
    /// Its variable.
    pub variable: u16,
}

/// How records are coded.
#[derive(Clone, Debug)]
pub(super) struct Codebook {
    pub grammar: Grammar,
    /// The paths.
    pub columns: Vec<String>,
    /// By slot: its column.
    pub column_of: Vec<u16>,
    /// In the order in which they mostly stand in a record.
    pub fields: Vec<Field>,
    pub forks: Vec<Fork>,
    pub variables: Vec<Variable>,
    /// Fields that others make, after those that they are made of.
    pub links: Vec<Link>,
    /// By variable: the code of another that it must have for this one to be drawn.
    pub guards: Vec<Option<(u16, u16)>>,
    /// The time that goes on from record to record.
    pub walk: Option<Walk>,
    /// By column and occurrence: the field.
    field_of: Vec<Vec<u16>>,
    /// By field.
    readers: Vec<Lookup>,
    /// Places of forks.
    fork_of: HashMap<(Option<u16>, Option<u16>), u16>,
}

/// Codes by values.
#[derive(Clone, Debug, Default)]
struct Lookup {
    texts: HashMap<(u16, Vec<u8>), u16>,
    /// Numbers with codes of their own.
    exact: HashMap<i64, u16>,
    /// The last numbers of other bins in ascending order.
    bins: Vec<(i64, u16)>,
    sequence: Option<u16>,
    time: Option<u16>,
    absent: Option<u16>,
    null: Option<u16>,
    rare: Option<u16>,
    /// The slot of numbers and times.
    slot: Option<u16>,
    /// By part: code by value.
    parts: [HashMap<i64, u16>; PARTS],
    /// By part: what stands for no value, and for a rare one.
    parts_absent: [Option<u16>; PARTS],
    parts_rare: [Option<u16>; PARTS],
}

/// A value of a record: its slot, and where it lies.
pub(super) type Cell = (u16, u32, u32);

/// Where a record's values lie. Used again for the next: its memory stays.
#[derive(Debug, Default)]
pub(super) struct Cells {
    pub steps: Steps,
    counts: Vec<usize>,
    /// By field.
    pub cells: Vec<Option<Cell>>,
}

impl Codebook {
    /// One of these parts, which fit together ([`super::artefact`] and [`super::learn`] see to that).
    pub fn new(
        grammar: Grammar,
        (columns, column_of): (Vec<String>, Vec<u16>),
        fields: Vec<Field>,
        forks: Vec<Fork>,
        variables: Vec<Variable>,
    ) -> Self {
        let mut field_of = vec![Vec::new(); columns.len()];
        let mut places: Vec<(usize, &Field)> = fields.iter().enumerate().collect();
        places.sort_by_key(|(_, field)| (field.column, field.occurrence));
        for (number, field) in places {
            field_of[usize::from(field.column)].push(number as u16);
        }
        let readers = fields.iter().map(|field| Lookup::of(field, &variables)).collect();
        let fork_of = forks.iter().enumerate().map(|(number, fork)| ((fork.from, fork.to), number as u16)).collect();
        let (links, guards, walk) = (Vec::new(), vec![None; variables.len()], None);
        Self { grammar, columns, column_of, fields, forks, variables, links, guards, walk, field_of, readers, fork_of }
    }

    /// The variable that says what a field has.
    pub fn variable_of(&self, field: u16) -> &Variable {
        &self.variables[usize::from(self.fields[usize::from(field)].variable)]
    }

    /// With fields that are made of others, and a time that goes on.
    pub fn with(mut self, links: Vec<Link>, walk: Option<Walk>) -> Self {
        for link in &links {
            let own = self.fields[usize::from(link.field)].variable;
            let last = self.variables[usize::from(link.variable)].codes.len() - 1;
            self.guards[usize::from(own)] = Some((link.variable, last as u16));
        }
        (self.links, self.walk) = (links, walk);
        self
    }

    /// Whether a variable is drawn beside others: it depends on none, or the one that it depends on has the code that asks for it.
    pub fn is_asked(&self, variable: usize, code_of: impl FnOnce(usize) -> Option<u16>) -> bool {
        self.guards[variable].is_none_or(|(by, code)| code_of(usize::from(by)) == Some(code))
    }

    /// The variables that the time which goes on says: its field's own, and those of its parts.
    pub fn leads(&self) -> Vec<u16> {
        let Some(walk) = &self.walk else { return Vec::new() };
        let field = &self.fields[usize::from(walk.field)];
        std::iter::once(field.variable).chain(field.parts.iter().flatten().copied()).collect()
    }

    /// What they say of a time, in the same order; `None` where it was never seen.
    pub fn leading(&self, time: i64) -> Vec<Option<u16>> {
        let Some(walk) = &self.walk else { return Vec::new() };
        let (field, lookup) = (&self.fields[usize::from(walk.field)], &self.readers[usize::from(walk.field)]);
        let shown = field.format().and_then(|format| parts(&format, time));
        let part = |part: usize| {
            let code = shown.and_then(|shown| lookup.parts[part].get(&shown[part]).copied());
            code.or(lookup.parts_rare[part])
        };
        let own = std::iter::once(lookup.time);
        own.chain((0..PARTS).filter(|at| field.parts[*at].is_some()).map(part)).collect()
    }

    /// The fields of a column, by occurrence.
    pub fn fields_of(&self, column: u16) -> &[u16] {
        &self.field_of[usize::from(column)]
    }

    /// The number of the fork between two slots.
    pub fn fork_number(&self, from: Option<u16>, to: Option<u16>) -> Option<usize> {
        self.fork_of.get(&(from, to)).map(|fork| usize::from(*fork))
    }

    /// Codes of all variables.
    pub fn codes(&self) -> usize {
        self.variables.iter().map(|variable| variable.codes.len()).sum()
    }

    /// A record of less than 4 GiB as codes, one for each variable; `None` where it is not of the grammar, or a path occurs too
    /// often, or it has what the variables have no code for.
    pub fn read(&self, record: &[u8], cells: &mut Cells, codes: &mut Vec<Option<u16>>) -> Option<Vec<u16>> {
        if !cells.find(self, record) {
            return None;
        }
        self.known(record, cells, codes);
        codes.iter().copied().collect()
    }

    /// The codes of a record whose values were found, one for each variable; `None` for what the variables have no code for.
    pub fn known(&self, record: &[u8], cells: &Cells, codes: &mut Vec<Option<u16>>) {
        codes.clear();
        codes.resize(self.variables.len(), None);
        for ((field, lookup), cell) in self.fields.iter().zip(&self.readers).zip(&cells.cells) {
            lookup.read(self, field, *cell, record, codes);
        }
        for link in &self.links {
            codes[usize::from(link.variable)] = Some(self.off(link, cells, record));
        }
        for fork in &self.forks {
            codes[usize::from(fork.variable)] = self.literal(fork, &cells.steps);
        }
    }

    /// The code of a field's number.
    pub fn code_of(&self, field: usize, number: i64) -> Option<u16> {
        self.readers[field].number(number)
    }

    /// The number that a record has in a field.
    pub fn number(&self, field: u16, cells: &Cells, record: &[u8]) -> Option<i64> {
        let (slot, start, end) = cells.cells[usize::from(field)]?;
        let lookup = &self.readers[usize::from(field)];
        let value = record.get(start as usize..end as usize).filter(|_| lookup.slot == Some(slot))?;
        self.fields[usize::from(field)].kind.parse(value)
    }

    /// The code for how much a number is off what others make: the last where that is nothing frequent.
    pub fn off(&self, link: &Link, cells: &Cells, record: &[u8]) -> u16 {
        let of = link.of.map(|field| self.number(field, cells, record));
        let off = match (self.number(link.field, cells, record), of) {
            (Some(number), [Some(a), Some(b)]) => link.relation.off(number, [a, b]),
            _ => None,
        };
        let codes = &self.variables[usize::from(link.variable)].codes;
        let is_so = |code: &Code| matches!(code, Code::Off { by, .. } if Some(*by) == off);
        codes.iter().position(is_so).unwrap_or(codes.len() - 1) as u16
    }

    /// The code for the literal of a fork that a record passes.
    fn literal(&self, fork: &Fork, steps: &Steps) -> Option<u16> {
        let mut from = None;
        let mut code = Code::Absent;
        for step in &steps.steps {
            let Step::Edge { edge, slot, .. } = *step else { return None };
            if from == fork.from && slot == fork.to {
                let before = &self.grammar.state(from).edges[..usize::from(edge)];
                code = Code::Literal(before.iter().filter(|other| other.target == slot).count() as u16);
                break;
            }
            from = slot;
        }
        let codes = &self.variables[usize::from(fork.variable)].codes;
        let known = |wanted: &Code| codes.iter().position(|known| known == wanted);
        known(&code).or_else(|| known(&Code::Rare)).map(|place| place as u16)
    }
}

impl Cells {
    /// Finds the values of a record; whether all of it is of the grammar, and no path occurs too often.
    pub fn find(&mut self, book: &Codebook, record: &[u8]) -> bool {
        self.steps.walk(&book.grammar, record);
        self.counts.clear();
        self.counts.resize(book.columns.len(), 0);
        self.cells.clear();
        self.cells.resize(book.fields.len(), None);
        if !self.steps.regular {
            return false;
        }
        for step in &self.steps.steps {
            let Step::Edge { slot: Some(slot), start, end, .. } = *step else { continue };
            let column = usize::from(book.column_of[usize::from(slot)]);
            let Some(field) = book.field_of[column].get(self.counts[column]) else { return false };
            self.cells[usize::from(*field)] = Some((slot, start, end));
            self.counts[column] += 1;
        }
        true
    }
}

/// Whether a value is NULL.
pub(super) fn is_null(scan: Scan, value: &[u8]) -> bool {
    match scan {
        Scan::JsonBare => value == b"null",
        Scan::CsvPlain(_) => value.is_empty(),
        _ => false,
    }
}

impl Lookup {
    fn of(field: &Field, variables: &[Variable]) -> Self {
        let mut lookup = Self::default();
        for (code, place) in variables[usize::from(field.variable)].codes.iter().zip(0u16..) {
            match code {
                Code::Absent => lookup.absent = Some(place),
                Code::Null { .. } => lookup.null = Some(place),
                Code::Text { slot, text } => drop(lookup.texts.insert((*slot, text.clone()), place)),
                Code::Texts { slot, texts } => {
                    lookup.texts.extend(texts.iter().map(|(text, _)| ((*slot, text.clone()), place)));
                }
                Code::Number { slot, bin } => {
                    lookup.slot = Some(*slot);
                    match bin.single() {
                        Some(number) => drop(lookup.exact.insert(number, place)),
                        None => lookup.bins.push((bin.last, place)),
                    }
                }
                Code::Sequence { slot, .. } => (lookup.slot, lookup.sequence) = (Some(*slot), Some(place)),
                Code::Time { slot } => (lookup.slot, lookup.time) = (Some(*slot), Some(place)),
                Code::Rare => lookup.rare = Some(place),
                Code::Part(_) | Code::Literal(_) | Code::Off { .. } | Code::Own => {}
            }
        }
        lookup.bins.sort_unstable();
        for (part, variable) in field.parts.iter().enumerate() {
            let Some(variable) = variable else { continue };
            for (code, place) in variables[usize::from(*variable)].codes.iter().zip(0u16..) {
                match code {
                    Code::Part(value) => drop(lookup.parts[part].insert(*value, place)),
                    Code::Absent => lookup.parts_absent[part] = Some(place),
                    Code::Rare => lookup.parts_rare[part] = Some(place),
                    _ => {}
                }
            }
        }
        lookup
    }

    /// Codes of a field.
    fn read(&self, book: &Codebook, field: &Field, cell: Option<Cell>, record: &[u8], codes: &mut [Option<u16>]) {
        let mut time = None;
        let code = match cell {
            None => self.absent,
            Some((slot, start, end)) => {
                let value = &record[start as usize..end as usize];
                if is_null(book.grammar.scan(slot), value) {
                    self.null
                } else if let Some(place) = self.texts.get(&(slot, value.to_vec())) {
                    Some(*place)
                } else if self.slot == Some(slot)
                    && let Some(number) = field.kind.parse(value)
                {
                    time = self.time.and(Some(number));
                    self.number(number)
                } else {
                    None
                }
            }
        };
        codes[usize::from(field.variable)] = code.or(self.rare);
        if let Some(format) = field.format() {
            self.read_parts(&format, field, time, codes);
        }
    }

    fn number(&self, number: i64) -> Option<u16> {
        if let Some(place) = self.time.or(self.sequence).or_else(|| self.exact.get(&number).copied()) {
            return Some(place);
        }
        let at = self.bins.partition_point(|(last, _)| *last < number);
        // Numbers beyond the last bin are of it: ends are clamped.
        self.bins.get(at).or(self.bins.last()).map(|(_, place)| *place)
    }

    fn read_parts(&self, format: &TimeFormat, field: &Field, time: Option<i64>, codes: &mut [Option<u16>]) {
        let parts = time.and_then(|time| parts(format, time));
        for (part, variable) in field.parts.iter().enumerate() {
            let Some(variable) = variable else { continue };
            let code = match parts {
                None => self.parts_absent[part],
                Some(parts) => self.parts[part].get(&parts[part]).copied(),
            };
            codes[usize::from(*variable)] = code.or(self.parts_rare[part]);
        }
    }
}
