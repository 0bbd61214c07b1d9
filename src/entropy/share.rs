//! A symbol's share of the slots, for a symbol of a table that changes with its context.

use super::{Interval, MAX_BITS};

/// What an [`Encoder`](super::Encoder) takes for a symbol: the slots `start .. start + frequency` of `2^bits`.
pub trait Slots: Copy {
    /// The slots from `start` on. `bits` is 0 to 16, `frequency` at least 1, and the end at most `2^bits`.
    fn new(start: u32, frequency: u32, bits: u32) -> Self;
    /// The first slot.
    fn start(self) -> u32;
    /// How many slots there are.
    fn frequency(self) -> u32;
    /// The binary logarithm of the number of all slots.
    fn bits(self) -> u32;
    /// Whether a state must give away a word before it takes this symbol: it is `frequency * 2^(63 - bits)` or more.
    fn overflows(self, state: u64) -> bool;
    /// The state after this symbol: `floor(state / frequency) * 2^bits + state mod frequency + start`, where it does not
    /// overflow.
    fn push(self, state: u64) -> u64;
}

impl Slots for Interval {
    #[inline]
    fn new(start: u32, frequency: u32, bits: u32) -> Self {
        Self::new(start, frequency, bits)
    }
    #[inline]
    fn start(self) -> u32 {
        self.start()
    }
    #[inline]
    fn frequency(self) -> u32 {
        self.frequency()
    }
    #[inline]
    fn bits(self) -> u32 {
        self.bits()
    }
    #[inline]
    fn overflows(self, state: u64) -> bool {
        self.overflows(state)
    }
    #[inline]
    fn push(self, state: u64) -> u64 {
        self.push(state)
    }
}

/// Six bytes that are made at once, where an [`Interval`] takes two divisions to make and none to code: for symbols whose
/// intervals are not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    start: u16,
    /// `frequency - 1`.
    less_one: u16,
    bits: u16,
}

impl Slots for Share {
    #[inline]
    fn new(start: u32, frequency: u32, bits: u32) -> Self {
        debug_assert!(bits <= MAX_BITS && frequency >= 1 && frequency <= 1 << bits && start <= (1 << bits) - frequency);
        Self { start: start as u16, less_one: (frequency - 1) as u16, bits: bits as u16 }
    }
    #[inline]
    fn start(self) -> u32 {
        u32::from(self.start)
    }
    #[inline]
    fn frequency(self) -> u32 {
        u32::from(self.less_one) + 1
    }
    #[inline]
    fn bits(self) -> u32 {
        u32::from(self.bits)
    }
    #[inline]
    fn overflows(self, state: u64) -> bool {
        state >> ((63 - self.bits) & 63) > u64::from(self.less_one)
    }
    #[inline]
    fn push(self, state: u64) -> u64 {
        let frequency = u64::from(self.less_one) + 1;
        let quotient = state / frequency;
        state + quotient * ((1 << self.bits) - frequency) + u64::from(self.start)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_share_codes_as_an_interval_does(bits in 0..=16u32, a: u32, b: u32, state: u64) {
            let frequency = 1 + a % (1 << bits);
            let start = b % ((1 << bits) - frequency + 1);
            let (interval, share) = (Interval::new(start, frequency, bits), <Share as Slots>::new(start, frequency, bits));
            prop_assert_eq!((share.start(), share.frequency(), share.bits()), (start, frequency, bits));
            prop_assert_eq!(share.overflows(state >> 1), interval.overflows(state >> 1));
            let state = state % (u64::from(frequency) << (63 - bits));
            prop_assert_eq!(share.push(state), interval.push(state));
        }
    }
}
