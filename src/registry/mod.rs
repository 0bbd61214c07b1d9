//! Where models live: content-addressed, immutable, published whole; and which of them each pipeline uses.
//!
//! On the `object_store` crate: a local folder, S3, Google Cloud Storage, Azure, or memory for tests.
//!
//! ```text
//! registry.json                          this is a registry, of this version
//! models/<p>/<id>/artefact               the model's bytes; <id> is their BLAKE3, <p> its first 8 digits
//! models/<p>/<id>/manifest.json          what it is; written last: a model exists when its manifest does
//! models/<p>/<id>/state                  what the next training begins with that starts from it, where that helps
//! models/<p>/<id>/report-<ms>-<r>.json   what was found of records drawn from it, when; <r> is the report's id
//! dictionaries/<number>.json             which model a zstd dictionary number names
//! names/<name>.json                      which model the name in a frame of three bytes names; it stays when the model goes
//! active/<pipeline>/<sequence>.json      which model the pipeline uses since when, by whom; the highest counts
//! active/<pipeline>%2Fgenerator/...       the same for what it draws from beside its codec, where it learns that
//! trainings/<pipeline>/samples           what a training learns from that has not ended
//! trainings/<pipeline>/progress          how far it is
//! emitted/<pipeline>/<ms>-<instance>.bin digests of records that one process published as generated, from when on
//! ```
//!
//! **Atomicity.** Every object is written by one put that readers see whole or not at all: a staged file and a rename
//! or hard link in a folder, one PUT in a cloud (artefacts are far below the 5 GB of a single PUT, so there are no
//! multipart uploads to leave behind). In a folder, file and directory are flushed to disk before a put returns.
//!
//! **The active pointer is a log.** Each change creates the object of the next number and fails if that exists, which
//! every store can do (`If-None-Match: *`, generation 0, `link(2)`). So no change is ever lost to another that came at
//! the same time, the history cannot disagree with the pointer, and a folder needs no compare-and-swap, which it does
//! not have. A store without conditional puts (`aws_conditional_put = "disabled"`) is checked first and written then;
//! there, two changes in the same moment can lose one.
//!
//! **Half-written models** have no manifest: nothing lists or loads them, publishing again completes them, and
//! [`Registry::gc`] removes them when they are old.

mod active;
mod cache;
mod emitted;
mod error;
mod gc;
mod layout;
mod models;
mod reports;
mod store;
mod trainings;

pub use active::{Activation, Change, Expect, Signature, generator_of, log_of};
pub use cache::{CacheSettings, ModelCache};
pub use emitted::{EmittedNews, EmittedPage, EmittedPages, PAGE};
pub use error::RegistryError;
pub use gc::{GcPolicy, GcReport, KeptModel, KeptWhy, RemovedModel};
pub use models::{Listing, Model, Published};
pub use trainings::Unfinished;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use object_store::ObjectStore;

use store::Store;

/// Result of the registry's operations.
pub type Result<T, E = RegistryError> = std::result::Result<T, E>;

/// A registry. Cheap to clone; clones share the connection.
#[derive(Clone)]
pub struct Registry {
    store: Arc<Store>,
}

impl Registry {
    /// Opens a registry by URL: `file:///folder`, `s3://bucket/path`, `gs://bucket/path`, `az://container/path`, or
    /// `memory:///`, which is empty and ends with the process.
    ///
    /// `properties` are the store's own (`aws_access_key_id`, `endpoint`, `allow_http`, ...); what is not given comes
    /// from the environment as the cloud's own tools read it. Nothing is sent or created yet.
    pub fn open(url: &str, properties: &BTreeMap<String, String>) -> Result<Self> {
        Ok(Self { store: Arc::new(Store::connect(url, properties)?) })
    }

    /// A registry on objects that are there already. `name` stands in messages where the URL would.
    pub fn with_objects(objects: Arc<dyn ObjectStore>, name: impl Into<String>) -> Self {
        Self { store: Arc::new(Store::new(objects, name.into())) }
    }

    /// The objects underneath.
    pub fn objects(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.store.objects)
    }

    /// Its URL, without a password.
    pub fn url(&self) -> &str {
        &self.store.name
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Registry({})", self.url())
    }
}
