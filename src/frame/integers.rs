//! Columns of integers in one bit stream, close to their entropy from the first few values on.
//!
//! A column is first made small: constant, distances from a level, constant steps, distances of its steps from a usual
//! step, or changes of its steps, whichever is cheapest. What remains is coded as *is it zero*, bit length, sign and
//! mantissa, each bit with a probability that this column has learned so far. All arithmetic wraps, so any `i64` comes
//! back. Every integer that is coded also goes into the digest: a decoder that went astray is noticed.

use super::{Bit, BitDecoder, BitEncoder, Digest};

/// How a column was made small. The numbers are part of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// Every value is the reference.
    Constant = 0,
    /// Values as distances from the reference.
    Level = 1,
    /// A first value; every step is the reference.
    Line = 2,
    /// A first value; steps as distances from the reference.
    Steps = 3,
    /// A first value and a first step; changes of the step.
    Bends = 4,
}

impl Shape {
    const ALL: [Self; 5] = [Self::Constant, Self::Level, Self::Line, Self::Steps, Self::Bends];
}

/// Mantissa bits below the leading one that are learned; further ones are coded as they are.
const LEARNED: u32 = 6;

/// Contexts by the previous value's bit length.
const CLASSES: usize = 3;

/// What has been learned about the values of one column.
#[derive(Debug)]
struct Model {
    /// Class of the previous value.
    class: usize,
    zero: [Bit; CLASSES],
    /// A binary tree over `length - 1`, six levels.
    length: [[Bit; 64]; CLASSES],
    sign: [Bit; 65],
    /// Per length, a binary tree over the first bits of the mantissa.
    mantissa: Box<[[Bit; 1 << LEARNED]; 65]>,
    /// Which trees of `mantissa` are not new.
    touched: u128,
}

impl Model {
    fn new() -> Self {
        Self {
            class: 0,
            zero: [Bit::NEW; CLASSES],
            length: [[Bit::NEW; 64]; CLASSES],
            sign: [Bit::NEW; 65],
            mantissa: Box::new([[Bit::NEW; 1 << LEARNED]; 65]),
            touched: 0,
        }
    }

    fn reset(&mut self) {
        self.class = 0;
        self.zero = [Bit::NEW; CLASSES];
        self.length = [[Bit::NEW; 64]; CLASSES];
        self.sign = [Bit::NEW; 65];
        while self.touched != 0 {
            self.mantissa[self.touched.trailing_zeros() as usize] = [Bit::NEW; 1 << LEARNED];
            self.touched &= self.touched - 1;
        }
    }

    fn note(&mut self, length: u32) {
        self.class = match length {
            0 => 0,
            1..=3 => 1,
            _ => 2,
        };
    }

    fn put(&mut self, value: i64, bits: &mut BitEncoder<'_>) {
        let magnitude = value.unsigned_abs();
        let length = u64::BITS - magnitude.leading_zeros();
        bits.put(length != 0, &mut self.zero[self.class]);
        if let Some(below) = length.checked_sub(1) {
            let tree = &mut self.length[self.class];
            let mut node = 1;
            for shift in (0..6).rev() {
                let bit = (below >> shift) & 1;
                bits.put(bit == 1, &mut tree[node]);
                node = node * 2 + bit as usize;
            }
            bits.put(value < 0, &mut self.sign[length as usize]);
            let tree = &mut self.mantissa[length as usize];
            self.touched |= 1 << length;
            let raw = below.saturating_sub(LEARNED);
            let mut node = 1;
            for shift in (raw..below).rev() {
                let bit = (magnitude >> shift) & 1;
                bits.put(bit == 1, &mut tree[node]);
                node = node * 2 + bit as usize;
            }
            bits.put_raw(magnitude, raw);
        }
        self.note(length);
    }

    fn get(&mut self, bits: &mut BitDecoder<'_>) -> i64 {
        if !bits.get(&mut self.zero[self.class]) {
            self.note(0);
            return 0;
        }
        let tree = &mut self.length[self.class];
        let mut node = 1;
        for _ in 0..6 {
            node = node * 2 + usize::from(bits.get(&mut tree[node]));
        }
        let below = node as u32 - 64;
        let length = below + 1;
        let negative = bits.get(&mut self.sign[length as usize]);
        let tree = &mut self.mantissa[length as usize];
        self.touched |= 1 << length;
        let raw = below.saturating_sub(LEARNED);
        let mut node = 1;
        for _ in raw..below {
            node = node * 2 + usize::from(bits.get(&mut tree[node]));
        }
        // The leading one of `node` is the leading one of the magnitude.
        let magnitude = (node as u64) << raw | bits.get_raw(raw);
        self.note(length);
        if negative { (magnitude as i64).wrapping_neg() } else { magnitude as i64 }
    }
}

/// Models of one stream, kept between streams so that their memory is made once.
#[derive(Debug)]
pub struct IntegerModels {
    shapes: Model,
    scalars: Model,
    column: Model,
}

impl IntegerModels {
    fn reset(&mut self) {
        self.shapes.reset();
        self.scalars.reset();
    }
}

impl Default for IntegerModels {
    fn default() -> Self {
        Self { shapes: Model::new(), scalars: Model::new(), column: Model::new() }
    }
}

/// Writes scalars and columns into one stream.
pub struct IntegerEncoder<'a> {
    bits: BitEncoder<'a>,
    models: &'a mut IntegerModels,
    digest: &'a mut Digest,
}

impl<'a> IntegerEncoder<'a> {
    /// Appends a stream to `output`.
    pub fn new(models: &'a mut IntegerModels, digest: &'a mut Digest, output: &'a mut Vec<u8>) -> Self {
        models.reset();
        Self { bits: BitEncoder::new(output), models, digest }
    }

    /// Writes one integer.
    pub fn scalar(&mut self, value: i64) {
        self.digest.integer(value);
        self.models.scalars.put(value, &mut self.bits);
    }

    /// Writes a column. Its length is not written: the decoder knows it.
    pub fn column(&mut self, values: &[i64]) {
        let Some(&first) = values.first() else { return };
        let plan = Plan::choose(values);
        self.shape(plan.shape);
        match plan.shape {
            Shape::Constant => self.scalar(first),
            Shape::Level => {
                self.scalar(plan.reference);
                self.residuals(values.iter().map(|v| v.wrapping_sub(plan.reference)));
            }
            Shape::Line | Shape::Steps => {
                self.scalar(first);
                self.scalar(plan.reference);
                if plan.shape == Shape::Steps {
                    self.residuals(steps(values).map(|step| step.wrapping_sub(plan.reference)));
                }
            }
            Shape::Bends => {
                self.scalar(first);
                self.scalar(plan.reference);
                self.residuals(bends(values));
            }
        }
    }

    /// Writes a column of `count` equal values.
    pub fn constant(&mut self, value: i64, count: usize) {
        if count > 0 {
            self.shape(Shape::Constant);
            self.scalar(value);
        }
    }

    /// Bytes written so far, near enough for statistics.
    pub fn len(&self) -> usize {
        self.bits.len()
    }

    /// Whether nothing has been written yet.
    pub fn is_empty(&self) -> bool {
        self.bits.is_empty()
    }

    /// Ends the stream.
    pub fn finish(self) {
        self.bits.finish();
    }

    fn shape(&mut self, shape: Shape) {
        self.digest.integer(shape as i64);
        self.models.shapes.put(shape as i64, &mut self.bits);
    }

    fn residuals(&mut self, values: impl Iterator<Item = i64>) {
        self.models.column.reset();
        for value in values {
            self.digest.integer(value);
            self.models.column.put(value, &mut self.bits);
        }
    }
}

/// Reads what [`IntegerEncoder`] wrote.
pub struct IntegerDecoder<'a> {
    bits: BitDecoder<'a>,
    models: &'a mut IntegerModels,
    digest: &'a mut Digest,
}

/// A column has a shape that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownShape;

impl<'a> IntegerDecoder<'a> {
    /// Reads a stream. Whatever its bytes are, it yields integers; the digest says whether they are the right ones.
    pub fn new(models: &'a mut IntegerModels, digest: &'a mut Digest, input: &'a [u8]) -> Self {
        models.reset();
        Self { bits: BitDecoder::new(input), models, digest }
    }

    /// Reads one integer.
    pub fn scalar(&mut self) -> i64 {
        let value = self.models.scalars.get(&mut self.bits);
        self.digest.integer(value);
        value
    }

    /// Reads a column of `count` values into `values`, which is emptied first.
    pub fn column(&mut self, count: usize, values: &mut Vec<i64>) -> Result<(), UnknownShape> {
        values.clear();
        if count == 0 {
            return Ok(());
        }
        values.reserve_exact(count);
        let shape = self.models.shapes.get(&mut self.bits);
        self.digest.integer(shape);
        let shape = Shape::ALL.into_iter().find(|s| *s as i64 == shape).ok_or(UnknownShape)?;
        match shape {
            Shape::Constant => {
                let value = self.scalar();
                values.resize(count, value);
            }
            Shape::Level => {
                let reference = self.scalar();
                self.models.column.reset();
                for _ in 0..count {
                    let residual = self.residual();
                    values.push(reference.wrapping_add(residual));
                }
            }
            Shape::Line | Shape::Steps => {
                let mut value = self.scalar();
                let reference = self.scalar();
                values.push(value);
                self.models.column.reset();
                for _ in 1..count {
                    let residual = if shape == Shape::Steps { self.residual() } else { 0 };
                    value = value.wrapping_add(reference).wrapping_add(residual);
                    values.push(value);
                }
            }
            Shape::Bends => {
                let mut value = self.scalar();
                let mut step = self.scalar();
                values.push(value);
                self.models.column.reset();
                for i in 1..count {
                    if i > 1 {
                        step = step.wrapping_add(self.residual());
                    }
                    value = value.wrapping_add(step);
                    values.push(value);
                }
            }
        }
        Ok(())
    }

    fn residual(&mut self) -> i64 {
        let value = self.models.column.get(&mut self.bits);
        self.digest.integer(value);
        value
    }
}

/// The shape that makes a column smallest.
struct Plan {
    shape: Shape,
    /// Level or step; the first step for [`Shape::Bends`].
    reference: i64,
}

impl Plan {
    fn choose(values: &[i64]) -> Self {
        let first = values.first().copied().unwrap_or(0);
        if values.iter().all(|&v| v == first) {
            return Self { shape: Shape::Constant, reference: first };
        }
        let step = values[1].wrapping_sub(first);
        if steps(values).all(|s| s == step) {
            return Self { shape: Shape::Line, reference: step };
        }
        let level = usual(values.len(), |i| values[i]);
        let usual_step = usual(values.len() - 1, |i| values[i + 1].wrapping_sub(values[i]));
        let candidates = [
            (cost(values.iter().map(|v| v.wrapping_sub(level))), Shape::Level, level),
            (cost(steps(values).map(|s| s.wrapping_sub(usual_step))), Shape::Steps, usual_step),
            (cost(bends(values)), Shape::Bends, step),
        ];
        let [(_, shape, reference), ..] = {
            let mut sorted = candidates;
            sorted.sort_by_key(|(cost, ..)| *cost);
            sorted
        };
        Self { shape, reference }
    }
}

fn steps(values: &[i64]) -> impl Iterator<Item = i64> {
    values.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]))
}

fn bends(values: &[i64]) -> impl Iterator<Item = i64> {
    values.windows(3).map(|v| v[2].wrapping_sub(v[1]).wrapping_sub(v[1].wrapping_sub(v[0])))
}

/// Roughly what coding these residuals takes, in bits.
fn cost(residuals: impl Iterator<Item = i64>) -> u64 {
    residuals.map(|r| u64::from(u64::BITS - r.unsigned_abs().leading_zeros())).sum()
}

/// The median of up to 63 of `count` values.
fn usual(count: usize, value: impl Fn(usize) -> i64) -> i64 {
    const SAMPLE: usize = 63;
    let mut sample = [0; SAMPLE];
    let len = count.min(SAMPLE);
    for (i, slot) in sample[..len].iter_mut().enumerate() {
        *slot = value(i * count / len);
    }
    sample[..len].sort_unstable();
    sample[len / 2]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encode(columns: &[Vec<i64>]) -> Vec<u8> {
        let (mut models, mut digest, mut bytes) = (IntegerModels::default(), Digest::default(), Vec::new());
        let mut encoder = IntegerEncoder::new(&mut models, &mut digest, &mut bytes);
        for column in columns {
            encoder.scalar(column.len() as i64);
            encoder.column(column);
        }
        encoder.finish();
        bytes
    }

    fn any_column() -> impl Strategy<Value = Vec<i64>> {
        let value = prop_oneof![
            any::<i64>(),
            -300..300i64,
            Just(i64::MIN),
            Just(i64::MAX),
            (0..64u32).prop_map(|shift| 1i64 << shift)
        ];
        let lines = (any::<i64>(), any::<i64>(), 0..100usize)
            .prop_map(|(a, b, n)| (0..n as i64).map(|i| a.wrapping_add(b.wrapping_mul(i))).collect());
        prop_oneof![prop::collection::vec(value, 0..100), lines]
    }

    proptest! {
        #[test]
        fn any_columns_come_back_with_the_same_digest(columns in prop::collection::vec(any_column(), 0..5)) {
            let bytes = encode(&columns);
            let (mut models, mut digest, mut values) = (IntegerModels::default(), Digest::default(), Vec::new());
            let mut decoder = IntegerDecoder::new(&mut models, &mut digest, &bytes);
            for column in &columns {
                prop_assert_eq!(decoder.scalar(), column.len() as i64);
                prop_assert_eq!(decoder.column(column.len(), &mut values), Ok(()));
                prop_assert_eq!(&values, column);
            }
            let decoded = digest.finish();
            let (mut models, mut digest) = (IntegerModels::default(), Digest::default());
            let mut again = Vec::new();
            let mut encoder = IntegerEncoder::new(&mut models, &mut digest, &mut again);
            for column in &columns {
                encoder.scalar(column.len() as i64);
                encoder.column(column);
            }
            encoder.finish();
            prop_assert_eq!(digest.finish(), decoded);
        }

        #[test]
        fn any_bytes_decode_to_something(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let (mut models, mut digest, mut values) = (IntegerModels::default(), Digest::default(), Vec::new());
            let mut decoder = IntegerDecoder::new(&mut models, &mut digest, &bytes);
            decoder.scalar();
            for count in [0, 1, 2, 1000] {
                if decoder.column(count, &mut values).is_err() {
                    break;
                }
                prop_assert_eq!(values.len(), count);
            }
        }
    }

    #[test]
    fn regular_columns_cost_next_to_nothing() {
        let offsets: Vec<i64> = (0..4096).map(|i| 123_456_789 + i).collect();
        let sizes = vec![784; 4096];
        assert!(encode(&[offsets, sizes]).len() < 20);
        let paced: Vec<i64> = (0..4096).map(|i| 1_700_000_000_000 + i * 100_000 + i % 2).collect();
        assert!(encode(&[paced]).len() < 2 * 4096 / 8);
    }
}
