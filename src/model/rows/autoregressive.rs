//! The model that draws a record code after code.

use std::sync::Arc;

use super::RowsError;
use super::artefact::autoregressive as artefact;
use super::condition::Fixed;
use super::draw::{RUN, Table};
use super::learn::Coded;
use super::network::{Known, Network, Weights};
use super::scheme::Scheme;
use crate::codec::ModelId;
use crate::engine::{Kernel, exp};
use crate::model::chance::Chance;
use crate::model::generator::{Condition, DrawError, Generator};

/// A model that draws records, any field first.
pub struct RowsModel {
    artefact: Arc<[u8]>,
    id: ModelId,
    pub(super) scheme: Scheme,
    weights_size: [usize; 3],
    pub(super) network: Network,
}

impl RowsModel {
    /// Of records as codes, and weights that were trained on them.
    pub fn new(coded: &Coded, weights: &Weights) -> Result<Self, RowsError> {
        weights.check(coded.book.codes())?;
        Self::parse(&artefact::write(&Scheme::of(coded), weights))
    }

    /// Reads an artefact that comes from anywhere. Takes memory in proportion to its length, and at most 40 MB more.
    pub fn parse(artefact: &[u8]) -> Result<Self, RowsError> {
        Self::with_kernel(artefact, Kernel::best())
    }

    /// [`RowsModel::parse`], with a kernel of choice: all draw the same.
    pub fn with_kernel(artefact: &[u8], kernel: Kernel) -> Result<Self, RowsError> {
        let (scheme, weights) = artefact::read(artefact)?;
        Ok(Self {
            artefact: artefact.into(),
            id: ModelId::of(artefact),
            weights_size: [weights.width, weights.inner, weights.blocks.len()],
            network: Network::new(&weights, &scheme.first, kernel)?,
            scheme,
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
        self.scheme.codes(record)
    }

    /// The logits of a variable's codes where some variables are known.
    ///
    /// # Panics
    ///
    /// If there is no such variable, or `known` has not a place for each, or it has codes that there are not.
    pub fn logits(&self, known: &[Option<u16>], variable: usize) -> Vec<f32> {
        assert_eq!(known.len(), self.scheme.book.variables.len(), "a place for each variable");
        let mut state = Known::default();
        self.network.begin(1, &mut state);
        for (variable, code) in known.iter().enumerate() {
            self.network.tell(variable, std::iter::once(*code), &mut state);
        }
        self.network.ask(variable, &mut state);
        state.logits[..self.scheme.size(variable)].to_vec()
    }

    /// Draws the codes of some rows: first what is fixed and what times say that go on, then one variable after the other. What is drawn only
    /// where a number is not made of others says nothing about the rest.
    pub(super) fn draw_codes(&self, fixed: &Fixed, chances: &mut [&mut Chance], table: &mut Table, known: &mut Known) {
        self.network.begin(chances.len(), known);
        for (variable, code) in fixed.codes.iter().enumerate() {
            if let Some(code) = code {
                self.network.tell(variable, std::iter::repeat(Some(*code)), known);
            }
        }
        for (lead, variable) in table.leads.iter().enumerate() {
            self.network.tell(usize::from(*variable), table.said(lead), known);
        }
        for variable in self.scheme.order.iter().map(|variable| usize::from(*variable)) {
            let is_known = fixed.codes[variable].is_some() || fixed.idle[variable];
            if is_known || !table.is_open_anywhere(&self.scheme, variable) {
                continue;
            }
            if self.scheme.size(variable) > 1 {
                let width = self.network.ask(variable, known);
                for (row, chance) in chances.iter_mut().enumerate() {
                    self.scheme.pick(variable, &mut known.logits[row * width..], row, chance, table);
                }
            }
            if self.scheme.book.guards[variable].is_none() {
                self.network.tell(variable, table.drawn(variable), known);
            }
        }
    }
}

impl Generator for RowsModel {
    fn name(&self) -> &'static str {
        "autoregressive"
    }

    fn content_type(&self) -> &'static str {
        self.scheme.content_type()
    }

    fn run_length(&self) -> u32 {
        RUN
    }

    fn admits(&self, condition: &Condition) -> Result<(), DrawError> {
        self.scheme.fixed(condition).map(drop)
    }

    fn draw_numbers(
        &self,
        seed: u64,
        condition: &Condition,
        numbers: &[u64],
        records: &mut Vec<Vec<u8>>,
    ) -> Result<(), DrawError> {
        let fixed = self.scheme.fixed(condition)?;
        let mut known = Known::default();
        let fill = |chances: &mut [&mut Chance], table: &mut Table| {
            self.draw_codes(&fixed, chances, table, &mut known);
        };
        let times = self.scheme.times(seed, &fixed, numbers);
        self.scheme.draw(seed, &fixed, (numbers, &times), fill, records)
    }

    fn sample(
        &self,
        seed: u64,
        condition: &Condition,
        count: u64,
        records: &mut Vec<Vec<u8>>,
    ) -> Result<(), DrawError> {
        // Where records follow one another, each is of a run of its own, at every place of one.
        let walks = self.scheme.book.walk.is_some() && condition.is_empty();
        let step = if walks { u64::from(RUN) + 1 } else { 1 };
        let numbers: Vec<u64> = (0..count).map(|number| number.wrapping_mul(step)).collect();
        numbers.chunks(RUN as usize).try_for_each(|numbers| self.draw_numbers(seed, condition, numbers, records))
    }

    fn classes(&self, field: &str, condition: &Condition) -> Result<Vec<(String, f64)>, DrawError> {
        self.scheme.classes_of(field, condition, |known, variable| {
            let logits = self.logits(known, variable);
            let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            logits.into_iter().map(|logit| f64::from(exp(logit - most))).collect()
        })
    }

    fn matching<'a>(&self, condition: &Condition, records: &[&'a [u8]]) -> Result<Vec<&'a [u8]>, DrawError> {
        self.scheme.matching(condition, records)
    }
}

impl std::fmt::Debug for RowsModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (id, bytes, [width, inner, blocks]) = (self.id, self.artefact.len(), self.weights_size);
        let (fields, codes) = (self.scheme.book.fields.len(), self.scheme.book.codes());
        write!(f, "RowsModel {{ id: {id}, bytes: {bytes}, fields: {fields}, codes: {codes}, ")?;
        write!(f, "layers: {width}, {blocks} of {inner} }}")
    }
}
