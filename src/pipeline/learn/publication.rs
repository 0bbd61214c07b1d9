//! How a model that has won gets into the registry, and into use.

use std::sync::Arc;

use bytes::Bytes;

use crate::codec::ModelId;
use crate::model::{Dictionary, Family, Manifest, latent};
use crate::registry::{Registry, RegistryError};

/// How many numbers are tried for a dictionary, and names for a model of images, before it is given up.
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
    /// Publishes it, and returns what was published: where a dictionary's number, or the name in frames of a model of images,
    /// is taken by another one, the same model under the next one.
    pub async fn publish(mut self, registry: &Registry) -> Result<Self, RegistryError> {
        let mut salt = 0;
        loop {
            let error = match registry.publish(&self.manifest, Bytes::copy_from_slice(&self.artefact)).await {
                Ok(_) => return Ok(self),
                Err(error) => error,
            };
            salt += 1;
            let again = matches!(error, RegistryError::Taken { .. }) && salt <= SALTS;
            self.artefact = match again.then(|| self.resalted(salt)).transpose()?.flatten() {
                Some(artefact) => artefact,
                None => return Err(error),
            };
            self.manifest.model = ModelId::of(&self.artefact);
            self.manifest.artefact_bytes = self.artefact.len() as u64;
        }
    }

    /// The same model under another name, where its family has such.
    fn resalted(&self, salt: u32) -> Result<Option<Arc<[u8]>>, RegistryError> {
        Ok(match &self.manifest.family {
            family if *family == Family::ZSTD_DICTIONARY => {
                Some(Dictionary::parse(&self.artefact)?.with_salt(salt).artefact().into())
            }
            family if *family == Family::LATENT => latent::resalted(&self.artefact).map(Arc::from),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::ModelRef;
    use crate::model::latent::tests::model;

    #[tokio::test]
    async fn a_model_of_images_whose_name_is_taken_is_published_under_another_one() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("file://{}", folder.path().display());
        let registry = Registry::open(&url, &Default::default()).unwrap();
        let model = model(3, "8x8".parse().unwrap(), 0, 0);
        let manifest = Manifest::new(model.artefact(), Family::LATENT, "images", "2026-01-01T00:00:00Z");
        let publication = Publication { manifest, artefact: Arc::clone(model.artefact()) };
        // Another model once had the name: its records may lie somewhere still.
        let [a, b, c, ..] = *model.id().as_bytes();
        let owner = ModelId::of(b"another one");
        std::fs::create_dir_all(folder.path().join("names")).unwrap();
        let name = folder.path().join(format!("names/{a:02x}{b:02x}{c:02x}.json"));
        std::fs::write(&name, format!("{{\"model\":\"{owner}\"}}")).unwrap();
        let error = registry.publish(&publication.manifest, publication.artefact.to_vec()).await.unwrap_err();
        assert!(matches!(error, RegistryError::Taken { owner: found, .. } if found == owner), "{error}");
        let published = publication.publish(&registry).await.unwrap();
        let (id, parts) = (published.manifest.model, model.parts());
        assert_eq!(latent::LatentModel::parse(&published.artefact).unwrap().parts(), parts);
        let short = id.short_name().unwrap();
        assert_ne!(Some(short), model.id().short_name());
        assert_eq!(registry.load_ref(ModelRef::Short(short)).await.unwrap().manifest.model, id);
        // What the other one's records name is not taken for this model.
        let missing = registry.load_ref(ModelRef::Short([a, b, c])).await.unwrap_err();
        assert!(matches!(missing, RegistryError::Corrupt { .. }), "{missing}");
    }
}
