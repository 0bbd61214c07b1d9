//! `classical` in a pipeline: a model that holds some of the records and makes others of them. Nothing is trained: it is there once the
//! records are read.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Drawn;
use crate::model::classical::{ClassicalParts, ImagesRecipe};
use crate::model::manifest::metric;
use crate::model::rows::{ClassicalRecipe, Coded};
use crate::model::{ClassicalImages, ClassicalRows, with_wrapping};
use crate::payload::image::Shape;
use crate::pipeline::learn::pictures::Pictures;
use crate::pipeline::learn::subject::SubjectError;
use crate::telemetry::thread_cpu_seconds;

/// Of rows as codes, of which so many may be held; `Err` says why there is none yet. `begun` is the CPU time of the thread before they
/// were read.
pub fn of_rows(coded: &Coded, bases: Option<usize>, seed: u64, begun: f64) -> Result<Drawn, String> {
    let recipe = ClassicalRecipe::default();
    let recipe = ClassicalRecipe { bases: bases.unwrap_or(recipe.bases), ..recipe };
    let model = ClassicalRows::new(coded, &recipe, seed).map_err(|error| error.to_string())?;
    Ok(drawn(Arc::clone(model.artefact()), coded.rows, model.bases(), begun))
}

/// Of images, in the form of most of them.
pub fn of_images(
    shape: Shape,
    pictures: &Pictures,
    (bases, seed): (Option<usize>, u64),
    begun: f64,
) -> Result<Result<Drawn, String>, SubjectError> {
    let Pictures { samples, labels, wrapping } = pictures;
    let images = samples.len() / shape.samples();
    let bases = bases.unwrap_or(0);
    let recipe = ImagesRecipe { operations: ImagesRecipe::OPERATIONS.into(), bases };
    let made = ClassicalParts::of(shape, samples, labels, &recipe, seed);
    let model = match made.and_then(|(parts, left_out)| Ok((ClassicalImages::new(&parts)?, left_out))) {
        Ok((model, left_out)) => {
            if left_out > 0 {
                tracing::warn!(
                    target: "latentd",
                    "{left_out} of the {bases} images that `augment.bases` lets a model hold are of classes that have too few among them, which are not drawn"
                );
            }
            model
        }
        Err(error) if bases < images => {
            return Ok(Err(format!("{error}: `augment.bases` lets a model hold {bases} of {images} images")));
        }
        Err(error) => return Ok(Err(error.to_string())),
    };
    let artefact = with_wrapping(model.artefact(), wrapping)?;
    Ok(Ok(drawn(artefact, images, model.bases(), begun)))
}

/// What came of records, of which so many are held.
fn drawn(artefact: Arc<[u8]>, records: usize, bases: usize, begun: f64) -> Drawn {
    let metrics = BTreeMap::from([
        (metric::BASES.to_owned(), bases as f64),
        (metric::TRAINING_SECONDS.to_owned(), thread_cpu_seconds() - begun),
    ]);
    Drawn { artefact, records: records as u64, metrics, curve: Vec::new() }
}
