//! What Kafka keeps beside a value, field by field: key, headers, timestamp, offset.
//!
//! Each record's offset, timestamp, key and header values are *columns* like those of the value: an alphabet, a base, a
//! chain of contexts. Some slots of the value are *imported*, so that bases and contexts can look at them: a timestamp is
//! often a field of the value, or follows the one before. Keys and header values are byte strings, and each is said in one of a few ways:
//! that it is null; by a *formula* of the value's texts (`{carrier}-{flight}`); by its own column; as bytes. Which way is a
//! choice, with contexts. Lists of header names are choices as well.
//!
//! A block's framing is a stream of its own that is decoded with the help of its values, and a container may leave it out and
//! code these things itself.

pub(in crate::model::columns) mod artefact;
mod codec;
mod form;
mod formula;
mod head;
mod model;
mod parts;

pub(super) use codec::FramingCodec;
pub(super) use form::{Form, put_number};
pub(super) use formula::{Formula, MAX_PARTS, Part};
pub(super) use head::Head;
pub(super) use model::{FramingModel, imported};
pub(super) use parts::{
    BYTES, FORMULAS, FieldParts, FramingParts, Import, KEY, MAX_FORMULAS, MAX_IMPORTS, MAX_LISTS, MAX_NAMES, NULL,
    Places, TEXT,
};

#[cfg(test)]
mod tests;
