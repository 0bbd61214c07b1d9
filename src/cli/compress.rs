//! `latentd compress` and `latentd decompress`: files and pipes.

use std::io::{self, BufReader, Cursor, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};

use super::UsageError;
use super::file_format::{MAGIC, MOST_BYTES, MOST_RECORDS, RecordFileReader, RecordFileWriter};
use super::models::{RegistryArgs, of_family, open};
use super::output::{Output, input, read_all};
use super::records::{RecordMode, RecordReader};
use super::streams;
use crate::codec::block::BlockBuilder;
use crate::codec::{
    self, Algorithm, Codec, CodecSpec, Coding, Content, LearnedCodecs as _, ModelSource, NoModels, Restorer,
    ZstdDictCodec, seal, skippable, sniff,
};
use crate::model::{Dictionary, Family, Learned};
use crate::pipeline::Layout;
use crate::record::{HeaderRefs, RecordRef, Timestamp};
use crate::units::ByteSize;

/// Compress a file or a pipe
///
/// With a standard codec and `--records whole` the output is one standard stream, which `gzip`, `zstd`, … read. Otherwise
/// it is a file of records (FORMAT.md, "Files"). Streams and records are taken as they come, so a pipe may be of any length;
/// only huffman, lzw, zstd-dict and identity with `--records whole` hold all of it in memory.
#[derive(Debug, clap::Args)]
pub struct CompressArgs {
    /// The file; `-` or none is standard input
    file: Option<PathBuf>,
    /// Codec and level, such as `zstd:19` [default: what the model is for, or zstd]
    #[arg(short, long)]
    codec: Option<CodecSpec>,
    /// The model of `zstd-dict`, `columns` or `latent`: a file, or a model's id in the registry
    #[arg(short, long, value_name = "FILE|ID")]
    model: Option<String>,
    #[command(flatten)]
    registry: RegistryArgs,
    /// How the file is cut into records
    #[arg(short, long, value_enum, default_value = "whole")]
    records: RecordMode,
    /// With records: `block` codes many together, `record` each for itself
    #[arg(long, default_value = "block", value_parser = layout)]
    layout: Layout,
    /// Most raw bytes of a block
    #[arg(long, default_value = "1MiB", value_name = "SIZE")]
    block: ByteSize,
    /// Where to: a file that appears when it is whole [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Restore what `compress` or any program for a standard format wrote
#[derive(Debug, clap::Args)]
pub struct DecompressArgs {
    /// The file; `-` or none is standard input
    file: Option<PathBuf>,
    /// The codec, where the bytes do not say it themselves: deflate, zlib, brotli, lzw, huffman
    #[arg(short, long)]
    codec: Option<CodecSpec>,
    /// The model that the frames name: a file, or a model's id in the registry
    #[arg(short, long, value_name = "FILE|ID")]
    model: Option<String>,
    #[command(flatten)]
    registry: RegistryArgs,
    /// Most bytes that one record, one block, or the whole of a stream without records may have
    #[arg(long, default_value = "64GiB", value_name = "SIZE")]
    max_decoded: ByteSize,
    /// Where to: a file that appears when it is whole [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// A layout by its name.
pub fn layout(text: &str) -> Result<Layout, String> {
    [Layout::Block, Layout::Record]
        .into_iter()
        .find(|layout| layout.name() == text)
        .ok_or_else(|| "write `block` or `record`".to_owned())
}

/// Compresses.
pub fn compress(args: &CompressArgs) -> anyhow::Result<()> {
    let mut output = Output::open(args.output.as_deref(), true)?;
    let (spec, mut codec) = coder(args)?;
    if args.records == RecordMode::Whole && spec.algorithm().is_learned() {
        let message = format!("`{spec}` codes records: say how the file is cut, such as --records lines");
        return Err(UsageError::new(message).into());
    }
    if args.records == RecordMode::Whole {
        if streams::has_streams(spec.algorithm()) && args.model.is_none() {
            streams::encode(spec, input(args.file.as_deref())?, &mut output)?;
        } else {
            let mut coded = Vec::new();
            codec.encode(&read_all(args.file.as_deref())?, &mut coded)?;
            output.write_all(&coded)?;
        }
        return output.finish();
    }
    let mut values = RecordReader::new(input(args.file.as_deref())?, args.records, MOST_BYTES);
    let mut file = RecordFileWriter::new(io::BufWriter::new(&mut output))?;
    match args.layout {
        Layout::Record => records(&mut values, &mut *codec, &mut file)?,
        Layout::Block => blocks(&mut values, args.block.as_usize(), &mut *codec, &mut file)?,
    }
    file.finish()?.flush()?;
    output.finish()
}

/// The codec that is asked for, or that the model is for, with its model.
fn coder(args: &CompressArgs) -> anyhow::Result<(CodecSpec, Box<dyn Codec>)> {
    let Some(model) = &args.model else {
        let spec = args.codec.unwrap_or(CodecSpec::new(Algorithm::Zstd));
        if spec.algorithm().is_learned() {
            let message = format!("`{spec}` needs a model: write --model FILE, or --model ID with --registry URL");
            return Err(UsageError::new(message).into());
        }
        let models: Arc<dyn ModelSource> = Arc::new(NoModels);
        return Ok((spec, codec::build(spec, &models)?));
    };
    if let Some(spec) = args.codec.filter(|spec| Family::of(spec.algorithm()).is_none()) {
        let message = format!("`{spec}` takes no model: write --codec zstd-dict, columns or latent");
        return Err(UsageError::new(message).into());
    }
    let (manifest, artefact) = open(model, &args.registry)?;
    let known = manifest.as_ref().and_then(|manifest| manifest.family.algorithm()).map(CodecSpec::new);
    let Some(spec) = args.codec.or(known) else {
        let message = format!("`{model}` does not say what it is for: write --codec zstd-dict, columns or latent");
        return Err(UsageError::new(message).into());
    };
    if let Some(manifest) = &manifest {
        of_family(manifest, Family::of(spec.algorithm()).as_ref())?;
    }
    if spec.algorithm() == Algorithm::ZstdDict {
        let dictionary = Dictionary::parse(&artefact).with_context(|| format!("`{model}`"))?;
        let codec = ZstdDictCodec::with_dictionary(spec.level(), dictionary.artefact().into())?;
        return Ok((spec, Box::new(codec)));
    }
    Ok((spec, Learned.open(spec.algorithm(), &artefact).with_context(|| format!("`{model}`"))?))
}

fn records<R: Read, W: Write>(
    values: &mut RecordReader<R>,
    codec: &mut dyn Codec,
    file: &mut RecordFileWriter<W>,
) -> anyhow::Result<()> {
    let (mut coded, mut sealed) = (Vec::new(), Vec::new());
    while let Some(record) = values.next()? {
        let value = record.all;
        coded.clear();
        codec.encode(value, &mut coded)?;
        sealed.clear();
        if coded.len() < value.len() {
            let model = codec.model().map(|model| model.prefix());
            seal(codec.algorithm(), model, &coded, value, &mut sealed);
        } else {
            seal(Algorithm::Identity, None, value, value, &mut sealed);
        }
        file.entry(&sealed, value.len())?;
    }
    Ok(())
}

/// A value as a record: a file has no keys, no headers and no clock.
fn as_record(value: &[u8], offset: i64) -> RecordRef<'_> {
    RecordRef { key: None, value: Some(value), headers: HeaderRefs::new(), timestamp: Timestamp::create(-1), offset }
}

fn blocks<R: Read, W: Write>(
    values: &mut RecordReader<R>,
    most: usize,
    codec: &mut dyn Codec,
    file: &mut RecordFileWriter<W>,
) -> anyhow::Result<()> {
    let mut builder = BlockBuilder::default();
    let mut coded = Vec::new();
    let mut close = |builder: &mut BlockBuilder, codec: &mut dyn Codec| -> anyhow::Result<()> {
        coded.clear();
        builder.encode(codec, &mut coded)?;
        file.entry(&coded, builder.raw_bytes())?;
        builder.clear();
        Ok(())
    };
    let mut offset = 0;
    while let Some(record) = values.next()? {
        let value = record.all;
        let full = builder.raw_bytes() + value.len() > most || builder.records() == MOST_RECORDS;
        if builder.records() > 0 && full {
            close(&mut builder, codec)?;
        }
        builder.push(&as_record(value, offset));
        offset += 1;
    }
    if builder.records() > 0 {
        close(&mut builder, codec)?;
    }
    Ok(())
}

/// Decompresses.
pub fn decompress(args: &DecompressArgs) -> anyhow::Result<()> {
    let mut output = Output::open(args.output.as_deref(), false)?;
    let mut input = input(args.file.as_deref())?;
    let (head, skipped) = head(&mut input, args.codec.is_none())?;
    if head == MAGIC {
        restore_file(input, args, &mut output)?;
        return output.finish();
    }
    let limit = args.max_decoded.bytes();
    let named = args.codec.map(|codec| Coding::Stream(codec.algorithm()));
    let input = Box::new(Cursor::new(head.clone()).chain(input));
    match named.or_else(|| sniff(&head)) {
        // Skippable frames, and nothing to skip to: a zstd or LZ4 stream of no bytes.
        None if skipped && head.is_empty() => {}
        found if skipped && !matches!(found, Some(Coding::Stream(Algorithm::Zstd | Algorithm::Lz4))) => {
            bail!("a skippable frame is followed by neither a zstd nor an LZ4 frame")
        }
        // The stream names a dictionary, or is not one that can be read piece by piece.
        Some(Coding::Stream(algorithm)) if streams::has_streams(algorithm) && args.model.is_none() => {
            streams::decode(algorithm, input, limit, &mut output)?;
        }
        Some(Coding::Stream(algorithm)) => restore_whole(input, Some(algorithm), args, &mut output)?,
        Some(Coding::Frame) => restore_whole(input, None, args, &mut output)?,
        None if head.is_empty() => bail!("the input is empty: no stream of any codec is"),
        None => {
            let message = "these bytes do not say what they are: name the codec with --codec";
            return Err(UsageError::new(message).into());
        }
    }
    output.finish()
}

/// The first bytes of the input, and whether skippable frames before them were passed over, which `pass` allows: such frames
/// do not say whether zstd or LZ4 follows.
fn head(input: &mut (impl Read + ?Sized), pass: bool) -> anyhow::Result<(Vec<u8>, bool)> {
    let mut skipped = false;
    loop {
        let mut head = Vec::new();
        input.take(MAGIC.len() as u64).read_to_end(&mut head)?;
        let Some(length) = skippable(&head).filter(|_| pass).map(u64::from) else { return Ok((head, skipped)) };
        let read = io::copy(&mut input.take(length), &mut io::sink())?;
        ensure!(read == length, "the input is cut in a skippable frame");
        skipped = true;
    }
}

fn models(args: &DecompressArgs) -> anyhow::Result<Arc<dyn ModelSource>> {
    match &args.model {
        Some(model) => super::models::one(model, &args.registry),
        None => super::models::source(&args.registry),
    }
}

fn restore_file(input: Box<dyn Read + Send>, args: &DecompressArgs, output: &mut Output) -> anyhow::Result<()> {
    let mut file = RecordFileReader::new(BufReader::new(input));
    let mut restorer = Restorer::new(&models(args)?, args.max_decoded.as_usize(), MOST_RECORDS);
    let mut out = io::BufWriter::new(output);
    let mut raw = 0;
    let mut number = 0u64;
    while let Some(entry) = file.next(raw)? {
        let record = as_record(entry, 0);
        let restored = restorer.restore(&record).with_context(|| format!("entry {number}"))?;
        let mut write = |value: Option<&[u8]>| -> io::Result<()> {
            let value = value.unwrap_or_default();
            raw += value.len() as u64;
            out.write_all(value)
        };
        match restored.content {
            Content::Record(record) => write(record.value)?,
            Content::Block(block) => block.records().try_for_each(|record| write(record.value))?,
        }
        number += 1;
    }
    out.flush()?;
    Ok(())
}

/// Decodes bytes that are one stream or one frame.
fn restore_whole(
    mut input: Box<dyn Read + Send>,
    algorithm: Option<Algorithm>,
    args: &DecompressArgs,
    output: &mut Output,
) -> anyhow::Result<()> {
    let mut bytes = Vec::new();
    input.read_to_end(&mut bytes)?;
    let limit = args.max_decoded.as_usize();
    let models = models(args)?;
    if let Some(algorithm) = algorithm {
        let mut decoded = Vec::new();
        codec::build(CodecSpec::new(algorithm), &models)?.decode(&bytes, limit, &mut decoded)?;
        output.write_all(&decoded)?;
        return Ok(());
    }
    let mut restorer = Restorer::new(&models, limit, MOST_RECORDS);
    match restorer.restore(&as_record(&bytes, 0))?.content {
        Content::Record(record) => output.write_all(record.value.unwrap_or_default())?,
        Content::Block(block) => {
            block.records().try_for_each(|record| output.write_all(record.value.unwrap_or_default()))?;
        }
    }
    Ok(())
}
