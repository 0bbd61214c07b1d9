//! Records that are learned from, and of which nothing is written: what is written are generated ones.

use std::time::Instant;

use super::coder::tap;
use super::{Halt, Output, Stage};
use crate::pipeline::augment::Augmentation;
use crate::pipeline::deliver::SlotId;
use crate::pipeline::learn::{Curriculum, Learner, Tap};
use crate::pipeline::settings::Settings;
use crate::record::RecordRef;

/// The stage of a pipeline that only generates.
pub struct Observe {
    tap: Option<Tap>,
}

impl Observe {
    /// A stage that shows its records to a learner.
    pub fn new(settings: &Settings, learner: Option<Learner>, augmentation: Option<&Augmentation>) -> Self {
        let run_bytes = Curriculum::of(settings).map_or(0, |curriculum| curriculum.run_bytes());
        Self { tap: learner.map(|learner| tap(learner, run_bytes, augmentation)) }
    }
}

impl Stage for Observe {
    fn take(&mut self, _slot: SlotId, record: &RecordRef<'_>, output: &mut dyn Output) -> Result<(), Halt> {
        if let Some(tap) = &mut self.tap {
            tap.take(output.origin(), record);
        }
        Ok(())
    }

    fn close(&mut self, _slot: SlotId, _output: &mut dyn Output) -> Result<(), Halt> {
        Ok(())
    }
    fn due(&self, _now: Instant, _into: &mut Vec<SlotId>) {}
    fn next_due(&self) -> Option<Instant> {
        None
    }
    fn open(&self, _into: &mut Vec<SlotId>) {}
    fn discard(&mut self) {
        if let Some(tap) = &mut self.tap {
            tap.discard();
        }
    }
    fn remove(&mut self, _slot: SlotId) {}
    fn at_boundary(&mut self) {
        if let Some(tap) = &mut self.tap {
            tap.at_boundary();
        }
    }
    fn buffered_bytes(&self) -> usize {
        0
    }
}
