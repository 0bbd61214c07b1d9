//! The gzip format (RFC 1952): members around raw deflate, with a CRC-32 and the length.
//!
//! `encode` writes one member without a name and without a time, so that equal records give equal bytes. `decode` reads
//! a member or several laid end to end, which is one stream to `gzip` as well. What follows the last member is an
//! error, zero padding included: a record is no tape.

use flate2::Crc;

use super::deflate::{Deflater, Inflater};
use super::sink::Sink;
use super::{Algorithm, Codec, CodecError};

const MAGIC: [u8; 2] = [0x1f, 0x8b];
const METHOD_DEFLATE: u8 = 8;
const OS_UNKNOWN: u8 = 255;
const FLAG_HEADER_CRC: u8 = 1 << 1;
const FLAG_EXTRA: u8 = 1 << 2;
const FLAG_NAME: u8 = 1 << 3;
const FLAG_COMMENT: u8 = 1 << 4;
const FLAGS_RESERVED: u8 = 0b1110_0000;

/// gzip members.
pub struct GzipCodec {
    header: [u8; 10],
    deflater: Deflater,
    inflater: Inflater,
}

impl GzipCodec {
    /// Levels 0 (stored) to 9.
    pub fn new(level: u32) -> Self {
        let extra_flags = match level {
            9 => 2,
            1 => 4,
            _ => 0,
        };
        Self {
            header: [MAGIC[0], MAGIC[1], METHOD_DEFLATE, 0, 0, 0, 0, 0, extra_flags, OS_UNKNOWN],
            deflater: Deflater::new(Algorithm::Gzip, level, false),
            inflater: Inflater::new(Algorithm::Gzip, false),
        }
    }

    /// Reads one member and returns what follows it.
    fn member<'a>(&mut self, input: &'a [u8], sink: &mut Sink<'_>) -> Result<&'a [u8], CodecError> {
        let body = skip_header(input)?;
        let start = sink.len();
        let consumed = self.inflater.run(body, sink)?;
        let (trailer, rest) = body[consumed..].split_first_chunk::<8>().ok_or(Algorithm::Gzip.truncated())?;
        let mut crc = Crc::new();
        crc.update(sink.written_from(start));
        let [a, b, c, d, e, f, g, h] = *trailer;
        if u32::from_le_bytes([a, b, c, d]) != crc.sum() {
            return Err(Algorithm::Gzip.corrupt("its CRC-32 is not that of the data"));
        }
        if u32::from_le_bytes([e, f, g, h]) != crc.amount() {
            return Err(Algorithm::Gzip.corrupt("its length is not that of the data"));
        }
        Ok(rest)
    }
}

impl Codec for GzipCodec {
    fn algorithm(&self) -> Algorithm {
        Algorithm::Gzip
    }

    fn encode(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<(), CodecError> {
        let mut sink = Sink::unbounded(output);
        sink.space(input.len() + (input.len() >> 11) + 64)?;
        sink.write_all(&self.header)?;
        self.deflater.run(input, &mut sink)?;
        let mut crc = Crc::new();
        crc.update(input);
        sink.write_all(&crc.sum().to_le_bytes())?;
        sink.write_all(&crc.amount().to_le_bytes())?;
        sink.finish()
    }

    fn decode(&mut self, input: &[u8], limit: usize, output: &mut Vec<u8>) -> Result<(), CodecError> {
        let mut sink = Sink::capped(output, limit);
        let mut rest = self.member(input, &mut sink)?;
        while !rest.is_empty() {
            if !MAGIC.starts_with(&rest[..rest.len().min(2)]) {
                return Err(Algorithm::Gzip.trailing(rest.len()));
            }
            rest = self.member(rest, &mut sink)?;
        }
        sink.finish()
    }
}

/// Checks a member's header and returns what follows it.
fn skip_header(input: &[u8]) -> Result<&[u8], CodecError> {
    let truncated = || Algorithm::Gzip.truncated();
    if !MAGIC.starts_with(&input[..input.len().min(2)]) {
        return Err(Algorithm::Gzip.corrupt("it does not begin with 1f 8b"));
    }
    let (fixed, mut rest) = input.split_first_chunk::<10>().ok_or_else(truncated)?;
    let flags = fixed[3];
    if fixed[2] != METHOD_DEFLATE || flags & FLAGS_RESERVED != 0 {
        return Err(Algorithm::Gzip.corrupt("its header has an unknown method or flag"));
    }
    if flags & FLAG_EXTRA != 0 {
        let (length, after) = rest.split_first_chunk::<2>().ok_or_else(truncated)?;
        rest = after.get(usize::from(u16::from_le_bytes(*length))..).ok_or_else(truncated)?;
    }
    for flag in [FLAG_NAME, FLAG_COMMENT] {
        if flags & flag != 0 {
            let end = rest.iter().position(|byte| *byte == 0).ok_or_else(truncated)?;
            rest = &rest[end + 1..];
        }
    }
    if flags & FLAG_HEADER_CRC != 0 {
        let (stored, after) = rest.split_first_chunk::<2>().ok_or_else(truncated)?;
        let mut crc = Crc::new();
        crc.update(&input[..input.len() - rest.len()]);
        if u16::from_le_bytes(*stored) != crc.sum() as u16 {
            return Err(Algorithm::Gzip.corrupt("its header does not match its header checksum"));
        }
        rest = after;
    }
    Ok(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn optional_header_fields_are_skipped_and_checked() {
        let mut plain = Vec::new();
        GzipCodec::new(6).encode(b"payload", &mut plain).unwrap();
        let mut full = vec![0x1f, 0x8b, 8, FLAG_EXTRA | FLAG_NAME | FLAG_COMMENT | FLAG_HEADER_CRC, 1, 2, 3, 4, 0, 3];
        full.extend_from_slice(&[3, 0, b'x', b'y', b'z']);
        full.extend_from_slice(b"name\0comment\0");
        let mut crc = Crc::new();
        crc.update(&full);
        full.extend_from_slice(&(crc.sum() as u16).to_le_bytes());
        let header = full.len();
        full.extend_from_slice(&plain[10..]);

        let mut decoded = Vec::new();
        GzipCodec::new(6).decode(&full, 7, &mut decoded).unwrap();
        assert_eq!(decoded, b"payload");
        for cut in 0..header {
            let error = GzipCodec::new(6).decode(&full[..cut], 7, &mut decoded).unwrap_err();
            assert!(matches!(error, CodecError::Truncated { .. }), "cut at {cut}: {error}");
        }
        full[16] ^= 1;
        assert!(matches!(GzipCodec::new(6).decode(&full, 7, &mut decoded), Err(CodecError::Corrupt { .. })));
    }
}
