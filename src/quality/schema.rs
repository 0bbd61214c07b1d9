//! What the columns of a topic's records are: learned from real records, and then the same for generated ones.

use std::collections::HashMap;

use serde::Serialize;
use xxhash_rust::xxh3::Xxh3;

use crate::payload::fields::{Grammar, Kind, Scan, Step, Steps};

/// How often a category must have been seen to have a code of its own.
pub const LEAST_COUNT: u32 = 5;
/// Most categories of a column that have codes of their own, the most frequent: a pair of columns of more would be all chance.
pub const MAX_CATEGORIES: usize = 100;
/// Different numbers from which on a column is one of numbers; fewer are categories.
const LEAST_NUMBERS: usize = 10;
/// Different numbers from which on those that only go up, or only down, are a sequence.
const LEAST_SEQUENCE: usize = 100;
/// Longest mean length of categories; longer ones are text.
const LONGEST_CATEGORY: usize = 64;
/// Greatest number that is taken for one: sums of squares of such are finite.
const GREATEST: f64 = 1e120;
/// Values that a kind is learned from at most.
const KIND_SAMPLES: usize = 4_000;

/// Why a column takes no part in the comparison of distributions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
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

/// A number as JSON writes it.
fn number(text: &[u8]) -> Option<f64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    match digits {
        [b'0', b'0'..=b'9', ..] => return None,
        [b'0'..=b'9', ..] => {}
        _ => return None,
    }
    std::str::from_utf8(text).ok()?.parse().ok().filter(|number: &f64| number.abs() <= GREATEST)
}

/// What a column's values are, and whether they are all of it. They come in the order of the topic.
fn role(values: &[&[u8]], is_hex: bool) -> (Role, bool) {
    if values.is_empty() {
        return (Role::LeftOut(LeftOut::Empty), false);
    }
    let nearly_all = |count: usize| count * 20 >= values.len() * 19;
    let mut counts: HashMap<&[u8], u32> = HashMap::new();
    values.iter().for_each(|value| *counts.entry(value).or_insert(0) += 1);

    if !is_hex {
        let numbers: Vec<f64> = values.iter().filter_map(|value| number(value)).collect();
        if nearly_all(numbers.len()) && counts.len() >= LEAST_NUMBERS {
            if counts.len() >= LEAST_SEQUENCE && is_sequence(&numbers) {
                return (Role::LeftOut(LeftOut::Sequence), false);
            }
            return (Role::Number, numbers.len() == values.len());
        }
        let step = values.len().div_ceil(KIND_SAMPLES);
        let some: Vec<&[u8]> = values.iter().copied().step_by(step).collect();
        let kind = Kind::learn(&some);
        if let Kind::Time(format) = &kind {
            let parsed = values.iter().filter(|value| kind.parse(value).is_some()).count();
            if nearly_all(parsed) {
                let (units_a_day, dated) = (format.units_a_day(), format.date);
                return (Role::Time { kind, units_a_day, dated }, parsed == values.len());
            }
        }
    }

    let mut frequent: Vec<(&[u8], u32)> = counts.into_iter().filter(|(_, count)| *count >= LEAST_COUNT).collect();
    frequent.sort_unstable_by(|(a, x), (b, y)| y.cmp(x).then_with(|| a.cmp(b)));
    let known: usize = frequent.iter().map(|(_, count)| *count as usize).sum();
    let bytes: usize = values.iter().map(|value| value.len()).sum();
    if known * 2 < values.len() || bytes > LONGEST_CATEGORY * values.len() {
        let has_words = values.iter().filter(|value| value.contains(&b' ')).count() * 2 > values.len();
        return (Role::LeftOut(if has_words { LeftOut::Text } else { LeftOut::Identifier }), false);
    }
    frequent.truncate(MAX_CATEGORIES);
    (Role::Category(frequent.into_iter().zip(0..).map(|((value, _), code)| (value.into(), code)).collect()), false)
}

/// Whether numbers only go up, or only down, but for one step in a hundred, and mostly differ.
fn is_sequence(numbers: &[f64]) -> bool {
    let steps = || numbers.windows(2).map(|pair| pair[0].total_cmp(&pair[1]));
    let all = numbers.len().saturating_sub(1);
    let count = |wanted| steps().filter(|step| *step == wanted).count();
    let (up, down) = (count(std::cmp::Ordering::Less), count(std::cmp::Ordering::Greater));
    (up + down) * 2 > all && up.min(down) * 100 <= all
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
