//! `columns`: records of fields, coded field by field with distributions learned from the topic.
//!
//! The front end ([`crate::payload::fields`]) makes a record a walk of choices and values. Each of those is a column
//! here, with
//!
//! * an **alphabet** (`alphabet`): frequent values or differences, frequent texts, buckets of other numbers, an escape to
//!   text. A number is coded as its difference to a **base** (`base`): nothing, the last value of a column, the sum or
//!   the difference of two, minutes on a clock, an hour made of its parts; whichever training found to cost least;
//! * where texts are those of another column, an **echo** of that (`echo`). Other texts are made of **tokens** (`tokens`);
//! * a **chain** of contexts (`chain`, `feature`): each a set of features of the columns coded before in this record and
//!   in the one before it. The most specific context that knows the symbol codes it, the others escape. The last
//!   resort is the distribution of all values.
//!
//! All that drives the entropy coder is integers: counts from the artefact become frequencies by rules that `FORMAT.md`
//! states, so that every machine codes alike.

mod alphabet;
mod artefact;
mod automaton;
mod base;
mod chain;
mod codec;
mod coding;
mod decoding;
mod dense;
mod draw;
mod echo;
mod fault;
mod feature;
mod fields;
mod framing;
mod index;
mod model;
mod parts;
mod rare;
mod registers;
mod sieve;
mod snippets;
mod sparse;
mod text;
mod tokens;
mod train;

use std::sync::Arc;

pub use artefact::{ColumnsError, MAX_FRAMING_BYTES, MAX_PARTS_BYTES, MAX_TEXT_BYTES};
pub use codec::ColumnsCodec;
pub use draw::ColumnsGenerator;
pub use train::{FRAMED_RECORDS, Options};

use crate::codec::ModelId;
use crate::record::RecordRef;

/// A model of a topic's records: codes them, and [`ColumnsGenerator`] draws new ones from it.
pub struct ColumnsModel {
    artefact: Arc<[u8]>,
    id: ModelId,
    model: model::Model,
    /// What Kafka keeps beside values, where that was learned too.
    framing: Option<framing::FramingModel>,
    /// The topic's texts as zstd takes them: raw content, which must not begin like a dictionary with tables.
    dictionary: Vec<u8>,
}

impl ColumnsModel {
    /// Learns a model from records, the oldest first. The same records in the same order make the same artefact.
    ///
    /// Takes a few CPU seconds for 40 MB of records, and about five times their size in memory.
    pub fn train(records: &[&[u8]], options: &Options) -> Self {
        let parts = train::train(records, options);
        Self::of(&parts, artefact::write(&parts).into())
    }

    /// Learns a model of values as [`ColumnsModel::train`] does, and of the keys, headers, timestamps and offsets that blocks
    /// have. `records` are the newest of the records whose values these are, deletions among them, the oldest first; of
    /// more than [`FRAMED_RECORDS`] the newest are looked at. Coded alone, records have none of this.
    pub fn train_framed(values: &[&[u8]], records: &[RecordRef<'_>], options: &Options) -> Self {
        let mut parts = train::train(values, options);
        if !options.alone {
            parts.framing = train::learn_framing(&parts, records, options);
        }
        Self::of(&parts, artefact::write(&parts).into())
    }

    /// [`ColumnsModel::train_framed`] from whole records.
    pub fn train_records(records: &[RecordRef<'_>], options: &Options) -> Self {
        let values: Vec<&[u8]> = records.iter().filter_map(|record| record.value).collect();
        Self::train_framed(&values, records, options)
    }

    /// Whether it knows what Kafka keeps beside values.
    pub fn knows_framing(&self) -> bool {
        self.framing.is_some()
    }

    /// Reads an artefact that comes from anywhere.
    ///
    /// Reading takes at most [`MAX_PARTS_BYTES`], [`MAX_TEXT_BYTES`] and [`MAX_FRAMING_BYTES`] for what is unpacked, and at
    /// most 128 bytes of tables for each byte of the first and the last.
    pub fn parse(artefact: &[u8]) -> Result<Self, ColumnsError> {
        Ok(Self::of(&artefact::read(artefact)?, artefact.into()))
    }

    fn of(parts: &parts::Parts, artefact: Arc<[u8]>) -> Self {
        let dictionary = std::iter::once(0).chain(parts.dictionary.iter().copied()).collect();
        Self {
            id: ModelId::of(&artefact),
            artefact,
            model: model::Model::new(parts),
            framing: framing::FramingModel::new(parts),
            dictionary,
        }
    }

    /// Its bytes.
    pub fn artefact(&self) -> &Arc<[u8]> {
        &self.artefact
    }

    /// Its content address.
    pub fn id(&self) -> ModelId {
        self.id
    }
}

impl std::fmt::Debug for ColumnsModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ColumnsModel {{ id: {}, bytes: {} }}", self.id, self.artefact.len())
    }
}

#[cfg(test)]
mod tests;
