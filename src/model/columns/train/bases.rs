//! What a column's numbers may best be expected to be.

use std::collections::HashMap;

use super::trace::Row;
use super::{Known, as_text};
use crate::model::columns::base::Base;
use crate::model::columns::coding::log2;
use crate::model::columns::parts::ColumnParts;
use crate::model::columns::registers::{Registers, is_number};
use crate::payload::fields::Kind;

/// Events that bases are compared on, and those of a first look.
const EVENTS: usize = 6_000;
const FIRST_LOOK: usize = 400;

/// Most columns that expectations are made of.
const SOURCES: usize = 40;

/// The same of all columns together, and what each has in any case.
const ALL_SOURCES: usize = 1600;
const LEAST_SOURCES: usize = 4;

/// Bases that are worth a closer look.
const FINALISTS: usize = 3;

/// The bases whose differences cost least, each taken by itself; [`Base::Nothing`] is always among them.
pub(super) fn candidates(slot: usize, known: &Known<'_>) -> Vec<Base> {
    let Known { columns, slots, trace, registers, start, span } = *known;
    // Columns that stand near are asked first.
    let mut sources: Vec<u16> =
        (0..slots).filter(|other| columns[*other].alphabet.kind != Kind::Text).map(|other| other as u16).collect();
    sources.sort_by_key(|other| usize::from(*other).abs_diff(slot));
    // Where there are many, fewer are asked for each.
    sources.truncate(SOURCES.min(ALL_SOURCES / sources.len().max(1)).max(LEAST_SOURCES));
    let snapshot = trace.snapshot(slot, &sources, registers, start, EVENTS.min(span));
    let numbers: Vec<Option<i64>> =
        snapshot.events.iter().map(|at| Some(registers[*at]).filter(|number| is_number(*number))).collect();
    if numbers.iter().flatten().count() < 16 {
        return vec![Base::Nothing];
    }
    let mut judge = Judge {
        slot,
        numbers,
        memory: Registers::new(columns.len()),
        rows: sources.iter().copied().zip(&snapshot.rows).collect(),
        judged: Vec::new(),
        best: u64::MAX,
        first: u64::MAX,
    };
    judge.consider(Base::Nothing, &[]);
    let own = slot as u16;
    if start.key.is_some() {
        judge.consider(Base::Kept(own), &[own]);
    }
    for a in sources.iter().copied() {
        judge.consider(Base::Last(a), &[a]);
        judge.consider(Base::Clock(a), &[a]);
        judge.consider(Base::Hundreds(a), &[a]);
        judge.consider(Base::Rest(a), &[a]);
        judge.consider(Base::Grown(own, a), &[own, a]);
        for factor in [1000, 1_000_000, -1] {
            judge.consider(Base::Times(a, factor), &[a]);
        }
    }
    for (i, a) in sources.iter().copied().enumerate() {
        for b in sources[i + 1..].iter().copied() {
            judge.consider(Base::Sum(a, b), &[a, b]);
            for (a, b) in [(a, b), (b, a)] {
                judge.consider(Base::Difference(a, b), &[a, b]);
                judge.consider(Base::ClockSum(a, b), &[a, b]);
                judge.consider(Base::ClockLess(a, b), &[a, b]);
                judge.consider(Base::ClockMinutes(a, b), &[a, b]);
            }
        }
    }
    judge.hours(columns);
    judge.finalists()
}

struct Judge<'a> {
    slot: usize,
    numbers: Vec<Option<i64>>,
    memory: Registers,
    rows: HashMap<u16, &'a Row>,
    /// Bases that were looked at closely, and what they cost.
    judged: Vec<(u64, Base)>,
    best: u64,
    /// What the best cost at a first look.
    first: u64,
}

impl Judge<'_> {
    fn consider(&mut self, base: Base, sources: &[u16]) {
        let look = FIRST_LOOK.min(self.numbers.len());
        // The newest are looked at first.
        let first = self.cost(base, sources, self.numbers.len() - look);
        if first > self.first.saturating_add(self.first / 16) {
            return;
        }
        let mut cost = self.cost(base, sources, 0);
        if sources.len() > 1 {
            // Of so many pairs one is good by chance.
            cost = cost.saturating_add(cost / 128);
        }
        self.judged.push((cost, base));
        if cost < self.best {
            (self.best, self.first) = (cost, first);
        }
    }

    fn finalists(mut self) -> Vec<Base> {
        // The sort is stable: of bases that expect the same the first one stays.
        self.judged.sort_by_key(|(cost, _)| *cost);
        self.judged.dedup_by_key(|(cost, _)| *cost);
        let mut bases: Vec<Base> = self.judged.iter().take(FINALISTS).map(|(_, base)| *base).collect();
        if !bases.contains(&Base::Nothing) {
            bases.push(Base::Nothing);
        }
        bases
    }

    /// Bits of the differences from event `from` on, in 2^-16, for a coder that learns them as it goes.
    fn cost(&mut self, base: Base, sources: &[u16], from: usize) -> u64 {
        let mut seen: HashMap<i64, u32> = HashMap::new();
        let mut total = 0u32;
        let mut cost = 0u64;
        for (i, number) in self.numbers.iter().enumerate().skip(from) {
            let Some(number) = *number else { continue };
            for source in sources {
                let Some(row) = self.rows.get(source) else { return u64::MAX };
                row.restore(i, usize::from(*source), &mut self.memory);
            }
            let Some(difference) = base.difference(number, base.of(self.slot, &self.memory)) else {
                cost += as_text(number);
                continue;
            };
            let distinct = seen.len() as u32;
            let count = seen.entry(difference).or_insert(0);
            let all = log2(2 * total + 2);
            cost += u64::from(match *count {
                0 => {
                    let length = u64::BITS - difference.unsigned_abs().leading_zeros();
                    all - log2(distinct + 1) + ((4 + length) << 16)
                }
                count => all - log2(2 * count - 1),
            });
            *count += 1;
            total += 1;
        }
        cost
    }

    /// Times whose hour is written in other columns too.
    fn hours(&mut self, columns: &[ColumnParts]) {
        let alphabet = &columns[self.slot].alphabet;
        let Kind::Time(format) = &alphabet.kind else { return };
        let Some(second) = format.units_a_second() else { return };
        let mut within: Vec<u16> = self.rows.keys().copied().collect();
        within.sort_unstable();
        let within = |from: i64, to: i64| -> Vec<u16> {
            let fits = |column: &u16| {
                usize::from(*column) < self.slot && self.rows[column].now.iter().all(|n| (from..=to).contains(n))
            };
            within.iter().copied().filter(fits).take(4).collect()
        };
        let (years, months, days, hours) = (within(1900, 2200), within(1, 12), within(1, 31), within(0, 24));
        for year in &years {
            for month in &months {
                for day in days.iter().filter(|day| *day != month) {
                    for hour in hours.iter().filter(|hour| *hour != month && *hour != day) {
                        let parts = [*year, *month, *day, *hour];
                        let base = Base::Hour { parts, second, unit: alphabet.unit, offset: alphabet.offset };
                        self.consider(base, &parts);
                    }
                }
            }
        }
    }
}
