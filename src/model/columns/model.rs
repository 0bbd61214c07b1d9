//! A model at work: one record to symbols, and back.

use std::sync::{Arc, LazyLock};

use crate::payload::fields::{Grammar, Page, Step, Steps};

use super::alphabet::{Alphabet, BUCKETS, Meaning, bucket_bits, difference};
use super::chain::Chain;
use super::coding::{Sink, Source};
use super::dense::Dense;
use super::echo::{Case, Echo};
use super::fault::Fault;
use super::feature::Key;
use super::parts::{ColumnParts, Parts};
use super::registers::{Registers, known_text, unknown_text};
use super::snippets::Snippets;
use super::text::{Spelling, length_classes};

/// Bits of a slot's number.
const TARGET_BITS: u32 = 12;

/// A column, ready for coding.
#[derive(Clone, Debug)]
pub(super) struct Column {
    alphabet: Alphabet,
    /// The alphabet's texts, to be written.
    texts: Snippets,
    contexts: Vec<Key>,
    chain: Chain,
    /// By bucket; nothing where no bucket has counts.
    mantissas: Vec<Option<Box<Dense>>>,
    lengths: Arc<Dense>,
    /// Whether another column may echo its values.
    is_heard: bool,
}

/// Everything that coding takes.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub grammar: Grammar,
    /// The grammar's literals, to be written.
    literals: Snippets,
    /// By state: the number of its first literal, and how many it has.
    edges: Vec<Edges>,
    /// By literal, the slot that it leads to.
    targets: Vec<Option<u16>>,
    columns: Vec<Column>,
    regular: Dense,
    foreign: Dense,
    pub spelling: Spelling,
    pub alone: bool,
    pub start: Registers,
}

/// The literals that may follow a value.
#[derive(Clone, Copy, Debug)]
struct Edges {
    first: u32,
    count: u32,
}

/// Takes the texts of one record or of many.
pub(super) trait TextSink {
    /// A text of a column, and how long its texts are.
    fn put(&mut self, column: usize, text: &[u8], lengths: &Dense, sink: &mut impl Sink);
}

/// Gives them back.
pub(super) trait TextSource {
    /// Appends a text.
    fn take(&mut self, column: usize, lengths: &Dense, source: &mut impl Source, page: &mut Page) -> Result<(), Fault>;
}

/// Texts stand among the symbols.
pub(super) struct Inline<'a> {
    spelling: &'a Spelling,
    /// Bytes of all texts that were coded so far.
    pub bytes: usize,
}

impl<'a> Inline<'a> {
    pub fn new(model: &'a Model) -> Self {
        Self { spelling: &model.spelling, bytes: 0 }
    }
}

impl TextSink for Inline<'_> {
    fn put(&mut self, column: usize, text: &[u8], lengths: &Dense, sink: &mut impl Sink) {
        self.bytes += text.len();
        self.spelling.encode(column, text, lengths, sink);
    }
}

impl TextSource for Inline<'_> {
    fn take(&mut self, column: usize, lengths: &Dense, source: &mut impl Source, page: &mut Page) -> Result<(), Fault> {
        self.spelling.decode(column, lengths, source, page)
    }
}

/// Sees where values stand in what is decoded.
pub(super) trait Watch {
    /// A value of a slot has come to stand at `start..end` of the output.
    fn saw(&mut self, slot: u16, start: usize, end: usize);
}

/// Sees nothing.
impl Watch for () {
    #[inline]
    fn saw(&mut self, _slot: u16, _start: usize, _end: usize) {}
}

/// Counts that were not seen, as if each occurred once.
fn or_even(counts: &[u32], symbols: usize) -> Vec<u32> {
    if counts.len() == symbols { counts.to_vec() } else { vec![1; symbols] }
}

/// Lengths of texts where none were counted: one for all columns that have none.
static EVEN_LENGTHS: LazyLock<Arc<Dense>> = LazyLock::new(|| Arc::new(Dense::from_counts(&vec![1; length_classes()])));

impl Column {
    /// From what was learned.
    pub fn new(parts: &ColumnParts) -> Self {
        let mut mantissas = vec![None; if parts.mantissas.is_empty() { 0 } else { BUCKETS }];
        for (bucket, counts) in &parts.mantissas {
            mantissas[usize::from(*bucket)] = Some(Box::new(Dense::from_counts(counts)));
        }
        Self {
            texts: Snippets::new(parts.alphabet.texts.iter().map(Vec::as_slice)),
            alphabet: parts.alphabet.clone(),
            contexts: parts.contexts.iter().map(Key::new).collect(),
            chain: Chain::new(&parts.chain),
            mantissas,
            lengths: match parts.lengths.is_empty() {
                true => Arc::clone(&EVEN_LENGTHS),
                false => Arc::new(Dense::from_counts(&or_even(&parts.lengths, length_classes()))),
            },
            is_heard: false,
        }
    }

    /// Codes a symbol.
    pub fn put(&self, symbol: u16, registers: &Registers, sink: &mut impl Sink) {
        self.chain.encode(symbol, |level| self.contexts[level].of(registers), sink);
    }

    /// Decodes a symbol.
    pub fn take(&self, registers: &Registers, source: &mut impl Source) -> u16 {
        self.chain.decode(|level| self.contexts[level].of(registers), source)
    }

    /// Codes a value, which becomes that of column `own`.
    #[inline]
    pub fn encode_value(
        &self,
        own: usize,
        value: &[u8],
        registers: &mut Registers,
        sink: &mut impl Sink,
        texts: &mut impl TextSink,
    ) {
        let alphabet = &self.alphabet;
        let cell = alphabet.cell(own, value, registers);
        self.put(cell.symbol, registers, sink);
        let symbol = usize::from(cell.symbol);
        if symbol >= alphabet.first_bucket() {
            if symbol >= alphabet.first_recent() {
                if symbol == alphabet.other() {
                    texts.put(own, value, &self.lengths, sink);
                }
                registers.remember(own, value);
            } else {
                let bucket = symbol - alphabet.first_bucket();
                let (modelled, raw) = bucket_bits(bucket);
                let below = cell.difference.unsigned_abs();
                if modelled > 0 {
                    let high = (below >> raw) & ((1 << modelled) - 1);
                    match self.mantissas.get(bucket).and_then(Option::as_deref) {
                        Some(mantissa) => mantissa.encode(high as u16, sink),
                        None => sink.raw(high, modelled),
                    }
                }
                if raw > 0 {
                    sink.raw(below & ((1 << raw) - 1), raw);
                }
            }
        }
        registers.push(own, cell.register);
    }

    /// Decodes a value, which becomes that of column `own`.
    #[inline]
    pub fn decode_value(
        &self,
        own: usize,
        registers: &mut Registers,
        source: &mut impl Source,
        texts: &mut impl TextSource,
        page: &mut Page,
    ) -> Result<(), Fault> {
        let alphabet = &self.alphabet;
        let symbol = self.take(registers, source);
        source.took(own, symbol);
        let start = page.len();
        let coded = match alphabet.meaning(symbol) {
            Meaning::Difference(difference) => difference,
            Meaning::Bucket(bucket) => {
                let (modelled, raw) = bucket_bits(bucket);
                let mut below = 0;
                if modelled > 0 {
                    below = match self.mantissas.get(bucket).and_then(Option::as_deref) {
                        Some(mantissa) => u64::from(mantissa.decode(source)),
                        None => source.raw(modelled),
                    };
                    below = source.took_bits(own, bucket, below);
                }
                if raw > 0 {
                    below = below << raw | source.raw(raw);
                }
                difference(bucket, below)
            }
            Meaning::Text(_) => {
                let text = usize::from(symbol) - alphabet.differences.len();
                self.texts.append(text, page)?;
                registers.push(own, known_text(text));
                return Ok(());
            }
            Meaning::Recent(place) => {
                let text = registers.recent(own, place).ok_or(Fault::Corrupt("no such text is remembered"))?;
                afford(page, text.len())?;
                page.extend(text);
                registers.remember(own, page.since(start));
                registers.push(own, unknown_text(page.since(start)));
                return Ok(());
            }
            Meaning::Echo(Echo { column, case }) => {
                let text = registers.heard(column).ok_or(Fault::Corrupt("there is nothing to echo"))?;
                afford(page, text.len())?;
                match case {
                    Case::Same => page.extend(text),
                    case => case.of(text).for_each(|byte| page.push(byte)),
                }
                registers.remember(own, page.since(start));
                registers.push(own, unknown_text(page.since(start)));
                return Ok(());
            }
            Meaning::Other => {
                texts.take(own, &self.lengths, source, page)?;
                registers.remember(own, page.since(start));
                registers.push(own, unknown_text(page.since(start)));
                return Ok(());
            }
        };
        let number = alphabet.base.apply(alphabet.base.of(own, registers), coded);
        alphabet.render(number, page).ok_or(Fault::Corrupt("a number has no text"))?;
        // Whether the number's text passes the limit shows when it is written.
        if page.left().is_none() {
            return Err(Fault::Limit);
        }
        registers.push(own, number);
        Ok(())
    }
}

/// Whether there may be so many bytes more.
#[inline]
pub(super) fn afford(page: &Page, bytes: usize) -> Result<(), Fault> {
    if page.left().is_some_and(|left| bytes <= left) { Ok(()) } else { Err(Fault::Limit) }
}

impl Model {
    /// From what was learned, whose parts fit one another.
    pub fn new(parts: &Parts) -> Self {
        let mut columns: Vec<Column> = parts.columns.iter().map(Column::new).collect();
        for echo in parts.columns.iter().filter_map(|part| part.alphabet.echo) {
            columns[usize::from(echo.column)].is_heard = true;
        }
        let states = parts.grammar.states();
        let mut first = 0;
        let edges = states.iter().map(|state| {
            let edges = Edges { first, count: state.edges.len() as u32 };
            first += edges.count;
            edges
        });
        let all = || states.iter().flat_map(|state| &state.edges);
        Self {
            edges: edges.collect(),
            literals: Snippets::new(all().map(|edge| edge.literal.as_slice())),
            targets: all().map(|edge| edge.target).collect(),
            grammar: parts.grammar.clone(),
            columns,
            regular: Dense::from_counts(&parts.regular),
            foreign: Dense::from_counts(&or_even(&parts.foreign, length_classes())),
            spelling: Spelling::new(&parts.text, parts.columns.len() + 1),
            alone: parts.alone,
            start: parts.start.clone(),
        }
    }

    /// Number of columns that texts can be of: that of foreign bytes is the last.
    pub fn text_columns(&self) -> usize {
        self.columns.len() + 1
    }

    /// Codes one record.
    pub fn encode(
        &self,
        record: &[u8],
        steps: &Steps,
        registers: &mut Registers,
        sink: &mut impl Sink,
        texts: &mut impl TextSink,
    ) {
        if self.alone {
            registers.begin(&self.start);
        }
        let slots = self.grammar.slots().len();
        self.regular.encode(u16::from(steps.regular), sink);
        let mut from: Option<u16> = None;
        for step in &steps.steps {
            let state = from.map_or(0, |slot| usize::from(slot) + 1);
            let choice = slots + state;
            match *step {
                Step::Edge { edge, slot, start, end } => {
                    if !steps.regular || self.grammar.states()[state].edges.len() > 1 {
                        self.columns[choice].put(edge, registers, sink);
                        registers.push(choice, i64::from(edge));
                    }
                    if let Some(slot) = slot {
                        let value = &record[start as usize..end as usize];
                        self.encode_value(usize::from(slot), value, registers, sink, texts);
                    }
                    from = slot;
                }
                Step::Foreign { start, end, slot, value_end } => {
                    let foreign = self.grammar.states()[state].edges.len() as u16;
                    self.columns[choice].put(foreign, registers, sink);
                    registers.push(choice, i64::from(foreign));
                    let bytes = &record[start as usize..end as usize];
                    texts.put(self.columns.len(), bytes, &self.foreign, sink);
                    sink.raw(slot.map_or(0, |slot| u64::from(slot) + 1), TARGET_BITS);
                    if let Some(slot) = slot {
                        let value = &record[end as usize..value_end as usize];
                        self.encode_value(usize::from(slot), value, registers, sink, texts);
                    }
                    from = slot;
                }
            }
        }
        registers.end();
    }

    #[inline]
    fn encode_value(
        &self,
        slot: usize,
        value: &[u8],
        registers: &mut Registers,
        sink: &mut impl Sink,
        texts: &mut impl TextSink,
    ) {
        let column = &self.columns[slot];
        column.encode_value(slot, value, registers, sink, texts);
        if column.is_heard {
            registers.hear(slot, value);
        }
    }

    /// Decodes one record.
    pub fn decode(
        &self,
        registers: &mut Registers,
        source: &mut impl Source,
        texts: &mut impl TextSource,
        watch: &mut impl Watch,
        page: &mut Page,
    ) -> Result<(), Fault> {
        if self.alone {
            registers.begin(&self.start);
        }
        let slots = self.grammar.slots().len();
        let regular = self.regular.decode(source) == 1;
        let mut from: Option<u16> = None;
        loop {
            let state = from.map_or(0, |slot| usize::from(slot) + 1);
            let choice = slots + state;
            let begun = page.len();
            let edges = self.edges[state];
            let edge = if !regular || edges.count != 1 {
                let edge = self.columns[choice].take(registers, source);
                source.took(choice, edge);
                registers.push(choice, i64::from(edge));
                u32::from(edge)
            } else {
                0
            };
            let target = if edge < edges.count {
                let literal = (edges.first + edge) as usize;
                self.literals.append(literal, page)?;
                self.targets[literal]
            } else {
                if regular {
                    return Err(Fault::Corrupt("a regular record has foreign bytes"));
                }
                let from = page.len();
                texts.take(self.columns.len(), &self.foreign, source, page)?;
                let target = source.raw(TARGET_BITS) as usize;
                if target > slots || (target > 0 && page.len() == from) {
                    return Err(Fault::Corrupt("foreign bytes lead to no slot"));
                }
                (target > 0).then(|| (target - 1) as u16)
            };
            let Some(slot) = target else {
                registers.end();
                return Ok(());
            };
            let start = page.len();
            let own = usize::from(slot);
            let column = &self.columns[own];
            column.decode_value(own, registers, source, texts, page)?;
            if column.is_heard {
                registers.hear(own, page.since(start));
            }
            watch.saw(slot, start, page.len());
            if page.len() == begun && from.is_some() {
                // Steps that make nothing could go on for ever.
                return Err(Fault::Corrupt("a value that follows another at once has no bytes"));
            }
            from = target;
        }
    }
}

impl Model {
    /// Whether a record is one of the topic's syntax: no bytes of it are foreign, and its values are what they may be.
    pub fn is_regular(&self, record: &[u8]) -> bool {
        let mut steps = Steps::default();
        steps.walk(&self.grammar, record);
        let holds = |step: &Step| match *step {
            Step::Edge { slot: Some(slot), start, end, .. } => {
                let value = record.get(start as usize..end as usize);
                value.is_some_and(|value| self.grammar.slots()[usize::from(slot)].scan.holds(value))
            }
            Step::Edge { .. } => true,
            Step::Foreign { .. } => false,
        };
        steps.steps.iter().all(holds)
    }
}
