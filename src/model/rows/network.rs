//! The network: the distribution of every variable, given some of the others.
//!
//! ```text
//! s   = b + sum over known variables c of E[x_c]          each row of E is a code's
//! h_0 = max(0, s)
//! h_l = h_(l-1) + U_l max(0, D_l h_(l-1) + d_l)           a block: down to fewer units, and up again
//! p(x_c | known) = softmax(h_L W_c + w_c)
//! ```
//!
//! Which variables are known is any set, so that any may be asked for first: an order-agnostic autoregressive model (Uria, Murray,
//! Larochelle 2014, *A Deep and Tractable Density Estimator*, arXiv:1310.1757; Hoogeboom et al. 2022, *Autoregressive Diffusion
//! Models*, arXiv:2110.02037). What is not known adds nothing to `s`: a newly drawn value costs one row of `E`, and the first layer is
//! never computed again.
//!
//! Plain `f32`, in the order of [`add_products`]: the same bits on every processor.

use super::{MAX_BLOCKS, MAX_WIDTH, RowsError};
use crate::engine::{Kernel, add_products, padded};

/// The largest weight: with it no sum of any network that is read overflows.
pub(super) const MAX_WEIGHT: f32 = 1e3;

/// Weights of one block.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockWeights {
    /// `D`: `[width, inner]`.
    pub down: Vec<f32>,
    /// `d`: `[inner]`.
    pub bias: Vec<f32>,
    /// `U`: `[inner, width]`.
    pub up: Vec<f32>,
}

/// The weights as training makes them, and an artefact keeps them.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// Units of `h`.
    pub width: usize,
    /// Units within a block.
    pub inner: usize,
    /// `E`: `[codes, width]`.
    pub embedding: Vec<f32>,
    /// `b`: `[width]`.
    pub bias: Vec<f32>,
    /// The blocks, in order.
    pub blocks: Vec<BlockWeights>,
    /// `W`: `[codes, width]`.
    pub output: Vec<f32>,
    /// `w`: `[codes]`.
    pub output_bias: Vec<f32>,
}

impl Weights {
    /// Whether these are the weights of a network for so many codes.
    pub(super) fn check(&self, codes: usize) -> Result<(), RowsError> {
        let (width, inner) = (self.width, self.inner);
        let sized = (1..=MAX_WIDTH).contains(&width) && (1..=MAX_WIDTH).contains(&inner);
        let blocks = self.blocks.iter().all(|block| {
            block.down.len() == width * inner && block.bias.len() == inner && block.up.len() == inner * width
        });
        let shaped = self.embedding.len() == codes * width
            && self.bias.len() == width
            && self.output.len() == codes * width
            && self.output_bias.len() == codes;
        if !sized || !blocks || !shaped || self.blocks.len() > MAX_BLOCKS {
            return Err(RowsError::Invalid("its layers do not fit one another, or its codes".to_owned()));
        }
        let all = [&self.embedding, &self.bias, &self.output, &self.output_bias].into_iter();
        let mut all = all.chain(self.blocks.iter().flat_map(|block| [&block.down, &block.bias, &block.up]));
        // Written so that NaN fails.
        if !all.all(|weights| weights.iter().all(|weight| weight.abs() <= MAX_WEIGHT)) {
            return Err(RowsError::Invalid(format!("a weight is beyond {MAX_WEIGHT}, or no number")));
        }
        Ok(())
    }
}

/// A layer whose outputs are padded.
#[derive(Clone, Debug)]
struct Padded {
    inputs: usize,
    outputs: usize,
    /// `[inputs, outputs]`.
    weights: Vec<f32>,
    /// `[outputs]`.
    bias: Vec<f32>,
}

impl Padded {
    /// Of `[inputs, outputs]`.
    fn new(weights: &[f32], bias: &[f32], outputs: usize) -> Self {
        let (inputs, wide) = (weights.len() / outputs, padded(outputs));
        let mut own = vec![0.0; inputs * wide];
        for (own, row) in own.chunks_exact_mut(wide).zip(weights.chunks_exact(outputs)) {
            own[..outputs].copy_from_slice(row);
        }
        let mut wide_bias = vec![0.0; wide];
        wide_bias[..bias.len()].copy_from_slice(bias);
        Self { inputs, outputs: wide, weights: own, bias: wide_bias }
    }

    /// `sums = bias + inputs weights`.
    fn apply(&self, kernel: Kernel, inputs: &[f32], sums: &mut Vec<f32>) {
        sums.clear();
        (0..inputs.len() / self.inputs).for_each(|_| sums.extend_from_slice(&self.bias));
        add_products(kernel, self.inputs, inputs, &self.weights, self.outputs, sums);
    }
}

/// The network, ready to be asked.
#[derive(Clone, Debug)]
pub(super) struct Network {
    kernel: Kernel,
    /// Units of `h`, padded.
    width: usize,
    /// `[codes, width]`.
    embedding: Vec<f32>,
    bias: Vec<f32>,
    blocks: Vec<[Padded; 2]>,
    /// By variable.
    heads: Vec<Padded>,
    /// By variable, its first code; at the end, how many there are.
    first: Vec<usize>,
}

/// What is known of some rows. Used again for the next: its memory stays.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// `s`: `[rows, width]`.
    sums: Vec<f32>,
    hidden: Vec<f32>,
    inner: Vec<f32>,
    /// Logits of the variable that was asked for last: `[rows, padded(codes)]`.
    pub logits: Vec<f32>,
}

impl Network {
    /// Of weights that fit variables with these first codes, and so many in all.
    pub fn new(weights: &Weights, first: &[usize], kernel: Kernel) -> Result<Self, RowsError> {
        weights.check(first[first.len() - 1])?;
        let (width, wide) = (weights.width, padded(weights.width));
        let pad = |rows: &[f32]| {
            let mut own = vec![0.0; rows.len() / width * wide];
            for (own, row) in own.chunks_exact_mut(wide).zip(rows.chunks_exact(width)) {
                own[..width].copy_from_slice(row);
            }
            own
        };
        // Inputs of a layer are padded as the outputs of the one before are: rows of zeros.
        let rows = |weights: &[f32], from: usize, outputs: usize| {
            let mut own = weights.to_vec();
            own.resize(padded(from) * outputs, 0.0);
            own
        };
        let block = |block: &BlockWeights| {
            [
                Padded::new(&rows(&block.down, width, weights.inner), &block.bias, weights.inner),
                Padded::new(&rows(&block.up, weights.inner, width), &[], width),
            ]
        };
        let head = |variable: usize| {
            let codes = first[variable]..first[variable + 1];
            let mut columns = vec![0.0; wide * codes.len()];
            for (place, code) in codes.clone().enumerate() {
                for unit in 0..width {
                    columns[unit * codes.len() + place] = weights.output[code * width + unit];
                }
            }
            Padded::new(&columns, &weights.output_bias[codes.clone()], codes.len())
        };
        Ok(Self {
            kernel,
            width: wide,
            embedding: pad(&weights.embedding),
            bias: pad(&weights.bias),
            blocks: weights.blocks.iter().map(block).collect(),
            heads: (0..first.len() - 1).map(head).collect(),
            first: first.to_vec(),
        })
    }

    /// Begins rows of which nothing is known.
    pub fn begin(&self, rows: usize, known: &mut Known) {
        known.sums.clear();
        (0..rows).for_each(|_| known.sums.extend_from_slice(&self.bias));
    }

    /// Adds what a variable is in each row, where it is known.
    pub fn tell(&self, variable: usize, codes: impl Iterator<Item = Option<u16>>, known: &mut Known) {
        for (sums, code) in known.sums.chunks_exact_mut(self.width).zip(codes) {
            let Some(code) = code else { continue };
            let row = &self.embedding[(self.first[variable] + usize::from(code)) * self.width..][..self.width];
            sums.iter_mut().zip(row).for_each(|(sum, weight)| *sum += weight);
        }
    }

    /// Takes off again what [`Network::tell`] has added.
    pub fn forget(&self, variable: usize, code: u16, known: &mut Known) {
        let row = &self.embedding[(self.first[variable] + usize::from(code)) * self.width..][..self.width];
        known.sums.chunks_exact_mut(self.width).for_each(|sums| {
            sums.iter_mut().zip(row).for_each(|(sum, weight)| *sum -= weight);
        });
    }

    /// Makes the logits of a variable in each row; the width of a row of them.
    pub fn ask(&self, variable: usize, known: &mut Known) -> usize {
        let Known { sums, hidden, inner, logits } = known;
        hidden.clear();
        hidden.extend(sums.iter().map(|sum| sum.max(0.0)));
        for [down, up] in &self.blocks {
            down.apply(self.kernel, hidden, inner);
            inner.iter_mut().for_each(|unit| *unit = unit.max(0.0));
            add_products(self.kernel, up.inputs, inner, &up.weights, up.outputs, hidden);
        }
        let head = &self.heads[variable];
        head.apply(self.kernel, hidden, logits);
        head.outputs
    }
}
