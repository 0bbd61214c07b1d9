//! Consecutive records of a partition, kept together: what a record says after the one before it is worth learning too.

use crate::codec::{Column, ColumnRef};
use crate::model::Sample;
use crate::record::{RecordRef, Timestamp};

/// Values of consecutive records, of which there is one at least.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    values: Column,
}

impl Run {
    /// Adds a record's value.
    pub fn push(&mut self, value: &[u8]) {
        self.values.push(value);
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Bytes of the values.
    pub fn values_len(&self) -> usize {
        self.values.bytes.len()
    }

    /// The values, oldest first.
    pub fn values(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).filter_map(|index| self.values.get(index))
    }

    /// The records, oldest first, as far as they are known: one after the other in offset and time.
    pub fn records(&self) -> impl Iterator<Item = RecordRef<'_>> {
        self.values().zip(1..).map(|(value, number)| RecordRef {
            key: None,
            value: Some(value),
            headers: Default::default(),
            timestamp: Timestamp::create(number),
            offset: number,
        })
    }

    /// All of them as one column.
    pub fn column(&self) -> ColumnRef<'_> {
        self.values.as_ref()
    }

    /// Gives back memory that is not needed.
    pub fn shrink(&mut self) {
        self.values.bytes.shrink_to_fit();
        self.values.ends.shrink_to_fit();
    }
}

impl Sample for Run {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.values.bytes.capacity() + self.values.ends.capacity() * size_of::<u32>()
    }
}
