//! Reading Zstandard frames (RFC 8878) in one shot, with or without dictionaries, under a cap.
//!
//! A stream is a frame or several laid end to end, skippable ones among them, as for the `zstd` program. Frames are
//! decoded straight into the output, so that no window is ever allocated, whatever the frame header asks for.

use std::io::Cursor;

use zstd_safe::zstd_sys::ZSTD_ErrorCode::{ZSTD_error_dstSize_tooSmall, ZSTD_error_srcSize_wrong};
use zstd_safe::{DCtx, ErrorCode, get_error_name, is_error_kind};

use super::dictionaries::Dictionaries;
use crate::codec::seal::SKIPPABLE;
use crate::codec::{Algorithm, CodecError};

const MAGIC: u32 = 0xFD2F_B528;
/// What is tried first for a frame that does not say its size.
const FIRST_GUESS: usize = 64 << 10;

/// A decoding context and the dictionaries it has met.
pub(super) struct FrameReader {
    algorithm: Algorithm,
    context: Option<DCtx<'static>>,
    pub dictionaries: Dictionaries,
}

impl FrameReader {
    pub fn new(algorithm: Algorithm, dictionaries: Dictionaries) -> Self {
        Self { algorithm, context: None, dictionaries }
    }

    /// Decodes all frames of `input`. On an error `output` is as it was.
    pub fn read(&mut self, input: &[u8], limit: usize, output: &mut Vec<u8>) -> Result<(), CodecError> {
        let start = output.len();
        let result = self.frames(input, limit, output);
        if result.is_err() {
            output.truncate(start);
        }
        result
    }

    fn frames(&mut self, input: &[u8], limit: usize, output: &mut Vec<u8>) -> Result<(), CodecError> {
        let start = output.len();
        let mut rest = input;
        loop {
            let first = rest.len() == input.len();
            let Some(magic) = rest.first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes)) else {
                return Err(match first || MAGIC.to_le_bytes().starts_with(rest) {
                    true => self.algorithm.truncated(),
                    false => self.algorithm.trailing(rest.len()),
                });
            };
            let skippable = SKIPPABLE.contains(&magic);
            if magic != MAGIC && !skippable {
                return Err(match first {
                    true => self.algorithm.corrupt("it does not begin with 28 b5 2f fd"),
                    false => self.algorithm.trailing(rest.len()),
                });
            }
            let size = zstd_safe::find_frame_compressed_size(rest).map_err(|code| self.refusal(code))?;
            let (frame, after) = rest.split_at_checked(size).ok_or(self.algorithm.truncated())?;
            if !skippable {
                let left = limit - (output.len() - start);
                self.frame(frame, left, output).map_err(|error| match error {
                    CodecError::LimitExceeded { .. } => CodecError::LimitExceeded { limit },
                    other => other,
                })?;
            }
            if after.is_empty() {
                return Ok(());
            }
            rest = after;
        }
    }

    /// Decodes one frame to at most `limit` bytes.
    fn frame(&mut self, frame: &[u8], limit: usize, output: &mut Vec<u8>) -> Result<(), CodecError> {
        let exceeded = || CodecError::LimitExceeded { limit };
        let declared = zstd_safe::get_frame_content_size(frame)
            .map_err(|_| self.algorithm.corrupt("its frame header is not valid"))?;
        // The most that the frame's blocks can hold, from their number.
        let (bound, mut room) = match declared {
            Some(size) => {
                let size = usize::try_from(size).ok().filter(|size| *size <= limit).ok_or_else(exceeded)?;
                (size, size)
            }
            None => {
                let bound = zstd_safe::decompress_bound(frame).map_err(|code| self.refusal(code))?;
                let bound = usize::try_from(bound).unwrap_or(usize::MAX);
                (bound, bound.min(limit).min(frame.len().saturating_mul(4).max(FIRST_GUESS)))
            }
        };
        let dictionary = match zstd_safe::get_dict_id_from_frame(frame) {
            Some(id) => Some(self.dictionaries.prepared(self.algorithm, id.get())?),
            None => None,
        };
        let context = self.context.get_or_insert_with(DCtx::create);
        let start = output.len();
        loop {
            output.reserve_exact(room);
            let mut tail = Cursor::new(&mut *output);
            tail.set_position(start as u64);
            let result = match dictionary {
                Some(dictionary) => context.decompress_using_ddict(&mut tail, frame, dictionary),
                None => context.decompress(&mut tail, frame),
            };
            match result {
                // The vector may have had more capacity than was asked for.
                Ok(written) if written > limit => return Err(exceeded()),
                Ok(_) => return Ok(()),
                Err(code) if is_error_kind(code, ZSTD_error_dstSize_tooSmall) => {
                    let tried = output.capacity() - start;
                    if tried >= limit.min(bound) {
                        return Err(match bound > limit {
                            true => exceeded(),
                            false => self.algorithm.corrupt("its blocks hold more than its header says"),
                        });
                    }
                    room = tried.saturating_mul(4).min(bound).min(limit);
                }
                Err(code) => return Err(refusal(self.algorithm, code)),
            }
        }
    }

    fn refusal(&self, code: ErrorCode) -> CodecError {
        refusal(self.algorithm, code)
    }
}

/// What zstd's error code means for the caller.
fn refusal(algorithm: Algorithm, code: ErrorCode) -> CodecError {
    match is_error_kind(code, ZSTD_error_srcSize_wrong) {
        true => algorithm.truncated(),
        false => algorithm.corrupt(get_error_name(code)),
    }
}
