//! Rows as points, and who is near whom.
//!
//! The squared distance of two rows is a sum over features: for codes 1 where they differ; for numbers the squared difference of
//! their ranks among the real ones, so that no unit and no outlier weighs more than another; 1 between a number and none.

use super::schema::Schema;
use super::table::{Table, Values, sorted};

/// Features that are looked at in one go.
const LANES: usize = 8;

/// What a missing number is: further than 1 from every rank.
const MISSING: f32 = 4.0;

/// Ranks of numbers among those of a reference.
#[derive(Debug)]
pub(super) struct Space {
    /// By feature, the reference's numbers in ascending order; empty for codes.
    sorted: Vec<Vec<f64>>,
}

/// Rows of a space.
#[derive(Debug)]
pub(super) struct Points {
    width: usize,
    /// Row by row; each is filled up with zeros to whole lanes.
    values: Vec<f32>,
}

impl Space {
    /// The space in which the rows of this table are spread evenly.
    pub fn of(reference: &Table) -> Self {
        let ranked = |values: &Values| match values {
            Values::Numbers(numbers) => sorted(numbers),
            Values::Codes(_) => Vec::new(),
        };
        Self { sorted: reference.features.iter().map(ranked).collect() }
    }

    /// The rows of a table as points.
    pub fn place(&self, schema: &Schema, table: &Table) -> Points {
        let width = schema.features.len().next_multiple_of(LANES).max(LANES);
        let mut values = vec![0.0; width * table.rows];
        for ((feature, sorted), column) in table.features.iter().zip(&self.sorted).zip(0..) {
            let mut put = |row: usize, value: f32| values[row * width + column] = value;
            match feature {
                Values::Numbers(numbers) => {
                    for (row, number) in numbers.iter().enumerate() {
                        put(row, if number.is_nan() { MISSING } else { rank(sorted, *number) });
                    }
                }
                // Two apart, so that the squared difference is cut to 1.
                Values::Codes(codes) => codes.iter().enumerate().for_each(|(row, code)| put(row, *code as f32 * 2.0)),
            }
        }
        Points { width, values }
    }
}

/// The share of numbers that are less, and half of those that are equal.
fn rank(sorted: &[f64], number: f64) -> f32 {
    let less = sorted.partition_point(|other| *other < number);
    let not_greater = sorted.partition_point(|other| *other <= number);
    (less + not_greater) as f32 / (2 * sorted.len().max(1)) as f32
}

impl Points {
    fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.width)
    }

    /// The squared distance of each row to the nearest of `others`.
    pub fn nearest(&self, others: &Self) -> Vec<f32> {
        let nearest = |row| others.rows().map(|other| distance(row, other)).fold(f32::INFINITY, f32::min);
        self.rows().map(nearest).collect()
    }

    /// The squared distance of each row to its `k`th nearest among the other rows.
    pub fn radii(&self, k: usize) -> Vec<f32> {
        let radius = |(number, row): (usize, &[f32])| {
            let mut nearest = vec![f32::INFINITY; k];
            for (other_number, other) in self.rows().enumerate() {
                let distance = distance(row, other);
                if number != other_number && distance < nearest[k - 1] {
                    let place = nearest.partition_point(|known| *known <= distance);
                    nearest[place..].rotate_right(1);
                    nearest[place] = distance;
                }
            }
            nearest[k - 1]
        };
        self.rows().enumerate().map(radius).collect()
    }

    /// How many of `others` lie within each row's radius.
    pub fn within(&self, radii: &[f32], others: &Self) -> Vec<u32> {
        let count =
            |(row, radius): (&[f32], &f32)| others.rows().map(|other| u32::from(distance(row, other) <= *radius)).sum();
        self.rows().zip(radii).map(count).collect()
    }
}

/// The squared distance of two rows of whole lanes.
#[inline]
fn distance(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; LANES];
    for (a, b) in a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0) {
        for lane in 0..LANES {
            let difference = a[lane] - b[lane];
            sums[lane] += (difference * difference).min(1.0);
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(rows: &[f32]) -> Points {
        let values = rows.iter().flat_map(|value| [*value, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]).collect();
        Points { width: LANES, values }
    }

    #[test]
    fn neighbours_are_those_of_a_line() {
        let line = points(&[0.0, 0.1, 0.3, 0.6]);
        let near = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a.sqrt() - b).abs() < 1e-6);
        assert!(near(&line.radii(1), &[0.1, 0.1, 0.2, 0.3]));
        assert!(near(&line.radii(2), &[0.3, 0.2, 0.3, 0.5]));
        assert!(near(&points(&[0.25, 9.0]).nearest(&line), &[0.05, 1.0]));
        assert_eq!(line.within(&line.radii(1), &points(&[0.05, 0.2, 0.25])), [1, 2, 2, 0]);
    }

    #[test]
    fn a_rank_is_the_middle_of_its_equals() {
        let sorted = [0.0, 0.0, 0.0, 5.0];
        assert_eq!([-1.0, 0.0, 3.0, 5.0, 6.0].map(|number| rank(&sorted, number)), [0.0, 0.375, 0.75, 0.875, 1.0]);
    }
}
