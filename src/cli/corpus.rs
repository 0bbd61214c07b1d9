//! The records that a training or a comparison reads: the newest of a file or of topics, in runs, within a bound in bytes.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use indicatif::ProgressBar;
use regex::Regex;
use tokio::runtime::Runtime;

use crate::augment::{Emitted, is_generated};
use crate::cli::records::{self, RecordMode};
use crate::model::Span;
use crate::pipeline::{Run, SourceTopics};
use crate::record::{HeaderRefs, RecordRef, Timestamp};
use crate::registry::{EmittedPages, Registry};
use crate::source::topics::{TopicInfo, TopicReader};
use crate::source::{KafkaSettings, ScanFrom, ScanSettings, Scanned, SourceRecord, TopicScan};

/// How long one answer of the brokers may take.
const ASK: Duration = Duration::from_secs(10);

/// Bytes that may lie fetched and not yet kept.
const QUEUE: u64 = 32 << 20;

/// How many records are read between two looks of the progress.
const LOOK: u64 = 4096;

/// What is read at most.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes of values in a run; one record with 0.
    pub run_bytes: usize,
    /// Whether a topic's records keep their keys where a run is one record.
    pub keys: bool,
    /// Bytes of values that are kept, the newest.
    pub bytes: usize,
    /// Records.
    pub records: u64,
}

/// What becomes of generated records that a topic holds.
#[derive(Clone, Copy, Debug)]
pub enum Generated<'a> {
    /// They are read like any other.
    Read,
    /// They are left out, and counted: nothing learns from them. They say so in their headers, or a pipeline is known to have
    /// published them.
    Refused(&'a Emitted),
}

impl Generated<'_> {
    fn refuses(self, record: &RecordRef<'_>) -> bool {
        match self {
            Self::Read => false,
            Self::Refused(emitted) => {
                is_generated(&record.headers) || record.value.is_some_and(|value| emitted.knows(value))
            }
        }
    }
}

/// What a pipeline published, as far as the registry knows.
pub fn emitted(registry: &Registry, pipeline: &str) -> anyhow::Result<Emitted> {
    let runtime = Runtime::new().context("no runtime")?;
    let news = runtime.block_on(registry.emitted(pipeline, &mut EmittedPages::default()))?;
    news.damaged.iter().for_each(|damaged| eprintln!("latentd: {damaged}"));
    let mut emitted = Emitted::default();
    emitted.add_of_others(&news.digests);
    Ok(emitted)
}

/// Records in runs, the oldest first.
pub struct Corpus {
    /// The runs.
    pub runs: Vec<Run>,
    /// Where they lie, when they are a topic's.
    pub window: Vec<Span>,
    /// Generated records that were refused.
    pub refused: u64,
}

impl Corpus {
    /// The newest records of a file, with or without their line ends.
    pub fn of_file(
        path: &Path,
        mode: RecordMode,
        reader: &mut records::FileReader,
        bare: bool,
        bounds: &Bounds,
        bar: &ProgressBar,
    ) -> anyhow::Result<Self> {
        let mut newest = Newest::new(bounds, false);
        let mut read = 0;
        while let Some(record) = reader.next().with_context(|| format!("cannot read `{}`", path.display()))? {
            let value = if bare { record.content } else { record.all };
            if !value.is_empty() {
                newest.push(&in_a_file(value, read));
            }
            read += 1;
            if read % LOOK == 0 {
                bar.set_message(format!("reading {mode} records: {read}"));
            }
        }
        let corpus = Self { runs: newest.finish().map(|dated| dated.run).collect(), window: Vec::new(), refused: 0 };
        ensure!(!corpus.runs.is_empty(), "`{}` holds no records", path.display());
        Ok(corpus)
    }

    /// The newest records of topics, of each partition alike. Joins no group and commits nothing.
    pub fn of_topics(
        from: &SourceTopics,
        kafka: &KafkaSettings,
        bounds: &Bounds,
        generated: Generated<'_>,
        bar: &ProgressBar,
    ) -> anyhow::Result<Self> {
        let topics = topics(from, kafka)?;
        let partitions: i64 = topics.iter().map(|topic| i64::from(topic.partitions)).sum();
        let share = Bounds {
            bytes: bounds.bytes / usize::try_from(partitions.max(1)).unwrap_or(1),
            records: (bounds.records / partitions.max(1).unsigned_abs()).max(1),
            ..*bounds
        };
        let (mut dated, mut window, mut refused) = (Vec::new(), Vec::new(), 0);
        for topic in &topics {
            for (partition, newest) in scan(&topic.name, kafka, &share, generated, bar)? {
                refused += newest.refused;
                let runs: Vec<Dated> = newest.finish().collect();
                if let (Some(first), Some(last)) = (runs.first(), runs.last()) {
                    window.push(Span { topic: topic.name.clone(), partition, first: first.first, last: last.last });
                }
                dated.extend(runs);
            }
        }
        // Partitions were read side by side: by time the newest runs are the newest.
        dated.sort_by_key(|dated| dated.millis);
        let names: Vec<String> = topics.iter().map(|topic| format!("`{}`", topic.name)).collect();
        let names = names.join(", ");
        ensure!(
            !dated.is_empty() || refused == 0,
            "{names} holds none but generated records, which nothing learns from"
        );
        ensure!(!dated.is_empty(), "{names} holds no records with values");
        Ok(Self { runs: dated.into_iter().map(|dated| dated.run).collect(), window, refused })
    }

    /// Number of records.
    pub fn records(&self) -> usize {
        self.runs.iter().map(Run::len).sum()
    }
}

/// The topics of a pipeline that there are.
fn topics(from: &SourceTopics, kafka: &KafkaSettings) -> anyhow::Result<Vec<TopicInfo>> {
    let reader = TopicReader::connect(kafka)?;
    match from {
        SourceTopics::Names(names) => names.iter().map(|name| Ok(reader.topic(name, ASK)?)).collect(),
        SourceTopics::Pattern(pattern) => {
            let pattern = Regex::new(pattern).with_context(|| format!("`{pattern}` is no regular expression"))?;
            let mut topics = reader.list(ASK)?;
            topics.retain(|topic| pattern.is_match(&topic.name));
            ensure!(!topics.is_empty(), "no topic's name matches `{pattern}`");
            Ok(topics)
        }
    }
}

/// The newest records of each partition of a topic, to the end that it has now.
fn scan(
    topic: &str,
    kafka: &KafkaSettings,
    share: &Bounds,
    generated: Generated<'_>,
    bar: &ProgressBar,
) -> anyhow::Result<BTreeMap<i32, Newest>> {
    let settings = ScanSettings {
        kafka: kafka.clone(),
        topic: topic.to_owned(),
        partition: None,
        from: ScanFrom::Last(i64::try_from(share.records).unwrap_or(i64::MAX)),
        queue_bytes: QUEUE,
    };
    let mut scan = TopicScan::open(&settings, ASK)?;
    let (mut partitions, mut read) = (BTreeMap::new(), 0u64);
    loop {
        match scan.poll(Duration::from_secs(1)) {
            Ok(Scanned::Record(record)) => {
                let newest = partitions.entry(record.partition()).or_insert_with(|| Newest::new(share, true));
                let record = record.record()?;
                if generated.refuses(&record) {
                    newest.refused += 1;
                } else {
                    newest.push(&record);
                }
                read += 1;
                if read % LOOK == 0 {
                    bar.set_message(format!("reading `{topic}`: {read} records"));
                }
            }
            Ok(Scanned::End) => return Ok(partitions),
            Ok(Scanned::Nothing) => {}
            Err(error) if error.is_passing() => eprintln!("latentd: {error}"),
            Err(error) => return Err(error.into()),
        }
    }
}

/// A run and where it lies.
struct Dated {
    run: Run,
    first: i64,
    last: i64,
    /// Time of its last record.
    millis: i64,
}

/// A file's record as a topic would hold it, as far as a file says.
fn in_a_file(value: &[u8], number: u64) -> RecordRef<'_> {
    let offset = i64::try_from(number).unwrap_or(i64::MAX);
    RecordRef { key: None, value: Some(value), headers: HeaderRefs::new(), timestamp: Timestamp::create(-1), offset }
}

/// Records in a row as a training takes them: with all that they have.
pub fn runs<'a>(records: impl Iterator<Item = RecordRef<'a>>, run_bytes: usize) -> Vec<Run> {
    let mut newest = Newest::new(&Bounds { run_bytes, keys: false, bytes: usize::MAX, records: u64::MAX }, true);
    records.for_each(|record| newest.push(&record));
    newest.finish().map(|dated| dated.run).collect()
}

/// The newest records of one partition or file.
struct Newest {
    bounds: Bounds,
    /// Whether keys, headers, timestamps and offsets are kept too.
    whole: bool,
    runs: VecDeque<Dated>,
    bytes: usize,
    records: u64,
    /// Generated records that were left out.
    refused: u64,
}

impl Newest {
    fn new(bounds: &Bounds, has_framing: bool) -> Self {
        // What is learned from single values has no use for the rest.
        let whole = has_framing && (bounds.run_bytes > 0 || bounds.keys);
        Self { bounds: *bounds, whole, runs: VecDeque::new(), bytes: 0, records: 0, refused: 0 }
    }

    /// Takes the next record: one without a value only between others. The oldest runs go that the bounds leave no room for.
    fn push(&mut self, record: &RecordRef<'_>) {
        let (offset, millis) = (record.offset, record.timestamp.millis);
        let is_open = self.runs.back().is_some_and(|open| open.run.all_len() < self.bounds.run_bytes);
        match record.value {
            None if !is_open || !self.whole => return,
            Some(_) if !is_open => {
                self.runs.push_back(Dated { run: Run::default(), first: offset, last: offset, millis });
            }
            _ => {}
        }
        if let Some(open) = self.runs.back_mut() {
            let before = open.run.all_len();
            match record.value {
                Some(value) if !self.whole => open.run.push(value),
                _ => open.run.push_record(record),
            }
            self.bytes += open.run.all_len() - before;
            self.records += u64::from(record.value.is_some());
            (open.last, open.millis) = (offset, millis);
        }
        while let Some(oldest) = self.runs.front().map(|oldest| oldest.run.len() as u64)
            && self.runs.len() > 1
            && (self.bytes > self.bounds.bytes || self.records.saturating_sub(oldest) >= self.bounds.records)
        {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(gone) = self.runs.pop_front() {
            self.bytes -= gone.run.all_len();
            self.records -= gone.run.len() as u64;
        }
    }

    fn finish(self) -> impl Iterator<Item = Dated> {
        self.runs.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn newest(bytes: usize, run_bytes: usize, records: u64) -> Vec<Vec<String>> {
        let mut newest = Newest::new(&Bounds { run_bytes, keys: false, bytes, records }, false);
        for number in 0..10 {
            newest.push(&in_a_file(format!("{number:04}").as_bytes(), number));
        }
        let texts = |run: &Run| run.values().map(|value| String::from_utf8_lossy(value).into_owned()).collect();
        newest.finish().map(|dated| texts(&dated.run)).collect()
    }

    #[test]
    fn the_newest_records_stay_in_runs_under_both_bounds() {
        assert_eq!(newest(1000, 8, 100).len(), 5);
        assert_eq!(newest(17, 8, 100), [["0006", "0007"], ["0008", "0009"]]);
        assert_eq!(newest(1000, 8, 3), [["0006", "0007"], ["0008", "0009"]]);
        assert_eq!(newest(1000, 0, 2), [["0008"], ["0009"]]);
        assert_eq!(newest(1, 0, 100), [["0009"]], "one run stays, however large");
    }

    #[test]
    fn generated_records_are_told_by_their_headers_or_by_what_is_known_to_be_published() {
        let mut emitted = Emitted::default();
        emitted.add(b"drawn");
        let record = in_a_file(b"drawn", 0);
        assert!(Generated::Refused(&emitted).refuses(&record) && !Generated::Read.refuses(&record));
        assert!(!Generated::Refused(&emitted).refuses(&in_a_file(b"real", 0)));
        assert!(!Generated::Refused(&emitted).refuses(&RecordRef { value: None, ..record }));
    }

    #[test]
    fn a_run_knows_its_offsets_and_its_time() {
        let mut newest = Newest::new(&Bounds { run_bytes: 100, keys: false, bytes: 1000, records: 100 }, true);
        newest.push(&RecordRef { value: None, offset: 9, ..in_a_file(b"", 0) });
        for (offset, millis) in [(10, 5), (12, 6), (13, 9)] {
            let timestamp = Timestamp::create(millis);
            newest.push(&RecordRef { timestamp, offset, ..in_a_file(b"four", 0) });
        }
        newest.push(&RecordRef { value: None, offset: 14, ..in_a_file(b"", 0) });
        let places: Vec<_> = newest.finish().map(|dated| (dated.first, dated.last, dated.run.records_len())).collect();
        assert_eq!(places, [(10, 12, 2), (13, 14, 2)], "one without a value belongs between others");
    }
}
