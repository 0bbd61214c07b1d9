//! What draws records, learned beside the codec: from the same reservoir, judged by the examiner, in use by a log of its own in the
//! registry (`Course`). [`Timetable`] says when it is learned again.

mod course;
#[cfg(feature = "training")]
mod libtorch;
mod timetable;
#[cfg(not(feature = "training"))]
mod without;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use course::{Course, CourseError, CourseParts};
pub use timetable::{Reason, Rest, Timetable};

use super::Samples;
use super::samples::newest;
use crate::model::{CurvePoint, Family};
use crate::pipeline::settings::{GeneratorChoice, Payload, Settings};

/// Most bytes of records, and most of them, that one is learned from. What a training takes of memory follows from them.
const MOST_BYTES: usize = 16 << 20;
const MOST_RECORDS: usize = 50_000;

/// What is learned to draw from: rows of fields, value by value. How is in `libtorch`, or in `without` where this program is built
/// without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drawing {
    /// CPU time of a training.
    cpu: Duration,
    /// Where its random numbers begin.
    seed: u64,
}

/// A generator that was learned.
#[derive(Clone, Debug)]
pub struct Drawn {
    /// Its bytes.
    pub artefact: Arc<[u8]>,
    /// Records that it learned from.
    pub records: u64,
    /// What was measured, for people and for the manifest.
    pub metrics: BTreeMap<String, f64>,
    /// How the training went.
    pub curve: Vec<CurvePoint>,
}

impl Drawing {
    /// What a pipeline with these settings learns to draw from beside its codec, if anything.
    pub fn of(settings: &Settings) -> Option<Self> {
        let augment = settings.augment.as_ref()?;
        let learns = augment.generator != GeneratorChoice::Columns && settings.payload != Payload::Image;
        learns.then_some(Self { cpu: augment.cpu, seed: super::SEED })
    }

    /// The kind of its models.
    pub fn family(&self) -> Family {
        Family::AUTOREGRESSIVE
    }

    /// Where its random numbers begin.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The settings of a training of so many records, for the manifest.
    pub fn config(&self, records: u64) -> serde_json::Value {
        serde_json::json!({ "cpu_seconds": self.cpu.as_secs_f64(), "records": records })
    }
}

/// What there is to learn from, the oldest first: the newest of what does not judge.
fn learned(samples: &Samples) -> Vec<&[u8]> {
    let learned = samples.learned();
    let mut records: Vec<&[u8]> = newest(&learned, MOST_BYTES).iter().flat_map(|run| run.values()).collect();
    records.drain(..records.len().saturating_sub(MOST_RECORDS));
    records
}
