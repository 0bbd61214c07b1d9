//! With AVX2.
//!
//! Not with `vpmaddubsw`, whose sums of two products saturate: `255 * 127 + 255 * 127` is more than an i16 holds. Bytes are
//! widened to 16 bits, and `vpmaddwd` adds two products exactly.

#![expect(unsafe_code, reason = "vectors are loaded and stored through pointers made of references")]

use std::arch::x86_64::*;

use super::super::net::NetLayout;
use super::{Active, Block, LANES, Lanes, Place, STRIP, four};

/// Vectors that a block of weights widens to: of four outputs each, four inputs of an output side by side.
const PARTS: usize = 4;

#[inline]
#[target_feature(enable = "avx2")]
fn quarter(block: &Block, part: usize) -> __m256i {
    let bytes = &block.0.as_chunks::<{ 4 * LANES / PARTS }>().0[part];
    // SAFETY: a quarter of a block is 16 bytes.
    _mm256_cvtepi8_epi16(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) })
}

/// Four inputs as 16 bits each, four times.
#[inline]
#[target_feature(enable = "avx2")]
fn widened(inputs: [u8; 4]) -> __m256i {
    _mm256_broadcastq_epi64(_mm_cvtepu8_epi16(_mm_cvtsi32_si128(i32::from_le_bytes(inputs))))
}

/// Eight numbers.
#[inline]
#[target_feature(enable = "avx2")]
fn load(numbers: &[i32; 8]) -> __m256i {
    // SAFETY: eight numbers of four bytes are 32 bytes.
    unsafe { _mm256_loadu_si256(numbers.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(vector: __m256i, numbers: &mut [i32; 8]) {
    // SAFETY: eight numbers of four bytes are 32 bytes.
    unsafe { _mm256_storeu_si256(numbers.as_mut_ptr().cast(), vector) }
}

/// Adds neighbouring numbers of two vectors, and puts the sums in order: those of `a`, then those of `b`.
#[inline]
#[target_feature(enable = "avx2")]
fn pairs(a: __m256i, b: __m256i) -> __m256i {
    _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_hadd_epi32(a, b))
}

/// See [`super::outputs`].
#[target_feature(enable = "avx2")]
pub(super) fn outputs(weights: &[Block], active: &[Active], shift: &[Lanes], sums: &mut [Lanes]) {
    let size = sums.len();
    // Two blocks take eight of the sixteen registers.
    for (first, (sums, shift)) in (0..).step_by(2).zip(sums.chunks_mut(2).zip(shift.chunks(2))) {
        match (sums, shift) {
            ([one, two], [by_one, by_two]) => {
                blocks::<2>(weights, size, first, active, [by_one, by_two], [one, two]);
            }
            ([one], [by_one]) => blocks::<1>(weights, size, first, active, [by_one], [one]),
            other => unreachable!("chunks are of one or two blocks, not {other:?}"),
        }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn blocks<const COUNT: usize>(
    tile: &[Block],
    size: usize,
    first: usize,
    active: &[Active],
    shift: [&Lanes; COUNT],
    lanes: [&mut Lanes; COUNT],
) {
    let mut sums = [[_mm256_setzero_si256(); PARTS]; COUNT];
    for Active { group, inputs } in active {
        let blocks = &tile[*group as usize * size + first..][..COUNT];
        let inputs = widened(*inputs);
        for (sums, block) in sums.iter_mut().zip(blocks) {
            for (part, sum) in sums.iter_mut().enumerate() {
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(inputs, quarter(block, part)));
            }
        }
    }
    for ((sums, shift), lanes) in sums.iter().zip(shift).zip(lanes) {
        let halves = lanes.0.as_chunks_mut::<8>().0.iter_mut().zip(shift.0.as_chunks::<8>().0);
        for (half, (numbers, shift)) in halves.enumerate() {
            let sum = _mm256_add_epi32(load(numbers), pairs(sums[2 * half], sums[2 * half + 1]));
            store(_mm256_srav_epi32(sum, load(shift)), numbers);
        }
    }
}

/// See [`super::tables`].
#[target_feature(enable = "avx2")]
pub(super) fn tables(net: &NetLayout, planes: &[u8], features: &[u8], places: &[Place], tables: &mut [u16]) {
    for (place, table) in places.iter().zip(tables) {
        let mut position = _mm256_setzero_si256();
        let mut scale = _mm256_setzero_si256();
        for part in &net.strips {
            let mut sums = [_mm256_setzero_si256(); 2 * PARTS];
            let (near, own) = part.wide.split_at(net.neighbours.len());
            for (offset, wide) in net.neighbours.iter().zip(near) {
                add_wide(four(planes, place.at.wrapping_add(*offset) as usize), wide, &mut sums);
            }
            for (offset, wide) in net.features.iter().zip(own) {
                add_wide(four(features, (place.features + offset) as usize), wide, &mut sums);
            }
            let start = part.start.each_ref().map(|lanes| lanes.0.as_chunks::<8>().0);
            let shift = part.shift.each_ref().map(|lanes| lanes.0.as_chunks::<8>().0);
            let mut hidden = [_mm256_setzero_si256(); PARTS];
            for (at, hidden) in hidden.iter_mut().enumerate() {
                let sums = _mm256_add_epi32(pairs(sums[2 * at], sums[2 * at + 1]), load(&start[at / 2][at % 2]));
                *hidden = _mm256_srav_epi32(sums, load(&shift[at / 2][at % 2]));
            }
            for half in 0..2 {
                // To 16 bits, saturating, then clamped to 0..=255: the order of the weights is that of the packing.
                let packed = _mm256_packs_epi32(hidden[2 * half], hidden[2 * half + 1]);
                let packed = _mm256_min_epi16(_mm256_max_epi16(packed, _mm256_setzero_si256()), _mm256_set1_epi16(255));
                let weights = part.output_wide.each_ref().map(|wide| &wide[half]);
                position = _mm256_add_epi32(position, _mm256_madd_epi16(packed, sixteen(weights[0])));
                scale = _mm256_add_epi32(scale, _mm256_madd_epi16(packed, sixteen(weights[1])));
            }
        }
        let pairs = _mm256_hadd_epi32(position, scale);
        let fours = _mm256_hadd_epi32(pairs, pairs);
        let both = _mm_add_epi32(_mm256_castsi256_si128(fours), _mm256_extracti128_si256::<1>(fours));
        let outputs = [_mm_cvtsi128_si32(both), _mm_extract_epi32::<1>(both)];
        *table = net.table([net.output_start[0] + outputs[0], net.output_start[1] + outputs[1]]);
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn add_wide(inputs: [u8; 4], wide: &[i16; 4 * STRIP], sums: &mut [__m256i; 2 * PARTS]) {
    let inputs = widened(inputs);
    for (sum, weights) in sums.iter_mut().zip(wide.as_chunks::<16>().0) {
        *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(inputs, sixteen(weights)));
    }
}

/// Sixteen weights of 16 bits.
#[inline]
#[target_feature(enable = "avx2")]
fn sixteen(weights: &[i16; 16]) -> __m256i {
    // SAFETY: sixteen numbers of two bytes are 32 bytes.
    unsafe { _mm256_loadu_si256(weights.as_ptr().cast()) }
}
