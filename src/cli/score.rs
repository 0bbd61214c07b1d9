//! `latentd score`: how unusual records are.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write as _};
use std::path::PathBuf;

use anyhow::Context;
use serde::Serialize;
use serde_json::{Map, Value};

use super::Format;
use super::cat::put;
use super::models::{RegistryArgs, any_field, is_record, open};
use super::output::Output;
use super::records::{self, RecordMode, Unlike};
use super::show::table;

/// Records that a table shows where nothing else is said.
const SHOWN: usize = 20;

/// Say how unusual records are, and which of their fields does not fit
///
/// A model that tells any field from any others knows how many bits each field takes where all others are known, and how many it expects
/// there. The field with the most unexpected bits fits least, and by these bits records are ranked. Beside them stand the bits of the
/// whole record, and how many of these are unexpected. A value that is none of those learned, or far beyond them, counts 20 bits.
#[derive(Debug, clap::Args)]
pub struct ScoreArgs {
    /// The model, as `latentd train --generator autoregressive` made it: a file, or a model's id in the registry
    #[arg(short, long, value_name = "FILE|ID")]
    model: String,
    #[command(flatten)]
    registry: RegistryArgs,
    /// Print the N most unusual records alone, the most unusual first [default: 20 as a table, all in their order as JSON]
    #[arg(short = 'n', long, value_name = "N")]
    most: Option<usize>,
    /// How the file is cut into records [default: by its name and first bytes]
    #[arg(short, long, value_enum)]
    records: Option<RecordMode>,
    /// How it is shown: a table, or an object a line
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Where to: a file that appears when it is whole [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The records
    file: PathBuf,
}

/// What is said of a record.
#[derive(Debug, Serialize)]
struct Score {
    /// Its place in the file, from 0 on.
    number: u64,
    /// `null` where it has not the syntax of what was learned.
    bits: Option<f64>,
    /// How many more these are than expected.
    excess: Option<f64>,
    /// The field that fits the others least.
    field: Option<String>,
    /// By field: how many more bits it takes than expected, where all others are known.
    fields: BTreeMap<String, f64>,
    /// Fields whose value is none that was learned.
    unseen: Vec<String>,
    /// `record`, or `record_base64`.
    #[serde(flatten)]
    record: Map<String, Value>,
}

impl Score {
    /// Of the field that fits least.
    fn most(&self) -> Option<f64> {
        self.field.as_ref().and_then(|field| self.fields.get(field).copied())
    }

    /// The least usual first: what has another syntax, then by the field that fits least, which finds more than the sum of all does.
    fn rank(&self) -> f64 {
        self.most().unwrap_or(f64::INFINITY)
    }
}

/// Scores.
pub fn run(args: &ScoreArgs) -> anyhow::Result<()> {
    let (_, artefact) = open(&args.model, &args.registry)?;
    let model = any_field(&args.model, &artefact, "say how likely a record is")?;
    let (mode, mut reader) = records::open(&args.file, args.records)?;
    let mut out = BufWriter::new(Output::open(args.output.as_deref(), false)?);
    let most = args.most.or((args.format == Format::Text).then_some(SHOWN));
    let (mut kept, mut number, mut unlike) = (Vec::new(), 0, Unlike::default());
    while let Some(record) = reader.next().with_context(|| format!("cannot read `{}`", args.file.display()))? {
        let content = record.content;
        number += 1;
        if !is_record(&model, mode, number - 1, content) {
            continue;
        }
        let surprise = model.surprise(content);
        unlike.found(number - 1, content, surprise.is_some());
        let mut score = Score {
            number: number - 1,
            bits: surprise.as_ref().map(|surprise| surprise.bits),
            excess: surprise.as_ref().map(|surprise| surprise.excess),
            field: surprise.as_ref().and_then(|surprise| Some(surprise.most()?.name.clone())),
            fields: BTreeMap::new(),
            unseen: Vec::new(),
            record: Map::new(),
        };
        if let Some(surprise) = surprise {
            score.fields = surprise.fields.into_iter().map(|field| (field.name, field.excess)).collect();
            score.unseen = surprise.unseen;
        }
        put(&mut score.record, "record", Some(content));
        match most {
            None => line(&score, &mut out)?,
            Some(most) => {
                kept.push(score);
                if kept.len() / 2 >= most.max(512) {
                    keep(&mut kept, most);
                }
            }
        }
    }
    unlike.check(&args.file, mode)?;
    keep(&mut kept, most.unwrap_or_default());
    match args.format {
        Format::Json => kept.iter().try_for_each(|score| line(score, &mut out))?,
        Format::Text => writeln!(out, "{}", shown(&kept))?,
    }
    out.into_inner().map_err(io::IntoInnerError::into_error)?.finish()?;
    unlike.tell("have no score");
    Ok(())
}

/// Scores for people.
fn shown(scores: &[Score]) -> impl std::fmt::Display {
    let mut rows = table(["record", "fits least", "unexpected", "bits", "unexpected", "never seen", ""]);
    let bits = |bits: Option<f64>| bits.map_or_else(|| "-".to_owned(), |bits| format!("{bits:.1}"));
    for score in scores {
        rows.add_row([
            score.number.to_string(),
            score.field.clone().unwrap_or_else(|| "-".to_owned()),
            bits(score.most()),
            bits(score.bits),
            bits(score.excess),
            score.unseen.join(", "),
            records::shown(score.record.values().next().and_then(Value::as_str).unwrap_or_default().as_bytes()),
        ]);
    }
    rows
}

/// Keeps the most unusual ones, in that order; of equals the first.
fn keep(scores: &mut Vec<Score>, most: usize) {
    scores.sort_by(|a, b| b.rank().total_cmp(&a.rank()));
    scores.truncate(most);
}

fn line(score: &Score, out: &mut impl io::Write) -> anyhow::Result<()> {
    serde_json::to_writer(&mut *out, score)?;
    Ok(out.write_all(b"\n")?)
}
