//! `latentd train --generator`: a model that draws records, of all records of a file.

use std::path::Path;

use indicatif::{HumanCount, ProgressBar};
use serde_json::json;

use super::drawn::Drawn;
use super::{Payload, TrainArgs, of_file_records};
use crate::cli::UsageError;
use crate::cli::corpus::{Bounds, Corpus};
use crate::model::manifest::metric;
use crate::model::rows::RowsModel;
use crate::model::{CurvePoint, Family};

/// What came of a training.
struct Learned {
    model: RowsModel,
    /// Bits of codes for each validation record.
    validation: f64,
    records: usize,
    left_out: usize,
    rewinds: u32,
    cpu_seconds: f64,
    curve: Vec<CurvePoint>,
}

/// Trains a generator, which is judged by `latentd generate --against` and not by what it would save.
pub fn run(args: &TrainArgs, file: &Path, bar: &ProgressBar) -> anyhow::Result<()> {
    if args.payload == Payload::Image {
        return Err(UsageError::new("--generator autoregressive learns rows: write --payload json or csv").into());
    }
    let (mode, mut reader) = of_file_records(args, file)?;
    let bounds = Bounds { run_bytes: 0, bytes: args.memory.as_usize(), records: args.limit };
    let corpus = Corpus::of_file(file, mode, &mut reader, args.bare, &bounds, bar)?;
    let records: Vec<&[u8]> = corpus.runs.iter().flat_map(|run| run.values()).collect();
    let learned = learn(args, &records, bar)?;
    bar.finish_and_clear();

    let mut notes =
        vec![format!("{:.2} bits for the codes of a record that it did not learn from", learned.validation)];
    if learned.left_out > 0 {
        let left_out = HumanCount(learned.left_out as u64);
        notes.push(format!("{left_out} records have what is too rare to be drawn: left out"));
    }
    let drawn = Drawn {
        family: Family::AUTOREGRESSIVE,
        artefact: learned.model.artefact(),
        config: json!({
            "cpu": humantime::format_duration(args.cpu).to_string(), "records": mode.to_string(), "line_ends": !args.bare,
        }),
        validation: (metric::BITS_PER_ROW, learned.validation),
        rewinds: learned.rewinds,
        cpu_seconds: learned.cpu_seconds,
        curve: learned.curve,
        trained: (learned.records, "records"),
        left_out: learned.left_out,
        notes,
    };
    drawn.keep(args, file)
}

#[cfg(feature = "training")]
fn learn(args: &TrainArgs, records: &[&[u8]], bar: &ProgressBar) -> anyhow::Result<Learned> {
    use super::progress::Shown;
    use crate::model::rows;
    use crate::telemetry::thread_cpu_seconds;
    use crate::training::Budget;
    use crate::training::rows::{Recipe, train};

    let before = thread_cpu_seconds();
    bar.set_message(format!("reading the syntax of {} records", records.len()));
    // The time bounds it: learning the syntax counts, and the monitor has begun.
    let mut shown = Shown::on(bar);
    let coded = rows::learn(records)?;
    let budget = Budget { steps: u32::MAX, cpu: Some(args.cpu) };
    let trained = train(&coded, &Recipe::default(), args.seed, budget, &mut shown)?;
    Ok(Learned {
        model: trained.model,
        validation: trained.validation,
        records: coded.rows,
        left_out: coded.left_out,
        rewinds: trained.rewinds,
        cpu_seconds: thread_cpu_seconds() - before,
        curve: trained.curve,
    })
}

#[cfg(not(feature = "training"))]
fn learn(_args: &TrainArgs, _records: &[&[u8]], _bar: &ProgressBar) -> anyhow::Result<Learned> {
    anyhow::bail!(
        "this latentd was built without libtorch, which trains networks: build it with the feature `training`"
    )
}
