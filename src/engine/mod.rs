//! Integer inference: small networks whose outputs are the same integers on every machine.
//!
//! Whatever drives an entropy coder must come out the same where it is decoded. Sums of floats do not: their order, and
//! so their rounding, depends on the batch and on the processor. Here weights are `i8`, inputs `u8`, sums exact, and
//! every layer ends in a shift that rounds half up (*requantisation*; Jacob et al. 2018, arXiv:1712.05877, with the
//! multiplier a power of two).
//!
//! * [`Dense`]: a layer. What it computes is defined in `i64`, and no sum leaves `i32`: [`Dense::new`] refuses weights
//!   with which one could.
//! * [`CausalNet`]: the net that tells a sample's distribution from those before it.
//! * [`add_products`] and [`exp`]: floats in a stated order, for what draws and codes nothing.
//! * [`rank`]: where a number stands among eight, for decoders that look for a symbol.
//! * [`Layer`] and [`CausalNets`] evaluate them with a [`Kernel`]: plain `i32`, AVX2 or AVX-512 VNNI. Each gives what the
//!   definition gives, bit by bit.

mod causal;
mod causal_nets;
mod dense;
mod error;
mod floats;
mod kernel;
mod kernels;
mod layer;
mod net;
mod output;

pub use causal::{CausalNet, MAX_HIDDEN, MAX_NEIGHBOURS, MAX_OFFSET, Name, Neighbour};
pub use causal_nets::{Around, CausalNets, Planes};
pub use dense::{Dense, MAX_EXPONENT};
pub use error::EngineError;
pub use floats::{FLOAT_LANES, add_products, exp, padded};
pub use kernel::Kernel;
pub use kernels::rank;
pub use layer::{Layer, Scratch};
pub use output::{OUTPUTS, Output, ZERO_LEVELS};

#[cfg(test)]
mod tests;
