//! `latentd generate --complete`: records of a file with values in the place of what is NULL.

use std::io::{BufWriter, Write as _};
use std::path::Path;

use anyhow::Context;

use super::judge::without_end;
use super::{GenerateArgs, Subject};
use crate::cli::UsageError;
use crate::cli::output::Output;
use crate::cli::records;
use crate::model::RowsModel;

/// The model as one that tells any field from any others.
pub fn any_field(model: &str, artefact: &[u8], what: &str) -> anyhow::Result<RowsModel> {
    RowsModel::parse(artefact).map_err(|_| {
        let message =
            format!("`{model}` cannot {what}: take a model that `latentd train --generator autoregressive` made");
        UsageError::new(message).into()
    })
}

/// Completes the records of a file, in their order.
pub fn complete(args: &GenerateArgs, subject: &Subject, file: &Path) -> anyhow::Result<()> {
    let model = any_field(args.model.as_deref().unwrap_or_default(), &subject.artefact, "tell what is missing")?;
    let (_, mut reader) = records::open(file, args.records)?;
    let mut out = BufWriter::new(Output::open(args.output.as_deref(), false)?);
    let (mut read, mut filled, mut left, mut foreign) = (0u64, 0, 0, 0u64);
    while let Some(record) = reader.next().with_context(|| format!("cannot read `{}`", file.display()))? {
        let content = without_end(record.content);
        match model.complete(content, args.seed, read) {
            Some(completed) => {
                filled += completed.filled.len();
                left += completed.left.len();
                out.write_all(&completed.record)?;
            }
            None => {
                foreign += 1;
                out.write_all(content)?;
            }
        }
        out.write_all(b"\n")?;
        read += 1;
    }
    out.into_inner().map_err(std::io::IntoInnerError::into_error)?.finish()?;
    eprintln!("{read} records: {filled} values drawn in the place of NULL, {left} left as they are");
    if foreign > 0 {
        eprintln!("{foreign} of them are unlike what the model learned from, and as they were");
    }
    Ok(())
}
