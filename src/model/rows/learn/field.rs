//! What a field's values are said by: its codes, and those of a time's parts.

use std::collections::{HashMap, HashSet};

use super::Grain;
use super::syntax::Columns;
use crate::model::rows::bin::{Bin, OUTER, mean};
use crate::model::rows::codebook::{Cell, Code, Field, PARTS, Variable, WEEKDAY, is_null, parts};
use crate::model::rows::walk::Walk;
use crate::payload::fields::{Grammar, Kind, LEAST_COUNT, Nature, Scan, TimeFormat, is_sequence, kind, nearly_all};

/// A number or a text with a greater share of its field's values than this has a code of its own.
const OWN_SHARE: f64 = 0.005;
/// Fewest numbers of a bin.
const MIN_BIN: usize = 50;
/// Segments of a bin, and of an identifier's numbers.
const SEGMENTS: usize = 8;
const ID_SEGMENTS: usize = 64;
/// What goes on does so from a multiple of so many of its steps.
const BEYOND: i64 = 64;
/// A number has one too where those that were seen often enough are this share of all, and no more than texts would have codes; unless those with the
/// greater share make most of them.
const FEW_SHARE: f64 = 0.95;
const OWN_SHARES: f64 = 0.9;
/// Numbers that are seconds since 1970 lie between these: the years 2001 and 2100.
const SECONDS: std::ops::Range<i64> = 1_000_000_000..4_102_444_800;
/// Most known numbers of a field.
const MAX_KNOWN: usize = 8192;
/// Most texts of a field, and bytes of one.
const MAX_TEXTS: usize = 16_384;
const MAX_TEXT: usize = 4096;
/// A field's rare texts become empty ones where they are more than this.
const BLANK_SHARE: f64 = 0.1;

/// What the parts of a time are called.
const SHOWN: [&str; PARTS] = ["year", "month", "day", "hour", "minute", "second", "fraction", "day of the week"];

/// A text, and how often it was seen.
type Counted = (Vec<u8>, u32);

/// What else is told of a field.
pub struct Told {
    /// How its times go on, if they do and may.
    pub walk: Option<Walk>,
    /// The code of a variable that its rare texts are learned as, if they are not drawn as the others.
    pub blank: Option<(u16, u16)>,
}

/// Learns a field.
pub struct Learner<'a> {
    pub grammar: &'a Grammar,
    pub records: &'a [&'a [u8]],
    pub values: &'a [(usize, Option<Cell>)],
    pub grain: Grain,
}

impl<'a> Learner<'a> {
    /// Makes the variables of a field.
    pub fn field(
        &self,
        field: &mut Field,
        nature: &Nature,
        (columns, may_walk): (&Columns, bool),
        variables: &mut Vec<Variable>,
    ) -> Told {
        let name = columns.name(field);
        let (mut codes, mut texts, mut absent) = (Vec::new(), Vec::new(), 0u32);
        let mut nulls: HashMap<u16, u32> = HashMap::new();
        for (number, cell) in self.values {
            match *cell {
                None => absent += 1,
                Some((slot, start, end)) => {
                    let value = &self.records[*number][start as usize..end as usize];
                    if is_null(self.grammar.scan(slot), value) {
                        *nulls.entry(slot).or_insert(0) += 1;
                    } else {
                        texts.push((slot, value));
                    }
                }
            }
        }
        if absent >= LEAST_COUNT {
            codes.push(Code::Absent);
        }
        let null = nulls.into_iter().filter(|(_, count)| *count >= LEAST_COUNT).max_by_key(|(slot, n)| (*n, *slot));
        codes.extend(null.map(|(slot, _)| Code::Null { slot }));
        field.variable = variables.len() as u16;
        variables.push(Variable { name: name.clone(), codes: Vec::new() });

        // The slot that most values are in; numbers and times of others are texts.
        let mut slots: HashMap<u16, usize> = HashMap::new();
        texts.iter().for_each(|(slot, _)| *slots.entry(*slot).or_insert(0) += 1);
        let slot = slots.into_iter().max_by_key(|(slot, count)| (*count, *slot)).map_or(0, |(slot, _)| slot);
        let own: Vec<&[u8]> = texts.iter().filter(|(other, _)| *other == slot).map(|(_, text)| *text).collect();
        let mut others = texts.clone();
        let mut parse = |kind: &Kind| -> Option<Vec<i64>> {
            let numbers: Vec<i64> = own.iter().filter_map(|text| kind.parse(text)).collect();
            if !nearly_all(numbers.len(), own.len()) || numbers.len() < LEAST_COUNT as usize {
                return None;
            }
            others.retain(|(other, text)| *other != slot || kind.parse(text).is_none());
            Some(numbers)
        };
        let (mut is_blank, mut is_lacking, mut walk) = (false, false, None);
        // Only what each record has can go on.
        let goes_on = |format: &TimeFormat, times: &[i64]| {
            let always = may_walk && times.len() == self.values.len();
            if always { Walk::of(0, format, times, |gaps| self.bins(gaps)) } else { None }
        };
        match nature {
            Nature::Empty => {}
            Nature::Time(format) => {
                let kind = Kind::Time(*format);
                if let Some(times) = parse(&kind) {
                    codes.push(Code::Time { slot });
                    field.kind = kind;
                    walk = goes_on(format, &times);
                    self.parts(field, format, (&times, walk.is_some()), &name, variables);
                }
            }
            Nature::Number | Nature::Sequence | Nature::Identifier => {
                let (kind, is_number) = (kind(&own), *nature == Nature::Number);
                if let Some(numbers) = parse(&kind) {
                    (field.kind, field.epoch) = (kind.clone(), epoch(&kind, &numbers));
                    walk = field.format().and_then(|format| goes_on(&format, &numbers));
                    match walk {
                        Some(_) => codes.push(Code::Time { slot }),
                        None if is_number => {
                            let bins = self.bins(numbers.clone());
                            is_lacking = !has_all(&bins, &numbers);
                            codes.extend(bins.into_iter().map(|bin| Code::Number { slot, bin }));
                        }
                        None => {
                            let code = fresh(slot, &numbers);
                            is_lacking = code.is_none();
                            codes.extend(code);
                        }
                    }
                    self.times_of(field, (&numbers, walk.is_some()), &name, variables);
                } else {
                    is_blank = !is_number;
                }
            }
            Nature::Text => is_blank = true,
            Nature::Category => {}
        }
        let blank = self.texts(&others, texts.len(), (slot, is_blank), &mut codes);
        if is_lacking && !codes.contains(&Code::Rare) {
            codes.push(Code::Rare);
        }
        if codes.iter().all(|code| *code == Code::Rare) {
            // Nothing of it may be drawn: it is left out where the grammar lets it.
            codes.push(Code::Absent);
        }
        variables[usize::from(field.variable)].codes = codes;
        Told { walk, blank: blank.map(|blank| (field.variable, blank)) }
    }

    /// Makes the variables of the parts of numbers that are times and go on; others are numbers and nothing else.
    fn times_of(&self, field: &mut Field, (times, walks): (&[i64], bool), name: &str, variables: &mut Vec<Variable>) {
        match field.format().filter(|_| walks) {
            Some(format) => self.parts(field, &format, (times, true), name, variables),
            None => field.epoch = None,
        }
    }

    /// Makes the variables of a time's parts: the day of the week too, where it goes on.
    fn parts(
        &self,
        field: &mut Field,
        format: &TimeFormat,
        (times, walks): (&[i64], bool),
        name: &str,
        variables: &mut Vec<Variable>,
    ) {
        let all: Vec<_> = times.iter().filter_map(|time| parts(format, *time)).collect();
        let always = all.len() == self.values.len();
        let mut shown = [walks; PARTS];
        shown[..WEEKDAY].copy_from_slice(&format.shows());
        for (part, (shown, what)) in shown.into_iter().zip(SHOWN).enumerate() {
            if let Some(codes) = part_codes(&all, part, always).filter(|_| shown) {
                field.parts[part] = Some(variables.len() as u16);
                variables.push(Variable { name: format!("{name} ({what})"), codes });
            }
        }
    }

    /// A field's numbers in every so manieth row; none where it is no field of numbers.
    pub fn numbers_of(&self, field: &Field, nature: &Nature, variables: &[Variable], step: usize) -> Vec<Option<i64>> {
        let slot = variables[usize::from(field.variable)].number_slot();
        let is_number = *nature == Nature::Number && matches!(field.kind, Kind::Integer | Kind::Decimal { .. });
        let Some(slot) = slot.filter(|_| is_number) else { return Vec::new() };
        let number = |(row, cell): &(usize, Option<Cell>)| {
            let (_, start, end) = cell.filter(|(other, ..)| *other == slot)?;
            field.kind.parse(&self.records[*row][start as usize..end as usize])
        };
        self.values.iter().step_by(step).map(number).collect()
    }

    /// Codes of texts: the frequent ones, all others that are known, and what is rare. The code that rare ones are learned as, where they are not drawn
    /// as the others.
    fn texts(
        &self,
        texts: &[(u16, &[u8])],
        all: usize,
        (slot, is_blank): (u16, bool),
        codes: &mut Vec<Code>,
    ) -> Option<u16> {
        let mut learned_as = None;
        let mut counts: HashMap<(u16, &[u8]), u32> = HashMap::new();
        texts.iter().for_each(|text| *counts.entry(*text).or_insert(0) += 1);
        let mut known: Vec<((u16, &[u8]), u32)> =
            counts.into_iter().filter(|((_, text), count)| *count >= LEAST_COUNT && text.len() <= MAX_TEXT).collect();
        known.sort_unstable_by(|(a, x), (b, y)| y.cmp(x).then_with(|| a.cmp(b)));
        known.truncate(MAX_TEXTS);
        let rare = texts.len() - known.iter().map(|(_, count)| *count as usize).sum::<usize>();
        let few = known.split_off(known.len().min(self.grain.texts));
        codes.extend(known.iter().map(|((slot, text), _)| Code::Text { slot: *slot, text: text.to_vec() }));
        let mut by_slot: Vec<(u16, Vec<Counted>)> = Vec::new();
        for ((slot, text), count) in few {
            let at = by_slot.iter().position(|(other, _)| *other == slot).unwrap_or_else(|| {
                by_slot.push((slot, Vec::new()));
                by_slot.len() - 1
            });
            by_slot[at].1.push((text.to_vec(), count));
        }
        codes.extend(by_slot.into_iter().map(|(slot, texts)| Code::Texts { slot, texts }));
        let is_blank = is_blank || rare as f64 > BLANK_SHARE * all as f64;
        if is_blank && rare > 0 {
            let scan = self.grammar.scan(slot);
            let text = if scan == Scan::JsonBare { &b"null"[..] } else { b"" };
            let blank = Code::Text { slot, text: text.to_vec() };
            // Beside NULL an empty text is another value, and so NULL is drawn as often as it was; where it is NULL itself, one code says it.
            let null = codes.iter().position(|code| matches!(code, Code::Null { .. })).filter(|_| is_null(scan, text));
            if null.is_none() && !codes.contains(&blank) && scan.holds(text) {
                codes.push(blank.clone());
            }
            let place = null.or_else(|| codes.iter().position(|code| *code == blank));
            learned_as = place.map(|place| place as u16);
        }
        if rare > 0 {
            codes.push(Code::Rare);
        }
        learned_as
    }

    /// The frequent of some numbers, and bins of the others.
    fn bins(&self, mut numbers: Vec<i64>) -> Vec<Bin> {
        numbers.sort_unstable();
        let mut least = (OWN_SHARE * numbers.len() as f64).max(f64::from(LEAST_COUNT)) as usize;
        let counts = || numbers.chunk_by(|a, b| a == b).map(<[i64]>::len);
        let share =
            |least: usize| counts().filter(|count| *count > least).sum::<usize>() as f64 / numbers.len().max(1) as f64;
        // Where much would be left for bins of which only a few numbers are.
        let known = LEAST_COUNT as usize - 1;
        let few = counts().filter(|count| *count > known).count() <= self.grain.texts;
        if few && share(known) >= FEW_SHARE && share(least) < OWN_SHARES {
            least = known;
        }
        let mut own: HashSet<i64> = HashSet::new();
        let mut rare: HashSet<i64> = HashSet::new();
        let mut known: Vec<(usize, i64)> = Vec::new();
        for run in numbers.chunk_by(|a, b| a == b) {
            match run.len() {
                length if length > least => drop(own.insert(run[0])),
                length if length >= LEAST_COUNT as usize => known.push((length, run[0])),
                _ => drop(rare.insert(run[0])),
            }
        }
        known.sort_unstable_by(|a, b| b.cmp(a));
        known.truncate(MAX_KNOWN);
        let known: HashSet<i64> = known.into_iter().map(|(_, number)| number).collect();
        let frequent = numbers.chunk_by(|a, b| a == b).filter(|run| own.contains(&run[0]));
        let exactly = |run: &[i64]| Bin::exactly(run[0], u32::try_from(run.len()).unwrap_or(u32::MAX));
        let mut bins: Vec<Bin> = frequent.map(exactly).collect();
        numbers.retain(|number| !own.contains(number));
        let size = (numbers.len() / self.grain.bins).max(MIN_BIN);
        let mut rest = numbers.as_slice();
        while !rest.is_empty() {
            let mut end = size.min(rest.len());
            // Equal numbers are in one bin, and what is left for the last is enough for one.
            while end < rest.len() && (rest[end] == rest[end - 1] || rest.len() - end < size / 2) {
                end += 1;
            }
            // Where a bin ends says no more of single numbers than its edges do.
            let last = (end < rest.len()).then(|| mean(&rest[end.saturating_sub(2)..rest.len().min(end + 3)], &rare));
            // It begins with its first number.
            let last = last.map(|last| last.max(rest[0]));
            let (bin, after) = rest.split_at(last.map_or(end, |last| rest.partition_point(|number| *number <= last)));
            let last = last.filter(|_| !after.is_empty());
            let ends = (rest.len() == numbers.len(), last);
            bins.extend(Bin::of(bin, ends, |number| known.contains(&number), &rare, SEGMENTS));
            rest = after;
        }
        bins
    }
}

/// Whether each of some numbers is of a bin: beyond the last one that is a range they are of that.
fn has_all(bins: &[Bin], numbers: &[i64]) -> bool {
    let own: HashSet<i64> = bins.iter().filter_map(Bin::single).collect();
    own.len() < bins.len() || numbers.iter().all(|number| own.contains(number))
}

/// Digits of the fraction of a second that numbers count, if they may be times since 1970.
fn epoch(kind: &Kind, numbers: &[i64]) -> Option<u8> {
    let fractions = match kind {
        Kind::Integer => &[0, 3, 6, 9][..],
        Kind::Decimal { scale, .. } => std::slice::from_ref(scale),
        _ => &[],
    };
    let fits = |fraction: &u8| {
        let second = 10i64.checked_pow((*fraction).into()).filter(|_| *fraction <= 9);
        second.is_some_and(|second| numbers.iter().all(|time| SECONDS.contains(&(time / second))))
    };
    fractions.iter().copied().find(fits)
}

/// Codes of a part of times; `None` where it is drawn by chance: a fraction of a second that varies.
fn part_codes(times: &[[i64; PARTS]], part: usize, always: bool) -> Option<Vec<Code>> {
    let mut counts: HashMap<i64, u32> = HashMap::new();
    times.iter().for_each(|parts| *counts.entry(parts[part]).or_insert(0) += 1);
    if part == 6 && counts.len() > 1 {
        return None;
    }
    let mut known: Vec<i64> =
        counts.iter().filter(|(_, count)| **count >= LEAST_COUNT).map(|(value, _)| *value).collect();
    known.sort_unstable();
    let is_all = known.len() == counts.len();
    let mut codes: Vec<Code> = known.into_iter().map(Code::Part).collect();
    if !always {
        codes.push(Code::Absent);
    }
    if !is_all {
        codes.push(Code::Rare);
    }
    // Where no value of a part is known it cannot be drawn, and is left to chance like a fraction.
    codes.iter().any(|code| matches!(code, Code::Part(_))).then_some(codes)
}

/// The code of numbers that name things: those that go on where they went on, else any in their ranges.
fn fresh(slot: u16, numbers: &[i64]) -> Option<Code> {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    let rare: HashSet<i64> = sorted.iter().copied().collect();
    if is_sequence(numbers) {
        let bin = Bin::of(&sorted, (true, None), |_| false, &rare, 1)?;
        let (first, last) = (*bin.edges.first()?, *bin.edges.last()?);
        let pace = ((i128::from(last) - i128::from(first)) / numbers.len() as i128).max(1) as i64;
        // Beyond what was seen, by so much that it does not say where that ended, and wherever the four lie that lie farthest out.
        let coarse = pace.saturating_mul(BEYOND);
        let whole = |number: i64, more: i64| number.div_euclid(coarse).saturating_add(more).saturating_mul(coarse);
        let goes_up = numbers.first() <= numbers.last();
        return Some(match goes_up {
            true => Code::Sequence { slot, base: whole(*sorted.iter().nth_back(OUTER)?, 2), step: pace },
            false => Code::Sequence { slot, base: whole(*sorted.get(OUTER)?, -1), step: pace.saturating_neg() },
        });
    }
    Bin::of(&sorted, (true, None), |_| false, &rare, ID_SEGMENTS).map(|bin| Code::Number { slot, bin })
}
