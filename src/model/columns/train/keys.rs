//! Which column's values say which records belong together: a device, a city, a customer.

use std::collections::{HashMap, HashSet};

use super::trace::Trace;
use crate::model::columns::parts::ColumnParts;
use crate::model::columns::registers::{Registers, is_number};
use crate::payload::fields::Kind;

/// Events that keys are compared on.
const EVENTS: usize = 200_000;

/// Columns that are tried.
const CANDIDATES: usize = 16;

/// Values that a key has at most.
const MAX_VALUES: usize = 512;

/// What must be saved: one part in so many of what numbers cost without a key.
const LEAST: u64 = 20;

/// The key under which numbers change least from record to record, if that is much less than without one.
pub(super) fn search(
    slots: usize,
    all: usize,
    columns: &[ColumnParts],
    trace: &Trace<'_>,
    registers: &[i64],
) -> Option<u16> {
    let newest = trace.events.len().saturating_sub(EVENTS);
    let mut values: Vec<HashSet<i64>> = vec![HashSet::new(); slots];
    for (event, value) in trace.events.iter().zip(registers).skip(newest) {
        if let Some(values) = values.get_mut(usize::from(event.column))
            && values.len() <= MAX_VALUES
        {
            values.insert(*value);
        }
    }
    let fits = |slot: &u16| (2..=MAX_VALUES).contains(&values[usize::from(*slot)].len());
    let candidates: Vec<u16> = (0..slots as u16).filter(fits).take(CANDIDATES).collect();
    // What a value costs when so much was there before: something where it changes at all, and a number the more the
    // further it goes.
    let change = |column: usize, before: i64, value: i64| -> u64 {
        match columns[column].alphabet.kind != Kind::Text && is_number(before) && is_number(value) {
            true => u64::from(u64::BITS - value.abs_diff(before).leading_zeros()),
            false => 4 * u64::from(value != before),
        }
    };
    let cost = |key: u16| {
        let mut start = Registers::new(all);
        start.key = Some(key);
        let mut old: HashMap<i64, Vec<i64>> = HashMap::new();
        let mut cost = Cost::default();
        trace.replay(registers, &start, |at, event, memory| {
            let column = usize::from(event.column);
            if event.first && event.begins_anew() {
                old.clear();
            }
            if at < newest || column >= slots {
                return;
            }
            let value = registers[at];
            let own = memory.now(usize::from(key));
            if memory.kept(usize::from(key)) != own {
                return;
            }
            let old = old.entry(own).or_insert_with(|| (0..memory.len()).map(|column| memory.kept(column)).collect());
            cost.without += change(column, memory.now(column), value);
            cost.last += change(column, memory.kept(column), value);
            cost.old += change(column, old[column], value);
        });
        cost
    };
    let costs = candidates.into_iter().map(|key| (cost(key), key));
    // Where an older record with the same key does as well, what tells is the key, and contexts have that without.
    let much = |cost: &Cost| cost.last + cost.last / LEAST < cost.without.min(cost.old);
    costs.filter(|(cost, _)| much(cost)).min_by_key(|(cost, key)| (cost.last, *key)).map(|(_, key)| key)
}

/// What values cost after the record before, after the last one with the same key, and after an older one.
#[derive(Default)]
struct Cost {
    without: u64,
    last: u64,
    old: u64,
}
