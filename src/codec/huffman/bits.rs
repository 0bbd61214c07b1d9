//! Bits, most significant first, and variable-length integers, for the small parts of a stream.

use crate::codec::{Algorithm, CodecError};

/// Appends bits. The last byte is filled with zeroes.
pub(super) struct BitWriter<'a> {
    bytes: &'a mut Vec<u8>,
    pending: u64,
    count: u32,
}

impl<'a> BitWriter<'a> {
    pub fn new(bytes: &'a mut Vec<u8>) -> Self {
        Self { bytes, pending: 0, count: 0 }
    }

    /// Appends the low `count` bits of `value`; at most 32.
    pub fn put(&mut self, value: u32, count: u32) {
        debug_assert!(count <= 32 && u64::from(value) < 1 << count);
        self.pending = self.pending << count | u64::from(value);
        self.count += count;
        if self.count >= 32 {
            self.count -= 32;
            self.bytes.extend_from_slice(&((self.pending >> self.count) as u32).to_be_bytes());
        }
    }

    /// Writes what is left.
    pub fn finish(self) {
        let left = (self.pending << (32 - self.count)) as u32;
        self.bytes.extend_from_slice(&left.to_be_bytes()[..self.count.div_ceil(8) as usize]);
    }
}

/// Reads bits.
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> BitReader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// The next 57 bits or more, at the top of a word. Behind the end there are zeroes.
    pub fn peek(&self) -> u64 {
        load(self.bytes, self.position)
    }

    /// Skips bits.
    pub fn skip(&mut self, count: u32) -> Result<(), CodecError> {
        self.position += count as usize;
        match self.position <= self.bytes.len() * 8 {
            true => Ok(()),
            false => Err(Algorithm::Huffman.truncated()),
        }
    }

    /// The next `count` bits, 1 to 32.
    pub fn take(&mut self, count: u32) -> Result<u32, CodecError> {
        let value = (self.peek() >> (64 - count)) as u32;
        self.skip(count)?;
        Ok(value)
    }

    /// The bytes behind the last one that was touched. The bits left in that one must be zero.
    pub fn finish(self) -> Result<&'a [u8], CodecError> {
        let used = self.position.div_ceil(8);
        let padding = used * 8 - self.position;
        if padding > 0 && self.peek() >> (64 - padding) != 0 {
            return Err(Algorithm::Huffman.corrupt("padding bits are not zero"));
        }
        Ok(&self.bytes[used..])
    }
}

/// The bits from `position` on at the top of a word, 57 at least. Behind the end there are zeroes.
pub(super) fn load(bytes: &[u8], position: usize) -> u64 {
    let byte = position / 8;
    let word = match bytes.get(byte..byte + 8) {
        Some(eight) => u64::from_be_bytes(eight.try_into().expect("eight bytes are eight bytes")),
        None => {
            let left = bytes.get(byte..).unwrap_or(&[]);
            let mut eight = [0; 8];
            eight[..left.len()].copy_from_slice(left);
            u64::from_be_bytes(eight)
        }
    };
    word << (position % 8)
}

/// Appends an integer in groups of seven bits, low ones first; the top bit of a byte says that another follows.
pub(super) fn write_varint(output: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        output.push(value as u8 | 0x80);
        value >>= 7;
    }
    output.push(value as u8);
}

/// The bytes that [`write_varint`] takes.
pub(super) fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Reads what [`write_varint`] wrote, of at most nine bytes, and no other form of the same number.
pub(super) fn read_varint(input: &mut &[u8]) -> Result<u64, CodecError> {
    let mut value = 0;
    for (i, byte) in input.iter().enumerate().take(9) {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if *byte < 0x80 {
            if *byte == 0 && i > 0 {
                return Err(Algorithm::Huffman.corrupt("a size is written longer than it has to be"));
            }
            *input = &input[i + 1..];
            return Ok(value);
        }
    }
    Err(match input.len() < 9 {
        true => Algorithm::Huffman.truncated(),
        false => Algorithm::Huffman.corrupt("a size has more than 63 bits"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_length_integers_come_back_and_have_one_form() {
        for value in [0, 1, 127, 128, 16383, 16384, (1 << 34) + 5, (1 << 63) - 1] {
            let mut bytes = Vec::new();
            write_varint(&mut bytes, value);
            assert_eq!(bytes.len(), varint_len(value));
            assert_eq!(read_varint(&mut &bytes[..]).unwrap(), value);
            for cut in 0..bytes.len() {
                assert!(matches!(read_varint(&mut &bytes[..cut]), Err(CodecError::Truncated { .. })));
            }
        }
        for bad in [&[0x80, 0][..], &[0xff; 12]] {
            assert!(matches!(read_varint(&mut &bad[..]), Err(CodecError::Corrupt { .. })));
        }
    }
}
