//! Driving the streaming coders of `compression-codecs` over whole records.

use compression_codecs::{DecodeV2, EncodeV2};
use compression_core::util::{PartialBuffer, WriteBuffer};

use super::sink::Sink;
use super::{Algorithm, CodecError};

/// Encodes all of `input` and ends the stream. `bound` is the largest output that is likely.
pub(super) fn encode(
    encoder: &mut dyn EncodeV2,
    algorithm: Algorithm,
    input: &[u8],
    bound: usize,
    sink: &mut Sink<'_>,
) -> Result<(), CodecError> {
    let mut source = PartialBuffer::new(input);
    while !source.unwritten().is_empty() {
        let left = source.unwritten().len();
        let mut target = WriteBuffer::new_initialized(sink.space(bound)?);
        let result = encoder.encode(&mut source, &mut target);
        let written = target.written_len();
        sink.advance(written);
        result.map_err(|error| algorithm.failed(error))?;
        if written == 0 && source.unwritten().len() == left {
            return Err(algorithm.failed("the encoder takes no more input"));
        }
    }
    loop {
        let mut target = WriteBuffer::new_initialized(sink.space(bound)?);
        let result = encoder.finish(&mut target);
        let written = target.written_len();
        sink.advance(written);
        match result.map_err(|error| algorithm.failed(error))? {
            true => return Ok(()),
            false if written == 0 && !sink.is_full() => {
                return Err(algorithm.failed("the encoder does not end its stream"));
            }
            false => {}
        }
    }
}

/// Decodes one stream from the front of `input` with a fresh (or reinitialised) decoder, and says how long it is.
pub(super) fn decode(
    decoder: &mut dyn DecodeV2,
    algorithm: Algorithm,
    input: &[u8],
    sink: &mut Sink<'_>,
) -> Result<usize, CodecError> {
    if input.is_empty() {
        return Err(algorithm.truncated());
    }
    let mut source = PartialBuffer::new(input);
    loop {
        let left = source.unwritten().len();
        let mut target = WriteBuffer::new_initialized(sink.space(input.len().saturating_mul(4))?);
        let result = decoder.decode(&mut source, &mut target);
        let written = target.written_len();
        sink.advance(written);
        match result {
            Ok(true) => return Ok(source.written_len()),
            Ok(false) if sink.is_full() => {}
            Ok(false) if source.unwritten().is_empty() => return Err(algorithm.truncated()),
            Ok(false) if written == 0 && source.unwritten().len() == left => {
                return Err(algorithm.corrupt("its decoder stops before its end"));
            }
            Ok(false) => {}
            Err(error) => return Err(algorithm.corrupt(error.to_string())),
        }
    }
}
