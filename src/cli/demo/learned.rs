//! What the pipelines learned while the demonstration ran: seen as it happens, and told at the end.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde_json::{Value, json};

use crate::model::Manifest;
use crate::model::manifest::metric;
use crate::registry::Registry;
use crate::telemetry::StatusBoard;

/// A model that came into use.
#[derive(Clone, Debug)]
pub struct Swap {
    /// Its id.
    pub model: String,
    /// Seconds after the demonstration's start.
    pub seconds: f64,
    /// Where it was learned and how it did; nothing when the registry does not say.
    pub manifest: Option<Manifest>,
}

/// The models that one pipeline has used.
pub struct Learned {
    pipeline: String,
    started: Instant,
    swaps: Mutex<Vec<Swap>>,
}

impl Learned {
    /// None yet.
    pub fn new(pipeline: &str) -> Self {
        Self { pipeline: pipeline.to_owned(), started: Instant::now(), swaps: Mutex::default() }
    }

    /// Looks at what the pipeline uses; the model, if it is another one than before.
    pub fn look(&self, board: &StatusBoard) -> Option<Swap> {
        let id = board.pipeline(&self.pipeline)?.snapshot().model?.id;
        let mut swaps = self.swaps.lock().unwrap_or_else(PoisonError::into_inner);
        if swaps.last().is_some_and(|last| last.model == id) {
            return None;
        }
        let swap = Swap { model: id, seconds: self.started.elapsed().as_secs_f64(), manifest: None };
        swaps.push(swap.clone());
        Some(swap)
    }

    /// The models, the first first, with what the registry says of them.
    pub async fn lineage(&self, registry: &Registry) -> Vec<Swap> {
        let mut swaps = self.swaps.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for swap in &mut swaps {
            if let Ok(id) = swap.model.parse() {
                swap.manifest = registry.manifest(&id).await.ok();
            }
        }
        swaps
    }
}

impl Swap {
    /// The beginning of its id.
    pub fn short(&self) -> &str {
        self.model.get(..12).unwrap_or(&self.model)
    }

    /// For people: when, which, how well.
    pub fn told(&self) -> String {
        let figure = |name| {
            let value = self.manifest.as_ref().and_then(|manifest| manifest.metrics.get(name));
            value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"))
        };
        let family = self.manifest.as_ref().map_or("model", |manifest| manifest.family.as_str());
        format!(
            "{:4.0} s  {family} {}…  {} bytes/record when it was judged, the one before {}, zstd {}",
            self.seconds,
            self.short(),
            figure(metric::CANDIDATE),
            figure(metric::INCUMBENT),
            figure(metric::PLAIN),
        )
    }

    /// For programs.
    pub fn json(&self) -> Value {
        json!({ "model": self.model, "seconds": self.seconds, "manifest": self.manifest })
    }
}
