//! Generators in a program that was built without libtorch: models of all kinds draw, and those are made that are no networks.

use super::{Drawing, Drawn, Kind, Material, Painter, Writer, classical};
use crate::model::{Monitor, rows};
use crate::pipeline::learn::Turn;
use crate::pipeline::learn::subject::SubjectError;
use crate::telemetry::thread_cpu_seconds;

impl Drawing {
    /// Makes what needs no training, and says of the rest that this program cannot.
    pub fn train(
        &self,
        material: Material,
        _turn: Turn,
        _monitor: &mut dyn Monitor,
    ) -> Result<Result<Drawn, String>, SubjectError> {
        let begun = thread_cpu_seconds();
        match &self.kind {
            Kind::Rows(Writer::Classical) => Ok(rows::learn(&material.values())
                .map_err(|error| error.to_string())
                .and_then(|coded| classical::of_rows(&coded, self.bases, self.seed, begun))),
            Kind::Images(Painter::Classical, shape, label) => match material.pictures(*shape, label.as_ref()) {
                Ok(pictures) => classical::of_images(*shape, &pictures, (self.bases, self.seed), begun),
                Err(reason) => Ok(Err(reason)),
            },
            _ => {
                let records = material.count();
                Ok(Err(format!(
                    "this latentd was built without libtorch, which would train on {records} records: build it with the feature `training`"
                )))
            }
        }
    }
}
