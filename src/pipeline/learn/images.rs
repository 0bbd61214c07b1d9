//! Images: which records are some, and what a training makes of them.

use std::time::Duration;

#[cfg(feature = "training")]
use std::sync::Arc;

use super::Run;
use super::subject::{SubjectError, Taught};
use crate::model::{Monitor, Start};
use crate::payload::image::Shape;

#[cfg(feature = "training")]
use crate::model::LatentModel;
#[cfg(feature = "training")]
use crate::model::latent::MAX_WRAPPINGS;
#[cfg(feature = "training")]
use crate::payload::image::{Opened, Wrapping};
#[cfg(feature = "training")]
use crate::training::{
    TrainingError,
    latent::{Budget, Data, Recipe, train},
};

/// One image in so many validates.
#[cfg(feature = "training")]
const VALIDATES: usize = 15;

/// Fewest images that are worth a training.
#[cfg(feature = "training")]
const FEWEST: usize = 200;

/// Where random numbers begin, where nobody says it.
pub const SEED: u64 = 0;

/// Images of one shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Images {
    /// Their shape.
    pub shape: Shape,
    /// CPU time of a training.
    pub cpu: Duration,
    /// Where its random numbers begin.
    pub seed: u64,
}

#[cfg(not(feature = "training"))]
impl Images {
    /// The settings of a training, for the manifest.
    pub fn config(&self) -> serde_json::Value {
        serde_json::json!({ "shape": self.shape.to_string() })
    }

    /// Says that this program cannot.
    pub fn train(
        &self,
        _samples: &[&Run],
        _start: Start<'_>,
        _monitor: &mut dyn Monitor,
    ) -> Result<Result<Taught, String>, SubjectError> {
        let reason =
            "this latentd was built without libtorch, which trains on images: build it with the feature `training`";
        Ok(Err(reason.to_owned()))
    }
}

#[cfg(feature = "training")]
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
        samples: &[&Run],
        start: Start<'_>,
        monitor: &mut dyn Monitor,
    ) -> Result<Result<Taught, String>, SubjectError> {
        let values = || samples.iter().flat_map(|run| run.values());
        let wrappings = Wrapping::learn(values(), self.shape, MAX_WRAPPINGS);
        let mut opened = Opened::default();
        let (mut training, mut validation) = (Vec::new(), Vec::new());
        let mut found = 0usize;
        for value in values() {
            if wrappings.iter().any(|wrapping| wrapping.open(value, self.shape, &mut opened)) {
                let part = if found.is_multiple_of(VALIDATES) { &mut validation } else { &mut training };
                part.extend_from_slice(&opened.samples);
                found += 1;
            }
        }
        if found < FEWEST {
            return Ok(Err(format!(
                "{found} of {} records are images of {}: its samples alone, or a PGM, PPM or PNG file of them; a training \
                 takes {FEWEST}",
                values().count(),
                self.shape
            )));
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
