//! Which codec a pipeline takes: the cheapest, among those that keep within the bounds. Pure.

use std::fmt;
use std::time::Duration;

use crate::codec::CodecSpec;
use crate::cost::{Bill, Effort, Prices};
use crate::pipeline::settings::AutoSettings;

/// Share of the price that another codec must save to take the place of the one in use. Two rounds over one unchanged
/// stream differ by less, so that the choice does not swing.
const MIN_SAVING: f64 = 0.02;

/// Most of the workers' time that coding may take at the stream's present rate: what is left is for everything else, and for
/// working off a backlog.
const MOST_BUSY: f64 = 0.5;

/// What a codec took for the holdout.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tried {
    /// The codec.
    pub spec: CodecSpec,
    /// Bytes of the model that readers fetch.
    pub model_bytes: usize,
    /// Records in the holdout.
    pub records: u64,
    /// Bytes, everything that the log holds of them counted in, and CPU both ways.
    pub effort: Effort,
    /// CPU seconds to code one output record: the 99th percentile.
    pub slow_seconds: f64,
}

/// What the stream asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Bytes of records that come in each second.
    pub bytes_per_second: f64,
    /// Records that come in each second.
    pub records_per_second: f64,
    /// Threads that code them.
    pub workers: usize,
    /// How long a choice stands until it is made again.
    pub life: Duration,
}

/// By what a choice is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// What CPU and bytes cost.
    pub prices: Prices,
    /// What the user allows.
    pub bounds: AutoSettings,
}

/// Why a codec is not taken at any price.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bar {
    /// Coding an output record takes longer than `auto.max_latency`.
    Latency,
    /// Coding takes more CPU than `auto.max_cpu`.
    Cpu,
    /// The workers would not keep up with the stream.
    Rate,
}

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Latency => "slower than `auto.max_latency`",
            Self::Cpu => "more CPU than `auto.max_cpu`",
            Self::Rate => "too slow for the stream",
        })
    }
}

/// A codec with its price.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// What it took.
    pub tried: Tried,
    /// The price of 10⁶ records.
    pub bill: Bill,
    /// The price of fetching and keeping its model, shared out over the records of its life; for 10⁶ records.
    pub model: f64,
    /// Why it is not taken.
    pub bar: Option<Bar>,
}

impl Candidate {
    /// The price of 10⁶ records, everything in.
    pub fn price(&self) -> f64 {
        self.bill.total() + self.model
    }

    /// Bytes on the log for each record.
    pub fn bytes_per_record(&self) -> f64 {
        self.tried.effort.log_bytes / self.tried.records.max(1) as f64
    }

    /// 10⁶ raw bytes coded in each second of CPU.
    pub fn encode_speed(&self) -> f64 {
        self.tried.effort.raw_bytes / 1e6 / self.tried.effort.encode_seconds.max(1e-9)
    }

    /// 10⁶ raw bytes given back in each second of CPU.
    pub fn decode_speed(&self) -> f64 {
        self.tried.effort.raw_bytes / 1e6 / self.tried.effort.decode_seconds.max(1e-9)
    }
}

/// A choice, and what it was made from.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// All that were tried, in the order in which they were.
    pub candidates: Vec<Candidate>,
    /// The one to take.
    pub chosen: usize,
}

/// Prices what was tried and chooses; `incumbent` is the place of what is in use. `None` where nothing was tried.
pub fn choose(tried: &[Tried], incumbent: Option<usize>, rules: &Rules, load: &Load) -> Option<Choice> {
    let candidates: Vec<Candidate> = tried.iter().map(|tried| price(tried, rules, load)).collect();
    let cheapest = |allowed: bool| {
        let all = candidates.iter().enumerate().filter(|(_, candidate)| candidate.bar.is_none() == allowed);
        all.min_by(|(_, a), (_, b)| a.price().total_cmp(&b.price())).map(|(place, _)| place)
    };
    let chosen = match cheapest(true) {
        Some(best) => incumbent
            .filter(|&place| {
                candidates.get(place).is_some_and(|kept| {
                    kept.bar.is_none() && candidates[best].price() > kept.price() * (1.0 - MIN_SAVING)
                })
            })
            .unwrap_or(best),
        // Nothing keeps within the bounds: what comes nearest to it is the fastest.
        None => {
            let speed = |candidate: &Candidate| candidate.encode_speed();
            let fastest = candidates.iter().enumerate().max_by(|(_, a), (_, b)| speed(a).total_cmp(&speed(b)));
            fastest?.0
        }
    };
    Some(Choice { candidates, chosen })
}

fn price(tried: &Tried, rules: &Rules, load: &Load) -> Candidate {
    let Tried { effort, records, model_bytes, .. } = tried;
    let per_byte = effort.encode_seconds / effort.raw_bytes.max(1.0);
    let exceeds = |bound: Option<Duration>, seconds: f64| bound.is_some_and(|bound| seconds > bound.as_secs_f64());
    let bar = if exceeds(rules.bounds.max_latency, tried.slow_seconds) {
        Some(Bar::Latency)
    } else if exceeds(rules.bounds.max_cpu, per_byte * 1e9) {
        Some(Bar::Cpu)
    } else if per_byte * load.bytes_per_second > MOST_BUSY * load.workers.max(1) as f64 {
        Some(Bar::Rate)
    } else {
        None
    };
    let life = (load.records_per_second * load.life.as_secs_f64()).max(*records as f64).max(1.0);
    Candidate {
        tried: *tried,
        bill: rules.prices.per_million(effort, (*records).max(1) as f64),
        model: rules.prices.model(*model_bytes as f64) * 1e6 / life,
        bar,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(spec: &str, log_bytes: f64, encode_seconds: f64) -> Tried {
        Tried {
            spec: spec.parse().unwrap(),
            model_bytes: 0,
            records: 10_000,
            effort: Effort { raw_bytes: 3e6, log_bytes, encode_seconds, decode_seconds: 0.01 },
            slow_seconds: encode_seconds / 30.0,
        }
    }

    fn contest() -> Vec<Tried> {
        vec![
            tried("zstd:3", 400_000.0, 0.01),
            tried("zstd:19", 300_000.0, 1.0),
            tried("xz:6", 296_000.0, 3.0),
            tried("lz4", 600_000.0, 0.005),
        ]
    }

    fn rules(prices: Prices) -> Rules {
        Rules { prices, bounds: AutoSettings { learns: true, max_latency: None, max_cpu: None } }
    }

    const SLOW: Load =
        Load { bytes_per_second: 3e4, records_per_second: 100.0, workers: 1, life: Duration::from_secs(21_600) };

    fn chosen(tried: &[Tried], incumbent: Option<usize>, rules: &Rules, load: &Load) -> String {
        let choice = choose(tried, incumbent, rules, load).unwrap();
        choice.candidates[choice.chosen].tried.spec.to_string()
    }

    #[test]
    fn the_price_of_bytes_and_of_cpu_decide() {
        // Bytes as they cost by default: 10⁵ bytes are 4.4e-5, two CPU seconds 2.2e-5.
        assert_eq!(chosen(&contest(), None, &rules(Prices::default()), &SLOW), "zstd:19");
        let dear = Prices { cpu_hour: 40.0, ..Prices::default() };
        assert_eq!(chosen(&contest(), None, &rules(dear), &SLOW), "zstd:3");
        let dearer = Prices { cpu_hour: 4.0e5, ..Prices::default() };
        assert_eq!(chosen(&contest(), None, &rules(dearer), &SLOW), "lz4");
        let free = Prices { cpu_hour: 0.0, ..Prices::default() };
        assert_eq!(chosen(&contest(), None, &rules(free), &SLOW), "xz:6");
    }

    #[test]
    fn what_is_in_use_stays_for_a_small_saving_and_goes_for_a_larger_one() {
        let free = rules(Prices { cpu_hour: 0.0, ..Prices::default() });
        assert_eq!(chosen(&contest(), Some(1), &free, &SLOW), "zstd:19", "xz saves 1.3 %");
        assert_eq!(chosen(&contest(), Some(0), &free, &SLOW), "xz:6");
    }

    #[test]
    fn bounds_and_the_streams_rate_bar_what_is_too_slow() {
        let free = rules(Prices { cpu_hour: 0.0, ..Prices::default() });
        // xz codes 1 MB/s, zstd-19 3 MB/s: at 2 MB/s one would be busy all of the time, the other for two thirds of it.
        let fast = Load { bytes_per_second: 2e6, ..SLOW };
        assert_eq!(chosen(&contest(), Some(1), &free, &fast), "zstd:3");
        assert_eq!(chosen(&contest(), None, &free, &Load { workers: 2, ..fast }), "zstd:19");
        let bounds = AutoSettings { max_latency: Some(Duration::from_millis(50)), ..free.bounds };
        assert_eq!(chosen(&contest(), None, &Rules { bounds, ..free }, &SLOW), "zstd:19");
        let bounds = AutoSettings { max_cpu: Some(Duration::from_secs(300)), ..free.bounds };
        assert_eq!(chosen(&contest(), None, &Rules { bounds, ..free }, &SLOW), "zstd:3");
        let bounds = AutoSettings { max_cpu: Some(Duration::from_micros(1)), ..free.bounds };
        assert_eq!(
            chosen(&contest(), None, &Rules { bounds, ..free }, &SLOW),
            "lz4",
            "the fastest, where none will do"
        );
    }

    #[test]
    fn a_model_costs_what_it_takes_to_fetch_and_to_keep_shared_by_the_records_of_its_life() {
        let mut all = contest();
        all.push(Tried { model_bytes: 1_000_000, ..tried("zstd-dict", 250_000.0, 0.01) });
        assert_eq!(chosen(&all, None, &rules(Prices::default()), &SLOW), "zstd-dict");
        // A record saves 5 bytes of 0.44 a gigabyte; the model costs 1.8e-4, so that it takes 82,000 records.
        let quiet = Load { records_per_second: 1.0, ..SLOW };
        assert_eq!(chosen(&all, None, &rules(Prices::default()), &quiet), "zstd:19");
    }

    #[test]
    fn of_nothing_nothing_is_chosen() {
        assert_eq!(choose(&[], None, &rules(Prices::default()), &SLOW), None);
    }
}
