//! Learning from the live stream: the tap that workers hold ([`Learner`]), and the thread behind it ([`Lesson`]).
//!
//! What is learned is a zstd dictionary, a model of fields or one of images ([`Subject`]), or, with `codec = "auto"`, which codec is cheapest
//! ([`Curriculum`]). The loop is the one that every learned codec goes through: tap, reservoir, training, challenge on the
//! newest records, publication, swap at a transaction boundary; [`Renewal`] says when. [`Trainer`] is the loop without its
//! clock, its registry and its threads: a training is an [`Assignment`], which a thread of its own works on (`study`). A pipeline that
//! generates learns to draw beside it ([`Course`]).

mod assignment;
mod audition;
mod carriage;
mod choice;
mod contest;
mod cpu_time;
mod curriculum;
mod generator;
mod images;
mod lesson;
mod pace;
pub(super) mod pictures;
mod publication;
mod renewal;
mod returned;
mod rivals;
mod run;
mod samples;
mod setup;
mod study;
mod subject;
mod tap;
mod trainer;
mod turns;

pub use assignment::{Assignment, Lecture, Outcome, Stream, TrainerError};
pub use carriage::{Carriage, CarriageError, Carried, Clocks, Manner};
pub use choice::{Bar, Candidate, Choice, Load, Tried};
pub use contest::Better;
pub use cpu_time::CpuTime;
pub use curriculum::Curriculum;
pub use generator::{Bounds, Course, CourseError, CourseParts, Drawing, Drawn, Material, Reason, Rest, Timetable};
pub use images::{Images, SEED};
pub use lesson::{Lesson, LessonParts};
pub use publication::Publication;
pub use renewal::{Cause, Decision, Figures, Measure, Renewal, Terms, Training, Wait};
pub use run::Run;
pub use samples::{HOLDOUT, Samples, holdout_bytes, newest};
pub use setup::Setup;
pub use subject::{Pieces, Subject, SubjectError, Taught};
pub use tap::Tap;
pub use trainer::Trainer;
pub use turns::{Seat, Turn, Turns};

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::augment::Ledger;
use crate::model::manifest::Span;
use crate::model::{Kept, Reservoir, Split};
use crate::record::TopicPartition;
use crate::telemetry::PipelineMetrics;
use crate::units::ByteSize;

/// CPU seconds of the calling thread.
pub type CpuClock<'a> = &'a dyn Fn() -> f64;

/// What workers show their records to, and where they find the newest model. Cheap to clone.
#[derive(Clone)]
pub struct Learner {
    shared: Arc<Shared>,
}

struct Shared {
    notes: Mutex<Notes>,
    split: Split,
    current: Mutex<Current>,
    metrics: PipelineMetrics,
    /// How long what is coded is kept, in milliseconds, where that is known; -1 for ever.
    retention_ms: Mutex<Option<i64>>,
    /// What was published, where the pipeline generates.
    ledger: OnceLock<Ledger>,
}

/// What was seen.
struct Notes {
    reservoir: Reservoir<Run>,
    spans: BTreeMap<TopicPartition, (i64, i64)>,
    records: u64,
    bytes: u64,
    /// Records when it was looked last at what the topic repeats of itself.
    told: u64,
}

/// What records are coded with, and how often it has changed.
#[derive(Default)]
struct Current {
    version: u64,
    setup: Option<Setup>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Learner {
    /// A learner with an empty reservoir, whose samples are divided so. The same stream under the same seed keeps the same records.
    pub fn new(reservoir: ByteSize, split: Split, seed: u64, metrics: PipelineMetrics) -> Self {
        let reservoir = Reservoir::new(reservoir, ChaCha8Rng::seed_from_u64(seed));
        let notes = Mutex::new(Notes { reservoir, spans: BTreeMap::new(), records: 0, bytes: 0, told: 0 });
        let (current, retention_ms, ledger) = (Mutex::default(), Mutex::default(), OnceLock::new());
        Self { shared: Arc::new(Shared { notes, split, current, metrics, retention_ms, ledger }) }
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

    /// Counts generated records that were refused.
    fn refused(&self, records: u64) {
        self.shared.metrics.tap_refused_records.inc_by(records);
    }

    /// What to code with, when it is newer than the caller's version of it: `None` is what was before anything was learned.
    pub fn newer_than(&self, version: u64) -> Option<(u64, Option<Setup>)> {
        let current = lock(&self.shared.current);
        (current.version > version).then(|| (current.version, current.setup.clone()))
    }

    /// Something else is coded with from here on.
    fn swap(&self, setup: Option<Setup>) {
        let mut current = lock(&self.shared.current);
        current.version += 1;
        current.setup = setup;
    }

    /// Records and bytes that were shown so far.
    fn seen(&self) -> (u64, u64) {
        let notes = lock(&self.shared.notes);
        (notes.records, notes.bytes)
    }

    /// The newest runs from a place of the stream on, and the place behind them.
    fn newest(&self, from: u64, most: usize) -> (Vec<Arc<Kept<Run>>>, u64) {
        let notes = lock(&self.shared.notes);
        (notes.reservoir.newest(from, most), notes.reservoir.seen())
    }

    /// What is coded is kept so long. What was known stays where nothing is.
    pub fn note_retention(&self, retention_ms: Option<i64>) {
        let mut known = lock(&self.shared.retention_ms);
        *known = retention_ms.or(*known);
    }

    /// How long what is coded is kept.
    fn retention_ms(&self) -> Option<i64> {
        *lock(&self.shared.retention_ms)
    }

    /// How samples are divided.
    pub fn split(&self) -> Split {
        self.shared.split
    }

    /// What is kept, divided for what draws ([`Samples::scattered`]).
    pub fn scattered(&self, most: usize) -> Samples {
        Samples::scattered(&self.snapshot(), self.split(), most)
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
