//! When a generator is learned, and when again. Pure; the time is handed in.
//!
//! A codec's model is renewed when the bytes that it costs too many come to the price of a training (`renewal`). What a generator
//! costs nobody can add up: it is renewed when there is a sign that the stream is no longer what it learned, or that there is
//! much more to learn from, and its trainings take a tenth of the time at most.

use std::fmt;
use std::time::Duration;

/// One that learned from fewer than one record in so many of what there is by now is learned again.
const GROWN: u64 = 4;

/// Shortest pause between two trainings, and how many times as long as a training it is.
const PAUSE: Duration = Duration::from_secs(60);
const REST: u32 = 9;

/// After trainings that led to nothing the pause is up to so many times as long.
const MOST_PATIENCE: u32 = 64;

/// Why one is learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// There is none, and enough to learn one from.
    First,
    /// There is much more to learn from than the one in use had.
    Grown,
    /// The codec's newest model saves much of what the one before it took: the stream has moved.
    Moved,
    /// What the one in use draws is judged worse than before, or blocked.
    Fallen,
    /// The one in use is as old as it may get.
    Age,
    /// Somebody wants it.
    Asked,
}

/// Why none is learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// There is too little to learn from: so many records are needed.
    TooLittle(u64),
    /// The last training is too recent, or a model was taken back.
    TooSoon,
    /// Nothing asks for it.
    Fresh,
    /// All threads that may train for minutes do, or another one's turn has not ended.
    Busy,
}

impl Reason {
    /// A word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Grown => "grown",
            Self::Moved => "moved",
            Self::Fallen => "fallen",
            Self::Age => "age",
            Self::Asked => "asked",
        }
    }
}

impl Rest {
    /// A word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TooLittle(_) => "too_little",
            Self::TooSoon => "too_soon",
            Self::Fresh => "fresh",
            Self::Busy => "busy",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::First => "there is no generator yet, and enough to learn one from",
            Self::Grown => "there is four times as much to learn from as the generator in use had",
            Self::Moved => "the stream has moved: the codec's newest model saves much of what the one before it took",
            Self::Fallen => "what the generator in use draws is judged worse than before, or blocked",
            Self::Age => "the generator in use is as old as `learn.every` lets it get",
            Self::Asked => "somebody has asked for it",
        })
    }
}

impl fmt::Display for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLittle(enough) => write!(f, "{enough} records are needed to learn a generator from"),
            Self::TooSoon => f.write_str("the last training is too recent, or a generator was taken back"),
            Self::Fresh => f.write_str("nothing asks for another generator"),
            Self::Busy => f.write_str(
                "others train or judge: `resources.training_threads` allows no more, or it is not its turn yet",
            ),
        }
    }
}

/// The account of the generator in use.
#[derive(Clone, Debug)]
pub struct Timetable {
    every: Duration,
    /// Records of the stream from which on a first one is learned.
    enough: u64,
    /// Since when it is in use here, and how many records it learned from, where that is known.
    model: Option<(Duration, Option<u64>)>,
    not_before: Duration,
    patience: u32,
    wish: Option<Reason>,
}

impl Timetable {
    /// There is none yet, and so many records are enough for one. `every` is how old one may get.
    pub fn new(every: Duration, enough: u64) -> Self {
        Self { every, enough, model: None, not_before: Duration::ZERO, patience: 1, wish: None }
    }

    /// One is in use from here on that learned from so many records, where that is known.
    pub fn taken(&mut self, at: Duration, records: Option<u64>) {
        self.model = Some((at, records));
        self.wish = None;
    }

    /// None is in use any more.
    pub fn gone(&mut self) {
        self.model = None;
    }

    /// One was taken back by hand: nothing takes the place of what is in use for as long as it may get old.
    pub fn held(&mut self, at: Duration) {
        self.not_before = at + self.every;
        self.wish = None;
    }

    /// There is a sign.
    pub fn wish(&mut self, reason: Reason) {
        if reason == Reason::Asked {
            self.not_before = Duration::ZERO;
        }
        self.wish = Some(reason);
    }

    /// Whether the last training, or a model that was taken back, is too recent for another one.
    pub fn rests(&self, at: Duration) -> bool {
        at < self.not_before
    }

    /// Whether it is time: so many records of the stream were seen, and so many are there to learn from.
    pub fn decide(&self, at: Duration, seen: u64, available: u64) -> Result<Reason, Rest> {
        if seen < self.enough {
            return Err(Rest::TooLittle(self.enough));
        }
        if self.rests(at) {
            return Err(Rest::TooSoon);
        }
        match (self.model, self.wish) {
            (_, Some(Reason::Asked)) => Ok(Reason::Asked),
            (None, _) => Ok(Reason::First),
            (Some(_), Some(wish)) => Ok(wish),
            (Some((born, _)), None) if at >= born + self.every => Ok(Reason::Age),
            (Some((_, Some(records))), None) if available / GROWN > records => Ok(Reason::Grown),
            (Some(_), None) => Err(Rest::Fresh),
        }
    }

    /// A training has ended that took so long; `led` says whether to a generator that is in use.
    pub fn trained(&mut self, at: Duration, took: Duration, led: bool) {
        self.patience = if led { 1 } else { (self.patience * 2).min(MOST_PATIENCE) };
        self.not_before = at + PAUSE.max(took * REST) * self.patience;
        self.wish = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENOUGH: u64 = 10_000;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_first_one_waits_for_records_and_the_next_for_a_sign() {
        let mut timetable = Timetable::new(seconds(3600), ENOUGH);
        assert_eq!(timetable.decide(seconds(5), ENOUGH - 1, 8_000), Err(Rest::TooLittle(ENOUGH)));
        assert_eq!(timetable.decide(seconds(5), ENOUGH, 8_000), Ok(Reason::First));
        timetable.trained(seconds(30), seconds(20), true);
        timetable.taken(seconds(30), Some(8_000));
        timetable.wish(Reason::Moved);
        assert_eq!(timetable.decide(seconds(209), 50_000, 8_000), Err(Rest::TooSoon), "nine times as long as it took");
        assert_eq!(timetable.decide(seconds(210), 50_000, 8_000), Ok(Reason::Moved));
        timetable.taken(seconds(230), Some(8_000));
        assert_eq!(timetable.decide(seconds(600), 50_000, 32_000), Err(Rest::Fresh));
        assert_eq!(timetable.decide(seconds(600), 50_000, 32_004), Ok(Reason::Grown));
        assert_eq!(timetable.decide(seconds(3830), 50_000, 8_000), Ok(Reason::Age));
    }

    #[test]
    fn what_leads_to_nothing_is_tried_ever_less_often_and_what_is_asked_for_at_once() {
        let mut timetable = Timetable::new(seconds(3600), ENOUGH);
        let mut at = seconds(0);
        for pause in [120, 240, 480] {
            timetable.trained(at, seconds(1), false);
            assert_eq!(timetable.decide(at + seconds(pause - 1), ENOUGH, ENOUGH), Err(Rest::TooSoon));
            at += seconds(pause);
            assert_eq!(timetable.decide(at, ENOUGH, ENOUGH), Ok(Reason::First));
        }
        timetable.held(at);
        assert_eq!(timetable.decide(at + seconds(3599), ENOUGH, ENOUGH), Err(Rest::TooSoon));
        timetable.wish(Reason::Asked);
        assert_eq!(timetable.decide(at, ENOUGH, ENOUGH), Ok(Reason::Asked));
    }
}
