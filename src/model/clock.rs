//! Times of day that are written as numbers: 1745 for a quarter to six.

/// Minutes of a clock, 0 to 1440; `None` when it is none.
pub(super) fn minutes(clock: i64) -> Option<i64> {
    ((0..=2400).contains(&clock) && clock % 100 < 60).then(|| clock / 100 * 60 + clock % 100)
}

/// The clock of so many minutes.
pub(super) fn clock(minutes: i64) -> i64 {
    let minutes = minutes.rem_euclid(1440);
    minutes / 60 * 100 + minutes % 60
}

/// The shorter way round the clock, -720 to 719.
pub(super) fn around(minutes: i64) -> i64 {
    (minutes + 720).rem_euclid(1440) - 720
}
