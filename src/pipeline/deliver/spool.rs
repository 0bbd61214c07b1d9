//! Encoded records that wait for the previous transaction to end, in one buffer.

use std::sync::Arc;

use crate::record::HeaderRef;
use crate::sink::OutRecord;

/// Records laid end to end; emptied without giving its memory back.
#[derive(Debug, Default)]
pub struct Spool {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    headers: Vec<HeaderSpan>,
}

#[derive(Debug)]
struct Entry {
    topic: Arc<str>,
    partition: Option<i32>,
    timestamp: i64,
    key: Option<Span>,
    value: Option<Span>,
    headers: usize,
}

#[derive(Debug)]
struct HeaderSpan {
    name: Span,
    value: Option<Span>,
}

type Span = std::ops::Range<usize>;

impl Spool {
    /// Keeps a copy of a record.
    pub fn push(&mut self, record: &OutRecord<'_>, topic: &Arc<str>) {
        let mut keep = |bytes: &[u8]| {
            let start = self.bytes.len();
            self.bytes.extend_from_slice(bytes);
            start..self.bytes.len()
        };
        let key = record.key.map(&mut keep);
        let value = record.value.map(&mut keep);
        for header in record.headers {
            let name = keep(header.name.as_bytes());
            self.headers.push(HeaderSpan { name, value: header.value.map(&mut keep) });
        }
        self.entries.push(Entry {
            topic: Arc::clone(topic),
            partition: record.partition,
            timestamp: record.timestamp,
            key,
            value,
            headers: record.headers.len(),
        });
    }

    /// Bytes held.
    pub fn len(&self) -> usize {
        self.bytes.len() + self.entries.len() * size_of::<Entry>() + self.headers.len() * size_of::<HeaderSpan>()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Hands every record out in order; stops at the first error.
    pub fn try_for_each<E>(&self, mut each: impl FnMut(&OutRecord<'_>) -> Result<(), E>) -> Result<(), E> {
        let mut next_header = 0;
        let mut headers: Vec<HeaderRef<'_>> = Vec::new();
        for entry in &self.entries {
            headers.clear();
            for span in &self.headers[next_header..next_header + entry.headers] {
                let name = std::str::from_utf8(&self.bytes[span.name.clone()]).expect("it was a str when it came in");
                headers.push(HeaderRef { name, value: span.value.clone().map(|span| &self.bytes[span]) });
            }
            next_header += entry.headers;
            each(&OutRecord {
                topic: &entry.topic,
                partition: entry.partition,
                key: entry.key.clone().map(|span| &self.bytes[span]),
                value: entry.value.clone().map(|span| &self.bytes[span]),
                headers: &headers,
                timestamp: entry.timestamp,
            })?;
        }
        Ok(())
    }

    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
        self.headers.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_out_as_they_went_in() {
        let topic: Arc<str> = "t".into();
        let headers = [HeaderRef { name: "a", value: None }, HeaderRef { name: "a", value: Some(b"") }];
        let records = [
            OutRecord { topic: "t", partition: Some(3), key: None, value: None, headers: &headers, timestamp: -7 },
            OutRecord { topic: "t", partition: None, key: Some(b""), value: Some(b"v"), headers: &[], timestamp: 9 },
        ];
        let mut spool = Spool::default();
        for record in &records {
            spool.push(record, &topic);
        }
        let mut seen = Vec::new();
        spool
            .try_for_each(|record| {
                seen.push(format!("{record:?}"));
                Ok::<_, ()>(())
            })
            .unwrap();
        assert_eq!(seen, records.map(|record| format!("{record:?}")));
        spool.clear();
        assert!(spool.is_empty());
        assert_eq!(spool.len(), 0);
    }
}
