//! Models made of chance.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::*;
use crate::model::{Condition, DrawError, Generator};

/// A model with weights of chance, of these classes.
fn parts(shape: Shape, latents: usize, width: usize, labels: &[Option<&str>]) -> VaeParts {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let mut numbers = |count: usize, size: f32| -> Vec<f32> {
        (0..count).map(|_| ((rng.next_u32() >> 8) as f32 / (1 << 23) as f32 - 1.0) * size).collect()
    };
    let mut layer = |inputs: usize, outputs: usize| {
        let weights = numbers(inputs * outputs, 3.0 / (inputs as f32).sqrt());
        Linear::new(weights, numbers(outputs, 0.5)).unwrap()
    };
    let decoder = [layer(latents, width), layer(width, width), layer(width, shape.samples())];
    let class = |(place, label): (usize, &Option<&str>)| Class {
        label: label.map(str::to_owned),
        images: 10 * (place as u32 + 1),
        mixture: {
            let means = (0..2 * latents).map(|at| (at + 3 * place) as f32 % 5.0 - 2.0).collect();
            let triangle = latents * (latents + 1) / 2;
            let factors = (0..2 * triangle).map(|at| (at % 7) as f32 / 20.0).collect();
            Mixture::new(vec![1, 3], means, factors).unwrap()
        },
    };
    VaeParts { shape, classes: labels.iter().enumerate().map(class).collect(), decoder }
}

fn grey() -> Shape {
    Shape::new(9, 10, 1).unwrap()
}

fn labelled() -> VaeParts {
    parts(grey(), 5, 21, &[Some("0"), Some("1"), Some("cat")])
}

fn draw(model: &VaeModel, seed: u64, condition: &Condition, run: u64, count: u32) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    model.draw(seed, condition, run, count, &mut records).unwrap();
    records
}

/// Many images in a row.
fn draw_all(model: &VaeModel) -> Vec<u8> {
    (0..8).flat_map(|run| draw(model, 1, &Condition::new(), run, 64).concat()).collect()
}

#[test]
fn an_image_is_a_function_of_model_seed_condition_and_number_on_every_kernel() {
    let model = VaeModel::new(&labelled()).unwrap();
    let images = draw(&model, 1, &Condition::new(), 0, 64);
    assert_eq!((images.len(), images[0].len()), (64, 90));
    // Pinned: the same on every machine, in every release.
    let mut hash = blake3::Hasher::new();
    for image in &images {
        hash.update(image);
    }
    assert_eq!(&hash.finalize().to_hex()[..16], "59ee5e4ddc3f0f10");
    for kernel in Kernel::here() {
        let other = VaeModel::with_kernel(model.artefact(), kernel).unwrap();
        assert_eq!(draw(&other, 1, &Condition::new(), 0, 64), images, "{kernel}");
    }
    assert_eq!(draw(&model, 1, &Condition::new(), 0, 3), images[..3]);
    assert_ne!(draw(&model, 2, &Condition::new(), 0, 3), images[..3]);
    assert_ne!(draw(&model, 1, &Condition::new(), 1, 3), images[..3]);
    // Another shape: what is not a whole number of lanes, and three channels.
    let colour = VaeModel::new(&parts(Shape::new(8, 9, 3).unwrap(), 17, 16, &[None])).unwrap();
    let image = &draw(&colour, 1, &Condition::new(), 5, 1)[0];
    assert_eq!(image.len(), 8 * 9 * 3);
    assert!(colour.labels().next().is_none() && colour.label_of(1, 2).is_none());
}

#[test]
fn a_condition_is_met_exactly_or_refused() {
    let model = VaeModel::new(&labelled()).unwrap();
    let label = |value: &str| Condition::from([(LABEL.to_owned(), value.to_owned())]);
    // One class alone has the images that the whole model has of it.
    let only = |place: usize| {
        let mut parts = labelled();
        parts.classes = vec![parts.classes[place].clone()];
        VaeModel::new(&parts).unwrap()
    };
    for (place, value) in ["0", "1", "cat"].into_iter().enumerate() {
        model.admits(&label(value)).unwrap();
        assert_eq!(draw(&model, 4, &label(value), 2, 20), draw(&only(place), 4, &Condition::new(), 2, 20));
    }
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
    let unlabelled = VaeModel::new(&parts(grey(), 5, 21, &[None])).unwrap();
    assert!(matches!(unlabelled.admits(&label("1")), Err(DrawError::Unconditional { family: "vae", .. })));
}

#[test]
fn contrast_is_raised_until_drawn_images_have_the_half_light_of_real_ones() {
    assert_eq!(half_light(&[0, 255, 0, 255]), 0.0);
    assert!((half_light(&[127, 128]) - 0.25).abs() < 1e-4);
    // Weights of a fifth make soft images.
    let soft = labelled().with_contrast(0.2).unwrap();
    let light = |parts: &VaeParts| half_light(&draw_all(&VaeModel::new(parts).unwrap()));
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
    let parts = labelled();
    let model = VaeModel::new(&parts).unwrap();
    assert_eq!(artefact::read(model.artefact()).unwrap(), parts);
    let refused = |change: fn(&mut VaeParts)| {
        let mut parts = labelled();
        change(&mut parts);
        assert!(matches!(VaeModel::new(&parts), Err(VaeError::Invalid(_))), "{parts:?}");
    };
    refused(|parts| parts.classes.clear());
    refused(|parts| parts.classes[1].label = None);
    refused(|parts| parts.classes.swap(0, 1));
    refused(|parts| parts.classes[0].images = 0);
    refused(|parts| parts.classes[0].label = Some("0".repeat(65)));
    refused(|parts| parts.classes[0].mixture = Mixture::new(vec![1], vec![0.0; 4], vec![0.0; 10]).unwrap());
    refused(|parts| parts.decoder.swap(0, 2));
    refused(|parts| parts.shape = Shape::new(8, 10, 1).unwrap());
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

#[test]
fn damaged_artefacts_are_refused_or_draw_and_never_panic() {
    let model = VaeModel::new(&parts(Shape::SMALLEST, 2, 3, &[Some("a"), Some("b")])).unwrap();
    let bytes = model.artefact().to_vec();
    for end in 0..bytes.len() {
        assert!(VaeModel::parse(&bytes[..end]).is_err(), "{end}");
    }
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            if let Ok(model) = VaeModel::parse(&damaged) {
                let images = draw(&model, 1, &Condition::new(), 0, 2);
                assert!(images.iter().all(|image| image.len() == model.shape().samples()));
            }
        }
    }
    // Lengths that promise more than there is allocate nothing.
    let mut promised = bytes.clone();
    promised[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(VaeModel::parse(&promised).is_err());
    let text = String::from_utf8_lossy(&bytes).into_owned();
    for (from, to) in [
        (r#"\"components\":2"#, r#"\"components\":9"#),
        (r#"\"height\":8"#, r#"\"height\":7"#),
        (r#"\"version\":1"#, r#"\"version\":2"#),
        (r#"\"family\":\"vae\""#, r#"\"family\":\"vat\""#),
    ] {
        assert!(text.contains(from), "{from}");
        let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        let mut forged = bytes.clone();
        forged[at..at + to.len()].copy_from_slice(to.as_bytes());
        let error = VaeModel::parse(&forged).unwrap_err();
        assert_eq!(matches!(error, VaeError::Version { version: 2 }), from.contains("version"), "{error}");
    }
}
