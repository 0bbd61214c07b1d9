//! A gate: a value, what it must be, and what came of it.

use serde::{Deserialize, Serialize};

/// What a gate, or all of them together, came to. The worst of several is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As good as it should be.
    Pass,
    /// Worse than it should be, and not so bad that nothing may be published.
    Warn,
    /// Nothing may be published.
    Block,
}

impl Verdict {
    /// Its name in JSON and for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Block => "block",
        }
    }
}

/// Which gate. The names are those of metrics and of JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateName {
    /// How well boosted trees tell generated from held-out records: area under the ROC curve.
    C2stAuc,
    /// How alike single columns are distributed.
    ColumnShapes,
    /// How alike pairs of columns are distributed.
    ColumnPairs,
    /// Share of held-out records that have a generated one nearby.
    Coverage,
    /// How many generated records lie where held-out ones do.
    Density,
    /// Share of generated records that lie closer to a training record than to a held-out one.
    DcrShare,
    /// Share of generated records that are training records, less that of held-out ones.
    IdenticalShare,
    /// What a model that was trained on generated records is worth, relative to one of real records.
    TstrRatio,
    /// What a model gains when generated records are added to the real ones.
    Lift,
    /// Share of generated records that are of the topic's syntax and types.
    ValidShare,
    /// How far the share of NULLs of any column is off.
    NullRateError,
    /// Frechet distance of generated images to held-out ones, over that of training images.
    FrechetRatio,
    /// Kernel distance of generated images to held-out ones.
    KernelDistance,
    /// Share of generated images that are classified as what they were drawn as.
    LabelAgreement,
    /// What a classifier of generated images is worth, relative to one of real images.
    CasRatio,
}

impl GateName {
    /// Those of rows, in the order of reports.
    pub const ROWS: [Self; 11] = [
        Self::C2stAuc,
        Self::ColumnShapes,
        Self::ColumnPairs,
        Self::Coverage,
        Self::Density,
        Self::DcrShare,
        Self::IdenticalShare,
        Self::TstrRatio,
        Self::Lift,
        Self::ValidShare,
        Self::NullRateError,
    ];

    /// Those of images, in the order of reports.
    pub const IMAGES: [Self; 6] =
        [Self::FrechetRatio, Self::KernelDistance, Self::Coverage, Self::Density, Self::LabelAgreement, Self::CasRatio];

    /// Those that say whether what was learned comes back.
    pub const COPIES: [Self; 2] = [Self::DcrShare, Self::IdenticalShare];

    /// Its name in metrics and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::C2stAuc => "c2st_auc",
            Self::ColumnShapes => "column_shapes",
            Self::ColumnPairs => "column_pairs",
            Self::Coverage => "coverage",
            Self::Density => "density",
            Self::DcrShare => "dcr_share",
            Self::IdenticalShare => "identical_share",
            Self::TstrRatio => "tstr_ratio",
            Self::Lift => "lift",
            Self::ValidShare => "valid_share",
            Self::NullRateError => "null_rate_error",
            Self::FrechetRatio => "frechet_ratio",
            Self::KernelDistance => "kernel_distance",
            Self::LabelAgreement => "label_agreement",
            Self::CasRatio => "cas_ratio",
        }
    }
}

impl std::fmt::Display for GateName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// A range with neither, one or both ends, which belong to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bounds {
    /// The least value in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least: Option<f64>,
    /// The greatest value in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most: Option<f64>,
}

impl Bounds {
    /// Everything.
    pub const ANY: Self = Self { least: None, most: None };

    /// From a value on.
    pub const fn at_least(least: f64) -> Self {
        Self { least: Some(least), most: None }
    }

    /// Up to a value.
    pub const fn at_most(most: f64) -> Self {
        Self { least: None, most: Some(most) }
    }

    /// From a value to another.
    pub const fn within(least: f64, most: f64) -> Self {
        Self { least: Some(least), most: Some(most) }
    }

    /// Whether a value lies in it. What is no number does not.
    pub fn holds(&self, value: f64) -> bool {
        !value.is_nan() && self.least.is_none_or(|least| value >= least) && self.most.is_none_or(|most| value <= most)
    }
}

/// One gate, evaluated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// Which.
    pub name: GateName,
    /// What was measured.
    pub value: f64,
    /// Where chance alone may have put it: 95 of 100 times the true value lies within.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
    /// It passes within these.
    pub pass: Bounds,
    /// It blocks outside these.
    pub block: Bounds,
    /// What came of it.
    pub verdict: Verdict,
    /// What the value means, for people. Names columns, never a value of a record.
    pub explanation: String,
}

impl Gate {
    /// A gate that passes within `pass`, blocks outside `block`, and warns between.
    pub(super) fn new(name: GateName, value: f64, pass: Bounds, block: Bounds, explanation: String) -> Self {
        let verdict = match (pass.holds(value), block.holds(value)) {
            (_, false) => Verdict::Block,
            (true, true) => Verdict::Pass,
            (false, true) => Verdict::Warn,
        };
        Self { name, value, interval: None, pass, block, verdict, explanation }
    }

    /// The end of what passes that the value is closer to, for a metric of one number; `None` when everything passes.
    pub fn threshold(&self) -> Option<f64> {
        let ends = [self.pass.least, self.pass.most].into_iter().flatten();
        ends.min_by(|a, b| (a - self.value).abs().total_cmp(&(b - self.value).abs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_passes_warns_or_blocks_by_its_bounds() {
        let verdict = |value| {
            let (pass, block) = (Bounds::within(0.45, 0.65), Bounds::within(0.45, 0.80));
            Gate::new(GateName::C2stAuc, value, pass, block, String::new()).verdict
        };
        assert_eq!([0.45, 0.5, 0.65].map(verdict), [Verdict::Pass; 3]);
        assert_eq!([0.66, 0.80].map(verdict), [Verdict::Warn; 2]);
        assert_eq!([0.81, 0.44, f64::NAN].map(verdict), [Verdict::Block; 3]);
    }

    #[test]
    fn names_in_json_are_those_of_metrics() {
        for name in GateName::ROWS.into_iter().chain(GateName::IMAGES) {
            assert_eq!(serde_json::to_value(name).unwrap(), name.name());
        }
    }

    #[test]
    fn the_threshold_of_a_metric_is_the_closer_end() {
        let gate = |value, pass| Gate::new(GateName::DcrShare, value, pass, Bounds::ANY, String::new()).threshold();
        assert_eq!(gate(0.6, Bounds::within(0.45, 0.55)), Some(0.55));
        assert_eq!(gate(0.1, Bounds::within(0.45, 0.55)), Some(0.45));
        assert_eq!(gate(0.1, Bounds::at_least(0.9)), Some(0.9));
        assert_eq!(gate(0.1, Bounds::ANY), None);
    }
}
