//! Columns of held-out and generated records side by side, as coarse as a picture of them is.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::schema::{Feature, FeatureKind, Role, Schema};
use super::table::{Table, Values, sorted};

/// Columns that are overlaid at most, the first of them.
const MOST_COLUMNS: usize = 100;
/// Categories that have a bin of their own, the most frequent; all others share one.
const MOST_CATEGORIES: usize = 20;
/// Bins of a column of numbers, about.
const BINS: f64 = 24.0;
/// Longest label, in characters.
const LONGEST_LABEL: usize = 40;
/// Days of the week, as days since 1970-01-01 have them.
const WEEKDAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];

/// One feature, distributed over bins. Shares are of all records; what is missing to 1 has no number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Overlay {
    /// The column's name, and which part of it.
    pub name: String,
    /// What the bins are.
    pub bins: Bins,
    /// Of held-out records, by bin.
    pub real: Vec<f64>,
    /// Of generated records, by bin.
    pub generated: Vec<f64>,
}

/// What bins stand for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bins {
    /// Values that training records had five times or more, in front of what stands for others, NULL and absence.
    Labels(Vec<String>),
    /// Bin `i` begins at `first + i * step`, which are round numbers; the outer ones hold all that lies beyond them.
    Numbers {
        /// Where the first begins.
        first: f64,
        /// How wide each is.
        step: f64,
    },
}

/// All features that are compared, up to a hundred.
pub(super) fn overlays(schema: &Schema, real: &Table, generated: &Table) -> Vec<Overlay> {
    let features = schema.features.iter().zip(&real.features).zip(&generated.features);
    features
        .take(MOST_COLUMNS)
        .filter_map(|((feature, real), generated)| match (real, generated) {
            (Values::Numbers(real), Values::Numbers(generated)) => numbers(schema, feature, [real, generated]),
            (Values::Codes(real), Values::Codes(generated)) => Some(codes(schema, feature, [real, generated])),
            _ => None,
        })
        .collect()
}

/// A share with as many digits as a picture needs.
fn share(count: usize, all: usize) -> f64 {
    (1e5 * count as f64 / all.max(1) as f64).round() / 1e5
}

fn codes(schema: &Schema, feature: &Feature, both: [&[u32]; 2]) -> Overlay {
    let known = match feature.kind {
        FeatureKind::Codes(codes) => codes.saturating_sub(4) as usize,
        FeatureKind::Numbers => 0,
    };
    let own = known.min(MOST_CATEGORIES);
    let mut labels: Vec<String> = match &schema.columns[feature.column].role {
        Role::Category(known) => {
            let by_code: HashMap<u32, &[u8]> = known.iter().map(|(value, code)| (*code, &**value)).collect();
            (0..own as u32).map(|code| by_code.get(&code).map_or_else(String::new, |value| label(value))).collect()
        }
        _ => WEEKDAYS[..own.min(WEEKDAYS.len())].iter().map(|day| (*day).to_owned()).collect(),
    };
    // Behind the categories: all others, NULL, absent, and what is none of the column's kind.
    let behind = ["(other)", "(null)", "(absent)", "(odd)"];
    labels.resize(own, String::new());
    labels.extend(behind.map(str::to_owned));
    let bin = |code: u32| match code as usize {
        code if code < own => code,
        code if code < known => own,
        code => (own + code - known).min(own + behind.len() - 1),
    };
    let mut shares = both.map(|codes| {
        let mut counts = vec![0usize; own + behind.len()];
        codes.iter().for_each(|code| counts[bin(*code)] += 1);
        counts.into_iter().map(|count| share(count, codes.len())).collect::<Vec<f64>>()
    });
    // What neither has is not shown.
    for place in (own..own + behind.len()).rev() {
        if shares.iter().all(|shares| shares[place] == 0.0) {
            labels.remove(place);
            shares.iter_mut().for_each(|shares| {
                shares.remove(place);
            });
        }
    }
    let [real, generated] = shares;
    Overlay { name: feature.name.clone(), bins: Bins::Labels(labels), real, generated }
}

/// A value as people read it.
fn label(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(&text);
    let short: String = text.chars().take(LONGEST_LABEL).collect();
    match (short.is_empty(), short.len() < text.len()) {
        (true, _) => "(empty)".to_owned(),
        (false, true) => short + "\u{2026}",
        (false, false) => short,
    }
}

fn numbers(schema: &Schema, feature: &Feature, both: [&[f64]; 2]) -> Option<Overlay> {
    // A time of day is shown in hours.
    let scale = match &schema.columns[feature.column].role {
        Role::Time { units_a_day, .. } => 24.0 / *units_a_day as f64,
        _ => 1.0,
    };
    let all = sorted(both[0]);
    let at = |share: f64| all.get((share * (all.len().checked_sub(1)? as f64)).round() as usize).map(|at| at * scale);
    let (low, high) = (at(0.01)?, at(0.99)?);
    let step = round_step((high - low) / BINS);
    let first = (low / step).floor();
    // As many as it takes: at most twice and a half of what was asked for, since steps are 1, 2 or 5 times a power of ten.
    let bins = ((high / step).floor() - first).clamp(0.0, 4.0 * BINS) as usize + 1;
    let shares = both.map(|numbers| {
        let mut counts = vec![0usize; bins];
        for number in numbers.iter().filter(|number| !number.is_nan()) {
            let place = (number * scale / step).floor() - first;
            counts[place.clamp(0.0, (bins - 1) as f64) as usize] += 1;
        }
        counts.into_iter().map(|count| share(count, numbers.len())).collect()
    });
    let [real, generated] = shares;
    Some(Overlay { name: feature.name.clone(), bins: Bins::Numbers { first: first * step, step }, real, generated })
}

/// The least of 1, 2 and 5 times a power of ten that is not less; 1 for nothing.
fn round_step(least: f64) -> f64 {
    if least.is_nan() || least <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|times| times * power).find(|step| *step >= least).unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::{Judge, Options};

    #[test]
    fn steps_are_round() {
        for (least, step) in [(0.0, 1.0), (f64::NAN, 1.0), (0.9, 1.0), (1.1, 2.0), (23.0, 50.0), (60.0, 100.0)] {
            assert_eq!(round_step(least), step, "{least}");
        }
        assert!((round_step(0.003) - 0.005).abs() < 1e-12);
    }

    #[test]
    fn overlays_are_shares_of_all_records_and_name_no_rare_value() {
        let record = |number: usize| {
            let city = ["Split", "Zadar", "Pula"][number % 7 % 3];
            let rare = if number % 50 == 7 { format!("town {number}") } else { city.to_owned() };
            let pay = if number % 10 == 3 { "null".to_owned() } else { (number * 37 % 997).to_string() };
            format!(
                r#"{{"city":"{rare}","pay":{pay},"at":"2024-05-0{}T{:02}:10:00"}}"#,
                number % 9 + 1,
                number / 3 % 24
            )
            .into_bytes()
        };
        let records: Vec<Vec<u8>> = (0..3_000).map(record).collect();
        let part = |which: usize| records.iter().skip(which).step_by(3).map(Vec::as_slice).collect::<Vec<&[u8]>>();
        let judge = Judge::new(&part(0), &part(1), Options::default()).unwrap();
        let report = judge.judge(&part(2)).unwrap();
        let named = |name: &str| report.overlays.iter().find(|overlay| overlay.name == name).unwrap();

        let Bins::Labels(labels) = &named("city").bins else { panic!("{:?}", named("city")) };
        assert_eq!(labels.iter().filter(|label| label.starts_with("town")).count(), 0, "{labels:?}");
        assert_eq!(labels.last().unwrap(), "(other)");
        assert!((named("city").real.iter().sum::<f64>() - 1.0).abs() < 1e-3);
        let pay = named("pay");
        assert!(matches!(pay.bins, Bins::Numbers { first, step } if first == 0.0 && step == 50.0), "{pay:?}");
        for shares in [&pay.real, &pay.generated] {
            assert_eq!(shares.len(), 20);
            assert!((shares.iter().sum::<f64>() - 0.9).abs() < 0.02, "{shares:?}");
        }
        // 2024-05-01 was a Wednesday; the hours of a day are 24.
        let Bins::Labels(days) = &named("at (weekday)").bins else { panic!() };
        assert_eq!(days[6], "Wednesday");
        assert_eq!(named("at (time of day)").real.len(), 24, "{:?}", named("at (time of day)"));
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<crate::quality::Report>(&json).unwrap(), report);
    }
}
