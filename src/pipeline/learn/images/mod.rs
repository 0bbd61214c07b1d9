//! Images: which records are some, and what a training makes of them.

#[cfg(feature = "training")]
mod libtorch;
#[cfg(not(feature = "training"))]
mod without;

use std::time::Duration;

use crate::payload::image::Shape;

/// Where random numbers begin, where nobody says it.
pub const SEED: u64 = 0;

/// Images of one shape. How they are learned is in `libtorch`, or in `without` where this program is built without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Images {
    /// Their shape.
    pub shape: Shape,
    /// CPU time of a training.
    pub cpu: Duration,
    /// Where its random numbers begin.
    pub seed: u64,
}
