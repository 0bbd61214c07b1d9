//! Which samples a step learns from.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

/// Each sample once in an epoch, in an order of its own.
#[derive(Debug)]
pub(super) struct Epochs {
    seed: u64,
    batch: usize,
    epoch: u64,
    order: Vec<usize>,
    /// Of a seed and an epoch, what its order comes from.
    chance: fn(u64, u64) -> ChaCha8Rng,
}

impl Epochs {
    /// Of these samples, so many a step; all of them where there are fewer.
    pub fn new(samples: Vec<usize>, batch: usize, seed: u64, chance: fn(u64, u64) -> ChaCha8Rng) -> Self {
        let batch = batch.clamp(1, samples.len().max(1));
        let mut epochs = Self { seed, batch, epoch: 0, order: samples, chance };
        epochs.shuffle();
        epochs
    }

    fn shuffle(&mut self) {
        let mut rng = (self.chance)(self.seed, self.epoch);
        self.order.sort_unstable();
        let mut keys: Vec<(u64, usize)> = self.order.iter().map(|number| (rng.next_u64(), *number)).collect();
        keys.sort_unstable();
        self.order.clear();
        self.order.extend(keys.iter().map(|(_, number)| number));
    }

    /// The samples of a step.
    pub fn of(&mut self, step: u32) -> &[usize] {
        let steps = (self.order.len() / self.batch).max(1) as u64;
        let epoch = u64::from(step) / steps;
        if epoch != self.epoch {
            self.epoch = epoch;
            self.shuffle();
        }
        &self.order[(u64::from(step) % steps) as usize * self.batch..][..self.batch]
    }
}
