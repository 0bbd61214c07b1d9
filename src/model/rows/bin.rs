//! Numbers of a bin: those that are known, and where the others lie.
//!
//! A number that was seen often enough is known and comes back as it is (an *atom*). The others are known by quantiles only: each
//! edge is the mean of five of them or more, and between two edges each number on the column's grid is as likely as any other. Where
//! a column ends, the four that lie farthest out say nothing: what is drawn is clamped to where five lie or more.

use std::collections::HashSet;

use crate::frame::{FrameError, Reader, put_signed, put_varint};
use crate::model::chance::Chance;
use crate::payload::fields::LEAST_COUNT;

/// Numbers that an edge is the mean of.
const LEAST: usize = LEAST_COUNT as usize;
/// Numbers beyond the end of a column that say nothing of where it is.
pub(super) const OUTER: usize = LEAST - 1;
/// How far beyond numbers one is looked for that is none of them.
const CLOSE: u64 = 2;
/// Most segments of a bin.
const MAX_SEGMENTS: usize = 64;
/// Most atoms of a bin.
pub(super) const MAX_ATOMS: usize = 4096;

/// Numbers that are one code. Neither atoms nor segments are empty both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bin {
    /// The greatest number that it stands for, when a record is read.
    pub last: i64,
    /// Known numbers in ascending order, and how often each was seen.
    pub atoms: Vec<(i64, u32)>,
    /// How many other numbers there were.
    pub others: u32,
    /// The ends of segments, ascending: as many of the other numbers lie in one as in another. Empty, or two or more.
    pub edges: Vec<i64>,
}

impl Bin {
    /// A bin of one number.
    pub fn exactly(number: i64, count: u32) -> Self {
        Self { last: number, atoms: vec![(number, count)], ..Self::default() }
    }

    /// A bin of numbers in ascending order: up to `last`, or to the column's end; `is_first` says that it begins with the column. `rare` are
    /// numbers that nothing may give away; those of `known` are atoms. `None` where too few are known and too few are not.
    pub fn of(
        numbers: &[i64],
        (is_first, last): (bool, Option<i64>),
        is_known: impl Fn(i64) -> bool,
        rare: &HashSet<i64>,
        segments: usize,
    ) -> Option<Self> {
        let mut bin = Self::default();
        let mut others = Vec::new();
        for run in numbers.chunk_by(|a, b| a == b) {
            if run.len() >= LEAST && is_known(run[0]) && bin.atoms.len() < MAX_ATOMS {
                bin.atoms.push((run[0], u32::try_from(run.len()).unwrap_or(u32::MAX)));
            } else {
                others.extend_from_slice(run);
            }
        }
        let outer = [is_first, last.is_none()].map(|is_end| if is_end { OUTER } else { 0 });
        if others.len() >= LEAST + outer[0] + outer[1] {
            bin.others = u32::try_from(others.len()).unwrap_or(u32::MAX);
            bin.edges = edges(&others, rare, segments, outer);
        }
        let own = [bin.atoms.last().map(|(atom, _)| *atom), bin.edges.last().copied()];
        bin.last = last.or(own.into_iter().flatten().max()).unwrap_or_default();
        (!bin.atoms.is_empty() || !bin.edges.is_empty()).then_some(bin)
    }

    /// The number that it stands for, if it stands for one alone.
    pub fn single(&self) -> Option<i64> {
        match (self.atoms.as_slice(), self.edges.is_empty()) {
            ([(number, _)], true) if *number == self.last => Some(*number),
            _ => None,
        }
    }

    /// Whether it can draw a number.
    pub fn holds(&self, number: i64) -> bool {
        self.atoms.binary_search_by_key(&number, |(atom, _)| *atom).is_ok()
            || (self.edges.first().is_some_and(|first| *first <= number)
                && self.edges.last().is_some_and(|last| *last >= number))
    }

    /// A number.
    pub fn draw(&self, chance: &mut Chance) -> i64 {
        if let ([(atom, _)], []) = (self.atoms.as_slice(), self.edges.as_slice()) {
            return *atom;
        }
        let all = self.atoms.iter().map(|(_, count)| u64::from(*count)).sum::<u64>() + u64::from(self.others);
        let mut place = chance.below(all);
        for (atom, count) in &self.atoms {
            match place.checked_sub(u64::from(*count)) {
                None => return *atom,
                Some(left) => place = left,
            }
        }
        let segments = self.edges.len().saturating_sub(1);
        let segment = chance.below(segments as u64) as usize;
        match self.edges.get(segment..segment + 2) {
            Some(&[from, to]) => from.wrapping_add_unsigned(chance.below(to.abs_diff(from).saturating_add(1))),
            _ => self.last,
        }
    }

    /// Appends its bytes.
    pub fn write(&self, output: &mut Vec<u8>) {
        put_signed(self.last, output);
        put_varint(self.atoms.len() as u64, output);
        for (atom, count) in &self.atoms {
            put_signed(*atom, output);
            put_varint(u64::from(*count), output);
        }
        put_varint(u64::from(self.others), output);
        put_varint(self.edges.len() as u64, output);
        self.edges.iter().for_each(|edge| put_signed(*edge, output));
    }

    /// Reads what [`Bin::write`] has written, from anywhere.
    pub fn read(input: &mut Reader<'_>) -> Result<Self, FrameError> {
        let at = input.at();
        let corrupt = |what| FrameError::Corrupt { what, at };
        let small = |number: u64| u32::try_from(number).map_err(|_| corrupt("a count has more than 32 bits"));
        let last = input.signed()?;
        let count = input.varint()?;
        if count > MAX_ATOMS as u64 {
            return Err(corrupt("a bin has too many atoms"));
        }
        let mut atoms = Vec::new();
        for _ in 0..count {
            atoms.push((input.signed()?, small(input.varint()?)?));
        }
        let others = small(input.varint()?)?;
        let count = input.varint()?;
        if count == 1 || count > MAX_SEGMENTS as u64 + 1 {
            return Err(corrupt("a bin has one edge, or too many"));
        }
        let mut edges = Vec::new();
        for _ in 0..count {
            edges.push(input.signed()?);
        }
        let ascends = atoms.is_sorted_by(|a, b| a.0 < b.0) && edges.is_sorted();
        let has_all = atoms.iter().all(|(_, count)| *count > 0) && (others > 0) != edges.is_empty();
        if !ascends || !has_all || (atoms.is_empty() && edges.is_empty()) {
            return Err(corrupt("a bin's numbers do not ascend, or there are none"));
        }
        Ok(Self { last, atoms, others, edges })
    }
}

/// The mean of five numbers or more in ascending order. Where that is one that nothing may give away it is the nearest that is none, if there is
/// one among them or close by: where there is not, numbers are so dense that one more of them says nothing.
pub(super) fn mean(numbers: &[i64], rare: &HashSet<i64>) -> i64 {
    let sum: i128 = numbers.iter().map(|number| i128::from(*number)).sum();
    let mean = sum.div_euclid(numbers.len().max(1) as i128) as i64;
    let (Some(first), Some(last)) = (numbers.first(), numbers.last()) else { return mean };
    let reach = last.abs_diff(*first) / 2 + CLOSE;
    let near = (0..=reach).flat_map(|off| [mean.checked_add_unsigned(off), mean.checked_sub_unsigned(off)]);
    near.flatten().find(|number| !rare.contains(number)).unwrap_or(mean)
}

/// The ends of segments of numbers in ascending order, of which there are five or more besides those that say nothing at either end.
fn edges(numbers: &[i64], rare: &HashSet<i64>, segments: usize, [below, above]: [usize; 2]) -> Vec<i64> {
    let segments = (numbers.len() / LEAST).clamp(1, segments.clamp(1, MAX_SEGMENTS));
    let mut edges: Vec<i64> = Vec::with_capacity(segments + 1);
    for place in 0..=segments {
        let middle = place * (numbers.len() - 1) / segments;
        let first = middle.saturating_sub(LEAST / 2).clamp(below, numbers.len() - LEAST - above);
        let edge = mean(&numbers[first..first + LEAST], rare);
        edges.push(edges.last().map_or(edge, |before| edge.max(*before)));
    }
    edges
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_numbers_come_as_often_as_they_were_seen_and_others_lie_between_edges() {
        let mut numbers: Vec<i64> = (0..300).map(|n| 1000 + 7 * n).collect();
        let rare: HashSet<i64> = numbers.iter().copied().collect();
        numbers.extend([42; 600]);
        numbers.extend([43; 100]);
        numbers.sort_unstable();
        let bin = Bin::of(&numbers, (true, None), |_| true, &rare, 8).unwrap();
        assert_eq!(bin.atoms, [(42, 600), (43, 100)]);
        assert!(bin.edges.iter().all(|edge| !rare.contains(edge)), "{:?}", bin.edges);
        let mut chance = Chance::of(1, 1);
        let drawn: Vec<i64> = (0..20_000).map(|_| bin.draw(&mut chance)).collect();
        let share = |of: &dyn Fn(i64) -> bool| drawn.iter().filter(|n| of(**n)).count() as f64 / 20_000.0;
        assert!((share(&|n| n == 42) - 0.6).abs() < 0.02);
        assert!((share(&|n| n == 43) - 0.1).abs() < 0.02);
        assert!((share(&|n| (1000..2050).contains(&n)) - 0.15).abs() < 0.02);
        assert!(drawn.iter().all(|n| bin.holds(*n) && *n < 3100));
    }

    #[test]
    fn fewer_than_five_numbers_are_not_kept() {
        let nothing = HashSet::new();
        assert_eq!(Bin::of(&[1, 2, 3, 4], (false, Some(9)), |_| true, &nothing, 8), None);
        // Four say nothing at an end of a column, so that it takes more.
        let eight: Vec<i64> = (1..9).collect();
        assert_eq!(Bin::of(&eight, (true, Some(9)), |_| true, &nothing, 8), None);
        assert_eq!(Bin::of(&eight, (false, None), |_| true, &nothing, 8), None);
        assert!(Bin::of(&eight, (false, Some(9)), |_| true, &nothing, 8).is_some());
    }

    #[test]
    fn four_that_lie_far_out_say_nothing_of_where_a_column_ends() {
        let ordinary: Vec<i64> = (0..200).map(|n| 3 * n).collect();
        let rare: HashSet<i64> = ordinary.iter().copied().collect();
        let of = |far: &[i64]| {
            let mut numbers = [&ordinary, far].concat();
            numbers.sort_unstable();
            Bin::of(&numbers, (true, None), |_| false, &rare, 8).unwrap()
        };
        // Neighbours that are not many are not given away.
        for few in [vec![70, 70, 70, 70, 71], (70..75).collect(), vec![70, 71, 71, 72, 72]] {
            assert!(!few.contains(&mean(&few, &few.iter().copied().collect())), "{few:?}");
        }
        // Dense numbers are drawn as they lie, though each of them was seen once.
        let dense: Vec<i64> = (0..200).collect();
        let bin = Bin::of(&dense, (true, None), |_| false, &dense.iter().copied().collect(), 8).unwrap();
        assert!(bin.edges.windows(2).all(|pair| (15..30).contains(&(pair[1] - pair[0]))), "{:?}", bin.edges);
        for far in [&[i64::MAX; 4][..], &[i64::MIN; 4], &[1_000_000, -1_000_000]] {
            let bin = of(far);
            let (first, last) = (bin.edges[0], bin.edges[bin.edges.len() - 1]);
            assert!(first >= 0 && last <= 600 && bin.last == last, "{far:?}: {:?}", bin.edges);
        }
        assert!(of(&[1_000_000; 9]).last > 600, "so many are no exception");
    }

    proptest! {
        #[test]
        fn a_bin_comes_back_and_draws_what_it_holds(
            mut numbers in prop::collection::vec(any::<i64>(), 13..200),
            segments in 1usize..20,
        ) {
            numbers.sort_unstable();
            let rare: HashSet<i64> = numbers.iter().copied().collect();
            let bin = Bin::of(&numbers, (true, None), |_| true, &rare, segments).unwrap();
            let mut bytes = Vec::new();
            bin.write(&mut bytes);
            prop_assert_eq!(&Bin::read(&mut Reader::new(&bytes, 0)).unwrap(), &bin);
            for cut in 0..bytes.len() {
                prop_assert!(Bin::read(&mut Reader::new(&bytes[..cut], 0)).is_err());
            }
            let mut chance = Chance::of(3, 4);
            for _ in 0..50 {
                let number = bin.draw(&mut chance);
                prop_assert!(bin.holds(number));
            }
        }
    }
}
