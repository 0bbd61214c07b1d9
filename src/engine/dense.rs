//! A dense layer of 8-bit integers.

use super::EngineError;
use super::error::check_length;

/// The largest exponent of a row.
pub const MAX_EXPONENT: u8 = 24;

/// Sums stay below this in size, so that half a unit of the largest exponent can be added in `i32`.
pub(super) const BOUND: i64 = (1 << 31) - (1 << (MAX_EXPONENT - 1));

/// A layer: `y_o = floor((b_o + sum_i w_oi u_i + 2^(e_o - 1)) / 2^e_o)`, where nothing is added for `e_o = 0`.
///
/// # Shapes
///
/// `weights: [outputs, inputs]` i8, row-major; `bias: [outputs]` i32; `exponent: [outputs]` 0 to 24.
/// Inputs are u8. What is made of `y` depends on where the layer stands: `ReLU` clamps it to 0..=255.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dense {
    inputs: usize,
    weights: Box<[i8]>,
    bias: Box<[i32]>,
    exponent: Box<[u8]>,
}

impl Dense {
    /// A layer from its parts, as many outputs as there are biases. It is an error if they do not fit one another, or if
    /// a sum could leave `i32` for some input.
    pub fn new(inputs: usize, weights: Vec<i8>, bias: Vec<i32>, exponent: Vec<u8>) -> Result<Self, EngineError> {
        check_length("a layer's weights", inputs.saturating_mul(bias.len()), weights.len())?;
        check_length("a layer's exponents", bias.len(), exponent.len())?;
        if let Some(exponent) = exponent.iter().find(|exponent| **exponent > MAX_EXPONENT) {
            let found = i64::from(*exponent);
            return Err(EngineError::Range { what: "an exponent", found, accepted: "0 to 24" });
        }
        // A sum of products is at most 128 * 255 for each input.
        let products = i64::try_from(inputs).unwrap_or(i64::MAX).saturating_mul(128 * 255);
        let over = |bias: &i32| i64::from(*bias).abs().saturating_add(products) >= BOUND;
        if let Some(row) = bias.iter().position(over) {
            return Err(EngineError::Overflow { row, bias: bias[row], inputs });
        }
        Ok(Self { inputs, weights: weights.into(), bias: bias.into(), exponent: exponent.into() })
    }

    /// Numbers that go in.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Numbers that come out.
    pub fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// Weights, row by row.
    pub fn weights(&self) -> &[i8] {
        &self.weights
    }

    /// What each row begins its sum with.
    pub fn bias(&self) -> &[i32] {
        &self.bias
    }

    /// By how many bits each row's sum is shifted.
    pub fn exponent(&self) -> &[u8] {
        &self.exponent
    }

    /// The definition: `y_o` in 64 bits.
    ///
    /// # Panics
    ///
    /// If there is no such output, or `input` has another length than [`Dense::inputs`].
    pub fn output(&self, output: usize, input: &[u8]) -> i64 {
        assert_eq!(input.len(), self.inputs, "a layer takes as many numbers as it has inputs");
        let row = &self.weights[output * self.inputs..][..self.inputs];
        let products = row.iter().zip(input).map(|(weight, input)| i64::from(*weight) * i64::from(*input));
        let sum = i64::from(self.bias[output]) + products.sum::<i64>();
        requantise(sum, self.exponent[output])
    }

    /// The definition of a layer that ends in `ReLU`.
    pub fn relu(&self, input: &[u8]) -> Vec<u8> {
        (0..self.outputs()).map(|output| self.output(output, input).clamp(0, 255) as u8).collect()
    }

    /// The definition of a layer whose outputs are clamped to `-limit..=limit`.
    pub fn signed(&self, input: &[u8], limit: i16) -> Vec<i16> {
        let clamp = |y: i64| y.clamp(-i64::from(limit), i64::from(limit)) as i16;
        (0..self.outputs()).map(|output| clamp(self.output(output, input))).collect()
    }
}

/// A sum over `2^exponent`, rounded half up.
pub(super) fn requantise(sum: i64, exponent: u8) -> i64 {
    let half = if exponent == 0 { 0 } else { 1 << (exponent - 1) };
    (sum + half) >> exponent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_rounded_up_and_negative_numbers_down() {
        assert_eq!([3, 2, 1, 0, -1, -2, -3].map(|sum| requantise(sum, 1)), [2, 1, 1, 0, 0, -1, -1]);
        assert_eq!(requantise(-7, 0), -7);
        assert_eq!(requantise(-9, 2), -2);
        assert_eq!(requantise(-11, 2), -3);
        assert_eq!(requantise(i64::from(i32::MAX), 24), 128);
    }

    #[test]
    fn a_layer_is_its_formula() {
        let layer = Dense::new(3, vec![1, -2, 3, -128, -128, -128], vec![10, -5], vec![0, 10]).unwrap();
        assert_eq!((layer.inputs(), layer.outputs()), (3, 2));
        assert_eq!(layer.output(0, &[1, 2, 3]), 10 + 1 - 4 + 9);
        assert_eq!(layer.output(1, &[255, 255, 255]), -96);
        assert_eq!(layer.relu(&[255, 0, 255]), [255, 0]);
        assert_eq!(layer.signed(&[255, 255, 255], 50), [50, -50]);
    }

    #[test]
    fn parts_that_do_not_fit_or_could_overflow_are_refused() {
        let layer = |inputs, weights, bias, exponent| Dense::new(inputs, vec![1; weights], vec![bias], vec![exponent]);
        assert!(matches!(layer(3, 2, 0, 0), Err(EngineError::Length { .. })));
        assert!(matches!(layer(usize::MAX, 2, 0, 0), Err(EngineError::Length { .. })));
        assert!(matches!(layer(2, 2, 0, 25), Err(EngineError::Range { .. })));
        let most = BOUND as i32 - 2 * 128 * 255;
        assert!(layer(2, 2, most - 1, 24).is_ok());
        assert!(layer(2, 2, 1 - most, 24).is_ok());
        for bias in [most, -most, i32::MIN, i32::MAX] {
            assert!(matches!(layer(2, 2, bias, 24), Err(EngineError::Overflow { row: 0, .. })), "{bias}");
        }
    }
}
