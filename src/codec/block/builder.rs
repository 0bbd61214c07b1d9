//! Records into a block.

use super::columns::Strings;
use super::{BlockReader, CHECKSUM_LEN, FRAMED, HEADERS, KEYS, Method, NULL, Rows, VALUES};
use crate::codec::{Algorithm, Codec, CodecError, Column};
use crate::frame::{Digest, FrameHeader, Guard, IntegerEncoder, IntegerModels, Kind, put_varint, varint_len};
use crate::record::RecordRef;

/// Blocks after which it is tried again what the container's own coding of all beside the values would take.
const COMPARED_EVERY: u32 = 64;

/// Gathers records and codes them as one block. Used again for the next block: its memory stays.
#[derive(Default)]
pub struct BlockBuilder {
    rows: Rows,
    models: IntegerModels,
    digest: Digest,
    integers: Vec<u8>,
    gathered: Vec<u8>,
    coded: Vec<u8>,
    column: Column,
    /// What a codec of blocks makes: of what stands beside the values, and of the values.
    framing: Vec<u8>,
    coded_values: Vec<u8>,
    /// Everything beside the values as the container codes it by itself.
    generic: Vec<u8>,
    compared: Compared,
    /// The block in a fallback's hands.
    instead: Vec<u8>,
}

/// What the container's own coding took when it was last compared with a codec's.
#[derive(Default)]
struct Compared {
    /// Blocks that may still go without a comparison.
    left: u32,
    /// Bytes of so many records.
    generic: usize,
    records: usize,
}

impl Compared {
    /// Whether what a codec has made of so many records is so small that no comparison is needed: next to nothing, or much less
    /// than the container needed lately.
    fn is_needless(&mut self, framing: usize, records: usize) -> bool {
        if framing <= 16 + records / 16 {
            return true;
        }
        let lately = self.left > 0 && framing * 4 * self.records <= self.generic * 3 * records;
        self.left = self.left.saturating_sub(1);
        lately
    }
}

impl BlockBuilder {
    /// Adds a record.
    pub fn push(&mut self, record: &RecordRef<'_>) {
        self.rows.push(record);
    }

    /// Number of records.
    pub fn records(&self) -> usize {
        self.rows.len()
    }

    /// Bytes of their keys, values and headers.
    pub fn raw_bytes(&self) -> usize {
        self.rows.payload_bytes()
    }

    /// Empties the builder and keeps its memory.
    pub fn clear(&mut self) {
        self.rows.clear();
    }

    /// Whether a reader holds exactly these records.
    pub fn holds(&self, reader: &BlockReader) -> bool {
        self.rows.columns == reader.rows.columns
    }

    /// Appends the block; gives the codec that it names, which may be a fallback. On an error `output` is as it was.
    pub fn encode(&mut self, codec: &mut dyn Codec, output: &mut Vec<u8>) -> Result<Algorithm, CodecError> {
        let start = output.len();
        let result = self.write(codec, output);
        if result.is_err() {
            output.truncate(start);
        }
        result
    }

    /// Writes the block with a codec, or with its fallback where that is smaller; gives which.
    fn write(&mut self, codec: &mut dyn Codec, output: &mut Vec<u8>) -> Result<Algorithm, CodecError> {
        let start = output.len();
        let mut algorithm = codec.algorithm();
        self.write_with(codec, output)?;
        if codec.falls_back()
            && let Some(fallback) = codec.fallback()
        {
            let mut instead = std::mem::take(&mut self.instead);
            instead.clear();
            let other = fallback.algorithm();
            let result = self.write_with(fallback, &mut instead);
            let fell_back = result.is_ok() && instead.len() < output.len() - start;
            if fell_back {
                output.truncate(start);
                output.extend_from_slice(&instead);
                algorithm = other;
            }
            self.instead = instead;
            result?;
            codec.settle(fell_back);
        }
        Ok(algorithm)
    }

    fn write_with(&mut self, codec: &mut dyn Codec, output: &mut Vec<u8>) -> Result<(), CodecError> {
        let start = output.len();
        // A codec that takes columns has a format of its own, whose model the frame names. Where a standard stream
        // needs a dictionary, the stream says so itself.
        let model = if codec.columns().is_some() { codec.model() } else { None };
        let guard = model.map_or(Guard::Checksum(0), |model| Guard::Model(model.prefix()));
        let header = FrameHeader { kind: Kind::Block, codec: codec.algorithm() as u8, guard };
        header.write(output);
        if model.is_some() {
            output.extend_from_slice(&[0; CHECKSUM_LEN]);
        }
        let body = output.len();
        put_varint(self.rows.len() as u64, output);
        let methods_at = output.len();
        output.push(0);
        let methods = if codec.columns().is_some() {
            boundaries(&self.rows.columns.values, &mut self.column)?;
            self.write_with_columns(codec, output)?
        } else {
            self.generic.clear();
            let methods = self.write_framing(codec, false)?;
            output.extend_from_slice(&self.generic);
            let values = &self.rows.columns.values.bytes;
            let method = code(values, codec, &mut self.coded)?;
            output.extend_from_slice(if method == Method::Plain { values } else { &self.coded });
            methods | method.bits(VALUES)
        };
        self.digest.bytes(&self.rows.columns.values.bytes);
        output[methods_at] = methods;

        // The checksum stands right before the body and covers every byte but itself.
        self.digest.bytes(&output[start..body - CHECKSUM_LEN]);
        self.digest.bytes(&output[body..]);
        let checksum = self.digest.finish();
        output[body - CHECKSUM_LEN..body].copy_from_slice(&checksum.to_le_bytes());
        Ok(())
    }

    /// Writes what stands behind the methods, with a codec that takes columns and may take blocks; gives the methods.
    fn write_with_columns(&mut self, codec: &mut dyn Codec, output: &mut Vec<u8>) -> Result<u8, CodecError> {
        self.framing.clear();
        self.coded_values.clear();
        let framed = match codec.blocks() {
            Some(blocks) => {
                blocks.encode_block(&self.rows, self.column.as_ref(), &mut self.framing, &mut self.coded_values)?
            }
            None => {
                let algorithm = codec.algorithm();
                let columns = codec.columns().ok_or_else(|| algorithm.corrupt("this codec takes no columns"))?;
                columns.encode_column(self.column.as_ref(), &mut self.coded_values)?;
                false
            }
        };
        let records = self.rows.len();
        let framing = self.framing.len();
        let mut methods = Method::Column.bits(VALUES);
        self.generic.clear();
        let cheap = framed && self.compared.is_needless(framing, records);
        if !cheap {
            methods |= self.write_framing(codec, true)?;
            self.compared = Compared { left: COMPARED_EVERY, generic: self.generic.len(), records };
        }
        if framed && (cheap || varint_len(framing as u64) + framing < self.generic.len()) {
            put_varint(framing as u64, output);
            output.extend_from_slice(&self.framing);
            self.digest.reset();
            self.rows.columns.digest_framing(&mut self.digest);
            methods = Method::Column.bits(VALUES) | FRAMED;
        } else {
            output.extend_from_slice(&self.generic);
            self.column.ends.iter().for_each(|&end| self.digest.integer(i64::from(end)));
        }
        output.extend_from_slice(&self.coded_values);
        Ok(methods)
    }

    /// Writes all that stands between the methods and the values into `self.generic`, and starts the digest with it; gives
    /// the methods of headers and keys.
    fn write_framing(&mut self, codec: &mut dyn Codec, only_nulls: bool) -> Result<u8, CodecError> {
        self.write_integers(only_nulls);
        let columns = &self.rows.columns;
        put_varint(self.integers.len() as u64, &mut self.generic);
        self.generic.extend_from_slice(&self.integers);
        self.gathered.clear();
        for name in &columns.names {
            self.gathered.extend_from_slice(name.as_bytes());
        }
        for strings in &columns.headers[..columns.names.len()] {
            self.gathered.extend_from_slice(&strings.bytes);
        }
        let mut methods = 0;
        for (place, bytes) in [(HEADERS, &self.gathered), (KEYS, &columns.keys.bytes)] {
            self.digest.bytes(bytes);
            let method = code(bytes, codec, &mut self.coded)?;
            if method == Method::Coded {
                put_varint(self.coded.len() as u64, &mut self.generic);
            }
            self.generic.extend_from_slice(if method == Method::Plain { bytes } else { &self.coded });
            methods |= method.bits(place);
        }
        Ok(methods)
    }

    /// Writes all numbers into `self.integers`, and starts the digest with them.
    fn write_integers(&mut self, only_nulls: bool) {
        let Self { rows: Rows { columns, .. }, models, digest, integers, .. } = self;
        integers.clear();
        digest.reset();
        digest.integer(columns.len() as i64);
        let mut stream = IntegerEncoder::new(models, digest, integers);
        stream.column(&columns.offsets);
        stream.column(&columns.timestamps);
        stream.column(&columns.kinds);
        stream.column(&columns.keys.lengths);
        if only_nulls {
            let nulls: Vec<i64> = columns.values.lengths.iter().map(|&length| length.min(0)).collect();
            stream.column(&nulls);
        } else {
            stream.column(&columns.values.lengths);
        }
        stream.scalar(columns.names.len() as i64);
        for name in &columns.names {
            stream.scalar(name.len() as i64);
        }
        stream.scalar(columns.lists.len() as i64);
        for list in &columns.lists {
            stream.scalar(list.len() as i64);
            for &name in list {
                stream.scalar(name as i64);
            }
        }
        stream.column(&columns.listed);
        for strings in &columns.headers[..columns.names.len()] {
            stream.column(&strings.lengths);
        }
        stream.finish();
    }
}

/// Codes a column into `coded`, or says that it is better left as it is.
fn code(bytes: &[u8], codec: &mut dyn Codec, coded: &mut Vec<u8>) -> Result<Method, CodecError> {
    coded.clear();
    if bytes.is_empty() {
        return Ok(Method::Plain);
    }
    codec.encode(bytes, coded)?;
    Ok(if coded.len() < bytes.len() { Method::Coded } else { Method::Plain })
}

/// The strings that are not null, with their boundaries.
fn boundaries(strings: &Strings, column: &mut Column) -> Result<(), CodecError> {
    column.clear();
    column.bytes.extend_from_slice(&strings.bytes);
    let mut end = 0u32;
    for &length in strings.lengths.iter().filter(|&&length| length != NULL) {
        end = u32::try_from(length)
            .ok()
            .and_then(|length| end.checked_add(length))
            .ok_or(CodecError::LimitExceeded { limit: u32::MAX as usize })?;
        column.ends.push(end);
    }
    Ok(())
}
