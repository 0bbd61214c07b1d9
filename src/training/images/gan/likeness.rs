//! How far drawn images are from real ones, of which no likelihood tells.
//!
//! The kernel distance (*maximum mean discrepancy*; Gretton et al. 2012, JMLR 13; with the cubic kernel of Binkowski et al. 2018, arXiv:1801.01401) in features of random
//! convolutions, of pairs of feature and class: images of different classes have nothing in common.

use rand_chacha::ChaCha8Rng;
use tch::{Kind, Tensor};

use crate::payload::image::Shape;
use crate::training::TrainingError;
use crate::training::affine::normals;
use crate::training::classifier::Classifier;

/// Images that are drawn to be compared, at least; as many as are real where there are more of these.
const COMPARED: usize = 2048;

/// Images that are drawn together.
const TOGETHER: usize = 256;

/// Where random features come from: those of all trainings are the same.
const SEED: u64 = 1;

/// Real images, and what others are drawn from to be compared with them.
#[derive(Debug)]
pub(super) struct Likeness {
    classifier: Classifier,
    /// The mean of real features, and the size of what is left without it.
    mean: Tensor,
    size: f64,
    real: Features,
    /// The mean of the kernel over pairs of different real images.
    alike: f64,
    noise: Tensor,
    classes: Vec<usize>,
}

/// Features `[images, F]` and classes `[images]`.
#[derive(Debug)]
struct Features {
    values: Tensor,
    classes: Tensor,
}

impl Likeness {
    /// Of real images `[images, D]` of 0 to 1, and their classes.
    pub fn new(
        shape: Shape,
        images: &Tensor,
        of: Vec<usize>,
        latents: usize,
        rng: &mut ChaCha8Rng,
    ) -> Result<Self, TrainingError> {
        let classifier = Classifier::untrained(shape, SEED)?;
        let count = COMPARED.max(of.len());
        let classes: Vec<usize> = of.iter().copied().cycle().take(count).collect();
        let values = tch::no_grad(|| classifier.features(images))?;
        let mean = values.f_mean_dim([0i64].as_slice(), true, Kind::Float)?;
        let size = (&values - &mean).square().f_mean(Kind::Double)?.f_double_value(&[])?.sqrt().max(1e-12);
        let real = Features { values: (values - &mean) / size, classes: places(&of)? };
        let alike = real.kernel(&real, true)?;
        let noise = normals(count, latents, rng)?;
        Ok(Self { classifier, mean, size, real, alike, noise, classes })
    }

    /// The distance of what is drawn of noise `[images, L]` and classes: images `[images, D]` of 0 to 1. It may be below 0 by chance.
    pub fn distance(
        &self,
        draw: impl Fn(&Tensor, &[usize]) -> Result<Tensor, TrainingError>,
    ) -> Result<f64, TrainingError> {
        let mut values = Vec::new();
        for (number, classes) in self.classes.chunks(TOGETHER).enumerate() {
            let noise = self.noise.f_narrow(0, (number * TOGETHER) as i64, classes.len() as i64)?;
            values.push(self.classifier.features(&draw(&noise, classes)?)?);
        }
        let values = (Tensor::f_cat(&values, 0)? - &self.mean) / self.size;
        let drawn = Features { values, classes: places(&self.classes)? };
        Ok(self.alike + drawn.kernel(&drawn, true)? - 2.0 * drawn.kernel(&self.real, false)?)
    }
}

impl Features {
    /// The mean of the kernel `(x y / F + 1)^3` over pairs of the same class, without an image and itself where they are the `same`.
    fn kernel(&self, other: &Self, same: bool) -> Result<f64, TrainingError> {
        let features = self.values.size()[1] as f64;
        let products = self.values.f_matmul(&other.values.f_tr()?)?;
        let kernel = (products / features + 1.0).f_pow_tensor_scalar(3)?;
        let mut pairs =
            self.classes.f_unsqueeze(1)?.f_eq_tensor(&other.classes.f_unsqueeze(0)?)?.f_to_kind(Kind::Float)?;
        if same {
            pairs = pairs.f_fill_diagonal_(0.0, false)?;
        }
        let count = pairs.f_sum(Kind::Double)?.f_double_value(&[])?;
        Ok((kernel * pairs).f_sum(Kind::Double)?.f_double_value(&[])? / count.max(1.0))
    }
}

fn places(classes: &[usize]) -> Result<Tensor, TrainingError> {
    Ok(Tensor::f_from_slice(&classes.iter().map(|class| *class as i64).collect::<Vec<_>>())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::images::batches::{Batches, Purpose, generator};
    use crate::training::images::tests::bars;

    #[test]
    fn images_of_the_right_class_are_near_and_others_are_not() {
        let shape = Shape::new(12, 12, 1).unwrap();
        let ((images, labels), (others, their)) = (bars(600, 1), bars(2048, 2));
        let class = |label: &String| usize::from(label == "up");
        let tensor = |images: &[u8]| {
            let numbers: Vec<usize> = (0..images.len() / 144).collect();
            let batches = Batches::new(shape, images, Vec::new(), 1, 0);
            batches.images(&numbers, 0, &mut generator(0, Purpose::Validation)).unwrap()
        };
        let of: Vec<usize> = labels.iter().map(class).collect();
        let mut rng = generator(0, Purpose::Validation);
        let likeness = Likeness::new(shape, &tensor(&images), of, 2, &mut rng).unwrap();
        let drawn = tensor(&others);
        let their: Vec<usize> = their.iter().map(class).collect();
        // The next image of the class that is asked for, or of the other one.
        let distance = |swapped: bool, dimmed: f64| {
            let at = std::cell::Cell::new(0);
            let draw = |_: &Tensor, classes: &[usize]| {
                let mut chosen = Vec::new();
                for class in classes {
                    while (their[at.get() % 2048] == *class) == swapped {
                        at.set(at.get() + 1);
                    }
                    chosen.push((at.get() % 2048) as i64);
                    at.set(at.get() + 1);
                }
                Ok(drawn.f_index_select(0, &Tensor::from_slice(&chosen))? * dimmed)
            };
            likeness.distance(draw).unwrap()
        };
        let [same, swapped, dark, dimmed] =
            [(false, 1.0), (true, 1.0), (false, 0.0), (false, 0.8)].map(|(a, b)| distance(a, b));
        assert!(
            same.abs() < 0.05 * dimmed && dimmed < dark && swapped > 10.0 * dimmed,
            "{same} {dimmed} {dark} {swapped}"
        );
    }
}
