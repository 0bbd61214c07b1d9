//! What a condition fixes.

use super::codebook::{Cells, Code, Codebook, Field, parts};
use super::link::{Link, Relation};
use super::scheme::Scheme;
use crate::model::generator::{Condition, DrawError};
use crate::payload::fields::Scan;

/// Codes and values that are fixed before anything is drawn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fixed {
    /// By variable.
    pub codes: Vec<Option<u16>>,
    /// By field: its value, as a record has it.
    pub values: Vec<Option<Vec<u8>>>,
    /// By variable: whether it says by how much a number is off that is fixed, and so nothing.
    pub idle: Vec<bool>,
}

impl Fixed {
    /// Nothing.
    pub fn nothing(book: &Codebook) -> Self {
        let variables = book.variables.len();
        Self { codes: vec![None; variables], values: vec![None; book.fields.len()], idle: vec![false; variables] }
    }

    /// Whether nothing is.
    pub fn is_nothing(&self) -> bool {
        self.values.iter().all(Option::is_none)
    }
}

/// Most values that an error names.
const NAMED: usize = 12;

impl Scheme {
    /// What a condition fixes, if it can be met.
    pub(super) fn fixed(&self, condition: &Condition) -> Result<Fixed, DrawError> {
        let book = &self.book;
        let mut fixed = Fixed::nothing(book);
        for (name, value) in condition {
            let is_meant = |field: &&Field| book.variables[usize::from(field.variable)].name == *name;
            let Some(number) = book.fields.iter().position(|field| is_meant(&field)) else {
                return Err(self.unknown(name));
            };
            self.fix(number, value, &mut fixed).map_err(|detail| DrawError::Impossible {
                field: name.clone(),
                value: value.clone(),
                detail,
            })?;
            self.check_pairs(&fixed)
                .and_then(|()| self.check_links(&fixed))
                .map_err(|detail| DrawError::Impossible { field: name.clone(), value: value.clone(), detail })?;
        }
        Ok(fixed)
    }

    /// Says which fields there are.
    fn unknown(&self, name: &str) -> DrawError {
        let names = self.book.fields.iter().map(|field| &*self.book.variables[usize::from(field.variable)].name);
        DrawError::UnknownField { field: name.to_owned(), known: names.collect::<Vec<_>>().join(", ") }
    }

    /// Those of some records that have what a condition asks for.
    pub(super) fn matching<'a>(&self, condition: &Condition, records: &[&'a [u8]]) -> Result<Vec<&'a [u8]>, DrawError> {
        let fixed = self.fixed(condition)?;
        let mut cells = Cells::default();
        Ok(records.iter().copied().filter(|record| self.meets(&fixed, record, &mut cells)).collect())
    }

    /// Whether a record has what is fixed.
    fn meets(&self, fixed: &Fixed, record: &[u8], cells: &mut Cells) -> bool {
        let Some(record) = self.find(record, cells) else { return false };
        self.book.fields.iter().zip(&cells.cells).zip(&fixed.values).all(|((field, cell), wanted)| {
            let Some(wanted) = wanted else { return true };
            let Some((_, start, end)) = *cell else { return false };
            let found = &record[start as usize..end as usize];
            found == wanted || field.kind.parse(found).is_some_and(|number| field.kind.parse(wanted) == Some(number))
        })
    }

    /// The classes of a field: texts and numbers with codes of their own, each with its share of what is drawn first under a
    /// condition on others, by what a variable's codes weigh where some are known. What is rare, absent or NULL is no class.
    pub(super) fn classes_of(
        &self,
        name: &str,
        condition: &Condition,
        weights: impl FnOnce(&[Option<u16>], usize) -> Vec<f64>,
    ) -> Result<Vec<(String, f64)>, DrawError> {
        let fixed = self.fixed(condition)?;
        let book = &self.book;
        let is_meant = |field: &&Field| book.variables[usize::from(field.variable)].name == *name;
        let Some(field) = book.fields.iter().find(is_meant) else {
            return Err(self.unknown(name));
        };
        let no_classes = |detail: &str| DrawError::NoClasses { field: name.to_owned(), detail: detail.to_owned() };
        if condition.contains_key(name) {
            return Err(no_classes("a condition says what it is"));
        }
        let variable = usize::from(field.variable);
        if book.guards[variable].is_some() {
            return Err(no_classes("it has numbers that others make"));
        }
        let mut classes = Vec::new();
        for (code, weight) in book.variables[variable].codes.iter().zip(weights(&fixed.codes, variable)) {
            let class = match code {
                Code::Text { slot, text } => read(book.grammar.scan(*slot), text),
                Code::Number { bin, .. } => match (bin.atoms.as_slice(), bin.edges.is_empty()) {
                    ([(number, _)], true) => {
                        let mut text = Vec::new();
                        field.kind.append(*number, &mut text).and_then(|()| String::from_utf8(text).ok())
                    }
                    _ => return Err(no_classes("it has numbers of a range")),
                },
                Code::Texts { .. } => return Err(no_classes("it has too many texts to tell them apart")),
                Code::Sequence { .. } => return Err(no_classes("its values go on with each record")),
                Code::Time { .. } => return Err(no_classes("it has times")),
                Code::Absent
                | Code::Null { .. }
                | Code::Part(_)
                | Code::Literal(_)
                | Code::Rare
                | Code::Off { .. }
                | Code::Own => None,
            };
            let Some(class) = class else { continue };
            let mut with = condition.clone();
            with.insert(name.to_owned(), class.clone());
            if self.fixed(&with).is_ok() {
                classes.push((class, weight));
            }
        }
        let sum: f64 = classes.iter().map(|(_, share)| share).sum();
        if classes.is_empty() || sum <= 0.0 {
            return Err(no_classes("none of its values was seen five times"));
        }
        classes.iter_mut().for_each(|(_, share)| *share /= sum);
        Ok(classes)
    }

    /// Fixes a field; why not, if it cannot be.
    fn fix(&self, number: usize, value: &str, fixed: &mut Fixed) -> Result<(), String> {
        let book = &self.book;
        let field = &book.fields[number];
        let variable = usize::from(field.variable);
        let codes = &book.variables[variable].codes;
        let scan = |slot: u16| book.grammar.scan(slot);
        for (code, place) in codes.iter().zip(0u16..) {
            let written = match code {
                Code::Null { slot } => {
                    let null = if scan(*slot) == Scan::JsonBare { "null" } else { "" };
                    // Whoever asks for NULL of an empty cell may say so too, where no text does.
                    let is_said = |code: &Code| matches!(code, Code::Text { text, .. } if text == b"null");
                    let is_null = value == null || value == "null" && !codes.iter().any(is_said);
                    is_null.then(|| null.as_bytes().to_vec())
                }
                Code::Text { slot, text } => (written(scan(*slot), value) == *text).then(|| text.clone()),
                Code::Texts { slot, texts } => {
                    let wanted = written(scan(*slot), value);
                    texts.iter().any(|(text, _)| *text == wanted).then_some(wanted)
                }
                Code::Number { bin, .. } => {
                    let number = field.kind.parse(value.as_bytes()).filter(|number| bin.holds(*number));
                    number.map(|_| value.as_bytes().to_vec())
                }
                Code::Time { .. } => self.fix_parts(field, value, fixed).map(|()| value.as_bytes().to_vec()),
                Code::Sequence { .. } if field.kind.parse(value.as_bytes()).is_some() => {
                    return Err("its values go on with each record, and none comes twice".to_owned());
                }
                Code::Absent
                | Code::Sequence { .. }
                | Code::Part(_)
                | Code::Literal(_)
                | Code::Rare
                | Code::Off { .. }
                | Code::Own => None,
            };
            if let Some(written) = written {
                fixed.codes[variable] = Some(place);
                fixed.values[number] = Some(written);
                if let Some((link, _)) = book.guards[variable] {
                    fixed.idle[usize::from(link)] = true;
                }
                self.fix_no_parts(field, code, fixed);
                return Ok(());
            }
        }
        Err(self.known_of(field))
    }

    /// Fixes the parts of a time; `None` where one of them was never seen.
    fn fix_parts(&self, field: &Field, value: &str, fixed: &mut Fixed) -> Option<()> {
        let parts = parts(&field.format()?, field.kind.parse(value.as_bytes())?)?;
        let mut found = Vec::new();
        for (variable, part) in field.parts.iter().zip(parts) {
            let Some(variable) = variable else { continue };
            let codes = &self.book.variables[usize::from(*variable)].codes;
            found.push((*variable, codes.iter().position(|code| *code == Code::Part(part))? as u16));
        }
        found.into_iter().for_each(|(variable, code)| fixed.codes[usize::from(variable)] = Some(code));
        Some(())
    }

    /// A field that has no time has no parts of one.
    fn fix_no_parts(&self, field: &Field, code: &Code, fixed: &mut Fixed) {
        if matches!(code, Code::Time { .. }) {
            return;
        }
        for variable in field.parts.iter().flatten() {
            let codes = &self.book.variables[usize::from(*variable)].codes;
            if let Some(absent) = codes.iter().position(|code| *code == Code::Absent) {
                fixed.codes[usize::from(*variable)] = Some(absent as u16);
            }
        }
    }

    /// Whether what is fixed may stand side by side.
    fn check_pairs(&self, fixed: &Fixed) -> Result<(), String> {
        let first = &self.first;
        let codes = || fixed.codes.iter().enumerate().filter_map(|(variable, code)| Some((variable, (*code)?)));
        for (one, a) in codes() {
            for (other, b) in codes().filter(|(other, _)| *other > one) {
                if self.zeros.has(first[one] + usize::from(a), first[other] + usize::from(b)) {
                    let name = |variable: usize| &self.book.variables[variable].name;
                    return Err(format!("`{}` and `{}` were never seen like this together", name(one), name(other)));
                }
            }
        }
        Ok(())
    }

    /// Whether numbers that are fixed may be what others make, where that is so in all records.
    fn check_links(&self, fixed: &Fixed) -> Result<(), String> {
        let book = &self.book;
        let number = |field: u16| {
            let field = usize::from(field);
            book.fields[field].kind.parse(fixed.values[field].as_ref()?)
        };
        for link in &book.links {
            let own = usize::from(book.fields[usize::from(link.field)].variable);
            let (Some(made), Some(code)) = (number(link.field), fixed.codes[own]) else { continue };
            if !self.zeros.has(self.apart(link), self.first[own] + usize::from(code)) {
                continue;
            }
            let of = link.of.map(number);
            let mut offs = book.variables[usize::from(link.variable)].offs();
            let can_be = match of {
                [Some(a), Some(b)] => link.relation.off(made, [a, b]).is_some_and(|found| offs.any(|off| off == found)),
                [None, None] => true,
                [a, b] => {
                    let which = usize::from(a.is_some());
                    let known = [a.unwrap_or(0), b.unwrap_or(0)];
                    offs.any(|off| {
                        // Of nothing, everything makes nothing.
                        let with = |open: i64| if which == 0 { [open, known[1]] } else { [known[0], open] };
                        if [0, 1].iter().all(|open| link.relation.apply(with(*open), off) == Some(made)) {
                            return true;
                        }
                        let wanted = link.relation.wanted(made, off);
                        let solved = wanted.and_then(|wanted| link.relation.solved(wanted, known, which));
                        solved.is_some_and(|solved| self.may_be(link.of[which], solved, link.relation))
                    })
                }
            };
            if !can_be {
                let [a, b] = link.of.map(|of| &book.variable_of(of).name);
                let name = &book.variables[own].name;
                return Err(format!("`{name}` is always what `{a}` and `{b}` make, and these cannot make it then"));
            }
        }
        Ok(())
    }

    /// The code, counted over all variables, that says that a number is not made of others.
    fn apart(&self, link: &Link) -> usize {
        self.first[usize::from(link.variable) + 1] - 1
    }

    /// Whether a field may have a number; of minutes to a clock, so many days more or less too.
    fn may_be(&self, field: u16, number: i64, relation: Relation) -> bool {
        let variable = self.book.variable_of(field);
        // Whatever times and what goes on are, they are no bins.
        let goes_on = variable.codes.iter().any(|code| matches!(code, Code::Time { .. } | Code::Sequence { .. }));
        let holds = |number: i64| goes_on || variable.bins().any(|bin| bin.holds(number));
        let days = if matches!(relation, Relation::ClockSum | Relation::ClockLess) { -2..=2 } else { 0..=0 };
        days.into_iter().any(|days: i64| number.checked_add(days * 1440).is_some_and(holds))
    }

    /// What a field may be, for people.
    fn known_of(&self, field: &Field) -> String {
        let variable = &self.book.variables[usize::from(field.variable)];
        let mut texts = Vec::new();
        for code in &variable.codes {
            match code {
                Code::Text { text, .. } => texts.push(format!("`{}`", String::from_utf8_lossy(text))),
                Code::Null { .. } => texts.push("NULL".to_owned()),
                _ => {}
            }
        }
        if let Some((low, high)) = variable.range() {
            let text = |number| {
                let mut text = Vec::new();
                let _ = field.kind.append(number, &mut text);
                String::from_utf8_lossy(&text).into_owned()
            };
            let (low, high) = (text(low), text(high));
            return format!("it is a number from {low} to {high}, and of some only those that were seen five times");
        }
        let more = texts.len().saturating_sub(NAMED);
        texts.truncate(NAMED);
        match (texts.is_empty(), more) {
            (true, _) => "none of its values was seen five times".to_owned(),
            (false, 0) => format!("it may be {}", texts.join(", ")),
            (false, more) => format!("it may be {} and {more} more", texts.join(", ")),
        }
    }
}

/// A value as a user writes it, whom [`written`] understands.
fn read(scan: Scan, value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?;
    let plain = match scan {
        Scan::JsonString => serde_json::from_str(&format!("\"{text}\"")).ok()?,
        Scan::CsvQuoted => text.replace("\"\"", "\""),
        _ => text.to_owned(),
    };
    (written(scan, &plain) == value).then_some(plain)
}

/// A value as a record of this syntax has it.
fn written(scan: Scan, value: &str) -> Vec<u8> {
    match scan {
        Scan::JsonString => {
            let quoted = serde_json::Value::from(value).to_string();
            quoted.as_bytes()[1..quoted.len() - 1].to_vec()
        }
        Scan::CsvQuoted => value.replace('"', "\"\"").into_bytes(),
        _ => value.as_bytes().to_vec(),
    }
}
