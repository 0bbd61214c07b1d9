//! What can go wrong with a registry, by what a caller does about it.

use crate::codec::ModelId;
use crate::model::{DictionaryError, ManifestError};

/// Why the registry did not do it.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// There is a registry, and it does not have this.
    #[error("no {what} in registry `{registry}`{remedy}")]
    NotFound {
        /// The registry's URL.
        registry: String,
        /// What was looked for.
        what: String,
        /// What may have happened, or what to do; begins with punctuation.
        remedy: &'static str,
    },
    /// There is no registry here, which is what an unmounted volume and a mistyped URL look like.
    #[error(
        "there is no registry at `{registry}` (no `registry.json`): check the URL, and that the volume is mounted; \
         publishing a model makes one"
    )]
    NoRegistry {
        /// The registry's URL.
        registry: String,
    },
    /// More than one model fits the text.
    #[error("`{text}` fits {} models: {}", candidates.len(), list(candidates))]
    Ambiguous {
        /// What was asked for.
        text: String,
        /// The models that fit.
        candidates: Vec<ModelId>,
    },
    /// Another model has the number or the prefix that this one would be found by: derive another and publish that.
    #[error("{what} belongs to model {owner} already: publish under another salt or seed")]
    Taken {
        /// What is taken.
        what: String,
        /// Who has it.
        owner: ModelId,
    },
    /// The store gave bytes that cannot be right. They stay as they are.
    #[error("`{object}` is damaged: {detail}; restore it from a copy, or import the model again")]
    Corrupt {
        /// The object's URL.
        object: String,
        /// What was expected and what was found, with the hashes.
        detail: String,
    },
    /// The store did not answer, or could not. The same call may succeed later.
    #[error("registry `{registry}` cannot be reached or written just now: {detail}")]
    Unavailable {
        /// The registry's URL.
        registry: String,
        /// What the store said.
        detail: String,
    },
    /// The store refused: wrong or missing credentials, or missing rights.
    #[error("registry `{registry}` refused: {detail}; check the credentials and their rights")]
    Denied {
        /// The registry's URL.
        registry: String,
        /// What the store said.
        detail: String,
    },
    /// The call itself is wrong; repeating it changes nothing.
    #[error("{detail}")]
    Invalid {
        /// What is wrong, and what to do.
        detail: String,
    },
    /// The active pointer is not where the caller believed it was; somebody else moved it.
    #[error("pipeline `{pipeline}` uses {} by now, by {by}: look again before changing it", name(current))]
    Conflict {
        /// The pipeline.
        pipeline: String,
        /// What it uses.
        current: Option<ModelId>,
        /// Who moved it.
        by: String,
    },
}

impl RegistryError {
    /// Whether the same call may succeed later, without anybody changing the call.
    ///
    /// Also true where a human must act first (rights, a volume that is not mounted): the answer "there is no such
    /// model" was not given, so nobody may act as if it had been.
    pub fn is_retriable(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Denied { .. } | Self::NoRegistry { .. })
    }

    pub(super) fn invalid(detail: impl Into<String>) -> Self {
        Self::Invalid { detail: detail.into() }
    }
}

impl From<ManifestError> for RegistryError {
    fn from(error: ManifestError) -> Self {
        Self::Invalid { detail: format!("the model's manifest is bad: {}", chain(&error)) }
    }
}

impl From<DictionaryError> for RegistryError {
    fn from(error: DictionaryError) -> Self {
        Self::Invalid { detail: format!("the model's artefact is bad: {error}") }
    }
}

/// An error and its sources in one line, each part once.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let part = error.to_string();
        // Many errors of the store repeat their source in their own text.
        if !text.contains(&part) {
            text = format!("{text}: {part}");
        }
        source = error.source();
    }
    // Servers answer in XML of several lines.
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn list(models: &[ModelId]) -> String {
    models.iter().map(|model| format!("`{}…`", &model.to_string()[..16])).collect::<Vec<_>>().join(", ")
}

fn name(model: &Option<ModelId>) -> String {
    model.map_or_else(|| "no model".to_owned(), |model| format!("model {model}"))
}
