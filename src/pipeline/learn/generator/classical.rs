//! `classical` in a pipeline: a model that holds some of the records and makes others of them. Nothing is trained: it is there once the
//! records are read.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Drawn;
use crate::model::ClassicalRows;
use crate::model::manifest::metric;
use crate::model::rows::{ClassicalRecipe, Coded};
use crate::telemetry::thread_cpu_seconds;

/// Of rows as codes, of which so many may be held; `Err` says why there is none yet. `begun` is the CPU time of the thread before they
/// were read.
pub fn of_rows(coded: &Coded, bases: Option<usize>, seed: u64, begun: f64) -> Result<Drawn, String> {
    let recipe = ClassicalRecipe::default();
    let recipe = ClassicalRecipe { bases: bases.unwrap_or(recipe.bases), ..recipe };
    let model = ClassicalRows::new(coded, &recipe, seed).map_err(|error| error.to_string())?;
    Ok(drawn(Arc::clone(model.artefact()), coded.rows, model.bases(), begun))
}

/// What came of records, of which so many are held.
pub fn drawn(artefact: Arc<[u8]>, records: usize, bases: usize, begun: f64) -> Drawn {
    let metrics = BTreeMap::from([
        (metric::BASES.to_owned(), bases as f64),
        (metric::TRAINING_SECONDS.to_owned(), thread_cpu_seconds() - begun),
    ]);
    Drawn { artefact, records: records as u64, metrics, curve: Vec::new() }
}
