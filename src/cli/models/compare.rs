//! `latentd models compare`: two models side by side, by what they measured when they were made, or on records of today.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use comfy_table::CellAlignment;
use indicatif::{HumanBytes, HumanCount, ProgressBar};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{RegistryArgs, metric_of, short};
use crate::cli::corpus::{Bounds, Corpus, Generated};
use crate::cli::records::{self, RecordMode};
use crate::cli::show::{print_json, table};
use crate::cli::{Format, UsageError};
use crate::codec::{Algorithm, CodecSpec};
use crate::config;
use crate::model::{Family, Manifest, Verdict, package};
use crate::pipeline::{Layout, Run, SourceTopics, Subject};
use crate::source::KafkaSettings;
use crate::units::ByteSize;

/// Two models side by side: as they were measured when they were made, or on the records of a file or a topic.
#[derive(Debug, clap::Args)]
pub struct CompareArgs {
    /// The first: its id, the beginning of it, or a file that `train` or `models export` wrote
    a: String,
    /// The second
    b: String,
    /// Records that both code: the newest of a file
    #[arg(conflicts_with = "topic")]
    file: Option<PathBuf>,
    /// Records that both code: the newest of a topic
    #[arg(long)]
    topic: Option<String>,
    /// The topic's cluster, `host:port`, several with commas [default: from --config]
    #[arg(short, long, value_name = "HOST:PORT", value_delimiter = ',', requires = "topic")]
    brokers: Vec<String>,
    /// How the file is cut into records [default: by its name and first bytes]
    #[arg(short, long, value_enum, requires = "file")]
    records: Option<RecordMode>,
    /// Most records that are coded, the newest
    #[arg(short, long, default_value_t = 20_000, value_name = "N")]
    limit: u64,
}

/// A model with what is said of it.
struct Loaded {
    manifest: Manifest,
    artefact: Vec<u8>,
}

/// Raw bytes of the blocks that records are coded in.
const BLOCK: ByteSize = ByteSize::mib(1);

/// Most bytes of records that are held.
const MEMORY: usize = 256 << 20;

/// Compares.
pub fn run(args: &CompareArgs, registry: &RegistryArgs, format: Format) -> anyhow::Result<()> {
    let models = [load(&args.a, registry)?, load(&args.b, registry)?];
    let measured = match (&args.file, &args.topic) {
        (None, None) => None,
        _ => Some(measure(args, registry, &models)?),
    };
    if format == Format::Json {
        let [a, b] = &models;
        let mut report = json!({ "a": a.manifest, "b": b.manifest });
        if let Some(measured) = &measured {
            report["measured"] = measured.json(&models);
        }
        return print_json(&report);
    }
    let mut out = io::stdout().lock();
    writeln!(out, "{}", described(&models))?;
    if let Some(measured) = &measured {
        writeln!(out, "{}", measured.said(&models))?;
    }
    Ok(())
}

fn load(model: &str, registry: &RegistryArgs) -> anyhow::Result<Loaded> {
    if Path::new(model).is_file() {
        let file = fs::read(model).with_context(|| format!("cannot read `{model}`"))?;
        let unpacked = package::unpack(&file).with_context(|| format!("`{model}`"))?;
        return Ok(Loaded { manifest: unpacked.manifest, artefact: unpacked.artefact.to_vec() });
    }
    let registry = registry.open()?;
    let model = Runtime::new()?.block_on(async { registry.load(&registry.resolve(model).await?).await })?;
    Ok(Loaded { manifest: model.manifest, artefact: model.artefact.to_vec() })
}

/// Both models' manifests.
fn described(models: &[Loaded; 2]) -> comfy_table::Table {
    let [a, b] = models.each_ref().map(|model| &model.manifest);
    let mut table = table(["", &short(&a.model), &short(&b.model)]);
    let mut row = |name: &str, of: &dyn Fn(&Manifest) -> String| {
        table.add_row([name.to_owned(), of(a), of(b)]);
    };
    row("family", &|m| m.family.to_string());
    row("layout", &|m| layout(m).name().to_owned());
    row("pipeline", &|m| m.pipeline.clone());
    row("created", &|m| m.created.clone());
    row("size", &|m| HumanBytes(m.artefact_bytes).to_string());
    row("parent", &|m| m.parent.as_ref().map_or_else(|| "-".to_owned(), short));
    let names: BTreeSet<&String> = a.metrics.keys().chain(b.metrics.keys()).collect();
    for name in names {
        row(name, &|m| metric_of(m, name));
    }
    table
}

/// What each model made of the records.
struct Measured {
    records: u64,
    verdicts: [Verdict; 2],
}

fn measure(args: &CompareArgs, registry: &RegistryArgs, models: &[Loaded; 2]) -> anyhow::Result<Measured> {
    let subjects = [subject(&models[0].manifest)?, subject(&models[1].manifest)?];
    let run_bytes = subjects.iter().map(Subject::run_bytes).max().unwrap_or(0);
    let bounds = Bounds { run_bytes, keys: false, bytes: MEMORY, records: args.limit };
    // A model of a file may know the records with their line ends, one of a topic knows them without.
    let bare = models.each_ref().map(|model| model.manifest.config["line_ends"] != true);
    let first = corpus(args, registry, bare[0], &bounds)?;
    let other = if bare[0] == bare[1] { None } else { Some(corpus(args, registry, bare[1], &bounds)?) };
    let runs: [Vec<&Run>; 2] = [&first, other.as_ref().unwrap_or(&first)].map(|corpus| corpus.runs.iter().collect());
    let judge = |which: usize| -> anyhow::Result<Verdict> {
        let verdict = subjects[which].judge(&models[which].artefact, None, &runs[which]);
        verdict.with_context(|| format!("model {}", models[which].manifest.model))
    };
    Ok(Measured { records: first.records() as u64, verdicts: [judge(0)?, judge(1)?] })
}

fn corpus(args: &CompareArgs, registry: &RegistryArgs, bare: bool, bounds: &Bounds) -> anyhow::Result<Corpus> {
    let bar = ProgressBar::hidden();
    if let Some(topic) = &args.topic {
        let from = SourceTopics::Names(vec![topic.clone()]);
        return Corpus::of_topics(&from, &cluster(args, registry)?, bounds, Generated::Read, &bar);
    }
    let Some(file) = &args.file else { bail!("no records are named") };
    let (mode, mut reader) = records::open(file, args.records)?;
    Corpus::of_file(file, mode, &mut reader, bare, bounds, &bar)
}

fn cluster(args: &CompareArgs, registry: &RegistryArgs) -> anyhow::Result<KafkaSettings> {
    let mut kafka = KafkaSettings::default();
    if let Some(path) = &registry.config {
        let config = config::load(path).map_err(|errors| UsageError::new(errors.rendered(config::Style::Plain)))?;
        kafka = config.kafka;
    }
    if !args.brokers.is_empty() {
        kafka.brokers.clone_from(&args.brokers);
    }
    if kafka.brokers.is_empty() {
        return Err(UsageError::new("which cluster? Name it with --brokers HOST:PORT or --config FILE").into());
    }
    Ok(kafka)
}

/// The layout that a model was made for.
fn layout(manifest: &Manifest) -> Layout {
    let alone = manifest.config["alone"] == true || manifest.config["layout"] == Layout::Record.name();
    if alone { Layout::Record } else { Layout::Block }
}

/// How a model is measured.
fn subject(manifest: &Manifest) -> anyhow::Result<Subject> {
    let spec = if manifest.family == Family::COLUMNS {
        CodecSpec::new(Algorithm::Columns)
    } else if manifest.family == Family::ZSTD_DICTIONARY {
        let level = manifest.config["level"].as_i64().and_then(|level| i32::try_from(level).ok());
        let spec = level.and_then(|level| CodecSpec::with_level(Algorithm::ZstdDict, level));
        spec.unwrap_or(CodecSpec::new(Algorithm::ZstdDict))
    } else {
        bail!("model {} is of family `{}`, which this release cannot measure", manifest.model, manifest.family)
    };
    let dictionary = ByteSize::new(manifest.artefact_bytes);
    Subject::of_codec(spec, layout(manifest), BLOCK, dictionary)
        .with_context(|| format!("`{spec}` is no codec that learns"))
}

impl Measured {
    fn bytes(&self) -> [u64; 2] {
        self.verdicts.each_ref().map(|verdict| verdict.candidate_bytes.unwrap_or(verdict.plain_bytes))
    }

    fn json(&self, models: &[Loaded; 2]) -> Value {
        let bytes = self.bytes();
        let of = |which: usize| {
            let verdict = &self.verdicts[which];
            json!({
                "model": models[which].manifest.model,
                "layout": layout(&models[which].manifest).name(),
                "bytes": bytes[which],
                "plain_bytes": verdict.plain_bytes,
                "raw_bytes": verdict.raw_bytes,
            })
        };
        json!({ "records": self.records, "a": of(0), "b": of(1) })
    }

    /// The figures, and which model is smaller.
    fn said(&self, models: &[Loaded; 2]) -> String {
        let per_record = |bytes: u64| format!("{:.2}", bytes as f64 / self.records.max(1) as f64);
        let [a, b] = models.each_ref().map(|model| short(&model.manifest.model));
        let mut table = table(["bytes/record", &a, &b]);
        let mut row = |name: &str, of: [u64; 2]| {
            table.add_row([name.to_owned(), per_record(of[0]), per_record(of[1])]);
        };
        row("raw", self.verdicts.each_ref().map(|verdict| verdict.raw_bytes));
        row("zstd, no model", self.verdicts.each_ref().map(|verdict| verdict.plain_bytes));
        row("with the model", self.bytes());
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let bytes = self.bytes().map(|bytes| bytes as f64);
        let share = |small: f64, large: f64| 100.0 * (1.0 - small / large.max(1.0));
        let verdict = if bytes[0] < bytes[1] {
            format!("{a} needs {:.1} % less than {b}", share(bytes[0], bytes[1]))
        } else if bytes[1] < bytes[0] {
            format!("{b} needs {:.1} % less than {a}", share(bytes[1], bytes[0]))
        } else {
            "both need the same".to_owned()
        };
        let count = HumanCount(self.records);
        format!("{table}\nOn {count} records, values only, each model in the layout that it was made for: {verdict}.")
    }
}
