//! Records into a block.

use super::columns::{Columns, Index, Strings};
use super::{BlockReader, CHECKSUM_LEN, HEADERS, KEYS, Method, NULL, VALUES};
use crate::codec::{Codec, CodecError, Column};
use crate::frame::{Digest, FrameHeader, Guard, IntegerEncoder, IntegerModels, Kind, put_varint};
use crate::record::{RecordRef, TimestampKind};

/// Gathers records and codes them as one block. Used again for the next block: its memory stays.
#[derive(Default)]
pub struct BlockBuilder {
    columns: Columns,
    index: Index,
    raw_bytes: usize,
    models: IntegerModels,
    digest: Digest,
    integers: Vec<u8>,
    gathered: Vec<u8>,
    coded: Vec<u8>,
    column: Column,
}

impl BlockBuilder {
    /// Adds a record.
    pub fn push(&mut self, record: &RecordRef<'_>) {
        let columns = &mut self.columns;
        columns.offsets.push(record.offset);
        columns.timestamps.push(record.timestamp.millis);
        columns.kinds.push(i64::from(record.timestamp.kind == TimestampKind::LogAppendTime));
        columns.keys.push(record.key);
        columns.values.push(record.value);
        self.index.push(&record.headers, columns);
        self.raw_bytes += record.payload_len();
    }

    /// Number of records.
    pub fn records(&self) -> usize {
        self.columns.len()
    }

    /// Bytes of their keys, values and headers.
    pub fn raw_bytes(&self) -> usize {
        self.raw_bytes
    }

    /// Empties the builder and keeps its memory.
    pub fn clear(&mut self) {
        self.columns.clear();
        self.index.clear();
        self.raw_bytes = 0;
    }

    /// Whether a reader holds exactly these records.
    pub fn holds(&self, reader: &BlockReader) -> bool {
        self.columns == reader.columns
    }

    /// Appends the block. On an error `output` is as it was.
    pub fn encode(&mut self, codec: &mut dyn Codec, output: &mut Vec<u8>) -> Result<(), CodecError> {
        let start = output.len();
        let result = self.write(codec, output);
        if result.is_err() {
            output.truncate(start);
        }
        result
    }

    fn write(&mut self, codec: &mut dyn Codec, output: &mut Vec<u8>) -> Result<(), CodecError> {
        let start = output.len();
        // A codec that takes columns has a format of its own, whose model the frame names. Where a standard stream
        // needs a dictionary, the stream says so itself.
        let model = if codec.columns().is_some() { codec.model() } else { None };
        let guard = model.map_or(Guard::Checksum(0), |model| Guard::Model(model.prefix()));
        let header = FrameHeader { kind: Kind::Block, codec: codec.algorithm() as u8, guard };
        output.extend_from_slice(&header.to_bytes());
        if model.is_some() {
            output.extend_from_slice(&[0; CHECKSUM_LEN]);
        }
        let body = output.len();
        put_varint(self.columns.len() as u64, output);
        let methods_at = output.len();
        output.push(0);
        self.write_integers(codec.columns().is_some());
        put_varint(self.integers.len() as u64, output);
        output.extend_from_slice(&self.integers);

        self.gathered.clear();
        for name in &self.columns.names {
            self.gathered.extend_from_slice(name.as_bytes());
        }
        for strings in &self.columns.headers[..self.columns.names.len()] {
            self.gathered.extend_from_slice(&strings.bytes);
        }
        let mut methods = 0;
        for (place, bytes) in [(HEADERS, &self.gathered), (KEYS, &self.columns.keys.bytes)] {
            self.digest.bytes(bytes);
            let method = code(bytes, codec, &mut self.coded)?;
            if method == Method::Coded {
                put_varint(self.coded.len() as u64, output);
            }
            output.extend_from_slice(if method == Method::Plain { bytes } else { &self.coded });
            methods |= method.bits(place);
        }
        let values = &self.columns.values;
        let method = match codec.columns() {
            Some(columns) => {
                boundaries(values, &mut self.column)?;
                self.column.ends.iter().for_each(|&end| self.digest.integer(i64::from(end)));
                columns.encode_column(self.column.as_ref(), output)?;
                Method::Column
            }
            None => {
                let method = code(&values.bytes, codec, &mut self.coded)?;
                output.extend_from_slice(if method == Method::Plain { &values.bytes } else { &self.coded });
                method
            }
        };
        self.digest.bytes(&values.bytes);
        output[methods_at] = methods | method.bits(VALUES);

        // The checksum stands right before the body and covers every byte but itself.
        self.digest.bytes(&output[start..body - CHECKSUM_LEN]);
        self.digest.bytes(&output[body..]);
        let checksum = self.digest.finish();
        output[body - CHECKSUM_LEN..body].copy_from_slice(&checksum.to_le_bytes());
        Ok(())
    }

    /// Writes all numbers into `self.integers`, and starts the digest with them.
    fn write_integers(&mut self, only_nulls: bool) {
        let Self { columns, models, digest, integers, .. } = self;
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
