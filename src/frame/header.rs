//! The bytes that every frame begins with: eight of them, or four.
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
//! A record that a model coded may be worth less than eight bytes. Where its codec is that of [`SHORT_CODEC`] and the model's id
//! begins with [`SHORT_MAGIC`], as the ids of such models are made to, its frame begins with the first four bytes of that
//! id and nothing else: magic, version, codec and model in one. No UTF-8 text holds a `c1`, no message of MessagePack begins with one, and the
//! magics of the standard streams that travel without a frame begin with other bytes.

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

/// The first byte of a short frame.
pub const SHORT_MAGIC: u8 = 0xc1;

/// The codec whose records have short frames.
pub const SHORT_CODEC: u8 = 13;

/// Length of a short frame's header.
pub const SHORT_HEADER_LEN: usize = 4;

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

/// What the last four bytes of the header hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Guard {
    /// The codec needs no model: the checksum of the decoded content and of every other byte of the frame.
    Checksum(u32),
    /// The first four bytes of the model's id. In a record the codec itself must notice damage then; a block has its
    /// checksum right after the header.
    Model([u8; 4]),
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
        if bytes.first() == Some(&SHORT_MAGIC) {
            let (model, body) = bytes.split_first_chunk().ok_or(FrameError::Truncated { at: bytes.len() })?;
            return Ok((Self { kind: Kind::Record, codec: SHORT_CODEC, guard: Guard::Model(*model) }, body));
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

    /// Whether the four bytes of the model's id say all of it.
    pub fn is_short(&self) -> bool {
        let short = Self { kind: Kind::Record, codec: SHORT_CODEC, guard: self.guard };
        *self == short && matches!(self.guard, Guard::Model([SHORT_MAGIC, ..]))
    }

    /// Appends the header, in four bytes where these say all of it.
    pub fn write(self, output: &mut Vec<u8>) {
        match self.guard {
            Guard::Model(model) if self.is_short() => output.extend_from_slice(&model),
            _ => output.extend_from_slice(&self.to_bytes()),
        }
    }

    /// The header in eight bytes, which every frame may have.
    pub fn to_bytes(self) -> [u8; HEADER_LEN] {
        debug_assert_ne!(self.codec, RESERVED_CODEC_BYTE, "codec byte b3 is reserved for ever");
        let kind = match self.kind {
            Kind::Record => 0,
            Kind::Block => BLOCK,
        };
        let (model, tail) = match self.guard {
            Guard::Checksum(checksum) => (0, checksum.to_le_bytes()),
            Guard::Model(prefix) => (MODEL, prefix),
        };
        let flags = VERSION << 4 | kind | model;
        [MAGIC[0], MAGIC[1], flags, self.codec, tail[0], tail[1], tail[2], tail[3]]
    }

    /// The bytes before checksum or model.
    pub fn prefix(self) -> [u8; CHECKSUM_AT] {
        let [a, b, c, d, ..] = self.to_bytes();
        [a, b, c, d]
    }

    /// The model that the frame names.
    pub const fn model(&self) -> Option<[u8; 4]> {
        match self.guard {
            Guard::Checksum(_) => None,
            Guard::Model(prefix) => Some(prefix),
        }
    }
}

/// Whether `bytes` begin with a frame's magic, whatever follows.
pub fn starts_like_a_frame(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC) || bytes.first() == Some(&SHORT_MAGIC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_header_reads_back() {
        for kind in [Kind::Record, Kind::Block] {
            for guard in [Guard::Checksum(0x0403_0201), Guard::Model([1, 2, 3, 4])] {
                let header = FrameHeader { kind, codec: 7, guard };
                let mut bytes = header.to_bytes().to_vec();
                assert_eq!(bytes[4..], [1, 2, 3, 4]);
                bytes.extend_from_slice(b"body");
                assert_eq!(FrameHeader::parse(&bytes), Ok((header, &b"body"[..])));
            }
        }
    }

    #[test]
    fn four_bytes_of_a_model_are_a_header_where_they_say_all() {
        let header = |kind, codec, guard| FrameHeader { kind, codec, guard };
        let short = header(Kind::Record, SHORT_CODEC, Guard::Model([SHORT_MAGIC, 2, 3, 4]));
        let mut bytes = Vec::new();
        short.write(&mut bytes);
        assert_eq!(bytes, [SHORT_MAGIC, 2, 3, 4]);
        for cut in 1..SHORT_HEADER_LEN {
            assert!(starts_like_a_frame(&bytes[..cut]));
            assert_eq!(FrameHeader::parse(&bytes[..cut]), Err(FrameError::Truncated { at: cut }));
        }
        bytes.push(9);
        assert_eq!(FrameHeader::parse(&bytes), Ok((short, &[9][..])));
        // Written before there were short ones, or by who does not know them.
        assert_eq!(FrameHeader::parse(&short.to_bytes()), Ok((short, &[][..])));
        for long in [
            header(Kind::Block, SHORT_CODEC, short.guard),
            header(Kind::Record, SHORT_CODEC - 1, short.guard),
            header(Kind::Record, SHORT_CODEC, Guard::Model([0x91, 0x4c, 3, 4])),
            header(Kind::Record, SHORT_CODEC, Guard::Checksum(0x0403_02c1)),
        ] {
            let mut bytes = Vec::new();
            long.write(&mut bytes);
            assert_eq!((bytes.len(), FrameHeader::parse(&bytes)), (HEADER_LEN, Ok((long, &[][..]))));
        }
    }

    #[test]
    fn a_header_cut_at_any_byte_is_truncated() {
        let bytes = FrameHeader { kind: Kind::Record, codec: 7, guard: Guard::Checksum(9) }.to_bytes();
        for cut in 1..HEADER_LEN {
            assert_eq!(FrameHeader::parse(&bytes[..cut]), Err(FrameError::Truncated { at: cut }));
        }
        assert_eq!(FrameHeader::parse(&[]), Err(FrameError::NotAFrame));
    }

    #[test]
    fn other_versions_reserved_flags_and_the_reserved_codec_are_told_apart() {
        let good = FrameHeader { kind: Kind::Block, codec: 0, guard: Guard::Checksum(0) }.to_bytes();
        let with = |at: usize, byte: u8| {
            let mut bytes = good;
            bytes[at] = byte;
            FrameHeader::parse(&bytes).map(|_| ()).unwrap_err()
        };
        assert_eq!(with(0, 0x90), FrameError::NotAFrame);
        assert_eq!(with(2, 0x21), FrameError::UnsupportedVersion { version: 2 });
        assert!(matches!(with(2, 0x15), FrameError::Corrupt { at: 2, .. }));
        assert!(matches!(with(3, 0xb3), FrameError::Corrupt { at: 3, .. }));
    }
}
