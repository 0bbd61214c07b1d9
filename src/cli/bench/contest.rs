//! One way to write the records, run several times: bytes on the broker's log, CPU both ways, and whether everything comes
//! back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};

use super::SIZES;
use super::batches::Batches;
use super::models::Trained;
use super::percentile::p99;
use crate::codec::block::{BlockBuilder, BlockReader, DecodeLimits};
use crate::codec::{
    self, Algorithm, CONTENT_ENCODING, Codec, CodecSpec, LATENTD, LearnedCodecs as _, ModelSource, NoModels,
    ZstdDictCodec, seal,
};
use crate::frame::HEADER_LEN;
use crate::model::Learned;
use crate::record::{HeaderRef, HeaderRefs, Record, RecordRef, Timestamp};
use crate::telemetry::thread_cpu_seconds;

/// A way to write records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Kafka's own batches: zstd at a level, or no compression.
    Kafka {
        /// Level of zstd.
        level: Option<i32>,
        /// Uncompressed bytes of a batch.
        batch: usize,
    },
    /// One output record per record.
    Record(CodecSpec),
    /// The same on a topic that codes its batches once more: `compression.type=zstd`, batches of [`INSIDE`].
    RecordInKafka(CodecSpec),
    /// Blocks of so many raw bytes.
    Block(CodecSpec, usize),
}

/// What a way took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// Bytes on the broker's log.
    pub log_bytes: u64,
    /// CPU seconds to write all records once: the median of the passes.
    pub encode_seconds: f64,
    /// CPU seconds to read all records once: the median of the passes.
    pub decode_seconds: f64,
    /// Of the times to write one output record (a record, a block, a batch), the 99th percentile, in wall seconds.
    pub p99_seconds: f64,
    /// Bytes of the model.
    pub model_bytes: u64,
    /// CPU seconds of its training.
    pub training_seconds: f64,
    /// How often it ran.
    pub passes: usize,
}

/// Uncompressed bytes of a batch of our output: librdkafka's default `batch.size`.
const OUTPUT_BATCH: usize = 1_000_000;

/// Kafka's level of zstd and batch around records that are coded already. The smallest batch: whoever writes single records
/// wants them soon.
const INSIDE: (i32, usize) = (3, SIZES[0]);

/// Most passes of one way.
const PASSES: usize = 9;

impl std::fmt::Display for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let size = |bytes: usize| crate::units::ByteSize::new(bytes as u64);
        match self {
            Self::Kafka { level: None, batch } => write!(f, "Kafka, no compression, {}", size(*batch)),
            Self::Kafka { level: Some(level), batch } => write!(f, "Kafka zstd-{level}, {}", size(*batch)),
            Self::Record(spec) => write!(f, "{spec}, record"),
            Self::RecordInKafka(spec) => {
                let (level, batch) = INSIDE;
                write!(f, "{spec}, record, in Kafka zstd-{level} {}", size(batch))
            }
            Self::Block(spec, most) => write!(f, "{spec}, block {}", size(*most)),
        }
    }
}

impl Way {
    /// Whether it is Kafka's own.
    pub fn is_kafka(self) -> bool {
        matches!(self, Self::Kafka { .. })
    }

    /// What codes the values, when it is ours.
    pub fn spec(self) -> Option<CodecSpec> {
        match self {
            Self::Kafka { .. } => None,
            Self::Record(spec) | Self::RecordInKafka(spec) | Self::Block(spec, _) => Some(spec),
        }
    }

    /// Whether it codes with something learned.
    pub fn learns(self) -> bool {
        self.spec()
            .map(CodecSpec::algorithm)
            .is_some_and(|algorithm| algorithm == Algorithm::ZstdDict || algorithm.is_learned())
    }

    /// Runs it for about `budget`, once at least, with its model if it has one.
    pub fn measure(self, records: &[Record], model: Option<&Trained>, budget: Duration) -> anyhow::Result<Figures> {
        let views: Vec<RecordRef<'_>> = records.iter().map(Record::as_ref).collect();
        let started = Instant::now();
        let mut passes = Vec::new();
        while passes.is_empty() || (passes.len() < PASSES && started.elapsed() < budget) {
            let pass = match self {
                Self::Kafka { level, batch } => kafka(&views, level, batch),
                Self::Record(spec) => single(&views, &mut *coder(spec, model)?, None),
                Self::RecordInKafka(spec) => single(&views, &mut *coder(spec, model)?, Some(INSIDE)),
                Self::Block(spec, most) => blocks(&views, &mut *coder(spec, model)?, most),
            };
            passes.push(pass.with_context(|| self.to_string())?);
        }
        let of = |figure: fn(&Pass) -> f64| {
            let mut values: Vec<f64> = passes.iter().map(figure).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        Ok(Figures {
            log_bytes: passes[0].log_bytes,
            encode_seconds: of(|pass| pass.encode),
            decode_seconds: of(|pass| pass.decode),
            p99_seconds: of(|pass| pass.p99),
            model_bytes: model.map_or(0, |model| model.artefact.len() as u64),
            training_seconds: model.map_or(0.0, |model| model.seconds),
            passes: passes.len(),
        })
    }
}

/// One run.
struct Pass {
    log_bytes: u64,
    encode: f64,
    decode: f64,
    p99: f64,
}

fn coder(spec: CodecSpec, model: Option<&Trained>) -> anyhow::Result<Box<dyn Codec>> {
    let models: Arc<dyn ModelSource> = Arc::new(NoModels);
    let algorithm = spec.algorithm();
    Ok(match model.map(|model| &model.artefact) {
        Some(artefact) if algorithm.is_learned() => Learned.open(algorithm, artefact)?,
        Some(artefact) if algorithm == Algorithm::ZstdDict => {
            Box::new(ZstdDictCodec::with_dictionary(spec.level(), Arc::clone(artefact))?)
        }
        _ => codec::build(spec, &models)?,
    })
}

fn kafka(records: &[RecordRef<'_>], level: Option<i32>, batch: usize) -> anyhow::Result<Pass> {
    let batches = Batches::write(records, level, batch)?;
    let decode = batches.read(records)?;
    Ok(Pass { log_bytes: batches.bytes(), encode: batches.encode(), decode, p99: batches.p99() })
}

/// Single records, alone in batches that are not coded, or inside Kafka's own of a level and a size.
fn single(records: &[RecordRef<'_>], codec: &mut dyn Codec, inside: Option<(i32, usize)>) -> anyhow::Result<Pass> {
    let mut coded: Vec<(Algorithm, Vec<u8>)> = Vec::with_capacity(records.len());
    let mut seconds = Vec::with_capacity(records.len());
    let before = thread_cpu_seconds();
    for record in records {
        let started = Instant::now();
        let value = record.value.unwrap_or_default();
        let mut out = Vec::new();
        codec.encode(value, &mut out)?;
        coded.push(if out.len() < value.len() {
            (codec.algorithm(), framed(codec, out))
        } else {
            (Algorithm::Identity, value.to_vec())
        });
        seconds.push(started.elapsed().as_secs_f64());
    }
    let mut encode = thread_cpu_seconds() - before;
    let mut p99 = p99(seconds);
    let outputs: Vec<RecordRef<'_>> = records
        .iter()
        .zip(&coded)
        .map(|(record, (algorithm, out))| {
            let mut headers: HeaderRefs<'_> = record.headers.iter().copied().collect();
            headers.push(HeaderRef { name: CONTENT_ENCODING, value: Some(algorithm.content_encoding().as_bytes()) });
            let value = record.value.map(|_| out.as_slice());
            RecordRef { key: record.key, value, headers, timestamp: record.timestamp, offset: record.offset }
        })
        .collect();
    let batches = match inside {
        None => Batches::write(&outputs, None, OUTPUT_BATCH)?,
        Some((level, batch)) => Batches::write(&outputs, Some(level), batch)?,
    };
    let mut decode = 0.0;
    if inside.is_some() {
        encode += batches.encode();
        decode += batches.read(&outputs)?;
        // A record waits for its own coder and for its batch.
        p99 += batches.p99();
    }
    let mut decoded = Vec::new();
    let before = thread_cpu_seconds();
    for (record, (algorithm, out)) in records.iter().zip(&coded) {
        let value = record.value.unwrap_or_default();
        if *algorithm != Algorithm::Identity {
            let body = if algorithm.is_learned() { &out[HEADER_LEN..] } else { &out[..] };
            decoded.clear();
            codec.decode(body, value.len(), &mut decoded)?;
            ensure!(decoded == value, "the record at offset {} did not come back", record.offset);
        }
    }
    decode += thread_cpu_seconds() - before;
    Ok(Pass { log_bytes: batches.bytes(), encode, decode, p99 })
}

/// What a learned codec made is nothing without its frame, which names the model.
fn framed(codec: &dyn Codec, coded: Vec<u8>) -> Vec<u8> {
    let algorithm = codec.algorithm();
    if !algorithm.is_learned() {
        return coded;
    }
    let mut sealed = Vec::with_capacity(HEADER_LEN + coded.len());
    seal(algorithm, codec.model().map(|model| model.prefix()), &coded, &[], &mut sealed);
    sealed
}

fn blocks(records: &[RecordRef<'_>], codec: &mut dyn Codec, most: usize) -> anyhow::Result<Pass> {
    let mut builder = BlockBuilder::default();
    let mut coded: Vec<(Vec<u8>, Timestamp)> = Vec::new();
    let mut seconds = Vec::new();
    let before = thread_cpu_seconds();
    let mut close = |builder: &mut BlockBuilder, timestamp: Timestamp| -> anyhow::Result<()> {
        let started = Instant::now();
        let mut out = Vec::new();
        builder.encode(codec, &mut out)?;
        seconds.push(started.elapsed().as_secs_f64());
        coded.push((out, timestamp));
        builder.clear();
        Ok(())
    };
    let mut newest = Timestamp::create(-1);
    for record in records {
        if builder.records() > 0 && builder.raw_bytes() + record.payload_len() > most {
            close(&mut builder, newest)?;
        }
        builder.push(record);
        newest = record.timestamp;
    }
    if builder.records() > 0 {
        close(&mut builder, newest)?;
    }
    let encode = thread_cpu_seconds() - before;
    let outputs: Vec<RecordRef<'_>> = (0i64..)
        .zip(&coded)
        .map(|(offset, (block, timestamp))| {
            let headers = [HeaderRef { name: CONTENT_ENCODING, value: Some(LATENTD.as_bytes()) }].into_iter().collect();
            RecordRef { key: None, value: Some(block), headers, timestamp: *timestamp, offset }
        })
        .collect();
    let log_bytes = Batches::write(&outputs, None, OUTPUT_BATCH)?.bytes();
    let mut reader = BlockReader::default();
    let mut decode = 0.0;
    let mut next = records.iter();
    for (block, _) in &coded {
        let before = thread_cpu_seconds();
        reader.decode_with(block, codec, &DecodeLimits::UNLIMITED)?;
        let read = reader.records().map(|record| record.payload_len()).sum::<usize>();
        decode += thread_cpu_seconds() - before;
        ensure!(read > 0 || !reader.is_empty(), "a block is empty");
        for record in reader.records() {
            let expected = next.next().ok_or_else(|| anyhow!("more records came back than went in"))?;
            let same = record.key == expected.key
                && record.value == expected.value
                && record.headers.iter().eq(expected.headers.iter())
                && record.timestamp == expected.timestamp
                && record.offset == expected.offset;
            ensure!(same, "the record at offset {} did not come back", expected.offset);
        }
    }
    ensure!(next.next().is_none(), "fewer records came back than went in");
    Ok(Pass { log_bytes, encode, decode, p99: p99(seconds) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records() -> Vec<Record> {
        (0..500)
            .map(|i| Record {
                key: Some(format!("k{}", i % 7).into()),
                value: Some(format!("{{\"id\":{i},\"name\":\"record {i}\",\"amount\":{}}}", i * 7919 % 1000).into()),
                headers: Vec::new(),
                timestamp: Timestamp::create(1_700_000_000_000 + i),
                offset: i,
            })
            .collect()
    }

    #[test]
    fn every_way_carries_every_record_and_sizes_are_the_same_each_time() {
        let records = records();
        let spec: CodecSpec = "zstd".parse().unwrap();
        for way in [
            Way::Kafka { level: None, batch: 16 << 10 },
            Way::Kafka { level: Some(3), batch: 16 << 10 },
            Way::Record(spec),
            Way::RecordInKafka(spec),
            Way::RecordInKafka("identity".parse().unwrap()),
            Way::Block(spec, 16 << 10),
        ] {
            let sizes = [(); 2].map(|()| way.measure(&records, None, Duration::ZERO).unwrap().log_bytes);
            assert_eq!(sizes[0], sizes[1], "{way}");
            assert!(sizes[0] > 1000, "{way}: {}", sizes[0]);
        }
    }

    #[test]
    fn a_plain_batch_weighs_what_its_records_weigh() {
        let records = records();
        let plain = Way::Kafka { level: None, batch: 1 << 20 }.measure(&records, None, Duration::ZERO).unwrap();
        let payload: usize = records.iter().map(|record| record.as_ref().payload_len()).sum();
        let overhead = plain.log_bytes - payload as u64;
        // 61 bytes of batch, and 8 to 10 a record.
        assert!((61 + 8 * 500..=61 + 10 * 500).contains(&overhead), "{overhead}");
    }
}
