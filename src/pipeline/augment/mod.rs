//! Records drawn beside those that are carried: whether they may be published is decided in one place, the [`Examiner`] on the
//! learning thread; workers hold an [`Augmenter`] each, which draws as long as there is a [`Licence`]. What was published, by whichever
//! process, the [`Ledger`] knows.

mod augmenter;
mod exam;
mod examiner;
mod ledger;
mod licence;
mod shown;

pub use augmenter::Augmenter;
pub use examiner::{Examiner, ExaminerError, ExaminerParts, Subject};
pub use ledger::{Ledger, LedgerParts};
pub use licence::Licence;

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::settings::AugmentSettings;
use crate::augment::Emitted;

/// What the examiner, the workers and the tap of one pipeline share. Cheap to clone.
#[derive(Clone)]
pub struct Augmentation {
    shared: Arc<Shared>,
}

struct Shared {
    settings: AugmentSettings,
    source: String,
    version: AtomicU64,
    licence: Mutex<Option<Arc<Licence>>>,
    emitted: Mutex<Emitted>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Augmentation {
    /// Nothing may be published yet. `source` is who publishes: `/latentd/DAEMON/PIPELINE`.
    pub fn new(settings: AugmentSettings, source: String) -> Self {
        let (version, licence, emitted) = (AtomicU64::new(0), Mutex::default(), Mutex::default());
        Self { shared: Arc::new(Shared { settings, source, version, licence, emitted }) }
    }

    /// What the pipeline is told.
    pub fn settings(&self) -> &AugmentSettings {
        &self.shared.settings
    }

    /// Who publishes.
    pub fn source(&self) -> &str {
        &self.shared.source
    }

    /// From here on records are published under this licence, or none are.
    pub fn grant(&self, licence: Option<Arc<Licence>>) {
        let mut now = lock(&self.shared.licence);
        *now = licence;
        self.shared.version.fetch_add(1, Ordering::Release);
    }

    /// The licence in force.
    pub fn licence(&self) -> Option<Arc<Licence>> {
        lock(&self.shared.licence).clone()
    }

    /// The licence in force, when it is another one than that of this version.
    fn newer_than(&self, version: u64) -> Option<(u64, Option<Arc<Licence>>)> {
        if self.shared.version.load(Ordering::Acquire) == version {
            return None;
        }
        let now = lock(&self.shared.licence);
        Some((self.shared.version.load(Ordering::Acquire), now.clone()))
    }

    /// Records were published.
    pub fn emitted<'a>(&self, records: impl Iterator<Item = &'a [u8]>) {
        let mut emitted = lock(&self.shared.emitted);
        records.for_each(|record| emitted.add(record));
    }

    /// Whether a record that comes in now is one that was published not long ago, and not the topic's own.
    pub fn refuses(&self, record: &[u8]) -> bool {
        lock(&self.shared.emitted).refuses(record)
    }

    /// Whether a record is one that was published not long ago, as far as this process knows.
    pub fn knows(&self, record: &[u8]) -> bool {
        lock(&self.shared.emitted).knows(record)
    }

    /// What was published here and nobody else was told of yet, by digest. From here on it counts as told.
    fn take_untold(&self) -> Vec<u64> {
        lock(&self.shared.emitted).take_untold()
    }

    /// The topic repeats these of itself, by digest.
    fn repeats(&self, repeated: HashSet<u64>) {
        lock(&self.shared.emitted).repeats(repeated);
    }

    /// Other processes published these. How many of them are news.
    fn published_elsewhere(&self, digests: &[u64]) -> usize {
        lock(&self.shared.emitted).add_of_others(digests)
    }
}
