//! A generator is put to the test: what it draws now, compared with the newest real records, some of which it may have learned from.

#[cfg(feature = "training")]
mod pictures;
#[cfg(not(feature = "training"))]
mod without;

use std::sync::Arc;

use super::ExaminerError;
use crate::model::Generator;
use crate::payload::image::Shape;
use crate::pipeline::learn::Samples;
use crate::pipeline::settings::AugmentSettings;
use crate::quality::{Judge, Options, Report};

/// Most real records of a kind, and drawn ones, that are compared.
const ROWS: usize = 5_000;

/// Most bytes of records that were learned from.
const TRAIN_BYTES: usize = 16 << 20;

/// The same of images, of which the newest of a class may have to be looked for.
const TRAIN_IMAGES: usize = 48 << 20;

/// Fewest real records of each kind that a judgement is worth something with.
pub(super) const FEWEST: usize = 500;

/// What is examined.
pub struct Exam<'a> {
    /// What draws.
    pub generator: &'a dyn Generator,
    /// What the pipeline is told.
    pub settings: &'a AugmentSettings,
    /// The shape of the images that records are; nothing where they are rows.
    pub shape: Option<Shape>,
    /// The number of the judgement: each draws other records.
    pub number: u64,
    /// Rows that the model learned from, where they are remembered and the stream is still what it was then.
    pub learned: &'a [Vec<u8>],
}

/// What came of it.
pub enum Sat {
    /// Too few real records were seen.
    TooFew {
        /// Of those that may have been learned from.
        learned: usize,
        /// Of those that judge.
        held_out: usize,
    },
    /// A report, and who says of a single record whether it is valid, where that is to be asked; whether rows were compared with those
    /// that the model learned from.
    Judged(Box<Report>, Option<Arc<Judge>>, bool),
}

/// Most bytes of records that are compared as learned from: rows, or images of this shape.
pub fn train_bytes(shape: Option<Shape>) -> usize {
    if shape.is_some() { TRAIN_IMAGES } else { TRAIN_BYTES }
}

impl Exam<'_> {
    /// Judges.
    pub fn sit(&self, samples: &Samples) -> Result<Sat, ExaminerError> {
        match self.shape {
            None => self.rows(samples),
            Some(shape) => self.pictures(samples, shape),
        }
    }

    fn rows(&self, samples: &Samples) -> Result<Sat, ExaminerError> {
        let (learned, holdout) = (samples.learned(), samples.holdout());
        let train: Vec<&[u8]> = learned.iter().flat_map(|run| run.values()).collect();
        let holdout: Vec<&[u8]> = holdout.iter().flat_map(|run| run.values()).collect();
        // What is drawn under a condition is compared with real records that meet it.
        let condition = &self.settings.condition;
        let own: Vec<&[u8]> = self.learned.iter().map(Vec::as_slice).collect();
        let own = self.generator.matching(condition, &own)?;
        let is_own = own.len() >= FEWEST;
        let train = if is_own { own } else { self.generator.matching(condition, &train)? };
        let holdout = self.generator.matching(condition, &holdout)?;
        if train.len() < FEWEST || holdout.len() < FEWEST {
            return Ok(Sat::TooFew { learned: train.len(), held_out: holdout.len() });
        }
        let options = Options { rows: ROWS, seed: self.number, target: self.settings.target.clone() };
        let count = holdout.len().clamp(FEWEST, options.rows) as u64;
        let judge = Judge::new(&train, &holdout, options)?;
        // Seeds of partitions are hashes: this one is none of them but by a coincidence of 64 bits, which would do no harm.
        let mut drawn = Vec::new();
        self.generator.sample(self.number + 1, condition, count, &mut drawn)?;
        let drawn: Vec<&[u8]> = drawn.iter().map(Vec::as_slice).collect();
        let report = judge.judge(&drawn)?;
        Ok(Sat::Judged(Box::new(report), Some(Arc::new(judge)), is_own))
    }
}
