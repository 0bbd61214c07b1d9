//! `latentd generate`: new records from a model that was learned from a topic, in the topic's own syntax.

use std::io::{BufWriter, Write as _};
use std::path::PathBuf;

use anyhow::{Context, bail};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;

use super::UsageError;
use super::models::{RegistryArgs, open};
use super::output::Output;
use crate::model::{ColumnsModel, Dictionary};

/// Draw new records from a model of a topic's fields, in the topic's own syntax
///
/// A model that codes records well knows what they are like: what it decodes from random bits are records that it takes for
/// likely. The same model and seed give the same bytes, on every machine. A line each, unless the topic's records bring their
/// own ends.
#[derive(Debug, clap::Args)]
pub struct GenerateArgs {
    /// The model: a file, or a model's id in the registry
    #[arg(short, long, value_name = "FILE|ID")]
    model: String,
    #[command(flatten)]
    registry: RegistryArgs,
    /// How many records
    #[arg(short = 'n', long = "count", default_value_t = 10, value_name = "N")]
    count: u64,
    /// What all chance comes from
    #[arg(short, long, default_value_t = 0)]
    seed: u64,
    /// Records with these values; not in this release
    #[arg(long = "where", value_name = "FIELD=VALUE", hide = true)]
    conditions: Vec<String>,
    /// Where to: a file that appears when it is whole [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Draws.
pub fn run(args: &GenerateArgs) -> anyhow::Result<()> {
    if let Some(condition) = args.conditions.first() {
        let message = format!("--where {condition}: drawing records under a condition is not in this release");
        return Err(UsageError::new(message).into());
    }
    let (_, artefact) = open(&args.model, &args.registry)?;
    if Dictionary::parse(&artefact).is_ok() {
        bail!(
            "`{}` is a zstd dictionary, which holds pieces of records and cannot draw any: take a model of fields, as \
             `latentd train --codec columns` makes it",
            args.model
        );
    }
    let model = ColumnsModel::parse(&artefact).with_context(|| format!("`{}` is no model of fields", args.model))?;
    let mut rng = ChaCha8Rng::seed_from_u64(args.seed);
    let mut drawing = model.drawing();
    let mut output = Output::open(args.output.as_deref(), false)?;
    let mut out = BufWriter::new(&mut output);
    for number in 0..args.count {
        let Some(record) = drawing.next(&mut rng) else {
            bail!(
                "record {number} of seed {} did not come out whole: the model knows too little of the syntax",
                args.seed
            )
        };
        out.write_all(&record)?;
        if !record.ends_with(b"\n") {
            out.write_all(b"\n")?;
        }
    }
    out.flush()?;
    drop(out);
    output.finish()
}
