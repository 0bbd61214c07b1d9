//! A model at work: one record to symbols, and back.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use crate::payload::fields::{Grammar, Page, Step, Steps};

use super::alphabet::{Alphabet, BUCKETS, Meaning, bucket_bits, difference};
use super::base::Base;
use super::chain::Chain;
use super::coding::{Sink, Source, TOTAL};
use super::decoding::DecodingChain;
use super::dense::Dense;
use super::echo::Echo;
use super::fault::Fault;
use super::feature::{Key, When};
use super::parts::{ColumnParts, Parts};
use super::registers::{Registers, known_text, unknown_text};
use super::snippets::{PIECE, Snippets};
use super::text::{Spelling, length_classes};

/// Bits of a slot's number.
const TARGET_BITS: u32 = 12;

/// A column, ready for coding.
#[derive(Clone, Debug)]
pub(super) struct Column {
    alphabet: Alphabet,
    /// What the alphabet's symbols are written as from `first_written` on: its texts, and before them its differences, where these
    /// are the numbers themselves.
    written: Snippets,
    first_written: u32,
    contexts: Vec<Key>,
    chain: Chain,
    decoding: DecodingChain,
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
    /// By literal, the slot that it leads to plus one; 0 at the end.
    targets: Vec<u16>,
    columns: Vec<Column>,
    /// Which slots are those of records with foreign bytes: the ones below this.
    irregular: u32,
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
        let numbers = written_numbers(&parts.alphabet);
        let written = numbers.iter().flat_map(|(bytes, places)| places.iter().map(|place| &bytes[place.clone()]));
        Self {
            written: Snippets::new(written.chain(parts.alphabet.texts.iter().map(Vec::as_slice))),
            first_written: if numbers.is_some() { 0 } else { parts.alphabet.differences.len() as u32 },
            alphabet: parts.alphabet.clone(),
            contexts: parts.contexts.iter().map(Key::new).collect(),
            chain: Chain::new(&parts.chain),
            decoding: DecodingChain::new(&parts.chain),
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
    #[inline(never)]
    pub fn take(&self, registers: &Registers, source: &mut impl Source) -> u16 {
        self.decoding.decode(|level| self.contexts[level].of(registers), self.chain.last_resort(), source)
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
                registers.remember(own, value, cell.register);
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
    #[inline(always)]
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
        let place = usize::from(symbol);
        let difference = alphabet.differences.get(place);
        let number = place.wrapping_sub(self.first_written as usize);
        if number < self.written.len() {
            self.written.append(number, page)?;
            registers.push(own, difference.copied().unwrap_or_else(|| known_text(place - alphabet.differences.len())));
            return Ok(());
        }
        let difference = match difference {
            Some(difference) => *difference,
            None => match alphabet.meaning(symbol) {
                Meaning::Bucket(bucket) => self.decode_bucket(own, bucket, source),
                meaning => return self.decode_text(own, meaning, registers, source, texts, page),
            },
        };
        let number = alphabet.base.apply(alphabet.base.of(own, registers), difference);
        alphabet.render(number, page).ok_or(Fault::NoText)?;
        // Whether the number's text passes the limit shows when it is written.
        afford(page, 0)?;
        registers.push(own, number);
        Ok(())
    }

    /// Decodes a difference of a bucket.
    #[inline(never)]
    fn decode_bucket(&self, own: usize, bucket: usize, source: &mut impl Source) -> i64 {
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

    /// Decodes a text that the alphabet lacks.
    #[inline(never)]
    fn decode_text(
        &self,
        own: usize,
        meaning: Meaning<'_>,
        registers: &mut Registers,
        source: &mut impl Source,
        texts: &mut impl TextSource,
        page: &mut Page,
    ) -> Result<(), Fault> {
        let start = page.len();
        match meaning {
            Meaning::Recent(place) => {
                let (text, register) = registers.recent(own, place).ok_or(Fault::NotRemembered)?;
                afford(page, text.len())?;
                page.extend(text);
                registers.push(own, register);
                return Ok(());
            }
            Meaning::Echo(Echo { column, case }) => {
                let text = registers.heard(column).ok_or(Fault::NoEcho)?;
                afford(page, text.len())?;
                page.extend(text);
                case.write(page.since_mut(start));
            }
            _ => texts.take(own, &self.lengths, source, page)?,
        }
        let text = page.since(start);
        let register = unknown_text(text);
        registers.remember(own, text, register);
        registers.push(own, register);
        Ok(())
    }
}

/// The columns of which it matters what they were in the last record with the same key.
fn keepsakes(columns: &[ColumnParts]) -> Vec<u16> {
    let features = columns.iter().flat_map(|part| &part.contexts).flat_map(|context| &context.features);
    let seen = features.filter(|feature| feature.when == When::Kept).map(|feature| feature.column);
    let expected = columns.iter().filter_map(|part| match part.alphabet.base {
        Base::Kept(column) => Some(column),
        _ => None,
    });
    let columns: BTreeSet<u16> = seen.chain(expected).collect();
    columns.into_iter().collect()
}

/// The texts of an alphabet's differences, laid end to end, and where each is, where these are the numbers themselves and all have
/// short texts.
fn written_numbers(alphabet: &Alphabet) -> Option<(Vec<u8>, Vec<Range<usize>>)> {
    if alphabet.base != Base::Nothing {
        return None;
    }
    let mut page = Page::new(Vec::new(), PIECE * alphabet.differences.len());
    let mut places = Vec::with_capacity(alphabet.differences.len());
    for number in &alphabet.differences {
        let start = page.len();
        alphabet.render(*number, &mut page)?;
        if page.len() - start > PIECE {
            return None;
        }
        places.push(start..page.len());
    }
    Some((page.into_bytes(), places))
}

/// Whether there may be so many bytes more.
#[inline]
pub(super) fn afford(page: &Page, bytes: usize) -> Result<(), Fault> {
    if page.affords(bytes) { Ok(()) } else { Err(Fault::Limit) }
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
        let mut start = parts.start.clone();
        start.keep(keepsakes(&parts.columns));
        Self {
            edges: edges.collect(),
            literals: Snippets::new(all().map(|edge| edge.literal.as_slice())),
            targets: all().map(|edge| edge.target.map_or(0, |slot| slot + 1)).collect(),
            grammar: parts.grammar.clone(),
            columns,
            irregular: Dense::from_counts(&parts.regular).interval(0).1,
            foreign: Dense::from_counts(&or_even(&parts.foreign, length_classes())),
            spelling: Spelling::new(&parts.text, parts.columns.len() + 1),
            alone: parts.alone,
            start,
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
        let (start, end) = if steps.regular { (self.irregular, TOTAL) } else { (0, self.irregular) };
        sink.push(start, end - start);
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
        let split = self.irregular;
        let regular = source.symbol(|slot| if slot < split { (false, 0, split) } else { (true, split, TOTAL - split) });
        // The state behind a slot has the number that the slot has as a target.
        let mut state = 0;
        loop {
            let begun = page.len();
            let edges = self.edges[state];
            let edge = if regular && edges.count == 1 { 0 } else { self.choose(slots + state, registers, source) };
            let target = if edge < edges.count {
                let literal = (edges.first + edge) as usize;
                self.literals.append(literal, page)?;
                usize::from(self.targets[literal])
            } else {
                self.decode_foreign(regular, source, texts, page)?
            };
            let Some(own) = target.checked_sub(1) else {
                registers.end();
                return Ok(());
            };
            let start = page.len();
            let column = &self.columns[own];
            column.decode_value(own, registers, source, texts, page)?;
            if column.is_heard {
                registers.hear(own, page.since(start));
            }
            watch.saw(own as u16, start, page.len());
            if page.len() == begun && state > 0 {
                // Steps that make nothing could go on for ever.
                return Err(Fault::NoBytes);
            }
            state = target;
        }
    }

    /// Decodes the choice of a literal.
    #[inline(never)]
    fn choose(&self, choice: usize, registers: &mut Registers, source: &mut impl Source) -> u32 {
        let edge = self.columns[choice].take(registers, source);
        source.took(choice, edge);
        registers.push(choice, i64::from(edge));
        u32::from(edge)
    }

    /// Decodes bytes that no literal has; gives where they lead.
    #[cold]
    #[inline(never)]
    fn decode_foreign(
        &self,
        regular: bool,
        source: &mut impl Source,
        texts: &mut impl TextSource,
        page: &mut Page,
    ) -> Result<usize, Fault> {
        if regular {
            return Err(Fault::Foreign);
        }
        let from = page.len();
        texts.take(self.columns.len(), &self.foreign, source, page)?;
        let target = source.raw(TARGET_BITS) as usize;
        if target > self.grammar.slots().len() || (target > 0 && page.len() == from) {
            return Err(Fault::NoSlot);
        }
        Ok(target)
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
