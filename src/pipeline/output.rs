//! One input partition's view of delivery: resolves topics and partitions, counts, and makes dead letters.

use std::marker::PhantomData;

use super::deliver::Deliver;
use super::slots::Slot;
use super::stage::{Halt, Output, Publication, Reason};
use super::tally::Tally;
use super::topology::Route;
use crate::record::{HeaderRef, HeaderRefs, RecordRef, TopicPartition};
use crate::sink::OutRecord;
use crate::source::Source;
use crate::telemetry::PublishedKind;

/// Header of a dead letter: why, as a label.
pub const ERROR_REASON: &str = "latentd-error-reason";
/// Header of a dead letter: why, as a sentence.
pub const ERROR_MESSAGE: &str = "latentd-error-message";
/// Header of a dead letter: the topic it came from.
pub const ORIGIN_TOPIC: &str = "latentd-origin-topic";
/// Header of a dead letter: the partition it came from.
pub const ORIGIN_PARTITION: &str = "latentd-origin-partition";
/// Header of a dead letter: the offset it came from.
pub const ORIGIN_OFFSET: &str = "latentd-origin-offset";

/// Longest message that a dead letter carries.
const MAX_MESSAGE: usize = 1000;

/// The output of one slot.
pub struct SlotOutput<'a, S, D> {
    deliver: &'a mut D,
    slot: &'a Slot,
    tally: &'a mut Tally,
    kind: PublishedKind,
    source: PhantomData<fn(&S)>,
}

impl<'a, S: Source, D: Deliver<S>> SlotOutput<'a, S, D> {
    /// The output of a slot, whose publications count as `kind`.
    pub fn new(deliver: &'a mut D, slot: &'a Slot, tally: &'a mut Tally, kind: PublishedKind) -> Self {
        Self { deliver, slot, tally, kind, source: PhantomData }
    }
}

/// The record that a publication of this slot becomes.
fn out<'r>(slot: &'r Slot, publication: &Publication<'r>) -> OutRecord<'r> {
    let route = &slot.route;
    let has_key = publication.key.is_some();
    OutRecord {
        topic: &route.target,
        partition: Route::partition(slot.at.partition, route.source_partitions, route.target_partitions, has_key),
        key: publication.key,
        value: publication.value,
        headers: publication.headers,
        timestamp: publication.timestamp,
    }
}

impl<S: Source, D: Deliver<S>> Output for SlotOutput<'_, S, D> {
    fn origin(&self) -> &TopicPartition {
        &self.slot.at
    }

    fn fits(&self, publication: &Publication<'_>) -> bool {
        out(self.slot, publication).batch_len() <= self.slot.route.target_max_batch
    }

    fn publish(&mut self, publication: &Publication<'_>, position: Option<i64>) -> Result<(), Halt> {
        let slot = self.slot;
        let out = out(slot, publication);
        self.tally.published(self.kind, out.payload_len());
        Ok(self.deliver.emit(&out, &slot.route.target, slot.id, position)?)
    }

    fn dead_letter(
        &mut self,
        record: &RecordRef<'_>,
        reason: Reason,
        message: &str,
        position: Option<i64>,
    ) -> Result<(), Halt> {
        let slot = self.slot;
        let route = &slot.route;
        let place = format!("{}/{}/{}", slot.at.topic, slot.at.partition, record.offset);
        let Some(topic) = &route.dead_letter else {
            return Err(Halt::Stop(format!("record {place}: {message}; `dead_letter` is \"stop\"")));
        };
        let message = &message[..message.floor_char_boundary(MAX_MESSAGE)];
        let partition_text = slot.at.partition.to_string();
        let offset_text = record.offset.to_string();
        let mut headers: HeaderRefs<'_> = record.headers.iter().copied().collect();
        for (name, value) in [
            (ERROR_REASON, reason.name()),
            (ERROR_MESSAGE, message),
            (ORIGIN_TOPIC, &*slot.at.topic),
            (ORIGIN_PARTITION, &partition_text),
            (ORIGIN_OFFSET, &offset_text),
        ] {
            headers.push(HeaderRef { name, value: Some(value.as_bytes()) });
        }
        let partition = Route::partition(
            slot.at.partition,
            route.source_partitions,
            route.dead_letter_partitions,
            record.key.is_some(),
        );
        let out = OutRecord {
            topic,
            partition,
            key: record.key,
            value: record.value,
            headers: &headers,
            // 0 cannot be written (librdkafka reads it as "now"); the nearest that can is one millisecond later.
            timestamp: if record.timestamp.millis == 0 { 1 } else { record.timestamp.millis },
        };
        if out.batch_len() > route.dead_letter_max_batch {
            return Err(Halt::Stop(format!(
                "record {place}: {message}; and the dead-letter topic `{topic}` does not take it either: \
                 raise its `max.message.bytes` above {}",
                out.batch_len()
            )));
        }
        self.tally.dead_letter(reason, out.payload_len(), &slot.at, record.offset, message);
        Ok(self.deliver.emit(&out, topic, slot.id, position)?)
    }
}
