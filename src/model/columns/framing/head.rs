//! What a block's framing begins with.

use super::model::FramingModel;
use crate::codec::CodecError;
use crate::codec::block::Rows;
use crate::frame::{FrameError, Reader, put_signed, put_varint};
use crate::record::TimestampKind;

/// Bits of the first byte: timestamps are the broker's; there are records without a value.
const APPEND: u8 = 1;
const NULLS: u8 = 2;

/// What all records of a block have in common, and what the first follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::model::columns) struct Head {
    pub records: usize,
    pub kind: TimestampKind,
    /// Records without a value.
    pub nulls: usize,
    /// What is taken for the offset before the first.
    pub offset: i64,
    /// What is taken for the timestamp before the first, where timestamps follow the one before.
    pub timestamp: Option<i64>,
}

impl Head {
    /// Of some records; nothing where there are none, or their timestamps are of both kinds.
    pub fn of(model: &FramingModel, rows: &Rows) -> Option<Self> {
        let mut records = rows.records();
        let first = records.next()?;
        let kind = first.timestamp.kind;
        let mut nulls = usize::from(first.value.is_none());
        for record in records {
            if record.timestamp.kind != kind {
                return None;
            }
            nulls += usize::from(record.value.is_none());
        }
        let (offset, timestamp) = model.before(first.offset, first.timestamp.millis);
        let timestamp = model.follows_timestamps().then_some(timestamp);
        Some(Self { records: rows.len(), kind, nulls, offset, timestamp })
    }

    /// Records with a value.
    pub fn values(&self) -> usize {
        self.records - self.nulls
    }

    /// Appends the head's bytes.
    pub fn write(&self, output: &mut Vec<u8>) {
        let append = if self.kind == TimestampKind::LogAppendTime { APPEND } else { 0 };
        output.push(append | if self.nulls > 0 { NULLS } else { 0 });
        if self.nulls > 0 {
            put_varint(self.nulls as u64, output);
        }
        put_signed(self.offset, output);
        if let Some(timestamp) = self.timestamp {
            put_signed(timestamp, output);
        }
    }

    /// Reads what [`Head::write`] has written of so many records; gives the bytes behind it.
    pub fn read<'a>(model: &FramingModel, input: &'a [u8], records: usize) -> Result<(Self, &'a [u8]), CodecError> {
        let mut input = Reader::new(input, 0);
        let flags = input.byte()?;
        if flags & !(APPEND | NULLS) != 0 {
            return Err(FrameError::Corrupt { what: "framing has flags that mean nothing", at: 0 }.into());
        }
        let kind = if flags & APPEND == 0 { TimestampKind::CreateTime } else { TimestampKind::LogAppendTime };
        let nulls = if flags & NULLS == 0 { 0 } else { input.varint()? };
        let nulls = usize::try_from(nulls).ok().filter(|nulls| *nulls <= records);
        let nulls = nulls.ok_or(FrameError::Corrupt { what: "more values are null than there are", at: 1 })?;
        let offset = input.signed()?;
        let timestamp = if model.follows_timestamps() { Some(input.signed()?) } else { None };
        Ok((Self { records, kind, nulls, offset, timestamp }, input.rest()))
    }
}
