//! The demonstration's own clients: one feeds a topic at a pace, one weighs what was compressed, one checks what was
//! restored.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::anyhow;
use bytes::Bytes;

use super::learned::Learned;
use super::ledger::Ledger;
use super::stream::{PARTITIONS, Stream};
use super::weigh::Scales;
use crate::record::{Header, Record, Timestamp};
use crate::sink::{KafkaProducer, OutRecord, Producer, ProducerSettings, SendError};
use crate::source::{KafkaSettings, ScanFrom, ScanSettings, Scanned, SourceRecord, TopicScan};

/// Bytes that may be fed and not yet restored: well under what the embedded broker keeps, so that it never drops a
/// record that nobody has read.
const OPEN_BYTES: u64 = 4 << 20;

/// How long one answer of the brokers may take.
const ASK: Duration = Duration::from_secs(10);

/// What the threads of one stream share.
pub struct Course {
    /// The stream.
    pub stream: Stream,
    /// The source topic.
    pub topic: String,
    /// The account of its records.
    pub ledger: Ledger,
    /// What the compressed topic weighs.
    pub ours: Scales,
    /// What Kafka's own zstd would weigh in the batches of a producer's default, 16 KiB.
    pub kafka: Scales,
    /// And in batches of 128 KiB.
    pub kafka_large: Scales,
    /// What its pipeline has learned.
    pub learned: Learned,
    /// No more is to be fed.
    pub enough: AtomicBool,
    /// The threads are to end.
    pub over: AtomicBool,
}

impl Course {
    /// The topic that the compressed records go to.
    pub fn compressed(&self) -> String {
        format!("{}.z", self.topic)
    }
    /// The topic that the restored records go to.
    pub fn restored(&self) -> String {
        format!("{}.restored", self.topic)
    }
    /// All topics of the stream.
    pub fn topics(&self) -> [String; 5] {
        let dead = |topic: &str| format!("{topic}.dead");
        let (z, restored) = (self.compressed(), self.restored());
        [self.topic.clone(), dead(&self.topic), dead(&z), z, restored]
    }
}

/// Feeds the stream's records until there are enough.
pub fn feed(course: &Arc<Course>, kafka: &KafkaSettings) -> anyhow::Result<()> {
    let producer = KafkaProducer::create(&ProducerSettings {
        kafka: kafka.clone(),
        transactional_id: None,
        queue_bytes: OPEN_BYTES * 2,
        max_record_bytes: 1 << 20,
        max_batch_bytes: 1 << 20,
    })?;
    let started = Instant::now();
    let mut samples = course.stream.records.iter().cycle();
    let mut sent = 0u64;
    let mut tokens = Vec::new();
    while !course.enough.load(Ordering::Acquire) {
        let wanted = course.stream.backlog + (started.elapsed().as_secs_f64() * course.stream.rate) as u64;
        let full = course.ledger.sums().open_bytes >= OPEN_BYTES;
        if full {
            // What was not fed in time is not made up for: the pace is what the pipelines can take.
            sent = sent.max(wanted);
        }
        if sent >= wanted {
            producer.serve(Duration::from_millis(5));
        } else if let Some(sample) = samples.next() {
            let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as i64;
            let headers = sample.header.iter().map(|(name, value)| Header {
                name: (*name).to_owned(),
                value: Some(Bytes::copy_from_slice(value.as_bytes())),
            });
            let record = Record {
                key: Some(sample.key.clone()),
                value: Some(sample.value.clone()),
                headers: headers.collect(),
                timestamp: Timestamp::create(now),
                offset: 0,
            };
            let partition = (crate::frame::checksum(&sample.key) % PARTITIONS as u32) as i32;
            // Into the account first: the checker may see it come back at any time after it was sent.
            course.ledger.fed(partition, record.clone());
            send(&producer, &course.topic, partition, &record)?;
            for scales in [&course.kafka, &course.kafka_large] {
                scales.add(partition, &record.as_ref()).map_err(|error| anyhow!(error))?;
            }
            sent += 1;
        }
        producer.delivered(&mut tokens);
        tokens.clear();
        if let Some(failure) = producer.failure() {
            return Err(failure.into());
        }
    }
    let deadline = Instant::now() + ASK;
    while producer.in_flight() > 0 && Instant::now() < deadline {
        producer.serve(Duration::from_millis(5));
    }
    course.kafka_large.close().and_then(|()| course.kafka.close()).map_err(|error| anyhow!(error))
}

fn send(producer: &KafkaProducer, topic: &str, partition: i32, record: &Record) -> anyhow::Result<()> {
    let view = record.as_ref();
    let out = OutRecord {
        topic,
        partition: Some(partition),
        key: view.key,
        value: view.value,
        headers: &view.headers,
        timestamp: view.timestamp.millis,
    };
    loop {
        match producer.send(&out, 0) {
            Ok(()) => return Ok(()),
            Err(SendError::QueueFull) => producer.serve(Duration::from_millis(5)),
            Err(SendError::Failed(error)) => return Err(error.into()),
        }
    }
}

fn scan(kafka: &KafkaSettings, topic: String) -> anyhow::Result<TopicScan> {
    let settings = ScanSettings {
        kafka: kafka.clone(),
        topic,
        partition: None,
        from: ScanFrom::Beginning,
        queue_bytes: OPEN_BYTES,
    };
    Ok(TopicScan::open(&settings, ASK)?)
}

/// Weighs what the compressing pipeline writes.
pub fn weigh(course: &Arc<Course>, kafka: &KafkaSettings) -> anyhow::Result<()> {
    let mut scan = scan(kafka, course.compressed())?;
    while !course.over.load(Ordering::Acquire) {
        match scan.poll(Duration::from_millis(50))? {
            Scanned::Record(record) => {
                let partition = record.partition();
                course.ours.add(partition, &record.record()?).map_err(|error| anyhow!(error))?;
            }
            // The producer had nothing more to send: its batch was closed.
            Scanned::Nothing => course.ours.close().map_err(|error| anyhow!(error))?,
            Scanned::End => {}
        }
    }
    course.ours.close().map_err(|error| anyhow!(error))
}

/// Compares what the restoring pipeline writes with what was fed.
pub fn check(course: &Arc<Course>, kafka: &KafkaSettings) -> anyhow::Result<()> {
    let mut scan = scan(kafka, course.restored())?;
    while !course.over.load(Ordering::Acquire) {
        if let Scanned::Record(record) = scan.poll(Duration::from_millis(50))? {
            let partition = record.partition();
            course.ledger.restored(partition, &record.record()?);
        }
    }
    Ok(())
}
