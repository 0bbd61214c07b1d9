//! Small images: their shape, and the bytes that hold their samples.

mod shape;
mod wrapping;

pub use shape::{SIDES, Shape, ShapeError};
pub use wrapping::{MAX_HEADER, Wrapping};
