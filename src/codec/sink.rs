//! Where a coder writes: the tail of the caller's vector, grown geometrically, never past the cap, undone on error.

use super::{Algorithm, CodecError};

/// The tail of an output vector.
///
/// Space is handed out in zeroed chunks that double. One byte more than the cap may be handed out: a coder that fills
/// it has more to say than it may. Dropped without [`Sink::finish`], the vector is as long as it was.
pub(super) struct Sink<'a> {
    output: &'a mut Vec<u8>,
    /// Length of the vector before this sink.
    start: usize,
    /// Everything before this is real; behind it lie zeroes.
    written: usize,
    /// What the vector is cut to when the sink is dropped.
    keep: usize,
    limit: usize,
}

impl<'a> Sink<'a> {
    /// A sink that refuses more than `limit` bytes.
    pub fn capped(output: &'a mut Vec<u8>, limit: usize) -> Self {
        let start = output.len();
        Self { output, start, written: start, keep: start, limit }
    }

    /// A sink for an encoder, whose output is bounded by its input.
    pub fn unbounded(output: &'a mut Vec<u8>) -> Self {
        Self::capped(output, usize::MAX)
    }

    /// The free space, at least one byte. When there is none the vector grows by what was written so far, and by
    /// `hint` at least.
    pub fn space(&mut self, hint: usize) -> Result<&mut [u8], CodecError> {
        if self.written == self.output.len() {
            let done = self.written - self.start;
            if done > self.limit {
                return Err(CodecError::LimitExceeded { limit: self.limit });
            }
            let chunk = done.max(hint).max(64).min(self.limit.saturating_add(1) - done);
            self.output.reserve_exact(chunk);
            self.output.resize(self.written + chunk, 0);
        }
        Ok(&mut self.output[self.written..])
    }

    /// Marks `n` bytes of the last [`Sink::space`] as written.
    pub fn advance(&mut self, n: usize) {
        self.written += n;
        debug_assert!(self.written <= self.output.len());
    }

    /// Whether the next [`Sink::space`] has to grow the vector.
    pub fn is_full(&self) -> bool {
        self.written == self.output.len()
    }

    /// The bytes written through this sink from `offset` on.
    pub fn written_from(&self, offset: usize) -> &[u8] {
        &self.output[self.start + offset..self.written]
    }

    /// Number of bytes written.
    pub fn len(&self) -> usize {
        self.written - self.start
    }

    /// Copies bytes that are at hand.
    pub fn write_all(&mut self, mut bytes: &[u8]) -> Result<(), CodecError> {
        while !bytes.is_empty() {
            let space = self.space(bytes.len())?;
            let n = space.len().min(bytes.len());
            space[..n].copy_from_slice(&bytes[..n]);
            self.advance(n);
            bytes = &bytes[n..];
        }
        Ok(())
    }

    /// Keeps what was written, if the cap allows.
    pub fn finish(mut self) -> Result<(), CodecError> {
        if self.len() > self.limit {
            return Err(CodecError::LimitExceeded { limit: self.limit });
        }
        self.keep = self.written;
        Ok(())
    }
}

impl Drop for Sink<'_> {
    fn drop(&mut self) {
        self.output.truncate(self.keep);
    }
}

/// Short ways to say what is wrong with a stream.
impl Algorithm {
    pub(super) fn corrupt(self, detail: impl Into<String>) -> CodecError {
        CodecError::Corrupt { algorithm: self, detail: detail.into() }
    }
    pub(super) fn truncated(self) -> CodecError {
        CodecError::Truncated { algorithm: self }
    }
    pub(super) fn failed(self, detail: impl std::fmt::Display) -> CodecError {
        CodecError::Coder { algorithm: self, detail: detail.to_string() }
    }
    pub(super) fn trailing(self, bytes: usize) -> CodecError {
        self.corrupt(format!("{bytes} bytes follow its end"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_sink_leaves_the_vector_as_it_was() {
        let mut output = b"before".to_vec();
        let mut sink = Sink::capped(&mut output, 100);
        sink.write_all(&[1; 50]).unwrap();
        drop(sink);
        assert_eq!(output, b"before");
    }

    #[test]
    fn the_cap_is_reached_but_never_passed() {
        for written in [0usize, 1, 99, 100, 101] {
            let mut output = b"before".to_vec();
            let mut sink = Sink::capped(&mut output, 100);
            let result = sink.write_all(&vec![7; written]).and_then(|()| sink.finish());
            assert_eq!(result.is_ok(), written <= 100, "{written}");
            assert_eq!(output.len(), if written <= 100 { 6 + written } else { 6 });
            assert!(output.capacity() <= 6 + 101);
        }
    }
}
