//! Times as what a calendar and a clock show.

use super::kind::{Clock, TimeFormat, civil_from_days, days_from_civil, days_in};

/// Year, month, day, hour, minute, second, and the fraction in units of the format's last place. What a format does not have
/// is 0.
pub type TimeParts = [i64; 7];

/// Days from 0000-01-01 to 1970-01-01.
const FIRST_DAY: i64 = 719_528;

impl TimeFormat {
    /// Which of [`TimeParts`] it writes.
    pub fn shows(&self) -> [bool; 7] {
        let (clock, seconds) = (self.clock != Clock::None, self.clock == Clock::Seconds);
        [self.date, self.date, self.date, clock, clock, seconds, self.fraction > 0]
    }

    /// The parts of a time, in units of its last place; `None` where it has no text.
    pub fn parts(&self, number: i64) -> Option<TimeParts> {
        let a_day = self.units_a_day();
        let (days, of_day) = if self.date { (number.div_euclid(a_day), number.rem_euclid(a_day)) } else { (0, number) };
        let (year, month, day) = match self.date {
            true => civil_from_days(u64::try_from(days.checked_add(FIRST_DAY)?).ok()?)?,
            false => (0, 0, 0),
        };
        let [hour, minute, second, fraction] = match (self.clock, self.units_a_second()) {
            (Clock::None, _) => [0; 4],
            (_, Some(a_second)) => {
                let seconds = of_day / a_second;
                [seconds / 3600, seconds / 60 % 60, seconds % 60, of_day % a_second]
            }
            (_, None) => [of_day / 60, of_day % 60, 0, 0],
        };
        Some([i64::from(year), i64::from(month), i64::from(day), hour, minute, second, fraction])
    }

    /// The time of these parts. A day that its month does not have is the month's last; a month that there is not is `None`.
    pub fn of_parts(&self, [year, month, day, hour, minute, second, fraction]: TimeParts) -> Option<i64> {
        let mut number = 0;
        if self.date {
            if !(0..=9999).contains(&year) || !(1..=12).contains(&month) {
                return None;
            }
            number =
                days_from_civil(year, month, day.clamp(1, days_in(year, month))).checked_mul(self.units_a_day())?;
        }
        let in_range = (0..100).contains(&hour) && (0..60).contains(&minute) && (0..60).contains(&second);
        let of_day = match (self.clock, self.units_a_second()) {
            (Clock::None, _) => 0,
            _ if !in_range => return None,
            (_, Some(a_second)) => (hour * 3600 + minute * 60 + second) * a_second + fraction.clamp(0, a_second - 1),
            (_, None) => hour * 60 + minute,
        };
        number.checked_add(of_day)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Kind;

    #[test]
    fn times_are_taken_apart_and_put_together() {
        for text in ["2013-01-01T10:00:00Z", "1999-12-31", "2024-02-29 23:59:58.125", "07:15", "25:00:01"] {
            let kind = Kind::learn(&[text.as_bytes(); 8]);
            let Kind::Time(format) = &kind else { panic!("{text} is {kind:?}") };
            let number = kind.parse(text.as_bytes()).unwrap();
            let parts = format.parts(number).unwrap();
            assert_eq!(format.of_parts(parts), Some(number), "{text}: {parts:?}");
        }
        let Kind::Time(format) = Kind::learn(&[&b"2023-02-10"[..]; 8]) else { panic!("a date is a time") };
        let last = format.of_parts([2023, 2, 31, 0, 0, 0, 0]).unwrap();
        assert_eq!(format.parts(last).unwrap()[..3], [2023, 2, 28]);
        assert_eq!(format.of_parts([2023, 13, 1, 0, 0, 0, 0]), None);
    }
}
