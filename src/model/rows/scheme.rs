//! What codes are, beside the networks that tell which are likely: how records become codes, which codes may stand together, and in
//! which order they are drawn.

use super::codebook::{Cells, Code, Codebook};
use super::learn::Coded;
use super::reading::ends;
use super::writer::Writer;
use super::zeros::Zeros;
use crate::payload::fields::Scan;

/// What all models of rows have.
#[derive(Debug)]
pub(super) struct Scheme {
    pub book: Codebook,
    /// The order in which variables are drawn.
    pub order: Vec<u16>,
    pub zeros: Zeros,
    pub writer: Writer,
    /// The number of each variable's first code, and at the end how many codes there are.
    pub first: Vec<usize>,
    /// A bit for each code that is never drawn.
    pub never: Vec<u64>,
    /// The ends of lines that records have, the longest first.
    pub ends: Vec<&'static [u8]>,
}

impl Scheme {
    /// Of parts that fit together.
    pub fn new(book: Codebook, order: Vec<u16>, zeros: Zeros) -> Self {
        let sizes: Vec<usize> = book.variables.iter().map(|variable| variable.codes.len()).collect();
        let mut never = vec![0; zeros.words()];
        let codes = book.variables.iter().flat_map(|variable| &variable.codes);
        for (number, _) in codes.enumerate().filter(|(_, code)| **code == Code::Rare) {
            never[number / 64] |= 1 << (number % 64);
        }
        let (first, writer, ends) = (first(&sizes), Writer::new(&book), ends(&book.grammar));
        Self { book, order, zeros, writer, first, never, ends }
    }

    /// Of records that were coded.
    pub fn of(coded: &Coded) -> Self {
        let first = first(&coded.sizes());
        let codes: Vec<&Code> = coded.book.variables.iter().flat_map(|variable| &variable.codes).collect();
        let mut zeros = Zeros::of(&coded.codes, &first, |code| match codes[code] {
            Code::Rare => None,
            Code::Absent => Some(0),
            Code::Null { .. } => Some(1),
            Code::Own => Some(3),
            _ => Some(2),
        });
        // A number that others made in each record is made by them, however few records there were.
        let variables = first.len() - 1;
        for link in &coded.book.links {
            let own = usize::from(coded.book.fields[usize::from(link.field)].variable);
            let by = usize::from(link.variable);
            let apart = (first[by + 1] - first[by] - 1) as u16;
            let is_number = |code: usize| matches!(codes[first[own] + code], Code::Number { .. });
            let mut rows = coded.codes.chunks_exact(variables);
            if !rows.any(|row| row[by] == apart && is_number(usize::from(row[own]))) {
                let numbers = (0..first[own + 1] - first[own]).filter(|code| is_number(*code));
                numbers.for_each(|code| zeros.forbid(first[by] + usize::from(apart), first[own] + code));
            }
        }
        Self::new(coded.book.clone(), coded.order(), zeros)
    }

    /// A record as codes, one for each variable; `None` where it has what there is no code for.
    pub fn codes(&self, record: &[u8]) -> Option<Vec<u16>> {
        u32::try_from(record.len()).ok()?;
        self.book.read(record, &mut Cells::default(), &mut Vec::new())
    }

    /// Whether a code, counted over all variables, is never drawn.
    pub fn is_never(&self, code: usize) -> bool {
        self.never[code / 64] >> (code % 64) & 1 == 1
    }

    /// The variables of a field: its own, those of a time's parts, and by how much it is off what others make.
    pub fn variables_of(&self, number: usize) -> Vec<usize> {
        let field = &self.book.fields[number];
        let own = std::iter::once(field.variable).chain(field.parts.iter().flatten().copied());
        let links = self.book.links.iter().filter(|link| usize::from(link.field) == number).map(|link| link.variable);
        own.chain(links).map(usize::from).collect()
    }

    /// How many codes a variable has.
    pub fn size(&self, variable: usize) -> usize {
        self.first[variable + 1] - self.first[variable]
    }

    /// The media type of a record.
    pub fn content_type(&self) -> &'static str {
        let is_csv = |scan: &Scan| matches!(scan, Scan::CsvPlain(_) | Scan::CsvQuoted);
        if self.book.grammar.slots().iter().any(|slot| is_csv(&slot.scan)) { "text/csv" } else { "application/json" }
    }
}

/// The number of each variable's first code, and at the end how many codes there are.
fn first(sizes: &[usize]) -> Vec<usize> {
    let mut first = vec![0];
    sizes.iter().for_each(|size| first.push(first[first.len() - 1] + size));
    first
}
