//! Images in the form that a topic has them in.
//!
//! A model that draws images draws their samples. Where it learned from files of images, its artefact has one more tensor, `wrapping`
//! (U8, `[n]`): JSON of the form of most of these files, as `crate::model::latent` has it. Each image becomes such a file.

use std::collections::HashMap;
use std::sync::Arc;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use thiserror::Error;

use super::form::Form;
use super::generator::{Condition, DrawError, Generator};
use crate::payload::image::{Opened, Shape, Wrapping};

/// The tensor's name.
const TENSOR: &str = "wrapping";
/// Most bytes of it.
const MAX_BYTES: usize = 8 << 10;

/// Why images get no form.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WrappedError {
    /// The artefact is damaged.
    #[error("the form of its images cannot be read: {0}")]
    Invalid(String),
}

fn invalid(what: impl std::fmt::Display) -> WrappedError {
    WrappedError::Invalid(what.to_string())
}

/// The same model of images, which are drawn in this form from here on. What has no form but its samples is left as it is.
pub fn with_wrapping(artefact: &[u8], wrapping: &Wrapping) -> Result<Arc<[u8]>, WrappedError> {
    if *wrapping == Wrapping::Raw {
        return Ok(artefact.into());
    }
    let form = serde_json::to_vec(&Form::from(wrapping)).map_err(invalid)?;
    let (_, header) = SafeTensors::read_metadata(artefact).map_err(invalid)?;
    let file = SafeTensors::deserialize(artefact).map_err(invalid)?;
    let metadata: Option<HashMap<String, String>> = header.metadata().clone();
    let form = TensorView::new(Dtype::U8, vec![form.len()], &form).map_err(invalid)?;
    let others = file.iter().filter(|(name, _)| *name != TENSOR);
    let tensors = others.map(|(name, tensor)| (name.to_owned(), tensor)).chain([(TENSOR.to_owned(), form)]);
    Ok(safetensors::serialize(tensors, metadata).map_err(invalid)?.into())
}

/// The form of the images of an artefact that was read already.
fn wrapping_of(artefact: &[u8], shape: Shape) -> Result<Wrapping, WrappedError> {
    let file = SafeTensors::deserialize(artefact).map_err(invalid)?;
    let Ok(tensor) = file.tensor(TENSOR) else { return Ok(Wrapping::Raw) };
    if tensor.dtype() != Dtype::U8 || tensor.shape().len() != 1 || tensor.data().len() > MAX_BYTES {
        return Err(invalid("its tensor `wrapping` is not of up to 8 KiB"));
    }
    let form: Form = serde_json::from_slice(tensor.data()).map_err(invalid)?;
    let wrapping = form.wrapping().ok_or_else(|| invalid("a header is not of bytes"))?;
    if wrapping.fits(shape) { Ok(wrapping) } else { Err(invalid("it is not that of files of its shape")) }
}

/// A generator whose images are files.
struct Wrapped {
    generator: Arc<dyn Generator>,
    shape: Shape,
    wrapping: Wrapping,
}

/// A generator of the samples of images, as its artefact says that they are to be written.
pub(super) fn wrapped(
    generator: Arc<dyn Generator>,
    artefact: &[u8],
    shape: Shape,
) -> Result<Arc<dyn Generator>, WrappedError> {
    Ok(match wrapping_of(artefact, shape)? {
        Wrapping::Raw => generator,
        wrapping => Arc::new(Wrapped { generator, shape, wrapping }),
    })
}

impl Wrapped {
    /// Makes files of images, which are samples in the order row, column, channel.
    fn wrap(&self, images: Vec<Vec<u8>>, records: &mut Vec<Vec<u8>>) {
        let mut opened = Opened::default();
        for image in images {
            if !Wrapping::Raw.open(&image, self.shape, &mut opened) {
                continue;
            }
            // Of rows that may each have a filter none gets one.
            opened.filters.resize(self.wrapping.filters(self.shape), 0);
            let mut file = Vec::new();
            self.wrapping.wrap(&opened, self.shape, &mut file);
            records.push(file);
        }
    }
}

impl Generator for Wrapped {
    fn name(&self) -> &'static str {
        self.generator.name()
    }

    fn made_by(&self, seed: u64, number: u64) -> &'static str {
        self.generator.made_by(seed, number)
    }

    fn content_type(&self) -> &'static str {
        match &self.wrapping {
            Wrapping::Raw => self.generator.content_type(),
            Wrapping::Pnm { .. } if self.shape.channels() == 1 => "image/x-portable-graymap",
            Wrapping::Pnm { .. } => "image/x-portable-pixmap",
            Wrapping::Png(_) => "image/png",
        }
    }

    fn run_length(&self) -> u32 {
        self.generator.run_length()
    }

    fn admits(&self, condition: &Condition) -> Result<(), DrawError> {
        self.generator.admits(condition)
    }

    fn draw_numbers(
        &self,
        seed: u64,
        condition: &Condition,
        numbers: &[u64],
        records: &mut Vec<Vec<u8>>,
    ) -> Result<(), DrawError> {
        let mut images = Vec::new();
        self.generator.draw_numbers(seed, condition, numbers, &mut images)?;
        self.wrap(images, records);
        Ok(())
    }

    fn classes(&self, field: &str, condition: &Condition) -> Result<Vec<(String, f64)>, DrawError> {
        self.generator.classes(field, condition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::images::{Class, ImagesModel, ImagesParts, NetworkParts, VaeParts};
    use crate::model::mixture::Mixture;
    use crate::model::perceptron::Linear;
    use crate::model::{Family, ImageGenerator, open_generator};
    use crate::payload::image::{Png, Settings};

    /// A model whose images are all but alike.
    fn model() -> ImagesModel {
        let shape = Shape::new(9, 10, 1).unwrap();
        let layer = |inputs: usize, outputs: usize| {
            let weights = (0..inputs * outputs).map(|at| (at % 7) as f32 / 3.0 - 1.0).collect();
            Linear::new(weights, (0..outputs).map(|at| (at % 5) as f32 / 5.0 - 0.4).collect()).unwrap()
        };
        let mixture = Mixture::new(vec![1], vec![0.5, -0.5], vec![1.0, 0.2, 1.0]).unwrap();
        let decoder = [layer(2, 6), layer(6, 6), layer(6, 90)];
        let network = NetworkParts::Vae(VaeParts { mixtures: vec![mixture], decoder });
        let classes = vec![Class { label: None, images: 10 }];
        ImagesModel::new(&ImagesParts { shape, classes, network }).unwrap()
    }

    fn drawn(artefact: &[u8]) -> (&'static str, Vec<Vec<u8>>) {
        let generator = open_generator(&Family::VAE, artefact).unwrap();
        let mut records = Vec::new();
        generator.draw_numbers(1, &Condition::new(), &[3, 9], &mut records).unwrap();
        let mut run = Vec::new();
        generator.draw(1, &Condition::new(), 0, 10, &mut run).unwrap();
        assert_eq!((&run[3], &run[9]), (&records[0], &records[1]));
        (generator.content_type(), records)
    }

    #[test]
    fn images_are_drawn_as_files_of_the_form_that_was_learned() {
        let model = model();
        let (shape, artefact) = (model.shape(), model.artefact());
        let (_, samples) = drawn(artefact);
        assert_eq!(with_wrapping(artefact, &Wrapping::Raw).unwrap(), *artefact);
        let header = format!("P5 {} {} 255\n", shape.width(), shape.height()).into_bytes();
        let pgm = with_wrapping(artefact, &Wrapping::Pnm { header: header.clone() }).unwrap();
        let (content_type, files) = drawn(&pgm);
        assert_eq!(content_type, "image/x-portable-graymap");
        assert_eq!(files, samples.iter().map(|samples| [&header[..], samples].concat()).collect::<Vec<_>>());
        // The same model in the same form is the same file.
        assert_eq!(with_wrapping(&pgm, &Wrapping::Pnm { header }).unwrap(), pgm);
        let png = Wrapping::Png(png(shape));
        let (content_type, files) = drawn(&with_wrapping(artefact, &png).unwrap());
        assert_eq!(content_type, "image/png");
        let mut opened = Opened::default();
        for (file, samples) in files.iter().zip(&samples) {
            assert!(png.open(file, shape, &mut opened) && opened.samples == *samples);
        }
    }

    /// A PNG file of this shape without filters, apart from its samples.
    fn png(shape: Shape) -> Png {
        let mut head = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
        head.extend([shape.width() as u32, shape.height() as u32].iter().flat_map(|side| side.to_be_bytes()));
        head.extend([8, 0, 0, 0, 0]);
        let mut crc = flate2::Crc::new();
        crc.update(&head[12..]);
        head.extend(crc.sum().to_be_bytes());
        Png {
            head,
            tail: b"\0\0\0\0IEND\xae\x42\x60\x82".to_vec(),
            zlib: [0x78, 0x9c],
            settings: Settings { level: 6, memory: 8, filtered: false },
            filter: None,
        }
    }

    #[test]
    fn a_form_that_is_none_of_the_shape_is_refused() {
        let model = model();
        let header = b"P5 9 99 255\n".to_vec();
        let other = with_wrapping(model.artefact(), &Wrapping::Pnm { header }).unwrap();
        assert!(matches!(open_generator(&Family::VAE, &other), Err(crate::model::GeneratorError::Wrapped(_))));
        for length in 0..other.len().min(600) {
            assert!(open_generator(&Family::VAE, &other[..length]).is_err());
        }
    }
}
