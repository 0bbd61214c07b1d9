//! `autoregressive`: records of fields, drawn value by value.
//!
//! 1. A **codebook** (`codebook`, `learn`) makes a record a row of codes: presence and NULL, categories, numbers in bins, parts of
//!    times, choices of syntax. Nothing that fewer than five records had is in it.
//! 2. A **network** (`network`) tells the distribution of any code from any set of others; `crate::training::rows` trains it.
//!    **Structural zeros** (`zeros`) are pairs of codes that never go together.
//! 3. Drawing (`draw`) begins with what the **condition** fixes (`condition`), asks for the other codes one after the other, then
//!    for values within their codes, and **writes** them in the topic's syntax (`writer`).
//!
//! All of it is integers and `f32` in a stated order: the same model, seed, condition and number give the same bytes on every
//! machine.

mod artefact;
mod bin;
mod codebook;
mod condition;
mod draw;
mod learn;
mod network;
mod writer;
mod zeros;

use std::sync::Arc;

use crate::codec::ModelId;
use crate::engine::Kernel;
use codebook::{Cells, Code, Codebook};
pub use learn::{Coded, learn};
pub use network::{BlockWeights, Weights};
use network::{Known, Network};
use writer::Writer;
use zeros::Zeros;

/// Most codes of all variables.
pub const MAX_CODES: usize = 8192;
/// Most fields of a record.
pub const MAX_FIELDS: usize = 1024;
/// Most units of a layer.
pub const MAX_WIDTH: usize = 1024;
/// Most blocks of a network.
pub const MAX_BLOCKS: usize = 8;

/// Why there is no model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowsError {
    /// There is too little to learn from.
    #[error("{found} records with a common syntax are too few to learn from: at least {least} are needed")]
    TooFew {
        /// How many there are.
        found: usize,
        /// How many there must be.
        least: usize,
    },
    /// Records have more in them than a model may.
    #[error("the records have {found} {what}, a model at most {most}")]
    TooWide {
        /// Fields or codes.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there may be.
        most: usize,
    },
    /// The bytes are no model of rows.
    #[error("it is no model of rows: {0}")]
    Invalid(String),
    /// A newer program wrote it.
    #[error("it has version {version} of the format, this program reads {}: use a newer latentd", artefact::VERSION)]
    Version {
        /// What it says.
        version: u32,
    },
}

/// A model that draws records.
pub struct RowsModel {
    artefact: Arc<[u8]>,
    id: ModelId,
    book: Codebook,
    weights_size: [usize; 3],
    zeros: Zeros,
    network: Network,
    writer: Writer,
    /// The order in which variables are drawn.
    order: Vec<u16>,
}

impl RowsModel {
    /// Of records as codes, and weights that were trained on them.
    pub fn new(coded: &Coded, weights: &Weights) -> Result<Self, RowsError> {
        let first = first(&coded.sizes());
        let codes: Vec<&Code> = coded.book.variables.iter().flat_map(|variable| &variable.codes).collect();
        let zeros = Zeros::of(&coded.codes, &first, |code| match codes[code] {
            Code::Rare => None,
            Code::Absent => Some(0),
            Code::Null { .. } => Some(1),
            _ => Some(2),
        });
        weights.check(codes.len())?;
        let bytes = artefact::write(&coded.book, &coded.order(), &zeros, weights);
        Self::parse(&bytes)
    }

    /// Reads an artefact that comes from anywhere. Takes memory in proportion to its length, and at most 40 MB more.
    pub fn parse(artefact: &[u8]) -> Result<Self, RowsError> {
        Self::with_kernel(artefact, Kernel::best())
    }

    /// [`RowsModel::parse`], with a kernel of choice: all draw the same.
    pub fn with_kernel(artefact: &[u8], kernel: Kernel) -> Result<Self, RowsError> {
        let artefact::Parts { book, order, zeros, weights } = artefact::read(artefact)?;
        let sizes: Vec<usize> = book.variables.iter().map(|variable| variable.codes.len()).collect();
        Ok(Self {
            artefact: artefact.into(),
            id: ModelId::of(artefact),
            weights_size: [weights.width, weights.inner, weights.blocks.len()],
            network: Network::new(&weights, &sizes, kernel)?,
            writer: Writer::new(&book),
            book,
            zeros,
            order,
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

    /// A record as codes, one for each variable; `None` where it has what the model has no code for.
    pub fn codes(&self, record: &[u8]) -> Option<Vec<u16>> {
        let mut codes = Vec::new();
        u32::try_from(record.len()).ok()?;
        self.book.read(record, &mut Cells::default(), &mut codes)?;
        Some(codes)
    }

    /// The logits of a variable's codes where some variables are known.
    ///
    /// # Panics
    ///
    /// If there is no such variable, or `known` has not a place for each, or it has codes that there are not.
    pub fn logits(&self, known: &[Option<u16>], variable: usize) -> Vec<f32> {
        assert_eq!(known.len(), self.book.variables.len(), "a place for each variable");
        let mut state = Known::default();
        self.network.begin(1, &mut state);
        for (variable, code) in known.iter().enumerate() {
            self.network.tell(variable, code.iter().copied(), &mut state);
        }
        self.network.ask(variable, &mut state);
        state.logits[..self.book.variables[variable].codes.len()].to_vec()
    }

    /// How surprising a record is: the bits that its codes take, drawn in the model's order. `None` as for [`RowsModel::codes`].
    pub fn bits(&self, record: &[u8]) -> Option<f64> {
        let codes = self.codes(record)?;
        let mut state = Known::default();
        self.network.begin(1, &mut state);
        let mut nats = 0.0;
        for variable in self.order.iter().map(|variable| usize::from(*variable)) {
            self.network.ask(variable, &mut state);
            let logits = state.logits[..self.book.variables[variable].codes.len()].iter().map(|l| f64::from(*l));
            let most = logits.clone().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = logits.map(|logit| (logit - most).exp()).sum();
            nats += most + sum.ln() - f64::from(state.logits[usize::from(codes[variable])]);
            self.network.tell(variable, std::iter::once(codes[variable]), &mut state);
        }
        Some(nats / std::f64::consts::LN_2)
    }
}

impl std::fmt::Debug for RowsModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (id, bytes, [width, inner, blocks]) = (self.id, self.artefact.len(), self.weights_size);
        let (fields, codes) = (self.book.fields.len(), self.book.codes());
        write!(f, "RowsModel {{ id: {id}, bytes: {bytes}, fields: {fields}, codes: {codes}, ")?;
        write!(f, "layers: {width}, {blocks} of {inner} }}")
    }
}

/// The number of each variable's first code, and at the end how many codes there are.
fn first(sizes: &[usize]) -> Vec<usize> {
    let mut first = vec![0];
    sizes.iter().for_each(|size| first.push(first[first.len() - 1] + size));
    first
}

#[cfg(test)]
mod tests;
