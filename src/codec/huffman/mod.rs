//! Canonical Huffman coding of bytes: length-limited, table-driven, in two or four interleaved streams.
//!
//! `FORMAT.md` describes the stream bit by bit. In short: a variable-length integer holds the size and the mode; then
//! come the bytes as they are (mode 0), the one byte that is repeated (mode 1), or the code lengths and the coded
//! streams (modes 2 and 3). A record that does not compress grows by its size field alone.
//!
//! Code lengths are optimal under the limit (package-merge). Several streams let the processor work on several symbols
//! at once: a lookup waits for the one before it in its own stream only.

mod bits;
mod canonical;
mod decode;
mod encode;
mod header;

use self::canonical::CodeLengths;
use self::decode::DecodeTable;
use self::encode::{EncodeTable, Histograms};
use super::sink::Sink;
use super::{Algorithm, Codec, CodecError};

/// The longest code. A decoding table then has 2,048 entries, and five codes fit into one 64-bit load.
const MAX_CODE_BITS: u32 = 11;
/// From this size on there are four streams. Below it the sizes of two more streams cost more than they save.
const FOUR_STREAMS_FROM: usize = 1024;

/// How the bytes of a stream are coded: the two low bits of its first field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// As they are.
    Stored = 0,
    /// One byte, repeated.
    Run = 1,
    /// Two Huffman-coded streams.
    Two = 2,
    /// Four Huffman-coded streams.
    Four = 3,
}

/// Huffman streams. Its tables are reused.
#[derive(Default)]
pub struct HuffmanCodec {
    decoding: Option<Box<DecodeTable>>,
    header: Vec<u8>,
}

impl HuffmanCodec {
    /// A coder without its tables, which come with the first record.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Codec for HuffmanCodec {
    fn algorithm(&self) -> Algorithm {
        Algorithm::Huffman
    }

    fn encode(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<(), CodecError> {
        if input.len() > u32::MAX as usize {
            return Err(Algorithm::Huffman.failed("a record of 4 GiB or more: send it in pieces"));
        }
        match input.len() < FOUR_STREAMS_FROM {
            true => encode_streams::<2>(input, &mut self.header, output),
            false => encode_streams::<4>(input, &mut self.header, output),
        }
        Ok(())
    }

    fn decode(&mut self, input: &[u8], limit: usize, output: &mut Vec<u8>) -> Result<(), CodecError> {
        let mut rest = input;
        let first = bits::read_varint(&mut rest)?;
        let size = usize::try_from(first >> 2).ok().filter(|size| *size <= limit);
        let size = size.ok_or(CodecError::LimitExceeded { limit })?;
        match first & 3 {
            0 => match rest.len() {
                length if length < size => Err(Algorithm::Huffman.truncated()),
                length if length > size => Err(Algorithm::Huffman.trailing(length - size)),
                _ => {
                    output.extend_from_slice(rest);
                    Ok(())
                }
            },
            1 => match rest {
                [] => Err(Algorithm::Huffman.truncated()),
                [byte] if size > 0 => {
                    output.resize(output.len() + size, *byte);
                    Ok(())
                }
                [_] => Err(Algorithm::Huffman.corrupt("a run of no bytes")),
                [_, trailing @ ..] => Err(Algorithm::Huffman.trailing(trailing.len())),
            },
            2 => self.decode_streams::<2>(rest, size, limit, output),
            _ => self.decode_streams::<4>(rest, size, limit, output),
        }
    }
}

impl HuffmanCodec {
    /// Reads code lengths and `S` streams that hold `size` bytes.
    fn decode_streams<const S: usize>(
        &mut self,
        input: &[u8],
        size: usize,
        limit: usize,
        output: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        // A code has a bit at least. What holds less was cut, or lies about its size.
        if size.div_ceil(8) > input.len() {
            return Err(Algorithm::Huffman.truncated());
        }
        let (lengths, mut rest) = header::read(input)?;
        let mut streams = [&[][..]; S];
        let (last, sized) = streams.split_last_mut().expect("there are two streams at least");
        let mut stream_sizes = [0; S];
        for stream_size in &mut stream_sizes[..S - 1] {
            *stream_size = bits::read_varint(&mut rest)?;
        }
        for (stream, stream_size) in sized.iter_mut().zip(stream_sizes) {
            let stream_size = usize::try_from(stream_size).unwrap_or(usize::MAX);
            (*stream, rest) = rest.split_at_checked(stream_size).ok_or(Algorithm::Huffman.truncated())?;
        }
        *last = rest;

        let table = self.decoding.get_or_insert_with(Default::default);
        table.fill(&lengths);
        let mut sink = Sink::capped(output, limit);
        let target = sink.space(size)?;
        decode::decode::<S>(table, streams, &mut target[..size])?;
        sink.advance(size);
        sink.finish()
    }
}

/// Writes a record in the shortest way there is: as it is, as a run, or coded in `S` streams.
fn encode_streams<const S: usize>(input: &[u8], header: &mut Vec<u8>, output: &mut Vec<u8>) {
    let histograms = Histograms::<S>::of(input);
    let counts = histograms.total();
    if let Some(first) = input.first()
        && counts[usize::from(*first)] as usize == input.len()
    {
        write_size(output, input.len(), Mode::Run);
        output.push(*first);
        return;
    }
    if input.is_empty() {
        write_size(output, 0, Mode::Stored);
        return;
    }
    let lengths = CodeLengths::optimal(&counts);
    header::write(&lengths, header);
    let sizes = histograms.coded_sizes(&lengths);
    let size_fields: usize = sizes[..S - 1].iter().map(|size| bits::varint_len(*size as u64)).sum();
    let coded: usize = sizes.iter().sum();
    if header.len() + size_fields + coded >= input.len() {
        write_size(output, input.len(), Mode::Stored);
        output.extend_from_slice(input);
        return;
    }
    write_size(output, input.len(), if S == 2 { Mode::Two } else { Mode::Four });
    output.extend_from_slice(header);
    for size in &sizes[..S - 1] {
        bits::write_varint(output, *size as u64);
    }
    let table = EncodeTable::new(&lengths);
    let start = output.len();
    output.resize(start + coded, 0);
    let mut target = &mut output[start..];
    for (i, size) in sizes.into_iter().enumerate() {
        let (stream, rest) = target.split_at_mut(size);
        table.encode(&input[segment(input.len(), i, S)], stream);
        target = rest;
    }
}

fn write_size(output: &mut Vec<u8>, size: usize, mode: Mode) {
    bits::write_varint(output, (size as u64) << 2 | mode as u64);
}

/// The part of a record of `size` bytes that stream `i` of `streams` holds.
fn segment(size: usize, i: usize, streams: usize) -> std::ops::Range<usize> {
    i * size / streams..(i + 1) * size / streams
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(input: &[u8]) -> Vec<u8> {
        let mut codec = HuffmanCodec::new();
        let mut coded = Vec::new();
        codec.encode(input, &mut coded).unwrap();
        let mut decoded = b"before".to_vec();
        codec.decode(&coded, input.len(), &mut decoded).unwrap();
        assert_eq!(&decoded[6..], input);
        coded
    }

    #[test]
    fn what_does_not_compress_grows_by_its_size_field_only() {
        let noise: Vec<u8> = (0..5000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        assert_eq!(round_trip(&noise).len(), 5003);
        assert_eq!(round_trip(&noise[..900]).len(), 902);
        assert_eq!(round_trip(b""), [0]);
        assert_eq!(round_trip(b"a"), [5, b'a']);
        assert_eq!(round_trip(b"ab"), [8, b'a', b'b']);
        assert_eq!(round_trip(&[7; 1 << 20]).len(), 5);
    }

    #[test]
    fn skewed_counts_reach_the_longest_codes_and_come_back() {
        let mut skewed = Vec::new();
        for symbol in 0..20u8 {
            skewed.extend(std::iter::repeat_n(symbol, 1 << symbol.min(16)));
        }
        for cut in [skewed.len(), 4000, 1025, 1024, 1023, 100] {
            round_trip(&skewed[skewed.len() - cut..]);
        }
        round_trip(&[&vec![0; 1000][..], &[1]].concat());
    }

    #[test]
    fn a_stream_cut_anywhere_is_an_error() {
        for length in [300, 3000] {
            let text: Vec<u8> = (0..length).map(|i: u32| b"the quick brown fox"[(i * i % 19) as usize]).collect();
            let coded = round_trip(&text);
            assert!(coded.len() < text.len());
            let mut codec = HuffmanCodec::new();
            let mut output = Vec::new();
            for cut in 0..coded.len() {
                assert!(codec.decode(&coded[..cut], text.len(), &mut output).is_err(), "cut at {cut}");
            }
            let longer = [&coded[..], &[0]].concat();
            assert!(matches!(codec.decode(&longer, text.len(), &mut output), Err(CodecError::Corrupt { .. })));
            let result = codec.decode(&coded, text.len() - 1, &mut output);
            assert!(matches!(result, Err(CodecError::LimitExceeded { .. })));
            assert!(output.is_empty());
        }
    }
}
