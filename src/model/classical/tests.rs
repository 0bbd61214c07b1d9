//! Models made of images that are made up.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::model::generator::{Condition, DrawError, Generator, ImageGenerator};
use crate::model::images::LABEL;
use crate::model::{Family, open_generator, open_image_generator};

fn shape() -> Shape {
    Shape::new(9, 10, 1).unwrap()
}

/// Images of three classes, each with a light of its own, and one of a class that is too small.
fn images() -> (Vec<u8>, Vec<String>) {
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    for number in 0..61usize {
        let class = if number == 60 { 3 } else { number % 3 };
        let light = [10, 90, 170, 250][class];
        images.extend((0..shape().samples()).map(|at| light + ((at * 7 + number * 13) % 60) as u8 % (255 - light)));
        labels.push(["cat", "dog", "eel", "fox"][class].to_owned());
    }
    (images, labels)
}

fn recipe() -> ImagesRecipe {
    ImagesRecipe { operations: Operation::OF_IMAGES.into(), bases: 1000 }
}

fn parts() -> ClassicalParts {
    let (images, labels) = images();
    let (parts, left_out) = ClassicalParts::of(shape(), &images, &labels, &recipe(), 1).unwrap();
    assert_eq!(left_out, 1);
    parts
}

fn model() -> ClassicalImages {
    ClassicalImages::new(&parts()).unwrap()
}

fn label(value: &str) -> Condition {
    Condition::from([(LABEL.to_owned(), value.to_owned())])
}

fn draw(model: &dyn Generator, seed: u64, condition: &Condition, run: u64, count: u32) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    model.draw(seed, condition, run, count, &mut records).unwrap();
    records
}

#[test]
fn an_image_is_a_function_of_model_seed_condition_and_number() {
    let model = model();
    let images = draw(&model, 1, &Condition::new(), 0, 64);
    assert_eq!((images.len(), images[0].len()), (64, 90));
    // Pinned: the same on every machine, in every release.
    assert_eq!(&blake3::hash(&images.concat()).to_hex()[..16], "4197718330e702c4");
    assert_eq!(draw(&model, 1, &Condition::new(), 0, 3), images[..3]);
    assert_ne!(draw(&model, 2, &Condition::new(), 0, 3), images[..3]);
    let mut some = Vec::new();
    model.draw_numbers(1, &Condition::new(), &[63, 5], &mut some).unwrap();
    assert_eq!(some, [images[63].clone(), images[5].clone()]);
    for opened in [open_generator(&Family::CLASSICAL, model.artefact()).unwrap(), Arc::new(model)] {
        assert_eq!((opened.name(), opened.content_type()), ("classical", "application/octet-stream"));
        assert_eq!(draw(opened.as_ref(), 1, &Condition::new(), 0, 64), images);
    }
    // Three channels lie side by side in what is drawn, and one behind the other in what is held.
    let shape = Shape::new(8, 9, 3).unwrap();
    let colours: Vec<u8> = (0..5 * shape.samples()).map(|at| (at / shape.plane() % 3 * 100 + 20) as u8).collect();
    let recipe = ImagesRecipe { operations: vec![Operation::Flip, Operation::Shift, Operation::Crop], bases: 5 };
    let (parts, _) = ClassicalParts::of(shape, &colours, &[], &recipe, 1).unwrap();
    let model = ClassicalImages::new(&parts).unwrap();
    for image in draw(&model, 3, &Condition::new(), 2, 20) {
        assert!(image.as_chunks::<3>().0.iter().all(|colour| *colour == [20, 120, 220]), "{image:?}");
    }
    assert!(model.labels().is_empty() && model.label_of(1, 2).is_none());
}

#[test]
fn every_operation_makes_images_of_its_own_and_hardly_ever_one_that_is_held() {
    let (real, labels) = images();
    let known: BTreeSet<&[u8]> = real.chunks_exact(shape().samples()).collect();
    for operation in Operation::OF_IMAGES {
        let recipe = ImagesRecipe { operations: vec![operation], bases: 1000 };
        let (parts, _) = ClassicalParts::of(shape(), &real, &labels, &recipe, 1).unwrap();
        let model = ClassicalImages::new(&parts).unwrap();
        let drawn = draw(&model, 4, &Condition::new(), 0, 64);
        // Of two images that are much alike, a mixture with 255 parts of one is that one.
        let copies = drawn.iter().filter(|image| known.contains(image.as_slice())).count();
        assert!(copies <= if operation == Operation::Mixup { 3 } else { 0 }, "{operation}: {copies}");
        let distinct: BTreeSet<&Vec<u8>> = drawn.iter().collect();
        // There is one mirror image of each.
        assert!(
            distinct.len() >= if operation == Operation::Flip { 25 } else { 55 },
            "{operation}: {}",
            distinct.len()
        );
        assert!((0..64).all(|number| model.made_by(4, number) == operation.lineage()));
    }
    // With several, each makes its part, by the record's number alone.
    let model = model();
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    (0..6000).for_each(|number| *counts.entry(model.made_by(4, number)).or_default() += 1);
    assert_eq!(counts.len(), 6);
    assert!(counts.values().all(|count| count.abs_diff(1000) < 130), "{counts:?}");
}

#[test]
fn a_condition_is_met_exactly_or_refused() {
    let model = model();
    assert_eq!(model.labels(), ["cat", "dog", "eel"], "one of a single image is none");
    let light = |image: &[u8]| image.iter().map(|sample| u32::from(*sample)).sum::<u32>() / image.len() as u32;
    let is_of = |image: &[u8], class: &str| match class {
        "cat" => light(image) < 65,
        "dog" => (70..160).contains(&light(image)),
        _ => light(image) > 145,
    };
    for class in ["cat", "dog", "eel"] {
        model.admits(&label(class)).unwrap();
        let drawn = draw(&model, 4, &label(class), 2, 64);
        assert!(
            drawn.iter().all(|image| is_of(image, class)),
            "{class}: {:?}",
            drawn.iter().map(|i| light(i)).collect::<Vec<_>>()
        );
    }
    // Without a condition by their shares, and as `label_of` says.
    let drawn = draw(&model, 8, &Condition::new(), 0, 64);
    for (number, image) in drawn.iter().enumerate() {
        assert!(is_of(image, model.label_of(8, number as u64).unwrap()), "{number}");
    }
    let classes = model.classes(LABEL, &Condition::new()).unwrap();
    assert!(classes.len() == 3 && classes.iter().all(|(_, share)| (share - 1.0 / 3.0).abs() < 1e-9), "{classes:?}");
    let refused = |condition: &Condition| {
        let error = model.admits(condition).unwrap_err();
        assert_eq!(model.draw(0, condition, 0, 1, &mut Vec::new()), Err(error.clone()));
        error
    };
    assert!(matches!(refused(&label("fox")), DrawError::Impossible { detail, .. } if detail.contains("cat, dog, eel")));
    let other = Condition::from([("colour".to_owned(), "red".to_owned())]);
    assert!(matches!(refused(&other), DrawError::UnknownField { .. }));
    assert!(model.classes("colour", &Condition::new()).is_err() && model.classes(LABEL, &label("cat")).is_err());
    let (images, _) = images();
    let (parts, _) = ClassicalParts::of(shape(), &images, &[], &recipe(), 1).unwrap();
    let unlabelled = ClassicalImages::new(&parts).unwrap();
    assert!(matches!(unlabelled.admits(&label("cat")), Err(DrawError::Unconditional { family: "classical", .. })));
}

#[test]
fn as_many_images_are_held_as_may_be_and_the_seed_says_which() {
    let (images, labels) = images();
    let of = |bases: usize, seed: u64| {
        ClassicalParts::of(shape(), &images, &labels, &ImagesRecipe { bases, ..recipe() }, seed).map(|(parts, _)| parts)
    };
    let some = of(30, 1).unwrap();
    let held: u32 = some.classes.iter().map(|class| class.images).sum();
    assert!((25..=30).contains(&held) && some.bases.len() == held as usize * 90);
    assert_eq!(of(30, 1).unwrap(), some);
    assert_ne!(of(30, 2).unwrap(), some);
    assert!(matches!(of(9, 1), Err(ClassicalError::TooFew { found: 3..=4 })), "{:?}", of(9, 1));
    assert!(ClassicalParts::of(shape(), &images, &labels[..7], &recipe(), 1).is_err());
}

#[test]
fn an_artefact_comes_back_and_parts_that_do_not_fit_are_refused() {
    let model = model();
    assert_eq!(artefact::read(model.artefact()).unwrap(), parts());
    let refused = |change: fn(&mut ClassicalParts)| {
        let mut parts = parts();
        change(&mut parts);
        assert!(matches!(ClassicalImages::new(&parts), Err(ClassicalError::Invalid(_))), "{:?}", parts.classes);
    };
    refused(|parts| parts.classes.clear());
    refused(|parts| parts.classes[1].label = None);
    refused(|parts| parts.classes.swap(0, 1));
    refused(|parts| parts.classes[0].images += 1);
    refused(|parts| parts.classes[0].images = u32::MAX);
    refused(|parts| {
        parts.bases.drain(..(parts.classes[0].images as usize - 1) * 90);
        parts.classes[0].images = 1;
    });
    refused(|parts| parts.classes[0].label = Some("0".repeat(65)));
    refused(|parts| parts.bases.truncate(89));
    refused(|parts| parts.operations.clear());
    refused(|parts| parts.operations.push(Operation::Flip));
    refused(|parts| parts.operations = vec![Operation::SmoteNc]);
    refused(|parts| parts.shape = Shape::new(8, 10, 1).unwrap());
}

#[test]
fn damaged_artefacts_are_refused_or_draw_and_never_panic() {
    let images: Vec<u8> = (0..10 * 64).map(|at| at as u8).collect();
    let labels: Vec<String> = (0..10).map(|number| ["a", "b"][number % 2].to_owned()).collect();
    let (parts, _) = ClassicalParts::of(Shape::SMALLEST, &images, &labels, &recipe(), 1).unwrap();
    let bytes = ClassicalImages::new(&parts).unwrap().artefact().to_vec();
    for end in 0..bytes.len() {
        assert!(ClassicalImages::parse(&bytes[..end]).is_err(), "{end}");
    }
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            if let Ok(model) = open_image_generator(&Family::CLASSICAL, &damaged) {
                let images = draw(model.as_ref(), 1, &Condition::new(), 0, 7);
                assert!(images.iter().all(|image| image.len() == model.shape().samples()));
            }
        }
    }
    // Lengths that promise more than there is allocate nothing.
    let mut promised = bytes.clone();
    promised[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(ClassicalImages::parse(&promised).is_err());
    let text = String::from_utf8_lossy(&bytes).into_owned();
    for (from, to) in [
        (r#"\"images\":5"#, r#"\"images\":6"#),
        (r#"\"height\":8"#, r#"\"height\":7"#),
        (r#"\"version\":1"#, r#"\"version\":2"#),
        (r#"\"family\":\"classical\""#, r#"\"family\":\"classicxl\""#),
        (r#"\"payload\":\"images\""#, r#"\"payload\":\"imagez\""#),
        (r#"\"mixup\""#, r#"\"mixxp\""#),
    ] {
        assert!(text.contains(from), "{from}");
        let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        let mut forged = bytes.clone();
        forged[at..at + to.len()].copy_from_slice(to.as_bytes());
        let error = ClassicalImages::parse(&forged).unwrap_err();
        assert_eq!(matches!(error, ClassicalError::Version { version: 2 }), from.contains("version"), "{error}");
    }
}
