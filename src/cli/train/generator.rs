//! `latentd train --generator`: a model that draws rows, of all records of a file.

use std::path::Path;
use std::sync::Arc;

use indicatif::{HumanCount, ProgressBar};
use serde_json::json;

use super::drawn::Drawn;
use super::{GeneratorKind, Payload, TrainArgs, merged, of_file_records};
use crate::cli::UsageError;
use crate::cli::corpus::{Bounds, Corpus};
use crate::model::manifest::metric;
use crate::model::rows::{self, ClassicalRecipe};
use crate::model::{ClassicalRows, CurvePoint, Family};
use crate::telemetry::thread_cpu_seconds;

/// What came of a training.
struct Learned {
    family: Family,
    artefact: Arc<[u8]>,
    /// The settings of its making.
    config: serde_json::Value,
    /// The metric of records that it did not learn from, and what is told of it.
    validation: (&'static str, f64),
    told: String,
    records: usize,
    left_out: usize,
    rewinds: u32,
    cpu_seconds: f64,
    curve: Vec<CurvePoint>,
}

/// Trains a generator, which is judged by `latentd generate --against` and not by what it would save.
pub fn run(args: &TrainArgs, kind: GeneratorKind, file: &Path, bar: &ProgressBar) -> anyhow::Result<()> {
    if args.payload == Payload::Image {
        let message = "--generator autoregressive learns rows: write --payload json or csv, or --generator vae or gan";
        return Err(UsageError::new(message).into());
    }
    if args.labels.is_some() {
        let message = "--labels are of images: a field of rows is asked for with `generate --where`, of a model that \
                       --generator autoregressive makes";
        return Err(UsageError::new(message).into());
    }
    let (mode, mut reader) = of_file_records(args, file)?;
    let bounds = Bounds { run_bytes: 0, keys: false, bytes: args.memory.as_usize(), records: args.limit };
    let corpus = Corpus::of_file(file, mode, &mut reader, args.bare, &bounds, bar)?;
    let records: Vec<&[u8]> = corpus.runs.iter().flat_map(|run| run.values()).collect();
    let learned = learn(args, kind, &records, bar)?;
    bar.finish_and_clear();

    let mut notes = vec![learned.told];
    if learned.left_out > 0 {
        let left_out = HumanCount(learned.left_out as u64);
        notes.push(format!("{left_out} records have what is too rare to be drawn: left out"));
    }
    let drawn = Drawn {
        family: learned.family,
        artefact: &learned.artefact,
        config: merged(learned.config, json!({ "records": mode.to_string(), "line_ends": !args.bare })),
        validation: learned.validation,
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
fn learn(args: &TrainArgs, kind: GeneratorKind, records: &[&[u8]], bar: &ProgressBar) -> anyhow::Result<Learned> {
    use super::progress::Shown;
    use crate::training::Budget;
    use crate::training::rows as training;

    let before = thread_cpu_seconds();
    bar.set_message(format!("reading the syntax of {} records", records.len()));
    // The time bounds it: learning the syntax counts, and the monitor has begun.
    let mut shown = Shown::on(bar);
    let coded = rows::learn(records)?;
    let budget = Budget { steps: u32::MAX, cpu: Some(args.cpu) };
    let learned = |family, artefact: &Arc<[u8]>, validation, told| Learned {
        family,
        artefact: Arc::clone(artefact),
        config: json!({ "cpu": humantime::format_duration(args.cpu).to_string() }),
        validation,
        told,
        records: coded.rows,
        left_out: coded.left_out,
        rewinds: 0,
        cpu_seconds: thread_cpu_seconds() - before,
        curve: Vec::new(),
    };
    Ok(match kind {
        GeneratorKind::Autoregressive => {
            let trained = training::train(&coded, &training::Recipe::default(), args.seed, budget, &mut shown)?;
            let bits = trained.validation;
            let told = format!("{bits:.2} bits for the codes of a record that it did not learn from");
            let learned = learned(Family::AUTOREGRESSIVE, trained.model.artefact(), (metric::BITS_PER_ROW, bits), told);
            Learned { rewinds: trained.rewinds, curve: trained.curve, ..learned }
        }
        GeneratorKind::Vae => {
            let recipe = training::vae::Recipe::default();
            let trained = training::vae::train(&coded, &recipe, args.seed, budget, &mut shown)?;
            let loss = trained.validation;
            let told = format!("loss {loss:.2} bits for the codes of a record that it did not learn from");
            let learned = learned(Family::VAE, trained.model.artefact(), (metric::VALIDATION_LOSS, loss), told);
            Learned { rewinds: trained.rewinds, curve: trained.curve, ..learned }
        }
        GeneratorKind::Gan => {
            let recipe = training::gan::Recipe::default();
            let trained = training::gan::train(&coded, &recipe, args.seed, budget, &mut shown)?;
            let distance = trained.distance;
            let told = format!("of pairs of codes that it draws, a share of {distance:.3} would have to be others");
            let learned = learned(Family::GAN, trained.model.artefact(), (metric::PAIR_DISTANCE, distance), told);
            Learned { curve: trained.curve, ..learned }
        }
        GeneratorKind::Classical => classical(args, &coded, before)?,
    })
}

/// A model that holds some of the rows, and makes others of them.
fn classical(args: &TrainArgs, coded: &rows::Coded, before: f64) -> anyhow::Result<Learned> {
    let mut recipe = ClassicalRecipe::default();
    if !args.operations.is_empty() {
        recipe.operations.clone_from(&args.operations);
    }
    recipe.neighbours = args.neighbours.unwrap_or(recipe.neighbours);
    recipe.bases = args.bases.unwrap_or(recipe.bases);
    let model = ClassicalRows::new(coded, &recipe, args.seed)?;
    let held = HumanCount(model.bases() as u64);
    Ok(Learned {
        family: Family::CLASSICAL,
        artefact: Arc::clone(model.artefact()),
        config: json!({
            "operations": recipe.operations, "neighbours": recipe.neighbours, "bases": recipe.bases,
            "holds": format!("{held} training records, coarsened to values that five or more had"),
        }),
        validation: (metric::BASES, model.bases() as f64),
        told: format!("it holds {held} of them, coarsened to values that five or more had"),
        records: coded.rows,
        left_out: coded.left_out,
        rewinds: 0,
        cpu_seconds: thread_cpu_seconds() - before,
        curve: Vec::new(),
    })
}

#[cfg(not(feature = "training"))]
fn learn(args: &TrainArgs, kind: GeneratorKind, records: &[&[u8]], _: &ProgressBar) -> anyhow::Result<Learned> {
    if kind == GeneratorKind::Classical {
        let before = thread_cpu_seconds();
        return classical(args, &rows::learn(records)?, before);
    }
    anyhow::bail!(
        "this latentd was built without libtorch, which trains networks: build it with the feature `training`"
    )
}
