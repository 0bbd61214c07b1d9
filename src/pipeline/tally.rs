//! What one worker counts: plain integers, moved to the shared metrics once per batch.

use super::stage::Reason;
use crate::record::TopicPartition;
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
    /// Dead letters, by reason.
    pub dead_letters: Vec<DeadLetters>,
}

/// Dead letters of one reason, and the newest of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetters {
    /// Why.
    pub reason: Reason,
    /// How many.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Where the newest came from.
    pub at: TopicPartition,
    /// Its offset there.
    pub offset: i64,
    /// What was wrong with it.
    pub message: String,
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
    pub fn dead_letter(&mut self, reason: Reason, bytes: usize, at: &TopicPartition, offset: i64, message: &str) {
        let index = self.dead_letters.iter().position(|letters| letters.reason == reason).unwrap_or_else(|| {
            let (at, message) = (at.clone(), String::new());
            self.dead_letters.push(DeadLetters { reason, count: 0, bytes: 0, at, offset, message });
            self.dead_letters.len() - 1
        });
        let letters = &mut self.dead_letters[index];
        letters.count += 1;
        letters.bytes += bytes as u64;
        letters.at.clone_from(at);
        letters.offset = offset;
        message.clone_into(&mut letters.message);
    }
}
