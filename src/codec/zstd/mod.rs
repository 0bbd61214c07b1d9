//! Zstandard frames, with and without a dictionary, on zstd's own contexts, which are made once and reused.

mod dictionaries;
mod frames;

use std::io::Cursor;
use std::sync::Arc;

use zstd_safe::{CCtx, CDict, CParameter, SafeResult, get_error_name};

use self::dictionaries::{Dictionaries, dictionary_id};
use self::frames::FrameReader;
use super::{Algorithm, Codec, CodecError, ModelId, ModelSource, NoModels};

/// Zstandard frames. Written without a checksum and with the content size; read with any dictionary that the models
/// hold.
pub struct ZstdCodec {
    writer: FrameWriter,
    reader: FrameReader,
}

impl ZstdCodec {
    /// Levels 1 to 22.
    pub fn new(level: i32, models: &Arc<dyn ModelSource>) -> Self {
        Self {
            writer: FrameWriter { algorithm: Algorithm::Zstd, level, context: None },
            reader: FrameReader::new(Algorithm::Zstd, Dictionaries::new(models.clone())),
        }
    }
}

impl Codec for ZstdCodec {
    fn algorithm(&self) -> Algorithm {
        Algorithm::Zstd
    }

    fn encode(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<(), CodecError> {
        self.writer.write(input, None, output)
    }

    fn decode(&mut self, input: &[u8], limit: usize, output: &mut Vec<u8>) -> Result<(), CodecError> {
        self.reader.read(input, limit, output)
    }
}

/// Zstandard frames with a dictionary learned from the topic. Until there is one it writes plain frames.
pub struct ZstdDictCodec {
    writer: FrameWriter,
    reader: FrameReader,
    dictionary: Option<(ModelId, CDict<'static>)>,
}

impl ZstdDictCodec {
    /// A codec whose topic has no dictionary yet: it writes plain frames, and reads any dictionary of `models`.
    pub fn new(level: i32, models: &Arc<dyn ModelSource>) -> Self {
        Self {
            writer: FrameWriter { algorithm: Algorithm::ZstdDict, level, context: None },
            reader: FrameReader::new(Algorithm::ZstdDict, Dictionaries::new(models.clone())),
            dictionary: None,
        }
    }

    /// A codec that writes with this dictionary, prepared once at `level`. It reads frames of this dictionary and,
    /// after [`ZstdDictCodec::looking_in`], of any other.
    ///
    /// The artefact is a standard zstd dictionary: magic, id, tables, content.
    pub fn with_dictionary(level: i32, artefact: Arc<[u8]>) -> Result<Self, CodecError> {
        let failed = |detail| CodecError::Coder { algorithm: Algorithm::ZstdDict, detail };
        let id = dictionary_id(&artefact).ok_or_else(|| failed("the artefact is no zstd dictionary".to_owned()))?;
        let prepared = CDict::try_create(&artefact, level)
            .ok_or_else(|| failed(format!("dictionary {id} is damaged: zstd cannot read its tables")))?;
        let nowhere: Arc<dyn ModelSource> = Arc::new(NoModels);
        let mut codec = Self::new(level, &nowhere);
        codec.reader.dictionaries.own(&artefact)?;
        codec.dictionary = Some((ModelId::of(&artefact), prepared));
        Ok(codec)
    }

    /// Where the dictionaries of other frames are looked for.
    pub fn looking_in(mut self, models: &Arc<dyn ModelSource>) -> Self {
        self.reader.dictionaries.look_in(models.clone());
        self
    }
}

impl Codec for ZstdDictCodec {
    fn algorithm(&self) -> Algorithm {
        Algorithm::ZstdDict
    }

    fn encode(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<(), CodecError> {
        let dictionary = self.dictionary.as_ref().map(|(_, prepared)| prepared);
        self.writer.write(input, dictionary, output)
    }

    fn decode(&mut self, input: &[u8], limit: usize, output: &mut Vec<u8>) -> Result<(), CodecError> {
        self.reader.read(input, limit, output)
    }

    fn model(&self) -> Option<ModelId> {
        self.dictionary.as_ref().map(|(id, _)| *id)
    }
}

/// An encoding context, made at first use.
struct FrameWriter {
    algorithm: Algorithm,
    level: i32,
    context: Option<CCtx<'static>>,
}

impl FrameWriter {
    /// Appends one frame. In one shot, so that zstd knows the size, fits its tables to it and stores it.
    fn write(
        &mut self,
        input: &[u8],
        dictionary: Option<&CDict<'static>>,
        output: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        let algorithm = self.algorithm;
        let checked = |result: SafeResult| result.map_err(|code| algorithm.failed(get_error_name(code)));
        let context = match &mut self.context {
            Some(context) => context,
            empty => {
                let mut context = CCtx::create();
                checked(context.set_parameter(CParameter::CompressionLevel(self.level)))?;
                empty.insert(context)
            }
        };
        let start = output.len();
        output.reserve(zstd_safe::compress_bound(input.len()));
        let mut tail = Cursor::new(output);
        tail.set_position(start as u64);
        checked(match dictionary {
            Some(dictionary) => context.compress_using_cdict(&mut tail, input, dictionary),
            None => context.compress2(&mut tail, input),
        })?;
        Ok(())
    }
}
