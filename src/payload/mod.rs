//! Record bytes to typed samples and back, one module for each kind of payload.
//!
//! Pure: no I/O, no clock, no random generator of its own.

pub mod fields;
pub mod image;
