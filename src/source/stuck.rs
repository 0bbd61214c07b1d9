//! Partitions that are ours and that the client library does not fetch from.
//!
//! When a partition has had no leader for a moment, librdkafka (2.12 and after, its issue 5430) can overlook the next one
//! and fetch nothing any more, without an error. A member with such a partition must be made anew.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::record::TopicPartition;

/// How long a partition may go without being fetched from: longer than any election or broker's restart, after which a
/// new member costs little.
const FETCHING: Duration = Duration::from_secs(60);

/// How long which partitions are not fetched from, by the statistics. Only those count, and not the time since: a process
/// that was frozen has none of its partitions stuck for that.
#[derive(Debug, Default)]
pub struct Stuck {
    partitions: BTreeMap<TopicPartition, Span>,
}

#[derive(Debug)]
struct Span {
    first: Instant,
    last: Instant,
}

impl Span {
    fn is_longer_than(&self, limit: Duration) -> bool {
        self.last.duration_since(self.first) > limit
    }
}

impl Stuck {
    /// Notes what statistics of a moment say about a partition.
    pub fn note(&mut self, topic: &str, partition: i32, idle: bool, at: Instant) {
        let partition = TopicPartition::new(topic, partition);
        if idle {
            self.partitions.entry(partition).or_insert(Span { first: at, last: at }).last = at;
        } else {
            self.partitions.remove(&partition);
        }
    }

    /// What is wrong, when a partition has been idle for too long.
    pub fn complaint(&self) -> Option<String> {
        let (partition, _) = self.partitions.iter().find(|(_, span)| span.is_longer_than(FETCHING))?;
        Some(format!("nothing was fetched from {partition} for {} s", FETCHING.as_secs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_that_is_idle_at_every_look_for_a_minute_is_stuck_and_a_fetch_in_between_ends_it() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut stuck = Stuck::default();
        for second in 0..=60 {
            stuck.note("t", 0, true, at(second));
            stuck.note("t", 1, second != 30, at(second));
        }
        assert_eq!(stuck.complaint(), None);
        stuck.note("t", 0, true, at(61));
        assert!(stuck.complaint().unwrap().contains("t/0"));
        stuck.note("t", 0, false, at(62));
        stuck.note("t", 1, true, at(90));
        assert_eq!(stuck.complaint(), None);
        stuck.note("t", 1, true, at(92));
        assert!(stuck.complaint().unwrap().contains("t/1"));
    }
}
