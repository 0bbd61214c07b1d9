//! The LZ4 frame format, as the `lz4` program and Kafka's clients write it.
//!
//! `encode` writes one frame of linked 64 KiB blocks without checksums. `decode` reads a frame or several laid end to
//! end. The decoder is reset and reused; the encoder cannot be, so each record makes its own.

use compression_codecs::lz4::params::EncoderParams;
use compression_codecs::{DecodeV2, Lz4Decoder, Lz4Encoder};
use compression_core::Level;

use super::sink::Sink;
use super::{Algorithm, Codec, CodecError, stream};

const MAGIC: [u8; 4] = 0x184D_2204u32.to_le_bytes();
/// `0x184D2A5?`: frames that hold no data of ours.
const SKIPPABLE: [u8; 3] = [0x2A, 0x4D, 0x18];

/// LZ4 frames.
pub struct Lz4Codec {
    level: i32,
    decoder: Option<Lz4Decoder>,
}

impl Lz4Codec {
    /// Levels 0 (fast) to 12; from 3 on the high-compression matcher.
    pub fn new(level: i32) -> Self {
        Self { level, decoder: None }
    }
}

impl Codec for Lz4Codec {
    fn algorithm(&self) -> Algorithm {
        Algorithm::Lz4
    }

    fn encode(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<(), CodecError> {
        let mut encoder = Lz4Encoder::new(EncoderParams::default().level(Level::Precise(self.level)));
        let mut sink = Sink::unbounded(output);
        let bound = input.len() + (input.len() >> 8) + 64;
        stream::encode(&mut encoder, Algorithm::Lz4, input, bound, &mut sink)?;
        sink.finish()
    }

    fn decode(&mut self, input: &[u8], limit: usize, output: &mut Vec<u8>) -> Result<(), CodecError> {
        let decoder = self.decoder.get_or_insert_with(Lz4Decoder::new);
        let mut sink = Sink::capped(output, limit);
        let mut rest = input;
        loop {
            decoder.reinit().map_err(|error| Algorithm::Lz4.failed(error))?;
            let consumed = stream::decode(decoder, Algorithm::Lz4, rest, &mut sink)?;
            rest = &rest[consumed..];
            if rest.is_empty() {
                return sink.finish();
            }
            let begins_frame = MAGIC.starts_with(&rest[..rest.len().min(4)])
                || (rest[0] & 0xF0 == 0x50 && SKIPPABLE.starts_with(&rest[1..rest.len().min(4)]));
            if !begins_frame {
                return Err(Algorithm::Lz4.trailing(rest.len()));
            }
        }
    }
}
