//! How a model of rows is made.

use crate::model::rows::{MAX_BLOCKS, MAX_WIDTH};
use crate::training::TrainingError;

/// What is trained, and how. The default is what the measurements of `docs/generation.md` chose.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// Units of the layer that what is known is summed in.
    pub width: usize,
    /// Units within a block.
    pub inner: usize,
    /// Blocks.
    pub blocks: usize,
    /// Rows of a step.
    pub batch: usize,
    /// How often each row is seen, in the mean, at most: from then on rows would be learned by heart.
    pub passes: f64,
    /// Adam's rate after its rise; it falls to 0 along half a cosine.
    pub rate: f64,
    /// How much of a weight is taken away in a step, for each unit of the rate (*decoupled weight decay*; Loshchilov and Hutter
    /// 2019, arXiv:1711.05101).
    pub decay: f64,
    /// The share of steps' rows that are asked in the order in which rows are drawn.
    pub ordered: f64,
    /// The share of rows that are asked in that order behind some variables that are known before, as a condition fixes them.
    pub conditioned: f64,
    /// Steps between two measurements of validation rows.
    pub interval: u32,
    /// One row in so many validates.
    pub validation: usize,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            width: 256,
            inner: 64,
            blocks: 2,
            batch: 512,
            passes: 30.0,
            rate: 3e-3,
            decay: 0.1,
            ordered: 0.5,
            conditioned: 0.25,
            interval: 100,
            validation: 16,
        }
    }
}

impl Recipe {
    /// Whether there is such a model, and such a training.
    pub(super) fn check(&self) -> Result<(), TrainingError> {
        let holds = |holds: bool, what: &str| if holds { Ok(()) } else { Err(TrainingError::Recipe(what.to_owned())) };
        let units = 1..=MAX_WIDTH;
        holds(units.contains(&self.width) && units.contains(&self.inner), "its layers do not have 1 to 1024 units")?;
        holds(self.blocks <= MAX_BLOCKS, "it has more than 8 blocks")?;
        holds((1..=65_536).contains(&self.batch), "a batch is not 1 to 65536 rows")?;
        holds((1e-6..=1.0).contains(&self.rate), "its rate is not 0.000001 to 1")?;
        holds(self.passes > 0.0 && self.passes.is_finite(), "rows are never seen")?;
        holds((0.0..=1.0).contains(&self.decay), "its decay is not 0 to 1")?;
        let shares = self.ordered >= 0.0 && self.conditioned >= 0.0 && self.ordered + self.conditioned <= 1.0;
        holds(shares, "its shares of rows are not 0 to 1 together")?;
        holds(self.interval > 0 && self.validation > 1, "it never validates, or with all rows")
    }
}
