//! In plain Rust.

use super::super::net::NetLayout;
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

/// See [`super::tables`].
pub(super) fn tables(net: &NetLayout, planes: &[u8], features: &[u8], places: &[Place], tables: &mut [u16]) {
    for (place, table) in places.iter().zip(tables) {
        let mut outputs = net.output_start;
        for strip in &net.strips {
            let mut sums = strip.start;
            let mut groups = strip.weights.iter();
            for offset in &net.neighbours {
                let inputs = four(planes, place.at.wrapping_add(*offset) as usize);
                let blocks = groups.next().expect("there are weights for each group of inputs");
                blocks.iter().zip(&mut sums).for_each(|(block, sums)| add_block(block, inputs, sums));
            }
            for offset in &net.features {
                let inputs = four(features, (place.features + offset) as usize);
                let blocks = groups.next().expect("there are weights for each group of inputs");
                blocks.iter().zip(&mut sums).for_each(|(block, sums)| add_block(block, inputs, sums));
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
        *table = net.table(outputs);
    }
}
