//! Latents drawn of mixtures, many at once, as libtorch sees them.

use rand_chacha::ChaCha8Rng;
use tch::Tensor;

use crate::model::images::Class;
use crate::model::mixture::Mixture;
use crate::training::TrainingError;
use crate::training::affine::normals;
use crate::training::layer::uniform;

/// The Gaussians of all classes.
#[derive(Debug)]
pub(super) struct Latents {
    /// `[K, L]`.
    means: Tensor,
    /// `[K, L, L]`: lower triangles.
    factors: Tensor,
    /// `[K]`: the share of all images that a Gaussian and those before it have.
    shares: Vec<f64>,
    /// `[K]`: the place of each one's class.
    classes: Vec<usize>,
}

impl Latents {
    /// Of a mixture for each class.
    pub fn new(classes: &[Class], mixtures: &[Mixture]) -> Result<Self, TrainingError> {
        let latents = mixtures.first().map_or(0, Mixture::latents);
        let images: f64 = classes.iter().map(|class| f64::from(class.images)).sum();
        let (mut means, mut factors, mut shares, mut of) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut share = 0.0;
        for (place, (class, mixture)) in classes.iter().zip(mixtures).enumerate() {
            let total: f64 = mixture.weights().iter().map(|weight| f64::from(*weight)).sum();
            for weight in mixture.weights() {
                share += f64::from(*weight) / total * f64::from(class.images) / images;
                shares.push(share);
                of.push(place);
            }
            means.extend_from_slice(mixture.means());
            let mut rest = mixture.factors();
            for row in (0..latents).cycle().take(latents * mixture.components()) {
                let (own, after) = rest.split_at(row + 1);
                rest = after;
                factors.extend_from_slice(own);
                factors.extend(std::iter::repeat_n(0.0, latents - own.len()));
            }
        }
        let [components, latents] = [of.len() as i64, latents as i64];
        Ok(Self {
            means: Tensor::f_from_slice(&means)?.f_view([components, latents])?,
            factors: Tensor::f_from_slice(&factors)?.f_view([components, latents, latents])?,
            shares,
            classes: of,
        })
    }

    /// So many latents, `[count, L]`, and the places of their classes, which are drawn by their shares of all images.
    pub fn draw(&self, count: usize, rng: &mut ChaCha8Rng) -> Result<(Tensor, Vec<usize>), TrainingError> {
        let last = self.shares.len() - 1;
        let chosen: Vec<usize> = (0..count)
            .map(|_| {
                let number = uniform(rng);
                self.shares.partition_point(|share| *share <= number).min(last)
            })
            .collect();
        let places = Tensor::f_from_slice(&chosen.iter().map(|place| *place as i64).collect::<Vec<_>>())?;
        let normals = normals(count, self.means.size()[1] as usize, rng)?.f_unsqueeze(2)?;
        let away = self.factors.f_index_select(0, &places)?.f_matmul(&normals)?.f_squeeze_dim(2)?;
        let latents = self.means.f_index_select(0, &places)? + away;
        Ok((latents, chosen.into_iter().map(|place| self.classes[place]).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::affine::floats;
    use crate::training::images::batches::{Purpose, generator};

    #[test]
    fn latents_are_those_of_their_class_and_classes_come_by_their_shares() {
        let class = |label: &str, images| Class { label: Some(label.to_owned()), images };
        let mixtures = [
            Mixture::new(vec![1, 3], vec![-20.0, 1.0, -5.0, 2.0], vec![1.0, 0.5, 0.7, 0.2, 0.0, 0.3]).unwrap(),
            Mixture::new(vec![5], vec![9.0, -3.0], vec![0.5, -0.6, 0.8]).unwrap(),
        ];
        let latents = Latents::new(&[class("a", 300), class("b", 100)], &mixtures).unwrap();
        let (drawn, classes) = latents.draw(40_000, &mut generator(1, Purpose::Mixture)).unwrap();
        let drawn = floats(&drawn).unwrap();
        // Means, variances and the covariance of each Gaussian, which lie far from one another.
        let expected = [
            (0, -20.0, [0.1875, -20.0, 1.0, 1.0, 0.74, 0.5]),
            (0, -5.0, [0.5625, -5.0, 2.0, 0.04, 0.09, 0.0]),
            (1, 9.0, [0.25, 9.0, -3.0, 0.25, 1.0, -0.3]),
        ];
        for (class, near, expected) in expected {
            let own = drawn
                .chunks_exact(2)
                .zip(&classes)
                .filter(|(latent, own)| **own == class && (latent[0] - near).abs() < 3.5);
            let own: Vec<[f64; 2]> = own.map(|(latent, _)| [latent[0].into(), latent[1].into()]).collect();
            let mean = |of: &dyn Fn(&[f64; 2]) -> f64| own.iter().map(of).sum::<f64>() / own.len() as f64;
            let (x, y) = (mean(&|latent| latent[0]), mean(&|latent| latent[1]));
            let found = [
                own.len() as f64 / 40_000.0,
                x,
                y,
                mean(&|latent| (latent[0] - x).powi(2)),
                mean(&|latent| (latent[1] - y).powi(2)),
                mean(&|latent| (latent[0] - x) * (latent[1] - y)),
            ];
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 0.04), "{found:?} {expected:?}");
        }
    }
}
