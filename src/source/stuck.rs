//! What a member of a group should do and does not: read its partitions, or come back into its group.
//!
//! When a partition has had no leader for a moment, librdkafka (2.12 and after, its issue 5430) can overlook the next one
//! and fetch nothing any more, without an error. When the coordinator has been away, it can fail to join again. Nothing
//! but a new member helps then.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::record::TopicPartition;

/// How long a partition may go without being fetched from: longer than any election or broker's restart, after which a
/// new member costs little.
const FETCHING: Duration = Duration::from_secs(60);

/// How long a member may be on its way into a group whose coordinator answers: twice the default session, for which a
/// group waits for a member that is gone.
const JOINING: Duration = Duration::from_secs(90);

/// How long a member has not been doing what it should, by its statistics. Only statistics count, and not the time since: a
/// process that was frozen is not stuck for that.
#[derive(Debug, Default)]
pub struct Stuck {
    partitions: BTreeMap<TopicPartition, Span>,
    group: Option<(String, Span)>,
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
    pub fn note_partition(&mut self, topic: &str, partition: i32, idle: bool, at: Instant) {
        let partition = TopicPartition::new(topic, partition);
        if idle {
            self.partitions.entry(partition).or_insert(Span { first: at, last: at }).last = at;
        } else {
            self.partitions.remove(&partition);
        }
    }

    /// Notes the state of joining at a moment: `None` when the member is in its group, or when the coordinator is away.
    pub fn note_group(&mut self, joining: Option<&str>, at: Instant) {
        self.group = joining.map(|state| {
            let first = self.group.take().map_or(at, |(_, span)| span.first);
            (state.to_owned(), Span { first, last: at })
        });
    }

    /// What it has not been doing for too long, if there is something.
    pub fn complaint(&self) -> Option<String> {
        if let Some((state, span)) = &self.group
            && span.is_longer_than(JOINING)
        {
            return Some(format!("the member did not come into its group for {} s ({state})", JOINING.as_secs()));
        }
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
            stuck.note_partition("t", 0, true, at(second));
            stuck.note_partition("t", 1, second != 30, at(second));
        }
        assert_eq!(stuck.complaint(), None);
        stuck.note_partition("t", 0, true, at(61));
        assert!(stuck.complaint().unwrap().contains("t/0"));
        stuck.note_partition("t", 0, false, at(62));
        stuck.note_partition("t", 1, true, at(90));
        assert_eq!(stuck.complaint(), None);
        stuck.note_partition("t", 1, true, at(92));
        assert!(stuck.complaint().unwrap().contains("t/1"));
    }

    #[test]
    fn a_member_that_is_on_its_way_into_the_group_for_too_long_is_stuck_whatever_states_it_goes_through() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut stuck = Stuck::default();
        stuck.note_group(Some("init"), at(0));
        stuck.note_group(Some("wait-join"), at(90));
        assert_eq!(stuck.complaint(), None);
        stuck.note_group(Some("wait-unassign"), at(91));
        assert!(stuck.complaint().unwrap().contains("wait-unassign"));
        stuck.note_group(None, at(92));
        stuck.note_group(Some("init"), at(93));
        stuck.note_group(Some("init"), at(180));
        assert_eq!(stuck.complaint(), None);
    }
}
