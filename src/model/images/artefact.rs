//! A model as bytes: a safetensors file, written by training, read without trust.
//!
//! | family | tensor | type and shape |
//! |---|---|---|
//! | `vae` | `decoder.N.weight`, `decoder.N.bias`, N of 0 to 2 | F32 `[inputs, outputs]`, `[outputs]` |
//! | | `weights` | U32 `[K]`, the Gaussians of all classes, class by class |
//! | | `means` | F32 `[K, L]` |
//! | | `factors` | F32 `[K, L (L + 1) / 2]`: rows of lower triangles |
//! | `gan` | `dense.N.weight`, `dense.N.bias`, N of 0 and 1 | F32 `[inputs, outputs]`, `[outputs]` |
//! | | `up.N.weight`, `up.N.bias`, N of 0 to 3 at most | F32 `[16 channels, channels]`, `[channels]` |
//! | | `output.weight`, `output.bias` | F32 `[9 channels, image's channels]`, `[image's channels]` |
//!
//! Shape and classes stand in the file's metadata, under one key, as JSON.

use std::collections::HashMap;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use super::{Class, GanParts, ImagesError, ImagesParts, MAX_CLASSES, MAX_LATENTS, MAX_UPS, NetworkParts, VaeParts};
use crate::model::Family;
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
    /// Gaussians, of a `vae`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    components: Option<usize>,
}

/// A file's tensors under way.
#[derive(Default)]
struct Draft(Vec<(String, Dtype, Vec<usize>, Vec<u8>)>);

impl Draft {
    fn floats(&mut self, name: &str, shape: Vec<usize>, values: impl IntoIterator<Item = f32>) {
        let bytes = values.into_iter().flat_map(f32::to_le_bytes).collect();
        self.0.push((name.to_owned(), Dtype::F32, shape, bytes));
    }

    fn layer(&mut self, name: &str, layer: &Linear) {
        let shape = vec![layer.inputs(), layer.outputs()];
        self.floats(&format!("{name}.weight"), shape, layer.weights().iter().copied());
        self.floats(&format!("{name}.bias"), vec![layer.outputs()], layer.bias().iter().copied());
    }

    fn layers(&mut self, name: &str, layers: &[Linear]) {
        layers.iter().enumerate().for_each(|(number, layer)| self.layer(&format!("{name}.{number}"), layer));
    }

    fn vae(&mut self, parts: &VaeParts) {
        let VaeParts { mixtures, decoder } = parts;
        self.layers("decoder", decoder);
        let (components, latents) = (mixtures.iter().map(Mixture::components).sum(), parts.latents());
        let weights = mixtures.iter().flat_map(Mixture::weights).flat_map(|weight| weight.to_le_bytes()).collect();
        self.0.push(("weights".to_owned(), Dtype::U32, vec![components], weights));
        let (means, factors) = (mixtures.iter().flat_map(Mixture::means), mixtures.iter().flat_map(Mixture::factors));
        self.floats("means", vec![components, latents], means.copied());
        self.floats("factors", vec![components, triangle(latents)], factors.copied());
    }

    fn gan(&mut self, parts: &GanParts) {
        let GanParts { dense, ups, output } = parts;
        self.layers("dense", dense);
        self.layers("up", ups);
        self.layer("output", output);
    }
}

/// Writes an artefact.
pub(super) fn write(parts: &ImagesParts) -> Vec<u8> {
    let ImagesParts { shape, classes, network } = parts;
    let mut draft = Draft::default();
    let (family, mixtures) = match network {
        NetworkParts::Vae(parts) => (Family::VAE, Some(&parts.mixtures)),
        NetworkParts::Gan(_) => (Family::GAN, None),
    };
    match network {
        NetworkParts::Vae(parts) => draft.vae(parts),
        NetworkParts::Gan(parts) => draft.gan(parts),
    }
    let listed = |(place, class): (usize, &Class)| Listed {
        label: class.label.clone(),
        images: class.images,
        components: mixtures.map(|mixtures| mixtures[place].components()),
    };
    let outline = Outline {
        version: VERSION,
        family: family.as_str().to_owned(),
        height: shape.height(),
        width: shape.width(),
        channels: shape.channels(),
        classes: classes.iter().enumerate().map(listed).collect(),
    };
    let outline = serde_json::to_string(&outline).expect("numbers and texts are JSON");
    let views = draft.0.iter().map(|(name, dtype, shape, bytes)| {
        let view = TensorView::new(*dtype, shape.clone(), bytes);
        (name.as_str(), view.expect("each tensor has the bytes of its shape"))
    });
    let metadata = HashMap::from([(KEY.to_owned(), outline)]);
    safetensors::serialize(views, Some(metadata)).expect("tensors of some megabytes fit a file")
}

/// Reads an artefact.
pub(super) fn read(artefact: &[u8]) -> Result<ImagesParts, ImagesError> {
    if artefact.len() > MAX_ARTEFACT_BYTES {
        let size = artefact.len();
        return Err(ImagesError::invalid(format_args!("it has {size} bytes, over the cap of {MAX_ARTEFACT_BYTES}")));
    }
    // The header is parsed whole, so that its length is looked at first.
    let header = artefact.first_chunk().map(|length| u64::from_le_bytes(*length));
    if header.is_none_or(|length| length > MAX_HEADER_BYTES) {
        return Err(ImagesError::invalid("it does not begin like a safetensors file with a header of 128 KiB at most"));
    }
    let (_, metadata) = SafeTensors::read_metadata(artefact).map_err(ImagesError::invalid)?;
    let outline = metadata.metadata().as_ref().and_then(|metadata| metadata.get(KEY));
    let outline = outline.ok_or_else(|| ImagesError::invalid("its metadata has no key `latentd`"))?;
    let family = family(outline)?;
    let outline: Outline = serde_json::from_str(outline).map_err(ImagesError::invalid)?;
    let shape = Shape::new(outline.height, outline.width, outline.channels)?;
    let listed = &outline.classes;
    if listed.is_empty() || listed.len() > MAX_CLASSES {
        return Err(ImagesError::invalid("it does not have 1 to 512 classes"));
    }
    let file = Tensors(SafeTensors::deserialize(artefact).map_err(ImagesError::invalid)?);
    let network = match family == Family::VAE {
        true => NetworkParts::Vae(file.vae(listed)?),
        false if listed.iter().any(|class| class.components.is_some()) => {
            return Err(ImagesError::invalid("it has Gaussians and no mixtures"));
        }
        false => NetworkParts::Gan(file.gan()?),
    };
    let class = |Listed { label, images, .. }| Class { label, images };
    Ok(ImagesParts { shape, classes: outline.classes.into_iter().map(class).collect(), network })
}

/// Another family and a later version are told apart before other fields are looked at.
fn family(outline: &str) -> Result<Family, ImagesError> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
        family: String,
    }
    let Versioned { version, family } = serde_json::from_str(outline).map_err(ImagesError::invalid)?;
    let family = [Family::VAE, Family::GAN].into_iter().find(|own| own.as_str() == family);
    match family.ok_or_else(|| ImagesError::invalid("it is of another family"))? {
        family if version == VERSION => Ok(family),
        _ => Err(ImagesError::Version { version }),
    }
}

fn floats(tensor: &TensorView<'_>) -> Vec<f32> {
    tensor.data().as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)).collect()
}

/// A file's tensors.
struct Tensors<'a>(SafeTensors<'a>);

impl<'a> Tensors<'a> {
    /// A tensor of this type and rank.
    fn get(&self, name: &str, dtype: Dtype, rank: usize) -> Result<TensorView<'a>, ImagesError> {
        let tensor = self.0.tensor(name);
        let tensor = tensor.map_err(|_| ImagesError::invalid(format_args!("it has no tensor `{name}`")))?;
        match tensor.dtype() == dtype && tensor.shape().len() == rank {
            true => Ok(tensor),
            false => Err(ImagesError::invalid(format_args!("its tensor `{name}` is of another type or rank"))),
        }
    }

    fn layer(&self, name: &str) -> Result<Linear, ImagesError> {
        let weight = self.get(&format!("{name}.weight"), Dtype::F32, 2)?;
        let bias = self.get(&format!("{name}.bias"), Dtype::F32, 1)?;
        if weight.shape()[1] != bias.shape()[0] {
            return Err(ImagesError::invalid("a layer's weights are not [inputs, outputs]"));
        }
        Ok(Linear::new(floats(&weight), floats(&bias))?)
    }

    fn vae(&self, classes: &[Listed]) -> Result<VaeParts, ImagesError> {
        let decoder = [self.layer("decoder.0")?, self.layer("decoder.1")?, self.layer("decoder.2")?];
        let (weights, means) = (self.get("weights", Dtype::U32, 1)?, self.get("means", Dtype::F32, 2)?);
        let factors = self.get("factors", Dtype::F32, 2)?;
        let latents = means.shape()[1];
        let counts: Vec<usize> = classes.iter().map(|class| class.components.unwrap_or(0)).collect();
        let few = counts.iter().all(|components| *components <= MAX_COMPONENTS);
        let components = if few { counts.iter().sum() } else { 0 };
        let fits = (1..=MAX_LATENTS).contains(&latents)
            && weights.shape() == [components]
            && means.shape()[0] == components
            && factors.shape() == [components, triangle(latents)];
        if components == 0 || !fits {
            return Err(ImagesError::invalid("its Gaussians are not those of its classes"));
        }
        let (mut weights, mut means, mut factors) = (
            weights.data().as_chunks().0.iter().map(|weight| u32::from_le_bytes(*weight)),
            floats(&means).into_iter(),
            floats(&factors).into_iter(),
        );
        let mixture = |components| {
            Ok(Mixture::new(
                weights.by_ref().take(components).collect(),
                means.by_ref().take(components * latents).collect(),
                factors.by_ref().take(components * triangle(latents)).collect(),
            )?)
        };
        let mixtures = counts.into_iter().map(mixture).collect::<Result<_, ImagesError>>()?;
        Ok(VaeParts { mixtures, decoder })
    }

    fn gan(&self) -> Result<GanParts, ImagesError> {
        let ups = (0..MAX_UPS).map(|number| format!("up.{number}"));
        let ups = ups.take_while(|name| self.0.tensor(&format!("{name}.weight")).is_ok());
        Ok(GanParts {
            dense: [self.layer("dense.0")?, self.layer("dense.1")?],
            ups: ups.map(|name| self.layer(&name)).collect::<Result<_, _>>()?,
            output: self.layer("output")?,
        })
    }
}
