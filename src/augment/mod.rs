//! Generated records that can be traced, drawn again and kept apart: what is said of each ([`Lineage`]), how many there may be
//! ([`Quota`]), of which class ([`Balance`]), and how they are known when they come back ([`Emitted`], [`is_generated`]).
//!
//! Pure: the parts of a pipeline that draw and publish are in `pipeline/augment`.

mod balance;
mod emitted;
mod provenance;
mod quota;

pub use balance::Balance;
pub use emitted::{Emitted, digest};
pub use provenance::{
    EVENT_TYPE, Headers, Lineage, Origin, ProvenanceError, SPEC_VERSION, Usage, header, is_generated, seed_of,
};
pub use quota::{Quota, Rate};
