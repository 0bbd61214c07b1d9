//! `latent`: small images, coded with a variational autoencoder and a net over the samples next to each one.
//!
//! An image is D samples of 8 bits. The **encoder** makes L integers of it, its *latent*; the **generator** makes F
//! features of the latent for each sample; and a **causal net** makes, of these and of samples that were coded before,
//! the name of the table that the sample is coded with. The latent is written first, each number with a table of its
//! own. So a decoder needs generator, net and tables, and no encoder. With L = 0 there are neither latent nor features.
//!
//! Everything is integers ([`crate::engine`]), so that the same bytes are written and read on every machine.

mod parts;
mod tables;

pub use parts::{Autoencoder, LatentError, LatentParts, MAX_FEATURES, MAX_LATENTS, MAX_LIMIT, MAX_WEIGHTS, MAX_WIDTH};
pub use tables::{MAX_TABLES, SampleTables, frequencies};
