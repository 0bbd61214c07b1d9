//! Variable-length integers (LEB128, zigzag) and a cursor that never reads past the end.

use super::FrameError;

/// Maps small magnitudes of both signs to small numbers: 0, -1, 1, -2 become 0, 1, 2, 3.
pub const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// The inverse of [`zigzag`].
pub const fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// Appends `value`, seven bits a byte, the low ones first.
pub fn put_varint(mut value: u64, output: &mut Vec<u8>) {
    while value >= 0x80 {
        output.push(value as u8 | 0x80);
        value >>= 7;
    }
    output.push(value as u8);
}

/// Appends a signed `value`: zigzag, then [`put_varint`].
pub fn put_signed(value: i64, output: &mut Vec<u8>) {
    put_varint(zigzag(value), output);
}

/// How many bytes [`put_varint`] takes for `value`.
pub const fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// A cursor over bytes from outside: every read is checked against what is left.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Reads `bytes` from byte `at` on. Errors count bytes from the start of `bytes`.
    pub fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at: at.min(bytes.len()) }
    }

    /// How many bytes have been passed.
    pub const fn at(&self) -> usize {
        self.at
    }

    /// How many bytes are left.
    pub const fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// The bytes that are left, without passing them.
    pub fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// The next `len` bytes.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], FrameError> {
        let rest = &self.bytes[self.at..];
        let taken = rest.get(..len).ok_or(FrameError::Truncated { at: self.bytes.len() })?;
        self.at += len;
        Ok(taken)
    }

    /// The next byte.
    pub fn byte(&mut self) -> Result<u8, FrameError> {
        self.take(1).map(|bytes| bytes[0])
    }

    /// The next four bytes as a little-endian number.
    pub fn u32(&mut self) -> Result<u32, FrameError> {
        self.take(4).map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// The next varint. Only the shortest form of a number is accepted, so that a number has one.
    pub fn varint(&mut self) -> Result<u64, FrameError> {
        let start = self.at;
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                if byte == 0 && shift > 0 {
                    return Err(FrameError::Corrupt { what: "a number is not in its shortest form", at: start });
                }
                return Ok(value);
            }
        }
        Err(FrameError::Corrupt { what: "a number has more than 64 bits", at: start })
    }

    /// The next signed varint.
    pub fn signed(&mut self) -> Result<i64, FrameError> {
        self.varint().map(unzigzag)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn zigzag_keeps_small_magnitudes_small() {
        assert_eq!([0, -1, 1, -2, i64::MAX, i64::MIN].map(zigzag), [0, 1, 2, 3, u64::MAX - 1, u64::MAX]);
    }

    #[test]
    fn a_number_over_64_bits_or_in_a_longer_form_is_corrupt() {
        for bytes in [&[0xff; 11][..], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2], &[0x80, 0]] {
            assert!(matches!(Reader::new(bytes, 0).varint(), Err(FrameError::Corrupt { at: 0, .. })), "{bytes:?}");
        }
        assert_eq!(Reader::new(&[0x80; 3], 0).varint(), Err(FrameError::Truncated { at: 3 }));
    }

    proptest! {
        #[test]
        fn every_number_comes_back_in_the_length_foretold(value: u64) {
            let mut bytes = Vec::new();
            put_varint(value, &mut bytes);
            prop_assert_eq!(bytes.len(), varint_len(value));
            let mut reader = Reader::new(&bytes, 0);
            prop_assert_eq!(reader.varint(), Ok(value));
            prop_assert_eq!(reader.left(), 0);
            prop_assert_eq!(unzigzag(zigzag(value as i64)), value as i64);
        }
    }
}
