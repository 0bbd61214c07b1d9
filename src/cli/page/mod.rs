//! A model as a page to look at: one HTML file that needs nothing beside it.
//!
//! What it was made from and in use for, how its training went, how it was judged, how the columns of what it draws lie over
//! those of held-out records, and some of what it draws.

mod drawn;
mod plot;

use std::io::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use indicatif::{HumanBytes, HumanCount};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde::Deserialize;

pub use drawn::Drawn;

use super::output::Output;
use crate::codec::ModelId;
use crate::model::Manifest;
use crate::quality::{Bounds, Gate, Report, Verdict};
use crate::registry::Activation;

/// How everything looks.
const STYLE: &str = include_str!("page.css");

/// A model of a lineage, as far as it is there.
pub type Ancestor = (ModelId, Option<Manifest>);

/// What is known about a model.
#[derive(Default)]
pub struct Page<'a> {
    /// What it is called.
    pub title: String,
    /// What it was made from, where that is known.
    pub manifest: Option<&'a Manifest>,
    /// It, and what it came from.
    pub lineage: &'a [Ancestor],
    /// What its pipeline used, and since when.
    pub history: &'a [Activation],
    /// How it was judged, oldest first.
    pub judgements: Vec<Judgement>,
    /// Some of what it draws.
    pub drawn: Option<Drawn>,
}

/// One judgement, as the registry keeps it.
#[derive(Debug, Deserialize)]
pub struct Judgement {
    /// When, in milliseconds since the Unix epoch; where it was judged now, nothing.
    pub at_ms: Option<i64>,
    /// By whom.
    pub by: Option<String>,
    /// What was found.
    pub report: Report,
}

impl Page<'_> {
    /// Writes it to a file that appears when it is whole.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let mut out = Output::open(Some(path), false)?;
        out.write_all(self.render().into_string().as_bytes())?;
        out.finish()
    }

    fn render(&self) -> Markup {
        let newest = self.judgements.last();
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (self.title) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    h1 { (self.title) }
                    @if let Some(newest) = newest { (headline(newest)) }
                    @if let Some(manifest) = self.manifest { (made(manifest)) }
                    @if let Some(newest) = newest { (gates(&newest.report)) (overlays(&newest.report)) }
                    @if let Some(drawn) = &self.drawn { (some(drawn)) }
                    (over_time(&self.judgements))
                    @if let Some(plot) = self.manifest.and_then(|manifest| plot::curve(&manifest.curve)) {
                        h2 { "Training" }
                        p.key.soft { "Loss over CPU seconds:" span.real {} "learned from" span.generated {} "validated" }
                        (PreEscaped(plot))
                    }
                    @if self.lineage.len() > 1 { (ancestors(self.lineage)) }
                    @if !self.history.is_empty() { (uses(self.history, self.manifest)) }
                }
            }
        }
    }
}

fn verdict(verdict: Verdict) -> Markup {
    html! { span class={ "verdict " (verdict.word()) } { (verdict.word()) } }
}

/// The time of a judgement.
fn at(at_ms: i64) -> String {
    let since = std::time::Duration::from_millis(at_ms.max(0) as u64);
    humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + since).to_string()
}

fn headline(judgement: &Judgement) -> Markup {
    let Judgement { at_ms, by, report } = judgement;
    let rows = &report.rows;
    html! {
        p {
            "What it draws comes to " (verdict(report.verdict)) ": "
            (HumanCount(rows.generated as u64)) " drawn, " (HumanCount(rows.valid as u64)) " of them valid, judged by "
            (HumanCount(rows.train as u64)) " that it may have learned from and " (HumanCount(rows.holdout as u64)) " held-out ones"
            @if let Some(at_ms) = at_ms { ", " (at(*at_ms)) }
            @if let Some(by) = by { " by " (by) }
            "."
        }
        @if !report.for_training {
            p.block { "A model that learns from them beside real records becomes worse: they are not for training." }
        }
    }
}

fn made(manifest: &Manifest) -> Markup {
    html! {
        h2 { "Model" }
        dl {
            dt { "id" } dd { code { (manifest.model) } }
            dt { "family" } dd { (manifest.family) }
            dt { "pipeline" } dd { (manifest.pipeline) }
            dt { "created" } dd { (manifest.created) }
            dt { "size" } dd { (HumanBytes(manifest.artefact_bytes)) }
            dt { "seed" } dd { (manifest.seed) }
            @for span in &manifest.window {
                dt { "learned" } dd { (span.topic) "/" (span.partition) ", offsets " (span.first) " to " (span.last) }
            }
            @if !manifest.config.is_null() { dt { "settings" } dd { code { (manifest.config) } } }
            @for (name, value) in &manifest.metrics { dt { (name) } dd { (format!("{value:.4}")) } }
        }
    }
}

fn bounds(bounds: &Bounds, [above, below]: [&str; 2]) -> String {
    let end = |word: &str, end: Option<f64>| end.map(|end| format!("{word}\u{a0}{end:.3}"));
    let ends: Vec<String> = [end(above, bounds.least), end(below, bounds.most)].into_iter().flatten().collect();
    ends.join(", ")
}

fn gates(report: &Report) -> Markup {
    html! {
        h2 { "Gates" }
        table {
            tr { th { "gate" } th.n { "value" } th { "passes" } th { "blocks" } th { "verdict" } th { } }
            @for Gate { name, value, pass, block, verdict: ruling, explanation, .. } in &report.gates {
                tr {
                    td.id { (name) }
                    td.n { (format!("{value:.3}")) }
                    td { (bounds(pass, ["\u{2265}", "\u{2264}"])) }
                    td { (bounds(block, ["<", ">"])) }
                    td { (verdict(*ruling)) }
                    td.soft { (explanation) }
                }
            }
            @for skipped in &report.skipped {
                tr { td.id { (skipped.name) } td.n { "\u{2013}" } td { } td { } td { } td.soft { "not evaluated: " (skipped.reason) } }
            }
        }
        @if !report.columns.left_out.is_empty() {
            p.soft {
                "Not compared, since each record has another value of its own: "
                @for (number, column) in report.columns.left_out.iter().enumerate() {
                    @if number > 0 { ", " } code { (column.name) }
                }
                "."
            }
        }
    }
}

fn overlays(report: &Report) -> Markup {
    let plots = report.overlays.iter().filter_map(|overlay| Some((overlay, plot::overlay(overlay)?)));
    html! {
        @if !report.overlays.is_empty() {
            h2 { "Columns" }
            p.key.soft { "Shares of records:" span.real {} "held-out" span.generated {} "drawn" }
            div.grid {
                @for (overlay, plot) in plots { div { h3 { (overlay.name) } (PreEscaped(plot)) } }
            }
        }
    }
}

fn some(drawn: &Drawn) -> Markup {
    html! {
        h2 { "Drawn" }
        @match drawn {
            Drawn::Records { seed, records } => {
                p.soft { "The first " (records.len()) " of seed " (seed) "." }
                pre { @for record in records { (record) "\n" } }
            }
            Drawn::Images { seed, sheets } => {
                p.soft { "The first of seed " (seed) ", nothing chosen." }
                @for (label, png) in sheets {
                    figure {
                        @if let Some(label) = label { figcaption { "label " (label) } }
                        img alt=(label.as_deref().unwrap_or("drawn images")) src=(format!("data:image/png;base64,{}", BASE64_STANDARD.encode(png)));
                    }
                }
            }
        }
    }
}

/// Each gate over all judgements.
fn over_time(judgements: &[Judgement]) -> Markup {
    let Some(first) = judgements.first().and_then(|first| first.at_ms) else { return html! {} };
    let named = judgements.last().map_or(&[][..], |newest| &newest.report.gates);
    let plots: Vec<_> = named
        .iter()
        .filter_map(|gate| {
            let values: Vec<(f64, &Gate)> = judgements
                .iter()
                .filter_map(|one| Some(((one.at_ms? - first) as f64 / 60_000.0, one.report.gate(gate.name)?)))
                .collect();
            Some((gate.name, plot::history(&values)?))
        })
        .collect();
    html! {
        @if !plots.is_empty() {
            h2 { "Gates over time" }
            p.soft { (judgements.len()) " judgements; the thin line is what passes." }
            div.grid { @for (name, plot) in plots { div { h3 { (name) } (PreEscaped(plot)) } } }
        }
    }
}

fn ancestors(lineage: &[Ancestor]) -> Markup {
    use crate::model::manifest::metric::{CANDIDATE, INCUMBENT, PLAIN, RAW};
    let figure = |manifest: &Manifest, name| {
        manifest.metrics.get(name).map_or_else(|| "\u{2013}".to_owned(), |value| format!("{value:.2}"))
    };
    html! {
        h2 { "Lineage" }
        table {
            tr { th { "model" } th { "created" } th.n { "bytes/record" } th.n { "the one before" } th.n { "zstd" } th.n { "raw" } }
            @for (id, manifest) in lineage {
                tr {
                    td.id { (super::models::short(id)) }
                    @if let Some(manifest) = manifest {
                        td { (manifest.created) }
                        @for name in [CANDIDATE, INCUMBENT, PLAIN, RAW] { td.n { (figure(manifest, name)) } }
                    } @else {
                        td colspan="5" { "no longer in the registry" }
                    }
                }
            }
        }
    }
}

fn uses(history: &[Activation], manifest: Option<&Manifest>) -> Markup {
    let own = manifest.map(|manifest| manifest.model);
    html! {
        h2 { "In use" }
        table {
            tr { th.n { "" } th { "when" } th { "what" } th { "model" } th { "by" } }
            @for change in history {
                tr {
                    td.n { (change.sequence) }
                    td { (change.at) }
                    td { (format!("{:?}", change.change)) }
                    td.id {
                        @match &change.model {
                            Some(id) if Some(*id) == own => { b { (super::models::short(id)) } }
                            Some(id) => { (super::models::short(id)) }
                            None => { "none" }
                        }
                    }
                    td { (change.by) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_stands_alone_and_what_comes_from_a_topic_is_escaped() {
        let gate = r#"{"name":"c2st_auc","value":0.7,"pass":{"most":0.65},"block":{"most":0.8},"verdict":"warn","explanation":"told by `a<b`"}"#;
        let judged = |at_ms: i64| -> Judgement {
            let rows = r#"{"train":9,"holdout":9,"generated":9,"valid":8,"most_compared":9}"#;
            let overlay = r#"{"name":"</h3>","bins":{"labels":["<x>"]},"real":[1.0],"generated":[0.5]}"#;
            let report = format!(
                r#"{{"verdict":"warn","for_training":true,"gates":[{gate}],"skipped":[],"rows":{rows},"columns":{{"compared":1,"left_out":[]}},"overlays":[{overlay}]}}"#
            );
            serde_json::from_str(&format!(r#"{{"at_ms":{at_ms},"by":"me","report":{report}}}"#)).unwrap()
        };
        let records = vec!["{\"a\":\"<script>\"}".to_owned()];
        let page = Page {
            title: "model".to_owned(),
            judgements: vec![judged(1_700_000_000_000), judged(1_700_000_600_000)],
            drawn: Some(Drawn::Records { seed: 1, records }),
            ..Page::default()
        };
        let html = page.render().into_string();
        for part in
            ["told by `a&lt;b`", "&lt;/h3&gt;", "&lt;x&gt;", "&lt;script&gt;", "10 min", "0.700", "\u{2264}\u{a0}0.650"]
        {
            assert!(html.contains(part), "{part}: {html}");
        }
        // The namespace of SVG is a name, and no place that anything is fetched from.
        assert_eq!(html.matches("://").count(), html.matches("\"http://www.w3.org/2000/svg\"").count(), "{html}");
        assert!(!html.contains("<script") && !html.contains("<link"), "{html}");
    }
}
