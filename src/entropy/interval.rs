//! A symbol's share of the slots, with what it takes to encode it without a division.

use std::num::NonZeroU64;

use super::MAX_BITS;

/// The slots `start .. start + frequency` of `2^bits`: a symbol of probability `frequency / 2^bits`.
///
/// Sixteen bytes, made once for each symbol of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// `ceil(2^(63 + shift) / frequency)`, which is `2^63` or more.
    reciprocal: NonZeroU64,
    start: u16,
    /// `frequency - 1`.
    less_one: u16,
    /// `2^bits - frequency`.
    complement: u16,
    /// `63 - bits`.
    headroom: u8,
    /// `ceil(log2 frequency)`.
    shift: u8,
}

impl Interval {
    /// The interval at `start`. `bits` is 0 to 16, `frequency` at least 1, and the end at most `2^bits`.
    ///
    /// # Panics
    ///
    /// If it is not so.
    pub const fn new(start: u32, frequency: u32, bits: u32) -> Self {
        assert!(bits <= MAX_BITS && frequency >= 1 && frequency <= 1 << bits && start <= (1 << bits) - frequency);
        // Alverson (1991), "Integer division using reciprocals": with e = reciprocal * frequency - 2^(63 + shift), which
        // is below frequency <= 2^shift, x * reciprocal / 2^(63 + shift) is above x / frequency by
        // x * e / (2^(63 + shift) * frequency), which for x < 2^63 is less than 1 / frequency: the floor is the same.
        let shift = u32::BITS - (frequency - 1).leading_zeros();
        let (high, rest) = ((1 << 63) / frequency as u64, (1 << 63) % frequency as u64);
        let reciprocal = (high << shift) + (rest << shift).div_ceil(frequency as u64);
        Self {
            reciprocal: NonZeroU64::new(reciprocal).expect("the reciprocal is at least 2^63"),
            start: start as u16,
            less_one: (frequency - 1) as u16,
            complement: ((1 << bits) - frequency) as u16,
            headroom: (63 - bits) as u8,
            shift: shift as u8,
        }
    }

    /// Its first slot.
    pub const fn start(self) -> u32 {
        self.start as u32
    }

    /// How many slots it has.
    pub const fn frequency(self) -> u32 {
        self.less_one as u32 + 1
    }

    /// The binary logarithm of the number of all slots.
    pub const fn bits(self) -> u32 {
        63 - self.headroom as u32
    }

    /// Whether a state must give away a word before it takes this symbol: it is `frequency * 2^(63 - bits)` or more.
    #[inline]
    pub(super) const fn overflows(self, state: u64) -> bool {
        state >> self.headroom > self.less_one as u64
    }

    /// The state after this symbol: `floor(state / frequency) * 2^bits + state mod frequency + start`.
    ///
    /// `state` is below `2^63`, and so is the result where it does not overflow.
    #[inline]
    pub(super) const fn push(self, state: u64) -> u64 {
        let product = (state << 1) as u128 * self.reciprocal.get() as u128;
        let quotient = (product >> 64) as u64 >> self.shift;
        state + quotient * self.complement as u64 + self.start as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The state after a symbol, with a division.
    fn plain(interval: Interval, state: u64) -> u64 {
        let frequency = u64::from(interval.frequency());
        ((state / frequency) << interval.bits()) + state % frequency + u64::from(interval.start())
    }

    #[test]
    fn no_division_is_inexact_next_to_any_multiple_at_the_edges() {
        for bits in [0, 1, 7, 12, 15, 16] {
            for frequency in 1..=1u32 << bits {
                let interval = Interval::new((1 << bits) - frequency, frequency, bits);
                // The largest state that takes the symbol: below frequency << (63 - bits).
                let bound = u64::from(frequency) << (63 - bits);
                let quotients = [1, 2, 3, (1 << 31) - 1, 1 << 31, (1 << (63 - bits)) - 1, 1 << (63 - bits)];
                for quotient in quotients.into_iter().filter(|q| *q <= 1 << (63 - bits)) {
                    for state in [quotient * u64::from(frequency) - 1, quotient * u64::from(frequency)] {
                        if state < bound {
                            assert!(!interval.overflows(state));
                            assert_eq!(interval.push(state), plain(interval, state), "{interval:?} {state}");
                        } else {
                            assert!(interval.overflows(state));
                        }
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn no_division_is_the_division(bits in 0..=16u32, a: u32, b: u32, state: u64) {
            let frequency = 1 + a % (1 << bits);
            let start = b % ((1 << bits) - frequency + 1);
            let interval = Interval::new(start, frequency, bits);
            prop_assert_eq!((interval.start(), interval.frequency(), interval.bits()), (start, frequency, bits));
            let state = state % (u64::from(frequency) << (63 - bits));
            prop_assert_eq!(interval.push(state), plain(interval, state));
        }
    }
}
