//! What a generated record says of itself: CloudEvents 1.0 in Kafka's binary mode, with extensions from which anybody who has
//! the model draws the same record again.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::codec::ModelId;
use crate::model::{Condition, Span};
use crate::record::HeaderRef;

/// The version of CloudEvents.
pub const SPEC_VERSION: &str = "1.0";

/// The type of the event that a generated record is.
pub const EVENT_TYPE: &str = "latentd.generated.v1";

/// Names of headers.
pub mod header {
    /// Version of CloudEvents.
    pub const SPEC_VERSION: &str = "ce_specversion";
    /// What no other record of the same source has: model, seed and index.
    pub const ID: &str = "ce_id";
    /// The daemon and the pipeline.
    pub const SOURCE: &str = "ce_source";
    /// [`super::EVENT_TYPE`].
    pub const TYPE: &str = "ce_type";
    /// The model's id.
    pub const MODEL: &str = "ce_latentdmodel";
    /// The generator's family, and where it has several operations, a slash and the one that made the record.
    pub const GENERATOR: &str = "ce_latentdgenerator";
    /// The seed, in decimal.
    pub const SEED: &str = "ce_latentdseed";
    /// The record's number under that seed, in decimal.
    pub const INDEX: &str = "ce_latentdindex";
    /// The condition under which it was drawn, as a JSON object of texts; absent where there was none.
    pub const CONDITION: &str = "ce_latentdcondition";
    /// What the model learned from: `topic/partition/first-last`, several with commas.
    pub const TRAINED_ON: &str = "ce_latentdtrainedon";
    /// The report on which it was published.
    pub const REPORT: &str = "ce_latentdreport";
    /// Whether models may learn from it.
    pub const USE: &str = "ce_latentduse";
    /// The value's media type.
    pub const CONTENT_TYPE: &str = "content-type";
}

/// Spans that a header names; a model of more is described whole by its manifest.
const MOST_SPANS: usize = 16;

/// Longest condition that is read.
const MOST_CONDITION: usize = 64 << 10;

/// Whether a record says that it was generated.
pub fn is_generated(headers: &[HeaderRef<'_>]) -> bool {
    headers
        .iter()
        .any(|one| one.name == header::MODEL || (one.name == header::TYPE && one.value == Some(EVENT_TYPE.as_bytes())))
}

/// What a record may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// Models may learn from it: somebody looked, and where the lift can be measured it says nothing against it.
    Training,
    /// Models that learn from it become worse, or nobody has looked.
    NotForTraining,
}

impl Usage {
    /// The word in the header.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::NotForTraining => "not-for-training",
        }
    }
}

/// The seed under which a pipeline draws for one partition of what it reads: partitions never share a record.
pub fn seed_of(seed: u64, source: &str, topic: &str, partition: i32) -> u64 {
    let mut hasher = blake3::Hasher::new_derive_key("latentd 2026 seed of generated records");
    hasher.update(&seed.to_le_bytes());
    for name in [source, topic] {
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
    }
    hasher.update(&partition.to_le_bytes());
    let [a, b, c, d, e, f, g, h, ..] = *hasher.finalize().as_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// What all records have in common that are drawn from one model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage {
    /// Who draws: `/latentd/DAEMON/PIPELINE`.
    pub source: String,
    /// The model.
    pub model: ModelId,
    /// The generator's family. What else makes a record, [`Headers::by`] says.
    pub generator: &'static str,
    /// Under which condition.
    pub condition: Condition,
    /// What the model learned from.
    pub trained_on: Vec<Span>,
    /// The report on which the records are published; nothing where they are published without one.
    pub report: Option<String>,
    /// What they may be used for.
    pub usage: Usage,
    /// Their media type.
    pub content_type: &'static str,
}

impl Lineage {
    /// The headers of its records: those that all have are made once.
    pub fn headers(&self) -> Headers {
        let mut fixed = vec![
            (header::SPEC_VERSION, SPEC_VERSION.to_owned()),
            (header::SOURCE, self.source.clone()),
            (header::TYPE, EVENT_TYPE.to_owned()),
            (header::MODEL, self.model.to_string()),
            (header::GENERATOR, self.generator.to_owned()),
        ];
        if !self.trained_on.is_empty() {
            fixed.push((header::TRAINED_ON, spans(&self.trained_on)));
        }
        if let Some(report) = &self.report {
            fixed.push((header::REPORT, report.clone()));
        }
        fixed.push((header::USE, self.usage.name().to_owned()));
        fixed.push((header::CONTENT_TYPE, self.content_type.to_owned()));
        let (model, condition) = (self.model, Condition::new());
        let mut headers = Headers {
            model,
            fixed,
            condition,
            written: None,
            id: String::new(),
            seed: String::new(),
            index: String::new(),
        };
        headers.under(&self.condition);
        headers
    }
}

/// `topic/partition/first-last, ...`.
fn spans(spans: &[Span]) -> String {
    let mut text: Vec<String> = spans.iter().take(MOST_SPANS).map(Span::to_string).collect();
    if spans.len() > MOST_SPANS {
        text.push("...".to_owned());
    }
    text.join(",")
}

/// The headers of records of one lineage, one record after the other.
#[derive(Clone, Debug)]
pub struct Headers {
    model: ModelId,
    fixed: Vec<(&'static str, String)>,
    condition: Condition,
    /// The condition as JSON, where there is one.
    written: Option<String>,
    id: String,
    seed: String,
    index: String,
}

impl Headers {
    /// The next records were drawn under this condition.
    pub fn under(&mut self, condition: &Condition) {
        if self.condition != *condition {
            self.condition.clone_from(condition);
            // A map of texts is written without a failure.
            self.written = Some(condition)
                .filter(|condition| !condition.is_empty())
                .map(|condition| serde_json::to_string(condition).unwrap_or_default());
        }
    }

    /// The next records were made by this: a family, or one of its operations.
    pub fn by(&mut self, generator: &str) {
        if let Some((_, known)) = self.fixed.iter_mut().find(|(name, _)| *name == header::GENERATOR)
            && known != generator
        {
            generator.clone_into(known);
        }
    }

    /// The headers of a record.
    pub fn of(&mut self, seed: u64, index: u64) -> Vec<HeaderRef<'_>> {
        let id = self.model.to_string();
        // The model's first 64 bits, which no two models of a registry share.
        self.id = format!("{}-{seed:016x}-{index}", &id[..16]);
        self.seed = seed.to_string();
        self.index = index.to_string();
        let own = [(header::ID, &self.id), (header::SEED, &self.seed), (header::INDEX, &self.index)];
        let condition = self.written.as_ref().map(|condition| (header::CONDITION, condition));
        let fixed = self.fixed.iter().map(|(name, value)| (*name, value));
        let all = own.into_iter().chain(condition).chain(fixed);
        all.map(|(name, value)| HeaderRef { name, value: Some(value.as_bytes()) }).collect()
    }
}

/// From what a record was drawn, as its headers say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The model.
    pub model: ModelId,
    /// The generator's family, or one of its operations.
    pub generator: String,
    /// The seed.
    pub seed: u64,
    /// The record's number under that seed.
    pub index: u64,
    /// Under which condition.
    pub condition: Condition,
}

/// Why headers name no record.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProvenanceError {
    /// A header is missing.
    #[error("there is no header `{0}`: it is no record that latentd drew")]
    Missing(&'static str),
    /// A header says something that it cannot.
    #[error("header `{name}` is `{value}`, which is {detail}")]
    Invalid {
        /// The header.
        name: &'static str,
        /// What it says, as text.
        value: String,
        /// What is wrong with it.
        detail: String,
    },
}

impl Origin {
    /// Reads headers that come from anywhere. Where a name is there twice the first counts.
    pub fn read<'a>(headers: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Result<Self, ProvenanceError> {
        let mut found: BTreeMap<&str, &[u8]> = BTreeMap::new();
        for (name, value) in headers {
            found.entry(name).or_insert(value);
        }
        let text = |name: &'static str| -> Result<&str, ProvenanceError> {
            let value = found.get(name).ok_or(ProvenanceError::Missing(name))?;
            std::str::from_utf8(value).map_err(|error| invalid(name, &String::from_utf8_lossy(value), error))
        };
        fn parsed<T: FromStr<Err: fmt::Display>>(name: &'static str, text: &str) -> Result<T, ProvenanceError> {
            text.parse().map_err(|error| invalid(name, text, error))
        }
        let condition = match found.get(header::CONDITION) {
            None => Condition::new(),
            Some(value) if value.len() > MOST_CONDITION => {
                return Err(invalid(header::CONDITION, "...", format!("longer than {MOST_CONDITION} bytes")));
            }
            Some(value) => serde_json::from_slice(value)
                .map_err(|error| invalid(header::CONDITION, &String::from_utf8_lossy(value), error))?,
        };
        Ok(Self {
            model: parsed(header::MODEL, text(header::MODEL)?)?,
            generator: text(header::GENERATOR)?.to_owned(),
            seed: parsed(header::SEED, text(header::SEED)?)?,
            index: parsed(header::INDEX, text(header::INDEX)?)?,
            condition,
        })
    }
}

fn invalid(name: &'static str, value: &str, detail: impl fmt::Display) -> ProvenanceError {
    ProvenanceError::Invalid { name, value: value.to_owned(), detail: detail.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lineage() -> Lineage {
        let span = |partition| Span { topic: "t".to_owned(), partition, first: 5, last: 900 };
        Lineage {
            source: "/latentd/test/p".to_owned(),
            model: ModelId::of(b"model"),
            generator: "columns",
            condition: Condition::from([("carrier".to_owned(), "UA".to_owned())]),
            trained_on: vec![span(0), span(1)],
            report: Some("r".to_owned()),
            usage: Usage::Training,
            content_type: "application/json",
        }
    }

    #[test]
    fn headers_say_what_is_needed_to_draw_the_record_again() {
        let mut headers = lineage().headers();
        let of = headers.of(u64::MAX, 77);
        let names: Vec<&str> = of.iter().map(|header| header.name).collect();
        let expected = [
            "ce_id",
            "ce_latentdseed",
            "ce_latentdindex",
            "ce_latentdcondition",
            "ce_specversion",
            "ce_source",
            "ce_type",
            "ce_latentdmodel",
            "ce_latentdgenerator",
            "ce_latentdtrainedon",
            "ce_latentdreport",
            "ce_latentduse",
            "content-type",
        ];
        assert_eq!(names, expected);
        assert!(is_generated(&of) && !is_generated(&of[..4]));
        let text = |name: &str| {
            let header = of.iter().find(|header| header.name == name).unwrap();
            std::str::from_utf8(header.value.unwrap()).unwrap().to_owned()
        };
        assert_eq!(text("ce_latentdtrainedon"), "t/0/5-900,t/1/5-900");
        let model = ModelId::of(b"model").to_string();
        assert_eq!(text("ce_id"), format!("{}-ffffffffffffffff-77", &model[..16]));
        let origin = Origin::read(of.iter().map(|header| (header.name, header.value.unwrap()))).unwrap();
        let lineage = lineage();
        assert_eq!((origin.model, origin.seed, origin.index), (lineage.model, u64::MAX, 77));
        assert_eq!((origin.generator.as_str(), origin.condition), ("columns", lineage.condition));
        headers.by("classical/noise");
        let of = headers.of(1, 2);
        assert_eq!((of.len(), of[8].name, of[8].value), (13, "ce_latentdgenerator", Some(&b"classical/noise"[..])));
    }

    #[test]
    fn headers_of_others_are_refused_by_name() {
        let mut headers = lineage().headers();
        let of: Vec<(&str, &[u8])> = headers.of(1, 2).iter().map(|one| (one.name, one.value.unwrap())).collect();
        for missing in [header::MODEL, header::SEED, header::INDEX, header::GENERATOR] {
            let without = of.iter().copied().filter(|(name, _)| *name != missing);
            assert_eq!(Origin::read(without), Err(ProvenanceError::Missing(missing)));
        }
        for (name, wrong) in [(header::SEED, &b"-1"[..]), (header::MODEL, b"xyz"), (header::CONDITION, b"[")] {
            let with = [(name, wrong)].into_iter().chain(of.iter().copied());
            assert!(matches!(Origin::read(with), Err(ProvenanceError::Invalid { name: found, .. }) if found == name));
        }
    }

    #[test]
    fn no_two_partitions_pipelines_or_seeds_draw_alike() {
        let all = [
            seed_of(0, "/a", "t", 0),
            seed_of(0, "/a", "t", 1),
            seed_of(0, "/at", "", 0),
            seed_of(0, "/b", "t", 0),
            seed_of(1, "/a", "t", 0),
        ];
        assert!((0..all.len()).all(|one| (0..one).all(|other| all[one] != all[other])), "{all:?}");
    }
}
