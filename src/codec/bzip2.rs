//! bzip2 streams.
//!
//! `encode` writes one stream. `decode` reads a stream or several laid end to end, as the `bzip2` program does. Neither
//! coder can be reset in any way that the format's library has, so each record makes its own. The block size is fitted to
//! the record, so that a small one costs a tenth of the memory; the megabyte that is left is why this is no codec for the
//! `record` layout.

use compression_codecs::bzip2::params::Bzip2EncoderParams;
use compression_codecs::{BzDecoder, BzEncoder};
use compression_core::Level;

use super::sink::Sink;
use super::{Algorithm, Codec, CodecError, stream};

const MAGIC: [u8; 3] = *b"BZh";
/// Zero is bzip2's own default effort.
const WORK_FACTOR: u32 = 0;

/// bzip2 streams.
pub struct Bzip2Codec {
    level: usize,
}

impl Bzip2Codec {
    /// Levels 1 to 9: the block size in units of 100,000 bytes.
    pub fn new(level: u32) -> Self {
        Self { level: level as usize }
    }
}

impl Codec for Bzip2Codec {
    fn algorithm(&self) -> Algorithm {
        Algorithm::Bzip2
    }

    fn encode(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<(), CodecError> {
        // Run lengths come before the block is cut and make at most five bytes of four; a block holds 19 bytes less
        // than its name.
        let needed = (input.len() + input.len() / 4 + 20).div_ceil(100_000);
        let level = self.level.min(needed) as i32;
        let mut encoder = BzEncoder::new(Bzip2EncoderParams::from(Level::Precise(level)), WORK_FACTOR);
        let mut sink = Sink::unbounded(output);
        let bound = input.len() + input.len() / 100 + 600;
        stream::encode(&mut encoder, Algorithm::Bzip2, input, bound, &mut sink)?;
        sink.finish()
    }

    fn decode(&mut self, input: &[u8], limit: usize, output: &mut Vec<u8>) -> Result<(), CodecError> {
        let mut sink = Sink::capped(output, limit);
        let mut rest = input;
        loop {
            let consumed = stream::decode(&mut BzDecoder::new(), Algorithm::Bzip2, rest, &mut sink)?;
            rest = &rest[consumed..];
            if rest.is_empty() {
                return sink.finish();
            }
            if !MAGIC.starts_with(&rest[..rest.len().min(3)]) {
                return Err(Algorithm::Bzip2.trailing(rest.len()));
            }
        }
    }
}
