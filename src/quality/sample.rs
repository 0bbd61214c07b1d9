//! Chance, from a seed.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng as _;

/// `most` different numbers below `all`, or all of them, in random order.
pub(super) fn choose(all: usize, most: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let mut numbers: Vec<usize> = (0..all).collect();
    let count = most.min(all);
    for place in 0..count {
        let left = (all - place) as u128;
        let chosen = (u128::from(rng.next_u64()) * left) >> u64::BITS;
        numbers.swap(place, place + chosen as usize);
    }
    numbers.truncate(count);
    numbers
}

/// As [`choose`], in ascending order: records stay in the order of their topic.
pub(super) fn choose_sorted(all: usize, most: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let mut numbers = choose(all, most, rng);
    numbers.sort_unstable();
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::rand_core::SeedableRng as _;

    #[test]
    fn each_number_is_chosen_at_most_once_and_about_as_often_as_any_other() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut counts = [0; 10];
        for _ in 0..10_000 {
            let chosen = choose(10, 3, &mut rng);
            assert!(chosen.len() == 3 && chosen[0] != chosen[1] && chosen[1] != chosen[2] && chosen[0] != chosen[2]);
            chosen.into_iter().for_each(|number| counts[number] += 1);
        }
        assert!(counts.iter().all(|count| (2_800..3_200).contains(count)), "{counts:?}");
        assert_eq!(choose_sorted(4, 9, &mut rng), [0, 1, 2, 3]);
    }
}
