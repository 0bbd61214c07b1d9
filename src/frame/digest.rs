//! The checksum of frames and blocks: the low 32 bits of XXH3-64 with seed 0.

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::header::CHECKSUM_AT;

/// The checksum of some bytes.
pub fn checksum(bytes: &[u8]) -> u32 {
    xxh3_64(bytes) as u32
}

/// The checksum of a record's frame: of its decoded content, and of every byte of the frame but the checksum itself.
///
/// The content alone would not do: many a standard stream has bits that mean nothing, and damage there would pass.
pub fn record_checksum(content: &[u8], header: &[u8; CHECKSUM_AT], body: &[u8]) -> u32 {
    let mut state = Xxh3::new();
    [content, header, body].into_iter().for_each(|part| state.update(part));
    state.digest() as u32
}

/// The checksum of content that comes in pieces: bytes, and integers as eight little-endian bytes each.
pub struct Digest {
    state: Xxh3,
    pending: [u8; Self::PENDING],
    filled: usize,
}

impl Digest {
    /// Integers are handed on in chunks: a call of the hash for eight bytes costs more than hashing them.
    const PENDING: usize = 512;

    /// Starts over.
    pub fn reset(&mut self) {
        self.state.reset();
        self.filled = 0;
    }

    /// Adds bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.flush();
        self.state.update(bytes);
    }

    /// Adds an integer.
    pub fn integer(&mut self, value: i64) {
        if self.filled == Self::PENDING {
            self.flush();
        }
        self.pending[self.filled..self.filled + 8].copy_from_slice(&value.to_le_bytes());
        self.filled += 8;
    }

    /// The checksum of everything since the start.
    pub fn finish(&mut self) -> u32 {
        self.flush();
        self.state.digest() as u32
    }

    fn flush(&mut self) {
        self.state.update(&self.pending[..self.filled]);
        self.filled = 0;
    }
}

impl Default for Digest {
    fn default() -> Self {
        Self { state: Xxh3::new(), pending: [0; Self::PENDING], filled: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_have_the_checksum_of_the_whole() {
        let mut whole = b"head".to_vec();
        let mut digest = Digest::default();
        digest.bytes(b"head");
        for value in (-100..100).map(|i| i * 1_000_003) {
            digest.integer(value);
            whole.extend_from_slice(&value.to_le_bytes());
        }
        digest.bytes(b"tail");
        whole.extend_from_slice(b"tail");
        assert_eq!(digest.finish(), checksum(&whole));
        digest.reset();
        assert_eq!(digest.finish(), checksum(b""));
    }

    #[test]
    fn a_record_s_checksum_is_that_of_its_parts_laid_end_to_end() {
        assert_eq!(record_checksum(b"content", &[1, 2, 3, 4], b"body"), checksum(b"content\x01\x02\x03\x04body"));
    }

    #[test]
    fn the_hash_is_the_published_xxh3() {
        // From the reference implementation's own test vectors: XXH3-64 of no bytes, seed 0, is 2d06800538d394c2.
        assert_eq!(checksum(b""), 0x38d3_94c2);
    }
}
