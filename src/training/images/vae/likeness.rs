//! How far drawn images are from those that are learned, as several small classifiers see them.
//!
//! Cross-entropy of samples says nothing of what a decoder leaves out of all images alike. Means and covariances of features do (*feature matching*; Salimans et
//! al. 2016, arXiv:1606.03498; dos Santos et al. 2019, arXiv:1904.02762): Frechet's distance of the Gaussians with these moments (Dowson and Landau 1982) has a
//! gradient. Of a step's few images moments say little; so they are running means, of which the last step's own share has the gradient.
//!
//! A distance that is made small in the features of one classifier is small in those of another one only in part; so there are several, which take turns. None of
//! them is one that judges: they learn from fewer images, for a shorter time, by other seeds. How many images they learn from is as many as there is time for
//! ([`affordable`]).

use std::time::Duration;

use tch::{Kind, Reduction, Tensor, no_grad};

use crate::model::Monitor;
use crate::model::images::Class;
use crate::payload::image::Shape;
use crate::training::TrainingError;
use crate::training::classifier::{CHANNELS, Classifier, FEATURES, FEWEST};
use crate::training::images::batches::{Batches, Purpose, generator};
use crate::training::images::{Chosen, Data};

/// Classifiers.
const EYES: usize = 4;

/// How often each of them sees an image.
const EPOCHS: u32 = 2;

/// Most images that they learn from, and whose features are compared with.
pub(super) const LEARNED: usize = 10_000;

/// Fewest, of a data set that has more.
const ENOUGH: usize = 1000;

/// Images by which it is told how long they take to learn.
const TRIED: usize = 256;

/// What looking at an image costs against learning from it.
const LOOK: f64 = 0.5;

/// Most images that are looked at together, and numbers of the largest maps of them: 32 MiB.
const TOGETHER: usize = 512;
const MAPS: usize = 8 << 20;

/// How much of a running mean is left after a step.
const KEPT: f64 = 0.9;

/// What a nat of a drawn image's class counts against its distance.
const OF_CLASS: f64 = 0.1;

/// Added to eigenvalues, so that the gradients of their roots are finite; what that makes of 0 is taken away again.
const FLOOR: f64 = 1e-8;

/// Rows and columns of a classifier's last maps that are compared, each the mean of places there.
const GRID: i64 = 3;

/// Widths of what is compared: the last maps of a classifier, and its features.
const WIDTHS: [i64; 2] = [CHANNELS[1] * GRID * GRID, FEATURES as i64];

/// Layers of all classifiers.
const LAYERS: usize = EYES * WIDTHS.len();

/// Running means of drawn images' features, which a checkpoint keeps.
#[derive(Debug)]
pub(super) struct Running {
    /// Steps that they are of, the contrast that images are drawn with, and how many images classifiers learn from.
    pub state: Tensor,
    /// For each layer the mean `[F]` and the mean of products `[F, F]`, both from the mean of real features.
    moments: Vec<[Tensor; 2]>,
}

impl Running {
    /// Of no step yet.
    pub fn new() -> Result<Self, TrainingError> {
        let zeros = |shape: &[i64]| Tensor::f_zeros(shape, (Kind::Float, tch::Device::Cpu));
        let layer = |width: i64| Ok([zeros(&[width])?, zeros(&[width, width])?]);
        let moments = WIDTHS.into_iter().cycle().take(LAYERS).map(layer).collect::<Result<_, TrainingError>>()?;
        Ok(Self { state: zeros(&[3])?, moments })
    }

    /// All tensors, which stay the same ones.
    pub fn tensors(&self) -> Vec<Tensor> {
        std::iter::once(&self.state).chain(self.moments.iter().flatten()).map(Tensor::shallow_clone).collect()
    }

    /// Steps that they are of.
    pub fn steps(&self) -> Result<usize, TrainingError> {
        Ok(self.state.f_double_value(&[0])? as usize)
    }

    /// What logits are multiplied by.
    pub fn contrast(&self) -> Result<f64, TrainingError> {
        Ok(self.state.f_double_value(&[1])?)
    }

    /// How many images classifiers learn from.
    pub fn learned(&self) -> Result<usize, TrainingError> {
        Ok(self.state.f_double_value(&[2])? as usize)
    }

    /// Begins, with a contrast, and classifiers that learn from so many images.
    pub fn begin(&self, contrast: f32, learned: usize) -> Result<(), TrainingError> {
        self.state.shallow_clone().f_copy_(&Tensor::f_from_slice(&[0.0, contrast, learned as f32])?)?;
        Ok(())
    }
}

/// Real features of a layer.
#[derive(Debug)]
struct Real {
    /// `[F]`, f32.
    mean: Tensor,
    /// The root of their covariance, `[F, F]`, f64.
    root: Tensor,
    /// Its trace.
    size: f64,
}

impl Real {
    fn of(features: &Tensor) -> Result<Self, TrainingError> {
        let mean = features.f_mean_dim([0i64].as_slice(), false, Kind::Float)?;
        let [first, second] = moments(&(features - &mean))?;
        let covariance = covariance(&first, &second)?;
        let (values, vectors) = covariance.f_linalg_eigh("L")?;
        let root = vectors.f_matmul(&values.f_clamp_min(0.0)?.f_sqrt()?.f_diag(0)?)?.f_matmul(&vectors.f_tr()?)?;
        Ok(Self { mean, root, size: covariance.f_trace()?.f_double_value(&[])?.max(1e-12) })
    }

    /// Frechet's distance of features with these moments, relative to the size of real ones; no number where one of the moments is none.
    fn distance(&self, [mean, products]: &[Tensor; 2]) -> Result<Tensor, TrainingError> {
        let covariance = covariance(mean, products)?;
        let trace = covariance.f_trace()?;
        if !trace.f_double_value(&[])?.is_finite() {
            return Ok(trace * f64::NAN);
        }
        let both = self.root.f_matmul(&covariance)?.f_matmul(&self.root)?;
        let roots = (both.f_linalg_eigvalsh("L")?.f_clamp_min(0.0)? + FLOOR).f_sqrt()? - FLOOR.sqrt();
        let roots = roots.f_sum(Kind::Double)?;
        let means = mean.f_to_kind(Kind::Double)?.square().f_sum(Kind::Double)?;
        Ok((means + trace + self.size - roots * 2.0) / self.size)
    }
}

/// The mean of rows `[n, F]`, and that of their products.
fn moments(rows: &Tensor) -> Result<[Tensor; 2], TrainingError> {
    let mean = rows.f_mean_dim([0i64].as_slice(), false, Kind::Float)?;
    Ok([mean, rows.f_tr()?.f_matmul(rows)? / rows.size()[0] as f64])
}

/// Of a mean and a mean of products, f64.
fn covariance(mean: &Tensor, products: &Tensor) -> Result<Tensor, TrainingError> {
    let mean = mean.f_to_kind(Kind::Double)?;
    Ok(products.f_to_kind(Kind::Double)? - mean.f_outer(&mean)?)
}

/// A classifier, and what it sees in real images.
#[derive(Debug)]
struct Eye {
    classifier: Classifier,
    real: Vec<Real>,
    /// Where the logit of each class is that it knows of.
    logits: Vec<Option<i64>>,
}

/// A classifier of images, or what sees them without classes.
fn classifier(data: Data<'_>, seed: u64) -> Result<Classifier, TrainingError> {
    let can_learn = data.labels.len() >= FEWEST && data.labels.iter().any(|label| *label != data.labels[0]);
    match can_learn {
        true => Classifier::train(data, EPOCHS, seed),
        false => Classifier::untrained(data.shape, seed),
    }
}

/// From how many images classifiers may learn so that all of them take no more than a time; 0 where that are too few to tell anything by.
pub(super) fn affordable(data: Data<'_>, within: Duration, monitor: &mut dyn Monitor) -> Result<usize, TrainingError> {
    let most = data.count()?.min(LEARNED);
    let few = Chosen::some(data, TRIED, 0)?;
    let begun = monitor.spent();
    classifier(few.data(data.shape), 0)?;
    let took = monitor.spent().saturating_sub(begun).as_secs_f64();
    let tried = few.data(data.shape).count()?.max(1) as f64;
    let each = took / tried / f64::from(EPOCHS) * (f64::from(EPOCHS) + LOOK) * EYES as f64;
    let affordable = (within.as_secs_f64() / each.max(1e-12)).min(most as f64) as usize;
    Ok(if affordable >= ENOUGH.min(most) { affordable } else { 0 })
}

/// How many images of a shape are looked at together.
pub(super) fn together(shape: Shape) -> usize {
    (MAPS / (CHANNELS[0] as usize * shape.height() * shape.width())).clamp(16, TOGETHER)
}

impl Eye {
    fn new(data: Data<'_>, classes: &[Class], seed: u64) -> Result<Self, TrainingError> {
        let classifier = classifier(data, seed)?;
        let place = |class: &Class| {
            let found = classifier.labels().iter().position(|own| class.label.as_ref() == Some(own));
            found.map(|place| place as i64)
        };
        let logits = classes.iter().map(place).collect();
        let mut eye = Self { classifier, real: Vec::new(), logits };
        eye.real = eye.compared(data)?;
        Ok(eye)
    }

    /// Layers that are compared, and logits.
    fn look(&self, images: &Tensor) -> Result<([Tensor; 2], Tensor), TrainingError> {
        let [maps, features, logits] = self.classifier.forward(images)?;
        Ok(([maps.f_adaptive_avg_pool2d([GRID, GRID])?.f_flatten(1, 3)?, features], logits))
    }

    /// What it sees in real images.
    fn compared(&self, data: Data<'_>) -> Result<Vec<Real>, TrainingError> {
        let together = together(data.shape);
        let batches = Batches::new(data.shape, data.images, Vec::new(), together, 0);
        let numbers: Vec<usize> = (0..data.count()?).collect();
        let mut seen = [Vec::new(), Vec::new()];
        for numbers in numbers.chunks(together) {
            let images = batches.images(numbers, 0, &mut generator(0, Purpose::Validation))?;
            let (layers, _) = no_grad(|| self.look(&images))?;
            seen.iter_mut().zip(layers).for_each(|(seen, layer)| seen.push(layer));
        }
        seen.iter().map(|layer| Real::of(&Tensor::f_cat(layer, 0)?)).collect()
    }

    /// Nats of images' classes, of those that it knows.
    fn of_class(&self, logits: &Tensor, classes: &[usize]) -> Result<Tensor, TrainingError> {
        let known = |(row, class): (usize, &usize)| self.logits[*class].map(|place| (row as i64, place));
        let (rows, places): (Vec<i64>, Vec<i64>) = classes.iter().enumerate().filter_map(known).unzip();
        if rows.is_empty() {
            return Ok(Tensor::f_zeros([], (Kind::Float, tch::Device::Cpu))?);
        }
        let logits = logits.f_index_select(0, &Tensor::f_from_slice(&rows)?)?;
        let places = Tensor::f_from_slice(&places)?;
        Ok(logits.f_cross_entropy_loss::<Tensor>(&places, None, Reduction::Mean, -100, 0.0)?)
    }
}

/// What drawn images are compared with.
#[derive(Debug)]
pub(super) struct Likeness {
    eyes: Vec<Eye>,
    /// Images that are looked at together.
    together: usize,
}

impl Likeness {
    /// To images of these classes, as classifiers see them that learn from so many; `between` is asked before each of them whether to go on.
    pub fn new(
        data: Data<'_>,
        classes: &[Class],
        (learned, seed): (usize, u64),
        mut between: impl FnMut() -> Result<(), TrainingError>,
    ) -> Result<Self, TrainingError> {
        let few = Chosen::some(data, learned, !seed)?;
        let mut eyes = Vec::new();
        for number in 0..EYES {
            between()?;
            // Judges have small seeds, as whoever runs the program writes them.
            eyes.push(Eye::new(few.data(data.shape), classes, !seed.wrapping_add(number as u64))?);
        }
        Ok(Self { eyes, together: together(data.shape) })
    }

    /// How far images `[batch, D]` of these classes are, by the classifier whose turn it is: a loss, and what it comes to, together with the moments
    /// that are to be kept if it was taken a step of.
    pub fn loss(
        &self,
        images: &Tensor,
        classes: &[usize],
        running: &Running,
    ) -> Result<(Tensor, f64, Vec<[Tensor; 2]>), TrainingError> {
        let steps = running.steps()?;
        let turn = steps % EYES;
        let eye = &self.eyes[turn];
        let (layers, logits) = eye.look(images)?;
        let of_class = eye.of_class(&logits, classes)?;
        let (mut loss, mut told) = (&of_class * OF_CLASS, of_class.f_double_value(&[])? * OF_CLASS);
        // The first moments of each have none to be a running mean with.
        let own = if steps < EYES { 1.0 } else { 1.0 - KEPT };
        let mut kept = Vec::new();
        let before = &running.moments[turn * WIDTHS.len()..];
        for ((features, real), before) in layers.iter().zip(&eye.real).zip(before) {
            let [mean, products] = moments(&(features - &real.mean))?;
            let mixed = [&before[0] * (1.0 - own) + mean * own, &before[1] * (1.0 - own) + products * own];
            let distance = real.distance(&mixed)?;
            told += distance.f_double_value(&[])?;
            // As large as if all of it were of this step.
            loss = distance.f_to_kind(Kind::Float)? / own + loss;
            kept.push(mixed.map(|moment| moment.detach()));
        }
        Ok((loss, told, kept))
    }

    /// Keeps a step's moments.
    pub fn keep(&self, moments: &[[Tensor; 2]], running: &Running) -> Result<(), TrainingError> {
        let steps = running.steps()?;
        let before = &running.moments[steps % EYES * WIDTHS.len()..];
        for (before, own) in before.iter().flatten().zip(moments.iter().flatten()) {
            before.shallow_clone().f_copy_(own)?;
        }
        let _ = running.state.f_narrow(0, 0, 1)?.f_fill_((steps + 1) as f64)?;
        Ok(())
    }

    /// How far images of these classes are, as all classifiers see them.
    pub fn distance(&self, images: &Tensor, classes: &[usize]) -> Result<f64, TrainingError> {
        let mut sum = 0.0;
        for eye in &self.eyes {
            let mut seen = [Vec::new(), Vec::new()];
            for (images, classes) in images.f_split(self.together as i64, 0)?.iter().zip(classes.chunks(self.together))
            {
                let (layers, logits) = eye.look(images)?;
                let share = classes.len() as f64 / images.size()[0].max(1) as f64;
                sum += eye.of_class(&logits, classes)?.f_double_value(&[])? * OF_CLASS * share;
                seen.iter_mut().zip(layers).for_each(|(seen, layer)| seen.push(layer));
            }
            for (layer, real) in seen.iter().zip(&eye.real) {
                let features = Tensor::f_cat(layer, 0)? - &real.mean;
                sum += real.distance(&moments(&features)?)?.f_double_value(&[])?;
            }
        }
        Ok(sum / self.eyes.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::image::Shape;
    use crate::training::images::tests::bars;

    fn data<'a>(images: &'a [u8], labels: &'a [String]) -> Data<'a> {
        Data { shape: Shape::new(12, 12, 1).unwrap(), images, labels }
    }

    fn tensor(data: Data<'_>) -> Tensor {
        let numbers: Vec<usize> = (0..data.count().unwrap()).collect();
        let batches = Batches::new(data.shape, data.images, Vec::new(), 1, 0);
        batches.images(&numbers, 0, &mut generator(0, Purpose::Validation)).unwrap()
    }

    fn classes() -> [Class; 2] {
        ["flat", "up"].map(|label| Class { label: Some(label.to_owned()), images: 1 })
    }

    fn places(labels: &[String]) -> Vec<usize> {
        labels.iter().map(|label| usize::from(label == "up")).collect()
    }

    #[test]
    fn images_like_the_real_ones_are_near_and_what_is_seen_has_a_gradient() {
        let ((images, labels), (others, their)) = (bars(600, 1), bars(600, 2));
        let likeness = Likeness::new(data(&images, &labels), &classes(), (LEARNED, 1), || Ok(())).unwrap();
        let (drawn, places) = (tensor(data(&others, &their)), places(&their));
        let distance = |images: &Tensor, places: &[usize]| no_grad(|| likeness.distance(images, places)).unwrap();
        let same = distance(&drawn, &places);
        let dimmed = distance(&(&drawn * 0.7), &places);
        let half = distance(&(&drawn * 0.7 + 0.15), &places);
        assert!(same < 0.3 * dimmed && same < 0.3 * half, "{same} {dimmed} {half}");
        // All of one kind, as what are asked for or as others.
        let few: Vec<i64> = (0..600).filter(|at| places[*at as usize] == 0).collect();
        let few = drawn.f_index_select(0, &Tensor::from_slice(&few)).unwrap();
        let [right, wrong] = [0, 1].map(|class| distance(&few, &vec![class; few.size()[0] as usize]));
        assert!(same < right && right < wrong, "{same} {right} {wrong}");

        // Steps down the gradient bring images nearer, in the eyes of all.
        let (moved, running) = ((&drawn * 0.7).set_requires_grad(true), Running::new().unwrap());
        running.begin(1.0, LEARNED).unwrap();
        for step in 0..40 {
            assert_eq!(running.steps().unwrap(), step);
            let (loss, told, moments) = likeness.loss(&moved, &places, &running).unwrap();
            assert!(told.is_finite());
            let gradient = Tensor::run_backward(&[loss], &[&moved], false, false);
            let length = gradient[0].square().mean(Kind::Float).sqrt();
            no_grad(|| moved.shallow_clone().f_sub_(&(&gradient[0] / length * 0.01)).map(drop)).unwrap();
            likeness.keep(&moments, &running).unwrap();
        }
        let after = distance(&moved, &places);
        assert!(after < 0.5 * dimmed, "{after} {dimmed}");
    }

    #[test]
    fn running_moments_become_those_of_what_is_drawn_and_what_is_no_number_is_told() {
        let (images, labels) = bars(200, 1);
        let likeness = Likeness::new(data(&images, &labels), &classes(), (LEARNED, 1), || Ok(())).unwrap();
        let (drawn, places) = (tensor(data(&images, &labels)), places(&labels));
        let running = Running::new().unwrap();
        running.begin(2.5, 70).unwrap();
        let mut last = f64::INFINITY;
        for step in 0..EYES * 3 {
            let (_, told, moments) = likeness.loss(&drawn, &places, &running).unwrap();
            likeness.keep(&moments, &running).unwrap();
            if step % EYES == 0 {
                // The same images have the same moments, and are at no distance but for the nats of their classes.
                assert!(last == f64::INFINITY || (told - last).abs() < 1e-4, "{told} {last}");
                last = told;
            }
        }
        assert_eq!(
            (running.steps().unwrap(), running.contrast().unwrap(), running.learned().unwrap()),
            (EYES * 3, 2.5, 70)
        );
        assert_eq!(running.tensors().len(), 1 + 2 * LAYERS);
        let (_, told, _) = likeness.loss(&(&drawn * f64::NAN), &places, &running).unwrap();
        assert!(told.is_nan());
    }

    #[test]
    fn without_labels_images_are_compared_by_random_features() {
        let (images, labels) = bars(40, 1);
        let alone = [Class { label: None, images: 40 }];
        for (labels, classes) in [(&[][..], &alone[..]), (&labels, &classes()), (&vec!["a".to_owned(); 40], &alone)] {
            let likeness = Likeness::new(data(&images, labels), classes, (LEARNED, 1), || Ok(())).unwrap();
            assert!(likeness.eyes.iter().all(|eye| eye.logits.iter().all(Option::is_none)));
            let real = tensor(data(&images, &[]));
            let [same, dark] = [1.0, 0.0].map(|light| likeness.distance(&(&real * light), &[0; 40]).unwrap());
            assert!(same.abs() < 0.2 * dark, "{same} {dark}");
        }
    }

    #[test]
    fn a_class_that_classifiers_do_not_know_takes_no_other_its_nats() {
        let (images, labels) = bars(300, 1);
        let known = classes();
        let more = [&known[..], &[Class { label: Some("other".to_owned()), images: 5 }]].concat();
        let likeness =
            |classes: &[Class]| Likeness::new(data(&images, &labels), classes, (LEARNED, 1), || Ok(())).unwrap();
        let (two, three) = (likeness(&known), likeness(&more));
        let (drawn, places) = (tensor(data(&images, &labels)), places(&labels));
        let nats = |likeness: &Likeness, places: &[usize]| {
            let eye = &likeness.eyes[0];
            let (_, logits) = no_grad(|| eye.look(&drawn)).unwrap();
            eye.of_class(&logits, places).unwrap().double_value(&[])
        };
        assert_eq!(nats(&two, &places), nats(&three, &places));
        let mut with_other = places.clone();
        with_other[..10].fill(2);
        assert!(nats(&three, &with_other) > 0.0);
        assert_eq!(nats(&three, &[2; 300]), 0.0);
    }

    #[test]
    fn classifiers_learn_from_as_many_images_as_there_is_time_for() {
        /// Each look takes so long.
        struct Slow(Duration, Duration);
        impl Monitor for Slow {
            fn spent(&mut self) -> Duration {
                self.0 += self.1;
                self.0
            }
            fn progress(&mut self, _: &crate::model::Progress) -> std::ops::ControlFlow<()> {
                std::ops::ControlFlow::Continue(())
            }
        }
        let (images, labels) = bars(4000, 1);
        let affordable = |each: u64, within: u64| {
            let mut slow = Slow(Duration::ZERO, Duration::from_millis(each));
            affordable(data(&images, &labels), Duration::from_millis(within), &mut slow).unwrap()
        };
        // 256 images take two epochs in that time; four classifiers look at each image once more.
        assert_eq!(affordable(256, 10_000), 2000);
        assert_eq!(affordable(256, 100_000), 4000);
        assert_eq!(affordable(256, 4000), 0);
    }
}
