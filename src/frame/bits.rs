//! Binary arithmetic coding with adaptive probabilities: the entropy coder of the container's numbers.
//!
//! Integer arithmetic only, so every machine writes and reads the same bytes. A [`Bit`] starts at one half and learns;
//! its first steps are large, so that a column of fifty numbers is already cheap.

/// Probability that the next bit is 1, in 1/65536, and how often it was corrected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bit {
    p: u16,
    n: u16,
}

/// After `n` observations a probability moves by `2 / (2n + 3)` of the error, but never by less than at `LAST`.
const LAST: u16 = 127;

/// The step sizes in 1/65536.
const RATE: [u32; LAST as usize + 1] = {
    let mut rate = [0; LAST as usize + 1];
    let mut n = 0;
    while n < rate.len() {
        rate[n] = (2 << 16) / (2 * n as u32 + 3);
        n += 1;
    }
    rate
};

impl Bit {
    /// Nothing is known.
    pub const NEW: Self = Self { p: 1 << 15, n: 0 };

    fn learn(&mut self, bit: bool) {
        let rate = RATE[self.n as usize];
        // The step is less than the distance to 0 or 65536, so `p` stays within 1..=65535.
        if bit {
            self.p += (((65_536 - u32::from(self.p)) * rate) >> 16) as u16;
        } else {
            self.p -= ((u32::from(self.p) * rate) >> 16) as u16;
        }
        self.n = (self.n + 1).min(LAST);
    }
}

/// Where the interval `low..=high` is cut for a one: above `mid` is zero.
fn cut(low: u32, high: u32, p: u16) -> u32 {
    low + ((u64::from(high - low) * u64::from(p)) >> 16) as u32
}

/// Writes bits.
#[derive(Debug)]
pub struct BitEncoder<'a> {
    low: u32,
    high: u32,
    start: usize,
    output: &'a mut Vec<u8>,
}

impl<'a> BitEncoder<'a> {
    /// Appends to `output`.
    pub fn new(output: &'a mut Vec<u8>) -> Self {
        Self { low: 0, high: u32::MAX, start: output.len(), output }
    }

    /// Codes a bit with a learned probability.
    #[inline]
    pub fn put(&mut self, bit: bool, model: &mut Bit) {
        let mid = cut(self.low, self.high, model.p);
        model.learn(bit);
        self.narrow(bit, mid);
    }

    /// Codes the low `count` bits of `value`, high ones first, as they are.
    pub fn put_raw(&mut self, value: u64, count: u32) {
        for shift in (0..count).rev() {
            let mid = cut(self.low, self.high, 1 << 15);
            self.narrow((value >> shift) & 1 == 1, mid);
        }
    }

    #[inline]
    fn narrow(&mut self, bit: bool, mid: u32) {
        if bit {
            self.high = mid;
        } else {
            self.low = mid + 1;
        }
        while (self.low ^ self.high) >> 24 == 0 {
            self.output.push((self.high >> 24) as u8);
            self.low <<= 8;
            self.high = self.high << 8 | 0xff;
        }
    }

    /// Bytes written so far; up to four more are pending.
    pub fn len(&self) -> usize {
        self.output.len() - self.start
    }

    /// Whether no byte has been written yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends the stream. A decoder takes zeros for what is missing, so zeros at the end are not written.
    pub fn finish(self) {
        if self.low > 0 {
            // The top bytes differ, so this byte followed by zeros lies within the interval.
            self.output.push((self.low >> 24) as u8 + 1);
        }
        while self.output.len() > self.start && self.output.last() == Some(&0) {
            self.output.pop();
        }
    }
}

/// Reads bits. Past the end of its input it reads zeros: how much there is to decode, the caller knows.
#[derive(Clone, Debug)]
pub struct BitDecoder<'a> {
    low: u32,
    high: u32,
    code: u32,
    input: std::slice::Iter<'a, u8>,
}

impl<'a> BitDecoder<'a> {
    /// Reads what [`BitEncoder`] wrote.
    pub fn new(input: &'a [u8]) -> Self {
        let mut decoder = Self { low: 0, high: u32::MAX, code: 0, input: input.iter() };
        for _ in 0..4 {
            decoder.shift_in();
        }
        decoder
    }

    fn shift_in(&mut self) {
        self.code = self.code << 8 | u32::from(self.input.next().copied().unwrap_or(0));
    }

    /// Decodes a bit with a learned probability.
    #[inline]
    pub fn get(&mut self, model: &mut Bit) -> bool {
        let bit = self.narrow(cut(self.low, self.high, model.p));
        model.learn(bit);
        bit
    }

    /// Decodes `count` raw bits.
    pub fn get_raw(&mut self, count: u32) -> u64 {
        (0..count).fold(0, |value, _| value << 1 | u64::from(self.narrow(cut(self.low, self.high, 1 << 15))))
    }

    #[inline]
    fn narrow(&mut self, mid: u32) -> bool {
        let bit = self.code <= mid;
        if bit {
            self.high = mid;
        } else {
            self.low = mid + 1;
        }
        while (self.low ^ self.high) >> 24 == 0 {
            self.low <<= 8;
            self.high = self.high << 8 | 0xff;
            self.shift_in();
        }
        bit
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encode(bits: &[(bool, u8)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut models = [Bit::NEW; 4];
        let mut encoder = BitEncoder::new(&mut bytes);
        for &(bit, model) in bits {
            match models.get_mut(model as usize) {
                Some(model) => encoder.put(bit, model),
                None => encoder.put_raw(u64::from(bit), 1),
            }
        }
        encoder.finish();
        bytes
    }

    proptest! {
        #[test]
        fn bits_come_back(bits in prop::collection::vec((any::<bool>(), 0u8..5), 0..2000)) {
            let bytes = encode(&bits);
            let mut models = [Bit::NEW; 4];
            let mut decoder = BitDecoder::new(&bytes);
            for &(bit, model) in &bits {
                let got = match models.get_mut(model as usize) {
                    Some(model) => decoder.get(model),
                    None => decoder.get_raw(1) == 1,
                };
                prop_assert_eq!(got, bit);
            }
        }

        #[test]
        fn a_probability_never_reaches_certainty(bits in prop::collection::vec(any::<bool>(), 0..300), last: bool) {
            let mut model = Bit::NEW;
            for bit in bits.into_iter().chain(std::iter::repeat_n(last, 100_000)) {
                model.learn(bit);
                prop_assert!(model.p > 0);
            }
        }
    }

    #[test]
    fn a_thousand_equal_bits_cost_two_bytes_and_random_ones_their_own_size() {
        assert!(encode(&[(true, 0); 1000]).len() <= 2);
        assert!(encode(&[(false, 0); 1000]).len() <= 2);
        let random: Vec<_> =
            (0..8000u64).map(|i| ((i * i).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 63 == 1, 4)).collect();
        assert!((999..=1001).contains(&encode(&random).len()));
    }
}
