//! The model that draws all codes of a record at once: noise through layers to a softmax for each variable.
//!
//! ```text
//! z ~ prior        l = W_n max(0, ... max(0, W_1 z + b_1) ...) + b_n        x_v ~ softmax(l of v's codes), each for itself
//! ```
//!
//! The prior is a mixture of Gaussians where layers are the decoder of a variational autoencoder (`vae`), and standard normal where they
//! are the generator of an adversarial pair (`gan`). Structural zeros hold as in other models of rows: variables are drawn in the model's
//! order, and none gets a code that stands beside another's never.

use std::sync::Arc;

use super::MAX_WIDTH;
use super::RowsError;
use super::artefact::decoder as artefact;
use super::condition::Fixed;
use super::draw::{RUN, Table};
use super::learn::Coded;
use super::network::MAX_WEIGHT;
use super::scheme::Scheme;
use crate::codec::ModelId;
use crate::engine::Kernel;
use crate::model::chance::Chance;
use crate::model::generator::{Condition, DrawError, Generator};
use crate::model::manifest::Family;
use crate::model::mixture::Mixture;
use crate::model::perceptron::{Linear, Perceptron};

/// Most layers.
pub const MAX_LAYERS: usize = 6;
/// Most latent numbers.
pub const MAX_LATENTS: usize = 128;
/// The largest number of a mixture: layers have none that is larger, and so no logit overflows.
const MAX_LATENT: f32 = 1e3;

/// Why no field is fixed before the others.
const UNCONDITIONAL: &str = "it draws all fields of a record at once from noise, and does not tell which noise a value \
     comes from; `latentd train --generator autoregressive` makes a model that takes any condition";

/// What noise is drawn from.
#[derive(Clone, Debug, PartialEq)]
pub enum Prior {
    /// What an encoder makes of real records: of a `vae`.
    Mixture(Mixture),
    /// Independent standard normal numbers: of a `gan`.
    Normal,
}

impl Prior {
    /// The family of models that draw from it.
    pub fn family(&self) -> Family {
        match self {
            Self::Mixture(_) => Family::VAE,
            Self::Normal => Family::GAN,
        }
    }
}

/// What a training makes.
#[derive(Clone, Debug, PartialEq)]
pub struct DecoderParts {
    /// Of the noise.
    pub prior: Prior,
    /// From noise to hidden units to the logits of all variables' codes, one variable after the other.
    pub layers: Vec<Linear>,
}

impl DecoderParts {
    /// Whether these are parts of a model of so many codes.
    pub(super) fn check(&self, codes: usize) -> Result<(), RowsError> {
        let holds = |holds: bool, what: &str| if holds { Ok(()) } else { Err(RowsError::Invalid(what.to_owned())) };
        holds((1..=MAX_LAYERS).contains(&self.layers.len()), "it does not have 1 to 6 layers")?;
        let (first, last) = (&self.layers[0], &self.layers[self.layers.len() - 1]);
        holds((1..=MAX_LATENTS).contains(&first.inputs()), "it does not have 1 to 128 latent numbers")?;
        holds(last.outputs() == codes, "its last layer is not one of its codes")?;
        let hidden = &self.layers[..self.layers.len() - 1];
        holds(hidden.iter().all(|layer| layer.outputs() <= MAX_WIDTH), "a layer has more than 1024 units")?;
        let follow = self.layers.windows(2).all(|pair| pair[0].outputs() == pair[1].inputs());
        holds(follow, "its layers do not follow each other")?;
        let small = |values: &[f32], most: f32| values.iter().all(|value| value.abs() <= most);
        let weights = self.layers.iter().all(|l| small(l.weights(), MAX_WEIGHT) && small(l.bias(), MAX_WEIGHT));
        holds(weights, "a weight is beyond 1000, or no number")?;
        if let Prior::Mixture(mixture) = &self.prior {
            holds(mixture.latents() == first.inputs(), "its mixture is of other latents")?;
            let small = small(mixture.means(), MAX_LATENT) && small(mixture.factors(), MAX_LATENT);
            holds(small, "a number of its mixture is beyond 1000")?;
        }
        Ok(())
    }
}

/// A model that draws records, all fields at once.
pub struct RowsDecoder {
    artefact: Arc<[u8]>,
    id: ModelId,
    pub(super) scheme: Scheme,
    prior: Prior,
    latents: usize,
    layers: Perceptron,
}

impl RowsDecoder {
    /// Of records as codes, and parts that were trained on them.
    pub fn new(coded: &Coded, parts: &DecoderParts) -> Result<Self, RowsError> {
        parts.check(coded.book.codes())?;
        Self::parse(&artefact::write(&Scheme::of(coded), parts))
    }

    /// Reads an artefact that comes from anywhere. Takes memory in proportion to its length, and at most 40 MB more.
    pub fn parse(artefact: &[u8]) -> Result<Self, RowsError> {
        Self::with_kernel(artefact, Kernel::best())
    }

    /// [`RowsDecoder::parse`], with a kernel of choice: all draw the same.
    pub fn with_kernel(artefact: &[u8], kernel: Kernel) -> Result<Self, RowsError> {
        let (scheme, DecoderParts { prior, layers }) = artefact::read(artefact)?;
        Ok(Self {
            artefact: artefact.into(),
            id: ModelId::of(artefact),
            scheme,
            prior,
            latents: layers.first().map_or(0, Linear::inputs),
            layers: Perceptron::new(&layers, kernel),
        })
    }

    /// Its bytes.
    pub fn artefact(&self) -> &Arc<[u8]> {
        &self.artefact
    }

    /// Its content address.
    pub fn id(&self) -> ModelId {
        self.id
    }

    /// Its family: `vae` or `gan`.
    pub fn family(&self) -> Family {
        self.prior.family()
    }

    /// The logits of all codes for noise: `[rows, L]` to `[rows, codes]`.
    ///
    /// # Panics
    ///
    /// If `noise` is not whole rows.
    pub fn logits(&self, noise: &[f32]) -> Vec<f32> {
        let logits = self.layers.apply(noise);
        let rows = logits.chunks_exact(self.layers.width());
        rows.flat_map(|row| &row[..self.layers.outputs()]).copied().collect()
    }

    /// Draws the codes of some rows.
    fn draw_codes(&self, chances: &mut [&mut Chance], table: &mut Table) {
        let mut noise = Vec::with_capacity(chances.len() * (self.latents + 1));
        for (row, chance) in chances.iter_mut().enumerate() {
            match &self.prior {
                Prior::Mixture(mixture) => mixture.draw(chance, &mut noise),
                Prior::Normal => {
                    let end = (row + 1) * self.latents;
                    while noise.len() < end {
                        noise.extend(chance.normals());
                    }
                    noise.truncate(end);
                }
            }
        }
        let mut logits = self.layers.apply(&noise);
        for ((row, chance), logits) in chances.iter_mut().enumerate().zip(logits.chunks_exact_mut(self.layers.width()))
        {
            for variable in self.scheme.order.iter().map(|variable| usize::from(*variable)) {
                if self.scheme.size(variable) > 1 {
                    self.scheme.pick(variable, &mut logits[self.scheme.first[variable]..], row, chance, table);
                }
            }
        }
    }
}

impl Generator for RowsDecoder {
    fn name(&self) -> &'static str {
        match self.prior {
            Prior::Mixture(_) => "vae",
            Prior::Normal => "gan",
        }
    }

    fn content_type(&self) -> &'static str {
        self.scheme.content_type()
    }

    fn run_length(&self) -> u32 {
        RUN
    }

    fn admits(&self, condition: &Condition) -> Result<(), DrawError> {
        match condition.is_empty() {
            true => Ok(()),
            false => Err(DrawError::Unconditional { family: self.name(), why: UNCONDITIONAL }),
        }
    }

    fn draw_numbers(
        &self,
        seed: u64,
        condition: &Condition,
        numbers: &[u64],
        records: &mut Vec<Vec<u8>>,
    ) -> Result<(), DrawError> {
        self.admits(condition)?;
        let fixed = Fixed::nothing(&self.scheme.book);
        let fill = |chances: &mut [&mut Chance], table: &mut Table| self.draw_codes(chances, table);
        let times = vec![None; numbers.len()];
        self.scheme.draw(seed, &fixed, (numbers, &times), fill, records)
    }
}

impl std::fmt::Debug for RowsDecoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (id, family, bytes, latents) = (self.id, self.name(), self.artefact.len(), self.latents);
        let (fields, codes) = (self.scheme.book.fields.len(), self.scheme.book.codes());
        write!(f, "RowsDecoder {{ id: {id}, family: {family}, bytes: {bytes}, fields: {fields}, codes: {codes}, ")?;
        write!(f, "latents: {latents} }}")
    }
}
