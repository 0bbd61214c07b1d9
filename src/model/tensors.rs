//! A model as a safetensors file: tensors, and what is no tensor as JSON in the file's metadata, under one key. Written by training, read without
//! trust. Which tensors there are, each kind of model says.

use std::borrow::Cow;
use std::collections::HashMap;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The metadata's key.
const KEY: &str = "latentd";

/// zstd's level for tensors that are packed: they are written once.
const LEVEL: i32 = 19;

/// A file under way.
#[derive(Debug, Default)]
pub(super) struct Draft<'a>(Vec<Named<'a>>);

/// A tensor on its way into a file.
#[derive(Debug)]
struct Named<'a> {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Cow<'a, [u8]>,
}

impl<'a> Draft<'a> {
    /// A tensor with the bytes of its shape.
    pub fn put(
        &mut self,
        name: impl Into<String>,
        dtype: Dtype,
        shape: impl Into<Vec<usize>>,
        bytes: impl Into<Cow<'a, [u8]>>,
    ) {
        self.0.push(Named { name: name.into(), dtype, shape: shape.into(), bytes: bytes.into() });
    }

    /// A tensor of f32.
    pub fn floats(
        &mut self,
        name: impl Into<String>,
        shape: impl Into<Vec<usize>>,
        values: impl IntoIterator<Item = f32>,
    ) {
        self.put(name, Dtype::F32, shape, values.into_iter().flat_map(f32::to_le_bytes).collect::<Vec<u8>>());
    }

    /// Bytes in a zstd frame.
    pub fn packed(&mut self, name: impl Into<String>, bytes: &[u8]) {
        let packed = zstd::bulk::compress(bytes, LEVEL).expect("zstd has a level 19, and memory for megabytes");
        self.put(name, Dtype::U8, [packed.len()], packed);
    }

    /// The file, with what is no tensor.
    pub fn finish(&self, outline: &impl Serialize) -> Vec<u8> {
        let outline = serde_json::to_string(outline).expect("numbers and texts are JSON");
        let views = self.0.iter().map(|Named { name, dtype, shape, bytes }| {
            let view = TensorView::new(*dtype, shape.clone(), bytes);
            (name.as_str(), view.expect("each tensor has the bytes of its shape"))
        });
        let metadata = HashMap::from([(KEY.to_owned(), outline)]);
        safetensors::serialize(views, Some(metadata)).expect("tensors of some megabytes fit a file")
    }
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Flaw(String);

impl Flaw {
    fn new(what: impl std::fmt::Display) -> Self {
        Self(what.to_string())
    }
}

/// Most bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caps {
    /// Of the file.
    pub file: usize,
    /// Of its header: names, shapes, places and metadata.
    pub header: u64,
}

/// A file whose metadata was read.
#[derive(Debug)]
pub(super) struct File<'a> {
    bytes: &'a [u8],
    outline: String,
}

impl<'a> File<'a> {
    /// A file within some caps.
    pub fn open(bytes: &'a [u8], caps: Caps) -> Result<Self, Flaw> {
        if bytes.len() > caps.file {
            return Err(Flaw::new(format_args!("it has {} bytes, over the cap of {}", bytes.len(), caps.file)));
        }
        // The header is parsed whole, so that its length is looked at first.
        let header = bytes.first_chunk().map(|length| u64::from_le_bytes(*length));
        if header.is_none_or(|length| length > caps.header) {
            return Err(Flaw::new(format_args!(
                "it does not begin like a safetensors file with a header of {} KiB at most",
                caps.header >> 10
            )));
        }
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(Flaw::new)?;
        let outline = metadata.metadata().as_ref().and_then(|metadata| metadata.get(KEY));
        let outline = outline.ok_or_else(|| Flaw::new("its metadata has no key `latentd`"))?.clone();
        Ok(Self { bytes, outline })
    }

    /// What is no tensor.
    pub fn outline<T: DeserializeOwned>(&self) -> Result<T, Flaw> {
        serde_json::from_str(&self.outline).map_err(Flaw::new)
    }

    /// Its tensors.
    pub fn tensors(&self) -> Result<Tensors<'a>, Flaw> {
        SafeTensors::deserialize(self.bytes).map(Tensors).map_err(Flaw::new)
    }
}

/// The tensors of a file.
#[derive(Debug)]
pub(super) struct Tensors<'a>(SafeTensors<'a>);

impl<'a> Tensors<'a> {
    /// Whether there is a tensor of this name.
    pub fn has(&self, name: &str) -> bool {
        self.0.tensor(name).is_ok()
    }

    /// A tensor of this type and rank.
    pub fn get(&self, name: &str, dtype: Dtype, rank: usize) -> Result<TensorView<'a>, Flaw> {
        let tensor = self.0.tensor(name).map_err(|_| Flaw::new(format_args!("it has no tensor `{name}`")))?;
        match tensor.dtype() == dtype && tensor.shape().len() == rank {
            true => Ok(tensor),
            false => Err(Flaw::new(format_args!("its tensor `{name}` is of another type or rank"))),
        }
    }

    /// Bytes of a zstd frame, so many at most.
    pub fn unpacked(&self, name: &str, most: usize) -> Result<Vec<u8>, Flaw> {
        zstd::bulk::decompress(self.get(name, Dtype::U8, 1)?.data(), most)
            .map_err(|error| Flaw::new(format_args!("its tensor `{name}` does not unpack: {error}")))
    }
}

/// The numbers of some bytes.
pub(super) fn numbers<T, const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks().0.iter().copied().map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPS: Caps = Caps { file: 4096, header: 2048 };

    #[test]
    fn what_was_put_comes_back_and_other_types_and_ranks_are_refused() {
        let mut draft = Draft::default();
        draft.floats("floats", [1, 2], [0.5, -1.0]);
        draft.packed("packed", &[7; 1000]);
        let bytes = draft.finish(&7);
        let file = File::open(&bytes, CAPS).unwrap();
        let tensors = file.tensors().unwrap();
        assert_eq!(file.outline::<u8>().unwrap(), 7);
        assert_eq!(numbers(tensors.get("floats", Dtype::F32, 2).unwrap().data(), f32::from_le_bytes), [0.5, -1.0]);
        assert_eq!(tensors.unpacked("packed", 1000).unwrap(), [7; 1000]);
        assert!(tensors.has("packed") && !tensors.has("other"));
        for (flaw, expected) in [
            (tensors.get("floats", Dtype::F32, 1).unwrap_err(), "its tensor `floats` is of another type or rank"),
            (tensors.get("floats", Dtype::U8, 2).unwrap_err(), "its tensor `floats` is of another type or rank"),
            (tensors.get("other", Dtype::U8, 1).unwrap_err(), "it has no tensor `other`"),
            (tensors.unpacked("packed", 999).unwrap_err(), "its tensor `packed` does not unpack"),
            (file.outline::<String>().unwrap_err(), "invalid type"),
        ] {
            assert!(flaw.to_string().contains(expected), "{flaw}");
        }
    }

    #[test]
    fn what_is_over_a_cap_or_no_such_file_is_refused() {
        let bytes = Draft::default().finish(&"x".repeat(100));
        for (bytes, caps, expected) in [
            (&bytes[..], Caps { file: 20, ..CAPS }, "over the cap of 20"),
            (&bytes, Caps { header: 50, ..CAPS }, "does not begin like a safetensors file with a header of 0 KiB"),
            (&bytes[..7], CAPS, "does not begin"),
            (&bytes[..60], CAPS, ""),
            (b"\x02\0\0\0\0\0\0\0{}", CAPS, "no key `latentd`"),
        ] {
            let flaw = File::open(bytes, caps).map(drop).unwrap_err();
            assert!(flaw.to_string().contains(expected), "{flaw}");
        }
    }
}
