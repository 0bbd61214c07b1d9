//! Some of what a model draws, to stand in a page.

use crate::cli::sheet::sheet;
use crate::model::images::LABEL;
use crate::model::{Condition, Family, Generator, is_generative, is_of_images, open_generator, open_image_generator};

/// Records that are shown.
const RECORDS: u32 = 12;
/// Images of each class that are shown, and across.
const IMAGES: u32 = 20;
/// Classes that are shown at most.
const CLASSES: usize = 32;
/// Images that are shown of a model without classes, and across.
const ALL: (u32, usize) = (200, 20);
/// Longest record that is shown whole, in characters.
const LONGEST: usize = 2_000;

/// Some of what a model draws.
pub enum Drawn {
    /// Records of fields.
    Records {
        /// What chance came from.
        seed: u64,
        /// Each as text.
        records: Vec<String>,
    },
    /// Images, a sheet for each class.
    Images {
        /// What chance came from.
        seed: u64,
        /// The class's label, and a PNG file.
        sheets: Vec<(Option<String>, Vec<u8>)>,
    },
}

impl Drawn {
    /// Draws. `None` if models of that family draw nothing.
    pub fn of(family: &Family, artefact: &[u8], seed: u64, condition: &Condition) -> anyhow::Result<Option<Self>> {
        if !is_generative(family) {
            return Ok(None);
        }
        if is_of_images(family, artefact) {
            let model = open_image_generator(family, artefact)?;
            let asked = |label: &str| condition.get(LABEL).is_none_or(|asked| asked == label);
            let labels: Vec<&str> = model.labels().into_iter().filter(|label| asked(label)).take(CLASSES).collect();
            let sheets = if labels.is_empty() {
                let images = first(model.as_ref(), seed, condition, ALL.0)?;
                vec![(None, sheet(&images, model.shape(), ALL.1)?)]
            } else {
                let of = |label: &str| {
                    let condition = Condition::from([(LABEL.to_owned(), label.to_owned())]);
                    let images = first(model.as_ref(), seed, &condition, IMAGES)?;
                    Ok((Some(label.to_owned()), sheet(&images, model.shape(), IMAGES as usize)?))
                };
                labels.into_iter().map(of).collect::<anyhow::Result<_>>()?
            };
            return Ok(Some(Self::Images { seed, sheets }));
        }
        let generator = open_generator(family, artefact)?;
        let records = first(generator.as_ref(), seed, condition, RECORDS)?;
        let shown = |record: &Vec<u8>| String::from_utf8_lossy(record).trim_end().chars().take(LONGEST).collect();
        Ok(Some(Self::Records { seed, records: records.iter().map(shown).collect() }))
    }
}

/// The first records of a seed.
fn first(generator: &dyn Generator, seed: u64, condition: &Condition, count: u32) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut records = Vec::new();
    for run in 0u64.. {
        let left = count - records.len() as u32;
        if left == 0 {
            break;
        }
        generator.draw(seed, condition, run, left.min(generator.run_length()), &mut records)?;
    }
    Ok(records)
}
