//! The records that are measured: from a file, a folder or a topic, cut by time into a part to learn from and a part to
//! measure.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;

use crate::cli::records::RecordMode;
use crate::record::{Record, Timestamp};
use crate::source::{KafkaSettings, ScanFrom, ScanSettings, Scanned, SourceRecord, TopicScan};

/// Records to learn from, and the ones after them, which nothing has seen.
pub struct Sample {
    /// The earlier half.
    pub train: Vec<Record>,
    /// At most so many records of the later half.
    pub test: Vec<Record>,
}

/// How long one answer of the brokers may take.
const ASK: Duration = Duration::from_secs(10);

impl Sample {
    fn split(mut records: Vec<Record>, limit: usize) -> anyhow::Result<Self> {
        ensure!(records.len() >= 2, "{} records are too few: half of them are to learn from", records.len());
        let mut test = records.split_off(records.len() / 2);
        test.truncate(limit);
        Ok(Self { train: records, test })
    }

    /// From a file or a folder, whose files are a record each.
    pub fn from_path(path: &Path, mode: Option<RecordMode>, limit: usize) -> anyhow::Result<Self> {
        if path.is_dir() {
            return Self::split(folder(path)?, limit);
        }
        let bytes = std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let mode = mode.unwrap_or_else(|| RecordMode::guess(&path.to_string_lossy(), &bytes));
        let pieces = mode.cut(&bytes)?;
        // The header of an idx file is no item.
        let skip = usize::from(mode == RecordMode::Idx);
        let values = pieces.iter().skip(skip).map(|piece| &bytes[piece.content.clone()]);
        Self::split(values.filter(|value| !value.is_empty()).zip(0..).map(record).collect(), limit)
    }

    /// From a topic, oldest records first, at most twice `limit` of them.
    pub fn from_topic(topic: &str, brokers: &[String], limit: usize) -> anyhow::Result<Self> {
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
        while records.len() < limit.saturating_mul(2) {
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
        Self::split(records, limit)
    }
}

/// A value as a producer would have sent it, a millisecond after the one before.
fn record((value, index): (&[u8], i64)) -> Record {
    Record {
        key: None,
        value: Some(Bytes::copy_from_slice(value)),
        headers: Vec::new(),
        timestamp: Timestamp::create(1_700_000_000_000 + index),
        offset: index,
    }
}

fn folder(path: &Path) -> anyhow::Result<Vec<Record>> {
    let mut files: Vec<PathBuf> = Vec::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| format!("cannot read `{}`", folder.display()))? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path());
            }
        }
    }
    if files.is_empty() {
        bail!("`{}` holds no files", path.display());
    }
    files.sort();
    files
        .iter()
        .zip(0..)
        .map(|(file, index)| {
            let bytes = std::fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))?;
            Ok(record((&bytes, index)))
        })
        .collect()
}
