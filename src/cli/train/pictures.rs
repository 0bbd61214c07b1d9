//! `latentd train --payload image --generator vae` or `gan`: a model that draws images, of all images of a file.

use std::path::Path;

use indicatif::{HumanCount, ProgressBar};
use serde_json::json;

use super::drawn::Drawn;
use super::{GeneratorKind, TrainArgs};
use crate::cli::UsageError;
use crate::cli::records::Pictures;
use crate::model::{CurvePoint, ImagesModel};
use crate::payload::image::Shape;

/// The newest images of a file, as many as may be, samples in planar order, and their labels.
pub fn read(args: &TrainArgs, shape: Shape, file: &Path) -> anyhow::Result<(Vec<u8>, Vec<String>)> {
    let Pictures { mut images, mut labels } =
        Pictures::read(file, args.records, shape, args.labels.as_deref(), args.memory)?;
    let count = images.len() / shape.samples();
    let newest = usize::try_from(args.limit).unwrap_or(usize::MAX).min(count);
    images.drain(..(count - newest) * shape.samples());
    labels.drain(..labels.len().saturating_sub(newest));
    Ok((images, labels))
}

/// What came of a training.
struct Learned {
    model: ImagesModel,
    /// The metric of images that it did not learn from.
    validation: (&'static str, f64),
    left_out: usize,
    rewinds: u32,
    cpu_seconds: f64,
    curve: Vec<CurvePoint>,
}

/// Trains.
pub fn run(args: &TrainArgs, kind: GeneratorKind, file: &Path, bar: &ProgressBar) -> anyhow::Result<()> {
    let Some(shape) = args.shape else {
        return Err(
            UsageError::new("images are learned of one shape: write --payload image --shape HEIGHTxWIDTH").into()
        );
    };
    let (images, labels) = read(args, shape, file)?;
    let learned = learn(args, kind, shape, &images, &labels, bar)?;
    bar.finish_and_clear();

    let mut notes = Vec::new();
    if learned.left_out > 0 {
        let left_out = HumanCount(learned.left_out as u64);
        notes.push(format!("{left_out} images are of classes that have too few: left out"));
    }
    let drawn = Drawn {
        family: learned.model.family(),
        artefact: learned.model.artefact(),
        config: json!({
            "cpu": humantime::format_duration(args.cpu).to_string(), "shape": shape.to_string(), "labels": args.labels,
        }),
        validation: learned.validation,
        rewinds: learned.rewinds,
        cpu_seconds: learned.cpu_seconds,
        curve: learned.curve,
        trained: (images.len() / shape.samples(), "images"),
        left_out: learned.left_out,
        notes,
    };
    drawn.keep(args, file)
}

#[cfg(feature = "training")]
fn learn(
    args: &TrainArgs,
    kind: GeneratorKind,
    shape: Shape,
    images: &[u8],
    labels: &[String],
    bar: &ProgressBar,
) -> anyhow::Result<Learned> {
    use super::progress::Shown;
    use crate::model::manifest::metric;
    use crate::telemetry::thread_cpu_seconds;
    use crate::training::Budget;
    use crate::training::images::{Data, gan, vae};

    let before = thread_cpu_seconds();
    let budget = Budget { steps: u32::MAX, cpu: Some(args.cpu) };
    let data = Data { shape, images, labels };
    let mut shown = Shown::on(bar);
    let learned = |parts, validation, left_out| -> anyhow::Result<Learned> {
        let (rewinds, curve) = (0, Vec::new());
        let cpu_seconds = thread_cpu_seconds() - before;
        Ok(Learned { model: ImagesModel::new(parts)?, validation, left_out, rewinds, cpu_seconds, curve })
    };
    if kind == GeneratorKind::Gan {
        let trained = gan::train(data, &gan::Recipe::of(shape), args.seed, budget, &mut shown)?;
        let learned = learned(&trained.parts, (metric::KERNEL_DISTANCE, trained.distance), trained.left_out)?;
        return Ok(Learned { curve: trained.curve, ..learned });
    }
    let trained = vae::train(data, &vae::Recipe::default(), args.seed, budget, &mut shown)?;
    let learned = learned(&trained.parts, (metric::VALIDATION_LOSS, trained.validation), trained.left_out)?;
    Ok(Learned { rewinds: trained.rewinds, curve: trained.curve, ..learned })
}

#[cfg(not(feature = "training"))]
fn learn(
    _: &TrainArgs,
    _: GeneratorKind,
    _: Shape,
    _: &[u8],
    _: &[String],
    _: &ProgressBar,
) -> anyhow::Result<Learned> {
    anyhow::bail!(
        "this latentd was built without libtorch, which trains networks: build it with the feature `training`"
    )
}
