//! What training makes of Kafka's framing, and how its columns are numbered.

use super::form::Form;
use super::formula::Formula;
use crate::model::columns::chain::ChainCounts;
use crate::model::columns::parts::ColumnParts;
use crate::model::columns::registers::Registers;

/// Most imports, most names of headers, most lists of them and most formulas of a field.
pub(in crate::model::columns) const MAX_IMPORTS: usize = 64;
/// See [`MAX_IMPORTS`].
pub(in crate::model::columns) const MAX_NAMES: usize = 64;
/// See [`MAX_IMPORTS`].
pub(in crate::model::columns) const MAX_LISTS: usize = 64;
/// See [`MAX_IMPORTS`].
pub(in crate::model::columns) const MAX_FORMULAS: usize = 4;

/// A slot of the value that framing may be predicted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::model::columns) struct Import {
    pub slot: u16,
    /// A number of it counts as `number * multiply / divide`, so that times are milliseconds as Kafka's are.
    pub multiply: i64,
    pub divide: i64,
}

impl Import {
    /// A slot whose numbers count as they are.
    pub const fn of(slot: u16) -> Self {
        Self { slot, multiply: 1, divide: 1 }
    }

    /// What a number counts as.
    #[inline]
    pub fn scaled(self, number: i64) -> i64 {
        number.wrapping_mul(self.multiply).wrapping_div_euclid(self.divide)
    }
}

/// A byte string of each record: its key, or the values of headers of one name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::model::columns) struct FieldParts {
    pub form: Form,
    pub formulas: Vec<Formula>,
    /// Counts of the bytes of its texts, where none tells the next: random identifiers. Else nothing.
    pub bytes: Vec<u32>,
}

/// What is learned of keys, timestamps, offsets and headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::model::columns) struct FramingParts {
    pub imports: Vec<Import>,
    /// Names of headers.
    pub names: Vec<String>,
    /// The names that records have, in order, each by its place in `names`.
    pub lists: Vec<Vec<u16>>,
    /// The key, then the values of each name, then those of any other name.
    pub fields: Vec<FieldParts>,
    /// All columns by number; those of imports have nothing.
    pub columns: Vec<ColumnParts>,
    /// What is remembered before the first record.
    pub start: Registers,
    /// Bytes of texts.
    pub text: ChainCounts,
}

/// Numbers of columns: imports, offset, timestamp, fields; then what is chosen: whether there is a value, the list of
/// names, and for each field how it is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::model::columns) struct Places {
    pub imports: usize,
    pub fields: usize,
}

/// How a field is said: that it is null; its text; its bytes, where they have no text; and behind these its formulas.
pub(in crate::model::columns) const NULL: u16 = 0;
/// See [`NULL`].
pub(in crate::model::columns) const TEXT: u16 = 1;
/// See [`NULL`].
pub(in crate::model::columns) const BYTES: u16 = 2;
/// See [`NULL`].
pub(in crate::model::columns) const FORMULAS: u16 = 3;

/// The field of the key.
pub(in crate::model::columns) const KEY: usize = 0;

impl Places {
    pub const fn offset(self) -> usize {
        self.imports
    }
    pub const fn timestamp(self) -> usize {
        self.imports + 1
    }
    pub const fn field(self, field: usize) -> usize {
        self.imports + 2 + field
    }
    /// Columns of values: those before the choices.
    pub const fn values(self) -> usize {
        self.imports + 2 + self.fields
    }
    /// Whether there is a value: 0 where there is, 1 where there is none.
    pub const fn nulls(self) -> usize {
        self.values()
    }
    pub const fn list(self) -> usize {
        self.values() + 1
    }
    pub const fn how(self, field: usize) -> usize {
        self.values() + 2 + field
    }
    pub const fn all(self) -> usize {
        self.how(self.fields)
    }
    /// The source that is the key's text, for formulas of headers.
    pub const fn key_source(self) -> u16 {
        self.imports as u16
    }
    /// How many sources the formulas of a field have.
    pub const fn sources(self, field: usize) -> usize {
        self.imports + if field == KEY { 0 } else { 1 }
    }
    /// Symbols of a choice.
    pub fn symbols(self, column: usize, lists: usize, fields: &[FieldParts]) -> usize {
        match column - self.values() {
            0 => 2,
            1 => lists + 1,
            how => usize::from(FORMULAS) + fields.get(how - 2).map_or(0, |field| field.formulas.len()),
        }
    }
}

impl FramingParts {
    pub fn places(&self) -> Places {
        Places { imports: self.imports.len(), fields: self.fields.len() }
    }
}
