//! A table as it is written into a model.
//!
//! One byte: `bits - 1` in its low four bits, an order `k` in the high ones. A varint: the number of symbols. Then bits,
//! the highest of a byte first, symbol by symbol until the frequencies sum to `2^bits`; the symbols behind have 0, and
//! the last symbol of the alphabet takes what is left without a bit. A frequency is an exponential Golomb number of
//! order `k` (Teuhola 1978): `v / 2^k + 1` in Elias's gamma code, and the low `k` bits of `v`. Behind a frequency of 0
//! stands how many more follow, plus one, as a gamma code, and then the next frequency less one. Zero bits fill the
//! last byte.

use super::{EntropyError, MAX_BITS};
use crate::frame::{FrameError, Reader, put_varint};

/// Gamma codes are of numbers up to 2^17, exclusive: a frequency plus one.
const GAMMA_BITS: u32 = 17;

/// Appends the table of these frequencies, which sum to `2^bits`.
pub(super) fn write(frequencies: &[u32], bits: u32, output: &mut Vec<u8>) {
    let cost = |order: &u32| numbers(frequencies, bits).map(|number| u64::from(number.len(*order))).sum::<u64>();
    let order = (0..MAX_BITS).min_by_key(cost).expect("there are 16 orders");
    output.push(((bits - 1) | (order << 4)) as u8);
    put_varint(frequencies.len() as u64, output);
    let (mut pending, mut count) = (0u64, 0);
    for number in numbers(frequencies, bits) {
        // At most 2 * 17 - 1 + 15 bits beside the seven that wait.
        let (value, len) = (number.code(order), number.len(order));
        (pending, count) = ((pending << len) | value, count + len);
        while count >= 8 {
            count -= 8;
            output.push((pending >> count) as u8);
        }
    }
    if count > 0 {
        output.push((pending << (8 - count)) as u8);
    }
}

/// What is written of a table.
#[derive(Clone, Copy)]
enum Number {
    /// A frequency, in an exponential Golomb code.
    Frequency(u32),
    /// A number of zeroes, in a gamma code.
    Zeroes(u32),
}

impl Number {
    fn len(self, order: u32) -> u32 {
        match self {
            Self::Frequency(value) => 2 * ((value >> order) + 1).ilog2() + 1 + order,
            Self::Zeroes(count) => 2 * count.ilog2() + 1,
        }
    }

    fn code(self, order: u32) -> u64 {
        match self {
            Self::Frequency(value) => u64::from((value >> order) + 1) << order | u64::from(value) & ((1 << order) - 1),
            Self::Zeroes(count) => u64::from(count),
        }
    }
}

/// The numbers of a table, in the order of writing.
fn numbers(frequencies: &[u32], bits: u32) -> impl Iterator<Item = Number> {
    let mut left = 1 << bits;
    let mut at = 0;
    let mut zeroes = None;
    std::iter::from_fn(move || {
        if let Some(count) = zeroes.take() {
            at += count as usize;
            // The run that was announced is over; its first zero was written as a frequency.
            return Some(Number::Zeroes(count));
        }
        if left == 0 || at + 1 == frequencies.len() {
            return None;
        }
        let frequency = frequencies[at];
        left -= frequency;
        if frequency == 0 {
            zeroes = Some(frequencies[at..].iter().take_while(|frequency| **frequency == 0).count() as u32);
            return Some(Number::Frequency(0));
        }
        let behind_zeroes = at > 0 && frequencies[at - 1] == 0;
        at += 1;
        Some(Number::Frequency(frequency - u32::from(behind_zeroes)))
    })
}

/// Reads the frequencies of a table of `limit` symbols at most, and how many bits they have.
pub(super) fn read(reader: &mut Reader<'_>, limit: usize) -> Result<(Vec<u32>, u32), EntropyError> {
    let header = u32::from(reader.byte().map_err(outside)?);
    let (bits, order) = (header % 16 + 1, header / 16);
    let symbols = reader.varint().map_err(outside)?;
    let symbols = usize::try_from(symbols).unwrap_or(usize::MAX);
    if symbols > limit {
        return Err(EntropyError::LimitExceeded { limit, needed: symbols });
    }
    if symbols == 0 {
        return Err(EntropyError::Corrupt { what: "a table has no symbols" });
    }
    let mut numbers = Bits { bytes: reader.rest(), at: 0 };
    let mut frequencies = Vec::with_capacity(symbols);
    let mut left = 1u32 << bits;
    let mut behind_zeroes = false;
    while left > 0 {
        if frequencies.len() + 1 == symbols {
            frequencies.push(left);
            break;
        }
        let frequency = numbers.frequency(order)? + u32::from(behind_zeroes);
        left =
            left.checked_sub(frequency).ok_or(EntropyError::Corrupt { what: "a table's frequencies are too many" })?;
        behind_zeroes = frequency == 0;
        match behind_zeroes {
            false => frequencies.push(frequency),
            true => {
                let end = frequencies.len() + numbers.gamma()? as usize;
                if end >= symbols {
                    return Err(EntropyError::Corrupt {
                        what: "a table ends in zeroes before its frequencies are all there",
                    });
                }
                frequencies.resize(end, 0);
            }
        }
    }
    frequencies.resize(symbols, 0);
    let used = numbers.finish()?;
    reader.take(used).map_err(outside)?;
    Ok((frequencies, bits))
}

fn outside(error: FrameError) -> EntropyError {
    match error {
        FrameError::Truncated { .. } => EntropyError::Truncated,
        _ => EntropyError::Corrupt { what: "a table's number of symbols is no varint" },
    }
}

/// Bits from outside, the highest of a byte first.
struct Bits<'a> {
    bytes: &'a [u8],
    /// How many bits were passed.
    at: usize,
}

impl Bits<'_> {
    /// The next 57 bits or more, at the top. Behind the end there are zeroes.
    fn peek(&self) -> u64 {
        let mut eight = [0; 8];
        for (byte, from) in eight.iter_mut().zip(&self.bytes[self.at / 8..]) {
            *byte = *from;
        }
        u64::from_be_bytes(eight) << (self.at % 8)
    }

    fn pass(&mut self, count: u32) -> Result<(), EntropyError> {
        let at = self.at + count as usize;
        if at > self.bytes.len() * 8 {
            return Err(EntropyError::Truncated);
        }
        self.at = at;
        Ok(())
    }

    /// The next `count` bits, 32 at most.
    fn take(&mut self, count: u32) -> Result<u32, EntropyError> {
        let value = self.peek().unbounded_shr(u64::BITS - count) as u32;
        self.pass(count)?;
        Ok(value)
    }

    /// The next gamma code, of a number that is at least 1.
    fn gamma(&mut self) -> Result<u32, EntropyError> {
        let zeroes = self.peek().leading_zeros();
        self.pass(zeroes.min(GAMMA_BITS))?;
        match zeroes < GAMMA_BITS {
            true => self.take(zeroes + 1),
            false => Err(EntropyError::Corrupt { what: "a table has a frequency over 65,536" }),
        }
    }

    /// The next exponential Golomb code; below 2^32.
    fn frequency(&mut self, order: u32) -> Result<u32, EntropyError> {
        let high = self.gamma()? - 1;
        Ok(high.saturating_mul(1 << order).saturating_add(self.take(order)?))
    }

    /// How many bytes were begun. What was left of the last one must be zeroes.
    fn finish(self) -> Result<usize, EntropyError> {
        let used = self.at.div_ceil(8);
        let padding = used * 8 - self.at;
        match padding > 0 && self.peek() >> (u64::BITS as usize - padding) != 0 {
            true => Err(EntropyError::Corrupt { what: "a table's padding bits are not zero" }),
            false => Ok(used),
        }
    }
}
