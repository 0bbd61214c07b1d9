//! Whether generated images may be published, by the features that a classifier of the topic's own labels sees in them.
//!
//! Real images that the generator learned from say how far real ones are from real ones: the distances of generated ones are judged
//! relative to that. `docs/generation.md` has the equations and their sources.

mod distance;
mod eigen;

use super::gate::{Bounds, Gate, GateName};
use super::{LEAST_ROWS, QualityError};
use distance::{Moments, coverage, kernel_distance};

/// Rows of features, `[images, width]`.
#[derive(Clone, Copy, Debug)]
pub struct Features<'a> {
    width: usize,
    values: &'a [f64],
}

impl<'a> Features<'a> {
    /// Of whole rows; what is less than one is left out.
    pub fn new(width: usize, values: &'a [f64]) -> Self {
        let width = width.max(1);
        Self { width, values: &values[..values.len() / width * width] }
    }

    /// How many there are.
    pub fn rows(&self) -> usize {
        self.values.len() / self.width
    }

    fn row(&self, number: usize) -> &'a [f64] {
        &self.values[number * self.width..][..self.width]
    }

    /// The first rows.
    fn first(&self, rows: usize) -> Self {
        Self { width: self.width, values: &self.values[..rows.min(self.rows()) * self.width] }
    }
}

/// What is judged.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// Features of images that the generator learned from, or of others like them: real ones in the place of generated ones.
    pub train: Features<'a>,
    /// Of real images that it did not learn from.
    pub holdout: Features<'a>,
    /// Of generated ones.
    pub generated: Features<'a>,
    /// The share of generated images that the classifier gives the class that they were drawn as, and of held-out ones that it gives
    /// their own; `None` without labels.
    pub label_agreement: Option<[f64; 2]>,
    /// Accuracy on held-out images of a classifier of generated images, and of one of as many real images; `None` without labels.
    pub accuracies: Option<[f64; 2]>,
}

/// Most rows for neighbourhoods and kernels, whose cost is quadratic.
const MOST_PAIRS: usize = 2_000;

/// All gates of images.
pub fn judge(evidence: &Evidence<'_>) -> Result<Vec<Gate>, QualityError> {
    let Evidence { train, holdout, generated, .. } = *evidence;
    for (what, features) in [("training", train), ("held-out", holdout), ("generated", generated)] {
        if features.rows() < LEAST_ROWS {
            return Err(QualityError::TooFew { what, found: features.rows() });
        }
    }
    // As many on each side: the distance of few is larger than that of many (Chong and Forsyth 2020, arXiv:1911.07023).
    let rows = train.rows().min(generated.rows()).min(holdout.rows());
    let moments = [train, holdout, generated].map(|features| Moments::of(&features.first(rows)));
    let real = moments[0].frechet(&moments[1]);
    let drawn = moments[2].frechet(&moments[1]);
    let few = rows.min(MOST_PAIRS);
    let [train, holdout, generated] = [train, holdout, generated].map(|features| features.first(few));
    let kernel = [kernel_distance(&train, &holdout), kernel_distance(&generated, &holdout)];
    let (covered, density) = coverage(&holdout, &generated, 5);
    let mut gates = vec![
        Gate::new(
            GateName::FrechetRatio,
            drawn / real.max(f64::MIN_POSITIVE),
            Bounds::at_most(2.0),
            Bounds::at_most(4.0),
            format!("Frechet distance {drawn:.3} to held-out images; training images have {real:.3}"),
        ),
        Gate::new(
            GateName::KernelDistance,
            kernel[1],
            Bounds::ANY,
            Bounds::ANY,
            format!("kernel distance to held-out images; training images have {:.5}", kernel[0]),
        ),
        Gate::new(
            GateName::Coverage,
            covered,
            Bounds::at_least(0.85),
            Bounds::at_least(0.70),
            format!("share of {few} held-out images with a generated one nearby"),
        ),
        Gate::new(
            GateName::Density,
            density,
            Bounds::ANY,
            Bounds::ANY,
            "neighbourhoods of held-out images that a generated one lies in, over five".to_owned(),
        ),
    ];
    if let Some([of_generated, of_real]) = evidence.label_agreement {
        // Of what the classifier does not see in real images either, it says nothing.
        gates.push(Gate::new(
            GateName::LabelAgreement,
            of_generated,
            Bounds::at_least(0.97 * of_real),
            Bounds::at_least(0.90 * of_real),
            format!("share of generated images that are classified as what they were drawn as; {of_real:.4} of held-out ones are as what they are"),
        ));
    }
    if let Some([of_generated, of_real]) = evidence.accuracies {
        gates.push(Gate::new(
            GateName::CasRatio,
            of_generated / of_real.max(f64::MIN_POSITIVE),
            Bounds::at_least(0.965),
            Bounds::at_least(0.90),
            format!("a classifier of generated images is right about {of_generated:.4} of held-out ones, one of real images about {of_real:.4}"),
        ));
    }
    Ok(gates)
}

#[cfg(test)]
mod tests;
