//! What is kept of a stream to learn from, under a bound in bytes: half of it uniform over everything seen, half of it
//! the newest.
//!
//! **The uniform half** gives every sample a random priority and keeps those below a threshold, which falls as far as
//! the bound asks: when the half is over its bound, the samples of highest priority go (bottom-k sampling with a bound
//! in bytes instead of a count; Ting, "Adaptive Threshold Sampling", 2022). A sample is kept or not by its own
//! priority and the threshold alone, so large records are as likely to be there as small ones; counting reservoirs
//! (algorithms R and L), made to fit a byte bound, are not so. What bias is left: a sample larger than the whole half
//! is never kept ([`Reservoir::oversized`] counts them), and the half stands below its bound by up to one sample.
//!
//! **The newest half** is a queue: the oldest go when it is over its bound.
//!
//! A sample in both halves is held once and counted against both. Pure: the random numbers are a seeded generator's
//! that is passed in, so the same stream under the same seed keeps the same samples.

use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

use crate::record::{Header, Record};
use crate::units::ByteSize;

/// What a reservoir can hold.
pub trait Sample {
    /// Bytes of memory that it holds on to.
    fn bytes(&self) -> usize;
}

/// A record, with everything that a front end for keys, headers and timestamps can learn from.
impl Sample for Record {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.headers.len() * size_of::<Header>() + self.as_ref().payload_len()
    }
}

/// Bare bytes: a record's value, or the value column of a block.
impl Sample for Bytes {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.len()
    }
}

/// A sample and its place in the stream.
#[derive(Debug)]
pub struct Kept<T> {
    /// How many samples were offered before it.
    pub sequence: u64,
    /// The sample.
    pub sample: T,
}

/// Samples of a stream, bounded in bytes.
#[derive(Debug)]
pub struct Reservoir<T> {
    half: usize,
    rng: ChaCha8Rng,
    seen: u64,
    oversized: u64,
    uniform: BinaryHeap<Ranked<T>>,
    uniform_bytes: usize,
    /// Priorities at and above it are refused: some such sample had to go before.
    threshold: u64,
    recent: VecDeque<Arc<Kept<T>>>,
    recent_bytes: usize,
}

/// An entry of the uniform half, ordered by its priority; the sequence makes the order total.
#[derive(Debug)]
struct Ranked<T> {
    priority: u64,
    kept: Arc<Kept<T>>,
}

/// Bytes of an entry that the sample does not count itself: the shared pointer's counts, the rank, the sequence, the
/// allocator's own.
const ENTRY_BYTES: usize = 64;

impl<T: Sample> Reservoir<T> {
    /// An empty reservoir. Half of `budget` holds the uniform samples, half the newest.
    pub fn new(budget: ByteSize, rng: ChaCha8Rng) -> Self {
        Self {
            half: budget.as_usize() / 2,
            rng,
            seen: 0,
            oversized: 0,
            uniform: BinaryHeap::new(),
            uniform_bytes: 0,
            threshold: u64::MAX,
            recent: VecDeque::new(),
            recent_bytes: 0,
        }
    }

    /// Takes the stream's next sample, and keeps it or not.
    pub fn offer(&mut self, sample: T) {
        let sequence = self.seen;
        self.seen += 1;
        let priority = self.rng.next_u64();
        let bytes = sample.bytes() + ENTRY_BYTES;
        if bytes > self.half {
            self.oversized += 1;
            return;
        }
        let kept = Arc::new(Kept { sequence, sample });
        if priority < self.threshold {
            self.uniform.push(Ranked { priority, kept: Arc::clone(&kept) });
            self.uniform_bytes += bytes;
            while self.uniform_bytes > self.half
                && let Some(gone) = self.uniform.pop()
            {
                self.uniform_bytes -= gone.kept.sample.bytes() + ENTRY_BYTES;
                self.threshold = gone.priority;
            }
        }
        self.recent.push_back(kept);
        self.recent_bytes += bytes;
        while self.recent_bytes > self.half
            && let Some(gone) = self.recent.pop_front()
        {
            self.recent_bytes -= gone.sample.bytes() + ENTRY_BYTES;
        }
    }

    /// How many samples were offered.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// How many samples were too large to be kept at all.
    pub fn oversized(&self) -> u64 {
        self.oversized
    }

    /// Bytes held, at most the budget; what is in both halves counts twice.
    pub fn bytes(&self) -> usize {
        self.uniform_bytes + self.recent_bytes
    }

    /// Forgets everything, for a stream that has changed beyond recognition. The generator goes on.
    pub fn clear(&mut self) {
        self.uniform.clear();
        self.recent.clear();
        (self.uniform_bytes, self.recent_bytes, self.threshold) = (0, 0, u64::MAX);
    }

    /// The newest samples that were offered from a place of the stream on, oldest first, as many as hold at most so many
    /// bytes. Shares them, copies none.
    pub fn newest(&self, from: u64, most: usize) -> Vec<Arc<Kept<T>>> {
        let mut bytes = 0;
        let newest = self.recent.iter().rev().take_while(|kept| {
            bytes += kept.sample.bytes();
            kept.sequence >= from && bytes <= most
        });
        let mut newest: Vec<_> = newest.map(Arc::clone).collect();
        newest.reverse();
        newest
    }

    /// Puts other samples in the place of some, by their places in the stream, or none.
    pub fn revise(&mut self, revised: &Revised<T>) {
        let uniform = std::mem::take(&mut self.uniform).into_iter();
        let now = |Ranked { priority, kept }| Some(Ranked { priority, kept: revision(revised, kept)? });
        self.uniform = uniform.filter_map(now).collect();
        let recent = std::mem::take(&mut self.recent).into_iter();
        self.recent = recent.filter_map(|kept| revision(revised, kept)).collect();
        let bytes = |kept: &Arc<Kept<T>>| kept.sample.bytes() + ENTRY_BYTES;
        self.uniform_bytes = self.uniform.iter().map(|ranked| bytes(&ranked.kept)).sum();
        self.recent_bytes = self.recent.iter().map(bytes).sum();
    }

    /// What is kept now, to learn from in another thread while this one goes on. Shares the samples, copies none.
    pub fn snapshot(&self) -> Snapshot<T> {
        let mut samples: Vec<Arc<Kept<T>>> =
            self.uniform.iter().map(|ranked| &ranked.kept).chain(&self.recent).map(Arc::clone).collect();
        samples.sort_unstable_by_key(|kept| kept.sequence);
        samples.dedup_by_key(|kept| kept.sequence);
        Snapshot { samples }
    }
}

/// What stands in the place of samples, by their places in the stream; `None` where nothing does.
pub type Revised<T> = BTreeMap<u64, Option<Arc<Kept<T>>>>;

/// What stands in the place of a sample: itself, where nothing is said of it.
fn revision<T>(revised: &Revised<T>, kept: Arc<Kept<T>>) -> Option<Arc<Kept<T>>> {
    match revised.get(&kept.sequence) {
        Some(other) => other.clone(),
        None => Some(kept),
    }
}

/// What a reservoir held at one moment: each sample once, oldest first.
#[derive(Debug)]
pub struct Snapshot<T> {
    samples: Vec<Arc<Kept<T>>>,
}

impl<T: Sample> Snapshot<T> {
    /// The samples, oldest first.
    pub fn samples(&self) -> &[Arc<Kept<T>>] {
        &self.samples
    }

    /// The same with other samples in the place of some, or none.
    pub fn revised(self, revised: &Revised<T>) -> Self {
        Self { samples: self.samples.into_iter().filter_map(|kept| revision(revised, kept)).collect() }
    }
}

impl<T> PartialEq for Ranked<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T> Eq for Ranked<T> {}

impl<T> PartialOrd for Ranked<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Ranked<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.priority, self.kept.sequence).cmp(&(other.priority, other.kept.sequence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand_chacha::rand_core::SeedableRng;

    fn reservoir(budget: usize, seed: u64) -> Reservoir<Bytes> {
        Reservoir::new(ByteSize::new(budget as u64), ChaCha8Rng::seed_from_u64(seed))
    }

    fn sequences(reservoir: &Reservoir<Bytes>) -> Vec<u64> {
        reservoir.snapshot().samples().iter().map(|kept| kept.sequence).collect()
    }

    #[test]
    fn the_same_stream_under_the_same_seed_keeps_the_same_samples() {
        let run = |seed| {
            let mut reservoir = reservoir(20_000, seed);
            (0..5000u32).for_each(|i| reservoir.offer(Bytes::from(vec![0; (i % 90) as usize])));
            sequences(&reservoir)
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }

    #[test]
    fn the_newest_half_is_the_end_of_the_stream() {
        let mut reservoir = reservoir(40_000, 3);
        (0..10_000).for_each(|_| reservoir.offer(Bytes::from_static(&[0; 100])));
        let kept = sequences(&reservoir);
        let one = 100 + size_of::<Bytes>() + ENTRY_BYTES;
        let newest = (20_000 / one) as u64;
        assert!((10_000 - newest..10_000).all(|sequence| kept.contains(&sequence)));
        let older = kept.iter().filter(|&&sequence| sequence < 10_000 - newest).count();
        assert!(older > 80, "{older} of the uniform half lie before the newest half");
    }

    #[test]
    fn the_newest_are_looked_at_up_to_a_bound_and_never_twice() {
        let mut reservoir = reservoir(40_000, 3);
        (0..100).for_each(|_| reservoir.offer(Bytes::from_static(&[0; 100])));
        let places = |newest: Vec<Arc<Kept<Bytes>>>| newest.iter().map(|kept| kept.sequence).collect::<Vec<_>>();
        let one = 100 + size_of::<Bytes>();
        assert_eq!(places(reservoir.newest(0, 3 * one)), [97, 98, 99]);
        assert_eq!(places(reservoir.newest(98, 1 << 20)), [98, 99]);
        assert_eq!(places(reservoir.newest(100, 1 << 20)), [0; 0]);
    }

    #[test]
    fn large_and_small_samples_early_and_late_are_kept_alike() {
        // 300 streams of 2,000 samples, sizes of 10 and 1,000 bytes by turns. The uniform half alone is looked at.
        let (mut kept, mut small, mut early) = (0.0, 0.0, 0.0);
        for seed in 0..300 {
            let mut reservoir = reservoir(100_000, seed);
            for i in 0..2000 {
                reservoir.offer(Bytes::from(vec![0; if i % 2 == 0 { 10 } else { 1000 }]));
            }
            for ranked in &reservoir.uniform {
                kept += 1.0;
                small += f64::from(u8::from(ranked.kept.sample.len() == 10));
                early += f64::from(u8::from(ranked.kept.sequence < 1000));
            }
        }
        // Some 25,000 draws: three standard deviations of a fair coin are 1 %.
        assert!(kept > 20_000.0, "{kept}");
        assert!((small / kept - 0.5f64).abs() < 0.01, "share of small samples: {}", small / kept);
        assert!((early / kept - 0.5f64).abs() < 0.01, "share of the first half: {}", early / kept);
    }

    #[test]
    fn a_sample_larger_than_a_half_is_counted_and_not_kept() {
        let mut reservoir = reservoir(2000, 1);
        reservoir.offer(Bytes::from(vec![0; 1000]));
        reservoir.offer(Bytes::from(vec![0; 10]));
        assert_eq!((reservoir.seen(), reservoir.oversized(), sequences(&reservoir)), (2, 1, vec![1]));
        reservoir.clear();
        assert_eq!((reservoir.bytes(), sequences(&reservoir)), (0, vec![]));
        reservoir.offer(Bytes::new());
        assert_eq!(sequences(&reservoir), [2]);
    }

    #[test]
    fn samples_are_replaced_in_both_halves_and_counted_anew() {
        let mut reservoir = reservoir(4_000, 5);
        (0..500u32).for_each(|i| reservoir.offer(Bytes::copy_from_slice(&i.to_le_bytes())));
        let before = reservoir.snapshot();
        let kept = sequences(&reservoir);
        let (first, last) = (kept[0], kept[kept.len() - 1]);
        let shorter = Arc::new(Kept { sequence: last, sample: Bytes::from_static(b"x") });
        let revised = BTreeMap::from([(first, None), (last, Some(shorter)), (1_000, None)]);
        reservoir.revise(&revised);
        assert_eq!(sequences(&reservoir), kept[1..]);
        let samples: Vec<Bytes> = reservoir.snapshot().samples().iter().map(|kept| kept.sample.clone()).collect();
        let of_snapshot: Vec<Bytes> =
            before.revised(&revised).samples().iter().map(|kept| kept.sample.clone()).collect();
        assert!(samples == of_snapshot && samples.last().unwrap() == "x");
        let counted: usize = reservoir.recent.iter().map(|kept| kept.sample.bytes() + ENTRY_BYTES).sum();
        assert_eq!(counted, reservoir.recent_bytes);
        assert_eq!(&reservoir.newest(last, 1_000)[0].sample[..], b"x");
        // It goes on.
        reservoir.offer(Bytes::from_static(b"next"));
        assert_eq!(sequences(&reservoir).last(), Some(&500));
    }

    proptest! {
        #[test]
        fn no_half_passes_its_bound(budget in 0usize..4000, sizes in prop::collection::vec(0usize..600, 0..200)) {
            let mut reservoir = reservoir(budget, 7);
            for size in sizes {
                reservoir.offer(Bytes::from(vec![0; size]));
                prop_assert!(reservoir.uniform_bytes <= budget / 2 && reservoir.recent_bytes <= budget / 2);
                let counted: usize = reservoir.recent.iter().map(|kept| kept.sample.bytes() + ENTRY_BYTES).sum();
                prop_assert_eq!(counted, reservoir.recent_bytes);
            }
        }
    }
}
