//! Images in a program that was built without libtorch: what judges them is a classifier, and none is trained.

use super::{Exam, Sat};
use crate::payload::image::Shape;
use crate::pipeline::augment::ExaminerError;
use crate::pipeline::learn::Samples;

impl Exam<'_> {
    /// Says that this program cannot.
    pub(super) fn pictures(&self, _samples: &Samples, _shape: Shape) -> Result<Sat, ExaminerError> {
        Err(ExaminerError::NoClassifier)
    }
}
