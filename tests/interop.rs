//! Standard codecs write what other people's programs read, and read what those write.
//!
//! The programs are those that `make setup` installs; one that is missing fails its test.

mod tools;

use std::fs;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use latentd::codec::{
    self, Algorithm, Codec, CodecSpec, MissingModel, ModelRef, ModelSource, NoModels, ZstdCodec, ZstdDictCodec,
};
use latentd::model::Dictionary;
use tools::{filter, program};

/// No decoded size is capped here by accident.
const LIMIT: usize = 64 << 20;

/// What is coded: nothing, a byte, a record, chunks of real topics, and what no codec makes smaller.
fn inputs() -> Result<Vec<(&'static str, Vec<u8>)>> {
    let flights = fs::read(tools::data("flights.jsonl")?)?;
    let images = fs::read(tools::data("t10k-images-idx3-ubyte")?)?;
    let record = flights.split(|byte| *byte == b'\n').next().context("the file has a first row")?;
    let noise = (0..100_000u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) >> 13) as u8);
    Ok(vec![
        ("nothing", Vec::new()),
        ("one byte", vec![b'x']),
        ("one flight", record.to_vec()),
        ("64 KiB of flights", flights[..64 << 10].to_vec()),
        ("3 MiB of flights", flights[..3 << 20].to_vec()),
        ("images", images[..1 << 20].to_vec()),
        ("noise", noise.collect()),
    ])
}

/// The lowest, the usual and the highest level.
fn specs(algorithm: Algorithm) -> Vec<CodecSpec> {
    let Some((range, usual)) = algorithm.levels() else { return vec![CodecSpec::new(algorithm)] };
    [*range.start(), usual, *range.end()]
        .into_iter()
        .map(|level| CodecSpec::with_level(algorithm, level).expect("the level is in range"))
        .collect()
}

fn build(spec: CodecSpec) -> Result<Box<dyn Codec>> {
    let models: Arc<dyn ModelSource> = Arc::new(NoModels);
    Ok(codec::build(spec, &models)?)
}

fn encode(codec: &mut dyn Codec, input: &[u8]) -> Result<Vec<u8>> {
    let mut coded = Vec::new();
    codec.encode(input, &mut coded)?;
    Ok(coded)
}

fn decode(codec: &mut dyn Codec, coded: &[u8]) -> Result<Vec<u8>> {
    let mut decoded = Vec::new();
    codec.decode(coded, LIMIT, &mut decoded)?;
    Ok(decoded)
}

/// Our streams through their decoder, and the streams of each of their encoders through ours.
fn agree(algorithm: Algorithm, name: &str, decoder: &[&str], encoders: &[&[&str]]) -> Result<()> {
    let program = program(name)?;
    for (what, input) in inputs()? {
        for spec in specs(algorithm) {
            let coded = encode(&mut *build(spec)?, &input)?;
            let decoded = filter(&program, decoder, &coded).with_context(|| format!("{spec} of {what}"))?;
            ensure!(decoded == input, "`{name}` reads something else from {spec} of {what}");
        }
        for arguments in encoders {
            let coded = filter(&program, arguments, &input)?;
            let decoded = decode(&mut *build(CodecSpec::new(algorithm))?, &coded)
                .with_context(|| format!("`{name} {}` of {what}", arguments.join(" ")))?;
            ensure!(decoded == input, "we read something else from `{name} {}` of {what}", arguments.join(" "));
        }
    }
    Ok(())
}

#[test]
fn gzip_reads_our_members_and_we_read_its() -> Result<()> {
    agree(Algorithm::Gzip, "gzip", &["-dc"], &[&["-c"], &["-1c"], &["-9c"]])
}

#[test]
fn zstd_reads_our_frames_and_we_read_its() -> Result<()> {
    // With and without a checksum, with a window larger than the input, and without the size in the frame's header.
    let encoders: [&[&str]; 5] =
        [&["-c"], &["-c", "--no-check"], &["-c", "-1", "--long=24"], &["-c", "-19"], &["-c", "--no-content-size"]];
    agree(Algorithm::Zstd, "zstd", &["-dc"], &encoders)
}

#[test]
fn brotli_reads_our_streams_and_we_read_its() -> Result<()> {
    agree(Algorithm::Brotli, "brotli", &["-dc"], &[&["-cq", "0"], &["-cq", "5"], &["-cq", "9", "-w", "24"]])
}

#[test]
fn lz4_reads_our_frames_and_we_read_its() -> Result<()> {
    let encoders: [&[&str]; 5] =
        [&["-c"], &["-9c"], &["-c", "-B4", "-BD"], &["-c", "-BX", "--no-frame-crc"], &["-c", "-BI", "-B7"]];
    agree(Algorithm::Lz4, "lz4", &["-dc"], &encoders)
}

#[test]
fn xz_reads_our_streams_and_we_read_its() -> Result<()> {
    let encoders: [&[&str]; 5] =
        [&["-c"], &["-0c"], &["-c", "-C", "none"], &["-c", "-C", "sha256"], &["-2c", "--block-size=65536"]];
    agree(Algorithm::Xz, "xz", &["-dc"], &encoders)
}

#[test]
fn bzip2_reads_our_streams_and_we_read_its() -> Result<()> {
    agree(Algorithm::Bzip2, "bzip2", &["-dc"], &[&["-c"], &["-1c"], &["-9c"]])
}

const INFLATE: &str = "import sys, zlib
d = zlib.decompressobj(int(sys.argv[1]))
sys.stdout.buffer.write(d.decompress(sys.stdin.buffer.read()) + d.flush())
sys.exit(0 if d.eof and not d.unused_data else 'the stream does not end with its bytes')";

const DEFLATE: &str = "import sys, zlib
c = zlib.compressobj(int(sys.argv[2]), zlib.DEFLATED, int(sys.argv[1]))
sys.stdout.buffer.write(c.compress(sys.stdin.buffer.read()) + c.flush())";

#[test]
fn python_reads_our_zlib_streams_and_we_read_its() -> Result<()> {
    let encoders: [&[&str]; 3] =
        [&["-c", DEFLATE, "15", "0"], &["-c", DEFLATE, "15", "6"], &["-c", DEFLATE, "10", "9"]];
    agree(Algorithm::Zlib, "python3", &["-c", INFLATE, "15"], &encoders)
}

#[test]
fn python_reads_our_raw_deflate_streams_and_we_read_its() -> Result<()> {
    let encoders: [&[&str]; 2] = [&["-c", DEFLATE, "-15", "1"], &["-c", DEFLATE, "-15", "9"]];
    agree(Algorithm::Deflate, "python3", &["-c", INFLATE, "-15"], &encoders)
}

#[test]
fn streams_laid_end_to_end_are_one_stream_where_the_program_says_so() -> Result<()> {
    for (algorithm, name) in [
        (Algorithm::Gzip, "gzip"),
        (Algorithm::Zstd, "zstd"),
        (Algorithm::Lz4, "lz4"),
        (Algorithm::Xz, "xz"),
        (Algorithm::Bzip2, "bzip2"),
    ] {
        let program = program(name)?;
        let (ours, theirs) =
            (encode(&mut *build(CodecSpec::new(algorithm))?, b"ours ")?, filter(&program, &["-c"], b"theirs")?);
        let both = [ours, theirs].concat();
        ensure!(filter(&program, &["-dc"], &both)? == b"ours theirs", "{name}");
        ensure!(decode(&mut *build(CodecSpec::new(algorithm))?, &both)? == b"ours theirs", "{algorithm}");
    }
    Ok(())
}

/// The one dictionary that there is.
struct One(Dictionary);

impl ModelSource for One {
    fn artefact(&self, model: ModelRef) -> Result<Arc<[u8]>, MissingModel> {
        match model {
            ModelRef::ZstdDictionary(id) if id == self.0.id() => Ok(self.0.artefact().into()),
            model => {
                Err(MissingModel { model, looked_in: "there is one dictionary here".to_owned(), retriable: false })
            }
        }
    }
}

#[test]
fn zstd_and_we_read_each_other_s_frames_with_a_dictionary_of_either() -> Result<()> {
    let zstd = program("zstd")?;
    let flights = fs::read(tools::data("flights.jsonl")?)?;
    let rows: Vec<&[u8]> = flights.split(|byte| *byte == b'\n').filter(|row| !row.is_empty()).collect();
    let samples: Vec<&[u8]> = rows.iter().step_by(rows.len() / 4000).copied().collect();
    let folder = tempfile::tempdir()?;
    let (rows_file, dictionary_file) = (folder.path().join("rows"), folder.path().join("dictionary"));
    let (rows_path, path) =
        (rows_file.to_str().context("the path is UTF-8")?, dictionary_file.to_str().context("the path is UTF-8")?);

    let ours = Dictionary::train(&samples, 16 << 10)?;
    fs::write(&rows_file, samples.concat())?;
    filter(&zstd, &["-q", "--train", "-B300", rows_path, "--maxdict=16384", "-o", path], b"")?;
    let theirs = Dictionary::parse(&fs::read(&dictionary_file)?)?;
    ensure!(ours.id() != theirs.id(), "two dictionaries of one id would prove nothing");

    for dictionary in [ours, theirs] {
        fs::write(&dictionary_file, dictionary.artefact())?;
        let mut coder = ZstdDictCodec::with_dictionary(3, dictionary.artefact().into())?;
        let models: Arc<dyn ModelSource> = Arc::new(One(dictionary));
        let mut plain = ZstdCodec::new(3, &models);
        for row in rows.iter().step_by(rows.len() / 20) {
            let coded = encode(&mut coder, row)?;
            ensure!(coded.len() * 2 < encode(&mut plain, row)?.len(), "the dictionary is not used");
            ensure!(filter(&zstd, &["-dc", "-D", path], &coded)? == *row, "zstd reads something else");
            ensure!(filter(&zstd, &["-dc"], &coded).is_err(), "zstd needs no dictionary for it");
            let coded = filter(&zstd, &["-c", "-D", path], row)?;
            ensure!(decode(&mut plain, &coded)? == *row, "we read something else");
            ensure!(decode(&mut coder, &coded)? == *row, "the coder reads something else");
        }
    }
    Ok(())
}
