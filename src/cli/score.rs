//! `latentd score`: how unusual records are.

use std::io::{self, BufWriter, Write as _};
use std::path::PathBuf;

use anyhow::Context;
use serde::Serialize;

use super::Format;
use super::generate::{any_field, without_end};
use super::models::{RegistryArgs, open};
use super::output::Output;
use super::records::{self, RecordMode};
use super::show::table;

/// Say how unusual records are, and which of their fields is
///
/// A model that tells any field from any others knows how likely a record is: the bits that it takes. For each field it also says
/// how many bits that takes where all others are known, so that the one which does not fit stands out.
#[derive(Debug, clap::Args)]
pub struct ScoreArgs {
    /// The model, as `latentd train --generator autoregressive` made it: a file, or a model's id in the registry
    #[arg(short, long, value_name = "FILE|ID")]
    model: String,
    #[command(flatten)]
    registry: RegistryArgs,
    /// Print the N most unusual records alone, the most unusual first
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
    /// `null` where it is unlike everything that was learned.
    bits: Option<f64>,
    /// The field that takes most bits where all others are known, and how many.
    field: Option<String>,
    field_bits: Option<f64>,
    /// Fields whose value is none that was learned.
    unseen: Vec<String>,
    record: String,
}

impl Score {
    /// The least usual first: what the model has no code for, then by bits.
    fn rank(&self) -> f64 {
        self.bits.unwrap_or(f64::INFINITY)
    }
}

/// Scores.
pub fn run(args: &ScoreArgs) -> anyhow::Result<()> {
    let (_, artefact) = open(&args.model, &args.registry)?;
    let model = any_field(&args.model, &artefact, "say how likely a record is")?;
    let (_, mut reader) = records::open(&args.file, args.records)?;
    let mut out = BufWriter::new(Output::open(args.output.as_deref(), false)?);
    let is_kept = args.most.is_some() || args.format == Format::Text;
    let mut kept: Vec<Score> = Vec::new();
    let mut number = 0;
    while let Some(record) = reader.next().with_context(|| format!("cannot read `{}`", args.file.display()))? {
        let content = without_end(record.content);
        let surprise = model.surprise(content);
        let most = surprise.as_ref().and_then(|surprise| surprise.most().cloned());
        let score = Score {
            number,
            bits: surprise.as_ref().map(|surprise| surprise.bits),
            field: most.as_ref().map(|(field, _)| field.clone()),
            field_bits: most.map(|(_, bits)| bits),
            unseen: surprise.map(|surprise| surprise.unseen).unwrap_or_default(),
            record: String::from_utf8_lossy(content).into_owned(),
        };
        number += 1;
        if !is_kept {
            line(&score, &mut out)?;
            continue;
        }
        kept.push(score);
        if let Some(most) = args.most
            && kept.len() >= 2 * most.max(512)
        {
            keep(&mut kept, most);
        }
    }
    if let Some(most) = args.most {
        keep(&mut kept, most);
    }
    match args.format {
        Format::Json => kept.iter().try_for_each(|score| line(score, &mut out))?,
        Format::Text => {
            let mut rows = table(["record", "bits", "least expected", "bits of it", "never seen", ""]);
            let bits = |bits: Option<f64>| bits.map_or_else(|| "-".to_owned(), |bits| format!("{bits:.1}"));
            for score in kept {
                rows.add_row([
                    score.number.to_string(),
                    bits(score.bits),
                    score.field.unwrap_or_else(|| "-".to_owned()),
                    bits(score.field_bits),
                    score.unseen.join(", "),
                    score.record,
                ]);
            }
            writeln!(out, "{rows}")?;
        }
    }
    out.into_inner().map_err(io::IntoInnerError::into_error)?.finish()
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
