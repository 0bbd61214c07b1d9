//! Names of codecs as users write them: `zstd`, `zstd:19`, `zstd-dict`.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// A codec, by name. The discriminant is the codec byte of latentd's frame (`FORMAT.md`): never reused, never changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Algorithm {
    /// The bytes themselves.
    Identity = 0,
    /// Canonical Huffman coding of bytes, ours.
    Huffman = 1,
    /// LZW (variable width, MSB first, as in TIFF and PDF).
    Lzw = 2,
    /// zlib format (RFC 1950).
    Zlib = 3,
    /// gzip member (RFC 1952).
    Gzip = 4,
    /// Raw deflate (RFC 1951).
    Deflate = 5,
    /// Brotli (RFC 7932).
    Brotli = 6,
    /// Zstandard frame (RFC 8878).
    Zstd = 7,
    /// LZ4 frame.
    Lz4 = 8,
    /// xz container.
    Xz = 9,
    /// bzip2.
    Bzip2 = 10,
    /// Zstandard frame with a dictionary learned from the topic.
    ZstdDict = 11,
    /// Fields coded one by one with a model learned from the topic.
    Columns = 12,
    /// Small images coded with networks learned from the topic.
    Latent = 13,
}

impl Algorithm {
    /// Those that need no model to code, in the order of their frame bytes.
    pub const ALL: [Self; 12] = [
        Self::Identity,
        Self::Huffman,
        Self::Lzw,
        Self::Zlib,
        Self::Gzip,
        Self::Deflate,
        Self::Brotli,
        Self::Zstd,
        Self::Lz4,
        Self::Xz,
        Self::Bzip2,
        Self::ZstdDict,
    ];

    /// Those whose streams are made with a model, and travel in a frame that names it.
    pub const LEARNED: [Self; 2] = [Self::Columns, Self::Latent];

    /// One more than the largest frame byte: the length of a table by frame byte.
    pub const TABLE: usize = Self::ALL.len() + Self::LEARNED.len();

    /// Whether its streams are made with a model and travel in a frame that names it.
    pub fn is_learned(self) -> bool {
        Self::LEARNED.contains(&self)
    }

    /// The name in configuration and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Huffman => "huffman",
            Self::Lzw => "lzw",
            Self::Zlib => "zlib",
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "brotli",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
            Self::ZstdDict => "zstd-dict",
            Self::Columns => "columns",
            Self::Latent => "latent",
        }
    }

    /// The token of the `content-encoding` header. `deflate` is HTTP's: the zlib format (RFC 9110, 8.4.1.2).
    pub const fn content_encoding(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Huffman => "x-huffman",
            Self::Lzw => "x-lzw",
            Self::Zlib => "deflate",
            Self::Gzip => "gzip",
            Self::Deflate => "x-deflate-raw",
            Self::Brotli => "br",
            Self::Zstd | Self::ZstdDict => "zstd",
            Self::Lz4 => "lz4",
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
            // Never a bare stream: what is named is the frame around it.
            Self::Columns | Self::Latent => super::LATENTD,
        }
    }

    /// The codec that decodes a `content-encoding` token. A zstd frame says itself whether it needs a dictionary.
    pub fn from_content_encoding(token: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|a| a.content_encoding().as_bytes().eq_ignore_ascii_case(token))
    }

    /// The codec of a frame byte.
    pub fn from_frame_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().chain(Self::LEARNED).find(|a| *a as u8 == byte)
    }

    /// The levels it takes, and the one it has without a word.
    pub const fn levels(self) -> Option<(RangeInclusive<i32>, i32)> {
        match self {
            Self::Identity | Self::Huffman | Self::Lzw | Self::Columns | Self::Latent => None,
            Self::Zlib | Self::Gzip | Self::Deflate => Some((0..=9, 6)),
            Self::Brotli => Some((0..=11, 5)),
            Self::Zstd | Self::ZstdDict => Some((1..=22, 3)),
            Self::Lz4 => Some((0..=12, 0)),
            Self::Xz => Some((0..=9, 6)),
            Self::Bzip2 => Some((1..=9, 9)),
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A codec with its level, as `zstd:19`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CodecSpec {
    algorithm: Algorithm,
    level: Option<i32>,
}

impl CodecSpec {
    /// The codec at its default level.
    pub const fn new(algorithm: Algorithm) -> Self {
        Self { algorithm, level: None }
    }
    /// The codec at a level; `None` when the codec has no such level.
    pub fn with_level(algorithm: Algorithm, level: i32) -> Option<Self> {
        let (range, _) = algorithm.levels()?;
        range.contains(&level).then_some(Self { algorithm, level: Some(level) })
    }
    /// The codec.
    pub const fn algorithm(self) -> Algorithm {
        self.algorithm
    }
    /// The level in force; 0 for codecs without levels.
    pub fn level(self) -> i32 {
        self.level.or_else(|| self.algorithm.levels().map(|(_, default)| default)).unwrap_or(0)
    }
}

/// Why a text names no codec.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseCodecSpecError {
    /// No such codec.
    #[error(
        "no codec `{name}`: there are identity, huffman, lzw, zlib, gzip, deflate, brotli, zstd, lz4, xz, bzip2, zstd-dict, columns, latent"
    )]
    UnknownCodec {
        /// What was written.
        name: String,
    },
    /// The codec has no such level.
    #[error("`{algorithm}` has no level `{level}`: {accepted}")]
    BadLevel {
        /// The codec.
        algorithm: Algorithm,
        /// What was written.
        level: String,
        /// What it takes.
        accepted: String,
    },
}

impl FromStr for CodecSpec {
    type Err = ParseCodecSpecError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, level) = match text.split_once(':') {
            Some((name, level)) => (name, Some(level)),
            None => (text, None),
        };
        let algorithm = Algorithm::ALL
            .into_iter()
            .chain(Algorithm::LEARNED)
            .find(|a| a.name() == name)
            .ok_or_else(|| ParseCodecSpecError::UnknownCodec { name: name.to_owned() })?;
        let Some(level) = level else { return Ok(Self::new(algorithm)) };
        let accepted = match algorithm.levels() {
            Some((range, default)) => {
                format!("levels are {} to {}, default {default}", range.start(), range.end())
            }
            None => "it takes none".to_owned(),
        };
        level
            .parse()
            .ok()
            .and_then(|level| Self::with_level(algorithm, level))
            .ok_or_else(|| ParseCodecSpecError::BadLevel { algorithm, level: level.to_owned(), accepted })
    }
}

impl fmt::Display for CodecSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level {
            Some(level) => write!(f, "{}:{level}", self.algorithm),
            None => self.algorithm.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_codec_reads_its_own_name_and_level() {
        for algorithm in Algorithm::ALL {
            assert_eq!(algorithm.name().parse(), Ok(CodecSpec::new(algorithm)));
            assert_eq!(Algorithm::from_frame_byte(algorithm as u8), Some(algorithm));
            if let Some((range, _)) = algorithm.levels() {
                for level in range {
                    let spec = CodecSpec::with_level(algorithm, level).unwrap();
                    assert_eq!(spec.to_string().parse(), Ok(spec));
                }
            }
        }
    }

    #[test]
    fn a_wrong_level_says_which_levels_there_are() {
        let error = "zstd:40".parse::<CodecSpec>().unwrap_err();
        assert_eq!(error.to_string(), "`zstd` has no level `40`: levels are 1 to 22, default 3");
        assert!("lzw:3".parse::<CodecSpec>().is_err());
        assert!("zsdt".parse::<CodecSpec>().is_err());
    }
}
