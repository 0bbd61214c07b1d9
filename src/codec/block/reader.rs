//! A block into records.

use super::columns::{Columns, Records, Strings};
use super::{CHECKSUM_LEN, FRAMED, HEADERS, KEYS, Method, NULL, RowSink, Rows, VALUES};
use crate::codec::{Algorithm, Codec, CodecError, Column, Decoders, IdentityCodec, ModelRef};
use crate::frame::{Digest, FrameError, FrameHeader, Guard, HEADER_LEN, IntegerDecoder, IntegerModels, Kind, Reader};

/// Bounds of what decoding may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Most bytes of keys, values, headers and the numbers that go with them.
    pub max_bytes: usize,
    /// Most records.
    pub max_records: usize,
}

impl DecodeLimits {
    /// No bounds: for blocks that we wrote a moment ago.
    pub const UNLIMITED: Self = Self { max_bytes: usize::MAX, max_records: usize::MAX };
}

/// Bytes that one record takes in memory beside its key, value and headers: its six numbers.
const RECORD_BYTES: usize = 6 * size_of::<i64>();

/// The same of one header, of one name, and of one place in a list of names.
pub(super) const HEADER_BYTES: usize = size_of::<i64>();
pub(super) const NAME_BYTES: usize = size_of::<String>() + size_of::<Strings>();
pub(super) const PLACE_BYTES: usize = size_of::<usize>();
pub(super) const LIST_BYTES: usize = size_of::<Vec<usize>>();

/// Holds the records of one block. Used again for the next: its memory stays.
#[derive(Default)]
pub struct BlockReader {
    pub(super) rows: Rows,
    models: IntegerModels,
    digest: Digest,
    gathered: Vec<u8>,
    column: Column,
}

/// A frame's parts.
struct Parts<'a> {
    block: &'a [u8],
    header: FrameHeader,
    checksum: u32,
    /// Where the body begins.
    body: usize,
}

impl<'a> Parts<'a> {
    fn of(block: &'a [u8]) -> Result<Self, FrameError> {
        let (header, _) = FrameHeader::parse(block)?;
        if header.kind != Kind::Block {
            return Err(FrameError::Corrupt { what: "a record stands where a block must be", at: 2 });
        }
        let mut rest = Reader::new(block, HEADER_LEN);
        let checksum = match header.guard {
            Guard::Checksum(checksum) => checksum,
            Guard::Model(_) | Guard::ShortModel(_) => rest.u32()?,
        };
        Ok(Self { block, header, checksum, body: rest.at() })
    }

    fn algorithm(&self) -> Result<Algorithm, FrameError> {
        Algorithm::from_frame_byte(self.header.codec)
            .ok_or(FrameError::Corrupt { what: "no codec has this byte", at: 3 })
    }
}

/// What is left of a byte budget.
struct Budget {
    left: usize,
    limit: usize,
}

impl Budget {
    fn spend(&mut self, bytes: usize) -> Result<(), CodecError> {
        self.left = self.left.checked_sub(bytes).ok_or(CodecError::LimitExceeded { limit: self.limit })?;
        Ok(())
    }

    fn spend_each(&mut self, count: usize, bytes: usize) -> Result<(), CodecError> {
        self.spend(count.saturating_mul(bytes))
    }
}

impl BlockReader {
    /// Decodes a block. On an error the reader is empty.
    pub fn decode(&mut self, block: &[u8], decoders: &mut Decoders, limits: &DecodeLimits) -> Result<(), CodecError> {
        self.rows.clear();
        let parts = Parts::of(block)?;
        let codec = decoders.codec(parts.algorithm()?, ModelRef::of(parts.header.guard))?;
        self.emptied(|reader| reader.read(parts, codec, limits))
    }

    /// Decodes a block with the codec that wrote it, or whose fallback did.
    pub fn decode_with(
        &mut self,
        block: &[u8],
        codec: &mut dyn Codec,
        limits: &DecodeLimits,
    ) -> Result<(), CodecError> {
        self.rows.clear();
        let parts = Parts::of(block)?;
        let algorithm = parts.algorithm()?;
        let other = || FrameError::Corrupt { what: "another codec wrote this block", at: 3 };
        let codec = match algorithm == codec.algorithm() {
            true => codec,
            false => codec.fallback().filter(|codec| codec.algorithm() == algorithm).ok_or_else(other)?,
        };
        self.emptied(|reader| reader.read(parts, codec, limits))
    }

    /// Decodes a block that was written with [`IdentityCodec`].
    pub fn decode_uncoded(&mut self, block: &[u8]) -> Result<(), CodecError> {
        self.decode_with(block, &mut IdentityCodec, &DecodeLimits::UNLIMITED)
    }

    /// The records, in order.
    pub fn records(&self) -> Records<'_> {
        self.rows.columns.records()
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.rows.columns.len()
    }

    /// Whether it holds no record.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of the records' keys, values and header values.
    pub fn payload_bytes(&self) -> usize {
        let Columns { keys, values, headers, .. } = &self.rows.columns;
        keys.bytes.len() + values.bytes.len() + headers.iter().map(|strings| strings.bytes.len()).sum::<usize>()
    }

    fn emptied(&mut self, decode: impl FnOnce(&mut Self) -> Result<(), CodecError>) -> Result<(), CodecError> {
        let result = decode(self);
        if result.is_err() {
            self.rows.clear();
        }
        result
    }

    fn read(&mut self, parts: Parts<'_>, codec: &mut dyn Codec, limits: &DecodeLimits) -> Result<(), CodecError> {
        let Parts { block, body, .. } = parts;
        let mut rest = Reader::new(block, body);
        let mut budget = Budget { left: limits.max_bytes, limit: limits.max_bytes };
        let count = rest.varint()?;
        let needed = count;
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if count > limits.max_records {
            let limit = limits.max_records as u64;
            return Err(FrameError::LimitExceeded { what: "the number of records", limit, needed }.into());
        }
        budget.spend_each(count, RECORD_BYTES)?;
        let at = rest.at();
        let methods = rest.byte()?;
        let method = |place| {
            let what = "the methods byte names no method";
            Method::of(methods, place).ok_or(FrameError::Corrupt { what, at })
        };
        let (headers, keys, values) = (method(HEADERS)?, method(KEYS)?, method(VALUES)?);
        let framed = methods & FRAMED != 0;
        let fits = if framed { methods == FRAMED | Method::Column.bits(VALUES) } else { methods >> 6 == 0 };
        if headers == Method::Column || keys == Method::Column || !fits {
            return Err(FrameError::Corrupt { what: "the methods byte has bits that mean nothing", at }.into());
        }
        let length = length(&mut rest)?;
        if framed {
            let framing = rest.take(length)?;
            self.read_framed(framing, rest.rest(), count, codec, &budget)?;
            return self.check(&parts);
        }
        let at = rest.at();
        let integers = rest.take(length)?;
        let names = self.read_integers(integers, count, values == Method::Column, &mut budget, at)?;

        // Header names, then header values name by name.
        let header_bytes =
            self.rows.columns.headers[..names.len()].iter().map(|strings| total(&strings.lengths)).sum::<usize>();
        let name_bytes = names.iter().sum::<usize>();
        let mut gathered = std::mem::take(&mut self.gathered);
        gathered.clear();
        let split = bytes(&mut rest, headers, name_bytes + header_bytes, codec, &mut gathered)
            .and_then(|()| Ok(self.split_headers(&gathered, &names, at)?));
        self.digest.bytes(&gathered);
        self.gathered = gathered;
        split?;

        let expected = total(&self.rows.columns.keys.lengths);
        bytes(&mut rest, keys, expected, codec, &mut self.rows.columns.keys.bytes)?;
        self.digest.bytes(&self.rows.columns.keys.bytes);

        if values == Method::Column {
            self.read_column(rest.rest(), codec, budget.left)?;
        } else {
            let expected = total(&self.rows.columns.values.lengths);
            last(rest.rest(), values, expected, codec, &mut self.rows.columns.values.bytes)?;
        }
        self.check(&parts)
    }

    /// Records from a codec that takes blocks.
    fn read_framed(
        &mut self,
        framing: &[u8],
        values: &[u8],
        count: usize,
        codec: &mut dyn Codec,
        budget: &Budget,
    ) -> Result<(), CodecError> {
        let algorithm = codec.algorithm();
        let corrupt = |detail: &str| CodecError::Corrupt { algorithm, detail: detail.to_owned() };
        let blocks = codec.blocks().ok_or_else(|| corrupt("this codec, or its model, takes no blocks"))?;
        blocks.decode_block(framing, values, count, &mut RowSink::new(&mut self.rows, budget.left))?;
        if self.rows.len() != count {
            return Err(corrupt("a block has another number of records than it says"));
        }
        self.digest.reset();
        self.rows.columns.digest_framing(&mut self.digest);
        Ok(())
    }

    /// Ends the digest with the values and the block's bytes, and compares it.
    fn check(&mut self, parts: &Parts<'_>) -> Result<(), CodecError> {
        let Parts { block, checksum, body, .. } = *parts;
        self.digest.bytes(&self.rows.columns.values.bytes);
        self.digest.bytes(&block[..body - CHECKSUM_LEN]);
        self.digest.bytes(&block[body..]);
        let found = self.digest.finish();
        if found != checksum {
            return Err(FrameError::Checksum { expected: checksum, found }.into());
        }
        Ok(())
    }

    /// Reads all numbers; returns the lengths of the header names. `at` is where they stand in the block.
    fn read_integers(
        &mut self,
        integers: &[u8],
        count: usize,
        only_nulls: bool,
        budget: &mut Budget,
        at: usize,
    ) -> Result<Vec<usize>, CodecError> {
        let corrupt = |what| CodecError::from(FrameError::Corrupt { what, at });
        let unknown = |_| corrupt("a column of numbers has no shape that there is");
        let Self { rows: Rows { columns, .. }, models, digest, .. } = self;
        digest.reset();
        digest.integer(count as i64);
        let mut stream = IntegerDecoder::new(models, digest, integers);
        stream.column(count, &mut columns.offsets).map_err(unknown)?;
        stream.column(count, &mut columns.timestamps).map_err(unknown)?;
        stream.column(count, &mut columns.kinds).map_err(unknown)?;
        if columns.kinds.iter().any(|kind| !(0..=1).contains(kind)) {
            return Err(corrupt("a timestamp has a kind that there is not"));
        }
        stream.column(count, &mut columns.keys.lengths).map_err(unknown)?;
        spend_lengths(&columns.keys.lengths, budget).map_err(|error| error.unwrap_or_else(|| corrupt(LENGTH)))?;
        stream.column(count, &mut columns.values.lengths).map_err(unknown)?;
        if only_nulls && columns.values.lengths.iter().any(|length| *length > 0) {
            return Err(corrupt("a mark of null is none"));
        }
        spend_lengths(&columns.values.lengths, budget).map_err(|error| error.unwrap_or_else(|| corrupt(LENGTH)))?;

        let small = |value: i64| usize::try_from(value).map_err(|_| corrupt(LENGTH));
        let names = small(stream.scalar())?;
        budget.spend_each(names, NAME_BYTES)?;
        let mut name_lengths = Vec::with_capacity(names);
        for _ in 0..names {
            let length = small(stream.scalar())?;
            budget.spend(length)?;
            name_lengths.push(length);
            columns.add_name(String::new());
        }
        let lists = small(stream.scalar())?;
        budget.spend_each(lists, LIST_BYTES)?;
        columns.lists.reserve_exact(lists);
        for _ in 0..lists {
            let length = small(stream.scalar())?;
            budget.spend_each(length, PLACE_BYTES)?;
            let mut list = Vec::with_capacity(length);
            for _ in 0..length {
                let name = small(stream.scalar())?;
                if name >= names {
                    return Err(corrupt("a header has a name that is not there"));
                }
                list.push(name);
            }
            columns.lists.push(list);
        }
        stream.column(count, &mut columns.listed).map_err(unknown)?;
        let mut occurrences = vec![0usize; names];
        for &list in &columns.listed {
            let list = usize::try_from(list).ok().and_then(|list| columns.lists.get(list));
            let list = list.ok_or_else(|| corrupt("a record has a list of headers that is not there"))?;
            budget.spend_each(list.len(), HEADER_BYTES)?;
            list.iter().for_each(|&name| occurrences[name] += 1);
        }
        for (strings, count) in columns.headers.iter_mut().zip(occurrences) {
            stream.column(count, &mut strings.lengths).map_err(unknown)?;
            spend_lengths(&strings.lengths, budget).map_err(|error| error.unwrap_or_else(|| corrupt(LENGTH)))?;
        }
        Ok(name_lengths)
    }

    fn split_headers(&mut self, gathered: &[u8], names: &[usize], at: usize) -> Result<(), FrameError> {
        let mut parts = Reader::new(gathered, 0);
        for (name, &length) in self.rows.columns.names.iter_mut().zip(names) {
            let text = std::str::from_utf8(parts.take(length)?);
            text.map_err(|_| FrameError::Corrupt { what: "a header's name is no UTF-8", at })?.clone_into(name);
        }
        for strings in &mut self.rows.columns.headers[..names.len()] {
            strings.bytes.extend_from_slice(parts.take(total(&strings.lengths))?);
        }
        Ok(())
    }

    /// Values with their boundaries, from a codec that takes columns.
    fn read_column(&mut self, input: &[u8], codec: &mut dyn Codec, limit: usize) -> Result<(), CodecError> {
        let algorithm = codec.algorithm();
        let corrupt = |detail: &str| CodecError::Corrupt { algorithm, detail: detail.to_owned() };
        let values = &mut self.rows.columns.values;
        let count = values.lengths.iter().filter(|&&length| length != NULL).count();
        let columns = codec.columns().ok_or_else(|| corrupt("this codec takes no columns"))?;
        self.column.clear();
        columns.decode_column(input, count, limit, &mut self.column)?;
        let mut ends = self.column.ends.iter();
        let mut start = 0u32;
        for length in values.lengths.iter_mut().filter(|length| **length != NULL) {
            let end = *ends.next().ok_or_else(|| corrupt("a column has too few values"))?;
            *length = i64::from(end.checked_sub(start).ok_or_else(|| corrupt("a value ends before it begins"))?);
            self.digest.integer(i64::from(end));
            start = end;
        }
        if ends.next().is_some() || start as usize != self.column.bytes.len() {
            return Err(corrupt("a column's boundaries are not those of its bytes"));
        }
        values.bytes.extend_from_slice(&self.column.bytes);
        Ok(())
    }
}

const LENGTH: &str = "a length is none";

/// Counts lengths against the budget; `Err(None)` when one of them is no length.
fn spend_lengths(lengths: &[i64], budget: &mut Budget) -> Result<(), Option<CodecError>> {
    for &length in lengths.iter().filter(|&&length| length != NULL) {
        budget.spend(usize::try_from(length).map_err(|_| None)?).map_err(Some)?;
    }
    Ok(())
}

/// The sum of lengths that were counted against a budget before.
fn total(lengths: &[i64]) -> usize {
    lengths.iter().filter(|&&length| length != NULL).map(|&length| length as usize).sum()
}

fn length(rest: &mut Reader<'_>) -> Result<usize, FrameError> {
    // More than the address space is more than there can be.
    rest.varint().map(|length| usize::try_from(length).unwrap_or(usize::MAX))
}

/// Reads a byte column of `expected` bytes that others follow.
fn bytes(
    rest: &mut Reader<'_>,
    method: Method,
    expected: usize,
    codec: &mut dyn Codec,
    output: &mut Vec<u8>,
) -> Result<(), CodecError> {
    let taken = if method == Method::Plain { expected } else { length(rest)? };
    last(rest.take(taken)?, method, expected, codec, output)
}

/// Reads a byte column of `expected` bytes that is all of `input`.
fn last(
    input: &[u8],
    method: Method,
    expected: usize,
    codec: &mut dyn Codec,
    output: &mut Vec<u8>,
) -> Result<(), CodecError> {
    output.clear();
    if method == Method::Plain {
        output.extend_from_slice(input);
    } else {
        codec.decode(input, expected, output)?;
    }
    if output.len() != expected {
        let detail = format!("a column has {} bytes, and its values have {expected}", output.len());
        return Err(CodecError::Corrupt { algorithm: codec.algorithm(), detail });
    }
    Ok(())
}
