//! What a topic that we create takes over from its source topic.
//!
//! Records keep their timestamps. Under the brokers' default retention a copy of a topic that keeps its records for ever
//! would lose those that are older at once; so what bounds a record's life and size comes from the source.

use std::collections::BTreeMap;

use crate::sink::topics::TopicProperties;

/// What holds for a copy as well.
const TAKEN_OVER: [&str; 5] = [
    "retention.ms",
    "retention.bytes",
    "max.message.bytes",
    "message.timestamp.before.max.ms",
    "message.timestamp.after.max.ms",
];

const CLEANUP: &str = "cleanup.policy";

/// Properties of a target topic, which holds records or blocks of them.
pub fn of_target(source: &TopicProperties, blocks: bool) -> BTreeMap<String, String> {
    let mut properties = taken_over(source);
    match source.own.get(CLEANUP) {
        // Blocks have no key by which a topic could be compacted.
        Some(policy) if blocks => keep_what_compaction_keeps(policy, &mut properties),
        Some(policy) => drop(properties.insert(CLEANUP.to_owned(), policy.clone())),
        None => {}
    }
    properties
}

/// Properties of a topic of dead letters, which must hold any record of the source, and its headers.
pub fn of_dead_letters(source: &TopicProperties, max_message_bytes: usize) -> BTreeMap<String, String> {
    let mut properties = taken_over(source);
    if let Some(policy) = source.own.get(CLEANUP) {
        // A letter must not go because a newer one has the same key.
        keep_what_compaction_keeps(policy, &mut properties);
    }
    properties.insert("max.message.bytes".to_owned(), max_message_bytes.to_string());
    properties
}

fn taken_over(source: &TopicProperties) -> BTreeMap<String, String> {
    let own = source.own.iter().filter(|(name, _)| TAKEN_OVER.contains(&name.as_str()));
    own.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// A topic that is only compacted keeps its records for ever, whatever its retention says.
fn keep_what_compaction_keeps(policy: &str, properties: &mut BTreeMap<String, String>) {
    if policy.split(',').all(|policy| policy.trim() == "compact") {
        for name in ["retention.ms", "retention.bytes"] {
            properties.insert(name.to_owned(), "-1".to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(own: &[(&str, &str)]) -> TopicProperties {
        let own = own.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        TopicProperties { own, ..TopicProperties::default() }
    }

    fn pairs(properties: &BTreeMap<String, String>) -> Vec<(&str, &str)> {
        properties.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    #[test]
    fn a_copy_keeps_its_records_as_long_as_the_source_does() {
        let source = source(&[("retention.ms", "-1"), ("segment.bytes", "1000000"), ("max.message.bytes", "5000000")]);
        let target = of_target(&source, true);
        assert_eq!(pairs(&target), [("max.message.bytes", "5000000"), ("retention.ms", "-1")]);
        assert_eq!(pairs(&of_dead_letters(&source, 7)), [("max.message.bytes", "7"), ("retention.ms", "-1")]);
        assert_eq!(pairs(&of_target(&TopicProperties::default(), false)), []);
    }

    #[test]
    fn a_compacted_topic_is_compacted_record_by_record_and_kept_whole_in_blocks() {
        let source = source(&[("cleanup.policy", "compact")]);
        assert_eq!(pairs(&of_target(&source, false)), [("cleanup.policy", "compact")]);
        let kept = [("retention.bytes", "-1"), ("retention.ms", "-1")];
        assert_eq!(pairs(&of_target(&source, true)), kept);
        assert_eq!(of_dead_letters(&source, 7)["retention.ms"], "-1");
    }

    #[test]
    fn a_topic_that_is_compacted_and_deleted_is_deleted_in_blocks_too() {
        let source = source(&[("cleanup.policy", "compact,delete"), ("retention.ms", "1000")]);
        let target = of_target(&source, true);
        assert_eq!(pairs(&target), [("retention.ms", "1000")]);
    }
}
