//! What a training learns from, and what judges it.

use std::sync::Arc;

use super::Run;
use crate::model::split::{PARTS, Side};
use crate::model::{Kept, MIN_HOLDOUT, Snapshot, Split};
use crate::payload::image::Shape;
use crate::record::RecordRef;

/// Most bytes of one value that is read back: of whatever is larger no image is made.
const MAX_VALUE: usize = 64 << 20;

/// Most bytes of the newest records that judge what is drawn, and most images.
const HOLDOUT_BYTES: usize = 4 << 20;
const HOLDOUT_IMAGES: usize = 2_000;

/// Of so many runs one judges what is drawn.
const JUDGES: u64 = 5;

/// Most bytes that judge a codec's model. What a model has not learned from is missing where a stream drifts, so it is as small as it
/// can be and still judge.
pub const HOLDOUT: usize = 1 << 20;

/// Runs divided, each part oldest first. Shares them with the reservoir that they are from.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    train: Vec<Arc<Kept<Run>>>,
    validation: Vec<Arc<Kept<Run>>>,
    holdout: Vec<Arc<Kept<Run>>>,
}

impl Samples {
    /// Divides what a reservoir holds. A tenth judges, and no more than so many bytes of the newest of it; a tenth validates.
    pub fn of(snapshot: &Snapshot<Run>, split: Split, most: usize) -> Self {
        Self::divided(snapshot.samples().to_vec(), split, most)
    }

    /// The same of runs in order of time, the oldest first.
    pub fn of_runs(runs: Vec<Run>, split: Split, most: usize) -> Self {
        let kept = |(sequence, sample)| Arc::new(Kept { sequence, sample });
        Self::divided((0..).zip(runs).map(kept).collect(), split, most)
    }

    fn divided(runs: Vec<Arc<Kept<Run>>>, split: Split, most: usize) -> Self {
        match split {
            Split::Time => Self::by_time(runs, most),
            Split::Key => {
                let by_key = Self::by_time(runs.clone(), usize::MAX).by_key();
                if by_key.divides() {
                    return by_key.judged_by(most);
                }
                tracing::info!(target: "latentd", "records are divided by time: of so few keys most fall on one side");
                Self::by_time(runs, most)
            }
        }
    }

    /// The newest judge. A run that a border goes through is cut in two there.
    fn by_time(mut runs: Vec<Arc<Kept<Run>>>, most: usize) -> Self {
        let all: usize = runs.iter().map(|kept| kept.sample.all_len()).sum();
        let records: usize = runs.iter().map(|kept| kept.sample.records_len()).sum();
        let tenth = all / PARTS;
        // Large records are few: then there have to be enough to judge by, a fifth of all at most.
        let enough = (2 * MIN_HOLDOUT * (all / records.max(1))).min(2 * tenth);
        let holdout = cut(&mut runs, tenth.min(most).max(enough));
        // What validates is a part of what is learned from where there is only one run.
        let validation = if runs.len() > 1 { cut(&mut runs, tenth) } else { Vec::new() };
        Self { train: runs, validation, holdout }
    }

    /// Each record on the side of its key, wherever it lay; one without a key stays where it is.
    fn by_key(self) -> Self {
        let mut divided = Self::default();
        let parts = [(Side::Train, self.train), (Side::Validation, self.validation), (Side::Holdout, self.holdout)];
        for (side, kept) in parts.into_iter().flat_map(|(side, runs)| runs.into_iter().map(move |kept| (side, kept))) {
            let side_of = |record: &RecordRef<'_>| record.key.map_or(side, Side::of_key);
            let first = kept.sample.records().next().map_or(side, |record| side_of(&record));
            if kept.sample.records().all(|record| side_of(&record) == first) {
                divided.part(first).push(kept);
                continue;
            }
            for of in [Side::Train, Side::Validation, Side::Holdout] {
                let part = kept.sample.only(|record| side_of(record) == of);
                if part.records_len() > 0 {
                    divided.part(of).push(Arc::new(Kept { sequence: kept.sequence, sample: part }));
                }
            }
        }
        divided
    }

    /// Whether each side has its share: few keys, or one that most records have, can fall on one side all together.
    fn divides(&self) -> bool {
        let count = |part: &[Arc<Kept<Run>>]| part.iter().map(|kept| kept.sample.records_len()).sum::<usize>();
        let [train, validation, holdout] = [&self.train, &self.validation, &self.holdout].map(|part| count(part));
        let all = train + validation + holdout;
        holdout >= MIN_HOLDOUT && holdout * 3 * PARTS >= all && train * 2 >= all
    }

    fn part(&mut self, side: Side) -> &mut Vec<Arc<Kept<Run>>> {
        match side {
            Side::Train => &mut self.train,
            Side::Validation => &mut self.validation,
            Side::Holdout => &mut self.holdout,
        }
    }

    /// Judged by no more than so many bytes of the newest: one run at least. The others judge nothing, and nothing learns from them.
    fn judged_by(mut self, most: usize) -> Self {
        let newest = fitting(&self.holdout, most, |kept| kept.sample.all_len()).max(1).min(self.holdout.len());
        self.holdout.drain(..self.holdout.len() - newest);
        self
    }

    /// A fifth judges what is drawn, no more than so many bytes of the newest of it: every fifth run of the stream, or the keys that
    /// judge a codec and those that validate it. Always the same, so that none is ever learned from by what they judge. What is drawn is to be
    /// like all that was learned from, and how a topic changes is no fault of it.
    pub fn scattered(snapshot: &Snapshot<Run>, split: Split, most: usize) -> Self {
        let judges = |kept: &Arc<Kept<Run>>| kept.sequence % JUDGES == JUDGES - 1;
        let (holdout, train) = snapshot.samples().iter().cloned().partition(judges);
        let mut samples = Self { train, validation: Vec::new(), holdout };
        if split == Split::Key {
            samples = samples.by_key();
            samples.holdout.append(&mut samples.validation);
            samples.holdout.sort_by_key(|kept| kept.sequence);
            samples.train.sort_by_key(|kept| kept.sequence);
        }
        if samples.holdout.is_empty() || samples.train.is_empty() {
            return Self::of(snapshot, Split::Time, most);
        }
        samples.judged_by(most)
    }

    /// The same with no more to learn from than its newest, so many bytes at most: what is not read is not held on to, and the
    /// reservoir gives it up.
    pub fn learning_from(mut self, most: usize) -> Self {
        // What validates is an eighth of what is learned from.
        for (part, most) in [(&mut self.train, most), (&mut self.validation, most / (PARTS - 2))] {
            let keep = fitting(part, most, |kept| kept.sample.values_len());
            part.drain(..part.len() - keep);
            part.shrink_to_fit();
        }
        self
    }

    /// What is learned from.
    pub fn train(&self) -> Vec<&Run> {
        self.train.iter().map(|kept| &kept.sample).collect()
    }

    /// What a training is tuned on.
    pub fn validation(&self) -> Vec<&Run> {
        self.validation.iter().map(|kept| &kept.sample).collect()
    }

    /// All that does not judge.
    pub fn learned(&self) -> Vec<&Run> {
        [self.train(), self.validation()].concat()
    }

    /// What judges.
    pub fn holdout(&self) -> Vec<&Run> {
        self.holdout.iter().map(|kept| &kept.sample).collect()
    }

    /// The values, as bytes from which [`Self::from_bytes`] makes them again: for each part how many there are, and each with
    /// its length in front, in 32 bits, the lowest first. Of what else records have nothing is kept.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for part in [&self.train, &self.validation, &self.holdout] {
            let values = || part.iter().flat_map(|kept| kept.sample.values());
            let mut number = |number: usize| bytes.extend((number as u32).to_le_bytes());
            number(values().count());
            for value in values() {
                bytes.extend((value.len() as u32).to_le_bytes());
                bytes.extend(value);
            }
        }
        bytes
    }

    /// What [`Self::to_bytes`] wrote, each value a run of its own; `None` where it is something else.
    pub fn from_bytes(mut bytes: &[u8]) -> Option<Self> {
        fn number(bytes: &mut &[u8]) -> Option<usize> {
            let (number, rest) = bytes.split_first_chunk()?;
            *bytes = rest;
            usize::try_from(u32::from_le_bytes(*number)).ok()
        }
        let mut sequence = 0;
        let mut part = || {
            let mut runs = Vec::new();
            for _ in 0..number(&mut bytes)? {
                let length = number(&mut bytes).filter(|length| *length <= MAX_VALUE)?;
                let (value, rest) = bytes.split_at_checked(length)?;
                bytes = rest;
                let mut run = Run::default();
                run.push(value);
                run.shrink();
                runs.push(Arc::new(Kept { sequence, sample: run }));
                sequence += 1;
            }
            Some(runs)
        };
        let samples = Self { train: part()?, validation: part()?, holdout: part()? };
        bytes.is_empty().then_some(samples)
    }
}

/// Most bytes of the newest records that judge what is drawn: rows, or images of this shape.
pub fn holdout_bytes(shape: Option<Shape>) -> usize {
    shape.map_or(HOLDOUT_BYTES, |shape| (HOLDOUT_IMAGES * shape.samples()).max(HOLDOUT_BYTES))
}

/// Takes the newest off, so many bytes of them; the run that the border goes through is cut in two. Something is taken, and something
/// left, where there are two records.
fn cut(runs: &mut Vec<Arc<Kept<Run>>>, bytes: usize) -> Vec<Arc<Kept<Run>>> {
    let (mut newest, mut left) = (Vec::new(), bytes);
    while let Some(kept) = runs.pop() {
        let length = kept.sample.all_len();
        if length <= left && !runs.is_empty() {
            left -= length;
            newest.push(kept);
            continue;
        }
        let wants = left > 0 || newest.is_empty();
        if wants && kept.sample.records_len() > 1 {
            let [older, newer] = kept.sample.split(length.saturating_sub(left.max(1)));
            let part = |sample| Arc::new(Kept { sequence: kept.sequence, sample });
            newest.extend(Some(newer).filter(|newer| newer.records_len() > 0).map(part));
            runs.push(part(older));
        } else if wants && newest.is_empty() && !runs.is_empty() {
            newest.push(kept);
        } else {
            runs.push(kept);
        }
        break;
    }
    newest.reverse();
    newest
}

/// How many of the newest, which are the last, hold at most so many bytes together.
fn fitting<T>(items: &[T], most: usize, bytes: impl Fn(&T) -> usize) -> usize {
    let mut sum = 0;
    let newest = items.iter().rev().take_while(|item| {
        sum += bytes(item);
        sum <= most
    });
    newest.count()
}

/// The newest of some runs that hold at most so many bytes.
pub fn newest<'a, 'b>(runs: &'b [&'a Run], most: usize) -> &'b [&'a Run] {
    &runs[runs.len() - fitting(runs, most, |run| run.values_len())..]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::model::Reservoir;
    use crate::record::{Record, Timestamp};
    use crate::units::ByteSize;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    /// A hundred runs of so many records, each as long as its run's number.
    fn samples(records: usize, most: usize) -> Samples {
        let mut reservoir = Reservoir::new(ByteSize::mib(1), ChaCha8Rng::seed_from_u64(1));
        for number in 0..100u32 {
            let mut run = Run::default();
            (0..records).for_each(|_| run.push(&vec![number as u8; number as usize]));
            reservoir.offer(run);
        }
        Samples::of(&reservoir.snapshot(), Split::Time, most)
    }

    #[test]
    fn runs_that_judge_what_is_drawn_are_the_same_however_the_stream_goes_on() {
        let mut reservoir = Reservoir::new(ByteSize::mib(1), ChaCha8Rng::seed_from_u64(1));
        let (mut judged, mut learned) = (BTreeSet::new(), BTreeSet::new());
        let values = |runs: Vec<&Run>| -> Vec<Vec<u8>> {
            runs.iter().flat_map(|run| run.values()).map(<[u8]>::to_vec).collect()
        };
        for number in 0..200u64 {
            let mut run = Run::default();
            run.push(&number.to_le_bytes().repeat(100));
            reservoir.offer(run);
            let samples = Samples::scattered(&reservoir.snapshot(), Split::Time, 4_000);
            if number >= JUDGES {
                let holdout = values(samples.holdout());
                assert!((1..=5).contains(&holdout.len()), "{}", holdout.len());
                judged.extend(holdout);
                learned.extend(values(samples.learned()));
            }
        }
        assert!(judged.is_disjoint(&learned) && judged.len() == 40 && learned.len() == 160);
    }

    fn count(runs: &[&Run]) -> [usize; 2] {
        [runs.iter().map(|run| run.len()).sum(), runs.iter().map(|run| run.values_len()).sum()]
    }

    #[test]
    fn the_newest_judge_and_no_more_than_they_have_to() {
        let samples = samples(30, 6_000);
        // Thirty records of 99 bytes and thirty of 98 are 5,910; the border of 6,000 goes through those of 97.
        let all: usize = (0..100).map(|number| 30 * number).sum();
        let [train, validation, holdout] = [samples.train(), samples.validation(), samples.holdout()];
        assert_eq!(count(&holdout), [61, 5_910 + 97]);
        assert_eq!(holdout.last().unwrap().values().next(), Some(&[99; 99][..]));
        let tenth = all / 10;
        assert!((tenth..tenth + 97).contains(&count(&validation)[1]), "{:?} of {tenth}", count(&validation));
        assert_eq!(count(&train)[1] + count(&validation)[1] + count(&holdout)[1], all);
        assert_eq!(validation.last().unwrap().values().last(), Some(&[97; 97][..]));
        let few = samples.clone().learning_from(30 * 80 + 5);
        assert!(count(&few.train())[1] <= 30 * 80 + 5 && few.holdout() == holdout && few.validation().is_empty());
        let some = samples.clone().learning_from(8 * 7_000);
        assert!((4_000..=7_000).contains(&count(&some.validation())[1]), "{:?}", count(&some.validation()));
        // Large records are judged by sixteen of them, if that is no more than a fifth.
        assert_eq!(count(&self::samples(3, 100).holdout()), [8, 591 + 2 * 97]);
        let uncapped = Samples::of_runs(train.into_iter().cloned().collect(), Split::Time, usize::MAX);
        let [learned, judging] = [uncapped.learned(), uncapped.holdout()].map(|runs| count(&runs)[1]);
        let tenth = (learned + judging) / 10;
        assert!((tenth - 97..tenth + 97).contains(&judging), "{judging} of {learned}");
    }

    #[test]
    fn of_two_records_one_teaches_and_one_judges() {
        let run = |values: &[&[u8]]| {
            let mut run = Run::default();
            values.iter().for_each(|value| run.push(value));
            run
        };
        for runs in [vec![run(&[b"old", b"new"])], vec![run(&[b"old"]), run(&[b"new"])]] {
            let samples = Samples::of_runs(runs, Split::Time, HOLDOUT);
            let values = |runs: Vec<&Run>| runs.iter().flat_map(|run| run.values()).collect::<Vec<_>>().concat();
            assert_eq!(values(samples.learned()), b"old");
            assert_eq!(values(samples.holdout()), b"new");
        }
        let one = Samples::of_runs(vec![run(&[b"one"])], Split::Time, HOLDOUT);
        assert_eq!((one.learned().len(), one.holdout().len()), (1, 0));
        let none = Samples::of_runs(Vec::new(), Split::Key, HOLDOUT);
        assert_eq!((none.learned().len(), none.holdout().len()), (0, 0));
    }

    #[test]
    fn by_key_no_key_falls_on_two_sides_and_what_has_none_is_divided_by_time() {
        let record = |offset: i64, key: Option<Vec<u8>>| Record {
            key: key.map(Into::into),
            value: Some(format!("value {offset}").into_bytes().into()),
            headers: Vec::new(),
            timestamp: Timestamp::create(offset),
            offset,
        };
        let key = |number: i64| (number % 7 > 0).then(|| format!("key {}", number * 7919 % 300).into_bytes());
        let mut reservoir = Reservoir::new(ByteSize::mib(8), ChaCha8Rng::seed_from_u64(1));
        for first in (0..6_000).step_by(20) {
            let mut run = Run::default();
            (first..first + 20).for_each(|number| run.push_record(&record(number, key(number)).as_ref()));
            reservoir.offer(run);
        }
        let snapshot = reservoir.snapshot();
        let keys = |runs: &[&Run]| -> BTreeSet<Vec<u8>> {
            runs.iter().flat_map(|run| run.records().filter_map(|one| one.key.map(<[u8]>::to_vec))).collect()
        };
        let samples = Samples::of(&snapshot, Split::Key, usize::MAX);
        let parts = [samples.train(), samples.validation(), samples.holdout()];
        let records: Vec<usize> = parts.iter().map(|part| part.iter().map(|run| run.records_len()).sum()).collect();
        assert_eq!(records.iter().sum::<usize>(), 6_000);
        assert!((300..=900).contains(&records[1]) && (300..=900).contains(&records[2]), "{records:?}");
        let [train, validation, holdout] = parts.each_ref().map(|part| keys(part));
        assert!(train.is_disjoint(&validation) && train.is_disjoint(&holdout) && validation.is_disjoint(&holdout));
        let keyless =
            |run: &&Run| run.records().filter(|one| one.key.is_none()).map(|one| one.offset).collect::<Vec<_>>();
        let oldest = |part: &[&Run]| part.iter().flat_map(keyless).min().unwrap();
        assert!(oldest(&parts[2]) >= 5_300 && oldest(&parts[1]) >= 4_700 && oldest(&parts[0]) < 20);
        // What judges what is drawn are the same keys, whatever else is in the reservoir.
        let scattered = Samples::scattered(&snapshot, Split::Key, usize::MAX);
        assert_eq!(keys(&scattered.learned()), train);
        assert_eq!(keys(&scattered.holdout()), validation.union(&holdout).cloned().collect());
        // One key alone divides nothing.
        let mut run = Run::default();
        (0..100).for_each(|number| run.push_record(&record(number, Some(b"one".to_vec())).as_ref()));
        let samples = Samples::of_runs(vec![run], Split::Key, HOLDOUT);
        assert!(!samples.train().is_empty() && !samples.holdout().is_empty());
    }

    #[test]
    fn values_come_back_and_damage_is_seen() {
        let samples = samples(3, 600);
        let bytes = samples.to_bytes();
        let back = Samples::from_bytes(&bytes).unwrap();
        let values = |runs: Vec<&Run>| runs.iter().flat_map(|run| run.values().map(<[u8]>::to_vec)).collect::<Vec<_>>();
        assert_eq!(values(back.learned()), values(samples.learned()));
        assert_eq!(values(back.validation()), values(samples.validation()));
        assert_eq!(values(back.holdout()), values(samples.holdout()));
        assert!((0..bytes.len()).all(|length| Samples::from_bytes(&bytes[..length]).is_none()));
        assert!(Samples::from_bytes(&[&bytes[..], b"x"].concat()).is_none());
        assert!(Samples::from_bytes(&[255; 64]).is_none());
    }
}
