//! `latentd generate --from-headers`: generated records drawn again from what their headers say.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, BufWriter, IntoInnerError, Write as _};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;

use super::generate::family_of;
use super::models::{RegistryArgs, open};
use super::output::Output;
use crate::augment::Origin;
use crate::codec::ModelId;
use crate::model::{Generator, open_generator};

/// Draws the record of each line's headers again. A line is an object as `latentd cat -f json` prints it, or one whose names
/// are those of headers. The model is a file where one is named, and the registry's that the headers name otherwise.
pub fn redraw(
    headers: &Path,
    model: Option<&str>,
    registry: &RegistryArgs,
    output: Option<&Path>,
) -> anyhow::Result<()> {
    let input: Box<dyn io::Read> = if headers == Path::new("-") {
        Box::new(io::stdin())
    } else {
        Box::new(std::fs::File::open(headers).with_context(|| format!("cannot read `{}`", headers.display()))?)
    };
    let mut generators: BTreeMap<ModelId, Arc<dyn Generator>> = BTreeMap::new();
    let mut out = BufWriter::new(Output::open(output, false)?);
    for (number, line) in BufReader::new(input).lines().enumerate() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let place = || format!("line {} of `{}`", number + 1, headers.display());
        let headers = read(&line).with_context(place)?;
        let origin =
            Origin::read(headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()))).with_context(place)?;
        let generator = match generators.get(&origin.model) {
            Some(generator) => Arc::clone(generator),
            None => {
                let generator = find(&origin, model, registry).with_context(place)?;
                generators.insert(origin.model, Arc::clone(&generator));
                generator
            }
        };
        let record = draw(&*generator, &origin).with_context(place)?;
        out.write_all(&record)?;
        // Images follow one another as they are.
        let is_line =
            generator.name() == "columns" || matches!(generator.content_type(), "application/json" | "text/csv");
        if is_line && !record.ends_with(b"\n") {
            out.write_all(b"\n")?;
        }
    }
    out.into_inner().map_err(IntoInnerError::into_error)?.finish()
}

/// The generator that a record names.
fn find(origin: &Origin, model: Option<&str>, registry: &RegistryArgs) -> anyhow::Result<Arc<dyn Generator>> {
    let (manifest, artefact) = open(model.unwrap_or(&origin.model.to_string()), registry)?;
    let id = ModelId::of(&artefact);
    ensure!(id == origin.model, "the record was drawn from model {}, and this is {id}", origin.model);
    let generator =
        open_generator(&manifest.map_or_else(|| family_of(&artefact), |manifest| manifest.family), &artefact)?;
    Ok(generator)
}

/// The record of a number.
fn draw(generator: &dyn Generator, origin: &Origin) -> anyhow::Result<Vec<u8>> {
    let by = generator.made_by(origin.seed, origin.index);
    ensure!(
        [by, generator.name()].contains(&origin.generator.as_str()),
        "the record was drawn by `{}`, and the model draws it by `{by}`",
        origin.generator
    );
    let mut records = Vec::new();
    generator.draw_numbers(origin.seed, &origin.condition, &[origin.index], &mut records)?;
    records.pop().context("the generator drew no record")
}

/// The headers of a line.
fn read(line: &str) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let object: Value = serde_json::from_str(line).context("it is no JSON")?;
    if let Some(headers) = object.get("headers").and_then(Value::as_array) {
        let one = |header: &Value| -> Option<(String, Vec<u8>)> {
            let name = header.get("name")?.as_str()?.to_owned();
            let value = match header.get("value_base64").and_then(Value::as_str) {
                Some(text) => BASE64.decode(text).ok()?,
                None => header.get("value")?.as_str()?.as_bytes().to_vec(),
            };
            Some((name, value))
        };
        return Ok(headers.iter().filter_map(one).collect());
    }
    let object = object.as_object().context("it is no object of headers")?;
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned).into_bytes();
    Ok(object.iter().map(|(name, value)| (name.clone(), text(value))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_cat_prints_them_and_as_people_write_them() {
        let cat = r#"{"topic":"t","headers":[{"name":"a","value":"1"},{"name":"b","value_base64":"/w=="},{"name":"c","value":null}]}"#;
        assert_eq!(read(cat).unwrap(), [("a".to_owned(), b"1".to_vec()), ("b".to_owned(), vec![0xff])]);
        assert_eq!(
            read(r#"{"a":1,"b":"x"}"#).unwrap(),
            [("a".to_owned(), b"1".to_vec()), ("b".to_owned(), b"x".to_vec())]
        );
        assert!(read("[]").is_err() && read("x").is_err());
    }
}
