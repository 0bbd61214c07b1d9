//! Images as a causal net is trained on them: samples with their neighbours.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use tch::{Kind, Tensor};

use super::recipe::Recipe;
use crate::engine::{MAX_OFFSET, Neighbour};
use crate::payload::image::Shape;
use crate::training::TrainingError;
use crate::training::layer::uniform;

/// Zeroes around each channel, as wide as a neighbour may be away.
const MARGIN: usize = MAX_OFFSET as usize;

/// Of samples that are like all their neighbours one in so many is learned from, and counts for so many: most of an image is such
/// background, and little is to be learned of it.
const FLAT: u64 = 8;

/// Images with zeroes around them.
#[derive(Debug)]
pub(super) struct Images {
    shape: Shape,
    /// Planes of all images, with their margins.
    planes: Vec<u8>,
    /// The images as they are.
    raw: Vec<u8>,
    /// For each channel: how far behind a sample each of its neighbours lies, in `planes`.
    neighbours: Vec<Vec<usize>>,
}

/// Some images, and samples of them.
#[derive(Debug)]
pub(super) struct Batch {
    /// `[images, D]` f32, 0 to 255.
    pub images: Tensor,
    /// `[images, L]` f32 in -0.5 to 0.5.
    pub noise: Tensor,
    /// Samples of each channel.
    pub channels: Vec<Samples>,
    /// All samples of all images, those that were left out too.
    pub samples: usize,
}

/// Samples of one channel.
#[derive(Debug)]
pub(super) struct Samples {
    /// `[samples, n]` f32, 0 to 255.
    pub neighbours: Tensor,
    /// `[samples]` i64: which of all `images * D` it is.
    pub places: Tensor,
    /// `[samples]` i64: what is to be told.
    pub values: Tensor,
    /// `[samples]` f32: how many it stands for.
    pub weights: Tensor,
}

impl Images {
    /// `raw` is `[images, D]`.
    pub fn new(raw: &[u8], shape: Shape, recipe: &Recipe) -> Result<Self, TrainingError> {
        if raw.is_empty() || !raw.len().is_multiple_of(shape.samples()) {
            let bytes = raw.len();
            return Err(TrainingError::Data(format!("{bytes} bytes are not images of {shape}, or none")));
        }
        let (height, width) = (shape.height(), shape.width());
        let (stride, plane) = (width + 2 * MARGIN, (height + 2 * MARGIN) * (width + 2 * MARGIN));
        let mut planes = vec![0; raw.len() / (height * width) * plane];
        for (plane, samples) in planes.chunks_exact_mut(plane).zip(raw.chunks_exact(height * width)) {
            for (row, samples) in samples.chunks_exact(width).enumerate() {
                plane[(row + MARGIN) * stride + MARGIN..][..width].copy_from_slice(samples);
            }
        }
        let behind = |near: &Neighbour| {
            let back = -isize::from(near.channel) * plane as isize - isize::from(near.row) * stride as isize;
            (back - isize::from(near.column)) as usize
        };
        let neighbours =
            (0..shape.channels()).map(|channel| recipe.neighbours_of(channel).iter().map(behind).collect()).collect();
        Ok(Self { shape, planes, raw: raw.to_vec(), neighbours })
    }

    /// Their shape.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.raw.len() / self.shape.samples()
    }

    /// The images, `[images, D]`.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// These images, and what is learned from them: the same for the same `rng`.
    pub fn batch(&self, numbers: &[usize], latents: usize, rng: &mut ChaCha8Rng) -> Result<Batch, TrainingError> {
        let samples = self.shape.samples();
        let mut images = Vec::with_capacity(numbers.len() * samples);
        for number in numbers {
            images.extend_from_slice(&self.raw[number * samples..][..samples]);
        }
        let noise: Vec<f32> = (0..numbers.len() * latents).map(|_| (uniform(rng) - 0.5) as f32).collect();
        let channels = (0..self.shape.channels()).map(|channel| self.samples(numbers, channel, rng));
        Ok(Batch {
            channels: channels.collect::<Result<_, _>>()?,
            images: floats(&images, samples)?,
            noise: Tensor::f_from_slice(&noise)?.f_view([numbers.len() as i64, latents as i64])?,
            samples: numbers.len() * samples,
        })
    }

    fn samples(&self, numbers: &[usize], channel: usize, rng: &mut ChaCha8Rng) -> Result<Samples, TrainingError> {
        let (height, width, channels) = (self.shape.height(), self.shape.width(), self.shape.channels());
        let stride = width + 2 * MARGIN;
        let behind = &self.neighbours[channel];
        let (mut neighbours, mut places, mut values, mut weights) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (position, number) in numbers.iter().enumerate() {
            let plane = (number * channels + channel) * (height + 2 * MARGIN) * stride;
            for row in 0..height {
                let first = plane + (row + MARGIN) * stride + MARGIN;
                for at in first..first + width {
                    let value = self.planes[at];
                    let flat = behind.iter().all(|behind| self.planes[at - behind] == value);
                    if flat && !rng.next_u64().is_multiple_of(FLAT) {
                        continue;
                    }
                    neighbours.extend(behind.iter().map(|behind| self.planes[at - behind]));
                    places.push((((position * channels + channel) * height + row) * width + at - first) as i64);
                    values.push(i64::from(value));
                    weights.push(if flat { FLAT as f32 } else { 1.0 });
                }
            }
        }
        Ok(Samples {
            neighbours: floats(&neighbours, behind.len())?,
            places: Tensor::f_from_slice(&places)?,
            values: Tensor::f_from_slice(&values)?,
            weights: Tensor::f_from_slice(&weights)?,
        })
    }
}

/// Rows of so many bytes, as floats.
fn floats(bytes: &[u8], row: usize) -> Result<Tensor, TrainingError> {
    let rows = (bytes.len() / row) as i64;
    Ok(Tensor::f_from_slice(bytes)?.f_view([rows, row as i64])?.f_to_kind(Kind::Float)?)
}

/// What a random generator of a training is for. Each use has a stream of its own, so that a step's numbers depend on the step alone.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    /// The first weights.
    Weights,
    /// The order of an epoch's images.
    Order(u64),
    /// Noise and samples of a step.
    Step(u32),
    /// Samples of validation images.
    Validation,
}

/// The generator for a purpose.
pub(super) fn generator(seed: u64, purpose: Purpose) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(match purpose {
        Purpose::Weights => 0,
        Purpose::Validation => 1,
        Purpose::Order(epoch) => 2 + 2 * epoch,
        Purpose::Step(step) => 3 + 2 * u64::from(step),
    });
    rng
}
