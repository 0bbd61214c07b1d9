//! One object store behind a registry: opened by URL, with the few operations that the registry is made of and errors
//! that say what to do.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, RetryConfig};
use url::Url;

use super::error::chain;
use super::{RegistryError, Result};

/// Requests are tried again for this long. A worker that waits for a model has its own, shorter, patience.
const RETRY_FOR: Duration = Duration::from_secs(15);
const RETRIES: usize = 5;

/// An object store, and what it is called.
pub(super) struct Store {
    pub(super) objects: Arc<dyn ObjectStore>,
    pub(super) name: String,
    /// The folder, when it is one: what a killed writer leaves in it is not among the store's objects.
    pub(super) folder: Option<PathBuf>,
}

/// An object, read.
pub(super) struct Object {
    pub(super) bytes: Bytes,
    pub(super) modified: SystemTime,
}

impl Store {
    pub(super) fn new(objects: Arc<dyn ObjectStore>, name: String) -> Self {
        Self { objects, name, folder: None }
    }

    pub(super) fn connect(text: &str, properties: &BTreeMap<String, String>) -> Result<Self> {
        let url = Url::parse(text).map_err(|error| {
            let hint = if text.starts_with('/') { format!(": write `file://{text}`") } else { String::new() };
            RegistryError::invalid(format!("`{text}` is no registry URL ({error}){hint}"))
        })?;
        let name = display_name(&url);
        let refused = |error: object_store::Error| {
            RegistryError::invalid(format!("registry `{name}` cannot be opened: {}", chain(&error)))
        };
        let unknown = |key: &str| {
            let detail = format!(
                "registry `{name}`: there is no property `{key}` for `{}://`; properties are object_store's, such as {}",
                url.scheme(),
                examples(url.scheme())
            );
            RegistryError::invalid(detail)
        };
        let retry = || RetryConfig { max_retries: RETRIES, retry_timeout: RETRY_FOR, ..RetryConfig::default() };

        // The three builders share their shape, not a trait.
        macro_rules! cloud {
            ($builder:ty) => {{
                let mut builder = <$builder>::from_env().with_url(text).with_retry(retry());
                for (key, value) in properties {
                    let known = key.to_ascii_lowercase().parse().map_err(|_| unknown(key))?;
                    builder = builder.with_config(known, value);
                }
                let path = Path::from_url_path(url.path())
                    .map_err(|error| RegistryError::invalid(format!("registry `{name}`: {error}")))?;
                Arc::new(PrefixStore::new(builder.build().map_err(refused)?, path)) as Arc<dyn ObjectStore>
            }};
        }
        let (objects, folder) = match url.scheme() {
            "file" | "memory" if !properties.is_empty() => {
                let first = properties.keys().next().expect("it is not empty");
                return Err(RegistryError::invalid(format!(
                    "registry `{name}`: there is no property `{first}`: `{}://` takes none",
                    url.scheme()
                )));
            }
            "file" => {
                let folder = url.to_file_path().map_err(|()| {
                    RegistryError::invalid(format!("`{text}` names no folder of this machine: write `file:///folder`"))
                })?;
                let path = Path::from_absolute_path(&folder)
                    .map_err(|error| RegistryError::invalid(format!("registry `{name}`: {error}")))?;
                // Flushed to disk before a put returns: a record that names a model must not outlive the model.
                let files = LocalFileSystem::new().with_fsync(true);
                (Arc::new(PrefixStore::new(files, path)) as Arc<dyn ObjectStore>, Some(folder))
            }
            "memory" => (Arc::new(InMemory::new()) as Arc<dyn ObjectStore>, None),
            "s3" | "s3a" => (cloud!(AmazonS3Builder), None),
            "gs" => (cloud!(GoogleCloudStorageBuilder), None),
            "az" | "azure" | "abfs" | "abfss" | "adl" => (cloud!(MicrosoftAzureBuilder), None),
            other => {
                return Err(RegistryError::invalid(format!(
                    "`{text}`: a registry is at file://, s3://, gs:// or az://, not at {other}://"
                )));
            }
        };
        Ok(Self { objects, name, folder })
    }

    /// The URL of an object, for messages.
    pub(super) fn url_of(&self, path: &Path) -> String {
        let separator = if self.name.ends_with('/') { "" } else { "/" };
        format!("{}{separator}{path}", self.name)
    }

    /// An object of at most `cap` bytes, or `None` when there is none.
    pub(super) async fn get(&self, path: &Path, cap: u64) -> Result<Option<Object>> {
        let result = match self.objects.get(path).await {
            Ok(result) => result,
            Err(error) => return self.absent(error).map(|()| None),
        };
        let (size, modified) = (result.meta.size, SystemTime::from(result.meta.last_modified));
        if size > cap {
            let detail = format!("it holds {size} bytes, at most {cap} are expected");
            return Err(RegistryError::Corrupt { object: self.url_of(path), detail });
        }
        let bytes = result.bytes().await.map_err(|error| self.failed(error))?;
        Ok(Some(Object { bytes, modified }))
    }

    /// Whether there is such an object.
    pub(super) async fn exists(&self, path: &Path) -> Result<bool> {
        match self.objects.head(path).await {
            Ok(_) => Ok(true),
            Err(error) => self.absent(error).map(|()| false),
        }
    }

    /// Writes an object, over one that may be there.
    pub(super) async fn put(&self, path: &Path, bytes: Bytes) -> Result<()> {
        self.objects.put(path, bytes.into()).await.map(drop).map_err(|error| self.failed(error))
    }

    /// Writes an object if there is none, and says whether it did.
    pub(super) async fn put_new(&self, path: &Path, bytes: Bytes) -> Result<bool> {
        let create = PutOptions::from(PutMode::Create);
        match self.objects.put_opts(path, bytes.clone().into(), create).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            // The store has no conditional puts, or the configuration says so.
            Err(object_store::Error::NotImplemented { .. }) => {
                if self.exists(path).await? {
                    return Ok(false);
                }
                self.put(path, bytes).await.map(|()| true)
            }
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Removes an object; one that is not there is as good as removed.
    pub(super) async fn delete(&self, path: &Path) -> Result<()> {
        self.objects.delete(path).await.or_else(|error| self.absent(error))
    }

    /// All objects below a folder.
    pub(super) async fn list(&self, folder: &Path) -> Result<Vec<ObjectMeta>> {
        match self.objects.list(Some(folder)).try_collect().await {
            Ok(objects) => Ok(objects),
            Err(error) => self.absent(error).map(|()| Vec::new()),
        }
    }

    /// The folders directly below a folder.
    pub(super) async fn folders(&self, folder: &Path) -> Result<Vec<Path>> {
        match self.objects.list_with_delimiter(Some(folder)).await {
            Ok(result) => Ok(result.common_prefixes),
            Err(error) => self.absent(error).map(|()| Vec::new()),
        }
    }

    /// `Ok` when the error says that there is no such object, and says it about an object.
    fn absent(&self, error: object_store::Error) -> Result<()> {
        match error {
            object_store::Error::NotFound { .. } if !names_bucket(&chain(&error)) => Ok(()),
            error => Err(self.failed(error)),
        }
    }

    /// Any other error, by what is to be done about it.
    fn failed(&self, error: object_store::Error) -> RegistryError {
        use object_store::Error;

        let registry = self.name.clone();
        let detail = chain(&error);
        match &error {
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
                RegistryError::Denied { registry, detail }
            }
            _ if names_bucket(&detail) => {
                let detail = "its bucket does not exist: create it".to_owned();
                RegistryError::Unavailable { registry, detail }
            }
            Error::InvalidPath { .. }
            | Error::NotImplemented { .. }
            | Error::NotSupported { .. }
            | Error::UnknownConfigurationKey { .. } => {
                RegistryError::invalid(format!("registry `{registry}` cannot do this: {detail}"))
            }
            _ if is_denied(&error) => RegistryError::Denied { registry, detail },
            _ if detail.contains("169.254.169.254") || detail.contains("metadata.google.internal") => {
                let detail = format!("no credentials are given and this machine has none of its own ({detail})");
                RegistryError::Denied { registry, detail }
            }
            _ if detail.contains("ExpiredToken") => RegistryError::Denied { registry, detail },
            _ => RegistryError::Unavailable { registry, detail },
        }
    }
}

/// Whether a store says that the bucket itself is missing, which it does with the same status as for a missing object.
fn names_bucket(detail: &str) -> bool {
    ["NoSuchBucket", "ContainerNotFound", "bucket does not exist"].iter().any(|sign| detail.contains(sign))
}

/// Whether an error of the operating system about rights lies at its bottom.
fn is_denied(error: &(dyn std::error::Error + 'static)) -> bool {
    use std::io::ErrorKind;

    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return matches!(io.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem);
        }
        next = error.source();
    }
    false
}

/// The URL without a password and without a query, which may hold a key.
fn display_name(url: &Url) -> String {
    let mut url = url.clone();
    // Fails for URLs that cannot have one.
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

fn examples(scheme: &str) -> &'static str {
    match scheme {
        "gs" => "`google_service_account`",
        "s3" | "s3a" => "`aws_region`, `aws_endpoint`, `aws_access_key_id`, `allow_http`",
        _ => "`azure_storage_account_name`, `azure_storage_account_key`",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connect(url: &str, properties: &[(&str, &str)]) -> Result<Store> {
        let properties = properties.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Store::connect(url, &properties)
    }

    #[test]
    fn a_url_that_is_none_says_what_one_looks_like() {
        for (url, says) in [
            ("/var/lib/latentd", "file:///var/lib/latentd"),
            ("ftp://host/models", "s3://"),
            ("file://host/models", "file:///folder"),
            ("models", "no registry URL"),
        ] {
            let error = connect(url, &[]).map(drop).unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
            assert!(matches!(error, RegistryError::Invalid { .. }));
        }
    }

    #[test]
    fn a_property_that_the_store_does_not_have_is_an_error() {
        let error = connect("s3://bucket/path", &[("aws_regiom", "eu-west-1")]).map(drop).unwrap_err();
        assert!(error.to_string().contains("`aws_regiom`") && error.to_string().contains("`aws_region`"), "{error}");
        let error = connect("file:///tmp/x", &[("aws_region", "eu-west-1")]).map(drop).unwrap_err();
        assert!(error.to_string().contains("takes none"), "{error}");
    }

    #[test]
    fn every_cloud_opens_with_its_own_properties() {
        let s3 = [("AWS_Region", "eu-west-1"), ("aws_access_key_id", "k"), ("aws_secret_access_key", "s")];
        assert_eq!(connect("s3://bucket/some/path", &s3).unwrap().name, "s3://bucket/some/path");
        let azure = [("azure_storage_account_name", "account"), ("azure_storage_account_key", "a2V5")];
        connect("az://container/path", &azure).unwrap();
        connect("gs://bucket/path", &[("google_skip_signature", "true")]).unwrap();
        assert_eq!(connect("s3://user:secret@bucket/p?key=secret", &s3).unwrap().name, "s3://user@bucket/p");
    }

    #[test]
    fn errors_of_the_operating_system_about_rights_are_refusals() {
        let store = Store::new(Arc::new(InMemory::new()), "file:///x".to_owned());
        let io = |kind| object_store::Error::Generic { store: "x", source: Box::new(std::io::Error::from(kind)) };
        let denied = store.failed(io(std::io::ErrorKind::PermissionDenied));
        assert!(matches!(denied, RegistryError::Denied { .. }));
        let full = store.failed(io(std::io::ErrorKind::StorageFull));
        assert!(matches!(full, RegistryError::Unavailable { .. }) && full.is_retriable());
    }
}
