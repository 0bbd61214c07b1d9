//! Consecutive records of a partition, kept together: what a record says after the one before it is worth learning too.

use crate::codec::block::Rows;
use crate::codec::{Column, ColumnRef};
use crate::model::Sample;
use crate::record::{RecordRef, Timestamp};

/// Values of consecutive records, of which there is one at least; and, where they are kept, the keys, headers, timestamps
/// and offsets of these records and of those between them that have no value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    values: Column,
    /// Records without their values: a value is empty where there is one.
    framing: Option<Box<Rows>>,
}

/// Bytes that a record's numbers take.
const NUMBERS: usize = 6 * size_of::<i64>();

impl Run {
    /// Adds a record's value. Of runs whose records have nothing else.
    pub fn push(&mut self, value: &[u8]) {
        self.values.push(value);
    }

    /// Adds a record with all that it has. Of runs that have such records only.
    pub fn push_record(&mut self, record: &RecordRef<'_>) {
        if let Some(value) = record.value {
            self.values.push(value);
        }
        let without = RecordRef { value: record.value.map(|_| &b""[..]), ..record.clone() };
        self.framing.get_or_insert_default().push(&without);
    }

    /// Number of values.
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

    /// Bytes of the values and of all that is kept beside them.
    pub fn all_len(&self) -> usize {
        let framing = self.framing.as_ref().map_or(0, |rows| rows.payload_bytes() + rows.len() * NUMBERS);
        self.values_len() + framing
    }

    /// The values, oldest first.
    pub fn values(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).filter_map(|index| self.values.get(index))
    }

    /// The records, oldest first, as far as they are known: where only values are, one after the other in offset and time.
    pub fn records(&self) -> impl Iterator<Item = RecordRef<'_>> {
        let mut values = self.values();
        let framing = self.framing.iter().flat_map(|rows| rows.records());
        let plain = (1..=self.len() as i64).take(if self.framing.is_some() { 0 } else { usize::MAX });
        let plain = plain.map(|number| RecordRef {
            key: None,
            value: Some(&b""[..]),
            headers: Default::default(),
            timestamp: Timestamp::create(number),
            offset: number,
        });
        framing.chain(plain).map(move |record| RecordRef { value: record.value.and_then(|_| values.next()), ..record })
    }

    /// Number of records, those without a value among them.
    pub fn records_len(&self) -> usize {
        self.framing.as_ref().map_or(self.len(), |rows| rows.len())
    }

    /// All values as one column.
    pub fn column(&self) -> ColumnRef<'_> {
        self.values.as_ref()
    }

    /// The older records, so many bytes of them at most and one at least, and the others.
    pub fn split(&self, bytes: usize) -> [Self; 2] {
        let (mut older, mut newer) = (Self::default(), Self::default());
        for record in self.records() {
            let takes = match self.framing {
                Some(_) => record.payload_len() + NUMBERS,
                None => record.value.map_or(0, <[u8]>::len),
            };
            let fits = older.is_empty() || newer.records_len() == 0 && older.all_len() + takes <= bytes;
            let part = if fits { &mut older } else { &mut newer };
            match record.value {
                Some(value) if self.framing.is_none() => part.push(value),
                _ => part.push_record(&record),
            }
        }
        [older, newer]
    }

    /// Some of the records, in their order.
    pub fn only(&self, takes: impl FnMut(&RecordRef<'_>) -> bool) -> Self {
        let mut some = Self::default();
        for record in self.records().filter(takes) {
            match record.value {
                Some(value) if self.framing.is_none() => some.push(value),
                _ => some.push_record(&record),
            }
        }
        some.shrink();
        some
    }

    /// The run without the records of some values, which may leave none; `None` when it has none of them.
    pub fn without(&self, goes: impl Fn(&[u8]) -> bool) -> Option<Self> {
        let going: Vec<bool> = self.values().map(goes).collect();
        let mut of_values = going.iter();
        going.contains(&true).then(|| self.only(|record| record.value.is_none() || of_values.next() == Some(&false)))
    }

    /// Gives back memory that is not needed.
    pub fn shrink(&mut self) {
        self.values.bytes.shrink_to_fit();
        self.values.ends.shrink_to_fit();
        if let Some(rows) = &mut self.framing {
            rows.shrink();
        }
    }
}

impl Sample for Run {
    fn bytes(&self) -> usize {
        let framing = self.framing.as_ref().map_or(0, |rows| size_of::<Rows>() + rows.memory());
        size_of::<Self>() + self.values.bytes.capacity() + self.values.ends.capacity() * size_of::<u32>() + framing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Header, Record, TimestampKind};

    #[test]
    fn records_are_kept_with_all_that_they_have_and_counted() {
        let record = |offset: i64, value: Option<&'static [u8]>| Record {
            key: (offset % 2 == 0).then(|| format!("key {offset}").into()),
            value: value.map(Into::into),
            headers: vec![Header { name: "h".to_owned(), value: Some(vec![7; 1000].into()) }],
            timestamp: Timestamp { kind: TimestampKind::LogAppendTime, millis: 10 * offset },
            offset,
        };
        let records = [record(5, Some(b"one")), record(6, None), record(8, Some(b"")), record(9, Some(b"two"))];
        let mut run = Run::default();
        records.iter().for_each(|record| run.push_record(&record.as_ref()));
        assert_eq!(run.records().map(|record| record.to_owned()).collect::<Vec<_>>(), records);
        assert_eq!(run.values().collect::<Vec<_>>(), [&b"one"[..], b"", b"two"]);
        assert_eq!((run.len(), run.records_len()), (3, 4));
        // At the border between two records, whatever they are.
        let bytes: usize = records[..2].iter().map(|record| record.as_ref().payload_len() + NUMBERS).sum();
        for (bytes, older) in [(0, 1), (bytes - 1, 1), (bytes, 2), (usize::MAX, 4)] {
            let parts = run.split(bytes);
            assert_eq!(parts.each_ref().map(Run::records_len), [older, 4 - older]);
            let both = parts.iter().flat_map(Run::records).map(|record| record.to_owned());
            assert_eq!(both.collect::<Vec<_>>(), records);
        }
        assert_eq!(run.without(|value| value == b"three"), None);
        let rest = run.without(|value| value.is_empty() || value == b"two").unwrap();
        assert_eq!(rest.records().map(|record| record.to_owned()).collect::<Vec<_>>(), records[..2]);
        assert!(run.without(|_| true).unwrap().is_empty());
        run.shrink();
        assert!((4_000..6_000).contains(&run.bytes()), "{}", run.bytes());
        assert!((4_000..6_000).contains(&run.all_len()), "{}", run.all_len());
        let mut plain = Run::default();
        [&b"a"[..], b"b"].iter().for_each(|value| plain.push(value));
        let records: Vec<_> = plain.records().map(|record| (record.offset, record.value)).collect();
        assert_eq!(records, [(1, Some(&b"a"[..])), (2, Some(b"b"))]);
        let rest = plain.without(|value| value == b"a").unwrap();
        assert_eq!(rest.records().map(|record| record.value).collect::<Vec<_>>(), [Some(&b"b"[..])]);
        assert_eq!(plain.split(1).map(|part| part.values().collect::<Vec<_>>().concat()), [b"a", b"b"]);
    }
}
