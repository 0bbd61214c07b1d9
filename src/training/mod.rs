//! Training of networks with libtorch: the only home of `tch`.
//!
//! A training ends in an artefact ([`crate::model`]), which codes or draws without libtorch. It runs on the thread that calls it,
//! reads no clock and writes nothing: what it may spend, who hears of its progress and who keeps its checkpoints is the
//! caller's ([`crate::model::Monitor`]). Random numbers come from a seed, and libtorch's own generator is not used, so that the same
//! data and seed make the same bytes, also beside other trainings.

pub mod classifier;
pub mod images;
pub mod latent;
pub mod rows;

mod adam;
mod adversaries;
mod affine;
mod budget;
mod checkpoint;
mod curve;
mod descent;
mod epochs;
mod error;
mod layer;
mod snapshot;

pub use budget::Budget;
pub use error::TrainingError;

/// Makes each operation use the thread that asks for it and no other. On a busy host, more threads are slower by an order of
/// magnitude: they wait for one another.
fn use_one_thread() {
    tch::set_num_threads(1);
}
