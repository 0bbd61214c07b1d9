//! What is drawn, judged by real records of files, and what is told of it.

use std::io::{self, Write as _};
use std::path::Path;

use anyhow::{Context, ensure};
use comfy_table::CellAlignment;

use super::{GenerateArgs, Subject};
use crate::cli::page::{Drawn, Judgement, Page};
use crate::cli::records::{self, RecordMode};
use crate::cli::show::{print_json, table};
use crate::cli::{Format, UsageError};
use crate::model::{Condition, Generator};
use crate::quality::{Bounds, Gate, Judge, Options, QualityError, Report};

/// Most bytes of a real file that is judged by.
const MOST_BYTES: usize = 1 << 30;

/// Tells what was found, and writes a page of it where one is asked for.
pub fn tell(args: &GenerateArgs, subject: &Subject, condition: &Condition, report: Report) -> anyhow::Result<()> {
    match args.format {
        Format::Json => print_json(&report)?,
        Format::Text => show(&report)?,
    }
    let Some(path) = &args.report else { return Ok(()) };
    let page = Page {
        title: args.model.clone().unwrap_or_default(),
        manifest: subject.manifest.as_ref(),
        judgements: vec![Judgement { at_ms: None, by: None, report }],
        drawn: Drawn::of(&subject.family, &subject.artefact, args.seed, condition)?,
        ..Page::default()
    };
    page.write(path)?;
    eprintln!("wrote {}", path.display());
    Ok(())
}

/// They, borrowed.
pub fn refs(records: &[Vec<u8>]) -> Vec<&[u8]> {
    records.iter().map(Vec::as_slice).collect()
}

/// A judge that knows the real records: those that meet a condition.
pub fn by(args: &GenerateArgs, generator: &dyn Generator, condition: &Condition, real: &Path) -> anyhow::Result<Judge> {
    let real = read(real, args.records)?;
    let holdout = args.holdout.as_deref().map(|holdout| read(holdout, args.records)).transpose()?;
    let options = Options { seed: args.seed, target: args.target.clone(), ..Options::default() };
    let real = generator.matching(condition, &refs(&real))?;
    let judge = match &holdout {
        Some(holdout) => Judge::new(&real, &generator.matching(condition, &refs(holdout))?, options),
        None => {
            let half = |which: usize| real.iter().skip(which).step_by(2).copied().collect::<Vec<&[u8]>>();
            Judge::new(&half(0), &half(1), options)
        }
    };
    judge.map_err(|error| match error {
        QualityError::UnknownTarget { .. } | QualityError::Target { .. } => {
            UsageError::new(format!("--target: {error}")).into()
        }
        error => unjudged(condition, error),
    })
}

/// Why what was drawn under a condition is not judged.
pub fn unjudged(condition: &Condition, error: QualityError) -> anyhow::Error {
    match error {
        QualityError::TooFew { .. } if !condition.is_empty() => {
            UsageError::new(format!("--where: of the real records that meet it, {error}")).into()
        }
        error => error.into(),
    }
}

/// The records of a file.
fn read(path: &Path, mode: Option<RecordMode>) -> anyhow::Result<Vec<Vec<u8>>> {
    let (_, mut reader) = records::open(path, mode)?;
    let (mut all, mut bytes) = (Vec::new(), 0);
    while let Some(record) = reader.next().with_context(|| format!("cannot read `{}`", path.display()))? {
        let content = records::without_end(record.content);
        if !content.is_empty() {
            bytes += content.len();
            ensure!(
                bytes <= MOST_BYTES,
                "`{}` has more than {MOST_BYTES} bytes: judge by a part of it",
                path.display()
            );
            all.push(content.to_vec());
        }
    }
    Ok(all)
}

/// The gates as a table, and what was looked at.
fn show(report: &Report) -> anyhow::Result<()> {
    let mut gates = table(["gate", "value", "passes", "blocks", "verdict", ""]);
    let number = |value: f64| format!("{value:.3}");
    let range = |bounds: &Bounds, within: [&str; 2]| {
        let [least, most] = [bounds.least.map(number), bounds.most.map(number)];
        match (least, most) {
            (None, None) => "-".to_owned(),
            (Some(least), None) => format!("{} {least}", within[0]),
            (None, Some(most)) => format!("{} {most}", within[1]),
            (Some(least), Some(most)) => format!("{} {least}, {} {most}", within[0], within[1]),
        }
    };
    for gate in &report.gates {
        let Gate { name, value, pass, block, verdict, explanation, .. } = gate;
        gates.add_row([
            name.to_string(),
            number(*value),
            range(pass, ["\u{2265}", "\u{2264}"]),
            range(block, ["<", ">"]),
            verdict.word().to_owned(),
            explanation.clone(),
        ]);
    }
    if let Some(values) = gates.column_mut(1) {
        values.set_cell_alignment(CellAlignment::Right);
    }
    let mut out = io::stdout().lock();
    writeln!(out, "{gates}")?;
    for skipped in &report.skipped {
        writeln!(out, "{}: not evaluated, {}", skipped.name, skipped.reason)?;
    }
    let left_out: Vec<String> = report.columns.left_out.iter().map(|column| format!("`{}`", column.name)).collect();
    if !left_out.is_empty() {
        writeln!(
            out,
            "Not compared, since each record has another value or text of its own: {}.",
            left_out.join(", ")
        )?;
    }
    let rows = &report.rows;
    writeln!(
        out,
        "{} drawn records, {} of them valid, judged by {} training and {} held-out ones: {}.",
        rows.generated,
        rows.valid,
        rows.train,
        rows.holdout,
        report.verdict.word()
    )?;
    if !report.for_training {
        writeln!(out, "A model that learns from them beside real records becomes worse: they are not for training.")?;
    }
    Ok(())
}
