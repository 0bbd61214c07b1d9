//! Golden files: bytes of each format version, and what they decode to.
//!
//! `tests/golden/v1/FOLDER/NAME.bin` is a record's value as latentd wrote it; `NAME.json` beside it says what wrote it, which
//! `content-encoding` it goes with, and what it holds. Files are added and never changed: `LATENTD_BLESS=1` writes those of
//! [`cases`](super::cases) that are missing, and touches no other.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use latentd::codec::block::BlockBuilder;
use latentd::codec::{
    self, Algorithm, CONTENT_ENCODING, Codec, CodecError, CodecSpec, Content, LATENTD, LearnedCodecs, MissingModel,
    ModelId, ModelRef, ModelSource, NoModels, Restorer, ZstdDictCodec,
};
use latentd::frame::{FrameHeader, Guard, Kind, Reader};
use latentd::model::Learned;
use latentd::record::{Header, HeaderRef, HeaderRefs, Record, RecordRef, Timestamp, TimestampKind};
use serde::{Deserialize, Serialize};

use crate::latent;
use crate::learned;
use crate::tools::project;

/// Where the files of the version that is written now lie.
pub const FOLDER: &str = "tests/golden/v1";

/// The dictionary that some of them were written with.
pub const DICTIONARY: &str = "tests/golden/v1/dictionary.bin";

/// More than any golden file holds.
pub const MAX_BYTES: usize = 64 << 10;
/// The same in records.
pub const MAX_RECORDS: usize = 1000;

/// Bytes in JSON: a text where they are one, else `{"hex": ...}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Wire {
    Text(String),
    Hex { hex: String },
}

impl Wire {
    pub fn of(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) if !text.chars().any(char::is_control) => Self::Text(text.to_owned()),
            _ => Self::Hex { hex: hex(bytes) },
        }
    }

    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.clone().into_bytes(),
            Self::Hex { hex } => {
                let byte = |i| u8::from_str_radix(&hex[i..i + 2], 16).expect("golden files hold hexadecimal digits");
                (0..hex.len()).step_by(2).map(byte).collect()
            }
        }
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A record in JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GoldenRecord {
    offset: i64,
    timestamp: i64,
    /// `create` or `append`.
    kind: String,
    key: Option<Wire>,
    value: Option<Wire>,
    headers: Vec<(String, Option<Wire>)>,
}

impl GoldenRecord {
    fn of(record: &Record) -> Self {
        let wire = |bytes: &Option<bytes::Bytes>| bytes.as_ref().map(|bytes| Wire::of(bytes));
        Self {
            offset: record.offset,
            timestamp: record.timestamp.millis,
            kind: if record.timestamp.kind == TimestampKind::CreateTime { "create" } else { "append" }.to_owned(),
            key: wire(&record.key),
            value: wire(&record.value),
            headers: record.headers.iter().map(|header| (header.name.clone(), wire(&header.value))).collect(),
        }
    }

    fn record(&self) -> Record {
        let bytes = |wire: &Option<Wire>| wire.as_ref().map(|wire| wire.bytes().into());
        let kind = match &self.kind[..] {
            "create" => TimestampKind::CreateTime,
            "append" => TimestampKind::LogAppendTime,
            other => panic!("there is no timestamp kind `{other}`"),
        };
        Record {
            key: bytes(&self.key),
            value: bytes(&self.value),
            headers: self
                .headers
                .iter()
                .map(|(name, value)| Header { name: name.clone(), value: bytes(value) })
                .collect(),
            timestamp: Timestamp { kind, millis: self.timestamp },
            offset: self.offset,
        }
    }
}

/// What a golden file holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Holds {
    /// One record's value.
    Content(Wire),
    /// A block.
    Records(Vec<GoldenRecord>),
}

/// What comes out of a golden file.
#[derive(Debug, PartialEq, Eq)]
pub enum Decoded {
    Content(Vec<u8>),
    Records(Vec<Record>),
}

impl Decoded {
    /// Bytes of keys, values and headers.
    pub fn size(&self) -> usize {
        match self {
            Self::Content(content) => content.len(),
            Self::Records(records) => records.iter().map(|record| record.as_ref().payload_len()).sum(),
        }
    }
}

impl Holds {
    pub fn of(decoded: &Decoded) -> Self {
        match decoded {
            Decoded::Content(content) => Self::Content(Wire::of(content)),
            Decoded::Records(records) => Self::Records(records.iter().map(GoldenRecord::of).collect()),
        }
    }

    pub fn decoded(&self) -> Decoded {
        match self {
            Self::Content(content) => Decoded::Content(content.bytes()),
            Self::Records(records) => Decoded::Records(records.iter().map(GoldenRecord::record).collect()),
        }
    }
}

/// The JSON beside the bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Description {
    /// The codec that wrote it, with its level.
    pub codec: String,
    /// The golden model that a learned codec had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Its `content-encoding`; without one it says itself what it is.
    pub token: Option<String>,
    #[serde(flatten)]
    pub holds: Holds,
}

impl Description {
    pub fn spec(&self) -> CodecSpec {
        self.codec.parse().expect("golden files name codecs")
    }
}

/// A golden file.
#[derive(Clone, Debug)]
pub struct Golden {
    pub path: PathBuf,
    pub description: Description,
    pub bytes: Vec<u8>,
}

impl Golden {
    /// All of them, by name.
    pub fn all() -> Result<Vec<Self>> {
        let mut files = Vec::new();
        for folder in fs::read_dir(project(FOLDER)).context("there are no golden files")? {
            let folder = folder?.path();
            if !folder.is_dir() {
                continue;
            }
            for file in fs::read_dir(&folder)? {
                let path = file?.path();
                if path.extension().is_some_and(|extension| extension == "bin") {
                    let text = fs::read_to_string(path.with_extension("json"))
                        .with_context(|| format!("nothing describes `{}`", path.display()))?;
                    let description =
                        serde_json::from_str(&text).with_context(|| format!("beside `{}`", path.display()))?;
                    files.push(Self { bytes: fs::read(&path)?, description, path });
                }
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        ensure!(!files.is_empty(), "there are no golden files under {FOLDER}");
        Ok(files)
    }

    pub fn name(&self) -> String {
        let folder = project(FOLDER);
        self.path.strip_prefix(folder).unwrap_or(&self.path).with_extension("").display().to_string()
    }

    /// The `content-encoding` that goes with it, whether it was written with one or not.
    pub fn token(&self) -> &str {
        match &self.description.token {
            Some(token) => token,
            None if self.is_frame() => LATENTD,
            None => self.description.spec().algorithm().content_encoding(),
        }
    }

    /// Whether it is one of our frames.
    pub fn is_frame(&self) -> bool {
        self.description.token.as_deref().is_none_or(|token| token == LATENTD)
            && codec::sniff(&self.bytes) == Some(codec::Coding::Frame)
    }
}

impl Golden {
    /// Whether it is a block whose codec has coded what stands beside the values as well.
    pub fn is_framed(&self) -> bool {
        const BEHIND_THE_CHECKSUM: usize = 12;
        let mut body = Reader::new(&self.bytes, BEHIND_THE_CHECKSUM.min(self.bytes.len()));
        let is_learned = self.description.model.is_some() && !is_unchecked(&self.bytes);
        is_learned && body.varint().and_then(|_| body.byte()).is_ok_and(|methods| methods & 0x40 != 0)
    }
}

/// Whether these bytes of a frame are a record's that names a model: such a frame has no checksum.
pub fn is_unchecked(frame: &[u8]) -> bool {
    FrameHeader::parse(frame)
        .is_ok_and(|(header, _)| header.kind == Kind::Record && !matches!(header.guard, Guard::Checksum(_)))
}

/// What should be there.
pub struct Case {
    /// Folder and name, without extension.
    pub name: String,
    pub description: Description,
}

impl Case {
    fn path(&self) -> PathBuf {
        project(FOLDER).join(&self.name).with_extension("bin")
    }

    /// Writes the files of a case that is not there.
    fn bless(&self) -> Result<()> {
        let path = self.path();
        fs::create_dir_all(path.parent().context("a case lies in a folder")?)?;
        fs::write(&path, encode(&self.description)?)?;
        let mut text = serde_json::to_string_pretty(&self.description)?;
        text.push('\n');
        fs::write(path.with_extension("json"), text)?;
        Ok(())
    }
}

/// Fails for cases that have no golden file, or writes those when `LATENTD_BLESS` is set.
pub fn complete(cases: &[Case]) -> Result<()> {
    let missing: Vec<&Case> = cases.iter().filter(|case| !case.path().is_file()).collect();
    if std::env::var_os("LATENTD_BLESS").is_some() {
        return missing.iter().try_for_each(|case| case.bless());
    }
    if !missing.is_empty() {
        let names: Vec<&str> = missing.iter().map(|case| &case.name[..]).collect();
        bail!("no golden file for {}: LATENTD_BLESS=1 cargo test --test format writes them", names.join(", "));
    }
    Ok(())
}

/// The bytes that today's code writes for a description.
pub fn encode(description: &Description) -> Result<Vec<u8>> {
    let mut codec = match &description.model {
        Some(model) => learned::codec(description.spec().algorithm(), model)?,
        None => coder(description.spec())?,
    };
    encode_with(&mut *codec, description)
}

/// The bytes that this codec writes for a description.
pub fn encode_with(codec: &mut dyn Codec, description: &Description) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match (description.holds.decoded(), description.token.as_deref()) {
        (Decoded::Records(records), _) => {
            let mut builder = BlockBuilder::default();
            records.iter().for_each(|record| builder.push(&record.as_ref()));
            builder.encode(codec, &mut bytes)?;
        }
        (Decoded::Content(content), _) if codec.model().is_some() => learned::seal(codec, &content, &mut bytes)?,
        (Decoded::Content(content), Some(token)) => {
            ensure!(
                Algorithm::from_content_encoding(token.as_bytes()).is_some(),
                "`{token}` is not written for content"
            );
            codec.encode(&content, &mut bytes)?;
        }
        (Decoded::Content(content), None) => {
            let mut coded = Vec::new();
            codec.encode(&content, &mut coded)?;
            codec::seal(description.spec().algorithm(), None, &coded, &content, &mut bytes);
        }
    }
    Ok(bytes)
}

fn coder(spec: CodecSpec) -> Result<Box<dyn Codec>> {
    if spec.algorithm() == Algorithm::ZstdDict {
        let dictionary = fs::read(project(DICTIONARY)).context("the golden dictionary")?;
        return Ok(Box::new(ZstdDictCodec::with_dictionary(spec.level(), dictionary.into())?));
    }
    let models: Arc<dyn ModelSource> = Arc::new(NoModels);
    Ok(codec::build(spec, &models)?)
}

/// The golden dictionary and the golden models.
struct GoldenModels {
    dictionary: Arc<[u8]>,
    learned: Vec<Arc<[u8]>>,
}

impl ModelSource for GoldenModels {
    fn artefact(&self, model: ModelRef) -> Result<Arc<[u8]>, MissingModel> {
        let id = self.dictionary.get(4..8).map(|id| u32::from_le_bytes([id[0], id[1], id[2], id[3]]));
        let found = match model {
            ModelRef::ZstdDictionary(asked) if Some(asked) == id => Some(&self.dictionary),
            ModelRef::ZstdDictionary(_) => None,
            named => self.learned.iter().find(|model| named.begins(&ModelId::of(model))),
        };
        found.cloned().ok_or_else(|| MissingModel { model, looked_in: FOLDER.to_owned(), retriable: false })
    }

    fn learned(&self) -> &dyn LearnedCodecs {
        &Learned
    }
}

/// Decodes as a restoring pipeline does.
pub struct Decoder {
    restorer: Restorer,
}

impl Decoder {
    pub fn new() -> Result<Self> {
        let dictionary: Arc<[u8]> = fs::read(project(DICTIONARY)).context("the golden dictionary")?.into();
        let learned =
            learned::MODELS.into_iter().chain(latent::MODELS).map(learned::artefact).collect::<Result<_>>()?;
        let models: Arc<dyn ModelSource> = Arc::new(GoldenModels { dictionary, learned });
        Ok(Self { restorer: Restorer::new(&models, MAX_BYTES, MAX_RECORDS) })
    }

    /// Decodes, and hands on what came out while it is borrowed.
    pub fn decode_with<T>(
        &mut self,
        token: Option<&str>,
        bytes: &[u8],
        take: impl FnOnce(Content<'_>) -> T,
    ) -> Result<T, CodecError> {
        let headers: HeaderRefs<'_> =
            token.iter().map(|token| HeaderRef { name: CONTENT_ENCODING, value: Some(token.as_bytes()) }).collect();
        let record = RecordRef { key: None, value: Some(bytes), headers, timestamp: Timestamp::create(1), offset: 0 };
        Ok(take(self.restorer.restore(&record)?.content))
    }

    /// Opens a golden model, by decoding nothing with it.
    pub fn open(&mut self, codec: Algorithm, model: &str) -> Result<()> {
        let prefix = ModelId::of(&learned::artefact(model)?).prefix();
        let header = FrameHeader { kind: Kind::Record, codec: codec as u8, guard: Guard::Model(prefix) };
        let mut frame = Vec::new();
        header.write(&mut frame);
        match self.decode(Some(LATENTD), &frame) {
            Ok(_) | Err(CodecError::Corrupt { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    pub fn decode(&mut self, token: Option<&str>, bytes: &[u8]) -> Result<Decoded, CodecError> {
        self.decode_with(token, bytes, |content| match content {
            Content::Record(record) => Decoded::Content(record.value.unwrap_or_default().to_vec()),
            Content::Block(block) => Decoded::Records(block.records().map(|record| record.to_owned()).collect()),
        })
    }
}
