//! Which instructions do the sums.

use std::fmt;

/// A way to evaluate layers and nets. All give the same integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kernel {
    /// Plain Rust in `i32`, for every processor.
    Portable,
    /// x86-64 with AVX2: products of 16 bits, two of them added at a time.
    Avx2,
    /// x86-64 with AVX-512 VNNI: four products of 8 bits added to a sum at a time.
    Vnni,
}

impl Kernel {
    /// All there are, the fastest last.
    pub const ALL: [Self; 3] = [Self::Portable, Self::Avx2, Self::Vnni];

    /// The fastest that this processor has.
    pub fn best() -> Self {
        Self::here().last().unwrap_or(Self::Portable)
    }

    /// Those that this processor has, the fastest last.
    pub fn here() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|kernel| kernel.is_here())
    }

    /// Whether this processor has the instructions.
    pub fn is_here(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2"),
            #[cfg(target_arch = "x86_64")]
            Self::Vnni => {
                is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512vnni")
            }
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Vnni => false,
        }
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Vnni => "avx512-vnni",
        })
    }
}
