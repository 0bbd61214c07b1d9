//! What a training goes back to when things have become worse.

use tch::Tensor;

use super::TrainingError;
use super::adam::Adam;
use super::affine::{copies, put_back};

/// Parameters and moments as they were.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub parameters: Vec<Tensor>,
    pub first: Vec<Tensor>,
    pub second: Vec<Tensor>,
    /// Steps that the moments are of.
    pub moments: u32,
}

impl Snapshot {
    /// Of these.
    pub fn of(parameters: &[&Tensor], adam: &Adam, moments: u32) -> Self {
        let all = |tensors: &[Tensor]| copies(&tensors.iter().collect::<Vec<_>>());
        Self { parameters: copies(parameters), first: all(&adam.first), second: all(&adam.second), moments }
    }

    /// Makes them so again.
    pub fn restore(&self, parameters: &[&Tensor], adam: &Adam) -> Result<(), TrainingError> {
        put_back(parameters, &self.parameters)?;
        put_back(&adam.first.iter().collect::<Vec<_>>(), &self.first)?;
        put_back(&adam.second.iter().collect::<Vec<_>>(), &self.second)
    }
}
