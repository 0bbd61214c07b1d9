//! The xz container with LZMA2.
//!
//! `encode` writes one stream with a CRC-32, which every xz decoder knows. `decode` reads a stream or several laid end
//! to end, with zero padding in multiples of four bytes between and after them, as the `xz` program does. liblzma is
//! used directly: `compression-codecs` cannot fit the dictionary to the record, and 8 MiB of dictionary (94 MiB of
//! encoder) for a record of a kilobyte is slow. Each record makes its own coders: liblzma could set up the one before it
//! anew, but the crate offers that only as C functions. Half a megabyte of hash tables is the least that an encoder
//! has, so this is no codec for the `record` layout.

use liblzma::stream::{
    Action, CONCATENATED, Check, Error, Filters, LzmaOptions, Status, Stream, TELL_UNSUPPORTED_CHECK,
};

use super::sink::Sink;
use super::{Algorithm, Codec, CodecError};

/// What a decoder may allocate, whatever a stream asks for: enough for the 64 MiB dictionary of `xz -9`.
const DECODER_MEMORY: u64 = 72 << 20;
/// The smallest dictionary of LZMA2.
const SMALLEST_DICTIONARY: usize = 4 << 10;

/// xz streams.
pub struct XzCodec {
    preset: u32,
}

impl XzCodec {
    /// Presets 0 to 9.
    pub fn new(level: u32) -> Self {
        Self { preset: level }
    }

    fn encoder(&self, length: usize) -> Result<Stream, Error> {
        let mut options = LzmaOptions::new_preset(self.preset)?;
        let dictionary = length.next_power_of_two().clamp(SMALLEST_DICTIONARY, preset_dictionary(self.preset));
        options.dict_size(dictionary as u32);
        let mut filters = Filters::new();
        filters.lzma2(&options);
        Stream::new_stream_encoder(&filters, Check::Crc32)
    }
}

impl Codec for XzCodec {
    fn algorithm(&self) -> Algorithm {
        Algorithm::Xz
    }

    fn encode(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<(), CodecError> {
        let mut encoder = self.encoder(input.len()).map_err(|error| Algorithm::Xz.failed(error))?;
        let mut sink = Sink::unbounded(output);
        // LZMA2 stores what does not compress: three bytes for each 64 KiB.
        let bound = input.len() + (input.len() >> 13) + 128;
        loop {
            let (read, written) = (encoder.total_in() as usize, encoder.total_out());
            let status = encoder
                .process(&input[read..], sink.space(bound)?, Action::Finish)
                .map_err(|error| Algorithm::Xz.failed(error))?;
            sink.advance((encoder.total_out() - written) as usize);
            match status {
                Status::StreamEnd => return sink.finish(),
                _ if sink.is_full() => {}
                Status::MemNeeded => return Err(Algorithm::Xz.failed("the encoder does not end its stream")),
                Status::Ok | Status::GetCheck => {}
            }
        }
    }

    fn decode(&mut self, input: &[u8], limit: usize, output: &mut Vec<u8>) -> Result<(), CodecError> {
        if input.is_empty() {
            return Err(Algorithm::Xz.truncated());
        }
        let mut decoder = Stream::new_stream_decoder(DECODER_MEMORY, CONCATENATED | TELL_UNSUPPORTED_CHECK)
            .map_err(|error| Algorithm::Xz.failed(error))?;
        let mut sink = Sink::capped(output, limit);
        loop {
            let (read, written) = (decoder.total_in() as usize, decoder.total_out());
            let space = sink.space(input.len().saturating_mul(4))?;
            let result = decoder.process(&input[read..], space, Action::Finish);
            sink.advance((decoder.total_out() - written) as usize);
            match result {
                Ok(Status::StreamEnd) => return sink.finish(),
                Ok(_) if sink.is_full() => {}
                // liblzma says so when it is called for the second time without a byte of progress.
                Ok(Status::MemNeeded) => return Err(Algorithm::Xz.truncated()),
                Ok(Status::Ok | Status::GetCheck) => {}
                Err(Error::MemLimit) => {
                    let memory = DECODER_MEMORY >> 20;
                    return Err(Algorithm::Xz.failed(format_args!("decoding needs more than {memory} MiB of memory")));
                }
                Err(error @ (Error::Mem | Error::Program)) => return Err(Algorithm::Xz.failed(error)),
                Err(error) => return Err(Algorithm::Xz.corrupt(error.to_string())),
            }
        }
    }
}

/// The dictionary of a preset, as `xz(1)` tabulates it.
fn preset_dictionary(preset: u32) -> usize {
    match preset {
        0 => 256 << 10,
        1 => 1 << 20,
        2 => 2 << 20,
        3 | 4 => 4 << 20,
        5 | 6 => 8 << 20,
        7 => 16 << 20,
        8 => 32 << 20,
        _ => 64 << 20,
    }
}
