//! Records of a file or a pipe of any length, in bounded memory.

use std::io::{self, Read};

use super::{Cutter, Flaw, RecordMode};

/// What is read at once, at least. A record that does not fit makes the buffer double.
const CHUNK: usize = 256 << 10;

/// Reads records one by one, and holds one of them and at most as many bytes behind it.
pub struct RecordReader<R> {
    input: R,
    cutter: Box<dyn Cutter>,
    buffer: Vec<u8>,
    /// Where the next record begins in the buffer.
    start: usize,
    /// Bytes of the file before the buffer.
    before: u64,
    ended: bool,
    most: usize,
}

/// A record where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundRecord<'a> {
    /// Everything of it, separators too.
    pub all: &'a [u8],
    /// The record itself.
    pub content: &'a [u8],
    /// How much of `all` is before it.
    before: usize,
}

impl<'a> FoundRecord<'a> {
    /// What is before the record itself, the record, and what is after it.
    pub fn parts(&self) -> [&'a [u8]; 3] {
        let (before, rest) = self.all.split_at(self.before);
        let (content, after) = rest.split_at(self.content.len());
        [before, content, after]
    }
}

/// Why there is no next record.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file has no such records.
    #[error("these are no {mode} records: {detail} at byte {at}")]
    Flaw {
        /// The records that were looked for.
        mode: &'static str,
        /// What is wrong.
        detail: String,
        /// Where in the file.
        at: u64,
    },
    /// A record is larger than may be.
    #[error("the record at byte {at} is larger than {most} bytes, the most that a record may have")]
    TooLarge {
        /// Where in the file.
        at: u64,
        /// The most bytes of a record.
        most: usize,
    },
    /// The file cannot be read.
    #[error("cannot read the input")]
    Input(#[from] io::Error),
}

impl<R: Read> RecordReader<R> {
    /// Reads records of at most `most` bytes each.
    pub fn new(input: R, mode: RecordMode, most: usize) -> Self {
        Self { input, cutter: mode.cutter(), buffer: Vec::new(), start: 0, before: 0, ended: false, most }
    }

    /// The next record; `None` at the end.
    pub fn next(&mut self) -> Result<Option<FoundRecord<'_>>, ReadError> {
        let piece = loop {
            let bytes = &self.buffer[self.start..];
            let at = self.before + self.start as u64;
            if !bytes.is_empty() {
                let cut = self.cutter.cut(bytes, self.ended).map_err(|Flaw { mode, detail, at: behind }| {
                    ReadError::Flaw { mode, detail, at: at + behind as u64 }
                })?;
                let needed = cut.as_ref().map_or(bytes.len(), |piece| piece.all);
                if needed > self.most {
                    return Err(ReadError::TooLarge { at, most: self.most });
                }
                if let Some(piece) = cut {
                    break piece;
                }
            } else if self.ended {
                return Ok(None);
            }
            self.read_on()?;
        };
        let all = &self.buffer[self.start..self.start + piece.all];
        self.start += piece.all;
        Ok(Some(FoundRecord { all, before: piece.content.start, content: &all[piece.content] }))
    }

    /// Reads as much again as there is of a record, so that no byte is looked at more than twice on average.
    fn read_on(&mut self) -> io::Result<()> {
        self.before += self.start as u64;
        self.buffer.drain(..self.start);
        self.start = 0;
        // One byte more than a record may have shows that it has too many.
        let room = self.buffer.len().max(CHUNK).min(self.most + 1 - self.buffer.len());
        self.buffer.reserve_exact(room);
        let read = self.input.by_ref().take(room as u64).read_to_end(&mut self.buffer)?;
        self.ended = read < room;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MODES: [RecordMode; 6] =
        [RecordMode::Lines, RecordMode::Json, RecordMode::Csv, RecordMode::Length, RecordMode::Idx, RecordMode::Whole];

    /// All of a record, and its content.
    type Owned = (Vec<u8>, Vec<u8>);

    /// The records of a file, and the error that ends it.
    fn read(mode: RecordMode, bytes: &[u8]) -> (Vec<Owned>, Option<String>) {
        let mut reader = RecordReader::new(bytes, mode, 1 << 20);
        let mut records = Vec::new();
        loop {
            match reader.next() {
                Ok(Some(record)) => records.push((record.all.to_vec(), record.content.to_vec())),
                Ok(None) => return (records, None),
                Err(error) => return (records, Some(error.to_string())),
            }
        }
    }

    fn contents(mode: RecordMode, text: &str) -> Vec<String> {
        let (records, error) = read(mode, text.as_bytes());
        assert_eq!(error, None, "{mode:?}");
        assert_eq!(records.iter().flat_map(|(all, _)| all).copied().collect::<Vec<_>>(), text.as_bytes(), "{mode:?}");
        records.into_iter().map(|(_, content)| String::from_utf8(content).unwrap()).collect()
    }

    #[test]
    fn records_are_cut_where_they_end_and_nothing_is_lost() {
        assert_eq!(contents(RecordMode::Lines, "a\r\n\nb"), ["a", "", "b"]);
        assert_eq!(contents(RecordMode::Json, " {\"a\": [1, 2]}\n\n3 \"x\" "), ["{\"a\": [1, 2]}", "3", "\"x\""]);
        assert_eq!(contents(RecordMode::Csv, "a,b\r\n\"x\ny\",2\r\n\"q\"\"\",3"), ["a,b", "\"x\ny\",2", "\"q\"\"\",3"]);
        assert_eq!(contents(RecordMode::Csv, "\r\n\na,b\r\n\r\nc\n\n"), ["a,b", "c"]);
        assert_eq!(contents(RecordMode::Length, "\0\0\0\x02ab\0\0\0\0"), ["ab", ""]);
        assert_eq!(contents(RecordMode::Whole, "all"), ["all"]);
        assert_eq!(contents(RecordMode::Json, " "), [""]);
        let idx = "\0\0\x08\x02\0\0\0\x02\0\0\0\x03abcdefg";
        assert_eq!(contents(RecordMode::Idx, idx)[1..], ["abc", "def", "g"]);
        for mode in MODES {
            assert_eq!(contents(mode, ""), [""; 0], "{mode:?}");
        }
    }

    #[test]
    fn what_is_cut_short_or_malformed_says_where() {
        for (mode, bytes, expected) in [
            (RecordMode::Length, &b"\0\0\0\x01a\0\0\0\x05ab"[..], "the record is longer than the file at byte 5"),
            (RecordMode::Length, b"\0\0", "four bytes of length are cut at byte 0"),
            (RecordMode::Json, b"1 {\"a\":", "EOF while parsing a value at byte 2"),
            (RecordMode::Json, b"[1]\n\n]", "expected value at byte 5"),
            (RecordMode::Idx, b"\0\0\x08", "an idx file begins"),
        ] {
            let error = read(mode, bytes).1.unwrap();
            assert!(error.contains(expected), "{mode:?}: {error}");
        }
    }

    #[test]
    fn a_record_larger_than_may_be_is_refused_before_it_is_read() {
        struct Endless(u64);
        impl Read for Endless {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                buffer.fill(b'1');
                self.0 += buffer.len() as u64;
                Ok(buffer.len())
            }
        }
        for mode in MODES.into_iter().filter(|mode| *mode != RecordMode::Idx) {
            let mut reader = RecordReader::new(Endless(0), mode, 1 << 20);
            let error = reader.next().unwrap_err();
            assert!(matches!(error, ReadError::TooLarge { at: 0, .. }), "{mode:?}: {error}");
            assert!(reader.input.0 <= 3 << 20, "{mode:?}: {} bytes were read", reader.input.0);
        }
    }

    #[test]
    fn records_longer_than_a_chunk_and_across_its_end_come_whole() {
        let long = "x".repeat(3 * CHUNK);
        let text = format!("[\"{long}\"]\n12345\n");
        let mut file = text.repeat(3).into_bytes();
        file.extend_from_slice(b"77");
        for mode in [RecordMode::Lines, RecordMode::Json, RecordMode::Csv] {
            let (records, error) = read(mode, &file);
            assert_eq!(error, None);
            assert_eq!(records.len(), 7, "{mode:?}");
            assert_eq!(records[6].1, b"77");
        }
    }

    proptest! {
        #[test]
        fn the_same_records_are_cut_however_the_file_arrives(
            bytes in prop::collection::vec(
                prop_oneof![prop::sample::select(&b"\n\r\",1 -.e[]\0"[..]), any::<u8>()],
                0..200,
            ),
        ) {
            for mode in MODES {
                let (records, error) = read(mode, &bytes);
                let all: Vec<u8> = records.iter().flat_map(|(all, _)| all).copied().collect();
                prop_assert!(bytes.starts_with(&all), "{:?}", mode);
                prop_assert!(error.is_some() || all.len() == bytes.len(), "{:?}", mode);
                // Each record is found as soon as enough is there, and never a shorter one before.
                let (mut cutter, mut start) = (mode.cutter(), 0);
                for (all, _) in &records {
                    let early = (start + 1..bytes.len()).find_map(|end| cutter.cut(&bytes[start..end], false).unwrap());
                    let piece = match early {
                        Some(piece) => piece,
                        None => cutter.cut(&bytes[start..], true).unwrap().unwrap(),
                    };
                    prop_assert_eq!(piece.all, all.len(), "{:?}", mode);
                    start += piece.all;
                }
            }
        }
    }
}
