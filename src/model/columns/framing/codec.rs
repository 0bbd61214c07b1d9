//! The framing of a block to symbols, and back.

use super::form::{number, put_number};
use super::head::Head;
use super::model::FramingModel;
use super::parts::{BYTES, FORMULAS, KEY, NULL, TEXT};
use crate::codec::block::{RowSink, Rows};
use crate::codec::{CodecError, Column, ColumnRef};
use crate::entropy::{Decoder, Encoder, Share};
use crate::model::columns::coding::{Sink, Source};
use crate::model::columns::dense::Dense;
use crate::model::columns::fault::{Fault, corrupt};
use crate::model::columns::fields::Fields;
use crate::model::columns::model::{TextSink, TextSource, afford};
use crate::model::columns::registers::Registers;
use crate::model::columns::text::{decode_length, encode_length};
use crate::payload::fields::Page;
use crate::record::{HeaderRef, HeaderRefs, RecordRef, Timestamp};

/// States of the stream.
const LANES: usize = 2;

/// Bits of the number of headers in a list that is not known.
const COUNT_BITS: u32 = 32;

/// Bytes that one header is taken to be at least, so that a list cannot claim more of them than may be made.
const HEADER_BYTES: usize = size_of::<HeaderRef<'_>>();

/// Codes framing. Its memory stays.
#[derive(Default)]
pub(in crate::model::columns) struct FramingCodec {
    registers: Registers,
    encoder: Encoder<Share>,
    /// Digits of a number; the text of a key; that of a header's value.
    digits: Vec<u8>,
    key: Vec<u8>,
    value: Vec<u8>,
    /// A record that is decoded: key, values, and names that are new.
    bytes: Page,
    /// Digits of a number that is decoded.
    number: Page,
    headers: Vec<(Name, Span)>,
    /// The values of a block that is decoded.
    pub column: Column,
}

/// Texts of framing stand among the symbols: each byte by its field's own distribution, or by what the bytes before it say.
struct Texts<'a>(&'a FramingModel);

impl Texts<'_> {
    fn bytes(&self, column: usize) -> Option<&Dense> {
        let field = column.checked_sub(self.0.places.field(KEY))?;
        self.0.fields.get(field)?.bytes.as_ref()
    }
}

impl TextSink for Texts<'_> {
    fn put(&mut self, column: usize, text: &[u8], lengths: &Dense, sink: &mut impl Sink) {
        encode_length(lengths, text.len(), sink);
        match self.bytes(column) {
            Some(bytes) => text.iter().for_each(|byte| bytes.encode(u16::from(*byte), sink)),
            None => self.0.text.encode(column, text, sink),
        }
    }
}

impl TextSource for Texts<'_> {
    fn take(&mut self, column: usize, lengths: &Dense, source: &mut impl Source, page: &mut Page) -> Result<(), Fault> {
        let length = decode_length(lengths, source);
        afford(page, length)?;
        match self.bytes(column) {
            Some(bytes) => (0..length).for_each(|_| page.push(bytes.decode(source) as u8)),
            None => self.0.text.decode(column, length, source, page),
        }
        Ok(())
    }
}

/// Where bytes of a record stand; nothing for null.
type Span = Option<(usize, usize)>;

/// A header's name.
#[derive(Clone, Copy, Debug)]
enum Name {
    Known(u16),
    New((usize, usize)),
}

impl FramingCodec {
    fn begin(&mut self, model: &FramingModel, head: &Head) {
        let places = model.places;
        if self.registers.len() == places.all() {
            self.registers.begin(&model.start);
        } else {
            self.registers = model.start.clone();
        }
        self.registers.set(places.offset(), head.offset);
        if let Some(timestamp) = head.timestamp {
            self.registers.set(places.timestamp(), timestamp);
        }
    }

    /// Appends the framing of records whose values that are not null are those of `column`, with the fields that were seen
    /// in them; `false`, and nothing, where it is not one that this can code.
    pub fn encode(
        &mut self,
        model: &FramingModel,
        rows: &Rows,
        column: ColumnRef<'_>,
        fields: &Fields,
        output: &mut Vec<u8>,
    ) -> bool {
        let Some(head) = Head::of(model, rows) else { return false };
        self.begin(model, &head);
        self.encoder.clear();
        let places = model.places;
        let mut row = 0;
        for record in rows.records() {
            let known = record.value.is_some();
            if head.nulls > 0 {
                self.choose(model, places.nulls(), u16::from(!known));
            }
            let field = |place: usize| if known { fields.text(row, place, column.bytes) } else { None };
            model.import(&mut self.registers, field);
            self.encode_number(model, places.offset(), record.offset);
            self.encode_number(model, places.timestamp(), record.timestamp.millis);
            let source = |source: u16| field(model.place_of(source)?);
            self.encode_field(model, KEY, record.key, source);

            let mut key = std::mem::take(&mut self.key);
            let key_text = record.key.and_then(|bytes| model.fields[KEY].form.text(bytes, &mut key));
            let source =
                |source: u16| if source == places.key_source() { key_text } else { field(model.place_of(source)?) };
            let list = model.list_of(&record.headers);
            self.choose(model, places.list(), list.unwrap_or(model.lists.len()) as u16);
            match list {
                Some(list) => {
                    for (name, header) in model.lists[list].iter().zip(&record.headers) {
                        self.encode_field(model, KEY + 1 + usize::from(*name), header.value, source);
                    }
                }
                None => {
                    self.encoder.raw(record.headers.len() as u64, COUNT_BITS);
                    for header in &record.headers {
                        encode_length(&model.lengths, header.name.len(), &mut self.encoder);
                        model.text.encode(places.list(), header.name.as_bytes(), &mut self.encoder);
                        self.encode_field(model, model.field_of(header.name), header.value, source);
                    }
                }
            }
            self.key = key;
            row += usize::from(known);
        }
        head.write(output);
        self.encoder.finish::<LANES>(output);
        true
    }

    /// Codes a choice, which becomes its column's value.
    #[inline]
    fn choose(&mut self, model: &FramingModel, column: usize, symbol: u16) {
        model.column(column).put(symbol, &self.registers, &mut self.encoder);
        self.registers.push(column, i64::from(symbol));
    }

    #[inline]
    fn encode_number(&mut self, model: &FramingModel, column: usize, number: i64) {
        let mut digits = std::mem::take(&mut self.digits);
        digits.clear();
        put_number(number, &mut digits);
        self.encode_text(model, column, &digits);
        self.digits = digits;
    }

    #[inline]
    fn encode_text(&mut self, model: &FramingModel, column: usize, text: &[u8]) {
        let (registers, encoder) = (&mut self.registers, &mut self.encoder);
        model.column(column).encode_value(column, text, registers, encoder, &mut Texts(model));
    }

    fn encode_field<'a>(
        &mut self,
        model: &FramingModel,
        field: usize,
        bytes: Option<&[u8]>,
        source: impl Fn(u16) -> Option<&'a [u8]> + Copy,
    ) {
        let places = model.places;
        let Some(bytes) = bytes else { return self.choose(model, places.how(field), NULL) };
        let parts = &model.fields[field];
        let mut value = std::mem::take(&mut self.value);
        match parts.form.text(bytes, &mut value) {
            Some(text) => match parts.formulas.iter().position(|formula| formula.makes(text, source)) {
                Some(formula) => self.choose(model, places.how(field), FORMULAS + formula as u16),
                None => {
                    self.choose(model, places.how(field), TEXT);
                    self.encode_text(model, places.field(field), text);
                }
            },
            None => {
                self.choose(model, places.how(field), BYTES);
                self.encode_text(model, places.field(field), bytes);
            }
        }
        self.value = value;
    }

    /// Decodes records from behind a head; `column` has their values, and `fields` what was seen in them.
    pub fn decode(
        &mut self,
        model: &FramingModel,
        head: &Head,
        input: &[u8],
        column: ColumnRef<'_>,
        fields: &Fields,
        rows: &mut RowSink<'_>,
    ) -> Result<(), CodecError> {
        self.begin(model, head);
        let mut decoder = Decoder::<LANES>::new(input).map_err(corrupt)?;
        let places = model.places;
        let mut row = 0;
        let mut start = 0;
        for _ in 0..head.records {
            let limit = rows.left();
            let known = head.nulls == 0 || self.chosen(model, places.nulls(), &mut decoder) == 0;
            let mut value = None;
            if known {
                let end = *column.ends.get(row).ok_or_else(|| corrupt("its framing has more values than there are"))?;
                value = column.bytes.get(start..end as usize);
                start = end as usize;
            }
            let field = |place: usize| if known { fields.text(row, place, column.bytes) } else { None };
            model.import(&mut self.registers, field);
            let fault = |fault: Fault| fault.error(limit);
            let offset = self.decode_number(model, places.offset(), &mut decoder).map_err(fault)?;
            let millis = self.decode_number(model, places.timestamp(), &mut decoder).map_err(fault)?;
            self.bytes.rewind(0, limit);
            let source = |source: u16| field(model.place_of(source)?);
            let key_at = self.decode_field(model, KEY, source, &mut decoder, limit).map_err(fault)?;
            let mut key = std::mem::take(&mut self.key);
            key.clear();
            let mut has_key = false;
            if let Some((start, end)) = key_at {
                // The bytes of a record move as it grows.
                let mut digits = std::mem::take(&mut self.digits);
                if let Some(text) = model.fields[KEY].form.text(self.bytes.between(start, end), &mut digits) {
                    key.extend_from_slice(text);
                    has_key = true;
                }
                self.digits = digits;
            }
            let key_text = has_key.then_some(key.as_slice());
            let source =
                |source: u16| if source == places.key_source() { key_text } else { field(model.place_of(source)?) };
            let decoded = self.decode_headers(model, source, &mut decoder, limit).map_err(fault);
            self.key = key;
            decoded?;
            let span = |(start, end): (usize, usize)| self.bytes.between(start, end);
            let mut headers = HeaderRefs::new();
            for (name, value) in &self.headers {
                let name = match *name {
                    Name::Known(name) => model.names[usize::from(name)].as_str(),
                    Name::New(at) => {
                        std::str::from_utf8(span(at)).map_err(|_| corrupt("a header's name is no UTF-8"))?
                    }
                };
                headers.push(HeaderRef { name, value: value.map(span) });
            }
            let timestamp = Timestamp { kind: head.kind, millis };
            rows.push(&RecordRef { key: key_at.map(span), value, headers, timestamp, offset })?;
            row += usize::from(known);
        }
        decoder.finish().map_err(corrupt)?;
        if row != head.values() {
            return Err(corrupt("its framing has fewer values than there are"));
        }
        Ok(())
    }

    #[inline]
    fn chosen(&mut self, model: &FramingModel, column: usize, source: &mut impl Source) -> u16 {
        let symbol = model.column(column).take(&self.registers, source);
        self.registers.push(column, i64::from(symbol));
        symbol
    }

    #[inline]
    fn decode_number(&mut self, model: &FramingModel, column: usize, decoder: &mut impl Source) -> Result<i64, Fault> {
        /// Digits of an i64, and a sign.
        const MOST: usize = 20;
        self.number.rewind(0, MOST);
        let registers = &mut self.registers;
        let texts = &mut Texts(model);
        let decoded = model.column(column).decode_value(column, registers, decoder, texts, &mut self.number);
        let digits = self.number.since(0);
        let number = decoded.and_then(|()| number(digits).ok_or(Fault::NoNumber));
        // What is longer than any number is none.
        number.map_err(|_| Fault::NoNumber)
    }

    /// Appends a field's bytes to those of the record.
    fn decode_field<'a>(
        &mut self,
        model: &FramingModel,
        field: usize,
        source: impl Fn(u16) -> Option<&'a [u8]> + Copy,
        decoder: &mut impl Source,
        limit: usize,
    ) -> Result<Span, Fault> {
        let places = model.places;
        let parts = &model.fields[field];
        let how = self.chosen(model, places.how(field), decoder);
        let start = self.bytes.len();
        if how == NULL {
            return Ok(None);
        }
        if let Some(formula) = how.checked_sub(FORMULAS) {
            let formula = parts.formulas.get(usize::from(formula)).ok_or(Fault::NoFormula)?;
            let length = formula.len(source).ok_or(Fault::NoField)?;
            if length > limit.saturating_sub(start) {
                return Err(Fault::Limit);
            }
            formula.write_text(source, &mut self.bytes);
        } else {
            let column = places.field(field);
            let (registers, texts) = (&mut self.registers, &mut Texts(model));
            // The text of a binary number is longer than the number.
            let Some(left) = limit.saturating_add(DIGITS).checked_sub(start) else { return Err(Fault::Limit) };
            self.bytes.rewind(start, left);
            model.column(column).decode_value(column, registers, decoder, texts, &mut self.bytes)?;
        }
        if how != BYTES {
            parts.form.untext(&mut self.bytes, start).ok_or(Fault::NotBinary)?;
        }
        if self.bytes.len() > limit {
            return Err(Fault::Limit);
        }
        Ok(Some((start, self.bytes.len())))
    }

    fn decode_headers<'a>(
        &mut self,
        model: &FramingModel,
        source: impl Fn(u16) -> Option<&'a [u8]> + Copy,
        decoder: &mut impl Source,
        limit: usize,
    ) -> Result<(), Fault> {
        self.headers.clear();
        let list = usize::from(self.chosen(model, model.places.list(), decoder));
        if let Some(list) = model.lists.get(list) {
            for name in list {
                let value = self.decode_field(model, KEY + 1 + usize::from(*name), source, decoder, limit)?;
                self.headers.push((Name::Known(*name), value));
            }
            return Ok(());
        }
        let count = decoder.raw(COUNT_BITS) as usize;
        if count.saturating_mul(HEADER_BYTES) > limit {
            return Err(Fault::Limit);
        }
        for _ in 0..count {
            let start = self.bytes.len();
            let length = decode_length(&model.lengths, decoder);
            if length > limit.saturating_sub(start) {
                return Err(Fault::Limit);
            }
            model.text.decode(model.places.list(), length, decoder, &mut self.bytes);
            let end = self.bytes.len();
            let name = std::str::from_utf8(self.bytes.between(start, end));
            let field = model.field_of(name.map_err(|_| Fault::NoName)?);
            let value = self.decode_field(model, field, source, decoder, limit)?;
            self.headers.push((Name::New((start, end)), value));
        }
        Ok(())
    }
}

/// Digits of an i64 and its sign.
const DIGITS: usize = 20;
