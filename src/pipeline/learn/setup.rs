//! What records are coded with: a codec, and its model where it has one.

use std::sync::Arc;

use crate::codec::{
    Algorithm, Codec, CodecError, CodecSpec, LearnedCodecs, MissingModel, ModelRef, ModelSource, ZstdDictCodec, build,
};
use crate::model::{Family, Learned};

/// A codec with its model. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// The codec.
    pub spec: CodecSpec,
    /// Its model.
    pub artefact: Option<Arc<[u8]>>,
}

impl Setup {
    /// A codec that needs no model.
    pub fn plain(spec: CodecSpec) -> Self {
        Self { spec, artefact: None }
    }

    /// A codec with its model.
    pub fn with_model(spec: CodecSpec, artefact: Arc<[u8]>) -> Self {
        Self { spec, artefact: Some(artefact) }
    }

    /// The kind of its model, where it has one.
    pub fn family(&self) -> Option<Family> {
        self.artefact.as_ref()?;
        Family::of(self.spec.algorithm())
    }

    /// The codec at work. `models` says who makes learned codecs, and has the dictionaries that frames name.
    pub fn codec(&self, models: &Arc<dyn ModelSource>) -> Result<Box<dyn Codec>, CodecError> {
        let Some(artefact) = &self.artefact else { return build(self.spec, models) };
        match self.spec.algorithm() {
            Algorithm::ZstdDict => {
                Ok(Box::new(ZstdDictCodec::with_dictionary(self.spec.level(), Arc::clone(artefact))?))
            }
            algorithm => models.learned().open(algorithm, artefact),
        }
    }

    /// The codec at work where nothing comes that another model coded.
    pub fn alone(&self) -> Result<Box<dyn Codec>, CodecError> {
        let models: Arc<dyn ModelSource> = Arc::new(Alone);
        self.codec(&models)
    }
}

/// A source of no artefacts, which knows all learned codecs.
struct Alone;

impl ModelSource for Alone {
    fn artefact(&self, model: ModelRef) -> Result<Arc<[u8]>, MissingModel> {
        Err(MissingModel { model, looked_in: "only what is tried is here".to_owned(), retriable: false })
    }

    fn learned(&self) -> &dyn LearnedCodecs {
        &Learned
    }
}
