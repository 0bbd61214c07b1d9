//! Records drawn from the model: ancestral sampling, many rows at once.

use super::RowsModel;
use super::codebook::{Cells, Code, Field};
use super::condition::Fixed;
use super::network::Known;
use super::writer::Draft;
use crate::engine::exp;
use crate::model::chance::Chance;
use crate::model::generator::{Condition, DrawError, Generator};
use crate::payload::fields::{Kind, Scan};

/// Rows that are drawn side by side.
const RUN: u32 = 256;

/// How often a record is drawn that the grammar has no way for.
const TRIES: usize = 16;

impl Generator for RowsModel {
    fn name(&self) -> &'static str {
        "autoregressive"
    }

    fn content_type(&self) -> &'static str {
        let is_csv = |scan: &Scan| matches!(scan, Scan::CsvPlain(_) | Scan::CsvQuoted);
        if self.book.grammar.slots().iter().any(|slot| is_csv(&slot.scan)) { "text/csv" } else { "application/json" }
    }

    fn run_length(&self) -> u32 {
        RUN
    }

    fn admits(&self, condition: &Condition) -> Result<(), DrawError> {
        self.fixed(condition).map(drop)
    }

    fn draw(
        &self,
        seed: u64,
        condition: &Condition,
        run: u64,
        count: u32,
        records: &mut Vec<Vec<u8>>,
    ) -> Result<(), DrawError> {
        let first = run.wrapping_mul(u64::from(RUN));
        let numbers: Vec<u64> = (0..count.min(RUN)).map(|row| first.wrapping_add(u64::from(row))).collect();
        self.draw_numbers(seed, condition, &numbers, records)
    }

    fn draw_numbers(
        &self,
        seed: u64,
        condition: &Condition,
        numbers: &[u64],
        records: &mut Vec<Vec<u8>>,
    ) -> Result<(), DrawError> {
        let fixed = self.fixed(condition)?;
        let mut chances: Vec<Chance> = numbers.iter().map(|number| Chance::of(seed, *number)).collect();
        let mut drawn: Vec<Option<Vec<u8>>> = vec![None; numbers.len()];
        let (mut table, mut draft) = (Table::default(), Draft::default());
        let mut pending: Vec<usize> = (0..numbers.len()).collect();
        for _ in 0..TRIES {
            self.draw_codes(&fixed, &pending, &mut chances, &mut table);
            let codes = table.codes.chunks_exact(self.book.variables.len());
            for (row, codes) in pending.iter().zip(codes) {
                let mut record = Vec::new();
                if self.write(&fixed, numbers[*row], codes, &mut chances[*row], &mut draft, &mut record) {
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

    fn classes(&self, field: &str, condition: &Condition) -> Result<Vec<(String, f64)>, DrawError> {
        self.classes_of(field, condition)
    }

    fn matching<'a>(&self, condition: &Condition, records: &[&'a [u8]]) -> Result<Vec<&'a [u8]>, DrawError> {
        let fixed = self.fixed(condition)?;
        let mut cells = Cells::default();
        Ok(records.iter().copied().filter(|record| self.meets(&fixed, record, &mut cells)).collect())
    }
}

/// Rows as they are filled. Used again for the next: its memory stays.
#[derive(Debug, Default)]
struct Table {
    /// `[rows, variables]`.
    codes: Vec<u16>,
    /// `[rows, words]`: codes that may not be beside those that a row has.
    excluded: Vec<u64>,
    known: Known,
}

impl RowsModel {
    /// Draws the codes of some rows: first what is fixed, then one variable after the other.
    fn draw_codes(&self, fixed: &Fixed, rows: &[usize], chances: &mut [Chance], table: &mut Table) {
        let (variables, words) = (self.book.variables.len(), self.zeros.words());
        table.codes.clear();
        table.codes.resize(rows.len() * variables, 0);
        table.excluded.clear();
        table.excluded.resize(rows.len() * words, 0);
        self.network.begin(rows.len(), &mut table.known);
        let first = self.network.first();
        for (variable, code) in fixed.codes.iter().enumerate() {
            let Some(code) = code else { continue };
            self.network.tell(variable, std::iter::repeat(*code), &mut table.known);
            for row in 0..rows.len() {
                table.codes[row * variables + variable] = *code;
                self.zeros.exclude(first[variable] + usize::from(*code), &mut table.excluded[row * words..][..words]);
            }
        }
        for variable in self.order.iter().map(|variable| usize::from(*variable)) {
            if fixed.codes[variable].is_some() {
                continue;
            }
            let codes = &self.book.variables[variable].codes;
            let mut width = 0;
            if codes.len() > 1 {
                width = self.network.ask(variable, &mut table.known);
            }
            for (row, number) in rows.iter().enumerate() {
                let excluded = &mut table.excluded[row * words..][..words];
                let code = match codes.len() {
                    1 => 0,
                    _ => {
                        let logits = &mut table.known.logits[row * width..][..codes.len()];
                        pick(codes, logits, excluded, first[variable], &mut chances[*number])
                    }
                };
                table.codes[row * variables + variable] = code;
                self.zeros.exclude(first[variable] + usize::from(code), excluded);
            }
            let drawn = table.codes.chunks_exact(variables).map(|row| row[variable]);
            self.network.tell(variable, drawn, &mut table.known);
        }
    }

    /// Writes a row as a record; whether the grammar has a way for it.
    fn write(
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

/// Draws a code by its logits: none that is rare, and none that is excluded unless all are.
fn pick(codes: &[Code], logits: &mut [f32], excluded: &[u64], first: usize, chance: &mut Chance) -> u16 {
    let is_excluded = |place: usize| {
        let code = first + place;
        excluded[code / 64] >> (code % 64) & 1 == 1
    };
    let all = (0..codes.len()).all(|place| codes[place] == Code::Rare || is_excluded(place));
    let mut most = f32::NEG_INFINITY;
    for (place, logit) in logits.iter_mut().enumerate() {
        if codes[place] == Code::Rare || (!all && is_excluded(place)) {
            *logit = f32::NEG_INFINITY;
        }
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
    last as u16
}
