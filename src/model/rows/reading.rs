//! A record as far as a model knows it.
//!
//! Records come with the ends of lines that the model's have, or without; with NULL where the model has seen texts alone; with values that
//! it has no code for. None of that makes a record another topic's: only what its grammar has no way for does.

use std::borrow::Cow;

use super::codebook::{Cells, is_null};
use super::scheme::Scheme;
use crate::payload::fields::{Grammar, Scan, empty_cells, nulls};

/// Ends that records may have, the longest first.
const ENDS: [&[u8]; 3] = [b"\r\n", b"\n", b""];

/// A record whose values were found.
#[derive(Debug)]
pub(super) struct Reading {
    /// The record with the end that the model's records have, and an empty text for each NULL of [`Reading::texts`].
    pub text: Vec<u8>,
    /// How long it is without that end.
    pub length: usize,
    pub cells: Cells,
    /// By variable: its code, if it has one.
    pub codes: Vec<Option<u16>>,
    /// Fields that are NULL, in ascending order.
    pub nulls: Vec<usize>,
    /// Those of them that have no quotes where the grammar knows texts in quotes alone.
    pub texts: Vec<usize>,
}

impl Reading {
    /// A record with the end that the model's have after so many bytes; `None` where it is not of the grammar. Empty texts that begin at
    /// `quoted` are NULL.
    pub fn of(scheme: &Scheme, text: Vec<u8>, length: usize, quoted: &[u32]) -> Option<Self> {
        let (book, mut cells, mut codes) = (&scheme.book, Cells::default(), Vec::new());
        if u32::try_from(text.len()).is_err() || !cells.find(book, &text) {
            return None;
        }
        book.known(&text, &cells, &mut codes);
        let (mut nulls, mut texts) = (Vec::new(), Vec::new());
        for (number, cell) in cells.cells.iter().enumerate() {
            let Some((slot, start, end)) = *cell else { continue };
            let is_text = quoted.contains(&start);
            if is_text {
                texts.push(number);
                // Whatever an empty text is, it is none.
                scheme.variables_of(number).into_iter().for_each(|variable| codes[variable] = None);
            }
            if is_text || is_null(book.grammar.scan(slot), &text[start as usize..end as usize]) {
                nulls.push(number);
            }
        }
        Some(Self { text, length, cells, codes, nulls, texts })
    }

    /// The record without the end that the model's have, as it came, but for what was filled in.
    pub fn record(&self, scheme: &Scheme) -> Vec<u8> {
        let mut record = self.text[..self.length].to_vec();
        let slot = |number: &usize| self.cells.cells[*number].map(|(slot, start, _)| (start as usize, slot));
        let mut texts: Vec<(usize, u16)> = self.texts.iter().filter_map(slot).collect();
        texts.sort_unstable_by_key(|(start, _)| std::cmp::Reverse(*start));
        for (start, slot) in texts {
            let null: &[u8] = if scheme.book.grammar.scan(slot) == Scan::JsonString { b"null" } else { b"" };
            record.splice(start - 1..start + 1, null.iter().copied());
        }
        record
    }

    /// Where the empty texts begin that are NULL.
    pub fn quoted(&self) -> Vec<u32> {
        self.texts.iter().filter_map(|number| self.cells.cells[*number].map(|(_, start, _)| start)).collect()
    }
}

impl Scheme {
    /// A record with the end that the model's have, where its values are: as it came, if it has that one. `None` where it is not of the
    /// grammar.
    pub fn find<'a>(&self, record: &'a [u8], cells: &mut Cells) -> Option<Cow<'a, [u8]>> {
        let mut is_found = |text: &[u8]| u32::try_from(text.len()).is_ok() && cells.find(&self.book, text);
        if is_found(record) {
            return Some(Cow::Borrowed(record));
        }
        let body = without_end(record);
        self.ends.iter().map(|end| [body, end].concat()).find(|text| is_found(text)).map(Cow::Owned)
    }

    /// A record with or without the end of its line; `None` where it is not of the grammar.
    pub fn reading(&self, record: &[u8]) -> Option<Reading> {
        let body = without_end(record);
        let read = |body: &[u8], quoted: &[u32]| {
            self.ends.iter().find_map(|end| Reading::of(self, [body, end].concat(), body.len(), quoted))
        };
        read(body, &[]).or_else(|| {
            let (body, quoted) = self.with_texts(body)?;
            read(&body, &quoted)
        })
    }

    /// A record with an empty text in quotes in place of each NULL where the grammar knows such texts alone, and where these begin; `None` where
    /// there is none.
    fn with_texts(&self, record: &[u8]) -> Option<(Vec<u8>, Vec<u32>)> {
        let slots = self.book.grammar.slots();
        let (nulls, in_quotes) = match self.delimiter() {
            Some(delimiter) => (empty_cells(record, delimiter), Scan::CsvQuoted),
            None => (nulls(record), Scan::JsonString),
        };
        let (mut text, mut quoted, mut copied) = (Vec::with_capacity(record.len()), Vec::new(), 0);
        for null in nulls {
            let mut own = slots.iter().filter(|slot| null.names.contains(&slot.name)).peekable();
            if own.peek().is_none() || own.any(|slot| slot.scan != in_quotes) {
                continue;
            }
            text.extend_from_slice(&record[copied..null.start]);
            quoted.push(u32::try_from(text.len() + 1).ok()?);
            text.extend_from_slice(b"\"\"");
            copied = null.end;
        }
        text.extend_from_slice(&record[copied..]);
        (!quoted.is_empty()).then_some((text, quoted))
    }

    /// What stands between cells, where records are CSV.
    fn delimiter(&self) -> Option<u8> {
        let grammar = &self.book.grammar;
        let plain = grammar.slots().iter().find_map(|slot| match slot.scan {
            Scan::CsvPlain(delimiter) => Some(delimiter),
            _ => None,
        });
        // All of them have quotes: what stands between two of these.
        let between = || {
            let is_quoted = |slot: &u16| grammar.scan(*slot) == Scan::CsvQuoted;
            let from = (0..grammar.slots().len() as u16).filter(is_quoted).map(|slot| grammar.state(Some(slot)));
            from.flat_map(|state| &state.edges).find_map(|edge| match edge.literal.as_slice() {
                [b'"', delimiter, b'"', ..] if edge.target.is_some() => Some(*delimiter),
                _ => None,
            })
        };
        plain.or_else(between)
    }
}

/// The ends of records that a grammar knows, the longest first.
pub(super) fn ends(grammar: &Grammar) -> Vec<&'static [u8]> {
    let edges = grammar.states().iter().flat_map(|state| &state.edges);
    let last: Vec<&[u8]> = edges.filter(|edge| edge.target.is_none()).map(|edge| end(&edge.literal)).collect();
    ENDS.into_iter().filter(|end| last.contains(end)).collect()
}

/// The end of a line that some bytes have.
fn end(bytes: &[u8]) -> &'static [u8] {
    ENDS.into_iter().find(|end| bytes.ends_with(end)).unwrap_or_default()
}

/// A record without the end of its line.
pub(super) fn without_end(record: &[u8]) -> &[u8] {
    &record[..record.len() - end(record).len()]
}
