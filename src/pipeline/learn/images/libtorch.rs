//! Images, trained on with libtorch.

use std::sync::Arc;

use super::Images;
use crate::model::latent::MAX_WRAPPINGS;
use crate::model::{LatentModel, Monitor, Start};
use crate::payload::image::{Opened, Wrapping};
use crate::pipeline::learn::Run;
use crate::pipeline::learn::subject::{SubjectError, Taught};
use crate::training::TrainingError;
use crate::training::latent::{Budget, Data, Recipe, train};

/// Fewest images that are worth a training.
const FEWEST: usize = 200;

impl Images {
    /// The settings of a training, for the manifest.
    pub fn config(&self) -> serde_json::Value {
        serde_json::json!({
            "shape": self.shape.to_string(),
            "cpu_seconds": self.cpu.as_secs_f64(),
            "seed": self.seed,
            "recipe": format!("{:?}", Recipe::default()),
        })
    }

    /// Learns a model of the values that are images.
    pub fn train(
        &self,
        train_runs: &[&Run],
        validation_runs: &[&Run],
        start: Start<'_>,
        monitor: &mut dyn Monitor,
    ) -> Result<Result<Taught, String>, SubjectError> {
        let values = || train_runs.iter().chain(validation_runs).flat_map(|run| run.values());
        let wrappings = Wrapping::learn(values(), self.shape, MAX_WRAPPINGS);
        let mut opened = Opened::default();
        let mut images = |runs: &[&Run]| {
            let mut samples = Vec::new();
            for value in runs.iter().flat_map(|run| run.values()) {
                if wrappings.iter().any(|wrapping| wrapping.open(value, self.shape, &mut opened)) {
                    samples.extend_from_slice(&opened.samples);
                }
            }
            samples
        };
        let (training, validation) = (images(train_runs), images(validation_runs));
        let found = training.len() / self.shape.samples();
        if found < FEWEST {
            return Ok(Err(format!(
                "{found} of {} records are images of {}: its samples alone, or a PGM, PPM or PNG file of them; a training \
                 takes {FEWEST}",
                train_runs.iter().map(|run| run.len()).sum::<usize>(),
                self.shape
            )));
        }
        if validation.is_empty() {
            return Ok(Err("none of the records that a training is tuned on is an image".to_owned()));
        }
        let data = Data { shape: self.shape, training: &training, validation: &validation };
        let budget = Budget { steps: u32::MAX, cpu: Some(self.cpu) };
        let mut begin = |start| train(data, &Recipe::default(), self.seed, budget, start, monitor);
        let trained = match begin(start) {
            Err(TrainingError::Checkpoint(reason)) if start != Start::Anew => {
                tracing::warn!(target: "latentd", "a training begins anew: its checkpoint is of no use: {reason}");
                begin(Start::Anew)
            }
            trained => trained,
        }?;
        let parts = trained.parts.with_wrappings(wrappings)?;
        let artefact = Arc::clone(LatentModel::new(&parts).artefact());
        Ok(Ok(Taught { artefact, state: Some(trained.state), curve: trained.curve, rewinds: trained.rewinds }))
    }
}
