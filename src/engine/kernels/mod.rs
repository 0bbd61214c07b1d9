//! The sums themselves, in plain Rust and in the instructions of some processors.
//!
//! This is the only place with `unsafe` code. Its safety rests on one thing: a function with a `target_feature` runs only on
//! a processor that has it, which [`checked`] holds in every build, or which is part of what the code is built for. Memory is read and written through references whose
//! length the type or a check says.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod floats;
mod portable;
mod rank;
#[cfg(target_arch = "x86_64")]
mod vnni;

pub use rank::rank;

use super::net::NetLayout;
use super::{Dense, Kernel, Name};

/// Outputs of a block.
pub(super) const LANES: usize = 16;

/// Most blocks of a tile.
pub(super) const MAX_TILE: usize = 8;

/// Hidden units that the output of a net is summed over at a time.
pub(super) const STRIP: usize = 2 * LANES;

/// Weights of 16 outputs and 4 inputs: weight `4 * lane + i` is of output `lane` and input `i`.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(super) struct Block(pub [i8; 4 * LANES]);

/// A number for each output of a block.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(super) struct Lanes(pub [i32; LANES]);

/// Four inputs that are not all 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Active {
    pub group: u32,
    pub inputs: [u8; 4],
}

/// A sample that a net is evaluated for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Where it stands among the padded planes.
    pub at: u32,
    /// Where its features begin.
    pub features: u32,
}

/// Neighbours of a row: up to eight bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// Where they begin, counted from the sample, modulo 2^32.
    pub offset: u32,
    /// Bytes that are neighbours, in little-endian order.
    pub mask: u64,
}

impl Span {
    /// The neighbours of a sample, and zeroes between them.
    #[inline(always)]
    pub fn of(self, planes: &[u8], at: u32) -> u64 {
        let at = at.wrapping_add(self.offset) as usize;
        let bytes = planes[at..at + 8].as_array().expect("the slice has eight bytes");
        u64::from_le_bytes(*bytes) & self.mask
    }
}

impl Block {
    /// The weights of outputs from `first` on and of these inputs; 0 where there is none.
    pub fn of(dense: &Dense, first: usize, inputs: &[Option<usize>; 4]) -> Self {
        let weight = |output: usize, input: Option<usize>| match input {
            Some(input) if output < dense.outputs() => dense.weights()[output * dense.inputs() + input],
            _ => 0,
        };
        Self(std::array::from_fn(|at| weight(first + at / 4, inputs[at % 4])))
    }
}

/// Makes the outputs of a tile, yet to be clamped, of what their sums begin with: adds the products of the inputs that are
/// not 0, and shifts. `weights: [groups, sums.len()]`, `shift: [sums.len()]`, of 0 to 24.
pub(super) fn outputs(kernel: Kernel, weights: &[Block], active: &[Active], shift: &[Lanes], sums: &mut [Lanes]) {
    assert_eq!(shift.len(), sums.len(), "each output has a shift");
    match checked(kernel) {
        Kernel::Portable => portable::outputs(weights, active, shift, sums),
        #[cfg(target_arch = "x86_64")]
        #[expect(unsafe_code, reason = "the processor has what the function needs")]
        // SAFETY: `checked` has asked the processor.
        Kernel::Avx2 => unsafe { avx2::outputs(weights, active, shift, sums) },
        #[cfg(target_arch = "x86_64")]
        #[expect(unsafe_code, reason = "the processor has what the function needs")]
        // SAFETY: `checked` has asked the processor.
        Kernel::Vnni => unsafe { vnni::outputs(weights, active, shift, sums) },
        #[cfg(not(target_arch = "x86_64"))]
        Kernel::Avx2 | Kernel::Vnni => portable::outputs(weights, active, shift, sums),
    }
}

/// What names the distributions of samples.
pub(super) fn names(
    kernel: Kernel,
    net: &NetLayout,
    planes: &[u8],
    features: &[u8],
    places: &[Place],
    names: &mut [Name],
) {
    assert_eq!(places.len(), names.len(), "each sample has a name");
    match checked(kernel) {
        Kernel::Portable => portable::names(net, planes, features, places, names),
        #[cfg(target_arch = "x86_64")]
        #[expect(unsafe_code, reason = "the processor has what the function needs")]
        // SAFETY: `checked` has asked the processor.
        Kernel::Avx2 => unsafe { avx2::names(net, planes, features, places, names) },
        #[cfg(target_arch = "x86_64")]
        #[expect(unsafe_code, reason = "the processor has what the function needs")]
        // SAFETY: `checked` has asked the processor.
        Kernel::Vnni => unsafe { vnni::names(net, planes, features, places, names) },
        #[cfg(not(target_arch = "x86_64"))]
        Kernel::Avx2 | Kernel::Vnni => portable::names(net, planes, features, places, names),
    }
}

/// Adds products of floats in the order of inputs; see [`super::floats::add_products`], which has looked at the lengths.
pub(super) fn add_products(
    kernel: Kernel,
    n: usize,
    inputs: &[f32],
    weights: &[f32],
    outputs: usize,
    sums: &mut [f32],
) {
    match checked(kernel) {
        Kernel::Portable => floats::add::<2>(n, inputs, weights, outputs, sums),
        #[cfg(target_arch = "x86_64")]
        #[expect(unsafe_code, reason = "the processor has what the function needs")]
        // SAFETY: `checked` has asked the processor.
        Kernel::Avx2 => unsafe { floats::add_avx2(n, inputs, weights, outputs, sums) },
        #[cfg(target_arch = "x86_64")]
        #[expect(unsafe_code, reason = "the processor has what the function needs")]
        // SAFETY: `checked` has asked the processor.
        Kernel::Vnni => unsafe { floats::add_avx512(n, inputs, weights, outputs, sums) },
        #[cfg(not(target_arch = "x86_64"))]
        Kernel::Avx2 | Kernel::Vnni => floats::add::<2>(n, inputs, weights, outputs, sums),
    }
}

/// A kernel that this processor has. Asking costs a load: the answer is kept by the standard library.
fn checked(kernel: Kernel) -> Kernel {
    assert!(kernel.is_here(), "this processor does not have the kernel {kernel}");
    kernel
}

/// The four bytes from `at` on.
#[inline(always)]
fn four(bytes: &[u8], at: usize) -> [u8; 4] {
    bytes[at..at + 4].as_array().copied().expect("the slice has four bytes")
}
