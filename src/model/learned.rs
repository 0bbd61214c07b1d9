//! From an artefact to the codec that it is for.

use std::sync::Arc;

use super::columns::{ColumnsCodec, ColumnsModel};
use super::latent::{LatentCodec, LatentModel};
use crate::codec::{Algorithm, Codec, CodecError, LearnedCodecs};

/// All learned codecs of this release. What a [`ModelSource`](crate::codec::ModelSource) answers with.
pub struct Learned;

impl LearnedCodecs for Learned {
    fn open(&self, algorithm: Algorithm, artefact: &Arc<[u8]>) -> Result<Box<dyn Codec>, CodecError> {
        let failed = |detail: String| CodecError::Coder { algorithm, detail };
        match algorithm {
            Algorithm::Columns => {
                let model = ColumnsModel::parse(artefact).map_err(|error| failed(error.to_string()))?;
                Ok(Box::new(ColumnsCodec::new(Arc::new(model))))
            }
            Algorithm::Latent => {
                let model = LatentModel::parse(artefact).map_err(|error| failed(error.to_string()))?;
                Ok(Box::new(LatentCodec::new(Arc::new(model))))
            }
            other => Err(failed(format!("the frame names a model, and {other} takes none: use a newer latentd"))),
        }
    }
}
