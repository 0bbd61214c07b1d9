//! The wire format: golden files decode to what they hold, other people's code reads them, damage is noticed, and no bytes
//! make a decoder take more memory than it may.

mod tools;

#[path = "format/allocations.rs"]
mod allocations;
#[path = "format/cases.rs"]
mod cases;
#[path = "format/golden.rs"]
mod golden;
#[path = "format/hostile.rs"]
mod hostile;
#[path = "format/latent.rs"]
mod latent;
#[path = "format/learned.rs"]
mod learned;
#[path = "format/mnist.rs"]
mod mnist;
#[path = "format/models.rs"]
mod models;

use std::collections::BTreeSet;
use std::sync::Arc;

use allocations::{Allocated, measured};
use anyhow::{Context, Result, ensure};
use arbitrary::{Arbitrary, Unstructured};
use golden::{Decoded, Decoder, Golden, Holds};
use hostile::{Attack, Target};
use latentd::codec::{Algorithm, LATENTD};
use latentd::engine::Kernel;
use latentd::frame::FrameHeader;
use latentd::model::{ColumnsCodec, ColumnsModel, LatentCodec, LatentModel};
use models::{Came, ModelAttack};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use tools::{program, project, run};

#[test]
fn every_golden_file_decodes_to_what_it_holds() -> Result<()> {
    cases::dictionary()?;
    learned::models()?;
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
    let own = [Algorithm::Identity, Algorithm::Huffman, Algorithm::Latent];
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
    // zstd, brotli and LZ4 are not in Python's standard library; another script decodes what a model is needed for.
    let absent = [Algorithm::Brotli, Algorithm::Zstd, Algorithm::ZstdDict, Algorithm::Lz4];
    let absent = [&absent[..], &Algorithm::LEARNED].concat();
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

#[test]
fn another_made_from_the_description_alone_reads_what_a_model_is_needed_for() -> Result<()> {
    // What the golden files hold of the format, so that no part of it goes without a second opinion.
    let expected = "form 0,form 1,form 2,field 0,field 1,field 2,field 3,a list that is not known,counts of bytes,framed,not framed,\
        column 0,column 1,column 2,a record as a zstd frame,foreign bytes,a record of the same key,of now,of before,of kept,\
        kind 0,kind 1,kind 2,kind 3,kind 4,kind 5,kind 6,zeros 0,zeros 1,zeros 2,escape,mantissas,\
        difference,text,bucket,recent text,other text,a token,a byte,the end of a text,echo 0,echo 1,echo 2,echo 3";
    let mut unseen: BTreeSet<String> = expected.split(',').map(str::to_owned).collect();
    unseen.extend((0..=13).map(|base| format!("base {base}")));
    // zstd is no part of Python, and a program of its own.
    let (python, _) = (program("python3")?, program("zstd")?);
    let script = project("tests/format/columns.py").display().to_string();
    let files = Golden::all()?;
    for model in learned::MODELS {
        let files: Vec<&Golden> =
            files.iter().filter(|file| file.description.model.as_deref() == Some(model)).collect();
        let artefact = learned::path(model).display().to_string();
        let paths: Vec<String> = files.iter().map(|file| file.path.display().to_string()).collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let said = run(&python, &[&[&script[..], "--seen", "--model", &artefact], &paths[..]].concat())?;
        ensure!(said.success, "{model}: {}", said.text);
        let lines: Vec<&str> = said.text.lines().collect();
        let (seen, lines) = lines.split_last().context("the script says what it has seen")?;
        ensure!(lines.len() == files.len() && !files.is_empty(), "one line for each file of `{model}`");
        for (file, line) in files.iter().zip(lines) {
            let decoded = decoded_by_python(line).with_context(|| format!("`{}`: {line}", file.name()))?;
            ensure!(decoded == file.description.holds.decoded(), "`{}` decodes to something else", file.name());
        }
        let seen: Vec<String> = serde_json::from_str(seen)?;
        unseen.retain(|part| !seen.contains(part));
    }
    ensure!(unseen.is_empty(), "no golden file has {unseen:?}");
    Ok(())
}

#[test]
fn a_third_reads_images() -> Result<()> {
    let (python, _) = (program("python3")?, program("zstd")?);
    let script = project("tests/format/latent.py").display().to_string();
    let files = Golden::all()?;
    for model in latent::MODELS {
        let artefact = learned::path(model).display().to_string();
        let mut read = 0;
        for file in files.iter().filter(|file| file.description.model.as_deref() == Some(model)) {
            let said = run(&python, &[&script, "--model", &artefact, &file.path.display().to_string()])?;
            ensure!(said.success, "`{}`: {}", file.name(), said.text);
            let decoded = decoded_by_python(&said.text).with_context(|| format!("`{}`: {}", file.name(), said.text))?;
            ensure!(decoded == file.description.holds.decoded(), "`{}` decodes to something else", file.name());
            read += 1;
        }
        ensure!(read > 4, "there are golden files of the model `{model}`");
    }
    Ok(())
}

#[test]
fn golden_images_are_written_alike_by_every_kernel() -> Result<()> {
    for kernel in Kernel::here() {
        let files = Golden::all()?;
        for file in files.iter().filter(|file| file.description.spec().algorithm() == Algorithm::Latent) {
            let model = file.description.model.as_deref().context("a learned codec has a model")?;
            let model = Arc::new(LatentModel::parse(&learned::artefact(model)?)?);
            let written = golden::encode_with(&mut LatentCodec::with_kernel(model, kernel), &file.description)?;
            ensure!(written == file.bytes, "`{}` is written differently by {kernel}", file.name());
        }
    }
    Ok(())
}

#[test]
fn a_whole_test_set_is_written_alike_by_every_kernel_block_and_number_of_threads() -> Result<()> {
    let hashes = [
        "bb7579d130eda1cd08d8cab051d5230ba0d44d602deb53a86ef66ce72b4359f1",
        "47c17e511f7afe7969896d8cd9527e31a57766eab53ca442c92b31114c3df5d9",
    ];
    for mnist::Written { way, hashes: found, bytes } in mnist::write()? {
        ensure!(found == hashes, "{way}: {found:?}, {bytes:?} bytes");
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

// --- damage ----------------------------------------------------------------------------------------------------------

#[test]
fn what_is_cut_anywhere_is_an_error() -> Result<()> {
    let mut decoder = Decoder::new()?;
    for file in Golden::all()? {
        // The header says what it is, as on most topics.
        let token = file.token();
        if token == Algorithm::Identity.content_encoding() {
            continue;
        }
        for cut in 0..file.bytes.len() {
            let Ok(decoded) = decoder.decode(Some(token), &file.bytes[..cut]) else { continue };
            let unchecked = golden::is_unchecked(&file.bytes) && decoded.size() <= golden::MAX_BYTES;
            ensure!(unchecked, "`{}` cut at byte {cut} is decoded", file.name());
        }
    }
    Ok(())
}

/// What FORMAT.md promises about a stream with damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Promise {
    /// It is refused.
    Refused,
    /// It is refused, or the bit meant nothing.
    RefusedOrEqual,
    /// It is refused, or something comes out that is no larger than the cap.
    Capped,
}

impl Promise {
    fn of(file: &Golden) -> Self {
        if golden::is_unchecked(&file.bytes) {
            return Self::Capped;
        }
        if file.is_frame() {
            return Self::Refused;
        }
        match file.description.spec().algorithm() {
            Algorithm::Gzip | Algorithm::Xz | Algorithm::Bzip2 | Algorithm::Zlib => Self::RefusedOrEqual,
            _ => Self::Capped,
        }
    }

    fn kept(self, decoded: &Decoded, whole: &Decoded) -> bool {
        match self {
            Self::Refused => false,
            Self::RefusedOrEqual => decoded == whole,
            Self::Capped => decoded.size() <= golden::MAX_BYTES,
        }
    }
}

#[test]
fn a_damaged_bit_anywhere_is_noticed_as_the_format_promises() -> Result<()> {
    let mut decoder = Decoder::new()?;
    for file in Golden::all()? {
        let (promise, whole) = (Promise::of(&file), file.description.holds.decoded());
        let mut damaged = file.bytes.clone();
        for at in 0..damaged.len() {
            for bit in 0..8 {
                damaged[at] ^= 1 << bit;
                let decoded = decoder.decode(Some(file.token()), &damaged);
                // The bit that makes a block's frame a record's, of a codec whose records have no checksum.
                let promise = if golden::is_unchecked(&damaged) { Promise::Capped } else { promise };
                damaged[at] ^= 1 << bit;
                let Ok(decoded) = decoded else { continue };
                let kept = promise.kept(&decoded, &whole);
                ensure!(kept, "`{}` with bit {bit} of byte {at} flipped is decoded", file.name());
            }
        }
    }
    Ok(())
}

#[test]
fn without_a_header_damage_behind_the_magic_is_noticed_all_the_same() -> Result<()> {
    const LONGEST_MAGIC: usize = 6;
    let mut decoder = Decoder::new()?;
    for file in Golden::all()?.into_iter().filter(|file| file.description.token.is_none()) {
        let (promise, whole) = (Promise::of(&file), file.description.holds.decoded());
        if latentd::codec::sniff(&file.bytes).is_none() {
            continue;
        }
        for at in LONGEST_MAGIC..file.bytes.len() {
            ensure!(decoder.decode(None, &file.bytes[..at]).is_err(), "`{}` cut at byte {at}", file.name());
            let mut damaged = file.bytes.clone();
            damaged[at] ^= 0x10;
            let Ok(decoded) = decoder.decode(None, &damaged) else { continue };
            ensure!(promise.kept(&decoded, &whole), "`{}` with byte {at} damaged is decoded", file.name());
        }
    }
    Ok(())
}

// --- memory ----------------------------------------------------------------------------------------------------------

/// The tables and windows of a decoder, which it has whatever it decodes. What zstd, liblzma and liblz4 take goes past Rust's
/// allocator: zstd has no window here, liblzma has a limit of its own, and LZ4's blocks are of 4 MiB at most.
fn tables(algorithm: Algorithm) -> usize {
    match algorithm {
        // A window of 24 bits, and what may run past it.
        Algorithm::Brotli => (16 << 20) + (1 << 16),
        // Four bytes for each of a block's 900,000.
        Algorithm::Bzip2 => 3_600_000 + (1 << 16),
        // Whether a number's text passes the cap shows when it is written.
        Algorithm::Columns => (64 << 10) + (1 << 10),
        _ => 64 << 10,
    }
}

/// Holds what decoding allocated against a cap.
fn within(cap: usize, algorithm: Algorithm, allocated: Allocated) -> bool {
    // A vector that grows is there twice while it moves.
    allocated.largest <= cap.max(tables(algorithm)) + 64 && allocated.peak <= 2 * cap + tables(algorithm)
}

#[test]
fn damage_makes_no_decoder_take_more_memory_than_the_cap_and_its_tables() -> Result<()> {
    for file in Golden::all()? {
        let mut damaged = file.bytes.clone();
        for at in 0..damaged.len() {
            damaged[at] ^= 0xff;
            let mut decoder = Decoder::new()?;
            // A model is read once, whatever it decodes, and has a cap of its own.
            if let Some(model) = &file.description.model {
                decoder.open(file.description.spec().algorithm(), model)?;
            }
            let (_, allocated) = measured(|| decoder.decode_with(Some(file.token()), &damaged, |_| ()).is_ok());
            damaged[at] ^= 0xff;
            // The rows of a framed block are not counted before they come: `BlockCodec` promises twice the cap.
            let cap = golden::MAX_BYTES << u32::from(file.is_framed());
            let within = within(cap, file.description.spec().algorithm(), allocated);
            ensure!(within, "`{}` with byte {at} damaged: {allocated:?}", file.name());
        }
    }
    Ok(())
}

// --- whoever means harm ----------------------------------------------------------------------------------------------

/// Attacks per run; `LATENTD_FUZZ_CASES` makes more of them.
fn attacks() -> u32 {
    std::env::var("LATENTD_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(20_000)
}

#[test]
fn no_attack_gets_through() {
    let mut rng = ChaCha8Rng::seed_from_u64(0x91_4c);
    let mut seen = [0u32; 2];
    for case in 0..attacks() {
        let mut bytes = vec![0; 16 + case as usize % 500];
        rng.fill_bytes(&mut bytes);
        let attack = Attack::arbitrary(&mut Unstructured::new(&bytes)).expect("any bytes make an attack");
        let (token, value) = attack.value();
        let mut target = Target::new();
        if matches!(attack, Attack::Learned { .. }) {
            // Nothing behind the frame's header: this reads the model, which has a cap of its own.
            let (_, body) = FrameHeader::parse(&value).expect("the attack has a whole header");
            target.touch(token, &value[..value.len() - body.len()]);
        }
        let (decoded, allocated) = measured(|| target.touch(token, &value).is_some());
        seen[usize::from(decoded)] += 1;
        let algorithm = match attack {
            Attack::Forged { .. } => Algorithm::Identity,
            Attack::Learned { .. } => Algorithm::Columns,
            // Brotli has the largest tables.
            _ => Algorithm::Brotli,
        };
        assert!(within(hostile::LIMITS.max_bytes, algorithm, allocated), "case {case}: {allocated:?} for {attack:?}");
        attack.judge();
    }
    assert!(seen.iter().all(|count| *count > attacks() / 20), "refused and decoded: {seen:?}");
}

#[test]
fn no_model_gets_through_whatever_it_claims() {
    // What reading and decoding take beside: an entry for each thing that a model has few of, and registers.
    const TABLES: usize = 64 << 10;
    let mut rng = ChaCha8Rng::seed_from_u64(0x43_4d);
    let mut came = [0u32; 3];
    // Each is a model read, and records coded with it.
    let cases = attacks() / 10;
    for case in 0..cases {
        let mut bytes = vec![0; 24 + case as usize % 300];
        rng.fill_bytes(&mut bytes);
        let attack = ModelAttack::arbitrary(&mut Unstructured::new(&bytes)).expect("any bytes make an attack");
        let (artefact, cap) = attack.artefact();
        let (model, allocated) = measured(|| ColumnsModel::parse(&artefact).ok());
        assert!(allocated.peak <= cap + TABLES, "case {case}: a model of at most {cap} bytes: {allocated:?}");
        let Some(model) = model.map(Arc::new) else {
            came[Came::Nowhere as usize] += 1;
            assert_eq!(attack.judge(), Came::Nowhere);
            continue;
        };
        let streams = attack.coded(&model);
        let mut codec = ColumnsCodec::new(model);
        let (far, allocated) = measured(|| streams.decode(&mut codec));
        came[far as usize] += 1;
        assert_eq!(attack.judge(), far, "case {case}");
        // A record, values, rows that double, and texts that are gathered or remembered.
        let fits = allocated.largest <= 2 * models::LIMIT + TABLES && allocated.peak <= 8 * models::LIMIT + TABLES;
        assert!(fits, "case {case}: {allocated:?} for {attack:?}");
    }
    assert!(came.iter().all(|count| *count > cases / 20), "refused models, refused streams, and decoded: {came:?}");
    println!("refused models, refused streams, and decoded: {came:?}");
}

#[test]
fn a_model_of_many_small_columns_takes_what_its_bytes_are_worth() {
    for mantissas in [false, true] {
        let (artefact, size) = models::of_many_small_columns(mantissas);
        let (model, allocated) = measured(|| ColumnsModel::parse(&artefact));
        model.expect("it is a model");
        println!("{} bytes for each of {size}", allocated.peak / size);
        assert!(allocated.peak <= (1 + models::TABLES) * size, "{size} bytes: {allocated:?}");
    }
}

#[test]
fn no_mutation_of_a_golden_file_gets_through() -> Result<()> {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let files = Golden::all()?;
    let mut decoder = Decoder::new()?;
    for _ in 0..attacks() {
        let mut below = |limit: usize| rng.next_u64() as usize % limit.max(1);
        let (file, other) = (&files[below(files.len())], &files[below(files.len())]);
        let mut bytes = file.bytes.clone();
        for _ in 0..1 + below(3) {
            let (at, end) = (below(bytes.len()), below(other.bytes.len() + 1));
            match below(5) {
                0 if !bytes.is_empty() => bytes[at] = below(256) as u8,
                1 => bytes.insert(at, below(256) as u8),
                2 => drop(bytes.drain(at..(at + below(9)).min(bytes.len()))),
                3 => drop(bytes.splice(at.., other.bytes[below(end)..end].iter().copied())),
                _ => bytes.extend_from_slice(&other.bytes[..end.min(9)]),
            }
        }
        // The splice may have made the other file.
        if files.iter().any(|known| known.bytes == bytes) {
            continue;
        }
        let Ok(decoded) = decoder.decode(Some(file.token()), &bytes) else { continue };
        let plain = file.token() == Algorithm::Identity.content_encoding();
        ensure!(plain || decoded.size() <= golden::MAX_BYTES, "{} bytes of `{}`", decoded.size(), file.name());
        let checked = file.token() == LATENTD && !golden::is_unchecked(&bytes);
        ensure!(!checked, "a mutation of `{}` is decoded: {}", file.name(), golden::hex(&bytes));
    }
    Ok(())
}
