//! Records drawn: codes, whichever network tells which are likely, and then the bytes that they stand for.

use super::codebook::{Code, Field};
use super::condition::Fixed;
use super::scheme::Scheme;
use super::writer::Draft;
use crate::engine::exp;
use crate::model::chance::Chance;
use crate::model::generator::DrawError;
use crate::payload::fields::{Kind, Scan};

/// Rows that are drawn side by side.
pub(super) const RUN: u32 = 256;

/// How often a record is drawn that the grammar has no way for.
pub(super) const TRIES: usize = 16;

/// Rows as they are filled. Used again for the next: its memory stays.
#[derive(Debug, Default)]
pub(super) struct Table {
    variables: usize,
    words: usize,
    /// `[rows, variables]`.
    codes: Vec<u16>,
    /// `[rows, words]`: codes that are not drawn beside those that a row has.
    excluded: Vec<u64>,
}

impl Table {
    /// What a variable is in each row.
    pub fn column(&self, variable: usize) -> impl Iterator<Item = u16> {
        self.codes.chunks_exact(self.variables).map(move |row| row[variable])
    }

    /// Begins rows that have what is fixed, and the only code of variables that have no other.
    fn begin(&mut self, scheme: &Scheme, fixed: &Fixed, rows: usize) {
        (self.variables, self.words) = (scheme.book.variables.len(), scheme.zeros.words());
        let codes: Vec<u16> = fixed.codes.iter().map(|code| code.unwrap_or(0)).collect();
        let mut excluded = scheme.never.clone();
        for (variable, code) in fixed.codes.iter().enumerate() {
            if code.is_some() || scheme.size(variable) == 1 {
                scheme.zeros.exclude(scheme.first[variable] + usize::from(codes[variable]), &mut excluded);
            }
        }
        self.codes.clear();
        self.excluded.clear();
        for _ in 0..rows {
            self.codes.extend_from_slice(&codes);
            self.excluded.extend_from_slice(&excluded);
        }
    }
}

impl Scheme {
    /// Draws the records with these numbers: `fill` draws the codes of a table's rows, each by its own chance.
    pub fn draw(
        &self,
        seed: u64,
        fixed: &Fixed,
        numbers: &[u64],
        mut fill: impl FnMut(&mut [&mut Chance], &mut Table),
        records: &mut Vec<Vec<u8>>,
    ) -> Result<(), DrawError> {
        let mut chances: Vec<Chance> = numbers.iter().map(|number| Chance::of(seed, *number)).collect();
        let mut drawn: Vec<Option<Vec<u8>>> = vec![None; numbers.len()];
        let (mut table, mut draft) = (Table::default(), Draft::default());
        let mut pending: Vec<usize> = (0..numbers.len()).collect();
        for _ in 0..TRIES {
            let of_pending = chances.iter_mut().zip(&drawn).filter(|(_, drawn)| drawn.is_none());
            let mut of_pending: Vec<&mut Chance> = of_pending.map(|(chance, _)| chance).collect();
            table.begin(self, fixed, of_pending.len());
            fill(&mut of_pending, &mut table);
            for (row, codes) in pending.iter().zip(table.codes.chunks_exact(table.variables)) {
                let mut record = Vec::with_capacity(draft.longest);
                if self.write(fixed, numbers[*row], codes, &mut chances[*row], &mut draft, &mut record) {
                    draft.longest = draft.longest.max(record.len());
                    drawn[*row] = Some(record);
                }
            }
            pending.retain(|row| drawn[*row].is_none());
            if pending.is_empty() {
                records.extend(drawn.into_iter().flatten());
                return Ok(());
            }
        }
        Err(DrawError::NotWhole { seed, index: numbers[pending[0]] })
    }

    /// Draws a code of a variable in a row by its logits, which the first of `logits` are: none that is rare, and none that is
    /// excluded unless all are. What may not stand beside it is excluded from now on.
    pub fn pick(&self, variable: usize, logits: &mut [f32], row: usize, chance: &mut Chance, table: &mut Table) {
        let (first, size) = (self.first[variable], self.size(variable));
        let logits = &mut logits[..size];
        let excluded = &mut table.excluded[row * table.words..][..table.words];
        let has = |set: &[u64], place: usize| set[(first + place) / 64] >> ((first + place) % 64) & 1 == 1;
        let excludes: &[u64] = if (0..size).all(|place| has(excluded, place)) { &self.never } else { excluded };
        let mut most = f32::NEG_INFINITY;
        for (place, logit) in logits.iter_mut().enumerate() {
            *logit = if has(excludes, place) { f32::NEG_INFINITY } else { *logit };
            most = most.max(*logit);
        }
        logits.iter_mut().for_each(|logit| *logit = exp(*logit - most));
        let total: f32 = logits.iter().fold(0.0, |sum, weight| sum + weight);
        let wanted = chance.unit() * total;
        let (mut sum, mut last) = (0.0, 0);
        for (place, weight) in logits.iter().enumerate() {
            if *weight > 0.0 {
                sum += weight;
                last = place;
                if sum > wanted {
                    break;
                }
            }
        }
        table.codes[row * table.variables + variable] = last as u16;
        self.zeros.exclude(first + last, excluded);
    }

    /// Writes a row as a record; whether the grammar has a way for it.
    pub(super) fn write(
        &self,
        fixed: &Fixed,
        number: u64,
        codes: &[u16],
        chance: &mut Chance,
        draft: &mut Draft,
        record: &mut Vec<u8>,
    ) -> bool {
        draft.slots.clear();
        draft.spans.clear();
        draft.bytes.clear();
        draft.literals.clear();
        for (field, value) in self.book.fields.iter().zip(&fixed.values) {
            let start = draft.bytes.len();
            let code = self.code(field.variable, codes);
            let whole = match value {
                Some(value) => {
                    draft.bytes.extend_from_slice(value);
                    true
                }
                None => self.value(field, code, number, codes, chance, &mut draft.bytes),
            };
            if !whole {
                return false;
            }
            draft.slots.push(code.slot());
            draft.spans.push((start, draft.bytes.len()));
        }
        for fork in &self.book.forks {
            draft.literals.push(match self.code(fork.variable, codes) {
                Code::Literal(literal) => Some(*literal),
                _ => None,
            });
        }
        self.writer.write(&self.book, draft, record)
    }

    fn code(&self, variable: u16, codes: &[u16]) -> &Code {
        &self.book.variables[usize::from(variable)].codes[usize::from(codes[usize::from(variable)])]
    }

    /// Appends a value of a code; whether the field's kind has a text for it.
    fn value(
        &self,
        field: &Field,
        code: &Code,
        number: u64,
        codes: &[u16],
        chance: &mut Chance,
        output: &mut Vec<u8>,
    ) -> bool {
        let value = match code {
            Code::Absent | Code::Part(_) | Code::Literal(_) | Code::Rare => return true,
            Code::Null { slot } => {
                if self.book.grammar.slots()[usize::from(*slot)].scan == Scan::JsonBare {
                    output.extend_from_slice(b"null");
                }
                return true;
            }
            Code::Text { text, .. } => {
                output.extend_from_slice(text);
                return true;
            }
            Code::Texts { texts, .. } => {
                let mut place = chance.below(texts.iter().map(|(_, count)| u64::from(*count)).sum());
                for (text, count) in texts {
                    match place.checked_sub(u64::from(*count)) {
                        Some(left) => place = left,
                        None => {
                            output.extend_from_slice(text);
                            break;
                        }
                    }
                }
                return true;
            }
            Code::Number { bin, .. } => Some(bin.draw(chance)),
            Code::Sequence { base, step, .. } => {
                Some(base.wrapping_add(step.wrapping_mul((number as i64).wrapping_add(1))))
            }
            Code::Time { .. } => self.time(field, codes, chance),
        };
        value.and_then(|value| field.kind.append(value, output)).is_some()
    }

    /// A time of its parts.
    fn time(&self, field: &Field, codes: &[u16], chance: &mut Chance) -> Option<i64> {
        let Kind::Time(format) = &field.kind else { return None };
        let mut parts = [0, 1, 1, 0, 0, 0, 0];
        for (part, variable) in field.parts.iter().enumerate() {
            match variable.map(|variable| self.code(variable, codes)) {
                Some(Code::Part(value)) => parts[part] = *value,
                Some(_) => return None,
                None if part == 6 => parts[part] = chance.below(format.units_a_second()?.unsigned_abs()) as i64,
                None => {}
            }
        }
        format.of_parts(parts)
    }
}
