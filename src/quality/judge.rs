//! The judge: learns what real records are like, then judges generated ones.

use std::collections::HashSet;
use std::sync::Arc;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;

use super::QualityError;
use super::boost::{Told, tell_apart};
use super::distributions::{ks_complement, pair_similarity, tv_complement};
use super::gate::{Bounds, Gate, GateName, Verdict};
use super::neighbours::{Points, Space};
use super::overlay::{Overlay, overlays};
use super::report::{Judged, LeftOutColumn, Report, Rows, Skipped};
use super::sample::{choose, choose_sorted};
use super::schema::{FeatureKind, Role, Row, Schema};
use super::table::{Gaps, Table, Values};
use super::target::Target;
use super::validator::Validator;

/// Fewest records of a kind that anything is said about.
pub const LEAST_ROWS: usize = 100;
/// Rows on each side whose neighbourhoods are looked at.
const NEIGHBOUR_ROWS: usize = 2_000;
/// Which neighbour makes a neighbourhood (Naeem et al. 2020).
const NEIGHBOURS: usize = 5;
/// Pairs of columns that are compared at most.
const MAX_PAIRS: usize = 500;
/// Standard errors that 95 of 100 values lie within.
const TWO_SIDED: f64 = 1.96;
/// What real records may fall short of themselves in shapes and pairs before a threshold gives way to it: to pass, and to block.
const GIVES_WAY: [f64; 2] = [0.01, 0.05];

/// How records are judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Most records of each kind that are compared; the time of an evaluation grows with it.
    pub rows: usize,
    /// What all chance comes from.
    pub seed: u64,
    /// A column that models are trained to predict, by its name.
    pub target: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self { rows: 10_000, seed: 0, target: None }
    }
}

/// Knows real records, and judges generated ones by them. Owns all that it needs.
#[derive(Debug)]
pub struct Judge {
    schema: Arc<Schema>,
    options: Options,
    rows: [usize; 2],
    train: Table,
    holdout: Table,
    /// Of all training records.
    digests: HashSet<u128>,
    /// Held-out records that are training records too.
    repeats: usize,
    /// Of all real records.
    gaps: Gaps,
    space: Space,
    /// As many training records as held-out ones.
    near: [Points; 2],
    /// Held-out records and the radii of their neighbourhoods.
    real: (Points, Vec<f32>),
    target: Option<Target>,
}

impl Judge {
    /// Learns from the records that a generator learned from, in the order of their topic, and from others of the topic that it did
    /// not learn from. The two are to be drawn alike: a holdout of another time is another distribution.
    pub fn new(train: &[&[u8]], holdout: &[&[u8]], options: Options) -> Result<Self, QualityError> {
        for (what, records) in [("training", train), ("held-out", holdout)] {
            if records.len() < LEAST_ROWS {
                return Err(QualityError::TooFew { what, found: records.len() });
            }
        }
        let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
        let Validator { schema } = Validator::of(train, &mut rng);
        let mut table = |records: &[&[u8]]| {
            let rows = choose(records.len(), options.rows.max(LEAST_ROWS), &mut rng);
            Table::of(&schema, rows.into_iter().map(|row| records[row]))
        };
        let (train_table, holdout_table) = (table(train), table(holdout));

        let (mut digests, mut repeats, mut gaps) = (HashSet::with_capacity(train.len()), 0, Gaps::new(&schema));
        let mut row = Row::default();
        for record in train {
            schema.read(record, &mut row);
            digests.insert(schema.digest(record, &row));
            gaps.count(&schema, record, &row);
        }
        for record in holdout {
            schema.read(record, &mut row);
            repeats += usize::from(digests.contains(&schema.digest(record, &row)));
            gaps.count(&schema, record, &row);
        }

        let space = Space::of(&train_table);
        let even: Vec<usize> = (0..train_table.rows.min(holdout_table.rows)).collect();
        let near = [&train_table, &holdout_table].map(|table| space.place(&schema, &table.rows(&even)));
        let some: Vec<usize> = (0..holdout_table.rows.min(NEIGHBOUR_ROWS)).collect();
        let real = space.place(&schema, &holdout_table.rows(&some));
        let radii = real.radii(NEIGHBOURS);
        let target = options.target.as_deref().map(|name| Target::new(&schema, name, &train_table)).transpose()?;
        Ok(Self {
            schema,
            options,
            rows: [train.len(), holdout.len()],
            train: train_table,
            holdout: holdout_table,
            digests,
            repeats,
            gaps,
            space,
            near,
            real: (real, radii),
            target,
        })
    }

    /// Whether a generated record is of the topic's syntax and types. One that is not is to be dropped.
    pub fn is_valid(&self, record: &[u8]) -> bool {
        self.validator().is_valid(record)
    }

    /// Who says the same and holds no records.
    pub fn validator(&self) -> Validator {
        Validator { schema: Arc::clone(&self.schema) }
    }

    /// Judges generated records. The same records give the same report, bit by bit.
    pub fn judge(&self, generated: &[&[u8]]) -> Result<Report, QualityError> {
        if generated.len() < LEAST_ROWS {
            return Err(QualityError::TooFew { what: "generated", found: generated.len() });
        }
        let schema = &*self.schema;
        let (mut valid, mut copies, mut gaps) = (Vec::with_capacity(generated.len()), 0, Gaps::new(schema));
        let mut row = Row::default();
        for record in generated {
            schema.read(record, &mut row);
            if schema.is_valid(record, &row) {
                valid.push(*record);
                copies += usize::from(self.digests.contains(&schema.digest(record, &row)));
                gaps.count(schema, record, &row);
            }
        }
        let rows = Rows {
            train: self.rows[0],
            holdout: self.rows[1],
            generated: generated.len(),
            valid: valid.len(),
            most_compared: self.options.rows,
        };
        let mut report = Draft::default();
        if valid.len() < LEAST_ROWS {
            for name in GateName::ROWS.into_iter().filter(|name| *name != GateName::ValidShare) {
                report.skip(name, "too few generated records are valid");
            }
        } else {
            // Another stream of chance than that of the real records.
            let mut rng = ChaCha8Rng::seed_from_u64(self.options.seed);
            rng.set_stream(1);
            let chosen = choose(valid.len(), self.options.rows.max(LEAST_ROWS), &mut rng);
            let table = Table::of(schema, chosen.into_iter().map(|row| valid[row]));
            report.gates.push(self.two_samples(&table, &mut rng)?);
            self.distributions(&table, &mut rng, &mut report);
            self.neighbourhoods(&table, &mut report);
            report.gates.push(self.identical(copies, valid.len()));
            self.usefulness(&table, &mut report)?;
            report.overlays = overlays(schema, &self.holdout, &table);
        }
        report.gates.push(valid_share(&rows));
        if valid.len() >= LEAST_ROWS {
            report.gates.push(self.nulls(&gaps));
        }
        Ok(self.finish(report, rows))
    }

    /// Trees against held-out records, and against training records, whose copies they would take for real.
    fn two_samples(&self, table: &Table, rng: &mut ChaCha8Rng) -> Result<Gate, QualityError> {
        let schema = &*self.schema;
        let mut against = |real: &Table| -> Result<(Told, usize), QualityError> {
            let rows = real.rows.min(table.rows);
            let even: Vec<usize> = (0..rows).collect();
            Ok((tell_apart(schema, [&real.rows(&even), &table.rows(&even)], rng)?, rows))
        };
        let ((held_out, rows), (train, train_rows)) = (against(&self.holdout)?, against(&self.train)?);
        let rows = rows.min(train_rows) as f64;
        // Standard error of the area when nothing can be told (Mann and Whitney 1947).
        let error = ((2.0 * rows + 1.0) / 12.0).sqrt() / rows;
        let floor = 0.5 - (4.0 * error).max(0.03);
        let value = if train.auc < floor { train.auc.min(held_out.auc) } else { held_out.auc };
        let by = held_out
            .by
            .map_or_else(String::new, |feature| format!(", most of all by `{}`", schema.features[feature].name));
        let explanation = format!(
            "boosted trees tell generated from held-out records with an area under the curve of {:.3}{by}, and from training \
             records with {:.3}; 0.5 is chance, and well below it are copies",
            held_out.auc, train.auc
        );
        let mut gate =
            Gate::new(GateName::C2stAuc, value, Bounds::within(floor, 0.65), Bounds::within(floor, 0.80), explanation);
        gate.interval = Some([value - TWO_SIDED * error, value + TWO_SIDED * error]);
        Ok(gate)
    }

    /// Shapes and pairs. What real records come to among themselves bounds what can be asked for: frequencies of rare
    /// categories differ by chance.
    fn distributions(&self, table: &Table, rng: &mut ChaCha8Rng, report: &mut Draft) {
        let features = self.schema.features.len();
        let mut pairs: Vec<(usize, usize)> =
            (0..features).flat_map(|a| (a + 1..features).map(move |b| (a, b))).collect();
        if pairs.len() > MAX_PAIRS {
            pairs = choose_sorted(pairs.len(), MAX_PAIRS, rng).into_iter().map(|pair| pairs[pair]).collect();
        }
        let real = self.train.rows(&(0..self.train.rows.min(table.rows)).collect::<Vec<_>>());
        let shapes = |other: &Table| -> Scores {
            (0..features).filter_map(|feature| Some((self.shape(feature, other)?, (feature, feature)))).collect()
        };
        let trends = |other: &Table| -> Scores {
            let similarity = |(a, b): (usize, usize)| {
                let (real, other) = (&self.holdout.features, &other.features);
                pair_similarity([&real[a], &real[b]], [&other[a], &other[b]])
            };
            pairs.iter().filter_map(|pair| Some((similarity(*pair)?, *pair))).collect()
        };
        let mut gate = |name, what: &str, own: Scores, among_real: Scores, thresholds: [f64; 2]| {
            let (Some(value), Some(best)) = (mean(&own), mean(&among_real)) else {
                return report.skip(name, "no column is compared");
            };
            let pass = thresholds[0].min(best - GIVES_WAY[0]);
            let block = thresholds[1].min(best - GIVES_WAY[1]);
            let worst = own.iter().min_by(|a, b| a.0.total_cmp(&b.0)).map_or_else(String::new, |(score, (a, b))| {
                let (a, b) = (&self.schema.features[*a].name, &self.schema.features[*b].name);
                let of = if a == b { format!("`{a}`") } else { format!("`{a}` with `{b}`") };
                format!("; worst {of} with {score:.3}")
            });
            let explanation =
                format!("{what} are alike to {value:.3} on average{worst}; training records come to {best:.3}");
            report.gates.push(Gate::new(name, value, Bounds::at_least(pass), Bounds::at_least(block), explanation));
        };
        gate(GateName::ColumnShapes, "columns", shapes(table), shapes(&real), [0.95, 0.90]);
        gate(GateName::ColumnPairs, "pairs of columns", trends(table), trends(&real), [0.93, 0.85]);
    }

    /// How alike a feature is to that of held-out records.
    fn shape(&self, feature: usize, other: &Table) -> Option<f64> {
        match (&self.holdout.features[feature], &other.features[feature], self.schema.features[feature].kind) {
            (Values::Numbers(real), Values::Numbers(other), _) => ks_complement(real, other),
            // All codes but those of NULL, absent and odd.
            (Values::Codes(real), Values::Codes(other), FeatureKind::Codes(codes)) => {
                tv_complement(real, other, codes - 3)
            }
            _ => None,
        }
    }

    /// Coverage, density, and distance to the closest record.
    fn neighbourhoods(&self, table: &Table, report: &mut Draft) {
        if self.schema.features.is_empty() {
            for name in [GateName::Coverage, GateName::Density, GateName::DcrShare] {
                report.skip(name, "no column is compared");
            }
            return;
        }
        let rows = self.real.1.len().min(table.rows);
        // As many held-out rows as generated ones: fewer would cover less, however good.
        let fewer = (rows < self.real.1.len()).then(|| {
            let real = self.space.place(&self.schema, &self.holdout.rows(&(0..rows).collect::<Vec<_>>()));
            let radii = real.radii(NEIGHBOURS);
            (real, radii)
        });
        let (real, radii) = fewer.as_ref().unwrap_or(&self.real);
        let points = self.space.place(&self.schema, &table.rows(&(0..rows).collect::<Vec<_>>()));
        let within = real.within(radii, &points);
        let coverage = within.iter().filter(|count| **count > 0).count() as f64 / within.len() as f64;
        let density = within.iter().map(|count| f64::from(*count)).sum::<f64>() / (NEIGHBOURS * rows) as f64;
        let said = format!(
            "{:.1} % of held-out records have a generated one among their {NEIGHBOURS} nearest neighbours' distance",
            100.0 * coverage
        );
        report.gates.push(Gate::new(
            GateName::Coverage,
            coverage,
            Bounds::at_least(0.90),
            Bounds::at_least(0.70),
            said,
        ));
        let said = "generated records among held-out ones, relative to held-out ones among themselves; below 1 they lie where \
                    none are, above 1 they crowd where many are; reported alone";
        report.gates.push(Gate::new(GateName::Density, density, Bounds::ANY, Bounds::ANY, said.to_owned()));

        let [to_train, to_holdout] = self.near.each_ref().map(|real| points.nearest(real));
        let closer = to_train.iter().zip(&to_holdout).map(|(train, holdout)| {
            if train < holdout {
                1.0
            } else if train > holdout {
                0.0
            } else {
                0.5
            }
        });
        let share = closer.sum::<f64>() / rows as f64;
        let interval = wilson(share, rows as f64);
        let said = format!(
            "{:.1} % of generated records are closer to a training record than to a held-out one; half are when nothing is copied",
            100.0 * share
        );
        // Few records miss the range by chance.
        let chance = TWO_SIDED * 0.5 / (rows as f64).sqrt();
        let pass = Bounds::within(0.5 - chance.max(0.05), 0.5 + chance.max(0.05));
        let block = Bounds::at_most(0.5 + chance.max(0.10));
        let mut gate = Gate::new(GateName::DcrShare, share, pass, block, said);
        gate.interval = Some(interval);
        report.gates.push(gate);
    }

    /// Records that are training records in all columns that can be the same by chance.
    fn identical(&self, copies: usize, rows: usize) -> Gate {
        let share = |count: usize, rows: usize| count as f64 / rows as f64;
        let (own, expected) = (share(copies, rows), share(self.repeats, self.rows[1]));
        let variance = |share: f64, rows: usize| share * (1.0 - share) / rows as f64;
        let error = (variance(own, rows) + variance(expected, self.rows[1])).sqrt();
        let value = own - expected;
        let said = format!(
            "{:.2} % of generated records are training records, {:.2} % of held-out ones are",
            100.0 * own,
            100.0 * expected
        );
        let (pass, block) = (TWO_SIDED * error, 0.002f64.max(TWO_SIDED * error));
        let mut gate = Gate::new(GateName::IdenticalShare, value, Bounds::at_most(pass), Bounds::at_most(block), said);
        gate.interval = Some([value - TWO_SIDED * error, value + TWO_SIDED * error]);
        gate
    }

    /// Train on synthetic, test on real; and on both.
    fn usefulness(&self, table: &Table, report: &mut Draft) -> Result<(), QualityError> {
        let names = [GateName::TstrRatio, GateName::Lift];
        let Some(target) = &self.target else {
            names.into_iter().for_each(|name| report.skip(name, "no target column is named"));
            return Ok(());
        };
        let rows: Vec<usize> = (0..table.rows.min(self.train.rows)).collect();
        let (real, table) = (self.train.rows(&rows), table.rows(&rows));
        let auc = |train: &[&Table]| target.auc(&self.schema, train, &self.holdout);
        let (Some(on_real), Some(on_generated)) = (auc(&[&real])?, auc(&[&table])?) else {
            names.into_iter().for_each(|name| report.skip(name, "held-out records have one value of the target alone"));
            return Ok(());
        };
        let alone = if rows.len() == self.train.rows { Some(on_real) } else { auc(&[&self.train])? };
        let said = format!(
            "trained on {} generated records, trees predict held-out ones with an area under the curve of {on_generated:.3}; \
             trained on as many real ones, {on_real:.3}",
            rows.len()
        );
        let ratio = on_generated / on_real;
        report.gates.push(Gate::new(GateName::TstrRatio, ratio, Bounds::at_least(0.97), Bounds::at_least(0.90), said));
        if let (Some(both), Some(alone)) = (auc(&[&self.train, &table])?, alone) {
            let said = format!(
                "{} generated records beside {} real ones take the area under the curve from {alone:.4} to {both:.4}",
                rows.len(),
                self.train.rows
            );
            // A loss of lift does not block: it says what the records are not for.
            let value = both - alone;
            report.gates.push(Gate::new(GateName::Lift, value, Bounds::at_least(-LIFT_NOISE), Bounds::ANY, said));
        }
        Ok(())
    }

    /// Shares of NULL and of absent values.
    fn nulls(&self, gaps: &Gaps) -> Gate {
        let (column, error, chance) =
            gaps.furthest(&self.gaps, |column| !self.schema.is_masked(column)).unwrap_or((0, 0.0, 0.0));
        let name = self.schema.columns.get(column).map_or("", |column| column.name.as_str());
        let said = format!(
            "the share of NULL or absent values is off by {:.2} points at most, in `{name}`; chance alone makes up to {:.2}",
            100.0 * error,
            100.0 * chance
        );
        let (pass, block) = (0.01f64.max(chance), 0.05f64.max(chance));
        Gate::new(GateName::NullRateError, error, Bounds::at_most(pass), Bounds::at_most(block), said)
    }

    fn finish(&self, draft: Draft, rows: Rows) -> Report {
        let Draft { gates, skipped, overlays } = draft;
        let left_out = self.schema.columns.iter().filter_map(|column| match column.role {
            Role::LeftOut(reason) => Some(LeftOutColumn { name: column.name.clone(), reason }),
            _ => None,
        });
        let lift = gates.iter().find(|gate| gate.name == GateName::Lift);
        Report {
            verdict: gates.iter().map(|gate| gate.verdict).max().unwrap_or(Verdict::Block),
            for_training: lift.is_none_or(|gate| gate.value >= LEAST_LIFT),
            columns: Judged { compared: self.schema.features.len(), left_out: left_out.collect() },
            gates,
            skipped,
            rows,
            overlays,
        }
    }
}

/// Lifts that cannot be told from none: the fourth decimal of an area under the curve is the seed's.
const LIFT_NOISE: f64 = 0.001;
/// Below this lift, records are no training material.
const LEAST_LIFT: f64 = -0.005;

/// Similarities, each of a pair of features, or of a feature and itself.
type Scores = Vec<(f64, (usize, usize))>;

/// A report under construction.
#[derive(Default)]
struct Draft {
    gates: Vec<Gate>,
    skipped: Vec<Skipped>,
    overlays: Vec<Overlay>,
}

impl Draft {
    fn skip(&mut self, name: GateName, reason: &str) {
        self.skipped.push(Skipped { name, reason: reason.to_owned() });
    }
}

fn mean(scores: &Scores) -> Option<f64> {
    (!scores.is_empty()).then(|| scores.iter().map(|(score, _)| score).sum::<f64>() / scores.len() as f64)
}

fn valid_share(rows: &Rows) -> Gate {
    let share = rows.valid as f64 / rows.generated as f64;
    let said = format!(
        "{} of {} generated records are not of the topic's syntax and types, and are to be dropped",
        rows.generated - rows.valid,
        rows.generated
    );
    Gate::new(GateName::ValidShare, share, Bounds::at_least(1.0), Bounds::at_least(LEAST_VALID), said)
}

/// Invalid records are dropped one by one. From one in twenty on, the generator has not learned the syntax.
const LEAST_VALID: f64 = 0.95;

/// Wilson's score interval of a share (1927), 95 %.
fn wilson(share: f64, rows: f64) -> [f64; 2] {
    let z = TWO_SIDED * TWO_SIDED / rows;
    let centre = (share + z / 2.0) / (1.0 + z);
    let half = (share * (1.0 - share) * z + z * z / 4.0).sqrt() / (1.0 + z);
    [centre - half, centre + half]
}
