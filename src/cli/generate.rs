//! `latentd generate`: new records from a model that was learned from a topic, in the topic's own syntax.

mod complete;
mod described;
mod judge;
mod pictures;

use std::io::{BufWriter, IntoInnerError, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};

use super::models::{RegistryArgs, open};
use super::output::Output;
use super::records::{RecordMode, without_end};
use super::redraw::redraw;
use super::{Format, UsageError};
use crate::augment::Balance;
use crate::model::{
    ClassicalImages, ClassicalRows, Condition, Dictionary, Family, Generator, ImagesModel, Manifest, RowsDecoder,
    RowsModel, is_of_images, open_generator, open_image_generator,
};
use described::Described;

/// Draw new records from a model of a topic's fields, in the topic's own syntax
///
/// A model that codes records well knows what they are like: what it decodes from random bits are records that it takes for
/// likely. The same model and seed give the same bytes, on every machine. A line each, unless the topic's records bring their
/// own ends.
///
/// With --against, what is drawn is judged instead of printed: whether trees can tell it from real records, whether its
/// columns are distributed alike, whether it copies what was learned. docs/generation.md says what each gate means.
#[derive(Debug, clap::Args)]
pub struct GenerateArgs {
    /// The model: a file, or a model's id in the registry [with --from-headers: those that the headers name]
    #[arg(short, long, value_name = "FILE|ID", required_unless_present = "from_headers")]
    model: Option<String>,
    #[command(flatten)]
    registry: RegistryArgs,
    /// How many records
    #[arg(short = 'n', long = "count", default_value_t = 10, value_name = "N")]
    count: u64,
    /// What all chance comes from
    #[arg(short, long, default_value_t = 0)]
    seed: u64,
    /// Records with this value in this field, with a model that `latentd train --generator` made; may be repeated
    #[arg(long = "where", value_name = "FIELD=VALUE")]
    conditions: Vec<String>,
    /// Draw the classes of this field evenly, with a model that `latentd train --generator` made
    #[arg(long, value_name = "FIELD", conflicts_with = "from_headers")]
    balance: Option<String>,
    /// Draw records again from their headers: a file with an object a line, as `latentd cat -f json` prints records of a topic,
    /// or `-`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["count", "seed", "against"])]
    from_headers: Option<PathBuf>,
    /// Draw what is NULL in the records of this file from what they have, with a model that `latentd train --generator autoregressive` made;
    /// all else stays as it is
    #[arg(long, value_name = "FILE", conflicts_with_all = ["count", "against", "from_headers", "headers", "balance", "conditions"])]
    complete: Option<PathBuf>,
    /// Print each record with the headers that a pipeline gives it, an object a line, which --from-headers takes
    #[arg(long, conflicts_with_all = ["from_headers", "against"])]
    headers: bool,
    /// Where to: a file that appears when it is whole [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Judge what is drawn by real records: those that the model learned from
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// Real records that the model did not learn from [default: every other one of --against]
    #[arg(long, value_name = "FILE", requires = "against")]
    holdout: Option<PathBuf>,
    /// The labels of the images of --against: an idx file of a byte each
    #[arg(long, value_name = "FILE", requires = "against")]
    labels: Option<PathBuf>,
    /// The labels of the images of --holdout
    #[arg(long, value_name = "FILE", requires = "holdout")]
    holdout_labels: Option<PathBuf>,
    /// A field that models are trained to predict, to see what the records are worth to them
    #[arg(long, value_name = "FIELD", requires = "against")]
    target: Option<String>,
    /// How the files of --against, --holdout and --complete are cut into records [default: by their names and first bytes]
    #[arg(short, long, value_enum)]
    records: Option<RecordMode>,
    /// How the judgement is shown
    #[arg(long, value_enum, default_value_t, requires = "against")]
    format: Format,
    /// Write the judgement as a page to look at: one HTML file that needs nothing beside it
    #[arg(long, value_name = "FILE.html", requires = "against")]
    report: Option<PathBuf>,
}

/// A model that draws.
struct Subject {
    family: Family,
    /// What it was made from, where it came with that.
    manifest: Option<Manifest>,
    artefact: Arc<[u8]>,
}

/// Draws.
pub fn run(args: &GenerateArgs) -> anyhow::Result<()> {
    let condition = condition(&args.conditions)?;
    if let Some(headers) = &args.from_headers {
        return redraw(headers, args.model.as_deref(), &args.registry, args.output.as_deref());
    }
    let model = args.model.as_deref().unwrap_or_default();
    let (manifest, artefact) = open(model, &args.registry)?;
    if Dictionary::parse(&artefact).is_ok() {
        bail!(
            "`{model}` is a zstd dictionary, which holds pieces of records and cannot draw any: take a model of fields, as \
             `latentd train --codec columns` makes it"
        );
    }
    let family = manifest.as_ref().map_or_else(|| family_of(&artefact), |manifest| manifest.family.clone());
    let subject = Subject { family, manifest, artefact };
    if let Some(file) = &args.complete {
        return complete::complete(args, &subject, file);
    }
    let draws_nothing = || format!("`{model}` draws nothing");
    if is_of_images(&subject.family, &subject.artefact) {
        let pictures = open_image_generator(&subject.family, &subject.artefact).with_context(draws_nothing)?;
        return pictures::draw(args, &subject, pictures.as_ref(), &condition);
    }
    let generator = open_generator(&subject.family, &subject.artefact).with_context(draws_nothing)?;
    draw(args, &subject, generator.as_ref(), &condition)
}

/// The family of an artefact that comes without a manifest.
pub fn family_of(artefact: &[u8]) -> Family {
    if RowsModel::parse(artefact).is_ok() {
        Family::AUTOREGRESSIVE
    } else if let Ok(decoder) = RowsDecoder::parse(artefact) {
        decoder.family()
    } else if let Ok(images) = ImagesModel::parse(artefact) {
        images.family()
    } else if ClassicalRows::parse(artefact).is_ok() || ClassicalImages::parse(artefact).is_ok() {
        Family::CLASSICAL
    } else {
        Family::COLUMNS
    }
}

/// What `--where` asks for.
fn condition(arguments: &[String]) -> Result<Condition, UsageError> {
    let mut condition = Condition::new();
    for argument in arguments {
        let Some((field, value)) = argument.split_once('=') else {
            return Err(UsageError::new(format!("--where {argument}: write FIELD=VALUE")));
        };
        if condition.insert(field.to_owned(), value.to_owned()).is_some_and(|other| other != value) {
            return Err(UsageError::new(format!("--where {field}: it cannot have two values")));
        }
    }
    Ok(condition)
}

/// Draws with a generator, run by run.
fn draw(
    args: &GenerateArgs,
    subject: &Subject,
    generator: &dyn Generator,
    condition: &Condition,
) -> anyhow::Result<()> {
    generator.admits(condition).map_err(|error| UsageError::new(format!("--where: {error}")))?;
    let balance = args.balance.as_deref().map(|field| Balance::new(generator, field, condition, f64::INFINITY));
    let balance = balance.transpose().map_err(|error| UsageError::new(format!("--balance: {error}")))?;
    let judge = args.against.as_deref().map(|real| judge::by(args, generator, condition, real)).transpose()?;
    // What is judged is not printed, unless to a file.
    let mut out = match (&judge, &args.output) {
        (Some(_), None) => None,
        (_, path) => Some(BufWriter::new(Output::open(path.as_deref(), false)?)),
    };
    let mut described =
        args.headers.then(|| Described::new(subject, generator, args.seed, condition, balance.as_ref()));
    let (mut drawn, mut records, mut left) = (Vec::new(), Vec::new(), args.count);
    // What is judged is a sample, and no stretch of records that follow one another.
    let is_sample = judge.is_some() && balance.is_none();
    for run in 0u64.. {
        let count = if is_sample { left } else { left.min(u64::from(generator.run_length())) };
        if count == 0 {
            break;
        }
        left -= count;
        records.clear();
        match &balance {
            Some(balance) => balance.draw(generator, args.seed, run, count as u32, &mut records)?,
            None if is_sample => generator.sample(args.seed, condition, count, &mut records)?,
            None => generator.draw(args.seed, condition, run, count as u32, &mut records)?,
        }
        let first = run.wrapping_mul(u64::from(generator.run_length()));
        for (number, record) in (first..).zip(&mut records) {
            match (&mut out, &mut described) {
                (Some(out), Some(described)) => described.write(number, record, out)?,
                (Some(out), None) => {
                    out.write_all(record)?;
                    if !record.ends_with(b"\n") {
                        out.write_all(b"\n")?;
                    }
                }
                (None, _) => {}
            }
            record.truncate(without_end(record).len());
        }
        if judge.is_some() {
            drawn.append(&mut records);
        }
    }
    if let Some(out) = out {
        out.into_inner().map_err(IntoInnerError::into_error)?.finish()?;
    }
    let Some(judge) = judge else { return Ok(()) };
    judge::tell(args, subject, condition, judge.judge(&judge::refs(&drawn))?)
}
