//! How a model of images is made.

use crate::engine::{MAX_HIDDEN, MAX_NEIGHBOURS, MAX_OFFSET, Neighbour};
use crate::model::latent::{MAX_FEATURES, MAX_LATENTS, MAX_LIMIT, MAX_TABLES, MAX_WIDTH};
use crate::training::TrainingError;

/// What is trained, and how. The default is what the measurements of `docs/codecs/latent.md` chose.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// Latent numbers of an image; 0 for a model without encoder and generator.
    pub latents: usize,
    /// The largest latent number.
    pub limit: u8,
    /// Hidden units of encoder and generator.
    pub width: usize,
    /// Features of each sample: the generator makes them of the latent. Without a latent they are the same for all images.
    pub features: usize,
    /// Samples of the same channel before it that a sample is told from: the nearest so many.
    pub neighbours: usize,
    /// Whether rows of neighbours go on to the left until they are fours, which kernels load at a time.
    pub fours: bool,
    /// Columns ahead of a sample, for each row above it, in which it has neighbours. Samples are decoded along fronts that lag by one more.
    pub ahead: i8,
    /// Hidden units of the causal net.
    pub hidden: usize,
    /// Positions of the tables.
    pub positions: u16,
    /// Scales of the tables.
    pub scales: u16,
    /// Whether the highest values are told by their neighbours, where that pays.
    pub peaks: bool,
    /// Images in a step.
    pub batch: usize,
    /// Adam's rate after its rise; it falls to 0 along half a cosine.
    pub rate: f64,
    /// Steps between two checkpoints.
    pub interval: u32,
    /// The part of the budget that is spent with floats, before the network computes with integers.
    pub float: f64,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            latents: 0,
            limit: 127,
            width: 256,
            features: 2,
            neighbours: 20,
            fours: false,
            ahead: 2,
            hidden: 32,
            positions: 96,
            scales: 32,
            peaks: true,
            batch: 16,
            rate: 4e-3,
            interval: 500,
            float: 0.2,
        }
    }
}

impl Recipe {
    /// Whether there is such a model, and such a training.
    pub(super) fn check(&self) -> Result<(), TrainingError> {
        let tables = usize::from(self.positions) * usize::from(self.scales);
        let holds = |holds: bool, what: &str| if holds { Ok(()) } else { Err(TrainingError::Recipe(what.to_owned())) };
        holds(self.latents <= MAX_LATENTS, "it has more than 256 latent numbers")?;
        holds((1..=MAX_LIMIT).contains(&self.limit), "the limit of its latents is not 1 to 127")?;
        holds((1..=MAX_WIDTH).contains(&self.width), "encoder and generator do not have 1 to 2048 hidden units")?;
        holds(self.features <= MAX_FEATURES, "it has more than 8 features of each sample")?;
        holds(self.features > 0 || self.latents == 0, "it has a latent, and no features that could be made of it")?;
        holds(self.interval > 0, "it never makes a checkpoint")?;
        holds(
            (1..=MAX_NEIGHBOURS - PLANES_BEFORE).contains(&self.neighbours),
            "it has no neighbours, or more than 54 of a channel",
        )?;
        holds((0..=MAX_OFFSET).contains(&self.ahead), "its neighbours are not 0 to 8 columns ahead")?;
        holds((1..=MAX_HIDDEN).contains(&self.hidden), "its nets do not have 1 to 256 hidden units")?;
        holds(
            self.positions >= 2 && self.scales >= 2 && tables <= MAX_TABLES,
            "it has more than 8192 tables, or too few",
        )?;
        holds((1..=4096).contains(&self.batch), "a batch is not 1 to 4096 images")?;
        holds((1e-6..=1.0).contains(&self.rate), "its rate is not 0.000001 to 1")?;
        holds((0.0..1.0).contains(&self.float), "the part with floats is not 0 to 1")
    }

    /// The neighbours of a channel's samples.
    pub(super) fn neighbours_of(&self, channel: usize) -> Vec<Neighbour> {
        let near = |channel, row, column| Neighbour { channel, row, column };
        let mut own: Vec<Neighbour> = (-8..=0i8)
            .flat_map(|row| (-8..=8i8).map(move |column| near(0, row, column)))
            .filter(|one| (one.row, one.column) < (0, 0))
            .filter(|one| i32::from(one.column) <= -i32::from(self.ahead) * i32::from(one.row))
            .collect();
        let distance = |one: &Neighbour| i32::from(one.row).pow(2) + i32::from(one.column).pow(2);
        own.sort_by_key(|one| (distance(one), one.row, one.column));
        own.truncate(self.neighbours);
        for row in (-MAX_OFFSET..=0).filter(|_| self.fours) {
            let columns: Vec<i8> = own.iter().filter(|one| one.row == row).map(|one| one.column).collect();
            let Some(first) = columns.iter().min() else { continue };
            let missing = columns.len().next_multiple_of(4) - columns.len();
            own.extend((-MAX_OFFSET..*first).rev().take(missing).map(|column| near(0, row, column)));
        }
        own.truncate(MAX_NEIGHBOURS - PLANES_BEFORE);
        own.sort();
        // What the same place has in the channels before.
        let before = (1..=channel as i8)
            .flat_map(|back| [(0, 0), (-1, 0), (0, -1), (0, 1), (1, 0)].map(|(row, column)| near(-back, row, column)));
        own.extend(before);
        own
    }
}

/// Neighbours in the two channels before the last one.
const PLANES_BEFORE: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_come_in_fours_of_a_row_and_not_further_ahead_than_they_may() {
        let rows = |neighbours, ahead| {
            let all = Recipe { neighbours, ahead, fours: true, ..Recipe::default() }.neighbours_of(0);
            let columns = |row| all.iter().filter(|one| one.row == row).map(|one| one.column).collect::<Vec<_>>();
            [0, -1, -2, -3].map(columns)
        };
        let [none, left] = [Vec::new(), vec![-4, -3, -2, -1]];
        assert_eq!(rows(10, 1), [left.clone(), vec![-2, -1, 0, 1], vec![-2, -1, 0, 1], none.clone()]);
        assert_eq!(rows(1, 2), [none.clone(), vec![-3, -2, -1, 0], none.clone(), none]);
        let wide = (-5..=2).collect::<Vec<_>>();
        assert_eq!(rows(20, 2), [left, wide.clone(), wide.clone(), wide]);
        for (neighbours, channel) in [(54, 0), (54, 2), (41, 2)] {
            let recipe = |fours| Recipe { neighbours, fours, ..Recipe::default() };
            assert_eq!(recipe(false).neighbours_of(channel).len(), neighbours + 5 * channel);
            assert!((neighbours..=MAX_NEIGHBOURS).contains(&recipe(true).neighbours_of(channel).len()));
        }
    }
}
