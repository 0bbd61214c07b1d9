//! Samples to symbols of their tables, and back.

use super::{LEAST_THRESHOLD, OTHERS, Peaks, SampleTables};
use crate::engine::{Around, Name};
use crate::entropy::{Decoder, Encoder, Interval};

/// Frequencies are in units of 2^-16.
const SCALE_BITS: u32 = 16;

/// What frequencies sum to.
const TOTAL: u32 = 1 << SCALE_BITS;

/// Values that are peaks at most.
const MAX_PEAKS: usize = 256 - LEAST_THRESHOLD as usize;

/// Slots of a bucket that a search begins in, as a power of two.
const BUCKET_BITS: u32 = 8;

/// Samples that a search compares at a time, without a branch.
const STEP: usize = 8;

/// All tables, laid out for coding.
pub(super) struct SampleCoder {
    /// Whether a sample is not 0, by level of zero.
    flags: [[Interval; 2]; 256],
    zero: [u16; 256],
    others: Box<[Others]>,
    peaks: Option<PeakCoder>,
    /// The lowest peak, or 255, where there is none: all from it on have one interval.
    last: u8,
}

/// The values of peaks.
struct PeakCoder {
    threshold: u8,
    near: usize,
    /// By context: the first slot of each value; the last one there is behind them.
    starts: Box<[[u16; MAX_PEAKS]]>,
}

/// The distribution of samples that are not 0.
struct Others {
    /// The sample that has the first slot of each bucket.
    bucket: [u8; 1 << (SCALE_BITS - BUCKET_BITS)],
    /// The first slot of each sample; behind them the last of all. Sample 0 has none; it stands before 1, with the same slot.
    start: [u16; 256 + STEP],
}

impl SampleCoder {
    pub fn new(tables: &SampleTables) -> Self {
        let zero = std::array::from_fn(|level| tables.zeroes()[level]);
        let flags = zero.map(|zero| {
            let zero = u32::from(zero);
            [Interval::new(0, zero, SCALE_BITS), Interval::new(zero, TOTAL - zero, SCALE_BITS)]
        });
        let others = tables.frequencies().as_chunks::<OTHERS>().0.iter().map(Others::new);
        let last = tables.peaks().map_or(u8::MAX, Peaks::threshold);
        Self { flags, zero, others: others.collect(), peaks: tables.peaks().map(PeakCoder::new), last }
    }

    /// Gives a sample to the encoder.
    #[inline(always)]
    pub fn encode(&self, name: Name, sample: u8, around: Around<'_>, encoder: &mut Encoder) {
        encoder.push(self.flags[usize::from(name.zero())][usize::from(sample != 0)]);
        if sample != 0 {
            let (start, frequency) = self.others[usize::from(name.table())].interval(sample, self.last);
            encoder.push(Interval::new(start, frequency, SCALE_BITS));
            if sample >= self.last
                && let Some(peaks) = &self.peaks
            {
                let (start, frequency) = peaks.interval(sample, around);
                encoder.push(Interval::new(start, frequency, SCALE_BITS));
            }
        }
    }

    /// Decodes a sample.
    #[inline(always)]
    pub fn decode<const LANES: usize>(&self, name: Name, around: Around<'_>, decoder: &mut Decoder<'_, LANES>) -> u8 {
        let zero = u32::from(self.zero[usize::from(name.zero())]);
        let other = decoder.decode(SCALE_BITS, |slot| match slot < zero {
            true => (false, 0, zero),
            false => (true, zero, TOTAL - zero),
        });
        if !other {
            return 0;
        }
        let others = &self.others[usize::from(name.table())];
        let sample = decoder.decode(SCALE_BITS, |slot| {
            let sample = others.find(slot as u16).min(self.last);
            let (start, frequency) = others.interval(sample, self.last);
            (sample, start, frequency)
        });
        match &self.peaks {
            Some(peaks) if sample == self.last => peaks.decode(around, decoder),
            _ => sample,
        }
    }

    /// Bits that a sample takes at least, whole ones.
    pub fn least_bits(&self, name: Name, sample: u8, around: Around<'_>) -> u32 {
        let bits = |frequency: u32| SCALE_BITS - 1 - (frequency - 1).checked_ilog2().unwrap_or(0);
        let zero = u32::from(self.zero[usize::from(name.zero())]);
        match sample {
            0 => bits(zero),
            other => {
                let value = bits(self.others[usize::from(name.table())].interval(other, self.last).1);
                let peaks = self.peaks.as_ref().filter(|_| other >= self.last);
                bits(TOTAL - zero) + value + peaks.map_or(0, |peaks| bits(peaks.interval(other, around).1))
            }
        }
    }
}

impl PeakCoder {
    fn new(peaks: &Peaks) -> Self {
        let starts = peaks.frequencies().chunks_exact(256 - usize::from(peaks.threshold())).map(|table| {
            let mut starts = [u16::MAX; MAX_PEAKS];
            let mut next = 0u16;
            for (start, frequency) in starts.iter_mut().zip(table) {
                (*start, next) = (next, next.wrapping_add(*frequency));
            }
            starts
        });
        Self { threshold: peaks.threshold(), near: peaks.near(), starts: starts.collect() }
    }

    #[inline(always)]
    fn starts(&self, around: Around<'_>) -> &[u16; MAX_PEAKS] {
        &self.starts[Peaks::context(self.threshold, self.near, |row, column| around.at(row, column))]
    }

    /// The first slot and the number of slots of a peak.
    #[inline(always)]
    fn interval(&self, peak: u8, around: Around<'_>) -> (u32, u32) {
        Self::slots(self.starts(around), usize::from(peak - self.threshold), peak == u8::MAX)
    }

    #[inline(always)]
    fn slots(starts: &[u16; MAX_PEAKS], value: usize, is_last: bool) -> (u32, u32) {
        let start = u32::from(starts[value]);
        let end = if is_last { TOTAL } else { u32::from(starts[value + 1]) };
        (start, end - start)
    }

    #[inline(always)]
    fn decode<const LANES: usize>(&self, around: Around<'_>, decoder: &mut Decoder<'_, LANES>) -> u8 {
        let starts = self.starts(around);
        decoder.decode(SCALE_BITS, |slot| {
            // The first value begins at 0.
            let value = starts[1..].iter().map(|start| u8::from(u32::from(*start) <= slot)).sum::<u8>();
            let value = value.min(u8::MAX - self.threshold);
            let (start, frequency) = Self::slots(starts, usize::from(value), value == u8::MAX - self.threshold);
            (self.threshold + value, start, frequency)
        })
    }
}

impl Others {
    fn new(table: &[u16; OTHERS]) -> Self {
        let mut start = [u16::MAX; 256 + STEP];
        (start[0], start[1]) = (0, 0);
        for sample in 2..256 {
            start[sample] = start[sample - 1] + table[sample - 2];
        }
        let mut sample = 1;
        let bucket = std::array::from_fn(|bucket| {
            while sample < 255 && usize::from(start[sample + 1]) <= bucket << BUCKET_BITS {
                sample += 1;
            }
            sample as u8
        });
        Self { bucket, start }
    }

    /// The first slot and the number of slots of a sample that is not 0; those of `last` on have one interval.
    #[inline(always)]
    fn interval(&self, sample: u8, last: u8) -> (u32, u32) {
        let sample = sample.min(last);
        let start = u32::from(self.start[usize::from(sample)]);
        let end = if sample == last { TOTAL } else { u32::from(self.start[usize::from(sample) + 1]) };
        (start, end - start)
    }

    /// The sample that has a slot: the last one that begins at it or before.
    #[inline(always)]
    fn find(&self, slot: u16) -> u8 {
        let mut sample = usize::from(self.bucket[usize::from(slot >> BUCKET_BITS)]);
        loop {
            // Eight numbers are one vector. Most buckets hold fewer samples.
            let next = self.start[sample + 1..].first_chunk::<STEP>().expect("as many stand behind the last sample");
            let begun = next.iter().map(|start| u16::from(*start <= slot)).sum::<u16>();
            sample = (sample + usize::from(begun)).min(255);
            if usize::from(begun) < STEP || sample == 255 {
                return sample as u8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Nothing around a sample.
    fn nowhere() -> Around<'static> {
        Around::of_zeroes(&[0; 9])
    }

    proptest! {
        #[test]
        fn every_sample_of_every_table_comes_back(
            counts in prop::collection::vec(prop_oneof![Just(0), 1..20u32, 1..u32::MAX / 512], 510 + 512),
            samples in prop::collection::vec((0..2u16, any::<u8>(), prop_oneof![Just(0), any::<u8>()]), 0..300),
        ) {
            let (others, zeroes) = counts.split_at(510);
            let tables = SampleTables::from_counts(1, 2, zeroes.as_chunks().0, others).unwrap();
            let coder = SampleCoder::new(&tables);
            let mut encoder = Encoder::default();
            let mut least = 0;
            let samples = [samples, vec![(0, 0, 255)]].concat();
            for (table, zero, sample) in &samples {
                let name = Name::new(*table, *zero);
                coder.encode(name, *sample, nowhere(), &mut encoder);
                least += coder.least_bits(name, *sample, nowhere());
            }
            let mut stream = Vec::new();
            encoder.finish::<2>(&mut stream);
            let mut decoder = Decoder::<2>::new(&stream).unwrap();
            for (table, zero, sample) in samples {
                prop_assert_eq!(coder.decode(Name::new(table, zero), nowhere(), &mut decoder), sample);
            }
            decoder.finish().unwrap();
            // The last ones cost less than they hold, and nothing where they are 0.
            prop_assert!(stream.len() * 8 + 32 >= least as usize, "{} {least}", stream.len());
        }
    }

    #[test]
    fn slots_belong_to_the_samples_that_have_them() {
        let mut counts = [1; OTHERS];
        counts[200] = 1_000_000;
        let tables = SampleTables::from_counts(1, 1, &[[1, 1]; 256], &counts).unwrap();
        let coder = SampleCoder::new(&tables);
        let mut slot = 0;
        for sample in 1..=255 {
            let (start, frequency) = coder.others[0].interval(sample, 255);
            assert_eq!((start, frequency), (slot, u32::from(tables.frequencies()[usize::from(sample) - 1])));
            for slot in [start, start + frequency - 1] {
                assert_eq!(coder.others[0].find(slot as u16), sample);
            }
            slot += frequency;
        }
        assert_eq!(slot, TOTAL);
    }
}
