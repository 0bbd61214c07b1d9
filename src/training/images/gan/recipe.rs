//! How an adversarial pair of images is made.

use crate::model::images::{MAX_CHANNELS, MAX_LATENTS, MAX_UPS, MAX_WIDTH};
use crate::payload::image::Shape;
use crate::training::TrainingError;
use crate::training::adversaries::Terms;

/// Longest side of the generator's first grid.
const FIRST: usize = 8;

/// Channels of the generator's first grid; half as many behind each convolution.
const CHANNELS: usize = 64;

/// Most products of the critic for an image.
const CRITIC_PRODUCTS: usize = 3_000_000;

/// Most channels behind the critic's first convolution; twice as many behind each other one.
const CRITIC_CHANNELS: usize = 32;

/// What is trained, and how. [`Recipe::of`] is what the measurements of `docs/generation.md` chose.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// Numbers of noise.
    pub latents: usize,
    /// Units of the generator's hidden layer.
    pub hidden: usize,
    /// Channels of the generator's grids, each with sides twice as long as the one before.
    pub channels: Vec<usize>,
    /// Channels behind each of the critic's convolutions, which halve the sides.
    pub critic: Vec<usize>,
    /// Images of a step, real ones and generated ones each.
    pub batch: usize,
    /// Adam's rates of generator and critic; they fall to 0 along half a cosine.
    pub rates: [f64; 2],
    /// What gradient penalties count at the beginning and at the end.
    pub gamma: [f64; 2],
    /// How much of the mean of weights is left after a step.
    pub mean: f64,
    /// How far images are moved where there are few, in sides of an image.
    pub translation: f64,
    /// Steps between two measurements.
    pub interval: u32,
}

impl Recipe {
    /// For images of a shape: a generator of 8 million products at most, and a critic of 3 million.
    pub fn of(shape: Shape) -> Self {
        let (longest, shortest) = (shape.height().max(shape.width()), shape.height().min(shape.width()));
        let ups = (1..MAX_UPS).find(|ups| longest.div_ceil(1 << ups) <= FIRST).unwrap_or(MAX_UPS);
        let downs = (ups + 1).min(shortest.ilog2() as usize);
        let critic = |first: usize| -> Vec<usize> { (0..downs).map(|down| first << down).collect() };
        let widest = (8..=CRITIC_CHANNELS).rev().step_by(8);
        let fits = |first: &usize| critic_products(shape, &critic(*first)) <= CRITIC_PRODUCTS;
        Self {
            latents: 64,
            hidden: 128,
            channels: (0..=ups).map(|up| CHANNELS >> up).collect(),
            critic: critic(widest.into_iter().find(fits).unwrap_or(8)),
            batch: 64,
            rates: [1e-3, 1e-3],
            gamma: [1.0, 0.1],
            mean: 0.998,
            translation: 0.125,
            interval: 250,
        }
    }

    /// How the two learn.
    pub(super) fn terms(&self) -> Terms {
        Terms { rates: self.rates, gamma: self.gamma, mean: self.mean }
    }

    /// Whether there is such a model, and such a training.
    pub(super) fn check(&self, shape: Shape) -> Result<(), TrainingError> {
        let holds = |holds: bool, what: &str| if holds { Ok(()) } else { Err(TrainingError::Recipe(what.to_owned())) };
        holds((1..=MAX_LATENTS).contains(&self.latents), "it does not have 1 to 128 numbers of noise")?;
        holds((1..=MAX_WIDTH).contains(&self.hidden), "its hidden layer does not have 1 to 2048 units")?;
        let grids = (2..=MAX_UPS + 1).contains(&self.channels.len());
        holds(grids, "its generator does not have 2 to 5 grids")?;
        let halved = shape.height().min(shape.width()) >> self.critic.len() > 0;
        holds(!self.critic.is_empty() && halved, "its critic halves images until nothing is left, or not at all")?;
        let channels = self.channels.iter().chain(&self.critic).all(|channels| (1..=MAX_CHANNELS).contains(channels));
        holds(channels, "a grid does not have 1 to 256 channels")?;
        holds((1..=4096).contains(&self.batch), "a batch is not 1 to 4096 images")?;
        holds((0.0..=0.5).contains(&self.translation), "images are moved by more than half a side")?;
        self.terms().check()?;
        holds(self.interval > 0, "it never measures")
    }
}

/// Products of the critic's convolutions for an image.
fn critic_products(shape: Shape, channels: &[usize]) -> usize {
    let (mut sides, mut inputs, mut products) = ([shape.height(), shape.width()], shape.channels(), 0);
    for outputs in channels {
        sides = sides.map(|side| side / 2);
        products += 16 * inputs * outputs * sides[0] * sides[1];
        inputs = *outputs;
    }
    products
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_as_large_as_their_images_allow() {
        for (height, width, channels) in [(8, 8, 1), (28, 28, 1), (32, 32, 3), (64, 64, 3), (9, 64, 3), (64, 8, 1)] {
            let shape = Shape::new(height, width, channels).unwrap();
            let recipe = Recipe::of(shape);
            recipe.check(shape).unwrap();
            assert!(critic_products(shape, &recipe.critic) <= CRITIC_PRODUCTS, "{shape}");
            let ups = recipe.channels.len() - 1;
            let [mut rows, mut columns] = crate::model::images::first_grid(shape, ups);
            assert!((FIRST / 2..=FIRST).contains(&rows.max(columns)), "{shape}");
            let mut products = recipe.hidden * rows * columns * recipe.channels[0];
            for pair in recipe.channels.windows(2) {
                products += 16 * pair[0] * pair[1] * rows * columns;
                (rows, columns) = (2 * rows, 2 * columns);
            }
            products += 9 * recipe.channels[ups] * shape.samples();
            assert!(products <= 8_000_000, "{shape}: {products}");
        }
        assert_eq!(Recipe::of(Shape::new(28, 28, 1).unwrap()).critic, [32, 64, 128]);
    }
}
