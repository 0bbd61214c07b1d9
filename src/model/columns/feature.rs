//! What a context looks at.

use crate::frame::{FrameError, Reader, put_varint};

use super::registers::{REGISTERS, Registers, is_number, mix};

/// Most features of one context.
pub(super) const MAX_FEATURES: usize = 4;

/// What is taken of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Aspect {
    /// The value.
    Value = 0,
    /// Its last decimal digit.
    Digit = 1,
    /// Its last two.
    TwoDigits = 2,
    /// All but the last.
    Tens = 3,
    /// All but the last two.
    Hundreds = 4,
    /// Its sign, and the number of its bits.
    Magnitude = 5,
    /// Whether the column's last two values are the same.
    Same = 6,
    /// The last value less the one before it.
    Step = 7,
    /// Whether it is a number, a known text, or another.
    Class = 8,
}

impl Aspect {
    pub const ALL: [Self; 9] = [
        Self::Value,
        Self::Digit,
        Self::TwoDigits,
        Self::Tens,
        Self::Hundreds,
        Self::Magnitude,
        Self::Same,
        Self::Step,
        Self::Class,
    ];
}

/// Which value of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum When {
    /// The last one.
    Now = 0,
    /// The last but one.
    Before = 1,
    /// That of the last record with the same key.
    Kept = 2,
}

impl When {
    pub const ALL: [Self; 3] = [Self::Now, Self::Before, Self::Kept];
}

/// One aspect of one register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Feature {
    pub aspect: Aspect,
    pub column: u16,
    pub when: When,
}

impl Aspect {
    /// Of a value, and of the one before it in its column.
    #[inline]
    pub fn of(self, value: i64, before: i64) -> i64 {
        match self {
            Self::Value => value,
            Self::Digit => value % 10,
            Self::TwoDigits => value % 100,
            Self::Tens => value / 10,
            Self::Hundreds => value / 100,
            Self::Magnitude => {
                let length = i64::from(u64::BITS - value.unsigned_abs().leading_zeros());
                if value < 0 { -length } else { length }
            }
            Self::Same => i64::from(value == before),
            Self::Step => value.wrapping_sub(before),
            Self::Class => {
                if is_number(value) {
                    0
                } else {
                    (value - super::registers::TEXT).min(1 << 40)
                }
            }
        }
    }
}

/// Features whose values together choose a distribution.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Context {
    pub features: Vec<Feature>,
}

/// A context that is ready for coding: its features lie side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    looks: [Look; MAX_FEATURES],
    count: usize,
}

/// A feature that is ready for coding: where its registers are among [`Registers::all`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    value: u16,
    before: u16,
    aspect: Aspect,
}

impl Look {
    const fn new(feature: Feature) -> Self {
        // There are 4097 columns at most.
        let first = feature.column * REGISTERS as u16;
        Self { value: first + feature.when as u16, before: first + When::Before as u16, aspect: feature.aspect }
    }

    #[inline(always)]
    fn of(self, registers: &[i64]) -> i64 {
        let value = registers[usize::from(self.value)];
        // Most look at that.
        if self.aspect == Aspect::Value { value } else { self.aspect.of(value, registers[usize::from(self.before)]) }
    }
}

impl Key {
    /// Of a context of [`MAX_FEATURES`] features at most.
    pub fn new(context: &Context) -> Self {
        let mut looks = [Look { value: 0, before: 0, aspect: Aspect::Value }; MAX_FEATURES];
        looks.iter_mut().zip(&context.features).for_each(|(look, feature)| *look = Look::new(*feature));
        Self { looks, count: context.features.len() }
    }

    /// What its distributions are found by.
    #[inline(always)]
    pub fn of(&self, registers: &Registers) -> u32 {
        let mut hash = 0;
        for look in &self.looks[..self.count.min(MAX_FEATURES)] {
            hash = mix(hash, look.of(registers.all()));
        }
        hash as u32
    }
}

impl Context {
    /// What its distributions are found by.
    pub fn key(&self, registers: &Registers) -> u32 {
        Key::new(self).of(registers)
    }

    /// Appends the context's bytes.
    pub fn write(&self, output: &mut Vec<u8>) {
        output.push(self.features.len() as u8);
        for feature in &self.features {
            output.push(feature.aspect as u8 | (feature.when as u8) << 6);
            put_varint(u64::from(feature.column), output);
        }
    }

    /// Reads what [`Context::write`] has written; features are of fewer than `columns` columns.
    pub fn read(input: &mut Reader<'_>, columns: usize) -> Result<Self, FrameError> {
        let at = input.at();
        let corrupt = || FrameError::Corrupt { what: "there is no such context", at };
        let count = usize::from(input.byte()?);
        if count > MAX_FEATURES {
            return Err(corrupt());
        }
        let mut features = Vec::with_capacity(count);
        for _ in 0..count {
            let byte = input.byte()?;
            let aspect = *Aspect::ALL.get(usize::from(byte & 0x3f)).ok_or_else(corrupt)?;
            let when = *When::ALL.get(usize::from(byte >> 6)).ok_or_else(corrupt)?;
            let column =
                usize::try_from(input.varint()?).ok().filter(|column| *column < columns).ok_or_else(corrupt)?;
            features.push(Feature { aspect, column: column as u16, when });
        }
        Ok(Self { features })
    }
}
