//! LZW as in TIFF (revision 6.0, section 13) and PDF (`LZWDecode` with `EarlyChange` 1).
//!
//! Codes of 9 to 12 bits, most significant bit first. Code 256 clears the table and comes first, 257 ends the stream,
//! and the width grows one code early. `FORMAT.md` has the details.

use weezl::{BitOrder, LzwStatus, decode, encode};

use super::sink::Sink;
use super::{Algorithm, Codec, CodecError};

const SYMBOL_BITS: u8 = 8;

/// LZW streams. Both coders are reset and reused.
#[derive(Default)]
pub struct LzwCodec {
    encoder: Option<encode::Encoder>,
    decoder: Option<decode::Decoder>,
}

impl LzwCodec {
    /// A coder without its tables, which come with the first record.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Codec for LzwCodec {
    fn algorithm(&self) -> Algorithm {
        Algorithm::Lzw
    }

    fn encode(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<(), CodecError> {
        let encoder =
            self.encoder.get_or_insert_with(|| encode::Encoder::with_tiff_size_switch(BitOrder::Msb, SYMBOL_BITS));
        encoder.reset();
        encoder.finish();
        let mut sink = Sink::unbounded(output);
        // At worst each byte takes a code of twelve bits.
        let bound = input.len() + input.len() / 2 + 16;
        let mut read = 0;
        loop {
            let result = encoder.encode_bytes(&input[read..], sink.space(bound)?);
            read += result.consumed_in;
            sink.advance(result.consumed_out);
            match result.status {
                Ok(LzwStatus::Done) => return sink.finish(),
                Ok(LzwStatus::NoProgress) if !sink.is_full() => {
                    return Err(Algorithm::Lzw.failed("the encoder does not end its stream"));
                }
                Ok(_) => {}
                Err(error) => return Err(Algorithm::Lzw.failed(error)),
            }
        }
    }

    fn decode(&mut self, input: &[u8], limit: usize, output: &mut Vec<u8>) -> Result<(), CodecError> {
        let decoder =
            self.decoder.get_or_insert_with(|| decode::Decoder::with_tiff_size_switch(BitOrder::Msb, SYMBOL_BITS));
        decoder.reset();
        // The decoder reads ahead, so it cannot say where the end code lies. The last byte is kept back instead: a
        // stream that is over without it has bytes behind its end.
        let (last, body) = input.split_last().ok_or(Algorithm::Lzw.truncated())?;
        let mut sink = Sink::capped(output, limit);
        if advance(decoder, body, &mut sink)? {
            return Err(Algorithm::Lzw.corrupt("bytes follow its end code"));
        }
        if !advance(decoder, &[*last], &mut sink)? {
            return Err(Algorithm::Lzw.truncated());
        }
        sink.finish()
    }
}

/// Decodes until the input is used up or the stream ends, and says whether it has ended.
fn advance(decoder: &mut decode::Decoder, input: &[u8], sink: &mut Sink<'_>) -> Result<bool, CodecError> {
    let mut read = 0;
    loop {
        let result = decoder.decode_bytes(&input[read..], sink.space(input.len().saturating_mul(4))?);
        read += result.consumed_in;
        sink.advance(result.consumed_out);
        match result.status {
            Ok(LzwStatus::Done) => return Ok(true),
            Ok(LzwStatus::NoProgress) if !sink.is_full() => return Ok(false),
            Ok(_) => {}
            Err(error) => return Err(Algorithm::Lzw.corrupt(error.to_string())),
        }
    }
}
