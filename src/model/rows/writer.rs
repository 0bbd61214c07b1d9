//! Values to a record, byte for byte in the topic's syntax.

use super::codebook::Codebook;

/// Steps that a way is looked for in, for each value that it is to pass.
const PATIENCE: usize = 16;

/// Finds the way through the grammar that passes the fields which have values, each in the slot that its value is for.
#[derive(Debug)]
pub(super) struct Writer {
    /// By state: a target, and the edges that lead there, as the most frequent records have them. Targets in the order in which
    /// fields mostly stand, the end last.
    ways: Vec<Vec<Way>>,
}

#[derive(Debug)]
struct Way {
    to: Option<u16>,
    edges: Vec<u16>,
}

/// What is to be written. Used again for the next: its memory stays.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// By field: the slot of its value.
    pub slots: Vec<Option<u16>>,
    /// By field: where its value lies in `bytes`.
    pub spans: Vec<(usize, usize)>,
    /// The values.
    pub bytes: Vec<u8>,
    /// By field: its number, where it has one.
    pub numbers: Vec<Option<i64>>,
    /// By fork: the literal to be taken.
    pub literals: Vec<Option<u16>>,
    /// Bytes of the longest record so far.
    pub longest: usize,
    /// By column: how many of its values are written.
    passed: Vec<usize>,
    /// The way so far: the state before, the way taken from there, and the field that was passed.
    trail: Vec<(Option<u16>, usize, u16)>,
}

impl Draft {
    /// Begins a record of so many fields.
    pub fn begin(&mut self, fields: usize) {
        self.bytes.clear();
        self.literals.clear();
        self.slots.clear();
        self.slots.resize(fields, None);
        self.spans.clear();
        self.spans.resize(fields, (0, 0));
        self.numbers.clear();
        self.numbers.resize(fields, None);
    }

    /// A field has the bytes from `start` on, which are a number or none.
    pub fn put(&mut self, field: usize, slot: Option<u16>, number: Option<i64>, start: usize) {
        self.slots[field] = slot;
        self.spans[field] = (start, self.bytes.len());
        self.numbers[field] = number;
    }
}

impl Writer {
    pub fn new(book: &Codebook) -> Self {
        let mut rank = vec![usize::MAX; book.columns.len()];
        for (place, field) in book.fields.iter().enumerate() {
            let rank = &mut rank[usize::from(field.column)];
            *rank = (*rank).min(place);
        }
        let of = |from: Option<u16>| {
            let mut ways: Vec<Way> = Vec::new();
            for (edge, number) in book.grammar.state(from).edges.iter().zip(0u16..) {
                match ways.iter_mut().find(|way| way.to == edge.target) {
                    Some(way) => way.edges.push(number),
                    None => ways.push(Way { to: edge.target, edges: vec![number] }),
                }
            }
            let place = |slot: u16| rank[usize::from(book.column_of[usize::from(slot)])];
            ways.sort_by_key(|way| way.to.map_or((1, 0), |slot| (0, place(slot))));
            ways
        };
        let slots = 0..book.grammar.slots().len() as u16;
        Self { ways: std::iter::once(None).chain(slots.map(Some)).map(of).collect() }
    }

    fn ways(&self, from: Option<u16>) -> &[Way] {
        &self.ways[from.map_or(0, |slot| usize::from(slot) + 1)]
    }

    /// Appends the record; whether there is a way for it.
    pub fn write(&self, book: &Codebook, draft: &mut Draft, record: &mut Vec<u8>) -> bool {
        if !self.find(book, draft) {
            return false;
        }
        let last = draft.trail.len() - 1;
        for (step, (from, way, field)) in draft.trail.iter().enumerate() {
            let Way { to, edges } = &self.ways(*from)[*way];
            let mut edge = edges[0];
            if edges.len() > 1
                && let Some(fork) = book.fork_number(*from, *to)
                && let Some(literal) = draft.literals[fork]
            {
                edge = edges.get(usize::from(literal)).copied().unwrap_or(edge);
            }
            record.extend_from_slice(&book.grammar.state(*from).edges[usize::from(edge)].literal);
            if step < last {
                let (start, end) = draft.spans[usize::from(*field)];
                record.extend_from_slice(&draft.bytes[start..end]);
            }
        }
        true
    }

    /// Finds the trail: the first way by the order of fields that does not end early, and none that takes too long.
    fn find(&self, book: &Codebook, draft: &mut Draft) -> bool {
        let wanted = draft.slots.iter().flatten().count();
        draft.passed.clear();
        draft.passed.resize(book.columns.len(), 0);
        draft.trail.clear();
        let (mut from, mut way) = (None, 0);
        for _ in 0..PATIENCE * (wanted + 2) {
            match self.ways(from).get(way) {
                Some(Way { to: None, .. }) if draft.trail.len() == wanted => {
                    draft.trail.push((from, way, 0));
                    return true;
                }
                Some(Way { to: Some(slot), .. }) => match Self::next(book, draft, *slot) {
                    Some(field) => {
                        draft.passed[usize::from(book.column_of[usize::from(*slot)])] += 1;
                        draft.trail.push((from, way, field));
                        (from, way) = (Some(*slot), 0);
                    }
                    None => way += 1,
                },
                Some(_) => way += 1,
                // Nothing leads on from here: back, and on with the next way there.
                None => {
                    let Some((before, taken, field)) = draft.trail.pop() else { return false };
                    draft.passed[usize::from(book.fields[usize::from(field)].column)] -= 1;
                    (from, way) = (before, taken + 1);
                }
            }
        }
        false
    }

    /// The field that a value in this slot would be of, if it has one: the next of its column that has any.
    fn next(book: &Codebook, draft: &Draft, slot: u16) -> Option<u16> {
        let column = book.column_of[usize::from(slot)];
        let filled = book.fields_of(column).iter().filter(|field| draft.slots[usize::from(**field)].is_some());
        let next = filled.copied().nth(draft.passed[usize::from(column)])?;
        (draft.slots[usize::from(next)] == Some(slot)).then_some(next)
    }
}
