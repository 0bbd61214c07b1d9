//! `latentd train`: one training by hand, of a file's records or a pipeline's topic.
//!
//! What is learned, and how it is judged, is what the daemon does ([`Subject`], [`Samples`]): the newest tenth of the records is held
//! out, and the model that was learned from the others is measured on it.

mod classical;
mod drawn;
mod generator;
mod pictures;
mod progress;
mod report;

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use tokio::runtime::Runtime;

use super::corpus::{self, Bounds, Corpus, Generated};
use super::models::signature;
use super::output::Output;
use super::records::{self, RecordMode};
use super::{Format, UsageError};
use crate::codec::{Algorithm, CodecSpec, ModelId};
use crate::config;
use crate::model::classical::Operation;
use crate::model::manifest::is_pipeline_name;
use crate::model::{Decision, Manifest, Split, Start, Verdict, package};
use crate::payload::image::Shape;
use crate::pipeline::learn::{HOLDOUT, Samples};
use crate::pipeline::{Images, Layout, Publication, Run, Settings, Subject};
use crate::registry::{Activation, Expect, Registry};
use crate::source::KafkaSettings;
use crate::telemetry::thread_cpu_seconds;
use crate::units::ByteSize;
use progress::Shown;
use report::Report;

/// Train a model once: of a file, or of a pipeline's topic, whose group and offsets stay as they are
///
/// The older nine tenths of the records teach, the newest tenth judges the model (1 MiB of it, or 16 records) beside the model in use, the
/// codecs that need none and Kafka's own zstd. With -o
/// the model becomes a file that --model and `models import` take. `compress --records` codes records with their line ends,
/// so these are learned; --bare leaves them out, as a topic's records have none. Images are trained on for minutes, with
/// --payload image.
#[derive(Debug, clap::Args)]
pub struct TrainArgs {
    /// The file of records; `-` is standard input
    #[arg(required_unless_present = "pipeline", conflicts_with = "pipeline")]
    file: Option<PathBuf>,
    /// What the file's records are
    #[arg(long, value_enum, default_value = "auto")]
    payload: Payload,
    /// How the file is cut into records [default: by --payload, its name and first bytes]
    #[arg(short, long, value_enum, conflicts_with = "pipeline")]
    records: Option<RecordMode>,
    /// What is learned for a file: columns, zstd-dict (with a level if it has one), or latent [default: columns, of images latent]
    #[arg(long, conflicts_with = "pipeline")]
    codec: Option<CodecSpec>,
    /// Learn a model that draws records instead of one that codes them, of all records of the file
    #[arg(long, value_enum, conflicts_with_all = ["pipeline", "codec"])]
    generator: Option<GeneratorKind>,
    /// The classes of the images that a generator learns: an idx file with a byte for each
    #[arg(long, value_name = "FILE", requires = "generator")]
    labels: Option<PathBuf>,
    /// What a classical generator does, one of these for each record [default: smote-nc,jitter; of images
    /// crop,shift,noise,jitter,mixup, and there is flip]
    #[arg(long, value_name = "OPERATION", value_delimiter = ',', requires = "generator")]
    operations: Vec<Operation>,
    /// Neighbours that smote-nc looks at [default: 5]
    #[arg(long, value_name = "K", requires = "generator")]
    neighbours: Option<usize>,
    /// How many records a classical generator holds, to make others of [default: 20000, of images none: of them it holds all samples]
    #[arg(long, value_name = "N", requires = "generator")]
    bases: Option<usize>,
    /// Height, width and channels of images: 28x28, 64x64x3
    #[arg(long, value_name = "HxWxC", required_if_eq("payload", "image"), conflicts_with = "pipeline")]
    shape: Option<Shape>,
    /// CPU time that a training of a network takes: on images, or of a generator
    #[arg(long, default_value = "2m", value_parser = humantime::parse_duration, value_name = "TIME", conflicts_with = "pipeline")]
    cpu: Duration,
    /// Where a training of a network begins: another seed, another model
    #[arg(long, default_value_t = 0, value_name = "N", conflicts_with = "pipeline")]
    seed: u64,
    /// For a file: `block` learns records in a row, `record` each for itself
    #[arg(long, default_value = "block", value_parser = super::compress::layout, conflicts_with = "pipeline")]
    layout: Layout,
    /// For a file: size of a dictionary
    #[arg(long, default_value = "110KiB", value_name = "SIZE", conflicts_with = "pipeline")]
    dictionary: ByteSize,
    /// Leave line ends out of a file's records
    #[arg(long, conflicts_with = "pipeline")]
    bare: bool,
    /// The pipeline whose topic, codec and layout are taken
    #[arg(short, long, value_name = "NAME", requires = "config")]
    pipeline: Option<String>,
    /// The configuration that has the pipeline
    #[arg(short, long, value_name = "FILE", env = "LATENTD_CONFIG")]
    config: Option<PathBuf>,
    /// Publish the model and put it to use if it beats the model in use, the codecs that need none, and Kafka's own zstd
    #[arg(long, requires = "pipeline")]
    promote: bool,
    /// About how many records are read, the newest: runs of 64 KiB are read whole
    #[arg(short, long, default_value_t = 200_000, value_name = "N")]
    limit: u64,
    /// Most bytes of records that are held, the newest
    #[arg(long, default_value = "64MiB", value_name = "SIZE")]
    memory: ByteSize,
    /// Where the model goes: a file that appears when it is whole
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// How the report is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What a file's records are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Payload {
    /// JSON values, a line each or not.
    Json,
    /// Rows of CSV.
    Csv,
    /// Images of one shape: samples alone, PGM, PPM or PNG files.
    Image,
    /// By the file's name and first bytes.
    Auto,
}

/// A generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum GeneratorKind {
    /// Rows of JSON or CSV, field by field in any order
    Autoregressive,
    /// Rows, all fields at once; or images of one shape (--payload image), by class where there are --labels
    Vae,
    /// Rows or images as `vae` does, learned beside a critic
    Gan,
    /// Rows or images made of real ones, some of which the model holds; needs no training
    Classical,
}

/// What is trained, and where its model belongs.
struct Task {
    /// The pipeline, or the file's name in its place.
    name: String,
    subject: Subject,
    corpus: Corpus,
    /// Most raw bytes of a block where it is used.
    block: ByteSize,
    /// How records are divided into what is learned from and what judges.
    split: Split,
    /// Settings of the training beside the subject's own.
    config: serde_json::Value,
}

/// The model in use.
struct Incumbent {
    activation: Activation,
    /// The model and its bytes, unless there is none or it is of another family.
    model: Option<(ModelId, Vec<u8>)>,
}

/// Trains.
pub fn run(args: &TrainArgs) -> anyhow::Result<()> {
    if args.limit == 0 {
        return Err(UsageError::new("--limit 0 leaves nothing to learn from: write a number of records").into());
    }
    let bar = spinner();
    if let (Some(file), Some(kind)) = (&args.file, args.generator) {
        check_classical(args, kind)?;
        return match kind {
            GeneratorKind::Classical if args.payload == Payload::Image || args.shape.is_some() => {
                classical::run(args, file, &bar)
            }
            GeneratorKind::Vae | GeneratorKind::Gan if args.payload == Payload::Image || args.shape.is_some() => {
                pictures::run(args, kind, file, &bar)
            }
            kind => generator::run(args, kind, file, &bar),
        };
    }
    if let Some(file) = &args.file {
        let task = of_file(args, file, &bar)?;
        return learn(args, task, None, &bar);
    }
    let (Some(name), Some(path)) = (&args.pipeline, &args.config) else {
        return Err(UsageError::new("what is to be learned? Name a FILE, or --pipeline NAME --config FILE").into());
    };
    let config = config::load(path).map_err(|errors| UsageError::new(errors.rendered(config::Style::Plain)))?;
    let settings = super::models::of_pipeline(&config, name)?;
    let registry = super::models::of_config(&config)?;
    let task = of_pipeline(args, settings, &config.kafka, &registry, &bar)?;
    learn(args, task, Some(&registry), &bar)
}

/// Whether what only a classical generator takes is said of one, and is what it can do.
fn check_classical(args: &TrainArgs, kind: GeneratorKind) -> Result<(), UsageError> {
    let is_of_others = !args.operations.is_empty() || args.neighbours.is_some() || args.bases.is_some();
    if kind != GeneratorKind::Classical && is_of_others {
        return Err(UsageError::new("--operations, --neighbours and --bases are of --generator classical"));
    }
    let images = args.payload == Payload::Image || args.shape.is_some();
    let known: &[Operation] = if images { &Operation::OF_IMAGES } else { &Operation::OF_ROWS };
    if let Some(other) = args.operations.iter().find(|operation| !known.contains(operation)) {
        let names: Vec<&str> = known.iter().map(|operation| operation.name()).collect();
        let message = format!(
            "--operations {other}: of {} there are {}",
            if images { "images" } else { "rows" },
            names.join(", ")
        );
        return Err(UsageError::new(message));
    }
    Ok(())
}

fn of_pipeline(
    args: &TrainArgs,
    settings: &Settings,
    kafka: &KafkaSettings,
    registry: &Registry,
    bar: &ProgressBar,
) -> anyhow::Result<Task> {
    let name = settings.name.clone();
    let subject = Subject::of(settings).filter(|_| settings.operation == crate::pipeline::Operation::Compress);
    let (subject, learn) = subject.ok_or_else(|| {
        let message = format!(
            "pipeline `{name}` learns nothing: give it `codec = \"columns\"` or `\"zstd-dict\"`, and a table \
             `[pipelines.{name}.learn]`, even empty"
        );
        UsageError::new(message)
    })?;
    let emitted = corpus::emitted(registry, &name)?;
    let generated = Generated::Refused(&emitted);
    let bounds = bounds(args, &subject, learn.split);
    let corpus = Corpus::of_topics(&settings.from, kafka, &bounds, generated, bar)?;
    Ok(Task { name, subject, corpus, block: settings.block.max_bytes, split: learn.split, config: json!({}) })
}

fn of_file(args: &TrainArgs, file: &Path, bar: &ProgressBar) -> anyhow::Result<Task> {
    let subject = subject(args)?;
    let (mode, mut reader) = of_file_records(args, file)?;
    let corpus = Corpus::of_file(file, mode, &mut reader, args.bare, &bounds(args, &subject, Split::Time), bar)?;
    Ok(Task {
        name: name_of(file),
        subject,
        corpus,
        block: BLOCK,
        split: Split::Time,
        config: json!({ "records": mode.to_string(), "line_ends": !args.bare }),
    })
}

/// What stands in the place of a pipeline's name.
fn name_of(file: &Path) -> String {
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    stem.filter(|stem| stem != "-" && is_pipeline_name(stem)).unwrap_or_else(|| "standard-input".to_owned())
}

/// The records of a file, and how it is cut into them.
fn of_file_records(args: &TrainArgs, file: &Path) -> anyhow::Result<(RecordMode, records::FileReader)> {
    let asked = args.records.or(match args.payload {
        Payload::Csv => Some(RecordMode::Csv),
        Payload::Json | Payload::Image | Payload::Auto => None,
    });
    let (mut mode, mut reader) = records::open(file, asked)?;
    if args.payload == Payload::Json && asked.is_none() && !matches!(mode, RecordMode::Lines | RecordMode::Json) {
        // A name that says nothing: JSON values end where they end.
        (mode, reader) = records::open(file, Some(RecordMode::Json))?;
    }
    if mode == RecordMode::Whole && asked.is_none() {
        let message = format!("`{}` does not say how it is cut into records: write --records lines", file.display());
        return Err(UsageError::new(message).into());
    }
    Ok((mode, reader))
}

/// What the arguments say that is learned of a file.
fn subject(args: &TrainArgs) -> Result<Subject, UsageError> {
    let images = args.payload == Payload::Image;
    let codec = args.codec.unwrap_or(CodecSpec::new(if images { Algorithm::Latent } else { Algorithm::Columns }));
    let latent = codec.algorithm() == Algorithm::Latent;
    match args.shape.filter(|_| images && latent) {
        Some(shape) => {
            let images = Images { shape, cpu: args.cpu, seed: args.seed };
            return Ok(Subject::of_images(images, args.layout, BLOCK));
        }
        None if latent => {
            return Err(UsageError::new("`latent` learns images: write --payload image --shape HEIGHTxWIDTH"));
        }
        None if images && codec.algorithm() != Algorithm::ZstdDict => {
            let message = format!("`{codec}` learns nothing of images: write --codec latent or --codec zstd-dict");
            return Err(UsageError::new(message));
        }
        None => {}
    }
    Subject::of_codec(codec, args.layout, BLOCK, args.dictionary)
        .ok_or_else(|| UsageError::new(format!("`{codec}` learns nothing: write --codec columns or --codec zstd-dict")))
}

/// Most raw bytes of a block: of `compress`, and of a pipeline by default. A model is judged in blocks that are no larger.
const BLOCK: ByteSize = ByteSize::mib(1);

fn bounds(args: &TrainArgs, subject: &Subject, split: Split) -> Bounds {
    Bounds {
        run_bytes: subject.run_bytes(),
        keys: split == Split::Key,
        bytes: args.memory.as_usize(),
        records: args.limit,
    }
}

/// Trains, judges, and does with the model what is asked.
fn learn(args: &TrainArgs, task: Task, registry: Option<&Registry>, bar: &ProgressBar) -> anyhow::Result<()> {
    let runtime = Runtime::new().context("no runtime")?;
    let Task { name, subject, corpus, block, split, config } = task;
    let incumbent = match registry {
        Some(registry) => runtime.block_on(incumbent(registry, &name, &subject))?,
        None => None,
    };
    let used = incumbent.as_ref().and_then(|incumbent| incumbent.model.as_ref());
    let warm = match (registry, used) {
        (Some(registry), Some((id, _))) if subject.is_long() => runtime.block_on(registry.state(id))?,
        _ => None,
    };
    let records = corpus.records();
    let samples = Samples::of_runs(corpus.runs, split, HOLDOUT);
    let (train, validation, holdout) = (samples.train(), samples.validation(), samples.holdout());
    let count = |runs: &[&Run]| runs.iter().map(|run| run.len() as u64).sum::<u64>();
    bar.set_message(format!("training {} on {} of {} records", subject.family(), count(&samples.learned()), records));
    let before = thread_cpu_seconds();
    let start = warm.as_deref().map_or(Start::Anew, Start::Warm);
    let taught = match subject.train(&train, &validation, start, &mut Shown::on(bar))? {
        Ok(taught) => taught,
        Err(reason) => bail!("nothing was learned: {reason}"),
    };
    let candidate = taught.artefact;
    let cpu_seconds = thread_cpu_seconds() - before;
    bar.set_message(format!("judging on {} newer records", count(&holdout)));
    let incumbent_artefact = used.map(|(_, artefact)| artefact.as_slice());
    let verdict = subject.challenge(&candidate, incumbent_artefact, &holdout, usize::MAX, &thread_cpu_seconds)?;
    bar.finish_and_clear();

    let signature = signature();
    let mut manifest = Manifest::new(&candidate, subject.family(), name.as_str(), signature.at.as_str());
    manifest.window = corpus.window;
    manifest.metrics = verdict.metrics(count(&holdout));
    manifest.config = merged(subject.config(), config);
    manifest.parent = used.map(|(id, _)| *id);
    manifest.curve = taught.curve;
    let mut publication = Publication { manifest, artefact: candidate };
    let mut promoted = None;
    if args.promote
        && verdict.decision == Decision::Replace
        && let Some(registry) = registry
    {
        let known = incumbent.as_ref().and_then(|incumbent| incumbent.activation.model);
        publication = runtime.block_on(publication.publish(registry))?;
        let id = publication.manifest.model;
        if let Some(state) = taught.state {
            runtime.block_on(registry.keep_state(&id, state.into()))?;
        }
        promoted = Some(runtime.block_on(registry.set_active(&name, &id, Expect::Model(known), &signature))?);
    }
    if let Some(path) = &args.output {
        let mut out = Output::open(Some(path), true)?;
        out.write_all(&package::pack(&publication.manifest.to_json()?, &publication.artefact)?)?;
        out.finish()?;
    }
    let report = Report {
        manifest: &publication.manifest,
        verdict: &verdict,
        trained_records: count(&samples.learned()),
        held_out_records: count(&holdout),
        refused_records: corpus.refused,
        piece: subject.judged_in(&holdout).map(|piece| (piece, block)),
        cpu_seconds,
        incumbent: used.map(|(id, _)| *id),
        output: args.output.as_deref(),
        promoted: promoted.as_ref(),
    };
    report.print(args.format)?;
    refusal(args, &verdict)
}

/// The gate said no: a failure, so that a script notices.
fn refusal(args: &TrainArgs, verdict: &Verdict) -> anyhow::Result<()> {
    match verdict.reason() {
        Some(reason) if args.promote => bail!("not promoted: {reason}"),
        _ => Ok(()),
    }
}

/// The model that the pipeline uses.
async fn incumbent(registry: &Registry, pipeline: &str, subject: &Subject) -> anyhow::Result<Option<Incumbent>> {
    let Some(activation) = registry.active(pipeline).await? else { return Ok(None) };
    let mut model = None;
    if let Some(id) = activation.model {
        let loaded = registry.load(&id).await?;
        if loaded.manifest.family == subject.family() {
            subject.check(&loaded.artefact)?;
            model = Some((id, loaded.artefact.to_vec()));
        }
    }
    Ok(Some(Incumbent { activation, model }))
}

/// One JSON object of two.
fn merged(mut own: serde_json::Value, more: serde_json::Value) -> serde_json::Value {
    if let (Some(own), serde_json::Value::Object(more)) = (own.as_object_mut(), more) {
        own.extend(more);
    }
    own
}

fn spinner() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {msg}  {elapsed}");
    let bar = ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
