//! `latentd generate`: new records from a model that was learned from a topic, in the topic's own syntax.

mod pictures;

use std::io::{self, BufWriter, IntoInnerError, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use comfy_table::CellAlignment;

use super::models::{RegistryArgs, open};
use super::output::Output;
use super::records::{self, RecordMode};
use super::redraw::redraw;
use super::show::{print_json, table};
use super::{Format, UsageError};
use crate::augment::Balance;
use crate::model::{Condition, Dictionary, Family, Generator, RowsModel, VaeModel, open_generator};
use crate::quality::{Bounds, Gate, Judge, Options, QualityError, Report, Verdict};

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
    #[arg(long, value_name = "FIELD", conflicts_with_all = ["from_headers", "against"])]
    balance: Option<String>,
    /// Draw records again from their headers: a file with an object a line, as `latentd cat -f json` prints records of a topic,
    /// or `-`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["count", "seed", "against"])]
    from_headers: Option<PathBuf>,
    /// Where to: a file that appears when it is whole [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Judge what is drawn by real records: those that the model learned from
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// Real records that the model did not learn from [default: every other one of --against]
    #[arg(long, value_name = "FILE", requires = "against")]
    holdout: Option<PathBuf>,
    /// A field that models are trained to predict, to see what the records are worth to them
    #[arg(long, value_name = "FIELD", requires = "against")]
    target: Option<String>,
    /// How the real files are cut into records [default: by their names and first bytes]
    #[arg(short, long, value_enum, requires = "against")]
    records: Option<RecordMode>,
    /// How the judgement is shown
    #[arg(long, value_enum, default_value_t, requires = "against")]
    format: Format,
}

/// Most bytes of a real file that is judged by.
const MOST_BYTES: usize = 1 << 30;

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
    let family = manifest.map_or_else(|| family_of(&artefact), |manifest| manifest.family);
    let draws_nothing = || format!("`{model}` draws nothing");
    if family == Family::VAE {
        let pictures = VaeModel::parse(&artefact).with_context(draws_nothing)?;
        return pictures::draw(args, &pictures, &condition);
    }
    let generator = open_generator(&family, &artefact).with_context(draws_nothing)?;
    draw(args, generator.as_ref(), &condition)
}

/// The family of an artefact that comes without a manifest.
fn family_of(artefact: &[u8]) -> Family {
    if RowsModel::parse(artefact).is_ok() {
        Family::AUTOREGRESSIVE
    } else if VaeModel::parse(artefact).is_ok() {
        Family::VAE
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
fn draw(args: &GenerateArgs, generator: &dyn Generator, condition: &Condition) -> anyhow::Result<()> {
    generator.admits(condition).map_err(|error| UsageError::new(format!("--where: {error}")))?;
    let balance = args.balance.as_deref().map(|field| Balance::new(generator, field, condition, f64::INFINITY));
    let balance = balance.transpose().map_err(|error| UsageError::new(format!("--balance: {error}")))?;
    let judge = args.against.as_deref().map(|real| judge(args, real)).transpose()?;
    // What is judged is not printed, unless to a file.
    let mut out = match (&judge, &args.output) {
        (Some(_), None) => None,
        (_, path) => Some(BufWriter::new(Output::open(path.as_deref(), false)?)),
    };
    let (mut drawn, mut records, mut left) = (Vec::new(), Vec::new(), args.count);
    for run in 0u64.. {
        let count = left.min(u64::from(generator.run_length()));
        if count == 0 {
            break;
        }
        left -= count;
        records.clear();
        match &balance {
            Some(balance) => balance.draw(generator, args.seed, run, count as u32, &mut records)?,
            None => generator.draw(args.seed, condition, run, count as u32, &mut records)?,
        }
        for record in &mut records {
            if let Some(out) = &mut out {
                out.write_all(record)?;
                if !record.ends_with(b"\n") {
                    out.write_all(b"\n")?;
                }
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
    let report = judge.judge(&refs(&drawn))?;
    match args.format {
        Format::Json => print_json(&report),
        Format::Text => show(&report),
    }
}

/// A record without its line's end, which is the file's and not the topic's.
fn without_end(record: &[u8]) -> &[u8] {
    let record = record.strip_suffix(b"\n").unwrap_or(record);
    record.strip_suffix(b"\r").unwrap_or(record)
}

fn refs(records: &[Vec<u8>]) -> Vec<&[u8]> {
    records.iter().map(Vec::as_slice).collect()
}

/// A judge that knows the real records.
fn judge(args: &GenerateArgs, real: &Path) -> anyhow::Result<Judge> {
    let real = read(real, args.records)?;
    let options = Options { seed: args.seed, target: args.target.clone(), ..Options::default() };
    let judge = if let Some(holdout) = &args.holdout {
        Judge::new(&refs(&real), &refs(&read(holdout, args.records)?), options)
    } else {
        let half = |which: usize| real.iter().skip(which).step_by(2).map(Vec::as_slice).collect::<Vec<&[u8]>>();
        Judge::new(&half(0), &half(1), options)
    };
    judge.map_err(|error| match error {
        QualityError::UnknownTarget { .. } | QualityError::Target { .. } => {
            UsageError::new(format!("--target: {error}")).into()
        }
        error => error.into(),
    })
}

/// The records of a file.
fn read(path: &Path, mode: Option<RecordMode>) -> anyhow::Result<Vec<Vec<u8>>> {
    let (_, mut reader) = records::open(path, mode)?;
    let (mut all, mut bytes) = (Vec::new(), 0);
    while let Some(record) = reader.next().with_context(|| format!("cannot read `{}`", path.display()))? {
        let content = without_end(record.content);
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
            word(*verdict).to_owned(),
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
        word(report.verdict)
    )?;
    if !report.for_training {
        writeln!(out, "A model that learns from them beside real records becomes worse: they are not for training.")?;
    }
    Ok(())
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Warn => "warn",
        Verdict::Block => "block",
    }
}
