//! Samples to symbols of their tables, and back.

use super::{OTHERS, SampleTables};
use crate::engine::Name;
use crate::entropy::{Decoder, Encoder, Interval};

/// Frequencies are in units of 2^-16.
const SCALE_BITS: u32 = 16;

/// What frequencies sum to.
const TOTAL: u32 = 1 << SCALE_BITS;

/// Samples between two that a search begins with.
const STEP: usize = 16;

/// All tables, laid out for coding.
pub(super) struct SampleCoder {
    /// Whether a sample is not 0, by level of zero.
    flags: [[Interval; 2]; 256],
    zero: [u16; 256],
    others: Box<[Others]>,
}

/// The distribution of samples that are not 0.
struct Others {
    /// The first slot of every sixteenth sample.
    coarse: [u16; 256 / STEP],
    /// The first slot of each sample. Sample 0 has none; it stands before 1, with the same slot.
    start: [u16; 256],
}

impl SampleCoder {
    pub fn new(tables: &SampleTables) -> Self {
        let zero = std::array::from_fn(|level| tables.zeroes()[level]);
        let flags = zero.map(|zero| {
            let zero = u32::from(zero);
            [Interval::new(0, zero, SCALE_BITS), Interval::new(zero, TOTAL - zero, SCALE_BITS)]
        });
        let others = tables.frequencies().as_chunks::<OTHERS>().0.iter().map(Others::new);
        Self { flags, zero, others: others.collect() }
    }

    /// Gives a sample to the encoder.
    #[inline(always)]
    pub fn encode(&self, name: Name, sample: u8, encoder: &mut Encoder) {
        encoder.push(self.flags[usize::from(name.zero())][usize::from(sample != 0)]);
        if sample != 0 {
            let (start, frequency) = self.others[usize::from(name.table())].interval(sample);
            encoder.push(Interval::new(start, frequency, SCALE_BITS));
        }
    }

    /// Decodes a sample.
    #[inline(always)]
    pub fn decode<const LANES: usize>(&self, name: Name, decoder: &mut Decoder<'_, LANES>) -> u8 {
        let zero = u32::from(self.zero[usize::from(name.zero())]);
        let other = decoder.decode(SCALE_BITS, |slot| match slot < zero {
            true => (false, 0, zero),
            false => (true, zero, TOTAL - zero),
        });
        if !other {
            return 0;
        }
        let others = &self.others[usize::from(name.table())];
        decoder.decode(SCALE_BITS, |slot| {
            let sample = others.find(slot as u16);
            let (start, frequency) = others.interval(sample);
            (sample, start, frequency)
        })
    }

    /// Bits that a sample takes at least, whole ones.
    pub fn least_bits(&self, name: Name, sample: u8) -> u32 {
        let bits = |frequency: u32| SCALE_BITS - 1 - (frequency - 1).checked_ilog2().unwrap_or(0);
        let zero = u32::from(self.zero[usize::from(name.zero())]);
        match sample {
            0 => bits(zero),
            other => bits(TOTAL - zero) + bits(self.others[usize::from(name.table())].interval(other).1),
        }
    }
}

impl Others {
    fn new(table: &[u16; OTHERS]) -> Self {
        let mut start = [0; 256];
        for sample in 2..256 {
            start[sample] = start[sample - 1] + table[sample - 2];
        }
        Self { coarse: std::array::from_fn(|at| start[at * STEP]), start }
    }

    /// The first slot and the number of slots of a sample that is not 0.
    #[inline(always)]
    fn interval(&self, sample: u8) -> (u32, u32) {
        let start = u32::from(self.start[usize::from(sample)]);
        let end = self.start.get(usize::from(sample) + 1).map_or(TOTAL, |end| u32::from(*end));
        (start, end - start)
    }

    /// The sample that has a slot: the last one that begins at it or before.
    #[inline(always)]
    fn find(&self, slot: u16) -> u8 {
        // All are compared, without a branch: sixteen numbers are one or two vectors.
        let begun = |starts: &[u16; STEP]| starts.iter().map(|start| u16::from(*start <= slot)).sum::<u16>();
        let part = usize::from(begun(&self.coarse)).saturating_sub(1) % (256 / STEP);
        let within = begun(&self.start.as_chunks::<STEP>().0[part]);
        (part * STEP) as u8 + within.saturating_sub(1) as u8
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
                coder.encode(name, *sample, &mut encoder);
                least += coder.least_bits(name, *sample);
            }
            let mut stream = Vec::new();
            encoder.finish::<2>(&mut stream);
            let mut decoder = Decoder::<2>::new(&stream).unwrap();
            for (table, zero, sample) in samples {
                prop_assert_eq!(coder.decode(Name::new(table, zero), &mut decoder), sample);
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
            let (start, frequency) = coder.others[0].interval(sample);
            assert_eq!((start, frequency), (slot, u32::from(tables.frequencies()[usize::from(sample) - 1])));
            for slot in [start, start + frequency - 1] {
                assert_eq!(coder.others[0].find(slot as u16), sample);
            }
            slot += frequency;
        }
        assert_eq!(slot, TOTAL);
    }
}
