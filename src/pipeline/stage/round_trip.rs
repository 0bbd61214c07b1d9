//! What the compressing stages publish, the restoring stage gives back.

use std::sync::Arc;
use std::time::Duration;

use super::{Coder, CompressBlocks, CompressRecords, Halt, Output, Publication, Reason, Restore, Stage};
use crate::codec::{Algorithm, CONTENT_ENCODING, CodecSpec, ModelSource, NoModels};
use crate::pipeline::settings::{
    BlockSettings, CodecChoice, DeadLetter, Delivery, EncodingHeader, Layout, MissingModelPolicy, Operation, Payload,
    Settings, SourceTopics, TopicTemplate,
};
use crate::pipeline::testing::observer;
use crate::record::{Header, Record, RecordRef, Timestamp, TopicPartition};
use crate::units::ByteSize;

const SLOT: u32 = 0;

fn settings(codec: CodecSpec, layout: Layout, headers: EncodingHeader) -> Settings {
    Settings {
        name: "p".to_owned(),
        operation: Operation::Compress,
        from: SourceTopics::Names(vec!["t".to_owned()]),
        to: TopicTemplate::new("t.z"),
        payload: Payload::Auto,
        shape: None,
        codec: CodecChoice::Fixed(codec),
        layout,
        delivery: Delivery::ExactlyOnce,
        workers: 1,
        create_topics: true,
        commit_interval: Duration::from_secs(1),
        overlap_commits: true,
        dead_letter: DeadLetter::Stop,
        block: BlockSettings { max_records: 7, max_bytes: ByteSize::mib(1), linger: Duration::from_secs(1) },
        max_decoded: ByteSize::mib(1),
        headers,
        verify: true,
        missing_model: MissingModelPolicy::DeadLetter,
        learn: None,
        augment: None,
    }
}

/// Keeps what a stage publishes.
struct Collected {
    origin: TopicPartition,
    /// Largest value that the target takes.
    largest: usize,
    published: Vec<Record>,
    positions: Vec<i64>,
    dead: Vec<(i64, Reason)>,
}

impl Collected {
    fn new(largest: usize) -> Self {
        let origin = TopicPartition::new("t", 0);
        Self { origin, largest, published: Vec::new(), positions: Vec::new(), dead: Vec::new() }
    }
}

impl Output for Collected {
    fn origin(&self) -> &TopicPartition {
        &self.origin
    }
    fn fits(&self, publication: &Publication<'_>) -> bool {
        publication.value.is_none_or(|value| value.len() <= self.largest)
    }
    fn publish(&mut self, publication: &Publication<'_>, position: Option<i64>) -> Result<(), Halt> {
        let record = RecordRef {
            key: publication.key,
            value: publication.value,
            headers: publication.headers.into(),
            timestamp: Timestamp::create(publication.timestamp),
            offset: self.published.len() as i64,
        };
        self.published.push(record.to_owned());
        self.positions.extend(position);
        Ok(())
    }
    fn dead_letter(
        &mut self,
        record: &RecordRef<'_>,
        reason: Reason,
        _message: &str,
        position: Option<i64>,
    ) -> Result<(), Halt> {
        self.dead.push((record.offset, reason));
        self.positions.extend(position);
        Ok(())
    }
}

fn compress(settings: &Settings, records: &[Record], largest: usize) -> Collected {
    let models: Arc<dyn ModelSource> = Arc::new(NoModels);
    let coder = Coder::new(settings, &models, None, None, observer().metrics()).unwrap();
    let mut stage: Box<dyn Stage> = match settings.layout {
        Layout::Record => Box::new(CompressRecords::new(coder, settings.headers)),
        Layout::Block => Box::new(CompressBlocks::new(coder, settings.headers, settings.block)),
    };
    let mut output = Collected::new(largest);
    for record in records {
        stage.take(SLOT, &record.as_ref(), &mut output).unwrap();
    }
    stage.close(SLOT, &mut output).unwrap();
    stage.at_boundary();
    output
}

fn restore(settings: &Settings, records: &[Record]) -> Collected {
    let models: Arc<dyn ModelSource> = Arc::new(NoModels);
    let mut stage = Restore::new(settings, &models, observer().metrics().clone());
    let mut output = Collected::new(usize::MAX);
    for record in records {
        stage.take(SLOT, &record.as_ref(), &mut output).unwrap();
    }
    stage.at_boundary();
    output
}

/// Records that have what a codec's name is told by, or look like something coded.
fn records() -> Vec<Record> {
    let own = |value: &'static [u8]| Header { name: CONTENT_ENCODING.to_owned(), value: Some(value.into()) };
    let values: [(Option<&[u8]>, Vec<Header>); 10] = [
        (Some(b"a value that a value that a value that a codec makes smaller"), vec![]),
        (Some(b""), vec![]),
        (None, vec![]),
        (Some(b"BZh, as bzip2 begins"), vec![]),
        (Some(b"\x91\x4c\x10\x00, as a frame begins"), vec![]),
        (Some(b"x"), vec![]),
        (Some(b"coded by the producer, as it says"), vec![own(b"gzip")]),
        (Some(b"a value of our own making"), vec![own(b"latentd"), own(b"zstd")]),
        (None, vec![own(b"gzip")]),
        (Some(&[0xff; 500]), vec![Header { name: "h".to_owned(), value: None }]),
    ];
    let record = |(i, (value, headers)): (usize, (Option<&[u8]>, Vec<Header>))| Record {
        key: Some(format!("k{i}").into()),
        value: value.map(|value| value.to_vec().into()),
        headers,
        timestamp: Timestamp::create(1000 + i as i64),
        offset: i as i64,
    };
    values.into_iter().enumerate().map(record).collect()
}

#[test]
fn every_codec_layout_and_way_to_name_it_gives_the_records_back() {
    let records = records();
    for algorithm in Algorithm::ALL {
        for layout in [Layout::Record, Layout::Block] {
            for headers in [EncodingHeader::ContentEncoding, EncodingHeader::None] {
                let case = format!("{algorithm}, {layout:?}, {headers:?}");
                let settings = settings(CodecSpec::new(algorithm), layout, headers);
                let compressed = compress(&settings, &records, usize::MAX);
                assert_eq!(compressed.dead, [], "{case}");
                assert_eq!(compressed.positions.last(), Some(&10), "{case}");
                let restored = restore(&settings, &compressed.published);
                assert_eq!(restored.dead, [], "{case}");
                assert_eq!(restored.published, records, "{case}");
                assert_eq!(restored.positions.len(), compressed.published.len(), "{case}");
            }
        }
    }
}

#[test]
fn a_block_that_the_target_does_not_take_is_halved_until_its_parts_fit() {
    let settings = settings(CodecSpec::new(Algorithm::Identity), Layout::Block, EncodingHeader::ContentEncoding);
    let records = records();
    let compressed = compress(&settings, &records, 200);
    assert_eq!(compressed.dead, [(9, Reason::TooLarge)], "the last value alone is larger");
    let restored = restore(&settings, &compressed.published);
    assert_eq!(restored.published, records[..9]);
    assert_eq!(compressed.positions.last(), Some(&10));
}

#[test]
fn what_cannot_be_restored_is_a_dead_letter_that_says_which_kind() {
    let settings = settings(CodecSpec::new(Algorithm::Zstd), Layout::Block, EncodingHeader::ContentEncoding);
    let large = Record { value: Some(vec![7; 2 << 20].into()), ..records()[0].clone() };
    let mut published = compress(&settings, &[large], usize::MAX).published;
    let mut cut = compress(&settings, &records(), usize::MAX).published.remove(0);
    cut.value = cut.value.map(|value| value.slice(..value.len() / 2));
    published.push(cut);
    let restored = restore(&settings, &published);
    assert_eq!(restored.dead, [(0, Reason::OverCap), (0, Reason::Undecodable)]);
    assert_eq!(restored.published, []);
}
