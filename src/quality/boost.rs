//! Gradient-boosted trees, and how well they tell two classes apart.

use forust_ml::gradientbooster::{GrowPolicy, ImportanceMethod};
use forust_ml::objective::ObjectiveType;
use forust_ml::{GradientBooster, Matrix};
use rand_chacha::ChaCha8Rng;

use super::QualityError;
use super::sample;
use super::schema::{FeatureKind, Presence, Schema};
use super::table::{Table, Values};

/// Trees, their size and how fast they learn: the defaults of LightGBM and of scikit-learn's histogram boosting.
const TREES: usize = 100;
const LEAVES: usize = 31;
const RATE: f32 = 0.1;
/// Most halvings of a tree: keeps one that isolates rows one by one from growing deep.
const DEPTH: usize = 10;

/// Rows of numbers, column by column, as trees take them.
#[derive(Clone, Debug, Default)]
pub(super) struct Design {
    rows: usize,
    /// By column: its feature, and its values one after the other.
    columns: Vec<(usize, Vec<f64>)>,
}

impl Design {
    /// The features of tables of one schema, one table below the other, without those of the column `but`.
    pub fn of(schema: &Schema, tables: &[&Table], but: Option<usize>) -> Self {
        let mut columns = Vec::new();
        for (number, feature) in schema.features.iter().enumerate().filter(|(_, f)| Some(f.column) != but) {
            let mut values = Vec::new();
            for table in tables {
                match &table.features[number] {
                    Values::Numbers(numbers) => values.extend_from_slice(numbers),
                    Values::Codes(codes) => values.extend(codes.iter().map(|code| f64::from(*code))),
                }
            }
            // Trees see that a number is missing, and this tells them why.
            if feature.kind == FeatureKind::Numbers {
                let why: Vec<f64> =
                    tables.iter().flat_map(|table| &table.presence[number]).map(|p| f64::from(*p as u8)).collect();
                if why.iter().any(|presence| *presence != f64::from(Presence::Value as u8)) {
                    columns.push((number, why));
                }
            }
            // What is missing throughout has no bins.
            if values.iter().any(|value| !value.is_nan()) {
                columns.push((number, values));
            }
        }
        Self { rows: tables.iter().map(|table| table.rows).sum(), columns }
    }

    /// Whether there is nothing to learn from.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Some rows, laid out as the booster takes them.
    fn gather(&self, rows: &[usize]) -> Vec<f64> {
        self.columns.iter().flat_map(|(_, column)| rows.iter().map(|row| column[*row])).collect()
    }
}

/// A trained classifier of two classes.
pub(super) struct Trees {
    booster: GradientBooster,
    columns: usize,
}

impl Trees {
    /// Trains on these rows of a design. `labels` says of each row of the design whether it is of the class.
    pub fn train(design: &Design, rows: &[usize], labels: &[bool]) -> Result<Self, QualityError> {
        let mut booster = GradientBooster::default()
            .set_objective_type(ObjectiveType::LogLoss)
            .set_iterations(TREES)
            .set_learning_rate(RATE)
            .set_max_depth(DEPTH)
            .set_max_leaves(LEAVES)
            .set_parallel(false);
        booster.grow_policy = GrowPolicy::LossGuide;
        let values = design.gather(rows);
        let matrix = Matrix::new(&values, rows.len(), design.columns.len());
        let targets: Vec<f64> = rows.iter().map(|row| if labels[*row] { 1.0 } else { 0.0 }).collect();
        booster
            .fit(&matrix, &targets, &vec![1.0; rows.len()], None)
            .map_err(|error| QualityError::Trees(error.to_string()))?;
        Ok(Self { booster, columns: design.columns.len() })
    }

    /// The log odds of rows of a design with the same columns.
    pub fn score(&self, design: &Design, rows: &[usize]) -> Vec<f64> {
        let values = design.gather(rows);
        self.booster.predict(&Matrix::new(&values, rows.len(), self.columns), false)
    }
}

/// How well trees tell the rows of two tables apart.
pub(super) struct Told {
    /// Area under the ROC curve of rows that the trees were not trained on, mean over the folds.
    pub auc: f64,
    /// The feature that tells most.
    pub by: Option<usize>,
}

/// Folds of a cross-validation. Each row is judged by trees that saw all others but a fifth, so that the copy of a row is
/// mostly among what they saw.
const FOLDS: usize = 5;

/// Cross-validated trees between the rows of two tables, which are those of the second table where they say so.
pub(super) fn tell_apart(schema: &Schema, tables: [&Table; 2], rng: &mut ChaCha8Rng) -> Result<Told, QualityError> {
    let design = Design::of(schema, &tables, None);
    let labels: Vec<bool> = (0..design.rows).map(|row| row >= tables[0].rows).collect();
    if design.columns.is_empty() {
        return Ok(Told { auc: 0.5, by: None });
    }
    // Each class is cut into the folds on its own.
    let mut fold = vec![0; design.rows];
    for class in [0..tables[0].rows, tables[0].rows..design.rows] {
        let shuffled = sample::choose(class.len(), class.len(), rng);
        shuffled.into_iter().enumerate().for_each(|(place, row)| fold[class.start + row] = place % FOLDS);
    }
    let (mut auc, mut gain) = (0.0, vec![0.0f64; schema.features.len()]);
    for left_out in 0..FOLDS {
        let (test, train): (Vec<usize>, Vec<usize>) = (0..design.rows).partition(|row| fold[*row] == left_out);
        let trees = Trees::train(&design, &train, &labels)?;
        let classes: Vec<bool> = test.iter().map(|row| labels[*row]).collect();
        auc += area_under_curve(&trees.score(&design, &test), &classes).unwrap_or(0.5) / FOLDS as f64;
        for (column, of_fold) in trees.booster.calculate_feature_importance(ImportanceMethod::TotalGain, false) {
            gain[design.columns[column].0] += f64::from(of_fold);
        }
    }
    let by = (0..gain.len()).max_by(|a, b| gain[*a].total_cmp(&gain[*b]));
    Ok(Told { auc, by })
}

/// The area under the ROC curve: how often a member of the class has a greater score than another, a tie being half of that
/// (Mann-Whitney's U over the number of pairs). `None` without members or without others.
pub(super) fn area_under_curve(scores: &[f64], of_class: &[bool]) -> Option<f64> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_unstable_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    let (mut below, mut wins, mut members) = (0.0, 0.0, 0.0);
    for tie in order.chunk_by(|a, b| scores[*a] == scores[*b]) {
        let in_class = tie.iter().filter(|row| of_class[**row]).count() as f64;
        let others = tie.len() as f64 - in_class;
        wins += in_class * (below + others / 2.0);
        below += others;
        members += in_class;
    }
    (members > 0.0 && below > 0.0).then(|| wins / (members * below))
}
