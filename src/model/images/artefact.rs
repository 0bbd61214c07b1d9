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

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde::{Deserialize, Serialize};

use super::{Class, GanParts, ImagesError, ImagesParts, MAX_CLASSES, MAX_LATENTS, MAX_UPS, NetworkParts, VaeParts};
use crate::model::Family;
use crate::model::mixture::{MAX_COMPONENTS, Mixture, triangle};
use crate::model::perceptron::Linear;
use crate::model::tensors::{Caps, Draft, File, Flaw, Tensors, numbers};
use crate::payload::image::Shape;

/// Most bytes of an artefact.
pub const MAX_ARTEFACT_BYTES: usize = 128 << 20;
/// Most bytes of an artefact and of its header.
const CAPS: Caps = Caps { file: MAX_ARTEFACT_BYTES, header: 128 << 10 };
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

/// A file under way.
#[derive(Default)]
struct Layers(Draft<'static>);

impl Layers {
    fn layer(&mut self, name: &str, layer: &Linear) {
        let shape = [layer.inputs(), layer.outputs()];
        self.0.floats(format!("{name}.weight"), shape, layer.weights().iter().copied());
        self.0.floats(format!("{name}.bias"), [layer.outputs()], layer.bias().iter().copied());
    }

    fn layers(&mut self, name: &str, layers: &[Linear]) {
        layers.iter().enumerate().for_each(|(number, layer)| self.layer(&format!("{name}.{number}"), layer));
    }

    fn vae(&mut self, parts: &VaeParts) {
        let VaeParts { mixtures, decoder } = parts;
        self.layers("decoder", decoder);
        let (components, latents) = (mixtures.iter().map(Mixture::components).sum(), parts.latents());
        let weights = mixtures.iter().flat_map(Mixture::weights);
        let weights: Vec<u8> = weights.flat_map(|weight| weight.to_le_bytes()).collect();
        self.0.put("weights", Dtype::U32, [components], weights);
        let (means, factors) = (mixtures.iter().flat_map(Mixture::means), mixtures.iter().flat_map(Mixture::factors));
        self.0.floats("means", [components, latents], means.copied());
        self.0.floats("factors", [components, triangle(latents)], factors.copied());
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
    let mut layers = Layers::default();
    let (family, mixtures) = match network {
        NetworkParts::Vae(parts) => (Family::VAE, Some(&parts.mixtures)),
        NetworkParts::Gan(_) => (Family::GAN, None),
    };
    match network {
        NetworkParts::Vae(parts) => layers.vae(parts),
        NetworkParts::Gan(parts) => layers.gan(parts),
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
    layers.0.finish(&outline)
}

impl From<Flaw> for ImagesError {
    fn from(flaw: Flaw) -> Self {
        Self::invalid(flaw)
    }
}

/// Reads an artefact.
pub(super) fn read(artefact: &[u8]) -> Result<ImagesParts, ImagesError> {
    let file = File::open(artefact, CAPS)?;
    let family = family(&file)?;
    let outline: Outline = file.outline()?;
    let shape = Shape::new(outline.height, outline.width, outline.channels)?;
    let listed = &outline.classes;
    if listed.is_empty() || listed.len() > MAX_CLASSES {
        return Err(ImagesError::invalid("it does not have 1 to 512 classes"));
    }
    let file = Parts(file.tensors()?);
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
fn family(file: &File<'_>) -> Result<Family, ImagesError> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
        family: String,
    }
    let Versioned { version, family } = file.outline()?;
    let family = [Family::VAE, Family::GAN].into_iter().find(|own| own.as_str() == family);
    match family.ok_or_else(|| ImagesError::invalid("it is of another family"))? {
        family if version == VERSION => Ok(family),
        _ => Err(ImagesError::Version { version }),
    }
}

fn floats(tensor: &TensorView<'_>) -> Vec<f32> {
    numbers(tensor.data(), f32::from_le_bytes)
}

/// A file's tensors, by what they are parts of.
struct Parts<'a>(Tensors<'a>);

impl Parts<'_> {
    fn layer(&self, name: &str) -> Result<Linear, ImagesError> {
        let weight = self.0.get(&format!("{name}.weight"), Dtype::F32, 2)?;
        let bias = self.0.get(&format!("{name}.bias"), Dtype::F32, 1)?;
        if weight.shape()[1] != bias.shape()[0] {
            return Err(ImagesError::invalid("a layer's weights are not [inputs, outputs]"));
        }
        Ok(Linear::new(floats(&weight), floats(&bias))?)
    }

    fn vae(&self, classes: &[Listed]) -> Result<VaeParts, ImagesError> {
        let decoder = [self.layer("decoder.0")?, self.layer("decoder.1")?, self.layer("decoder.2")?];
        let (weights, means) = (self.0.get("weights", Dtype::U32, 1)?, self.0.get("means", Dtype::F32, 2)?);
        let factors = self.0.get("factors", Dtype::F32, 2)?;
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
            numbers(weights.data(), u32::from_le_bytes).into_iter(),
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
        let ups = ups.take_while(|name| self.0.has(&format!("{name}.weight")));
        Ok(GanParts {
            dense: [self.layer("dense.0")?, self.layer("dense.1")?],
            ups: ups.map(|name| self.layer(&name)).collect::<Result<_, _>>()?,
            output: self.layer("output")?,
        })
    }
}
