//! From an artefact to the generator that draws from it.

use std::sync::Arc;

use thiserror::Error;

use super::classical::{ClassicalError, ClassicalImages};
use super::columns::{ColumnsError, ColumnsGenerator};
use super::generator::{Generator, ImageGenerator};
use super::images::{ImagesError, ImagesModel};
use super::manifest::Family;
use super::rows::{ClassicalRows, RowsDecoder, RowsError, RowsModel, is_of_rows};
use super::wrapped::{WrappedError, wrapped};
use crate::payload::image::Shape;

/// Why an artefact draws nothing.
#[derive(Debug, Error)]
pub enum GeneratorError {
    /// Models of this family draw no records, or this release does not know how.
    #[error(
        "models of the family `{0}` draw no records in this release: take one of the family `columns`, `autoregressive`, `vae`, `gan` or \
         `classical`"
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
    Images(#[from] ImagesError),
    /// Its images have a form that is none.
    #[error("it is no generator of files of images")]
    Wrapped(#[from] WrappedError),
    /// It holds no images to make others of.
    #[error("it makes no images of others")]
    Classical(#[from] ClassicalError),
}

/// Whether models of a family draw records.
pub fn is_generative(family: &Family) -> bool {
    [Family::COLUMNS, Family::AUTOREGRESSIVE, Family::VAE, Family::GAN, Family::CLASSICAL].contains(family)
}

/// Whether an artefact of a family is of images: some families draw rows too.
pub fn is_of_images(family: &Family, artefact: &[u8]) -> bool {
    [Family::VAE, Family::GAN, Family::CLASSICAL].contains(family) && !is_of_rows(artefact)
}

/// The generator of an artefact of images that comes from anywhere.
pub fn open_image_generator(family: &Family, artefact: &[u8]) -> Result<Arc<dyn ImageGenerator>, GeneratorError> {
    match family {
        family if [Family::VAE, Family::GAN].contains(family) => Ok(Arc::new(ImagesModel::parse(artefact)?)),
        family if *family == Family::CLASSICAL => Ok(Arc::new(ClassicalImages::parse(artefact)?)),
        other => Err(GeneratorError::Family(other.clone())),
    }
}

/// The generator of an artefact that comes from anywhere.
pub fn open_generator(family: &Family, artefact: &[u8]) -> Result<Arc<dyn Generator>, GeneratorError> {
    match family {
        family if *family == Family::COLUMNS => Ok(Arc::new(ColumnsGenerator::parse(artefact)?)),
        family if *family == Family::AUTOREGRESSIVE => Ok(Arc::new(RowsModel::parse(artefact)?)),
        family if is_of_images(family, artefact) => {
            let generator = open_image_generator(family, artefact)?;
            let shape = generator.shape();
            Ok(wrapped(generator, artefact, shape)?)
        }
        family if [Family::VAE, Family::GAN].contains(family) => Ok(Arc::new(RowsDecoder::parse(artefact)?)),
        family if *family == Family::CLASSICAL => Ok(Arc::new(ClassicalRows::parse(artefact)?)),
        other => Err(GeneratorError::Family(other.clone())),
    }
}

/// The shape of the images that an artefact draws; `None` where it draws rows, or nothing.
pub fn shape_of(family: &Family, artefact: &[u8]) -> Option<Shape> {
    let opened = is_of_images(family, artefact).then(|| open_image_generator(family, artefact).ok());
    opened.flatten().map(|generator| generator.shape())
}
