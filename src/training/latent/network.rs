//! The model as libtorch sees it: what [`crate::model::latent`] does with integers, differentiable.

use tch::{Device, Kind, Tensor};

use super::batches::{Batch, Purpose, Samples, generator};
use super::calibrate::Expected;
use super::recipe::Recipe;
use crate::engine::{CausalNet, Dense, OUTPUTS, ZERO_LEVELS};
use crate::model::latent::{Autoencoder, LATENT_ZERO, frequencies};
use crate::payload::image::Shape;
use crate::training::TrainingError;
use crate::training::layer::{Layer, clamped, numbers, uniform};

/// The largest number of a byte.
const BYTE: f64 = 255.0;

/// The size of latent numbers, in steps of 1: what the first weights make of images is around so large.
const LATENT_SIZE: f64 = 16.0;

/// Gaps between the bins of samples are learned so much faster than their parameters' size says.
const EDGE_RATE: f64 = 10.0;

/// How far positions go beyond the bins at each side, of the distance from the first to the last bin.
const OVERHANG: f64 = 0.3;

/// The logarithm of the steepness at scale 0, and of what the steepest is against it.
const STEEPNESS: [f64; 2] = [1.0, 6.5];

/// The logarithm of the odds of 0 at the last level of zero, and of those against it at the first: 16 bits.
const ODDS: f64 = 11.0;

/// Where an untrained net begins, of all positions, scales and levels of zero: nearly black, and not sure of it.
const BEGINNING: [f64; OUTPUTS] = [0.1, 0.1, 0.5];

/// The least that a feature of a place begins with.
const CONSTANTS: f64 = 0.3;

/// How far apart features of places begin.
const SPREAD: f64 = 0.4;

/// Nothing is less likely than `exp` of this, so that a logarithm stays finite.
const LEAST: f64 = -60.0;

/// Encoder, generator, nets, and the distributions that they are trained with.
#[derive(Debug)]
pub(super) struct Network {
    shape: Shape,
    recipe: Recipe,
    autoencoder: Option<Halves>,
    /// `[D, F]` of size 1: the features of each place, where there is no latent that they could be made of.
    constants: Option<Tensor>,
    /// Of each channel: hidden units, outputs.
    nets: Vec<[Layer; 2]>,
    /// `[255]`: the logarithms of the gaps between bins.
    edges: Tensor,
    /// Values from this on are one: neighbours tell which it is.
    threshold: Option<u8>,
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
    ///
    /// Values from `threshold` on are one to it.
    pub fn new(shape: Shape, recipe: &Recipe, threshold: Option<u8>, seed: u64) -> Result<Self, TrainingError> {
        let mut rng = generator(seed, Purpose::Weights);
        let float = (Kind::Float, Device::Cpu);
        let (samples, latents, width) = (shape.samples(), recipe.latents, recipe.width);
        let autoencoder = if latents > 0 {
            let outputs = samples * recipe.features;
            Some(Halves {
                encoder: [
                    Layer::new([samples, width], (BYTE, &[BYTE]), (1.0, &[0.0]), &mut rng)?,
                    Layer::new([width, latents], (BYTE, &[LATENT_SIZE]), (1.0, &[0.0]), &mut rng)?,
                ],
                generator: [
                    Layer::new([latents, width], (LATENT_SIZE, &[BYTE]), (1.0, &[0.0]), &mut rng)?,
                    Layer::new([width, outputs], (BYTE, &[BYTE]), (1.0, &[0.5]), &mut rng)?,
                ],
                centre: Tensor::f_zeros([latents as i64], float)?.set_requires_grad(true),
                width: Tensor::f_zeros([latents as i64], float)?.set_requires_grad(true),
            })
        } else {
            None
        };
        let constants = if latents == 0 && recipe.features > 0 {
            let numbers = (0..samples * recipe.features).map(|_| (CONSTANTS + SPREAD * uniform(&mut rng)) as f32);
            let numbers = Tensor::f_from_slice(&numbers.collect::<Vec<_>>())?;
            Some(numbers.f_view([samples as i64, recipe.features as i64])?.set_requires_grad(true))
        } else {
            None
        };
        let largest = [recipe.positions, recipe.scales, ZERO_LEVELS].map(|many| f64::from(many - 1));
        let nets = (0..shape.channels()).map(|channel| {
            let inputs = recipe.neighbours_of(channel).len() + recipe.features;
            Ok([
                Layer::new([inputs, recipe.hidden], (BYTE, &[BYTE]), (1.0, &[0.0]), &mut rng)?,
                Layer::new([recipe.hidden, OUTPUTS], (BYTE, &largest), (0.1, &BEGINNING), &mut rng)?.wide()?,
            ])
        });
        Ok(Self {
            shape,
            recipe: recipe.clone(),
            autoencoder,
            constants,
            nets: nets.collect::<Result<_, TrainingError>>()?,
            edges: Tensor::f_zeros([255], float)?.set_requires_grad(true),
            threshold,
            quantised: false,
        })
    }

    fn layers(&self) -> Vec<&Layer> {
        let halves = self.autoencoder.iter().flat_map(|halves| halves.encoder.iter().chain(&halves.generator));
        halves.chain(self.nets.iter().flatten()).collect()
    }

    fn layers_mut(&mut self) -> Vec<&mut Layer> {
        let halves =
            self.autoencoder.iter_mut().flat_map(|halves| halves.encoder.iter_mut().chain(&mut halves.generator));
        halves.chain(self.nets.iter_mut().flatten()).collect()
    }

    /// All that is learned, always in the same order.
    pub fn parameters(&self) -> Vec<&Tensor> {
        let mut parameters: Vec<&Tensor> = self.layers().into_iter().flat_map(Layer::parameters).collect();
        parameters.extend(self.autoencoder.iter().flat_map(|halves| [&halves.centre, &halves.width]));
        parameters.extend(&self.constants);
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
    fn generate(&self, halves: &Halves, latent: &Tensor) -> Result<Tensor, TrainingError> {
        let [first, second] = &halves.generator;
        let hidden = clamped(&first.forward(latent)?, 0.0, BYTE, self.quantised);
        let features = clamped(&second.forward(&hidden)?, 0.0, BYTE, self.quantised);
        Ok(features.f_view([-1, self.recipe.features as i64])?)
    }

    /// Features of these samples, `[samples, F]`: out of those that were generated, or of their places.
    fn features(&self, samples: &Samples, generated: Option<&Tensor>) -> Result<Option<Tensor>, TrainingError> {
        if let Some(generated) = generated {
            return Ok(Some(generated.f_index_select(0, &samples.places)?));
        }
        let Some(constants) = &self.constants else { return Ok(None) };
        let constants = clamped(&(constants * BYTE), 0.0, BYTE, self.quantised);
        let places = samples.places.f_remainder(self.shape.samples() as i64)?;
        Ok(Some(constants.f_index_select(0, &places)?))
    }

    /// Position, scale and level of zero of samples, each `[samples]`.
    fn positions(
        &self,
        channel: usize,
        samples: &Samples,
        generated: Option<&Tensor>,
    ) -> Result<[Tensor; OUTPUTS], TrainingError> {
        let [first, second] = &self.nets[channel];
        let inputs = match self.features(samples, generated)? {
            Some(features) => Tensor::f_cat(&[&samples.neighbours.f_to_kind(features.f_kind()?)?, &features], 1)?,
            None => samples.neighbours.shallow_clone(),
        };
        let hidden = clamped(&first.forward(&inputs)?, 0.0, BYTE, self.quantised);
        let y = second.forward(&hidden)?;
        let output = |at, many: u16| clamped(&y.select(1, at), 0.0, f64::from(many - 1), self.quantised);
        Ok([output(0, self.recipe.positions), output(1, self.recipe.scales), output(2, ZERO_LEVELS)])
    }

    /// What a position and a scale stand for: a logistic distribution's place, where the bins are from 0 to 1, and its steepness.
    fn logistic(&self, [position, scale, _]: &[Tensor; OUTPUTS]) -> [Tensor; 2] {
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

    /// The logarithm of the odds of 0.
    fn odds(&self, [_, _, zero]: &[Tensor; OUTPUTS]) -> Tensor {
        (zero * (2.0 / f64::from(ZERO_LEVELS - 1)) - 1.0) * ODDS
    }

    /// Bits of each sample: whether it is 0, and, if it is not, a logistic distribution cut into bins whose edges are learned, of which
    /// there is what lies above the first. Values from the threshold on have one bin.
    ///
    /// With `a` and `b` the steepness times the distances to the bin's ends, `ln(s(b) - s(a)) = ln s(b) + ln s(-a) + ln(1 - e^(a-b))`, where `s` is
    /// the logistic function: finite, and with a gradient, however unlikely the sample.
    fn bits(&self, places: &[Tensor; OUTPUTS], values: &Tensor) -> Result<Tensor, TrainingError> {
        let bins = self.bins()?;
        let [place, steepness] = self.logistic(places);
        let (first, last) = match self.threshold {
            Some(threshold) => {
                let threshold = i64::from(threshold);
                let beyond = values.f_ge(threshold)?.f_to_kind(Kind::Int64)?;
                (values.f_clamp_max(threshold)?, values + &beyond * (255 - values))
            }
            None => (values.shallow_clone(), values.shallow_clone()),
        };
        let low = (bins.f_index_select(0, &first)? - &place) * &steepness;
        let high = (bins.f_index_select(0, &(last + 1))? - &place) * &steepness;
        let gap = (&low - &high).clamp(LEAST, -1e-6);
        let nats = high.log_sigmoid() + (-low).log_sigmoid() + (-gap.exp()).log1p();
        let above = ((&place - bins.f_get(1)?) * &steepness).log_sigmoid();
        let odds = self.odds(places);
        let is_zero = values.f_eq(0)?.f_to_kind(Kind::Float)?;
        let nats = &is_zero * odds.log_sigmoid() + (1.0 - &is_zero) * ((-&odds).log_sigmoid() + nats - above);
        Ok(nats * -std::f64::consts::LOG2_E)
    }

    /// What a batch takes. With `noise` latents are not rounded, which is how it learns.
    pub fn forward(&self, batch: &Batch, noise: bool) -> Result<Bits, TrainingError> {
        let noise = (noise && !self.quantised).then_some(&batch.noise);
        let mut latents = Tensor::f_zeros([], (Kind::Float, Device::Cpu))?;
        let generated = match &self.autoencoder {
            Some(halves) => {
                let latent = self.latent(halves, &batch.images, noise)?;
                let edge =
                    |half: f64| ((&latent - &halves.centre + half) * (-&halves.width).exp() / LATENT_WIDTH).sigmoid();
                let likelihood = (edge(0.5) - edge(-0.5)).clamp(1e-9, 1.0);
                latents = -likelihood.log2().sum(Kind::Float);
                Some(self.generate(halves, &latent)?)
            }
            None => None,
        };
        let channels = batch.channels.iter().enumerate().map(|(channel, samples)| {
            let positions = self.positions(channel, samples, generated.as_ref())?;
            Ok((self.bits(&positions, &samples.values)? * &samples.weights).sum(Kind::Float))
        });
        let channels = channels.collect::<Result<Vec<_>, TrainingError>>()?;
        Ok(Bits { samples: Tensor::f_stack(&channels, 0)?.sum(Kind::Float), latents })
    }

    /// The logistic distribution of each table, and the odds of each level of zero: what they are taken for before samples are counted.
    pub fn expected(&self) -> Result<Expected, TrainingError> {
        let _guard = tch::no_grad_guard();
        let (positions, scales) = (i64::from(self.recipe.positions), i64::from(self.recipe.scales));
        let float = (Kind::Float, Device::Cpu);
        let position = Tensor::f_arange(positions, float)?.f_view([-1, 1])?.f_repeat([1, scales])?.f_view(-1)?;
        let scale = Tensor::f_arange(scales, float)?.f_repeat([positions])?;
        // Surely not 0, so that all that is left is which other.
        let zero = scale.f_zeros_like()?;
        let level = Tensor::f_arange(i64::from(ZERO_LEVELS), float)?;
        let names = [position, scale, zero];
        let each = |value: i64| {
            let values = Tensor::f_full([positions * scales], value, (Kind::Int64, Device::Cpu))?;
            Ok((self.bits(&names, &values)? * -1.0).exp2())
        };
        let columns = (1..256).map(each).collect::<Result<Vec<_>, TrainingError>>()?;
        let zeroes = self.odds(&[level.zeros_like(), level.zeros_like(), level]).sigmoid();
        Ok(Expected { zeroes: numbers(&zeroes)?, samples: numbers(&Tensor::f_stack(&columns, 1)?)? })
    }

    /// Encoder and generator as integers, with flat distributions of latent numbers.
    ///
    /// Features of places are what a generator makes of a latent that is always 0: one number, which costs nothing.
    pub fn export_autoencoder(&self) -> Result<Option<Autoencoder>, TrainingError> {
        let zeroes = |inputs: usize, bias: Vec<i32>| {
            let exponent = vec![0; bias.len()];
            Dense::new(inputs, vec![0; inputs * bias.len()], bias, exponent)
        };
        if let Some(constants) = &self.constants {
            let bytes = numbers(&clamped(&(constants * BYTE), 0.0, BYTE, true))?;
            let bytes = bytes.into_iter().map(|byte| byte as i32).collect();
            return Ok(Some(Autoencoder {
                encoder: [zeroes(self.shape.samples(), vec![0])?, zeroes(1, vec![0])?],
                generator: [zeroes(1, vec![0])?, zeroes(1, bytes)?],
                limit: 1,
                frequencies: frequencies(&[1; 3])?,
            }));
        }
        let Some(halves) = &self.autoencoder else { return Ok(None) };
        let [first, second] = &halves.encoder;
        let [third, fourth] = &halves.generator;
        let flat = frequencies(&vec![1; 2 * usize::from(self.recipe.limit) + 1])?;
        Ok(Some(Autoencoder {
            encoder: [first.export(0)?, second.export(0)?],
            generator: [third.export(LATENT_ZERO.into())?, fourth.export(0)?],
            limit: self.recipe.limit,
            frequencies: flat.repeat(self.recipe.latents),
        }))
    }

    /// The nets as integers, one for each channel.
    pub fn export_nets(&self) -> Result<Vec<CausalNet>, TrainingError> {
        let net = |(channel, [first, second]): (usize, &[Layer; 2])| {
            Ok(CausalNet::new(self.recipe.neighbours_of(channel), first.export(0)?, second.export_output()?)?)
        };
        self.nets.iter().enumerate().map(net).collect()
    }
}

/// The width of a latent number's distribution before it has learned.
const LATENT_WIDTH: f64 = 4.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Name;
    use crate::model::latent::{LatentParts, OTHERS, SampleTables};
    use crate::training::latent::batches::Images;
    use crate::training::latent::tests::{drawn, small};

    /// The network's numbers and those of its artefact, by the definition.
    fn compare(shape: &str, recipe: &Recipe) {
        let shape: Shape = shape.parse().unwrap();
        let (count, raw) = (256, drawn(shape, 256, 7));
        let images = Images::new(&raw, shape, recipe).unwrap();
        let mut network = Network::new(shape, recipe, None, 3).unwrap();
        let _guard = tch::no_grad_guard();
        // Far from the beginning, so that units are on both sides of their range, and features not alike.
        for parameter in network.parameters() {
            let _ = parameter.shallow_clone().f_mul_(&Tensor::from(5.0)).unwrap();
        }
        network.quantise().unwrap();
        let autoencoder = network.export_autoencoder().unwrap();
        let limit = autoencoder.as_ref().map_or(0, |halves| i64::from(halves.limit));
        let tables = usize::from(recipe.positions) * usize::from(recipe.scales);
        let flat =
            SampleTables::from_counts(recipe.positions, recipe.scales, &[[1, 1]; 256], &vec![1; tables * OTHERS])
                .unwrap();
        let parts = LatentParts::new(shape, autoencoder, network.export_nets().unwrap(), flat).unwrap();

        let numbers_of = |tensor: &Tensor| Vec::<i64>::try_from(tensor.to_kind(Kind::Int64).view(-1)).unwrap();
        let mut batch =
            images.batch(&(0..count).collect::<Vec<_>>(), recipe.latents, &mut generator(1, Purpose::Step(0))).unwrap();
        // Sums of a whole image pass what `f32` holds exactly.
        batch.images = batch.images.to_kind(Kind::Double);
        let generated = network.autoencoder.as_ref().map(|halves| {
            let latent = network.latent(halves, &batch.images, None).unwrap();
            let expected: Vec<i64> =
                raw.chunks_exact(shape.samples()).flat_map(|image| parts.latent(image)).map(i64::from).collect();
            assert_eq!(numbers_of(&latent), expected);
            assert!(expected.iter().any(|number| number.abs() > 1 && number.abs() < limit));
            network.generate(halves, &latent).unwrap()
        });
        let mut seen = std::collections::BTreeSet::new();
        let names: Vec<Vec<Name>> = raw
            .chunks_exact(shape.samples())
            .map(|image| parts.names(image, &parts.features(&parts.latent(image))))
            .collect();
        for (channel, samples) in batch.channels.iter().enumerate() {
            let [position, scale, zero] = network.positions(channel, samples, generated.as_ref()).unwrap();
            let ours = numbers_of(&(position * f64::from(recipe.scales) + scale)).into_iter().zip(numbers_of(&zero));
            for ((table, zero), place) in ours.zip(numbers_of(&samples.places)) {
                let name = Name::new(table as u16, zero as u8);
                let (image, sample) = (place as usize / shape.samples(), place as usize % shape.samples());
                assert_eq!(name, names[image][sample], "image {image}, sample {sample}");
                seen.insert(name);
            }
        }
        assert!(seen.len() > 12, "{seen:?}");
    }

    #[test]
    fn the_quantised_network_and_the_artefact_give_the_same_integers() {
        compare("12x10", &small(0));
        compare("12x10", &small(5));
        compare("8x9x3", &small(0));
        compare("8x8x3", &Recipe { limit: 20, ..small(4) });
    }

    #[test]
    fn expected_distributions_sum_to_1() {
        let recipe = small(0);
        let network = Network::new("8x8".parse().unwrap(), &recipe, None, 1).unwrap();
        let expected = network.expected().unwrap();
        for table in expected.samples.chunks_exact(OTHERS) {
            assert!((table.iter().sum::<f64>() - 1.0).abs() < 1e-3);
        }
        assert!(expected.zeroes[0] < 2e-5 && expected.zeroes[255] > 0.9999 && expected.zeroes.is_sorted());
    }

    #[test]
    fn bits_are_those_of_the_logistic_distribution() {
        let mut network = Network::new("8x8".parse().unwrap(), &small(0), None, 1).unwrap();
        let (position, scale, value) = (20.0, 5.0, 77);
        let at = |number: f64| Tensor::from_slice(&[number as f32]);
        let names = [at(position), at(scale), at(100.0)];
        let bits = |network: &Network, value: i64| {
            network.bits(&names, &Tensor::from_slice(&[value])).unwrap().double_value(&[0])
        };
        let place = position / 31.0 * 1.6 - 0.3;
        let steepness = (scale / 15.0 * 6.5 + 1.0f64).exp();
        let logistic = |edge: f64| 1.0 / (1.0 + (-(edge - place) * steepness).exp());
        // 255 equal gaps: sample 77 lies between 77/255 and 78/255.
        let zero = 1.0 / (1.0 + (-(100.0 / 255.0 * 2.0 - 1.0) * 11.0f64).exp());
        let expected = (1.0 - zero) * (logistic(78.0 / 255.0) - logistic(77.0 / 255.0)) / (1.0 - logistic(1.0 / 255.0));
        let found = bits(&network, value);
        assert!((found + expected.log2()).abs() < 1e-3, "{found} {expected}");
        assert!((bits(&network, 0) + zero.log2()).abs() < 1e-3);
        // All from 250 on are one.
        let all: f64 = (250..256).map(|value| (-bits(&network, value)).exp2()).sum();
        network.threshold = Some(250);
        for value in [250, 253, 255] {
            assert!(((-bits(&network, value)).exp2() / all - 1.0).abs() < 1e-3);
        }
        assert!((bits(&network, value) - found).abs() < 1e-6);
    }
}
