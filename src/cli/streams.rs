//! Standard streams of any length, in bounded memory: async-compression's streams between two pipes.

use std::io::{self, Read, Write};
use std::pin::Pin;

use anyhow::{Context, bail, ensure};
use async_compression::Level;
use async_compression::tokio::bufread::{
    BrotliDecoder, BrotliEncoder, BzDecoder, BzEncoder, DeflateDecoder, DeflateEncoder, GzipDecoder, GzipEncoder,
    Lz4Decoder, Lz4Encoder, XzDecoder, XzEncoder, ZlibDecoder, ZlibEncoder, ZstdDecoder, ZstdEncoder,
};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader, ReadBuf};
use tokio::runtime::{Builder, Runtime};

use crate::codec::{Algorithm, CodecSpec};

/// Whether a codec has streams here; the others take the whole of their input at once.
pub fn has_streams(algorithm: Algorithm) -> bool {
    !algorithm.is_learned()
        && !matches!(algorithm, Algorithm::Identity | Algorithm::Huffman | Algorithm::Lzw | Algorithm::ZstdDict)
}

/// A blocking reader that stands for an asynchronous one: nothing else runs on the runtime.
struct Blocking(Box<dyn Read + Send>);

impl AsyncRead for Blocking {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        let read = self.0.read(buf.initialize_unfilled())?;
        buf.advance(read);
        std::task::Poll::Ready(Ok(()))
    }
}

type Input = BufReader<Blocking>;
type Stream = Pin<Box<dyn AsyncRead + Send>>;

/// Compresses a stream.
pub fn encode(spec: CodecSpec, input: Box<dyn Read + Send>, output: &mut impl Write) -> anyhow::Result<()> {
    let input = BufReader::with_capacity(1 << 16, Blocking(input));
    let level = Level::Precise(spec.level());
    let stream: Stream = match spec.algorithm() {
        Algorithm::Gzip => Box::pin(GzipEncoder::with_quality(input, level)),
        Algorithm::Zlib => Box::pin(ZlibEncoder::with_quality(input, level)),
        Algorithm::Deflate => Box::pin(DeflateEncoder::with_quality(input, level)),
        Algorithm::Brotli => Box::pin(BrotliEncoder::with_quality(input, level)),
        Algorithm::Zstd => Box::pin(ZstdEncoder::with_quality(input, level)),
        Algorithm::Lz4 => Box::pin(Lz4Encoder::with_quality(input, level)),
        Algorithm::Xz => Box::pin(XzEncoder::with_quality(input, level)),
        Algorithm::Bzip2 => Box::pin(BzEncoder::with_quality(input, level)),
        other => bail!("`{other}` has no streams"),
    };
    runtime()?.block_on(copy(stream, u64::MAX, output, || "the input cannot be compressed".to_owned()))
}

/// Decompresses a stream to at most `limit` bytes. Where the format says so, it may be several one after the other;
/// nothing else may follow it.
pub fn decode(
    algorithm: Algorithm,
    input: Box<dyn Read + Send>,
    limit: u64,
    output: &mut impl Write,
) -> anyhow::Result<()> {
    let input = BufReader::with_capacity(1 << 16, Blocking(input));
    let failed = || format!("the {algorithm} stream is cut or damaged");
    // Of several streams, bytes that follow the last one are read as the beginning of another, which fails.
    macro_rules! members {
        ($decoder:ident) => {{
            let mut decoder = $decoder::new(input);
            decoder.multiple_members(true);
            copy(decoder, limit, output, failed).await?;
        }};
    }
    macro_rules! one {
        ($decoder:ident) => {{
            let mut decoder = $decoder::new(input);
            copy(&mut decoder, limit, output, failed).await?;
            nothing_follows(decoder.into_inner(), algorithm).await?;
        }};
    }
    runtime()?.block_on(async {
        match algorithm {
            Algorithm::Gzip => members!(GzipDecoder),
            Algorithm::Zstd => members!(ZstdDecoder),
            Algorithm::Lz4 => members!(Lz4Decoder),
            Algorithm::Xz => members!(XzDecoder),
            Algorithm::Bzip2 => members!(BzDecoder),
            Algorithm::Zlib => one!(ZlibDecoder),
            Algorithm::Deflate => one!(DeflateDecoder),
            Algorithm::Brotli => one!(BrotliDecoder),
            other => bail!("`{other}` has no streams"),
        }
        Ok(())
    })
}

async fn nothing_follows(mut input: Input, algorithm: Algorithm) -> anyhow::Result<()> {
    ensure!(input.fill_buf().await?.is_empty(), "bytes follow the end of the {algorithm} stream");
    Ok(())
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().build()
}

async fn copy(
    mut stream: impl AsyncRead + Unpin,
    limit: u64,
    output: &mut impl Write,
    failed: impl Fn() -> String,
) -> anyhow::Result<()> {
    let mut buffer = vec![0; 1 << 16];
    let mut total = 0u64;
    loop {
        let read = stream.read(&mut buffer).await.with_context(&failed)?;
        if read == 0 {
            return Ok(());
        }
        total += read as u64;
        if total > limit {
            bail!("it decodes to more than {limit} bytes: raise --max-decoded if that is right");
        }
        output.write_all(&buffer[..read])?;
    }
}
