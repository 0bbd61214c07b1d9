//! What can go wrong in a training.

use crate::engine::EngineError;
use crate::model::perceptron::LayerError;
use crate::model::{ImagesError, LatentError, RowsError};

/// Why there is no model.
#[derive(Debug, thiserror::Error)]
pub enum TrainingError {
    /// There is too little to learn from, or it is not what it is said to be.
    #[error("cannot train on this: {0}")]
    Data(String),
    /// A setting is out of range.
    #[error("cannot train like this: {0}")]
    Recipe(String),
    /// A checkpoint is damaged, or of another training.
    #[error("cannot go on from this checkpoint: {0}: begin anew")]
    Checkpoint(String),
    /// The monitor ended it.
    #[error("the training was ended before it was done")]
    Cancelled,
    /// It went wrong again and again, from each checkpoint that it went back to.
    #[error("the training does not converge: it went back to a checkpoint {rewinds} times")]
    Diverged {
        /// How often it went back.
        rewinds: u32,
    },
    /// The parts that it made are no model.
    #[error("what was trained is no model")]
    Model(#[from] LatentError),
    /// There are too few records for a model of rows, or too much is in them; or what was trained is none.
    #[error("no model of rows")]
    Rows(#[from] RowsError),
    /// There are too few images to draw others like them, or what was trained is no model.
    #[error("no model that draws images")]
    Images(#[from] ImagesError),
    /// The layers that it made are none.
    #[error("what was trained is no network")]
    Engine(#[from] EngineError),
    /// A layer that it made is none.
    #[error("what was trained is no layer")]
    Layer(#[from] LayerError),
    /// libtorch failed.
    #[error("libtorch failed")]
    Torch(#[from] tch::TchError),
}
