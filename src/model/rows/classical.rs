//! Rows made of real ones, without a network: SMOTE-NC and jitter.
//!
//! Real rows are kept as codes, the *bases*. A record begins as one of those that meet the condition:
//!
//! * **SMOTE-NC** (Chawla et al. 2002, *SMOTE: Synthetic Minority Over-sampling Technique*, JAIR 16, 6.1) finds its `k` nearest others
//!   among them and takes one. Where both have a number it gets one between theirs, at a place drawn evenly for each variable; what is no
//!   number it gets from most of the `k`, and of values as frequent the one of the nearest.
//! * **Jitter** moves each number by a normal number of places.
//!
//! Then values are drawn within codes, as by other models of rows. A code that never stands beside another's (`zeros`) is not taken: the
//! row keeps its own, which no real row contradicts.

use std::sync::Arc;

use super::RowsError;
use super::artefact::classical as artefact;
use super::bases::{Bases, Crowd, Neighbour, Space, counts};
use super::codebook::Code;
use super::condition::Fixed;
use super::draw::{RUN, TRIES};
use super::learn::Coded;
use super::scheme::Scheme;
use super::writer::Draft;
use crate::codec::ModelId;
use crate::model::chance::Chance;
use crate::model::classical::Operation;
use crate::model::generator::{Condition, DrawError, Generator};

/// Most bases.
pub const MAX_BASES: usize = 1 << 16;
/// Most neighbours.
pub const MAX_NEIGHBOURS: usize = 32;

/// How many places jitter moves a number by: the standard deviation, one number in 32.
const JITTER: f32 = 16.0;

/// What is made of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassicalRecipe {
    /// Of which each record is made by one.
    pub operations: Vec<Operation>,
    /// Neighbours of SMOTE-NC.
    pub neighbours: usize,
    /// Records that are kept at most, chosen by the seed.
    pub bases: usize,
}

impl Default for ClassicalRecipe {
    fn default() -> Self {
        Self { operations: Operation::OF_ROWS.into(), neighbours: 5, bases: 20_000 }
    }
}

/// What an artefact has beside a scheme.
#[derive(Debug)]
pub(super) struct ClassicalParts {
    pub operations: Vec<Operation>,
    pub neighbours: usize,
    pub bases: Bases,
}

impl ClassicalParts {
    /// Whether these are parts of a model of this scheme.
    pub fn check(&self, scheme: &Scheme) -> Result<(), RowsError> {
        let holds = |holds: bool, what: &str| if holds { Ok(()) } else { Err(RowsError::Invalid(what.to_owned())) };
        if let Some(fault) = Operation::fault(&self.operations, &Operation::OF_ROWS) {
            return Err(RowsError::Invalid(fault.to_owned()));
        }
        holds((1..=MAX_NEIGHBOURS).contains(&self.neighbours), "it does not have 1 to 32 neighbours")?;
        holds((2..=MAX_BASES).contains(&self.bases.len()), "it does not have 2 to 65536 bases")?;
        let is_drawn = |(variable, code): (usize, &u16)| {
            usize::from(*code) < scheme.size(variable) && !scheme.is_never(scheme.first[variable] + usize::from(*code))
        };
        holds(
            self.bases.rows().all(|row| row.iter().enumerate().all(is_drawn)),
            "a base has a code that is never drawn",
        )
    }
}

/// A model that makes records of real ones.
pub struct ClassicalRows {
    artefact: Arc<[u8]>,
    id: ModelId,
    pub(super) scheme: Scheme,
    operations: Vec<Operation>,
    neighbours: usize,
    pub(super) bases: Bases,
    space: Space,
    /// All bases.
    everyone: Crowd,
    /// Variables that change together: those of a field and of its parts, and each of a fork.
    groups: Vec<Vec<usize>>,
}

/// What is used again from record to record.
#[derive(Default)]
struct Scratch {
    row: Vec<u16>,
    distances: Vec<u32>,
    near: Vec<Neighbour>,
    draft: Draft,
}

impl ClassicalRows {
    /// Of records as codes. The same records, recipe and seed make the same model.
    pub fn new(coded: &Coded, recipe: &ClassicalRecipe, seed: u64) -> Result<Self, RowsError> {
        let scheme = Scheme::of(coded);
        let variables = scheme.book.variables.len();
        let mut chance = Chance::of(seed, 0);
        let most = recipe.bases.min(MAX_BASES).min(artefact::most_rows(variables));
        let chosen = chance.some_of(coded.rows, most);
        let counts = counts(&scheme, coded.codes());
        let mut codes = Vec::with_capacity(chosen.len() * variables);
        for row in chosen {
            let start = codes.len();
            codes.extend_from_slice(&coded.codes()[row * variables..][..variables]);
            if !scheme.mend(&mut codes[start..], &counts, &mut chance) {
                codes.truncate(start);
            }
        }
        let parts = ClassicalParts {
            operations: recipe.operations.clone(),
            neighbours: recipe.neighbours,
            bases: Bases::new(variables, codes),
        };
        parts.check(&scheme)?;
        Self::parse(&artefact::write(&scheme, &parts))
    }

    /// Reads an artefact that comes from anywhere. Takes memory in proportion to its length, and at most 80 MB more.
    pub fn parse(artefact: &[u8]) -> Result<Self, RowsError> {
        let (scheme, ClassicalParts { operations, neighbours, bases }) = artefact::read(artefact)?;
        let space = Space::of(&scheme, &bases);
        let nothing = Fixed::nothing(&scheme.book);
        let everyone = Crowd::of(&scheme, &bases, &space, &nothing.codes);
        let of_field = scheme.book.fields.iter().map(|field| {
            std::iter::once(field.variable).chain(field.parts.into_iter().flatten()).map(usize::from).collect()
        });
        let of_fork = scheme.book.forks.iter().map(|fork| vec![usize::from(fork.variable)]);
        let groups = of_field.chain(of_fork).collect();
        let (artefact, id) = (artefact.into(), ModelId::of(artefact));
        Ok(Self { artefact, id, scheme, operations, neighbours, bases, space, everyone, groups })
    }

    /// Its bytes.
    pub fn artefact(&self) -> &Arc<[u8]> {
        &self.artefact
    }

    /// Its content address.
    pub fn id(&self) -> ModelId {
        self.id
    }

    /// How many records it is made of.
    pub fn bases(&self) -> usize {
        self.bases.len()
    }

    /// What makes a record: the first of what its chance decides.
    fn operation(&self, chance: &mut Chance) -> Operation {
        self.operations[chance.below(self.operations.len() as u64) as usize]
    }

    /// What a condition fixes, and the bases that meet it, of which there are enough.
    fn admitted(&self, condition: &Condition) -> Result<(Fixed, Option<Crowd>), DrawError> {
        let fixed = self.scheme.fixed(condition)?;
        if condition.is_empty() {
            return Ok((fixed, None));
        }
        let crowd = Crowd::of(&self.scheme, &self.bases, &self.space, &fixed.codes);
        let least = if self.operations.contains(&Operation::SmoteNc) { 2 } else { 1 };
        if crowd.members.len() < least {
            return Err(self.too_few(condition, crowd.members.len(), least));
        }
        Ok((fixed, Some(crowd)))
    }

    /// Says which field of a condition leaves too few bases.
    fn too_few(&self, condition: &Condition, found: usize, least: usize) -> DrawError {
        let mut some = Condition::new();
        for (field, value) in condition {
            some.insert(field.clone(), value.clone());
            let left = self
                .scheme
                .fixed(&some)
                .map_or(0, |fixed| Crowd::of(&self.scheme, &self.bases, &self.space, &fixed.codes).members.len());
            if left < least {
                let with = if some.len() > 1 { " and what else was asked for" } else { "" };
                let detail = format!(
                    "{found} of the {} records that the model is made of have it{with}, and {least} are needed",
                    self.bases.len()
                );
                return DrawError::Impossible { field: field.clone(), value: value.clone(), detail };
            }
        }
        DrawError::Unconditional { family: self.name(), why: "too few of its records meet the condition" }
    }

    /// Draws one record; `None` if the grammar has no way for what is drawn.
    fn make(&self, seed: u64, number: u64, fixed: &Fixed, crowd: &Crowd, scratch: &mut Scratch) -> Option<Vec<u8>> {
        let mut chance = Chance::of(seed, number);
        let operation = self.operation(&mut chance);
        for _ in 0..TRIES {
            let member = chance.below(crowd.members.len() as u64) as usize;
            scratch.row.clear();
            scratch.row.extend_from_slice(self.bases.row(crowd.members[member] as usize));
            match operation {
                Operation::SmoteNc => self.smote(member, fixed, crowd, &mut chance, scratch),
                _ => self.jitter(fixed, &mut chance, &mut scratch.row),
            }
            let mut record = Vec::with_capacity(scratch.draft.longest);
            let Scratch { row, draft, .. } = scratch;
            if self.scheme.write(fixed, (number, None), row, &mut chance, draft, &mut record) {
                draft.longest = draft.longest.max(record.len());
                return Some(record);
            }
        }
        None
    }

    /// Moves a row to between a member and one of its neighbours.
    fn smote(&self, member: usize, fixed: &Fixed, crowd: &Crowd, chance: &mut Chance, scratch: &mut Scratch) {
        let Scratch { row, distances, near, .. } = scratch;
        crowd.neighbours(member, self.neighbours, distances, near);
        let of = |neighbour: &Neighbour| self.bases.row(crowd.members[neighbour.1] as usize);
        let Some(other) = near.get(chance.below(near.len() as u64) as usize).map(of) else { return };
        for group in self.free_groups(fixed) {
            let variable = group[0];
            let place = |code: u16| self.space.place(self.scheme.first[variable] + usize::from(code));
            if self.has_numbers(variable) {
                if let (Some(from), Some(to)) = (place(row[variable]), place(other[variable])) {
                    let (low, high) = (from.min(to), from.max(to));
                    let between = i64::from(low) + chance.below(u64::from(high - low) + 1) as i64;
                    self.set_number(variable, between, row);
                }
                continue;
            }
            // Of equal votes the nearest neighbour's: the last of the greatest, the nearest being last.
            let same = |a: &[u16], b: &[u16]| group.iter().all(|variable| a[*variable] == b[*variable]);
            let votes = |one: &&[u16]| near.iter().map(of).filter(|other| same(one, other)).count();
            if let Some(most) = near.iter().rev().map(of).max_by_key(votes)
                && self.fits(group, most, row)
            {
                group.iter().for_each(|variable| row[*variable] = most[*variable]);
            }
        }
    }

    /// Moves the numbers of a row to near ones.
    fn jitter(&self, fixed: &Fixed, chance: &mut Chance, row: &mut [u16]) {
        let mut normals = Vec::new();
        for group in self.free_groups(fixed) {
            let variable = group[0];
            if let Some(place) = self.space.place(self.scheme.first[variable] + usize::from(row[variable])) {
                if normals.is_empty() {
                    normals.extend(chance.normals().into_iter().rev());
                }
                let moved = normals.pop().map_or(0, |normal| (normal * JITTER) as i64);
                self.set_number(variable, i64::from(place) + moved, row);
            }
        }
    }

    /// The groups of which nothing is fixed.
    fn free_groups<'a>(&'a self, fixed: &'a Fixed) -> impl Iterator<Item = &'a [usize]> {
        let is_free = |group: &&Vec<usize>| group.iter().all(|variable| fixed.codes[*variable].is_none());
        self.groups.iter().filter(is_free).map(Vec::as_slice)
    }

    /// Whether a variable's codes are numbers, and what is absent, NULL or said otherwise beside them.
    fn has_numbers(&self, variable: usize) -> bool {
        self.scheme.book.variables[variable].codes.iter().any(|code| matches!(code, Code::Number { .. }))
    }

    /// Gives a row the number that stands nearest to a place, if it may have it.
    fn set_number(&self, variable: usize, place: i64, row: &mut [u16]) {
        if let Some(code) = self.space.nearest(variable, place)
            && self.may_stand(variable, code, &[variable], row)
        {
            row[variable] = code;
        }
    }

    /// Whether a row may have what another has in a group.
    fn fits(&self, group: &[usize], other: &[u16], row: &[u16]) -> bool {
        group.iter().all(|variable| self.may_stand(*variable, other[*variable], group, row))
    }

    /// Whether a code may stand beside those that a row has outside of a group.
    fn may_stand(&self, variable: usize, code: u16, group: &[usize], row: &[u16]) -> bool {
        let own = self.scheme.first[variable] + usize::from(code);
        code == row[variable]
            || row.iter().enumerate().all(|(other, code)| {
                group.contains(&other) || !self.scheme.zeros.has(own, self.scheme.first[other] + usize::from(*code))
            })
    }
}

impl Scheme {
    /// Gives a row other codes for those that are never drawn, as frequent as they are: whether there are some.
    fn mend(&self, row: &mut [u16], counts: &[u64], chance: &mut Chance) -> bool {
        for variable in 0..row.len() {
            let first = self.first[variable];
            if !self.is_never(first + usize::from(row[variable])) {
                continue;
            }
            let stands = |code: &usize| {
                let others = row.iter().zip(&self.first).map(|(code, first)| first + usize::from(*code));
                !self.is_never(*code) && others.enumerate().all(|(at, o)| at == variable || !self.zeros.has(*code, o))
            };
            let known: Vec<usize> = (first..self.first[variable + 1]).filter(stands).collect();
            let mut place = chance.below(known.iter().map(|code| counts[*code]).sum());
            let falls = known.iter().position(|code| match place.checked_sub(counts[*code]) {
                Some(left) => {
                    place = left;
                    false
                }
                None => true,
            });
            // What no record has is there in place of what is rare.
            let Some(code) = falls.or(known.first().map(|_| 0)) else { return false };
            row[variable] = (known[code] - first) as u16;
        }
        true
    }
}

impl Generator for ClassicalRows {
    fn name(&self) -> &'static str {
        "classical"
    }

    fn made_by(&self, seed: u64, number: u64) -> &'static str {
        self.operation(&mut Chance::of(seed, number)).lineage()
    }

    fn content_type(&self) -> &'static str {
        self.scheme.content_type()
    }

    fn run_length(&self) -> u32 {
        RUN
    }

    fn admits(&self, condition: &Condition) -> Result<(), DrawError> {
        self.admitted(condition).map(drop)
    }

    fn draw_numbers(
        &self,
        seed: u64,
        condition: &Condition,
        numbers: &[u64],
        records: &mut Vec<Vec<u8>>,
    ) -> Result<(), DrawError> {
        let (fixed, crowd) = self.admitted(condition)?;
        let crowd = crowd.as_ref().unwrap_or(&self.everyone);
        let (mut scratch, mut drawn) = (Scratch::default(), Vec::with_capacity(numbers.len()));
        for number in numbers {
            let record = self.make(seed, *number, &fixed, crowd, &mut scratch);
            drawn.push(record.ok_or(DrawError::NotWhole { seed, index: *number })?);
        }
        records.append(&mut drawn);
        Ok(())
    }

    fn classes(&self, field: &str, condition: &Condition) -> Result<Vec<(String, f64)>, DrawError> {
        let classes = self.scheme.classes_of(field, condition, |fixed, variable| {
            let mut counts = vec![0.0; self.scheme.size(variable)];
            let crowd = Crowd::of(&self.scheme, &self.bases, &self.space, fixed);
            crowd.members.iter().for_each(|row| counts[usize::from(self.bases.row(*row as usize)[variable])] += 1.0);
            counts
        })?;
        // Of some there are too few records left.
        let asked = |class: &str| {
            let mut asked = condition.clone();
            asked.insert(field.to_owned(), class.to_owned());
            asked
        };
        let mut left: Vec<(String, f64)> =
            classes.into_iter().filter(|(class, _)| self.admits(&asked(class)).is_ok()).collect();
        let sum: f64 = left.iter().map(|(_, share)| share).sum();
        if left.is_empty() {
            let detail = "too few of the records that the model is made of have any of its values".to_owned();
            return Err(DrawError::NoClasses { field: field.to_owned(), detail });
        }
        left.iter_mut().for_each(|(_, share)| *share /= sum);
        Ok(left)
    }

    fn matching<'a>(&self, condition: &Condition, records: &[&'a [u8]]) -> Result<Vec<&'a [u8]>, DrawError> {
        self.admits(condition)?;
        self.scheme.matching(condition, records)
    }
}

impl std::fmt::Debug for ClassicalRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (id, bytes, bases) = (self.id, self.artefact.len(), self.bases.len());
        let (fields, codes) = (self.scheme.book.fields.len(), self.scheme.book.codes());
        write!(f, "ClassicalRows {{ id: {id}, bytes: {bytes}, fields: {fields}, codes: {codes}, bases: {bases} }}")
    }
}
