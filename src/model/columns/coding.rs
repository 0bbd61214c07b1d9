//! Where symbols go to and come from: the entropy coder, a count of bits, or chance.

/// Frequencies are in units of 2^-16.
pub(super) const SCALE_BITS: u32 = 16;
/// What frequencies sum to.
pub(super) const TOTAL: u32 = 1 << SCALE_BITS;

/// Takes symbols in the order in which a [`Source`] gives them.
pub(super) trait Sink {
    /// A symbol that has the slots `start .. start + frequency` of 2^16.
    fn push(&mut self, start: u32, frequency: u32);
    /// The low `bits` bits of a value, at most 64.
    fn raw(&mut self, value: u64, bits: u32);
}

/// Gives symbols; whoever knows the distribution says which one a slot belongs to.
pub(super) trait Source {
    /// The next symbol. `find` is given its slot, one of 2^16, and says whose it is: the symbol, its first slot, and how
    /// many it has.
    fn symbol<S>(&mut self, find: impl FnOnce(u32) -> (S, u32, u32)) -> S;
    /// The next `bits` raw bits, at most 64.
    fn raw(&mut self, bits: u32) -> u64;
    /// A symbol was taken for a column. Nothing to one who decodes; who draws may not keep every one.
    #[inline]
    fn took(&mut self, _column: usize, _symbol: u16) {}
    /// The modelled bits of a number of this bucket were taken: what they are to be. Others than these only for one who draws.
    #[inline]
    fn took_bits(&mut self, _column: usize, _bucket: usize, high: u64) -> u64 {
        high
    }
}

/// log2 of 1 to 65,536 in units of 2^-16, rounded down to a unit; 0 of 0. From a table that is made with integers, so
/// that searches end the same on every machine.
#[inline]
pub(super) fn log2(number: u32) -> u32 {
    use std::sync::OnceLock;
    static TABLE: OnceLock<Vec<u32>> = OnceLock::new();
    TABLE.get_or_init(|| (0..=TOTAL).map(exact_log2).collect())[number.min(TOTAL) as usize]
}

/// By squaring: each square that reaches 2 is another bit.
fn exact_log2(number: u32) -> u32 {
    let Some(whole) = number.checked_ilog2() else { return 0 };
    let mut fraction = u64::from(number) << (31 - whole);
    let mut log = whole << 16;
    for bit in (0..16).rev() {
        fraction = (fraction * fraction) >> 31;
        if fraction >= 1 << 32 {
            fraction >>= 1;
            log |= 1 << bit;
        }
    }
    log
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_are_right_to_a_unit() {
        for number in 1..=TOTAL {
            let exact = f64::from(number).log2() * 65536.0;
            assert!((f64::from(log2(number)) - exact).abs() <= 1.5, "{number}");
        }
    }
}

#[cfg(test)]
pub(super) mod testing {
    use super::{Sink, Source};

    /// Slots on their way from one to the other: the last one of each symbol.
    #[derive(Default)]
    pub struct Slots(pub std::collections::VecDeque<u32>);

    impl Sink for Slots {
        fn push(&mut self, start: u32, frequency: u32) {
            self.0.push_back(start + frequency - 1);
        }
        fn raw(&mut self, _value: u64, _bits: u32) {}
    }

    impl Source for Slots {
        fn symbol<S>(&mut self, find: impl FnOnce(u32) -> (S, u32, u32)) -> S {
            let slot = self.0.pop_front().expect("as many symbols are asked for as were coded");
            let (symbol, start, frequency) = find(slot);
            assert_eq!(slot, start + frequency - 1);
            symbol
        }
        fn raw(&mut self, _bits: u32) -> u64 {
            0
        }
    }
}
