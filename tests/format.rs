//! The wire format: golden files decode to what they hold, other people's code reads them, damage is noticed, and no bytes
//! make a decoder take more memory than it may.

mod tools;

#[path = "format/allocations.rs"]
mod allocations;
#[path = "format/cases.rs"]
mod cases;
#[path = "format/golden.rs"]
mod golden;

use anyhow::{Context, Result, ensure};
use golden::{Decoded, Decoder, Golden, Holds};
use latentd::codec::Algorithm;
use tools::{program, project, run};

#[test]
fn every_golden_file_decodes_to_what_it_holds() -> Result<()> {
    cases::dictionary()?;
    golden::complete(&cases::all()?)?;
    let mut decoder = Decoder::new()?;
    for file in Golden::all()? {
        let decoded = decoder.decode(file.description.token.as_deref(), &file.bytes);
        let decoded = decoded.with_context(|| format!("`{}` is not decoded", file.name()))?;
        ensure!(decoded == file.description.holds.decoded(), "`{}` decodes to something else", file.name());
    }
    Ok(())
}

#[test]
fn our_own_codecs_and_the_container_still_write_the_same_bytes() -> Result<()> {
    let own = [Algorithm::Identity, Algorithm::Huffman];
    let mut files = Golden::all()?;
    files.retain(|file| own.contains(&file.description.spec().algorithm()));
    ensure!(files.len() > 10, "there are golden files of our own codecs");
    for file in files {
        ensure!(golden::encode(&file.description)? == file.bytes, "`{}` is written differently", file.name());
    }
    Ok(())
}

#[test]
fn a_decoder_made_from_the_description_alone_reads_the_golden_files() -> Result<()> {
    // zstd, brotli and LZ4 are not in Python's standard library.
    let absent = [Algorithm::Brotli, Algorithm::Zstd, Algorithm::ZstdDict, Algorithm::Lz4];
    let mut files = Golden::all()?;
    files.retain(|file| !absent.contains(&file.description.spec().algorithm()));
    let python = program("python3")?;
    let script = project("tests/format/decode.py").display().to_string();
    for file in files {
        let path = file.path.display().to_string();
        let token: Vec<&str> = file.description.token.iter().flat_map(|token| ["--token", token]).collect();
        let said = run(&python, &[&[&script[..]], &token[..], &[&path[..]]].concat())?;
        ensure!(said.success, "`{}`: {}", file.name(), said.text);
        let decoded = decoded_by_python(&said.text).with_context(|| format!("`{}`: {}", file.name(), said.text))?;
        ensure!(decoded == file.description.holds.decoded(), "`{}` decodes to something else", file.name());
    }
    Ok(())
}

/// The script writes every byte string in hexadecimal.
fn decoded_by_python(line: &str) -> Result<Decoded> {
    fn dressed(value: &mut serde_json::Value) {
        if let Some(hex) = value.as_str() {
            *value = serde_json::json!({ "hex": hex });
        }
    }
    let mut line: serde_json::Value = serde_json::from_str(line)?;
    if let Some(content) = line.get_mut("content") {
        dressed(content);
    }
    for record in line.get_mut("records").and_then(|records| records.as_array_mut()).into_iter().flatten() {
        dressed(&mut record["key"]);
        dressed(&mut record["value"]);
        for header in record["headers"].as_array_mut().into_iter().flatten() {
            dressed(&mut header[1]);
        }
    }
    Ok(serde_json::from_value::<Holds>(line)?.decoded())
}
