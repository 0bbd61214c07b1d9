//! With AVX-512 VNNI.
//!
//! `vpdpbusd` adds four products of u8 and i8 to an i32. It does not saturate, neither between the products nor in the sum
//! (that is `vpdpbusds`), and no sum leaves `i32` ([`super::super::Dense::new`]).

#![expect(unsafe_code, reason = "vectors are loaded and stored through pointers made of references")]

use std::arch::x86_64::*;

use super::super::net::NetLayout;
use super::super::{Name, OUTPUTS};
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
#[target_feature(enable = "avx512f")]
fn strip(weights: &[i16; STRIP]) -> __m512i {
    // SAFETY: 32 numbers of two bytes are 64 bytes.
    unsafe { _mm512_loadu_si512(weights.as_ptr().cast()) }
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

/// See [`super::names`].
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) fn names(net: &NetLayout, planes: &[u8], features: &[u8], places: &[Place], names: &mut [Name]) {
    let (fours, rest) = places.as_chunks::<TOGETHER>();
    let (names_of_fours, names_of_rest) = names.as_chunks_mut::<TOGETHER>();
    for (places, names) in fours.iter().zip(names_of_fours) {
        *names = some_names(net, planes, features, places);
    }
    match *rest {
        [] => {}
        [one] => names_of_rest.copy_from_slice(&some_names(net, planes, features, &[one])[..1]),
        [one, two] => names_of_rest.copy_from_slice(&some_names(net, planes, features, &[one, two])[..2]),
        // As good as four.
        _ => {
            let places = std::array::from_fn(|at| rest[at.min(rest.len() - 1)]);
            names_of_rest.copy_from_slice(&some_names::<TOGETHER>(net, planes, features, &places)[..rest.len()]);
        }
    }
}

/// The names of a few samples; behind them anything.
#[inline]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
fn some_names<const COUNT: usize>(
    net: &NetLayout,
    planes: &[u8],
    features: &[u8],
    places: &[Place; COUNT],
) -> [Name; TOGETHER] {
    let mut outputs = [[_mm512_setzero_si512(); OUTPUTS]; TOGETHER];
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
        let (zero, most) = (_mm512_setzero_si512(), _mm512_set1_epi16(255));
        let shift = part.shift.each_ref().map(|lanes| load(lanes));
        let weights = part.output.each_ref().map(|row| strip(row));
        for (outputs, (low, high)) in outputs.iter_mut().zip(low.into_iter().zip(high)) {
            let low = _mm512_max_epi32(_mm512_srav_epi32(low, shift[0]), zero);
            let high = _mm512_max_epi32(_mm512_srav_epi32(high, shift[1]), zero);
            // To 16 bits, saturating, from numbers that are not negative.
            let hidden = _mm512_inserti64x4::<1>(
                _mm512_castsi256_si512(_mm512_cvtusepi32_epi16(low)),
                _mm512_cvtusepi32_epi16(high),
            );
            let hidden = _mm512_min_epu16(hidden, most);
            for (sums, weights) in outputs.iter_mut().zip(weights) {
                *sums = _mm512_dpwssd_epi32(*sums, hidden, weights);
            }
        }
    }
    let two = |first: usize| two_names(net, &outputs[first], &outputs[first + 1]);
    let ([one, two], [three, four]) = (two(0), if COUNT > 2 { two(2) } else { [Name(0); 2] });
    [one, two, three, four]
}

/// The names that the outputs of two samples make, sixteen sums of each.
#[inline]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
fn two_names(net: &NetLayout, one: &[__m512i; OUTPUTS], two: &[__m512i; OUTPUTS]) -> [Name; 2] {
    let halves = |sums: __m512i| _mm256_add_epi32(_mm512_castsi512_si256(sums), _mm512_extracti64x4_epi64::<1>(sums));
    // Position, scale, level of zero and nothing, twice.
    let quarters = |sums: &[__m512i; OUTPUTS]| {
        let [position, scale, zero] = sums.map(halves);
        _mm256_hadd_epi32(_mm256_hadd_epi32(position, scale), _mm256_hadd_epi32(zero, _mm256_setzero_si256()))
    };
    let (one, two) = (quarters(one), quarters(two));
    let sums =
        _mm256_add_epi32(_mm256_permute2x128_si256::<0x20>(one, two), _mm256_permute2x128_si256::<0x31>(one, two));
    let twice = |numbers: &[i32; OUTPUTS + 1]| {
        let [position, scale, zero, nothing] = *numbers;
        _mm256_set_epi32(nothing, zero, scale, position, nothing, zero, scale, position)
    };
    let sums = _mm256_srav_epi32(_mm256_add_epi32(sums, twice(&net.output_start)), twice(&net.output_shift));
    let clamped = _mm256_min_epi32(_mm256_max_epi32(sums, _mm256_setzero_si256()), twice(&net.output_most));
    let parts = _mm256_mullo_epi32(clamped, twice(&net.output_factor));
    let pairs = _mm256_hadd_epi32(parts, parts);
    let names = _mm256_hadd_epi32(pairs, pairs);
    [_mm256_extract_epi32::<0>(names), _mm256_extract_epi32::<4>(names)].map(|name| Name(name as u32))
}
