//! What becomes of a generator that was trained: a file, and what is told of it.

use std::io::Write as _;
use std::path::Path;

use indicatif::{HumanBytes, HumanCount};
use serde_json::{Value, json};

use super::{TrainArgs, name_of};
use crate::cli::Format;
use crate::cli::models::signature;
use crate::cli::output::Output;
use crate::cli::show::print_json;
use crate::model::manifest::metric;
use crate::model::{CurvePoint, Family, Manifest, package};

/// A generator, and how it was made.
pub struct Drawn<'a> {
    pub family: Family,
    pub artefact: &'a [u8],
    pub config: Value,
    /// The metric of records that it did not learn from.
    pub validation: (&'static str, f64),
    pub rewinds: u32,
    pub cpu_seconds: f64,
    pub curve: Vec<CurvePoint>,
    /// How many records it learned from, and what they are.
    pub trained: (usize, &'static str),
    pub left_out: usize,
    /// What else is told of it, a line each.
    pub notes: Vec<String>,
}

impl Drawn<'_> {
    /// Writes it to the file that was asked for, and tells of it.
    pub fn keep(self, args: &TrainArgs, file: &Path) -> anyhow::Result<()> {
        let mut manifest = Manifest::new(self.artefact, self.family, name_of(file), signature().at);
        manifest.seed = args.seed;
        manifest.config = self.config;
        let (name, validation) = self.validation;
        manifest.metrics.extend([
            (name.to_owned(), validation),
            (metric::TRAINING_SECONDS.to_owned(), self.cpu_seconds),
            (metric::REWINDS.to_owned(), f64::from(self.rewinds)),
        ]);
        manifest.curve = self.curve;
        if let Some(path) = &args.output {
            let mut out = Output::open(Some(path), true)?;
            out.write_all(&package::pack(&manifest.to_json()?, self.artefact)?)?;
            out.finish()?;
        }
        let (records, what) = self.trained;
        if args.format == Format::Json {
            return print_json(&json!({
                "manifest": manifest,
                "trained_records": records,
                "left_out_records": self.left_out,
                "cpu_seconds": self.cpu_seconds,
                "output": args.output,
            }));
        }
        let mut out = std::io::stdout().lock();
        writeln!(
            out,
            "{} {}, {}: learned from {} {what} in {:.1} s of CPU",
            manifest.family,
            manifest.model,
            HumanBytes(manifest.artefact_bytes),
            HumanCount(records as u64),
            self.cpu_seconds,
        )?;
        self.notes.iter().try_for_each(|note| writeln!(out, "{note}"))?;
        match &args.output {
            Some(path) => writeln!(out, "written   {}", path.display())?,
            None => writeln!(out, "not kept: -o FILE writes it")?,
        }
        Ok(())
    }
}
