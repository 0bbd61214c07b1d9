//! The manifest of a model: what it is, what it was learned from, how well it did, and what it came from.
//!
//! JSON, versioned. A reader keeps the fields that it does not know and writes them back, so that an older program
//! passes a newer manifest on unharmed; only a change that older readers would misunderstand raises the version.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::codec::{Algorithm, ModelId};

/// The version of manifests that this program writes, and the newest that it reads.
pub const VERSION: u32 = 1;

/// Most bytes of a manifest: it is read whole before anything in it is believed.
pub const MAX_BYTES: usize = 1 << 20;

/// Names of the metrics that every family measures, so that manifests can be compared. Bytes per record on the
/// holdout, everything that the record's coding costs included.
pub mod metric {
    /// The model itself.
    pub const CANDIDATE: &str = "bytes_per_record.candidate";
    /// The model that was in use when this one was measured.
    pub const INCUMBENT: &str = "bytes_per_record.incumbent";
    /// The same classical codec without a model.
    pub const PLAIN: &str = "bytes_per_record.plain";
    /// The records themselves.
    pub const RAW: &str = "bytes_per_record.raw";
    /// Bits for the codes of a record that a generator was not trained on.
    pub const BITS_PER_ROW: &str = "bits_per_row";
    /// The loss of records that a generator was not trained on.
    pub const VALIDATION_LOSS: &str = "validation.loss";
    /// How far pairs of codes that a generator draws are from those of real records: 0 to 1.
    pub const PAIR_DISTANCE: &str = "pairs.distance";
    /// How far images that a generator draws are from real ones of their class, in random features: 0 where they are alike.
    pub const KERNEL_DISTANCE: &str = "kernel.distance";
    /// CPU seconds of the training and of the judgement.
    pub const TRAINING_SECONDS: &str = "training.cpu_seconds";
    /// Records that a generator keeps, to make others of them.
    pub const BASES: &str = "bases";
    /// How often the training went back to a checkpoint.
    pub const REWINDS: &str = "training.rewinds";
    /// The price of 10⁶ records, where codecs were chosen among by their price.
    pub const PRICE: &str = "price_per_million";
    /// Records in the holdout.
    pub const HOLDOUT_RECORDS: &str = "holdout.records";
    /// The model itself, among [`on_log`].
    pub const ON_LOG_CANDIDATE: &str = "candidate";
    /// In front of what was measured on the broker's log.
    pub const ON_LOG: &str = "log_bytes_per_record.";

    /// Bytes of each record of the holdout on the broker's log, everything in, as somebody writes it: the model, or a rival that
    /// needs none ([`crate::model::Rival`]).
    pub fn on_log(who: &str) -> String {
        format!("{ON_LOG}{who}")
    }
}

/// The kind of a model: an open set of names, lower case with dashes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Family(Cow<'static, str>);

impl Family {
    /// A zstd dictionary; [`crate::model::Dictionary`] reads the artefact.
    pub const ZSTD_DICTIONARY: Self = Self(Cow::Borrowed("zstd-dictionary"));

    /// A model of fields; [`crate::model::columns::ColumnsModel`] reads the artefact.
    pub const COLUMNS: Self = Self(Cow::Borrowed("columns"));

    /// Networks for small images; [`crate::model::latent::LatentModel`] reads the artefact.
    pub const LATENT: Self = Self(Cow::Borrowed("latent"));

    /// A network that draws rows; [`crate::model::rows::RowsModel`] reads the artefact.
    pub const AUTOREGRESSIVE: Self = Self(Cow::Borrowed("autoregressive"));
    /// A decoder that draws images, which [`crate::model::ImagesModel`] reads, or rows, which [`crate::model::RowsDecoder`] reads.
    pub const VAE: Self = Self(Cow::Borrowed("vae"));
    /// The generator of an adversarial pair, which draws images or rows; read like a decoder.
    pub const GAN: Self = Self(Cow::Borrowed("gan"));
    /// Real records and what is done to them: rows, which [`crate::model::rows::ClassicalRows`] reads, or images, which
    /// [`crate::model::classical::ClassicalImages`] reads.
    pub const CLASSICAL: Self = Self(Cow::Borrowed("classical"));

    /// What a codec's models are, if it has any.
    pub const fn of(algorithm: Algorithm) -> Option<Self> {
        match algorithm {
            Algorithm::ZstdDict => Some(Self::ZSTD_DICTIONARY),
            Algorithm::Columns => Some(Self::COLUMNS),
            Algorithm::Latent => Some(Self::LATENT),
            _ => None,
        }
    }

    /// The codec that takes such models, if this release has one.
    pub fn algorithm(&self) -> Option<Algorithm> {
        let learning = Algorithm::LEARNED.into_iter().chain([Algorithm::ZstdDict]);
        learning.into_iter().find(|algorithm| Self::of(*algorithm).as_ref() == Some(self))
    }

    /// A family by name.
    pub fn new(name: impl Into<String>) -> Result<Self, ManifestError> {
        let name = name.into();
        let fits = (1..=64).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !fits {
            let detail = format!("`{name}`: a family is up to 64 lower-case letters, digits and dashes");
            return Err(ManifestError::Invalid { field: "family", detail });
        }
        Ok(Self(Cow::Owned(name)))
    }
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Family {
    type Error = ManifestError;
    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::new(name)
    }
}

impl From<Family> for String {
    fn from(family: Family) -> Self {
        family.0.into_owned()
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Offsets of one partition, both ends included, that lie between the oldest and the newest record learned from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Offset of the oldest record.
    pub first: i64,
    /// Offset of the newest record.
    pub last: i64,
}

impl fmt::Display for Span {
    /// As the provenance header of generated records has it: `topic/partition/first-last`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}-{}", self.topic, self.partition, self.first, self.last)
    }
}

/// A place on the curve of a training that took minutes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Steps done.
    pub step: u32,
    /// CPU time spent.
    pub cpu_seconds: f64,
    /// Bits for each sample of what it learned from, in the steps since the point before.
    pub loss: f64,
    /// Bits for each sample of what it is validated on, once that was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<f64>,
}

/// What is known about a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the manifest's own format.
    pub version: u32,
    /// BLAKE3 of the artefact: the model's id.
    pub model: ModelId,
    /// Size of the artefact.
    pub artefact_bytes: u64,
    /// What kind of model it is.
    pub family: Family,
    /// The pipeline that it was learned for.
    pub pipeline: String,
    /// When it was made: RFC 3339, in UTC.
    pub created: String,
    /// The records that it was learned from.
    #[serde(default)]
    pub window: Vec<Span>,
    /// The seed of everything random in its making.
    #[serde(default)]
    pub seed: u64,
    /// The settings of its making, in the family's own terms.
    #[serde(default)]
    pub config: serde_json::Value,
    /// What was measured, by name (see [`metric`]); every value is finite.
    #[serde(default)]
    pub metrics: BTreeMap<String, f64>,
    /// How its training went, where it took minutes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub curve: Vec<CurvePoint>,
    /// The model that it was made from, or that it was measured against and replaced.
    #[serde(default)]
    pub parent: Option<ModelId>,
    /// Fields of newer versions, kept as they are.
    #[serde(flatten)]
    pub other: BTreeMap<String, serde_json::Value>,
}

/// Why a manifest is refused.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The bytes are no manifest.
    #[error("it is no manifest")]
    Unreadable(#[source] serde_json::Error),
    /// It is larger than any manifest may be.
    #[error("it holds {bytes} bytes, a manifest at most {MAX_BYTES}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// A newer program wrote it, in a way that this one would misunderstand.
    #[error("its version is {version}, this program reads up to {VERSION}: use a newer latentd")]
    Newer {
        /// Its version.
        version: u32,
    },
    /// A field holds what it must not.
    #[error("field `{field}`: {detail}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// The artefact is not the one that the manifest describes.
    #[error("the artefact is not the manifest's: {found_bytes} bytes with BLAKE3 {found}, not {bytes} with {model}")]
    OtherArtefact {
        /// What the manifest says.
        model: ModelId,
        /// What the manifest says.
        bytes: u64,
        /// What the artefact is.
        found: ModelId,
        /// What the artefact is.
        found_bytes: u64,
    },
}

impl Manifest {
    /// A manifest of this artefact with nothing more than what is given; the other fields are the caller's to fill.
    pub fn new(artefact: &[u8], family: Family, pipeline: impl Into<String>, created: impl Into<String>) -> Self {
        Self {
            version: VERSION,
            model: ModelId::of(artefact),
            artefact_bytes: artefact.len() as u64,
            family,
            pipeline: pipeline.into(),
            created: created.into(),
            window: Vec::new(),
            seed: 0,
            config: serde_json::Value::Null,
            metrics: BTreeMap::new(),
            curve: Vec::new(),
            parent: None,
            other: BTreeMap::new(),
        }
    }

    /// Reads a manifest and checks it.
    pub fn parse(json: &[u8]) -> Result<Self, ManifestError> {
        /// Read first, so that a newer manifest is called newer and not broken.
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        if json.len() > MAX_BYTES {
            return Err(ManifestError::TooLarge { bytes: json.len() });
        }
        let Version { version } = serde_json::from_slice(json).map_err(ManifestError::Unreadable)?;
        if version > VERSION {
            return Err(ManifestError::Newer { version });
        }
        let manifest: Self = serde_json::from_slice(json).map_err(ManifestError::Unreadable)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// The manifest as JSON, checked.
    pub fn to_json(&self) -> Result<Vec<u8>, ManifestError> {
        self.check()?;
        let mut json = serde_json::to_vec_pretty(self).map_err(ManifestError::Unreadable)?;
        json.push(b'\n');
        if json.len() > MAX_BYTES {
            return Err(ManifestError::TooLarge { bytes: json.len() });
        }
        Ok(json)
    }

    /// Whether these bytes are the artefact that the manifest describes.
    pub fn verify(&self, artefact: &[u8]) -> Result<(), ManifestError> {
        let found = ModelId::of(artefact);
        let found_bytes = artefact.len() as u64;
        if found != self.model || found_bytes != self.artefact_bytes {
            let (model, bytes) = (self.model, self.artefact_bytes);
            return Err(ManifestError::OtherArtefact { model, bytes, found, found_bytes });
        }
        Ok(())
    }

    fn check(&self) -> Result<(), ManifestError> {
        let invalid = |field, detail: String| Err(ManifestError::Invalid { field, detail });
        if self.version == 0 {
            return invalid("version", "versions begin with 1".to_owned());
        }
        if !is_pipeline_name(&self.pipeline) {
            return invalid("pipeline", format!("`{}` is no pipeline name", self.pipeline.escape_debug()));
        }
        if !is_rfc3339_utc(&self.created) {
            let detail = format!("`{}` is no RFC 3339 time in UTC", self.created.escape_debug());
            return invalid("created", detail);
        }
        if let Some(span) = self.window.iter().find(|span| span.first > span.last || span.first < 0) {
            return invalid("window", format!("`{span}` is no range of offsets"));
        }
        if let Some((name, value)) = self.metrics.iter().find(|(_, value)| !value.is_finite()) {
            return invalid("metrics", format!("`{name}` is {value}, which JSON cannot hold"));
        }
        let finite = |point: &CurvePoint| {
            [point.cpu_seconds, point.loss, point.validation.unwrap_or(0.0)].iter().all(|value| value.is_finite())
        };
        if !self.curve.iter().all(finite) {
            return invalid("curve", "it has a value that JSON cannot hold".to_owned());
        }
        Ok(())
    }
}

/// Whether a text can name a pipeline in the registry: 1 to 128 bytes without control characters.
pub fn is_pipeline_name(text: &str) -> bool {
    (1..=128).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// Whether a text looks like `2026-11-24T20:17:45Z`, with or without a fraction. The values are not checked.
fn is_rfc3339_utc(text: &str) -> bool {
    const SHAPE: &[u8] = b"0000-00-00T00:00:00";
    let Some(text) = text.strip_suffix('Z') else { return false };
    let (whole, fraction) = text.as_bytes().split_at(text.len().min(SHAPE.len()));
    let shape_fits = whole.len() == SHAPE.len()
        && whole.iter().zip(SHAPE).all(|(byte, shape)| match shape {
            b'0' => byte.is_ascii_digit(),
            _ => byte == shape,
        });
    let fraction_fits = match fraction {
        [] => true,
        [b'.', digits @ ..] => !digits.is_empty() && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    shape_fits && fraction_fits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Manifest {
        let mut manifest = Manifest::new(b"artefact", Family::ZSTD_DICTIONARY, "flights", "2026-11-24T20:17:45.123Z");
        manifest.window = vec![Span { topic: "flights".to_owned(), partition: 3, first: 0, last: 19_999 }];
        manifest.seed = u64::MAX;
        manifest.config = serde_json::json!({ "bytes": 112_640 });
        manifest.metrics.insert(metric::CANDIDATE.to_owned(), 45.25);
        manifest.parent = Some(ModelId::of(b"parent"));
        manifest
    }

    #[test]
    fn a_manifest_comes_back_as_it_was() {
        let manifest = example();
        assert_eq!(Manifest::parse(&manifest.to_json().unwrap()).unwrap(), manifest);
    }

    #[test]
    fn fields_of_the_future_are_kept_and_written_back() {
        let mut value: serde_json::Value = serde_json::from_slice(&example().to_json().unwrap()).unwrap();
        value["licence"] = "CC0".into();
        value["payload"] = serde_json::json!({ "kind": "json", "templates": 3 });
        let manifest = Manifest::parse(&serde_json::to_vec(&value).unwrap()).unwrap();
        assert_eq!(manifest.other["licence"], "CC0");
        let again: serde_json::Value = serde_json::from_slice(&manifest.to_json().unwrap()).unwrap();
        assert_eq!(again, value);
    }

    #[test]
    fn only_model_family_pipeline_and_time_are_required() {
        let json = format!(
            r#"{{"version":1,"model":"{}","artefact_bytes":8,"family":"columns","pipeline":"p","created":"2026-01-01T00:00:00Z"}}"#,
            ModelId::of(b"artefact")
        );
        let manifest = Manifest::parse(json.as_bytes()).unwrap();
        assert_eq!(manifest.family.as_str(), "columns");
        manifest.verify(b"artefact").unwrap();
    }

    #[test]
    fn a_newer_version_is_called_newer_even_when_its_fields_are_strange() {
        let error = Manifest::parse(br#"{"version":2,"model":17}"#).unwrap_err();
        assert!(matches!(error, ManifestError::Newer { version: 2 }), "{error}");
    }

    #[test]
    fn an_artefact_of_another_size_or_hash_is_refused() {
        let error = example().verify(b"artefacT").unwrap_err();
        assert!(matches!(error, ManifestError::OtherArtefact { .. }), "{error}");
        assert!(error.to_string().contains(&ModelId::of(b"artefacT").to_string()), "{error}");
    }

    #[test]
    fn what_json_cannot_hold_or_a_reader_would_misread_is_refused() {
        type Change = fn(&mut Manifest);
        let changes: [(&str, Change); 6] = [
            ("metrics", |m| m.metrics.extend([("nan".to_owned(), f64::NAN)])),
            ("created", |m| m.created = "yesterday".to_owned()),
            ("created", |m| m.created = "2026-11-24T20:17:45+01:00".to_owned()),
            ("pipeline", |m| m.pipeline = String::new()),
            ("pipeline", |m| m.pipeline = "a\nb".to_owned()),
            ("window", |m| m.window[0].last = -1),
        ];
        for (field, change) in changes {
            let mut manifest = example();
            change(&mut manifest);
            let error = manifest.to_json().unwrap_err();
            assert!(error.to_string().contains(field), "{error}");
        }
        assert!(Family::new("zstd dictionary").is_err());
        assert!(Manifest::parse(&vec![b' '; MAX_BYTES + 1]).is_err());
        assert!(Manifest::parse(b"[[[[").is_err());
    }
}
