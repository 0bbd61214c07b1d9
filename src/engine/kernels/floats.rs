//! Sums of floats, in order. The code is plain Rust, compiled for each processor's vectors: no intrinsics, no contraction.

use super::super::FLOAT_LANES;

/// Adds the products of some rows. `ROWS` of them are summed at once, so that a weight is loaded once for all of them and sums
/// wait for one another less.
#[inline(always)]
pub(super) fn add<const ROWS: usize>(n: usize, inputs: &[f32], weights: &[f32], outputs: usize, sums: &mut [f32]) {
    let mut inputs = inputs.chunks_exact(ROWS * n);
    let mut sums = sums.chunks_exact_mut(ROWS * outputs);
    for (inputs, sums) in inputs.by_ref().zip(sums.by_ref()) {
        tile::<ROWS>(n, inputs, weights, outputs, sums);
    }
    let rest = inputs.remainder().chunks_exact(n);
    for (inputs, sums) in rest.zip(sums.into_remainder().chunks_exact_mut(outputs)) {
        tile::<1>(n, inputs, weights, outputs, sums);
    }
}

#[inline(always)]
fn tile<const ROWS: usize>(n: usize, inputs: &[f32], weights: &[f32], outputs: usize, sums: &mut [f32]) {
    let rows: [&[f32]; ROWS] = std::array::from_fn(|row| &inputs[row * n..][..n]);
    for first in (0..outputs).step_by(FLOAT_LANES) {
        let mut lanes = [[0.0f32; FLOAT_LANES]; ROWS];
        for (row, lanes) in lanes.iter_mut().enumerate() {
            lanes.copy_from_slice(&sums[row * outputs + first..][..FLOAT_LANES]);
        }
        for (input, weights) in weights.chunks_exact(outputs).enumerate() {
            let weights = weights[first..].first_chunk::<FLOAT_LANES>().expect("outputs are a multiple of the lanes");
            for (row, lanes) in rows.iter().zip(&mut lanes) {
                let factor = row[input];
                for (sum, weight) in lanes.iter_mut().zip(weights) {
                    *sum += factor * weight;
                }
            }
        }
        for (row, lanes) in lanes.iter().enumerate() {
            sums[row * outputs + first..][..FLOAT_LANES].copy_from_slice(lanes);
        }
    }
}

/// With AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
pub(super) fn add_avx2(n: usize, inputs: &[f32], weights: &[f32], outputs: usize, sums: &mut [f32]) {
    add::<4>(n, inputs, weights, outputs, sums);
}

/// With AVX-512.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl")]
pub(super) fn add_avx512(n: usize, inputs: &[f32], weights: &[f32], outputs: usize, sums: &mut [f32]) {
    add::<8>(n, inputs, weights, outputs, sums);
}
