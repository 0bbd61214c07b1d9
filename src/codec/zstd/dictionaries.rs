//! Dictionaries ready for decoding, by the id that frames carry.

use std::sync::Arc;

use zstd_safe::DDict;

use crate::codec::{Algorithm, CodecError, ModelRef, ModelSource};

/// Prepared dictionaries that a worker keeps. Each takes its artefact's size and 27 KB of tables.
const KEPT: usize = 8;

/// The dictionaries that one decoder has met, the latest used first.
pub(super) struct Dictionaries {
    models: Arc<dyn ModelSource>,
    /// The dictionary of the codec itself, never dropped.
    own: Option<(u32, DDict<'static>)>,
    recent: Vec<(u32, DDict<'static>)>,
}

impl Dictionaries {
    pub fn new(models: Arc<dyn ModelSource>) -> Self {
        Self { models, own: None, recent: Vec::new() }
    }

    /// Keeps this dictionary for good.
    pub fn own(&mut self, artefact: &[u8]) -> Result<(), CodecError> {
        self.own = Some(prepare(Algorithm::ZstdDict, artefact, None)?);
        Ok(())
    }

    /// Where dictionaries other than the codec's own are looked for.
    pub fn look_in(&mut self, models: Arc<dyn ModelSource>) {
        self.models = models;
    }

    /// The dictionary with this id, fetched and prepared if need be.
    pub fn prepared(&mut self, algorithm: Algorithm, id: u32) -> Result<&DDict<'static>, CodecError> {
        if self.own.as_ref().is_some_and(|(own, _)| *own == id) {
            return Ok(&self.own.as_ref().expect("it was there one line ago").1);
        }
        match self.recent.iter().position(|(known, _)| *known == id) {
            Some(0) => {}
            Some(position) => self.recent[..=position].rotate_right(1),
            None => {
                let artefact = self.models.artefact(ModelRef::ZstdDictionary(id))?;
                let dictionary = prepare(algorithm, &artefact, Some(id))?;
                self.recent.truncate(KEPT - 1);
                self.recent.insert(0, dictionary);
            }
        }
        Ok(&self.recent[0].1)
    }
}

/// Parses a dictionary; `id` is the id that it must have.
fn prepare(algorithm: Algorithm, artefact: &[u8], id: Option<u32>) -> Result<(u32, DDict<'static>), CodecError> {
    let found = dictionary_id(artefact).ok_or_else(|| algorithm.failed("the artefact is no zstd dictionary"))?;
    if id.is_some_and(|id| id != found) {
        return Err(algorithm.failed(format_args!("the artefact found is dictionary {found}, which was not asked for")));
    }
    let dictionary = DDict::try_create(artefact)
        .ok_or_else(|| algorithm.failed(format_args!("dictionary {found} is damaged: zstd cannot read its tables")))?;
    Ok((found, dictionary))
}

/// The id of a standard zstd dictionary: bytes 4 to 8, after the magic. `None` for anything else, raw content included.
pub(super) fn dictionary_id(artefact: &[u8]) -> Option<u32> {
    zstd_safe::get_dict_id_from_dict(artefact).map(std::num::NonZeroU32::get)
}
