//! Entropy coding: symbols of known probabilities to as many bits as they carry, and back.
//!
//! A range asymmetric numeral system (Duda 2013, *Asymmetric numeral systems*, arXiv:1311.2540): 64-bit states, 32-bit
//! words, probabilities in units of 2^-1 to 2^-16. Integer arithmetic only, so that every machine writes and reads the
//! same bytes. `FORMAT.md` has the stream bit by bit.
//!
//! * [`Table`]: how often each symbol of an alphabet of up to 65,536 is expected, as frequencies that sum to a power of
//!   two. Made from counts, from frequencies, or from what another table wrote.
//! * [`Encoder`]: takes symbols and raw bits in the order in which they will be decoded. It codes them in
//!   [`Encoder::finish`], backwards: the last one in is the first one out.
//! * [`Decoder`]: gives them back. The caller knows how many there are, and how long the stream is.
//!
//! ```
//! use latentd::entropy::{Decoder, Encoder, Table};
//!
//! let table = Table::from_counts(&[70, 20, 0, 10], 12)?;
//! let mut encoder = Encoder::default();
//! for symbol in [0, 3, 0, 1] {
//!     table.encode(symbol, &mut encoder);
//! }
//! encoder.push_raw(0xbeef, 16);
//! let mut stream = Vec::new();
//! encoder.finish::<1>(&mut stream);
//!
//! let mut decoder = Decoder::<1>::new(&stream)?;
//! assert_eq!([(); 4].map(|()| table.decode(&mut decoder)), [0, 3, 0, 1]);
//! assert_eq!(decoder.raw(16), 0xbeef);
//! decoder.finish()?;
//! # Ok::<(), latentd::entropy::EntropyError>(())
//! ```
//!
//! # Lanes
//!
//! A state depends on the one before it, and a core can do more at once than one such chain. With `LANES` states that
//! take turns it works on as many symbols at a time; they share one stream of words. Encoder and decoder need the same
//! number. One lane is the smallest and good for single records; two to eight are faster on blocks.
//!
//! # What it costs
//!
//! A stream begins with an empty state and must end with it. The first symbols to be coded, which are the last to be
//! decoded, fill it densely: a record takes about a third of a byte more than its information, whole bytes included. Each
//! lane beside the first takes some 5 bits more, once the stream has 4 bytes for each lane (`docs/codecs/entropy.md`).
//!
//! That the state is empty at the end is checked and costs nothing, but it is no checksum: damage that takes a symbol for
//! another of the same frequency leaves the states as they were, and a stream that runs out early goes on with likely
//! symbols and ends well. Frames carry a checksum of their content.

mod decoder;
mod encoder;
mod error;
mod interval;
mod normalise;
mod serial;
mod share;
mod slots;
mod table;

pub use decoder::Decoder;
pub use encoder::Encoder;
pub use error::EntropyError;
pub use interval::Interval;
pub use share::{Share, Slots};
pub use table::Table;

/// The most bits of a probability: frequencies sum to 2^16 at most.
pub const MAX_BITS: u32 = 16;

/// The most symbols of an alphabet.
pub const MAX_SYMBOLS: usize = 1 << 16;

/// The most lanes of a stream.
pub const MAX_LANES: usize = 16;

/// States are at least this large while there are words to read: 2^31.
const LOWER_BOUND: u64 = 1 << 31;

/// What a state of a lane beside the first is when it begins: this and a word.
const FRESH_LANE: u64 = 1 << 32;

/// Raw bits are coded in pieces of so many, the lowest first.
const RAW_PIECE: u32 = 16;

/// Bits that say how long a lane's state is, beyond 32.
const LANE_LENGTH_BITS: u32 = 5;
