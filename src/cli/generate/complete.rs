//! `latentd generate --complete`: records of a file with values in the place of what is NULL.

use std::io::{BufWriter, IntoInnerError, Write as _};
use std::path::Path;

use anyhow::{Context, bail, ensure};

use super::{GenerateArgs, Subject};
use crate::cli::models::{any_field, is_record};
use crate::cli::output::Output;
use crate::cli::records::{self, RecordMode, Unlike};

/// Completes the records of a file, in their order. What is between them stays as it is.
pub fn complete(args: &GenerateArgs, subject: &Subject, file: &Path) -> anyhow::Result<()> {
    let model = any_field(args.model.as_deref().unwrap_or_default(), &subject.artefact, "tell what is missing")?;
    let (mode, mut reader) = records::open(file, args.records)?;
    ensure!(mode != RecordMode::Idx, "`{}` holds arrays of numbers, in which nothing is NULL", file.display());
    let mut out = BufWriter::new(Output::open(args.output.as_deref(), false)?);
    let (mut number, mut filled, mut left, mut unlike) = (0u64, 0, 0, Unlike::default());
    while let Some(record) = reader.next().with_context(|| format!("cannot read `{}`", file.display()))? {
        let [before, content, after] = record.parts();
        let is_record = is_record(&model, mode, number, content);
        let completed = is_record.then(|| model.complete(content, args.seed, number)).flatten();
        if is_record {
            unlike.found(number, content, completed.is_some());
        }
        let completed = completed.map(|completed| {
            filled += completed.filled.len();
            left += completed.left.len();
            completed.record
        });
        let content = completed.as_deref().unwrap_or(content);
        match mode {
            RecordMode::Length => match u32::try_from(content.len()) {
                Ok(length) => out.write_all(&length.to_be_bytes())?,
                Err(_) => bail!("record {number} has 4 GiB or more, which its length cannot say"),
            },
            _ => out.write_all(before)?,
        }
        out.write_all(content)?;
        out.write_all(after)?;
        number += 1;
    }
    unlike.check(file, mode)?;
    out.into_inner().map_err(IntoInnerError::into_error)?.finish()?;
    eprintln!("{} records: {filled} values drawn in the place of NULL, {left} left as they are", unlike.records());
    unlike.tell("they stay as they are");
    Ok(())
}
