//! A time that goes on from record to record.
//!
//! ```text
//! t_0 ~ the times that were learned from        t_n = t_(n-1) + g        g ~ p(gap | hour of the day of t_(n-1))
//! ```
//!
//! It is a Markov chain in the hour of the day, by itself: a record's other fields follow from its time, and not the next time from them. So the time
//! of any record of a run is found without drawing those before it. A run begins at a point within what was learned from, since what comes behind it
//! (another month, say) was never seen beside anything, and since records are compared with those of that time.

use std::collections::HashSet;

use super::bin::Bin;
use super::codebook::weekday;
use crate::frame::{FrameError, Reader, put_signed, put_varint};
use crate::model::chance::Chance;
use crate::payload::fields::{LEAST_COUNT, TimeFormat};

/// Hours that gaps are told apart by.
pub(super) const HOURS: usize = 24;
/// Hours of a week.
pub(super) const WEEK: usize = 7 * HOURS;
/// Gaps of an hour that are enough to say what gaps it has.
const ENOUGH: usize = 50;
/// Segments of the times that runs begin at.
const SEGMENTS: usize = 64;
/// How often a beginning is looked for that is as busy as chance would have it.
const TRIES: usize = 64;
/// How much smaller steps from record to record are than those between records that stand far apart.
const FARTHER: i128 = 10;
/// Most bins of gaps.
pub(super) const MAX_GAPS: usize = 1024;

/// A seed's runs take their chance from another seed than its records do.
const RUNS: u64 = 0x7275_6e73_206f_6e2e;

/// How a time goes on. Times are counted in steps of `unit` from `origin` on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Walk {
    /// The field that has the time.
    pub field: u16,
    /// All times that were learned from are multiples of it behind `origin`: units of the field's last place.
    pub unit: i64,
    pub origin: i64,
    /// Times.
    pub starts: Bin,
    /// How many records each hour of the week had, from Monday on; empty where `starts` says more.
    pub week: Vec<u32>,
    /// Gaps.
    pub gaps: Vec<Bin>,
    /// `[HOURS, gaps]`: how often each gap followed a time of that hour.
    pub counts: Vec<u32>,
}

/// Whether times go on from record to record: steps are small against what lies between records far apart, and lead forward.
pub(super) fn goes_on(times: &[i64]) -> bool {
    let half = times.len() / 2;
    if half < ENOUGH {
        return false;
    }
    let wide = |time: &i64| i128::from(*time);
    let steps: i128 = times.windows(2).map(|pair| wide(&pair[1]) - wide(&pair[0])).map(i128::abs).sum();
    let far = || times.iter().zip(&times[half..]).map(|(a, b)| wide(b) - wide(a));
    let (apart, forward): (i128, i128) = (far().map(i128::abs).sum(), far().sum());
    // There are twice as many steps.
    forward > 0 && steps * FARTHER <= apart * 2
}

impl Walk {
    /// That of times in the order of their topic. `bins` makes bins of numbers.
    pub fn of(field: u16, format: &TimeFormat, times: &[i64], bins: impl Fn(Vec<i64>) -> Vec<Bin>) -> Option<Self> {
        let first = *times.first()?;
        if !format.date || !goes_on(times) {
            return None;
        }
        let distances = times.iter().map(|time| i64::try_from(time.abs_diff(first)).ok());
        let unit = distances.collect::<Option<Vec<i64>>>()?.into_iter().fold(0, divisor);
        let origin = first.rem_euclid(unit.max(1));
        let steps: Vec<i64> = times.iter().map(|time| time.saturating_sub(origin) / unit.max(1)).collect();
        let mut sorted = steps.clone();
        sorted.sort_unstable();
        let rare: HashSet<i64> =
            sorted.chunk_by(|a, b| a == b).filter(|run| run.len() < LEAST_COUNT as usize).map(|run| run[0]).collect();
        let starts = Bin::of(&sorted, (true, None), |_| false, &rare, SEGMENTS)?;
        let gaps = bins(steps.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect());
        if unit == 0 || gaps.is_empty() || gaps.len() > MAX_GAPS {
            return None;
        }
        let mut walk = Self { field, unit, origin, starts, week: Vec::new(), gaps, counts: Vec::new() };
        walk.count(&steps, format);
        Some(walk)
    }

    fn count(&mut self, steps: &[i64], format: &TimeFormat) {
        let own = self.gaps.len();
        let (mut hours, mut all) = (vec![0u32; HOURS * own], vec![0u32; own]);
        for pair in steps.windows(2) {
            let gap = pair[1].saturating_sub(pair[0]);
            // Bins of a single number are looked at first.
            let is_own = |bin: &&Bin| bin.edges.is_empty() && bin.holds(gap);
            let exactly = self.gaps.iter().position(|bin| is_own(&bin));
            let ranges =
                || self.gaps.iter().enumerate().filter(|(_, bin)| !bin.edges.is_empty() || bin.atoms.len() > 1);
            let Some(bin) = exactly
                .or_else(|| ranges().find(|(_, bin)| gap <= bin.last).map(|(number, _)| number))
                .or_else(|| ranges().next_back().map(|(number, _)| number))
            else {
                continue;
            };
            hours[self.hour_of(pair[0], format) % HOURS * own + bin] += 1;
            all[bin] += 1;
        }
        // What too few have met says what all have.
        for hour in hours.chunks_exact_mut(own) {
            if hour.iter().map(|count| *count as usize).sum::<usize>() < ENOUGH {
                hour.copy_from_slice(&all);
            }
        }
        self.counts = hours;
        let (first, last) = self.window();
        let segments = self.starts.edges.len().saturating_sub(1).max(1) as i64;
        let an_hour = format.units_a_day() / HOURS as i64;
        if an_hour > 0 && last.saturating_sub(first) / segments > an_hour / self.unit {
            let mut week = vec![0u32; WEEK];
            steps.iter().for_each(|step| week[self.hour_of(*step, format)] += 1);
            self.week = week;
        }
    }

    /// The first time and the last, in steps.
    fn window(&self) -> (i64, i64) {
        let (edges, atoms) = (&self.starts.edges, &self.starts.atoms);
        let end = |edge: Option<&i64>, atom: Option<&(i64, u32)>| edge.copied().or(atom.map(|(atom, _)| *atom));
        (end(edges.first(), atoms.first()).unwrap_or(0), end(edges.last(), atoms.last()).unwrap_or(0))
    }

    /// The time of a step, in units of the field's last place.
    fn time(&self, step: i64) -> i64 {
        step.wrapping_mul(self.unit).wrapping_add(self.origin)
    }

    /// The hour of the week, from Monday on, 0 to 167.
    fn hour_of(&self, step: i64, format: &TimeFormat) -> usize {
        let (time, a_day) = (self.time(step), format.units_a_day());
        let (day, of_day) = (time.div_euclid(a_day), time.rem_euclid(a_day));
        // A day of 10⁻⁹ s, times 24, fits.
        let hour = of_day * HOURS as i64 / a_day;
        (weekday(day) * HOURS as i64 + hour) as usize
    }

    /// The times of the first records of a run, `[count]`: as a field of that format has them.
    pub fn times(&self, format: &TimeFormat, seed: u64, run: u64, count: usize) -> Vec<i64> {
        let mut chance = Chance::of(seed ^ RUNS, run);
        let mut step = self.start(format, &mut chance);
        let mut times = Vec::with_capacity(count);
        for _ in 0..count {
            times.push(self.time(step));
            step = self.next(step, format, &mut chance);
        }
        times
    }

    /// Where a run begins: an hour of the week as often as it had records.
    fn start(&self, format: &TimeFormat, chance: &mut Chance) -> i64 {
        let busiest = self.week.iter().copied().max().unwrap_or(0);
        let mut step = self.starts.draw(chance);
        for _ in 0..TRIES {
            if self.week.is_empty() || chance.below(busiest.into()) < u64::from(self.week[self.hour_of(step, format)]) {
                break;
            }
            step = self.starts.draw(chance);
        }
        step
    }

    /// The next record's. Behind the end it begins anew.
    fn next(&self, step: i64, format: &TimeFormat, chance: &mut Chance) -> i64 {
        let own = self.gaps.len();
        let counts = &self.counts[self.hour_of(step, format) % HOURS * own..][..own];
        let mut place = chance.below(counts.iter().map(|count| u64::from(*count)).sum());
        let mut gap = 0;
        for (bin, count) in self.gaps.iter().zip(counts) {
            match place.checked_sub(u64::from(*count)) {
                Some(left) => place = left,
                None => {
                    gap = bin.draw(chance);
                    break;
                }
            }
        }
        let (first, last) = self.window();
        match step.saturating_add(gap) {
            next if next > last => first,
            next => next.max(first),
        }
    }

    /// Appends its bytes.
    pub fn write(&self, output: &mut Vec<u8>) {
        put_varint(u64::from(self.field), output);
        put_varint(self.unit as u64, output);
        put_signed(self.origin, output);
        self.starts.write(output);
        let numbers = |numbers: &[u32], output: &mut Vec<u8>| {
            numbers.iter().for_each(|number| put_varint(u64::from(*number), output));
        };
        output.push(u8::from(!self.week.is_empty()));
        numbers(&self.week, output);
        put_varint(self.gaps.len() as u64, output);
        self.gaps.iter().for_each(|gap| gap.write(output));
        numbers(&self.counts, output);
    }

    /// Reads what [`Walk::write`] has written, from anywhere. Whether its field is a time, others see.
    pub fn read(input: &mut Reader<'_>) -> Result<Self, FrameError> {
        let at = input.at();
        let corrupt = |what| FrameError::Corrupt { what, at };
        let small =
            |number: u64| u32::try_from(number).map_err(|_| corrupt("a walk has a number of more than 32 bits"));
        let field = u16::try_from(input.varint()?).map_err(|_| corrupt("a walk is of no field"))?;
        let unit = i64::try_from(input.varint()?).ok().filter(|unit| *unit > 0);
        let unit = unit.ok_or_else(|| corrupt("a walk has no unit"))?;
        let origin = input.signed()?;
        let starts = Bin::read(input)?;
        let numbers = |count: usize, input: &mut Reader<'_>| {
            (0..count).map(|_| small(input.varint()?)).collect::<Result<Vec<u32>, FrameError>>()
        };
        let week = match input.byte()? {
            0 => Vec::new(),
            1 => numbers(WEEK, input)?,
            _ => return Err(corrupt("a walk has weeks of another kind")),
        };
        let count = input.varint()?;
        if !(1..=MAX_GAPS as u64).contains(&count) {
            return Err(corrupt("a walk has no gaps, or too many"));
        }
        let gaps = (0..count).map(|_| Bin::read(input)).collect::<Result<Vec<Bin>, FrameError>>()?;
        let counts = numbers(HOURS * gaps.len(), input)?;
        let has_all = counts.chunks_exact(gaps.len()).all(|hour| hour.iter().any(|count| *count > 0));
        if !has_all || (!week.is_empty() && week.iter().all(|count| *count == 0)) {
            return Err(corrupt("a walk has an hour without gaps, or a week without hours"));
        }
        Ok(Self { field, unit, origin, starts, week, gaps, counts })
    }
}

/// The greatest that divides both.
fn divisor(a: i64, b: i64) -> i64 {
    let (mut a, mut b) = (a, b);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::fields::Kind;

    fn format() -> TimeFormat {
        let Kind::Time(format) = Kind::learn(&[&b"2024-03-01T10:00:00Z"[..]; 8]) else { panic!("it is a time") };
        format
    }

    fn bins(mut numbers: Vec<i64>) -> Vec<Bin> {
        numbers.sort_unstable();
        numbers.chunk_by(|a, b| a == b).map(|run| Bin::exactly(run[0], run.len() as u32)).collect()
    }

    /// Every ten minutes by day, every four hours by night, for so many days from a Friday on.
    fn times(days: i64) -> Vec<i64> {
        let mut time = 1_709_251_200;
        let end = time + days * 86_400;
        let mut times = Vec::new();
        while time < end {
            times.push(time);
            let hour = time / 3600 % 24;
            time += if (8..20).contains(&hour) { 600 } else { 4 * 3600 };
        }
        times
    }

    #[test]
    fn what_goes_on_is_told_from_what_comes_as_it_likes() {
        assert!(goes_on(&(0..500).collect::<Vec<_>>()));
        assert!(goes_on(&(0..500).map(|n| n * 10 - n % 4 * 12).collect::<Vec<_>>()), "a little back is no matter");
        assert!(!goes_on(&(0..500).rev().collect::<Vec<_>>()));
        assert!(!goes_on(&(0..500).map(|n| n * 7919 % 500).collect::<Vec<_>>()));
        assert!(!goes_on(&(0..500).map(|n| n % 28).collect::<Vec<_>>()));
        assert!(!goes_on(&[7; 500]) && !goes_on(&[1, 2, 3]));
        assert!(Walk::of(0, &TimeFormat { date: false, ..format() }, &times(30), bins).is_none());
    }

    #[test]
    fn a_run_goes_on_as_its_topic_does_and_begins_within_it() {
        let (format, times) = (format(), times(200));
        let walk = Walk::of(0, &format, &times, bins).unwrap();
        assert_eq!((walk.unit, walk.gaps.len(), walk.week.len()), (600, 2, WEEK));
        let (mut by_day, mut all) = (0, 0);
        for run in 0..300 {
            let drawn = walk.times(&format, 5, run, 20);
            assert_eq!(drawn[..7], walk.times(&format, 5, run, 7));
            assert!(drawn[0] >= times[0] && drawn[0] <= times[times.len() - 1] && drawn[0] % 600 == 0);
            for pair in drawn.windows(2).filter(|pair| pair[1] > pair[0]) {
                let is_day = (8..20).contains(&(pair[0] / 3600 % 24));
                assert_eq!(pair[1] - pair[0], if is_day { 600 } else { 4 * 3600 });
            }
            by_day += usize::from((8..20).contains(&(drawn[0] / 3600 % 24)));
            all += 1;
        }
        // 72 of 75 records a day.
        assert!(by_day * 10 > all * 9, "{by_day} of {all} runs begin by day");
        assert_ne!(walk.times(&format, 5, 1, 9), walk.times(&format, 5, 2, 9));
        assert_ne!(walk.times(&format, 5, 1, 9), walk.times(&format, 6, 1, 9));
    }

    #[test]
    fn a_walk_comes_back_from_its_bytes_and_any_bytes_do_no_harm() {
        for days in [3, 200] {
            let walk = Walk::of(3, &format(), &times(days), bins).unwrap();
            let mut bytes = Vec::new();
            walk.write(&mut bytes);
            assert_eq!(Walk::read(&mut Reader::new(&bytes, 0)).unwrap(), walk);
            for at in 0..bytes.len() {
                assert!(Walk::read(&mut Reader::new(&bytes[..at], 0)).is_err());
                for flip in [1u8, 0x80, 0xff] {
                    let mut damaged = bytes.clone();
                    damaged[at] ^= flip;
                    if let Ok(walk) = Walk::read(&mut Reader::new(&damaged, 0)) {
                        walk.times(&format(), 1, 2, 9);
                    }
                }
            }
        }
    }
}
