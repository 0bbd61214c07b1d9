//! Deflate, raw (RFC 1951) and in the zlib format (RFC 1950), on flate2's contexts, which are reset and reused.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::sink::Sink;
use super::{Algorithm, Codec, CodecError};

/// Raw deflate or the zlib format. One stream; nothing may follow it.
pub struct DeflateCodec {
    algorithm: Algorithm,
    deflater: Deflater,
    inflater: Inflater,
}

impl DeflateCodec {
    /// Streams with the two-byte header and the Adler-32 of RFC 1950.
    pub fn zlib(level: u32) -> Self {
        Self::new(Algorithm::Zlib, level, true)
    }

    /// Bare streams of RFC 1951, which have no checksum.
    pub fn raw(level: u32) -> Self {
        Self::new(Algorithm::Deflate, level, false)
    }

    fn new(algorithm: Algorithm, level: u32, zlib_header: bool) -> Self {
        Self {
            algorithm,
            deflater: Deflater::new(algorithm, level, zlib_header),
            inflater: Inflater::new(algorithm, zlib_header),
        }
    }
}

impl Codec for DeflateCodec {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    fn encode(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<(), CodecError> {
        let mut sink = Sink::unbounded(output);
        self.deflater.run(input, &mut sink)?;
        sink.finish()
    }

    fn decode(&mut self, input: &[u8], limit: usize, output: &mut Vec<u8>) -> Result<(), CodecError> {
        let mut sink = Sink::capped(output, limit);
        let consumed = self.inflater.run(input, &mut sink)?;
        if consumed < input.len() {
            return Err(self.algorithm.trailing(input.len() - consumed));
        }
        sink.finish()
    }
}

/// A deflate context, made at first use.
pub(super) struct Deflater {
    algorithm: Algorithm,
    level: u32,
    zlib_header: bool,
    context: Option<Compress>,
}

impl Deflater {
    pub fn new(algorithm: Algorithm, level: u32, zlib_header: bool) -> Self {
        Self { algorithm, level, zlib_header, context: None }
    }

    /// Writes all of `input` as one stream.
    pub fn run(&mut self, input: &[u8], sink: &mut Sink<'_>) -> Result<(), CodecError> {
        let context = match &mut self.context {
            Some(context) => {
                context.reset();
                context
            }
            empty => empty.insert(Compress::new(Compression::new(self.level), self.zlib_header)),
        };
        // zlib's own bound: stored blocks cost five bytes per 16 KiB, and the ends a few more.
        let bound = input.len() + (input.len() >> 12) + (input.len() >> 14) + 32;
        loop {
            let (read, written) = (context.total_in(), context.total_out());
            let space = sink.space(bound)?;
            let status = context
                .compress(&input[read as usize..], space, FlushCompress::Finish)
                .map_err(|error| self.algorithm.failed(error))?;
            sink.advance((context.total_out() - written) as usize);
            match status {
                Status::StreamEnd => return Ok(()),
                Status::Ok | Status::BufError if sink.is_full() => {}
                Status::Ok | Status::BufError => return Err(self.algorithm.failed("deflate stopped before its end")),
            }
        }
    }
}

/// An inflate context, made at first use.
pub(super) struct Inflater {
    algorithm: Algorithm,
    zlib_header: bool,
    context: Option<Decompress>,
}

impl Inflater {
    pub fn new(algorithm: Algorithm, zlib_header: bool) -> Self {
        Self { algorithm, zlib_header, context: None }
    }

    /// Reads one stream from the front of `input` and says how many bytes it has.
    pub fn run(&mut self, input: &[u8], sink: &mut Sink<'_>) -> Result<usize, CodecError> {
        let context = match &mut self.context {
            Some(context) => {
                context.reset(self.zlib_header);
                context
            }
            empty => empty.insert(Decompress::new(self.zlib_header)),
        };
        loop {
            let (read, written) = (context.total_in() as usize, context.total_out());
            let space = sink.space(input.len().saturating_mul(4))?;
            let result = context.decompress(&input[read..], space, FlushDecompress::None);
            sink.advance((context.total_out() - written) as usize);
            match result {
                Ok(Status::StreamEnd) => return Ok(context.total_in() as usize),
                Ok(Status::Ok | Status::BufError) if sink.is_full() => {}
                Ok(Status::Ok | Status::BufError) if context.total_in() as usize == input.len() => {
                    return Err(self.algorithm.truncated());
                }
                Ok(Status::Ok | Status::BufError) => return Err(self.algorithm.corrupt("it stops before its end")),
                Err(error) if error.needs_dictionary().is_some() => {
                    return Err(self.algorithm.corrupt("it needs a preset dictionary, which nobody can name"));
                }
                Err(error) => return Err(self.algorithm.corrupt(error.message().unwrap_or("no deflate data"))),
            }
        }
    }
}
