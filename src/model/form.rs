//! How a wrapping of images is written in a model: JSON, in which a header's bytes are characters of Latin-1.

use serde::{Deserialize, Serialize};

use crate::payload::image::{Png, Settings, Wrapping};

/// A wrapping.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Form {
    Raw,
    Pnm(String),
    Png(PngForm),
}

/// A PNG file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PngForm {
    head: String,
    tail: String,
    zlib: [u8; 2],
    level: u8,
    memory: u8,
    filtered: bool,
    /// Absent where each row says its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    filter: Option<u8>,
}

/// Bytes as characters of Latin-1.
fn characters(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// And back.
fn bytes_of(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|letter| u8::try_from(u32::from(letter)).ok()).collect()
}

impl From<&Wrapping> for Form {
    fn from(wrapping: &Wrapping) -> Self {
        match wrapping {
            Wrapping::Raw => Self::Raw,
            Wrapping::Pnm { header } => Self::Pnm(characters(header)),
            Wrapping::Png(png) => Self::Png(PngForm {
                head: characters(&png.head),
                tail: characters(&png.tail),
                zlib: png.zlib,
                level: png.settings.level,
                memory: png.settings.memory,
                filtered: png.settings.filtered,
                filter: png.filter,
            }),
        }
    }
}

impl Form {
    /// The wrapping, of which it is not yet known whether it fits a shape; `None` where a header is not of bytes.
    pub fn wrapping(&self) -> Option<Wrapping> {
        Some(match self {
            Self::Raw => Wrapping::Raw,
            Self::Pnm(text) => Wrapping::Pnm { header: bytes_of(text)? },
            Self::Png(form) => Wrapping::Png(Png {
                head: bytes_of(&form.head)?,
                tail: bytes_of(&form.tail)?,
                zlib: form.zlib,
                settings: Settings { level: form.level, memory: form.memory, filtered: form.filtered },
                filter: form.filter,
            }),
        })
    }
}
