//! Golden streams and tables, under `tests/golden/entropy/`: files are added and never changed. `LATENTD_BLESS=1 cargo test
//! --test entropy` writes those that are missing.

use std::fs;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use latentd::entropy::Table;
use latentd::frame::Reader;
use serde_json::{Value, json};

use crate::message::{Item, Message, shapes};
use crate::tools::{program, project, run};

const FOLDER: &str = "tests/golden/entropy";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).expect("golden files are ours")).collect()
}

/// What is written of a message.
fn file<const LANES: usize>(message: &Message) -> Value {
    let tables: Vec<Value> = message
        .tables
        .iter()
        .map(|table| {
            let mut bytes = Vec::new();
            table.write(&mut bytes);
            json!({ "bytes": hex(&bytes), "bits": table.bits(), "frequencies": table.frequencies().collect::<Vec<_>>() })
        })
        .collect();
    let items: Vec<Value> = message
        .items
        .iter()
        .map(|item| match item {
            Item::Symbol(table, symbol) => json!({ "table": table, "symbol": symbol }),
            Item::Raw(value, bits) => json!({ "raw": value, "bits": bits }),
        })
        .collect();
    json!({ "lanes": LANES, "tables": tables, "items": items, "stream": hex(&message.encode::<LANES>()) })
}

fn message(file: &Value) -> Result<Message> {
    let list = |name: &str| file[name].as_array().with_context(|| format!("no `{name}`"));
    let number = |value: &Value| value.as_u64().context("no number");
    let tables = list("tables")?.iter().map(|table| {
        let bytes = unhex(table["bytes"].as_str().context("no table")?);
        let mut reader = Reader::new(&bytes, 0);
        let read = Table::read(&mut reader, 1 << 16)?;
        ensure!(reader.left() == 0, "there are bytes behind a table");
        ensure!(json!(read.frequencies().collect::<Vec<_>>()) == table["frequencies"], "a table has other frequencies");
        Ok(Arc::new(read))
    });
    let items = list("items")?.iter().map(|item| match item.get("raw") {
        Some(raw) => Ok(Item::Raw(number(raw)?, number(&item["bits"])? as u32)),
        None => Ok(Item::Symbol(number(&item["table"])? as usize, number(&item["symbol"])? as u16)),
    });
    Ok(Message { tables: tables.collect::<Result<_>>()?, items: items.collect::<Result<_>>()? })
}

/// Messages of all kinds, by name.
fn cases() -> Vec<(String, Value)> {
    let small: Vec<_> = shapes().iter().filter(|table| table.symbols() <= 256).collect();
    let mut cases = Vec::new();
    let lengths = [("empty", 0), ("tiny", 2), ("record", 12), ("short", 25), ("block", 400)];
    for (seed, (name, len)) in (1..).zip(lengths) {
        // No two the same, and few tables in each.
        let tables: Vec<_> = small.iter().skip(seed).step_by(5).map(|table| Arc::clone(table)).collect();
        let message = Message::random(&tables, len, 32, seed as u64);
        cases.push((format!("{name}-1"), file::<1>(&message)));
        cases.push((format!("{name}-2"), file::<2>(&message)));
        cases.push((format!("{name}-4"), file::<4>(&message)));
        cases.push((format!("{name}-8"), file::<8>(&message)));
    }
    cases
}

/// All golden files: name and content.
fn all() -> Result<Vec<(String, Value)>> {
    for (name, file) in cases() {
        let path = project(FOLDER).join(format!("{name}.json"));
        if !path.is_file() {
            if std::env::var_os("LATENTD_BLESS").is_none() {
                bail!("no golden file `{}`: LATENTD_BLESS=1 cargo test --test entropy writes it", path.display());
            }
            fs::write(path, format!("{file}\n"))?;
        }
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(project(FOLDER))? {
        let path = entry?.path();
        let content = fs::read(&path).with_context(|| format!("`{}`", path.display()))?;
        files.push((path.display().to_string(), serde_json::from_slice(&content)?));
    }
    files.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(files)
}

#[test]
fn every_golden_stream_decodes_to_what_it_holds_and_is_written_again() -> Result<()> {
    for (name, file) in all()? {
        let message = message(&file).with_context(|| name.clone())?;
        let stream = unhex(file["stream"].as_str().context("no stream")?);
        let (decoded, written) = match file["lanes"].as_u64() {
            Some(1) => (message.decode::<1>(&stream), message.encode::<1>()),
            Some(2) => (message.decode::<2>(&stream), message.encode::<2>()),
            Some(4) => (message.decode::<4>(&stream), message.encode::<4>()),
            Some(8) => (message.decode::<8>(&stream), message.encode::<8>()),
            other => bail!("`{name}` has {other:?} lanes"),
        };
        let (items, end) = decoded?;
        ensure!(items == message.items && end == Ok(()), "`{name}` decodes to something else");
        ensure!(written == stream, "`{name}` is written differently");
    }
    Ok(())
}

#[test]
fn a_decoder_made_from_the_description_alone_reads_the_golden_streams() -> Result<()> {
    let script = project("tests/format/entropy.py").display().to_string();
    let files: Vec<String> = all()?.into_iter().map(|(path, _)| path).collect();
    let arguments: Vec<&str> = [&script].into_iter().chain(&files).map(String::as_str).collect();
    let said = run(&program("python3")?, &arguments)?;
    ensure!(said.success, "{}", said.text);
    ensure!(said.text.lines().count() == files.len(), "{}", said.text);
    Ok(())
}
