//! Generated records that came back before this process knew of them: given up as soon as it does.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Learner, Run, lock};
use crate::model::{Kept, Snapshot};
use crate::pipeline::augment::Ledger;

impl Learner {
    /// The same that knows what a pipeline published.
    pub fn knowing(self, ledger: Ledger) -> Self {
        // What it knows already is the same.
        let _ = self.shared.ledger.set(ledger);
        self
    }

    /// Looks what other processes published, and gives it up where it is kept. Asks the registry, where the pipeline generates.
    pub fn look_around(&self) {
        if let Some(ledger) = self.shared.ledger.get()
            && ledger.look()
        {
            self.without_returned(ledger);
        }
    }

    /// Writes what was published here.
    pub fn save_published(&self) {
        if let Some(ledger) = self.shared.ledger.get() {
            ledger.save();
        }
    }

    /// Everything that is kept, without what is known by now to be generated. Asks the registry what that is, where the pipeline
    /// generates.
    pub fn snapshot(&self) -> Snapshot<Run> {
        let Some(ledger) = self.shared.ledger.get() else { return lock(&self.shared.notes).reservoir.snapshot() };
        ledger.look();
        self.without_returned(ledger)
    }

    /// Gives up what is known to be generated. The workers are kept from showing records only while runs change places.
    fn without_returned(&self, ledger: &Ledger) -> Snapshot<Run> {
        let snapshot = lock(&self.shared.notes).reservoir.snapshot();
        let mut revised = BTreeMap::new();
        for kept in snapshot.samples() {
            if let Some(run) = kept.sample.without(|value| ledger.knows(value)) {
                self.refused((kept.sample.len() - run.len()) as u64);
                let sequence = kept.sequence;
                revised.insert(sequence, (!run.is_empty()).then(|| Arc::new(Kept { sequence, sample: run })));
            }
        }
        if revised.is_empty() {
            return snapshot;
        }
        lock(&self.shared.notes).reservoir.revise(&revised);
        snapshot.revised(&revised)
    }
}
