//! Models in the registry: publish, load, list, find.

use bytes::Bytes;
use futures::{StreamExt, stream};
use serde::{Deserialize, Serialize};

use super::error::chain;
use super::{Registry, RegistryError, Result, layout};
use crate::codec::{ModelId, ModelPrefix, ModelRef, ShortName};
use crate::model::{Dictionary, Family, Manifest, manifest, package};

/// Largest artefact that is read. Models are a few megabytes; this only keeps a damaged manifest from asking for all
/// memory.
const MAX_ARTEFACT: u64 = 1 << 30;

/// Largest of the small objects: marker, dictionary number, active pointer.
pub(super) const MAX_SMALL: u64 = 64 << 10;

/// How many manifests are fetched at the same time.
const CONCURRENT: usize = 16;

const MARKER_VERSION: u32 = 1;

/// A model, whole and verified.
#[derive(Clone, Debug)]
pub struct Model {
    /// What it is.
    pub manifest: Manifest,
    /// Its bytes; their BLAKE3 is the manifest's.
    pub artefact: Bytes,
}

/// What publishing found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// The model is new.
    New,
    /// The model was there already; its manifest stays as it was.
    Already,
    /// The model was there and damaged; it is whole again.
    Repaired,
}

/// All models of a registry.
#[derive(Debug, Default)]
pub struct Listing {
    /// The models, newest first.
    pub models: Vec<Manifest>,
    /// Manifests that could not be read, with the reason. Nothing removes them.
    pub damaged: Vec<RegistryError>,
}

/// Content of `registry.json`.
#[derive(Serialize, Deserialize)]
struct Marker {
    format: String,
    version: u32,
}

/// Content of the object of a dictionary's number, or of a short name.
#[derive(Serialize, Deserialize)]
struct Named {
    model: ModelId,
}

/// What streams name one model by, beside the beginning of its id.
#[derive(Clone, Copy, Debug)]
enum Claim {
    /// A zstd dictionary's number.
    Dictionary(u32),
    /// The name in a frame of three bytes: one of 65,536, so that chance does not keep two models apart.
    Short(ShortName),
}

impl Claim {
    /// The short name that records of a model have.
    fn of(manifest: &Manifest) -> Option<Self> {
        manifest.model.short_name().filter(|_| manifest.family == Family::LATENT).map(Self::Short)
    }

    fn object(self) -> object_store::path::Path {
        match self {
            Self::Dictionary(number) => layout::dictionary(number),
            Self::Short(name) => layout::short_name(name),
        }
    }
}

impl std::fmt::Display for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Dictionary(number) => write!(f, "the zstd dictionary number {number}"),
            Self::Short([a, b, c]) => write!(f, "the short name {a:02x}{b:02x}{c:02x}"),
        }
    }
}

impl Registry {
    /// Publishes a model: artefact first, then the dictionary's number or the short name, the manifest last.
    ///
    /// Publishing the same model again is safe, also after an earlier attempt died half-way or the store lost some of
    /// it: that completes or repairs it. Two publishers of the same artefact end with one model, and the manifest of one of them.
    pub async fn publish(&self, manifest: &Manifest, artefact: impl Into<Bytes>) -> Result<Published> {
        self.publish_as(manifest, manifest.to_json()?.into(), artefact.into()).await
    }

    /// [`Registry::publish`] with the manifest's own bytes.
    async fn publish_as(&self, manifest: &Manifest, json: Bytes, artefact: Bytes) -> Result<Published> {
        manifest.verify(&artefact)?;
        if manifest.artefact_bytes > MAX_ARTEFACT {
            let detail = format!("an artefact of {} bytes is over the cap of {MAX_ARTEFACT}", artefact.len());
            return Err(RegistryError::Invalid { detail });
        }
        let model = manifest.model;
        let dictionary = match manifest.family == Family::ZSTD_DICTIONARY {
            true => Some(Dictionary::parse(&artefact)?.id()),
            false => None,
        };
        let claims: Vec<Claim> = dictionary.map(Claim::Dictionary).into_iter().chain(Claim::of(manifest)).collect();
        self.mark().await?;
        match self.stored_whole(&model).await? {
            Some(true) => {
                self.claim_all(&claims, model).await?;
                return Ok(Published::Already);
            }
            Some(false) => {
                self.store.put(&layout::artefact(&model), artefact).await?;
                self.claim_all(&claims, model).await?;
                self.store.put(&layout::manifest(&model), json).await?;
                return Ok(Published::Repaired);
            }
            None => {}
        }
        // Frames must find this model and no other by what they carry. Checked before anything is written; what two
        // publishers do in the same moment, the claims settle below, and for the prefix it takes a coincidence of 32 bits in
        // the same second, which a reader then reports as ambiguous.
        if let Some(owner) = self.with_prefix(model.prefix()).await?.into_iter().find(|other| *other != model) {
            let what = format!("the prefix {:08x}", u32::from_be_bytes(model.prefix()));
            return Err(RegistryError::Taken { what, owner });
        }
        for claim in &claims {
            self.check_claim(*claim, model).await?;
        }
        // Without a manifest nobody reads what may lie there from an attempt that died, so it is simply written over.
        self.store.put(&layout::artefact(&model), artefact).await?;
        self.claim_all(&claims, model).await?;
        match self.store.put_new(&layout::manifest(&model), json).await? {
            true => Ok(Published::New),
            false => Ok(Published::Already),
        }
    }

    /// Whether a model lies in the store undamaged; `None` when it is not published.
    async fn stored_whole(&self, model: &ModelId) -> Result<Option<bool>> {
        let stored = match self.manifest(model).await {
            Ok(manifest) => self.artefact(&manifest).await,
            Err(error) => Err(error),
        };
        match stored {
            Ok(_) => Ok(Some(true)),
            Err(RegistryError::Corrupt { .. }) => Ok(Some(false)),
            Err(RegistryError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The manifest of a model.
    pub async fn manifest(&self, model: &ModelId) -> Result<Manifest> {
        let json = self.manifest_json(model).await?;
        self.read_manifest(model, &json)
    }

    /// A model, with its bytes verified against its id.
    pub async fn load(&self, model: &ModelId) -> Result<Model> {
        let manifest = self.manifest(model).await?;
        let artefact = self.artefact(&manifest).await?;
        Ok(Model { manifest, artefact })
    }

    /// The model that a frame names.
    pub async fn load_ref(&self, model: ModelRef) -> Result<Model> {
        match model {
            ModelRef::Prefix(prefix) => {
                let id = match self.with_prefix(prefix).await?.as_slice() {
                    [] => return Err(self.no_model(format!("model {model}")).await),
                    [id] => *id,
                    several => {
                        let text = format!("{:08x}", u32::from_be_bytes(prefix));
                        return Err(RegistryError::Ambiguous { text, candidates: several.to_vec() });
                    }
                };
                self.load(&id).await
            }
            ModelRef::Short(name) => match self.claimed(Claim::Short(name)).await? {
                Some(id) if model.begins(&id) => self.load(&id).await,
                Some(id) => {
                    let object = self.store.url_of(&layout::short_name(name));
                    let detail = format!("it names model {id}, which does not begin so");
                    Err(RegistryError::Corrupt { object, detail })
                }
                None => Err(self.no_model(format!("model {model}")).await),
            },
            ModelRef::ZstdDictionary(number) => {
                let Some(id) = self.claimed(Claim::Dictionary(number)).await? else {
                    return Err(self.no_model(format!("model {model}")).await);
                };
                let loaded = self.load(&id).await?;
                let found = Dictionary::parse(&loaded.artefact).map(|dictionary| dictionary.id());
                if !matches!(found, Ok(found) if found == number) {
                    let object = self.store.url_of(&layout::dictionary(number));
                    let detail = format!("it names model {id}, which is not dictionary {number}");
                    return Err(RegistryError::Corrupt { object, detail });
                }
                Ok(loaded)
            }
        }
    }

    /// All models.
    pub async fn list(&self) -> Result<Listing> {
        let models: Vec<ModelId> = self
            .store
            .list(&layout::models())
            .await?
            .iter()
            .filter_map(|object| layout::parse_model_object(&object.location))
            .filter_map(|(model, file)| (file == layout::MANIFEST).then_some(model))
            .collect();
        let mut listing = Listing::default();
        let mut manifests =
            stream::iter(models).map(|model| async move { self.manifest(&model).await }).buffered(CONCURRENT);
        while let Some(manifest) = manifests.next().await {
            match manifest {
                Ok(manifest) => listing.models.push(manifest),
                // Removed between the listing and now.
                Err(RegistryError::NotFound { .. }) => {}
                Err(error @ RegistryError::Corrupt { .. }) => listing.damaged.push(error),
                Err(error) => return Err(error),
            }
        }
        listing.models.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.model.cmp(&b.model)));
        Ok(listing)
    }

    /// The model that a person means: its id, or the beginning of it, at least four digits.
    pub async fn resolve(&self, text: &str) -> Result<ModelId> {
        let text = text.trim().to_ascii_lowercase();
        if !(4..=64).contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let detail =
                format!("`{text}` is no model id: write 4 to 64 hexadecimal digits, as `models list` prints them");
            return Err(RegistryError::Invalid { detail });
        }
        let shards = match text.get(..8) {
            Some(prefix) => vec![layout::models().join(prefix)],
            None => {
                let mut shards = self.store.folders(&layout::models()).await?;
                shards.retain(|shard| shard.filename().is_some_and(|name| name.starts_with(&text)));
                shards
            }
        };
        let mut candidates = Vec::new();
        for shard in shards {
            candidates.extend(self.models_below(&shard).await?);
        }
        candidates.retain(|model| model.to_string().starts_with(&text));
        match candidates.as_slice() {
            [] => Err(self.no_model(format!("model `{text}`")).await),
            [model] => Ok(*model),
            _ => Err(RegistryError::Ambiguous { text, candidates }),
        }
    }

    /// A model as one file; [`crate::model::package`] describes it.
    pub async fn export(&self, model: &ModelId) -> Result<Vec<u8>> {
        let json = self.manifest_json(model).await?;
        let artefact = self.artefact(&self.read_manifest(model, &json)?).await?;
        package::pack(&json, &artefact).map_err(|error| RegistryError::Invalid { detail: chain(&error) })
    }

    /// Publishes a model from a file that [`Registry::export`] made, with its manifest as it was.
    pub async fn import(&self, file: &[u8]) -> Result<(Manifest, Published)> {
        let unpacked = package::unpack(file).map_err(|error| RegistryError::Invalid { detail: chain(&error) })?;
        let json = Bytes::copy_from_slice(unpacked.manifest_json);
        let artefact = Bytes::copy_from_slice(unpacked.artefact);
        let published = self.publish_as(&unpacked.manifest, json, artefact).await?;
        Ok((unpacked.manifest, published))
    }

    /// Whether there is a registry at all: something was published here once. A newer one is an error.
    pub async fn exists(&self) -> Result<bool> {
        let path = layout::marker();
        let Some(object) = self.store.get(&path, MAX_SMALL).await? else { return Ok(false) };
        let marker: Marker = self.read_json(&path, &object.bytes)?;
        if marker.version > MARKER_VERSION {
            let detail = format!(
                "registry `{}` has version {}, this program knows {MARKER_VERSION}: use a newer latentd",
                self.url(),
                marker.version
            );
            return Err(RegistryError::Invalid { detail });
        }
        Ok(true)
    }

    /// Makes a registry of what is none yet.
    pub(super) async fn mark(&self) -> Result<()> {
        if !self.exists().await? {
            let marker = Marker { format: "latentd-registry".to_owned(), version: MARKER_VERSION };
            self.store.put_new(&layout::marker(), to_json(&marker)).await?;
        }
        Ok(())
    }

    /// The models whose ids begin with a frame's prefix.
    async fn with_prefix(&self, prefix: ModelPrefix) -> Result<Vec<ModelId>> {
        self.models_below(&layout::shard(prefix)).await
    }

    async fn models_below(&self, shard: &object_store::path::Path) -> Result<Vec<ModelId>> {
        let objects = self.store.list(shard).await?;
        Ok(objects
            .iter()
            .filter_map(|object| layout::parse_model_object(&object.location))
            .filter_map(|(model, file)| (file == layout::MANIFEST).then_some(model))
            .collect())
    }

    /// The model that has claimed this, whether or not it is published.
    async fn claimed(&self, claim: Claim) -> Result<Option<ModelId>> {
        let path = claim.object();
        let Some(object) = self.store.get(&path, MAX_SMALL).await? else { return Ok(None) };
        Ok(Some(self.read_json::<Named>(&path, &object.bytes)?.model))
    }

    async fn check_claim(&self, claim: Claim, model: ModelId) -> Result<()> {
        match self.claimed(claim).await? {
            Some(owner) if owner != model => Err(RegistryError::Taken { what: claim.to_string(), owner }),
            _ => Ok(()),
        }
    }

    /// Makes all these name this model.
    async fn claim_all(&self, claims: &[Claim], model: ModelId) -> Result<()> {
        for claim in claims {
            let path = claim.object();
            let content = to_json(&Named { model });
            if self.store.put_new(&path, content.clone()).await? {
                continue;
            }
            match self.check_claim(*claim, model).await {
                // Damaged: what it named cannot be told, and this model is the one that carries it.
                Err(RegistryError::Corrupt { .. }) => self.store.put(&path, content).await?,
                checked => checked?,
            }
        }
        Ok(())
    }

    async fn manifest_json(&self, model: &ModelId) -> Result<Bytes> {
        match self.store.get(&layout::manifest(model), manifest::MAX_BYTES as u64).await? {
            Some(object) => Ok(object.bytes),
            None => Err(self.no_model(format!("model {model}")).await),
        }
    }

    fn read_manifest(&self, model: &ModelId, json: &[u8]) -> Result<Manifest> {
        let corrupt = |detail| {
            let object = self.store.url_of(&layout::manifest(model));
            RegistryError::Corrupt { object, detail }
        };
        let manifest = Manifest::parse(json).map_err(|error| corrupt(chain(&error)))?;
        if manifest.model != *model {
            return Err(corrupt(format!("it is the manifest of model {}", manifest.model)));
        }
        Ok(manifest)
    }

    async fn artefact(&self, manifest: &Manifest) -> Result<Bytes> {
        let path = layout::artefact(&manifest.model);
        let corrupt = |detail| RegistryError::Corrupt { object: self.store.url_of(&path), detail };
        if manifest.artefact_bytes > MAX_ARTEFACT {
            let claim = manifest.artefact_bytes;
            return Err(corrupt(format!("its manifest says {claim} bytes, over the cap of {MAX_ARTEFACT}")));
        }
        let Some(object) = self.store.get(&path, manifest.artefact_bytes).await? else {
            return Err(corrupt("the manifest is there and the artefact is not".to_owned()));
        };
        manifest.verify(&object.bytes).map_err(|error| corrupt(error.to_string()))?;
        Ok(object.bytes)
    }

    /// Why a model is not there: it is missing from the registry, or the whole registry is missing.
    pub(super) async fn no_model(&self, what: String) -> RegistryError {
        match self.exists().await {
            Ok(true) => RegistryError::NotFound {
                registry: self.url().to_owned(),
                what,
                remedy: ": it was removed, or lives in another registry",
            },
            Ok(false) => RegistryError::NoRegistry { registry: self.url().to_owned() },
            Err(error) => error,
        }
    }

    pub(super) fn read_json<T: for<'de> Deserialize<'de>>(
        &self,
        path: &object_store::path::Path,
        json: &[u8],
    ) -> Result<T> {
        serde_json::from_slice(json)
            .map_err(|error| RegistryError::Corrupt { object: self.store.url_of(path), detail: error.to_string() })
    }
}

/// The model in the content of a dictionary number's object.
pub(super) fn numbered_model(json: &[u8]) -> Option<ModelId> {
    serde_json::from_slice::<Named>(json).ok().map(|number| number.model)
}

/// One of the registry's own small objects as JSON.
pub(super) fn to_json(value: &impl Serialize) -> Bytes {
    let mut json = serde_json::to_vec_pretty(value).expect("these structs hold texts and numbers, which JSON can hold");
    json.push(b'\n');
    json.into()
}
