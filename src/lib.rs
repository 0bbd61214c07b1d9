//! latentd learns a Kafka topic, writes it smaller, and gives it back exactly.
//!
//! Data flows one way: intake -> interpret -> encode -> deliver. `ARCHITECTURE.md` has the map; a test holds the
//! imports to it. Without the default feature `daemon` the crate is the pure codec path: records, frames,
//! codecs; `decode` adds models from a folder, for consumers that embed the decoder.

pub mod augment;
pub mod codec;
pub mod cost;
pub mod engine;
pub mod entropy;
pub mod frame;
pub mod model;
pub mod payload;
pub mod record;
pub mod units;

#[cfg(feature = "decode")]
pub mod embed;
#[cfg(feature = "quality")]
pub mod quality;

#[cfg(feature = "daemon")]
pub mod admin;
#[cfg(feature = "daemon")]
pub mod cli;
#[cfg(feature = "daemon")]
pub mod config;
#[cfg(feature = "daemon")]
pub mod daemon;
#[cfg(feature = "daemon")]
pub mod pipeline;
#[cfg(feature = "daemon")]
pub mod registry;
#[cfg(feature = "daemon")]
pub mod sink;
#[cfg(feature = "daemon")]
pub mod source;
#[cfg(feature = "daemon")]
pub mod telemetry;
#[cfg(feature = "training")]
pub mod training;
