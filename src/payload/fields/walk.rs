//! A record along its grammar.

use super::grammar::Grammar;

/// One step of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The literal with this number among those of the state, then the value at `start..end` of the record, which is
    /// that of the literal's slot; or the record's end, when the literal leads there.
    Edge {
        /// Place among the state's edges.
        edge: u16,
        /// The value's slot; `None` at the end.
        slot: Option<u16>,
        /// Where the value begins in the record.
        start: u32,
        /// Where it ends.
        end: u32,
    },
    /// Bytes that the grammar has no literal for, at `start..end` of the record. Then the value of `slot` at
    /// `end..value_end`; or the record's end.
    Foreign {
        /// Where the foreign bytes begin.
        start: u32,
        /// Where they end and the value begins.
        end: u32,
        /// The slot whose value follows; `None` at the end.
        slot: Option<u16>,
        /// Where the value ends.
        value_end: u32,
    },
}

/// The steps of one record. Used again for the next: its memory stays.
#[derive(Clone, Debug, Default)]
pub struct Steps {
    /// In order; the last one, and only it, leads to the end.
    pub steps: Vec<Step>,
    /// Whether no step is foreign.
    pub regular: bool,
}

impl Steps {
    /// Walks a record of less than 4 GiB. Takes time in proportion to its length.
    pub fn walk(&mut self, grammar: &Grammar, record: &[u8]) {
        self.steps.clear();
        self.regular = true;
        let mut from = None;
        let mut at = 0;
        loop {
            let rest = &record[at..];
            let mut taken = None;
            for (i, edge) in grammar.state(from).edges.iter().enumerate() {
                if !begins_with(rest, &edge.literal) {
                    continue;
                }
                let start = at + edge.literal.len();
                let end = match edge.target {
                    None => (start == record.len()).then_some(start),
                    Some(slot) => grammar.slots()[usize::from(slot)].scan.end(record, start),
                };
                if let Some(end) = end {
                    taken = Some((i, edge.target, start, end));
                    break;
                }
            }
            let target = if let Some((edge, slot, start, end)) = taken {
                self.steps.push(Step::Edge { edge: edge as u16, slot, start: start as u32, end: end as u32 });
                at = end;
                slot
            } else {
                self.regular = false;
                let (slot, start, end) = way_back(grammar, record, at);
                self.steps.push(Step::Foreign { start: at as u32, end: start as u32, slot, value_end: end as u32 });
                at = end;
                slot
            };
            if target.is_none() {
                return;
            }
            from = target;
        }
    }
}

/// Whether bytes begin with a literal. Literals are short: this takes no call.
#[inline]
fn begins_with(bytes: &[u8], literal: &[u8]) -> bool {
    let Some(bytes) = bytes.get(..literal.len()) else { return false };
    let ((words, rest), (literal_words, literal_rest)) = (bytes.as_chunks::<8>(), literal.as_chunks::<8>());
    let same = |(a, b): (&[u8; 8], &[u8; 8])| u64::from_le_bytes(*a) == u64::from_le_bytes(*b);
    words.iter().zip(literal_words).all(same) && rest.iter().zip(literal_rest).all(|(a, b)| a == b)
}

/// The next place from `at` on where a key of the grammar stands before a value of its slot: the slot, and where its
/// value begins and ends. The record's end when there is none.
fn way_back(grammar: &Grammar, record: &[u8], at: usize) -> (Option<u16>, usize, usize) {
    let mut i = at;
    while let Some(found) = record[i..].iter().position(|byte| *byte == b'"') {
        i += found;
        if let Some((slot, start)) = grammar.anchored(record, i)
            && let Some(end) = grammar.slots()[usize::from(slot)].scan.end(record, start)
        {
            return (Some(slot), start, end);
        }
        i += 1;
    }
    (None, record.len(), record.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The record that the steps stand for, from literals and values.
    fn rebuilt(grammar: &Grammar, record: &[u8], steps: &Steps) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut from = None;
        for step in &steps.steps {
            match *step {
                Step::Edge { edge, slot, start, end } => {
                    let edge = &grammar.state(from).edges[usize::from(edge)];
                    assert_eq!(edge.target, slot);
                    bytes.extend_from_slice(&edge.literal);
                    bytes.extend_from_slice(&record[start as usize..end as usize]);
                    from = slot;
                }
                Step::Foreign { start, end, slot, value_end } => {
                    assert!(!steps.regular);
                    bytes.extend_from_slice(&record[start as usize..value_end as usize]);
                    assert!(start < end || (slot.is_none() && end == value_end));
                    from = slot;
                }
            }
        }
        assert_eq!(from, None);
        bytes
    }

    fn walked(grammar: &Grammar, record: &[u8]) -> Steps {
        let mut steps = Steps::default();
        steps.walk(grammar, record);
        assert_eq!(rebuilt(grammar, record, &steps), record);
        steps
    }

    fn values<'a>(record: &'a str, steps: &Steps) -> Vec<&'a str> {
        let value = |step: &Step| match *step {
            Step::Edge { start, end, slot: Some(_), .. } => Some(&record[start as usize..end as usize]),
            Step::Foreign { end, value_end, slot: Some(_), .. } => Some(&record[end as usize..value_end as usize]),
            _ => None,
        };
        steps.steps.iter().filter_map(value).collect()
    }

    #[test]
    fn optional_keys_arrays_and_mixed_types_are_regular() {
        let samples = [
            r#"{"id":1,"name":"a","tags":["x","y"],"at":null}"#,
            r#"{"id":"two","name":"n","tags":[],"at":[1,2]}"#,
            r#"{"id":3,"name":null,"tags":["z"],"at":null,"sub":{"k":{}}}"#,
            r#"{"id":4,"tags":["x","y","z"],"at":[1,2]}"#,
        ];
        let grammar = Grammar::learn(&samples.map(str::as_bytes));
        for record in samples {
            assert!(walked(&grammar, record.as_bytes()).regular, "{record}");
        }
        // A combination that was not among the samples.
        let record = r#"{"id":"5","name":"b","tags":["p","q","r","s","t"],"at":[7,8]}"#;
        let steps = walked(&grammar, record.as_bytes());
        assert!(steps.regular);
        assert_eq!(values(record, &steps), ["5", "b", "p", "q", "r", "s", "t", "7", "8"]);
    }

    #[test]
    fn a_new_key_is_foreign_and_the_walk_finds_its_way_back() {
        let samples = [r#"{"id":1,"city":"Zagreb","n":3}"#; 3];
        let grammar = Grammar::learn(&samples.map(str::as_bytes));
        for (record, known) in [
            (r#"{"id":1,"new":{"x":[1,"a\"b"]},"city":"Split","n":3}"#, &["1", "Split", "3"][..]),
            (r#"{"new":1,"id":1,"city":"Split","n":3}"#, &["1", "Split", "3"]),
            (r#"{"id":1,"city":[1],"n":3}"#, &["1", "3"]),
            (r#"{"id":1,"city":"Split","n":3,"late":true}"#, &["1", "Split", "3"]),
            (r#"{"id":1,"city":"Spl"#, &["1"]),
            ("", &[]),
            ("no json at all \"id\"", &[]),
        ] {
            let steps = walked(&grammar, record.as_bytes());
            assert!(!steps.regular);
            assert_eq!(values(record, &steps), known, "{record}");
        }
    }

    #[test]
    fn csv_of_any_quoting_is_regular() {
        let samples = ["1,a,\"x\"", "2,\"b, c\",\"y\"", "3,,\"z \"\"q\"\"\"", "4,\"\",w"];
        let grammar = Grammar::learn(&samples.map(str::as_bytes));
        for record in samples {
            assert!(walked(&grammar, record.as_bytes()).regular, "{record}");
        }
        assert_eq!(values("9,\"k\",v", &walked(&grammar, b"9,\"k\",v")), ["9", "k", "v"]);
        walked(&grammar, b"1,2");
        walked(&grammar, b"1,2,3,4");
        walked(&grammar, b"1,\"open");
    }

    #[test]
    fn samples_without_a_format_make_one_value() {
        let grammar = Grammar::learn(&[&b"line one"[..], b"another", b"\xff\xfe"]);
        assert_eq!(grammar.slots().len(), 1);
        assert!(walked(&grammar, b"whatever").regular);
        assert!(walked(&grammar, b"").regular);
        assert_eq!(Grammar::learn(&[]).slots().len(), 1);
    }

    #[test]
    fn keys_that_are_too_long_or_too_many_are_foreign() {
        let inner: Vec<String> = (0..30_000).map(|i| format!("\"{i}\":1")).collect();
        let record = format!("{{\"id\":1,\"{}\":{{{}}},\"end\":2}}", "k".repeat(100_000), inner.join(","));
        let grammar = Grammar::learn(&[record.as_bytes(); 2]);
        let names: Vec<&str> = grammar.slots().iter().map(|slot| slot.name.as_str()).collect();
        assert_eq!(names, ["id", "end"]);
        walked(&grammar, record.as_bytes());
        let flat = format!("{{{}}}", inner.join(","));
        let grammar = Grammar::learn(&[flat.as_bytes(); 2]);
        assert_eq!(grammar.slots().len(), crate::payload::fields::grammar::MAX_SLOTS);
        walked(&grammar, flat.as_bytes());
    }

    proptest! {
        #[test]
        fn any_bytes_are_walked_and_come_back(
            samples in prop::collection::vec("[{}\\[\\]\",:a1 \\\\]{0,30}", 0..20),
            record in "[{}\\[\\]\",:a1 \\\\]{0,40}",
            noise in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let bytes: Vec<&[u8]> = samples.iter().map(String::as_bytes).collect();
            let json = [&b"{\"a\":1,\"b\":\"x\"}"[..]; 40];
            for grammar in [Grammar::learn(&bytes), Grammar::learn(&json)] {
                walked(&grammar, record.as_bytes());
                walked(&grammar, &noise);
                for sample in &bytes {
                    walked(&grammar, sample);
                }
            }
        }
    }
}
