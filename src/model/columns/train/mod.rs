//! From samples to a model.

mod bases;
mod bytes;
mod contexts;
mod count;
mod echoes;
mod formulas;
mod framing;
mod keys;
mod trace;
mod vocabulary;

use std::collections::HashMap;

use crate::payload::fields::{Grammar, Kind, Scan};

use super::alphabet::{Alphabet, MAX_KNOWN, bucket, bucket_bits};
use super::base::Base;
use super::echo::Echo;
use super::feature::Context;
use super::parts::{ColumnParts, Parts, TextParts};
use super::registers::{Registers, is_number, unknown_text};
use super::text::{length_class, length_classes};
use super::tokens;
use count::ChainCounter;
pub use framing::FRAMED_RECORDS;
pub(super) use framing::learn as learn_framing;
use trace::{Event, FOREIGN, Trace};

/// How a model is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether each record is to be coded as if it were the first, as the `record` layout does.
    pub alone: bool,
    /// Most bytes of the topic's texts that are kept for zstd.
    pub text: usize,
    /// Work for the search of contexts: how many times a value is looked at. A CPU second is about 50 million.
    pub effort: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { alone: false, text: 1 << 20, effort: 400_000_000 }
    }
}

/// Samples from which the grammar is learned at most.
const GRAMMAR_SAMPLES: usize = 20_000;
/// One in so many numeric columns must go on from the last record with the same key.
const KEPT_BASES: usize = 5;
/// Events that a search looks at in any case.
const LEAST_SPAN: usize = 1_000;
/// What it counts for in blocks that a number goes on from what it was itself, in 2^-16 bits a value. What was always so in what is
/// learned from can be otherwise tomorrow: the hours between local and universal time, in spring. To a base made of other columns each
/// record is then unheard of; to the value before it, one.
const BRITTLE: u64 = (1 << 16) / 12;
/// Values from which a kind is learned at most.
const KIND_SAMPLES: usize = 4_000;

/// Evenly chosen members.
fn thinned<T: Copy>(all: &[T], most: usize) -> Vec<T> {
    let step = all.len().div_ceil(most).max(1);
    all.iter().copied().step_by(step).collect()
}

/// Bits of a number that must be written as text, in 2^-16: of a length, and of digits.
fn as_text(number: i64) -> u64 {
    u64::from(24.max(2 * (u64::BITS - number.unsigned_abs().leading_zeros()))) << 16
}

/// How many of a column's newest events a search looks at where there are so many columns of values.
fn span(effort: u64, slots: usize) -> usize {
    usize::try_from(effort / (2 * slots * slots).max(1) as u64).unwrap_or(usize::MAX).max(LEAST_SPAN)
}

/// What a search knows.
struct Known<'a> {
    columns: &'a [ColumnParts],
    /// How many of the columns are of slots.
    slots: usize,
    trace: &'a Trace<'a>,
    /// What each event makes of its column's register.
    registers: &'a [i64],
    start: &'a Registers,
    /// How many of a column's newest events are looked at.
    span: usize,
}

/// Learns a model from samples, the oldest first.
pub(super) fn train(samples: &[&[u8]], options: &Options) -> Parts {
    let grammar = Grammar::learn(&thinned(samples, GRAMMAR_SAMPLES));
    let trace = Trace::new(&grammar, samples, options.alone);
    let slots = grammar.slots().len();
    let mut columns = vec![ColumnParts::default(); slots + grammar.states().len()];

    // What values are, and their numbers.
    for (slot, column) in columns[..slots].iter_mut().enumerate() {
        let values = trace.values(slot);
        let kind = match grammar.slots()[slot].scan {
            Scan::Hex { digits, upper } => Kind::Hex { digits, upper },
            _ => Kind::learn(&thinned(&values, KIND_SAMPLES)),
        };
        // Of all values: one in five of a counter's has a unit of five.
        let (unit, offset) = unit(&kind, &values);
        column.alphabet = Alphabet::new(kind, unit, offset, Default::default(), Vec::new(), Vec::new());
    }
    let mut registers: Vec<i64> = trace
        .events
        .iter()
        .map(|event| match trace.value(event) {
            Some(value) => {
                columns[usize::from(event.column)].alphabet.number(value).unwrap_or_else(|| unknown_text(value))
            }
            None => i64::from(event.start),
        })
        .collect();

    // Which texts are those of another column.
    let echoes = echoes::search(slots, &trace, &registers, options.alone);
    for (column, echo) in columns.iter_mut().zip(echoes) {
        column.alphabet.echo = echo;
    }

    // Which records belong together.
    let mut start = Registers::new(columns.len());
    if !options.alone {
        start.key = keys::search(slots, columns.len(), &columns, &trace, &registers);
    }

    // What numbers are expected to be. Each column's search goes through all columns of the newest records.
    let span = span(options.effort, slots);
    let numeric: Vec<usize> = (0..slots).filter(|slot| columns[*slot].alphabet.kind != Kind::Text).collect();
    let brittle = if options.alone { 0 } else { BRITTLE };
    let choose = |slots_chosen: &[usize], columns: &mut [ColumnParts], start: &Registers| {
        for slot in slots_chosen {
            let known = Known { columns, slots, trace: &trace, registers: &registers, start, span };
            let base = contexts::best_base(*slot, &bases::candidates(*slot, &known), &known, brittle);
            columns[*slot].alphabet.base = base;
        }
    };
    choose(&numeric, &mut columns, &start);
    // A key costs time with every record. It is worth it where many numbers go on from the last record that had it.
    let is_kept = |slot: &usize| matches!(columns[*slot].alphabet.base, Base::Kept(_));
    let kept: Vec<usize> = numeric.iter().copied().filter(is_kept).collect();
    if kept.len() * KEPT_BASES < numeric.len() || kept.is_empty() {
        start.key = None;
        choose(&kept, &mut columns, &start);
    }

    let choices = |state: usize| grammar.states()[state].edges.len() + 1;
    let given = Given { columns: 0, slots, span, effort: options.effort };
    let (symbols, mut memory) = learn_columns(&trace, &mut columns, &mut registers, &start, given, choices);

    let texts = Texts::gather(&trace, &columns, &symbols);
    if !options.alone {
        memory.key = start.key;
        start.begin(&memory);
    }
    Parts {
        grammar,
        columns,
        regular: trace.regular,
        alone: options.alone,
        start,
        text: texts.tokens(),
        foreign: texts.foreign.clone(),
        dictionary: texts.dictionary(options.text),
        framing: None,
    }
}

/// What columns are learned by.
#[derive(Clone, Copy)]
struct Given {
    /// So many columns are not learned: their registers are what they are.
    columns: usize,
    /// How many columns are of values.
    slots: usize,
    span: usize,
    effort: u64,
}

/// Learns columns whose kinds and bases are known: alphabets, contexts, counts. `choices` gives the number of symbols of
/// each column that is behind those of values. Gives the symbol of each event, and what is remembered in the end.
fn learn_columns(
    trace: &Trace<'_>,
    columns: &mut [ColumnParts],
    registers: &mut [i64],
    start: &Registers,
    given: Given,
    choices: impl Fn(usize) -> usize,
) -> (Vec<u16>, Registers) {
    let Given { columns: given, slots, span, effort } = given;
    let mut is_heard = vec![false; columns.len()];
    for echo in columns.iter().filter_map(|column| column.alphabet.echo) {
        is_heard[usize::from(echo.column)] = true;
    }
    // Which differences and texts are frequent.
    let mut heard: Vec<&[u8]> = vec![b""; slots];
    let mut seen: Vec<Seen<'_>> = (0..slots).map(|_| Seen::default()).collect();
    trace.replay(registers, start, |at, event, memory| {
        let Some(value) = trace.value(event) else { return };
        let slot = usize::from(event.column);
        if slot < given {
            return;
        }
        // What was said in the record before is forgotten where each stands alone; here it does no harm.
        heard[slot] = value;
        let base = columns[slot].alphabet.base;
        let number = registers[at];
        let seen = &mut seen[slot];
        match Some(number).filter(|number| is_number(*number)).and_then(|n| base.difference(n, base.of(slot, memory))) {
            Some(difference) => *seen.differences.entry(difference).or_insert(0) += 1,
            None if is_echo(columns[slot].alphabet.echo, value, &heard) => {}
            None => *seen.texts.entry(value).or_insert(0) += 1,
        }
    });
    for (column, seen) in columns.iter_mut().zip(seen).skip(given) {
        let Alphabet { kind, unit, offset, base, echo, .. } = column.alphabet.clone();
        let (differences, texts) = seen.frequent();
        column.alphabet = Alphabet::new(kind, unit, offset, base, differences, texts);
        column.alphabet.echo = echo;
    }

    // Every event as a symbol.
    let mut symbols = vec![0u16; trace.events.len()];
    let mut cells = Vec::new();
    let mut memory = start.clone();
    for (at, event) in trace.events.iter().enumerate() {
        trace.step(event, start, &mut memory);
        let column = usize::from(event.column);
        if event.column == FOREIGN {
            continue;
        }
        if column < given {
            memory.push(column, registers[at]);
            continue;
        }
        let register = match trace.value(event) {
            Some(value) => {
                let cell = columns[column].alphabet.cell(column, value, &memory);
                symbols[at] = cell.symbol;
                let symbol = usize::from(cell.symbol);
                if symbol >= columns[column].alphabet.first_recent() {
                    memory.remember(column, value, cell.register);
                }
                if symbol >= columns[column].alphabet.first_bucket() {
                    cells.push((at, cell));
                }
                if is_heard[column] {
                    memory.hear(column, value);
                }
                cell.register
            }
            None => {
                symbols[at] = event.start as u16;
                i64::from(event.start)
            }
        };
        registers[at] = register;
        memory.push(column, register);
    }

    // What each depends on.
    let known = Known { columns, slots, trace, registers, start, span };
    let found = contexts::search(&known, &symbols, effort);
    for (column, contexts) in columns.iter_mut().zip(found) {
        column.contexts = contexts;
    }

    // How often all that occurs.
    let mut counters: Vec<ChainCounter> = (0..columns.len())
        .map(|column| {
            let symbols = match column.checked_sub(slots) {
                None => columns[column].alphabet.symbols(),
                Some(state) => choices(state),
            };
            ChainCounter::new(columns[column].contexts.len(), symbols)
        })
        .collect();
    trace.replay(registers, start, |at, event, memory| {
        let column = usize::from(event.column);
        let contexts: &[Context] = &columns[column].contexts;
        counters[column].add(symbols[at], |level| contexts[level].key(memory));
    });
    for (column, counter) in columns.iter_mut().zip(counters) {
        column.chain = counter.finish(2);
    }
    // What the newer half had that the older one did not have yet was another text when it came.
    for at in firsts(trace, columns, &symbols).into_iter().filter(|at| *at >= symbols.len() / 2) {
        let column = &mut columns[usize::from(trace.events[at].column)];
        column.chain.dense[column.alphabet.other()] += 2;
    }
    for (at, cell) in cells {
        let event = &trace.events[at];
        let column = &mut columns[usize::from(event.column)];
        if usize::from(cell.symbol) == column.alphabet.other() {
            column.lengths.resize(length_classes(), 0);
            column.lengths[usize::from(length_class(event.len()))] += 1;
        } else if usize::from(cell.symbol) < column.alphabet.first_recent() {
            let (modelled, raw) = bucket_bits(bucket(cell.difference));
            if modelled > 0 {
                let high = (cell.difference.unsigned_abs() >> raw) & ((1 << modelled) - 1);
                let bucket = bucket(cell.difference) as u8;
                let place = column.mantissas.partition_point(|(known, _)| *known < bucket);
                if column.mantissas.get(place).is_none_or(|(known, _)| *known != bucket) {
                    column.mantissas.insert(place, (bucket, vec![0; 1 << modelled]));
                }
                column.mantissas[place].1[high as usize] += 1;
            }
        }
    }
    for column in columns {
        // A value of a bucket that was seen may have any bits: as if half of each had been seen once more.
        for (_, counts) in &mut column.mantissas {
            counts.iter_mut().for_each(|count| *count = 2 * *count + 1);
        }
    }
    (symbols, memory)
}

/// Whether a value is what a column echoes.
fn is_echo(echo: Option<Echo>, value: &[u8], heard: &[&[u8]]) -> bool {
    echo.is_some_and(|Echo { column, case }| !value.is_empty() && case.makes(heard[usize::from(column)], value))
}

/// Counts of what one column's values were.
#[derive(Default)]
struct Seen<'a> {
    differences: HashMap<i64, u32>,
    texts: HashMap<&'a [u8], u32>,
}

impl Seen<'_> {
    /// What was seen twice or more: the most frequent if there is too much.
    fn frequent(self) -> (Vec<i64>, Vec<Vec<u8>>) {
        let mut differences: Vec<(u32, i64)> =
            self.differences.into_iter().filter(|(_, count)| *count > 1).map(|(d, count)| (count, d)).collect();
        let mut texts: Vec<(u32, &[u8])> =
            self.texts.into_iter().filter(|(_, count)| *count > 1).map(|(text, count)| (count, text)).collect();
        differences.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        texts.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
        differences.truncate(MAX_KNOWN / 2);
        texts.truncate(MAX_KNOWN / 2);
        // Rising, so that the artefact holds small steps.
        let mut differences: Vec<i64> = differences.into_iter().map(|(_, difference)| difference).collect();
        differences.sort_unstable();
        (differences, texts.into_iter().map(|(_, text)| text.to_vec()).collect())
    }
}

/// The unit that all numbers are multiples of, but for an offset.
fn unit(kind: &Kind, values: &[&[u8]]) -> (i64, i64) {
    let mut numbers = values.iter().filter_map(|value| kind.parse(value));
    let Some(first) = numbers.next() else { return (1, 0) };
    let mut unit = 0;
    while let Some(number) = numbers.next().filter(|_| unit != 1) {
        unit = gcd(unit, first.abs_diff(number));
    }
    // The same number in a few values says nothing about others.
    match i64::try_from(unit) {
        Ok(unit) if unit > 1 && values.len() >= 100 => (unit, first.rem_euclid(unit)),
        _ => (1, 0),
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Where the texts of alphabets came first.
fn firsts(trace: &Trace<'_>, columns: &[ColumnParts], symbols: &[u16]) -> Vec<usize> {
    let mut came: Vec<Vec<bool>> = columns.iter().map(|column| vec![false; column.alphabet.texts.len()]).collect();
    let is_first = |(at, event): (usize, &Event)| {
        trace.value(event)?;
        let column = usize::from(event.column);
        let text = usize::from(symbols[at]).checked_sub(columns[column].alphabet.differences.len())?;
        let came = came[column].get_mut(text)?;
        (!std::mem::replace(came, true)).then_some(at)
    };
    trace.events.iter().enumerate().filter_map(is_first).collect()
}

/// The newest texts of so many bytes, in their order.
fn newest<'b, 'a>(texts: &'b [(usize, &'a [u8])], most: usize) -> &'b [(usize, &'a [u8])] {
    let mut left = most;
    let kept = texts.iter().rev().take_while(|(_, text)| {
        let fits = text.len() <= left;
        left = left.saturating_sub(text.len());
        fits
    });
    &texts[texts.len() - kept.count()..]
}

/// Texts that no alphabet has, with their columns, in their order. Those of foreign bytes are of the column behind the last.
struct Texts<'a> {
    all: Vec<(usize, &'a [u8])>,
    /// And those that an alphabet has where they came first: they were new then, as others will be.
    new: Vec<(usize, &'a [u8])>,
    /// Counts of the classes of lengths of foreign bytes.
    foreign: Vec<u32>,
}

/// Bytes of text that tokens and bytes are learned from at most.
const TEXT_SAMPLE: usize = 512 << 10;

impl<'a> Texts<'a> {
    fn gather(trace: &Trace<'a>, columns: &[ColumnParts], symbols: &[u16]) -> Self {
        let mut texts = Self { all: Vec::new(), new: Vec::new(), foreign: Vec::new() };
        let mut firsts = firsts(trace, columns, symbols).into_iter().peekable();
        for (at, event) in trace.events.iter().enumerate() {
            let column = usize::from(event.column);
            if event.column == FOREIGN {
                texts.foreign.resize(length_classes(), 0);
                texts.foreign[usize::from(length_class(event.len()))] += 1;
                texts.all.push((columns.len(), trace.bytes(event)));
                texts.new.push((columns.len(), trace.bytes(event)));
            } else if let Some(value) = trace.value(event)
                && usize::from(symbols[at]) == columns[column].alphabet.other()
            {
                texts.all.push((column, value));
                texts.new.push((column, value));
            } else if firsts.next_if_eq(&at).is_some() {
                texts.new.push((column, trace.bytes(event)));
            }
        }
        texts
    }

    /// The tokens that they are made of, and their counts.
    fn tokens(&self) -> TextParts {
        let sample = newest(&self.new, TEXT_SAMPLE);
        let vocabulary = vocabulary::learn(sample.iter().map(|(_, text)| *text));
        let mut counter = ChainCounter::new(tokens::LEVELS, vocabulary.symbols());
        for (column, text) in sample {
            vocabulary.cut(text, |token, before| counter.add(token, |level| before.key(level, *column)));
        }
        TextParts::Tokens { tokens: vocabulary.tokens().to_vec(), chain: counter.finish(2) }
    }

    /// The newest, for zstd.
    fn dictionary(&self, most: usize) -> Vec<u8> {
        let mut kept = newest(&self.all, most).to_vec();
        // As a block has them: column by column.
        kept.sort_by_key(|(column, _)| *column);
        kept.iter().flat_map(|(_, text)| text.iter().copied()).collect()
    }
}
