//! What a training learns from, and what judges it.

use std::sync::Arc;

use super::Run;
use crate::model::{Kept, Sample as _, Snapshot, Split};
use crate::payload::image::Shape;

/// Most bytes of one value that is read back: of whatever is larger no image is made.
const MAX_VALUE: usize = 64 << 20;

/// Most bytes of the newest records that judge what is drawn, and most images.
const HOLDOUT_BYTES: usize = 4 << 20;
const HOLDOUT_IMAGES: usize = 2_000;

/// Of so many runs one judges what is drawn.
const JUDGES: u64 = 5;

/// Runs divided, each part oldest first. Shares them with the reservoir that they are from.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    learned: Vec<Arc<Kept<Run>>>,
    holdout: Vec<Arc<Kept<Run>>>,
}

impl Samples {
    /// The newest of a reservoir judge: a fifth of all, and no more than so many bytes.
    pub fn of(snapshot: &Snapshot<Run>, most: usize) -> Self {
        let kept: Vec<&Arc<Kept<Run>>> = snapshot.samples().iter().collect();
        let mut parts = Split::DICTIONARY.divide(&kept, |kept| kept.sample.key());
        let judges = fitting(&parts.holdout, most, |kept| kept.sample.values_len()).max(1).min(parts.holdout.len());
        let holdout = parts.holdout.split_off(parts.holdout.len() - judges);
        parts.train.append(&mut parts.holdout);
        let shared = |part: Vec<&Arc<Kept<Run>>>| part.into_iter().map(Arc::clone).collect();
        Self { learned: shared(parts.train), holdout: shared(holdout) }
    }

    /// Every fifth run of the stream judges, no more than so many bytes of the newest of them: always the same runs, so that none is ever learned
    /// from by what they judge. What is drawn is to be like all that was learned from, and how a topic changes is no fault of it.
    pub fn scattered(snapshot: &Snapshot<Run>, most: usize) -> Self {
        let judges = |kept: &Arc<Kept<Run>>| kept.sequence % JUDGES == JUDGES - 1;
        let (mut holdout, learned): (Vec<_>, Vec<_>) = snapshot.samples().iter().cloned().partition(judges);
        if holdout.is_empty() || learned.is_empty() {
            return Self::of(snapshot, most);
        }
        let newest = fitting(&holdout, most, |kept| kept.sample.values_len()).max(1).min(holdout.len());
        holdout.drain(..holdout.len() - newest);
        Self { learned, holdout }
    }

    /// The same with no more to learn from than its newest, so many bytes at most: what is not read is not held on to, and the
    /// reservoir gives it up.
    pub fn learning_from(mut self, most: usize) -> Self {
        let keep = fitting(&self.learned, most, |kept| kept.sample.values_len());
        self.learned.drain(..self.learned.len() - keep);
        self.learned.shrink_to_fit();
        self
    }

    /// What is learned from.
    pub fn learned(&self) -> Vec<&Run> {
        self.learned.iter().map(|kept| &kept.sample).collect()
    }

    /// What judges.
    pub fn holdout(&self) -> Vec<&Run> {
        self.holdout.iter().map(|kept| &kept.sample).collect()
    }

    /// The values, as bytes from which [`Self::from_bytes`] makes them again: for each part how many there are, and each with
    /// its length in front, in 32 bits, the lowest first. Of what else records have nothing is kept.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for part in [&self.learned, &self.holdout] {
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
        let samples = Self { learned: part()?, holdout: part()? };
        bytes.is_empty().then_some(samples)
    }
}

/// Most bytes of the newest records that judge what is drawn: rows, or images of this shape.
pub fn holdout_bytes(shape: Option<Shape>) -> usize {
    shape.map_or(HOLDOUT_BYTES, |shape| (HOLDOUT_IMAGES * shape.samples()).max(HOLDOUT_BYTES))
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
    use crate::units::ByteSize;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    fn samples() -> Samples {
        let mut reservoir = Reservoir::new(ByteSize::mib(1), ChaCha8Rng::seed_from_u64(1));
        for number in 0..100u32 {
            let mut run = Run::default();
            (0..3).for_each(|_| run.push(&vec![number as u8; number as usize]));
            reservoir.offer(run);
        }
        Samples::of(&reservoir.snapshot(), 600)
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
            let samples = Samples::scattered(&reservoir.snapshot(), 4_000);
            if number >= JUDGES {
                let holdout = values(samples.holdout());
                assert!((1..=5).contains(&holdout.len()), "{}", holdout.len());
                judged.extend(holdout);
                learned.extend(values(samples.learned()));
            }
        }
        assert!(judged.is_disjoint(&learned) && judged.len() == 40 && learned.len() == 160);
    }

    #[test]
    fn the_newest_judge_and_no_more_than_they_have_to() {
        let samples = samples();
        let (learned, holdout) = (samples.learned(), samples.holdout());
        assert_eq!((learned.len(), holdout.len()), (98, 2));
        assert_eq!(holdout[1].values().next(), Some(&[99; 99][..]));
        assert_eq!(learned[97].values().next(), Some(&[97; 97][..]));
        let few = samples.clone().learning_from(3 * 97 + 3 * 96 + 5);
        assert_eq!((few.learned(), few.holdout()), (learned[96..].to_vec(), holdout));
    }

    #[test]
    fn values_come_back_and_damage_is_seen() {
        let samples = samples();
        let bytes = samples.to_bytes();
        let back = Samples::from_bytes(&bytes).unwrap();
        let values = |runs: Vec<&Run>| runs.iter().flat_map(|run| run.values().map(<[u8]>::to_vec)).collect::<Vec<_>>();
        assert_eq!(values(back.learned()), values(samples.learned()));
        assert_eq!(values(back.holdout()), values(samples.holdout()));
        assert!((0..bytes.len()).all(|length| Samples::from_bytes(&bytes[..length]).is_none()));
        assert!(Samples::from_bytes(&[&bytes[..], b"x"].concat()).is_none());
        assert!(Samples::from_bytes(&[255; 64]).is_none());
    }
}
