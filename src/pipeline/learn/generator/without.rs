//! Generators in a program that was built without libtorch: models of them draw, and none is trained.

use super::{Drawing, Drawn, Material};
use crate::model::Monitor;
use crate::pipeline::learn::subject::SubjectError;

impl Drawing {
    /// Says that this program cannot.
    pub fn train(&self, material: Material, _monitor: &mut dyn Monitor) -> Result<Result<Drawn, String>, SubjectError> {
        let records = material.labelled().len();
        Ok(Err(format!(
            "this latentd was built without libtorch, which would train on {records} records: build it with the feature `training`"
        )))
    }
}
