//! Learning from the live stream: the tap that workers hold ([`Learner`]), and the thread behind it ([`Lesson`]).
//!
//! What is learned is a zstd dictionary or a model of fields ([`Subject`]). The loop is the one that every learned codec
//! goes through: tap, reservoir, training, challenge on the newest records, publication, swap at a transaction boundary.

mod lesson;
mod new_model;
mod run;
mod subject;
mod tap;

pub use lesson::{Lesson, LessonParts};
pub use new_model::NewModel;
pub use run::Run;
pub use subject::{Subject, SubjectError};
pub use tap::Tap;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::model::manifest::Span;
use crate::model::reservoir::Reservoir;
use crate::record::TopicPartition;
use crate::telemetry::PipelineMetrics;
use crate::units::ByteSize;

/// What workers show their records to, and where they find the newest model. Cheap to clone.
#[derive(Clone)]
pub struct Learner {
    shared: Arc<Shared>,
}

struct Shared {
    notes: Mutex<Notes>,
    current: Mutex<Current>,
    metrics: PipelineMetrics,
}

/// What was seen.
struct Notes {
    reservoir: Reservoir<Run>,
    spans: BTreeMap<TopicPartition, (i64, i64)>,
    records: u64,
    bytes: u64,
}

/// The model in use, and how often it has changed.
#[derive(Default)]
struct Current {
    version: u64,
    artefact: Option<Arc<[u8]>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Learner {
    /// A learner with an empty reservoir. The same stream under the same seed keeps the same records.
    pub fn new(reservoir: ByteSize, seed: u64, metrics: PipelineMetrics) -> Self {
        let reservoir = Reservoir::new(reservoir, ChaCha8Rng::seed_from_u64(seed));
        let notes = Mutex::new(Notes { reservoir, spans: BTreeMap::new(), records: 0, bytes: 0 });
        Self { shared: Arc::new(Shared { notes, current: Mutex::default(), metrics }) }
    }

    /// Shows consecutive records of a partition, from one offset to another. Never waits: while the reservoir is being
    /// read they are dropped, and counted.
    pub fn offer(&self, at: &TopicPartition, first: i64, last: i64, run: Run) {
        match self.shared.notes.try_lock() {
            Ok(mut notes) => {
                notes.records += run.len() as u64;
                notes.bytes += run.values_len() as u64;
                notes.reservoir.offer(run);
                match notes.spans.get_mut(at) {
                    Some(span) => *span = (first.min(span.0), last.max(span.1)),
                    None => {
                        notes.spans.insert(at.clone(), (first, last));
                    }
                }
            }
            Err(TryLockError::Poisoned(_) | TryLockError::WouldBlock) => self.dropped(run.len() as u64),
        }
    }

    /// Counts records that were not shown.
    pub fn dropped(&self, records: u64) {
        self.shared.metrics.tap_dropped_records.inc_by(records);
    }

    /// The model in use, when it is newer than the caller's version of it.
    pub fn newer_than(&self, version: u64) -> Option<(u64, Arc<[u8]>)> {
        let current = lock(&self.shared.current);
        (current.version > version).then(|| Some((current.version, Arc::clone(current.artefact.as_ref()?))))?
    }

    /// Another model is in use from here on.
    fn swap(&self, artefact: Arc<[u8]>) {
        let mut current = lock(&self.shared.current);
        current.version += 1;
        current.artefact = Some(artefact);
    }

    fn spans(&self) -> Vec<Span> {
        let notes = lock(&self.shared.notes);
        let spans = notes.spans.iter();
        spans
            .map(|(at, (first, last))| Span {
                topic: at.topic.to_string(),
                partition: at.partition,
                first: *first,
                last: *last,
            })
            .collect()
    }
}
