//! Models made of chance.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::*;
use crate::model::mixture::Mixture;
use crate::model::perceptron::Linear;
use crate::model::{Condition, DrawError, Generator, ImageGenerator as _};

/// Numbers of -1 to 1, times a size.
fn numbers() -> impl FnMut(usize, f32) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    move |count, size| (0..count).map(|_| ((rng.next_u32() >> 8) as f32 / (1 << 23) as f32 - 1.0) * size).collect()
}

fn classes(labels: &[Option<&str>]) -> Vec<Class> {
    let class = |(place, label): (usize, &Option<&str>)| Class {
        label: label.map(str::to_owned),
        images: 10 * (place as u32 + 1),
    };
    labels.iter().enumerate().map(class).collect()
}

/// A model with weights of chance, of these classes.
fn parts(shape: Shape, latents: usize, width: usize, labels: &[Option<&str>]) -> ImagesParts {
    let mut numbers = numbers();
    let mut layer = |inputs: usize, outputs: usize| {
        let weights = numbers(inputs * outputs, 3.0 / (inputs as f32).sqrt());
        Linear::new(weights, numbers(outputs, 0.5)).unwrap()
    };
    let decoder = [layer(latents, width), layer(width, width), layer(width, shape.samples())];
    let mixture = |place: usize| {
        let means = (0..2 * latents).map(|at| (at + 3 * place) as f32 % 5.0 - 2.0).collect();
        let triangle = latents * (latents + 1) / 2;
        let factors = (0..2 * triangle).map(|at| (at % 7) as f32 / 20.0).collect();
        Mixture::new(vec![1, 3], means, factors).unwrap()
    };
    let network = NetworkParts::Vae(VaeParts { mixtures: (0..labels.len()).map(mixture).collect(), decoder });
    ImagesParts { shape, classes: classes(labels), network }
}

/// A `gan` with weights of chance, whose grids have these channels.
fn adversarial(shape: Shape, latents: usize, channels: &[usize], labels: &[Option<&str>]) -> ImagesParts {
    let mut numbers = numbers();
    let mut layer = |inputs: usize, reached: usize, outputs: usize| {
        let weights = numbers(inputs * outputs, 3.0 / (reached as f32).sqrt());
        Linear::new(weights, numbers(outputs, 0.5)).unwrap()
    };
    let [height, width] = first_grid(shape, channels.len() - 1);
    let inputs = latents + labels.len();
    let dense = [layer(inputs, inputs, 12), layer(12, 12, height * width * channels[0])];
    let ups = channels.windows(2).map(|pair| layer(16 * pair[0], 4 * pair[0], pair[1])).collect();
    let last = 9 * channels[channels.len() - 1];
    let network = NetworkParts::Gan(GanParts { dense, ups, output: layer(last, last, shape.channels()) });
    ImagesParts { shape, classes: classes(labels), network }
}

fn grey() -> Shape {
    Shape::new(9, 10, 1).unwrap()
}

const LABELS: [Option<&str>; 3] = [Some("0"), Some("1"), Some("cat")];

fn labelled() -> ImagesParts {
    parts(grey(), 5, 21, &LABELS)
}

/// The same of a `gan`: sides that are cut off, channels that fill up no lanes.
fn labelled_gan() -> ImagesParts {
    adversarial(grey(), 5, &[19, 7, 5], &LABELS)
}

fn draw(model: &ImagesModel, seed: u64, condition: &Condition, run: u64, count: u32) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    model.draw(seed, condition, run, count, &mut records).unwrap();
    records
}

/// Many images in a row.
fn draw_all(model: &ImagesModel) -> Vec<u8> {
    (0..8).flat_map(|run| draw(model, 1, &Condition::new(), run, 64).concat()).collect()
}

#[test]
fn an_image_is_a_function_of_model_seed_condition_and_number_on_every_kernel() {
    // Pinned: the same on every machine, in every release.
    for (parts, pinned) in [(labelled(), "59ee5e4ddc3f0f10"), (labelled_gan(), "9b0f981c6cd825c6")] {
        let model = ImagesModel::new(&parts).unwrap();
        let images = draw(&model, 1, &Condition::new(), 0, 64);
        assert_eq!((images.len(), images[0].len()), (64, 90));
        let mut hash = blake3::Hasher::new();
        for image in &images {
            hash.update(image);
        }
        assert_eq!(&hash.finalize().to_hex()[..16], pinned, "{}", model.name());
        for kernel in Kernel::here() {
            let other = ImagesModel::with_kernel(model.artefact(), kernel).unwrap();
            assert_eq!(draw(&other, 1, &Condition::new(), 0, 64), images, "{kernel}");
        }
        assert_eq!(draw(&model, 1, &Condition::new(), 0, 3), images[..3]);
        assert_ne!(draw(&model, 2, &Condition::new(), 0, 3), images[..3]);
        assert_ne!(draw(&model, 1, &Condition::new(), 1, 3), images[..3]);
    }
    // Another shape: what is not a whole number of lanes, and three channels.
    let shape = Shape::new(8, 9, 3).unwrap();
    for parts in [parts(shape, 17, 16, &[None]), adversarial(shape, 3, &[5, 16], &[None])] {
        let colour = ImagesModel::new(&parts).unwrap();
        let image = &draw(&colour, 1, &Condition::new(), 5, 1)[0];
        assert_eq!(image.len(), 8 * 9 * 3);
        assert!(colour.labels().is_empty() && colour.label_of(1, 2).is_none());
    }
}

#[test]
fn a_condition_is_met_exactly_or_refused() {
    let model = ImagesModel::new(&labelled()).unwrap();
    let label = |value: &str| Condition::from([(LABEL.to_owned(), value.to_owned())]);
    // One class alone has the images that the whole model has of it.
    let only = |place: usize| {
        let mut parts = labelled();
        parts.classes = vec![parts.classes[place].clone()];
        let NetworkParts::Vae(network) = &mut parts.network else { unreachable!("it is a vae") };
        network.mixtures = vec![network.mixtures[place].clone()];
        ImagesModel::new(&parts).unwrap()
    };
    for (place, value) in ["0", "1", "cat"].into_iter().enumerate() {
        model.admits(&label(value)).unwrap();
        assert_eq!(draw(&model, 4, &label(value), 2, 20), draw(&only(place), 4, &Condition::new(), 2, 20));
    }
    // A `gan` is told the class in its place, so that the same noise makes another image.
    let gan = ImagesModel::new(&labelled_gan()).unwrap();
    let drawn: Vec<_> = ["0", "1", "cat"].map(|value| draw(&gan, 4, &label(value), 2, 20)).into();
    assert!(drawn[0] != drawn[1] && drawn[1] != drawn[2]);
    let mut chance = Chance::of(4, 128);
    let mut inputs = Vec::new();
    let class = 1;
    // Choosing among one takes chance too.
    chance.below(1);
    gan.network.random(class, &mut chance, &mut inputs);
    assert_eq!(inputs[5..], [0.0, 1.0, 0.0]);
    assert_eq!(gan.samples(&gan.logits(&inputs)), drawn[1][0]);
    // Without a condition by their shares of images, 10 to 20 to 30.
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    for number in 0..6_000 {
        *counts.entry(model.label_of(8, number).unwrap()).or_default() += 1;
    }
    let near = |value, expected: u32| counts[value].abs_diff(expected) < 150;
    assert!(near("0", 1000) && near("1", 2000) && near("cat", 3000), "{counts:?}");
    let refused = |condition: &Condition| {
        let error = model.admits(condition).unwrap_err();
        assert_eq!(model.draw(0, condition, 0, 1, &mut Vec::new()), Err(error.clone()));
        error
    };
    assert!(matches!(refused(&label("2")), DrawError::Impossible { detail, .. } if detail.contains("0, 1, cat")));
    let other = Condition::from([("colour".to_owned(), "red".to_owned())]);
    assert!(matches!(refused(&other), DrawError::UnknownField { .. }));
    let both = Condition::from([("zoom".to_owned(), "1".to_owned()), (LABEL.to_owned(), "1".to_owned())]);
    assert!(matches!(refused(&both), DrawError::UnknownField { .. }));
    let unlabelled = ImagesModel::new(&parts(grey(), 5, 21, &[None])).unwrap();
    assert!(matches!(unlabelled.admits(&label("1")), Err(DrawError::Unconditional { family: "vae", .. })));
}

#[test]
fn contrast_is_raised_until_drawn_images_have_the_half_light_of_real_ones() {
    assert_eq!(half_light(&[0, 255, 0, 255]), 0.0);
    assert!((half_light(&[127, 128]) - 0.25).abs() < 1e-4);
    // Weights of a fifth make soft images.
    let soft = labelled().with_contrast(0.2).unwrap();
    let light = |parts: &ImagesParts| half_light(&draw_all(&ImagesModel::new(parts).unwrap()));
    let before = light(&soft);
    let wanted = before / 2.0;
    let factor = contrast(&soft, wanted).unwrap();
    assert!(factor > 1.5, "{factor}");
    let after = light(&soft.clone().with_contrast(factor).unwrap());
    assert!((after / wanted - 1.0).abs() < 0.05, "{before} to {after}, and {wanted} was wanted");
    // What is sharp enough stays; what can never be is as sharp as may be.
    assert_eq!(contrast(&soft, before * 1.2).unwrap(), 1.0);
    assert!(contrast(&soft, 0.0).unwrap() > 7.9);
}

#[test]
fn an_artefact_comes_back_and_parts_that_do_not_fit_are_refused() {
    for parts in [labelled(), labelled_gan()] {
        let model = ImagesModel::new(&parts).unwrap();
        assert_eq!(artefact::read(model.artefact()).unwrap(), parts);
    }
    let refused = |mut parts: ImagesParts, change: fn(&mut ImagesParts)| {
        change(&mut parts);
        assert!(matches!(ImagesModel::new(&parts), Err(ImagesError::Invalid(_))), "{parts:?}");
    };
    for change in [
        |parts: &mut ImagesParts| parts.classes.clear(),
        |parts: &mut ImagesParts| parts.classes[1].label = None,
        |parts: &mut ImagesParts| parts.classes.swap(0, 1),
        |parts: &mut ImagesParts| parts.classes[0].images = 0,
        |parts: &mut ImagesParts| parts.classes[0].label = Some("0".repeat(65)),
        |parts: &mut ImagesParts| parts.shape = Shape::new(8, 13, 1).unwrap(),
    ] {
        refused(labelled(), change);
        refused(labelled_gan(), change);
    }
    fn vae(parts: &mut ImagesParts) -> &mut VaeParts {
        let NetworkParts::Vae(parts) = &mut parts.network else { unreachable!("it is a vae") };
        parts
    }
    refused(labelled(), |parts| vae(parts).mixtures[0] = Mixture::new(vec![1], vec![0.0; 4], vec![0.0; 10]).unwrap());
    refused(labelled(), |parts| drop(vae(parts).mixtures.pop()));
    refused(labelled(), |parts| vae(parts).decoder.swap(0, 2));
    fn gan(parts: &mut ImagesParts) -> &mut GanParts {
        let NetworkParts::Gan(parts) = &mut parts.network else { unreachable!("it is a gan") };
        parts
    }
    fn zeros(inputs: usize, outputs: usize) -> Linear {
        Linear::new(vec![0.0; inputs * outputs], vec![0.0; outputs]).unwrap()
    }
    refused(labelled_gan(), |parts| gan(parts).ups.clear());
    refused(labelled_gan(), |parts| gan(parts).ups.swap(0, 1));
    refused(labelled_gan(), |parts| drop(gan(parts).ups.pop()));
    refused(labelled_gan(), |parts| gan(parts).dense.swap(0, 1));
    refused(labelled_gan(), |parts| gan(parts).dense[0] = zeros(3, 12));
    refused(labelled_gan(), |parts| gan(parts).dense[0] = zeros(132, 12));
    refused(labelled_gan(), |parts| gan(parts).output = zeros(45, 3));
    refused(labelled_gan(), |parts| gan(parts).ups[0] = zeros(16 * 19, MAX_CHANNELS + 1));
    // Each of its grids is allowed, and all of it takes too long.
    let shape = Shape::new(64, 64, 1).unwrap();
    refused(adversarial(shape, 2, &[256, 256, 32], &[None]), |_| {});
    for (weights, means, factors) in [
        (vec![], vec![], vec![]),
        (vec![0], vec![0.0], vec![0.0]),
        (vec![1], vec![f32::NAN], vec![0.0]),
        (vec![1, 1], vec![0.0; 3], vec![0.0; 2]),
        (vec![1], vec![0.0; 2], vec![0.0; 2]),
    ] {
        assert!(Mixture::new(weights, means, factors).is_err());
    }
}

/// Each bit of an artefact flipped, and each length of it.
fn damaged(model: &ImagesModel) {
    let bytes = model.artefact().to_vec();
    for end in 0..bytes.len() {
        assert!(ImagesModel::parse(&bytes[..end]).is_err(), "{end}");
    }
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            if let Ok(model) = ImagesModel::parse(&damaged) {
                let images = draw(&model, 1, &Condition::new(), 0, 2);
                assert!(images.iter().all(|image| image.len() == model.shape().samples()));
            }
        }
    }
    // Lengths that promise more than there is allocate nothing.
    let mut promised = bytes.clone();
    promised[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(ImagesModel::parse(&promised).is_err());
}

/// The error of an artefact of which a text is another one.
fn forged(model: &ImagesModel, from: &str, to: &str) -> ImagesError {
    let mut bytes = model.artefact().to_vec();
    let at = bytes.windows(from.len()).position(|window| window == from.as_bytes());
    let at = at.unwrap_or_else(|| panic!("{from} is not there"));
    bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    ImagesModel::parse(&bytes).unwrap_err()
}

#[test]
fn damaged_artefacts_are_refused_or_draw_and_never_panic() {
    let labels = [Some("a"), Some("b")];
    let vae = ImagesModel::new(&parts(Shape::SMALLEST, 2, 3, &labels)).unwrap();
    let gan = ImagesModel::new(&adversarial(Shape::SMALLEST, 2, &[2, 1, 1, 1], &labels)).unwrap();
    for model in [&vae, &gan] {
        damaged(model);
        let family = format!(r#"\"family\":\"{}\""#, model.name());
        for (from, to) in [
            (r#"\"height\":8"#, r#"\"height\":7"#),
            (r#"\"version\":1"#, r#"\"version\":2"#),
            (&family[..], r#"\"family\":\"vat\""#),
        ] {
            let error = forged(model, from, to);
            assert_eq!(matches!(error, ImagesError::Version { version: 2 }), from.contains("version"), "{error}");
        }
    }
    forged(&vae, r#"\"components\":2"#, r#"\"components\":9"#);
    // What one family has, the other has not.
    forged(&vae, r#"\"family\":\"vae\""#, r#"\"family\":\"gan\""#);
    forged(&gan, r#"\"family\":\"gan\""#, r#"\"family\":\"vae\""#);
    for (from, to) in
        [("dense.1.weight", "dense.2.weight"), ("up.1.weight", "up.7.weight"), ("output.bias", "output.bia_")]
    {
        assert!(matches!(forged(&gan, from, to), ImagesError::Invalid(_)));
    }
}
