//! Leave to publish what one generator draws.

use std::sync::Arc;

use crate::augment::{Headers, Lineage};
use crate::model::{DrawError, Generator};
use crate::quality::Judge;

/// Leave to publish: given after a report that does not block, and taken back by the next that does.
#[derive(Clone)]
pub struct Licence {
    /// What draws.
    pub generator: Arc<dyn Generator>,
    /// What each record says of itself.
    pub lineage: Lineage,
    /// Who says whether a record is valid: nobody where the report was another process's, or where there are no gates.
    pub judge: Option<Arc<Judge>>,
}

impl Licence {
    /// The headers of its records.
    pub fn headers(&self) -> Headers {
        self.lineage.headers()
    }

    /// Appends the first records of a run.
    pub fn draw(&self, seed: u64, run: u64, count: u32, records: &mut Vec<Vec<u8>>) -> Result<(), DrawError> {
        self.generator.draw(seed, &self.lineage.condition, run, count, records)
    }

    /// Whether a record may be published.
    pub fn admits(&self, record: &[u8]) -> bool {
        self.judge.as_ref().is_none_or(|judge| judge.is_valid(record))
    }
}
