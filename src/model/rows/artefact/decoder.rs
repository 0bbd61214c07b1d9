//! | tensor | type and shape |
//! |---|---|
//! | `layer.N.weight`, `layer.N.bias` | F32 `[inputs, outputs]`, `[outputs]` |
//! | `weights` | U32 `[K]`: the Gaussians; of a `vae` alone, as what follows |
//! | `means` | F32 `[K, L]` |
//! | `factors` | F32 `[K, L (L + 1) / 2]`: rows of lower triangles |

use safetensors::Dtype;

use super::{Draft, File, PAYLOAD, invalid};
use crate::model::Family;
use crate::model::mixture::{MAX_COMPONENTS, Mixture, triangle};
use crate::model::perceptron::Linear;
use crate::model::rows::RowsError;
use crate::model::rows::decoder::{DecoderParts, MAX_LATENTS, MAX_LAYERS, Prior};
use crate::model::rows::scheme::Scheme;
use crate::model::tensors::numbers;

/// Writes an artefact.
pub fn write(scheme: &Scheme, parts: &DecoderParts) -> Vec<u8> {
    let mut draft = Draft::new(scheme);
    for (number, layer) in parts.layers.iter().enumerate() {
        draft.floats(format!("layer.{number}.weight"), &[layer.inputs(), layer.outputs()], layer.weights());
        draft.floats(format!("layer.{number}.bias"), &[layer.outputs()], layer.bias());
    }
    if let Prior::Mixture(mixture) = &parts.prior {
        let (components, latents) = (mixture.components(), mixture.latents());
        let weights: Vec<u8> = mixture.weights().iter().flat_map(|weight| weight.to_le_bytes()).collect();
        draft.tensors.put("weights", Dtype::U32, [components], weights);
        draft.floats("means", &[components, latents], mixture.means());
        draft.floats("factors", &[components, triangle(latents)], mixture.factors());
    }
    draft.finish(&parts.prior.family(), Some(PAYLOAD))
}

/// Reads an artefact.
pub fn read(artefact: &[u8]) -> Result<(Scheme, DecoderParts), RowsError> {
    let file = File::open(artefact, &[Family::VAE, Family::GAN], Some(PAYLOAD))?;
    let scheme = file.scheme()?;
    let mut layers = Vec::new();
    for number in 0..=MAX_LAYERS {
        let name = format!("layer.{number}.weight");
        if !file.has(&name) {
            break;
        }
        let shape = file.get(&name, Dtype::F32, 2)?.shape().to_vec();
        let (weights, bias) = (file.floats(&name, 2)?, file.floats(&format!("layer.{number}.bias"), 1)?);
        let layer = Linear::new(weights, bias)?;
        if shape != [layer.inputs(), layer.outputs()] {
            return Err(invalid("a layer's weights are not [inputs, outputs]"));
        }
        layers.push(layer);
    }
    let prior = if file.outline.family == Family::VAE.as_str() { mixture(&file)? } else { Prior::Normal };
    let parts = DecoderParts { prior, layers };
    parts.check(scheme.book.codes())?;
    Ok((scheme, parts))
}

fn mixture(file: &File<'_>) -> Result<Prior, RowsError> {
    let weights = file.get("weights", Dtype::U32, 1)?;
    let components = weights.shape()[0];
    let latents = file.get("means", Dtype::F32, 2)?.shape()[1];
    if !(1..=MAX_COMPONENTS).contains(&components) || !(1..=MAX_LATENTS).contains(&latents) {
        return Err(invalid("it does not have 1 to 256 Gaussians of 1 to 128 latent numbers"));
    }
    let weights = numbers(weights.data(), u32::from_le_bytes);
    Ok(Prior::Mixture(Mixture::new(weights, file.floats("means", 2)?, file.floats("factors", 2)?)?))
}
