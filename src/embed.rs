//! For consumers that embed the decoder: what latentd wrote, back into records, with models from a folder.
//!
//! No Kafka client, no runtime, no network: the consumer brings its own. `cargo add latentd --no-default-features --features
//! decode`; `examples/decode.rs` is a whole program.
//!
//! ```no_run
//! # let value: Vec<u8> = Vec::new();
//! let mut reader = latentd::embed::Reader::open("/var/lib/latentd/registry");
//! for record in reader.read(&value)?.iter() {
//!     println!("{:?}: {:?}", record.key, record.value);
//! }
//! # Ok::<(), latentd::codec::CodecError>(())
//! ```

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::codec::{CodecError, Content, LearnedCodecs, MissingModel, ModelId, ModelRef, ModelSource, Restorer};
use crate::model::{Dictionary, Learned, package};
use crate::record::{HeaderRefs, RecordRef, Timestamp};

/// What one value may decode to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of one record or block.
    pub max_bytes: usize,
    /// Most records of one block.
    pub max_records: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_bytes: 64 << 20, max_records: 1 << 20 }
    }
}

/// Reads what latentd wrote, whatever mixture of codecs and layouts it is. One per thread; its contexts are used again.
pub struct Reader {
    restorer: Restorer,
}

impl Reader {
    /// A reader whose models lie in a folder: a registry's (`file:///folder`), or one of files that `latentd models export`
    /// wrote. They are looked for when a value names them.
    pub fn open(models: impl Into<PathBuf>) -> Self {
        Self::with(Arc::new(ModelFolder::new(models)), Limits::default())
    }

    /// A reader with models from anywhere and limits of one's own.
    pub fn with(models: Arc<dyn ModelSource>, limits: Limits) -> Self {
        Self { restorer: Restorer::new(&models, limits.max_bytes, limits.max_records) }
    }

    /// The records of a value: those of a block, or the one. What is not coded comes back as it is.
    pub fn read<'a>(&'a mut self, value: &'a [u8]) -> Result<Records<'a>, CodecError> {
        let (headers, timestamp) = (HeaderRefs::new(), Timestamp::create(-1));
        self.restore(&RecordRef { key: None, value: Some(value), headers, timestamp, offset: 0 })
    }

    /// The records of a Kafka record, whose `content-encoding` header says what its value is. What stands beside the value
    /// is kept where the record holds one record; a block brings its own keys, headers, timestamps and offsets.
    pub fn restore<'s, 'r: 's>(&'s mut self, record: &RecordRef<'r>) -> Result<Records<'s>, CodecError> {
        Ok(Records(self.restorer.restore(record)?.content))
    }
}

/// Restored records.
pub struct Records<'a>(Content<'a>);

impl<'a> Records<'a> {
    /// The records, in order.
    pub fn iter(&self) -> impl Iterator<Item = RecordRef<'a>> + use<'a> {
        let (one, block) = match &self.0 {
            Content::Record(record) => (Some(record.clone()), None),
            Content::Block(block) => (None, Some(*block)),
        };
        one.into_iter().chain(block.into_iter().flat_map(|block| block.records()))
    }
}

/// Largest file of a model that is read.
const MAX_FILE: u64 = 1 << 30;

/// How the file of an exported model ends.
const EXPORTED: &str = "latentd-model";

/// Models in a folder: a registry's, or exported ones. Each is verified by its BLAKE3 before it is used.
#[derive(Clone, Debug)]
pub struct ModelFolder {
    folder: PathBuf,
}

impl ModelFolder {
    /// Models in this folder. Nothing is read yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    fn find(&self, model: ModelRef) -> io::Result<Vec<Vec<u8>>> {
        let mut found = self.published(model)?;
        for path in entries(&self.folder)? {
            if path.extension().is_some_and(|extension| extension == EXPORTED) {
                let file = read(&path)?;
                // Another program's file, or a damaged one, is no model of ours.
                found.extend(package::unpack(&file).ok().map(|unpacked| unpacked.artefact.to_vec()));
            }
        }
        found.retain(|artefact| names(artefact, model));
        found.sort();
        found.dedup();
        Ok(found)
    }

    /// What lies where a registry keeps its models (`registry/layout.rs`).
    fn published(&self, model: ModelRef) -> io::Result<Vec<Vec<u8>>> {
        let models = self.folder.join("models");
        let folders = match model {
            ModelRef::Prefix(prefix) => entries(&models.join(format!("{:08x}", u32::from_be_bytes(prefix))))?,
            ModelRef::Short([a, b, c]) => {
                let beginning = format!("{a:02x}{b:02x}{c:02x}");
                let mut folders = Vec::new();
                for shard in entries(&models)? {
                    let name = shard.file_name().and_then(|name| name.to_str());
                    if name.is_some_and(|name| name.starts_with(&beginning)) {
                        folders.extend(entries(&shard)?);
                    }
                }
                folders
            }
            ModelRef::ZstdDictionary(number) => {
                let pointer = self.folder.join("dictionaries").join(format!("{number:010}.json"));
                let id = or_none(read(&pointer))?.and_then(|json| named_model(&json));
                id.map(|id| models.join(&id.to_string()[..8]).join(id.to_string())).into_iter().collect()
            }
        };
        let mut found = Vec::new();
        for folder in folders {
            // A model without a manifest is one that was never finished.
            if folder.join("manifest.json").is_file() {
                found.extend(or_none(read(&folder.join("artefact")))?);
            }
        }
        Ok(found)
    }
}

impl ModelSource for ModelFolder {
    fn learned(&self) -> &dyn LearnedCodecs {
        &Learned
    }

    fn artefact(&self, model: ModelRef) -> Result<Arc<[u8]>, MissingModel> {
        let folder = self.folder.display();
        let missing = |looked_in: String, retriable| MissingModel { model, looked_in, retriable };
        let mut found =
            self.find(model).map_err(|error| missing(format!("folder `{folder}` cannot be read: {error}"), true))?;
        if found.len() > 1 {
            let ids: Vec<String> = found.iter().map(|artefact| ModelId::of(artefact).to_string()).collect();
            return Err(missing(format!("folder `{folder}` has {} that fit: {}", ids.len(), ids.join(", ")), false));
        }
        let none = || missing(format!("folder `{folder}` has none, as a registry or as exported files"), false);
        found.pop().map(Arc::from).ok_or_else(none)
    }
}

/// Whether an artefact is what a frame names.
fn names(artefact: &[u8], model: ModelRef) -> bool {
    match model {
        ModelRef::Prefix(_) | ModelRef::Short(_) => model.begins(&ModelId::of(artefact)),
        ModelRef::ZstdDictionary(number) => Dictionary::parse(artefact).is_ok_and(|found| found.id() == number),
    }
}

/// The model in a registry's object of a dictionary's number.
fn named_model(json: &[u8]) -> Option<ModelId> {
    let value: serde_json::Value = serde_json::from_slice(json).ok()?;
    value.get("model")?.as_str()?.parse().ok()
}

/// What a folder holds, in no order; nothing when there is none.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let Some(entries) = or_none(fs::read_dir(folder))? else { return Ok(Vec::new()) };
    entries.map(|entry| Ok(entry?.path())).collect()
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What is not there is no failure.
fn or_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::block::BlockBuilder;
    use crate::codec::{Algorithm, Codec as _, CodecSpec, NoModels, build, seal};
    use crate::model::columns::Options;
    use crate::model::{ColumnsCodec, ColumnsModel, Family, Manifest};
    use crate::record::Record;

    fn records() -> Vec<Record> {
        (0..400)
            .map(|number| Record {
                key: Some(format!("k{}", number % 5).into()),
                value: Some(format!("{{\"number\":{number},\"half\":{}}}", number / 2).into()),
                headers: Vec::new(),
                timestamp: Timestamp::create(1_700_000_000_000 + number),
                offset: number,
            })
            .collect()
    }

    fn model() -> ColumnsModel {
        let records = records();
        let values: Vec<&[u8]> = records.iter().filter_map(|record| record.value.as_deref()).collect();
        ColumnsModel::train(&values, &Options { effort: 1_000_000, ..Options::default() })
    }

    fn block(codec: &mut dyn crate::codec::Codec) -> Vec<u8> {
        let mut builder = BlockBuilder::default();
        records().iter().for_each(|record| builder.push(&record.as_ref()));
        let mut block = Vec::new();
        builder.encode(codec, &mut block).unwrap();
        block
    }

    #[test]
    fn a_block_and_a_record_of_an_exported_model_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let model = Arc::new(model());
        let manifest = Manifest::new(model.artefact(), Family::COLUMNS, "numbers", "2026-01-01T00:00:00Z");
        let file = package::pack(&manifest.to_json().unwrap(), model.artefact()).unwrap();
        fs::write(folder.path().join("numbers.latentd-model"), file).unwrap();
        fs::write(folder.path().join("strange.latentd-model"), b"something else").unwrap();
        let mut codec = ColumnsCodec::new(Arc::clone(&model));
        let mut reader = Reader::open(folder.path());
        let coded = block(&mut codec);
        let back: Vec<Record> = reader.read(&coded).unwrap().iter().map(|record| record.to_owned()).collect();
        assert_eq!(back, records());
        let value = records()[7].value.clone().unwrap();
        let (mut coded, mut sealed) = (Vec::new(), Vec::new());
        codec.encode(&value, &mut coded).unwrap();
        seal(Algorithm::Columns, Some(model.id().prefix()), &coded, &value, &mut sealed);
        assert_eq!(reader.read(&sealed).unwrap().iter().next().unwrap().value, Some(&value[..]));
    }

    #[test]
    fn what_needs_no_model_needs_no_folder() {
        let mut codec = build(CodecSpec::new(Algorithm::Zstd), &(Arc::new(NoModels) as _)).unwrap();
        let mut reader = Reader::open("/nowhere");
        assert_eq!(reader.read(&block(&mut *codec)).unwrap().iter().count(), 400);
        assert_eq!(reader.read(b"plain").unwrap().iter().next().unwrap().value, Some(&b"plain"[..]));
    }

    #[test]
    fn a_missing_model_is_named_with_the_folder() {
        let model = Arc::new(model());
        let coded = block(&mut ColumnsCodec::new(Arc::clone(&model)));
        let folder = tempfile::tempdir().unwrap();
        let error = Reader::open(folder.path()).read(&coded).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(&model.id().to_string()[..8]), "{error}");
        assert!(error.contains(&folder.path().display().to_string()), "{error}");
    }
}
