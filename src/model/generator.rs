//! What draws new records: the other use of a model that knows which records are likely.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::payload::image::Shape;

/// The values that fields are to have in each drawn record: by the field's path, as the payload's front end names it, the value
/// as a user writes it (without quotes).
pub type Condition = BTreeMap<String, String>;

/// Why nothing was drawn.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DrawError {
    /// The model has no such field.
    #[error("the model has no field `{field}`; it has {known}")]
    UnknownField {
        /// As it was asked for.
        field: String,
        /// The fields that there are.
        known: String,
    },
    /// A field cannot have the value.
    #[error("`{field}` is never `{value}`: {detail}")]
    Impossible {
        /// The field's path.
        field: String,
        /// The value that was asked for.
        value: String,
        /// What it may be.
        detail: String,
    },
    /// What a field has are no classes.
    #[error("nothing is balanced over `{field}`: {detail}")]
    NoClasses {
        /// The field's path.
        field: String,
        /// What it has instead.
        detail: String,
    },
    /// This kind of model draws under no condition.
    #[error("a model of the family `{family}` draws under no condition: {why}")]
    Unconditional {
        /// The family's name.
        family: &'static str,
        /// Why, and what does.
        why: &'static str,
    },
    /// What the model draws is no record.
    #[error("record {index} of seed {seed} did not come out whole: the model knows too little of the topic's syntax")]
    NotWhole {
        /// What chance came from.
        seed: u64,
        /// The record's number.
        index: u64,
    },
}

/// Draws records. A record is a function of the model, the seed, the condition and its number, and of nothing else: the same
/// bytes on every machine, in any order, at any time.
pub trait Generator: Send + Sync {
    /// The family's name (`columns`, `autoregressive`, `vae`, `gan`, `classical`).
    fn name(&self) -> &'static str;

    /// What makes the record with this number, as `ce_latentdgenerator` says it: the family, and where it has several operations, a
    /// slash and the one.
    fn made_by(&self, _seed: u64, _number: u64) -> &'static str {
        self.name()
    }

    /// The media type of a record.
    fn content_type(&self) -> &'static str;

    /// How many records are a run: those of a run may follow from one another, those of two runs never do. At least 1.
    fn run_length(&self) -> u32;

    /// Whether records can be drawn under a condition.
    fn admits(&self, condition: &Condition) -> Result<(), DrawError>;

    /// Appends the records with these numbers.
    fn draw_numbers(
        &self,
        seed: u64,
        condition: &Condition,
        numbers: &[u64],
        records: &mut Vec<Vec<u8>>,
    ) -> Result<(), DrawError>;

    /// Appends the records of a run, the first `count` of them: record `i` of it has the number `run * run_length + i`.
    fn draw(
        &self,
        seed: u64,
        condition: &Condition,
        run: u64,
        count: u32,
        records: &mut Vec<Vec<u8>>,
    ) -> Result<(), DrawError> {
        let length = self.run_length();
        let first = run.wrapping_mul(u64::from(length));
        let numbers: Vec<u64> = (0..count.min(length)).map(|row| first.wrapping_add(u64::from(row))).collect();
        self.draw_numbers(seed, condition, &numbers, records)
    }

    /// Appends records to be compared with others one by one, as a table: the first ones, or where those of a run follow from one another some that
    /// stand for all, since a stretch of them is no sample of what they come from.
    fn sample(
        &self,
        seed: u64,
        condition: &Condition,
        count: u64,
        records: &mut Vec<Vec<u8>>,
    ) -> Result<(), DrawError> {
        let length = u64::from(self.run_length().max(1));
        for run in 0..count.div_ceil(length) {
            self.draw(seed, condition, run, (count - run * length).min(length) as u32, records)?;
        }
        Ok(())
    }

    /// The classes of a field, one at least, under a condition on others: each a value that a condition may ask for, and its share of
    /// what is drawn.
    fn classes(&self, field: &str, condition: &Condition) -> Result<Vec<(String, f64)>, DrawError> {
        // Whoever draws under no condition says why.
        let mut asked = condition.clone();
        asked.insert(field.to_owned(), String::new());
        self.admits(&asked)?;
        Err(DrawError::NoClasses { field: field.to_owned(), detail: "the model knows none".to_owned() })
    }

    /// Those of some real records that meet a condition.
    fn matching<'a>(&self, condition: &Condition, records: &[&'a [u8]]) -> Result<Vec<&'a [u8]>, DrawError> {
        self.admits(condition)?;
        match condition.is_empty() {
            true => Ok(records.to_vec()),
            false => {
                let why = "it cannot tell which real records meet one";
                Err(DrawError::Unconditional { family: self.name(), why })
            }
        }
    }
}

/// Draws images of one shape, as samples in the order row, column, channel.
pub trait ImageGenerator: Generator {
    /// Their shape.
    fn shape(&self) -> Shape;

    /// The labels that can be asked for, in ascending order; none without labels.
    fn labels(&self) -> Vec<&str>;

    /// The label of the image with this number that is drawn under no condition; `None` without labels.
    fn label_of(&self, seed: u64, number: u64) -> Option<&str>;
}
