//! From an artefact to the codec that it is for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::columns::{ColumnsCodec, ColumnsModel};
use super::latent::{LatentCodec, LatentModel};
use crate::codec::{Algorithm, Codec, CodecError, LearnedCodecs, ModelId};

/// All learned codecs of this release. What a [`ModelSource`](crate::codec::ModelSource) answers with.
///
/// A process holds each model once, however many codecs it makes of it, and as long as one of them lives.
pub struct Learned;

static COLUMNS: Shared<ColumnsModel> = Shared::new();
static LATENT: Shared<LatentModel> = Shared::new();

impl LearnedCodecs for Learned {
    fn open(&self, algorithm: Algorithm, artefact: &Arc<[u8]>) -> Result<Box<dyn Codec>, CodecError> {
        let failed = |detail: String| CodecError::Coder { algorithm, detail };
        match algorithm {
            Algorithm::Columns => {
                let model = COLUMNS.get(artefact, ColumnsModel::parse).map_err(|error| failed(error.to_string()))?;
                Ok(Box::new(ColumnsCodec::new(model)))
            }
            Algorithm::Latent => {
                let model = LATENT.get(artefact, LatentModel::parse).map_err(|error| failed(error.to_string()))?;
                Ok(Box::new(LatentCodec::new(model)))
            }
            other => Err(failed(format!("the frame names a model, and {other} takes none: use a newer latentd"))),
        }
    }
}

/// Models that somebody uses, by their content.
struct Shared<M>(Mutex<BTreeMap<ModelId, Weak<M>>>);

impl<M> Shared<M> {
    const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// The model of an artefact, which is parsed where nobody has it yet. Whoever asks in the meantime waits: most likely for
    /// the same.
    fn get<E>(&self, artefact: &[u8], parse: impl FnOnce(&[u8]) -> Result<M, E>) -> Result<Arc<M>, E> {
        let id = ModelId::of(artefact);
        // A panic in between leaves nothing half done.
        let mut models = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(model) = models.get(&id).and_then(Weak::upgrade) {
            return Ok(model);
        }
        let model = Arc::new(parse(artefact)?);
        models.retain(|_, model| model.strong_count() > 0);
        models.insert(id, Arc::downgrade(&model));
        Ok(model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_parsed_once_as_long_as_it_is_used() {
        let shared: Shared<Vec<u8>> = Shared::new();
        let mut parsed = 0;
        let mut get = |artefact: &[u8]| {
            shared.get(artefact, |bytes| {
                parsed += 1;
                if bytes.is_empty() { Err("empty") } else { Ok(bytes.to_vec()) }
            })
        };
        let first = get(b"one").unwrap();
        let again = get(b"one").unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        let other = get(b"other").unwrap();
        assert_eq!((first.as_slice(), other.as_slice()), (&b"one"[..], &b"other"[..]));
        assert_eq!([get(b""), get(b"")], [Err("empty"), Err("empty")]);
        drop((first, again));
        let anew = get(b"one").unwrap();
        assert_eq!(anew.as_slice(), b"one");
        assert_eq!(parsed, 5);
        drop(anew);
        shared.get(b"third", |bytes| Ok::<_, ()>(bytes.to_vec())).unwrap();
        let models = shared.0.lock().unwrap();
        assert_eq!(models.len(), 2, "those that nobody uses are forgotten, but for the last");
    }
}
