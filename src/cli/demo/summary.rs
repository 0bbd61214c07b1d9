//! What came of the demonstration: sizes, models and money.

use std::io::Write as _;
use std::sync::Arc;

use comfy_table::CellAlignment;
use indicatif::{HumanBytes, HumanCount};

use super::learned::Swap;
use super::screen::{Figures, Now, times};
use super::threads::Course;
use crate::cli::Format;
use crate::cli::show::{print_json, table};
use crate::cost::{Effort, Prices};

/// Prints what came of it.
pub fn print(
    courses: &[Arc<Course>],
    lineages: &[Vec<Swap>],
    now: &[Now],
    seconds: f64,
    format: Format,
) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if format == Format::Json {
        let streams: Vec<_> = courses
            .iter()
            .zip(lineages)
            .zip(now)
            .map(|((course, lineage), now)| json(course, lineage, now, seconds))
            .collect();
        return print_json(&serde_json::json!({ "seconds": seconds, "streams": streams }));
    }
    let mut table = table([
        "stream",
        "records",
        "raw",
        "Kafka zstd-3,\n16 KiB batches",
        "latentd",
        "bytes/record: raw, Kafka\n16 and 128 KiB, latentd",
        "times smaller\nthan 16, 128 KiB",
        "restored",
    ]);
    for course in courses {
        let figures = Figures::of(course);
        let per = |bytes: u64, records: u64| bytes as f64 / records.max(1) as f64;
        let kafka = per(figures.kafka.bytes, figures.kafka.records);
        let large = course.kafka_large.read();
        let large = per(large.bytes, large.records);
        let ours = per(figures.ours.bytes, figures.restored);
        let equal = figures.restored == figures.fed && course.ledger.sums().difference.is_none();
        table.add_row([
            course.stream.name.to_owned(),
            HumanCount(figures.fed).to_string(),
            HumanBytes(figures.raw).to_string(),
            format!("{} ({})", HumanBytes(figures.kafka.bytes), times(figures.kafka_ratio())),
            format!("{} ({})", HumanBytes(figures.ours.bytes), times(figures.ratio())),
            format!("{:.1}, {kafka:.1}, {large:.1}, {ours:.1}", per(figures.raw, figures.fed)),
            format!("{:.2}, {:.2}", kafka / ours.max(1e-9), large / ours.max(1e-9)),
            if equal { "all, identical".to_owned() } else { format!("{} of {}", figures.restored, figures.fed) },
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    writeln!(out, "{table}")?;
    writeln!(
        out,
        "Fed for {seconds:.0} s. Sizes are bytes on the broker's log since the start, the time before the first model included:\n\
         batch and record headers, keys, all in."
    )?;
    for ((course, lineage), now) in courses.iter().zip(lineages).zip(now) {
        writeln!(out, "\n{}", course.stream.name)?;
        for swap in lineage {
            writeln!(out, "  {}", swap.told())?;
        }
        if lineage.is_empty() {
            writeln!(out, "  no model: none was better than zstd on records that it had not seen")?;
        }
        let figures = Figures::of(course);
        if let Now { ours: Some(ours), kafka: Some(kafka) } = now {
            let times = kafka / ours.max(1e-9);
            writeln!(
                out,
                "  at the end {ours:.1} bytes a record, {times:.1} times smaller than Kafka's zstd ({kafka:.1})"
            )?;
        }
        let raw = figures.raw as f64 / figures.fed.max(1) as f64;
        let price =
            |bytes: Option<f64>| bytes.map_or_else(|| "-".to_owned(), |bytes| format!("{:.2}", money(bytes, raw)));
        writeln!(
            out,
            "  at that rate a terabyte of such records costs {} with Kafka's zstd and {} with latentd: traffic and storage at\n  \
             the default prices of [cost], CPU not in",
            price(now.kafka),
            price(now.ours)
        )?;
    }
    Ok(())
}

/// What 10¹² raw bytes cost to move and to keep, when records of `raw` bytes take so many on the log.
fn money(bytes: f64, raw: f64) -> f64 {
    let effort = Effort { raw_bytes: raw, log_bytes: bytes, encode_seconds: 0.0, decode_seconds: 0.0 };
    Prices::default().per_terabyte(&effort)
}

fn json(course: &Course, lineage: &[Swap], now: &Now, seconds: f64) -> serde_json::Value {
    let figures = Figures::of(course);
    let sums = course.ledger.sums();
    serde_json::json!({
        "stream": course.stream.name,
        "codec": course.stream.codec,
        "layout": course.stream.layout,
        "records": figures.fed,
        "records_per_second": figures.fed as f64 / seconds.max(1e-9),
        "restored_equal": figures.restored,
        "difference": sums.difference,
        "raw_bytes": figures.raw,
        "kafka_zstd_bytes": figures.kafka.bytes,
        "kafka_zstd_128kib_bytes": course.kafka_large.read().bytes,
        "latentd_bytes": figures.ours.bytes,
        "models": lineage.iter().map(Swap::json).collect::<Vec<_>>(),
        "bytes_per_record_at_the_end": { "kafka_zstd": now.kafka, "latentd": now.ours },
    })
}
