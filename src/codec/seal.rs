//! How a record's value says what it is coded with: a header beside it, its own magic, or latentd's frame around it.

use std::ops::RangeInclusive;

use super::{Algorithm, CodecError, ModelPrefix};
use crate::frame::{self, FrameError, FrameHeader, Guard, Kind};

/// The header that names the coding of a record's value (RFC 9110, 8.4).
pub const CONTENT_ENCODING: &str = "content-encoding";

/// The `content-encoding` of latentd's own frame.
pub const LATENTD: &str = "latentd";

/// How a value is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// A plain stream of this codec.
    Stream(Algorithm),
    /// latentd's frame: a record or a block.
    Frame,
}

impl Coding {
    /// The coding that a `content-encoding` token names.
    pub fn of_token(token: &[u8]) -> Result<Self, CodecError> {
        if token.eq_ignore_ascii_case(LATENTD.as_bytes()) {
            return Ok(Self::Frame);
        }
        Algorithm::from_content_encoding(token)
            .map(Self::Stream)
            .ok_or_else(|| CodecError::UnknownEncoding { token: String::from_utf8_lossy(token).into_owned() })
    }
}

/// The magics of skippable frames, which zstd (RFC 8878, 3.1.2) and LZ4 share: `5? 2a 4d 18`, little-endian.
pub(super) const SKIPPABLE: RangeInclusive<u32> = 0x184D_2A50..=0x184D_2A5F;

/// How many bytes follow the eight of a skippable frame's header; `None` when these begin no such frame.
///
/// [`sniff`] does not look behind one: nothing here writes them, so a value that begins like one is plain.
pub fn skippable(head: &[u8]) -> Option<u32> {
    let (magic, length) = (head.first_chunk()?, head.get(4..)?.first_chunk()?);
    SKIPPABLE.contains(&u32::from_le_bytes(*magic)).then_some(u32::from_le_bytes(*length))
}

/// The magics of standard streams, gzip with its one method.
const MAGICS: [(&[u8], Algorithm); 5] = [
    (&[0x1f, 0x8b, 0x08], Algorithm::Gzip),
    (&[0x28, 0xb5, 0x2f, 0xfd], Algorithm::Zstd),
    (&[0x04, 0x22, 0x4d, 0x18], Algorithm::Lz4),
    (&[0xfd, b'7', b'z', b'X', b'Z', 0x00], Algorithm::Xz),
    (b"BZh", Algorithm::Bzip2),
];

/// What a value without a header is, by its first bytes; `None` when they are nobody's.
pub fn sniff(value: &[u8]) -> Option<Coding> {
    if frame::starts_like_a_frame(value) {
        return Some(Coding::Frame);
    }
    MAGICS.iter().find(|(magic, _)| value.starts_with(magic)).map(|(_, algorithm)| Coding::Stream(*algorithm))
}

/// Appends `coded`, which `algorithm` made of `raw`, in a form that [`sniff`] recognises: as it is, when its own magic
/// says so, else in a frame. A raw value travels as it is unless it could be taken for something coded.
///
/// What a learned codec made travels in a frame that names its `model`. Such a frame has no checksum: the codec itself
/// notices most damage.
pub fn seal(algorithm: Algorithm, model: Option<ModelPrefix>, coded: &[u8], raw: &[u8], output: &mut Vec<u8>) {
    if let Some(model) = model.filter(|_| algorithm.is_learned()) {
        let header = FrameHeader { kind: Kind::Record, codec: algorithm as u8, guard: Guard::Model(model) };
        header.write(output);
        output.extend_from_slice(coded);
        return;
    }
    let seen = sniff(coded);
    let bare = match algorithm {
        Algorithm::Identity => seen.is_none(),
        // One format, two ways to write it.
        Algorithm::ZstdDict => seen == Some(Coding::Stream(Algorithm::Zstd)),
        other => seen == Some(Coding::Stream(other)),
    };
    if !bare {
        let mut header = FrameHeader { kind: Kind::Record, codec: algorithm as u8, guard: Guard::Checksum(0) };
        header.guard = Guard::Checksum(frame::record_checksum(raw, &header.prefix(), coded));
        header.write(output);
    }
    output.extend_from_slice(coded);
}

/// A record's frame, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordFrame<'a> {
    pub algorithm: Algorithm,
    pub header: FrameHeader,
    pub body: &'a [u8],
}

impl RecordFrame<'_> {
    /// Whether this is what the frame held. Where it names a model, the codec itself has noticed damage.
    pub fn check(&self, content: &[u8]) -> Result<(), FrameError> {
        let Guard::Checksum(expected) = self.header.guard else { return Ok(()) };
        let found = frame::record_checksum(content, &self.header.prefix(), self.body);
        if found == expected { Ok(()) } else { Err(FrameError::Checksum { expected, found }) }
    }
}

/// What a frame turned out to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opened<'a> {
    Record(RecordFrame<'a>),
    /// A block, of this codec; the block reader takes the whole frame.
    Block(Algorithm),
}

/// Reads a frame's header.
pub(super) fn open(bytes: &[u8]) -> Result<Opened<'_>, FrameError> {
    let (header, body) = FrameHeader::parse(bytes)?;
    let algorithm = Algorithm::from_frame_byte(header.codec)
        .ok_or(FrameError::Corrupt { what: "no codec has this byte", at: 3 })?;
    Ok(match header.kind {
        Kind::Record => Opened::Record(RecordFrame { algorithm, header, body }),
        Kind::Block => Opened::Block(algorithm),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::codec::{CodecSpec, ModelRef, ModelSource, NoModels, build};

    #[test]
    fn a_value_that_begins_like_a_skippable_frame_is_plain() {
        let mut value = b"\x53\x2a\x4d\x18\x02\0\0\0ab".to_vec();
        assert_eq!(skippable(&value), Some(2));
        assert_eq!((skippable(&value[..7]), skippable(b"\x4f\x2a\x4d\x18\x02\0\0\0")), (None, None));
        value.extend_from_slice(&[0x28, 0xb5, 0x2f, 0xfd]);
        assert_eq!(sniff(&value), None);
        let mut sealed = Vec::new();
        seal(Algorithm::Identity, None, &value, &value, &mut sealed);
        assert_eq!(sealed, value);
    }

    #[test]
    fn what_is_sealed_is_recognised_whatever_its_codec() {
        let models: Arc<dyn ModelSource> = Arc::new(NoModels);
        for algorithm in Algorithm::ALL {
            let raw = b"a value, a value, a value, a value, a value";
            let mut coded = Vec::new();
            build(CodecSpec::new(algorithm), &models).unwrap().encode(raw, &mut coded).unwrap();
            let mut sealed = Vec::new();
            seal(algorithm, None, &coded, raw, &mut sealed);
            let expected = match algorithm {
                Algorithm::Identity => None,
                Algorithm::Huffman | Algorithm::Lzw | Algorithm::Zlib | Algorithm::Deflate | Algorithm::Brotli => {
                    Some(Coding::Frame)
                }
                Algorithm::ZstdDict => Some(Coding::Stream(Algorithm::Zstd)),
                other => Some(Coding::Stream(other)),
            };
            assert_eq!(sniff(&sealed), expected, "{algorithm}");
        }
    }

    #[test]
    fn a_raw_value_that_looks_coded_is_framed() {
        let frames = [
            &[0x91, 0x4c][..],
            &[0x91, 0x4c, 0x10, 0, 0, 0, 0, 0],
            &[0xc1],
            &[0xc1, 0, 0, 0, 0],
            &[0xfc],
            &[0xfc, 0, 0, 0],
        ];
        for raw in frames.into_iter().chain([&b"BZhello"[..], &[0x1f, 0x8b, 0x08, 0]]) {
            let mut sealed = Vec::new();
            seal(Algorithm::Identity, None, raw, raw, &mut sealed);
            assert_eq!(sealed.len(), raw.len() + 8);
            assert_eq!(sniff(&sealed), Some(Coding::Frame));
        }
        let mut sealed = Vec::new();
        seal(Algorithm::Identity, None, b"", b"", &mut sealed);
        assert!(sealed.is_empty());
    }

    #[test]
    fn a_record_of_a_model_with_a_short_name_takes_three_or_four_bytes_more() {
        for (algorithm, model, more) in [
            (Algorithm::Latent, [0xfc, 2, 3, 4], 3),
            (Algorithm::Latent, [0xc1, 2, 3, 4], 4),
            (Algorithm::Latent, [0xc0, 2, 3, 4], 8),
            (Algorithm::Columns, [0xc1, 2, 3, 4], 8),
            (Algorithm::Columns, [0xfc, 2, 3, 4], 8),
        ] {
            let mut sealed = Vec::new();
            seal(algorithm, Some(model), b"coded", b"a value", &mut sealed);
            assert_eq!((sealed.len(), sniff(&sealed)), (5 + more, Some(Coding::Frame)));
            let Ok(Opened::Record(frame)) = open(&sealed) else { panic!("{algorithm} {model:?}") };
            let named = match more {
                3 => ModelRef::Short([0xfc, 2, 3]),
                _ => ModelRef::Prefix(model),
            };
            let found = (frame.algorithm, ModelRef::of(frame.header.guard), frame.body);
            assert_eq!(found, (algorithm, Some(named), &b"coded"[..]));
        }
        assert_eq!(frame::SHORT_CODEC, Algorithm::Latent as u8);
    }
}
