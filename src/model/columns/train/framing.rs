//! Learns what Kafka keeps beside values, beside a model of the values.

use std::collections::HashMap;

use super::bytes;
use super::formulas::{self, Example};
use super::trace::{Event, Trace};
use super::{
    Given, KIND_SAMPLES, Known, Options, TEXT_SAMPLE, Texts, bases, contexts, learn_columns, newest, span, thinned,
    unit,
};
use crate::model::columns::alphabet::Alphabet;
use crate::model::columns::base::Base;
use crate::model::columns::fields::Fields;
use crate::model::columns::framing::{
    BYTES, FORMULAS, FieldParts, Form, Formula, FramingParts, Import, KEY, MAX_IMPORTS, MAX_LISTS, MAX_NAMES, NULL,
    Part, Places, TEXT, imported, put_number,
};
use crate::model::columns::parts::{ColumnParts, Parts};
use crate::model::columns::registers::{Registers, unknown_text};
use crate::payload::fields::{Kind, Steps};
use crate::record::RecordRef;

/// Newest records that framing is learned from.
pub const FRAMED_RECORDS: usize = 60_000;
/// Records that formulas and forms are sought in.
const EXAMPLES: usize = 1_000;
/// Of the effort that values take, what framing may.
const SHARE: u64 = 4;
/// Slots that framing may be predicted from, beside those of formulas.
const CANDIDATES: usize = 36;
/// A list of names is known when it was seen twice, and in one record of so many.
const LISTED: usize = 1_000;
/// Milliseconds that a field of the value may be off the timestamp to be taken for a time: four hundred days.
const NEAR: u64 = 400 * 86_400_000;

/// One record's value: the texts of all slots, by slot.
type Row<'a> = Vec<Option<&'a [u8]>>;

/// Learns framing from records, the oldest first; nothing where there are none.
pub(in crate::model::columns) fn learn(
    values: &Parts,
    records: &[RecordRef<'_>],
    options: &Options,
) -> Option<FramingParts> {
    let records = &records[records.len().saturating_sub(FRAMED_RECORDS)..];
    if records.is_empty() {
        return None;
    }
    let slots = values.grammar.slots().len();
    let some: Vec<&RecordRef<'_>> = thinned(&records.iter().collect::<Vec<_>>(), EXAMPLES);
    let all: Vec<u16> = (0..slots as u16).collect();
    let rows = rows(values, &some, &all);
    let (names, lists) = headers(records);
    let field_of = |name: &str| KEY + 1 + names.iter().position(|known| known == name).unwrap_or(names.len());

    // What keys and header values are made of; sources are slots, and the key behind them.
    let mut fields = vec![FieldParts::default(); names.len() + 2];
    let mut texts: Vec<Vec<(usize, &[u8])>> = vec![Vec::new(); fields.len()];
    for (row, record) in some.iter().enumerate() {
        texts[KEY].extend(record.key.map(|key| (row, key)));
        for header in &record.headers {
            texts[field_of(header.name)].extend(header.value.map(|value| (row, value)));
        }
    }
    let mut keys: Vec<Option<Vec<u8>>> = vec![None; some.len()];
    for (number, (field, texts)) in fields.iter_mut().zip(&texts).enumerate() {
        field.form = form(texts.iter().map(|(_, bytes)| *bytes));
        let mut scratch = Vec::new();
        let formed: Vec<(usize, Vec<u8>)> = texts
            .iter()
            .filter_map(|(row, bytes)| Some((*row, field.form.text(bytes, &mut scratch)?.to_vec())))
            .collect();
        let example = |(row, text): &(usize, Vec<u8>)| {
            let key = if number == KEY { None } else { keys[*row].as_deref() };
            (*row, text.clone(), key.map(<[u8]>::to_vec))
        };
        let owned: Vec<(usize, Vec<u8>, Option<Vec<u8>>)> = formed.iter().map(example).collect();
        let examples: Vec<Example<'_>> = owned
            .iter()
            .map(|(row, text, key)| {
                let mut sources = rows[*row].clone();
                if number != KEY {
                    sources.push(key.as_deref());
                }
                Example { text, sources }
            })
            .collect();
        field.formulas = formulas::search(&examples);
        if number == KEY {
            formed.into_iter().for_each(|(row, text)| keys[row] = Some(text));
        }
    }

    // Which slots are looked at: those of formulas, then times, numbers, and others.
    let imports = imports(values, &some, &rows, &fields);
    let place = |source: u16| match usize::from(source) == slots {
        true => imports.len() as u16,
        false => imports.iter().position(|import| import.slot == source).unwrap_or_default() as u16,
    };
    for formula in fields.iter_mut().flat_map(|field| &mut field.formulas) {
        renumber(formula, place);
    }

    let places = Places { imports: imports.len(), fields: fields.len() };
    let teller = Teller { values, imports: &imports, names: &names, lists: &lists, fields: &fields, places };
    let told = teller.tell(records);
    Some(teller.learn(&told, options))
}

/// The texts of some slots in each record.
fn rows<'a>(values: &Parts, records: &[&RecordRef<'a>], wanted: &[u16]) -> Vec<Row<'a>> {
    let mut fields = Fields::of(wanted, values.grammar.slots().len());
    let mut steps = Steps::default();
    let row = |record: &&RecordRef<'a>| -> Row<'a> {
        let Some(value) = record.value else { return vec![None; wanted.len()] };
        fields.clear();
        steps.walk(&values.grammar, value);
        fields.walked(&steps, 0);
        (0..wanted.len()).map(|place| fields.text(0, place, value)).collect()
    };
    records.iter().map(row).collect()
}

/// Names of headers, and the lists of them that records have: the most frequent.
fn headers(records: &[RecordRef<'_>]) -> (Vec<String>, Vec<Vec<u16>>) {
    let mut counts: HashMap<Vec<&str>, usize> = HashMap::new();
    for record in records {
        *counts.entry(record.headers.iter().map(|header| header.name).collect()).or_insert(0) += 1;
    }
    let mut counts: Vec<(usize, Vec<&str>)> = counts.into_iter().map(|(list, count)| (count, list)).collect();
    counts.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let (mut names, mut lists): (Vec<String>, Vec<Vec<u16>>) = (Vec::new(), Vec::new());
    for (count, list) in counts {
        if lists.len() == MAX_LISTS || count < 2.max(records.len() / LISTED) {
            break;
        }
        let mut new: Vec<&str> = list.iter().copied().filter(|name| !names.iter().any(|known| known == name)).collect();
        new.sort_unstable();
        new.dedup();
        if list.len() > MAX_NAMES || names.len() + new.len() > MAX_NAMES {
            continue;
        }
        names.extend(new.into_iter().map(str::to_owned));
        let place = |name: &&str| names.iter().position(|known| known == name).unwrap_or_default() as u16;
        lists.push(list.iter().map(place).collect());
    }
    (names, lists)
}

/// How a field's bytes are text: as a binary number where nearly all are one of a size that numbers have.
fn form<'a>(texts: impl Iterator<Item = &'a [u8]>) -> Form {
    let texts: Vec<&[u8]> = texts.collect();
    let is_number = |form: Form, bytes: &[u8]| {
        let mut scratch = Vec::new();
        bytes.contains(&0) && form.text(bytes, &mut scratch).is_some_and(|text| Kind::Integer.parse(text).is_some())
    };
    let fits = |form: &Form| {
        let fitting = texts.iter().filter(|bytes| is_number(*form, bytes)).count();
        !texts.is_empty() && fitting * 20 >= texts.len() * 19
    };
    [Form::Four, Form::Eight].into_iter().find(fits).unwrap_or_default()
}

fn renumber(formula: &mut Formula, place: impl Fn(u16) -> u16) {
    for part in &mut formula.parts {
        if let Part::Source(source) = part {
            *source = place(*source);
        }
    }
}

/// The slots that framing may be predicted from, by slot.
fn imports(values: &Parts, records: &[&RecordRef<'_>], rows: &[Row<'_>], fields: &[FieldParts]) -> Vec<Import> {
    let slots = values.grammar.slots().len();
    let mut imports: Vec<Import> = Vec::new();
    let mut add = |import: Import, most: usize| {
        if imports.len() < most && !imports.iter().any(|known| known.slot == import.slot) {
            imports.push(import);
        }
    };
    let scaled: Vec<Import> = (0..slots).map(|slot| scaled(slot, values, records, rows)).collect();
    let formulas = fields.iter().flat_map(|field| &field.formulas);
    for slot in formulas.flat_map(Formula::sources).map(usize::from).filter(|slot| *slot < slots) {
        add(scaled[slot], MAX_IMPORTS);
    }
    let times = scaled.iter().filter(|import| is_time(**import, values, records, rows));
    times.for_each(|import| add(*import, CANDIDATES));
    let is_number = |slot: usize| values.columns[slot].alphabet.kind != Kind::Text;
    (0..slots).filter(|slot| is_number(*slot)).for_each(|slot| add(scaled[slot], CANDIDATES));
    (0..slots).for_each(|slot| add(scaled[slot], CANDIDATES));
    imports.sort_by_key(|import| import.slot);
    imports
}

/// How far off the timestamps the numbers of a slot are, in the middle, if they are multiplied and divided so.
fn off(import: Import, values: &Parts, records: &[&RecordRef<'_>], rows: &[Row<'_>]) -> Option<u64> {
    let kind = &values.columns[usize::from(import.slot)].alphabet.kind;
    let mut off: Vec<u64> = records
        .iter()
        .zip(rows)
        .filter_map(|(record, row)| {
            let number = kind.parse(row[usize::from(import.slot)]?)?;
            // Small numbers are none.
            let scaled = number.checked_mul(import.multiply)?.div_euclid(import.divide);
            Some(scaled.abs_diff(record.timestamp.millis))
        })
        .collect();
    off.sort_unstable();
    off.get(off.len() / 2).copied()
}

fn is_time(import: Import, values: &Parts, records: &[&RecordRef<'_>], rows: &[Row<'_>]) -> bool {
    off(import, values, records, rows).is_some_and(|off| off < NEAR)
}

/// A slot whose numbers count as milliseconds, if they are about the timestamps in some unit of time.
fn scaled(slot: usize, values: &Parts, records: &[&RecordRef<'_>], rows: &[Row<'_>]) -> Import {
    let plain = Import::of(slot as u16);
    let units = [
        (1, 1),
        (1000, 1),
        (60_000, 1),
        (86_400_000, 1),
        (1, 1000),
        (1, 1_000_000),
        (100, 1),
        (10, 1),
        (1, 10),
        (1, 100),
    ];
    let scaled = units.map(|(multiply, divide)| Import { multiply, divide, ..plain });
    let best = scaled.into_iter().filter_map(|import| Some((off(import, values, records, rows)?, import)));
    let best = best.min_by_key(|(off, _)| *off);
    best.filter(|(off, _)| *off < NEAR).map_or(plain, |(_, import)| import)
}

/// Records as events.
struct Teller<'a> {
    values: &'a Parts,
    imports: &'a [Import],
    names: &'a [String],
    lists: &'a [Vec<u16>],
    fields: &'a [FieldParts],
    places: Places,
}

/// What was told: for each record the bytes of its events.
struct Told {
    samples: Vec<Vec<u8>>,
    events: Vec<Event>,
    /// Registers of imports and of choices, by event; 0 for values.
    registers: Vec<i64>,
}

impl Told {
    /// A value of the record that is the last.
    fn value(&mut self, column: usize, text: &[u8]) {
        let record = self.samples.len() - 1;
        let sample = &mut self.samples[record];
        let start = sample.len() as u32;
        sample.extend_from_slice(text);
        let first = self.is_first(record);
        let end = self.samples[record].len() as u32;
        self.events.push(Event::value(column as u16, first, record as u32, start, end));
        self.registers.push(0);
    }

    fn choice(&mut self, column: usize, chosen: u16) {
        let record = self.samples.len() - 1;
        let first = self.is_first(record);
        self.events.push(Event::choice(column as u16, first, record as u32, chosen));
        self.registers.push(i64::from(chosen));
    }

    /// Whether no event is of this record yet.
    fn is_first(&self, record: usize) -> bool {
        self.events.last().is_none_or(|event| event.record() != record as u32)
    }
}

impl Teller<'_> {
    fn tell(&self, records: &[RecordRef<'_>]) -> Told {
        let places = self.places;
        let mut told = Told { samples: Vec::new(), events: Vec::new(), registers: Vec::new() };
        let slots: Vec<u16> = self.imports.iter().map(|import| import.slot).collect();
        let mut fields = Fields::of(&slots, self.values.grammar.slots().len());
        let mut steps = Steps::default();
        let has_nulls = records.iter().any(|record| record.value.is_none());
        let mut digits = Vec::new();
        for record in records {
            told.samples.push(Vec::new());
            if has_nulls {
                told.choice(places.nulls(), u16::from(record.value.is_none()));
            }
            fields.clear();
            if let Some(value) = record.value {
                steps.walk(&self.values.grammar, value);
                fields.walked(&steps, 0);
            }
            let value = record.value.unwrap_or_default();
            for (column, import) in self.imports.iter().enumerate() {
                let text = fields.text(0, column, value);
                let kind = &self.values.columns[usize::from(import.slot)].alphabet.kind;
                told.value(column, text.unwrap_or_default());
                *told.registers.last_mut().expect("an event was pushed") = imported(*import, kind, text);
            }
            for (column, number) in [(places.offset(), record.offset), (places.timestamp(), record.timestamp.millis)] {
                digits.clear();
                put_number(number, &mut digits);
                told.value(column, &digits);
            }
            self.tell_field(&mut told, KEY, record.key, |source| fields.text(0, usize::from(source), value));
            let mut scratch = Vec::new();
            let key = record.key.and_then(|key| self.fields[KEY].form.text(key, &mut scratch));
            let source = |source: u16| match source == places.key_source() {
                true => key,
                false => fields.text(0, usize::from(source), value),
            };
            let place = |name: &str| self.names.iter().position(|known| known == name);
            let named: Vec<Option<usize>> = record.headers.iter().map(|header| place(header.name)).collect();
            let same = |list: &&Vec<u16>| list.iter().map(|name| Some(usize::from(*name))).eq(named.iter().copied());
            let list = self.lists.iter().position(|list| same(&list)).unwrap_or(self.lists.len());
            told.choice(places.list(), list as u16);
            for (name, header) in named.iter().zip(&record.headers) {
                self.tell_field(&mut told, KEY + 1 + name.unwrap_or(self.names.len()), header.value, source);
            }
        }
        told
    }

    fn tell_field<'a>(
        &self,
        told: &mut Told,
        field: usize,
        bytes: Option<&[u8]>,
        source: impl Fn(u16) -> Option<&'a [u8]> + Copy,
    ) {
        let (how, column) = (self.places.how(field), self.places.field(field));
        let Some(bytes) = bytes else { return told.choice(how, NULL) };
        let FieldParts { form, formulas, .. } = &self.fields[field];
        let mut scratch = Vec::new();
        match form.text(bytes, &mut scratch) {
            Some(text) => match formulas.iter().position(|formula| formula.makes(text, source)) {
                Some(formula) => told.choice(how, FORMULAS + formula as u16),
                None => {
                    told.choice(how, TEXT);
                    told.value(column, text);
                }
            },
            None => {
                told.choice(how, BYTES);
                told.value(column, bytes);
            }
        }
    }

    fn learn(&self, told: &Told, options: &Options) -> FramingParts {
        let places = self.places;
        let samples: Vec<&[u8]> = told.samples.iter().map(Vec::as_slice).collect();
        let trace = Trace::of(&samples, told.events.clone());
        let mut columns = vec![ColumnParts::default(); places.all()];
        let plain = |kind: Kind, base: Base| Alphabet::new(kind, 1, 0, base, Vec::new(), Vec::new());
        for (column, import) in columns.iter_mut().zip(self.imports) {
            let kind = self.values.columns[usize::from(import.slot)].alphabet.kind.clone();
            column.alphabet = plain(kind, Base::Nothing);
        }
        let offset = places.offset();
        columns[offset].alphabet = plain(Kind::Integer, Base::Last(offset as u16));
        columns[places.timestamp()].alphabet = plain(Kind::Integer, Base::Nothing);
        for (column, part) in columns.iter_mut().enumerate().take(places.values()).skip(places.field(KEY)) {
            let values = trace.values(column);
            let kind = Kind::learn(&thinned(&values, KIND_SAMPLES));
            let (unit, offset) = unit(&kind, &values);
            part.alphabet = Alphabet::new(kind, unit, offset, Base::Nothing, Vec::new(), Vec::new());
        }
        let register = |(event, register): (&Event, &i64)| match trace.value(event) {
            Some(value) if usize::from(event.column) >= places.imports => {
                let alphabet = &columns[usize::from(event.column)].alphabet;
                alphabet.number(value).unwrap_or_else(|| unknown_text(value))
            }
            _ => *register,
        };
        let mut registers: Vec<i64> = trace.events.iter().zip(&told.registers).map(register).collect();

        let start = Registers::new(places.all());
        let slots = places.values();
        let effort = options.effort / SHARE;
        let span = span(effort, slots);
        let numeric: Vec<usize> =
            (places.timestamp()..slots).filter(|column| columns[*column].alphabet.kind != Kind::Text).collect();
        for column in numeric {
            let known = Known { columns: &columns, slots, trace: &trace, registers: &registers, start: &start, span };
            columns[column].alphabet.base = contexts::best_base(column, &bases::candidates(column, &known), &known, 0);
        }
        let choices = |choice: usize| places.symbols(slots + choice, self.lists.len(), self.fields);
        let given = Given { columns: places.imports, slots, span, effort };
        let (symbols, memory) = learn_columns(&trace, &mut columns, &mut registers, &start, given, choices);
        let text = Texts::gather(&trace, &columns, &symbols);
        let text = bytes::chain(newest(&text.all, TEXT_SAMPLE).iter().copied());
        let mut fields = self.fields.to_vec();
        for (number, field) in fields.iter_mut().enumerate() {
            let column = places.field(number);
            let other = columns[column].alphabet.other();
            let is_text = |(at, event): &(usize, &Event)| {
                usize::from(event.column) == column && usize::from(symbols[*at]) == other
            };
            let texts = trace.events.iter().enumerate().filter(is_text);
            let texts: Vec<&[u8]> = texts.map(|(_, event)| trace.bytes(event)).collect();
            field.bytes = bytes::own(column, &texts).unwrap_or_default();
        }
        columns[..places.imports].fill(ColumnParts::default());
        let mut begin = start;
        begin.begin(&memory);
        FramingParts {
            imports: self.imports.to_vec(),
            names: self.names.to_vec(),
            lists: self.lists.to_vec(),
            fields,
            columns,
            start: begin,
            text,
        }
    }
}
