//! A model as one file (`.latentd-model`): what `export` writes and `import` reads.
//!
//! ```text
//! offset  bytes  what
//! 0       8      magic: 8B 6C 61 74 65 6E 74 4D   (0x8B, then `latentM`)
//! 8       4      version, little endian: 1
//! 12      4      length M of the manifest, little endian
//! 16      8      length A of the artefact, little endian
//! 24      M      the manifest: JSON, as in the registry
//! 24+M    A      the artefact
//! 24+M+A  32     BLAKE3 of everything before
//! ```
//!
//! Nothing follows. The artefact lies as it is, so `tail` and `head` can take a zstd dictionary out of it.

use crate::codec::ModelId;
use crate::model::manifest::{self, Manifest, ManifestError};

const MAGIC: [u8; 8] = *b"\x8blatentM";
const VERSION: u32 = 1;
const HEADER: usize = 24;
const CHECKSUM: usize = 32;

/// A model taken out of a file; artefact and manifest belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct Unpacked<'a> {
    /// The manifest, read.
    pub manifest: Manifest,
    /// The manifest, as it is written.
    pub manifest_json: &'a [u8],
    /// The artefact.
    pub artefact: &'a [u8],
}

/// Why bytes are no model file.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// They are something else.
    #[error("this is no model file: it does not begin as `latentd models export` writes it")]
    Foreign,
    /// A newer program wrote the file.
    #[error("the model file has version {version}, this program reads {VERSION}: use a newer latentd")]
    Newer {
        /// Its version.
        version: u32,
    },
    /// The file is shorter or longer than it says.
    #[error("the model file should hold {expected} bytes and holds {found}: it was cut, or something was added")]
    Length {
        /// What the lengths in it add up to.
        expected: u64,
        /// What there is.
        found: u64,
    },
    /// Some byte has changed.
    #[error("the model file is damaged: its checksum does not fit its bytes")]
    Checksum,
    /// Its manifest is bad, or belongs to another artefact.
    #[error("the model file's manifest is bad")]
    Manifest(#[from] ManifestError),
}

/// Puts a manifest, as it is written, and its artefact into one file.
pub fn pack(manifest_json: &[u8], artefact: &[u8]) -> Result<Vec<u8>, PackageError> {
    Manifest::parse(manifest_json)?.verify(artefact)?;
    let manifest_length =
        u32::try_from(manifest_json.len()).expect("`Manifest::parse` refuses what is over its cap, far below 4 GiB");
    let mut file = Vec::with_capacity(HEADER + manifest_json.len() + artefact.len() + CHECKSUM);
    file.extend_from_slice(&MAGIC);
    file.extend_from_slice(&VERSION.to_le_bytes());
    file.extend_from_slice(&manifest_length.to_le_bytes());
    file.extend_from_slice(&(artefact.len() as u64).to_le_bytes());
    file.extend_from_slice(manifest_json);
    file.extend_from_slice(artefact);
    let checksum = blake3::hash(&file);
    file.extend_from_slice(checksum.as_bytes());
    Ok(file)
}

/// Takes a model out of a file and checks all of it. Borrows; allocates for the manifest's fields only.
pub fn unpack(file: &[u8]) -> Result<Unpacked<'_>, PackageError> {
    let found = file.len() as u64;
    if !file.starts_with(&MAGIC[..file.len().min(MAGIC.len())]) || file.is_empty() {
        return Err(PackageError::Foreign);
    }
    let Some((header, body)) = file.split_first_chunk::<HEADER>() else {
        return Err(PackageError::Length { expected: (HEADER + CHECKSUM) as u64, found });
    };
    let version = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
    if version != VERSION {
        return Err(PackageError::Newer { version });
    }
    let manifest_length = u32::from_le_bytes([header[12], header[13], header[14], header[15]]);
    let mut artefact_length = [0; 8];
    artefact_length.copy_from_slice(&header[16..]);
    let artefact_length = u64::from_le_bytes(artefact_length);

    // Nothing is allocated by these lengths: they only have to agree with what is there.
    let expected =
        u64::from(manifest_length).saturating_add(artefact_length).saturating_add((HEADER + CHECKSUM) as u64);
    if expected != found {
        return Err(PackageError::Length { expected, found });
    }
    if manifest_length as usize > manifest::MAX_BYTES {
        return Err(ManifestError::TooLarge { bytes: manifest_length as usize }.into());
    }
    let (content, checksum) = file.split_at(file.len() - CHECKSUM);
    if blake3::hash(content).as_bytes() != checksum {
        return Err(PackageError::Checksum);
    }
    let (manifest_json, artefact) = body[..body.len() - CHECKSUM].split_at(manifest_length as usize);
    let manifest = Manifest::parse(manifest_json)?;
    manifest.verify(artefact)?;
    Ok(Unpacked { manifest, manifest_json, artefact })
}

/// The name of a model's file when the user gives none.
pub fn file_name(model: &ModelId) -> String {
    format!("{}.latentd-model", &model.to_string()[..16])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Family;

    fn example() -> (Vec<u8>, Vec<u8>) {
        let artefact = b"\x37\xa4\x30\xec some artefact".to_vec();
        let manifest = Manifest::new(&artefact, Family::ZSTD_DICTIONARY, "p", "2026-11-24T20:17:45Z");
        let file = pack(&manifest.to_json().unwrap(), &artefact).unwrap();
        (file, artefact)
    }

    #[test]
    fn a_packed_model_comes_back() {
        let (file, artefact) = example();
        let unpacked = unpack(&file).unwrap();
        assert_eq!(unpacked.artefact, artefact);
        assert_eq!(unpacked.manifest.model, ModelId::of(&artefact));
        assert_eq!(pack(unpacked.manifest_json, unpacked.artefact).unwrap(), file);
    }

    #[test]
    fn a_file_cut_at_any_byte_or_made_longer_is_refused() {
        let (file, _) = example();
        for length in 0..file.len() {
            assert!(unpack(&file[..length]).is_err(), "{length}");
        }
        let longer = [&file[..], b"x"].concat();
        assert!(matches!(unpack(&longer), Err(PackageError::Length { .. })));
    }

    #[test]
    fn a_flipped_bit_in_any_byte_is_refused() {
        let (file, _) = example();
        for at in 0..file.len() {
            for bit in 0..8 {
                let mut damaged = file.clone();
                damaged[at] ^= 1 << bit;
                assert!(unpack(&damaged).is_err(), "byte {at}, bit {bit}");
            }
        }
    }

    #[test]
    fn a_manifest_of_another_artefact_is_not_packed() {
        let (file, _) = example();
        let unpacked = unpack(&file).unwrap();
        assert!(matches!(pack(unpacked.manifest_json, b"another"), Err(PackageError::Manifest(_))));
    }

    #[test]
    fn lengths_that_promise_more_than_there_is_allocate_nothing() {
        let (mut file, _) = example();
        file[16..24].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(matches!(unpack(&file), Err(PackageError::Length { .. })));
    }
}
