//! Rows, trained on with libtorch.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Drawing, Drawn, learned};
use crate::model::manifest::metric;
use crate::model::{Monitor, rows};
use crate::pipeline::learn::Samples;
use crate::pipeline::learn::subject::SubjectError;
use crate::training::Budget;
use crate::training::rows::{Recipe, train};

impl Drawing {
    /// Learns a generator; `Err` of the inner kind says why there is none yet.
    pub fn train(&self, samples: Samples, monitor: &mut dyn Monitor) -> Result<Result<Drawn, String>, SubjectError> {
        let coded = match rows::learn(&learned(&samples)) {
            Ok(coded) => coded,
            Err(error) => return Ok(Err(error.to_string())),
        };
        // As codes they take little; what the reservoir gives up meanwhile is to be free.
        drop(samples);
        let budget = Budget { steps: u32::MAX, cpu: Some(self.cpu) };
        let trained = train(&coded, &Recipe::default(), self.seed, budget, monitor)?;
        let metrics = BTreeMap::from([
            (metric::BITS_PER_ROW.to_owned(), trained.validation),
            (metric::TRAINING_SECONDS.to_owned(), trained.cpu.as_secs_f64()),
            (metric::REWINDS.to_owned(), trained.rewinds.into()),
        ]);
        let artefact = Arc::clone(trained.model.artefact());
        Ok(Ok(Drawn { artefact, records: coded.rows as u64, metrics, curve: trained.curve }))
    }
}
