//! A codebook from records.
//!
//! Nothing that was seen fewer than [`LEAST_COUNT`] times is kept: no literal, no path, no text, no number. What is rarer is coded
//! as [`Code::Rare`], and never drawn; texts that are mostly rare become empty ones.

mod field;
mod seen;
mod syntax;

use field::Learner;
use seen::Seen;
pub(super) use syntax::columns;
use syntax::{Columns, forks, pruned};

use super::codebook::{Cells, Code, Codebook, Field, MAX_OCCURRENCES, Variable};
use super::link::Link;
use super::relate::{Made, relations};
use super::walk::Walk;
use super::{MAX_CODES, MAX_FIELDS, RowsError};
use crate::payload::fields::{Grammar, LEAST_COUNT};

/// Fewest records to learn from.
const MIN_RECORDS: usize = 50;
/// Rows by which it is found out which numbers are made of others, at most.
const RELATED: usize = 4096;
/// How finely values are told apart: tried from the finest on, until there are few enough codes.
const GRAINS: [Grain; 4] = [
    Grain { texts: 256, bins: 100 },
    Grain { texts: 64, bins: 50 },
    Grain { texts: 24, bins: 20 },
    Grain { texts: 8, bins: 8 },
];

/// How finely.
#[derive(Clone, Copy, Debug)]
struct Grain {
    /// Most texts with a code of their own.
    texts: usize,
    /// Most bins.
    bins: usize,
}

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
        let (mut fields, mut variables, mut walk, mut blanks) = (fields.clone(), Vec::new(), None, Vec::new());
        let mut numbers = Vec::new();
        for (number, field) in fields.iter_mut().enumerate() {
            let values = seen.values(source(field));
            let nature = &natures[usize::from(field.column)];
            let learner = Learner { grammar: &grammar, records, values: &values, grain };
            let told = learner.field(field, nature, (&columns, walk.is_none()), &mut variables);
            walk = walk.or_else(|| told.walk.map(|times| Walk { field: number as u16, ..times }));
            blanks.extend(told.blank);
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
            return coded(book, records, &blanks);
        }
        most = book.codes();
    }
    Err(RowsError::TooWide { what: "codes", found: most, most: MAX_CODES })
}

/// Records as codes. What is rare is one of `blanks` where its variable has such a code.
fn coded(book: Codebook, records: &[&[u8]], blanks: &[(u16, u16)]) -> Result<Coded, RowsError> {
    let (mut codes, mut known, mut cells, mut rows) = (Vec::new(), Vec::new(), Cells::default(), 0);
    for record in records {
        if let Some(mut row) = book.read(record, &mut cells, &mut known) {
            for (variable, blank) in blanks.iter().map(|(variable, blank)| (usize::from(*variable), *blank)) {
                if book.variables[variable].codes[usize::from(row[variable])] == Code::Rare {
                    row[variable] = blank;
                }
            }
            codes.extend_from_slice(&row);
            rows += 1;
        }
    }
    if rows < MIN_RECORDS {
        return Err(RowsError::TooFew { found: rows, least: MIN_RECORDS });
    }
    Ok(Coded { book, codes, rows, left_out: records.len() - rows })
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
        let slot = own.number_slot()?;
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
