//! Small images: their shape, and the bytes that hold their samples.

mod shape;

pub use shape::{Shape, ShapeError};
