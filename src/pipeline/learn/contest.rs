//! Codecs that were tried on the same records, to choose among them.

use std::collections::BTreeMap;

use super::audition::{PATIENCE, audition};
use super::carriage::{CarriageError, Manner};
use super::choice::{Choice, Load, Rules, Tried, choose};
use super::{CpuClock, Setup};
use crate::codec::{Algorithm, CodecSpec};
use crate::model::manifest::metric;
use crate::record::RecordRef;

/// Something better than what is in use.
#[derive(Clone, Debug)]
pub struct Better {
    /// What to code with.
    pub setup: Setup,
    /// The settings of its model's making, for the manifest.
    pub config: serde_json::Value,
    /// What the next training of its model can begin with.
    pub state: Option<Vec<u8>>,
}

impl Better {
    /// Something that was not made now.
    pub fn known(setup: Setup) -> Self {
        Self { setup, config: serde_json::Value::Null, state: None }
    }
}

/// What was tried in a choice.
#[derive(Debug)]
pub struct Contest {
    /// What there is to choose among.
    pub contenders: Vec<Better>,
    /// What each came to.
    pub tried: Vec<Tried>,
    /// The place of what is in use among them.
    pub in_use: Option<usize>,
}

impl Contest {
    /// Chooses.
    pub fn choose(&self, rules: &Rules, load: &Load) -> Option<Choice> {
        choose(&self.tried, self.in_use, rules, load)
    }

    /// What was chosen, where it is something else than what is in use.
    pub fn better(&self, choice: &Choice) -> Option<&Better> {
        self.contenders.get(choice.chosen).filter(|_| Some(choice.chosen) != self.in_use)
    }
}

/// Lets a codec carry records.
pub fn try_one(
    setup: &Setup,
    records: &[RecordRef<'_>],
    manner: &Manner,
    clock: CpuClock<'_>,
) -> Result<Tried, CarriageError> {
    audition(setup.spec, &mut *setup.alone()?, records, manner, clock, PATIENCE)
}

/// The figures of a choice for the manifest of the chosen model.
pub fn figures(choice: &Choice) -> BTreeMap<String, f64> {
    let mut figures = BTreeMap::new();
    let mut note = |name: &str, value: f64| {
        figures.insert(name.to_owned(), value);
    };
    if let Some(chosen) = choice.candidates.get(choice.chosen) {
        note(metric::CANDIDATE, chosen.bytes_per_record());
        note(metric::HOLDOUT_RECORDS, chosen.tried.records as f64);
        note(metric::RAW, chosen.tried.effort.raw_bytes / chosen.tried.records.max(1) as f64);
        note(metric::PRICE, chosen.price());
    }
    let zstd = CodecSpec::with_level(Algorithm::Zstd, 3);
    if let Some(plain) = choice.candidates.iter().find(|one| Some(one.tried.spec) == zstd) {
        note(metric::PLAIN, plain.bytes_per_record());
    }
    figures
}
