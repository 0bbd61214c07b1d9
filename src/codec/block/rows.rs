//! Records as columns, for whoever fills them, reads them or keeps them.

use super::columns::{Columns, Index, Records};
use super::reader::{HEADER_BYTES, LIST_BYTES, NAME_BYTES, PLACE_BYTES};
use crate::codec::CodecError;
use crate::record::{RecordRef, TimestampKind};

/// Records in order, laid out by column: in a fraction of the memory that they take one by one.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    pub(super) columns: Columns,
    index: Index,
    payload: usize,
}

/// The same records in the same order.
impl PartialEq for Rows {
    fn eq(&self, other: &Self) -> bool {
        self.columns == other.columns
    }
}

impl Eq for Rows {}

impl Rows {
    /// Adds a record.
    pub fn push(&mut self, record: &RecordRef<'_>) {
        let columns = &mut self.columns;
        columns.offsets.push(record.offset);
        columns.timestamps.push(record.timestamp.millis);
        columns.kinds.push(i64::from(record.timestamp.kind == TimestampKind::LogAppendTime));
        columns.keys.push(record.key);
        columns.values.push(record.value);
        self.index.push(&record.headers, columns);
        self.payload += record.payload_len();
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The records, in order.
    pub fn records(&self) -> Records<'_> {
        self.columns.records()
    }

    /// Bytes of their keys, values and headers.
    pub fn payload_bytes(&self) -> usize {
        self.payload
    }

    /// Bytes of memory that they take, near enough.
    pub fn memory(&self) -> usize {
        self.columns.memory()
    }

    /// Empties them and keeps their memory.
    pub fn clear(&mut self) {
        self.columns.clear();
        self.index.clear();
        self.payload = 0;
    }

    /// Gives back memory that is not needed. Nothing is to be added any more.
    pub fn shrink(&mut self) {
        self.columns.shrink();
        self.index = Index::default();
    }
}

/// Takes the records of a block that is decoded, and counts them against what decoding may make.
pub struct RowSink<'a> {
    rows: &'a mut Rows,
    left: usize,
    limit: usize,
}

impl<'a> RowSink<'a> {
    /// Adds records to `rows`, of at most `limit` bytes: of their keys, values and headers, and of what headers take beside
    /// these.
    pub fn new(rows: &'a mut Rows, limit: usize) -> Self {
        Self { rows, left: limit, limit }
    }

    /// Adds a record.
    pub fn push(&mut self, record: &RecordRef<'_>) -> Result<(), CodecError> {
        let values: usize = record.headers.iter().filter_map(|header| header.value).map(<[u8]>::len).sum();
        let strings = record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len) + values;
        self.spend(strings.saturating_add(record.headers.len().saturating_mul(HEADER_BYTES)))?;
        let columns = &self.rows.columns;
        let (names, lists) = (columns.names.len(), columns.lists.len());
        self.rows.push(record);
        // Names and lists of them that were not there yet.
        let columns = &self.rows.columns;
        let names: usize = columns.names[names..].iter().map(|name| name.len() + NAME_BYTES).sum();
        let lists: usize = columns.lists[lists..].iter().map(|list| list.len() * PLACE_BYTES + LIST_BYTES).sum();
        self.spend(names + lists)
    }

    fn spend(&mut self, bytes: usize) -> Result<(), CodecError> {
        self.left = self.left.checked_sub(bytes).ok_or(CodecError::LimitExceeded { limit: self.limit })?;
        Ok(())
    }

    /// Bytes that may still be made.
    pub fn left(&self) -> usize {
        self.left
    }
}
