//! From latents to images: three layers of `f32`, whose sums are in the order of inputs.

use super::VaeError;
use crate::engine::{Kernel, add_products, padded};

/// `y = W x + b`.
///
/// # Shapes
///
/// `weights: [inputs, outputs]`, `bias: [outputs]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Linear {
    /// A layer of these weights, which must be numbers.
    pub fn new(weights: Vec<f32>, bias: Vec<f32>) -> Result<Self, VaeError> {
        if bias.is_empty() || weights.is_empty() || !weights.len().is_multiple_of(bias.len()) {
            return Err(VaeError::invalid("a layer's weights are not [inputs, outputs]"));
        }
        if !weights.iter().chain(&bias).all(|value| value.is_finite()) {
            return Err(VaeError::invalid("a layer has a weight that is no number"));
        }
        Ok(Self { weights, bias })
    }

    /// Inputs.
    pub fn inputs(&self) -> usize {
        self.weights.len() / self.bias.len()
    }

    /// Outputs.
    pub fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// `[inputs, outputs]`.
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// `[outputs]`.
    pub fn bias(&self) -> &[f32] {
        &self.bias
    }

    /// The same layer, with inputs and outputs of zeros that fill up whole lanes.
    fn filled(&self) -> Self {
        let (outputs, wide) = (self.outputs(), padded(self.outputs()));
        let mut weights = vec![0.0; padded(self.inputs()) * wide];
        for (row, filled) in self.weights.chunks_exact(outputs).zip(weights.chunks_exact_mut(wide)) {
            filled[..outputs].copy_from_slice(row);
        }
        let mut bias = self.bias.clone();
        bias.resize(wide, 0.0);
        Self { weights, bias }
    }
}

/// The three layers.
pub(super) struct Decoder {
    layers: [Linear; 3],
    latents: usize,
    samples: usize,
    kernel: Kernel,
}

impl Decoder {
    /// Of layers that follow each other.
    pub fn new(layers: &[Linear; 3], kernel: Kernel) -> Self {
        let (latents, samples) = (layers[0].inputs(), layers[2].outputs());
        Self { layers: layers.each_ref().map(Linear::filled), latents, samples, kernel }
    }

    /// Logits: `[rows, L]` to `[rows, D]`.
    pub fn decode(&self, latents: &[f32]) -> Vec<f32> {
        assert!(latents.len().is_multiple_of(self.latents), "rows of latents");
        let rows = latents.len() / self.latents;
        let mut inputs = vec![0.0; rows * self.layers[0].inputs()];
        let filled = inputs.chunks_exact_mut(self.layers[0].inputs());
        for (filled, latents) in filled.zip(latents.chunks_exact(self.latents)) {
            filled[..self.latents].copy_from_slice(latents);
        }
        for (number, layer) in self.layers.iter().enumerate() {
            if number > 0 {
                // ReLU; what is no number becomes 0 too.
                inputs.iter_mut().for_each(|value| *value = if *value > 0.0 { *value } else { 0.0 });
            }
            let mut sums = layer.bias.repeat(rows);
            add_products(self.kernel, layer.inputs(), &inputs, &layer.weights, layer.outputs(), &mut sums);
            inputs = sums;
        }
        let wide = self.layers[2].outputs();
        inputs.chunks_exact(wide).flat_map(|row| &row[..self.samples]).copied().collect()
    }
}
