//! Records as numbers and codes, column by column.

use super::schema::{FeatureKind, FeatureValue, Presence, Row, Schema};

/// A feature's values, row by row.
#[derive(Clone, Debug)]
pub(super) enum Values {
    /// NaN where there is none.
    Numbers(Vec<f64>),
    /// Codes.
    Codes(Vec<u32>),
}

/// The numbers that there are, in ascending order.
pub(super) fn sorted(numbers: &[f64]) -> Vec<f64> {
    let mut sorted: Vec<f64> = numbers.iter().copied().filter(|number| !number.is_nan()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}

/// Features of records, as the schema has them.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub rows: usize,
    /// By feature.
    pub features: Vec<Values>,
    /// By feature of numbers, what stands where a number may stand; empty for codes, which say it themselves.
    pub presence: Vec<Vec<Presence>>,
}

/// How often the columns of some records have no value.
#[derive(Clone, Debug)]
pub(super) struct Gaps {
    rows: usize,
    /// By column: NULL, and absent.
    counts: Vec<[usize; 2]>,
}

impl Table {
    /// The features of these records.
    pub fn of<'a>(schema: &Schema, records: impl Iterator<Item = &'a [u8]>) -> Self {
        let empty = |kind: FeatureKind| match kind {
            FeatureKind::Numbers => Values::Numbers(Vec::new()),
            FeatureKind::Codes(_) => Values::Codes(Vec::new()),
        };
        let mut features: Vec<Values> = schema.features.iter().map(|feature| empty(feature.kind)).collect();
        let mut presence = vec![Vec::new(); features.len()];
        let (mut rows, mut row) = (0, Row::default());
        for record in records {
            rows += 1;
            schema.read(record, &mut row);
            for ((feature, values), presence) in schema.features.iter().zip(&mut features).zip(&mut presence) {
                match (values, schema.value(feature, record, &row)) {
                    (Values::Numbers(numbers), FeatureValue::Number(number)) => {
                        numbers.push(number);
                        presence.push(schema.presence(feature.column, record, &row));
                    }
                    (Values::Codes(codes), FeatureValue::Code(code)) => codes.push(code),
                    _ => unreachable!("a feature's values are of its kind"),
                }
            }
        }
        Self { rows, features, presence }
    }

    /// Some of its rows.
    pub fn rows(&self, rows: &[usize]) -> Self {
        let features = self.features.iter().map(|values| match values {
            Values::Numbers(numbers) => Values::Numbers(rows.iter().map(|row| numbers[*row]).collect()),
            Values::Codes(codes) => Values::Codes(rows.iter().map(|row| codes[*row]).collect()),
        });
        let some = |presence: &Vec<Presence>| {
            if presence.is_empty() { Vec::new() } else { rows.iter().map(|row| presence[*row]).collect() }
        };
        Self { rows: rows.len(), features: features.collect(), presence: self.presence.iter().map(some).collect() }
    }
}

impl Gaps {
    pub fn new(schema: &Schema) -> Self {
        Self { rows: 0, counts: vec![[0; 2]; schema.columns.len()] }
    }

    /// Counts those of one more record.
    pub fn count(&mut self, schema: &Schema, record: &[u8], row: &Row) {
        self.rows += 1;
        for (column, counts) in self.counts.iter_mut().enumerate() {
            match schema.presence(column, record, row) {
                Presence::Null => counts[0] += 1,
                // A count is never NULL and never absent.
                Presence::Absent if !schema.is_count(column) => counts[1] += 1,
                _ => {}
            }
        }
    }

    /// The column whose shares are furthest from those of other records, by how much, and how much of that may be chance:
    /// four standard errors. Of some columns it says nothing.
    pub fn furthest(&self, from: &Self, is_counted: impl Fn(usize) -> bool) -> Option<(usize, f64, f64)> {
        let share = |count: usize, rows: usize| count as f64 / rows.max(1) as f64;
        let mut furthest = None;
        for (column, (own, other)) in
            self.counts.iter().zip(&from.counts).enumerate().filter(|(column, _)| is_counted(*column))
        {
            for (own, other) in own.iter().zip(other) {
                let (p, q) = (share(*own, self.rows), share(*other, from.rows));
                let both = share(own + other, self.rows + from.rows);
                let chance = 1.0 / self.rows.max(1) as f64 + 1.0 / from.rows.max(1) as f64;
                let error = 4.0 * (both * (1.0 - both) * chance).sqrt();
                if furthest.is_none_or(|(_, most, _)| (p - q).abs() > most) {
                    furthest = Some((column, (p - q).abs(), error));
                }
            }
        }
        furthest
    }
}
