//! Layers of `f32` one after the other, whose sums are in the order of inputs: the same numbers on every machine.

use crate::engine::{Kernel, add_products, padded};

/// Why numbers are no layer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayerError {
    /// There is no such number of them.
    #[error("a layer's weights are not [inputs, outputs]")]
    Shape,
    /// One is infinite or none.
    #[error("a layer has a weight that is no number")]
    Number,
}

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
    pub fn new(weights: Vec<f32>, bias: Vec<f32>) -> Result<Self, LayerError> {
        if bias.is_empty() || weights.is_empty() || !weights.len().is_multiple_of(bias.len()) {
            return Err(LayerError::Shape);
        }
        if !weights.iter().chain(&bias).all(|value| value.is_finite()) {
            return Err(LayerError::Number);
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

/// Layers with `max(0, x)` between.
#[derive(Clone, Debug)]
pub(super) struct Perceptron {
    layers: Vec<Linear>,
    inputs: usize,
    outputs: usize,
    kernel: Kernel,
}

impl Perceptron {
    /// Of at least one layer, which follow each other.
    pub fn new(layers: &[Linear], kernel: Kernel) -> Self {
        let inputs = layers.first().map_or(0, Linear::inputs);
        let outputs = layers.last().map_or(0, Linear::outputs);
        Self { layers: layers.iter().map(Linear::filled).collect(), inputs, outputs, kernel }
    }

    /// Outputs of a row, without those that fill it up.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Outputs of a row of [`Perceptron::apply`].
    pub fn width(&self) -> usize {
        padded(self.outputs)
    }

    /// `[rows, inputs]` to `[rows, width]`, of which what fills a row up means nothing.
    ///
    /// # Panics
    ///
    /// If `inputs` are not whole rows.
    pub fn apply(&self, inputs: &[f32]) -> Vec<f32> {
        assert!(inputs.len().is_multiple_of(self.inputs), "whole rows");
        let (rows, wide) = (inputs.len() / self.inputs, padded(self.inputs));
        let mut values = vec![0.0; rows * wide];
        for (filled, inputs) in values.chunks_exact_mut(wide).zip(inputs.chunks_exact(self.inputs)) {
            filled[..self.inputs].copy_from_slice(inputs);
        }
        for (number, layer) in self.layers.iter().enumerate() {
            if number > 0 {
                // What is no number becomes 0 too.
                values.iter_mut().for_each(|value| *value = if *value > 0.0 { *value } else { 0.0 });
            }
            let mut sums = layer.bias.repeat(rows);
            add_products(self.kernel, layer.inputs(), &values, &layer.weights, layer.outputs(), &mut sums);
            values = sums;
        }
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_sums_of_products() {
        let numbers = |count: usize, from: f32| (0..count).map(|at| (at as f32 * 0.7 + from).sin()).collect::<Vec<_>>();
        let layer = |inputs: usize, outputs: usize, from| {
            Linear::new(numbers(inputs * outputs, from), numbers(outputs, from + 1.0)).unwrap()
        };
        let layers = [layer(5, 21, 0.1), layer(21, 33, 0.2), layer(33, 7, 0.3)];
        let inputs = numbers(15, 2.0);
        let mut rows: Vec<Vec<f64>> =
            inputs.chunks_exact(5).map(|row| row.iter().map(|value| f64::from(*value)).collect()).collect();
        for (number, layer) in layers.iter().enumerate() {
            for row in &mut rows {
                let rectified = row.iter().map(|value| if number > 0 { value.max(0.0) } else { *value });
                let rectified: Vec<f64> = rectified.collect();
                let weight = |input: usize, output| f64::from(layer.weights()[input * layer.outputs() + output]);
                *row = (0..layer.outputs())
                    .map(|output| {
                        let products = rectified.iter().enumerate().map(|(input, value)| value * weight(input, output));
                        products.sum::<f64>() + f64::from(layer.bias()[output])
                    })
                    .collect();
            }
        }
        for kernel in Kernel::here() {
            let found = Perceptron::new(&layers, kernel).apply(&inputs);
            assert_eq!(found.len(), 3 * 16);
            for (found, expected) in found.chunks_exact(16).zip(&rows) {
                assert!(found.iter().zip(expected).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-5), "{kernel}");
            }
        }
    }

    #[test]
    fn what_is_no_layer_is_refused() {
        assert_eq!(Linear::new(vec![0.0, f32::INFINITY], vec![0.0]), Err(LayerError::Number));
        assert_eq!(Linear::new(vec![0.0; 5], vec![0.0; 2]), Err(LayerError::Shape));
    }
}
