//! What is known of a topic's framing, ready for coding.

use super::form::Form;
use super::formula::Formula;
use super::parts::{FieldParts, FramingParts, Import, KEY, Places};
use crate::model::columns::base::Base;
use crate::model::columns::dense::Dense;
use crate::model::columns::fields::Fields;
use crate::model::columns::model::Column;
use crate::model::columns::parts::{ColumnParts, Parts};
use crate::model::columns::registers::{self, Registers, unknown_text};
use crate::model::columns::text::{TextModel, length_classes};
use crate::payload::fields::Kind;
use crate::record::HeaderRef;

/// A field of framing.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub form: Form,
    pub formulas: Vec<Formula>,
    /// Of the bytes of its texts, where they have one for themselves.
    pub bytes: Option<Dense>,
}

impl Field {
    fn new(parts: &FieldParts) -> Self {
        let FieldParts { form, formulas, bytes } = parts;
        let bytes = (!bytes.is_empty()).then(|| Dense::from_counts(bytes));
        Self { form: *form, formulas: formulas.clone(), bytes }
    }
}

/// An import that something looks at.
#[derive(Clone, Debug)]
struct Used {
    import: Import,
    /// Its column.
    column: usize,
    kind: Kind,
    /// Whether its register is looked at, and not only its text.
    is_register: bool,
}

/// All that coding framing takes.
#[derive(Clone, Debug)]
pub(in crate::model::columns) struct FramingModel {
    pub(super) places: Places,
    used: Vec<Used>,
    /// By import, its place among those that are used.
    place: Vec<Option<usize>>,
    slots: usize,
    pub(super) names: Vec<String>,
    pub(super) lists: Vec<Vec<u16>>,
    pub(super) fields: Vec<Field>,
    /// By number less that of the offset.
    columns: Vec<Column>,
    pub(super) text: TextModel,
    /// Of lengths of names that are new.
    pub(super) lengths: Dense,
    pub(super) start: Registers,
    follows_timestamps: bool,
    /// By how much offsets and timestamps mostly differ from the one before.
    steps: [i64; 2],
}

impl FramingModel {
    /// From what was learned, if framing was.
    pub fn new(parts: &Parts) -> Option<Self> {
        let framing = parts.framing.as_ref()?;
        let FramingParts { imports, names, lists, fields, columns, start, text } = framing;
        let places = framing.places();
        let mut registers = vec![false; places.all()];
        for part in &columns[places.imports..] {
            let features = part.contexts.iter().flat_map(|context| &context.features).map(|feature| feature.column);
            for column in features.chain(part.alphabet.base.columns()) {
                registers[usize::from(column)] = true;
            }
        }
        let sources: Vec<u16> =
            fields.iter().flat_map(|field| &field.formulas).flat_map(|formula| formula.sources()).collect();
        let mut used = Vec::new();
        let mut place = vec![None; imports.len()];
        for (column, import) in imports.iter().enumerate() {
            let is_register = registers[column];
            if is_register || sources.contains(&(column as u16)) {
                place[column] = Some(used.len());
                let kind = parts.columns[usize::from(import.slot)].alphabet.kind.clone();
                used.push(Used { import: *import, column, kind, is_register });
            }
        }
        let timestamp = places.timestamp();
        let follows = columns[timestamp].alphabet.base.columns().any(|column| usize::from(column) == timestamp);
        let step = |column: usize, otherwise: i64| {
            let ColumnParts { alphabet, chain, .. } = &columns[column];
            let follows = alphabet.base == Base::Last(column as u16);
            let frequent = alphabet.differences.iter().zip(&chain.dense).max_by_key(|(_, count)| **count);
            frequent.filter(|_| follows).map_or(otherwise, |(difference, _)| *difference)
        };
        Some(Self {
            steps: [step(places.offset(), 1), step(timestamp, 0)],
            places,
            used,
            place,
            slots: parts.grammar.slots().len(),
            names: names.clone(),
            lists: lists.clone(),
            fields: fields.iter().map(Field::new).collect(),
            columns: columns[places.imports..].iter().map(Column::new).collect(),
            text: TextModel::new(text),
            lengths: Dense::from_counts(&vec![1; length_classes()]),
            start: start.clone(),
            follows_timestamps: follows,
        })
    }

    /// Whether timestamps are expected from the one before, so that a block has to say what came before its first.
    pub(super) fn follows_timestamps(&self) -> bool {
        self.follows_timestamps
    }

    /// What the first offset and the first timestamp of a block are best taken to follow.
    pub(super) fn before(&self, offset: i64, timestamp: i64) -> (i64, i64) {
        (offset.wrapping_sub(self.steps[0]), timestamp.wrapping_sub(self.steps[1]))
    }

    /// What takes the values of the slots that framing looks at.
    pub fn fields(&self) -> Fields {
        let wanted: Vec<u16> = self.used.iter().map(|used| used.import.slot).collect();
        Fields::of(&wanted, self.slots)
    }

    /// A column of its own.
    #[inline]
    pub(super) fn column(&self, column: usize) -> &Column {
        &self.columns[column - self.places.imports]
    }

    /// Makes the registers of imports those of a record; `text` gives the text of each that is used.
    #[inline]
    pub(super) fn import<'a>(&self, registers: &mut Registers, text: impl Fn(usize) -> Option<&'a [u8]>) {
        for (place, used) in self.used.iter().enumerate().filter(|(_, used)| used.is_register) {
            registers.push(used.column, imported(used.import, &used.kind, text(place)));
        }
    }

    /// Where the text of a source stands among those that are used; nothing for the key's.
    #[inline]
    pub(super) fn place_of(&self, source: u16) -> Option<usize> {
        self.place.get(usize::from(source)).copied().flatten()
    }

    /// The list that has these names.
    #[inline]
    pub(super) fn list_of(&self, headers: &[HeaderRef<'_>]) -> Option<usize> {
        let same = |list: &Vec<u16>| {
            list.len() == headers.len()
                && list.iter().zip(headers).all(|(name, header)| self.names[usize::from(*name)] == header.name)
        };
        self.lists.iter().position(same)
    }

    /// The field of the headers that have a name.
    pub(super) fn field_of(&self, name: &str) -> usize {
        KEY + 1 + self.names.iter().position(|known| known == name).unwrap_or(self.names.len())
    }
}

/// What an import's register becomes.
#[inline]
pub(in crate::model::columns) fn imported(import: Import, kind: &Kind, text: Option<&[u8]>) -> i64 {
    match text {
        Some(text) => kind.parse(text).map_or_else(|| unknown_text(text), |number| import.scaled(number)),
        None => registers::TEXT,
    }
}
