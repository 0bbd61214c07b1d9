//! The `columns` codec: records and columns of records through a model.
//!
//! A **record** on its own is one stream of the entropy coder, which begins and must end with an empty state; or, where
//! that is smaller, a zstd frame, which its magic tells apart. A **column** of records is
//!
//! ```text
//! 0 | texts | symbols            texts: lengths by column, zstd frame
//! 1 | lengths | zstd frame
//! 2 | symbols                    texts among them
//! ```
//!
//! whichever is smaller. `FORMAT.md` has every bit.

use std::sync::Arc;

use zstd_safe::{CCtx, CParameter, DCtx, DParameter, FrameFormat};

use super::ColumnsModel;
use super::coding::{SCALE_BITS, Sink, Source};
use super::dense::Dense;
use super::fault::{Fault, corrupt};
use super::fields::Fields;
use super::framing::{FramingCodec, FramingModel, Head};
use super::model::{Inline, TextSink, TextSource, afford};
use super::registers::Registers;
use super::text::{Spelling, decode_length, encode_length};
use crate::codec::block::{RowSink, Rows};
use crate::codec::{
    Algorithm, BlockCodec, Codec, CodecError, Column, ColumnCodec, ColumnRef, ModelId, ModelSource, NoModels, ZstdCodec,
};
use crate::entropy::{Decoder, Encoder, Share, Slots};
use crate::frame::{Reader, put_varint};
use crate::model::plain::{LEVEL, Plain, ZSTD_MAGIC, append as append_by, checked as checked_by};
use crate::payload::fields::{Page, Steps};

/// States of a column's stream.
const LANES: usize = 2;

/// zstd's level of texts.
const TEXT_LEVEL: i32 = 3;

/// Most bytes of texts that are coded byte by byte in a column: that takes its time.
const MAX_INLINE: usize = 64 << 10;

/// Columns after which it is tried again which way of coding texts is better.
const TRIED_EVERY: u32 = 64;

/// Columns after which one is compared with zstd that is as the model expects. Where zstd was smaller, the next is compared too.
const COMPARED_EVERY: u32 = 64;

/// Columns after which a block is tried in the fallback's hands again where it lost; sooner where zstd saves twice as much.
const TRIED_AGAIN_EVERY: u32 = 64;

/// The first byte of a column.
const GATHERED: u8 = 0;
const PLAIN: u8 = 1;
const INLINE: u8 = 2;

/// Codes with one model. Contexts are made at first use and kept.
pub struct ColumnsCodec {
    model: Arc<ColumnsModel>,
    registers: Registers,
    steps: Steps,
    encoder: Encoder<Share>,
    texts: Gathered,
    coded: Vec<u8>,
    other: Vec<u8>,
    /// What coded the last texts best, and how many columns have been coded since that was tried.
    best: (u8, u32),
    plain: Plain,
    texts_writer: Option<CCtx<'static>>,
    texts_reader: Option<DCtx<'static>>,
    /// Of the last column: the values that framing is predicted from.
    fields: Fields,
    framing: Option<FramingCodec>,
    misfits: u64,
    /// What codes blocks that the model does not fit.
    fallback: ZstdCodec,
    /// Whether zstd made the values of the last column so much smaller that the fallback is worth a try.
    falls_back: bool,
    /// Where the fallback lost: what zstd saved, and columns until it is tried again.
    lost: (usize, u32),
    last: Last,
    /// Columns that may still go without a comparison with zstd, if they are as the model expects.
    trusted: u32,
}

/// The last column.
#[derive(Clone, Copy, Debug, Default)]
struct Last {
    /// Bytes by which zstd made its values smaller.
    saved: usize,
    /// Values that are not counted as misfits.
    fitting: u64,
    /// Whether zstd coded them in place of the model.
    is_plain: bool,
}

/// Texts of a block, column by column.
#[derive(Default)]
struct Gathered {
    columns: Vec<Vec<u8>>,
}

impl TextSink for Gathered {
    #[inline]
    fn put(&mut self, column: usize, text: &[u8], lengths: &Dense, sink: &mut impl Sink) {
        encode_length(lengths, text.len(), sink);
        self.columns[column].extend_from_slice(text);
    }
}

/// Texts of a block on their way back: where each column's next one begins and where its last one ends.
struct Cursors<'a> {
    bytes: &'a [u8],
    columns: Vec<(usize, usize)>,
}

impl TextSource for Cursors<'_> {
    fn take(&mut self, column: usize, lengths: &Dense, source: &mut impl Source, page: &mut Page) -> Result<(), Fault> {
        let length = decode_length(lengths, source);
        afford(page, length)?;
        let (at, end) = &mut self.columns[column];
        if length > *end - *at {
            return Err(Fault::FewTexts);
        }
        page.extend(&self.bytes[*at..*at + length]);
        *at += length;
        Ok(())
    }
}

impl Sink for Encoder<Share> {
    #[inline]
    fn push(&mut self, start: u32, frequency: u32) {
        Encoder::push(self, Share::new(start, frequency, SCALE_BITS));
    }
    #[inline]
    fn raw(&mut self, value: u64, bits: u32) {
        self.push_raw(value, bits);
    }
}

impl<const N: usize> Source for Decoder<'_, N> {
    #[inline(always)]
    fn symbol<S>(&mut self, find: impl FnOnce(u32) -> (S, u32, u32)) -> S {
        Decoder::decode(self, SCALE_BITS, find)
    }
    #[inline]
    fn raw(&mut self, bits: u32) -> u64 {
        Decoder::raw(self, bits)
    }
}

/// What zstd's code means.
fn checked(result: zstd_safe::SafeResult) -> Result<usize, CodecError> {
    checked_by(Algorithm::Columns, result)
}

impl ColumnsCodec {
    /// A codec that codes with this model.
    pub fn new(model: Arc<ColumnsModel>) -> Self {
        let texts = Gathered { columns: vec![Vec::new(); model.model.text_columns()] };
        let fields = model.framing.as_ref().map_or_else(Fields::default, FramingModel::fields);
        let framing = model.framing.as_ref().map(|_| FramingCodec::default());
        Self {
            registers: model.model.start.clone(),
            model,
            steps: Steps::default(),
            encoder: Encoder::default(),
            texts,
            coded: Vec::new(),
            other: Vec::new(),
            best: (INLINE, 0),
            misfits: 0,
            fallback: ZstdCodec::new(LEVEL, &(Arc::new(NoModels) as Arc<dyn ModelSource>)),
            falls_back: false,
            lost: (0, 0),
            last: Last::default(),
            trusted: 0,
            plain: Plain::new(Algorithm::Columns),
            texts_writer: None,
            texts_reader: None,
            fields,
            framing,
        }
    }

    /// Codes the texts that were gathered.
    fn write_texts(&mut self, output: &mut Vec<u8>) -> Result<(), CodecError> {
        let used = self.texts.columns.iter().filter(|text| !text.is_empty()).count();
        put_varint(used as u64, output);
        if used == 0 {
            return Ok(());
        }
        let mut next = 0;
        self.other.clear();
        for (column, text) in self.texts.columns.iter().enumerate().filter(|(_, text)| !text.is_empty()) {
            put_varint((column - next) as u64, output);
            put_varint(text.len() as u64, output);
            next = column + 1;
            self.other.extend_from_slice(text);
        }
        let writer = match &mut self.texts_writer {
            Some(writer) => writer,
            none => {
                let mut writer = CCtx::create();
                checked(writer.set_parameter(CParameter::CompressionLevel(TEXT_LEVEL)))?;
                checked(writer.set_parameter(CParameter::Format(FrameFormat::Magicless)))?;
                checked(writer.set_parameter(CParameter::ContentSizeFlag(false)))?;
                checked(writer.set_parameter(CParameter::DictIdFlag(false)))?;
                checked(writer.load_dictionary(&self.model.dictionary))?;
                none.insert(writer)
            }
        };
        self.coded.clear();
        let room = zstd_safe::compress_bound(self.other.len());
        append(&mut self.coded, room, |tail| writer.compress2(tail, &self.other))?;
        put_varint(self.coded.len() as u64, output);
        output.extend_from_slice(&self.coded);
        Ok(())
    }

    /// Decodes texts into `self.other`; gives where each column's begin and end.
    fn read_texts(&mut self, input: &mut Reader<'_>, limit: usize) -> Result<Vec<(usize, usize)>, CodecError> {
        let mut columns = vec![(0, 0); self.model.model.text_columns()];
        self.other.clear();
        let used = input.varint()?;
        if used == 0 {
            return Ok(columns);
        }
        let (mut next, mut all) = (0u64, 0usize);
        for _ in 0..used {
            let column = next.checked_add(input.varint()?).filter(|column| *column < columns.len() as u64);
            let column = column.ok_or_else(|| corrupt("a text is of a column that is not there"))?;
            let length = usize::try_from(input.varint()?).unwrap_or(usize::MAX);
            let end = all.checked_add(length).filter(|end| *end <= limit).ok_or(CodecError::LimitExceeded { limit })?;
            columns[column as usize] = (all, end);
            (next, all) = (column + 1, end);
        }
        let coded = input.varint()?;
        let coded = input.take(usize::try_from(coded).unwrap_or(usize::MAX))?;
        let reader = match &mut self.texts_reader {
            Some(reader) => reader,
            none => {
                let mut reader = DCtx::create();
                checked(reader.set_parameter(DParameter::Format(FrameFormat::Magicless)))?;
                checked(reader.load_dictionary(&self.model.dictionary))?;
                none.insert(reader)
            }
        };
        append(&mut self.other, all, |tail| reader.decompress(tail, coded)).map_err(corrupt)?;
        if self.other.len() != all {
            return Err(corrupt("its texts have another size than they say"));
        }
        Ok(columns)
    }

    /// Codes a column with the model, its texts as `method` says.
    fn encode_modelled(
        &mut self,
        values: ColumnRef<'_>,
        method: u8,
        output: &mut Vec<u8>,
    ) -> Result<Modelled, CodecError> {
        let model = Arc::clone(&self.model);
        self.texts.columns.iter_mut().for_each(Vec::clear);
        self.registers.begin(&model.model.start);
        self.fields.clear();
        // The symbols wait while the texts, which stand before them, are coded.
        let mut symbols = std::mem::take(&mut self.encoder);
        symbols.clear();
        let mut inline = Inline::new(&model.model);
        let (mut foreign, mut repeated) = (0, 0);
        let mut start = 0;
        let mut last: Option<&[u8]> = None;
        for end in values.ends {
            let record = &values.bytes[start..*end as usize];
            repeated += usize::from(last.replace(record) == Some(record));
            self.steps.walk(&model.model.grammar, record);
            self.fields.walked(&self.steps, start);
            start = *end as usize;
            foreign += usize::from(!self.steps.regular);
            if method == INLINE {
                model.model.encode(record, &self.steps, &mut self.registers, &mut symbols, &mut inline);
            } else {
                model.model.encode(record, &self.steps, &mut self.registers, &mut symbols, &mut self.texts);
            }
        }
        output.push(method);
        let written = if method == INLINE { Ok(()) } else { self.write_texts(output) };
        self.encoder = symbols;
        written?;
        self.encoder.finish::<LANES>(output);
        let text = inline.bytes + self.texts.columns.iter().map(Vec::len).sum::<usize>();
        let few = |records: usize| records * 8 <= values.ends.len();
        let familiar = few(foreign) && few(repeated) && text <= values.bytes.len() / 4 * 3;
        Ok(Modelled { text, familiar, foreign: foreign as u64 })
    }

    /// Whether so many bytes of texts may stand among the symbols of a column.
    fn affords(&self, text: usize) -> bool {
        matches!(self.model.model.spelling, Spelling::Tokens(_)) || text <= MAX_INLINE
    }

    /// Codes a column with the model in the better of two ways: texts gathered for zstd, or among the symbols.
    fn encode_well(&mut self, values: ColumnRef<'_>, output: &mut Vec<u8>) -> Result<Modelled, CodecError> {
        let start = output.len();
        let (best, age) = self.best;
        if !age.is_multiple_of(TRIED_EVERY) {
            let coded = self.encode_modelled(values, best, output)?;
            if best == GATHERED || self.affords(coded.text) {
                self.best.1 += 1;
                return Ok(coded);
            }
            output.truncate(start);
        }
        let coded = self.encode_modelled(values, GATHERED, output)?;
        self.best = (GATHERED, 1);
        if self.affords(coded.text) {
            let gathered = output.split_off(start);
            self.encode_modelled(values, INLINE, output)?;
            let inline = output.len() - start;
            // Being many times slower it must win something where there is much to do.
            if inline + coded.text / 256 < gathered.len() {
                self.best = (INLINE, 1);
            } else {
                output.truncate(start);
                output.extend_from_slice(&gathered);
            }
        }
        Ok(coded)
    }

    /// Codes a column with zstd; gives the length of its frame without those of the values.
    fn encode_plain(&mut self, values: ColumnRef<'_>, output: &mut Vec<u8>) -> Result<usize, CodecError> {
        output.push(PLAIN);
        self.plain.write_column(values, output)
    }
}

/// A column that was coded with the model.
struct Modelled {
    /// Bytes of its texts.
    text: usize,
    /// Whether it was much like what was learned, and not the same again and again.
    familiar: bool,
    /// Values that fit no template.
    foreign: u64,
}

/// Lets zstd write behind what a vector holds.
fn append(
    output: &mut Vec<u8>,
    room: usize,
    write: impl FnOnce(&mut std::io::Cursor<&mut Vec<u8>>) -> zstd_safe::SafeResult,
) -> Result<(), CodecError> {
    append_by(Algorithm::Columns, output, room, write)
}

impl Codec for ColumnsCodec {
    fn algorithm(&self) -> Algorithm {
        Algorithm::Columns
    }

    fn encode(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<(), CodecError> {
        let model = Arc::clone(&self.model);
        let start = output.len();
        if u32::try_from(input.len()).is_ok() {
            self.encoder.clear();
            self.registers.begin(&model.model.start);
            self.steps.walk(&model.model.grammar, input);
            let mut texts = Inline::new(&model.model);
            model.model.encode(input, &self.steps, &mut self.registers, &mut self.encoder, &mut texts);
            self.encoder.finish::<1>(output);
            let written = output.len() - start;
            let mistakable = output[start..].starts_with(&ZSTD_MAGIC);
            // zstd hardly makes a quarter of a record that has no one text, and less than a few bytes of any.
            let familiar = self.steps.regular && texts.bytes <= input.len() / 2;
            let much = if familiar { input.len() / 4 } else { 16 };
            if !mistakable && written <= much {
                return Ok(());
            }
            self.coded.clear();
            let mut frame = std::mem::take(&mut self.coded);
            let result = self.plain.write(input, &mut frame);
            if result.is_ok() && (mistakable || frame.len() < written) {
                output.truncate(start);
                output.extend_from_slice(&frame);
                self.misfits += 1;
            }
            self.coded = frame;
            return result.inspect_err(|_| output.truncate(start));
        }
        self.misfits += 1;
        self.plain.write(input, output)
    }

    fn decode(&mut self, input: &[u8], limit: usize, output: &mut Vec<u8>) -> Result<(), CodecError> {
        let start = output.len();
        if input.starts_with(&ZSTD_MAGIC) {
            return self.plain.read(input, limit, output).inspect_err(|_| output.truncate(start));
        }
        let model = Arc::clone(&self.model);
        self.registers.begin(&model.model.start);
        let mut decoder = Decoder::<1>::new(input).map_err(corrupt)?;
        let mut page = Page::new(std::mem::take(output), limit);
        let decoded = model
            .model
            .decode(&mut self.registers, &mut decoder, &mut Inline::new(&model.model), &mut (), &mut page)
            .map_err(|fault| fault.error(limit))
            .and_then(|()| decoder.finish().map_err(corrupt));
        *output = page.into_bytes();
        decoded.inspect_err(|_| output.truncate(start))
    }

    fn columns(&mut self) -> Option<&mut dyn ColumnCodec> {
        Some(self)
    }

    fn blocks(&mut self) -> Option<&mut dyn BlockCodec> {
        self.framing.is_some().then_some(self)
    }

    fn model(&self) -> Option<ModelId> {
        Some(self.model.id())
    }

    fn fallback(&mut self) -> Option<&mut dyn Codec> {
        Some(&mut self.fallback)
    }

    fn falls_back(&self) -> bool {
        self.falls_back
    }

    fn settle(&mut self, fell_back: bool) {
        if fell_back {
            self.misfits += std::mem::take(&mut self.last.fitting);
            self.lost = (0, 0);
            self.trusted = 0;
        } else {
            self.lost = (self.last.saved, TRIED_AGAIN_EVERY);
            self.trusted = if self.last.is_plain { 0 } else { COMPARED_EVERY };
        }
    }

    fn take_misfits(&mut self) -> u64 {
        std::mem::take(&mut self.misfits)
    }
}

impl ColumnCodec for ColumnsCodec {
    fn encode_column(&mut self, values: ColumnRef<'_>, output: &mut Vec<u8>) -> Result<(), CodecError> {
        let start = output.len();
        self.falls_back = false;
        self.last = Last::default();
        self.lost.1 = self.lost.1.saturating_sub(1);
        let Modelled { familiar, mut foreign, .. } =
            self.encode_well(values, output).inspect_err(|_| output.truncate(start))?;
        let written = output.len() - start;
        // Where the model gains little, it may gain nothing.
        let gains = familiar && written <= values.bytes.len() / 2;
        if written > 16 && (!gains || self.trusted == 0) {
            let mut plain = std::mem::take(&mut self.coded);
            plain.clear();
            let result = self.encode_plain(values, &mut plain);
            if let Ok(frame) = result {
                let (lost, columns) = self.lost;
                self.last.saved = written.saturating_sub(frame);
                self.falls_back = self.last.saved > 0 && (columns == 0 || self.last.saved > 2 * lost);
                self.last.is_plain = plain.len() < written;
                if self.last.is_plain {
                    foreign = values.ends.len() as u64;
                    output.truncate(start);
                    output.extend_from_slice(&plain);
                    self.fields.clear();
                }
            }
            self.coded = plain;
            result.inspect_err(|_| output.truncate(start))?;
            self.trusted = if self.falls_back || self.last.is_plain { 0 } else { COMPARED_EVERY };
        }
        self.trusted = self.trusted.saturating_sub(1);
        self.last.fitting = values.ends.len() as u64 - foreign;
        self.misfits += foreign;
        Ok(())
    }

    fn decode_column(
        &mut self,
        input: &[u8],
        count: usize,
        limit: usize,
        column: &mut Column,
    ) -> Result<(), CodecError> {
        // Nobody asks where its fields stand, and nobody has paid for that.
        let mut fields = std::mem::take(&mut self.fields);
        let result = self.decode_values(input, count, limit, column);
        fields.clear();
        self.fields = fields;
        result
    }
}

impl ColumnsCodec {
    /// Decodes a column, and notes where those of its fields stand that framing is predicted from.
    fn decode_values(
        &mut self,
        input: &[u8],
        count: usize,
        limit: usize,
        column: &mut Column,
    ) -> Result<(), CodecError> {
        let limit = limit.min(u32::MAX as usize);
        self.fields.clear();
        let mut rest = Reader::new(input, 0);
        match rest.byte()? {
            method @ (GATHERED | INLINE) => {
                let columns = if method == GATHERED { self.read_texts(&mut rest, limit)? } else { Vec::new() };
                let model = Arc::clone(&self.model);
                let mut cursors = Cursors { bytes: &self.other, columns };
                let mut decoder = Decoder::<LANES>::new(rest.rest()).map_err(corrupt)?;
                self.registers.begin(&model.model.start);
                let (registers, watch) = (&mut self.registers, &mut self.fields);
                let mut page = Page::new(std::mem::take(&mut column.bytes), limit);
                let mut decoded = Ok(());
                for _ in 0..count {
                    watch.begin();
                    decoded = if method == GATHERED {
                        model.model.decode(registers, &mut decoder, &mut cursors, watch, &mut page)
                    } else {
                        model.model.decode(registers, &mut decoder, &mut Inline::new(&model.model), watch, &mut page)
                    };
                    if decoded.is_err() {
                        break;
                    }
                    column.ends.push(page.len() as u32);
                }
                column.bytes = page.into_bytes();
                decoded.map_err(|fault| fault.error(limit))?;
                decoder.finish().map_err(corrupt)?;
                if cursors.columns.iter().any(|(at, end)| at != end) {
                    return Err(corrupt("a column has more texts than are asked for"));
                }
                Ok(())
            }
            PLAIN => self.plain.read_column(rest, count, limit, column),
            _ => Err(corrupt("its column is coded in no way that there is")),
        }
    }
}

impl BlockCodec for ColumnsCodec {
    fn encode_block(
        &mut self,
        rows: &Rows,
        column: ColumnRef<'_>,
        beside: &mut Vec<u8>,
        values: &mut Vec<u8>,
    ) -> Result<bool, CodecError> {
        self.encode_column(column, values)?;
        let (Some(model), Some(codec)) = (&self.model.framing, &mut self.framing) else { return Ok(false) };
        Ok(codec.encode(model, rows, column, &self.fields, beside))
    }

    fn decode_block(
        &mut self,
        beside: &[u8],
        values: &[u8],
        count: usize,
        rows: &mut RowSink<'_>,
    ) -> Result<(), CodecError> {
        let model = Arc::clone(&self.model);
        let (Some(model), Some(mut codec)) = (&model.framing, self.framing.take()) else {
            return Err(corrupt("its model has no framing"));
        };
        let mut column = std::mem::take(&mut codec.column);
        column.clear();
        let result = Head::read(model, beside, count).and_then(|(head, symbols)| {
            self.fields.afford(head.values(), rows.left())?;
            self.decode_values(values, head.values(), rows.left(), &mut column)?;
            codec.decode(model, &head, symbols, column.as_ref(), &self.fields, rows)
        });
        codec.column = column;
        self.framing = Some(codec);
        result
    }
}
