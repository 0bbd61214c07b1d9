//! Generators from somebody who means harm, and what must hold for each of them. The seeded test and the fuzz target under
//! `tests/fuzz` share it.

use std::collections::HashMap;

use arbitrary::Arbitrary;
use latentd::frame::put_varint;
use latentd::model::{Condition, Family, is_of_images, open_generator, open_image_generator};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

/// Golden models, and a field that has classes in them.
const GOLDEN: [(Family, &[u8], &str); 6] = [
    (Family::AUTOREGRESSIVE, include_bytes!("../golden/v1/generators/autoregressive.model"), "line"),
    (Family::VAE, include_bytes!("../golden/v1/generators/vae.model"), "line"),
    (Family::GAN, include_bytes!("../golden/v1/generators/gan.model"), "line"),
    (Family::VAE, include_bytes!("../golden/v1/generators/vae-images.model"), "label"),
    (Family::CLASSICAL, include_bytes!("../golden/v1/generators/classical.model"), "line"),
    (Family::CLASSICAL, include_bytes!("../golden/v1/generators/classical-images.model"), "label"),
];

/// Most bytes of what is packed in a tensor.
const MOST_UNPACKED: usize = 16 << 20;
/// Longest record that models of so few bytes draw.
const LONGEST: usize = 1 << 20;
/// Records that are drawn.
const DRAWN: usize = 3;

/// What is tried: a golden model with changes, and what is drawn from it.
#[derive(Debug, Arbitrary)]
pub struct GeneratorAttack<'a> {
    golden: u8,
    changes: Vec<Change<'a>>,
    seed: u64,
    number: u64,
    is_of_class: bool,
}

#[derive(Debug, Arbitrary)]
enum Change<'a> {
    /// Of a tensor, counted round; unpacked where it is a zstd frame.
    Tensor { tensor: u8, at: u16, how: How<'a> },
    /// Of the metadata.
    Outline { at: u16, how: How<'a> },
    /// Of a tensor's shape.
    Shape { tensor: u8, axis: u8, length: u16 },
    /// Of the file, as it is.
    File { at: u16, by: &'a [u8] },
}

#[derive(Debug, Arbitrary)]
enum How<'a> {
    Byte(u8),
    /// A number in the place of the one that is there, or of part of it.
    Number(u64),
    Insert(&'a [u8]),
    Remove(u8),
}

impl How<'_> {
    fn apply(&self, at: u16, bytes: &mut Vec<u8>) {
        let at = usize::from(at) % (bytes.len() + 1);
        match self {
            Self::Byte(byte) => bytes.iter_mut().skip(at).take(1).for_each(|known| *known = *byte),
            Self::Number(number) => {
                let mut written = Vec::new();
                put_varint(*number, &mut written);
                let end = bytes[at..].iter().position(|byte| *byte < 0x80).map_or(at, |last| at + last + 1);
                drop(bytes.splice(at..end, written));
            }
            Self::Insert(inserted) => drop(bytes.splice(at..at, inserted.iter().copied())),
            Self::Remove(length) => drop(bytes.drain(at..(at + usize::from(*length)).min(bytes.len()))),
        }
    }
}

/// A tensor that is taken apart.
struct Tensor {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
    is_packed: bool,
}

/// A file that is taken apart: its tensors, and its metadata.
fn parts(artefact: &[u8]) -> (Vec<Tensor>, String) {
    let (_, metadata) = SafeTensors::read_metadata(artefact).expect("a golden model is a safetensors file");
    let outline = metadata.metadata().as_ref().and_then(|metadata| metadata.get("latentd")).cloned();
    let file = SafeTensors::deserialize(artefact).expect("a golden model is a safetensors file");
    let mut tensors: Vec<Tensor> = file
        .iter()
        .map(|(name, view)| {
            let unpacked = zstd::bulk::decompress(view.data(), MOST_UNPACKED).ok();
            let unpacked = unpacked.filter(|_| view.dtype() == Dtype::U8 && view.shape().len() == 1);
            Tensor {
                name: name.to_owned(),
                dtype: view.dtype(),
                shape: view.shape().to_vec(),
                is_packed: unpacked.is_some(),
                bytes: unpacked.unwrap_or_else(|| view.data().to_vec()),
            }
        })
        .collect();
    // The library lists them in no order.
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    (tensors, outline.expect("a golden model says what it is"))
}

/// A file of its parts; `None` if a tensor has not the bytes of its shape, which the library refuses to write.
fn file(tensors: &[Tensor], outline: String) -> Option<Vec<u8>> {
    let packed: Vec<Vec<u8>> = tensors
        .iter()
        .map(|tensor| match tensor.is_packed {
            true => zstd::bulk::compress(&tensor.bytes, 1).expect("zstd packs anything"),
            false => tensor.bytes.clone(),
        })
        .collect();
    let view = |(tensor, bytes): (&Tensor, &'_ Vec<u8>)| -> Option<(String, Dtype, Vec<usize>)> {
        let shape = if tensor.is_packed { vec![bytes.len()] } else { tensor.shape.clone() };
        Some((tensor.name.clone(), tensor.dtype, shape))
    };
    let described: Vec<_> = tensors.iter().zip(&packed).filter_map(view).collect();
    let views: Option<Vec<(&str, TensorView<'_>)>> = described
        .iter()
        .zip(&packed)
        .map(|((name, dtype, shape), bytes)| Some((name.as_str(), TensorView::new(*dtype, shape.clone(), bytes).ok()?)))
        .collect();
    safetensors::serialize(views?, Some(HashMap::from([("latentd".to_owned(), outline)]))).ok()
}

impl GeneratorAttack<'_> {
    /// The family, the field that has classes, and the artefact.
    pub fn artefact(&self) -> (Family, &'static str, Vec<u8>) {
        let (family, golden, field) = &GOLDEN[usize::from(self.golden) % GOLDEN.len()];
        let (mut tensors, outline) = parts(golden);
        let mut outline = outline.into_bytes();
        for change in &self.changes {
            match change {
                Change::Tensor { tensor, at, how } => {
                    let count = tensors.len();
                    let tensor = &mut tensors[usize::from(*tensor) % count];
                    let before = tensor.bytes.len();
                    how.apply(*at, &mut tensor.bytes);
                    if !tensor.is_packed {
                        tensor.bytes.resize(before, 0);
                    }
                }
                Change::Outline { at, how } => how.apply(*at, &mut outline),
                Change::Shape { tensor, axis, length } => {
                    let count = tensors.len();
                    let tensor = &mut tensors[usize::from(*tensor) % count];
                    let axis = usize::from(*axis) % tensor.shape.len();
                    let width = tensor.bytes.len() / tensor.shape.iter().product::<usize>();
                    tensor.shape[axis] = usize::from(*length % 512);
                    if !tensor.is_packed {
                        tensor.bytes.resize(tensor.shape.iter().product::<usize>() * width, 1);
                    }
                }
                Change::File { .. } => {}
            }
        }
        let outline = String::from_utf8_lossy(&outline).into_owned();
        let mut artefact = file(&tensors, outline).unwrap_or_else(|| golden.to_vec());
        for change in &self.changes {
            if let Change::File { at, by } = change {
                let at = usize::from(*at) % artefact.len();
                artefact[at..].iter_mut().zip(*by).for_each(|(byte, by)| *byte = *by);
            }
        }
        (family.clone(), field, artefact)
    }

    /// Opens it and draws, and fails if anything comes out that must not: whether records came out; `None` if it was refused.
    pub fn judge(&self) -> Option<bool> {
        let (family, field, artefact) = self.artefact();
        let generator = open_generator(&family, &artefact).ok()?;
        let length = match is_of_images(&family, &artefact) {
            true => Some(open_image_generator(&family, &artefact).expect("it was one before").shape().samples()),
            false => None,
        };
        let mut condition = Condition::new();
        if self.is_of_class
            && let Ok(classes) = generator.classes(field, &condition)
        {
            assert!(!classes.is_empty() && classes.iter().all(|(_, share)| (0.0..=1.0).contains(share)), "{classes:?}");
            let place = self.seed as usize % classes.len();
            condition.insert(field.to_owned(), classes[place].0.clone());
            generator.admits(&condition).expect("what is a class is admitted");
        }
        let numbers: Vec<u64> = (0..DRAWN as u64).map(|place| self.number.wrapping_add(place)).collect();
        let mut records = Vec::new();
        let drawn = generator.draw_numbers(self.seed, &condition, &numbers, &mut records);
        assert_eq!(records.len(), if drawn.is_ok() { DRAWN } else { 0 });
        for record in &records {
            assert!(record.len() <= LONGEST && length.is_none_or(|length| record.len() == length), "{}", record.len());
        }
        assert!(numbers.iter().all(|number| generator.made_by(self.seed, *number).starts_with(generator.name())));
        Some(drawn.is_ok())
    }
}
