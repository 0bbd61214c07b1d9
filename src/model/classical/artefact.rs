//! A model as bytes: a safetensors file, read without trust.
//!
//! | tensor | type and shape |
//! |---|---|
//! | `bases` | U8 `[images, D]`: samples in planar order, class by class |
//!
//! Shape, operations and classes stand in the file's metadata, under one key, as JSON.

use safetensors::Dtype;
use serde::{Deserialize, Serialize};

use super::{ClassicalError, ClassicalParts, Operation};
use crate::model::images::Class;
use crate::model::tensors::{Caps, Draft, File, Flaw};
use crate::payload::image::Shape;

/// Most bytes of an artefact.
pub const MAX_ARTEFACT_BYTES: usize = 128 << 20;
/// Most bytes of an artefact and of its header.
const CAPS: Caps = Caps { file: MAX_ARTEFACT_BYTES, header: 128 << 10 };
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
    let mut draft = Draft::default();
    draft.put("bases", Dtype::U8, [bases.len() / shape.samples(), shape.samples()], bases.as_slice());
    draft.finish(&outline)
}

impl From<Flaw> for ClassicalError {
    fn from(flaw: Flaw) -> Self {
        Self::invalid(flaw)
    }
}

/// Reads an artefact.
pub(super) fn read(artefact: &[u8]) -> Result<ClassicalParts, ClassicalError> {
    let file = File::open(artefact, CAPS)?;
    check(&file)?;
    let outline: Outline = file.outline()?;
    let shape = Shape::new(outline.height, outline.width, outline.channels)?;
    let bases = file.tensors()?.get("bases", Dtype::U8, 2)?;
    if bases.shape()[1] != shape.samples() {
        return Err(ClassicalError::invalid("its bases are no images of its shape"));
    }
    let class = |Listed { label, images }| Class { label, images };
    let classes = outline.classes.into_iter().map(class).collect();
    Ok(ClassicalParts { shape, operations: outline.operations, classes, bases: bases.data().to_vec() })
}

/// Another family, rows and a later version are told apart before other fields are looked at.
fn check(file: &File<'_>) -> Result<(), ClassicalError> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
        family: String,
        payload: Option<String>,
    }
    let Versioned { version, family, payload } = file.outline()?;
    if family != FAMILY || payload.as_deref() != Some(PAYLOAD) {
        return Err(ClassicalError::invalid("it is of another family, or draws no images"));
    }
    if version == VERSION { Ok(()) } else { Err(ClassicalError::Version { version }) }
}
