//! What a worker holds of the learner: shows it records, in runs, and never more than it can take.

use super::{Learner, Run, Setup};
use crate::augment::is_generated;
use crate::model::Split;
use crate::pipeline::augment::Augmentation;
use crate::record::{RecordRef, TopicPartition};

/// Most bytes that one worker shows between two commits, so that a fast stream costs no more than a slow one.
const TAPPED_BYTES: usize = 1 << 20;

/// Most runs that grow at once; records of further partitions wait for one of them to end.
const MOST_OPEN: usize = 16;

/// Shows runs of records and passes over what lies between them.
pub struct Tap {
    learner: Learner,
    version: u64,
    /// Bytes of a run; one record's value with 0.
    run_bytes: usize,
    /// Runs that grow, each of another partition.
    open: Vec<Open>,
    /// Bytes to pass over until the next run.
    skip: usize,
    /// One byte in so many is shown.
    stride: usize,
    seen_bytes: usize,
    passed: u64,
    /// Generated records that were refused.
    refused: u64,
    /// What was published by this pipeline, where it generates.
    augmentation: Option<Augmentation>,
    /// Whether more of a record is kept than its value.
    whole: bool,
}

/// A run that grows.
struct Open {
    at: TopicPartition,
    first: i64,
    last: i64,
    run: Run,
}

impl Tap {
    /// A tap that begins with the first record.
    pub fn new(learner: Learner, run_bytes: usize) -> Self {
        // What learns from runs learns from all that records have; and what is divided by keys needs these.
        let whole = run_bytes > 0 || learner.split() == Split::Key;
        Self {
            learner,
            version: 0,
            run_bytes,
            open: Vec::new(),
            skip: 0,
            stride: 1,
            seen_bytes: 0,
            passed: 0,
            refused: 0,
            augmentation: None,
            whole,
        }
    }

    /// The same that also knows what a pipeline published, when it comes back without its headers, and keeps where images say their
    /// class.
    pub fn knowing(mut self, augmentation: Augmentation) -> Self {
        self.whole |= augmentation.settings().label.is_some();
        self.augmentation = Some(augmentation);
        self
    }

    /// Whether a record was generated: a model that learned from such ones would become a copy of a copy.
    fn refuses(&self, record: &RecordRef<'_>, value: &[u8]) -> bool {
        is_generated(&record.headers) || self.augmentation.as_ref().is_some_and(|known| known.refuses(value))
    }

    /// Shows a record: one without a value only between others.
    #[inline]
    pub fn take(&mut self, at: &TopicPartition, record: &RecordRef<'_>) {
        let Some(value) = record.value else { return self.take_between(at, record) };
        if self.refuses(record, value) {
            self.refused += 1;
            return;
        }
        self.seen_bytes += value.len();
        let place = match self.open.iter().position(|open| open.at == *at) {
            Some(place) => place,
            None if self.skip > 0 || self.open.len() >= MOST_OPEN => {
                self.skip = self.skip.saturating_sub(value.len().max(1));
                self.passed += 1;
                return;
            }
            None => {
                let offset = record.offset;
                self.open.push(Open { at: at.clone(), first: offset, last: offset, run: Run::default() });
                self.open.len() - 1
            }
        };
        self.add(place, record, value);
    }

    fn take_between(&mut self, at: &TopicPartition, record: &RecordRef<'_>) {
        // One that learns from single values has no use for it.
        let place = self.open.iter().position(|open| open.at == *at).filter(|_| self.run_bytes > 0);
        if let Some(place) = place {
            self.add(place, record, b"");
        }
    }

    fn add(&mut self, place: usize, record: &RecordRef<'_>, value: &[u8]) {
        let open = &mut self.open[place];
        if self.whole {
            open.run.push_record(record);
        } else {
            open.run.push(value);
        }
        open.last = record.offset;
        if open.run.all_len() >= self.run_bytes {
            self.close(place);
        }
    }

    fn close(&mut self, place: usize) {
        let Open { at, first, last, mut run } = self.open.swap_remove(place);
        self.skip = run.values_len().max(1).saturating_mul(self.stride - 1);
        run.shrink();
        self.learner.offer(&at, first, last, run);
    }

    /// A moment between two transactions. A run that waits for more records of a slow stream is shown as it is.
    pub fn at_boundary(&mut self) {
        while self.stride == 1 && !self.open.is_empty() {
            self.close(0);
        }
        self.learner.dropped(std::mem::take(&mut self.passed));
        self.learner.refused(std::mem::take(&mut self.refused));
        self.stride = (std::mem::take(&mut self.seen_bytes) / TAPPED_BYTES).max(1);
        if self.stride == 1 {
            self.skip = 0;
        }
    }

    /// What was read since the last commit will be read again.
    pub fn discard(&mut self) {
        self.open.clear();
    }

    /// What to code with, when it is newer than what was taken last.
    pub fn newer_setup(&mut self) -> Option<Option<Setup>> {
        let (version, setup) = self.learner.newer_than(self.version)?;
        self.version = version;
        Some(setup)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::learn::lock;
    use crate::pipeline::testing::observer;
    use crate::record::{HeaderRefs, Timestamp};
    use crate::units::ByteSize;

    fn learner() -> Learner {
        Learner::new(ByteSize::mib(64), Split::Time, 1, observer().metrics().clone())
    }

    /// The runs that were shown, as offsets.
    fn runs(learner: &Learner) -> Vec<Vec<usize>> {
        let notes = lock(&learner.shared.notes);
        let number = |value: &[u8]| std::str::from_utf8(&value[..8]).unwrap().trim().parse().unwrap();
        let snapshot = notes.reservoir.snapshot();
        snapshot.samples().iter().map(|kept| kept.sample.values().map(number).collect()).collect()
    }

    /// Shows a record of such a value.
    fn take(tap: &mut Tap, at: &TopicPartition, number: usize, value: Option<&[u8]>) {
        let timestamp = Timestamp::create(number as i64);
        tap.take(at, &RecordRef { key: None, value, headers: HeaderRefs::new(), timestamp, offset: number as i64 });
    }

    fn value(number: usize) -> Vec<u8> {
        format!("{number:8}{}", "x".repeat(992)).into_bytes()
    }

    #[test]
    fn a_fast_stream_is_shown_in_runs_with_gaps_and_a_slow_one_whole() {
        let (learner, at) = (learner(), TopicPartition::new("t", 0));
        let mut tap = Tap::new(learner.clone(), 10_000);
        let mut next = 0;
        // Four megabytes between two commits, and then a few records.
        for _ in 0..2 {
            (next..next + 4_000).for_each(|number| take(&mut tap, &at, number, Some(&value(number))));
            next += 4_000;
            tap.at_boundary();
        }
        let shown = runs(&learner);
        let fast: Vec<&Vec<usize>> = shown.iter().filter(|run| run[0] >= 4_000).collect();
        assert!(fast.iter().all(|run| run.len() == 10), "{fast:?}");
        assert!((100..=160).contains(&fast.len()), "a quarter of 400 runs: {}", fast.len());
        assert!(fast.windows(2).all(|pair| pair[1][0] - pair[0][0] >= 30));
        (next..next + 3).for_each(|number| take(&mut tap, &at, number, Some(&value(number))));
        tap.at_boundary();
        (next + 3..next + 5).for_each(|number| take(&mut tap, &at, number, Some(&value(number))));
        tap.at_boundary();
        assert!(runs(&learner).iter().any(|run| run.contains(&(next + 4))), "a slow stream waits for no full run");
    }

    #[test]
    fn a_run_holds_records_of_one_partition_in_a_row() {
        let (learner, zero, one) = (learner(), TopicPartition::new("t", 0), TopicPartition::new("t", 1));
        let mut tap = Tap::new(learner.clone(), 3_000);
        for number in 0..12 {
            take(&mut tap, if number % 2 == 0 { &zero } else { &one }, number, Some(&value(number)));
        }
        // Each partition has its own.
        assert_eq!(runs(&learner), [[0, 2, 4], [1, 3, 5], [6, 8, 10], [7, 9, 11]]);
        let mut single = Tap::new(learner.clone(), 0);
        take(&mut single, &one, 100, Some(&value(100)));
        assert_eq!(runs(&learner).last().unwrap(), &[100]);
    }
    #[test]
    fn deletions_are_kept_between_records_and_a_run_of_them_ends() {
        let (learner, at) = (learner(), TopicPartition::new("t", 0));
        let mut tap = Tap::new(learner.clone(), 3_000);
        // Without a value nothing begins.
        (0..5).for_each(|number| take(&mut tap, &at, number, None));
        take(&mut tap, &at, 5, Some(&value(5)));
        (6..1_000).for_each(|number| take(&mut tap, &at, number, None));
        let notes = lock(&learner.shared.notes);
        let snapshot = notes.reservoir.snapshot();
        let [kept] = snapshot.samples() else { panic!("one run was shown") };
        let offsets: Vec<i64> = kept.sample.records().map(|record| record.offset).collect();
        assert!((20..100).contains(&offsets.len()), "{offsets:?}");
        assert!(offsets.iter().zip(5..).all(|(offset, expected)| *offset == expected), "{offsets:?}");
    }
}
