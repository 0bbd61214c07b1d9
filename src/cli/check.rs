//! `latentd check`: is the configuration right, and with `--online`, is the world as it says?

use std::io::Write as _;
use std::path::PathBuf;

use serde::Serialize;

use super::show::{print_json, table};
use crate::augment::Balance;
use crate::cli::{Format, UsageError};
use crate::config::{self, Config};
use crate::model::open_generator;
use crate::pipeline::{Answer, Settings, survey};
use crate::registry::{Registry, RegistryError, generator_of};

/// Validate a configuration and print it resolved, with the origin of every value
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// The configuration (docs/configuration.md)
    #[arg(short, long, value_name = "FILE", env = "LATENTD_CONFIG")]
    config: PathBuf,
    /// Ask the brokers (topics, partitions, rights to read, message sizes) and the registry too; changes nothing there
    #[arg(long)]
    online: bool,
    /// How the report is printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// One question to the world.
#[derive(Debug, Serialize)]
struct Finding {
    /// The pipeline, or `registry`.
    about: String,
    /// Whether it is as it must be.
    ok: bool,
    /// Whether it works and does not keep everything that is promised.
    warning: bool,
    /// What was found.
    finding: String,
}

/// Checks.
pub fn run(args: &CheckArgs) -> anyhow::Result<()> {
    let style = if Format::stderr_has_colour() { config::Style::Terminal } else { config::Style::Plain };
    let config = config::load(&args.config).map_err(|errors| UsageError::new(errors.rendered(style)))?;
    let findings = if args.online { ask(&config)? } else { Vec::new() };
    let mut out = std::io::stdout().lock();
    match args.format {
        Format::Json => {
            let values = config.explain();
            let notices: Vec<String> =
                config.notices().iter().map(|notice| notice.rendered(config::Style::Plain)).collect();
            let mut report = serde_json::json!({ "values": values, "notices": notices });
            if args.online {
                report["findings"] = serde_json::to_value(&findings)?;
            }
            print_json(&report)?;
        }
        Format::Text => {
            let mut table = table(["key", "value", "from"]);
            for value in config.explain() {
                table.add_row([value.key.to_string(), value.value.to_string(), value.origin.to_string()]);
            }
            writeln!(out, "{table}")?;
            for notice in config.notices() {
                eprintln!("{}", notice.rendered(style));
            }
            if args.online {
                let mut table = self::table(["about", "", "found"]);
                for finding in &findings {
                    let mark = match (finding.ok, finding.warning) {
                        (true, false) => "ok",
                        (true, true) => "warning",
                        (false, _) => "NOT OK",
                    };
                    table.add_row([finding.about.as_str(), mark, finding.finding.as_str()]);
                }
                writeln!(out, "\n{table}")?;
            }
        }
    }
    let wrong = findings.iter().filter(|finding| !finding.ok).count();
    anyhow::ensure!(wrong == 0, "{wrong} of {} questions to the world have a wrong answer: see above", findings.len());
    eprintln!("`{}` is right", args.config.display());
    Ok(())
}

fn ask(config: &Config) -> anyhow::Result<Vec<Finding>> {
    let mut findings = vec![registry(config)?];
    for settings in &config.pipelines {
        findings.extend(condition(config, settings)?);
        let group = format!("{}.{}", config.daemon.name, settings.name);
        for answer in survey(settings, &config.kafka, &group) {
            let (ok, warning, finding) = match answer {
                Answer::Right(finding) => (true, false, finding),
                Answer::Warning(finding) => (true, true, finding),
                Answer::Wrong(error) => (false, false, error.to_string()),
            };
            findings.push(Finding { about: settings.name.clone(), ok, warning, finding });
        }
    }
    Ok(findings)
}

fn open(config: &Config) -> Result<Registry, RegistryError> {
    let options = config.registry.options.iter().map(|(name, value)| (name.clone(), value.expose().to_owned()));
    Registry::open(config.registry.url.as_str(), &options.collect())
}

/// Whether the generator that a pipeline draws from can do what is asked of it: nothing where nothing is.
fn condition(config: &Config, settings: &Settings) -> anyhow::Result<Option<Finding>> {
    let Some(augment) = settings.augment.as_ref().filter(|augment| augment.is_conditional()) else { return Ok(None) };
    let runtime = tokio::runtime::Runtime::new()?;
    let in_use = open(config).and_then(|registry| {
        runtime.block_on(async {
            let active = registry.active(&generator_of(&settings.name)).await?;
            match active.and_then(|activation| activation.model) {
                Some(id) => registry.load(&id).await.map(Some),
                None => Ok(None),
            }
        })
    });
    let answer = match in_use {
        Ok(None) => Ok((true, "no generator is learned yet: whether it can be asked so is seen then".to_owned())),
        Ok(Some(model)) => open_generator(&model.manifest.family, &model.artefact)
            .map_err(|error| error.to_string())
            .and_then(|generator| {
                let admitted = generator.admits(&augment.condition).and_then(|()| match &augment.balance {
                    Some(field) => {
                        Balance::new(&*generator, field, &augment.condition, augment.drawn_for_each()).map(drop)
                    }
                    None => Ok(()),
                });
                admitted.map_err(|error| error.to_string())
            })
            .map(|()| (false, "the generator in use draws under `where` and `balance`".to_owned())),
        Err(error) => Err(error.to_string()),
    };
    let (ok, warning, finding) = match answer {
        Ok((warning, finding)) => (true, warning, finding),
        Err(error) => (false, false, error),
    };
    Ok(Some(Finding { about: settings.name.clone(), ok, warning, finding }))
}

fn registry(config: &Config) -> anyhow::Result<Finding> {
    let url = config.registry.url.as_str();
    let answer = match open(config) {
        Ok(registry) => tokio::runtime::Runtime::new()?.block_on(registry.list()),
        Err(error) => Err(error),
    };
    let (ok, finding) = match answer {
        Ok(listing) => (true, format!("`{url}` answers and holds {} models", listing.models.len())),
        Err(error) => (false, format!("`{url}`: {error}")),
    };
    Ok(Finding { about: "registry".to_owned(), ok, warning: false, finding })
}
