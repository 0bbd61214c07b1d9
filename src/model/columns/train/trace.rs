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
    /// How many records had foreign bytes, and how many had none.
    pub regular: [u32; 2],
    alone: bool,
}

impl<'a> Trace<'a> {
    pub fn new(grammar: &Grammar, samples: &'a [&'a [u8]], alone: bool) -> Self {
        let mut trace = Self { samples, events: Vec::new(), regular: [1, 1], alone };
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
        trace
    }

    /// Events of records that were not walked.
    pub fn of(samples: &'a [&'a [u8]], events: Vec<Event>) -> Self {
        Self { samples, events, regular: [1, 1], alone: false }
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
        let events = self.events.iter().filter(|event| usize::from(event.column) == slot);
        events.map(|event| self.bytes(event)).collect()
    }

    /// Goes through all values and choices with what is remembered before each.
    pub fn replay(&self, values: &[i64], start: &Registers, see: impl FnMut(usize, &Event, &Registers)) {
        self.replay_from(0, values, start, see);
    }

    fn replay_from(
        &self,
        from: usize,
        values: &[i64],
        start: &Registers,
        mut see: impl FnMut(usize, &Event, &Registers),
    ) {
        let mut registers = start.clone();
        for (at, event) in self.events.iter().enumerate().skip(from) {
            self.step(event, start, &mut registers);
            if event.column != FOREIGN {
                see(at, event, &registers);
                registers.push(usize::from(event.column), values[at]);
            }
        }
    }

    /// What comes before an event: the end of a record where it is the first of the next one.
    pub fn step(&self, event: &Event, start: &Registers, registers: &mut Registers) {
        if !event.first {
            return;
        }
        if self.alone {
            return registers.begin(start);
        }
        if event.record > 0 {
            registers.end();
        }
        // As a block does that begins here.
        if event.begins_anew() {
            registers.forget();
        }
    }

    /// What is remembered before the last `most` events of a column: those events, and the registers of `sources`.
    ///
    /// It begins a few records earlier, so that registers of columns that are rarely met may still be empty.
    pub fn snapshot(&self, column: usize, sources: &[u16], values: &[i64], start: &Registers, most: usize) -> Snapshot {
        let own = |event: &Event| usize::from(event.column) == column;
        let mut left = most;
        let first = self.events.iter().rposition(|event| {
            left -= usize::from(own(event));
            left == 0
        });
        let (first, count) = (first.unwrap_or(0), most - left);
        let record = self.events.get(first).map_or(0, |event| event.record.saturating_sub(WARMING));
        let from = self.events.partition_point(|event| event.record < record);
        // None grows: what a row leaves behind is too small for the next.
        let row = || Row {
            now: Vec::with_capacity(count),
            before: Vec::with_capacity(count),
            kept: Vec::with_capacity(if start.key.is_some() { count } else { 0 }),
        };
        let mut rows: Vec<Row> = sources.iter().map(|_| row()).collect();
        let mut events = Vec::with_capacity(count);
        self.replay_from(from, values, start, |at, event, memory| {
            if at < first || !own(event) {
                return;
            }
            events.push(at);
            for (row, source) in rows.iter_mut().zip(sources) {
                let [now, before, kept] = memory.columns()[usize::from(*source)];
                row.now.push(now);
                row.before.push(before);
                if start.key.is_some() {
                    row.kept.push(kept);
                }
            }
        });
        Snapshot { events, rows }
    }
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
