//! One way to write the records, run several times: bytes on the broker's log, CPU both ways, and whether everything comes
//! back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::SIZES;
use super::batches::Batches;
use super::models::Trained;
use super::percentile::p99;
use crate::codec::{Algorithm, Codec, CodecSpec};
use crate::pipeline::learn::{Carriage, Clocks, Manner, Setup};
use crate::pipeline::{EncodingHeader, Layout};
use crate::record::{Record, RecordRef};
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
        let setup = |spec| Setup { spec, artefact: model.map(|model| Arc::clone(&model.artefact)) };
        let started = Instant::now();
        let mut passes = Vec::new();
        while passes.is_empty() || (passes.len() < PASSES && started.elapsed() < budget) {
            let pass = match self {
                Self::Kafka { level, batch } => kafka(&views, level, batch),
                Self::Record(spec) => carry(&views, &mut *setup(spec).alone()?, manner(Layout::Record, 0), None),
                Self::RecordInKafka(spec) => {
                    carry(&views, &mut *setup(spec).alone()?, manner(Layout::Record, 0), Some(INSIDE))
                }
                Self::Block(spec, most) => carry(&views, &mut *setup(spec).alone()?, manner(Layout::Block, most), None),
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

/// Records as a pipeline writes them if it is told nothing else.
fn manner(layout: Layout, block_bytes: usize) -> Manner {
    Manner { layout, block_bytes, headers: EncodingHeader::ContentEncoding }
}

/// One run.
struct Pass {
    log_bytes: u64,
    encode: f64,
    decode: f64,
    p99: f64,
}

fn kafka(records: &[RecordRef<'_>], level: Option<i32>, batch: usize) -> anyhow::Result<Pass> {
    let batches = Batches::write(records, level, batch)?;
    let decode = batches.read(records)?;
    Ok(Pass { log_bytes: batches.bytes(), encode: batches.encode(), decode, p99: batches.p99() })
}

/// Lets a codec carry records in a manner. What it makes of them lies in batches that are not coded, or in Kafka's own of a
/// level and a size.
fn carry(
    records: &[RecordRef<'_>],
    codec: &mut dyn Codec,
    manner: Manner,
    inside: Option<(i32, usize)>,
) -> anyhow::Result<Pass> {
    let started = Instant::now();
    let wall = || started.elapsed().as_secs_f64();
    let clocks = Clocks { all: &thread_cpu_seconds, each: &wall };
    let mut outputs = Vec::new();
    let carriage = Carriage { manner, clocks, patience: f64::INFINITY };
    let carried = carriage.carry(codec, records, &mut |output| outputs.push(output.to_owned()))?;
    let outputs: Vec<RecordRef<'_>> =
        (0i64..).zip(&outputs).map(|(offset, output)| RecordRef { offset, ..output.as_ref() }).collect();
    let mut pass =
        Pass { log_bytes: 0, encode: carried.encode_seconds, decode: carried.decode_seconds, p99: p99(carried.each) };
    let batches = match inside {
        None => Batches::write(&outputs, None, OUTPUT_BATCH)?,
        Some((level, batch)) => Batches::write(&outputs, Some(level), batch)?,
    };
    pass.log_bytes = batches.bytes();
    if inside.is_some() {
        pass.encode += batches.encode();
        pass.decode += batches.read(&outputs)?;
        // A record waits for its own coder and for its batch.
        pass.p99 += batches.p99();
    }
    Ok(pass)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Timestamp;

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
