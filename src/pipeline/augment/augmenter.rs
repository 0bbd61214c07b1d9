//! One worker's part: draws in the same transaction as the records that were consumed.
//!
//! **Numbers.** A record is a function of model, seed and number, so no two that are published may have all three in common.
//! Each input partition has a seed of its own. Its runs have the numbers of the offsets that were consumed since the last
//! commit: whoever holds the partition next goes on behind what was committed, and what was drawn in a transaction that was
//! aborted was published nowhere and is drawn again, the same records under the same numbers. So nothing has to be
//! remembered, over restarts, rebalances and processes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::{Augmentation, Licence};
use crate::augment::{Headers, Quota, seed_of};
use crate::pipeline::deliver::{Deliver, SlotId};
use crate::pipeline::slots::{Slot, Slots};
use crate::pipeline::stage::Halt;
use crate::pipeline::tally::Tally;
use crate::pipeline::topology::Route;
use crate::sink::OutRecord;
use crate::source::Source;
use crate::telemetry::{PipelineMetrics, PublishedKind};

/// Most records that are drawn after one batch: bounds the time between two looks at the clock.
const MOST: u64 = 1024;

/// Draws and publishes.
pub struct Augmenter {
    augmentation: Augmentation,
    version: u64,
    inner: Option<Drawing>,
    quota: Quota,
    begun: Instant,
    /// By slot, what it draws under and how far it is.
    places: BTreeMap<SlotId, Place>,
    records: Vec<Vec<u8>>,
    metrics: PipelineMetrics,
}

/// What is drawn from.
struct Drawing {
    licence: Arc<Licence>,
    headers: Headers,
}

struct Place {
    seed: u64,
    /// The next run that was not drawn from.
    next: i64,
}

impl Augmenter {
    /// One of so many workers.
    pub fn new(augmentation: Augmentation, workers: usize, metrics: PipelineMetrics) -> Self {
        let quota = Quota::new(augmentation.settings().rate, augmentation.settings().share, workers);
        Self {
            augmentation,
            version: 0,
            inner: None,
            quota,
            begun: Instant::now(),
            places: BTreeMap::new(),
            records: Vec::new(),
            metrics,
        }
    }

    /// Real records were consumed: draws what is due now.
    pub fn consumed<S: Source, D: Deliver<S>>(
        &mut self,
        records: u64,
        slots: &Slots,
        deliver: &mut D,
        tally: &mut Tally,
    ) -> Result<(), Halt> {
        if let Some((version, licence)) = self.augmentation.newer_than(self.version) {
            self.version = version;
            self.inner = licence.map(|licence| Drawing { headers: licence.headers(), licence });
        }
        if self.inner.is_none() {
            return Ok(());
        }
        self.quota.consumed(records);
        let mut due = self.quota.due(self.begun.elapsed()).min(MOST);
        for slot in slots.iter() {
            // Offsets that are not committed yet: whoever comes after an abort consumes them again.
            let Some(base) = slot.base else { continue };
            let mut run = self.place(slot).next.max(base);
            while due > 0 && run < slot.next {
                due -= self.draw(slot, run, due, deliver, tally)?;
                run += 1;
            }
            self.place(slot).next = run;
        }
        Ok(())
    }

    /// What was drawn and consumed since the last commit will be again.
    pub fn discard(&mut self) {
        self.quota.discard();
        self.places.clear();
    }

    fn place(&mut self, slot: &Slot) -> &mut Place {
        let augmentation = &self.augmentation;
        self.places.entry(slot.id).or_insert_with(|| {
            let seed = augmentation.settings().seed;
            let seed = seed_of(seed, augmentation.source(), &slot.at.topic, slot.at.partition);
            Place { seed, next: i64::MIN }
        })
    }

    /// Draws from a run and publishes; how many records that were.
    fn draw<S: Source, D: Deliver<S>>(
        &mut self,
        slot: &Slot,
        run: i64,
        due: u64,
        deliver: &mut D,
        tally: &mut Tally,
    ) -> Result<u64, Halt> {
        let seed = self.place(slot).seed;
        let (Some(Drawing { licence, headers }), Some(to)) = (&mut self.inner, &slot.route.augmented) else {
            return Ok(due);
        };
        let length = licence.generator.run_length().max(1);
        let count = u32::try_from(due).unwrap_or(u32::MAX).min(length);
        // Offsets are not negative.
        let run = run.unsigned_abs();
        self.records.clear();
        if let Err(error) = licence.draw(seed, run, count, &mut self.records) {
            tracing::debug!(%error, "a run of generated records ended early");
            self.metrics.discarded("undrawn").inc_by(u64::from(count) - self.records.len() as u64);
        }
        let partition = Route::partition(slot.at.partition, slot.route.source_partitions, to.partitions, false);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_millis() as i64);
        let mut published: Vec<&[u8]> = Vec::new();
        for (number, record) in self.records.iter().enumerate() {
            if !licence.admits(record) {
                self.metrics.discarded("invalid").inc();
                continue;
            }
            let index = run.wrapping_mul(u64::from(length)).wrapping_add(number as u64);
            headers.under(licence.condition(seed, index));
            headers.by(licence.generator.made_by(seed, index));
            let headers = headers.of(seed, index);
            let out = OutRecord {
                topic: &to.topic,
                partition,
                key: None,
                value: Some(record),
                headers: &headers,
                timestamp: now,
            };
            if out.batch_len() > to.max_batch {
                self.metrics.discarded("too_large").inc();
                continue;
            }
            tally.published(PublishedKind::Augmented, out.payload_len());
            published.push(record);
            // It belongs to no record of its own: an offset moves when the next output of the slot is durable.
            deliver.emit(&out, &to.topic, slot.id, None)?;
        }
        self.augmentation.emitted(published.into_iter());
        self.quota.drawn(u64::from(count));
        Ok(u64::from(count))
    }
}
