//! With AVX2.
//!
//! Not with `vpmaddubsw`, whose sums of two products saturate: `255 * 127 + 255 * 127` is more than an i16 holds. Bytes are
//! widened to 16 bits, and `vpmaddwd` adds two products exactly.

#![expect(unsafe_code, reason = "vectors are loaded and stored through pointers made of references")]

use std::arch::x86_64::*;

use super::super::net::NetLayout;
use super::super::{Name, OUTPUTS};
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

/// See [`super::names`].
#[target_feature(enable = "avx2")]
pub(super) fn names(net: &NetLayout, planes: &[u8], features: &[u8], places: &[Place], names: &mut [Name]) {
    let (pairs, rest) = places.as_chunks::<2>();
    let (names_of_pairs, names_of_rest) = names.as_chunks_mut::<2>();
    for (places, names) in pairs.iter().zip(names_of_pairs) {
        *names = some_names(net, planes, features, places);
    }
    if let ([place], [name]) = (rest, names_of_rest) {
        [*name] = some_names(net, planes, features, &[*place]);
    }
}

/// The names of one sample or two: a vector of weights is loaded once for both.
#[inline]
#[target_feature(enable = "avx2")]
fn some_names<const COUNT: usize>(
    net: &NetLayout,
    planes: &[u8],
    features: &[u8],
    places: &[Place; COUNT],
) -> [Name; COUNT] {
    let mut outputs = [[_mm256_setzero_si256(); OUTPUTS]; COUNT];
    for part in &net.strips {
        let [low, high] = part.start.each_ref().map(|lanes| lanes.0.as_chunks::<8>().0);
        let mut sums = [[load(&low[0]), load(&low[1]), load(&high[0]), load(&high[1])]; COUNT];
        let (near, own) = part.wide.split_at(net.neighbours.len());
        for (offset, wide) in net.neighbours.iter().zip(near) {
            add_group(wide, planes, places.each_ref().map(|place| place.at.wrapping_add(*offset) as usize), &mut sums);
        }
        for (offset, wide) in net.features.iter().zip(own) {
            add_group(wide, features, places.each_ref().map(|place| (place.features + offset) as usize), &mut sums);
        }
        let shift = part.shift.each_ref().map(|lanes| lanes.0.as_chunks::<8>().0);
        for half in 0..2 {
            let weights = part.output_packed.each_ref().map(|weights| sixteen(&weights[half]));
            for (sums, outputs) in sums.iter().zip(&mut outputs) {
                let hidden = [0, 1].map(|at| _mm256_srav_epi32(sums[2 * half + at], load(&shift[half][at])));
                // To 16 bits, saturating, then clamped to 0..=255: the order of the weights is that of the packing.
                let packed = _mm256_packs_epi32(hidden[0], hidden[1]);
                let packed = _mm256_min_epi16(_mm256_max_epi16(packed, _mm256_setzero_si256()), _mm256_set1_epi16(255));
                for (sum, weights) in outputs.iter_mut().zip(weights) {
                    *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(packed, weights));
                }
            }
        }
    }
    let mut names = [Name(0); COUNT];
    for (named, outputs) in names.iter_mut().zip(&outputs) {
        *named = name(net, outputs);
    }
    names
}

/// Adds the products of four inputs of each sample to its sums. Groups of zeroes are not left out: to find them takes longer.
#[inline]
#[target_feature(enable = "avx2")]
fn add_group<const COUNT: usize>(
    wide: &[[i16; 2 * STRIP]; 2],
    bytes: &[u8],
    at: [usize; COUNT],
    sums: &mut [[__m256i; PARTS]; COUNT],
) {
    // The first two bytes of each four as numbers of 16 bits, and the others.
    let spread = [0x80_01_80_00_u32, 0x80_03_80_02].map(|bytes| _mm256_set1_epi32(bytes.cast_signed()));
    let inputs = at.map(|at| _mm256_set1_epi32(i32::from_le_bytes(four(bytes, at))));
    for (weights, spread) in wide.iter().zip(spread) {
        let mut pairs = [_mm256_setzero_si256(); COUNT];
        for (pair, inputs) in pairs.iter_mut().zip(inputs) {
            *pair = _mm256_shuffle_epi8(inputs, spread);
        }
        for (part, weights) in weights.as_chunks::<16>().0.iter().enumerate() {
            let weights = sixteen(weights);
            for (sums, pair) in sums.iter_mut().zip(pairs) {
                sums[part] = _mm256_add_epi32(sums[part], _mm256_madd_epi16(pair, weights));
            }
        }
    }
}

/// The name that eight sums of each output make.
#[inline]
#[target_feature(enable = "avx2")]
fn name(net: &NetLayout, outputs: &[__m256i; OUTPUTS]) -> Name {
    let [position, scale, zero] = *outputs;
    let fours = _mm256_hadd_epi32(_mm256_hadd_epi32(position, scale), _mm256_hadd_epi32(zero, _mm256_setzero_si256()));
    let sums = _mm_add_epi32(_mm256_castsi256_si128(fours), _mm256_extracti128_si256::<1>(fours));
    let four = |[a, b, c, d]: [i32; OUTPUTS + 1]| _mm_set_epi32(d, c, b, a);
    let sums = _mm_srav_epi32(_mm_add_epi32(sums, four(net.output_start)), four(net.output_shift));
    let clamped = _mm_min_epi32(_mm_max_epi32(sums, _mm_setzero_si128()), four(net.output_most));
    let parts = _mm_mullo_epi32(clamped, four(net.output_factor));
    let pairs = _mm_hadd_epi32(parts, parts);
    Name(_mm_cvtsi128_si32(_mm_hadd_epi32(pairs, pairs)) as u32)
}

/// Sixteen weights of 16 bits.
#[inline]
#[target_feature(enable = "avx2")]
fn sixteen(weights: &[i16; 16]) -> __m256i {
    // SAFETY: sixteen numbers of two bytes are 32 bytes.
    unsafe { _mm256_loadu_si256(weights.as_ptr().cast()) }
}
