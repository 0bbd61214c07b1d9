//! A model of rows as bytes: a safetensors file, written by training, read without trust.
//!
//! Weights are tensors of `f32`. The codebook is packed into a tensor of bytes, and so are the structural zeros. What else there is, each
//! family says: `autoregressive`, `decoder`, `classical`.

pub mod autoregressive;
pub mod book;
pub mod classical;
pub mod decoder;

use std::collections::HashMap;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use super::RowsError;
use super::scheme::Scheme;
use super::zeros::Zeros;
use crate::frame::FrameError;
use crate::model::Family;
use crate::model::classical::Operation;

/// Most bytes of an artefact.
pub const MAX_ARTEFACT_BYTES: usize = 64 << 20;
/// Most bytes of a file's header.
const MAX_HEADER_BYTES: u64 = 64 << 10;
/// Most bytes of a codebook.
const MAX_BOOK_BYTES: usize = 16 << 20;
/// The metadata's key.
const KEY: &str = "latentd";
/// The format's version. Version 1 has no numbers that others make, and no time that goes on.
pub const VERSION: u32 = 2;
/// What the metadata calls records, so that families that draw images too are told apart.
const PAYLOAD: &str = "rows";
/// zstd's level: artefacts are written once.
const LEVEL: i32 = 19;

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

/// As a zstd frame.
fn pack(bytes: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(bytes, LEVEL).expect("zstd has a level 19, and memory for megabytes")
}

fn invalid(what: impl std::fmt::Display) -> RowsError {
    RowsError::Invalid(what.to_string())
}

impl From<FrameError> for RowsError {
    fn from(error: FrameError) -> Self {
        invalid(format_args!("its codebook is damaged: {error}"))
    }
}

/// A file under way.
struct Draft {
    tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)>,
    outline: Outline,
}

impl Draft {
    /// With what all models of rows have.
    fn new(scheme: &Scheme) -> Self {
        let packed = [("codebook", book::write(&scheme.book, &scheme.order)), ("zeros", scheme.zeros.bytes())];
        let tensor = |(name, bytes): (&str, Vec<u8>)| {
            let bytes = pack(&bytes);
            (name.to_owned(), Dtype::U8, vec![bytes.len()], bytes)
        };
        Self { tensors: packed.into_iter().map(tensor).collect(), outline: Outline::default() }
    }

    fn floats(&mut self, name: impl Into<String>, shape: &[usize], values: &[f32]) {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.tensors.push((name.into(), Dtype::F32, shape.to_vec(), bytes));
    }

    fn integers(&mut self, name: impl Into<String>, values: &[u32]) {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.tensors.push((name.into(), Dtype::U32, vec![values.len()], bytes));
    }

    fn finish(self, family: &Family, payload: Option<&str>) -> Vec<u8> {
        let views = self.tensors.iter().map(|(name, dtype, shape, bytes)| {
            let view = TensorView::new(*dtype, shape.clone(), bytes);
            (name.as_str(), view.expect("each tensor has the bytes of its shape"))
        });
        let payload = payload.map(str::to_owned);
        let outline = Outline { version: VERSION, family: family.as_str().to_owned(), payload, ..self.outline };
        let outline = serde_json::to_string(&outline).expect("numbers and texts are JSON");
        let metadata = HashMap::from([(KEY.to_owned(), outline)]);
        safetensors::serialize(views, Some(metadata)).expect("tensors of a few megabytes fit a file")
    }
}

/// What a file says of itself.
fn outline(artefact: &[u8]) -> Result<Outline, RowsError> {
    if artefact.len() > MAX_ARTEFACT_BYTES {
        return Err(invalid(format_args!("it has {} bytes, over the cap of {MAX_ARTEFACT_BYTES}", artefact.len())));
    }
    // The header is parsed whole, so that its length is looked at first.
    let header = artefact.first_chunk().map(|length| u64::from_le_bytes(*length));
    if header.is_none_or(|length| length > MAX_HEADER_BYTES) {
        return Err(invalid("it does not begin like a safetensors file with a header of 64 KiB at most"));
    }
    let (_, metadata) = SafeTensors::read_metadata(artefact).map_err(invalid)?;
    let outline = metadata.metadata().as_ref().and_then(|metadata| metadata.get(KEY));
    let outline = outline.ok_or_else(|| invalid("its metadata has no key `latentd`"))?;
    serde_json::from_str(outline).map_err(invalid)
}

/// Whether it is a model of rows, of a family that draws other things too.
pub fn is_of_rows(artefact: &[u8]) -> bool {
    outline(artefact).is_ok_and(|outline| outline.payload.as_deref() == Some(PAYLOAD))
}

/// A file that is read.
struct File<'a> {
    tensors: SafeTensors<'a>,
    outline: Outline,
}

impl<'a> File<'a> {
    /// Of one of some families, and of this payload.
    fn open(artefact: &'a [u8], families: &[Family], payload: Option<&str>) -> Result<Self, RowsError> {
        let outline = outline(artefact)?;
        if !families.iter().any(|family| family.as_str() == outline.family) || outline.payload.as_deref() != payload {
            return Err(invalid(format_args!("it is of the family `{}`", outline.family.escape_debug())));
        }
        if !(1..=VERSION).contains(&outline.version) {
            return Err(RowsError::Version { version: outline.version });
        }
        Ok(Self { tensors: SafeTensors::deserialize(artefact).map_err(invalid)?, outline })
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
        self.tensors.tensor(name).is_ok()
    }

    /// A tensor of this type and rank.
    fn get(&self, name: &str, dtype: Dtype, rank: usize) -> Result<TensorView<'a>, RowsError> {
        let tensor = self.tensors.tensor(name).map_err(|_| invalid(format_args!("it has no tensor `{name}`")))?;
        match tensor.dtype() == dtype && tensor.shape().len() == rank {
            true => Ok(tensor),
            false => Err(invalid(format_args!("its tensor `{name}` is of another type or rank"))),
        }
    }

    fn floats(&self, name: &str) -> Result<Vec<f32>, RowsError> {
        let tensor = self.tensors.tensor(name).map_err(|_| invalid(format_args!("it has no tensor `{name}`")))?;
        if tensor.dtype() != Dtype::F32 {
            return Err(invalid(format_args!("its tensor `{name}` is of another type")));
        }
        Ok(tensor.data().as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)).collect())
    }

    fn unpacked(&self, name: &str, most: usize) -> Result<Vec<u8>, RowsError> {
        let packed = self.get(name, Dtype::U8, 1)?;
        zstd::bulk::decompress(packed.data(), most)
            .map_err(|error| invalid(format_args!("its tensor `{name}` does not unpack: {error}")))
    }
}
