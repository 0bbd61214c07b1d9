//! How an empty state fills: the order in which slots are taken while a state is smaller than its table.
//!
//! A state below a symbol's frequency holds less than the symbol's slots tell apart. Were it put at its place in the
//! interval as it is, the new state would be near `2^bits` whatever the probability is: up to two bytes for a bit. So
//! slots are numbered anew, by falling number of trailing zeros and then by place: 0, M/2, M/4, 3M/4, M/8, ... An
//! interval of `f` of `M` slots has one of the first `2 M / f` positions or so, whatever its start, and the smallest
//! states take these.

/// How many multiples of `2^level` lie below `slot`.
const fn multiples_below(slot: u32, level: u32) -> u32 {
    (slot + (1 << level) - 1) >> level
}

/// The slot at a position, both below `2^bits`.
pub(super) const fn slot_at(position: u32, bits: u32) -> u32 {
    match position.checked_ilog2() {
        None => 0,
        Some(log) => (2 * (position - (1 << log)) + 1) << (bits - 1 - log),
    }
}

/// How many slots of `start .. start + frequency` have a lower position than `slot`, which is one of them.
pub(super) const fn rank(slot: u32, start: u32, frequency: u32) -> u32 {
    if slot == 0 {
        return 0;
    }
    let level = slot.trailing_zeros();
    // All multiples of twice its power of two, and those before it that have just its own.
    multiples_below(start + frequency, level + 1) - multiples_below(slot, level + 1) + multiples_below(slot, level)
        - multiples_below(start, level)
}

/// The position of the slot of this rank among `start .. start + frequency` of `2^bits`: the inverse of [`rank`].
pub(super) const fn position(rank: u32, start: u32, frequency: u32, bits: u32) -> u32 {
    debug_assert!(rank < frequency);
    // The largest power of two whose multiples in the interval are more than `rank`.
    let mut level = bits;
    let mut passed = 0;
    loop {
        let multiples = multiples_below(start + frequency, level) - multiples_below(start, level);
        if rank < multiples || level == 0 {
            break;
        }
        passed = multiples;
        level -= 1;
    }
    if level == bits {
        return 0;
    }
    // Of those, the multiples of twice the power were passed. The others are the odd ones, the first of which is the
    // first of all or the one behind it.
    (1 << (bits - 1 - level)) + multiples_below(start, level) / 2 + (rank - passed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn positions_go_through_the_slots_by_falling_trailing_zeros() {
        let slots: Vec<u32> = (0..16).map(|position| slot_at(position, 4)).collect();
        assert_eq!(slots, [0, 8, 4, 12, 2, 6, 10, 14, 1, 3, 5, 7, 9, 11, 13, 15]);
        assert_eq!(slot_at(0, 1), 0);
        assert_eq!(slot_at(1, 1), 1);
        for bits in 1..=16 {
            let mut seen = vec![false; 1 << bits];
            for position in 0..1 << bits {
                assert!(!std::mem::replace(&mut seen[slot_at(position, bits) as usize], true));
            }
        }
    }

    #[test]
    fn ranks_go_through_every_interval_by_rising_position() {
        for bits in 0..=6 {
            let size = 1u32 << bits;
            for start in 0..size {
                for frequency in 1..=size - start {
                    let positions: Vec<u32> =
                        (0..frequency).map(|rank| position(rank, start, frequency, bits)).collect();
                    assert!(positions.is_sorted_by(|a, b| a < b));
                    for (expected, position) in (0..).zip(&positions) {
                        let slot = slot_at(*position, bits);
                        assert!((start..start + frequency).contains(&slot));
                        assert_eq!(rank(slot, start, frequency), expected);
                    }
                    // The state grows by the symbol's probability and little more: at most to four times that, plus one.
                    for (rank, position) in (0u64..).zip(positions) {
                        let ideal = (rank + 1) * u64::from(size) / u64::from(frequency);
                        assert!(u64::from(position) < 4 * ideal + 1, "{rank} {start} {frequency} {bits} {position}");
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn ranks_come_back_in_large_tables(bits in 7..=16u32, a: u32, b: u32, c: u32) {
            let frequency = 1 + a % (1 << bits);
            let start = b % ((1 << bits) - frequency + 1);
            let place = c % frequency;
            let position = position(place, start, frequency, bits);
            prop_assert!(position < 1 << bits);
            let slot = slot_at(position, bits);
            prop_assert!((start..start + frequency).contains(&slot));
            prop_assert_eq!(rank(slot, start, frequency), place);
        }
    }
}
