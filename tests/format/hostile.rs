//! Records from somebody who means harm, and what must hold for each of them. The seeded test and the fuzz target under
//! `tests/fuzz` share it.

use std::sync::Arc;

use arbitrary::Arbitrary;
use latentd::codec::block::{BlockBuilder, BlockReader, DecodeLimits};
use latentd::codec::{
    self, Algorithm, CONTENT_ENCODING, Codec, CodecSpec, Content, Decoders, IdentityCodec, LATENTD, LearnedCodecs,
    MissingModel, ModelId, ModelRef, ModelSource, Restorer,
};
use latentd::frame::{Digest, FrameHeader, Guard, IntegerEncoder, IntegerModels, Kind, put_varint};
use latentd::model::Learned;
use latentd::record::{Header, HeaderRef, HeaderRefs, Record, RecordRef, Timestamp, TimestampKind};

/// The caps that decoding has here: small, so that what passes them is common.
pub const LIMITS: DecodeLimits = DecodeLimits { max_bytes: 16 << 10, max_records: 64 };

/// What is tried.
#[derive(Debug, Arbitrary)]
pub enum Attack<'a> {
    /// Any bytes under the header of any codec, or under none.
    Value { encoding: Option<u8>, bytes: &'a [u8] },
    /// Any bytes behind a frame's header.
    Frame { block: bool, names_model: bool, codec: u8, rest: &'a [u8] },
    /// Any bytes as what a learned codec made of a record: there is no checksum before them.
    Learned { model: u8, rest: &'a [u8] },
    /// A block whose numbers are not what they should be, under a checksum that is right.
    Forged { records: Vec<Row<'a>>, tampering: Vec<Tamper>, gathered: Option<&'a [u8]>, methods: u8, tail: &'a [u8] },
    /// Records that are what they are, and must come back.
    Honest { codec: u8, records: Vec<Row<'a>> },
}

/// A record in few bytes.
#[derive(Debug, Arbitrary)]
pub struct Row<'a> {
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: Vec<(Name, Option<&'a [u8]>)>,
    timestamp: i64,
    append: bool,
    offset: i64,
}

/// Few names, so that they repeat.
#[derive(Clone, Copy, Debug, Arbitrary)]
enum Name {
    Empty,
    A,
    Encoding,
    Umlaut,
}

impl Name {
    fn text(self) -> &'static str {
        match self {
            Self::Empty => "",
            Self::A => "a",
            Self::Encoding => CONTENT_ENCODING,
            Self::Umlaut => "ü",
        }
    }
}

/// Replaces a number.
#[derive(Clone, Copy, Debug, Arbitrary)]
pub struct Tamper {
    /// Which scalar or column, counted round.
    group: u8,
    /// Which number of it, counted round.
    number: u8,
    by: Number,
}

/// Numbers that break things, and any other.
#[derive(Clone, Copy, Debug, Arbitrary)]
enum Number {
    Small(i8),
    Medium(i32),
    Any(i64),
    Least,
    Most,
}

impl Number {
    fn value(self) -> i64 {
        match self {
            Self::Small(value) => value.into(),
            Self::Medium(value) => value.into(),
            Self::Any(value) => value,
            Self::Least => i64::MIN,
            Self::Most => i64::MAX,
        }
    }
}

impl Row<'_> {
    fn record(&self) -> Record {
        let bytes = |bytes: Option<&[u8]>| bytes.map(|bytes| bytes.to_vec().into());
        let kind = if self.append { TimestampKind::LogAppendTime } else { TimestampKind::CreateTime };
        Record {
            key: bytes(self.key),
            value: bytes(self.value),
            headers: self
                .headers
                .iter()
                .map(|(name, value)| Header { name: name.text().to_owned(), value: bytes(*value) })
                .collect(),
            timestamp: Timestamp { kind, millis: self.timestamp },
            offset: self.offset,
        }
    }
}

fn algorithm(byte: u8) -> Algorithm {
    Algorithm::ALL[usize::from(byte) % Algorithm::ALL.len()]
}

/// The models of the golden files.
struct GoldenModels;

const MODELS: [(Algorithm, &[u8]); 9] = [
    (Algorithm::Columns, include_bytes!("../golden/v1/columns/records.model")),
    (Algorithm::Columns, include_bytes!("../golden/v1/columns/blocks.model")),
    (Algorithm::Columns, include_bytes!("../golden/v1/columns/places-alone.model")),
    (Algorithm::Columns, include_bytes!("../golden/v1/columns/places.model")),
    (Algorithm::Latent, include_bytes!("../golden/v1/latent/digits.model")),
    (Algorithm::Latent, include_bytes!("../golden/v1/latent/tiles.model")),
    (Algorithm::Latent, include_bytes!("../golden/v1/latent/dots.model")),
    (Algorithm::Latent, include_bytes!("../golden/v1/latent/specks.model")),
    (Algorithm::Latent, include_bytes!("../golden/v1/latent/stars.model")),
];

fn model(byte: u8) -> (Algorithm, &'static [u8]) {
    MODELS[usize::from(byte) % MODELS.len()]
}

impl ModelSource for GoldenModels {
    fn artefact(&self, asked: ModelRef) -> Result<Arc<[u8]>, MissingModel> {
        let found = MODELS.into_iter().find(|(_, model)| asked.begins(&ModelId::of(model)));
        let missing = MissingModel { model: asked, looked_in: "the golden models".to_owned(), retriable: false };
        found.map(|(_, model)| model.into()).ok_or(missing)
    }

    fn learned(&self) -> &dyn LearnedCodecs {
        &Learned
    }
}

fn models() -> Arc<dyn ModelSource> {
    Arc::new(GoldenModels)
}

/// A codec: one of those without a model, or a learned one with a golden model.
fn coder(byte: u8) -> Box<dyn Codec> {
    let place = usize::from(byte) % (Algorithm::ALL.len() + MODELS.len());
    let built = match place.checked_sub(Algorithm::ALL.len()) {
        None => codec::build(CodecSpec::new(Algorithm::ALL[place]), &models()),
        Some(place) => Learned.open(MODELS[place].0, &MODELS[place].1.into()),
    };
    built.expect("every codec is built")
}

fn pack(records: &[Record], codec: &mut dyn Codec) -> Vec<u8> {
    let (mut builder, mut block) = (BlockBuilder::default(), Vec::new());
    records.iter().for_each(|record| builder.push(&record.as_ref()));
    builder.encode(codec, &mut block).expect("any records are coded");
    block
}

impl Attack<'_> {
    /// The record's value and its `content-encoding`.
    pub fn value(&self) -> (Option<&'static str>, Vec<u8>) {
        match self {
            Self::Value { encoding, bytes } => {
                let token = encoding.map(|byte| match algorithm(byte) {
                    Algorithm::ZstdDict => LATENTD,
                    other => other.content_encoding(),
                });
                (token, bytes.to_vec())
            }
            Self::Frame { block, names_model, codec, rest } => {
                let mut frame = vec![0x91, 0x4c, 0x10 | u8::from(*names_model) << 1 | u8::from(*block), *codec % 16];
                frame.extend_from_slice(rest);
                (Some(LATENTD), frame)
            }
            Self::Learned { model: byte, rest } => {
                let (codec, model) = model(*byte);
                let guard = Guard::Model(ModelId::of(model).prefix());
                let header = FrameHeader { kind: Kind::Record, codec: codec as u8, guard };
                let mut frame = Vec::new();
                header.write(&mut frame);
                frame.extend_from_slice(rest);
                (Some(LATENTD), frame)
            }
            Self::Forged { records, tampering, gathered, methods, tail } => {
                let records: Vec<Record> = records.iter().map(Row::record).collect();
                (Some(LATENTD), forge(&records, tampering, *gathered, *methods, tail))
            }
            Self::Honest { codec, records } => {
                let records: Vec<Record> = records.iter().map(Row::record).collect();
                (Some(LATENTD), pack(&records, &mut *coder(*codec)))
            }
        }
    }

    /// Decodes and fails if anything comes out that must not.
    pub fn judge(&self) {
        let (token, value) = self.value();
        let mut target = Target::new();
        match self {
            Self::Honest { codec, records } => {
                let records: Vec<Record> = records.iter().map(Row::record).collect();
                let size: usize = records.iter().map(|record| record.as_ref().payload_len()).sum();
                let mut reader = BlockReader::default();
                let codec = coder(*codec).algorithm();
                reader
                    .decode(&value, &mut Decoders::new(&models()), &DecodeLimits::UNLIMITED)
                    .unwrap_or_else(|error| panic!("a block of {codec} is not decoded: {error}"));
                let decoded: Vec<Record> = reader.records().map(|record| record.to_owned()).collect();
                assert_eq!(decoded, records, "{codec}");
                let decoded = target.decode(token, &value);
                assert!(decoded.is_none_or(|_| size <= LIMITS.max_bytes && records.len() <= LIMITS.max_records));
            }
            _ => {
                let Some(decoded) = target.decode(token, &value) else { return };
                let size: usize = decoded.iter().map(|record| record.as_ref().payload_len()).sum();
                // A plain value passes as it is, and has its cap from Kafka.
                assert!(size <= LIMITS.max_bytes || decoded[0].value.as_ref().is_some_and(|plain| *plain == value));
                // Whatever a forger made us believe, it is records like any others.
                let again = pack(&decoded, &mut IdentityCodec);
                let mut reader = BlockReader::default();
                reader.decode_uncoded(&again).expect("what we wrote is decoded");
                assert_eq!(reader.records().map(|record| record.to_owned()).collect::<Vec<_>>(), decoded);
            }
        }
    }
}

/// A restoring pipeline under small caps.
pub struct Target {
    restorer: Restorer,
}

impl Target {
    pub fn new() -> Self {
        Self { restorer: Restorer::new(&models(), LIMITS.max_bytes, LIMITS.max_records) }
    }

    /// The records that come out, if any do.
    pub fn decode(&mut self, token: Option<&str>, value: &[u8]) -> Option<Vec<Record>> {
        self.restore(token, value, |content| match content {
            Content::Record(record) => vec![record.to_owned()],
            Content::Block(block) => block.records().map(|record| record.to_owned()).collect(),
        })
    }

    /// Restores, and looks at every record that comes out.
    pub fn touch(&mut self, token: Option<&str>, value: &[u8]) -> Option<usize> {
        self.restore(token, value, |content| match content {
            Content::Record(record) => record.payload_len(),
            Content::Block(block) => block.records().map(|record| record.payload_len()).sum(),
        })
    }

    fn restore<T>(&mut self, token: Option<&str>, value: &[u8], take: impl FnOnce(Content<'_>) -> T) -> Option<T> {
        let headers: HeaderRefs<'_> =
            token.iter().map(|token| HeaderRef { name: CONTENT_ENCODING, value: Some(token.as_bytes()) }).collect();
        let record = RecordRef { key: None, value: Some(value), headers, timestamp: Timestamp::create(1), offset: 0 };
        self.restorer.restore(&record).ok().map(|restored| take(restored.content))
    }
}

/// Scalars and columns of a block, in their order.
struct Numbers(Vec<(bool, Vec<i64>)>);

impl Numbers {
    fn column(&mut self, values: impl IntoIterator<Item = i64>) {
        self.0.push((true, values.into_iter().collect()));
    }

    fn scalar(&mut self, value: usize) {
        self.0.push((false, vec![value as i64]));
    }
}

/// A block of these records as FORMAT.md has it, uncoded, except where it is tampered with: a numbered number is another,
/// the headers' bytes are others, the methods are others, bytes follow. The checksum is right all the same.
fn forge(records: &[Record], tampering: &[Tamper], gathered: Option<&[u8]>, methods: u8, tail: &[u8]) -> Vec<u8> {
    let length = |bytes: &Option<bytes::Bytes>| bytes.as_ref().map_or(-1, |bytes| bytes.len() as i64);
    let mut names: Vec<&str> = Vec::new();
    let mut lists: Vec<Vec<usize>> = Vec::new();
    let mut listed = Vec::new();
    for record in records {
        let mut list = Vec::new();
        for header in &record.headers {
            let place = names.iter().position(|name| *name == header.name).unwrap_or_else(|| {
                names.push(&header.name);
                names.len() - 1
            });
            list.push(place);
        }
        let place = lists.iter().position(|known| *known == list).unwrap_or_else(|| {
            lists.push(list);
            lists.len() - 1
        });
        listed.push(place as i64);
    }
    let values_of = |name: &str| {
        let headers = records.iter().flat_map(|record| &record.headers);
        headers.filter(|header| header.name == name).map(|header| header.value.clone()).collect::<Vec<_>>()
    };

    let mut numbers = Numbers(Vec::new());
    numbers.column(records.iter().map(|record| record.offset));
    numbers.column(records.iter().map(|record| record.timestamp.millis));
    numbers.column(records.iter().map(|record| i64::from(record.timestamp.kind == TimestampKind::LogAppendTime)));
    numbers.column(records.iter().map(|record| length(&record.key)));
    numbers.column(records.iter().map(|record| length(&record.value)));
    numbers.scalar(names.len());
    names.iter().for_each(|name| numbers.scalar(name.len()));
    numbers.scalar(lists.len());
    for list in &lists {
        numbers.scalar(list.len());
        list.iter().for_each(|name| numbers.scalar(*name));
    }
    numbers.column(listed);
    names.iter().for_each(|name| numbers.column(values_of(name).iter().map(length)));

    let mut count = records.len() as u64;
    for tamper in tampering {
        let groups = numbers.0.len();
        match usize::from(tamper.group) % (groups + 1) {
            0 => count = tamper.by.value() as u64,
            group => {
                let (_, group) = &mut numbers.0[group - 1];
                if !group.is_empty() {
                    let number = usize::from(tamper.number) % group.len();
                    group[number] = tamper.by.value();
                }
            }
        }
    }

    let (mut models, mut digest, mut integers) = (IntegerModels::default(), Digest::default(), Vec::new());
    digest.integer(count as i64);
    let mut stream = IntegerEncoder::new(&mut models, &mut digest, &mut integers);
    for (is_column, values) in &numbers.0 {
        if *is_column { stream.column(values) } else { stream.scalar(values[0]) }
    }
    stream.finish();

    let mut headers: Vec<u8> = names.concat().into_bytes();
    names.iter().for_each(|name| headers.extend(values_of(name).into_iter().flatten().flatten()));
    if let Some(gathered) = gathered {
        let len = headers.len().min(gathered.len());
        headers[..len].copy_from_slice(&gathered[..len]);
    }
    let keys: Vec<u8> = records.iter().flat_map(|record| record.key.iter().flatten()).copied().collect();
    let mut values: Vec<u8> = records.iter().flat_map(|record| record.value.iter().flatten()).copied().collect();
    values.extend_from_slice(tail);
    let mut body = Vec::new();
    put_varint(count, &mut body);
    // Mostly no methods: what follows is then read as it was meant.
    body.push(if methods < 0xc0 { 0 } else { methods });
    put_varint(integers.len() as u64, &mut body);
    body.extend_from_slice(&integers);
    for column in [&headers, &keys, &values] {
        digest.bytes(column);
        body.extend_from_slice(column);
    }
    let mut header = FrameHeader { kind: Kind::Block, codec: Algorithm::Identity as u8, guard: Guard::Checksum(0) };
    digest.bytes(&header.prefix());
    digest.bytes(&body);
    header.guard = Guard::Checksum(digest.finish());
    let mut frame = Vec::new();
    header.write(&mut frame);
    [frame, body].concat()
}
