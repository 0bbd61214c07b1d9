//! From an artefact to the generator that draws from it.

use std::sync::Arc;

use thiserror::Error;

use super::columns::{ColumnsError, ColumnsGenerator};
use super::generator::Generator;
use super::manifest::Family;
use super::rows::{RowsDecoder, RowsError, RowsModel, is_of_rows};
use super::vae::{VaeError, VaeModel};
use super::wrapped::{WrappedError, wrapped};
use crate::payload::image::Shape;

/// Why an artefact draws nothing.
#[derive(Debug, Error)]
pub enum GeneratorError {
    /// Models of this family draw no records, or this release does not know how.
    #[error(
        "models of the family `{0}` draw no records in this release: take one of the family `columns`, `autoregressive`, `vae` or `gan`"
    )]
    Family(Family),
    /// It is no model of fields.
    #[error("it is no model of fields")]
    Columns(#[from] ColumnsError),
    /// It is no generator of rows.
    #[error("it is no generator of rows")]
    Rows(#[from] RowsError),
    /// It is no generator of images.
    #[error("it is no generator of images")]
    Vae(#[from] VaeError),
    /// Its images have a form that is none.
    #[error("it is no generator of files of images")]
    Wrapped(#[from] WrappedError),
}

/// Whether models of a family draw records.
pub fn is_generative(family: &Family) -> bool {
    [Family::COLUMNS, Family::AUTOREGRESSIVE, Family::VAE, Family::GAN].contains(family)
}

/// The generator of an artefact that comes from anywhere.
pub fn open_generator(family: &Family, artefact: &[u8]) -> Result<Arc<dyn Generator>, GeneratorError> {
    match family {
        family if *family == Family::COLUMNS => Ok(Arc::new(ColumnsGenerator::parse(artefact)?)),
        family if *family == Family::AUTOREGRESSIVE => Ok(Arc::new(RowsModel::parse(artefact)?)),
        family if *family == Family::GAN || (*family == Family::VAE && is_of_rows(artefact)) => {
            Ok(Arc::new(RowsDecoder::parse(artefact)?))
        }
        family if *family == Family::VAE => {
            let model = VaeModel::parse(artefact)?;
            let shape = model.shape();
            Ok(wrapped(model, artefact, shape)?)
        }
        other => Err(GeneratorError::Family(other.clone())),
    }
}

/// The shape of the images that an artefact draws; `None` where it draws rows, or nothing.
pub fn shape_of(family: &Family, artefact: &[u8]) -> Option<Shape> {
    let draws_images = *family == Family::VAE && !is_of_rows(artefact);
    draws_images.then(|| VaeModel::parse(artefact).ok().map(|model| model.shape())).flatten()
}
