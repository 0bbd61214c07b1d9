//! A file of records, each coded for itself or in blocks: `FORMAT.md`, "Files".
//!
//! ```text
//! magic (8 bytes) | entry* | 0 | raw bytes: 8, little-endian
//! entry: length (varint, above 0) | a block's frame, or one record as `headers = "none"` writes it
//! ```

use std::io::{self, Read, Write};

use anyhow::{Context, bail, ensure};

use crate::frame::put_varint;

/// The first eight bytes: a latentd magic, and a version nibble that no frame has.
pub const MAGIC: [u8; 8] = [0x91, 0x4c, 0x00, b'F', b'I', b'L', b'E', 0x01];

/// Most bytes of one entry, and of a record before it is coded.
pub const MOST_BYTES: usize = 1 << 30;

/// Most records of one entry.
pub const MOST_RECORDS: usize = 1 << 20;

/// Writes a file of records.
pub struct RecordFileWriter<W> {
    out: W,
    raw: u64,
    head: Vec<u8>,
}

impl<W: Write> RecordFileWriter<W> {
    /// Begins a file.
    pub fn new(mut out: W) -> io::Result<Self> {
        out.write_all(&MAGIC)?;
        Ok(Self { out, raw: 0, head: Vec::new() })
    }

    /// Adds an entry that stands for so many raw bytes.
    pub fn entry(&mut self, coded: &[u8], raw: usize) -> anyhow::Result<()> {
        let length = coded.len();
        ensure!(length <= MOST_BYTES, "an entry of {length} bytes: {MOST_BYTES} is the most, so make --block smaller");
        self.head.clear();
        put_varint(coded.len() as u64, &mut self.head);
        self.raw += raw as u64;
        self.out.write_all(&self.head)?;
        self.out.write_all(coded)?;
        Ok(())
    }

    /// Ends the file: without its end it reads as cut.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.write_all(&[0])?;
        self.out.write_all(&self.raw.to_le_bytes())?;
        Ok(self.out)
    }
}

/// Reads a file of records whose magic was read already.
pub struct RecordFileReader<R> {
    input: R,
    entry: Vec<u8>,
    number: u64,
}

impl<R: Read> RecordFileReader<R> {
    /// Reads on behind the magic.
    pub fn new(input: R) -> Self {
        Self { input, entry: Vec::new(), number: 0 }
    }

    /// The next entry; `None` at the end, which tells how many raw bytes there must have been.
    pub fn next(&mut self, raw: u64) -> anyhow::Result<Option<&[u8]>> {
        let length = self.length().with_context(|| format!("entry {}", self.number))?;
        if length == 0 {
            let mut end = [0; 8];
            self.input.read_exact(&mut end).context("the file is cut: its last bytes are missing")?;
            let expected = u64::from_le_bytes(end);
            ensure!(raw == expected, "the file holds {raw} bytes and says that it held {expected}: it is damaged");
            ensure!(self.input.read(&mut [0])? == 0, "bytes follow the end of the file");
            return Ok(None);
        }
        ensure!(length <= MOST_BYTES as u64, "entry {} claims {length} bytes: the file is damaged", self.number);
        self.entry.clear();
        let read = self.input.by_ref().take(length).read_to_end(&mut self.entry)?;
        ensure!(read as u64 == length, "the file is cut in entry {}", self.number);
        self.number += 1;
        Ok(Some(&self.entry))
    }

    fn length(&mut self) -> anyhow::Result<u64> {
        let mut value = 0u64;
        for shift in (0..35).step_by(7) {
            let mut byte = [0];
            self.input.read_exact(&mut byte).context("the file is cut: it has no end")?;
            value |= u64::from(byte[0] & 0x7f) << shift;
            if byte[0] & 0x80 == 0 {
                return Ok(value);
            }
        }
        bail!("a length is longer than there can be: the file is damaged")
    }
}
