//! `latentd generate` of a model that draws images: one file of samples after another, or a sheet to look at.

use std::io::Write as _;
use std::path::Path;
#[cfg(feature = "training")]
use std::path::PathBuf;

use anyhow::ensure;

use super::described::Described;
use super::{GenerateArgs, Subject};
use crate::augment::Balance;
use crate::cli::UsageError;
use crate::cli::output::Output;
#[cfg(feature = "training")]
use crate::cli::records::Pictures;
use crate::cli::sheet::{sheet, square};
use crate::model::{Condition, ImageGenerator};
#[cfg(feature = "training")]
use crate::payload::image::Shape;
use crate::units::ByteSize;

/// Most bytes of samples of images that are judged, on either side.
const MOST_JUDGED: ByteSize = ByteSize::mib(512);

/// How often a classifier sees each image.
#[cfg(feature = "training")]
const EPOCHS: u32 = 8;

/// Draws: samples alone, or a PNG sheet where the output's name ends so. With --against, judges.
pub fn draw(
    args: &GenerateArgs,
    subject: &Subject,
    model: &dyn ImageGenerator,
    condition: &Condition,
) -> anyhow::Result<()> {
    model.admits(condition).map_err(|error| UsageError::new(format!("--where: {error}")))?;
    let balance = args.balance.as_deref().map(|field| Balance::new(model, field, condition, f64::INFINITY));
    let balance = balance.transpose().map_err(|error| UsageError::new(format!("--balance: {error}")))?;
    let mut described = args.headers.then(|| Described::new(subject, model, args.seed, condition, balance.as_ref()));
    let is_sheet = args
        .output
        .as_ref()
        .is_some_and(|path| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png")));
    if is_sheet && args.headers {
        return Err(
            UsageError::new("--headers: a sheet has no headers; write to a file that does not end in .png").into()
        );
    }
    // What is judged is not printed, unless to a file.
    let judged = args.against.is_some();
    let mut out = match (judged, &args.output) {
        (true, None) => None,
        (_, path) => Some(Output::open(path.as_deref(), true)?),
    };
    let (mut left, mut images, mut drawn) = (args.count, Vec::new(), Vec::new());
    for run in 0u64.. {
        let count = left.min(u64::from(model.run_length()));
        if count == 0 {
            break;
        }
        left -= count;
        drawn.clear();
        match &balance {
            Some(balance) => balance.draw(model, args.seed, run, count as u32, &mut drawn)?,
            None => model.draw(args.seed, condition, run, count as u32, &mut drawn)?,
        }
        if let Some(out) = out.as_mut().filter(|_| !is_sheet) {
            let first = run.wrapping_mul(u64::from(model.run_length()));
            for (number, image) in (first..).zip(&drawn) {
                match &mut described {
                    Some(described) => described.write(number, image, out)?,
                    None => out.write_all(image)?,
                }
            }
        }
        if is_sheet || judged {
            images.append(&mut drawn);
            let most = MOST_JUDGED.as_usize() / model.shape().samples();
            ensure!(images.len() <= most, "so many images are too large to be looked at together: draw fewer");
        }
    }
    if let Some(mut out) = out {
        if is_sheet {
            out.write_all(&sheet(&images, model.shape(), square(images.len()))?)?;
        }
        out.finish()?;
    }
    match &args.against {
        Some(real) => judge(args, subject, model, (condition, balance.as_ref()), &images, real),
        None => Ok(()),
    }
}

/// Judges by real images.
#[cfg(feature = "training")]
fn judge(
    args: &GenerateArgs,
    subject: &Subject,
    model: &dyn ImageGenerator,
    (condition, balance): (&Condition, Option<&Balance>),
    images: &[Vec<u8>],
    real: &Path,
) -> anyhow::Result<()> {
    use super::judge::{tell, unjudged};
    use crate::cli::records::{Pictures, Planar};
    use crate::model::images::LABEL;
    use crate::quality::{Report, Rows};
    use crate::training::classifier::{Images, JudgeError, judge, judge_class};
    use crate::training::images::{Chosen, Data};

    let shape = model.shape();
    let read = |file: &Path, labels: &Option<PathBuf>| {
        Pictures::read(file, args.records, shape, labels.as_deref(), MOST_JUDGED)
    };
    let (train, holdout) = match &args.holdout {
        Some(holdout) => (read(real, &args.labels)?, read(holdout, &args.holdout_labels)?),
        None => halves(read(real, &args.labels)?, shape),
    };
    if train.labels.is_empty() != holdout.labels.is_empty() {
        return Err(UsageError::new("name the labels of both --against and --holdout, or of neither").into());
    }
    let mut planar = Planar::new(shape);
    for image in images {
        ensure!(planar.push(image), "a drawn image is not of the model's shape");
    }
    let label_of = |number: u64| {
        // Balanced images have a condition each.
        let asked = balance.map_or(condition, |balance| balance.of(args.seed, number));
        asked.get(LABEL).cloned().or_else(|| model.label_of(args.seed, number).map(str::to_owned))
    };
    // Where the drawn have no labels, those of real ones say nothing of them.
    let labels: Vec<String> = (0..images.len() as u64).filter_map(label_of).collect();
    let labelled = !train.labels.is_empty() && labels.len() == images.len();
    let data = |images, labels| Data { shape, images, labels: if labelled { labels } else { &[] } };
    let [of_train, of_holdout] = [&train, &holdout].map(|pictures| data(&pictures.images, &pictures.labels));
    let generated = data(&planar.samples, &labels);
    let class = condition.get(LABEL);
    let own = |all: Data<'_>| class.filter(|_| labelled).map(|class| Chosen::of_class(all, class)).transpose();
    // Drawn images of a class are judged by real ones of it.
    let (own_train, own_holdout) = (own(of_train)?, own(of_holdout)?);
    let images = Images {
        train: own_train.as_ref().map_or(of_train, |chosen| chosen.data(shape)),
        holdout: own_holdout.as_ref().map_or(of_holdout, |chosen| chosen.data(shape)),
        generated,
    };
    let gates = match class {
        Some(_) if !labelled => {
            let message = "--where: name the labels of the real images, which say what is of the class";
            return Err(UsageError::new(message).into());
        }
        Some(class) => judge_class(of_train, &images, class, EPOCHS, args.seed),
        None => judge(&images, EPOCHS, args.seed),
    };
    let gates = gates.map_err(|error| match error {
        JudgeError::Quality(error) => unjudged(condition, error),
        error => error.into(),
    })?;
    let count = |data: Data<'_>| data.images.len() / shape.samples();
    let (train, holdout, generated) = (count(images.train), count(images.holdout), count(generated));
    let rows = Rows { train, holdout, generated, valid: generated, most_compared: usize::MAX };
    tell(args, subject, condition, Report::of_images(gates, rows))
}

/// Every other image on either side.
#[cfg(feature = "training")]
fn halves(pictures: Pictures, shape: Shape) -> (Pictures, Pictures) {
    let half = |which: usize| {
        let images = pictures.images.chunks_exact(shape.samples()).skip(which).step_by(2).flatten().copied().collect();
        Pictures { images, labels: pictures.labels.iter().skip(which).step_by(2).cloned().collect() }
    };
    (half(0), half(1))
}

/// Judges by real images.
#[cfg(not(feature = "training"))]
fn judge(
    _: &GenerateArgs,
    _: &Subject,
    _: &dyn ImageGenerator,
    _: (&Condition, Option<&Balance>),
    _: &[Vec<u8>],
    _: &Path,
) -> anyhow::Result<()> {
    let message = "images are judged by a classifier, which this build cannot train: it takes one with `training`";
    Err(UsageError::new(message).into())
}
