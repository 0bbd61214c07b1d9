//! `latentd models show`: one model, what it came from, and where it was in use.

use std::io::{self, Write as _};
use std::path::Path;

use anyhow::Context;
use indicatif::{HumanBytes, HumanCount};
use serde_json::json;

use super::curve::draw;
use super::{metric_of, short};
use crate::cli::Format;
use crate::cli::page::{Ancestor, Drawn, Judgement, Page};
use crate::cli::show::print_json;
use crate::model::manifest::metric;
use crate::model::{Condition, KAFKA, Manifest};
use crate::registry::{Registry, RegistryError};

/// Newest judgements that a page has.
const JUDGEMENTS: usize = 200;

/// Shows.
pub async fn show(format: Format, registry: &Registry, id: &str) -> anyhow::Result<()> {
    let id = registry.resolve(id).await?;
    let manifest = registry.manifest(&id).await?;
    let history = registry.history(&manifest.pipeline).await?;
    let lineage = lineage(registry, &manifest).await?;
    if format == Format::Json {
        let lineage: Vec<_> =
            lineage.iter().map(|(model, manifest)| json!({ "model": model, "manifest": manifest })).collect();
        return print_json(&json!({ "manifest": manifest, "lineage": lineage, "history": history }));
    }
    let mut out = io::stdout().lock();
    writeln!(out, "model     {id}")?;
    writeln!(out, "family    {}", manifest.family)?;
    writeln!(out, "pipeline  {}", manifest.pipeline)?;
    writeln!(out, "created   {}", manifest.created)?;
    writeln!(out, "size      {}", HumanBytes(manifest.artefact_bytes))?;
    for span in &manifest.window {
        writeln!(out, "learned   {}/{} offsets {} to {}", span.topic, span.partition, span.first, span.last)?;
    }
    if let Some(holds) = manifest.config.get("holds").and_then(serde_json::Value::as_str) {
        writeln!(out, "holds     {holds}")?;
    }
    for (name, value) in &manifest.metrics {
        writeln!(out, "measured  {name} {value:.2}")?;
    }
    if let (Some(drawn), Some(last)) = (draw(&manifest.curve), manifest.curve.last()) {
        let validation = last.validation.map_or_else(String::new, |bits| format!(", {bits:.4} validated"));
        writeln!(
            out,
            "\ntraining, bits a sample over seconds of CPU: {:.4}{validation} after {} steps in {:.0} s",
            last.loss,
            HumanCount(last.step.into()),
            last.cpu_seconds
        )?;
        writeln!(out, "{}", drawn.trim_end())?;
    }
    writeln!(out, "\nlineage, bytes/record when it was made")?;
    for (depth, (ancestor, manifest)) in lineage.iter().enumerate() {
        let indent = "  ".repeat(depth);
        let mark = if depth == 0 { "●" } else { "└─" };
        let figures = manifest.as_ref().map_or_else(|| "(no longer in the registry)".to_owned(), figures);
        writeln!(out, "{indent}{mark} {}  {figures}", short(ancestor))?;
    }
    writeln!(out, "\nin pipeline {}", manifest.pipeline)?;
    for change in &history {
        let model = change.model.as_ref().map_or_else(|| "none".to_owned(), short);
        let mark = if change.model == Some(id) { "*" } else { " " };
        writeln!(out, "{mark} {:>3}  {}  {:?} {model}  by {}", change.sequence, change.at, change.change, change.by)?;
    }
    Ok(())
}

/// Writes all that is known of a model, and some of what it draws, as a page.
pub async fn report(format: Format, registry: &Registry, id: &str, file: &Path) -> anyhow::Result<()> {
    let id = registry.resolve(id).await?;
    let model = registry.load(&id).await?;
    let history = registry.history(&model.manifest.pipeline).await?;
    let lineage = lineage(registry, &model.manifest).await?;
    let page = Page {
        title: format!("{} {} of {}", model.manifest.family, short(&id), model.manifest.pipeline),
        manifest: Some(&model.manifest),
        lineage: &lineage,
        history: &history,
        judgements: judgements(registry, &model.manifest).await?,
        drawn: Drawn::of(&model.manifest.family, &model.artefact, model.manifest.seed, &Condition::new())?,
    };
    page.write(file)?;
    if format == Format::Json {
        return print_json(&json!({ "model": id, "page": file, "judgements": page.judgements.len() }));
    }
    eprintln!("wrote {}", file.display());
    Ok(())
}

/// The newest judgements of what a model draws, the oldest of them first.
async fn judgements(registry: &Registry, manifest: &Manifest) -> anyhow::Result<Vec<Judgement>> {
    let known = registry.reports(&manifest.model).await?;
    let mut judgements = Vec::new();
    for (_, report) in known.iter().rev().take(JUDGEMENTS).rev() {
        // One that went since the list was made is none.
        let Some(bytes) = registry.report(&manifest.model, report).await? else { continue };
        let judgement = serde_json::from_slice(&bytes);
        judgements.push(judgement.with_context(|| format!("report {report} on {} is damaged", manifest.model))?);
    }
    Ok(judgements)
}

/// What a model measured when it was made, in a line.
fn figures(manifest: &Manifest) -> String {
    let of = |name| metric_of(manifest, name);
    let holdout = manifest.metrics.get(metric::HOLDOUT_RECORDS);
    let holdout = holdout.map_or_else(String::new, |records| format!(" on {} records", HumanCount(*records as u64)));
    let rivals = on_log(manifest).map_or_else(String::new, |rivals| format!("; on the log {rivals}"));
    format!(
        "{}  {}, the one before {}, zstd {}, raw {}{holdout}{rivals}",
        manifest.created,
        of(metric::CANDIDATE),
        of(metric::INCUMBENT),
        of(metric::PLAIN),
        of(metric::RAW),
    )
}

/// What a model takes on the broker's log, and what does that needs none: the best codec, and Kafka itself.
fn on_log(manifest: &Manifest) -> Option<String> {
    let of = |name: &str| manifest.metrics.get(&metric::on_log(name)).copied();
    let classical = manifest.metrics.iter().filter_map(|(name, bytes)| {
        let rival = name.strip_prefix(metric::ON_LOG).filter(|who| ![KAFKA, metric::ON_LOG_CANDIDATE].contains(who))?;
        Some((rival, *bytes))
    });
    let best = classical.min_by(|(_, a), (_, b)| a.total_cmp(b));
    let best = best.map_or_else(String::new, |(name, bytes)| format!(", {name} {bytes:.2}"));
    let kafka = of(KAFKA).map_or_else(String::new, |bytes| format!(", Kafka's zstd {bytes:.2}"));
    of(metric::ON_LOG_CANDIDATE).map(|own| format!("{own:.2}{best}{kafka}"))
}

/// A model and the ones it came from, up to the first, as far as they are there.
async fn lineage(registry: &Registry, of: &Manifest) -> anyhow::Result<Vec<Ancestor>> {
    let mut lineage = vec![(of.model, Some(of.clone()))];
    let mut parent = of.parent;
    // A manifest can name any parent; a circle is cut.
    while let Some(id) = parent.filter(|id| lineage.iter().all(|(known, _)| known != id)) {
        let manifest = match registry.manifest(&id).await {
            Ok(manifest) => Some(manifest),
            Err(RegistryError::NotFound { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        parent = manifest.as_ref().and_then(|manifest| manifest.parent);
        lineage.push((id, manifest));
    }
    Ok(lineage)
}
