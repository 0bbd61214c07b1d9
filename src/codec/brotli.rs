//! Brotli (RFC 7932). One stream; nothing may follow it.
//!
//! `encode` uses the `brotli` crate itself. Its encoder cannot be reset, but the tables in which it looks for matches (1 MiB
//! at quality 5, 32 MiB at 9) can be taken out of one and given to the next, which then clears only their counters. The
//! window is fitted to the record. The decoder cannot be reset either, so each record makes its own, which costs little.

use brotli::enc::StandardAlloc;
use brotli::enc::backward_references::{AnyHasher, UnionHasher};
use brotli::enc::encode::{BrotliEncoderOperation, BrotliEncoderStateStruct};
use compression_codecs::BrotliDecoder;

use super::sink::Sink;
use super::{Algorithm, Codec, CodecError, stream};

/// Windows of 1 KiB to 4 MiB, as log2, less 16 bytes each (RFC 7932, 9.1).
const WINDOWS: std::ops::RangeInclusive<u32> = 10..=22;
/// The smallest window at qualities 5 to 8: for windows up to 64 KiB the crate lacks the small tables that Google's encoder
/// has, and takes 32 MiB of large ones, which made a record of 300 bytes take half a millisecond. From 256 KiB on the
/// stream's header is three bits shorter, too.
const LEAST_WINDOW: u32 = 18;
/// Records from this length on make their own tables: the encoder then chooses others, and their making no longer counts.
const LONG: usize = 1 << 20;
/// The first seven bits of a stream with a "large window", which RFC 7932 does not know. It may ask for a gigabyte.
const LARGE_WINDOW: u8 = 0b001_0001;

/// Brotli streams.
pub struct BrotliCodec {
    level: i32,
    /// Of the last record shorter than [`LONG`], at the qualities whose tables depend on nothing else.
    tables: Option<UnionHasher<StandardAlloc>>,
}

impl BrotliCodec {
    /// Qualities 0 to 11.
    pub fn new(level: i32) -> Self {
        Self { level, tables: None }
    }

    /// log2 of the window for a record.
    fn window(&self, length: usize) -> i32 {
        let least = if (5..=8).contains(&self.level) { LEAST_WINDOW } else { *WINDOWS.start() };
        (length + 16).next_power_of_two().ilog2().clamp(least, *WINDOWS.end()) as i32
    }

    /// Whether a record's encoder takes the tables of the one before it. Up to quality 1 there are none; from 10 on they
    /// depend on the window.
    fn keeps_tables(&self, length: usize) -> bool {
        (2..=9).contains(&self.level) && length < LONG
    }
}

impl Codec for BrotliCodec {
    fn algorithm(&self) -> Algorithm {
        Algorithm::Brotli
    }

    fn encode(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<(), CodecError> {
        let mut encoder = BrotliEncoderStateStruct::new(StandardAlloc::default());
        encoder.params.quality = self.level;
        encoder.params.lgwin = self.window(input.len());
        encoder.params.size_hint = input.len();
        if self.keeps_tables(input.len())
            && let Some(mut tables) = self.tables.take()
        {
            // The encoder clears what is not.
            tables.GetHasherCommon().is_prepared_ = 0;
            encoder.hasher_ = tables;
        }
        let mut sink = Sink::unbounded(output);
        let bound = input.len() + (input.len() >> 12) + 64;
        let (mut left, mut read) = (input.len(), 0);
        while !encoder.is_finished() {
            let space = sink.space(bound)?;
            let (mut room, mut written) = (space.len(), 0);
            let went_well = encoder.compress_stream(
                BrotliEncoderOperation::BROTLI_OPERATION_FINISH,
                &mut left,
                input,
                &mut read,
                &mut room,
                space,
                &mut written,
                &mut None,
                &mut |_, _, _, _| (),
            );
            sink.advance(written);
            if !went_well || (written == 0 && !sink.is_full()) {
                return Err(Algorithm::Brotli.failed("the encoder does not end its stream"));
            }
        }
        // An empty record makes no tables.
        if self.keeps_tables(input.len()) && !matches!(encoder.hasher_, UnionHasher::Uninit) {
            self.tables = Some(encoder.hasher_);
        }
        sink.finish()
    }

    fn decode(&mut self, input: &[u8], limit: usize, output: &mut Vec<u8>) -> Result<(), CodecError> {
        if input.first().is_some_and(|first| first & 0x7f == LARGE_WINDOW) {
            return Err(Algorithm::Brotli.corrupt("it has a window that RFC 7932 does not allow"));
        }
        let mut sink = Sink::capped(output, limit);
        let consumed = stream::decode(&mut BrotliDecoder::new(), Algorithm::Brotli, input, &mut sink)?;
        if consumed < input.len() {
            return Err(Algorithm::Brotli.trailing(input.len() - consumed));
        }
        sink.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(codec: &mut BrotliCodec, input: &[u8]) -> Vec<u8> {
        let mut coded = Vec::new();
        codec.encode(input, &mut coded).unwrap();
        coded
    }

    #[test]
    fn a_record_is_coded_as_if_it_were_the_first() {
        let row = |i: usize| format!("{{\"id\":{i},\"name\":\"record {}\",\"amount\":{}}}\n", i * i, i * 7919 % 1000);
        let records: Vec<Vec<u8>> = [1, 40, 0, 3, 2000, 1, 22_000, 2, 300]
            .map(|rows| (0..rows).flat_map(|i| row(i).into_bytes()).collect::<Vec<u8>>())
            .into();
        assert!(records[6].len() > LONG && records[4].len() > 1 << 16);
        for level in 0..=11 {
            let mut codec = BrotliCodec::new(level);
            // The highest qualities take seconds for a megabyte, and keep nothing.
            for record in records.iter().filter(|record| level < 10 || record.len() < LONG) {
                let coded = encoded(&mut codec, record);
                assert!(coded == encoded(&mut BrotliCodec::new(level), record), "{level}, {} bytes", record.len());
                let mut decoded = Vec::new();
                codec.decode(&coded, record.len(), &mut decoded).unwrap();
                assert!(decoded == *record, "{level}, {} bytes", record.len());
            }
        }
    }
}
