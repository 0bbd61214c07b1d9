//! `latentd train --generator classical` of images: a model that holds some of them, and makes others of these.

use std::path::Path;

use indicatif::{HumanCount, ProgressBar};
use serde_json::json;

use super::drawn::Drawn;
use super::{TrainArgs, pictures};
use crate::cli::UsageError;
use crate::model::classical::{ClassicalParts, ImagesRecipe};
use crate::model::manifest::metric;
use crate::model::{ClassicalImages, Family};
use crate::telemetry::thread_cpu_seconds;

/// Makes the model.
pub fn run(args: &TrainArgs, file: &Path, bar: &ProgressBar) -> anyhow::Result<()> {
    let Some(shape) = args.shape else {
        let message = "--generator classical of images: write --payload image --shape HEIGHTxWIDTH";
        return Err(UsageError::new(message).into());
    };
    let Some(bases) = args.bases else {
        let message = "a classical model of images holds images of the file as they are, and what it draws is near to one of them: \
                       say with --bases N how many it may hold";
        return Err(UsageError::new(message).into());
    };
    let (images, labels) = pictures::read(args, shape, file)?;
    let before = thread_cpu_seconds();
    let operations = if args.operations.is_empty() { ImagesRecipe::OPERATIONS.into() } else { args.operations.clone() };
    let recipe = ImagesRecipe { operations, bases };
    let (parts, left_out) = ClassicalParts::of(shape, &images, &labels, &recipe, args.seed)?;
    let model = ClassicalImages::new(&parts)?;
    bar.finish_and_clear();

    let held = HumanCount(model.bases() as u64);
    let mut notes = vec![format!("it holds {held} of them as they are: who has the model has these images")];
    if left_out > 0 {
        let left_out = HumanCount(left_out as u64);
        notes.push(format!("{left_out} images are of classes that have too few: left out"));
    }
    let drawn = Drawn {
        family: Family::CLASSICAL,
        artefact: model.artefact(),
        config: json!({
            "shape": shape.to_string(), "labels": args.labels, "operations": recipe.operations, "bases": bases,
            "holds": format!("{held} training images, as they are"),
        }),
        validation: (metric::BASES, model.bases() as f64),
        rewinds: 0,
        cpu_seconds: thread_cpu_seconds() - before,
        curve: Vec::new(),
        trained: (images.len() / shape.samples(), "images"),
        left_out,
        notes,
    };
    drawn.keep(args, file)
}
