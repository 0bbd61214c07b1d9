//! The framing's part of an artefact.

use super::form::Form;
use super::formula::Formula;
use super::parts::{FieldParts, FramingParts, Import, MAX_FORMULAS, MAX_IMPORTS, MAX_LISTS, MAX_NAMES, Places};
use crate::frame::{Reader, put_signed, put_varint};
use crate::model::columns::artefact::{
    ColumnsError, capped, count, counts, invalid, put_counts, read_chain, read_column, write_chain, write_column,
};
use crate::model::columns::feature::When;
use crate::model::columns::parts::ColumnParts;
use crate::model::columns::registers::Registers;
use crate::model::columns::text::ORDERS;

/// Largest number that an import is multiplied with or divided by: nanoseconds of a second.
const MAX_SCALE: usize = 1_000_000_000;

/// Appends the bytes of what is known of framing.
pub(in crate::model::columns) fn write(parts: &FramingParts, output: &mut Vec<u8>) {
    put_varint(parts.imports.len() as u64, output);
    for Import { slot, multiply, divide } in &parts.imports {
        put_varint(u64::from(*slot), output);
        put_varint(*multiply as u64, output);
        put_varint(*divide as u64, output);
    }
    put_varint(parts.names.len() as u64, output);
    for name in &parts.names {
        put_varint(name.len() as u64, output);
        output.extend_from_slice(name.as_bytes());
    }
    put_varint(parts.lists.len() as u64, output);
    for list in &parts.lists {
        put_varint(list.len() as u64, output);
        list.iter().for_each(|name| put_varint(u64::from(*name), output));
    }
    for field in &parts.fields {
        output.push(field.form as u8);
        output.push(field.formulas.len() as u8);
        field.formulas.iter().for_each(|formula| formula.write(output));
        output.push(u8::from(!field.bytes.is_empty()));
        put_counts(&field.bytes, output);
    }
    let places = parts.places();
    let own = places.imports..places.all();
    for when in [When::Now, When::Before] {
        parts.start.columns().iter().for_each(|register| put_signed(register[when as usize], output));
    }
    for column in own {
        write_column(&parts.columns[column], column < places.values(), false, output);
    }
    write_chain(&parts.text, output);
}

/// Reads what [`write`] has written, from anywhere, beside a grammar of so many slots.
pub(in crate::model::columns) fn read(input: &mut Reader<'_>, slots: usize) -> Result<FramingParts, ColumnsError> {
    let mut imports: Vec<Import> = Vec::new();
    for _ in 0..count(input, MAX_IMPORTS)? {
        let slot = input.varint()?;
        if slot >= slots as u64 || imports.iter().any(|import| u64::from(import.slot) == slot) {
            return Err(invalid("an import is of a slot that is not there, or of one that another has"));
        }
        let [multiply, divide] = [capped(input.varint()?, MAX_SCALE)?, capped(input.varint()?, MAX_SCALE)?];
        if multiply == 0 || divide == 0 {
            return Err(invalid("an import is scaled by 0"));
        }
        imports.push(Import { slot: slot as u16, multiply: multiply as i64, divide: divide as i64 });
    }
    let mut names: Vec<String> = Vec::new();
    for _ in 0..count(input, MAX_NAMES)? {
        let length = count(input, usize::MAX)?;
        let name = std::str::from_utf8(input.take(length)?).map_err(invalid)?;
        if names.iter().any(|known| known == name) {
            return Err(invalid("two names of headers are the same"));
        }
        names.push(name.to_owned());
    }
    let mut lists = Vec::new();
    for _ in 0..count(input, MAX_LISTS)? {
        let mut list = Vec::new();
        for _ in 0..count(input, MAX_NAMES)? {
            let name = input.varint()?;
            if name >= names.len() as u64 {
                return Err(invalid("a list has a name that is not there"));
            }
            list.push(name as u16);
        }
        lists.push(list);
    }
    let places = Places { imports: imports.len(), fields: names.len() + 2 };
    let mut fields = Vec::new();
    for field in 0..places.fields {
        let form = usize::from(input.byte()?);
        let form = *Form::ALL.get(form).ok_or_else(|| invalid("a field has a form that there is not"))?;
        let mut formulas = Vec::new();
        for _ in 0..capped(u64::from(input.byte()?), MAX_FORMULAS)? {
            formulas.push(Formula::read(input, places.sources(field))?);
        }
        let bytes = match input.byte()? {
            0 => Vec::new(),
            1 => counts(input, 256)?,
            _ => return Err(invalid("a flag is neither set nor not")),
        };
        fields.push(FieldParts { form, formulas, bytes });
    }
    let mut start = Registers::new(places.all());
    for when in [When::Now, When::Before] {
        for register in start.columns_mut() {
            register[when as usize] = input.signed()?;
        }
    }
    let mut columns = vec![ColumnParts::default(); places.imports];
    for column in places.imports..places.all() {
        let choices = (column >= places.values()).then(|| places.symbols(column, lists.len(), &fields));
        columns.push(read_column(input, column, places.all(), choices, None)?);
    }
    let text = read_chain(input, ORDERS.len(), 256)?;
    Ok(FramingParts { imports, names, lists, fields, columns, start, text })
}
