//! What a number is expected to be: the base that its difference is coded to.

use crate::frame::{FrameError, Reader, put_varint};

use super::registers::{Registers, is_number};
use crate::model::clock::{around, clock, minutes};

/// An expectation made of registers. Where a register that it takes holds a text, that counts as 0.
///
/// A *clock* is a time of day written as a number: 1745 for a quarter to six.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Base {
    /// 0: the number itself is coded.
    #[default]
    Nothing,
    /// The last value of a column.
    Last(u16),
    /// That of a clock column; the difference is coded in minutes, round the clock.
    Clock(u16),
    /// The last value of the column itself, and as much more as that of another grew last.
    Grown(u16, u16),
    /// The sum of two columns.
    Sum(u16, u16),
    /// The difference of two columns.
    Difference(u16, u16),
    /// A clock column and so many minutes; the difference is coded as that of [`Base::Clock`].
    ClockSum(u16, u16),
    /// A clock column less so many minutes.
    ClockLess(u16, u16),
    /// The minutes from the second clock column to the first, -720 to 719.
    ClockMinutes(u16, u16),
    /// A column in hundreds, rounded towards zero.
    Hundreds(u16),
    /// What is left of a column without its hundreds.
    Rest(u16),
    /// The hour that four columns name (year, month, day, hour), in units of `second` since `offset`.
    Hour {
        /// The four columns.
        parts: [u16; 4],
        /// Units of the column in a second, times the column's own unit.
        second: i64,
        /// Divides the units.
        unit: i64,
        /// Is subtracted from the units first.
        offset: i64,
    },
    /// A column times a number.
    Times(u16, i64),
    /// What a column was in the last record with the same key.
    Kept(u16),
}

impl Base {
    /// Whether it is what the column itself was before.
    pub fn goes_on(self, column: usize) -> bool {
        let own = |a: u16| usize::from(a) == column;
        match self {
            Self::Last(a) | Self::Clock(a) | Self::Grown(a, _) | Self::Kept(a) => own(a),
            _ => false,
        }
    }

    /// Whether differences are in minutes.
    fn is_clock(self) -> bool {
        matches!(self, Self::Clock(_) | Self::ClockSum(..) | Self::ClockLess(..))
    }

    /// The expectation; for clocks in minutes.
    #[inline(always)]
    pub fn of(&self, column: usize, registers: &Registers) -> i64 {
        let number = |register: i64| if is_number(register) { register } else { 0 };
        match *self {
            Self::Nothing => 0,
            Self::Last(a) => number(registers.now(usize::from(a))),
            Self::Kept(a) => number(registers.kept(usize::from(a))),
            _ => self.made_of(column, registers),
        }
    }

    /// [`Base::of`], where there is more to it than a register.
    #[inline(never)]
    fn made_of(&self, column: usize, registers: &Registers) -> i64 {
        let number = |register: i64| if is_number(register) { register } else { 0 };
        let last = |column: u16| number(registers.now(usize::from(column)));
        match *self {
            Self::Nothing => 0,
            Self::Last(a) => last(a),
            Self::Kept(a) => number(registers.kept(usize::from(a))),
            Self::Clock(a) => minutes(last(a)).unwrap_or(0),
            Self::Grown(own, a) => {
                let before = number(registers.before(usize::from(a)));
                debug_assert_eq!(usize::from(own), column);
                last(own).wrapping_add(last(a).wrapping_sub(before))
            }
            Self::Sum(a, b) => last(a).wrapping_add(last(b)),
            Self::Difference(a, b) => last(a).wrapping_sub(last(b)),
            Self::ClockSum(a, b) => minutes(last(a)).unwrap_or(0).wrapping_add(last(b)).rem_euclid(1440),
            Self::ClockLess(a, b) => minutes(last(a)).unwrap_or(0).wrapping_sub(last(b)).rem_euclid(1440),
            Self::ClockMinutes(a, b) => match (minutes(last(a)), minutes(last(b))) {
                (Some(a), Some(b)) => around(a - b),
                _ => 0,
            },
            Self::Hundreds(a) => last(a) / 100,
            Self::Rest(a) => last(a) % 100,
            Self::Hour { parts, second, unit, offset } => {
                let [year, month, day, hour] = parts.map(last);
                let fits = (0..10_000).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
                if !fits || !(0..=24).contains(&hour) {
                    return 0;
                }
                let hours = crate::payload::fields::days_from_civil(year, month, day) * 24 + hour;
                hours.wrapping_mul(3600).wrapping_mul(second).wrapping_sub(offset).wrapping_div(unit.max(1))
            }
            Self::Times(a, factor) => last(a).wrapping_mul(factor),
        }
    }

    /// What is coded for a number where so much was expected; `None` when [`Base::apply`] would not give it back.
    #[inline]
    pub fn difference(self, number: i64, expected: i64) -> Option<i64> {
        if self.is_clock() {
            let difference = around(minutes(number)? - expected);
            return (clock(expected + difference) == number).then_some(difference);
        }
        Some(number.wrapping_sub(expected))
    }

    /// The number that differs so from what was expected.
    #[inline]
    pub fn apply(self, expected: i64, difference: i64) -> i64 {
        let number = expected.wrapping_add(difference);
        if self.is_clock() { clock(number) } else { number }
    }

    /// The columns whose registers it takes.
    pub fn columns(self) -> impl Iterator<Item = u16> {
        let columns = match self {
            Self::Nothing => [None; 4],
            Self::Last(a) | Self::Clock(a) | Self::Hundreds(a) | Self::Rest(a) | Self::Times(a, _) | Self::Kept(a) => {
                [Some(a), None, None, None]
            }
            Self::Grown(a, b)
            | Self::Sum(a, b)
            | Self::Difference(a, b)
            | Self::ClockSum(a, b)
            | Self::ClockLess(a, b)
            | Self::ClockMinutes(a, b) => [Some(a), Some(b), None, None],
            Self::Hour { parts, .. } => parts.map(Some),
        };
        columns.into_iter().flatten()
    }

    /// Appends the base's bytes.
    pub fn write(self, output: &mut Vec<u8>) {
        let mut put = |tag: u8, numbers: &[i64]| {
            output.push(tag);
            numbers.iter().for_each(|number| put_varint(*number as u64, output));
        };
        let wide = i64::from;
        match self {
            Self::Nothing => put(0, &[]),
            Self::Last(a) => put(1, &[wide(a)]),
            Self::Clock(a) => put(2, &[wide(a)]),
            Self::Grown(a, b) => put(3, &[wide(a), wide(b)]),
            Self::Sum(a, b) => put(4, &[wide(a), wide(b)]),
            Self::Difference(a, b) => put(5, &[wide(a), wide(b)]),
            Self::ClockSum(a, b) => put(6, &[wide(a), wide(b)]),
            Self::ClockLess(a, b) => put(7, &[wide(a), wide(b)]),
            Self::ClockMinutes(a, b) => put(8, &[wide(a), wide(b)]),
            Self::Hundreds(a) => put(9, &[wide(a)]),
            Self::Rest(a) => put(10, &[wide(a)]),
            Self::Hour { parts: [a, b, c, d], second, unit, offset } => {
                put(11, &[wide(a), wide(b), wide(c), wide(d), second, unit, offset]);
            }
            Self::Times(a, factor) => put(12, &[wide(a), factor]),
            Self::Kept(a) => put(13, &[wide(a)]),
        }
    }

    /// Reads what [`Base::write`] has written, of column `own` among `columns`.
    pub fn read(input: &mut Reader<'_>, own: usize, columns: usize) -> Result<Self, FrameError> {
        let at = input.at();
        let corrupt = || FrameError::Corrupt { what: "there is no such base", at };
        let tag = input.byte()?;
        let mut column = || -> Result<u16, FrameError> {
            let column = usize::try_from(input.varint()?).ok().filter(|column| *column < columns);
            Ok(column.ok_or_else(corrupt)? as u16)
        };
        Ok(match tag {
            0 => Self::Nothing,
            1 => Self::Last(column()?),
            2 => Self::Clock(column()?),
            3 => match (column()?, column()?) {
                (a, b) if usize::from(a) == own => Self::Grown(a, b),
                _ => return Err(corrupt()),
            },
            4 => Self::Sum(column()?, column()?),
            5 => Self::Difference(column()?, column()?),
            6 => Self::ClockSum(column()?, column()?),
            7 => Self::ClockLess(column()?, column()?),
            8 => Self::ClockMinutes(column()?, column()?),
            9 => Self::Hundreds(column()?),
            10 => Self::Rest(column()?),
            11 => {
                let parts = [column()?, column()?, column()?, column()?];
                let [second, unit, offset] = [input.varint()?, input.varint()?, input.varint()?].map(|v| v as i64);
                Self::Hour { parts, second, unit, offset }
            }
            12 => Self::Times(column()?, input.varint()? as i64),
            13 => Self::Kept(column()?),
            _ => return Err(corrupt()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bases() -> Vec<Base> {
        vec![
            Base::Nothing,
            Base::Last(1),
            Base::Clock(1),
            Base::Grown(0, 1),
            Base::Sum(1, 2),
            Base::Difference(1, 2),
            Base::ClockSum(1, 2),
            Base::ClockLess(1, 2),
            Base::ClockMinutes(1, 2),
            Base::Hundreds(1),
            Base::Rest(2),
            Base::Hour { parts: [0, 1, 2, 3], second: 1000, unit: 60, offset: -5 },
            Base::Times(1, -1000),
            Base::Kept(2),
        ]
    }

    fn registers(now: [i64; 4], before: [i64; 4]) -> Registers {
        let mut registers = Registers::new(4);
        for (column, (now, before)) in now.into_iter().zip(before).enumerate() {
            registers.push(column, before);
            registers.push(column, now);
        }
        registers
    }

    #[test]
    fn bases_expect_what_they_say() {
        let of = |base: Base, now| base.of(0, &registers(now, [1, 10, 0, 0]));
        assert_eq!(of(Base::ClockMinutes(1, 2), [0, 5, 2355, 0]), 10);
        assert_eq!(clock(of(Base::ClockSum(1, 2), [0, 2355, 10, 0])), 5);
        assert_eq!(clock(of(Base::ClockLess(1, 2), [0, 5, 10, 0])), 2355);
        assert_eq!(of(Base::Grown(0, 1), [100, 15, 0, 0]), 105);
        assert_eq!(of(Base::Hundreds(1), [0, 1745, 0, 0]), 17);
        assert_eq!(of(Base::Rest(1), [0, 1745, 0, 0]), 45);
        let hour = Base::Hour { parts: [0, 1, 2, 3], second: 1, unit: 3600, offset: 0 };
        assert_eq!(of(hour, [2013, 1, 1, 10]), 1_357_034_400 / 3600);
    }

    #[test]
    fn bases_come_back_from_their_bytes() {
        for base in bases() {
            let mut bytes = Vec::new();
            base.write(&mut bytes);
            assert_eq!(Base::read(&mut Reader::new(&bytes, 0), 0, 4).unwrap(), base);
            assert!(Base::read(&mut Reader::new(&bytes, 0), 0, 0).is_err() || base == Base::Nothing);
        }
    }

    proptest! {
        #[test]
        fn a_number_comes_back_whatever_was_expected(
            now: [i64; 4], before: [i64; 4], small in prop::array::uniform4(0i64..2500), number: i64, clock in 0i64..2500,
        ) {
            for base in bases() {
                for registers in [registers(now, before), registers(small, small)] {
                    let expected = base.of(0, &registers);
                    for number in [number, clock] {
                        if let Some(difference) = base.difference(number, expected) {
                            prop_assert_eq!(base.apply(expected, difference), number, "{:?}", base);
                        }
                    }
                    base.apply(expected, number);
                }
            }
        }
    }
}
