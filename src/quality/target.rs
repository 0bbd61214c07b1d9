//! What generated records are worth to a model: train on synthetic, test on real (Esteban, Hyland and Ratsch 2017), and what
//! they add to real ones.

use super::QualityError;
use super::boost::{Design, Trees, area_under_curve};
use super::schema::{FeatureKind, Schema};
use super::table::{Table, Values};

/// Most classes of a target that are told from the others, the most frequent.
const MAX_CLASSES: usize = 5;

/// A question to a row.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Question {
    /// Whether the target has this code.
    Is(u32),
    /// Whether the target is greater than this.
    Exceeds(f64),
}

/// A column that models are asked to predict from the others.
#[derive(Debug)]
pub(super) struct Target {
    feature: usize,
    column: usize,
    questions: Vec<Question>,
}

impl Target {
    /// What is asked of the column of this name: of two categories the rarer, of more each of the five most frequent against
    /// the others, of numbers whether they exceed the median.
    pub fn new(schema: &Schema, name: &str, train: &Table) -> Result<Self, QualityError> {
        let Some(column) = schema.columns.iter().position(|column| column.name == name) else {
            let known: Vec<String> = schema.columns.iter().map(|column| format!("`{}`", column.name)).collect();
            return Err(QualityError::UnknownTarget { name: name.to_owned(), known: known.join(", ") });
        };
        let wrong = |reason| QualityError::Target { name: name.to_owned(), reason };
        let feature = schema.features.iter().position(|feature| feature.column == column);
        let feature = feature.ok_or_else(|| wrong("its values are not compared"))?;
        let questions = match &train.features[feature] {
            Values::Numbers(numbers) => {
                let mut sorted: Vec<f64> = numbers.iter().copied().filter(|number| !number.is_nan()).collect();
                sorted.sort_unstable_by(f64::total_cmp);
                sorted.get(sorted.len() / 2).map(|median| Question::Exceeds(*median)).into_iter().collect()
            }
            Values::Codes(codes) => {
                let FeatureKind::Codes(all) = schema.features[feature].kind else {
                    unreachable!("codes have a number")
                };
                let mut counts = vec![(0usize, 0u32); all.saturating_sub(4) as usize];
                for (code, count) in (0..).zip(&mut counts) {
                    *count = (codes.iter().filter(|other| **other == code).count(), code);
                }
                counts.sort_unstable_by(|a, b| b.cmp(a));
                counts.retain(|(count, _)| *count > 0);
                match counts[..] {
                    [] | [_] => return Err(wrong("it has one value alone")),
                    [_, (_, rarer)] => vec![Question::Is(rarer)],
                    _ => counts.iter().take(MAX_CLASSES).map(|(_, code)| Question::Is(*code)).collect(),
                }
            }
        };
        Ok(Self { feature, column, questions })
    }

    /// The mean area under the ROC curve over all questions, answered for `test` by trees that were trained on `train`, one table
    /// below the other. A question to which `train` has one answer alone counts ½.
    pub fn auc(&self, schema: &Schema, train: &[&Table], test: &Table) -> Result<Option<f64>, QualityError> {
        // Together, so that both have the same columns.
        let tables: Vec<&Table> = train.iter().copied().chain([test]).collect();
        let design = Design::of(schema, &tables, Some(self.column));
        let trained: usize = train.iter().map(|table| table.rows).sum();
        let (mut sum, mut asked) = (0.0, 0);
        for question in &self.questions {
            let answers: Vec<Option<bool>> = tables.iter().flat_map(|table| self.answers(*question, table)).collect();
            let labels: Vec<bool> = answers.iter().map(|answer| *answer == Some(true)).collect();
            let answered =
                |rows: std::ops::Range<usize>| -> Vec<usize> { rows.filter(|row| answers[*row].is_some()).collect() };
            let (rows, asked_rows) = (answered(0..trained), answered(trained..answers.len()));
            let truth: Vec<bool> = asked_rows.iter().map(|row| labels[*row]).collect();
            if !(truth.contains(&true) && truth.contains(&false)) {
                continue;
            }
            asked += 1;
            let has_both = rows.iter().any(|row| labels[*row]) && rows.iter().any(|row| !labels[*row]);
            sum += if has_both && !design.is_empty() {
                let trees = Trees::train(&design, &rows, &labels)?;
                area_under_curve(&trees.score(&design, &asked_rows), &truth).unwrap_or(0.5)
            } else {
                0.5
            };
        }
        Ok((asked > 0).then(|| sum / f64::from(asked)))
    }

    /// What each row answers; nothing where it has no value.
    fn answers(&self, question: Question, table: &Table) -> Vec<Option<bool>> {
        match (&table.features[self.feature], question) {
            (Values::Numbers(numbers), Question::Exceeds(limit)) => {
                numbers.iter().map(|number| (!number.is_nan()).then_some(*number > limit)).collect()
            }
            (Values::Codes(codes), Question::Is(wanted)) => codes.iter().map(|code| Some(*code == wanted)).collect(),
            _ => vec![None; table.rows],
        }
    }
}
