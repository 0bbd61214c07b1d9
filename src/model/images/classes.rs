//! Classes of images, of which one is chosen by chance or asked for.

use std::ops::Range;

use super::{LABEL, MAX_CLASSES, MAX_LABEL};
use crate::model::chance::Chance;
use crate::model::generator::{Condition, DrawError};
use crate::model::mixture::choose;

/// A class of images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// What it is asked for by; only a class that is the only one has none.
    pub label: Option<String>,
    /// Images that it was learned from: classes are drawn in proportion to them.
    pub images: u32,
}

/// Why these are no classes of a model, by ascending label, if they are none.
pub(in crate::model) fn fault(classes: &[Class]) -> Option<&'static str> {
    let is_long = |class: &Class| class.label.as_ref().is_some_and(|label| label.len() > MAX_LABEL);
    if !(1..=MAX_CLASSES).contains(&classes.len()) {
        Some("it does not have 1 to 512 classes")
    } else if classes.len() > 1 && classes.iter().any(|class| class.label.is_none()) {
        Some("a class has no label")
    } else if !classes.is_sorted_by(|one, next| one.label < next.label) {
        Some("its classes are not in the order of their labels")
    } else if classes.iter().any(is_long) {
        Some("a label has more than 64 bytes")
    } else if classes.iter().any(|class| class.images == 0) {
        Some("a class has no images")
    } else {
        None
    }
}

/// The labels that can be asked for; none without labels.
pub(in crate::model) fn labels(classes: &[Class]) -> Vec<&str> {
    classes.iter().filter_map(|class| class.label.as_deref()).collect()
}

/// The place of one of some classes, by its share of their images.
pub(in crate::model) fn by_chance(classes: &[Class], some: Range<usize>, chance: &mut Chance) -> usize {
    let images = || classes[some.clone()].iter().map(|class| u64::from(class.images));
    some.start + choose(chance.below(images().sum()), images())
}

/// The places of the classes that a condition leaves, for a model of a family.
pub(in crate::model) fn admitted(
    classes: &[Class],
    family: &'static str,
    condition: &Condition,
) -> Result<Range<usize>, DrawError> {
    let Some((field, value)) = condition.iter().find(|(field, _)| *field != LABEL).or(condition.iter().next()) else {
        return Ok(0..classes.len());
    };
    let labels = labels(classes);
    if labels.is_empty() {
        let why = "its images had no classes, which `latentd train --labels` takes";
        return Err(DrawError::Unconditional { family, why });
    }
    if field != LABEL {
        return Err(DrawError::UnknownField { field: field.clone(), known: LABEL.to_owned() });
    }
    let place = labels.iter().position(|label| label == value);
    place.map(|place| place..place + 1).ok_or_else(|| DrawError::Impossible {
        field: field.clone(),
        value: value.clone(),
        detail: format!("it is one of {}", labels.join(", ")),
    })
}

/// The labels with their shares of all images, as classes of the field `label` under a condition on others.
pub(in crate::model) fn shares(
    classes: &[Class],
    field: &str,
    condition: &Condition,
) -> Result<Vec<(String, f64)>, DrawError> {
    let no_classes = |detail: &str| DrawError::NoClasses { field: field.to_owned(), detail: detail.to_owned() };
    if condition.contains_key(field) {
        return Err(no_classes("a condition says what it is"));
    }
    if field != LABEL {
        return Err(DrawError::UnknownField { field: field.to_owned(), known: LABEL.to_owned() });
    }
    let all: u64 = classes.iter().map(|class| u64::from(class.images)).sum();
    let of = |class: &Class| Some((class.label.clone()?, f64::from(class.images) / all as f64));
    let shares: Vec<(String, f64)> = classes.iter().filter_map(of).collect();
    if shares.is_empty() { Err(no_classes("the images that it learned from had no labels")) } else { Ok(shares) }
}
