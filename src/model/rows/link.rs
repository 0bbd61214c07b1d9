//! Numbers that others of the same record make: a total, an arrival, an hour and its minutes.
//!
//! A network that tells two numbers by bins leaves their sum to be off by the bins' widths, and whoever adds up sees it. Where a number is
//! mostly what two others make, what is learned and drawn is by how much it is *off*: mostly 0.

use crate::model::clock::{around, clock, minutes};

/// What two numbers make. A *clock* is a time of day written as a number: 1745 for a quarter to six.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Relation {
    /// The first.
    Same,
    /// `a + b`.
    Sum,
    /// `a - b`.
    Difference,
    /// `a b`.
    Product,
    /// `100 a + b`: hour and minute to a clock.
    Hundreds,
    /// A clock, and so many minutes later. What it is off is in minutes, as of [`Relation::ClockLess`].
    ClockSum,
    /// A clock, and so many minutes earlier.
    ClockLess,
    /// The minutes from the second clock to the first, -720 to 719.
    ClockMinutes,
}

/// All of them, by their number in an artefact.
pub(super) const RELATIONS: [Relation; 8] = [
    Relation::Same,
    Relation::Sum,
    Relation::Difference,
    Relation::Product,
    Relation::Hundreds,
    Relation::ClockSum,
    Relation::ClockLess,
    Relation::ClockMinutes,
];

impl Relation {
    /// Its number in an artefact.
    pub fn number(self) -> usize {
        RELATIONS.iter().position(|relation| *relation == self).expect("all relations are listed")
    }

    /// Whether the order of the two is of no account.
    pub fn is_symmetric(self) -> bool {
        matches!(self, Self::Sum | Self::Product)
    }

    fn is_clock(self) -> bool {
        matches!(self, Self::ClockSum | Self::ClockLess)
    }

    /// What two numbers make: for clocks, in minutes. `None` where it is no number, or a clock is none.
    fn made(self, [a, b]: [i64; 2]) -> Option<i64> {
        match self {
            Self::Same => Some(a),
            Self::Sum => a.checked_add(b),
            Self::Difference => a.checked_sub(b),
            Self::Product => a.checked_mul(b),
            Self::Hundreds => a.checked_mul(100)?.checked_add(b),
            Self::ClockSum => Some(minutes(a)?.checked_add(b)?.rem_euclid(1440)),
            Self::ClockLess => Some(minutes(a)?.checked_sub(b)?.rem_euclid(1440)),
            Self::ClockMinutes => Some(around(minutes(a)? - minutes(b)?)),
        }
    }

    /// By how much a number is off what two others make; `None` where [`Relation::apply`] would not give it back.
    pub fn off(self, number: i64, of: [i64; 2]) -> Option<i64> {
        let made = self.made(of)?;
        let off = if self.is_clock() { around(minutes(number)? - made) } else { number.checked_sub(made)? };
        (self.apply(of, off) == Some(number)).then_some(off)
    }

    /// The number that is so much off what two others make.
    pub fn apply(self, of: [i64; 2], off: i64) -> Option<i64> {
        let number = self.made(of)?.checked_add(off)?;
        Some(if self.is_clock() { clock(number) } else { number })
    }
}

impl Relation {
    /// The number that two others would have to make for this one to be so much off.
    pub fn wanted(self, number: i64, off: i64) -> Option<i64> {
        match self.is_clock() {
            true => Some(clock(minutes(number)?.checked_sub(off)?)),
            false => number.checked_sub(off),
        }
    }

    /// The first or second number, if they are to make this one and nothing off; for minutes the nearest to what they are.
    pub fn solved(self, number: i64, of: [i64; 2], which: usize) -> Option<i64> {
        let [a, b] = of;
        let nearest = |wanted: i64| b.checked_add(around(wanted.checked_sub(b)?));
        let divided =
            |dividend: i64, by: i64| dividend.checked_rem(by).filter(|rest| *rest == 0).map(|_| dividend / by);
        let solved = match (self, which) {
            (Self::Same, _) => number,
            (Self::Sum, 0) => number.checked_sub(b)?,
            (Self::Sum, _) => number.checked_sub(a)?,
            (Self::Difference, 0) => number.checked_add(b)?,
            (Self::Difference, _) => a.checked_sub(number)?,
            (Self::Product, 0) => divided(number, b)?,
            (Self::Product, _) => divided(number, a)?,
            (Self::Hundreds, 0) => divided(number.checked_sub(b)?, 100)?,
            (Self::Hundreds, _) => number.checked_sub(a.checked_mul(100)?)?,
            (Self::ClockSum, 0) => clock(minutes(number)?.checked_sub(b)?),
            (Self::ClockSum, _) => nearest(minutes(number)? - minutes(a)?)?,
            (Self::ClockLess, 0) => clock(minutes(number)?.checked_add(b)?),
            (Self::ClockLess, _) => nearest(minutes(a)? - minutes(number)?)?,
            (Self::ClockMinutes, 0) => clock(minutes(b)?.checked_add(number)?),
            (Self::ClockMinutes, _) => clock(minutes(a)?.checked_sub(number)?),
        };
        let then = if self == Self::Same {
            [solved; 2]
        } else if which == 0 {
            [solved, b]
        } else {
            [a, solved]
        };
        (self.apply(then, 0) == Some(number)).then_some(solved)
    }
}

/// A field that is made of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// The field.
    pub field: u16,
    /// The two that it is made of; one of them twice where it is made of one.
    pub of: [u16; 2],
    /// How.
    pub relation: Relation,
    /// The variable that says by how much it is off. Its last code says that it is not made of them: then its own variable says what it has.
    pub variable: u16,
}

impl Link {
    /// Whether one of some fields is its own, or one that it is made of.
    pub fn touches(&self, fields: &[usize]) -> bool {
        [self.field, self.of[0], self.of[1]].iter().any(|own| fields.contains(&usize::from(*own)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_two_numbers_make() {
        let off = |relation: Relation, number, of| relation.off(number, of);
        assert_eq!(off(Relation::Sum, 12, [5, 7]), Some(0));
        assert_eq!(off(Relation::Difference, 12, [20, 7]), Some(-1));
        assert_eq!(off(Relation::Product, 36, [5, 7]), Some(1));
        assert_eq!(off(Relation::Hundreds, 1745, [17, 45]), Some(0));
        assert_eq!(off(Relation::ClockSum, 5, [2355, 10]), Some(0));
        assert_eq!(off(Relation::ClockSum, 2355, [5, -11]), Some(1));
        assert_eq!(off(Relation::ClockLess, 2355, [5, 10]), Some(0));
        assert_eq!(off(Relation::ClockMinutes, 10, [5, 2355]), Some(0));
        // Midnight is written as 0: whoever writes 2400 is not made of others.
        assert_eq!(off(Relation::ClockSum, 2400, [2355, 5]), None);
        assert_eq!(off(Relation::ClockSum, 5, [2377, 10]), None);
        assert_eq!(off(Relation::Sum, 5, [i64::MAX, 10]), None);
        assert_eq!(Relation::Sum.solved(12, [5, 0], 1), Some(7));
        assert_eq!(Relation::ClockSum.solved(5, [2355, 900], 1), Some(10 + 1440));
        assert_eq!(Relation::Hundreds.solved(1745, [17, 0], 1), Some(45));
        assert_eq!(Relation::Product.solved(13, [5, 3], 1), None);
    }

    proptest! {
        #[test]
        fn a_number_that_is_off_comes_back(
            wide in prop::array::uniform2(any::<i64>()), small in prop::array::uniform2(0i64..2500), number: i64, clock in 0i64..2500,
        ) {
            for relation in RELATIONS {
                prop_assert_eq!(RELATIONS[relation.number()], relation);
                for (of, number) in [(wide, number), (small, clock), (small, number)] {
                    if let Some(off) = relation.off(number, of) {
                        prop_assert_eq!(relation.apply(of, off), Some(number), "{:?}", relation);
                        let wanted = relation.wanted(number, off).unwrap();
                        prop_assert_eq!(relation.off(wanted, of), Some(0), "{:?}", relation);
                    }
                    relation.apply(of, number);
                    for which in [0, 1] {
                        if let Some(solved) = relation.solved(number, of, which) {
                            let mut then = if relation == Relation::Same { [solved; 2] } else { of };
                            then[which] = solved;
                            prop_assert_eq!(relation.apply(then, 0), Some(number), "{:?}", relation);
                        }
                    }
                }
            }
        }
    }
}
