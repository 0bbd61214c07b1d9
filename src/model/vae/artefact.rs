//! A model as bytes: a safetensors file, written by training, read without trust.
//!
//! | tensor | type and shape |
//! |---|---|
//! | `decoder.N.weight`, `decoder.N.bias`, N of 0 to 2 | F32 `[inputs, outputs]`, `[outputs]` |
//! | `weights` | U32 `[K]`, the Gaussians of all classes, class by class |
//! | `means` | F32 `[K, L]` |
//! | `factors` | F32 `[K, L (L + 1) / 2]`: rows of lower triangles |
//!
//! Shape and classes stand in the file's metadata, under one key, as JSON.

use std::collections::HashMap;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use super::{Class, MAX_CLASSES, MAX_LATENTS, VaeError, VaeParts};
use crate::model::mixture::{MAX_COMPONENTS, Mixture, triangle};
use crate::model::perceptron::Linear;
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
const FAMILY: &str = "vae";

/// What is no tensor.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Outline {
    version: u32,
    family: String,
    height: usize,
    width: usize,
    channels: usize,
    classes: Vec<Listed>,
}

/// A class.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    images: u32,
    components: usize,
}

/// Writes an artefact.
pub(super) fn write(parts: &VaeParts) -> Vec<u8> {
    let VaeParts { shape, classes, decoder } = parts;
    let listed = |class: &Class| Listed {
        label: class.label.clone(),
        images: class.images,
        components: class.mixture.components(),
    };
    let outline = Outline {
        version: VERSION,
        family: FAMILY.to_owned(),
        height: shape.height(),
        width: shape.width(),
        channels: shape.channels(),
        classes: classes.iter().map(listed).collect(),
    };
    let outline = serde_json::to_string(&outline).expect("numbers and texts are JSON");
    let mut tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
    let floats = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    for (number, layer) in decoder.iter().enumerate() {
        let shape = vec![layer.inputs(), layer.outputs()];
        tensors.push((format!("decoder.{number}.weight"), Dtype::F32, shape, floats(layer.weights())));
        tensors.push((format!("decoder.{number}.bias"), Dtype::F32, vec![layer.outputs()], floats(layer.bias())));
    }
    let mixtures = || classes.iter().map(|class| &class.mixture);
    let (components, latents) = (mixtures().map(Mixture::components).sum(), parts.latents());
    let weights = mixtures().flat_map(Mixture::weights).flat_map(|weight| weight.to_le_bytes()).collect();
    tensors.push(("weights".to_owned(), Dtype::U32, vec![components], weights));
    let means = mixtures().flat_map(|mixture| floats(mixture.means())).collect();
    tensors.push(("means".to_owned(), Dtype::F32, vec![components, latents], means));
    let factors = mixtures().flat_map(|mixture| floats(mixture.factors())).collect();
    tensors.push(("factors".to_owned(), Dtype::F32, vec![components, triangle(latents)], factors));
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        let view = TensorView::new(*dtype, shape.clone(), bytes);
        (name.as_str(), view.expect("each tensor has the bytes of its shape"))
    });
    let metadata = HashMap::from([(KEY.to_owned(), outline)]);
    safetensors::serialize(views, Some(metadata)).expect("tensors of some megabytes fit a file")
}

/// Reads an artefact.
pub(super) fn read(artefact: &[u8]) -> Result<VaeParts, VaeError> {
    if artefact.len() > MAX_ARTEFACT_BYTES {
        let size = artefact.len();
        return Err(VaeError::invalid(format_args!("it has {size} bytes, over the cap of {MAX_ARTEFACT_BYTES}")));
    }
    // The header is parsed whole, so that its length is looked at first.
    let header = artefact.first_chunk().map(|length| u64::from_le_bytes(*length));
    if header.is_none_or(|length| length > MAX_HEADER_BYTES) {
        return Err(VaeError::invalid("it does not begin like a safetensors file with a header of 128 KiB at most"));
    }
    let (_, metadata) = SafeTensors::read_metadata(artefact).map_err(VaeError::invalid)?;
    let outline = metadata.metadata().as_ref().and_then(|metadata| metadata.get(KEY));
    let outline = outline.ok_or_else(|| VaeError::invalid("its metadata has no key `latentd`"))?;
    check(outline)?;
    let outline: Outline = serde_json::from_str(outline).map_err(VaeError::invalid)?;
    let shape = Shape::new(outline.height, outline.width, outline.channels)?;
    let file = Tensors(SafeTensors::deserialize(artefact).map_err(VaeError::invalid)?);
    let decoder = [file.layer(0)?, file.layer(1)?, file.layer(2)?];

    let (weights, means) = (file.get("weights", Dtype::U32, 1)?, file.get("means", Dtype::F32, 2)?);
    let factors = file.get("factors", Dtype::F32, 2)?;
    let latents = means.shape()[1];
    let listed = &outline.classes;
    let few = listed.len() <= MAX_CLASSES && listed.iter().all(|class| class.components <= MAX_COMPONENTS);
    let components = if few { listed.iter().map(|class| class.components).sum() } else { 0 };
    let fits = (1..=MAX_LATENTS).contains(&latents)
        && weights.shape() == [components]
        && means.shape()[0] == components
        && factors.shape() == [components, triangle(latents)];
    if components == 0 || !fits {
        return Err(VaeError::invalid("its Gaussians are not those of its classes"));
    }
    let (mut weights, mut means, mut factors) = (
        weights.data().as_chunks().0.iter().map(|weight| u32::from_le_bytes(*weight)),
        floats(&means).into_iter(),
        floats(&factors).into_iter(),
    );
    let class = |Listed { label, images, components }| {
        let mixture = Mixture::new(
            weights.by_ref().take(components).collect(),
            means.by_ref().take(components * latents).collect(),
            factors.by_ref().take(components * triangle(latents)).collect(),
        )?;
        Ok(Class { label, images, mixture })
    };
    let classes = outline.classes.into_iter().map(class).collect::<Result<_, VaeError>>()?;
    Ok(VaeParts { shape, classes, decoder })
}

/// Another family and a later version are told apart before other fields are looked at.
fn check(outline: &str) -> Result<(), VaeError> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
        family: String,
    }
    let Versioned { version, family } = serde_json::from_str(outline).map_err(VaeError::invalid)?;
    match (family == FAMILY, version == VERSION) {
        (true, true) => Ok(()),
        (true, false) => Err(VaeError::Version { version }),
        (false, _) => Err(VaeError::invalid("it is of another family")),
    }
}

fn floats(tensor: &TensorView<'_>) -> Vec<f32> {
    tensor.data().as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)).collect()
}

/// A file's tensors.
struct Tensors<'a>(SafeTensors<'a>);

impl<'a> Tensors<'a> {
    /// A tensor of this type and rank.
    fn get(&self, name: &str, dtype: Dtype, rank: usize) -> Result<TensorView<'a>, VaeError> {
        let tensor = self.0.tensor(name).map_err(|_| VaeError::invalid(format_args!("it has no tensor `{name}`")))?;
        match tensor.dtype() == dtype && tensor.shape().len() == rank {
            true => Ok(tensor),
            false => Err(VaeError::invalid(format_args!("its tensor `{name}` is of another type or rank"))),
        }
    }

    fn layer(&self, number: usize) -> Result<Linear, VaeError> {
        let weight = self.get(&format!("decoder.{number}.weight"), Dtype::F32, 2)?;
        let bias = self.get(&format!("decoder.{number}.bias"), Dtype::F32, 1)?;
        if weight.shape()[1] != bias.shape()[0] {
            return Err(VaeError::invalid("a layer's weights are not [inputs, outputs]"));
        }
        Ok(Linear::new(floats(&weight), floats(&bias))?)
    }
}
