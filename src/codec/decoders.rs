//! All decoders of one worker, made as streams of their kind turn up.

use std::sync::Arc;

use super::{Algorithm, Codec, CodecError, CodecSpec, ModelRef, ModelSource, build};

/// Codecs with a model that a worker keeps.
const KEPT: usize = 4;

/// The decoders of a worker that reads whatever mixture of codecs a topic holds.
pub struct Decoders {
    models: Arc<dyn ModelSource>,
    /// By frame byte.
    made: [Option<Box<dyn Codec>>; Algorithm::TABLE],
    /// Those with a model, the latest used first.
    learned: Vec<((Algorithm, ModelRef), Box<dyn Codec>)>,
}

impl Decoders {
    /// No decoder yet.
    pub fn new(models: &Arc<dyn ModelSource>) -> Self {
        Self { models: models.clone(), made: Default::default(), learned: Vec::new() }
    }

    /// The decoder of an algorithm, and of the model that a frame names beside it.
    ///
    /// `zstd` and `zstd-dict` are one format and share one decoder with its dictionaries.
    pub fn codec(
        &mut self,
        algorithm: Algorithm,
        model: Option<ModelRef>,
    ) -> Result<&mut (dyn Codec + 'static), CodecError> {
        if let Some(model) = model {
            return self.learned(algorithm, model);
        }
        if Algorithm::LEARNED.contains(&algorithm) {
            return Err(algorithm.corrupt("its frame names no model"));
        }
        let algorithm = match algorithm {
            Algorithm::ZstdDict => Algorithm::Zstd,
            other => other,
        };
        Ok(match &mut self.made[algorithm as usize] {
            Some(decoder) => &mut **decoder,
            empty => &mut **empty.insert(build(CodecSpec::new(algorithm), &self.models)?),
        })
    }

    /// The codec of a model that a frame names, fetched and made if need be.
    fn learned(&mut self, algorithm: Algorithm, model: ModelRef) -> Result<&mut (dyn Codec + 'static), CodecError> {
        match self.learned.iter().position(|(known, _)| *known == (algorithm, model)) {
            Some(0) => {}
            Some(position) => self.learned[..=position].rotate_right(1),
            None => {
                let artefact = self.models.artefact(model)?;
                let codec = self.models.learned().open(algorithm, &artefact)?;
                self.learned.truncate(KEPT - 1);
                self.learned.insert(0, ((algorithm, model), codec));
            }
        }
        Ok(&mut *self.learned[0].1)
    }

    /// Appends the decoded bytes of `input` to `output`, as [`Codec::decode`] does.
    pub fn decode(
        &mut self,
        algorithm: Algorithm,
        input: &[u8],
        limit: usize,
        output: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        self.codec(algorithm, None)?.decode(input, limit, output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::NoModels;

    #[test]
    fn a_mixture_of_codecs_is_decoded_by_the_token_of_each() {
        let models: Arc<dyn ModelSource> = Arc::new(NoModels);
        let mut decoders = Decoders::new(&models);
        for round in 0..2 {
            for algorithm in Algorithm::ALL {
                let record = format!("record {round} of {algorithm}");
                let mut coded = Vec::new();
                build(CodecSpec::new(algorithm), &models).unwrap().encode(record.as_bytes(), &mut coded).unwrap();
                let token = algorithm.content_encoding().as_bytes();
                let named = Algorithm::from_content_encoding(token).unwrap();
                let mut decoded = Vec::new();
                decoders.decode(named, &coded, 100, &mut decoded).unwrap();
                assert_eq!(decoded, record.as_bytes());
            }
        }
    }
}
