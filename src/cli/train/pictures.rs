//! `latentd train --generator vae`: a model that draws images, of all images of a file.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context, ensure};
use indicatif::{HumanBytes, HumanCount, ProgressBar};
use serde_json::json;

use super::TrainArgs;
use crate::cli::models::signature;
use crate::cli::output::Output;
use crate::cli::records::{self, RecordMode};
use crate::cli::show::print_json;
use crate::cli::{Format, UsageError};
use crate::model::manifest::{is_pipeline_name, metric};
use crate::model::{CurvePoint, Family, Manifest, VaeModel, package};
use crate::payload::image::{Opened, Shape, Wrapping};

/// What came of a training.
struct Learned {
    model: VaeModel,
    validation: f64,
    left_out: usize,
    rewinds: u32,
    cpu_seconds: f64,
    curve: Vec<CurvePoint>,
}

/// Trains.
pub fn run(args: &TrainArgs, file: &Path, bar: &ProgressBar) -> anyhow::Result<()> {
    let Some(shape) = args.shape else {
        return Err(UsageError::new("--generator vae learns images: write --payload image --shape HEIGHTxWIDTH").into());
    };
    let mut images = images(args, file, shape)?;
    let mut labels = args.labels.as_deref().map(labels).transpose()?.unwrap_or_default();
    let count = images.len() / shape.samples();
    if !labels.is_empty() && labels.len() != count {
        let message = format!("there are {count} images and {} labels", labels.len());
        return Err(UsageError::new(message).into());
    }
    let newest = usize::try_from(args.limit).unwrap_or(usize::MAX).min(count);
    images.drain(..(count - newest) * shape.samples());
    labels.drain(..labels.len().saturating_sub(newest));
    let learned = learn(args, shape, &images, &labels, bar)?;
    bar.finish_and_clear();

    let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let stem = stem.filter(|stem| stem != "-" && is_pipeline_name(stem));
    let name = stem.unwrap_or_else(|| "standard-input".to_owned());
    let artefact = learned.model.artefact();
    let mut manifest = Manifest::new(artefact, Family::VAE, name, signature().at);
    manifest.seed = args.seed;
    manifest.config = json!({
        "cpu": humantime::format_duration(args.cpu).to_string(), "shape": shape.to_string(), "labels": args.labels,
    });
    manifest.metrics.extend([
        (metric::VALIDATION_LOSS.to_owned(), learned.validation),
        (metric::TRAINING_SECONDS.to_owned(), learned.cpu_seconds),
        (metric::REWINDS.to_owned(), f64::from(learned.rewinds)),
    ]);
    manifest.curve.clone_from(&learned.curve);
    if let Some(path) = &args.output {
        let mut out = Output::open(Some(path), true)?;
        out.write_all(&package::pack(&manifest.to_json()?, artefact)?)?;
        out.finish()?;
    }
    if args.format == Format::Json {
        return print_json(&json!({
            "manifest": manifest,
            "trained_records": newest,
            "left_out_records": learned.left_out,
            "cpu_seconds": learned.cpu_seconds,
            "output": args.output,
        }));
    }
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{} {}, {}: learned from {} images in {:.1} s of CPU",
        manifest.family,
        manifest.model,
        HumanBytes(manifest.artefact_bytes),
        HumanCount(newest as u64),
        learned.cpu_seconds,
    )?;
    if learned.left_out > 0 {
        writeln!(out, "{} images are of classes that have too few: left out", HumanCount(learned.left_out as u64))?;
    }
    match &args.output {
        Some(path) => writeln!(out, "written   {}", path.display())?,
        None => writeln!(out, "not kept: -o FILE writes it")?,
    }
    Ok(())
}

/// The images of a file, `[images, D]`, samples in planar order.
fn images(args: &TrainArgs, file: &Path, shape: Shape) -> anyhow::Result<Vec<u8>> {
    let (_, mut reader) = records::open(file, args.records)?;
    let (mut images, mut opened, mut wrapping) = (Vec::new(), Opened::default(), None::<Wrapping>);
    while let Some(record) = reader.next().with_context(|| format!("cannot read `{}`", file.display()))? {
        if !wrapping.as_ref().is_some_and(|known| known.open(record.content, shape, &mut opened)) {
            wrapping = Wrapping::of(record.content, shape);
            let found = wrapping.as_ref().is_some_and(|known| known.open(record.content, shape, &mut opened));
            ensure!(found, "image {} of `{}` is not of shape {shape}", images.len() / shape.samples(), file.display());
        }
        images.extend_from_slice(&opened.samples);
        let most = args.memory;
        ensure!(images.len() <= most.as_usize(), "`{}` has more than {most} of images: raise --memory", file.display());
    }
    Ok(images)
}

/// The labels of an idx file, as numbers.
fn labels(file: &Path) -> anyhow::Result<Vec<String>> {
    let (_, mut reader) = records::open(file, Some(RecordMode::Idx))?;
    let mut labels = Vec::new();
    while let Some(record) = reader.next().with_context(|| format!("cannot read `{}`", file.display()))? {
        let &[label] = record.content else {
            return Err(UsageError::new(format!("`{}` is no idx file of a byte for each image", file.display())).into());
        };
        labels.push(label.to_string());
    }
    Ok(labels)
}

#[cfg(feature = "training")]
fn learn(
    args: &TrainArgs,
    shape: Shape,
    images: &[u8],
    labels: &[String],
    bar: &ProgressBar,
) -> anyhow::Result<Learned> {
    use super::progress::Shown;
    use crate::telemetry::thread_cpu_seconds;
    use crate::training::Budget;
    use crate::training::vae::{Data, Recipe, train};

    let before = thread_cpu_seconds();
    let budget = Budget { steps: u32::MAX, cpu: Some(args.cpu) };
    let data = Data { shape, images, labels };
    let trained = train(data, &Recipe::default(), args.seed, budget, &mut Shown::on(bar))?;
    Ok(Learned {
        model: VaeModel::new(&trained.parts)?,
        validation: trained.validation,
        left_out: trained.left_out,
        rewinds: trained.rewinds,
        cpu_seconds: thread_cpu_seconds() - before,
        curve: trained.curve,
    })
}

#[cfg(not(feature = "training"))]
fn learn(_: &TrainArgs, _: Shape, _: &[u8], _: &[String], _: &ProgressBar) -> anyhow::Result<Learned> {
    anyhow::bail!(
        "this latentd was built without libtorch, which trains networks: build it with the feature `training`"
    )
}
