//! A model as bytes: a safetensors file, read without trust.
//!
//! | tensor | type and shape |
//! |---|---|
//! | `bases` | U8 `[images, D]`: samples in planar order, class by class |
//!
//! Shape, operations and classes stand in the file's metadata, under one key, as JSON.

use std::collections::HashMap;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use super::{ClassicalError, ClassicalParts, Operation};
use crate::model::images::Class;
use crate::payload::image::Shape;

/// Most bytes of an artefact.
pub const MAX_ARTEFACT_BYTES: usize = 128 << 20;
/// Most bytes of a file's header: names, shapes, places and metadata.
const MAX_HEADER_BYTES: u64 = 128 << 10;
/// The metadata's key.
const KEY: &str = "latentd";
/// The format's version.
pub(super) const VERSION: u32 = 1;
/// What the metadata calls it, so that it is told from other safetensors files.
const FAMILY: &str = "classical";
/// What it calls its records: there are models of this family that draw rows.
const PAYLOAD: &str = "images";

/// What is no tensor.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Outline {
    version: u32,
    family: String,
    payload: String,
    height: usize,
    width: usize,
    channels: usize,
    operations: Vec<Operation>,
    classes: Vec<Listed>,
}

/// A class.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    images: u32,
}

/// Writes an artefact.
pub(super) fn write(parts: &ClassicalParts) -> Vec<u8> {
    let ClassicalParts { shape, operations, classes, bases } = parts;
    let listed = |Class { label, images }: &Class| Listed { label: label.clone(), images: *images };
    let outline = Outline {
        version: VERSION,
        family: FAMILY.to_owned(),
        payload: PAYLOAD.to_owned(),
        height: shape.height(),
        width: shape.width(),
        channels: shape.channels(),
        operations: operations.clone(),
        classes: classes.iter().map(listed).collect(),
    };
    let outline = serde_json::to_string(&outline).expect("numbers and texts are JSON");
    let view = TensorView::new(Dtype::U8, vec![bases.len() / shape.samples(), shape.samples()], bases);
    let view = view.expect("bases are whole images");
    let metadata = HashMap::from([(KEY.to_owned(), outline)]);
    safetensors::serialize([("bases", view)], Some(metadata)).expect("a tensor of some megabytes fits a file")
}

/// Reads an artefact.
pub(super) fn read(artefact: &[u8]) -> Result<ClassicalParts, ClassicalError> {
    if artefact.len() > MAX_ARTEFACT_BYTES {
        let size = artefact.len();
        return Err(ClassicalError::invalid(format_args!("it has {size} bytes, over the cap of {MAX_ARTEFACT_BYTES}")));
    }
    // The header is parsed whole, so that its length is looked at first.
    let header = artefact.first_chunk().map(|length| u64::from_le_bytes(*length));
    if header.is_none_or(|length| length > MAX_HEADER_BYTES) {
        let what = "it does not begin like a safetensors file with a header of 128 KiB at most";
        return Err(ClassicalError::invalid(what));
    }
    let (_, metadata) = SafeTensors::read_metadata(artefact).map_err(ClassicalError::invalid)?;
    let outline = metadata.metadata().as_ref().and_then(|metadata| metadata.get(KEY));
    let outline = outline.ok_or_else(|| ClassicalError::invalid("its metadata has no key `latentd`"))?;
    check(outline)?;
    let outline: Outline = serde_json::from_str(outline).map_err(ClassicalError::invalid)?;
    let shape = Shape::new(outline.height, outline.width, outline.channels)?;
    let file = SafeTensors::deserialize(artefact).map_err(ClassicalError::invalid)?;
    let bases = file.tensor("bases").map_err(|_| ClassicalError::invalid("it has no tensor `bases`"))?;
    if bases.dtype() != Dtype::U8 || bases.shape().len() != 2 || bases.shape()[1] != shape.samples() {
        return Err(ClassicalError::invalid("its bases are no images of its shape"));
    }
    let class = |Listed { label, images }| Class { label, images };
    let classes = outline.classes.into_iter().map(class).collect();
    Ok(ClassicalParts { shape, operations: outline.operations, classes, bases: bases.data().to_vec() })
}

/// Another family, rows and a later version are told apart before other fields are looked at.
fn check(outline: &str) -> Result<(), ClassicalError> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
        family: String,
        payload: Option<String>,
    }
    let Versioned { version, family, payload } = serde_json::from_str(outline).map_err(ClassicalError::invalid)?;
    if family != FAMILY || payload.as_deref() != Some(PAYLOAD) {
        return Err(ClassicalError::invalid("it is of another family, or draws no images"));
    }
    if version == VERSION { Ok(()) } else { Err(ClassicalError::Version { version }) }
}
