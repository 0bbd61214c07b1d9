//! What the processes of a pipeline published as generated, by digest, in the registry: so that each knows it, also after a restart.
//!
//! Each process has a page that it writes anew, whole, until it is full, and then begins the next. Nobody else writes it. A page is
//! eight bytes that say what it is, and digests of eight bytes each, the lowest byte first, in the order of publication.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectMeta;
use object_store::path::Path;

use super::{Registry, RegistryError, Result, layout};
use crate::augment::Emitted;

/// Digests of a full page: 128 KiB.
pub const PAGE: usize = 16_384;

/// What a page begins with; the last byte is the version.
const MAGIC: [u8; 8] = *b"emitted\x01";

/// Bytes of a digest.
const DIGEST: usize = size_of::<u64>();

/// Bytes of a full page.
const MAX_PAGE: u64 = (MAGIC.len() + PAGE * DIGEST) as u64;

/// Pages that are kept of a pipeline: processes that end early leave small ones.
const MOST_PAGES: usize = 1_024;

/// How many pages are fetched at the same time.
const CONCURRENT: usize = 16;

/// The pages of a pipeline as far as one process knows them; none by default.
#[derive(Debug, Default)]
pub struct EmittedPages {
    known: BTreeMap<Path, Known>,
    /// Whether this process has written one since it tidied up.
    wrote: bool,
}

/// A page that was read, or written.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// Its bytes.
    bytes: u64,
    /// Digests that were taken from it.
    digests: usize,
}

/// A page that one process writes.
#[derive(Clone, Debug)]
pub struct EmittedPage {
    /// When it was begun, in milliseconds since the Unix epoch.
    pub begun_ms: i64,
    /// The process.
    pub instance: String,
    /// What was published, the oldest first; [`PAGE`] at most.
    pub digests: Vec<u64>,
}

/// What pages say that were not known before.
#[derive(Debug, Default)]
pub struct EmittedNews {
    /// What was published, about the oldest first.
    pub digests: Vec<u64>,
    /// Pages that cannot be read, in words. Each is told once.
    pub damaged: Vec<String>,
    /// Why pages that are too old were not removed.
    pub untidy: Option<RegistryError>,
}

impl Registry {
    /// Writes a page of a pipeline, over what this process wrote of it before.
    pub async fn keep_emitted(&self, pipeline: &str, page: &EmittedPage, pages: &mut EmittedPages) -> Result<()> {
        let path = layout::emitted_page(pipeline, page.begun_ms, &page.instance);
        if page.digests.len() > PAGE {
            let detail = format!("{} digests are more than the {PAGE} of a page", page.digests.len());
            return Err(RegistryError::Invalid { detail });
        }
        if !pages.known.contains_key(&path) {
            self.mark().await?;
        }
        let mut bytes = MAGIC.to_vec();
        bytes.extend(page.digests.iter().flat_map(|digest| digest.to_le_bytes()));
        let known = Known { bytes: bytes.len() as u64, digests: page.digests.len() };
        self.store.put(&path, bytes.into()).await?;
        pages.known.insert(path, known);
        pages.wrote = true;
        Ok(())
    }

    /// What all processes of a pipeline published since the pages were looked at last. Who has written one removes those that
    /// are too old.
    pub async fn emitted(&self, pipeline: &str, pages: &mut EmittedPages) -> Result<EmittedNews> {
        let mut objects = self.store.list(&layout::emitted(pipeline)).await?;
        objects.retain(|object| layout::is_emitted_page(&object.location));
        // By when they were written last: one that is written seldom is no old one.
        objects.sort_by(|a, b| (a.last_modified, &a.location).cmp(&(b.last_modified, &b.location)));
        let old: Vec<ObjectMeta> = objects.drain(..too_old(&objects)).collect();
        let there: BTreeSet<&Path> = objects.iter().map(|object| &object.location).collect();
        pages.known.retain(|path, _| there.contains(path));
        let is_news = |object: &ObjectMeta| pages.known.get(&object.location).is_none_or(|it| it.bytes != object.size);
        objects.retain(is_news);
        let read: Vec<(ObjectMeta, Read)> = stream::iter(objects)
            .map(|object| async move {
                let read = self.read_page(&object).await?;
                Ok::<_, RegistryError>((object, read))
            })
            .buffered(CONCURRENT)
            .try_collect()
            .await?;
        let mut news = EmittedNews::default();
        for (ObjectMeta { location, size, .. }, read) in read {
            let known = pages.known.entry(location.clone()).or_default();
            match read {
                Read::Whole(page) => {
                    // What is written anew begins with what was there.
                    let all = digests(&page);
                    let before = if all.len() > known.digests { known.digests } else { 0 };
                    *known = Known { bytes: page.len() as u64, digests: all.len() };
                    news.digests.extend(all.skip(before));
                }
                Read::Damaged(why) => {
                    *known = Known { bytes: size, digests: 0 };
                    let page = self.store.url_of(&location);
                    news.damaged.push(format!(
                        "`{page}` is damaged, and generated records that it names may be learned from: {why}"
                    ));
                }
                Read::Gone => {}
            }
        }
        // Last: whoever may not remove anything reads all the same.
        if std::mem::take(&mut pages.wrote) {
            news.untidy = self.tidy(&old).await.err();
        }
        Ok(news)
    }

    async fn tidy(&self, old: &[ObjectMeta]) -> Result<()> {
        for object in old {
            self.store.delete(&object.location).await?;
        }
        Ok(())
    }

    async fn read_page(&self, object: &ObjectMeta) -> Result<Read> {
        if object.size > MAX_PAGE {
            return Ok(Read::Damaged(format!("it holds {} bytes, at most {MAX_PAGE} are expected", object.size)));
        }
        let page = match self.store.get(&object.location, MAX_PAGE).await {
            Ok(Some(page)) => page.bytes,
            Ok(None) => return Ok(Read::Gone),
            Err(RegistryError::Corrupt { detail, .. }) => return Ok(Read::Damaged(detail)),
            Err(error) => return Err(error),
        };
        if !page.starts_with(&MAGIC) {
            return Ok(Read::Damaged("it does not begin as a page of this version does".to_owned()));
        }
        if !(page.len() - MAGIC.len()).is_multiple_of(DIGEST) {
            return Ok(Read::Damaged(format!("{} bytes are no whole number of digests", page.len())));
        }
        Ok(Read::Whole(page))
    }
}

/// A page that was asked for.
enum Read {
    Whole(Bytes),
    Damaged(String),
    /// Somebody has removed it meanwhile.
    Gone,
}

/// The digests of a page that is whole.
fn digests(page: &[u8]) -> impl ExactSizeIterator<Item = u64> {
    page[MAGIC.len()..].as_chunks().0.iter().map(|digest| u64::from_le_bytes(*digest))
}

/// How many of some pages, the oldest first, are behind as many digests, or pages, as anybody remembers.
fn too_old(pages: &[ObjectMeta]) -> usize {
    let mut behind = 0;
    let newest = pages.iter().rev().take(MOST_PAGES).take_while(|page| {
        let has_room = behind < Emitted::MOST;
        behind += (page.size as usize).saturating_sub(MAGIC.len()).div_ceil(DIGEST).min(PAGE);
        has_room
    });
    pages.len() - newest.count()
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt;

    use super::*;

    fn open() -> Registry {
        Registry::open("memory:///", &BTreeMap::new()).unwrap()
    }

    fn page(begun_ms: i64, instance: &str, digests: impl Iterator<Item = u64>) -> EmittedPage {
        EmittedPage { begun_ms, instance: instance.to_owned(), digests: digests.collect() }
    }

    async fn names(registry: &Registry) -> Vec<String> {
        let objects = registry.store.list(&layout::emitted("p")).await.unwrap();
        let mut names: Vec<String> = objects.iter().map(|object| object.location.to_string()).collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn each_process_learns_once_what_the_others_wrote() {
        let registry = open();
        let (mut one, mut other) = (EmittedPages::default(), EmittedPages::default());
        assert_eq!(registry.emitted("p", &mut one).await.unwrap().digests, [0; 0]);
        registry.keep_emitted("p", &page(10, "one", 0..3), &mut one).await.unwrap();
        registry.keep_emitted("p", &page(11, "other", 100..102), &mut other).await.unwrap();
        registry.keep_emitted("q", &page(12, "other", 200..202), &mut EmittedPages::default()).await.unwrap();
        // Its own is no news.
        assert_eq!(registry.emitted("p", &mut one).await.unwrap().digests, [100, 101]);
        assert_eq!(registry.emitted("p", &mut other).await.unwrap().digests, [0, 1, 2]);
        assert_eq!(registry.emitted("p", &mut one).await.unwrap().digests, [0; 0]);
        // Of a page that has grown, what it has grown by.
        registry.keep_emitted("p", &page(10, "one", 0..5), &mut one).await.unwrap();
        registry.keep_emitted("p", &page(13, "one", 5..6), &mut one).await.unwrap();
        assert_eq!(registry.emitted("p", &mut other).await.unwrap().digests, [3, 4, 5]);
        assert_eq!(registry.emitted("p", &mut one).await.unwrap().digests, [0; 0]);
        // A new process reads all, as they were written.
        let all = registry.emitted("p", &mut EmittedPages::default()).await.unwrap();
        assert_eq!((all.digests, all.damaged), (vec![100, 101, 0, 1, 2, 3, 4, 5], Vec::new()));
        assert!(registry.exists().await.unwrap());
        assert!(registry.keep_emitted("p", &page(14, "one", 0..PAGE as u64 + 1), &mut one).await.is_err());
    }

    #[tokio::test]
    async fn pages_behind_the_newest_are_removed_by_who_writes_and_by_nobody_else() {
        let registry = open();
        let full = Emitted::MOST / PAGE;
        let (mut one, mut seldom, mut reads) = Default::default();
        registry.keep_emitted("p", &page(0, "seldom", 0..7), &mut seldom).await.unwrap();
        for number in 1..=full as u64 + 2 {
            let of = |from: u64, to: u64| number * PAGE as u64 + from..number * PAGE as u64 + to;
            registry.keep_emitted("p", &page(number as i64, "one", of(0, PAGE as u64)), &mut one).await.unwrap();
        }
        // Old when it was begun, and written just now.
        registry.keep_emitted("p", &page(0, "seldom", 0..8), &mut seldom).await.unwrap();
        let news = registry.emitted("p", &mut reads).await.unwrap();
        assert_eq!(news.digests.len(), Emitted::MOST + 8, "what is too old is not read");
        assert_eq!(names(&registry).await.len(), full + 3, "and not removed by who only reads");
        registry.emitted("p", &mut one).await.unwrap();
        let names = names(&registry).await;
        assert_eq!(names.len(), full + 1);
        assert!(names[0].ends_with("0000000000000-seldom.bin") && names[1].ends_with("0000000000003-one.bin"));
        // Many small ones are no more.
        for number in 0..MOST_PAGES as i64 + 5 {
            registry.keep_emitted("p", &page(1_000 + number, "ends", 0..1), &mut one).await.unwrap();
        }
        registry.emitted("p", &mut one).await.unwrap();
        assert_eq!(super::tests::names(&registry).await.len(), MOST_PAGES);
        assert_eq!(one.known.len(), MOST_PAGES);
    }

    #[tokio::test]
    async fn what_is_damaged_is_passed_over_and_told_once() {
        let registry = open();
        let mut pages = EmittedPages::default();
        registry.keep_emitted("p", &page(1, "whole", 0..2), &mut EmittedPages::default()).await.unwrap();
        let put = async |name: &str, bytes: Vec<u8>| {
            registry.objects().put(&Path::from(format!("emitted/p/{name}")), bytes.into()).await.unwrap();
        };
        let with = |more: &[u8]| [&MAGIC[..], more].concat();
        put("0000000000002-cut.bin", with(&[1; 13])).await;
        put("0000000000003-strange.bin", vec![b'x'; 24]).await;
        put("0000000000004-empty.bin", Vec::new()).await;
        put("0000000000005-huge.bin", with(&vec![0; 1 << 20])).await;
        put("README.md", b"what is this?".to_vec()).await;
        let news = registry.emitted("p", &mut pages).await.unwrap();
        assert_eq!((news.digests, news.damaged.len()), (vec![0, 1], 4), "{:?}", news.damaged);
        assert!(news.damaged[0].contains("emitted/p/0000000000002-cut.bin` is damaged"), "{:?}", news.damaged);
        assert_eq!(registry.emitted("p", &mut pages).await.unwrap().damaged.len(), 0);
        // One that is whole again is read, and one that is gone is forgotten.
        put("0000000000002-cut.bin", with(&[1; 16])).await;
        registry.objects().delete(&Path::from("emitted/p/0000000000005-huge.bin")).await.unwrap();
        let news = registry.emitted("p", &mut pages).await.unwrap();
        assert_eq!(news.digests.len(), 2, "all of it");
        assert!(!pages.known.keys().any(|path| path.as_ref().contains("huge")));
    }
}
