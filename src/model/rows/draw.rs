//! Records drawn: codes, whichever network tells which are likely, and then the bytes that they stand for.

use super::codebook::{Code, Field, PARTS, WEEKDAY};
use super::condition::Fixed;
use super::link::Link;
use super::scheme::Scheme;
use super::writer::Draft;
use crate::engine::exp;
use crate::model::chance::Chance;
use crate::model::generator::DrawError;
use crate::payload::fields::Scan;

/// Rows that are drawn side by side.
pub(super) const RUN: u32 = 256;

/// How often a record is drawn that the grammar has no way for.
pub(super) const TRIES: usize = 16;

/// Rows as they are filled. Used again for the next: its memory stays.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    variables: usize,
    words: usize,
    /// `[rows, variables]`.
    codes: Vec<u16>,
    /// `[rows, words]`: codes that are not drawn beside those that a row has.
    excluded: Vec<u64>,
    /// `[words]`, or empty: codes that are drawn in no row where others can be.
    unwanted: Vec<u64>,
    /// Variables that a time says which goes on, if it does.
    pub leads: Vec<u16>,
    /// `[rows, leads]`: what it says in each row.
    leading: Vec<Option<u16>>,
}

impl Table {
    /// The codes of a row.
    pub fn row(&self, row: usize) -> &[u16] {
        &self.codes[row * self.variables..][..self.variables]
    }

    /// What a variable is in each row; `None` where a time that goes on says it.
    pub fn drawn(&self, variable: usize) -> impl Iterator<Item = Option<u16>> {
        let lead = self.lead(variable);
        self.codes.chunks_exact(self.variables).enumerate().map(move |(row, codes)| {
            let is_said = lead.is_some_and(|lead| self.leading[row * self.leads.len() + lead].is_some());
            (!is_said).then_some(codes[variable])
        })
    }

    /// What a time that goes on says of the lead with this number in each row.
    pub fn said(&self, lead: usize) -> impl Iterator<Item = Option<u16>> {
        self.leading.chunks_exact(self.leads.len()).map(move |row| row[lead])
    }

    fn lead(&self, variable: usize) -> Option<usize> {
        self.leads.iter().position(|lead| usize::from(*lead) == variable)
    }

    /// Whether a row's variable is drawn: a time that goes on does not say it, and another has the code that asks for it.
    pub fn is_open(&self, scheme: &Scheme, variable: usize, row: usize) -> bool {
        let is_asked = scheme.book.is_asked(variable, |by| Some(self.row(row)[by]));
        let lead = self.lead(variable);
        is_asked && lead.is_none_or(|lead| self.leading[row * self.leads.len() + lead].is_none())
    }

    /// Whether any row's is.
    pub fn is_open_anywhere(&self, scheme: &Scheme, variable: usize) -> bool {
        (0..self.codes.len() / self.variables.max(1)).any(|row| self.is_open(scheme, variable, row))
    }

    /// Draws none of these codes in any row where others may stand.
    pub fn avoid(&mut self, codes: &[usize]) {
        self.unwanted.resize(self.words, 0);
        codes.iter().for_each(|code| self.unwanted[code / 64] |= 1 << (code % 64));
    }

    /// A variable of a row has a code, and what may not stand beside it is excluded from now on.
    pub fn put(&mut self, scheme: &Scheme, (row, variable): (usize, usize), code: u16) {
        self.codes[row * self.variables + variable] = code;
        let excluded = &mut self.excluded[row * self.words..][..self.words];
        scheme.zeros.exclude(scheme.first[variable] + usize::from(code), excluded);
    }

    /// Begins rows that have what is fixed, what a time says where it goes on, and the only code of variables that have no other.
    pub fn begin(&mut self, scheme: &Scheme, fixed: &Fixed, times: &[Option<i64>]) {
        (self.variables, self.words) = (scheme.book.variables.len(), scheme.zeros.words());
        let mut codes: Vec<u16> = fixed.codes.iter().map(|code| code.unwrap_or(0)).collect();
        for (by, code) in scheme.book.guards.iter().flatten().filter(|(by, _)| fixed.idle[usize::from(*by)]) {
            codes[usize::from(*by)] = *code;
        }
        let mut excluded = scheme.never.clone();
        for (variable, code) in fixed.codes.iter().enumerate() {
            if code.is_some() || scheme.size(variable) == 1 {
                scheme.zeros.exclude(scheme.first[variable] + usize::from(codes[variable]), &mut excluded);
            }
        }
        self.codes.clear();
        self.excluded.clear();
        self.unwanted.clear();
        self.leading.clear();
        self.leads.clear();
        if times.iter().any(Option::is_some) {
            self.leads = scheme.book.leads();
        }
        for (row, time) in times.iter().enumerate() {
            self.codes.extend_from_slice(&codes);
            self.excluded.extend_from_slice(&excluded);
            let Some(time) = time else { continue };
            self.leading.extend(scheme.book.leading(*time));
            let said = self.leads.iter().zip(&self.leading[row * self.leads.len()..]);
            let said = said.filter_map(|(variable, code)| Some((usize::from(*variable), (*code)?)));
            for (variable, code) in said.collect::<Vec<_>>() {
                self.put(scheme, (row, variable), code);
            }
        }
    }
}

impl Scheme {
    /// The times of the records with these numbers, where there is one that goes on and nothing is fixed: of what meets a condition it is not
    /// known how it goes on.
    pub fn times(&self, seed: u64, fixed: &Fixed, numbers: &[u64]) -> Vec<Option<i64>> {
        let walk = self.book.walk.as_ref().filter(|_| fixed.is_nothing());
        let format = walk.and_then(|walk| self.book.fields[usize::from(walk.field)].format());
        let (Some(walk), Some(format)) = (walk, format) else { return vec![None; numbers.len()] };
        let (run, place) = (|number: &u64| number / u64::from(RUN), |number: &u64| (number % u64::from(RUN)) as usize);
        let mut times = Vec::with_capacity(numbers.len());
        for same in numbers.chunk_by(|a, b| run(a) == run(b)) {
            let count = same.iter().map(place).max().map_or(0, |last| last + 1);
            let of_run = walk.times(&format, seed, run(&same[0]), count);
            times.extend(same.iter().map(|number| Some(of_run[place(number)])));
        }
        times
    }

    /// Draws the records with these numbers, at their times: `fill` draws the codes of a table's rows, each by its own chance.
    pub fn draw(
        &self,
        seed: u64,
        fixed: &Fixed,
        (numbers, times): (&[u64], &[Option<i64>]),
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
            let own: Vec<Option<i64>> = pending.iter().map(|row| times[*row]).collect();
            table.begin(self, fixed, &own);
            fill(&mut of_pending, &mut table);
            for (row, codes) in pending.iter().zip(table.codes.chunks_exact(table.variables)) {
                let mut record = Vec::with_capacity(draft.longest);
                let place = (numbers[*row], times[*row]);
                if self.write(fixed, place, codes, &mut chances[*row], &mut draft, &mut record) {
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

    /// Draws a code of a variable in a row by its logits, which the first of `logits` are, if any is to be drawn: none that is rare, none that
    /// is excluded unless all are, and none that is unwanted unless all others are excluded. What may not stand beside it is excluded from now on.
    pub fn pick(&self, variable: usize, logits: &mut [f32], row: usize, chance: &mut Chance, table: &mut Table) {
        if !table.is_open(self, variable, row) {
            return;
        }
        let (first, size) = (self.first[variable], self.size(variable));
        let logits = &mut logits[..size];
        let excluded = &table.excluded[row * table.words..][..table.words];
        let unwanted = table.unwanted.as_slice();
        let has = |set: &[u64], place: usize| set[(first + place) / 64] >> ((first + place) % 64) & 1 == 1;
        let is_avoided = |place: usize| !unwanted.is_empty() && has(unwanted, place);
        let excludes: &[u64] = if (0..size).all(|place| has(excluded, place)) { &self.never } else { excluded };
        let avoids = (0..size).any(|place| !has(excludes, place) && !is_avoided(place));
        let mut most = f32::NEG_INFINITY;
        for (place, logit) in logits.iter_mut().enumerate() {
            let is_out = has(excludes, place) || avoids && is_avoided(place);
            *logit = if is_out { f32::NEG_INFINITY } else { *logit };
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
        table.put(self, (row, variable), last as u16);
    }

    /// Writes a row as a record of a number and a time; whether the grammar has a way for it.
    pub(super) fn write(
        &self,
        fixed: &Fixed,
        place: (u64, Option<i64>),
        codes: &[u16],
        chance: &mut Chance,
        draft: &mut Draft,
        record: &mut Vec<u8>,
    ) -> bool {
        draft.begin(self.book.fields.len());
        // What others make comes after those.
        let is_made = |number: usize| {
            let guard = self.book.guards[usize::from(self.book.fields[number].variable)];
            fixed.values[number].is_none() && guard.is_some_and(|(by, code)| codes[usize::from(by)] != code)
        };
        for (number, field) in self.book.fields.iter().enumerate().filter(|(number, _)| !is_made(*number)) {
            let (code, start) = (self.code(field.variable, codes), draft.bytes.len());
            let value = match &fixed.values[number] {
                Some(value) => {
                    draft.bytes.extend_from_slice(value);
                    Some(field.kind.parse(value))
                }
                None => {
                    let walk = self.book.walk.as_ref().filter(|walk| usize::from(walk.field) == number);
                    let place = (place.0, place.1.filter(|_| walk.is_some()));
                    self.value(field, code, place, codes, chance, &mut draft.bytes)
                }
            };
            let Some(value) = value else { return false };
            draft.put(number, code.slot(), value, start);
        }
        for link in &self.book.links {
            let (number, start) = (usize::from(link.field), draft.bytes.len());
            if !is_made(number) {
                self.solve(link, fixed, chance, draft);
                continue;
            }
            let Code::Off { slot, by } = *self.code(link.variable, codes) else { return false };
            let [Some(a), Some(b)] = link.of.map(|of| draft.numbers[usize::from(of)]) else { return false };
            let Some(value) = link.relation.apply([a, b], by) else { return false };
            if self.book.fields[number].kind.append(value, &mut draft.bytes).is_none() {
                return false;
            }
            draft.put(number, Some(slot), Some(value), start);
        }
        for fork in &self.book.forks {
            draft.literals.push(match self.code(fork.variable, codes) {
                Code::Literal(literal) => Some(*literal),
                _ => None,
            });
        }
        self.writer.write(&self.book, draft, record)
    }

    /// Where a condition fixes a number that others make and do not, by any difference that is frequent, one of these becomes what makes it:
    /// the second, or else the first, if it is neither fixed nor made of others nor makes any, and it can be that number. Where neither can
    /// beside the other, both become some that make it, if there are such.
    fn solve(&self, link: &Link, fixed: &Fixed, chance: &mut Chance, draft: &mut Draft) {
        let (fields, links) = (&self.book.fields, &self.book.links);
        let number = fixed.values[usize::from(link.field)].as_ref().and(draft.numbers[usize::from(link.field)]);
        let [Some(a), Some(b)] = link.of.map(|of| draft.numbers[usize::from(of)]) else { return };
        let Some(number) = number else { return };
        let is_free = |which: &usize| {
            let of = link.of[*which];
            let makes = links.iter().filter(|other| other.of.contains(&of)).count();
            let is_made = self.book.guards[usize::from(fields[usize::from(of)].variable)].is_some();
            fixed.values[usize::from(of)].is_none() && makes == 1 && !is_made
        };
        let bins = |which: usize| self.book.variable_of(link.of[which]).bins();
        let told = &self.book.variables[usize::from(link.variable)];
        if link.relation.off(number, [a, b]).is_some_and(|off| told.offs().any(|known| known == off)) {
            return;
        }
        let solved = |of: [i64; 2], which: usize| {
            let wanted = told.offs().filter_map(|off| link.relation.wanted(number, off));
            let mut solved = wanted.filter_map(|wanted| link.relation.solved(wanted, of, which));
            solved.find(|solved| bins(which).any(|bin| bin.holds(*solved)))
        };
        let free: Vec<usize> = [1, 0].into_iter().filter(is_free).collect();
        let mut put = |which: usize, solved: i64| {
            let (of, start) = (usize::from(link.of[which]), draft.bytes.len());
            if fields[of].kind.append(solved, &mut draft.bytes).is_some() {
                draft.put(of, draft.slots[of], Some(solved), start);
            }
        };
        if let Some((which, solved)) = free.iter().find_map(|which| Some((*which, solved([a, b], *which)?))) {
            return put(which, solved);
        }
        if free.len() == 2 && link.of[0] != link.of[1] {
            let both: Vec<[i64; 2]> = bins(0)
                .filter_map(|bin| {
                    let first = bin.draw(chance);
                    Some([first, solved([first, b], 1)?])
                })
                .collect();
            if let Some([first, second]) = both.get(chance.below(both.len() as u64) as usize) {
                put(0, *first);
                put(1, *second);
            }
        }
    }

    pub(super) fn code(&self, variable: u16, codes: &[u16]) -> &Code {
        &self.book.variables[usize::from(variable)].codes[usize::from(codes[usize::from(variable)])]
    }

    /// Appends a value of a code, and says which number it is, if it is one; `None` where the field's kind has no text for it.
    pub(super) fn value(
        &self,
        field: &Field,
        code: &Code,
        (number, time): (u64, Option<i64>),
        codes: &[u16],
        chance: &mut Chance,
        output: &mut Vec<u8>,
    ) -> Option<Option<i64>> {
        let value = match code {
            Code::Absent | Code::Part(_) | Code::Literal(_) | Code::Rare | Code::Off { .. } | Code::Own => {
                return Some(None);
            }
            Code::Null { slot } => {
                if self.book.grammar.scan(*slot) == Scan::JsonBare {
                    output.extend_from_slice(b"null");
                }
                return Some(None);
            }
            Code::Text { text, .. } => {
                output.extend_from_slice(text);
                return Some(None);
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
                return Some(None);
            }
            Code::Number { bin, .. } => bin.draw(chance),
            Code::Sequence { base, step, .. } => base.wrapping_add(step.wrapping_mul((number as i64).wrapping_add(1))),
            Code::Time { .. } => match time {
                Some(time) => time,
                None => self.time(field, codes, chance)?,
            },
        };
        field.kind.append(value, output).map(|()| Some(value))
    }

    /// A time of its parts.
    fn time(&self, field: &Field, codes: &[u16], chance: &mut Chance) -> Option<i64> {
        let format = field.format()?;
        let mut all = [0, 1, 1, 0, 0, 0, 0, 0];
        for (part, variable) in field.parts.iter().enumerate().take(PARTS) {
            match variable.map(|variable| self.code(variable, codes)) {
                Some(Code::Part(value)) => all[part] = *value,
                Some(_) => return None,
                // Of what shows no seconds a fraction is nothing.
                None if part == 6 => {
                    all[part] = chance.below(format.units_a_second().unwrap_or(0).unsigned_abs()) as i64
                }
                None => {}
            }
        }
        // The day of the week follows from the others.
        let mut parts = [0; WEEKDAY];
        parts.copy_from_slice(&all[..WEEKDAY]);
        format.of_parts(parts)
    }
}
