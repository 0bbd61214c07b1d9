//! `latent`: small images, coded with a variational autoencoder and a net over the samples next to each one.
//!
//! An image is D samples of 8 bits. The **encoder** makes L integers of it, its *latent*; the **generator** makes F
//! features of the latent for each sample; and a **causal net** makes, of these and of samples that were coded before,
//! the name of the table that the sample is coded with. The latent is written first, each number with a table of its
//! own. So a decoder needs generator, net and tables, and no encoder. With L = 0 there are neither latent nor features.
//!
//! Everything is integers ([`crate::engine`]), so that the same bytes are written and read on every machine.

mod artefact;
mod codec;
mod parts;
mod peaks;
mod samples;
mod tables;

use std::sync::Arc;

pub use artefact::MAX_ARTEFACT_BYTES;
pub use codec::LatentCodec;
pub use parts::{
    Autoencoder, LATENT_ZERO, LatentError, LatentParts, MAX_FEATURES, MAX_LATENTS, MAX_LIMIT, MAX_WEIGHTS, MAX_WIDTH,
    MAX_WRAPPINGS, raise,
};
pub use peaks::{LEAST_THRESHOLD, MAX_CONTEXTS, Peaks};
pub use tables::{MAX_TABLES, OTHERS, SampleTables, frequencies};

use crate::codec::ModelId;
use crate::engine::{CausalNets, Layer};
use crate::entropy::Table;
use crate::payload::image::{Shape, Wrapping};
use samples::SampleCoder;

/// A model of small images, laid out for coding.
pub struct LatentModel {
    artefact: Arc<[u8]>,
    id: ModelId,
    shape: Shape,
    wrappings: Vec<Wrapping>,
    latent: Option<Latent>,
    nets: CausalNets,
    /// The features, if they are the same for all images.
    features: Option<Vec<u8>>,
    samples: SampleCoder,
}

/// Encoder and generator, and a table for each latent number.
struct Latent {
    encoder: [Layer; 2],
    generator: [Layer; 2],
    limit: u8,
    tables: Vec<Table>,
}

impl LatentModel {
    /// The model of these parts. The same parts make the same artefact, whose records have frames of three bytes
    /// ([`crate::frame::SHORTEST_MAGIC`]).
    pub fn new(parts: &LatentParts) -> Self {
        Self::of(parts, artefact::write(parts).into())
    }

    /// Reads an artefact that comes from anywhere. It takes a few times the artefact's size, and 20 MiB at most for tables.
    pub fn parse(artefact: &[u8]) -> Result<Self, LatentError> {
        Ok(Self::of(&artefact::read(artefact)?, artefact.into()))
    }

    fn of(parts: &LatentParts, artefact: Arc<[u8]>) -> Self {
        let latent = parts.autoencoder().map(|autoencoder| Latent {
            encoder: autoencoder.encoder.each_ref().map(Layer::new),
            generator: autoencoder.generator.each_ref().map(Layer::new),
            limit: autoencoder.limit,
            tables: autoencoder
                .frequencies
                .chunks_exact(autoencoder.levels())
                .map(|table| {
                    let table: Vec<u32> = table.iter().map(|frequency| u32::from(*frequency)).collect();
                    Table::from_frequencies(&table, 16).expect("the parts' frequencies were checked")
                })
                .collect(),
        });
        let (shape, tables, features) = (parts.shape(), parts.tables(), parts.constant_features());
        let nets = CausalNets::new(shape.height(), shape.width(), parts.nets(), tables.positions(), tables.scales());
        Self {
            id: ModelId::of(&artefact),
            artefact,
            shape,
            wrappings: parts.wrappings().to_vec(),
            latent,
            nets: match &features {
                Some(features) => nets.with_features(features),
                None => nets,
            },
            features,
            samples: SampleCoder::new(tables),
        }
    }

    /// Its parts, which its artefact holds.
    pub fn parts(&self) -> LatentParts {
        artefact::read(&self.artefact).expect("the artefact was read, or written, when the model was made")
    }

    /// Its bytes.
    pub fn artefact(&self) -> &Arc<[u8]> {
        &self.artefact
    }

    /// Its content address.
    pub fn id(&self) -> ModelId {
        self.id
    }

    /// The images that it codes.
    pub fn shape(&self) -> Shape {
        self.shape
    }
}

/// The same model's artefact under another id, whose records have frames of three bytes too: where the name in these frames is
/// taken. It is none where the artefact has no salt, which was written before there were such frames, or is no artefact.
pub fn resalted(artefact: &[u8]) -> Option<Vec<u8>> {
    artefact::resalted(artefact)
}

impl std::fmt::Debug for LatentModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LatentModel {{ id: {}, shape: {}, bytes: {} }}", self.id, self.shape, self.artefact.len())
    }
}

#[cfg(test)]
pub(crate) mod tests;
