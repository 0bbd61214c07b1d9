//! With AVX-512 VNNI.
//!
//! `vpdpbusd` adds four products of u8 and i8 to an i32. It does not saturate, neither between the products nor in the sum
//! (that is `vpdpbusds`), and no sum leaves `i32` ([`super::super::Dense::new`]).

#![expect(unsafe_code, reason = "vectors are loaded and stored through pointers made of references")]

use std::arch::x86_64::*;

use super::super::net::NetLayout;
use super::{Active, Block, Lanes, Place, STRIP, four};

#[inline]
#[target_feature(enable = "avx512f")]
fn weights(block: &Block) -> __m512i {
    // SAFETY: a block is 64 bytes.
    unsafe { _mm512_loadu_si512(block.0.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(lanes: &Lanes) -> __m512i {
    // SAFETY: sixteen numbers of four bytes are 64 bytes.
    unsafe { _mm512_loadu_si512(lanes.0.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(sums: __m512i, lanes: &mut Lanes) {
    // SAFETY: sixteen numbers of four bytes are 64 bytes.
    unsafe { _mm512_storeu_si512(lanes.0.as_mut_ptr().cast(), sums) }
}

#[inline]
#[target_feature(enable = "avx")]
fn strip(weights: &[i8; STRIP]) -> __m256i {
    // SAFETY: a strip is 32 bytes.
    unsafe { _mm256_loadu_si256(weights.as_ptr().cast()) }
}

/// See [`super::outputs`].
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) fn outputs(weights: &[Block], active: &[Active], shift: &[Lanes], sums: &mut [Lanes]) {
    match sums.len() {
        8 => tile::<8>(weights, active, shift, sums),
        4 => tile::<4>(weights, active, shift, sums),
        2 => tile::<2>(weights, active, shift, sums),
        1 => tile::<1>(weights, active, shift, sums),
        other => unreachable!("a tile has 1, 2, 4 or 8 blocks, not {other}"),
    }
}

#[inline]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
fn tile<const SIZE: usize>(tile: &[Block], active: &[Active], shift: &[Lanes], lanes: &mut [Lanes]) {
    let mut sums = [_mm512_setzero_si512(); SIZE];
    for (sums, lanes) in sums.iter_mut().zip(&*lanes) {
        *sums = load(lanes);
    }
    for Active { group, inputs } in active {
        let blocks = tile[*group as usize * SIZE..][..SIZE].as_array::<SIZE>().expect("the slice has this length");
        let inputs = _mm512_set1_epi32(i32::from_le_bytes(*inputs));
        for (sums, block) in sums.iter_mut().zip(blocks) {
            *sums = _mm512_dpbusd_epi32(*sums, inputs, weights(block));
        }
    }
    for ((sums, shift), lanes) in sums.iter().zip(shift).zip(lanes) {
        store(_mm512_srav_epi32(*sums, load(shift)), lanes);
    }
}

/// Samples that are evaluated together: a vector of weights is loaded once for all of them.
const TOGETHER: usize = 4;

/// See [`super::tables`].
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) fn tables(net: &NetLayout, planes: &[u8], features: &[u8], places: &[Place], tables: &mut [u16]) {
    let (fours, rest) = places.as_chunks::<TOGETHER>();
    let (tables_of_fours, tables_of_rest) = tables.as_chunks_mut::<TOGETHER>();
    for (places, tables) in fours.iter().zip(tables_of_fours) {
        *tables = some_tables(net, planes, features, places);
    }
    match *rest {
        [] => {}
        [one] => tables_of_rest.copy_from_slice(&some_tables(net, planes, features, &[one])[..1]),
        [one, two] => tables_of_rest.copy_from_slice(&some_tables(net, planes, features, &[one, two])[..2]),
        // As good as four.
        _ => {
            let places = std::array::from_fn(|at| rest[at.min(rest.len() - 1)]);
            tables_of_rest.copy_from_slice(&some_tables::<TOGETHER>(net, planes, features, &places)[..rest.len()]);
        }
    }
}

/// The tables of a few samples; behind them anything.
#[inline]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
fn some_tables<const COUNT: usize>(
    net: &NetLayout,
    planes: &[u8],
    features: &[u8],
    places: &[Place; COUNT],
) -> [u16; TOGETHER] {
    let mut position = [_mm256_setzero_si256(); TOGETHER];
    let mut scale = [_mm256_setzero_si256(); TOGETHER];
    for part in &net.strips {
        let mut low = [load(&part.start[0]); COUNT];
        let mut high = [load(&part.start[1]); COUNT];
        let mut add = |bytes: &[u8], at: [usize; COUNT], blocks: &[Block; 2]| {
            let blocks = blocks.each_ref().map(|block| weights(block));
            for ((low, high), at) in low.iter_mut().zip(&mut high).zip(at) {
                let inputs = _mm512_set1_epi32(i32::from_le_bytes(four(bytes, at)));
                *low = _mm512_dpbusd_epi32(*low, inputs, blocks[0]);
                *high = _mm512_dpbusd_epi32(*high, inputs, blocks[1]);
            }
        };
        let (near, own) = part.weights.split_at(net.neighbours.len());
        for (offset, blocks) in net.neighbours.iter().zip(near) {
            add(planes, places.map(|place| place.at.wrapping_add(*offset) as usize), blocks);
        }
        for (offset, blocks) in net.features.iter().zip(own) {
            add(features, places.map(|place| (place.features + offset) as usize), blocks);
        }
        let (zero, shift) = (_mm512_setzero_si512(), part.shift.each_ref().map(|lanes| load(lanes)));
        let output = part.output.each_ref().map(|row| strip(row));
        for (at, (low, high)) in low.into_iter().zip(high).enumerate() {
            let low = _mm512_max_epi32(_mm512_srav_epi32(low, shift[0]), zero);
            let high = _mm512_max_epi32(_mm512_srav_epi32(high, shift[1]), zero);
            // Saturating at 255, from numbers that are not negative.
            let hidden = _mm256_set_m128i(_mm512_cvtusepi32_epi8(high), _mm512_cvtusepi32_epi8(low));
            position[at] = _mm256_dpbusd_epi32(position[at], hidden, output[0]);
            scale[at] = _mm256_dpbusd_epi32(scale[at], hidden, output[1]);
        }
    }
    // Eight sums each to one: pairs of pairs, then the halves. A vector has position and scale of two samples.
    let two = |first: usize| {
        let fours = _mm256_hadd_epi32(
            _mm256_hadd_epi32(position[first], scale[first]),
            _mm256_hadd_epi32(position[first + 1], scale[first + 1]),
        );
        _mm_add_epi32(_mm256_castsi256_si128(fours), _mm256_extracti128_si256::<1>(fours))
    };
    let sums = _mm256_set_m128i(two(2), two(0));
    let numbers = |[position, scale]: [i32; 2]| {
        _mm256_set_epi32(scale, position, scale, position, scale, position, scale, position)
    };
    let sums = _mm256_srav_epi32(_mm256_add_epi32(sums, numbers(net.output_start)), numbers(net.output_shift));
    let most = net.limits.map(|limit| i32::from(limit) - 1);
    let clamped = _mm256_min_epi32(_mm256_max_epi32(sums, _mm256_setzero_si256()), numbers(most));
    let factor = numbers([i32::from(net.limits[1]), 1]);
    let products = _mm256_mullo_epi32(clamped, factor);
    let tables = _mm256_hadd_epi32(products, products);
    let (low, high) = (_mm256_castsi256_si128(tables), _mm256_extracti128_si256::<1>(tables));
    [
        _mm_extract_epi16::<0>(low) as u16,
        _mm_extract_epi16::<2>(low) as u16,
        _mm_extract_epi16::<0>(high) as u16,
        _mm_extract_epi16::<2>(high) as u16,
    ]
}
