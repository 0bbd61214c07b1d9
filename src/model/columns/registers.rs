//! What is remembered of the values that were coded: the stuff that contexts and bases are made of.

use std::collections::HashMap;

use super::feature::When;

/// What registers of texts begin at: below every number.
pub(super) const TEXT: i64 = -(1 << 62);

/// Whether a register holds a number, and not what stands for a text.
pub(super) const fn is_number(register: i64) -> bool {
    register > TEXT / 2
}

/// The register of the `index`th text of an alphabet.
pub(super) const fn known_text(index: usize) -> i64 {
    TEXT + index as i64
}

/// The register of a text that no alphabet has.
pub(super) fn unknown_text(text: &[u8]) -> i64 {
    TEXT + (1 << 40) + i64::from(hash_bytes(text) as u32)
}

/// A hash of bytes that is part of the format: FNV-1a over little-endian words of eight bytes, the last one padded with
/// zeros, the length first; its upper half is folded into the lower.
pub(super) fn hash_bytes(bytes: &[u8]) -> u64 {
    let mut hash = (0xcbf2_9ce4_8422_2325 ^ bytes.len() as u64).wrapping_mul(PRIME);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        hash = (hash ^ u64::from_le_bytes(*word)).wrapping_mul(PRIME);
    }
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u64::from_le_bytes(last)).wrapping_mul(PRIME);
    }
    hash ^ hash >> 32
}

/// An odd constant with its bits spread (2^64 divided by the golden ratio).
const PRIME: u64 = 0x9e37_79b9_7f4a_7c15;

/// Goes on with a hash: `(hash ^ value) * PRIME`, its upper half folded into the lower.
#[inline]
pub(super) const fn mix(hash: u64, value: i64) -> u64 {
    let product = (hash ^ value as u64).wrapping_mul(PRIME);
    product ^ product >> 32
}

/// How many texts of a column are remembered that its alphabet lacks.
pub(super) const RECENT: usize = 4;

/// Longest text that is remembered.
const LONGEST: usize = 1024;

/// Most keys whose records are remembered.
const MAX_KEYS: usize = 1 << 12;
/// Most values that these have together, whatever number of columns a model claims: 8 MiB.
const MAX_KEPT: usize = 1 << 20;

/// What is remembered of a column: by [`When`], the last value, the one before it, and what it was at the end of the last record
/// with the same value in the key's column. Before the key is known, and where there was no such record, the latter is what it
/// was at the end of the record before.
pub(super) type Register = [i64; REGISTERS];

/// How many numbers are remembered of a column.
pub(super) const REGISTERS: usize = When::ALL.len();

/// The last value of every column, the one before it, and the one that it had in the last record with the same key;
/// and the last texts that its alphabet lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Registers {
    /// By column, one beside the other.
    columns: Vec<Register>,
    /// The column of the key, if there is one.
    pub key: Option<u16>,
    /// The columns of which it is remembered what they were in the last record with the same key, rising.
    keepsakes: Vec<u16>,
    /// By key, the number of its record, and by number what each of these columns was at the end of the last one.
    memory: HashMap<i64, u32>,
    records: Vec<i64>,
    /// The last key that was looked for, and the number of its record.
    recalled: Option<(i64, u32)>,
    /// By column, the last texts that its alphabet lacks; nothing where there was none.
    recent: Vec<Option<Box<Recent>>>,
    /// By column, the last value of those that have an echo.
    heard: Vec<Vec<u8>>,
    /// Whether any text is remembered.
    texts: bool,
}

impl Registers {
    /// All zero, and no key.
    pub fn new(columns: usize) -> Self {
        Self {
            columns: vec![[0; REGISTERS]; columns],
            keepsakes: (0..columns as u16).collect(),
            recent: vec![None; columns],
            heard: vec![Vec::new(); columns],
            ..Self::default()
        }
    }

    /// How many columns there are.
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// The last value of a column.
    #[inline]
    pub fn now(&self, column: usize) -> i64 {
        self.columns[column][When::Now as usize]
    }

    /// Its last but one.
    #[inline]
    pub fn before(&self, column: usize) -> i64 {
        self.columns[column][When::Before as usize]
    }

    /// What it was in the last record with the same key.
    #[inline]
    pub fn kept(&self, column: usize) -> i64 {
        self.columns[column][When::Kept as usize]
    }

    /// All of them, one behind the other.
    #[inline]
    pub fn all(&self) -> &[i64] {
        self.columns.as_flattened()
    }

    /// All of them.
    #[inline]
    pub fn columns(&self) -> &[Register] {
        &self.columns
    }

    /// All of them, to be set.
    pub fn columns_mut(&mut self) -> &mut [Register] {
        &mut self.columns
    }

    /// Makes a value a column's last one, in the place of the one that was.
    pub fn set(&mut self, column: usize, value: i64) {
        self.columns[column][When::Now as usize] = value;
    }

    /// What is remembered of a column's values becomes what it is elsewhere.
    pub fn copy(&mut self, column: u16, from: &Self) {
        self.columns[usize::from(column)] = from.columns[usize::from(column)];
    }

    /// A column's next value.
    #[inline]
    pub fn push(&mut self, column: usize, value: i64) {
        let register = &mut self.columns[column];
        register[When::Before as usize] = register[When::Now as usize];
        register[When::Now as usize] = value;
        if self.key.is_some_and(|key| usize::from(key) == column) {
            self.recall(value);
        }
    }

    /// The key is known.
    #[inline(never)]
    fn recall(&mut self, key: i64) {
        self.recalled = self.memory.get(&key).map(|record| (key, *record));
        if let Some((_, record)) = self.recalled {
            let record = self.records.chunks_exact(self.keepsakes.len()).nth(record as usize).unwrap_or_default();
            for (column, value) in self.keepsakes.iter().zip(record) {
                self.columns[usize::from(*column)][When::Kept as usize] = *value;
            }
        }
    }

    /// Ends a record.
    #[inline]
    pub fn end(&mut self) {
        if let Some(key) = self.key {
            self.memorise(key);
        }
    }

    /// Keeps the record of a key.
    fn memorise(&mut self, key: u16) {
        let key = self.now(usize::from(key));
        let known = self.memory.len();
        if self.keepsakes.is_empty() {
            return;
        }
        if self.recalled.is_none_or(|(last, _)| last != key) {
            self.recalled = match self.memory.get(&key) {
                Some(record) => Some((key, *record)),
                None if known >= MAX_KEYS || (known + 1) * self.columns.len() > MAX_KEPT => None,
                None => {
                    self.memory.insert(key, known as u32);
                    self.records.resize(self.records.len() + self.keepsakes.len(), 0);
                    Some((key, known as u32))
                }
            };
        }
        let record = self.recalled.map_or(usize::MAX, |(_, record)| record as usize);
        let mut record = self.records.chunks_exact_mut(self.keepsakes.len()).nth(record);
        for (place, column) in self.keepsakes.iter().enumerate() {
            let register = &mut self.columns[usize::from(*column)];
            let now = register[When::Now as usize];
            register[When::Kept as usize] = now;
            if let Some(record) = &mut record {
                record[place] = now;
            }
        }
    }

    /// Remembers only of these columns, which rise, what they were in the last record with the same key.
    pub fn keep(&mut self, columns: Vec<u16>) {
        self.keepsakes = columns;
        self.forget();
    }

    /// Forgets the records of all keys.
    pub fn forget(&mut self) {
        self.memory.clear();
        self.records.clear();
        self.recalled = None;
    }

    /// Becomes what it was at the start, when there was no text.
    pub fn begin(&mut self, start: &Self) {
        self.columns.clone_from(&start.columns);
        self.key = start.key;
        if self.key.is_some() {
            for register in &mut self.columns {
                register[When::Kept as usize] = register[When::Now as usize];
            }
            self.forget();
        }
        if self.texts {
            self.recent.iter_mut().flatten().for_each(|recent| recent.clear());
            self.heard.iter_mut().for_each(Vec::clear);
            self.texts = false;
        }
    }

    /// How many keys are remembered.
    #[cfg(test)]
    fn keys(&self) -> usize {
        self.memory.len()
    }

    /// How many texts were remembered in a column since this one was.
    #[inline]
    pub fn recency(&self, column: usize, text: &[u8]) -> Option<usize> {
        self.recent[column].as_ref()?.place(text)
    }

    /// The text that is `place` texts old, and its register. It becomes the latest.
    #[inline]
    pub fn recent(&mut self, column: usize, place: usize) -> Option<(&[u8], i64)> {
        self.recent[column].as_mut()?.recall(place)
    }

    /// The last value of a column that has an echo, if it had bytes.
    #[inline]
    pub fn heard(&self, column: u16) -> Option<&[u8]> {
        Some(self.heard[usize::from(column)].as_slice()).filter(|text| !text.is_empty())
    }

    /// Remembers the value of a column that has an echo.
    #[inline]
    pub fn hear(&mut self, column: usize, value: &[u8]) {
        self.texts = true;
        let heard = &mut self.heard[column];
        heard.clear();
        heard.extend_from_slice(value);
    }

    /// Remembers a text and its register as the latest. Empty ones are not, nor are long ones.
    pub fn remember(&mut self, column: usize, text: &[u8], register: i64) {
        if text.is_empty() || text.len() > LONGEST {
            return;
        }
        self.texts = true;
        let recent = self.recent[column].get_or_insert_default();
        match recent.place(text) {
            Some(place) => drop(recent.recall(place)),
            None => recent.add(text, register),
        }
    }
}

/// The last texts of a column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Recent {
    texts: [Vec<u8>; RECENT],
    registers: [i64; RECENT],
    /// Where the texts stand, the latest first.
    order: [u8; RECENT],
    /// How many there are.
    count: usize,
}

impl Recent {
    fn clear(&mut self) {
        self.count = 0;
    }

    /// How old a text is.
    #[inline]
    fn place(&self, text: &[u8]) -> Option<usize> {
        self.order[..self.count].iter().position(|at| self.texts[usize::from(*at)] == text)
    }

    /// Makes the text that is so old the latest.
    #[inline]
    fn recall(&mut self, place: usize) -> Option<(&[u8], i64)> {
        let at = *self.order[..self.count].get(place)?;
        self.order.copy_within(..place, 1);
        self.order[0] = at;
        Some((&self.texts[usize::from(at)], self.registers[usize::from(at)]))
    }

    /// A text that is none of them, in the place of the oldest.
    fn add(&mut self, text: &[u8], register: i64) {
        let at = if self.count < RECENT { self.count as u8 } else { self.order[RECENT - 1] };
        self.count = RECENT.min(self.count + 1);
        self.order.copy_within(..RECENT - 1, 1);
        self.order[0] = at;
        let at = usize::from(at);
        self.texts[at].clear();
        self.texts[at].extend_from_slice(text);
        self.registers[at] = register;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_of_keys_is_bounded_however_many_columns_there_are() {
        for (columns, most) in [(10, 4096), (256, 4096), (4097, 255)] {
            let mut registers = Registers::new(columns);
            registers.key = Some(0);
            for key in 0..5000 {
                registers.push(0, key);
                registers.end();
            }
            assert_eq!(registers.keys(), most, "{columns} columns");
        }
    }
}
