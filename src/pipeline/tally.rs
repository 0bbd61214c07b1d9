//! What one worker counts: plain integers, moved to the shared metrics once per batch.

use super::stage::Reason;
use crate::telemetry::PublishedKind;

/// Counts since they were last taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Records polled.
    pub consumed_records: u64,
    /// Bytes of their keys, values and headers.
    pub consumed_bytes: u64,
    /// Records published by [`PublishedKind`].
    pub published_records: [u64; PublishedKind::ALL.len()],
    /// Their bytes.
    pub published_bytes: [u64; PublishedKind::ALL.len()],
    /// Dead letters by reason.
    pub dead_letters: Vec<(Reason, u64)>,
    /// Bytes of dead letters.
    pub dead_letter_bytes: u64,
}

impl Tally {
    /// A record was polled.
    pub fn consumed(&mut self, bytes: usize) {
        self.consumed_records += 1;
        self.consumed_bytes += bytes as u64;
    }

    /// A record was published.
    pub fn published(&mut self, kind: PublishedKind, bytes: usize) {
        self.published_records[kind as usize] += 1;
        self.published_bytes[kind as usize] += bytes as u64;
    }

    /// A dead letter was published.
    pub fn dead_letter(&mut self, reason: Reason, bytes: usize) {
        self.dead_letter_bytes += bytes as u64;
        match self.dead_letters.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += 1,
            None => self.dead_letters.push((reason, 1)),
        }
    }
}
