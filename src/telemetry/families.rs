//! Every metric family: name, type, labels and meaning in one table. `docs/metrics.md` is made from it.
//!
//! Names follow Prometheus: base units, `_total` for counters. They are promises, since dashboards and alerts hold them.

use std::fmt::Write as _;

/// A family's type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FamilyType {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts in buckets with these upper bounds.
    Histogram(&'static [f64]),
}

/// One metric family.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub ty: FamilyType,
    /// Whether each pipeline has one (label `pipeline`), or the process.
    pub per_pipeline: bool,
    /// Labels beside `pipeline`.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

impl Family {
    const fn process(name: &'static str, ty: FamilyType, help: &'static str) -> Self {
        Self { name, ty, per_pipeline: false, labels: &[], help }
    }

    const fn pipeline(name: &'static str, ty: FamilyType, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { name, ty, per_pipeline: true, labels, help }
    }
}

use FamilyType::{Counter, Gauge, Histogram};

/// Seconds of one codec call: from a small record to a large block at a slow level.
const CODEC_BUCKETS: &[f64] = &[1e-6, 3e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0];

/// Seconds to end a transaction: a commit takes 4 to 8 ms on a broker nearby.
const TRANSACTION_BUCKETS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Seconds from a record's timestamp to its commit: from a quick commit to a day of lag being worked off.
const END_TO_END_BUCKETS: &[f64] =
    &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0, 86400.0];

/// `latentd_build_info`.
pub const BUILD_INFO: Family = Family {
    labels: &["version"],
    ..Family::process("latentd_build_info", Gauge, "Always 1; the version is a label.")
};
/// `latentd_memory_used_bytes`.
pub const MEMORY_USED: Family = Family::process(
    "latentd_memory_used_bytes",
    Gauge,
    "Bytes of records in flight, all pipelines together: what the budget `resources.memory` counts.",
);
/// `latentd_memory_budget_bytes`.
pub const MEMORY_BUDGET: Family =
    Family::process("latentd_memory_budget_bytes", Gauge, "The budget for records in flight, `resources.memory`.");
/// `latentd_consumed_records_total`.
pub const CONSUMED_RECORDS: Family = Family::pipeline(
    "latentd_consumed_records_total",
    Counter,
    &[],
    "Records read from the source topics. Records read again after an abort or a rebalance count again.",
);
/// `latentd_consumed_bytes_total`.
pub const CONSUMED_BYTES: Family = Family::pipeline(
    "latentd_consumed_bytes_total",
    Counter,
    &[],
    "Bytes of keys, values and headers of the records read.",
);
/// `latentd_published_records_total`.
pub const PUBLISHED_RECORDS: Family = Family::pipeline(
    "latentd_published_records_total",
    Counter,
    &["kind"],
    "Records written, by kind: compressed, restored, augmented, dead_letter. A block is one record.",
);
/// `latentd_published_bytes_total`.
pub const PUBLISHED_BYTES: Family = Family::pipeline(
    "latentd_published_bytes_total",
    Counter,
    &["kind"],
    "Bytes of keys, values and headers of the records written, by kind.",
);
/// `latentd_codec_input_bytes_total`.
pub const CODEC_INPUT_BYTES: Family = Family::pipeline(
    "latentd_codec_input_bytes_total",
    Counter,
    &["codec"],
    "Bytes given to the codec: raw bytes when encoding, coded bytes when decoding.",
);
/// `latentd_codec_output_bytes_total`.
pub const CODEC_OUTPUT_BYTES: Family = Family::pipeline(
    "latentd_codec_output_bytes_total",
    Counter,
    &["codec"],
    "Bytes that the codec gave back: coded bytes when encoding, raw bytes when decoding.",
);
/// `latentd_codec_seconds`.
pub const CODEC_SECONDS: Family = Family::pipeline(
    "latentd_codec_seconds",
    Histogram(CODEC_BUCKETS),
    &["codec", "direction"],
    "Time to code one output record (in layout `block`: one block; of single records one in eight is timed), by direction: encode, decode.",
);
/// `latentd_kafka_baseline_bytes_total`.
pub const BASELINE_BYTES: Family = Family::pipeline(
    "latentd_kafka_baseline_bytes_total",
    Counter,
    &[],
    "What a sample of the records would take on the broker's log as Kafka's own zstd-3 in batches of 128 KiB.",
);
/// `latentd_kafka_baseline_input_bytes_total`.
pub const BASELINE_INPUT_BYTES: Family = Family::pipeline(
    "latentd_kafka_baseline_input_bytes_total",
    Counter,
    &[],
    "Bytes of keys, values and headers of the records in that sample.",
);
/// `latentd_end_to_end_seconds`.
pub const END_TO_END_SECONDS: Family = Family::pipeline(
    "latentd_end_to_end_seconds",
    Histogram(END_TO_END_BUCKETS),
    &[],
    "From a record's timestamp to the commit of what was made of it (a sample of the records).",
);
/// `latentd_lag_records`.
pub const LAG_RECORDS: Family = Family::pipeline(
    "latentd_lag_records",
    Gauge,
    &["partition"],
    "Records in a source partition that are not committed yet. The partition is its number, or `topic/number` where the pipeline reads several topics.",
);
/// `latentd_transactions_total`.
pub const TRANSACTIONS: Family = Family::pipeline(
    "latentd_transactions_total",
    Counter,
    &["outcome"],
    "Transactions (at-least-once: commits of offsets) by outcome: committed, aborted (its records were read again), rebuilt (the outcome was unknown, so the producer was replaced).",
);
/// `latentd_transaction_seconds`.
pub const TRANSACTION_SECONDS: Family = Family::pipeline(
    "latentd_transaction_seconds",
    Histogram(TRANSACTION_BUCKETS),
    &[],
    "Time to end a transaction: delivering what is in flight, adding the offsets, committing.",
);
/// `latentd_last_commit_timestamp_seconds`.
pub const LAST_COMMIT: Family = Family::pipeline(
    "latentd_last_commit_timestamp_seconds",
    Gauge,
    &[],
    "When the pipeline last committed, in seconds since the Unix epoch; 0 before the first commit.",
);
/// `latentd_rebalances_total`.
pub const REBALANCES: Family = Family::pipeline(
    "latentd_rebalances_total",
    Counter,
    &[],
    "Times that a worker was given source partitions, or had them taken away.",
);
/// `latentd_dead_letters_total`.
pub const DEAD_LETTERS: Family = Family::pipeline(
    "latentd_dead_letters_total",
    Counter,
    &["reason"],
    "Records that could not be processed and went to the dead-letter topic, by reason.",
);
/// `latentd_tap_dropped_records_total`.
pub const TAP_DROPPED_RECORDS: Family = Family::pipeline(
    "latentd_tap_dropped_records_total",
    Counter,
    &[],
    "Records that the tap did not look at because its reader was slow. They were processed all the same.",
);
/// `latentd_tap_refused_records_total`.
pub const TAP_REFUSED_RECORDS: Family = Family::pipeline(
    "latentd_tap_refused_records_total",
    Counter,
    &[],
    "Generated records that came in and were not learned from: they say so in their headers, or a process of the pipeline is known to have published them. They were processed all the same.",
);
/// `latentd_gate_value`.
pub const GATE_VALUE: Family = Family::pipeline(
    "latentd_gate_value",
    Gauge,
    &["gate"],
    "What the newest report on generated records measured, by gate (docs/generation.md).",
);
/// `latentd_gate_threshold`.
pub const GATE_THRESHOLD: Family = Family::pipeline(
    "latentd_gate_threshold",
    Gauge,
    &["gate"],
    "Where the gate begins to pass: of two such ends the one that is nearer to the value. Where it blocks, `docs/generation.md` says.",
);
/// `latentd_gate_blocked`.
pub const GATE_BLOCKED: Family = Family::pipeline(
    "latentd_gate_blocked",
    Gauge,
    &[],
    "1 while gates keep generated records from being published, 0 while they do not.",
);
/// `latentd_augment_discarded_records_total`.
pub const AUGMENT_DISCARDED: Family = Family::pipeline(
    "latentd_augment_discarded_records_total",
    Counter,
    &["reason"],
    "Generated records that were not published, by reason: invalid (not of the topic's syntax or types), undrawn (the model made no whole record), too_large.",
);
/// `latentd_model_info`.
pub const MODEL_INFO: Family = Family::pipeline(
    "latentd_model_info",
    Gauge,
    &["family", "model"],
    "Always 1; the model in use and its family are labels.",
);
/// `latentd_training_runs_total`.
pub const TRAINING_RUNS: Family = Family::pipeline(
    "latentd_training_runs_total",
    Counter,
    &["outcome"],
    "Trainings by outcome: replaced (its model or codec is in use), kept (what was in use stayed), nothing (there was nothing to learn), failed.",
);
/// `latentd_codec_misfits_total`.
pub const CODEC_MISFITS: Family = Family::pipeline(
    "latentd_codec_misfits_total",
    Counter,
    &["codec"],
    "Values that a learned codec's model did not fit, which zstd coded in its place: no image of the shape, a file that cannot be made again from its samples, a syntax that was not learned, or smaller so.",
);
/// `latentd_training_progress_ratio`.
pub const TRAINING_PROGRESS: Family = Family::pipeline(
    "latentd_training_progress_ratio",
    Gauge,
    &[],
    "How much of its CPU time a training has spent, 0 to 1; only while one that takes minutes is under way.",
);
/// `latentd_training_loss`.
pub const TRAINING_LOSS: Family = Family::pipeline(
    "latentd_training_loss",
    Gauge,
    &[],
    "Bits that a sample of a value takes with what is being trained, in its latest step; only while a training that takes minutes is under way.",
);
/// `latentd_bits_per_record`.
pub const BITS_PER_RECORD: Family = Family::pipeline(
    "latentd_bits_per_record",
    Gauge,
    &["set"],
    "Bits that a record takes with the model in use, in the layout `block` with all that is in it, in `record` its value and frame (with `codec = \"auto\"`: the record on the log), by set: live (the newest records), holdout (those that judged it), expected (the newest with a model made now, as expected).",
);
/// `latentd_codec_price`.
pub const CODEC_PRICE: Family = Family::pipeline(
    "latentd_codec_price",
    Gauge,
    &["codec"],
    "With `codec = \"auto\"`: the price of 10⁶ records with this codec when it was last measured, in the currency of `[cost]`.",
);
/// `latentd_codec_chosen`.
pub const CODEC_CHOSEN: Family = Family::pipeline(
    "latentd_codec_chosen",
    Gauge,
    &["codec"],
    "With `codec = \"auto\"`: 1 for the codec that was chosen.",
);
/// `latentd_pipeline_state`.
pub const PIPELINE_STATE: Family = Family::pipeline(
    "latentd_pipeline_state",
    Gauge,
    &["state"],
    "1 for the state that the pipeline is in, 0 for the others: starting, running, paused, waiting, draining, stopped, failed.",
);
/// `process_cpu_seconds_total`.
pub const PROCESS_CPU: Family =
    Family::process("process_cpu_seconds_total", Counter, "Total user and system CPU time spent in seconds.");

/// All families, in the order of the documentation.
pub const FAMILIES: &[Family] = &[
    CONSUMED_RECORDS,
    CONSUMED_BYTES,
    PUBLISHED_RECORDS,
    PUBLISHED_BYTES,
    CODEC_INPUT_BYTES,
    CODEC_OUTPUT_BYTES,
    CODEC_SECONDS,
    BASELINE_BYTES,
    BASELINE_INPUT_BYTES,
    END_TO_END_SECONDS,
    LAG_RECORDS,
    TRANSACTIONS,
    TRANSACTION_SECONDS,
    LAST_COMMIT,
    REBALANCES,
    DEAD_LETTERS,
    TAP_DROPPED_RECORDS,
    TAP_REFUSED_RECORDS,
    GATE_VALUE,
    GATE_THRESHOLD,
    GATE_BLOCKED,
    AUGMENT_DISCARDED,
    MODEL_INFO,
    TRAINING_RUNS,
    CODEC_MISFITS,
    TRAINING_PROGRESS,
    TRAINING_LOSS,
    BITS_PER_RECORD,
    CODEC_PRICE,
    CODEC_CHOSEN,
    PIPELINE_STATE,
    BUILD_INFO,
    MEMORY_USED,
    MEMORY_BUDGET,
    PROCESS_CPU,
    Family::process("process_open_fds", Gauge, "Number of open file descriptors."),
    Family::process("process_max_fds", Gauge, "Maximum number of open file descriptors."),
    Family::process("process_virtual_memory_bytes", Gauge, "Virtual memory size in bytes."),
    Family::process("process_resident_memory_bytes", Gauge, "Resident memory size in bytes."),
    Family::process("process_start_time_seconds", Gauge, "Start time of the process since unix epoch in seconds."),
    Family::process("process_threads", Gauge, "Number of OS threads in the process."),
];

/// The text of `docs/metrics.md`.
pub fn reference() -> String {
    let mut text = String::from(
        "# Metrics\n\n\
         `GET /metrics` answers in Prometheus' text format. Units are base units: seconds, bytes. This page is made from \
         `src/telemetry/families.rs`; `LATENTD_BLESS=1 cargo test --test admin` writes it anew.\n\n\
         A series disappears with its pipeline, and `latentd_lag_records` with its partition: after a rebalance each \
         partition is reported by the process that reads it, so sum over processes.\n",
    );
    for (title, per_pipeline) in [("Of each pipeline (label `pipeline`)", true), ("Of the process", false)] {
        write!(text, "\n## {title}\n\n| name | type | labels | meaning |\n|---|---|---|---|\n")
            .expect("writing to a string cannot fail");
        for family in FAMILIES.iter().filter(|family| family.per_pipeline == per_pipeline) {
            let ty = match family.ty {
                Counter => "counter",
                Gauge => "gauge",
                Histogram(_) => "histogram",
            };
            let labels: Vec<_> = family.labels.iter().map(|label| format!("`{label}`")).collect();
            writeln!(text, "| `{}` | {ty} | {} | {} |", family.name, labels.join(", "), family.help)
                .expect("writing to a string cannot fail");
        }
    }
    text
}
