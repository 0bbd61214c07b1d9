//! Generated records that came back before this process knew of them: given up as soon as it does.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::{Learner, Run, lock};
use crate::augment::digest;
use crate::model::{Kept, Snapshot};
use crate::pipeline::augment::Ledger;

/// Most records between two looks at what the topic repeats.
const OFTEN: u64 = 100_000;

/// Values that are looked at for it, the newest.
const LOOKED_AT: usize = 1 << 18;

/// The values that are kept more than once, by digest.
fn repeated(snapshot: &Snapshot<Run>) -> HashSet<u64> {
    let (mut once, mut again) = (HashSet::new(), HashSet::new());
    let newest = snapshot.samples().iter().rev().flat_map(|kept| kept.sample.values());
    for digest in newest.take(LOOKED_AT).map(digest) {
        if !once.insert(digest) {
            again.insert(digest);
        }
    }
    again
}

impl Learner {
    /// The same that knows what a pipeline published.
    pub fn knowing(self, ledger: Ledger) -> Self {
        // What it knows already is the same.
        let _ = self.shared.ledger.set(ledger);
        self
    }

    /// Looks what other processes published, and gives it up where it is kept. Asks the registry, where the pipeline generates.
    pub fn look_around(&self) {
        let Some(ledger) = self.shared.ledger.get() else { return };
        if ledger.look() {
            self.without_returned(ledger);
        }
        // Behind it: what came back twice before it was known is none of the topic's.
        if let Some(snapshot) = self.moved() {
            ledger.repeats(repeated(&snapshot));
        }
    }

    /// What is kept, where it has become so much more since it was asked for last that what the topic repeats may have changed.
    fn moved(&self) -> Option<Snapshot<Run>> {
        let mut notes = lock(&self.shared.notes);
        let seen = notes.records;
        let has_moved = seen - notes.told >= (notes.told / 8).clamp(1, OFTEN);
        has_moved.then(|| {
            notes.told = seen;
            notes.reservoir.snapshot()
        })
    }

    /// Writes what was published here.
    pub fn save_published(&self) {
        if let Some(ledger) = self.shared.ledger.get() {
            ledger.save();
        }
    }

    /// Everything that is kept, without what is known by now to be generated.
    pub fn snapshot(&self) -> Snapshot<Run> {
        match self.shared.ledger.get() {
            Some(ledger) => self.without_returned(ledger),
            None => lock(&self.shared.notes).reservoir.snapshot(),
        }
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
