//! Counts to frequencies that sum to a power of two, at the least cost in bits.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// `log2(1 + 1 / n)` in units of 2^-62, but for a few units: what a symbol's code gets shorter when its frequency grows
/// from `n`. Integer arithmetic, so that it is the same everywhere.
fn log2_step(n: u32) -> u64 {
    const ONE: u64 = 1 << 62;
    /// `2 / ln 2` in units of 2^-61.
    const TWO_OVER_LN2: u64 = 6653256548922161245;
    let product = |a: u64, b: u64| ((u128::from(a) * u128::from(b)) >> 62) as u64;
    // ln(1 + 1 / n) = 2 atanh(z) with z = 1 / (2n + 1), as a power series.
    let z = ONE / (2 * u64::from(n) + 1);
    let square = product(z, z);
    let (mut power, mut sum) = (z, 0);
    for odd in (1..).step_by(2) {
        if power == 0 {
            break;
        }
        sum += power / odd;
        power = product(power, square);
    }
    product(sum, TWO_OVER_LN2) << 1
}

/// Frequencies that sum to `2^bits` and give the symbols the fewest bits in total that such frequencies can. Symbols
/// with a count have at least 1, others 0. Equal choices go to the lower symbol.
///
/// The number of symbols with a count is 1 to `2^bits`.
pub(super) fn normalise(counts: &[u32], bits: u32) -> Vec<u32> {
    let total: u64 = counts.iter().map(|count| u64::from(*count)).sum();
    let size = 1u64 << bits;
    // Near the optimum: the share, rounded.
    let share = |count: u32| (u64::from(count) * size + total / 2) / total;
    let mut frequencies: Vec<u32> =
        counts.iter().map(|count| share(*count).max(u64::from(*count > 0)) as u32).collect();
    let mut sum: u64 = frequencies.iter().map(|frequency| u64::from(*frequency)).sum();
    // The cost is convex in each frequency, so that single steps, the best one first, lead to the least cost: first to
    // the right sum, then by moving a slot from where it is missed least to where it serves most, while that pays.
    let saving = |symbol: usize, frequency: u32| u128::from(counts[symbol]) * u128::from(log2_step(frequency));
    let codable = || (0..counts.len()).filter(|symbol| counts[*symbol] > 0);
    // Savings and losses with the frequency that they were computed for; others are stale.
    let gain = |symbol, frequency| (saving(symbol, frequency), Reverse(symbol), frequency);
    let loss = |symbol, frequency: u32| (Reverse(saving(symbol, frequency - 1)), Reverse(symbol), frequency);
    let mut gains: BinaryHeap<_> = codable().map(|symbol| gain(symbol, frequencies[symbol])).collect();
    let mut losses: BinaryHeap<_> =
        codable().filter(|symbol| frequencies[*symbol] > 1).map(|symbol| loss(symbol, frequencies[symbol])).collect();
    loop {
        while gains.peek().is_some_and(|(_, symbol, frequency)| frequencies[symbol.0] != *frequency) {
            gains.pop();
        }
        while losses.peek().is_some_and(|(_, symbol, frequency)| frequencies[symbol.0] != *frequency) {
            losses.pop();
        }
        let (best, worst) = (gains.peek(), losses.peek());
        let moved = match (best, worst) {
            (Some((_, symbol, _)), _) if sum < size => (symbol.0, true),
            (_, Some((_, symbol, _))) if sum > size => (symbol.0, false),
            (Some((gained, symbol, _)), Some((Reverse(lost), _, _))) if gained > lost => (symbol.0, true),
            _ => break,
        };
        let (symbol, grows) = moved;
        match grows {
            true => (frequencies[symbol], sum) = (frequencies[symbol] + 1, sum + 1),
            false => (frequencies[symbol], sum) = (frequencies[symbol] - 1, sum - 1),
        }
        gains.push(gain(symbol, frequencies[symbol]));
        if frequencies[symbol] > 1 {
            losses.push(loss(symbol, frequencies[symbol]));
        }
    }
    frequencies
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bits that these counts take with these frequencies of `2^bits`.
    fn cost(counts: &[u32], frequencies: &[u32], bits: u32) -> f64 {
        let each = counts.iter().zip(frequencies).filter(|(count, _)| **count > 0);
        each.map(|(count, frequency)| f64::from(*count) * (f64::from(bits) - f64::from(*frequency).log2())).sum()
    }

    /// The least cost of all ways to share `left` slots among the counts.
    fn least(counts: &[u32], left: u32, bits: u32) -> f64 {
        match counts {
            [] => {
                if left == 0 {
                    0.0
                } else {
                    f64::INFINITY
                }
            }
            [0, rest @ ..] => least(rest, left, bits),
            [count, rest @ ..] => (1..=left)
                .map(|share| cost(&[*count], &[share], bits) + least(rest, left - share, bits))
                .fold(f64::INFINITY, f64::min),
        }
    }

    #[test]
    fn logarithms_are_those_of_the_library() {
        for n in (1..2000).chain((2000..65_536).step_by(97)) {
            let ours = log2_step(n) as f64 / 2f64.powi(62);
            let theirs = (1.0 / f64::from(n)).ln_1p() / std::f64::consts::LN_2;
            assert!((ours / theirs - 1.0).abs() < 1e-12, "{n}: {ours} {theirs}");
        }
        // The same on every machine, to the last bit.
        let steps = [4_611_686_018_427_387_878, 2_697_663_385_880_076_750, 6_649_932_136_737_894, 101_521_412_807_578];
        assert_eq!([1, 2, 1000, 65_535].map(log2_step), steps);
    }

    proptest! {
        #[test]
        fn no_other_frequencies_cost_less(
            counts in prop::collection::vec(prop_oneof![Just(0), 1..20u32, 1..u32::MAX], 1..5), bits in 3..=5u32,
        ) {
            prop_assume!(counts.iter().any(|count| *count > 0));
            let frequencies = normalise(&counts, bits);
            prop_assert_eq!(frequencies.iter().sum::<u32>(), 1 << bits);
            let (ours, least) = (cost(&counts, &frequencies, bits), least(&counts, 1 << bits, bits));
            prop_assert!(ours <= least * (1.0 + 1e-12), "{:?} {} {}", frequencies, ours, least);
        }

        /// The cost is convex, so that a table which no single move makes better is the best.
        #[test]
        fn no_slot_serves_better_elsewhere(
            counts in prop::collection::vec(prop_oneof![Just(0), 1..9u32, 1..u32::MAX], 1..300), bits in 9..=16u32,
        ) {
            prop_assume!(counts.iter().any(|count| *count > 0));
            let frequencies = normalise(&counts, bits);
            prop_assert_eq!(frequencies.iter().sum::<u32>(), 1 << bits);
            let codable = || counts.iter().zip(&frequencies).filter(|(count, _)| **count > 0);
            let step = |count: u32, from: u32| u128::from(count) * u128::from(log2_step(from));
            let gain = codable().map(|(count, frequency)| step(*count, *frequency)).max();
            let loss = codable().filter(|pair| *pair.1 > 1).map(|(count, frequency)| step(*count, frequency - 1)).min();
            if let (Some(gain), Some(loss)) = (gain, loss) {
                prop_assert!(gain <= loss);
            }
        }
    }
}
