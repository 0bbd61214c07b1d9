//! What one pipeline is told to do, resolved and checked. `config` makes it; nothing here reads a file.

use std::fmt;
use std::time::Duration;

use crate::augment::Rate;
use crate::codec::{Algorithm, CodecSpec};
use crate::model::images::MAX_LABEL;
use crate::model::{Condition, Split};
use crate::payload::image::Shape;
use crate::record::RecordRef;
use crate::units::ByteSize;

/// What happens to the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Records in, fewer bytes out.
    Compress,
    /// What `Compress` wrote in, the same records out.
    Restore,
    /// Records in, to learn from; new ones out.
    Generate,
}

impl Operation {
    /// The word in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Compress => "compress",
            Self::Restore => "restore",
            Self::Generate => "generate",
        }
    }
}

/// Which topics are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceTopics {
    /// These.
    Names(Vec<String>),
    /// All whose name matches this regular expression (librdkafka's, `^` in front).
    Pattern(String),
}

impl SourceTopics {
    /// What a consumer subscribes to: names, or a pattern that begins with `^`.
    pub fn subscription(&self) -> Vec<String> {
        match self {
            Self::Names(names) => names.clone(),
            Self::Pattern(pattern) => vec![pattern.clone()],
        }
    }

    /// The first of the named topics in alphabetical order; `None` for a pattern.
    pub fn first_topic(&self) -> Option<&str> {
        match self {
            Self::Names(names) => names.iter().map(String::as_str).min(),
            Self::Pattern(_) => None,
        }
    }
}

/// The name of a target topic; `{topic}` stands for the source topic's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicTemplate(String);

impl TopicTemplate {
    /// From what the user wrote.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
    /// The target of a source topic.
    pub fn resolve(&self, source_topic: &str) -> String {
        self.0.replace("{topic}", source_topic)
    }
    /// What the user wrote.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How output records lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One output record per input record.
    Record,
    /// One output record per run of input records, columnar.
    Block,
}

impl Layout {
    /// The word in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Block => "block",
        }
    }
}

/// What a crash may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Offsets and records in one Kafka transaction.
    ExactlyOnce,
    /// Offsets after records; a crash repeats some.
    AtLeastOnce,
}

impl Delivery {
    /// The word in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ExactlyOnce => "exactly-once",
            Self::AtLeastOnce => "at-least-once",
        }
    }
}

/// Where records go that cannot be processed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeadLetter {
    /// To this topic, with the reason in headers.
    Topic(TopicTemplate),
    /// Nowhere: the pipeline stops and says why.
    Stop,
}

/// How an output record says what it is coded with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodingHeader {
    /// A `content-encoding` header on every record.
    ContentEncoding,
    /// No header: streams without a magic of their own travel in latentd's frame.
    None,
}

/// What a restore does when the registry has no model that a record names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingModelPolicy {
    /// Not ready, nothing consumed, until the model is there.
    Wait,
    /// To the dead letters, like any record that cannot be decoded.
    DeadLetter,
}

/// Limits of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockSettings {
    /// Most records in a block.
    pub max_records: usize,
    /// Most raw bytes (keys, values, headers) in a block.
    pub max_bytes: ByteSize,
    /// How long a block may stay open after its first record. A commit closes it in any case.
    pub linger: Duration,
}

/// What values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// What the records look like.
    Auto,
    /// Bytes of whatever kind.
    Bytes,
    /// JSON.
    Json,
    /// CSV.
    Csv,
    /// Text.
    Text,
    /// Small images of one shape.
    Image,
}

/// What values are coded with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodecChoice {
    /// This.
    Fixed(CodecSpec),
    /// Whatever is cheapest on the topic's records.
    Auto(AutoSettings),
}

/// What a pipeline codes with until it has learned something.
const UNTIL_LEARNED: CodecSpec = CodecSpec::new(Algorithm::Zstd);

impl CodecChoice {
    /// What the first records are coded with.
    pub fn first(&self) -> CodecSpec {
        match self {
            Self::Fixed(spec) if !spec.algorithm().is_learned() => *spec,
            Self::Fixed(_) | Self::Auto(_) => UNTIL_LEARNED,
        }
    }

    /// Whether it is this codec, at whatever level.
    pub fn is(&self, algorithm: Algorithm) -> bool {
        matches!(self, Self::Fixed(spec) if spec.algorithm() == algorithm)
    }
}

impl fmt::Display for CodecChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(spec) => spec.fmt(f),
            Self::Auto(_) => f.write_str("auto"),
        }
    }
}

/// What the choice among codecs is bound by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AutoSettings {
    /// Whether codecs that learn a model are among them.
    pub learns: bool,
    /// Most time to code one output record.
    pub max_latency: Option<Duration>,
    /// Most CPU time to code 10⁹ bytes of records.
    pub max_cpu: Option<Duration>,
}

/// How the pipeline learns, and chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LearnSettings {
    /// Time between two trainings.
    pub every: Duration,
    /// Bytes of records kept to learn from.
    pub reservoir: ByteSize,
    /// Size of a trained dictionary.
    pub dictionary: ByteSize,
    /// CPU time of a training that takes minutes.
    pub cpu: Duration,
    /// How records are divided into what is learned from and what judges.
    pub split: Split,
}

/// Which models records are drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GeneratorChoice {
    /// A generator once one is learned whose records may be published, and the model of fields that the codec has until then.
    Auto,
    /// The model of fields that the codec has.
    Columns,
    /// A network that is learned beside the codec, which draws value by value.
    Autoregressive,
    /// The decoder of a variational autoencoder, learned beside the codec: of rows, or of images.
    Vae,
    /// The generator of an adversarial pair, learned beside the codec.
    Gan,
    /// Real records, of which a model that is made beside the codec holds some, changed.
    Classical,
}

impl GeneratorChoice {
    /// The word in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Columns => "columns",
            Self::Autoregressive => "autoregressive",
            Self::Vae => "vae",
            Self::Gan => "gan",
            Self::Classical => "classical",
        }
    }

    /// Whether it is made beside the codec and nothing else is drawn from: then the codec may be any that learns.
    pub const fn is_beside(self) -> bool {
        matches!(self, Self::Autoregressive | Self::Vae | Self::Gan | Self::Classical)
    }
}

/// Where a record says which class its image is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabelSource {
    /// In its key.
    Key,
    /// In this header.
    Header(String),
}

impl LabelSource {
    /// The class of a record: a text of 1 to 64 bytes without control characters. Of several headers of the name the first counts.
    pub fn of<'a>(&self, record: &RecordRef<'a>) -> Option<&'a str> {
        let bytes = match self {
            Self::Key => record.key,
            Self::Header(name) => record.headers.iter().find(|header| header.name == name)?.value,
        };
        let text = std::str::from_utf8(bytes?).ok()?;
        let fits = (1..=MAX_LABEL).contains(&text.len()) && !text.chars().any(char::is_control);
        fits.then_some(text)
    }
}

impl fmt::Display for LabelSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key => f.write_str("key"),
            Self::Header(name) => write!(f, "header `{name}`"),
        }
    }
}

/// What decides whether drawn records are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gates {
    /// All of [`crate::quality`], at their thresholds.
    Default,
    /// Nothing: whatever is drawn is published, as not for training.
    Off,
}

/// What is generated beside the records of a topic.
#[derive(Clone, Debug, PartialEq)]
pub struct AugmentSettings {
    /// Topic of the generated records.
    pub to: TopicTemplate,
    /// What draws them.
    pub generator: GeneratorChoice,
    /// The values that fields are to have.
    pub condition: Condition,
    /// A field whose rare classes are filled up.
    pub balance: Option<String>,
    /// Where images say their class; without it they have none.
    pub label: Option<LabelSource>,
    /// How many.
    pub rate: Rate,
    /// Most of them for each real one.
    pub share: f64,
    /// What decides whether they are published.
    pub gates: Gates,
    /// A field that models are trained to predict, to see what the records are worth to them.
    pub target: Option<String>,
    /// What all chance comes from.
    pub seed: u64,
    /// CPU time of the training of a generator.
    pub cpu: Duration,
    /// Most records that a model holds which makes others of them.
    pub bases: Option<usize>,
}

impl AugmentSettings {
    /// Records that are drawn for each real one, as far as it is known; the most that there may be, where time says it.
    pub fn drawn_for_each(&self) -> f64 {
        match self.rate {
            Rate::PerRecord(rate) => rate.min(self.share),
            Rate::PerTime { .. } => self.share,
        }
    }

    /// Whether records are drawn under a condition: of a generator, then, since the model that the codec has draws under none.
    pub fn is_conditional(&self) -> bool {
        !self.condition.is_empty() || self.balance.is_some()
    }
}

/// Everything one pipeline is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Its name: label of its metrics, part of group and transactional ids.
    pub name: String,
    /// What happens to the records.
    pub operation: Operation,
    /// Topics read.
    pub from: SourceTopics,
    /// Topic written.
    pub to: TopicTemplate,
    /// What values are.
    pub payload: Payload,
    /// Their shape, where they are images.
    pub shape: Option<Shape>,
    /// Codec and level (compress only).
    pub codec: CodecChoice,
    /// Layout written (compress only).
    pub layout: Layout,
    /// What a crash may do.
    pub delivery: Delivery,
    /// Worker threads, each with a consumer and a producer of its own.
    pub workers: usize,
    /// Whether missing target topics are created.
    pub create_topics: bool,
    /// Time between commits.
    pub commit_interval: Duration,
    /// Whether a transaction commits while the next one's records are encoded and spooled.
    pub overlap_commits: bool,
    /// Where bad records go.
    pub dead_letter: DeadLetter,
    /// Limits of a block.
    pub block: BlockSettings,
    /// Most bytes that one record or block may decode to.
    pub max_decoded: ByteSize,
    /// Whether records carry `content-encoding`.
    pub headers: EncodingHeader,
    /// Whether every encoded record is decoded and compared before it is sent.
    pub verify: bool,
    /// What a restore does when a model is missing.
    pub missing_model: MissingModelPolicy,
    /// Whether and how the pipeline learns.
    pub learn: Option<LearnSettings>,
    /// Whether and what it generates.
    pub augment: Option<AugmentSettings>,
}

impl Settings {
    /// Whether output records have the keys of the input's.
    pub fn keeps_keys(&self) -> bool {
        match self.operation {
            Operation::Compress => self.layout == Layout::Record,
            Operation::Restore => true,
            Operation::Generate => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{HeaderRef, Timestamp};

    #[test]
    fn a_label_is_a_short_text_in_the_place_that_was_named() {
        let of =
            |source: &LabelSource, key: Option<&'static [u8]>, headers: &[(&'static str, Option<&'static [u8]>)]| {
                let headers = headers.iter().map(|(name, value)| HeaderRef { name, value: *value }).collect();
                source.of(&RecordRef { key, value: None, headers, timestamp: Timestamp::create(1), offset: 0 })
            };
        let header = LabelSource::Header("digit".to_owned());
        assert_eq!(of(&LabelSource::Key, Some(b"seven"), &[]), Some("seven"));
        assert_eq!(of(&LabelSource::Key, None, &[("digit", Some(b"3"))]), None);
        assert_eq!(
            of(&header, Some(b"seven"), &[("a", Some(b"1")), ("digit", Some(b"3")), ("digit", Some(b"4"))]),
            Some("3")
        );
        assert_eq!(of(&header, None, &[("digit", None), ("digit", Some(b"4"))]), None);
        for no_text in [&b""[..], &[7], &[0xff, 0xfe], &[b'x'; MAX_LABEL + 1]] {
            assert_eq!(of(&LabelSource::Key, Some(no_text), &[]), None, "{no_text:?}");
        }
    }
}
