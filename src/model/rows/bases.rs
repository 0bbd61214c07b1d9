//! Real rows as codes, and which of them lie near which.
//!
//! A number's *place* is where it stands among the numbers of its variable, as a share of [`PLACES`]: numbers are scaled by their
//! ranks, so that no outlier stretches a scale. The square of the distance of two rows is the sum over variables of
//!
//! ```text
//! (place - place)^2    of two numbers        0    of equal codes        P    of two others
//! ```
//!
//! with `P` the median over variables of the variance of places: the square of the median of standard deviations, as SMOTE-NC has it
//! (Chawla et al. 2002, JAIR 16, 6.1). All of it is whole numbers.

use super::codebook::Code;
use super::scheme::Scheme;

/// How many places there are. The squares of as many variables as there may be fit 32 bits.
pub(super) const PLACES: u16 = 512;
const _: () = assert!((PLACES as u64 - 1).pow(2) * super::MAX_CODES as u64 <= u32::MAX as u64);

/// Rows of codes: at least one, none of which has a code that is never drawn.
#[derive(Debug)]
pub(super) struct Bases {
    variables: usize,
    /// `[rows, variables]`.
    codes: Vec<u16>,
}

impl Bases {
    /// Of whole rows.
    pub fn new(variables: usize, codes: Vec<u16>) -> Self {
        Self { variables, codes }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.codes.len() / self.variables.max(1)
    }

    /// One of them.
    pub fn row(&self, number: usize) -> &[u16] {
        &self.codes[number * self.variables..][..self.variables]
    }

    /// All.
    pub fn rows(&self) -> impl Iterator<Item = &[u16]> {
        self.codes.chunks_exact(self.variables.max(1))
    }
}

/// How often each code is there, counted over all variables, in rows of codes.
pub(super) fn counts(scheme: &Scheme, codes: &[u16]) -> Vec<u64> {
    let mut counts = vec![0; scheme.book.codes()];
    for row in codes.chunks_exact(scheme.book.variables.len().max(1)) {
        row.iter().zip(&scheme.first).for_each(|(code, first)| counts[first + usize::from(*code)] += 1);
    }
    counts
}

/// Where numbers stand among others.
#[derive(Debug)]
pub(super) struct Space {
    /// By code, counted over all variables: the place of a number; `None` of what is none, and of what no row has.
    places: Vec<Option<u16>>,
    /// By variable: the places of its codes, ascending, with the codes.
    by_place: Vec<Vec<(u16, u16)>>,
    /// What two codes cost that are not the same and not both numbers.
    penalty: u32,
}

impl Space {
    /// Of some rows.
    pub fn of(scheme: &Scheme, bases: &Bases) -> Self {
        let counts = counts(scheme, &bases.codes);
        let (mut places, mut by_place, mut variances) = (vec![None; counts.len()], Vec::new(), Vec::new());
        for (variable, first) in scheme.book.variables.iter().zip(&scheme.first) {
            let mut numbers: Vec<(i64, u16)> = Vec::new();
            for (code, place) in variable.codes.iter().zip(0u16..) {
                if let Code::Number { bin, .. } = code
                    && counts[first + usize::from(place)] > 0
                {
                    numbers.push((bin.last, place));
                }
            }
            numbers.sort_unstable();
            let total: u64 = numbers.iter().map(|(_, code)| counts[first + usize::from(*code)]).sum();
            let (mut before, mut sum, mut squares, mut of_variable) = (0, 0, 0, Vec::new());
            for (_, code) in numbers {
                let count = counts[first + usize::from(code)];
                let place = u64::from(PLACES) * (2 * before + count) / (2 * total);
                before += count;
                (sum, squares) = (sum + count * place, squares + count * place * place);
                places[first + usize::from(code)] = Some(place as u16);
                of_variable.push((place as u16, code));
            }
            if of_variable.len() > 1 {
                variances.push((total * squares - sum * sum) / (total * total));
            }
            by_place.push(of_variable);
        }
        variances.sort_unstable();
        let median = variances.get(variances.len().saturating_sub(1) / 2).copied().unwrap_or(1);
        Self { places, by_place, penalty: median.max(1) as u32 }
    }

    /// The place of a code, counted over all variables, if it is a number.
    pub fn place(&self, code: usize) -> Option<u16> {
        self.places[code]
    }

    /// The number of a variable whose place is nearest; of two as near the lower one.
    pub fn nearest(&self, variable: usize, place: i64) -> Option<u16> {
        let of_variable = &self.by_place[variable];
        let above = of_variable.partition_point(|(known, _)| i64::from(*known) < place);
        let near = of_variable[above.saturating_sub(1)..].iter().take(2);
        near.min_by_key(|(known, _)| i64::from(*known).abs_diff(place)).map(|(_, code)| *code)
    }

    /// What a code is to distances: a place, or what is no place.
    fn feature(&self, first: usize, code: u16) -> u16 {
        // There are fewer than 2^13 codes.
        self.places[first + usize::from(code)].unwrap_or(PLACES + code)
    }
}

/// Some of the rows, among which neighbours are looked for.
#[derive(Debug)]
pub(super) struct Crowd {
    /// Which rows.
    pub members: Vec<u32>,
    /// `[variables, members]`: features, without variables of which all members have the same.
    features: Vec<u16>,
    penalty: u32,
}

/// A neighbour: the square of its distance, and its place among the members.
pub(super) type Neighbour = (u32, usize);

impl Crowd {
    /// The rows that have what is fixed.
    pub fn of(scheme: &Scheme, bases: &Bases, space: &Space, fixed: &[Option<u16>]) -> Self {
        let has = |row: &[u16]| row.iter().zip(fixed).all(|(code, wanted)| wanted.is_none_or(|wanted| wanted == *code));
        let members: Vec<u32> =
            (0u32..).zip(bases.rows()).filter(|(_, row)| has(row)).map(|(number, _)| number).collect();
        let mut features = Vec::new();
        for (variable, first) in scheme.first[..bases.variables].iter().enumerate() {
            let start = features.len();
            let of = |member: &u32| space.feature(*first, bases.row(*member as usize)[variable]);
            features.extend(members.iter().map(of));
            if features[start..].iter().all(|feature| *feature == features[start]) {
                features.truncate(start);
            }
        }
        Self { members, features, penalty: space.penalty }
    }

    /// Finds the nearest others of a member, the nearest first, of those as near the first; `distances` is memory that is used again.
    pub fn neighbours(&self, member: usize, count: usize, distances: &mut Vec<u32>, near: &mut Vec<Neighbour>) {
        distances.clear();
        distances.resize(self.members.len(), 0);
        for column in self.features.chunks_exact(self.members.len().max(1)) {
            let own = column[member];
            if own < PLACES {
                for (distance, other) in distances.iter_mut().zip(column) {
                    let apart = u32::from(own.abs_diff(*other));
                    *distance += if *other < PLACES { apart * apart } else { self.penalty };
                }
            } else {
                for (distance, other) in distances.iter_mut().zip(column) {
                    *distance += if *other == own { 0 } else { self.penalty };
                }
            }
        }
        near.clear();
        for (other, distance) in distances.iter().enumerate() {
            let is_near = near.len() < count || near.last().is_some_and(|(farthest, _)| distance < farthest);
            if other != member && is_near {
                near.truncate(count.saturating_sub(1));
                let place = near.partition_point(|(known, _)| known <= distance);
                near.insert(place, (*distance, other));
            }
        }
    }
}
