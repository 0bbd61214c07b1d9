//! Trainings that take minutes, in the registry: so that whoever trains next goes on where one was ended, whichever process it
//! is and wherever it runs, and begins where the last one came to.

use bytes::Bytes;

use super::{Registry, Result, layout};
use crate::codec::ModelId;

/// Largest samples and states that are read.
const MAX_SAMPLES: u64 = 1 << 30;
const MAX_STATE: u64 = 256 << 20;

/// A training that was begun and has not ended. What the bytes say is the trainer's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// What it learns from.
    pub samples: Bytes,
    /// How far it was.
    pub progress: Bytes,
}

impl Registry {
    /// Keeps what a pipeline's training learns from. One that was kept before is forgotten.
    pub async fn begin_training(&self, pipeline: &str, training: &Unfinished) -> Result<()> {
        self.mark().await?;
        // In this order, so that progress is never that of other samples.
        self.store.delete(&layout::progress(pipeline)).await?;
        self.store.put(&layout::samples(pipeline), training.samples.clone()).await?;
        self.save_training(pipeline, training.progress.clone()).await
    }

    /// Keeps how far a pipeline's training is.
    pub async fn save_training(&self, pipeline: &str, progress: Bytes) -> Result<()> {
        self.store.put(&layout::progress(pipeline), progress).await
    }

    /// A pipeline's training that was begun and has not ended.
    pub async fn unfinished_training(&self, pipeline: &str) -> Result<Option<Unfinished>> {
        let Some(progress) = self.store.get(&layout::progress(pipeline), MAX_STATE).await? else { return Ok(None) };
        let samples = self.store.get(&layout::samples(pipeline), MAX_SAMPLES).await?;
        Ok(samples.map(|samples| Unfinished { samples: samples.bytes, progress: progress.bytes }))
    }

    /// Forgets a pipeline's training.
    pub async fn end_training(&self, pipeline: &str) -> Result<()> {
        self.store.delete(&layout::progress(pipeline)).await?;
        self.store.delete(&layout::samples(pipeline)).await
    }

    /// Keeps what a training begins with that starts from a model. It goes when the model goes.
    pub async fn keep_state(&self, model: &ModelId, state: Bytes) -> Result<()> {
        self.store.put(&layout::state(model), state).await
    }

    /// What a training begins with that starts from a model.
    pub async fn state(&self, model: &ModelId) -> Result<Option<Bytes>> {
        Ok(self.store.get(&layout::state(model), MAX_STATE).await?.map(|object| object.bytes))
    }
}
