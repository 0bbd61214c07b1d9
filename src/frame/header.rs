//! The bytes that every frame begins with: eight of them, four or three.
//!
//! | byte | holds |
//! |---|---|
//! | 0, 1 | magic `91 4c` |
//! | 2 | high nibble: version 1; bit 0: a block, else a record; bit 1: bytes 4 to 7 name a model; bits 2, 3: zero |
//! | 3 | codec byte, never `b3` |
//! | 4 to 7 | the first four bytes of the model's id, or the checksum of the content and of the frame's other bytes, little-endian |
//!
//! The magic is one that no standard stream begins with. The low seven bits of `91` are the reserved window size of
//! brotli (RFC 7932, 9.1), its low nibble is no zlib method (RFC 1950, 2.2), and raw deflate takes it as the start of a
//! stored block (RFC 1951, 3.2.4) whose length `4c ..` must be followed by its complement: `b3` at byte 3, which is why
//! `b3` is no codec for ever. gzip, zstd, LZ4, xz and bzip2 begin with magics of their own. No UTF-8 text begins with
//! `91` either.
//!
//! A record that a model coded may be worth less than eight bytes. Where its codec is that of [`SHORT_CODEC`] its frame may be the
//! first bytes of the model's id and nothing else: magic, version, codec and model in one. Ids are made to begin with
//! [`SHORTEST_MAGIC`], and three bytes of them are a frame; those that begin with [`SHORT_MAGIC`], as they were made
//! before, have frames of four. No UTF-8 text holds either byte, no message of MessagePack begins with `c1` and none of
//! Protocol Buffers or CBOR with `fc`, and the magics of the standard streams that travel without a frame begin with other bytes.

use super::FrameError;

/// The first two bytes.
pub const MAGIC: [u8; 2] = [0x91, 0x4c];

/// The format version that this crate writes.
pub const VERSION: u8 = 1;

/// Length of the header.
pub const HEADER_LEN: usize = 8;

/// Where the checksum or the model stands: all before it is sure before anything is coded.
pub const CHECKSUM_AT: usize = 4;

/// The codec byte that makes a frame readable as raw deflate, and so never names a codec.
pub const RESERVED_CODEC_BYTE: u8 = !MAGIC[1];

/// The first byte of a frame of three bytes.
pub const SHORTEST_MAGIC: u8 = 0xfc;

/// The first byte of a frame of four bytes.
pub const SHORT_MAGIC: u8 = 0xc1;

/// The codec whose records have short frames.
pub const SHORT_CODEC: u8 = 13;

const BLOCK: u8 = 1;
const MODEL: u8 = 2;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The coded value of one record.
    Record,
    /// Many records, columnar.
    Block,
}

/// What the header says beside kind and codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Guard {
    /// The codec needs no model: the checksum of the decoded content and of every other byte of the frame.
    Checksum(u32),
    /// The first four bytes of the model's id. In a record the codec itself must notice damage then; a block has its
    /// checksum right after the header.
    Model([u8; 4]),
    /// The first three bytes of the model's id, which are the whole header.
    ShortModel([u8; 3]),
}

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FrameHeader {
    /// What the frame holds.
    pub kind: Kind,
    /// Which codec: a number of the table in `FORMAT.md`.
    pub codec: u8,
    /// Checksum or model.
    pub guard: Guard,
}

impl FrameHeader {
    /// Reads the header of `bytes`; also returns what follows it.
    pub fn parse(bytes: &[u8]) -> Result<(Self, &[u8]), FrameError> {
        if let Some(&first @ (SHORTEST_MAGIC | SHORT_MAGIC)) = bytes.first() {
            let named = match first {
                SHORTEST_MAGIC => bytes.split_first_chunk().map(|(name, body)| (Guard::ShortModel(*name), body)),
                _ => bytes.split_first_chunk().map(|(name, body)| (Guard::Model(*name), body)),
            };
            let (guard, body) = named.ok_or(FrameError::Truncated { at: bytes.len() })?;
            return Ok((Self { kind: Kind::Record, codec: SHORT_CODEC, guard }, body));
        }
        let seen = bytes.len().min(MAGIC.len());
        if bytes.is_empty() || bytes[..seen] != MAGIC[..seen] {
            return Err(FrameError::NotAFrame);
        }
        let truncated = FrameError::Truncated { at: bytes.len() };
        let flags = *bytes.get(2).ok_or_else(|| truncated.clone())?;
        if flags >> 4 != VERSION {
            return Err(FrameError::UnsupportedVersion { version: flags >> 4 });
        }
        if flags & 0x0f & !(BLOCK | MODEL) != 0 {
            return Err(FrameError::Corrupt { what: "a reserved flag is set", at: 2 });
        }
        let Some((header, body)) = bytes.split_at_checked(HEADER_LEN) else { return Err(truncated) };
        if header[3] == RESERVED_CODEC_BYTE {
            return Err(FrameError::Corrupt { what: "the codec byte is b3, which is never used", at: 3 });
        }
        let tail = [header[4], header[5], header[6], header[7]];
        let header = Self {
            kind: if flags & BLOCK == 0 { Kind::Record } else { Kind::Block },
            codec: header[3],
            guard: if flags & MODEL == 0 { Guard::Checksum(u32::from_le_bytes(tail)) } else { Guard::Model(tail) },
        };
        Ok((header, body))
    }

    /// Appends the header, in three or four bytes where these say all of it.
    pub fn write(self, output: &mut Vec<u8>) {
        let is_short = self.kind == Kind::Record && self.codec == SHORT_CODEC;
        let tail = match self.guard {
            Guard::Checksum(checksum) => checksum.to_le_bytes(),
            Guard::Model([SHORTEST_MAGIC, name @ .., _]) if is_short => {
                return output.extend_from_slice(&[SHORTEST_MAGIC, name[0], name[1]]);
            }
            Guard::Model(name @ [SHORT_MAGIC, ..]) if is_short => return output.extend_from_slice(&name),
            Guard::Model(name) => name,
            Guard::ShortModel(name) => return output.extend_from_slice(&name),
        };
        output.extend_from_slice(&self.prefix());
        output.extend_from_slice(&tail);
    }

    /// The bytes before checksum or model of a header of eight bytes.
    pub fn prefix(self) -> [u8; CHECKSUM_AT] {
        debug_assert_ne!(self.codec, RESERVED_CODEC_BYTE, "codec byte b3 is reserved for ever");
        let kind = match self.kind {
            Kind::Record => 0,
            Kind::Block => BLOCK,
        };
        let model = if matches!(self.guard, Guard::Checksum(_)) { 0 } else { MODEL };
        [MAGIC[0], MAGIC[1], VERSION << 4 | kind | model, self.codec]
    }
}

/// Whether `bytes` begin with a frame's magic, whatever follows.
pub fn starts_like_a_frame(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC) || matches!(bytes.first(), Some(&(SHORT_MAGIC | SHORTEST_MAGIC)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(header: FrameHeader) -> Vec<u8> {
        let mut bytes = Vec::new();
        header.write(&mut bytes);
        bytes
    }

    #[test]
    fn every_header_reads_back() {
        for kind in [Kind::Record, Kind::Block] {
            for guard in [Guard::Checksum(0x0403_0201), Guard::Model([1, 2, 3, 4])] {
                let header = FrameHeader { kind, codec: 7, guard };
                let mut bytes = written(header);
                assert_eq!(bytes[4..], [1, 2, 3, 4]);
                bytes.extend_from_slice(b"body");
                assert_eq!(FrameHeader::parse(&bytes), Ok((header, &b"body"[..])));
            }
        }
    }

    #[test]
    fn the_first_bytes_of_a_model_are_a_header_where_they_say_all() {
        let header = |kind, codec, guard| FrameHeader { kind, codec, guard };
        let record = |guard| header(Kind::Record, SHORT_CODEC, guard);
        for (model, read, frame) in [
            ([SHORT_MAGIC, 2, 3, 4], Guard::Model([SHORT_MAGIC, 2, 3, 4]), &[SHORT_MAGIC, 2, 3, 4][..]),
            ([SHORTEST_MAGIC, 2, 3, 4], Guard::ShortModel([SHORTEST_MAGIC, 2, 3]), &[SHORTEST_MAGIC, 2, 3]),
        ] {
            let mut bytes = written(record(Guard::Model(model)));
            assert_eq!(bytes, frame);
            assert_eq!(written(record(read)), frame);
            for cut in 1..bytes.len() {
                assert!(starts_like_a_frame(&bytes[..cut]));
                assert_eq!(FrameHeader::parse(&bytes[..cut]), Err(FrameError::Truncated { at: cut }));
            }
            bytes.push(9);
            assert_eq!(FrameHeader::parse(&bytes), Ok((record(read), &[9][..])));
            // Written before there were short ones, or by who does not know them.
            let long = [&[0x91, 0x4c, 0x12, SHORT_CODEC][..], &model].concat();
            assert_eq!(FrameHeader::parse(&long), Ok((record(Guard::Model(model)), &[][..])));
            for long in [
                header(Kind::Block, SHORT_CODEC, Guard::Model(model)),
                header(Kind::Record, SHORT_CODEC - 1, Guard::Model(model)),
                record(Guard::Model([0x91, 0x4c, 3, 4])),
                record(Guard::Checksum(u32::from_le_bytes(model))),
            ] {
                let bytes = written(long);
                assert_eq!((bytes.len(), FrameHeader::parse(&bytes)), (HEADER_LEN, Ok((long, &[][..]))));
            }
        }
    }

    #[test]
    fn a_header_cut_at_any_byte_is_truncated() {
        let bytes = written(FrameHeader { kind: Kind::Record, codec: 7, guard: Guard::Checksum(9) });
        for cut in 1..HEADER_LEN {
            assert_eq!(FrameHeader::parse(&bytes[..cut]), Err(FrameError::Truncated { at: cut }));
        }
        assert_eq!(FrameHeader::parse(&[]), Err(FrameError::NotAFrame));
    }

    #[test]
    fn other_versions_reserved_flags_and_the_reserved_codec_are_told_apart() {
        let good = written(FrameHeader { kind: Kind::Block, codec: 0, guard: Guard::Checksum(0) });
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            FrameHeader::parse(&bytes).map(|_| ()).unwrap_err()
        };
        assert_eq!(with(0, 0x90), FrameError::NotAFrame);
        assert_eq!(with(2, 0x21), FrameError::UnsupportedVersion { version: 2 });
        assert!(matches!(with(2, 0x15), FrameError::Corrupt { at: 2, .. }));
        assert!(matches!(with(3, 0xb3), FrameError::Corrupt { at: 3, .. }));
    }
}
