//! Records as columns: what a builder fills and a reader is filled with.

use std::collections::HashMap;

use super::NULL;
use crate::frame::Digest;
use crate::record::{HeaderRef, HeaderRefs, RecordRef, Timestamp, TimestampKind};

/// Byte strings laid end to end, any of which may be null.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Strings {
    /// The length of each; [`NULL`] for null.
    pub lengths: Vec<i64>,
    /// All of them, concatenated.
    pub bytes: Vec<u8>,
}

impl Strings {
    pub fn push(&mut self, string: Option<&[u8]>) {
        self.lengths.push(string.map_or(NULL, |bytes| bytes.len() as i64));
        self.bytes.extend_from_slice(string.unwrap_or_default());
    }

    pub fn clear(&mut self) {
        self.lengths.clear();
        self.bytes.clear();
    }

    fn memory(&self) -> usize {
        self.lengths.capacity() * size_of::<i64>() + self.bytes.capacity()
    }

    fn shrink(&mut self) {
        self.lengths.shrink_to_fit();
        self.bytes.shrink_to_fit();
    }
}

/// Records as columns. Emptied without giving the memory back.
#[derive(Clone, Debug, Default)]
pub(super) struct Columns {
    pub offsets: Vec<i64>,
    pub timestamps: Vec<i64>,
    /// 0 is create time, 1 is log append time.
    pub kinds: Vec<i64>,
    pub keys: Strings,
    pub values: Strings,
    /// Distinct header names, in the order of their first appearance.
    pub names: Vec<String>,
    /// Distinct lists of header names, each name by its place in `names`, in the order of their first appearance.
    pub lists: Vec<Vec<usize>>,
    /// Which list each record has.
    pub listed: Vec<i64>,
    /// Per name, the values of all its headers. There may be more of them than names: the rest are spare.
    pub headers: Vec<Strings>,
}

impl PartialEq for Columns {
    fn eq(&self, other: &Self) -> bool {
        self.offsets == other.offsets
            && self.timestamps == other.timestamps
            && self.kinds == other.kinds
            && self.keys == other.keys
            && self.values == other.values
            && self.names == other.names
            && self.lists == other.lists
            && self.listed == other.listed
            && self.headers[..self.names.len()] == other.headers[..other.names.len()]
    }
}

impl Columns {
    pub fn clear(&mut self) {
        self.offsets.clear();
        self.timestamps.clear();
        self.kinds.clear();
        self.keys.clear();
        self.values.clear();
        self.names.clear();
        self.lists.clear();
        self.listed.clear();
        self.headers.iter_mut().for_each(Strings::clear);
    }

    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    /// Bytes of memory that they take, near enough.
    pub fn memory(&self) -> usize {
        let numbers = [&self.offsets, &self.timestamps, &self.kinds, &self.listed];
        let strings = [&self.keys, &self.values].into_iter().chain(&self.headers);
        let names = self.names.iter().map(|name| name.capacity() + size_of::<String>());
        let lists = self.lists.iter().map(|list| size_of_val(list.as_slice()) + size_of::<Vec<usize>>());
        numbers.iter().map(|numbers| numbers.capacity() * size_of::<i64>()).sum::<usize>()
            + strings.map(Strings::memory).sum::<usize>()
            + names.chain(lists).sum::<usize>()
    }

    /// Gives back memory that is not needed.
    pub fn shrink(&mut self) {
        let numbers = [&mut self.offsets, &mut self.timestamps, &mut self.kinds, &mut self.listed];
        numbers.into_iter().for_each(Vec::shrink_to_fit);
        self.headers.truncate(self.names.len());
        [&mut self.keys, &mut self.values].into_iter().chain(&mut self.headers).for_each(Strings::shrink);
    }

    /// Adds to a digest all that the columns hold but the bytes of values: numbers, names, headers and keys.
    pub fn digest_framing(&self, digest: &mut Digest) {
        digest.integer(self.len() as i64);
        let each = |numbers: &[i64], digest: &mut Digest| numbers.iter().for_each(|number| digest.integer(*number));
        for numbers in [&self.offsets, &self.timestamps, &self.kinds, &self.keys.lengths, &self.values.lengths] {
            each(numbers, digest);
        }
        digest.integer(self.names.len() as i64);
        self.names.iter().for_each(|name| digest.integer(name.len() as i64));
        digest.integer(self.lists.len() as i64);
        for list in &self.lists {
            digest.integer(list.len() as i64);
            list.iter().for_each(|name| digest.integer(*name as i64));
        }
        each(&self.listed, digest);
        let headers = &self.headers[..self.names.len()];
        headers.iter().for_each(|strings| each(&strings.lengths, digest));
        self.names.iter().for_each(|name| digest.bytes(name.as_bytes()));
        headers.iter().for_each(|strings| digest.bytes(&strings.bytes));
        digest.bytes(&self.keys.bytes);
    }

    /// Adds a name without values.
    pub fn add_name(&mut self, name: String) {
        self.names.push(name);
        if self.headers.len() < self.names.len() {
            self.headers.push(Strings::default());
        }
    }

    /// The records, in order.
    pub fn records(&self) -> Records<'_> {
        Records { columns: self, next: 0, key: 0, value: 0, headers: vec![(0, 0); self.names.len()] }
    }
}

/// Where names and lists are found while a block is built.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    names: HashMap<String, usize>,
    lists: HashMap<Vec<usize>, usize>,
    list: Vec<usize>,
}

impl Index {
    pub fn clear(&mut self) {
        self.names.clear();
        self.lists.clear();
    }

    /// Adds a record's headers to the columns.
    pub fn push(&mut self, headers: &[HeaderRef<'_>], columns: &mut Columns) {
        // Most records have the header names of the record before.
        let like_before = columns.listed.last().copied().filter(|&list| {
            let list = &columns.lists[list as usize];
            list.len() == headers.len() && list.iter().zip(headers).all(|(&name, h)| columns.names[name] == h.name)
        });
        let list = like_before.unwrap_or_else(|| self.find(headers, columns));
        columns.listed.push(list);
        let Columns { lists, headers: strings, .. } = columns;
        for (&name, header) in lists[list as usize].iter().zip(headers) {
            strings[name].push(header.value);
        }
    }

    fn find(&mut self, headers: &[HeaderRef<'_>], columns: &mut Columns) -> i64 {
        self.list.clear();
        for header in headers {
            let name = match self.names.get(header.name) {
                Some(&name) => name,
                None => {
                    columns.add_name(header.name.to_owned());
                    self.names.insert(header.name.to_owned(), columns.names.len() - 1);
                    columns.names.len() - 1
                }
            };
            self.list.push(name);
        }
        let list = match self.lists.get(&self.list) {
            Some(&list) => list,
            None => {
                columns.lists.push(self.list.clone());
                self.lists.insert(self.list.clone(), columns.lists.len() - 1);
                columns.lists.len() - 1
            }
        };
        list as i64
    }
}

/// Iterator over the records of columns.
pub struct Records<'a> {
    columns: &'a Columns,
    next: usize,
    key: usize,
    value: usize,
    /// Per name: the next header, and where its value begins.
    headers: Vec<(usize, usize)>,
}

/// The string of this length that begins at `at`, which moves behind it.
fn take<'a>(bytes: &'a [u8], length: i64, at: &mut usize) -> Option<&'a [u8]> {
    let length = usize::try_from(length).ok()?;
    let start = *at;
    *at += length;
    Some(&bytes[start..*at])
}

impl<'a> Iterator for Records<'a> {
    type Item = RecordRef<'a>;

    fn next(&mut self) -> Option<RecordRef<'a>> {
        let columns = self.columns;
        let index = self.next;
        let offset = *columns.offsets.get(index)?;
        self.next += 1;
        let mut headers = HeaderRefs::new();
        for &name in &columns.lists[columns.listed[index] as usize] {
            let (next, at) = &mut self.headers[name];
            let strings = &columns.headers[name];
            let value = take(&strings.bytes, strings.lengths[*next], at);
            *next += 1;
            headers.push(HeaderRef { name: &columns.names[name], value });
        }
        let kind = if columns.kinds[index] == 0 { TimestampKind::CreateTime } else { TimestampKind::LogAppendTime };
        Some(RecordRef {
            key: take(&columns.keys.bytes, columns.keys.lengths[index], &mut self.key),
            value: take(&columns.values.bytes, columns.values.lengths[index], &mut self.value),
            headers,
            timestamp: Timestamp { kind, millis: columns.timestamps[index] },
            offset,
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.columns.len() - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Records<'_> {}
