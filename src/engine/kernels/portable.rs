//! In plain Rust.

use super::super::net::NetLayout;
use super::super::{Name, OUTPUTS};
use super::{Active, Block, LANES, Lanes, Place, STRIP, four};

/// See [`super::outputs`].
pub(super) fn outputs(weights: &[Block], active: &[Active], shift: &[Lanes], sums: &mut [Lanes]) {
    let size = sums.len();
    for Active { group, inputs } in active {
        let blocks = &weights[*group as usize * size..][..size];
        for (block, sums) in blocks.iter().zip(&mut *sums) {
            add_block(block, *inputs, sums);
        }
    }
    for (sums, shift) in sums.iter_mut().zip(shift) {
        sums.0.iter_mut().zip(&shift.0).for_each(|(sum, shift)| *sum >>= shift);
    }
}

#[inline(always)]
fn add_block(block: &Block, inputs: [u8; 4], sums: &mut Lanes) {
    let inputs = inputs.map(i32::from);
    for (weights, sum) in block.0.as_chunks::<4>().0.iter().zip(&mut sums.0) {
        let products: [i32; 4] = std::array::from_fn(|at| i32::from(weights[at]) * inputs[at]);
        *sum += products[0] + products[1] + products[2] + products[3];
    }
}

/// Products of two numbers of 16 bits side by side, added: what compilers have an instruction for on most processors.
#[inline(always)]
fn add_wide(wide: &[[i16; 2 * STRIP]; 2], inputs: [u8; 4], sums: &mut [Lanes; 2]) {
    let inputs = inputs.map(i16::from);
    for (half, wide) in wide.iter().enumerate() {
        let (even, odd) = (i32::from(inputs[2 * half]), i32::from(inputs[2 * half + 1]));
        for (sums, weights) in sums.iter_mut().zip(wide.as_chunks::<{ 2 * LANES }>().0) {
            for (sum, [first, second]) in sums.0.iter_mut().zip(weights.as_chunks::<2>().0) {
                *sum += i32::from(*first) * even + i32::from(*second) * odd;
            }
        }
    }
}

/// See [`super::names`].
pub(super) fn names(net: &NetLayout, planes: &[u8], features: &[u8], places: &[Place], names: &mut [Name]) {
    for (place, name) in places.iter().zip(names) {
        let [mut outputs @ .., _]: [i32; OUTPUTS + 1] = net.output_start;
        for strip in &net.strips {
            let mut sums = strip.start;
            let (near, own) = strip.wide.split_at(net.neighbours.len());
            for (offset, wide) in net.neighbours.iter().zip(near) {
                add_wide(wide, four(planes, place.at.wrapping_add(*offset) as usize), &mut sums);
            }
            for (offset, wide) in net.features.iter().zip(own) {
                add_wide(wide, four(features, (place.features + offset) as usize), &mut sums);
            }
            let mut hidden = [0; STRIP];
            for ((sums, shift), hidden) in sums.iter().zip(&strip.shift).zip(hidden.as_chunks_mut::<LANES>().0) {
                for ((sum, shift), hidden) in sums.0.iter().zip(&shift.0).zip(hidden) {
                    *hidden = (sum >> shift).clamp(0, 255);
                }
            }
            for (output, weights) in outputs.iter_mut().zip(&strip.output) {
                *output += hidden.iter().zip(weights).map(|(hidden, weight)| hidden * i32::from(*weight)).sum::<i32>();
            }
        }
        *name = net.name(outputs);
    }
}
