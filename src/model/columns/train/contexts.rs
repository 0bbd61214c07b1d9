//! Which contexts tell most about a column.
//!
//! Features are ranked by what the column costs with each alone; then sets of two, three and four are grown from the
//! best; then a chain of sets is put together greedily. What a set costs is what a coder pays that starts with nothing
//! and learns on the newest events (prequential code length, Dawid 1984), so that a context too fine to be learned
//! loses to a coarser one by itself.

use std::collections::HashMap;

use super::trace::{Row, Snapshot};
use super::{Known, as_text};
use crate::model::columns::alphabet::{BUCKETS, bucket, bucket_bits};
use crate::model::columns::base::Base;
use crate::model::columns::chain::MAX_LEVELS;
use crate::model::columns::coding::log2;
use crate::model::columns::feature::{Aspect, Context, Feature, MAX_FEATURES, When};
use crate::model::columns::parts::ColumnParts;
use crate::model::columns::registers::{Registers, is_number, mix};
use crate::payload::fields::Kind;

/// Events that sets are compared on, and those that chains are.
const EVENTS: usize = 16_384;
const CHAIN_EVENTS: usize = 49_152;

/// Most columns whose registers are looked at.
const SOURCES: usize = 96;

/// Sets that are grown, and features that each is grown by.
const BEAM: usize = 6;
const GROWTH: usize = 28;

/// Sets that a chain is made of.
const POOL: usize = 24;

/// What another context must save: bits of an event in 2^-16.
const LEAST_GAIN: u64 = 400;

/// The contexts of every column.
pub(super) fn search(known: &Known<'_>, symbols: &[u16], effort: u64) -> Vec<Vec<Context>> {
    let Known { columns, slots, trace, registers, start, span } = *known;
    let mut of_column = vec![Vec::new(); columns.len()];
    for (at, event) in trace.events.iter().enumerate() {
        if let Some(own) = of_column.get_mut(usize::from(event.column)) {
            own.push(symbols[at]);
        }
    }
    // Effort goes where the bits are.
    let plain: Vec<u64> = of_column.iter().map(|symbols| plain_cost(symbols)).collect();
    let all: u64 = plain.iter().sum::<u64>().max(1);
    (0..columns.len())
        .map(|column| {
            let events = of_column[column].len() as u64;
            if events < 32 || plain[column] < events * LEAST_GAIN {
                return Vec::new();
            }
            let share = (u128::from(effort) * u128::from(plain[column]) / u128::from(all)) as u64;
            // What is cheap now is quickly looked at.
            let share = share.max(effort / 16 / columns.len() as u64);
            let sources = sources(column, slots, columns);
            let snapshot = trace.snapshot(column, &sources, registers, start, CHAIN_EVENTS.min(span));
            let symbols: Vec<u16> = snapshot.events.iter().map(|at| symbols[*at]).collect();
            // No more features than are ranked.
            let most = share / 3 / symbols.len().clamp(1, EVENTS) as u64 + 1;
            Search::new(symbols, snapshot, (&sources, most as usize), columns, slots)
                .run(share, thinned(POOL, 6, slots))
        })
        .collect()
}

/// Events that bases are compared on, and how wide the search is then.
const BASE_EVENTS: usize = 12_288;
const BASE_BEAM: usize = 3;
const BASE_GROWTH: usize = 14;

/// The base whose differences cost least in the best context that a quick search finds for them.
///
/// `brittle` is what it counts for that a number goes on from what it was itself, in 2^-16 bits a value.
pub(super) fn best_base(column: usize, candidates: &[Base], known: &Known<'_>, brittle: u64) -> Base {
    let Known { columns, slots, trace, registers, start, span } = *known;
    let [_, _, ..] = candidates else { return candidates.first().copied().unwrap_or_default() };
    // What stands in the record before it, and what was there before: the search is to be quick.
    let mut sources = sources(column, slots, columns);
    sources.truncate(thinned(BASE_SOURCES, LEAST_BASE_SOURCES, slots));
    let mut all = sources.clone();
    for other in candidates.iter().flat_map(|base| base.columns()) {
        if !all.contains(&other) {
            all.push(other);
        }
    }
    let snapshot = trace.snapshot(column, &all, registers, start, BASE_EVENTS.min(span));
    let numbers: Vec<i64> = snapshot.events.iter().map(|at| registers[*at]).collect();
    let features = (&*sources, usize::MAX);
    let mut search = Search::new(vec![0; numbers.len()], snapshot.of(&all, &sources), features, columns, slots);
    let growth = thinned(BASE_GROWTH, LEAST_BASE_GROWTH, slots);
    let mut memory = Registers::new(columns.len());
    let mut best = (u64::MAX, Base::Nothing);
    for base in candidates {
        let rows: Vec<(usize, &Row)> = (all.iter().zip(&snapshot.rows))
            .filter(|(other, _)| base.columns().any(|column| column == **other))
            .map(|(other, row)| (usize::from(*other), row))
            .collect();
        let difference = |i: usize| {
            rows.iter().for_each(|(column, row)| row.restore(i, *column, &mut memory));
            Some(numbers[i]).filter(|n| is_number(*n)).and_then(|n| base.difference(n, base.of(column, &memory)))
        };
        let differences: Vec<Option<i64>> = (0..numbers.len()).map(difference).collect();
        search.become_differences(&differences, &numbers);
        let mut cost = search.quick(growth);
        if *base != Base::Nothing {
            // Something must be won.
            cost += cost / 128;
        }
        if !base.goes_on(column) {
            cost += numbers.len() as u64 * brittle;
        }
        if cost < best.0 {
            best = (cost, *base);
        }
    }
    best.1
}

/// Most columns whose registers a quick search looks at.
const BASE_SOURCES: usize = 48;

/// So many columns of values are searched as widely as any. Where there are more, each is searched less widely, so that all of
/// them take about the time of so many.
const WIDE: usize = 48;

/// What is left of a width in any case.
const LEAST_BASE_SOURCES: usize = 4;
const LEAST_BASE_GROWTH: usize = 4;

/// What is left of a width where there are so many columns of values.
pub(super) fn thinned(width: usize, least: usize, slots: usize) -> usize {
    (width * WIDE / slots.max(WIDE)).max(least)
}

/// What symbols cost without contexts, in 2^-16 bits: their empirical entropy.
fn plain_cost(symbols: &[u16]) -> u64 {
    let mut counts = vec![0u32; 1 << 16];
    symbols.iter().for_each(|symbol| counts[usize::from(*symbol)] += 1);
    let all = symbols.len() as u64;
    counts.iter().filter(|count| **count > 0).map(|count| u64::from(*count) * rarity(u64::from(*count), all)).sum()
}

/// -log2(part / all) in 2^-16.
fn rarity(part: u64, all: u64) -> u64 {
    let shift = (u64::BITS - all.leading_zeros()).saturating_sub(16);
    u64::from(log2((all >> shift) as u32).saturating_sub(log2((part >> shift) as u32)))
}

/// Columns worth looking at: the column itself, then those that stand nearest.
fn sources(column: usize, slots: usize, columns: &[ColumnParts]) -> Vec<u16> {
    let place = |other: usize| if other < slots { 2 * other as isize } else { 2 * (other - slots) as isize - 1 };
    let mut sources: Vec<u16> = (0..columns.len() as u16).collect();
    sources.sort_by_key(|other| (place(usize::from(*other)) - place(column)).unsigned_abs());
    sources.truncate(SOURCES);
    sources
}

/// The search for one column.
struct Search {
    symbols: Vec<u16>,
    /// What each event costs without a context.
    plain: Vec<u32>,
    /// What it costs beside its symbol.
    extra: u64,
    features: Vec<Feature>,
    /// Of each feature, its value at each event, hashed.
    rows: Vec<Vec<u32>>,
    tables: Vec<Table>,
    spent: u64,
}

/// A set of features, by number.
type Set = Vec<usize>;

impl Search {
    /// Of the features of these sources, so many.
    fn new(
        symbols: Vec<u16>,
        snapshot: Snapshot,
        (sources, most): (&[u16], usize),
        columns: &[ColumnParts],
        slots: usize,
    ) -> Self {
        let mut counts = vec![0u32; 1 << 16];
        symbols.iter().for_each(|symbol| counts[usize::from(*symbol)] += 1);
        let all = symbols.len() as u64;
        let plain = symbols.iter().map(|symbol| rarity(u64::from(counts[usize::from(*symbol)]), all) as u32).collect();
        let mut search = Self {
            symbols,
            plain,
            extra: 0,
            features: Vec::new(),
            rows: Vec::new(),
            tables: (0..MAX_LEVELS).map(|_| Table::default()).collect(),
            spent: 0,
        };
        let mut prints = std::collections::HashSet::new();
        // Each source is given up when its features are known: both of all sources are the most that a training takes.
        for (source, row) in sources.iter().zip(snapshot.rows) {
            if search.features.len() >= most {
                break;
            }
            let column = usize::from(*source);
            let number = column < slots && columns[column].alphabet.kind != Kind::Text;
            for (aspect, when) in Aspect::ALL.into_iter().flat_map(|aspect| When::ALL.map(|when| (aspect, when))) {
                let values = match when {
                    When::Now => &row.now,
                    When::Before => &row.before,
                    When::Kept => &row.kept,
                };
                let needs_number = !matches!(aspect, Aspect::Value | Aspect::Same | Aspect::Class);
                let only_now = matches!(aspect, Aspect::Same | Aspect::Step | Aspect::Class);
                if (needs_number && !number) || (only_now && when != When::Now) || values.is_empty() {
                    continue;
                }
                let hashed = |i: usize| mix(0, aspect.of(values[i], row.before[i])) as u32;
                let hashes: Vec<u32> = (0..values.len()).map(hashed).collect();
                // Features that tell the newest events apart alike are one.
                if let Some(print) = fingerprint(&hashes[hashes.len().saturating_sub(2048)..])
                    && prints.insert(print)
                {
                    search.features.push(Feature { aspect, column: *source, when });
                    search.rows.push(hashes);
                }
            }
        }
        search
    }

    /// Searches for differences instead: frequent ones are symbols of their own, the others are buckets.
    fn become_differences(&mut self, differences: &[Option<i64>], numbers: &[i64]) {
        let mut seen: HashMap<(bool, i64), u32> = HashMap::new();
        let value = |i: usize| match differences[i] {
            Some(difference) => (true, difference),
            None => (false, numbers[i]),
        };
        (0..numbers.len()).for_each(|i| *seen.entry(value(i)).or_insert(0) += 1);
        let mut frequent: Vec<(bool, i64)> =
            seen.into_iter().filter(|(_, count)| *count > 1).map(|(value, _)| value).collect();
        frequent.sort_unstable();
        let number: HashMap<(bool, i64), u16> = frequent.into_iter().zip(BUCKETS as u16..u16::MAX).collect();
        // Events that do not count are for learning.
        let counted = numbers.len() / 3;
        self.extra = 0;
        for (i, difference) in differences.iter().enumerate() {
            let symbol = number.get(&value(i)).copied();
            self.symbols[i] = symbol.unwrap_or_else(|| {
                let bucket = difference.map_or(0, bucket);
                if i >= counted {
                    let (modelled, raw) = bucket_bits(bucket);
                    let text = difference.is_none() && is_number(numbers[i]);
                    self.extra += if text { as_text(numbers[i]) } else { u64::from(modelled + raw) << 16 };
                }
                bucket as u16
            });
        }
        let mut counts = vec![0u32; 1 << 16];
        self.symbols.iter().for_each(|symbol| counts[usize::from(*symbol)] += 1);
        let all = self.symbols.len() as u64;
        let plain = self.symbols.iter().map(|symbol| rarity(u64::from(counts[usize::from(*symbol)]), all) as u32);
        self.plain = plain.collect();
    }

    /// What the best set of up to three features costs that is found in a moment, grown by so many of them.
    fn quick(&mut self, growth: usize) -> u64 {
        let mut best = self.nothing(0);
        let mut ranked: Vec<(u64, Set)> =
            (0..self.features.len()).map(|feature| (self.cost(&[vec![feature]], 0), vec![feature])).collect();
        ranked.sort();
        let singles: Vec<usize> = ranked.iter().take(growth).map(|(_, set)| set[0]).collect();
        for _ in 0..3 {
            best = best.min(ranked.first().map_or(u64::MAX, |(cost, _)| *cost));
            let mut grown = Vec::new();
            for (_, set) in ranked.iter().take(BASE_BEAM) {
                for feature in singles.iter().filter(|feature| !set.contains(feature)) {
                    let mut larger = set.clone();
                    larger.push(*feature);
                    grown.push((self.cost(std::slice::from_ref(&larger), 0), larger));
                }
            }
            grown.sort();
            ranked = grown;
        }
        best + self.extra
    }

    /// The chain that is found with so much effort, out of so many sets.
    fn run(mut self, effort: u64, pool: usize) -> Vec<Context> {
        let events = self.symbols.len().min(EVENTS);
        let from = self.symbols.len() - events;
        let mut ranked: Vec<(u64, Set)> = Vec::new();
        for feature in 0..self.features.len() {
            if self.spent > effort / 3 {
                break;
            }
            let cost = self.cost(&[vec![feature]], from);
            ranked.push((cost, vec![feature]));
        }
        ranked.sort();
        let singles: Vec<usize> = ranked.iter().map(|(_, set)| set[0]).collect();
        let mut frontier: Vec<(u64, Set)> = ranked.clone();
        for _ in 1..MAX_FEATURES {
            let mut grown: Vec<(u64, Set)> = Vec::new();
            for (_, set) in frontier.iter().take(BEAM) {
                for feature in singles.iter().take(GROWTH) {
                    let mut larger = set.clone();
                    if larger.contains(feature) || self.spent > effort {
                        continue;
                    }
                    larger.push(*feature);
                    larger.sort_unstable();
                    if grown.iter().any(|(_, known)| *known == larger) {
                        continue;
                    }
                    grown.push((self.cost(std::slice::from_ref(&larger), from), larger));
                }
            }
            grown.sort();
            grown.truncate(POOL);
            ranked.extend(grown.iter().cloned());
            frontier = grown;
        }
        ranked.sort();
        self.chain(ranked, pool)
    }

    /// Puts sets together, the one behind the other, as long as it pays.
    fn chain(mut self, ranked: Vec<(u64, Set)>, most: usize) -> Vec<Context> {
        let mut pool: Vec<Set> = Vec::new();
        // The best of each size, then the best of all.
        for size in 1..=MAX_FEATURES {
            pool.extend(ranked.iter().filter(|(_, set)| set.len() == size).take(most / 6).map(|(_, set)| set.clone()));
        }
        for (_, set) in &ranked {
            if pool.len() < most && !pool.contains(set) {
                pool.push(set.clone());
            }
        }
        let mut best: Vec<Set> = Vec::new();
        let mut best_cost = self.nothing(0);
        let counted = (self.symbols.len() - self.symbols.len() / 3) as u64;
        while best.len() < MAX_LEVELS {
            let mut improved: Option<(u64, Vec<Set>)> = None;
            for set in &pool {
                if best.contains(set) {
                    continue;
                }
                for place in 0..=best.len() {
                    let mut chain = best.clone();
                    chain.insert(place, set.clone());
                    // A finer set behind a coarser one is hardly ever asked.
                    if chain.windows(2).any(|pair| pair[0].len() < pair[1].len()) {
                        continue;
                    }
                    let cost = self.cost(&chain, 0);
                    if improved.as_ref().is_none_or(|(least, _)| cost < *least) {
                        improved = Some((cost, chain));
                    }
                }
            }
            match improved {
                Some((cost, chain)) if cost + counted * LEAST_GAIN < best_cost => (best_cost, best) = (cost, chain),
                _ => break,
            }
        }
        let context = |set: Set| Context { features: set.into_iter().map(|feature| self.features[feature]).collect() };
        best.into_iter().map(context).collect()
    }

    /// What the events that count cost without contexts.
    fn nothing(&self, from: usize) -> u64 {
        let start = from + (self.symbols.len() - from) / 3;
        self.plain[start..].iter().map(|cost| u64::from(*cost)).sum()
    }

    /// What the last two thirds of the events from `from` on cost with this chain of sets, the first third being for
    /// learning.
    fn cost(&mut self, chain: &[Set], from: usize) -> u64 {
        let Self { symbols, plain, rows, tables, spent, .. } = self;
        let events = symbols.len() - from;
        *spent += (events * chain.len()) as u64;
        tables[..chain.len()].iter_mut().for_each(|table| table.clear(events));
        let start = from + events / 3;
        let mut total = 0u64;
        for i in from..symbols.len() {
            let symbol = symbols[i];
            let mut cost = 0u32;
            let mut coded = false;
            for (set, table) in chain.iter().zip(tables.iter_mut()) {
                let key = set
                    .iter()
                    .fold(0u32, |hash, feature| (hash.rotate_left(5) ^ rows[*feature][i]).wrapping_mul(0x9e37_79b1));
                let (occurrences, distinct, count) = table.add(key, symbol);
                if occurrences == 0 {
                    continue;
                }
                if count > 0 {
                    cost += log2(2 * occurrences) - log2(2 * count - 1);
                    coded = true;
                    break;
                }
                cost += log2(2 * occurrences) - log2(distinct);
            }
            if !coded {
                cost += plain[i];
            }
            if i >= start {
                total += u64::from(cost);
            }
        }
        total
    }
}

/// Which events a row tells apart, as a number; nothing when it tells none apart.
fn fingerprint(row: &[u32]) -> Option<u64> {
    let mut first = std::collections::HashMap::new();
    let mut print = 0u64;
    for value in row {
        let next = first.len() as u64;
        let label = *first.entry(*value).or_insert(next);
        print = (print ^ label).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }
    (first.len() > 1).then_some(print)
}

/// Counts of symbols by context, for one evaluation.
#[derive(Default)]
struct Table {
    /// Key, occurrences, distinct symbols; occurrences 0 is empty.
    contexts: Vec<(u32, u32, u32)>,
    /// Place of the context and symbol, count; count 0 is empty.
    counts: Vec<(u64, u32)>,
    mask: usize,
}

impl Table {
    fn clear(&mut self, events: usize) {
        let size = (2 * events).next_power_of_two();
        self.mask = size - 1;
        self.contexts.clear();
        self.contexts.resize(size, (0, 0, 0));
        self.counts.clear();
        self.counts.resize(size, (0, 0));
    }

    /// Counts a symbol; gives what was counted before: occurrences of the context, its symbols, and this one.
    #[inline]
    fn add(&mut self, key: u32, symbol: u16) -> (u32, u32, u32) {
        let mut place = (key ^ key >> 15) as usize & self.mask;
        while self.contexts[place].1 != 0 && self.contexts[place].0 != key {
            place = (place + 1) & self.mask;
        }
        let pair = (place as u64) << 16 | u64::from(symbol);
        let mut at = (pair.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize & self.mask;
        while self.counts[at].1 != 0 && self.counts[at].0 != pair {
            at = (at + 1) & self.mask;
        }
        let (_, occurrences, distinct) = self.contexts[place];
        let count = self.counts[at].1;
        self.contexts[place] = (key, occurrences + 1, distinct + u32::from(count == 0));
        self.counts[at] = (pair, count + 1);
        (occurrences, distinct, count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::columns::train::{Options, span};

    #[test]
    fn bases_of_many_columns_take_no_more_work_than_those_of_some() {
        let work = |slots: usize| {
            let features = thinned(BASE_SOURCES, LEAST_BASE_SOURCES, slots) * Aspect::ALL.len() * When::ALL.len();
            let grown = 3 * BASE_BEAM * thinned(BASE_GROWTH, LEAST_BASE_GROWTH, slots);
            slots * (features + grown) * BASE_EVENTS.min(span(Options::default().effort, slots))
        };
        for slots in 1..=2048 {
            assert!(work(slots) <= work(WIDE), "{slots} columns");
        }
    }
}
