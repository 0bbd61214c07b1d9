//! A model of rows as bytes: a safetensors file, written by training, read without trust.
//!
//! Weights are tensors of `f32`. The codebook is packed into a tensor of bytes, and so are the structural zeros. What else there is, each
//! family says: `autoregressive`, `decoder`, `classical`.

pub mod autoregressive;
pub mod book;
pub mod classical;
pub mod decoder;

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde::{Deserialize, Serialize};

use super::RowsError;
use super::scheme::Scheme;
use super::zeros::Zeros;
use crate::frame::FrameError;
use crate::model::Family;
use crate::model::classical::Operation;
use crate::model::tensors::{self, Caps, Flaw, Tensors, numbers};

/// Most bytes of an artefact.
pub const MAX_ARTEFACT_BYTES: usize = 64 << 20;
/// Most bytes of an artefact and of its header.
const CAPS: Caps = Caps { file: MAX_ARTEFACT_BYTES, header: 64 << 10 };
/// Most bytes of a codebook.
const MAX_BOOK_BYTES: usize = 16 << 20;
/// The format's version. Version 1 has no numbers that others make, and no time that goes on.
pub const VERSION: u32 = 2;
/// What the metadata calls records, so that families that draw images too are told apart.
const PAYLOAD: &str = "rows";

/// What is no tensor.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Outline {
    version: u32,
    family: String,
    /// Not there in what only draws rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
    /// Of `classical` alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    operations: Vec<Operation>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    neighbours: Option<usize>,
}

fn invalid(what: impl std::fmt::Display) -> RowsError {
    RowsError::Invalid(what.to_string())
}

impl From<FrameError> for RowsError {
    fn from(error: FrameError) -> Self {
        invalid(format_args!("its codebook is damaged: {error}"))
    }
}

impl From<Flaw> for RowsError {
    fn from(flaw: Flaw) -> Self {
        invalid(flaw)
    }
}

/// A file under way.
struct Draft {
    tensors: tensors::Draft<'static>,
    outline: Outline,
}

impl Draft {
    /// With what all models of rows have.
    fn new(scheme: &Scheme) -> Self {
        let mut tensors = tensors::Draft::default();
        tensors.packed("codebook", &book::write(&scheme.book, &scheme.order));
        tensors.packed("zeros", &scheme.zeros.bytes());
        Self { tensors, outline: Outline::default() }
    }

    fn floats(&mut self, name: impl Into<String>, shape: &[usize], values: &[f32]) {
        self.tensors.floats(name, shape, values.iter().copied());
    }

    fn finish(self, family: &Family, payload: Option<&str>) -> Vec<u8> {
        let payload = payload.map(str::to_owned);
        let outline = Outline { version: VERSION, family: family.as_str().to_owned(), payload, ..self.outline };
        self.tensors.finish(&outline)
    }
}

/// Whether it is a model of rows, of a family that draws other things too.
pub fn is_of_rows(artefact: &[u8]) -> bool {
    let outline = tensors::File::open(artefact, CAPS).and_then(|file| file.outline::<Outline>());
    outline.is_ok_and(|outline| outline.payload.as_deref() == Some(PAYLOAD))
}

/// A file that is read.
struct File<'a> {
    tensors: Tensors<'a>,
    outline: Outline,
}

impl<'a> File<'a> {
    /// Of one of some families, and of this payload.
    fn open(artefact: &'a [u8], families: &[Family], payload: Option<&str>) -> Result<Self, RowsError> {
        let file = tensors::File::open(artefact, CAPS)?;
        let outline: Outline = file.outline()?;
        if !families.iter().any(|family| family.as_str() == outline.family) || outline.payload.as_deref() != payload {
            return Err(invalid(format_args!("it is of the family `{}`", outline.family.escape_debug())));
        }
        if !(1..=VERSION).contains(&outline.version) {
            return Err(RowsError::Version { version: outline.version });
        }
        Ok(Self { tensors: file.tensors()?, outline })
    }

    /// Codebook, order and zeros.
    fn scheme(&self) -> Result<Scheme, RowsError> {
        let (book, order) = book::read(&self.unpacked("codebook", MAX_BOOK_BYTES)?, self.outline.version)?;
        let codes = book.codes();
        let zeros = self.unpacked("zeros", Zeros::size(codes))?;
        let zeros = Zeros::parse(codes, &zeros).ok_or_else(|| invalid("its zeros are not of its codes"))?;
        Ok(Scheme::new(book, order, zeros))
    }

    fn has(&self, name: &str) -> bool {
        self.tensors.has(name)
    }

    /// A tensor of this type and rank.
    fn get(&self, name: &str, dtype: Dtype, rank: usize) -> Result<TensorView<'a>, RowsError> {
        Ok(self.tensors.get(name, dtype, rank)?)
    }

    fn floats(&self, name: &str, rank: usize) -> Result<Vec<f32>, RowsError> {
        Ok(numbers(self.get(name, Dtype::F32, rank)?.data(), f32::from_le_bytes))
    }

    fn unpacked(&self, name: &str, most: usize) -> Result<Vec<u8>, RowsError> {
        Ok(self.tensors.unpacked(name, most)?)
    }
}
