//! A codebook as bytes.

use super::invalid;
use crate::frame::{Reader, put_signed, put_varint};
use crate::model::rows::bin::Bin;
use crate::model::rows::codebook::{Code, Codebook, Field, Fork, MAX_OCCURRENCES, PARTS, Variable, WEEKDAY};
use crate::model::rows::learn::columns;
use crate::model::rows::link::{Link, RELATIONS};
use crate::model::rows::walk::Walk;
use crate::model::rows::{MAX_CODES, MAX_FIELDS, RowsError};
use crate::payload::fields::{Grammar, Kind};

/// Most digits of a fraction of a second.
const MAX_FRACTION: usize = 9;

/// The codebook and the order in which its variables are drawn.
pub fn write(book: &Codebook, order: &[u16]) -> Vec<u8> {
    let mut bytes = Vec::new();
    book.grammar.write(&mut bytes);
    let put = |number: usize, bytes: &mut Vec<u8>| put_varint(number as u64, bytes);
    let optional = |number: Option<u16>| number.map_or(0, |number| usize::from(number) + 1);
    put(book.variables.len(), &mut bytes);
    for variable in &book.variables {
        put(variable.name.len(), &mut bytes);
        bytes.extend_from_slice(variable.name.as_bytes());
        put(variable.codes.len(), &mut bytes);
        variable.codes.iter().for_each(|code| write_code(code, &mut bytes));
    }
    put(book.fields.len(), &mut bytes);
    for field in &book.fields {
        put(usize::from(field.column), &mut bytes);
        put(usize::from(field.occurrence), &mut bytes);
        put(usize::from(field.variable), &mut bytes);
        field.kind.write(&mut bytes);
        put(field.epoch.map_or(0, |fraction| usize::from(fraction) + 1), &mut bytes);
        field.parts.iter().for_each(|part| put(optional(*part), &mut bytes));
    }
    put(book.forks.len(), &mut bytes);
    for fork in &book.forks {
        for number in [optional(fork.from), optional(fork.to), usize::from(fork.variable)] {
            put(number, &mut bytes);
        }
    }
    put(book.links.len(), &mut bytes);
    for link in &book.links {
        let [a, b] = link.of;
        for number in [link.field, a, b, link.relation.number() as u16, link.variable] {
            put(usize::from(number), &mut bytes);
        }
    }
    bytes.push(u8::from(book.walk.is_some()));
    if let Some(walk) = &book.walk {
        walk.write(&mut bytes);
    }
    order.iter().for_each(|variable| put(usize::from(*variable), &mut bytes));
    bytes
}

fn write_code(code: &Code, bytes: &mut Vec<u8>) {
    let text = |text: &[u8], bytes: &mut Vec<u8>| {
        put_varint(text.len() as u64, bytes);
        bytes.extend_from_slice(text);
    };
    let (tag, slot) = match code {
        Code::Absent => (0, None),
        Code::Null { slot } => (1, Some(slot)),
        Code::Text { slot, .. } => (2, Some(slot)),
        Code::Texts { slot, .. } => (3, Some(slot)),
        Code::Number { slot, .. } => (4, Some(slot)),
        Code::Sequence { slot, .. } => (5, Some(slot)),
        Code::Time { slot } => (6, Some(slot)),
        Code::Part(_) => (7, None),
        Code::Literal(_) => (8, None),
        Code::Rare => (9, None),
        Code::Off { slot, .. } => (10, Some(slot)),
        Code::Own => (11, None),
    };
    bytes.push(tag);
    if let Some(slot) = slot {
        put_varint(u64::from(*slot), bytes);
    }
    match code {
        Code::Text { text: own, .. } => text(own, bytes),
        Code::Texts { texts, .. } => {
            put_varint(texts.len() as u64, bytes);
            for (own, count) in texts {
                text(own, bytes);
                put_varint(u64::from(*count), bytes);
            }
        }
        Code::Number { bin, .. } => bin.write(bytes),
        Code::Sequence { base, step, .. } => {
            put_signed(*base, bytes);
            put_signed(*step, bytes);
        }
        Code::Part(value) | Code::Off { by: value, .. } => put_signed(*value, bytes),
        Code::Literal(literal) => put_varint(u64::from(*literal), bytes),
        Code::Absent | Code::Null { .. } | Code::Time { .. } | Code::Rare | Code::Own => {}
    }
}

/// A number of at most `most`.
fn capped(input: &mut Reader<'_>, most: usize) -> Result<usize, RowsError> {
    let number = input.varint()?;
    usize::try_from(number)
        .ok()
        .filter(|number| *number <= most)
        .ok_or_else(|| invalid(format_args!("its codebook has a number of {number} where {most} is the most")))
}

fn optional(input: &mut Reader<'_>, limit: usize) -> Result<Option<u16>, RowsError> {
    Ok(capped(input, limit)?.checked_sub(1).map(|number| number as u16))
}

/// Reads what [`write`] has written, from anywhere, in this version or one before it.
pub fn read(bytes: &[u8], version: u32) -> Result<(Codebook, Vec<u16>), RowsError> {
    let input = &mut Reader::new(bytes, 0);
    let grammar = Grammar::read(input).map_err(invalid)?;
    let (names, column_of) = columns(&grammar);
    let slots = grammar.slots().len();

    let mut variables = Vec::new();
    let mut left = MAX_CODES;
    for _ in 0..capped(input, MAX_CODES)? {
        let length = capped(input, bytes.len())?;
        let name = String::from_utf8(input.take(length)?.to_vec()).map_err(|_| invalid("a name is no UTF-8"))?;
        let count = capped(input, left)?;
        left -= count;
        let codes = (0..count).map(|_| read_code(input, slots)).collect::<Result<Vec<_>, _>>()?;
        if codes.iter().all(|code| *code == Code::Rare) {
            return Err(invalid("a variable has nothing that could be drawn"));
        }
        variables.push(Variable { name, codes });
    }
    // Each variable says one thing.
    let mut is_taken = vec![false; variables.len()];
    let mut take = |variable: usize| match is_taken.get_mut(variable).map(|taken| std::mem::replace(taken, true)) {
        Some(false) => Ok(variable as u16),
        _ => Err(invalid("a variable is not there, or says two things")),
    };
    let mut fields = Vec::new();
    for _ in 0..capped(input, MAX_FIELDS)? {
        let column = capped(input, names.len().saturating_sub(1))? as u16;
        let occurrence = capped(input, MAX_OCCURRENCES - 1)? as u8;
        if names.is_empty() {
            return Err(invalid("a field is of no column"));
        }
        let variable = take(capped(input, MAX_CODES)?)?;
        let kind = Kind::read(input)?;
        let epoch = if version < 2 { 0 } else { capped(input, MAX_FRACTION + 1)? };
        let epoch = epoch.checked_sub(1).map(|fraction| fraction as u8);
        let mut parts = [None; PARTS];
        let shown = if version < 2 { WEEKDAY } else { PARTS };
        for part in &mut parts[..shown] {
            if let Some(number) = optional(input, MAX_CODES)? {
                *part = Some(take(usize::from(number))?);
            }
        }
        let field = Field { column, occurrence, variable, kind, epoch, parts };
        check_field(&field, &variables, &grammar, &column_of)?;
        fields.push(field);
    }
    // The occurrences of a column are 0, 1, and so on, each once.
    let mut sorted: Vec<(u16, u8)> = fields.iter().map(|field| (field.column, field.occurrence)).collect();
    sorted.sort_unstable();
    if sorted.chunk_by(|a, b| a.0 == b.0).any(|same| same.iter().zip(0..).any(|((_, found), place)| *found != place)) {
        return Err(invalid("the occurrences of a column are not counted from 0"));
    }
    let mut forks = Vec::new();
    for _ in 0..capped(input, MAX_CODES)? {
        let (from, to) = (optional(input, slots)?, optional(input, slots)?);
        let variable = take(capped(input, MAX_CODES)?)?;
        let codes = &variables[usize::from(variable)].codes;
        if !codes.iter().all(|code| matches!(code, Code::Absent | Code::Literal(_) | Code::Rare)) {
            return Err(invalid("a variable of literals has other codes"));
        }
        forks.push(Fork { from, to, variable });
    }
    let mut links: Vec<Link> = Vec::new();
    for _ in 0..if version < 2 { 0 } else { capped(input, fields.len())? } {
        let mut field = || capped(input, fields.len() - 1);
        let (field, of) = (field()? as u16, [field()? as u16, field()? as u16]);
        let relation = RELATIONS[capped(input, RELATIONS.len() - 1)?];
        let link = Link { field, of, relation, variable: take(capped(input, MAX_CODES)?)? };
        check_link(&link, &links, &fields, &variables, &column_of)?;
        links.push(link);
    }
    // What others are made of comes before them.
    let is_made_later = |link: &Link, place: usize| links[place..].iter().any(|later| link.of.contains(&later.field));
    if links.iter().enumerate().any(|(place, link)| is_made_later(link, place)) {
        return Err(invalid("a number is made of one that comes after it"));
    }
    let walk = match if version < 2 { 0 } else { input.byte()? } {
        0 => None,
        1 => Some(Walk::read(input)?),
        _ => return Err(invalid("it has more than one time that goes on")),
    };
    if let Some(walk) = &walk {
        let field = fields.get(usize::from(walk.field)).filter(|field| field.format().is_some_and(|f| f.date));
        let codes = field.map_or(&[][..], |field| &variables[usize::from(field.variable)].codes);
        if !codes.iter().any(|code| matches!(code, Code::Time { .. })) {
            return Err(invalid("what goes on is no time"));
        }
    }
    let mut order = Vec::with_capacity(variables.len());
    let mut is_drawn = vec![false; variables.len()];
    for _ in 0..variables.len() {
        let variable = capped(input, variables.len() - 1)?;
        if std::mem::replace(&mut is_drawn[variable], true) {
            return Err(invalid("a variable is drawn twice"));
        }
        order.push(variable as u16);
    }
    if input.left() > 0 || is_taken.contains(&false) {
        return Err(invalid("its codebook has a variable of nothing, or bytes behind its end"));
    }
    Ok((Codebook::new(grammar, (names, column_of), fields, forks, variables).with(links, walk), order))
}

fn read_code(input: &mut Reader<'_>, slots: usize) -> Result<Code, RowsError> {
    fn text(input: &mut Reader<'_>) -> Result<Vec<u8>, RowsError> {
        let length = capped(input, input.left())?;
        Ok(input.take(length)?.to_vec())
    }
    let tag = input.byte()?;
    let slot = match tag {
        1..=6 | 10 if slots > 0 => capped(input, slots - 1)? as u16,
        1..=6 | 10 => return Err(invalid("a code is of a slot, and there is none")),
        _ => 0,
    };
    Ok(match tag {
        0 => Code::Absent,
        1 => Code::Null { slot },
        2 => Code::Text { slot, text: text(input)? },
        3 => {
            let mut texts = Vec::new();
            // Each takes two bytes at least.
            for _ in 0..capped(input, input.left() / 2)? {
                texts.push((text(input)?, capped(input, u32::MAX as usize)? as u32));
            }
            if texts.is_empty() || texts.iter().any(|(_, count)| *count == 0) {
                return Err(invalid("a code has no texts, or one that never was"));
            }
            Code::Texts { slot, texts }
        }
        4 => Code::Number { slot, bin: Bin::read(input)? },
        5 => Code::Sequence { slot, base: input.signed()?, step: input.signed()? },
        6 => Code::Time { slot },
        7 => Code::Part(input.signed()?),
        8 => Code::Literal(capped(input, usize::from(u16::MAX))? as u16),
        9 => Code::Rare,
        10 => Code::Off { slot, by: input.signed()? },
        11 => Code::Own,
        _ => return Err(invalid("there is no such code")),
    })
}

/// Whether a field's codes are some that a field has, and what they write may stand in their slots.
fn check_field(field: &Field, variables: &[Variable], grammar: &Grammar, column_of: &[u16]) -> Result<(), RowsError> {
    for code in &variables[usize::from(field.variable)].codes {
        if let Some(slot) = code.slot() {
            let scan = grammar.scan(slot);
            let fits = column_of[usize::from(slot)] == field.column
                && match code {
                    Code::Text { text, .. } => scan.holds(text),
                    Code::Texts { texts, .. } => texts.iter().all(|(text, _)| scan.holds(text)),
                    Code::Number { .. } | Code::Sequence { .. } => field.kind != Kind::Text,
                    Code::Time { .. } => field.format().is_some(),
                    Code::Off { .. } => false,
                    _ => true,
                };
            if !fits {
                return Err(invalid("a code writes what may not stand where it is to"));
            }
        } else if !matches!(code, Code::Absent | Code::Rare) {
            return Err(invalid("a field has codes that are none of a field"));
        }
    }
    for variable in field.parts.iter().flatten() {
        let codes = &variables[usize::from(*variable)].codes;
        if !codes.iter().all(|code| matches!(code, Code::Absent | Code::Part(_) | Code::Rare)) {
            return Err(invalid("a part of a time has codes that are none of a part"));
        }
    }
    Ok(())
}

/// Whether a link's codes are some that a link has, and its fields have numbers.
fn check_link(
    link: &Link,
    before: &[Link],
    fields: &[Field],
    variables: &[Variable],
    column_of: &[u16],
) -> Result<(), RowsError> {
    let field = &fields[usize::from(link.field)];
    let codes = &variables[usize::from(link.variable)].codes;
    let is_off = |code: &Code| {
        matches!(code, Code::Off { slot, .. } if column_of[usize::from(*slot)] == field.column)
            && field.kind != Kind::Text
    };
    let fits = match codes.split_last() {
        Some((Code::Own | Code::Rare, off)) => !off.is_empty() && off.iter().all(is_off),
        _ => false,
    };
    let is_new = before.iter().all(|other| other.field != link.field);
    match fits && is_new {
        true => Ok(()),
        false => Err(invalid("a number that others make has codes that are none of such, or is made twice")),
    }
}
