//! Says of a single record whether it is of a topic's syntax and types, and of nothing else whether it is good.

use std::sync::Arc;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;

use super::QualityError;
use super::judge::LEAST_ROWS;
use super::sample::choose_sorted;
use super::schema::{Row, Schema};

/// Records that the schema is learned from at most.
const SCHEMA_ROWS: usize = 20_000;

/// Knows what real records are written like, and which values they have. Cheap to copy.
#[derive(Clone, Debug)]
pub struct Validator {
    pub(super) schema: Arc<Schema>,
}

impl Validator {
    /// Learns from real records, in the order of their topic.
    pub fn learn(records: &[&[u8]], seed: u64) -> Result<Self, QualityError> {
        if records.len() < LEAST_ROWS {
            return Err(QualityError::TooFew { what: "real", found: records.len() });
        }
        Ok(Self::of(records, &mut ChaCha8Rng::seed_from_u64(seed)))
    }

    /// The same of however many records, some of which chance takes where there are many.
    pub(super) fn of(records: &[&[u8]], rng: &mut ChaCha8Rng) -> Self {
        let learned: Vec<&[u8]> =
            choose_sorted(records.len(), SCHEMA_ROWS, rng).into_iter().map(|row| records[row]).collect();
        Self { schema: Arc::new(Schema::learn(&learned)) }
    }

    /// Whether a generated record is of the topic's syntax and types. One that is not is to be dropped.
    pub fn is_valid(&self, record: &[u8]) -> bool {
        let mut row = Row::default();
        self.schema.read(record, &mut row);
        self.schema.is_valid(record, &row)
    }
}
