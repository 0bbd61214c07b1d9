//! Brotli (RFC 7932). One stream; nothing may follow it.
//!
//! Neither encoder nor decoder can be reset, so each record makes its own. The window is fitted to the record, which
//! costs no compression and keeps the tables of a small record small.

use compression_codecs::brotli::params::EncoderParams;
use compression_codecs::{BrotliDecoder, BrotliEncoder};
use compression_core::Level;

use super::sink::Sink;
use super::{Algorithm, Codec, CodecError, stream};

/// Windows of 1 KiB to 4 MiB, as log2, less 16 bytes each (RFC 7932, 9.1).
const WINDOWS: std::ops::RangeInclusive<u32> = 10..=22;
/// The first seven bits of a stream with a "large window", which RFC 7932 does not know. It may ask for a gigabyte.
const LARGE_WINDOW: u8 = 0b001_0001;

/// Brotli streams.
pub struct BrotliCodec {
    level: i32,
}

impl BrotliCodec {
    /// Qualities 0 to 11.
    pub fn new(level: i32) -> Self {
        Self { level }
    }
}

impl Codec for BrotliCodec {
    fn algorithm(&self) -> Algorithm {
        Algorithm::Brotli
    }

    fn encode(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<(), CodecError> {
        let window = (input.len() + 16).next_power_of_two().ilog2().clamp(*WINDOWS.start(), *WINDOWS.end());
        let parameters = EncoderParams::default()
            .quality(Level::Precise(self.level))
            .window_size(window as i32)
            .size_hint(input.len());
        let mut sink = Sink::unbounded(output);
        let bound = input.len() + (input.len() >> 12) + 64;
        stream::encode(&mut BrotliEncoder::new(parameters), Algorithm::Brotli, input, bound, &mut sink)?;
        sink.finish()
    }

    fn decode(&mut self, input: &[u8], limit: usize, output: &mut Vec<u8>) -> Result<(), CodecError> {
        if input.first().is_some_and(|first| first & 0x7f == LARGE_WINDOW) {
            return Err(Algorithm::Brotli.corrupt("it has a window that RFC 7932 does not allow"));
        }
        let mut sink = Sink::capped(output, limit);
        let consumed = stream::decode(&mut BrotliDecoder::new(), Algorithm::Brotli, input, &mut sink)?;
        if consumed < input.len() {
            return Err(Algorithm::Brotli.trailing(input.len() - consumed));
        }
        sink.finish()
    }
}
