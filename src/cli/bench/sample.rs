//! The records that are measured: the first ones of a file, a folder or a topic, cut by time into a part to learn from
//! and a part to measure.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;

use crate::cli::records::{self, RecordMode};
use crate::record::{Record, Timestamp};
use crate::source::{KafkaSettings, ScanFrom, ScanSettings, Scanned, SourceRecord, TopicScan};

/// Records to learn from, and the ones after them, which nothing has seen.
pub struct Sample {
    /// The earlier half.
    pub train: Vec<Record>,
    /// The later half.
    pub test: Vec<Record>,
}

/// How long one answer of the brokers may take.
const ASK: Duration = Duration::from_secs(10);

impl Sample {
    fn split(mut records: Vec<Record>) -> anyhow::Result<Self> {
        ensure!(records.len() >= 2, "{} records are too few: half of them are to learn from", records.len());
        let test = records.split_off(records.len() / 2);
        Ok(Self { train: records, test })
    }

    /// At most `most` records from the front of a file or a folder, whose files are a record each.
    pub fn from_path(path: &Path, mode: Option<RecordMode>, most: usize) -> anyhow::Result<Self> {
        let records = if path.is_dir() { folder(path, most) } else { file(path, mode, most) };
        Self::split(records.with_context(|| format!("cannot read `{}`", path.display()))?)
    }

    /// At most `most` records from the beginning of a topic.
    pub fn from_topic(topic: &str, brokers: &[String], most: usize) -> anyhow::Result<Self> {
        let kafka = KafkaSettings { brokers: brokers.to_vec(), ..KafkaSettings::default() };
        let settings = ScanSettings {
            kafka,
            topic: topic.to_owned(),
            partition: None,
            from: ScanFrom::Beginning,
            queue_bytes: 64 << 20,
        };
        let mut scan = TopicScan::open(&settings, ASK)?;
        let mut records = Vec::new();
        while records.len() < most {
            match scan.poll(Duration::from_secs(1)) {
                Ok(Scanned::Record(record)) => records.push(record.record()?.to_owned()),
                Ok(Scanned::End) => break,
                Ok(Scanned::Nothing) => {}
                Err(error) if error.is_passing() => eprintln!("{error}"),
                Err(error) => return Err(error.into()),
            }
        }
        // Partitions were read side by side: by time the later half is the later half.
        records.sort_by_key(|record| record.timestamp.millis);
        Self::split(records)
    }
}

/// A value as a producer would have sent it, a millisecond after the one before.
fn record(value: &[u8], index: i64) -> Record {
    Record {
        key: None,
        value: Some(Bytes::copy_from_slice(value)),
        headers: Vec::new(),
        timestamp: Timestamp::create(1_700_000_000_000 + index),
        offset: index,
    }
}

/// The first records of a file that are not empty. No more of it is read than they need.
fn file(path: &Path, mode: Option<RecordMode>, most: usize) -> anyhow::Result<Vec<Record>> {
    let (_, mut reader) = records::open(path, mode)?;
    let mut records = Vec::new();
    while records.len() < most
        && let Some(found) = reader.next()?
    {
        if !found.content.is_empty() {
            records.push(record(found.content, records.len() as i64));
        }
    }
    Ok(records)
}

/// The first files below a folder, by name.
fn folder(path: &Path, most: usize) -> anyhow::Result<Vec<Record>> {
    let mut files: Vec<PathBuf> = Vec::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read `{}`", folder.display()))? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path());
            }
        }
    }
    ensure!(!files.is_empty(), "it holds no files");
    files.sort();
    files.truncate(most);
    files
        .iter()
        .zip(0..)
        .map(|(file, index)| {
            let bytes = fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))?;
            Ok(record(&bytes, index))
        })
        .collect()
}
