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

/// See [`super::tables`].
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) fn tables(net: &NetLayout, planes: &[u8], features: &[u8], places: &[Place], tables: &mut [u16]) {
    for (place, table) in places.iter().zip(tables) {
        let mut position = _mm256_setzero_si256();
        let mut scale = _mm256_setzero_si256();
        for part in &net.strips {
            let mut low = load(&part.start[0]);
            let mut high = load(&part.start[1]);
            let (near, own) = part.weights.split_at(net.neighbours.len());
            for (offset, blocks) in net.neighbours.iter().zip(near) {
                let inputs =
                    _mm512_set1_epi32(i32::from_le_bytes(four(planes, place.at.wrapping_add(*offset) as usize)));
                low = _mm512_dpbusd_epi32(low, inputs, weights(&blocks[0]));
                high = _mm512_dpbusd_epi32(high, inputs, weights(&blocks[1]));
            }
            for (offset, blocks) in net.features.iter().zip(own) {
                let inputs = _mm512_set1_epi32(i32::from_le_bytes(four(features, (place.features + offset) as usize)));
                low = _mm512_dpbusd_epi32(low, inputs, weights(&blocks[0]));
                high = _mm512_dpbusd_epi32(high, inputs, weights(&blocks[1]));
            }
            let zero = _mm512_setzero_si512();
            let low = _mm512_max_epi32(_mm512_srav_epi32(low, load(&part.shift[0])), zero);
            let high = _mm512_max_epi32(_mm512_srav_epi32(high, load(&part.shift[1])), zero);
            // Saturating at 255, from numbers that are not negative.
            let hidden = _mm256_set_m128i(_mm512_cvtusepi32_epi8(high), _mm512_cvtusepi32_epi8(low));
            position = _mm256_dpbusd_epi32(position, hidden, strip(&part.output[0]));
            scale = _mm256_dpbusd_epi32(scale, hidden, strip(&part.output[1]));
        }
        // Eight sums each to one: pairs of pairs, then the halves.
        let pairs = _mm256_hadd_epi32(position, scale);
        let fours = _mm256_hadd_epi32(pairs, pairs);
        let both = _mm_add_epi32(_mm256_castsi256_si128(fours), _mm256_extracti128_si256::<1>(fours));
        let outputs = [_mm_cvtsi128_si32(both), _mm_extract_epi32::<1>(both)];
        *table = net.table([net.output_start[0] + outputs[0], net.output_start[1] + outputs[1]]);
    }
}
