//! Images as the networks are trained on them.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use tch::{Kind, Tensor};

use crate::payload::image::Shape;
use crate::training::TrainingError;
use crate::training::epochs::Epochs;

/// What a random generator of a training is for. Each use has a stream of its own, so that a step's numbers depend on the step alone.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// The first weights.
    Weights,
    /// Noise of validation images, and of images that are compared with them.
    Validation,
    /// Samples of the posterior, and mixtures.
    Mixture,
    /// The order of an epoch's images.
    Order(u64),
    /// Noise and shifts of a step.
    Step(u32),
}

/// The generator for a purpose.
pub(crate) fn generator(seed: u64, purpose: Purpose) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(match purpose {
        Purpose::Weights => 0,
        Purpose::Validation => 1,
        Purpose::Mixture => 2,
        Purpose::Order(epoch) => 4 + 2 * epoch,
        Purpose::Step(step) => 5 + 2 * u64::from(step),
    });
    rng
}

/// Some of many images, in steps: each epoch has all of them in another order.
#[derive(Debug)]
pub(crate) struct Batches<'a> {
    shape: Shape,
    raw: &'a [u8],
    epochs: Epochs,
}

impl<'a> Batches<'a> {
    /// Of these images of `raw: [images, D]`.
    pub fn new(shape: Shape, raw: &'a [u8], of: Vec<usize>, batch: usize, seed: u64) -> Self {
        Self { shape, raw, epochs: Epochs::new(of, batch, seed, |seed, epoch| generator(seed, Purpose::Order(epoch))) }
    }

    /// The numbers of a step's images.
    pub fn numbers(&mut self, step: u32) -> &[usize] {
        self.epochs.of(step)
    }

    /// These images, `[images, D]` of 0 to 1, each moved by up to `shift` samples; what comes in at the edges is 0.
    pub fn images(&self, numbers: &[usize], shift: u8, rng: &mut ChaCha8Rng) -> Result<Tensor, TrainingError> {
        let (height, width, samples) = (self.shape.height(), self.shape.width(), self.shape.samples());
        let mut images = vec![0u8; numbers.len() * samples];
        for (number, image) in numbers.iter().zip(images.chunks_exact_mut(samples)) {
            let source = &self.raw[number * samples..][..samples];
            if shift == 0 {
                image.copy_from_slice(source);
                continue;
            }
            let mut by = || (rng.next_u32() % (2 * u32::from(shift) + 1)) as isize - isize::from(shift);
            let (down, right) = (by(), by());
            for (place, sample) in image.iter_mut().enumerate() {
                let (row, column) = (place / width % height, place % width);
                let from = (row as isize - down, column as isize - right);
                if (0..height as isize).contains(&from.0) && (0..width as isize).contains(&from.1) {
                    let plane = place - row * width - column;
                    *sample = source[plane + from.0 as usize * width + from.1 as usize];
                }
            }
        }
        let images = Tensor::f_from_slice(&images)?.f_view([numbers.len() as i64, samples as i64])?;
        Ok(images.f_to_kind(Kind::Float)?.f_div_scalar(255.0)?)
    }
}
