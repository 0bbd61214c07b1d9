//! Random numbers of one record.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// What all chance of a record comes from: its seed and its number, so that no record depends on another.
#[derive(Clone, Debug)]
pub(crate) struct Chance(ChaCha8Rng);

impl Chance {
    /// That of the record with this number.
    pub fn of(seed: u64, number: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(number);
        Self(rng)
    }

    /// A whole number below `limit`, each as likely as any other but for one in 2^64; 0 where `limit` is.
    pub fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.0.next_u64()) * u128::from(limit)) >> u64::BITS) as u64
    }

    /// So many of the numbers below `limit`, or all, each set of them as likely as any other: ascending.
    pub fn some_of(&mut self, limit: usize, count: usize) -> Vec<usize> {
        let mut numbers: Vec<usize> = (0..limit).collect();
        // The first of a shuffle (Fisher and Yates).
        for place in 0..count.min(limit) {
            numbers.swap(place, place + self.below((limit - place) as u64) as usize);
        }
        numbers.truncate(count);
        numbers.sort_unstable();
        numbers
    }

    /// A number of 0 to 1, without 1: 24 random bits, which `f32` holds.
    pub fn unit(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 / (1 << 24) as f32
    }

    /// Two independent normal numbers: Marsaglia's polar method (Marsaglia and Bray 1964, *A Convenient Method for Generating
    /// Normal Variables*).
    pub fn normals(&mut self) -> [f32; 2] {
        loop {
            // -1 to 1, in steps of 2^-52.
            let mut side = || (self.0.next_u64() >> 11) as f64 / (1u64 << 52) as f64 - 1.0;
            let (x, y) = (side(), side());
            let square = x * x + y * y;
            if square > 0.0 && square < 1.0 {
                let length = (-2.0 * ln(square) / square).sqrt();
                return [(x * length) as f32, (y * length) as f32];
            }
        }
    }
}

/// `ln(x)` for normal `x > 0`, within a few units of the last place of 1. Products, sums and quotients in a stated order, so that it has the
/// same bits everywhere, which no library's has.
///
/// `x = 2^k m` with `m` of √½ to √2, and `ln m = 2 artanh((m - 1) / (m + 1))`, as its series to the 19th power.
fn ln(x: f64) -> f64 {
    const MANTISSA: u64 = (1 << 52) - 1;
    let bits = x.to_bits();
    let mut k = (bits >> 52) as i32 - 1023;
    let mut m = f64::from_bits((bits & MANTISSA) | 1023 << 52);
    if m > std::f64::consts::SQRT_2 {
        (m, k) = (m / 2.0, k + 1);
    }
    let s = (m - 1.0) / (m + 1.0);
    let square = s * s;
    let mut sum = 0.0;
    for power in [19.0, 17.0, 15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0] {
        sum = sum * square + 1.0 / power;
    }
    f64::from(k) * std::f64::consts::LN_2 + 2.0 * s * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_is_right_and_pinned() {
        let mut hash = blake3::Hasher::new();
        for step in 1..100_000u32 {
            let x = f64::from(step) / 100_000.0;
            for x in [x, x * x * 1e-12, x * 3e5] {
                assert!((ln(x) - x.ln()).abs() < 4e-15 * x.ln().abs().max(1.0), "{x}");
                hash.update(&ln(x).to_le_bytes());
            }
        }
        assert_eq!(ln(1.0), 0.0);
        assert_eq!(&hash.finalize().to_hex()[..16], "02ef79bd1c128bfe");
    }

    #[test]
    fn some_numbers_are_each_there_once_and_as_likely_as_others() {
        let mut counts = [0; 10];
        for number in 0..3000 {
            let some = Chance::of(1, number).some_of(10, 4);
            assert!(some.len() == 4 && some.is_sorted_by(|a, b| a < b), "{some:?}");
            some.into_iter().for_each(|number| counts[number] += 1);
        }
        // 1200 each, with a standard deviation of 27.
        assert!(counts.iter().all(|count| (1080..1320).contains(count)), "{counts:?}");
        assert_eq!(Chance::of(1, 0).some_of(3, 9), [0, 1, 2]);
    }

    #[test]
    fn normals_have_the_moments_of_normals_and_do_not_depend_on_others() {
        let numbers: Vec<f64> = (0..40_000).flat_map(|number| Chance::of(7, number).normals()).map(f64::from).collect();
        let moment = |power| numbers.iter().map(|number| number.powi(power)).sum::<f64>() / numbers.len() as f64;
        // Standard errors are 0.0035, 0.005, 0.0137 and 0.035.
        for (power, expected, near) in [(1, 0.0, 0.015), (2, 1.0, 0.02), (3, 0.0, 0.06), (4, 3.0, 0.15)] {
            assert!((moment(power) - expected).abs() < near, "{power}: {}", moment(power));
        }
        let pairs = numbers.chunks_exact(2).map(|pair| pair[0] * pair[1]).sum::<f64>() / 40_000.0;
        assert!(pairs.abs() < 0.02);
        assert_eq!(Chance::of(1, 2).normals(), Chance::of(1, 2).normals());
        assert_ne!(Chance::of(1, 2).normals(), Chance::of(1, 3).normals());
    }
}
