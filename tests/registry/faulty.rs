//! An object store that fails, or lets somebody else go first, at a put that the test chooses.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// What happens at a put.
pub enum Fault {
    /// Nothing is written: the disk is full, or the process was killed just before.
    Before,
    /// It is written, and the answer is lost.
    After,
    /// Somebody else does this first.
    Meanwhile(Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>),
}

/// The store underneath, with a fault at its `at`th put (from 0). Puts after a lost or refused one fail as well, as for
/// a process that has died.
pub struct Faulty {
    inner: Arc<dyn ObjectStore>,
    at: usize,
    fault: Fault,
    puts: AtomicUsize,
}

impl Faulty {
    pub fn new(inner: Arc<dyn ObjectStore>, at: usize, fault: Fault) -> Arc<Self> {
        Arc::new(Self { inner, at, fault, puts: AtomicUsize::new(0) })
    }

    /// Whether the put was reached.
    pub fn happened(&self) -> bool {
        self.puts.load(Ordering::SeqCst) > self.at
    }
}

fn full() -> Error {
    Error::Generic { store: "test", source: Box::new(std::io::Error::from(std::io::ErrorKind::StorageFull)) }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let number = self.puts.fetch_add(1, Ordering::SeqCst);
        match &self.fault {
            Fault::Before if number >= self.at => Err(full()),
            Fault::After if number > self.at => Err(full()),
            Fault::After if number == self.at => {
                self.inner.put_opts(location, payload, opts).await?;
                Err(full())
            }
            Fault::Meanwhile(somebody) if number == self.at => {
                somebody().await;
                self.inner.put_opts(location, payload, opts).await
            }
            _ => self.inner.put_opts(location, payload, opts).await,
        }
    }

    async fn put_multipart_opts(&self, path: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Faulty({})", self.inner)
    }
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Faulty({:?})", self.inner)
    }
}
