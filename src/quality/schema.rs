//! What the columns of a topic's records are: learned from real records, and then the same for generated ones.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use crate::payload::fields::{Grammar, Kind, LEAST_COUNT, Nature, Scan, Step, Steps, number};

/// Most categories of a column that have codes of their own, the most frequent: a pair of columns of more would be all chance.
pub const MAX_CATEGORIES: usize = 100;
/// Why a column takes no part in the comparison of distributions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeftOut {
    /// Its values name things, nearly each another one.
    Identifier,
    /// Its values are free text.
    Text,
    /// Its numbers only go up, or only down: a counter or a clock.
    Sequence,
    /// It has no values.
    Empty,
}

/// What a record has in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Presence {
    /// A value that the column's other values are like.
    Value,
    /// NULL: `null` in JSON, an empty cell in CSV.
    Null,
    /// Nothing, not even NULL.
    Absent,
    /// A value that is no number in a column of numbers, no time in one of times.
    Odd,
}

/// How a column's values are compared.
#[derive(Debug)]
pub(super) enum Role {
    /// As numbers.
    Number,
    /// How often it occurs in the record, of the column with this number: an array's length.
    Count(usize),
    /// By codes: the frequent ones by descending frequency, then all others.
    Category(HashMap<Box<[u8]>, u32>),
    /// By weekday, where there is a date, and time of day: what a clock shows goes on and never comes back.
    Time { kind: Kind, units_a_day: i64, dated: bool },
    /// Not at all.
    LeftOut(LeftOut),
}

/// A column of the topic's records: all that stands at one path, whatever its syntax.
#[derive(Debug)]
pub(super) struct SchemaColumn {
    pub name: String,
    pub role: Role,
    /// Whether real records had no odd values, so that such a value makes a record invalid.
    pub strict: bool,
}

/// What a feature's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FeatureKind {
    /// Numbers; NaN where there is none.
    Numbers,
    /// Codes below this number, of which the last four are: all other values, NULL, absent, odd.
    Codes(u32),
}

/// Something that is compared: a column, or a part of one.
#[derive(Clone, Debug)]
pub(super) struct Feature {
    pub name: String,
    pub column: usize,
    pub kind: FeatureKind,
}

/// A value of a feature.
#[derive(Clone, Copy, Debug)]
pub(super) enum FeatureValue {
    Number(f64),
    Code(u32),
}

/// Grammar, columns, features.
#[derive(Debug)]
pub(super) struct Schema {
    grammar: Grammar,
    /// By slot.
    column_of: Vec<usize>,
    pub columns: Vec<SchemaColumn>,
    pub features: Vec<Feature>,
}

/// Where a record's values lie. Used again for the next: its memory stays.
#[derive(Debug, Default)]
pub(super) struct Row {
    steps: Steps,
    /// By column: where its first value begins and ends, and whether that is NULL.
    cells: Vec<Option<(usize, usize, bool)>>,
    /// By column: how many values it has.
    counts: Vec<u32>,
}

impl Schema {
    /// Learns the columns of records, which come in the order of their topic.
    pub fn learn(records: &[&[u8]]) -> Self {
        let grammar = Grammar::learn(records);
        let mut numbers: HashMap<&str, usize> = HashMap::new();
        let mut names: Vec<&str> = Vec::new();
        let mut column_of = Vec::with_capacity(grammar.slots().len());
        let mut is_hex = Vec::new();
        for slot in grammar.slots() {
            let column = *numbers.entry(&slot.name).or_insert_with(|| {
                names.push(&slot.name);
                is_hex.push(false);
                names.len() - 1
            });
            is_hex[column] |= matches!(slot.scan, Scan::Hex { .. });
            column_of.push(column);
        }
        let names: Vec<String> =
            names.into_iter().map(|name| if name.is_empty() { "record" } else { name }.into()).collect();

        let mut values: Vec<Vec<&[u8]>> = vec![Vec::new(); names.len()];
        let mut is_array = vec![false; names.len()];
        let mut row = Row::default();
        for record in records {
            row.walk(&grammar, &column_of, names.len(), record);
            for (column, cell) in row.cells.iter().enumerate() {
                if let Some((start, end, false)) = *cell {
                    values[column].push(&record[start..end]);
                }
                is_array[column] |= row.counts[column] > 1;
            }
        }
        let mut columns: Vec<SchemaColumn> = Vec::with_capacity(names.len());
        for ((name, values), is_hex) in names.into_iter().zip(&values).zip(is_hex) {
            let (role, strict) = role(values, is_hex);
            columns.push(SchemaColumn { name, role, strict });
        }
        for column in (0..columns.len()).filter(|column| is_array[*column]) {
            let name = format!("{} (count)", columns[column].name);
            columns.push(SchemaColumn { name, role: Role::Count(column), strict: false });
        }
        let features = columns.iter().enumerate().flat_map(|(number, column)| features(number, column)).collect();
        Self { grammar, column_of, columns, features }
    }

    /// Finds the values of a record of less than 4 GiB.
    pub fn read(&self, record: &[u8], row: &mut Row) {
        row.walk(&self.grammar, &self.column_of, self.columns.len(), record);
    }

    /// What a record has in a column.
    pub fn presence(&self, column: usize, record: &[u8], row: &Row) -> Presence {
        match row.cells[column] {
            None => Presence::Absent,
            Some((.., true)) => Presence::Null,
            Some((start, end, false)) => {
                let value = &record[start..end];
                let is_odd = match &self.columns[column].role {
                    Role::Number => number(value).is_none(),
                    Role::Time { kind, .. } => kind.parse(value).is_none(),
                    _ => false,
                };
                if is_odd { Presence::Odd } else { Presence::Value }
            }
        }
    }

    /// Whether a column is how often another one occurs.
    pub fn is_count(&self, column: usize) -> bool {
        matches!(self.columns[column].role, Role::Count(_))
    }

    /// A feature of a record.
    pub fn value(&self, feature: &Feature, record: &[u8], row: &Row) -> FeatureValue {
        let column = &self.columns[feature.column];
        let text = row.cells[feature.column].map_or(&record[..0], |(start, end, _)| &record[start..end]);
        match (feature.kind, &column.role) {
            (FeatureKind::Numbers, Role::Count(of)) => FeatureValue::Number(f64::from(row.counts[*of])),
            (FeatureKind::Numbers, Role::Number) => FeatureValue::Number(number(text).unwrap_or(f64::NAN)),
            (FeatureKind::Numbers, Role::Time { kind, units_a_day, dated }) => {
                // Timetables count on after midnight.
                let of_day = |units: i64| if *dated { units.rem_euclid(*units_a_day) } else { units };
                FeatureValue::Number(kind.parse(text).map_or(f64::NAN, |units| of_day(units) as f64))
            }
            (FeatureKind::Numbers, _) => FeatureValue::Number(f64::NAN),
            (FeatureKind::Codes(codes), role) => {
                let [other, null, absent, odd] = [4, 3, 2, 1].map(|behind| codes - behind);
                FeatureValue::Code(match (self.presence(feature.column, record, row), role) {
                    (Presence::Null, _) => null,
                    (Presence::Absent, _) => absent,
                    (Presence::Odd, _) => odd,
                    (Presence::Value, Role::Category(known)) => known.get(text).copied().unwrap_or(other),
                    (Presence::Value, Role::Time { kind, units_a_day, .. }) => {
                        let day = kind.parse(text).map(|units| units.div_euclid(*units_a_day));
                        day.map_or(odd, |day| day.rem_euclid(7) as u32)
                    }
                    (Presence::Value, _) => other,
                })
            }
        }
    }

    /// What a record says in all columns but those that say something else in each record. Records that say the same have
    /// the same digest.
    pub fn digest(&self, record: &[u8], row: &Row) -> u128 {
        let mut hash = Xxh3::new();
        let mut any = false;
        for (column, cell) in row.cells.iter().enumerate() {
            if matches!(self.columns[column].role, Role::LeftOut(_) | Role::Count(_)) {
                continue;
            }
            if let Some((start, end, is_null)) = *cell {
                any = true;
                hash.update(&(column as u64).to_le_bytes());
                hash.update(&((end - start) as u64 * 2 + u64::from(is_null)).to_le_bytes());
                hash.update(&record[start..end]);
            }
        }
        if !any {
            hash.update(record);
        }
        hash.digest128()
    }

    /// Whether a generator has an empty cell for each text of a column, and so no other sign for NULL: texts of CSV without quotes, of which
    /// each record has one of its own that may not be said.
    pub fn is_masked(&self, column: usize) -> bool {
        let mut slots = self.grammar.slots().iter().zip(&self.column_of).filter(|(_, own)| **own == column);
        matches!(self.columns[column].role, Role::LeftOut(LeftOut::Text))
            && slots.any(|(slot, _)| matches!(slot.scan, Scan::CsvPlain(_)))
    }

    /// Whether a record is of the topic's syntax, and its numbers and times are some where all of the topic's were.
    pub fn is_valid(&self, record: &[u8], row: &Row) -> bool {
        let is_odd = |column| self.presence(column, record, row) == Presence::Odd;
        row.steps.regular && (0..self.columns.len()).all(|column| !self.columns[column].strict || !is_odd(column))
    }
}

impl Row {
    fn walk(&mut self, grammar: &Grammar, column_of: &[usize], columns: usize, record: &[u8]) {
        self.cells.clear();
        self.cells.resize(columns, None);
        self.counts.clear();
        self.counts.resize(columns, 0);
        self.steps.walk(grammar, record);
        for step in &self.steps.steps {
            let (slot, start, end) = match *step {
                Step::Edge { slot: Some(slot), start, end, .. } => (slot, start, end),
                Step::Foreign { end, slot: Some(slot), value_end, .. } => (slot, end, value_end),
                _ => continue,
            };
            let (slot, start, end) = (usize::from(slot), start as usize, end as usize);
            let is_null = match grammar.slots()[slot].scan {
                Scan::JsonBare => &record[start..end] == b"null",
                Scan::CsvPlain(_) => start == end,
                _ => false,
            };
            let column = column_of[slot];
            self.cells[column].get_or_insert((start, end, is_null));
            self.counts[column] += 1;
        }
    }
}

/// How a column's values are compared, and whether they all are what it says. They come in the order of the topic.
fn role(values: &[&[u8]], is_hex: bool) -> (Role, bool) {
    let left_out = |why| (Role::LeftOut(why), false);
    match Nature::of(values, is_hex) {
        Nature::Empty => left_out(LeftOut::Empty),
        Nature::Sequence => left_out(LeftOut::Sequence),
        Nature::Text => left_out(LeftOut::Text),
        Nature::Identifier => left_out(LeftOut::Identifier),
        Nature::Number => (Role::Number, values.iter().all(|value| number(value).is_some())),
        Nature::Time(format) => {
            let kind = Kind::Time(format);
            let all = values.iter().all(|value| kind.parse(value).is_some());
            (Role::Time { kind, units_a_day: format.units_a_day(), dated: format.date }, all)
        }
        Nature::Category => {
            let mut counts: HashMap<&[u8], u32> = HashMap::new();
            values.iter().for_each(|value| *counts.entry(value).or_insert(0) += 1);
            let mut frequent: Vec<(&[u8], u32)> =
                counts.into_iter().filter(|(_, count)| *count >= LEAST_COUNT).collect();
            frequent.sort_unstable_by(|(a, x), (b, y)| y.cmp(x).then_with(|| a.cmp(b)));
            frequent.truncate(MAX_CATEGORIES);
            (
                Role::Category(frequent.into_iter().zip(0..).map(|((value, _), code)| (value.into(), code)).collect()),
                false,
            )
        }
    }
}

fn features(number: usize, column: &SchemaColumn) -> Vec<Feature> {
    let feature = |suffix: &str, kind| Feature { name: format!("{}{suffix}", column.name), column: number, kind };
    match &column.role {
        Role::Number | Role::Count(_) => vec![feature("", FeatureKind::Numbers)],
        Role::Category(known) => vec![feature("", FeatureKind::Codes(known.len() as u32 + 4))],
        Role::Time { units_a_day, dated, .. } => {
            let day = dated.then(|| feature(" (weekday)", FeatureKind::Codes(7 + 4)));
            let time = (*units_a_day > 1).then(|| feature(" (time of day)", FeatureKind::Numbers));
            day.into_iter().chain(time).collect()
        }
        Role::LeftOut(_) => Vec::new(),
    }
}
