//! What was learned of a topic's syntax: slots, and the literals between them.

use crate::frame::{FrameError, Reader, put_varint};

use super::{csv, json};

/// Most slots.
pub const MAX_SLOTS: usize = 2048;
/// Most literals that follow one slot.
pub const MAX_EDGES: usize = 256;
/// Most literals of a grammar.
pub const MAX_ALL_EDGES: usize = 16_384;
/// Most bytes of all literals.
pub const MAX_LITERAL_BYTES: usize = 1 << 20;

/// How far a value reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scan {
    /// The content of a JSON string: up to the quote that closes it. Escapes stay as they are written.
    JsonString,
    /// A JSON number or word.
    JsonBare,
    /// A CSV cell without quotes: up to this delimiter, a line's end or the record's.
    CsvPlain(u8),
    /// The content of a quoted CSV cell. Doubled quotes stay doubled.
    CsvQuoted,
    /// All that is left.
    Rest,
    /// Hexadecimal digits of one case.
    Hex {
        /// How many; 0 when all that stand there belong to the value, of which there are at most [`HEX_DIGITS`].
        digits: u8,
        /// Whether its letters are capital ones.
        upper: bool,
    },
    /// A time of so many bytes, behind which stands how far its clock is from UTC.
    Time {
        /// Its length: 40 at most.
        length: u8,
    },
}

/// Most hexadecimal digits of one value.
pub const HEX_DIGITS: usize = 12;

/// Most bytes of a time: `2024-03-01T10:00:00.123456789`, and some more.
pub const TIME_BYTES: usize = 40;

/// Whether a byte is one of those that times are written with.
#[inline]
fn is_of_times(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'-' | b':' | b'.' | b'T' | b' ')
}

/// Whether a byte is a hexadecimal digit of one case.
#[inline]
pub(super) fn is_hex(byte: u8, upper: bool) -> bool {
    byte.is_ascii_digit() || if upper { matches!(byte, b'A'..=b'F') } else { matches!(byte, b'a'..=b'f') }
}

impl Scan {
    /// Where the value ends that begins at `start`; `None` when no such value begins there.
    #[inline]
    pub fn end(self, record: &[u8], start: usize) -> Option<usize> {
        match self {
            Self::JsonString => json::string_end(record, start),
            Self::JsonBare => json::bare_end(record, start),
            Self::CsvPlain(delimiter) => {
                (record.get(start) != Some(&b'"')).then(|| csv::plain_end(record, start, delimiter))
            }
            Self::CsvQuoted => csv::quoted_end(record, start),
            Self::Rest => Some(record.len()),
            Self::Hex { digits: 0, upper } => {
                let rest = record.get(start..)?;
                let length = rest.iter().position(|byte| !is_hex(*byte, upper)).unwrap_or(rest.len());
                (1..=HEX_DIGITS).contains(&length).then_some(start + length)
            }
            Self::Hex { digits, upper } => {
                let end = start + usize::from(digits);
                record.get(start..end)?.iter().all(|byte| is_hex(*byte, upper)).then_some(end)
            }
            Self::Time { length } => {
                let end = start + usize::from(length);
                record.get(start..end)?.iter().all(|byte| is_of_times(*byte)).then_some(end)
            }
        }
    }

    /// Whether a value that is made up may be these bytes: they end where they should, and are text of the format.
    pub fn holds(self, value: &[u8]) -> bool {
        match self {
            Self::JsonString => json::is_content(value),
            Self::JsonBare => json::bare_end(value, 0) == Some(value.len()),
            Self::CsvPlain(_) => self.end(value, 0) == Some(value.len()) && std::str::from_utf8(value).is_ok(),
            Self::CsvQuoted => {
                value.split(|byte| *byte == b'"').skip(1).step_by(2).all(<[u8]>::is_empty)
                    && csv::quoted_end(value, 0).is_none()
            }
            Self::Rest => true,
            Self::Hex { .. } | Self::Time { .. } => self.end(value, 0) == Some(value.len()),
        }
    }
}

/// Whether a string's content does not end within an escape.
fn ends_whole(value: &[u8]) -> bool {
    value.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 0
}

/// A value's place in records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Its path, for people: `user.tags[]`.
    pub name: String,
    /// How far its values reach.
    pub scan: Scan,
}

/// A literal and where it leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The bytes between two values.
    pub literal: Vec<u8>,
    /// The slot whose value follows; `None` when the record ends.
    pub target: Option<u16>,
}

/// What may follow one slot, or begin a record. The most frequent edge is the first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The literals that were seen.
    pub edges: Vec<Edge>,
}

/// Slots, and the literals between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grammar {
    slots: Vec<Slot>,
    /// Of the start, then of each slot.
    states: Vec<State>,
    /// Keys by which a walk finds its way back, by their first two bytes after the quote; see [`Grammar::anchored`].
    anchors: Vec<(Vec<u8>, u16)>,
}

/// Why bytes are no grammar.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrammarError {
    /// They end early, or a number in them is none.
    #[error(transparent)]
    Bytes(#[from] FrameError),
    /// They say what cannot be.
    #[error("the grammar is not valid: {0}")]
    Invalid(&'static str),
}

impl Grammar {
    /// A grammar of these parts. `states` has one more member than `slots`: the start comes first.
    pub fn new(slots: Vec<Slot>, states: Vec<State>) -> Result<Self, GrammarError> {
        let invalid = |what| Err(GrammarError::Invalid(what));
        if slots.len() > MAX_SLOTS || states.len() != slots.len() + 1 {
            return invalid("it has too many slots, or not a state for each");
        }
        let edges = || states.iter().flat_map(|state| &state.edges);
        if states.iter().any(|state| state.edges.len() > MAX_EDGES)
            || edges().count() > MAX_ALL_EDGES
            || edges().map(|edge| edge.literal.len()).sum::<usize>() > MAX_LITERAL_BYTES
        {
            return invalid("it has too many literals");
        }
        if edges().any(|edge| edge.target.is_some_and(|target| usize::from(target) >= slots.len())) {
            return invalid("a literal leads to a slot that is not there");
        }
        // So that a walk from slot to slot takes bytes with every step: digits may follow digits, of which there are some.
        let digits = |slot: u16| matches!(slots[usize::from(slot)].scan, Scan::Hex { .. });
        if states[1..]
            .iter()
            .flat_map(|state| &state.edges)
            .any(|edge| edge.literal.is_empty() && edge.target.is_some_and(|target| !digits(target)))
        {
            return invalid("there is nothing between two slots");
        }
        let mut anchors: Vec<(Vec<u8>, u16)> =
            edges().filter_map(|edge| Some((anchor(&edge.literal)?.to_vec(), edge.target?))).collect();
        anchors.sort();
        anchors.dedup_by(|next, kept| next.0 == kept.0);
        Ok(Self { slots, states, anchors })
    }

    /// The slots.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// What a slot holds.
    pub fn scan(&self, slot: u16) -> Scan {
        self.slots[usize::from(slot)].scan
    }

    /// The states: that of the start, then one for each slot.
    pub fn states(&self) -> &[State] {
        &self.states
    }

    /// The state behind a slot; `None` is the start.
    #[inline]
    pub fn state(&self, slot: Option<u16>) -> &State {
        &self.states[slot.map_or(0, |slot| usize::from(slot) + 1)]
    }

    /// The slot whose key stands at `at`, and where its value begins.
    pub(super) fn anchored(&self, record: &[u8], at: usize) -> Option<(u16, usize)> {
        let rest = &record[at..];
        // All anchors that begin with the same bytes as `rest` sort right before it; the longest wins.
        let mut i = self.anchors.partition_point(|(anchor, _)| anchor.as_slice() <= rest);
        while i > 0 {
            i -= 1;
            let (anchor, slot) = &self.anchors[i];
            if rest.starts_with(anchor) {
                return Some((*slot, at + anchor.len()));
            }
            if anchor[..anchor.len().min(3)] != rest[..rest.len().min(3)] {
                return None;
            }
        }
        None
    }

    /// Appends the grammar's bytes.
    pub fn write(&self, output: &mut Vec<u8>) {
        put_varint(self.slots.len() as u64, output);
        for slot in &self.slots {
            put_bytes(slot.name.as_bytes(), output);
            match slot.scan {
                Scan::JsonString => output.push(0),
                Scan::JsonBare => output.push(1),
                Scan::CsvQuoted => output.push(2),
                Scan::Rest => output.push(3),
                Scan::CsvPlain(delimiter) => output.extend_from_slice(&[4, delimiter]),
                Scan::Hex { digits, upper } => output.extend_from_slice(&[5, digits, u8::from(upper)]),
                Scan::Time { length } => output.extend_from_slice(&[6, length]),
            }
        }
        for state in &self.states {
            put_varint(state.edges.len() as u64, output);
            for edge in &state.edges {
                put_varint(edge.target.map_or(0, |slot| u64::from(slot) + 1), output);
                put_bytes(&edge.literal, output);
            }
        }
    }

    /// Reads what [`Grammar::write`] has written, from anywhere.
    pub fn read(input: &mut Reader<'_>) -> Result<Self, GrammarError> {
        let capped = |count: u64, cap: usize| {
            usize::try_from(count)
                .ok()
                .filter(|count| *count <= cap)
                .ok_or(GrammarError::Invalid("a count is too large"))
        };
        let count = capped(input.varint()?, MAX_SLOTS)?;
        let mut slots = Vec::with_capacity(count);
        for _ in 0..count {
            let length = capped(input.varint()?, MAX_LITERAL_BYTES)?;
            let name = String::from_utf8(input.take(length)?.to_vec())
                .map_err(|_| GrammarError::Invalid("a slot's name is no UTF-8"))?;
            let scan = match input.byte()? {
                0 => Scan::JsonString,
                1 => Scan::JsonBare,
                2 => Scan::CsvQuoted,
                3 => Scan::Rest,
                4 => Scan::CsvPlain(input.byte()?),
                5 => match (input.byte()?, input.byte()?) {
                    (digits, upper @ (0 | 1)) if usize::from(digits) <= HEX_DIGITS => {
                        Scan::Hex { digits, upper: upper == 1 }
                    }
                    _ => return Err(GrammarError::Invalid("a slot has too many hexadecimal digits")),
                },
                6 => match input.byte()? {
                    length if (1..=TIME_BYTES).contains(&usize::from(length)) => Scan::Time { length },
                    _ => return Err(GrammarError::Invalid("a slot's times have too many bytes, or none")),
                },
                _ => return Err(GrammarError::Invalid("a slot's values end nobody knows where")),
            };
            slots.push(Slot { name, scan });
        }
        let mut states = Vec::with_capacity(count + 1);
        for _ in 0..=count {
            let edges = capped(input.varint()?, MAX_EDGES)?;
            let mut state = State { edges: Vec::with_capacity(edges) };
            for _ in 0..edges {
                let target = match capped(input.varint()?, MAX_SLOTS)? {
                    0 => None,
                    slot => Some((slot - 1) as u16),
                };
                let length = capped(input.varint()?, MAX_LITERAL_BYTES)?;
                state.edges.push(Edge { literal: input.take(length)?.to_vec(), target });
            }
            states.push(state);
        }
        Self::new(slots, states)
    }
}

fn put_bytes(bytes: &[u8], output: &mut Vec<u8>) {
    put_varint(bytes.len() as u64, output);
    output.extend_from_slice(bytes);
}

/// The key at the end of a literal, from its opening quote on: `"id":` of `,"id":`.
fn anchor(literal: &[u8]) -> Option<&[u8]> {
    let value = literal.strip_suffix(b"\"").unwrap_or(literal);
    let key = value.trim_ascii_end().strip_suffix(b":")?.trim_ascii_end().strip_suffix(b"\"")?;
    let mut start = key.len();
    loop {
        start = key[..start].iter().rposition(|byte| *byte == b'"')?;
        if ends_whole(&key[..start]) {
            return Some(&literal[start..]);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_anchor_is_the_last_key_with_its_colon() {
        for (literal, expected) in [
            (&b",\"id\":"[..], Some(&b"\"id\":"[..])),
            (b"\"}, \"a\\\"b\" : \"", Some(b"\"a\\\"b\" : \"")),
            (b"{\"x\":{\"y\":", Some(b"\"y\":")),
            (b",", None),
            (b"", None),
            (b"\"]}", None),
        ] {
            assert_eq!(anchor(literal), expected, "{}", String::from_utf8_lossy(literal));
        }
    }

    #[test]
    fn what_holds_a_value_ends_where_the_scan_ends() {
        assert!(Scan::JsonString.holds(b"a\\\"b"));
        assert!(!Scan::JsonString.holds(b"a\"b"));
        assert!(!Scan::JsonString.holds(b"a\\"));
        assert!(!Scan::JsonBare.holds(b"1,2"));
        assert!(!Scan::JsonBare.holds(b""));
        assert!(!Scan::CsvPlain(b',').holds(b"a,b"));
        assert!(!Scan::CsvQuoted.holds(b"a\"b"));
        assert!(Scan::CsvQuoted.holds(b"a\"\""));
        assert!(!Scan::CsvQuoted.holds(b"a\"\"\""));
        for wrong in [&b"\\u12"[..], b"\\x", b"\xff", b"\x07"] {
            assert!(!Scan::JsonString.holds(wrong), "{wrong:?}");
        }
    }

    fn small() -> Grammar {
        let slots = vec![
            Slot { name: "a".into(), scan: Scan::JsonBare },
            Slot { name: "b".into(), scan: Scan::CsvPlain(b';') },
        ];
        let edge = |literal: &[u8], target| Edge { literal: literal.to_vec(), target };
        let states = vec![
            State { edges: vec![edge(b"{\"a\":", Some(0))] },
            State { edges: vec![edge(b",\"b\":", Some(1)), edge(b"}", None)] },
            State { edges: vec![edge(b"}", None)] },
        ];
        Grammar::new(slots, states).unwrap()
    }

    #[test]
    fn a_grammar_comes_back_and_a_cut_one_is_refused() {
        let grammar = small();
        let mut bytes = Vec::new();
        grammar.write(&mut bytes);
        assert_eq!(Grammar::read(&mut Reader::new(&bytes, 0)).unwrap(), grammar);
        for cut in 0..bytes.len() {
            assert!(Grammar::read(&mut Reader::new(&bytes[..cut], 0)).is_err(), "{cut}");
        }
    }

    proptest! {
        #[test]
        fn damaged_bytes_are_an_error_or_a_valid_grammar(at in 0usize..60, value: u8) {
            let mut bytes = Vec::new();
            small().write(&mut bytes);
            let at = at % bytes.len();
            bytes[at] = value;
            if let Ok(grammar) = Grammar::read(&mut Reader::new(&bytes, 0)) {
                let mut again = Vec::new();
                grammar.write(&mut again);
                prop_assert!(bytes.starts_with(&again));
            }
        }
    }
}
