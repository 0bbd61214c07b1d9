//! Whether exactly-once holds on the topics that a pipeline writes: with replicas, a partition keeps a leader while a broker restarts.
//!
//! A transaction's markers go to the leaders of the partitions that it wrote to. Apache Kafka 4 asks its own metadata for them, takes
//! "no leader now" for "no such partition", and skips those markers for ever (`KRaftMetadataCache.getPartitionLeaderEndpoint` and
//! `TransactionMarkerChannelManager`, seen in 4.3.1; `ARCHITECTURE.md`). No client can tell, and none can write them later.

use std::time::Duration;

use super::settings::Delivery;
use crate::source::topics::TopicReader;

/// Kafka's own topics that a transaction of ours needs: its state, and the group's offsets.
const INTERNAL: [&str; 2] = ["__transaction_state", "__consumer_offsets"];

/// What to know about topics, some of which have a single replica, under a delivery; `None` where all is well.
///
/// `written` are names with their numbers of replicas.
pub(super) fn warning(
    delivery: Delivery,
    written: &[(String, usize)],
    reader: &TopicReader,
    timeout: Duration,
) -> Option<String> {
    if delivery != Delivery::ExactlyOnce {
        return None;
    }
    let mut single: Vec<&str> =
        written.iter().filter(|(_, replicas)| *replicas < 2).map(|(name, _)| name.as_str()).collect();
    // One that does not exist yet is made by the brokers, with as many replicas as they are configured to.
    single
        .extend(INTERNAL.into_iter().filter(|name| reader.topic(name, timeout).is_ok_and(|topic| topic.replicas < 2)));
    if single.is_empty() {
        return None;
    }
    single.sort_unstable();
    single.dedup();
    Some(format!(
        "one replica only: {}. Exactly-once holds while brokers restart only on topics with replicas (three, and \
         `min.insync.replicas` = 2): Apache Kafka 4 can skip the end of a transaction whose partitions have no leader",
        single.join(", ")
    ))
}
