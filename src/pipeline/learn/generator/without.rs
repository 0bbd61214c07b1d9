//! Generators in a program that was built without libtorch: models of them draw, and none is trained but those of rows that are no
//! networks.

use super::{Drawing, Drawn, Kind, Material, Writer, classical};
use crate::model::{Monitor, rows};
use crate::pipeline::learn::Turn;
use crate::pipeline::learn::subject::SubjectError;
use crate::telemetry::thread_cpu_seconds;

impl Drawing {
    /// Says that this program cannot, but for rows that are made of real ones.
    pub fn train(
        &self,
        material: Material,
        _turn: Turn,
        _monitor: &mut dyn Monitor,
    ) -> Result<Result<Drawn, String>, SubjectError> {
        if self.kind == Kind::Rows(Writer::Classical) {
            let begun = thread_cpu_seconds();
            let coded = rows::learn(&material.values());
            return Ok(coded
                .map_err(|error| error.to_string())
                .and_then(|coded| classical::of_rows(&coded, self.bases, self.seed, begun)));
        }
        let records = material.labelled().len();
        Ok(Err(format!(
            "this latentd was built without libtorch, which would train on {records} records: build it with the feature `training`"
        )))
    }
}
