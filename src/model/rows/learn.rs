//! A codebook from records.
//!
//! Nothing that was seen fewer than [`LEAST_COUNT`] times is kept: no literal, no path, no text, no number. What is rarer is coded
//! as [`Code::Rare`], and never drawn; texts that are mostly rare become empty ones.

use std::collections::{HashMap, HashSet};

use super::bin::Bin;
use super::codebook::{
    Cell, Cells, Code, Codebook, Field, Fork, MAX_OCCURRENCES, PARTS, Variable, WEEKDAY, is_null, parts,
};
use super::link::Link;
use super::relate::{Made, relations};
use super::walk::Walk;
use super::{MAX_CODES, MAX_FIELDS, RowsError};
use crate::payload::fields::{
    Edge, Grammar, Kind, LEAST_COUNT, Nature, Scan, Slot, State, Step, Steps, TimeFormat, is_sequence, kind, nearly_all,
};

/// Fewest records to learn from.
const MIN_RECORDS: usize = 50;
/// A number or a text with a greater share of its field's values than this has a code of its own.
const OWN_SHARE: f64 = 0.005;
/// Fewest numbers of a bin.
const MIN_BIN: usize = 50;
/// Segments of a bin, and of an identifier's numbers.
const SEGMENTS: usize = 8;
const ID_SEGMENTS: usize = 64;
/// A number has one too where those that were seen often enough are this share of all, and no more than texts would have codes; unless those with the
/// greater share make most of them.
const FEW_SHARE: f64 = 0.95;
const OWN_SHARES: f64 = 0.9;
/// Numbers that are seconds since 1970 lie between these: the years 2001 and 2100.
const SECONDS: std::ops::Range<i64> = 1_000_000_000..4_102_444_800;
/// Rows by which it is found out which numbers are made of others, at most.
const RELATED: usize = 4096;
/// Most known numbers of a field.
const MAX_KNOWN: usize = 8192;
/// Most texts of a field, and bytes of one.
const MAX_TEXTS: usize = 16_384;
const MAX_TEXT: usize = 4096;
/// A field's rare texts become empty ones where they are more than this.
const BLANK_SHARE: f64 = 0.1;

/// How finely values are told apart: tried from the finest on, until there are few enough codes.
const GRAINS: [Grain; 4] = [
    Grain { texts: 256, bins: 100 },
    Grain { texts: 64, bins: 50 },
    Grain { texts: 24, bins: 20 },
    Grain { texts: 8, bins: 8 },
];

#[derive(Clone, Copy, Debug)]
struct Grain {
    /// Most texts with a code of their own.
    texts: usize,
    /// Most bins.
    bins: usize,
}

/// A text, and how often it was seen.
type Counted = (Vec<u8>, u32);

/// The slots that a literal stands between; `None` is the start, and the end.
type Between = (Option<u16>, Option<u16>);

/// A codebook, and the records as its codes.
#[derive(Debug)]
pub struct Coded {
    /// The codebook.
    pub(super) book: Codebook,
    /// `[rows, variables]`.
    pub(super) codes: Vec<u16>,
    /// Records that could be coded.
    pub rows: usize,
    /// Records that could not: they have what was seen too rarely in their syntax.
    pub left_out: usize,
}

impl Coded {
    /// How many codes each variable has.
    pub fn sizes(&self) -> Vec<usize> {
        self.book.variables.iter().map(|variable| variable.codes.len()).collect()
    }

    /// The order in which variables are drawn: those first that a time says which goes on, then those of few codes, which say the most about the
    /// others for the least, and last what is drawn only where a number is not made of others.
    pub fn order(&self) -> Vec<u16> {
        let (book, leads) = (&self.book, self.book.leads());
        let mut order: Vec<u16> = (0..book.variables.len() as u16).collect();
        order.sort_by_key(|variable| {
            let number = usize::from(*variable);
            let part = if leads.contains(variable) { 0 } else { 1 + u8::from(book.guards[number].is_some()) };
            (part, book.variables[number].codes.len(), *variable)
        });
        order
    }

    /// Variables that a time says which goes on.
    pub fn leads(&self) -> Vec<u16> {
        self.book.leads()
    }

    /// By variable: the variable and the code of it without which it is not drawn.
    pub fn guards(&self) -> &[Option<(u16, u16)>] {
        &self.book.guards
    }

    /// The codes, `[rows, variables]`.
    pub fn codes(&self) -> &[u16] {
        &self.codes
    }
}

/// Learns how records of less than 4 GiB are coded, which come in the order of their topic, and codes them.
pub fn learn(records: &[&[u8]]) -> Result<Coded, RowsError> {
    if records.len() < MIN_RECORDS {
        return Err(RowsError::TooFew { found: records.len(), least: MIN_RECORDS });
    }
    let grammar = pruned(&Grammar::learn(records), records)?;
    let columns = Columns::of(&grammar);
    let mut seen = Seen::default();
    let mut cells = Cells::default();
    let empty = columns.codebook(grammar.clone(), columns.fields(&[MAX_OCCURRENCES as u8]), Vec::new(), Vec::new());
    for (number, record) in records.iter().enumerate() {
        if cells.find(&empty, record) {
            seen.add(number, &cells);
        }
    }
    if seen.numbers.len() < MIN_RECORDS {
        return Err(RowsError::TooFew { found: seen.numbers.len(), least: MIN_RECORDS });
    }
    // Fields that hardly ever occur are none; records that have them are left out with their rarer paths.
    let most = |column: usize| {
        let fields = empty.fields_of(column as u16).iter();
        fields.filter(|field| seen.filled[usize::from(**field)] >= LEAST_COUNT as usize).count() as u8
    };
    let occurrences: Vec<u8> = (0..columns.names.len()).map(most).collect();
    let mut fields = columns.fields(&occurrences);
    let source = |field: &Field| usize::from(empty.fields_of(field.column)[usize::from(field.occurrence)]);
    fields.sort_by(|a, b| seen.place(source(a)).total_cmp(&seen.place(source(b))));
    if fields.len() > MAX_FIELDS {
        return Err(RowsError::TooWide { what: "fields", found: fields.len(), most: MAX_FIELDS });
    }
    let natures = columns.natures(&empty, &seen, records);
    let (mut most, mut made) = (0, None);
    for grain in GRAINS {
        let (mut fields, mut variables, mut walk) = (fields.clone(), Vec::new(), None);
        let mut numbers = Vec::new();
        for (number, field) in fields.iter_mut().enumerate() {
            let values = seen.values(source(field));
            let nature = &natures[usize::from(field.column)];
            let learner = Learner { grammar: &grammar, records, values: &values, grain };
            let times = learner.field(field, nature, (&columns, walk.is_none()), &mut variables);
            walk = walk.or_else(|| times.map(|times| Walk { field: number as u16, ..times }));
            if made.is_none() {
                let step = values.len().div_ceil(RELATED).max(1);
                numbers.push(learner.numbers_of(field, nature, &variables, step));
            }
        }
        let made = made.get_or_insert_with(|| relations(&numbers));
        let column = |field: usize, variables: &[Variable]| {
            let (field, values) = (&fields[field], seen.values(source(&fields[field])));
            let nature = &natures[usize::from(field.column)];
            Learner { grammar: &grammar, records, values: &values, grain }.numbers_of(field, nature, variables, 1)
        };
        let links = links(made, &fields, column, &mut variables);
        let forks = forks(&grammar, records, &seen, &mut variables);
        let book = columns.codebook(grammar.clone(), fields, forks, variables).with(links, walk);
        if book.codes() <= MAX_CODES {
            return coded(book, records);
        }
        most = book.codes();
    }
    Err(RowsError::TooWide { what: "codes", found: most, most: MAX_CODES })
}

fn coded(book: Codebook, records: &[&[u8]]) -> Result<Coded, RowsError> {
    let (mut codes, mut known, mut cells, mut rows) = (Vec::new(), Vec::new(), Cells::default(), 0);
    for record in records {
        if let Some(row) = book.read(record, &mut cells, &mut known) {
            codes.extend_from_slice(&row);
            rows += 1;
        }
    }
    if rows < MIN_RECORDS {
        return Err(RowsError::TooFew { found: rows, least: MIN_RECORDS });
    }
    Ok(Coded { book, codes, rows, left_out: records.len() - rows })
}

/// A grammar without what fewer than five records have.
fn pruned(grammar: &Grammar, records: &[&[u8]]) -> Result<Grammar, RowsError> {
    let mut steps = Steps::default();
    let mut counts: HashMap<(Option<u16>, u16), u32> = HashMap::new();
    for record in records {
        steps.walk(grammar, record);
        if !steps.regular {
            continue;
        }
        let mut from = None;
        let mut passed = HashSet::new();
        for step in &steps.steps {
            if let Step::Edge { edge, slot, .. } = *step {
                if passed.insert((from, edge)) {
                    *counts.entry((from, edge)).or_insert(0) += 1;
                }
                from = slot;
            }
        }
    }
    let kept = |from: Option<u16>, edge: usize| counts.get(&(from, edge as u16)).is_some_and(|n| *n >= LEAST_COUNT);
    let slots = grammar.slots().len() as u16;
    let states = || std::iter::once(None).chain((0..slots).map(Some));
    let mut is_kept = vec![false; usize::from(slots)];
    for from in states() {
        for (number, edge) in grammar.state(from).edges.iter().enumerate() {
            if let Some(to) = edge.target.filter(|_| kept(from, number)) {
                is_kept[usize::from(to)] = true;
            }
        }
    }
    let mut renamed = vec![0u16; usize::from(slots)];
    let mut slots: Vec<Slot> = Vec::new();
    for (number, slot) in grammar.slots().iter().enumerate().filter(|(number, _)| is_kept[*number]) {
        renamed[number] = slots.len() as u16;
        slots.push(slot.clone());
    }
    let state = |from: Option<u16>| State {
        edges: (grammar.state(from).edges.iter().enumerate())
            .filter(|(number, _)| kept(from, *number))
            .map(|(_, edge)| Edge {
                literal: edge.literal.clone(),
                target: edge.target.map(|slot| renamed[usize::from(slot)]),
            })
            .collect(),
    };
    let states = states().filter(|from| from.is_none_or(|slot| is_kept[usize::from(slot)])).map(state).collect();
    Grammar::new(slots, states).map_err(|error| RowsError::Invalid(error.to_string()))
}

/// The paths of a grammar, and the one that each slot is of: slots of the same name hold the same, written in different ways.
pub(super) fn columns(grammar: &Grammar) -> (Vec<String>, Vec<u16>) {
    let mut known: HashMap<&str, u16> = HashMap::new();
    let (mut names, mut of) = (Vec::new(), Vec::new());
    for slot in grammar.slots() {
        let column = *known.entry(&slot.name).or_insert_with(|| {
            names.push(if slot.name.is_empty() { "record".to_owned() } else { slot.name.clone() });
            (names.len() - 1) as u16
        });
        of.push(column);
    }
    (names, of)
}

/// Paths, and the slots of each.
struct Columns {
    names: Vec<String>,
    of: Vec<u16>,
    is_hex: Vec<bool>,
}

impl Columns {
    fn of(grammar: &Grammar) -> Self {
        let (names, of) = columns(grammar);
        let mut is_hex = vec![false; names.len()];
        for (slot, column) in grammar.slots().iter().zip(&of) {
            is_hex[usize::from(*column)] |= matches!(slot.scan, Scan::Hex { .. });
        }
        Self { names, of, is_hex }
    }

    /// Fields without variables: so many of each column, or of all.
    fn fields(&self, occurrences: &[u8]) -> Vec<Field> {
        let mut fields = Vec::new();
        for column in 0..self.names.len() {
            for occurrence in 0..*occurrences.get(column).unwrap_or(&occurrences[0]) {
                let kind = Kind::Text;
                let column = column as u16;
                fields.push(Field { column, occurrence, variable: 0, kind, epoch: None, parts: [None; PARTS] });
            }
        }
        fields
    }

    fn codebook(&self, grammar: Grammar, fields: Vec<Field>, forks: Vec<Fork>, variables: Vec<Variable>) -> Codebook {
        // Fields that are not learned yet look at a variable that says nothing.
        let variables = if variables.is_empty() {
            vec![Variable { name: String::new(), codes: vec![Code::Absent] }]
        } else {
            variables
        };
        Codebook::new(grammar, (self.names.clone(), self.of.clone()), fields, forks, variables)
    }

    /// What the values of each column are, wherever in a record they stand.
    fn natures(&self, book: &Codebook, seen: &Seen, records: &[&[u8]]) -> Vec<Nature> {
        let nature = |column: usize| {
            let fields = book.fields_of(column as u16);
            let mut values = Vec::new();
            for (row, number) in seen.numbers.iter().enumerate() {
                for field in fields {
                    if let Some((slot, start, end)) = seen.cell(row, usize::from(*field)) {
                        let value = &records[*number][start as usize..end as usize];
                        if !is_null(book.grammar.slots()[usize::from(slot)].scan, value) {
                            values.push(value);
                        }
                    }
                }
            }
            Nature::of(&values, self.is_hex[column])
        };
        (0..self.names.len()).map(nature).collect()
    }

    /// For people, and for conditions: the path, and which of several it is.
    fn name(&self, field: &Field) -> String {
        let name = &self.names[usize::from(field.column)];
        if field.occurrence == 0 { name.clone() } else { format!("{name} #{}", field.occurrence + 1) }
    }
}

/// Values of records that are of the grammar.
#[derive(Default)]
struct Seen {
    /// Which records.
    numbers: Vec<usize>,
    /// By field: a cell for each record up to the last one that has it. A column has as many fields as a record may have values in it, and most
    /// of them are in none.
    cells: Vec<Vec<Option<Cell>>>,
    /// By field: in how many records it is, and the sum of its places there.
    filled: Vec<usize>,
    places: Vec<f64>,
}

impl Seen {
    fn add(&mut self, number: usize, cells: &Cells) {
        let fields = cells.cells.len();
        self.filled.resize(fields, 0);
        self.places.resize(fields, 0.0);
        self.cells.resize(fields, Vec::new());
        for (field, cell) in cells.cells.iter().enumerate() {
            if let Some((_, start, _)) = cell {
                self.filled[field] += 1;
                let before = cells.cells.iter().flatten().filter(|(_, other, _)| other < start).count();
                self.places[field] += before as f64;
                self.cells[field].resize(self.numbers.len(), None);
                self.cells[field].push(*cell);
            }
        }
        self.numbers.push(number);
    }

    /// Where in a record a field mostly stands.
    fn place(&self, field: usize) -> f64 {
        self.places[field] / self.filled[field].max(1) as f64
    }

    /// Where a record has a field, if it does.
    fn cell(&self, row: usize, field: usize) -> Option<Cell> {
        self.cells.get(field).and_then(|cells| cells.get(row).copied().flatten())
    }

    /// A field's values: of which record each is, and where it lies.
    fn values(&self, field: usize) -> Vec<(usize, Option<Cell>)> {
        self.numbers.iter().enumerate().map(|(row, number)| (*number, self.cell(row, field))).collect()
    }
}

/// Learns a field.
struct Learner<'a> {
    grammar: &'a Grammar,
    records: &'a [&'a [u8]],
    values: &'a [(usize, Option<Cell>)],
    grain: Grain,
}

impl<'a> Learner<'a> {
    /// Makes the variables of a field; how its times go on, if they do and may.
    fn field(
        &self,
        field: &mut Field,
        nature: &Nature,
        (columns, may_walk): (&Columns, bool),
        variables: &mut Vec<Variable>,
    ) -> Option<Walk> {
        let name = columns.name(field);
        let (mut codes, mut texts, mut absent) = (Vec::new(), Vec::new(), 0u32);
        let mut nulls: HashMap<u16, u32> = HashMap::new();
        for (number, cell) in self.values {
            match *cell {
                None => absent += 1,
                Some((slot, start, end)) => {
                    let value = &self.records[*number][start as usize..end as usize];
                    if is_null(self.grammar.slots()[usize::from(slot)].scan, value) {
                        *nulls.entry(slot).or_insert(0) += 1;
                    } else {
                        texts.push((slot, value));
                    }
                }
            }
        }
        if absent >= LEAST_COUNT {
            codes.push(Code::Absent);
        }
        let null = nulls.into_iter().filter(|(_, count)| *count >= LEAST_COUNT).max_by_key(|(slot, n)| (*n, *slot));
        codes.extend(null.map(|(slot, _)| Code::Null { slot }));
        field.variable = variables.len() as u16;
        variables.push(Variable { name: name.clone(), codes: Vec::new() });

        // The slot that most values are in; numbers and times of others are texts.
        let mut slots: HashMap<u16, usize> = HashMap::new();
        texts.iter().for_each(|(slot, _)| *slots.entry(*slot).or_insert(0) += 1);
        let slot = slots.into_iter().max_by_key(|(slot, count)| (*count, *slot)).map_or(0, |(slot, _)| slot);
        let own: Vec<&[u8]> = texts.iter().filter(|(other, _)| *other == slot).map(|(_, text)| *text).collect();
        let mut others = texts.clone();
        let mut parse = |kind: &Kind| -> Option<Vec<i64>> {
            let numbers: Vec<i64> = own.iter().filter_map(|text| kind.parse(text)).collect();
            if !nearly_all(numbers.len(), own.len()) || numbers.len() < LEAST_COUNT as usize {
                return None;
            }
            others.retain(|(other, text)| *other != slot || kind.parse(text).is_none());
            Some(numbers)
        };
        let (mut is_blank, mut walk) = (false, None);
        // Only what each record has can go on.
        let goes_on = |format: &TimeFormat, times: &[i64]| {
            let always = may_walk && times.len() == self.values.len();
            if always { Walk::of(0, format, times, |gaps| self.bins(gaps)) } else { None }
        };
        match nature {
            Nature::Empty => {}
            Nature::Number => {
                let kind = kind(&own);
                if let Some(numbers) = parse(&kind) {
                    (field.kind, field.epoch) = (kind.clone(), epoch(&kind, &numbers));
                    walk = field.format().and_then(|format| goes_on(&format, &numbers));
                    match walk {
                        Some(_) => codes.push(Code::Time { slot }),
                        None => codes.extend(self.numbers(slot, numbers.clone())),
                    }
                    self.times_of(field, (&numbers, walk.is_some()), &name, variables);
                }
            }
            Nature::Time(format) => {
                let kind = Kind::Time(*format);
                if let Some(times) = parse(&kind) {
                    codes.push(Code::Time { slot });
                    field.kind = kind;
                    walk = goes_on(format, &times);
                    self.parts(field, format, (&times, walk.is_some()), &name, variables);
                }
            }
            Nature::Sequence | Nature::Identifier => {
                let kind = kind(&own);
                if let Some(numbers) = parse(&kind) {
                    (field.kind, field.epoch) = (kind.clone(), epoch(&kind, &numbers));
                    walk = field.format().and_then(|format| goes_on(&format, &numbers));
                    match walk {
                        Some(_) => codes.push(Code::Time { slot }),
                        None => codes.extend(fresh(slot, &numbers)),
                    }
                    self.times_of(field, (&numbers, walk.is_some()), &name, variables);
                } else {
                    is_blank = true;
                }
            }
            Nature::Text => is_blank = true,
            Nature::Category => {}
        }
        self.texts(&others, texts.len(), (slot, is_blank), &mut codes);
        if codes.iter().all(|code| *code == Code::Rare) {
            // Nothing of it may be drawn: it is left out where the grammar lets it.
            codes.push(Code::Absent);
        }
        variables[usize::from(field.variable)].codes = codes;
        walk
    }

    /// Makes the variables of the parts of numbers that are times and go on; others are numbers and nothing else.
    fn times_of(&self, field: &mut Field, (times, walks): (&[i64], bool), name: &str, variables: &mut Vec<Variable>) {
        match field.format().filter(|_| walks) {
            Some(format) => self.parts(field, &format, (times, true), name, variables),
            None => field.epoch = None,
        }
    }

    /// Makes the variables of a time's parts: the day of the week too, where it goes on.
    fn parts(
        &self,
        field: &mut Field,
        format: &TimeFormat,
        (times, walks): (&[i64], bool),
        name: &str,
        variables: &mut Vec<Variable>,
    ) {
        let all: Vec<_> = times.iter().filter_map(|time| parts(format, *time)).collect();
        let always = all.len() == self.values.len();
        let mut shown = [walks; PARTS];
        shown[..WEEKDAY].copy_from_slice(&format.shows());
        for (part, (shown, what)) in shown.into_iter().zip(SHOWN).enumerate() {
            if let Some(codes) = part_codes(&all, part, always).filter(|_| shown) {
                field.parts[part] = Some(variables.len() as u16);
                variables.push(Variable { name: format!("{name} ({what})"), codes });
            }
        }
    }

    /// A field's numbers in every so manieth row; none where it is no field of numbers.
    fn numbers_of(&self, field: &Field, nature: &Nature, variables: &[Variable], step: usize) -> Vec<Option<i64>> {
        let slot = variables[usize::from(field.variable)].codes.iter().find_map(|code| match code {
            Code::Number { slot, .. } => Some(*slot),
            _ => None,
        });
        let is_number = *nature == Nature::Number && matches!(field.kind, Kind::Integer | Kind::Decimal { .. });
        let Some(slot) = slot.filter(|_| is_number) else { return Vec::new() };
        let number = |(row, cell): &(usize, Option<Cell>)| {
            let (_, start, end) = cell.filter(|(other, ..)| *other == slot)?;
            field.kind.parse(&self.records[*row][start as usize..end as usize])
        };
        self.values.iter().step_by(step).map(number).collect()
    }

    /// Codes of texts: the frequent ones, all others that are known, and what is rare.
    fn texts(&self, texts: &[(u16, &[u8])], all: usize, (slot, is_blank): (u16, bool), codes: &mut Vec<Code>) {
        let mut counts: HashMap<(u16, &[u8]), u32> = HashMap::new();
        texts.iter().for_each(|text| *counts.entry(*text).or_insert(0) += 1);
        let mut known: Vec<((u16, &[u8]), u32)> =
            counts.into_iter().filter(|((_, text), count)| *count >= LEAST_COUNT && text.len() <= MAX_TEXT).collect();
        known.sort_unstable_by(|(a, x), (b, y)| y.cmp(x).then_with(|| a.cmp(b)));
        known.truncate(MAX_TEXTS);
        let rare = texts.len() - known.iter().map(|(_, count)| *count as usize).sum::<usize>();
        let few = known.split_off(known.len().min(self.grain.texts));
        codes.extend(known.iter().map(|((slot, text), _)| Code::Text { slot: *slot, text: text.to_vec() }));
        let mut by_slot: Vec<(u16, Vec<Counted>)> = Vec::new();
        for ((slot, text), count) in few {
            let at = by_slot.iter().position(|(other, _)| *other == slot).unwrap_or_else(|| {
                by_slot.push((slot, Vec::new()));
                by_slot.len() - 1
            });
            by_slot[at].1.push((text.to_vec(), count));
        }
        codes.extend(by_slot.into_iter().map(|(slot, texts)| Code::Texts { slot, texts }));
        let is_blank = is_blank || rare as f64 > BLANK_SHARE * all as f64;
        if is_blank && rare > 0 {
            let has_null = codes.iter().any(|code| matches!(code, Code::Null { .. }));
            let text = if self.grammar.slots()[usize::from(slot)].scan == Scan::JsonBare { &b"null"[..] } else { b"" };
            let blank = Code::Text { slot, text: text.to_vec() };
            if !has_null && !codes.contains(&blank) && self.grammar.slots()[usize::from(slot)].scan.holds(text) {
                codes.push(blank);
            }
        }
        if rare > 0 {
            codes.push(Code::Rare);
        }
    }

    /// Codes of numbers.
    fn numbers(&self, slot: u16, numbers: Vec<i64>) -> Vec<Code> {
        self.bins(numbers).into_iter().map(|bin| Code::Number { slot, bin }).collect()
    }

    /// The frequent of some numbers, and bins of the others.
    fn bins(&self, mut numbers: Vec<i64>) -> Vec<Bin> {
        numbers.sort_unstable();
        let mut least = (OWN_SHARE * numbers.len() as f64).max(f64::from(LEAST_COUNT)) as usize;
        let counts = || numbers.chunk_by(|a, b| a == b).map(<[i64]>::len);
        let share =
            |least: usize| counts().filter(|count| *count > least).sum::<usize>() as f64 / numbers.len().max(1) as f64;
        // Where much would be left for bins of which only a few numbers are.
        let known = LEAST_COUNT as usize - 1;
        let few = counts().filter(|count| *count > known).count() <= self.grain.texts;
        if few && share(known) >= FEW_SHARE && share(least) < OWN_SHARES {
            least = known;
        }
        let mut own: HashSet<i64> = HashSet::new();
        let mut rare: HashSet<i64> = HashSet::new();
        let mut known: Vec<(usize, i64)> = Vec::new();
        for run in numbers.chunk_by(|a, b| a == b) {
            match run.len() {
                length if length > least => drop(own.insert(run[0])),
                length if length >= LEAST_COUNT as usize => known.push((length, run[0])),
                _ => drop(rare.insert(run[0])),
            }
        }
        known.sort_unstable_by(|a, b| b.cmp(a));
        known.truncate(MAX_KNOWN);
        let known: HashSet<i64> = known.into_iter().map(|(_, number)| number).collect();
        let frequent = numbers.chunk_by(|a, b| a == b).filter(|run| own.contains(&run[0]));
        let exactly = |run: &[i64]| Bin::exactly(run[0], u32::try_from(run.len()).unwrap_or(u32::MAX));
        let mut bins: Vec<Bin> = frequent.map(exactly).collect();
        numbers.retain(|number| !own.contains(number));
        let size = (numbers.len() / self.grain.bins).max(MIN_BIN);
        let mut rest = numbers.as_slice();
        while !rest.is_empty() {
            let mut end = size.min(rest.len());
            // Equal numbers are in one bin, and what is left for the last is enough for one.
            while end < rest.len() && (rest[end] == rest[end - 1] || rest.len() - end < size / 2) {
                end += 1;
            }
            let (bin, after) = rest.split_at(end);
            let last = after.first().map_or(bin[end - 1], |next| next.saturating_sub(1));
            bins.extend(Bin::of(bin, last, |number| known.contains(&number), &rare, SEGMENTS));
            rest = after;
        }
        bins
    }
}

/// What the parts of a time are called.
const SHOWN: [&str; PARTS] = ["year", "month", "day", "hour", "minute", "second", "fraction", "day of the week"];

/// Digits of the fraction of a second that numbers count, if they may be times since 1970.
fn epoch(kind: &Kind, numbers: &[i64]) -> Option<u8> {
    let fractions = match kind {
        Kind::Integer => &[0, 3, 6, 9][..],
        Kind::Decimal { scale, .. } => std::slice::from_ref(scale),
        _ => &[],
    };
    let fits = |fraction: &u8| {
        let second = 10i64.checked_pow((*fraction).into()).filter(|_| *fraction <= 9);
        second.is_some_and(|second| numbers.iter().all(|time| SECONDS.contains(&(time / second))))
    };
    fractions.iter().copied().find(fits)
}

/// Variables of numbers that others make, and what these are made of.
fn links(
    made: &[Made],
    fields: &[Field],
    numbers: impl Fn(usize, &[Variable]) -> Vec<Option<i64>>,
    variables: &mut Vec<Variable>,
) -> Vec<Link> {
    let link = |made: &Made| {
        let own = &variables[usize::from(fields[made.field].variable)];
        let slot = own.codes.iter().find_map(|code| match code {
            Code::Number { slot, .. } => Some(*slot),
            _ => None,
        })?;
        let name = |field: usize| &variables[usize::from(fields[field].variable)].name;
        let name = format!("{} (of {} and {})", own.name, name(made.of[0]), name(made.of[1]));
        let [own, a, b] = [made.field, made.of[0], made.of[1]].map(|field| numbers(field, variables));
        let is_made = |((own, a), b): &((&Option<i64>, &Option<i64>), &Option<i64>)| {
            let off = made.relation.off((**own)?, [(**a)?, (**b)?])?;
            made.off.binary_search(&off).ok()
        };
        let others = own.len() - own.iter().zip(&a).zip(&b).filter(|row| is_made(row).is_some()).count();
        let mut codes: Vec<Code> = made.off.iter().map(|by| Code::Off { slot, by: *by }).collect();
        codes.push(if others >= LEAST_COUNT as usize { Code::Own } else { Code::Rare });
        let (field, of, variable) = (made.field as u16, made.of.map(|of| of as u16), variables.len() as u16);
        variables.push(Variable { name, codes });
        Some(Link { field, of, relation: made.relation, variable })
    };
    made.iter().filter_map(link).collect()
}

/// Codes of a part of times; `None` where it is drawn by chance: a fraction of a second that varies.
fn part_codes(times: &[[i64; PARTS]], part: usize, always: bool) -> Option<Vec<Code>> {
    let mut counts: HashMap<i64, u32> = HashMap::new();
    times.iter().for_each(|parts| *counts.entry(parts[part]).or_insert(0) += 1);
    if part == 6 && counts.len() > 1 {
        return None;
    }
    let mut known: Vec<i64> =
        counts.iter().filter(|(_, count)| **count >= LEAST_COUNT).map(|(value, _)| *value).collect();
    known.sort_unstable();
    let is_all = known.len() == counts.len();
    let mut codes: Vec<Code> = known.into_iter().map(Code::Part).collect();
    if !always {
        codes.push(Code::Absent);
    }
    if !is_all {
        codes.push(Code::Rare);
    }
    // Where no value of a part is known it cannot be drawn, and is left to chance like a fraction.
    codes.iter().any(|code| matches!(code, Code::Part(_))).then_some(codes)
}

/// The code of numbers that name things: those that go on where they went on, else any in their ranges.
fn fresh(slot: u16, numbers: &[i64]) -> Option<Code> {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    let rare: HashSet<i64> = sorted.iter().copied().collect();
    if is_sequence(numbers) {
        let bin = Bin::of(&sorted, i64::MAX, |_| false, &rare, 1)?;
        let (first, last) = (*bin.edges.first()?, *bin.edges.last()?);
        let pace = ((i128::from(last) - i128::from(first)) / numbers.len() as i128).max(1) as i64;
        let goes_up = numbers.first() <= numbers.last();
        return Some(match goes_up {
            true => Code::Sequence { slot, base: last, step: pace },
            false => Code::Sequence { slot, base: first, step: pace.saturating_neg() },
        });
    }
    Bin::of(&sorted, i64::MAX, |_| false, &rare, ID_SEGMENTS).map(|bin| Code::Number { slot, bin })
}

/// Variables for literals of which several lead from one slot to another.
fn forks(grammar: &Grammar, records: &[&[u8]], seen: &Seen, variables: &mut Vec<Variable>) -> Vec<Fork> {
    let mut forks: Vec<Between> = Vec::new();
    for from in std::iter::once(None).chain((0..grammar.slots().len() as u16).map(Some)) {
        let targets: Vec<Option<u16>> = grammar.state(from).edges.iter().map(|edge| edge.target).collect();
        let mut several: Vec<Option<u16>> = targets.clone();
        several.sort_unstable();
        forks.extend(several.chunk_by(|a, b| a == b).filter(|same| same.len() > 1).map(|same| (from, same[0])));
    }
    if forks.is_empty() {
        return Vec::new();
    }
    let mut counts: Vec<HashMap<Option<u16>, u32>> = vec![HashMap::new(); forks.len()];
    let mut steps = Steps::default();
    for number in &seen.numbers {
        steps.walk(grammar, records[*number]);
        let mut taken = vec![None; forks.len()];
        let mut from = None;
        for step in &steps.steps {
            let Step::Edge { edge, slot, .. } = *step else { continue };
            if let Some(fork) = forks.iter().position(|fork| *fork == (from, slot)) {
                let before = &grammar.state(from).edges[..usize::from(edge)];
                let literal = before.iter().filter(|other| other.target == slot).count() as u16;
                taken[fork].get_or_insert(literal);
            }
            from = slot;
        }
        taken.into_iter().zip(&mut counts).for_each(|(literal, counts)| *counts.entry(literal).or_insert(0) += 1);
    }
    let name = |slot: Option<u16>| slot.map_or("", |slot| grammar.slots()[usize::from(slot)].name.as_str());
    let fork = |((from, to), counts): (Between, HashMap<Option<u16>, u32>)| {
        let all = counts.len();
        let mut known: Vec<Option<u16>> =
            counts.into_iter().filter(|(_, count)| *count >= LEAST_COUNT).map(|(literal, _)| literal).collect();
        known.sort_unstable();
        let is_all = known.len() == all;
        let mut codes: Vec<Code> =
            known.into_iter().map(|literal| literal.map_or(Code::Absent, Code::Literal)).collect();
        if !is_all {
            codes.push(Code::Rare);
        }
        if !codes.iter().any(|code| *code != Code::Rare) {
            codes.push(Code::Absent);
        }
        let variable = variables.len() as u16;
        variables.push(Variable { name: format!("between `{}` and `{}`", name(from), name(to)), codes });
        Fork { from, to, variable }
    };
    forks.into_iter().zip(counts).map(fork).collect()
}
