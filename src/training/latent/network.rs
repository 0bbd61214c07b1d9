//! The model as libtorch sees it: what [`crate::model::latent`] does with integers, differentiable.

use tch::{Device, Kind, Tensor, no_grad};

use super::batches::{Batch, Purpose, Samples, generator};
use super::recipe::Recipe;
use crate::engine::CausalNet;
use crate::model::latent::{Autoencoder, frequencies};
use crate::payload::image::Shape;
use crate::training::TrainingError;
use crate::training::layer::{Layer, clamped, numbers};

/// The largest number of a byte.
const BYTE: f64 = 255.0;

/// What is added to latent numbers for the generator.
pub(super) const LATENT_ZERO: i32 = 128;

/// The size of latent numbers, in steps of 1: what the first weights make of images is around so large.
const LATENT_SIZE: f64 = 16.0;

/// Gaps between the bins of samples are learned so much faster than their parameters' size says.
const EDGE_RATE: f64 = 10.0;

/// How far positions go beyond the bins at each side, of the distance from the first to the last bin.
const OVERHANG: f64 = 0.3;

/// The logarithm of the steepness at scale 0, and of what the steepest is against it.
const STEEPNESS: [f64; 2] = [1.0, 6.5];

/// Where an untrained net begins, of all positions and scales: nearly black, and not sure of it.
const BEGINNING: f64 = 0.1;

/// Nothing is less likely than `exp` of this, so that a logarithm stays finite.
const LEAST: f64 = -60.0;

/// Encoder, generator, nets, and the distributions that they are trained with.
#[derive(Debug)]
pub(super) struct Network {
    shape: Shape,
    recipe: Recipe,
    autoencoder: Option<Halves>,
    /// Of each channel: hidden units, outputs.
    nets: Vec<[Layer; 2]>,
    /// `[255]`: the logarithms of the gaps between bins.
    edges: Tensor,
    /// Whether it computes with integers.
    quantised: bool,
}

/// Encoder and generator.
#[derive(Debug)]
struct Halves {
    encoder: [Layer; 2],
    generator: [Layer; 2],
    /// `[L]`: where each latent number's distribution is, and the logarithm of its width.
    centre: Tensor,
    width: Tensor,
}

/// Bits of a batch.
#[derive(Debug)]
pub(super) struct Bits {
    /// Of samples.
    pub samples: Tensor,
    /// Of latent numbers.
    pub latents: Tensor,
}

impl Network {
    /// The network before it has learned anything.
    pub fn new(shape: Shape, recipe: &Recipe, seed: u64) -> Result<Self, TrainingError> {
        let mut rng = generator(seed, Purpose::Weights);
        let float = (Kind::Float, Device::Cpu);
        let (samples, latents, width) = (shape.samples(), recipe.latents, recipe.width);
        let autoencoder = if latents > 0 {
            let outputs = samples * recipe.features;
            Some(Halves {
                encoder: [
                    Layer::new([samples, width], (BYTE, &[BYTE]), [1.0, 0.0], &mut rng)?,
                    Layer::new([width, latents], (BYTE, &[LATENT_SIZE]), [1.0, 0.0], &mut rng)?,
                ],
                generator: [
                    Layer::new([latents, width], (LATENT_SIZE, &[BYTE]), [1.0, 0.0], &mut rng)?,
                    Layer::new([width, outputs], (BYTE, &[BYTE]), [1.0, 0.5], &mut rng)?,
                ],
                centre: Tensor::f_zeros([latents as i64], float)?.set_requires_grad(true),
                width: Tensor::f_zeros([latents as i64], float)?.set_requires_grad(true),
            })
        } else {
            None
        };
        let features = if latents > 0 { recipe.features } else { 0 };
        let largest = [recipe.positions, recipe.scales].map(|many| f64::from(many - 1));
        let nets = (0..shape.channels()).map(|channel| {
            let inputs = recipe.neighbours_of(channel).len() + features;
            Ok([
                Layer::new([inputs, recipe.hidden], (BYTE, &[BYTE]), [1.0, 0.0], &mut rng)?,
                Layer::new([recipe.hidden, 2], (BYTE, &largest), [0.1, BEGINNING], &mut rng)?,
            ])
        });
        Ok(Self {
            shape,
            recipe: recipe.clone(),
            autoencoder,
            nets: nets.collect::<Result<_, TrainingError>>()?,
            edges: Tensor::f_zeros([255], float)?.set_requires_grad(true),
            quantised: false,
        })
    }

    fn layers(&self) -> Vec<&Layer> {
        let halves = self.autoencoder.iter().flat_map(|halves| halves.encoder.iter().chain(&halves.generator));
        halves.chain(self.nets.iter().flatten()).collect()
    }

    fn layers_mut(&mut self) -> Vec<&mut Layer> {
        let halves = self.autoencoder.iter_mut().flat_map(|halves| halves.encoder.iter_mut().chain(&mut halves.generator));
        halves.chain(self.nets.iter_mut().flatten()).collect()
    }

    /// All that is learned, always in the same order.
    pub fn parameters(&self) -> Vec<&Tensor> {
        let mut parameters: Vec<&Tensor> = self.layers().into_iter().flat_map(Layer::parameters).collect();
        parameters.extend(self.autoencoder.iter().flat_map(|halves| [&halves.centre, &halves.width]));
        parameters.push(&self.edges);
        parameters
    }

    /// The exponents of all layers, as powers of two, if it computes with integers.
    pub fn powers(&self) -> Vec<&Tensor> {
        self.layers().into_iter().filter_map(|layer| layer.power.as_ref()).collect()
    }

    /// The shapes of what [`Network::powers`] gives when it computes with integers.
    pub fn rows(&self) -> Vec<Vec<i64>> {
        self.layers().into_iter().map(|layer| layer.bias.size()).collect()
    }

    /// Computes with integers from now on.
    pub fn quantise(&mut self) -> Result<(), TrainingError> {
        self.quantised = true;
        self.layers_mut().into_iter().try_for_each(Layer::quantise)
    }

    /// Computes with the integers of these exponents, as [`Network::powers`] had them; with floats, if there are none.
    pub fn set_powers(&mut self, powers: Vec<Tensor>) {
        self.quantised = !powers.is_empty();
        let mut powers = powers.into_iter();
        for layer in self.layers_mut() {
            layer.power = powers.next();
        }
    }

    /// Whether it computes with integers.
    pub fn is_quantised(&self) -> bool {
        self.quantised
    }

    /// Latent numbers of images, `[batch, L]`; with the noise of a rounding in place of the rounding, where there is noise
    /// (Ballé et al. 2017, arXiv:1611.01704, section 3).
    fn latent(&self, halves: &Halves, images: &Tensor, noise: Option<&Tensor>) -> Result<Tensor, TrainingError> {
        let limit = f64::from(self.recipe.limit);
        let [first, second] = &halves.encoder;
        let hidden = clamped(&first.forward(images)?, 0.0, BYTE, self.quantised);
        let y = second.forward(&hidden)?;
        match noise {
            Some(noise) => Ok(clamped(&(y + noise), -limit, limit, false)),
            None => Ok(clamped(&y, -limit, limit, true)),
        }
    }

    /// Features of all samples of all images, `[batch * D, F]`.
    fn features(&self, halves: &Halves, latent: &Tensor) -> Result<Tensor, TrainingError> {
        let [first, second] = &halves.generator;
        let hidden = clamped(&first.forward(latent)?, 0.0, BYTE, self.quantised);
        let features = clamped(&second.forward(&hidden)?, 0.0, BYTE, self.quantised);
        Ok(features.f_view([-1, self.recipe.features as i64])?)
    }

    /// Position and scale of samples, each `[samples]`.
    fn places(&self, channel: usize, samples: &Samples, features: Option<&Tensor>) -> Result<[Tensor; 2], TrainingError> {
        let [first, second] = &self.nets[channel];
        let inputs = match features {
            Some(features) => {
                let kind = features.f_kind()?;
                Tensor::f_cat(&[&samples.neighbours.f_to_kind(kind)?, &features.f_index_select(0, &samples.places)?], 1)?
            }
            None => samples.neighbours.shallow_clone(),
        };
        let hidden = clamped(&first.forward(&inputs)?, 0.0, BYTE, self.quantised);
        let y = second.forward(&hidden)?;
        let output = |at, many: u16| clamped(&y.select(1, at), 0.0, f64::from(many - 1), self.quantised);
        Ok([output(0, self.recipe.positions), output(1, self.recipe.scales)])
    }

    /// What a position and a scale stand for: a logistic distribution's place, where the bins are from 0 to 1, and its steepness.
    fn logistic(&self, [position, scale]: &[Tensor; 2]) -> [Tensor; 2] {
        let place = position * ((1.0 + 2.0 * OVERHANG) / f64::from(self.recipe.positions - 1)) - OVERHANG;
        let steepness = (scale * (STEEPNESS[1] / f64::from(self.recipe.scales - 1)) + STEEPNESS[0]).exp();
        [place, steepness]
    }

    /// `[257]`: where the bin of each sample value begins and ends. The first begins, and the last ends, far outside.
    fn bins(&self) -> Result<Tensor, TrainingError> {
        let inner = (&self.edges * EDGE_RATE).f_softmax(0, Kind::Float)?.f_cumsum(0, Kind::Float)?;
        let far = Tensor::f_full([1], 1e4, (Kind::Float, Device::Cpu))?;
        Ok(Tensor::f_cat(&[-&far, inner, far], 0)?)
    }

    /// Bits of each sample: a logistic distribution cut into bins whose edges are learned.
    ///
    /// With `a` and `b` the steepness times the distances to the bin's ends, `ln(s(b) - s(a)) = ln s(b) + ln s(-a) + ln(1 - e^(a-b))`, where `s` is
    /// the logistic function: finite, and with a gradient, however unlikely the sample.
    fn bits(&self, places: &[Tensor; 2], values: &Tensor) -> Result<Tensor, TrainingError> {
        let bins = self.bins()?;
        let [place, steepness] = self.logistic(places);
        let low = (bins.f_index_select(0, values)? - &place) * &steepness;
        let high = (bins.f_index_select(0, &(values + 1))? - &place) * &steepness;
        let gap = (&low - &high).clamp(LEAST, -1e-6);
        let nats = high.log_sigmoid() + (-low).log_sigmoid() + (-gap.exp()).log1p();
        Ok(nats * -std::f64::consts::LOG2_E)
    }

    /// What a batch takes. With `noise` latents are not rounded, which is how it learns.
    pub fn forward(&self, batch: &Batch, noise: bool) -> Result<Bits, TrainingError> {
        let noise = (noise && !self.quantised).then_some(&batch.noise);
        let mut bits = Bits {
            samples: Tensor::f_zeros([], (Kind::Float, Device::Cpu))?,
            latents: Tensor::f_zeros([], (Kind::Float, Device::Cpu))?,
        };
        let features = match &self.autoencoder {
            Some(halves) => {
                let latent = self.latent(halves, &batch.images, noise)?;
                let edge = |half: f64| ((&latent - &halves.centre + half) * (-&halves.width).exp() / LATENT_WIDTH).sigmoid();
                let likelihood = (edge(0.5) - edge(-0.5)).clamp(1e-9, 1.0);
                bits.latents = -likelihood.log2().sum(Kind::Float);
                Some(self.features(halves, &latent)?)
            }
            None => None,
        };
        for (channel, samples) in batch.channels.iter().enumerate() {
            let places = self.places(channel, samples, features.as_ref())?;
            let each = self.bits(&places, &samples.values)?;
            bits.samples = bits.samples + (each * &samples.weights).sum(Kind::Float);
        }
        Ok(bits)
    }

    /// The logistic distribution of each table, `[positions, scales, 256]`: what a table is taken for before its samples are counted.
    pub fn expected(&self) -> Result<Vec<f64>, TrainingError> {
        let _guard = tch::no_grad_guard();
        let (positions, scales) = (i64::from(self.recipe.positions), i64::from(self.recipe.scales));
        let float = (Kind::Float, Device::Cpu);
        let position = Tensor::f_arange(positions, float)?.f_view([-1, 1])?.f_repeat([1, scales])?.f_view(-1)?;
        let scale = Tensor::f_arange(scales, float)?.f_repeat([positions])?;
        let each = |value: i64| {
            let values = Tensor::f_full([positions * scales], value, (Kind::Int64, Device::Cpu))?;
            Ok((self.bits(&[position.shallow_clone(), scale.shallow_clone()], &values)? * -1.0).exp2())
        };
        let columns = (0..256).map(each).collect::<Result<Vec<_>, TrainingError>>()?;
        numbers(&Tensor::f_stack(&columns, 1)?)
    }

    /// Encoder and generator as integers, with flat distributions of latent numbers.
    pub fn export_autoencoder(&self) -> Result<Option<Autoencoder>, TrainingError> {
        let Some(halves) = &self.autoencoder else { return Ok(None) };
        let [first, second] = &halves.encoder;
        let [third, fourth] = &halves.generator;
        let flat = frequencies(&vec![1; 2 * usize::from(self.recipe.limit) + 1])?;
        Ok(Some(Autoencoder {
            encoder: [first.export(0)?, second.export(0)?],
            generator: [third.export(LATENT_ZERO)?, fourth.export(0)?],
            limit: self.recipe.limit,
            frequencies: flat.repeat(self.recipe.latents),
        }))
    }

    /// The nets as integers, one for each channel.
    pub fn export_nets(&self) -> Result<Vec<CausalNet>, TrainingError> {
        let net = |(channel, [first, second]): (usize, &[Layer; 2])| {
            Ok(CausalNet::new(self.recipe.neighbours_of(channel), first.export(0)?, second.export(0)?)?)
        };
        self.nets.iter().enumerate().map(net).collect()
    }
}

/// The width of a latent number's distribution before it has learned.
const LATENT_WIDTH: f64 = 4.0;
