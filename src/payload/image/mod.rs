//! Small images: their shape, and the bytes that hold their samples.

mod deflate;
mod png;
mod shape;
mod wrapping;

pub use deflate::Settings;
pub use png::{MAX_FILTER, Png};
pub use shape::{SIDES, Shape, ShapeError};
pub use wrapping::{MAX_HEADER, Opened, Wrapping};
