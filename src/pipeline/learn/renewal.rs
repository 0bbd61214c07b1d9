//! When a model is made anew: when the bytes that the one in use has cost too many come to the price of a training. Pure;
//! the time is handed in.
//!
//! Renting skis or buying them: nobody knows how long a drift lasts, and a training costs the same today and tomorrow. Who
//! pays the excess until it adds up to the price, and then trains, pays at most twice what the best plan in hindsight would
//! have cost (Karlin, Manasse, Rudolph and Sleator, "Competitive snoopy caching", 1988); and where the excess grows steadily
//! with a model's age that is the best plan: with excess c·t and price P the cost by time, P/T + c·T/2, is least where the
//! excess so far, c·T²/2, is P.
//!
//! The *excess* is what records take beyond what a model made today is expected to take. Nobody knows that without making
//! one; two things tell, and the larger excess counts. First, the share of plain zstd's bytes that the model in use took when
//! it was made, of what plain zstd takes now, so that records which have only become longer are no drift; and a little less
//! where there is more to learn from now than then. Second, what trainings were worth so far: each was judged against the
//! model before it, and what it saved after so many records is expected of the next one in proportion to the age. Only what
//! this process reads is counted: a group of several saves more than is seen here.

use std::fmt;
use std::time::Duration;

use crate::cost::Prices;
use crate::model::MIN_SAVING;

/// Shortest pause between two trainings.
const MIN_PAUSE: Duration = Duration::from_secs(30);

/// A training is followed by a pause so many times as long: a tenth of a core at most goes into trainings.
const REST: u32 = 9;

/// Pause after a training that led to no first model.
const FIRST_RETRY: Duration = Duration::from_secs(60);

/// Share of the bytes that is expected to be saved by learning from so much more: twice as much as 1 MiB saves 12 %, twice
/// as much as that half of it, and so on. `columns` on flights: 21 % from 1.1 to 4.5 MB, 3.5 % from there to 18 MB
/// (`docs/codecs/columns.md`).
fn saved_by_more(from: usize, to: usize) -> f64 {
    let mebibytes = |bytes: usize| bytes.max(1) as f64 / f64::from(1 << 20);
    (0.24 * (1.0 / mebibytes(from) - 1.0 / mebibytes(to))).clamp(0.0, 0.5)
}

/// Most times the price that the excess must come to after trainings that led to nothing.
const MOST_PATIENCE: f64 = 64.0;

/// What renewals are decided by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// Longest time between two trainings.
    pub every: Duration,
    /// What CPU and bytes cost.
    pub prices: Prices,
}

/// What records take, in bytes each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measure {
    /// Under the codec and the model in use.
    pub model: f64,
    /// Under zstd without a model.
    pub plain: f64,
}

/// How a training ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ended {
    /// With a model that is in use from here on.
    Replaced {
        /// What the newest records took when it was made.
        measure: Measure,
        /// Bytes of the model; 0 where none is needed.
        artefact_bytes: usize,
    },
    /// What was in use stays: nothing better came of it. What the newest records took then, where there was a model.
    Kept(Option<Measure>),
}

/// A training, told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Training {
    /// When it ended.
    pub at: Duration,
    /// How long it took.
    pub took: Duration,
    /// CPU time that it took.
    pub cpu_seconds: f64,
    /// Bytes that it had to learn from.
    pub sample_bytes: usize,
    /// Share of the bytes that its model saves of what the one in use takes, on the same records; less than 0 where it takes
    /// more. `None` where none was in use.
    pub gain: Option<f64>,
    /// How it ended.
    pub ended: Ended,
}

/// What to do now, and why.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decision {
    /// Train.
    Train(Cause),
    /// Go on as it is.
    Wait(Wait),
}

/// Why a training is due.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cause {
    /// There is no model, and enough to learn one from.
    First,
    /// The excess has come to the price.
    PaysOff {
        /// The excess since the model was made, in money.
        owed: f64,
        /// What a new model costs.
        price: f64,
    },
    /// The model is as old as it may get.
    Age,
    /// Somebody wants it.
    Asked,
}

impl Cause {
    /// A word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::PaysOff { .. } => "pays_off",
            Self::Age => "age",
            Self::Asked => "asked",
        }
    }
}

/// Why no training is due.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wait {
    /// There is too little to learn from.
    TooLittle,
    /// The last training is too recent.
    TooSoon,
    /// Nothing was read since the last training.
    NothingNew,
    /// All threads that may train for minutes do, or another one's turn has not ended.
    Busy,
    /// Somebody took a model back: nothing is made in its place for a while.
    Held,
    /// The excess has not come to the price.
    NotPaid {
        /// The excess since the model was made, in money.
        owed: f64,
        /// What it must come to.
        price: f64,
    },
    /// The newest records take about what they are expected to take.
    NoDrift,
}

impl Wait {
    /// A word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TooLittle => "too_little",
            Self::TooSoon => "too_soon",
            Self::NothingNew => "nothing_new",
            Self::Busy => "busy",
            Self::Held => "held",
            Self::NotPaid { .. } => "not_paid",
            Self::NoDrift => "no_drift",
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Train(Cause::First) => f.write_str("there is no model yet, and enough to learn one from"),
            Self::Train(Cause::PaysOff { owed, price }) => {
                write!(f, "the model in use has cost {owed:.2e} too much, and a new one costs {price:.2e}")
            }
            Self::Train(Cause::Age) => f.write_str("the model in use is as old as `learn.every` lets it get"),
            Self::Train(Cause::Asked) => f.write_str("somebody has asked for it"),
            Self::Wait(Wait::TooLittle) => f.write_str("there is too little to learn from yet"),
            Self::Wait(Wait::TooSoon) => f.write_str("the last training is too recent"),
            Self::Wait(Wait::NothingNew) => f.write_str("nothing was read since the last training"),
            Self::Wait(Wait::Busy) => {
                f.write_str("others train or judge: trainings of minutes wait for `resources.training_threads`, those of seconds for their turn")
            }
            Self::Wait(Wait::Held) => f.write_str("a model was taken back, and nothing is made in its place yet"),
            Self::Wait(Wait::NotPaid { owed, price }) => {
                write!(f, "the model in use has cost {owed:.2e} too much, and a new one costs {price:.2e}")
            }
            Self::Wait(Wait::NoDrift) => f.write_str("the newest records take what they are expected to take"),
        }
    }
}

/// The figures behind a decision.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// Bytes that the newest records take, each.
    pub live: Option<f64>,
    /// Bytes that they would take with a model made now, as expected.
    pub expected: Option<f64>,
    /// The excess since the model was made, in money.
    pub owed: f64,
    /// What a new model costs.
    pub price: f64,
}

/// The account of a model in use.
#[derive(Debug)]
pub struct Renewal {
    terms: Terms,
    model: Option<InUse>,
    last: Option<Last>,
    held_until: Duration,
    /// Records of the stream when the model was made.
    born: u64,
    /// What trainings save in proportion to the age of the model before them.
    worth: Option<Worth>,
    /// Records of the stream that the account covers.
    covered: u64,
    owed: f64,
    price: f64,
    patience: f64,
    /// The newest look: what records took, and what they were expected to take.
    live: Option<(f64, f64)>,
}

/// What is known of the model in use.
#[derive(Clone, Copy, Debug)]
struct InUse {
    /// Its bytes as a share of plain zstd's when it was made.
    share: f64,
    /// Bytes that it was learned from.
    sample_bytes: usize,
}

/// What trainings have saved.
#[derive(Clone, Copy, Debug)]
struct Worth {
    /// Share of the bytes that one saves, for each record of the stream since the model before it was made.
    per_record: f64,
    /// Share of the bytes that one saves.
    gain: f64,
}

impl Worth {
    /// A training saved this share after so many records. The newest counts for a half.
    fn of(before: Option<Self>, gain: f64, age: f64) -> Self {
        let gain = gain.clamp(0.0, 1.0);
        let new = Self { per_record: gain / age.max(1.0), gain };
        before.map_or(new, |before| Self {
            per_record: (before.per_record + new.per_record) / 2.0,
            gain: (before.gain + new.gain) / 2.0,
        })
    }

    /// The share that one would save of a model of this age. No more is expected than was seen.
    fn after(&self, age: f64) -> f64 {
        (self.per_record * age).min(self.gain)
    }
}

/// The last training, or the moment when a model of another process was taken.
#[derive(Clone, Copy, Debug)]
struct Last {
    at: Duration,
    rest: Duration,
    records: u64,
}

impl Renewal {
    /// An account without a model.
    pub fn new(terms: Terms) -> Self {
        Self {
            terms,
            model: None,
            last: None,
            held_until: Duration::ZERO,
            born: 0,
            worth: None,
            covered: 0,
            owed: 0.0,
            price: 0.0,
            patience: 1.0,
            live: None,
        }
    }

    /// A model is in use that was not made here, of which may be known what it took when it was made, and what its training
    /// cost.
    pub fn taken(
        &mut self,
        at: Duration,
        records: u64,
        born: Option<Measure>,
        cpu_seconds: f64,
        artefact_bytes: usize,
    ) {
        self.model = born.map(|born| InUse { share: share(born), sample_bytes: usize::MAX });
        self.born = records;
        self.last = Some(Last { at, rest: MIN_PAUSE, records });
        self.price = self.price_of(cpu_seconds, artefact_bytes);
        self.settle(records);
        self.patience = 1.0;
    }

    /// The model was taken back: what is in use now stays so for as long as a model may get old.
    pub fn held(&mut self, at: Duration) {
        self.held_until = at + self.terms.every;
    }

    /// No model is in use any more.
    pub fn gone(&mut self, at: Duration, records: u64) {
        self.model = None;
        self.last = Some(Last { at, rest: FIRST_RETRY.min(self.terms.every), records });
        self.settle(records);
    }

    fn price_of(&self, cpu_seconds: f64, artefact_bytes: usize) -> f64 {
        self.terms.prices.cpu(cpu_seconds) + self.terms.prices.model(artefact_bytes as f64)
    }

    fn settle(&mut self, records: u64) {
        (self.owed, self.live, self.covered) = (0.0, None, records);
    }

    /// A training has ended, after so many records of the stream.
    pub fn trained(&mut self, training: &Training, records: u64) {
        let rest = match (&training.ended, &self.model) {
            // Until there is a model, more of the stream may be all that is missing.
            (Ended::Kept(_), None) => FIRST_RETRY.min(self.terms.every),
            _ => MIN_PAUSE.max(training.took * REST).min(self.terms.every),
        };
        self.last = Some(Last { at: training.at, rest, records });
        let sample_bytes = training.sample_bytes;
        if let Some(gain) = training.gain {
            self.worth = Some(Worth::of(self.worth, gain, records.saturating_sub(self.born) as f64));
        }
        match training.ended {
            Ended::Replaced { measure, artefact_bytes } => {
                self.born = records;
                self.model = Some(InUse { share: share(measure), sample_bytes });
                self.price = self.price_of(training.cpu_seconds, artefact_bytes);
                self.patience = 1.0;
            }
            Ended::Kept(measure) => {
                // What was expected of a new model did not come: what is in use is what a new one would be.
                if let Some(measure) = measure {
                    self.model = Some(InUse { share: share(measure), sample_bytes });
                }
                self.patience = (self.patience * 2.0).min(MOST_PATIENCE);
            }
        }
        self.settle(records);
    }

    /// The newest records of the stream, of which so many were read by now, take this; so much is there to learn from.
    pub fn look(&mut self, records: u64, measure: Measure, sample_bytes: usize) {
        let new = records.saturating_sub(self.covered) as f64;
        self.covered = self.covered.max(records);
        let Some(model) = self.model else { return };
        let by_share = model.share * measure.plain * (1.0 - saved_by_more(model.sample_bytes, sample_bytes));
        let age = records.saturating_sub(self.born) as f64;
        let by_worth = measure.model * (1.0 - self.worth.map_or(0.0, |worth| worth.after(age)));
        let expected = by_share.min(by_worth);
        self.live = Some((measure.model, expected));
        let excess = self.terms.prices.log_bytes((measure.model - expected) * new);
        self.owed = (self.owed + excess).max(0.0);
    }

    /// Whether it is time, after so many records of the stream; `enough` says whether a first model can be made of them.
    pub fn decide(&self, at: Duration, records: u64, enough: bool) -> Decision {
        let Some(last) = self.last else {
            return if enough { Decision::Train(Cause::First) } else { Decision::Wait(Wait::TooLittle) };
        };
        if at < self.held_until {
            return Decision::Wait(Wait::Held);
        }
        let age = at.saturating_sub(last.at);
        if age < last.rest {
            return Decision::Wait(Wait::TooSoon);
        }
        if records <= last.records {
            return Decision::Wait(Wait::NothingNew);
        }
        // After a restart too: what was kept of the stream before it is gone.
        if !enough {
            return Decision::Wait(Wait::TooLittle);
        }
        if self.model.is_none() {
            return Decision::Train(Cause::First);
        }
        if age >= self.terms.every {
            return Decision::Train(Cause::Age);
        }
        match self.live {
            Some((live, expected)) if (live - expected) >= MIN_SAVING * live => {
                let (owed, price) = (self.owed, self.price * self.patience);
                if owed >= price {
                    Decision::Train(Cause::PaysOff { owed, price })
                } else {
                    Decision::Wait(Wait::NotPaid { owed, price })
                }
            }
            _ => Decision::Wait(Wait::NoDrift),
        }
    }

    /// The figures that it decides by.
    pub fn figures(&self) -> Figures {
        Figures {
            live: self.live.map(|(live, _)| live),
            expected: self.live.map(|(_, expected)| expected),
            owed: self.owed,
            price: self.price * self.patience,
        }
    }
}

fn share(measure: Measure) -> f64 {
    measure.model / measure.plain.max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A model of 5 bytes where zstd takes 40, made at second 10 of 10,000 records a second, for nine CPU seconds.
    fn renewal() -> Renewal {
        let mut renewal = Renewal::new(Terms { every: HOUR, prices: Prices::default() });
        let ended = Ended::Replaced { measure: Measure { model: 5.0, plain: 40.0 }, artefact_bytes: 100_000 };
        let training =
            Training { at: seconds(10), took: seconds(9), cpu_seconds: 9.0, sample_bytes: 6 << 20, gain: None, ended };
        renewal.trained(&training, 100_000);
        renewal
    }

    /// The second of the next training and its cause, where the newest records take this at each second of its age.
    fn next(renewal: &mut Renewal, measure: impl Fn(u64) -> Measure) -> Option<(u64, Cause)> {
        (11..8_000).find_map(|now| {
            renewal.look(now * 10_000, measure(now - 10), 6 << 20);
            match renewal.decide(seconds(now), now * 10_000, true) {
                Decision::Train(cause) => Some((now, cause)),
                Decision::Wait(_) => None,
            }
        })
    }

    #[test]
    fn the_first_model_is_made_as_soon_as_there_is_enough() {
        let renewal = Renewal::new(Terms { every: HOUR, prices: Prices::default() });
        assert_eq!(renewal.decide(seconds(1), 100, false), Decision::Wait(Wait::TooLittle));
        assert_eq!(renewal.decide(seconds(1), 100, true), Decision::Train(Cause::First));
    }

    #[test]
    fn a_stream_that_does_not_change_is_trained_on_again_only_when_the_model_is_old() {
        let same = |_| Measure { model: 5.05, plain: 40.0 };
        assert_eq!(next(&mut renewal(), same), Some((3610, Cause::Age)));
        // Records that have become twice as long have not drifted.
        let longer = |age| Measure { model: 5.0 + age as f64, plain: 40.0 + 8.0 * age as f64 };
        assert_eq!(next(&mut renewal(), longer), Some((3610, Cause::Age)));
    }

    #[test]
    fn drift_is_trained_away_when_its_excess_has_come_to_the_price() {
        // The price: 9 s at 0.04 an hour and 0.1 MB moved twice and kept once. The excess: half a byte of each record.
        let price: f64 = 9.0 / 3600.0 * 0.04 + 1e5 / 1e9 * 0.18;
        let a_second = 0.5 * 1e4 / 1e9 * (4.0 * 0.05 + 3.0 * 0.08);
        let due = 10 + (price / a_second).ceil() as u64;
        assert!(due < 91, "{due}");
        // But not within nine times of what the last one took.
        let drifted = |_| Measure { model: 5.5, plain: 40.0 };
        let Some((now, Cause::PaysOff { owed, price: said })) = next(&mut renewal(), drifted) else { panic!() };
        assert_eq!(now, 10 + 81);
        assert!((said - price).abs() < 1e-12 && owed >= price, "{owed} {said} {price}");
        // A tenth of the drift takes ten times as long.
        let Some((now, Cause::PaysOff { .. })) = next(&mut renewal(), |_| Measure { model: 5.15, plain: 40.0 }) else {
            panic!()
        };
        let a_second = a_second * 0.3;
        assert_eq!(now, 10 + (price / a_second).ceil() as u64);
    }

    #[test]
    fn steady_drift_is_paid_for_at_the_period_of_least_cost() {
        // The excess grows by c a second: the best period is √(2P/c).
        let growth = 2e-4;
        let price: f64 = 9.0 / 3600.0 * 0.04 + 1e5 / 1e9 * 0.18;
        let c = growth * 1e4 / 1e9 * (4.0 * 0.05 + 3.0 * 0.08);
        let best = (2.0 * price / c).sqrt();
        let Some((now, Cause::PaysOff { .. })) =
            next(&mut renewal(), |age| Measure { model: 5.0 + growth * age as f64, plain: 40.0 })
        else {
            panic!()
        };
        let period = (now - 10) as f64;
        assert!((period - best).abs() <= best * 0.02 + 1.0, "{period} is not {best}");
    }

    #[test]
    fn a_training_that_led_to_nothing_makes_the_next_one_wait_longer() {
        let drifted = |_: u64| Measure { model: 5.5, plain: 40.0 };
        let mut renewal = renewal();
        let mut at = 10;
        let mut pauses = Vec::new();
        for _ in 0..4 {
            let from = at;
            loop {
                at += 1;
                renewal.look(at * 10_000, drifted(at), 6 << 20);
                if matches!(renewal.decide(seconds(at), at * 10_000, true), Decision::Train(_)) {
                    break;
                }
            }
            pauses.push(at - from);
            // The candidate took what the model in use takes: from here on that is what is expected.
            let ended = Ended::Kept(Some(Measure { model: 5.5, plain: 44.0 }));
            let training = Training {
                at: seconds(at),
                took: seconds(9),
                cpu_seconds: 9.0,
                sample_bytes: 6 << 20,
                gain: None,
                ended,
            };
            renewal.trained(&training, at * 10_000);
        }
        assert!(pauses.windows(2).all(|pair| pair[1] >= pair[0]) && pauses[3] > pauses[0], "{pauses:?}");
    }

    #[test]
    fn more_to_learn_from_is_worth_a_training_when_the_stream_is_large_enough() {
        let mut renewal = renewal();
        renewal.look(2_000_000, Measure { model: 5.0, plain: 40.0 }, 24 << 20);
        let figures = renewal.figures();
        assert_eq!(figures.expected, Some(5.0 * (1.0 - 0.24 * (1.0 / 6.0 - 1.0 / 24.0))));
        assert!(figures.owed > figures.price);
    }

    #[test]
    fn what_a_training_was_worth_is_expected_of_the_next_one_though_nothing_else_shows_it() {
        let mut renewal = renewal();
        // After two million records a training saved a fifth of the bytes; the records are as hard for the new model as they
        // were for the one before it when that was new.
        let ended = Ended::Replaced { measure: Measure { model: 5.0, plain: 40.0 }, artefact_bytes: 100_000 };
        let training = Training {
            at: seconds(210),
            took: seconds(3),
            cpu_seconds: 3.0,
            sample_bytes: 6 << 20,
            gain: Some(0.2),
            ended,
        };
        renewal.trained(&training, 2_100_000);
        renewal.look(3_100_000, Measure { model: 5.0, plain: 40.0 }, 6 << 20);
        assert_eq!(renewal.figures().expected, Some(4.5), "half of it after half of the time");
        assert!(matches!(renewal.decide(seconds(310), 3_100_000, true), Decision::Train(Cause::PaysOff { .. })));
        // One that saves nothing takes half of the hope away.
        let ended = Ended::Kept(Some(Measure { model: 5.0, plain: 40.0 }));
        renewal.trained(&Training { at: seconds(313), gain: Some(-0.01), ended, ..training }, 3_100_000);
        renewal.look(12_100_000, Measure { model: 5.0, plain: 40.0 }, 6 << 20);
        assert_eq!(renewal.figures().expected, Some(4.5), "a tenth, however old it is");
    }

    #[test]
    fn what_was_taken_back_by_hand_is_not_replaced_at_once() {
        let mut renewal = renewal();
        renewal.gone(seconds(100), 1_000_000);
        renewal.held(seconds(100));
        assert_eq!(renewal.decide(seconds(200), 2_000_000, true), Decision::Wait(Wait::Held));
        assert_eq!(renewal.decide(seconds(3700), 2_000_000, true), Decision::Train(Cause::First));
    }

    #[test]
    fn a_model_of_another_process_is_watched_like_ones_own() {
        let mut renewal = Renewal::new(Terms { every: HOUR, prices: Prices::default() });
        renewal.taken(seconds(10), 100_000, Some(Measure { model: 5.0, plain: 40.0 }), 9.0, 100_000);
        assert_eq!(next(&mut renewal, |_| Measure { model: 5.0, plain: 40.0 }), Some((3610, Cause::Age)));
        assert_eq!(
            renewal.decide(2 * HOUR, 1 << 40, false),
            Decision::Wait(Wait::TooLittle),
            "there is not enough here yet"
        );
    }
}
