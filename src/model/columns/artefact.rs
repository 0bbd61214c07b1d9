//! A model as bytes: written by training, read without trust.
//!
//! `FORMAT.md` has every field. All counts and sizes are checked against what is left or against a cap before anything
//! is made of them, every reference is checked, and nothing is executed.

use std::ops::RangeInclusive;

use crate::frame::{FrameError, Reader, put_signed, put_varint};
use crate::payload::fields::{Grammar, GrammarError, Kind};

use super::alphabet::{Alphabet, BUCKETS, MAX_KNOWN, bucket_bits};
use super::base::Base;
use super::chain::{
    ChainCounts, Escapes, LevelCounts, MAX_LEVELS, MAX_SPARSE, OCCURRENCES_CLASSES, SYMBOLS_CLASSES, Sparse,
};
use super::echo::Echo;
use super::feature::{Context, When};
use super::framing::artefact as framing;
use super::parts::{ColumnParts, Parts, TextParts};
use super::registers::Registers;
use super::text::{ORDERS, length_classes};
use super::tokens::{self, MAX_TOKEN, MAX_TOKENS};

const MAGIC: [u8; 4] = *b"\x91LCM";
/// Of a model of values whose texts are made of bytes.
const BYTES_VERSION: u8 = 1;
/// Of a model whose texts are made of tokens, and whose columns may echo others.
const TOKENS_VERSION: u8 = 3;
/// Is added where what Kafka keeps beside values was learned too.
const FRAMED: u8 = 1;
/// The last one that there is.
const LAST_VERSION: u8 = TOKENS_VERSION + FRAMED;

/// Most bytes of a model without its texts; most of its texts; and most of an artefact, both compressed.
pub const MAX_PARTS_BYTES: usize = 8 << 20;
/// See [`MAX_PARTS_BYTES`].
pub const MAX_TEXT_BYTES: usize = 8 << 20;
/// Most bytes of what is known of framing.
pub const MAX_FRAMING_BYTES: usize = 8 << 20;

/// zstd's level for artefacts: they are written once.
const LEVEL: i32 = 19;

/// Why bytes are no model.
#[derive(Debug, thiserror::Error)]
pub enum ColumnsError {
    /// They are not what they say they are.
    #[error("this is no columns model: {0}")]
    Invalid(String),
    /// A later release wrote them.
    #[error(
        "the columns model has version {version}, and this release reads up to version {LAST_VERSION}: use a newer latentd"
    )]
    Version {
        /// What they say.
        version: u8,
    },
}

pub(super) fn invalid(what: impl std::fmt::Display) -> ColumnsError {
    ColumnsError::Invalid(what.to_string())
}

impl From<FrameError> for ColumnsError {
    fn from(error: FrameError) -> Self {
        invalid(error)
    }
}

impl From<GrammarError> for ColumnsError {
    fn from(error: GrammarError) -> Self {
        invalid(error)
    }
}

/// Writes an artefact: magic, version, then parts and texts as a zstd frame each.
pub(super) fn write(parts: &Parts) -> Vec<u8> {
    let mut raw = Vec::new();
    write_parts(parts, &mut raw);
    let mut output = MAGIC.to_vec();
    let mut framing = Vec::new();
    if let Some(parts) = &parts.framing {
        framing::write(parts, &mut framing);
    }
    let version = match parts.text {
        TextParts::Bytes(_) => BYTES_VERSION,
        TextParts::Tokens { .. } => TOKENS_VERSION,
    };
    output.push(version + if parts.framing.is_some() { FRAMED } else { 0 });
    let framing = parts.framing.is_some().then_some(&framing);
    for bytes in [&raw, &parts.dictionary].into_iter().chain(framing) {
        let packed = zstd::bulk::compress(bytes, LEVEL).expect("zstd has a level 19, and memory for a few megabytes");
        put_varint(bytes.len() as u64, &mut output);
        put_varint(packed.len() as u64, &mut output);
        output.extend_from_slice(&packed);
    }
    output
}

/// Reads an artefact.
pub(super) fn read(artefact: &[u8]) -> Result<Parts, ColumnsError> {
    let mut input = Reader::new(artefact, 0);
    if input.take(MAGIC.len())? != MAGIC {
        return Err(invalid("it does not begin with the magic 91 4c 43 4d"));
    }
    let version = input.byte()?;
    let (tokens, framed) = match version {
        1 | 2 => (false, version > BYTES_VERSION),
        3 | 4 => (true, version > TOKENS_VERSION),
        _ => return Err(ColumnsError::Version { version }),
    };
    let raw = unpack(&mut input, MAX_PARTS_BYTES)?;
    let dictionary = unpack(&mut input, MAX_TEXT_BYTES)?;
    let framing = if framed { Some(unpack(&mut input, MAX_FRAMING_BYTES)?) } else { None };
    if input.left() > 0 {
        return Err(invalid("there are bytes behind its end"));
    }
    let mut rest = Reader::new(&raw, 0);
    let mut parts = read_parts(&mut rest, dictionary, tokens)?;
    if rest.left() > 0 {
        return Err(invalid("there are bytes behind its parts"));
    }
    if let Some(framing) = framing {
        let mut rest = Reader::new(&framing, 0);
        parts.framing = Some(framing::read(&mut rest, parts.grammar.slots().len())?);
        if rest.left() > 0 {
            return Err(invalid("there are bytes behind its framing"));
        }
    }
    Ok(parts)
}

fn unpack(input: &mut Reader<'_>, cap: usize) -> Result<Vec<u8>, ColumnsError> {
    let size = capped(input.varint()?, cap)?;
    let packed = capped(input.varint()?, cap + cap / 8 + 1024)?;
    let packed = input.take(packed)?;
    let bytes = zstd::bulk::decompress(packed, size).map_err(invalid)?;
    if bytes.len() == size { Ok(bytes) } else { Err(invalid("a part of it has another size than it says")) }
}

pub(super) fn capped(number: u64, cap: usize) -> Result<usize, ColumnsError> {
    let fits = usize::try_from(number).ok().filter(|number| *number <= cap);
    fits.ok_or_else(|| invalid(format_args!("a count of {number} is over the cap of {cap}")))
}

/// A count of things that take a byte each at least.
pub(super) fn count(input: &mut Reader<'_>, cap: usize) -> Result<usize, ColumnsError> {
    let number = input.varint()?;
    capped(number, cap.min(input.left()))
}

pub(super) fn put_counts(counts: &[u32], output: &mut Vec<u8>) {
    counts.iter().for_each(|count| put_varint(u64::from(*count), output));
}

pub(super) fn counts(input: &mut Reader<'_>, count: usize) -> Result<Vec<u32>, ColumnsError> {
    if count > input.left() {
        return Err(invalid("its counts end early"));
    }
    let mut counts = Vec::with_capacity(count);
    for _ in 0..count {
        counts.push(capped(input.varint()?, MAX_COUNT)? as u32);
    }
    Ok(counts)
}

/// Most occurrences that are counted.
const MAX_COUNT: usize = (1 << 31) - 1;

fn write_parts(parts: &Parts, output: &mut Vec<u8>) {
    parts.grammar.write(output);
    output.push(u8::from(parts.alone));
    put_counts(&parts.regular, output);
    put_optional(&parts.foreign, output);
    put_varint(parts.start.key.map_or(0, |key| u64::from(key) + 1), output);
    for when in [When::Now, When::Before] {
        parts.start.columns().iter().for_each(|register| put_signed(register[when as usize], output));
    }
    let slots = parts.grammar.slots().len();
    let echoes = matches!(parts.text, TextParts::Tokens { .. });
    for (column, part) in parts.columns.iter().enumerate() {
        write_column(part, column < slots, echoes, output);
    }
    match &parts.text {
        TextParts::Bytes(chain) => write_chain(chain, output),
        TextParts::Tokens { tokens, chain } => {
            put_texts(tokens, output);
            write_chain(chain, output);
        }
    }
}

/// Writes a column, of values or of choices; whether a column of values is an echo is only said where there may be `echoes`.
pub(super) fn write_column(part: &ColumnParts, values: bool, echoes: bool, output: &mut Vec<u8>) {
    if values {
        write_alphabet(&part.alphabet, output);
        if echoes {
            Echo::write(part.alphabet.echo, output);
        }
        put_varint(part.mantissas.len() as u64, output);
        for (bucket, counts) in &part.mantissas {
            output.push(*bucket);
            put_counts(counts, output);
        }
        put_optional(&part.lengths, output);
    }
    output.push(part.contexts.len() as u8);
    part.contexts.iter().for_each(|context| context.write(output));
    write_chain(&part.chain, output);
}

/// Reads column `own` of `all`: of values, or of choices, which have so many symbols. Values may be echoes of those of the
/// first `echoes` columns.
pub(super) fn read_column(
    input: &mut Reader<'_>,
    own: usize,
    all: usize,
    choices: Option<usize>,
    echoes: Option<usize>,
) -> Result<ColumnParts, ColumnsError> {
    let mut part = ColumnParts::default();
    let symbols = match choices {
        Some(symbols) => symbols,
        None => {
            part.alphabet = read_alphabet(input, own, all)?;
            if let Some(slots) = echoes {
                part.alphabet.echo = Echo::read(input, slots)?;
            }
            let mut last = None;
            for _ in 0..count(input, BUCKETS)? {
                let bucket = input.byte()?;
                let (modelled, _) = bucket_bits(usize::from(bucket));
                if usize::from(bucket) >= BUCKETS || modelled == 0 || last.is_some_and(|last| last >= bucket) {
                    return Err(invalid("its buckets do not rise"));
                }
                last = Some(bucket);
                part.mantissas.push((bucket, counts(input, 1 << modelled)?));
            }
            part.lengths = optional(input)?;
            part.alphabet.symbols()
        }
    };
    let levels = capped(u64::from(input.byte()?), MAX_LEVELS)?;
    for _ in 0..levels {
        part.contexts.push(Context::read(input, all)?);
    }
    part.chain = read_chain(input, levels, symbols)?;
    Ok(part)
}

fn read_parts(input: &mut Reader<'_>, dictionary: Vec<u8>, tokens: bool) -> Result<Parts, ColumnsError> {
    let grammar = Grammar::read(input)?;
    let alone = match input.byte()? {
        0 => false,
        1 => true,
        _ => return Err(invalid("a flag is neither set nor not")),
    };
    let regular = [input.varint()?, input.varint()?];
    let regular = [capped(regular[0], MAX_COUNT)? as u32, capped(regular[1], MAX_COUNT)? as u32];
    let foreign = optional(input)?;
    let slots = grammar.slots().len();
    let all = slots + grammar.states().len();
    let mut start = Registers::new(all);
    start.key = match capped(input.varint()?, all)? {
        0 => None,
        key => Some((key - 1) as u16),
    };
    for when in [When::Now, When::Before] {
        for register in start.columns_mut() {
            register[when as usize] = input.signed()?;
        }
    }
    let mut columns = Vec::with_capacity(all);
    for column in 0..all {
        let choices = column.checked_sub(slots).map(|state| grammar.states()[state].edges.len() + 1);
        columns.push(read_column(input, column, all, choices, tokens.then_some(slots))?);
    }
    let text = match tokens {
        true => read_tokens(input)?,
        false => TextParts::Bytes(read_chain(input, ORDERS.len(), 256)?),
    };
    Ok(Parts { grammar, columns, regular, alone, start, text, foreign, dictionary, framing: None })
}

/// Counts of the classes of lengths, where there are any.
fn put_optional(counts: &[u32], output: &mut Vec<u8>) {
    output.push(u8::from(!counts.is_empty()));
    put_counts(counts, output);
}

fn optional(input: &mut Reader<'_>) -> Result<Vec<u32>, ColumnsError> {
    match input.byte()? {
        0 => Ok(Vec::new()),
        1 => counts(input, length_classes()),
        _ => Err(invalid("a flag is neither set nor not")),
    }
}

fn write_alphabet(alphabet: &Alphabet, output: &mut Vec<u8>) {
    alphabet.kind.write(output);
    if alphabet.kind != Kind::Text {
        put_varint(alphabet.unit as u64, output);
        put_signed(alphabet.offset, output);
        alphabet.base.write(output);
        put_varint(alphabet.differences.len() as u64, output);
        let mut last = 0i64;
        for difference in &alphabet.differences {
            put_signed(difference.wrapping_sub(last), output);
            last = *difference;
        }
    }
    put_texts(&alphabet.texts, output);
}

fn put_texts(texts: &[Vec<u8>], output: &mut Vec<u8>) {
    put_varint(texts.len() as u64, output);
    for text in texts {
        put_varint(text.len() as u64, output);
        output.extend_from_slice(text);
    }
}

/// Texts that are all different: no more than `cap`, each of `lengths` bytes.
fn texts(input: &mut Reader<'_>, cap: usize, lengths: RangeInclusive<usize>) -> Result<Vec<Vec<u8>>, ColumnsError> {
    let known = count(input, cap)?;
    let mut texts: Vec<Vec<u8>> = Vec::with_capacity(known);
    let mut seen = std::collections::HashSet::new();
    for _ in 0..known {
        let length = count(input, *lengths.end())?;
        let text = input.take(length)?;
        if length < *lengths.start() || !seen.insert(text) {
            return Err(invalid("a text is too short, or has two symbols"));
        }
        texts.push(text.to_vec());
    }
    Ok(texts)
}

/// Tokens, and the chain over them.
fn read_tokens(input: &mut Reader<'_>) -> Result<TextParts, ColumnsError> {
    let tokens = texts(input, MAX_TOKENS, 2..=MAX_TOKEN)?;
    let chain = read_chain(input, tokens::LEVELS, tokens::BYTES + tokens.len() + 1)?;
    Ok(TextParts::Tokens { tokens, chain })
}

fn read_alphabet(input: &mut Reader<'_>, own: usize, columns: usize) -> Result<Alphabet, ColumnsError> {
    let kind = Kind::read(input)?;
    let (mut unit, mut offset, mut base, mut differences) = (1, 0, Base::Nothing, Vec::new());
    if kind != Kind::Text {
        unit =
            i64::try_from(input.varint()?).ok().filter(|unit| *unit >= 1).ok_or_else(|| invalid("a unit is none"))?;
        offset = input.signed()?;
        base = Base::read(input, own, columns)?;
        let known = count(input, MAX_KNOWN / 2)?;
        differences.reserve_exact(known);
        for i in 0..known {
            let step = input.signed()?;
            let last = differences.last().copied().unwrap_or(0);
            let next = i64::wrapping_add(last, step);
            if i > 0 && next <= last {
                return Err(invalid("its differences do not rise"));
            }
            differences.push(next);
        }
    }
    let texts = texts(input, MAX_KNOWN / 2, 0..=usize::MAX)?;
    Ok(Alphabet::new(kind, unit, offset, base, differences, texts))
}

pub(super) fn write_chain(chain: &ChainCounts, output: &mut Vec<u8>) {
    for level in &chain.levels {
        put_varint(level.sparse.len() as u64, output);
        if level.sparse.is_empty() {
            continue;
        }
        // Columns, so that zstd finds alike what is alike.
        let mut last = 0;
        for sparse in &level.sparse {
            put_varint(u64::from(sparse.key.wrapping_sub(last)), output);
            last = sparse.key;
        }
        level.sparse.iter().for_each(|sparse| put_varint(sparse.counts.len() as u64, output));
        for sparse in &level.sparse {
            let mut last = 0;
            for (symbol, _) in &sparse.counts {
                put_varint(u64::from(symbol - last), output);
                last = *symbol;
            }
        }
        for (_, count) in level.sparse.iter().flat_map(|sparse| &sparse.counts) {
            put_varint(u64::from(*count), output);
        }
        for class in level.escapes.by_class.iter().flatten() {
            output.extend_from_slice(&class.to_le_bytes());
        }
    }
    put_counts(&chain.dense, output);
}

pub(super) fn read_chain(input: &mut Reader<'_>, levels: usize, symbols: usize) -> Result<ChainCounts, ColumnsError> {
    let mut chain = ChainCounts::default();
    for _ in 0..levels {
        let contexts = count(input, MAX_PARTS_BYTES)?;
        let mut level = LevelCounts { sparse: Vec::with_capacity(contexts), escapes: Escapes::default() };
        if contexts > 0 {
            let mut last: Option<u32> = None;
            for _ in 0..contexts {
                let step = u32::try_from(input.varint()?).map_err(|_| invalid("a key is none"))?;
                let key = last.unwrap_or(0).checked_add(step).filter(|key| last.is_none_or(|last| *key > last));
                let key = key.ok_or_else(|| invalid("its keys do not rise"))?;
                level.sparse.push(Sparse { key, counts: Vec::new() });
                last = Some(key);
            }
            for sparse in &mut level.sparse {
                let length = count(input, MAX_SPARSE)?;
                if length == 0 {
                    return Err(invalid("a context has no symbol"));
                }
                // Filled below; what is claimed here is paid for by as many bytes there, or refused.
                sparse.counts = Vec::new();
                sparse.counts.push((length as u16, 0));
            }
            for sparse in &mut level.sparse {
                let length = usize::from(sparse.counts[0].0);
                if length > input.left() {
                    return Err(invalid("its symbols end early"));
                }
                sparse.counts.clear();
                sparse.counts.reserve_exact(length);
                let mut last: Option<u64> = None;
                for _ in 0..length {
                    let symbol = input.varint()?.checked_add(last.unwrap_or(0));
                    let symbol = symbol.filter(|s| *s < symbols as u64 && last.is_none_or(|last| *s > last));
                    let symbol =
                        symbol.ok_or_else(|| invalid("its symbols do not rise, or are not in the alphabet"))?;
                    sparse.counts.push((symbol as u16, 0));
                    last = Some(symbol);
                }
            }
            for (_, count) in level.sparse.iter_mut().flat_map(|sparse| &mut sparse.counts) {
                *count = capped(input.varint()?, MAX_COUNT)? as u32;
                if *count == 0 {
                    return Err(invalid("a count is 0"));
                }
            }
            for class in level.escapes.by_class.iter_mut().flatten() {
                *class = u16::from_le_bytes([input.byte()?, input.byte()?]);
            }
        }
        chain.levels.push(level);
    }
    chain.dense = counts(input, symbols)?;
    Ok(chain)
}

// A level's escapes are written row by row.
const _: () = assert!(OCCURRENCES_CLASSES * SYMBOLS_CLASSES == 60);
