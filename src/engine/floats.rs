//! Sums of floats that come out the same on every machine.
//!
//! What is drawn must be drawn again, but needs no integers for that: IEEE 754 says what each product and each sum of two
//! `f32` is, to the last bit. It is the order of sums, and whether a product is rounded before it is added, that compilers and
//! libraries choose. Here both are stated, and Rust never contracts `a * b + c` into one rounding. A kernel only sets how many
//! outputs are summed side by side, which changes none of them.

use super::Kernel;
use super::kernels;

/// Outputs are padded to a multiple of this.
pub const FLOAT_LANES: usize = 16;

/// The next multiple of [`FLOAT_LANES`].
pub const fn padded(outputs: usize) -> usize {
    outputs.next_multiple_of(FLOAT_LANES)
}

/// `sums[r][o] += inputs[r][0] weights[0][o]`, then `+= inputs[r][1] weights[1][o]`, and so on in the order of inputs: each product is
/// rounded, then each sum.
///
/// # Shapes
///
/// `inputs: [rows, n]`, `weights: [n, outputs]`, `sums: [rows, outputs]`, with `outputs` a multiple of [`FLOAT_LANES`].
///
/// # Panics
///
/// If the lengths are not those of these shapes.
pub fn add_products(kernel: Kernel, n: usize, inputs: &[f32], weights: &[f32], outputs: usize, sums: &mut [f32]) {
    assert!(outputs.is_multiple_of(FLOAT_LANES) && weights.len() == n * outputs, "weights are [n, outputs]");
    if n == 0 || outputs == 0 {
        return;
    }
    assert!(inputs.len().is_multiple_of(n) && inputs.len() / n * outputs == sums.len(), "rows of inputs and of sums");
    kernels::add_products(kernel, n, inputs, weights, outputs, sums);
}

/// `exp(x)` for `x <= 0`, within four units of its last place; 0 below -87. Nothing but products, sums and a shift: the same bits everywhere.
///
/// `x = k ln 2 + r` with `|r| <= ln 2 / 2` (Cody and Waite 1980, *Software Manual for the Elementary Functions*), and the Taylor
/// polynomial of degree 7 for `exp(r)`.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    const LOG2_E: f32 = std::f32::consts::LOG2_E;
    // ln 2 in two parts, of which the products of the first with small integers are exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // Adding and taking away 1.5 * 2^23 rounds to the nearest integer.
    const ROUND: f32 = 12_582_912.0;
    const LEAST: f32 = -87.0;
    let x = x.min(0.0);
    let at = if x < LEAST { LEAST } else { x };
    let k = (at * LOG2_E + ROUND) - ROUND;
    let r = (at - k * LN2_HIGH) - k * LN2_LOW;
    let mut sum = 1.0 / 5040.0;
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        sum = sum * r + coefficient;
    }
    let power = f32::from_bits(((k as i32 + 127) << 23).cast_unsigned());
    if x < LEAST { 0.0 } else { sum * power }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of many sizes and both signs.
    fn numbers(count: usize, seed: u64) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next() * (next() * 12.0).exp2()).collect()
    }

    #[test]
    fn every_kernel_gives_the_bits_of_the_sum_in_order() {
        for (rows, n, outputs) in [(1, 1, 16), (3, 7, 16), (8, 64, 32), (13, 33, 48), (17, 100, 112), (0, 5, 16)] {
            let (inputs, weights) = (numbers(rows * n, 1), numbers(n * outputs, 2));
            let begin = numbers(rows * outputs, 3);
            let mut expected = begin.clone();
            for row in 0..rows {
                for output in 0..outputs {
                    for input in 0..n {
                        let product = inputs[row * n + input] * weights[input * outputs + output];
                        expected[row * outputs + output] += product;
                    }
                }
            }
            for kernel in Kernel::here() {
                let mut sums = begin.clone();
                add_products(kernel, n, &inputs, &weights, outputs, &mut sums);
                let bits = |numbers: &[f32]| numbers.iter().map(|number| number.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(&sums), bits(&expected), "{kernel}, {rows} rows, {n} inputs, {outputs} outputs");
            }
        }
    }

    #[test]
    fn the_exponential_is_exact_to_its_last_bits_and_pinned() {
        let mut worst = 0.0f64;
        for step in 0..200_000 {
            let x = -(step as f32) * 87.0 / 200_000.0;
            let (found, true_value) = (f64::from(exp(x)), f64::from(x).exp());
            worst = worst.max(((found - true_value) / true_value).abs());
        }
        assert!(worst < 4.0 * f64::from(f32::EPSILON), "{worst:e}");
        assert_eq!([0.0, -1e-9, -87.1, f32::NEG_INFINITY].map(exp), [1.0, 1.0, 0.0, 0.0]);
        let mut hash = blake3::Hasher::new();
        for step in 0..20_000 {
            hash.update(&exp(-(step as f32) / 256.0).to_le_bytes());
        }
        assert_eq!(&hash.finalize().to_hex()[..16], "c023e7696d0d6c52");
    }
}
