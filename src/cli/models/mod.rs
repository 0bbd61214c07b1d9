//! `latentd models`: what is in the registry, what is in use, and moving models between registries.

mod compare;
mod curve;
mod show;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use comfy_table::CellAlignment;
use indicatif::HumanBytes;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::cli::output::{Output, read_all};
use crate::cli::records::RecordMode;
use crate::cli::show::{print_json, table};
use crate::cli::{Format, UsageError};
use crate::codec::{LearnedCodecs, MissingModel, ModelId, ModelRef, ModelSource, NoModels};
use crate::config::{self, Config};
use crate::model::package::{self, PackageError};
use crate::model::{Dictionary, Family, Learned, Manifest, RowsModel};
use crate::pipeline::Settings;
use crate::registry::{
    Activation, CacheSettings, Expect, GcPolicy, ModelCache, Registry, Signature, generator_of, log_of,
};

/// Which registry.
#[derive(Debug, Clone)]
pub struct RegistryArgs {
    registry: Option<String>,
    config: Option<PathBuf>,
    /// Whether the command line names the registry, and the configuration comes from elsewhere: it may be that of other daemons.
    is_elsewhere: bool,
}

#[derive(clap::Args)]
struct RegistryFlags {
    /// The registry: `file://`, `s3://`, `gs://` or `az://` [default: from --config]
    #[arg(long, value_name = "URL", env = "LATENTD_REGISTRY")]
    registry: Option<String>,
    /// A configuration whose registry is used
    #[arg(long, value_name = "FILE", env = "LATENTD_CONFIG")]
    config: Option<PathBuf>,
}

impl clap::Args for RegistryArgs {
    fn augment_args(command: clap::Command) -> clap::Command {
        RegistryFlags::augment_args(command)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        RegistryFlags::augment_args_for_update(command)
    }
}

impl clap::FromArgMatches for RegistryArgs {
    fn from_arg_matches(matches: &clap::ArgMatches) -> Result<Self, clap::Error> {
        let is_written = |name| matches.value_source(name) == Some(clap::parser::ValueSource::CommandLine);
        let is_elsewhere = is_written("registry") && !is_written("config");
        let RegistryFlags { registry, config } = RegistryFlags::from_arg_matches(matches)?;
        Ok(Self { registry, config, is_elsewhere })
    }

    fn update_from_arg_matches(&mut self, matches: &clap::ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// List, show, compare, promote, roll back, move and clean up models
#[derive(Debug, clap::Args)]
pub struct ModelsArgs {
    #[command(flatten)]
    registry: RegistryArgs,
    /// How the report is printed
    #[arg(long, value_enum, default_value_t, global = true)]
    format: Format,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// All models, and which pipelines use them
    List,
    /// One model: what it was made from, what it measured, its lineage
    Show {
        /// Its id, or the beginning of it
        id: String,
        /// Write a page to look at: gates, columns, what it draws, training, lineage; one HTML file that needs nothing beside it
        #[arg(long, value_name = "FILE.html")]
        report: Option<PathBuf>,
    },
    Compare(compare::CompareArgs),
    /// Put a model to use in a pipeline; running daemons take it at their next look, at a transaction boundary
    Promote {
        /// The model
        id: String,
        /// The pipeline [default: the one that it was made for]
        #[arg(long)]
        pipeline: Option<String>,
    },
    /// Take a pipeline's last promotion back
    Rollback {
        /// The pipeline; PIPELINE/generator for what it draws from beside its codec
        pipeline: String,
    },
    /// Write a model with its manifest into one file
    Export {
        /// The model
        id: String,
        /// The file [default: standard output]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Publish a model from a file that `export` wrote
    Import {
        /// The file; `-` is standard input
        file: PathBuf,
    },
    /// Remove models that nothing has used for longer than any topic keeps its records
    Gc {
        /// How long: longer than any topic that the models wrote keeps a record, which is its `retention.ms` and its `segment.ms`
        /// together [default, and at least: `[cost].retention` of --config]. Models that a daemon put to use stay as long as
        /// it found that their topic keeps its records
        #[arg(long, value_parser = humantime::parse_duration, value_name = "TIME")]
        unused_for: Option<Duration>,
        /// Models that each pipeline used last, and that stay whatever their age
        #[arg(long, default_value_t = 3, value_name = "N")]
        keep_last: usize,
        /// Do it; without this, say only what would be removed
        #[arg(long)]
        delete: bool,
        /// Take a shorter time than topics keep their records: what a removed model coded can be read by nobody
        #[arg(long)]
        force: bool,
    },
}

impl RegistryArgs {
    fn location(&self) -> anyhow::Result<Option<(String, BTreeMap<String, String>)>> {
        if let Some(url) = &self.registry {
            return Ok(Some((url.clone(), BTreeMap::new())));
        }
        let Some(path) = &self.config else { return Ok(None) };
        let config = config::load(path).map_err(|errors| UsageError::new(errors.rendered(config::Style::Plain)))?;
        let options = options(&config);
        Ok(Some((config.registry.url, options)))
    }

    /// The configuration that is named, whether its registry is used or not, and where it is; not one of the environment beside
    /// a registry of the command line.
    fn config(&self) -> anyhow::Result<Option<(&Path, Config)>> {
        let Some(path) = self.config.as_deref().filter(|_| !self.is_elsewhere) else { return Ok(None) };
        let config = config::load(path).map_err(|errors| UsageError::new(errors.rendered(config::Style::Plain)))?;
        Ok(Some((path, config)))
    }

    fn open(&self) -> anyhow::Result<Registry> {
        let (url, options) = self
            .location()?
            .ok_or_else(|| UsageError::new("which registry? Name it with --registry URL or --config FILE"))?;
        Ok(Registry::open(&url, &options)?)
    }
}

/// The options of a configuration's registry.
fn options(config: &Config) -> BTreeMap<String, String> {
    config.registry.options.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())).collect()
}

/// The registry of a configuration.
pub fn of_config(config: &Config) -> anyhow::Result<Registry> {
    Ok(Registry::open(&config.registry.url, &options(config))?)
}

/// A model's bytes, and what it is where they come with a manifest: a file (of `train`, of `models export`, or the bare
/// artefact), or a model of the registry by its id.
pub fn open(model: &str, registry: &RegistryArgs) -> anyhow::Result<(Option<Manifest>, Arc<[u8]>)> {
    if Path::new(model).is_file() {
        let file = fs::read(model).with_context(|| format!("cannot read `{model}`"))?;
        return match package::unpack(&file) {
            Ok(unpacked) => Ok((Some(unpacked.manifest), unpacked.artefact.into())),
            // A bare artefact: what is wrong with it, its reader says.
            Err(PackageError::Foreign) => Ok((None, file.into())),
            Err(error) => Err(error).with_context(|| format!("`{model}`")),
        };
    }
    let registry =
        registry.open().with_context(|| format!("there is no file `{model}`, so it must be a model's id"))?;
    let model = Runtime::new()?.block_on(async { registry.load(&registry.resolve(model).await?).await })?;
    Ok((Some(model.manifest), model.artefact.as_ref().into()))
}

/// An artefact as a model that tells any field from any others, which can do `what`.
pub fn any_field(model: &str, artefact: &[u8], what: &str) -> anyhow::Result<RowsModel> {
    RowsModel::parse(artefact).map_err(|error| {
        let message = format!(
            "`{model}` cannot {what}: {error}; a model can that `latentd train --generator autoregressive` made"
        );
        UsageError::new(message).into()
    })
}

/// Whether a piece of a file is a record: not one that is empty, nor what names the columns of a CSV file.
pub fn is_record(model: &RowsModel, mode: RecordMode, number: u64, content: &[u8]) -> bool {
    !content.is_empty() && (number > 0 || mode != RecordMode::Csv || model.knows(content))
}

/// Whether a model is of the family that is needed.
pub fn of_family(manifest: &Manifest, needed: Option<&Family>) -> anyhow::Result<()> {
    match needed.filter(|family| **family != manifest.family) {
        Some(family) => bail!("model {} is of family `{}`, and `{family}` is needed", manifest.model, manifest.family),
        None => Ok(()),
    }
}

/// One model for decoding.
struct One {
    names: Vec<ModelRef>,
    artefact: Arc<[u8]>,
}

impl ModelSource for One {
    fn learned(&self) -> &dyn LearnedCodecs {
        &Learned
    }

    fn artefact(&self, model: ModelRef) -> Result<Arc<[u8]>, MissingModel> {
        if self.names.contains(&model) {
            return Ok(Arc::clone(&self.artefact));
        }
        Err(MissingModel { model, looked_in: "--model names another one".to_owned(), retriable: false })
    }
}

/// A source of models that has just this one: a dictionary, or any learned codec's.
pub fn one(model: &str, registry: &RegistryArgs) -> anyhow::Result<Arc<dyn ModelSource>> {
    let (_, artefact) = open(model, registry)?;
    let id = ModelId::of(&artefact);
    let mut names = vec![ModelRef::Prefix(id.prefix())];
    names.extend(id.short_name().map(ModelRef::Short));
    names.extend(Dictionary::parse(&artefact).ok().map(|dictionary| ModelRef::ZstdDictionary(dictionary.id())));
    Ok(Arc::new(One { names, artefact }))
}

/// A registry behind a runtime that serves it.
struct Served {
    cache: ModelCache,
    _runtime: Runtime,
}

impl ModelSource for Served {
    fn learned(&self) -> &dyn LearnedCodecs {
        &Learned
    }

    fn artefact(&self, model: ModelRef) -> Result<Arc<[u8]>, MissingModel> {
        self.cache.artefact(model)
    }
}

/// The registry as a source of models; without one, none.
pub fn source(registry: &RegistryArgs) -> anyhow::Result<Arc<dyn ModelSource>> {
    if registry.location()?.is_none() {
        return Ok(Arc::new(NoModels));
    }
    let runtime = Runtime::new().context("no runtime")?;
    let cache = ModelCache::new(registry.open()?, runtime.handle().clone(), CacheSettings::default());
    Ok(Arc::new(Served { cache, _runtime: runtime }))
}

/// Does it.
pub fn run(args: &ModelsArgs) -> anyhow::Result<()> {
    if let Action::Compare(compare) = &args.action {
        return compare::run(compare, &args.registry, args.format);
    }
    let registry = args.registry.open()?;
    let runtime = Runtime::new().context("no runtime")?;
    runtime.block_on(act(args, &registry))
}

async fn act(args: &ModelsArgs, registry: &Registry) -> anyhow::Result<()> {
    match &args.action {
        Action::List => list(args, registry).await,
        Action::Show { id, report: None } => show::show(args.format, registry, id).await,
        Action::Show { id, report: Some(file) } => show::report(args.format, registry, id, file).await,
        Action::Compare(_) => unreachable!("it opens the registry itself, if it needs one"),
        Action::Promote { id, pipeline } => {
            let id = registry.resolve(id).await?;
            let manifest = registry.manifest(&id).await?;
            let pipeline = log_of(pipeline.as_deref().unwrap_or(&manifest.pipeline), &manifest.family);
            check_pipeline(&pipeline, args.registry.config()?.map(|(_, config)| config).as_ref(), registry).await?;
            changed(args, &registry.set_active(&pipeline, &id, Expect::Anything, &signature()).await?)
        }
        Action::Rollback { pipeline } => changed(args, &registry.rollback(pipeline, &signature()).await?),
        Action::Export { id, output } => {
            let id = registry.resolve(id).await?;
            let bytes = registry.export(&id).await?;
            let mut out = Output::open(output.as_deref(), true)?;
            out.write_all(&bytes)?;
            out.finish()?;
            eprintln!("exported {id}, {}", HumanBytes(bytes.len() as u64));
            Ok(())
        }
        Action::Import { file } => {
            let bytes = read_all(Some(file))?;
            let (manifest, published) = registry.import(&bytes).await?;
            if args.format == Format::Json {
                return print_json(&json!({ "model": manifest.model, "published": format!("{published:?}") }));
            }
            Ok(writeln!(io::stdout(), "{} ({published:?})", manifest.model)?)
        }
        Action::Gc { unused_for, keep_last, delete, force } => {
            let retention = args.registry.config()?.map(|(path, config)| (path, config.cost.retention));
            let unused_for = unused(*unused_for, retention, *force)?;
            let mut policy = GcPolicy::new(SystemTime::now(), unused_for);
            policy.keep_last = *keep_last;
            policy.despite_retention = *force;
            policy.dry_run = !delete;
            gc(args, registry, &policy).await
        }
    }
}

/// How long a model is to be unused: no shorter than records are kept that it may have coded.
fn unused(asked: Option<Duration>, retention: Option<(&Path, Duration)>, force: bool) -> Result<Duration, UsageError> {
    match (asked, retention) {
        (Some(asked), Some((path, retention))) if asked < retention && !force => {
            let [asked, retention] = [asked, retention].map(humantime::format_duration);
            let message = format!(
                "--unused-for {asked} is shorter than `[cost].retention` of `{}`, {retention}: topics hold records that such models \
                 coded. --force removes them all the same",
                path.display()
            );
            Err(UsageError::new(message))
        }
        (Some(time), _) | (None, Some((_, time))) => Ok(time),
        (None, None) => {
            let message = "how long do topics keep their records? Write --unused-for TIME, or --config FILE, whose \
                           `[cost].retention` says it";
            Err(UsageError::new(message))
        }
    }
}

/// Whether a log can be that of a pipeline: of the configuration where there is one.
async fn check_pipeline(log: &str, config: Option<&Config>, registry: &Registry) -> anyhow::Result<()> {
    let name = log.strip_suffix("/generator").unwrap_or(log);
    if !config::is_name(name) {
        let message = format!("`{}` is no name of a pipeline: a name is {}", name.escape_debug(), config::NAME);
        return Err(UsageError::new(message).into());
    }
    if let Some(config) = config {
        of_pipeline(config, name)?;
    } else if registry.active(name).await?.is_none() && registry.active(&generator_of(name)).await?.is_none() {
        eprintln!(
            "latentd: the registry knows no pipeline `{name}` yet; a daemon that has one will take this model up"
        );
    }
    Ok(())
}

/// A pipeline of a configuration.
pub fn of_pipeline<'a>(config: &'a Config, name: &str) -> Result<&'a Settings, UsageError> {
    config.pipelines.iter().find(|settings| settings.name == name).ok_or_else(|| {
        let names: Vec<&str> = config.pipelines.iter().map(|settings| settings.name.as_str()).collect();
        let near = config::nearest(name, names.iter().copied());
        let mean =
            near.map_or_else(|| format!("there are {}", names.join(", ")), |near| format!("did you mean `{near}`?"));
        UsageError::new(format!("the configuration has no pipeline `{name}`: {mean}"))
    })
}

/// Who changes something by hand, and when.
pub fn signature() -> Signature {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "somebody".to_owned());
    let at = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    Signature { by: format!("{user}, by hand"), at, retention_ms: None }
}

/// The beginning of an id, enough for people.
pub fn short(id: &ModelId) -> String {
    id.to_string()[..12].to_owned()
}

/// What a model measured.
fn metric_of(manifest: &Manifest, metric: &str) -> String {
    manifest.metrics.get(metric).map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"))
}

async fn list(args: &ModelsArgs, registry: &Registry) -> anyhow::Result<()> {
    use crate::model::manifest::metric;
    let listing = registry.list().await?;
    let active = registry.pipelines().await?;
    let users = |id: &ModelId| -> Vec<&str> {
        active.iter().filter(|a| a.model == Some(*id)).map(|a| a.pipeline.as_str()).collect()
    };
    if args.format == Format::Json {
        let models: Vec<_> =
            listing.models.iter().map(|m| json!({ "manifest": m, "active_in": users(&m.model) })).collect();
        return print_json(&json!({ "registry": registry.url(), "models": models }));
    }
    let mut table = table(["model", "family", "pipeline", "created", "size", "bytes/record", "before", "in use by"]);
    for manifest in &listing.models {
        table.add_row([
            short(&manifest.model),
            manifest.family.to_string(),
            manifest.pipeline.clone(),
            manifest.created.clone(),
            HumanBytes(manifest.artefact_bytes).to_string(),
            metric_of(manifest, metric::CANDIDATE),
            metric_of(manifest, metric::INCUMBENT),
            users(&manifest.model).join(", "),
        ]);
    }
    for column in table.column_iter_mut().skip(4).take(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    writeln!(io::stdout(), "{table}")?;
    eprintln!("{} models in {}", listing.models.len(), registry.url());
    Ok(())
}

fn changed(args: &ModelsArgs, activation: &Activation) -> anyhow::Result<()> {
    if args.format == Format::Json {
        return print_json(&serde_json::to_value(activation)?);
    }
    let model = activation.model.map_or_else(|| "no model".to_owned(), |id| id.to_string());
    Ok(writeln!(io::stdout(), "pipeline {} uses {model}", activation.pipeline)?)
}

async fn gc(args: &ModelsArgs, registry: &Registry, policy: &GcPolicy) -> anyhow::Result<()> {
    let report = registry.gc(policy).await?;
    if args.format == Format::Json {
        let removed: Vec<_> = report.removed.iter().map(|m| json!({ "model": m.model, "bytes": m.bytes })).collect();
        let kept: Vec<_> =
            report.kept.iter().map(|m| json!({ "model": m.model, "why": format!("{:?}", m.why) })).collect();
        let report = json!({
            "removed": removed, "kept": kept, "debris": report.debris, "freed_bytes": report.freed_bytes,
            "dry_run": report.dry_run,
        });
        return print_json(&report);
    }
    let mut out = io::stdout().lock();
    let verb = if report.dry_run { "would remove" } else { "removed" };
    for model in &report.removed {
        writeln!(out, "{verb} {} of {}, {}", short(&model.model), model.pipeline, HumanBytes(model.bytes))?;
    }
    for path in &report.debris {
        writeln!(out, "{verb} {path}")?;
    }
    for model in &report.kept {
        writeln!(out, "kept {} ({:?})", short(&model.model), model.why)?;
    }
    eprintln!("{verb} {}{}", HumanBytes(report.freed_bytes), if report.dry_run { "; --delete does it" } else { "" });
    Ok(())
}
