//! A zstd frame for what a learned codec does not fit.

use zstd_safe::{CCtx, CParameter, DCtx};

use crate::codec::{Algorithm, CodecError, Column, ColumnRef};
use crate::frame::{Reader, put_varint};

/// What a zstd frame begins with.
pub(super) const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

pub(super) const LEVEL: i32 = 3;

/// Writes and reads plain zstd frames. Contexts are made at first use and kept.
pub(super) struct Plain {
    algorithm: Algorithm,
    contexts: Option<(CCtx<'static>, DCtx<'static>)>,
}

impl Plain {
    /// For a codec, which errors name.
    pub fn new(algorithm: Algorithm) -> Self {
        Self { algorithm, contexts: None }
    }

    fn corrupt(&self, detail: impl std::fmt::Display) -> CodecError {
        CodecError::Corrupt { algorithm: self.algorithm, detail: detail.to_string() }
    }

    /// Appends a zstd frame.
    pub fn write(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<(), CodecError> {
        let (writer, _) = self.contexts.get_or_insert_with(|| (CCtx::create(), DCtx::create()));
        checked(self.algorithm, writer.set_parameter(CParameter::CompressionLevel(LEVEL)))?;
        let room = zstd_safe::compress_bound(input.len());
        append(self.algorithm, output, room, |tail| writer.compress2(tail, input))
    }

    /// Appends what a zstd frame holds, which must be all of `input` and say its size.
    pub fn read(&mut self, input: &[u8], limit: usize, output: &mut Vec<u8>) -> Result<(), CodecError> {
        let size = zstd_safe::get_frame_content_size(input)
            .map_err(|_| self.corrupt("its zstd frame has no valid header"))?
            .ok_or_else(|| self.corrupt("its zstd frame does not say its size"))?;
        let size = usize::try_from(size).ok().filter(|size| *size <= limit);
        let size = size.ok_or(CodecError::LimitExceeded { limit })?;
        if zstd_safe::find_frame_compressed_size(input) != Ok(input.len()) {
            return Err(self.corrupt("its zstd frame does not end where it should"));
        }
        let start = output.len();
        let (_, reader) = self.contexts.get_or_insert_with(|| (CCtx::create(), DCtx::create()));
        append(self.algorithm, output, size, |tail| reader.decompress(tail, input)).map_err(|e| self.corrupt(e))?;
        match output.len() - start == size {
            true => Ok(()),
            false => Err(self.corrupt("its zstd frame has another size than it says")),
        }
    }

    /// Appends a column: the length of each value, then a zstd frame of all. Gives the length of the frame.
    pub fn write_column(&mut self, values: ColumnRef<'_>, output: &mut Vec<u8>) -> Result<usize, CodecError> {
        let mut start = 0;
        for end in values.ends {
            put_varint(u64::from(*end - start), output);
            start = *end;
        }
        let frame = output.len();
        self.write(values.bytes, output)?;
        Ok(output.len() - frame)
    }

    /// Reads such a column of `count` values, all that there is, into an empty one.
    pub fn read_column(
        &mut self,
        mut input: Reader<'_>,
        count: usize,
        limit: usize,
        column: &mut Column,
    ) -> Result<(), CodecError> {
        let mut end = column.bytes.len() as u64;
        for _ in 0..count {
            end = end.saturating_add(input.varint()?);
            if end > limit as u64 {
                return Err(CodecError::LimitExceeded { limit });
            }
            column.ends.push(end as u32);
        }
        self.read(input.rest(), limit, &mut column.bytes)?;
        match column.bytes.len() as u64 == end {
            true => Ok(()),
            false => Err(self.corrupt("its values have other lengths than they say")),
        }
    }
}

/// What zstd's code means.
pub(super) fn checked(algorithm: Algorithm, result: zstd_safe::SafeResult) -> Result<usize, CodecError> {
    result.map_err(|code| CodecError::Coder { algorithm, detail: zstd_safe::get_error_name(code).to_owned() })
}

/// Lets zstd write behind what a vector holds.
pub(super) fn append(
    algorithm: Algorithm,
    output: &mut Vec<u8>,
    room: usize,
    write: impl FnOnce(&mut std::io::Cursor<&mut Vec<u8>>) -> zstd_safe::SafeResult,
) -> Result<(), CodecError> {
    let start = output.len();
    output.reserve_exact(room);
    let mut tail = std::io::Cursor::new(&mut *output);
    tail.set_position(start as u64);
    let result = checked(algorithm, write(&mut tail));
    if result.is_err() {
        output.truncate(start);
    }
    result.map(|_| ())
}
