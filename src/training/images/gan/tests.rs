//! Whole trainings, of images that are drawn here.

use tch::no_grad;

use super::*;
use crate::model::{Generator as _, ImageGenerator as _, ImagesModel};
use crate::payload::image::Shape;
use crate::training::affine::floats;
use crate::training::descent::UNMEASURED;
use crate::training::images::tests::{Watch, bars, right};

fn shape() -> Shape {
    Shape::new(12, 12, 1).unwrap()
}

fn small() -> Recipe {
    Recipe {
        latents: 4,
        hidden: 24,
        channels: vec![24, 16],
        critic: vec![16, 32],
        batch: 32,
        rates: [4e-3; 2],
        mean: 0.98,
        interval: 50,
        ..Recipe::of(shape())
    }
}

fn run(recipe: &Recipe, steps: u32, images: usize, watch: &mut Watch) -> Result<Trained, TrainingError> {
    let (images, labels) = bars(images, 1);
    let data = Data { shape: shape(), images: &images, labels: &labels };
    train(data, recipe, 5, Budget { steps, cpu: None }, watch)
}

#[test]
fn what_is_learned_draws_images_of_the_class_that_is_asked_for() {
    let mut watch = Watch::default();
    let trained = run(&small(), 500, 300, &mut watch).unwrap();
    assert_eq!((trained.steps, trained.left_out), (500, 0));
    let first = watch.heard.iter().find(|progress| progress.validation < UNMEASURED).unwrap();
    assert!(trained.distance < first.validation, "{} of {}", trained.distance, first.validation);
    assert!(trained.curve.last().unwrap().validation.is_some());
    let model = ImagesModel::new(&trained.parts).unwrap();
    assert_eq!((model.name(), model.labels()), ("gan", vec!["flat", "up"]));
    assert_eq!(trained.parts.classes.iter().map(|class| class.images).collect::<Vec<_>>(), [200, 100]);
    for label in ["flat", "up"] {
        let mut drawn = Vec::new();
        let condition = [("label".to_owned(), label.to_owned())].into();
        model.draw(1, &condition, 0, 64, &mut drawn).unwrap();
        let right = right(&drawn, label);
        assert!(right >= 48, "{label}: {right} of 64");
        drawn.sort();
        drawn.dedup();
        assert_eq!(drawn.len(), 64, "no two of them are the same");
    }
}

#[test]
fn the_plain_generator_is_the_one_that_was_trained() {
    for (shape, channels, critic) in [
        (Shape::new(12, 12, 1).unwrap(), vec![24, 16], vec![8]),
        // Nothing is a whole number of lanes, and a row and three columns are cut off.
        (Shape::new(11, 9, 3).unwrap(), vec![18, 7, 5], vec![4, 4]),
    ] {
        let recipe = Recipe { channels, critic, latents: 5, ..small() };
        let network = Generator::new(shape, 3, &recipe, &mut generator(2, Purpose::Weights)).unwrap();
        // Biases are 0 at first, and would not be looked at.
        no_grad(|| {
            for (place, parameter) in network.parameters().into_iter().enumerate() {
                let rng = &mut generator(place as u64, Purpose::Step(0));
                let other = normals(parameter.numel(), 1, rng).unwrap().view_as(parameter) * 0.05;
                let _ = parameter.shallow_clone().f_add_(&other).unwrap();
            }
        });
        let classes: Vec<usize> = (0..19).map(|number| number % 3).collect();
        let classes = one_hot(&classes, 3).unwrap();
        let noise = normals(19, 5, &mut generator(2, Purpose::Validation)).unwrap();
        let expected = floats(&no_grad(|| network.logits(&noise, &classes)).unwrap()).unwrap();
        let class = |label: &str| Class { label: Some(label.to_owned()), images: 1 };
        let parts = ImagesParts {
            shape,
            classes: vec![class("a"), class("b"), class("c")],
            network: NetworkParts::Gan(network.export().unwrap()),
        };
        let inputs = floats(&Tensor::cat(&[noise, classes], 1)).unwrap();
        let found = ImagesModel::new(&parts).unwrap().logits(&inputs);
        assert_eq!(found.len(), expected.len());
        let worst = found.iter().zip(&expected).map(|(a, b)| (a - b).abs() / (1.0 + b.abs())).fold(0.0, f32::max);
        assert!(worst < 1e-4, "{worst}");
        assert!(expected.iter().any(|logit| logit.abs() > 0.1), "there is something to compare");
    }
}

#[test]
fn the_same_data_and_seed_make_the_same_artefact() {
    let artefact = || ImagesModel::new(&run(&small(), 30, 120, &mut Watch::default()).unwrap().parts).unwrap().id();
    let id = artefact();
    assert_eq!(id, artefact());
    // Another training beside it changes nothing.
    std::thread::scope(|scope| {
        let beside = scope.spawn(|| run(&Recipe { batch: 8, ..small() }, 30, 150, &mut Watch::default()).unwrap());
        assert_eq!(id, artefact());
        beside.join().unwrap();
    });
}

#[test]
fn a_critic_is_of_the_class_that_it_is_asked_about() {
    let critic = Critic::new(shape(), 2, &small(), &mut generator(1, Purpose::Weights)).unwrap();
    let images = normals(4, 144, &mut generator(1, Purpose::Validation)).unwrap();
    let score = |classes: [usize; 4]| floats(&critic.score(&images, &one_hot(&classes, 2).unwrap()).unwrap()).unwrap();
    let (first, second, mixed) = (score([0; 4]), score([1; 4]), score([0, 1, 0, 1]));
    assert_eq!(mixed, [first[0], second[1], first[2], second[3]]);
    assert!(first.iter().zip(&second).all(|(a, b)| a != b));
}

#[test]
fn numbers_that_are_none_end_it_with_the_nearest_of_before() {
    let (images, _) = bars(90, 1);
    let data = Data { shape: shape(), images: &images, labels: &[] };
    let recipe = Recipe { interval: 5, ..small() };
    let budget = Budget { steps: 100, cpu: None };
    let mut session = Session::new(data, 90, Classes::of(90, &[]), &recipe, 1, budget).unwrap();
    (0..5).for_each(|_| assert!(session.step(&mut Watch::default()).unwrap()));
    let best = session.adversaries.best;
    assert!(best < UNMEASURED);
    no_grad(|| {
        let _ = session.generator.parameters()[0].shallow_clone().f_mul_(&Tensor::from(f64::NAN)).unwrap();
    });
    assert!(!session.step(&mut Watch::default()).unwrap());
    session.adversaries.mean[0] = &session.adversaries.mean[0] * f64::NAN;
    let trained = session.finish(&mut Watch::default()).unwrap();
    assert_eq!((trained.steps, trained.distance), (5, best));
    assert!(trained.parts.classes[0].label.is_none(), "without labels there is one class");
    ImagesModel::new(&trained.parts).unwrap();
}

#[test]
fn what_cannot_be_trained_is_refused_and_a_monitor_ends_it() {
    assert!(matches!(run(&small(), 5, 31, &mut Watch::default()), Err(TrainingError::Data(_))));
    assert!(matches!(run(&small(), 0, 90, &mut Watch::default()), Err(TrainingError::Data(_))));
    for wrong in [
        Recipe { latents: 0, ..small() },
        Recipe { channels: vec![16], ..small() },
        Recipe { critic: vec![8, 8, 8, 8], ..small() },
        Recipe { rates: [1e-3, f64::NAN], ..small() },
    ] {
        assert!(matches!(run(&wrong, 5, 90, &mut Watch::default()), Err(TrainingError::Recipe(_))), "{wrong:?}");
    }
    let mut watch = Watch { until: Some(3), ..Watch::default() };
    assert!(matches!(run(&small(), 50, 90, &mut watch), Err(TrainingError::Cancelled)));
    // Classes that few have are learned by nobody.
    let (images, mut labels) = bars(90, 1);
    labels[..4].iter_mut().for_each(|label| "rare".clone_into(label));
    let data = Data { shape: shape(), images: &images, labels: &labels };
    let budget = Budget { steps: 5, cpu: None };
    let trained = train(data, &small(), 1, budget, &mut Watch::default()).unwrap();
    assert_eq!((trained.left_out, trained.parts.classes.len()), (4, 2));
    let labels: Vec<String> = (0..90).map(|number| (number / 3).to_string()).collect();
    let data = Data { shape: shape(), images: &images, labels: &labels };
    let error = train(data, &small(), 1, budget, &mut Watch::default()).unwrap_err();
    assert!(matches!(error, TrainingError::Images(ImagesError::TooFew { found: 90 })), "{error}");
}
