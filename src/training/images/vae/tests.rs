//! Whole trainings, of images that are drawn here.

use super::*;
use crate::model::{ImageGenerator as _, ImagesModel};
use crate::payload::image::Shape;
use crate::training::descent::UNMEASURED;
use crate::training::images::tests::{Watch, bars, right};

fn shape() -> Shape {
    Shape::new(12, 12, 1).unwrap()
}

fn small() -> Recipe {
    Recipe {
        latents: 3,
        width: 32,
        batch: 16,
        rate: 5e-3,
        interval: 50,
        shift: 0,
        drawn: 64,
        last_rate: 2e-3,
        ..Recipe::default()
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
    let trained = run(&small(), 1200, 300, &mut watch).unwrap();
    assert_eq!((trained.steps, trained.left_out), (1200, 0));
    assert!(trained.validation < watch.heard[0].loss * 0.75, "{} of {}", trained.validation, watch.heard[0].loss);
    assert_eq!(watch.heard.last().unwrap().phase, Phase::Calibration);
    let model = ImagesModel::new(&trained.parts).unwrap();
    assert_eq!(model.labels(), ["flat", "up"]);
    assert_eq!(trained.parts.classes.iter().map(|class| class.images).collect::<Vec<_>>(), [200, 100]);
    use crate::model::Generator as _;
    for label in ["flat", "up"] {
        let mut drawn = Vec::new();
        let condition = [("label".to_owned(), label.to_owned())].into();
        model.draw(1, &condition, 0, 64, &mut drawn).unwrap();
        let right = right(&drawn, label);
        assert!(right >= 48, "{label}: {right} of 64");
    }
}

#[test]
fn the_plain_decoder_is_the_one_that_was_trained() {
    let (images, labels) = bars(90, 1);
    let data = Data { shape: shape(), images: &images, labels: &labels };
    let recipe = small();
    let mut session = Session::new(data, 90, &recipe, 5, Budget { steps: 60, cpu: None }).unwrap();
    (0..60).for_each(|_| session.step(&mut Watch::default()).unwrap());
    let latents = normals(70, 3, &mut generator(2, Purpose::Mixture)).unwrap();
    let expected = floats(&no_grad(|| session.network.decode(&latents)).unwrap()).unwrap();
    let trained = session.finish(&mut Watch::default()).unwrap();
    let found = ImagesModel::new(&trained.parts).unwrap().logits(&floats(&latents).unwrap());
    assert_eq!(found.len(), expected.len());
    let expected: Vec<f32> = expected.iter().map(|logit| logit * trained.contrast).collect();
    let worst = found.iter().zip(&expected).map(|(a, b)| (a - b).abs() / (1.0 + b.abs())).fold(0.0, f32::max);
    assert!(worst < 1e-4, "{worst}");
}

#[test]
fn the_same_data_and_seed_make_the_same_artefact() {
    let recipe = Recipe { shift: 1, ..small() };
    let artefact = || ImagesModel::new(&run(&recipe, 40, 120, &mut Watch::default()).unwrap().parts).unwrap().id();
    let id = artefact();
    assert_eq!(id, artefact());
    // Another training beside it changes nothing.
    std::thread::scope(|scope| {
        let beside = scope.spawn(|| run(&small(), 40, 150, &mut Watch::default()).unwrap());
        assert_eq!(id, artefact());
        beside.join().unwrap();
    });
}

#[test]
fn in_the_last_part_the_decoder_alone_learns_and_what_it_draws_comes_nearer() {
    let (images, labels) = bars(300, 1);
    let data = Data { shape: shape(), images: &images, labels: &labels };
    let recipe = small();
    let mut session = Session::new(data, 300, &recipe, 5, Budget { steps: 400, cpu: None }).unwrap();
    (0..200).for_each(|_| session.step(&mut Watch::default()).unwrap());
    session.turn(&mut Watch::default()).unwrap();
    let all = |session: &Session<'_>| -> Vec<Vec<f32>> {
        session.network.parameters().into_iter().map(|parameter| floats(parameter).unwrap()).collect()
    };
    let apart = |session: &Session<'_>| {
        let last = session.last.as_ref().unwrap();
        let images = session.images(&last.measured.0, last.contrast).unwrap();
        no_grad(|| last.likeness.distance(&images, &last.measured.1)).unwrap()
    };
    let (before, far) = (all(&session), apart(&session));
    (200..400).for_each(|_| session.step(&mut Watch::default()).unwrap());
    let (after, near) = (all(&session), apart(&session));
    assert!(near < 0.7 * far, "{near} {far}");
    let of_decoder = session.network.of_decoder().len();
    assert!(before[..of_decoder].iter().zip(&after).all(|(before, after)| before != after));
    assert_eq!(before[of_decoder..], after[of_decoder..]);
    // The contrast stays the one that it was learned with.
    let contrast = session.last.as_ref().unwrap().contrast;
    session.settle().unwrap();
    let best = session.descent.best;
    let trained = session.finish(&mut Watch::default()).unwrap();
    assert_eq!(f64::from(trained.contrast), contrast);
    assert!(trained.validation < best, "it is of the bits alone: {} of {best}", trained.validation);
}

#[test]
fn numbers_that_are_none_lead_back_to_the_best() {
    let (images, _) = bars(90, 1);
    let data = Data { shape: shape(), images: &images, labels: &[] };
    let recipe = Recipe { interval: 10, ..small() };
    let mut session = Session::new(data, 90, &recipe, 1, Budget { steps: 100, cpu: None }).unwrap();
    let mut watch = Watch::default();
    (0..10).for_each(|_| session.step(&mut watch).unwrap());
    assert!(session.descent.best < UNMEASURED);
    let spoil = |session: &Session<'_>, by: f64| {
        no_grad(|| {
            for parameter in session.network.parameters() {
                let _ = parameter.shallow_clone().f_mul_(&Tensor::from(by)).unwrap();
            }
        });
    };
    spoil(&session, f64::NAN);
    session.step(&mut watch).unwrap();
    assert_eq!((session.descent.rewinds, session.descent.step), (1, 11));
    session.step(&mut watch).unwrap();
    assert!(session.descent.loss.is_finite());
    spoil(&session, -30.0);
    session.settle().unwrap();
    assert_eq!(session.descent.rewinds, 2);
    let rewind = |session: &mut Session<'_>| session.descent.rewind(&session.network.parameters());
    (2..8).for_each(|_| rewind(&mut session).unwrap());
    assert!(matches!(rewind(&mut session), Err(TrainingError::Diverged { rewinds: 9 })));
    let model = session.finish(&mut watch);
    assert!(model.unwrap().parts.classes[0].label.is_none(), "without labels there is one class");
}

#[test]
fn what_cannot_be_trained_is_refused_and_a_monitor_ends_it() {
    assert!(matches!(run(&small(), 5, 31, &mut Watch::default()), Err(TrainingError::Data(_))));
    assert!(matches!(run(&small(), 0, 90, &mut Watch::default()), Err(TrainingError::Data(_))));
    assert!(matches!(
        run(&Recipe { latents: 0, ..small() }, 5, 90, &mut Watch::default()),
        Err(TrainingError::Recipe(_))
    ));
    let mut watch = Watch { until: Some(3), ..Watch::default() };
    assert!(matches!(run(&small(), 50, 90, &mut watch), Err(TrainingError::Cancelled)));
    let (images, labels) = bars(90, 1);
    for data in [
        Data { shape: shape(), images: &images[1..], labels: &labels },
        Data { shape: shape(), images: &images, labels: &labels[1..] },
    ] {
        let trained = train(data, &small(), 1, Budget { steps: 5, cpu: None }, &mut Watch::default());
        assert!(matches!(trained, Err(TrainingError::Data(_))));
    }
    // Classes that few have are drawn by nobody.
    let mut rare = labels.clone();
    rare[..4].iter_mut().for_each(|label| "rare".clone_into(label));
    let data = Data { shape: shape(), images: &images, labels: &rare };
    let trained = train(data, &small(), 1, Budget { steps: 5, cpu: None }, &mut Watch::default()).unwrap();
    assert_eq!((trained.left_out, trained.parts.classes.len()), (4, 2));
}
