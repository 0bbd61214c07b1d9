//! Images in a program that was built without libtorch: models of them code, and none is trained.

use super::Images;
use crate::model::{Monitor, Start};
use crate::pipeline::learn::Run;
use crate::pipeline::learn::subject::{SubjectError, Taught};

impl Images {
    /// The settings of a training, for the manifest.
    pub fn config(&self) -> serde_json::Value {
        serde_json::json!({ "shape": self.shape.to_string() })
    }

    /// Says that this program cannot.
    pub fn train(
        &self,
        _train: &[&Run],
        _validation: &[&Run],
        _start: Start<'_>,
        _monitor: &mut dyn Monitor,
    ) -> Result<Result<Taught, String>, SubjectError> {
        let reason =
            "this latentd was built without libtorch, which trains on images: build it with the feature `training`";
        Ok(Err(reason.to_owned()))
    }
}
