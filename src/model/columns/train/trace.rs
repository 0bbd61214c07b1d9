//! The samples as one row of events.

use crate::payload::fields::{Grammar, Step, Steps};

use crate::model::columns::registers::Registers;

/// The column of foreign bytes.
pub(super) const FOREIGN: u16 = u16::MAX;

/// A value, a choice of a literal, or foreign bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub column: u16,
    /// Whether it is the first of its record.
    pub first: bool,
    record: u32,
    /// Where the bytes begin in the record; of a choice, what was chosen.
    pub start: u32,
    /// Where they end; of a choice, `u32::MAX`.
    end: u32,
}

impl Event {
    /// A value that stands at `start..end` of a record.
    pub const fn value(column: u16, first: bool, record: u32, start: u32, end: u32) -> Self {
        Self { column, first, record, start, end }
    }

    /// A choice.
    pub const fn choice(column: u16, first: bool, record: u32, chosen: u16) -> Self {
        Self { column, first, record, start: chosen as u32, end: u32::MAX }
    }

    /// The number of its record.
    pub const fn record(&self) -> u32 {
        self.record
    }

    /// Whether the records of all keys are forgotten before its record.
    pub fn begins_anew(&self) -> bool {
        self.record.is_multiple_of(FORGETTING)
    }

    /// Bytes of a value or of foreign bytes.
    pub fn len(&self) -> usize {
        (self.end - self.start) as usize
    }
}

pub(super) struct Trace<'a> {
    samples: &'a [&'a [u8]],
    pub events: Vec<Event>,
    /// Of each column, the places of its events.
    of_column: Vec<Vec<u32>>,
    /// How many records had foreign bytes, and how many had none.
    pub regular: [u32; 2],
    alone: bool,
}

impl<'a> Trace<'a> {
    pub fn new(grammar: &Grammar, samples: &'a [&'a [u8]], alone: bool) -> Self {
        let mut trace = Self { samples, events: Vec::new(), of_column: Vec::new(), regular: [1, 1], alone };
        let slots = grammar.slots().len() as u16;
        let mut steps = Steps::default();
        for (record, sample) in samples.iter().enumerate() {
            steps.walk(grammar, sample);
            trace.regular[usize::from(steps.regular)] += 1;
            let mut state = 0u16;
            let mut first = true;
            let record = record as u32;
            let mut push = |column: u16, start: u32, end: u32| {
                trace.events.push(Event { column, first, record, start, end });
                first = false;
            };
            for step in &steps.steps {
                let edges = grammar.states()[usize::from(state)].edges.len();
                let choice = slots + state;
                let slot = match *step {
                    Step::Edge { edge, slot, start, end } => {
                        if !steps.regular || edges > 1 {
                            push(choice, u32::from(edge), u32::MAX);
                        }
                        if let Some(slot) = slot {
                            push(slot, start, end);
                        }
                        slot
                    }
                    Step::Foreign { start, end, slot, value_end } => {
                        push(choice, edges as u32, u32::MAX);
                        push(FOREIGN, start, end);
                        if let Some(slot) = slot {
                            push(slot, end, value_end);
                        }
                        slot
                    }
                };
                state = slot.map_or(0, |slot| slot + 1);
            }
        }
        trace.events.shrink_to_fit();
        trace.of_column = of_column(&trace.events);
        trace
    }

    /// Events of records that were not walked.
    pub fn of(samples: &'a [&'a [u8]], events: Vec<Event>) -> Self {
        Self { samples, of_column: of_column(&events), events, regular: [1, 1], alone: false }
    }

    /// The bytes of a value or of foreign bytes.
    pub fn bytes(&self, event: &Event) -> &'a [u8] {
        &self.samples[event.record as usize][event.start as usize..event.end as usize]
    }

    /// The bytes of a value; nothing for a choice and for foreign bytes.
    pub fn value(&self, event: &Event) -> Option<&'a [u8]> {
        (event.end != u32::MAX && event.column != FOREIGN).then(|| self.bytes(event))
    }

    /// The values of a slot.
    pub fn values(&self, slot: usize) -> Vec<&'a [u8]> {
        self.own(slot).iter().map(|at| self.bytes(&self.events[*at as usize])).collect()
    }

    /// The places of a column's events.
    fn own(&self, column: usize) -> &[u32] {
        self.of_column.get(column).map_or(&[], Vec::as_slice)
    }

    /// Goes through all values and choices with what is remembered before each.
    pub fn replay(&self, values: &[i64], start: &Registers, mut see: impl FnMut(usize, &Event, &Registers)) {
        let mut registers = start.clone();
        for (at, event) in self.events.iter().enumerate() {
            self.step(event, start, &mut registers);
            if event.column != FOREIGN {
                see(at, event, &registers);
                registers.push(usize::from(event.column), values[at]);
            }
        }
    }

    /// What comes before an event: the end of a record where it is the first of the next one.
    pub fn step(&self, event: &Event, start: &Registers, registers: &mut Registers) {
        if event.first {
            self.begin(event.record, start, registers);
        }
    }

    /// What comes before a record.
    fn begin(&self, record: u32, start: &Registers, registers: &mut Registers) {
        if self.alone {
            return registers.begin(start);
        }
        if record > 0 {
            registers.end();
        }
        // As a block does that begins here.
        if record.is_multiple_of(FORGETTING) {
            registers.forget();
        }
    }

    /// What is remembered before the last `most` events of a column: those events, and the registers of `sources`.
    ///
    /// It begins a few records earlier, so that registers of columns that are rarely met may still be empty.
    pub fn snapshot(&self, column: usize, sources: &[u16], values: &[i64], start: &Registers, most: usize) -> Snapshot {
        let own = self.own(column);
        let count = own.len().min(most);
        let first = if own.len() < most { 0 } else { own.get(own.len() - most).map_or(0, |first| *first as usize) };
        let record = self.events.get(first).map_or(0, |event| event.record.saturating_sub(WARMING));
        let from = self.events.partition_point(|event| event.record < record);
        // Only what is asked for is remembered, so that it does not matter how many other columns there are.
        let mut heard: Vec<u16> = sources.iter().copied().chain([column as u16]).chain(start.key).collect();
        heard.sort_unstable();
        heard.dedup();
        let mut registers = start.clone();
        if start.key.is_some() {
            registers.keep(heard.clone());
        }
        // None grows: what a row leaves behind is too small for the next.
        let row = || Row {
            now: Vec::with_capacity(count),
            before: Vec::with_capacity(count),
            kept: Vec::with_capacity(if start.key.is_some() { count } else { 0 }),
        };
        let mut rows: Vec<Row> = sources.iter().map(|_| row()).collect();
        let mut events = Vec::with_capacity(count);
        let mut next = record;
        for at in self.places(&heard, from) {
            let event = &self.events[at];
            if self.alone && next <= event.record {
                heard.iter().for_each(|column| registers.copy(*column, start));
                next = event.record + 1;
            }
            while next <= event.record {
                self.begin(next, start, &mut registers);
                next += 1;
            }
            let register = usize::from(event.column);
            if register == column && at >= first {
                events.push(at);
                for (row, source) in rows.iter_mut().zip(sources) {
                    let [now, before, kept] = registers.columns()[usize::from(*source)];
                    row.now.push(now);
                    row.before.push(before);
                    if start.key.is_some() {
                        row.kept.push(kept);
                    }
                }
            }
            registers.push(register, values[at]);
        }
        Snapshot { events, rows }
    }

    /// The places from `from` on of the events of some columns, in order.
    fn places(&self, columns: &[u16], from: usize) -> Vec<usize> {
        let later = columns.iter().map(|column| {
            let own = self.own(usize::from(*column));
            &own[own.partition_point(|at| (*at as usize) < from)..]
        });
        let later: Vec<&[u32]> = later.collect();
        let count: usize = later.iter().map(|own| own.len()).sum();
        let mut places = Vec::with_capacity(count);
        if count * SCATTERED < self.events.len() - from {
            places.extend(later.into_iter().flatten().map(|at| *at as usize));
            places.sort_unstable();
        } else {
            let mut is_asked = vec![false; self.of_column.len()];
            for column in columns {
                if let Some(is_asked) = is_asked.get_mut(usize::from(*column)) {
                    *is_asked = true;
                }
            }
            let asked = |event: &Event| is_asked.get(usize::from(event.column)).is_some_and(|asked| *asked);
            places.extend((from..self.events.len()).filter(|at| asked(&self.events[*at])));
        }
        places
    }
}

/// One in so many events, and it takes less to sort those that are asked for than to look at all.
const SCATTERED: usize = 16;

/// The places of each column's events.
fn of_column(events: &[Event]) -> Vec<Vec<u32>> {
    let mut counts = Vec::new();
    for event in events.iter().filter(|event| event.column != FOREIGN) {
        let column = usize::from(event.column);
        if counts.len() <= column {
            counts.resize(column + 1, 0);
        }
        counts[column] += 1;
    }
    let mut places: Vec<Vec<u32>> = counts.into_iter().map(Vec::with_capacity).collect();
    for (at, event) in events.iter().enumerate().filter(|(_, event)| event.column != FOREIGN) {
        places[usize::from(event.column)].push(at as u32);
    }
    places
}

/// Records before the first event of a snapshot.
const WARMING: u32 = 300;

#[derive(Clone)]
pub(super) struct Snapshot {
    /// Places of the events.
    pub events: Vec<usize>,
    /// For each source, its registers at each event.
    pub rows: Vec<Row>,
}

/// Registers of one column over events; `kept` only where there is a key.
#[derive(Clone, Default)]
pub(super) struct Row {
    pub now: Vec<i64>,
    pub before: Vec<i64>,
    pub kept: Vec<i64>,
}

impl Row {
    /// Makes registers what they were at event `i`.
    pub fn restore(&self, i: usize, column: usize, registers: &mut Registers) {
        let kept = self.kept.get(i).copied().unwrap_or(0);
        registers.columns_mut()[column] = [self.now[i], self.before[i], kept];
    }
}

/// Records after which training forgets the records of all keys: about those of a block of 64 KiB.
const FORGETTING: u32 = 256;

impl Snapshot {
    /// The rows of some of its sources, which all are.
    pub fn of(&self, all: &[u16], some: &[u16]) -> Self {
        let row = |source: &u16| {
            let place =
                all.iter().position(|other| other == source).expect("some of its sources are among all of them");
            self.rows[place].clone()
        };
        Self { events: self.events.clone(), rows: some.iter().map(row).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_has_what_a_replay_of_all_columns_has() {
        let rows: Vec<String> = (0..700)
            .map(|i: i64| (0..60).map(|c| (i * (c + 3) % (c + 7)).to_string()).collect::<Vec<_>>().join(","))
            .collect();
        let samples: Vec<&[u8]> = rows.iter().map(String::as_bytes).collect();
        let grammar = Grammar::learn(&samples);
        for (alone, key) in [(false, None), (false, Some(5)), (true, None)] {
            let trace = Trace::new(&grammar, &samples, alone);
            let number =
                |event: &Event| trace.value(event).and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
            let values: Vec<i64> = trace.events.iter().map(|event| number(event).unwrap_or(0)).collect();
            let mut start = Registers::new(grammar.slots().len() + grammar.states().len());
            start.key = key;
            for sources in [vec![20, 3], (0..60).collect()] {
                let snapshot = trace.snapshot(20, &sources, &values, &start, usize::MAX);
                let (mut events, mut rows) = (Vec::new(), vec![Vec::new(); sources.len()]);
                trace.replay(&values, &start, |at, event, memory| {
                    if event.column == 20 {
                        events.push(at);
                        let all = rows.iter_mut().zip(&sources);
                        all.for_each(|(row, source)| row.push(memory.columns()[usize::from(*source)]));
                    }
                });
                assert_eq!(events.len(), 700);
                assert_eq!(snapshot.events, events);
                for (row, expected) in snapshot.rows.iter().zip(rows) {
                    for (i, [now, before, kept]) in expected.into_iter().enumerate() {
                        assert_eq!((row.now[i], row.before[i]), (now, before));
                        assert!(key.is_none() || row.kept[i] == kept);
                    }
                }
            }
        }
    }
}
