//! How a model that has won gets into the registry, and into use.

use std::sync::Arc;

use bytes::Bytes;

use crate::codec::ModelId;
use crate::model::{Dictionary, Family, Manifest};
use crate::registry::{Registry, RegistryError};

/// How many numbers are tried for a dictionary before it is given up.
const SALTS: u32 = 16;

/// A model that is ready for the registry.
#[derive(Clone, Debug)]
pub struct Publication {
    /// What it is; it describes this artefact.
    pub manifest: Manifest,
    /// Its bytes.
    pub artefact: Arc<[u8]>,
}

impl Publication {
    /// Publishes it, and returns what was published: where a dictionary's number is taken by another one, the same
    /// dictionary under the next number.
    pub async fn publish(mut self, registry: &Registry) -> Result<Self, RegistryError> {
        let mut salt = 0;
        loop {
            match registry.publish(&self.manifest, Bytes::copy_from_slice(&self.artefact)).await {
                Ok(_) => return Ok(self),
                Err(RegistryError::Taken { .. }) if salt < SALTS && self.manifest.family == Family::ZSTD_DICTIONARY => {
                    salt += 1;
                    self.artefact = Dictionary::parse(&self.artefact)?.with_salt(salt).artefact().into();
                    self.manifest.model = ModelId::of(&self.artefact);
                    self.manifest.artefact_bytes = self.artefact.len() as u64;
                }
                Err(error) => return Err(error),
            }
        }
    }
}
