//! Trains an adversarial pair of images (`crate::training::adversaries`): a generator that draws images of a class, and a critic that tells them from real
//! ones of the same class.
//!
//! Where there are few images, both real and generated ones are moved before the critic sees them, each by chance, so that it cannot know the real ones by
//! heart (*DiffAugment*; Zhao et al. 2020, arXiv:2006.10738).
//!
//! Every so often images of the classes of validation images are drawn and compared with these; the training ends with what was nearest.

mod likeness;
mod networks;
mod recipe;
mod translation;

use std::time::Duration;

use tch::Tensor;

pub use recipe::Recipe;

use super::batches::{Batches, Purpose, generator};
use super::classes::Classes;
use super::{Data, parted};
use crate::model::images::{Class, ImagesParts, NetworkParts};
use crate::model::{CurvePoint, ImagesError, Monitor};
use crate::training::adversaries::Adversaries;
use crate::training::affine::normals;
use crate::training::{Budget, TrainingError, use_one_thread};
use likeness::Likeness;
use networks::{Critic, Generator};
use translation::translated;

/// Images are moved where there are fewer than these.
const FEW: usize = 20_000;

/// A model, and how it was made.
#[derive(Debug)]
pub struct Trained {
    /// The model's parts.
    pub parts: ImagesParts,
    /// How far drawn images are from validation images of their class, in random features: about 0 where they are alike.
    pub distance: f64,
    /// Images of classes that have too few to draw others like them.
    pub left_out: usize,
    /// Steps that it took.
    pub steps: u32,
    /// CPU time that the monitor told at its end.
    pub cpu: Duration,
    /// How the critic's loss went.
    pub curve: Vec<CurvePoint>,
}

/// Trains a model.
pub fn train(
    data: Data<'_>,
    recipe: &Recipe,
    seed: u64,
    budget: Budget,
    monitor: &mut dyn Monitor,
) -> Result<Trained, TrainingError> {
    recipe.check(data.shape)?;
    use_one_thread();
    let images = data.enough(budget.steps)?;
    let classes = Classes::of(images, data.labels);
    if classes.members.is_empty() {
        return Err(ImagesError::TooFew { found: classes.left_out }.into());
    }
    let mut session = Session::new(data, images, classes, recipe, seed, budget)?;
    let training = data.identity(format!("gan {recipe:?} {seed} {}", budget.steps));
    let parameters = [&session.generator.parameters()[..], &session.critic.parameters()];
    session.adversaries.resume(parameters, training, monitor)?;
    // Where numbers are no longer finite, it ends with the nearest of before.
    while session.adversaries.fraction(monitor) < 1.0 && session.step(monitor)? {}
    session.finish(monitor)
}

/// A training under way.
struct Session<'a> {
    data: Data<'a>,
    recipe: &'a Recipe,
    seed: u64,
    classes: Vec<Class>,
    /// The class of each image, of those that are learned.
    class_of: Vec<usize>,
    left_out: usize,
    /// How far images are moved, down and to the right.
    shift: [usize; 2],
    batches: Batches<'a>,
    likeness: Likeness,
    generator: Generator,
    critic: Critic,
    adversaries: Adversaries,
}

impl<'a> Session<'a> {
    fn new(
        data: Data<'a>,
        images: usize,
        classes: Classes,
        recipe: &'a Recipe,
        seed: u64,
        budget: Budget,
    ) -> Result<Self, TrainingError> {
        let Classes { members, left_out } = classes;
        let mut class_of = vec![usize::MAX; images];
        for (place, (_, members)) in members.iter().enumerate() {
            members.iter().for_each(|number| class_of[*number] = place);
        }
        let classes: Vec<Class> = members.into_iter().map(|(class, _)| class).collect();
        let [learned, validation] = parted((0..images).filter(|number| class_of[*number] < classes.len()));
        let shape = data.shape;
        let moved = if learned.len() < FEW { recipe.translation } else { 0.0 };
        let batches = Batches::new(shape, data.images, learned, recipe.batch, seed);
        let mut rng = generator(seed, Purpose::Validation);
        let real = batches.images(&validation, 0, &mut rng)?;
        let of_validation = validation.iter().map(|number| class_of[*number]).collect();
        let likeness = Likeness::new(shape, &real, of_validation, recipe.latents, &mut rng)?;
        let mut rng = generator(seed, Purpose::Weights);
        let generator = Generator::new(shape, classes.len(), recipe, &mut rng)?;
        let critic = Critic::new(shape, classes.len(), recipe, &mut rng)?;
        let parameters = [&generator.parameters()[..], &critic.parameters()];
        Ok(Self {
            data,
            recipe,
            seed,
            class_of,
            left_out,
            shift: [shape.height(), shape.width()].map(|side| (side as f64 * moved) as usize),
            batches,
            likeness,
            adversaries: Adversaries::new(parameters, recipe.terms(), budget)?,
            classes,
            generator,
            critic,
        })
    }

    /// Takes a step of both; whether all that came of it are finite numbers.
    fn step(&mut self, monitor: &mut dyn Monitor) -> Result<bool, TrainingError> {
        let step = self.adversaries.step;
        let mut rng = generator(self.seed, Purpose::Step(step));
        let numbers = self.batches.numbers(step).to_vec();
        let classes: Vec<usize> = numbers.iter().map(|number| self.class_of[*number]).collect();
        let classes = one_hot(&classes, self.classes.len())?;
        let images = self.batches.images(&numbers, 0, &mut rng)?;
        let noise = normals(numbers.len(), self.recipe.latents, &mut rng)?;
        let drawn = self.generator.images(&noise, &classes)?;
        // As the critic sees them: moved, and of -1 to 1.
        let mut seen = |images: &Tensor| -> Result<Tensor, TrainingError> {
            Ok(translated(images, self.data.shape, self.shift, &mut rng)? * 2.0 - 1.0)
        };
        let (real, fake) = (seen(&images)?, seen(&drawn)?);
        let critic = &self.critic;
        let parameters = [&self.generator.parameters()[..], &critic.parameters()];
        let score = |images: &Tensor| critic.score(images, &classes);
        if !self.adversaries.step(parameters, [&real, &fake], &score, monitor)? {
            return Ok(false);
        }
        if self.adversaries.step.is_multiple_of(self.recipe.interval) {
            self.settle()?;
            self.adversaries.keep([&self.generator.parameters(), &self.critic.parameters()], monitor)?;
        }
        self.adversaries.report([&self.generator.parameters(), &self.critic.parameters()], monitor)?;
        Ok(true)
    }

    /// Draws with the means of weights, and keeps the best.
    fn settle(&mut self) -> Result<(), TrainingError> {
        let Self { likeness, classes, generator, adversaries, .. } = self;
        adversaries.settle(&generator.parameters(), || {
            likeness.distance(|noise, own| generator.images(noise, &one_hot(own, classes.len())?))
        })
    }

    /// Ends with what was nearest.
    fn finish(mut self, monitor: &mut dyn Monitor) -> Result<Trained, TrainingError> {
        self.settle()?;
        let (distance, steps) = (self.adversaries.best, self.adversaries.step);
        let came = self.adversaries.finish(&self.generator.parameters(), monitor)?;
        let network = NetworkParts::Gan(self.generator.export()?);
        Ok(Trained {
            parts: ImagesParts { shape: self.data.shape, classes: self.classes, network },
            distance,
            left_out: self.left_out,
            steps,
            cpu: came.cpu,
            curve: came.curve,
        })
    }
}

/// A row for each, `[rows, classes]`: 1 in the place of its class, and zeros.
fn one_hot(of: &[usize], classes: usize) -> Result<Tensor, TrainingError> {
    let mut values = vec![0f32; of.len() * classes];
    of.iter().zip(values.chunks_exact_mut(classes)).for_each(|(class, row)| row[*class] = 1.0);
    Ok(Tensor::f_from_slice(&values)?.f_view([of.len() as i64, classes as i64])?)
}

#[cfg(test)]
mod tests;
