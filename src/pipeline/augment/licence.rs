//! Leave to publish what one generator draws.

use std::sync::Arc;

use crate::augment::{Balance, Headers, Lineage};
use crate::model::{Condition, DrawError, Generator};
use crate::quality::Validator;

/// Leave to publish: given after a report that does not block, and taken back by the next that does.
#[derive(Clone)]
pub struct Licence {
    /// What draws.
    pub generator: Arc<dyn Generator>,
    /// What each record says of itself.
    pub lineage: Lineage,
    /// What says under which condition each record is drawn, where classes are filled up; otherwise the lineage does.
    pub balance: Option<Arc<Balance>>,
    /// Who says whether a record is valid: nobody of images, where there are no gates, and where the report is another process's
    /// until enough real records were seen.
    pub validator: Option<Validator>,
}

impl Licence {
    /// The headers of its records.
    pub fn headers(&self) -> Headers {
        self.lineage.headers()
    }

    /// Appends the first records of a run.
    pub fn draw(&self, seed: u64, run: u64, count: u32, records: &mut Vec<Vec<u8>>) -> Result<(), DrawError> {
        match &self.balance {
            Some(balance) => balance.draw(&*self.generator, seed, run, count, records),
            None => self.generator.draw(seed, &self.lineage.condition, run, count, records),
        }
    }

    /// The condition under which a record is drawn.
    pub fn condition(&self, seed: u64, number: u64) -> &Condition {
        self.balance.as_ref().map_or(&self.lineage.condition, |balance| balance.of(seed, number))
    }

    /// Whether a record may be published.
    pub fn admits(&self, record: &[u8]) -> bool {
        self.validator.as_ref().is_none_or(|validator| validator.is_valid(record))
    }
}
