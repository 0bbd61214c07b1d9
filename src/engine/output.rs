//! The second layer of a causal net.

use super::EngineError;
use super::dense::{BOUND, MAX_EXPONENT, requantise};
use super::error::check_length;

/// The outputs of a net: a position, a scale, and a level of zero.
pub const OUTPUTS: usize = 3;

/// Levels of zero.
pub const ZERO_LEVELS: u16 = 256;

/// What a net says, of hidden units: `y_o = floor((b_o + sum_i w_oi u_i + 2^(e_o - 1)) / 2^e_o)`, as in a [`super::Dense`]
/// layer, with weights of 16 bits: these three sums decide how good a net is, and there are few of them.
///
/// # Shapes
///
/// `weights: [3, inputs]` i16, `bias: [3]` i32, `exponent: [3]` 0 to 24. Inputs are u8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    weights: [Box<[i16]>; OUTPUTS],
    bias: [i32; OUTPUTS],
    exponent: [u8; OUTPUTS],
}

impl Output {
    /// A layer from its parts. It is an error if they do not fit one another, or if a sum could leave `i32` for some input.
    pub fn new(
        weights: [Vec<i16>; OUTPUTS],
        bias: [i32; OUTPUTS],
        exponent: [u8; OUTPUTS],
    ) -> Result<Self, EngineError> {
        for row in &weights {
            check_length("a net's second layer", weights[0].len(), row.len())?;
        }
        if let Some(exponent) = exponent.iter().find(|exponent| **exponent > MAX_EXPONENT) {
            let found = i64::from(*exponent);
            return Err(EngineError::Range { what: "an exponent", found, accepted: "0 to 24" });
        }
        for (row, (weights, bias)) in weights.iter().zip(bias).enumerate() {
            let products: i64 = weights.iter().map(|weight| 255 * i64::from(*weight).abs()).sum();
            if i64::from(bias).abs() + products >= BOUND {
                return Err(EngineError::Overflow { row, bias, inputs: weights.len() });
            }
        }
        Ok(Self { weights: weights.map(Vec::into_boxed_slice), bias, exponent })
    }

    /// Hidden units that go in.
    pub fn inputs(&self) -> usize {
        self.weights[0].len()
    }

    /// Weights, of the position, the scale and the level of zero.
    pub fn weights(&self) -> [&[i16]; OUTPUTS] {
        self.weights.each_ref().map(|row| &row[..])
    }

    /// What each sum begins with.
    pub fn bias(&self) -> [i32; OUTPUTS] {
        self.bias
    }

    /// By how many bits each sum is shifted.
    pub fn exponent(&self) -> [u8; OUTPUTS] {
        self.exponent
    }

    /// The definition: `y_o` in 64 bits.
    ///
    /// # Panics
    ///
    /// If there is no such output, or `input` has another length than [`Output::inputs`].
    pub fn output(&self, output: usize, input: &[u8]) -> i64 {
        let row = &self.weights[output];
        assert_eq!(input.len(), row.len(), "a layer takes as many numbers as it has inputs");
        let products = row.iter().zip(input).map(|(weight, input)| i64::from(*weight) * i64::from(*input));
        requantise(i64::from(self.bias[output]) + products.sum::<i64>(), self.exponent[output])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_is_its_formula() {
        let layer = Output::new([vec![1000, -2, 3], vec![-32_768; 3], vec![0; 3]], [10, -5, 7], [0, 16, 0]).unwrap();
        assert_eq!(layer.output(0, &[1, 2, 3]), 10 + 1000 - 4 + 9);
        assert_eq!(layer.output(1, &[255, 255, 255]), -383);
        assert_eq!((layer.output(1, &[0, 0, 0]), layer.output(2, &[9, 9, 9])), (0, 7));
    }

    #[test]
    fn parts_that_do_not_fit_or_could_overflow_are_refused() {
        assert!(matches!(Output::new([vec![1], vec![1], vec![]], [0; 3], [0; 3]), Err(EngineError::Length { .. })));
        assert!(matches!(Output::new([vec![1], vec![1], vec![1]], [0; 3], [0, 0, 25]), Err(EngineError::Range { .. })));
        let most = BOUND as i32 - 255 * 300;
        let with = |weight, bias| Output::new([vec![0, 0], vec![100, weight], vec![0, 0]], [0, bias, 0], [0; 3]);
        for weight in [200, -200] {
            assert!(with(weight, most - 1).is_ok() && with(weight, 1 - most).is_ok());
            for bias in [most, -most, i32::MIN, i32::MAX] {
                assert!(matches!(with(weight, bias), Err(EngineError::Overflow { row: 1, .. })), "{bias}");
            }
        }
        assert!(Output::new([vec![i16::MIN; 255], vec![0; 255], vec![0; 255]], [0; 3], [0; 3]).is_ok());
        assert!(Output::new([vec![i16::MIN; 257], vec![0; 257], vec![0; 257]], [0; 3], [0; 3]).is_err());
    }
}
