//! Which class a record is drawn in, so that rare classes of a field fill up.

use std::collections::BTreeMap;

use crate::model::{Condition, DrawError, Generator};

/// The step of Weyl's sequence: 2^64 over the golden ratio, whose multiples leave gaps of three sizes at most.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Draws each record under a condition of its own: a class of one field.
///
/// With *p* the shares of the classes among real records, as the generator knows them, and *r* generated records for each real one,
/// classes are drawn with the shares *q = max(0, L - p) / r*, where *L* is the level at which they come to 1: the rarest classes are
/// filled up to it, as water fills what is low. Which class a record has follows from its seed and number, by a sequence whose shares
/// are even over any numbers in a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Balance {
    conditions: Vec<Condition>,
    /// By condition: where its part of all 2^64 places ends.
    ends: Vec<u64>,
}

impl Balance {
    /// Over the classes of a field, under a condition on others; so many records are generated for each real one. Infinitely many
    /// make classes even among themselves.
    pub fn new(
        generator: &dyn Generator,
        field: &str,
        condition: &Condition,
        for_each: f64,
    ) -> Result<Self, DrawError> {
        let classes = generator.classes(field, condition)?;
        let real: Vec<f64> = classes.iter().map(|(_, share)| *share).collect();
        let (mut ends, mut sum) = (Vec::new(), 0.0);
        for share in filled(&real, for_each) {
            sum += share;
            // Saturates at the end of all places.
            ends.push((sum * 2f64.powi(64)) as u64);
        }
        if let Some(last) = ends.last_mut() {
            *last = u64::MAX;
        }
        let with = |(class, _): (String, f64)| {
            let mut condition = condition.clone();
            condition.insert(field.to_owned(), class);
            condition
        };
        Ok(Self { conditions: classes.into_iter().map(with).collect(), ends })
    }

    /// The condition of a record. There is always one: a balance has a class at least.
    pub fn of(&self, seed: u64, number: u64) -> &Condition {
        let place = seed.wrapping_mul(STEP).rotate_left(32).wrapping_add(number.wrapping_mul(STEP));
        let class = self.ends.partition_point(|end| *end <= place).min(self.conditions.len() - 1);
        &self.conditions[class]
    }

    /// Appends the first records of a run, each under its own condition.
    pub fn draw(
        &self,
        generator: &dyn Generator,
        seed: u64,
        run: u64,
        count: u32,
        records: &mut Vec<Vec<u8>>,
    ) -> Result<(), DrawError> {
        let length = generator.run_length().max(1);
        let first = run.wrapping_mul(u64::from(length));
        let mut by_class: BTreeMap<&Condition, Vec<u64>> = BTreeMap::new();
        for place in 0..count.min(length) {
            let number = first.wrapping_add(u64::from(place));
            by_class.entry(self.of(seed, number)).or_default().push(number);
        }
        let mut drawn = Vec::new();
        for (condition, numbers) in by_class {
            let mut some = Vec::new();
            generator.draw_numbers(seed, condition, &numbers, &mut some)?;
            drawn.extend(numbers.into_iter().zip(some));
        }
        drawn.sort_by_key(|(number, _)| number.wrapping_sub(first));
        records.extend(drawn.into_iter().map(|(_, record)| record));
        Ok(())
    }
}

/// The shares of what is drawn that fill up the rarest of some shares.
fn filled(real: &[f64], for_each: f64) -> Vec<f64> {
    if !for_each.is_finite() || for_each <= 0.0 {
        return vec![1.0 / real.len().max(1) as f64; real.len()];
    }
    let mut sorted = real.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (mut sum, mut level) = (0.0, 0.0);
    for (below, share) in sorted.iter().enumerate() {
        if below > 0 && level <= *share {
            break;
        }
        sum += share;
        level = (for_each + sum) / (below + 1) as f64;
    }
    real.iter().map(|share| (level - share).max(0.0) / for_each).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Draws its condition.
    struct Echo(Vec<(&'static str, f64)>);

    impl Generator for Echo {
        fn name(&self) -> &'static str {
            "echo"
        }
        fn content_type(&self) -> &'static str {
            "text/plain"
        }
        fn run_length(&self) -> u32 {
            100
        }
        fn admits(&self, _condition: &Condition) -> Result<(), DrawError> {
            Ok(())
        }
        fn classes(&self, _field: &str, _condition: &Condition) -> Result<Vec<(String, f64)>, DrawError> {
            Ok(self.0.iter().map(|(class, share)| ((*class).to_owned(), *share)).collect())
        }
        fn draw_numbers(
            &self,
            seed: u64,
            condition: &Condition,
            numbers: &[u64],
            records: &mut Vec<Vec<u8>>,
        ) -> Result<(), DrawError> {
            let echo = |number: &u64| format!("{seed} {} {number}", condition["class"]).into_bytes();
            records.extend(numbers.iter().map(echo));
            Ok(())
        }
    }

    #[test]
    fn the_rarest_are_filled_up_to_one_level() {
        let rounded = |real: &[f64], for_each| -> Vec<f64> {
            filled(real, for_each).iter().map(|share| (share * 1000.0).round() / 1000.0).collect()
        };
        assert_eq!(rounded(&[0.7, 0.2, 0.1], 0.1), [0.0, 0.0, 1.0]);
        assert_eq!(rounded(&[0.7, 0.2, 0.1], 0.3), [0.0, 0.333, 0.667]);
        assert_eq!(rounded(&[0.7, 0.2, 0.1], 2.0), [0.15, 0.4, 0.45]);
        assert_eq!(rounded(&[0.7, 0.2, 0.1], f64::INFINITY), [0.333, 0.333, 0.333]);
        assert_eq!(rounded(&[1.0], 0.5), [1.0]);
    }

    #[test]
    fn each_record_has_the_class_of_its_number_and_classes_have_their_shares() {
        let generator = Echo(vec![("a", 0.7), ("b", 0.2), ("c", 0.1)]);
        let balance = Balance::new(&generator, "class", &Condition::new(), 0.3).unwrap();
        let mut records = Vec::new();
        for run in [5, 6, 7] {
            balance.draw(&generator, 9, run, 100, &mut records).unwrap();
        }
        let text = |number: u64| format!("9 {} {number}", balance.of(9, number)["class"]).into_bytes();
        assert_eq!(records, (500..800).map(text).collect::<Vec<_>>());
        let of = |class: &str| (500..800).filter(|number| balance.of(9, *number)["class"] == class).count();
        assert_eq!(of("a"), 0);
        assert!((98..=102).contains(&of("b")) && of("b") + of("c") == 300, "{}", of("b"));
    }
}
