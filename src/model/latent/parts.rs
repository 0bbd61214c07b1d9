//! What training makes and the artefact holds.

use super::{Peaks, SampleTables};
use crate::engine::{CausalNet, Dense, EngineError, Name};
use crate::payload::image::{Shape, ShapeError, Wrapping};

/// The most latent numbers of an image.
pub const MAX_LATENTS: usize = 256;

/// The largest latent number.
pub const MAX_LIMIT: u8 = 127;

/// What is added to a latent number for the generator, which takes a `u8`.
pub const LATENT_ZERO: i16 = 128;

/// Latent numbers of up to [`MAX_LIMIT`] as a generator takes them, in place of what `raised` held.
pub fn raise(latent: &[i16], raised: &mut Vec<u8>) {
    raised.clear();
    raised.extend(latent.iter().map(|number| (number + LATENT_ZERO) as u8));
}

/// The most hidden units of encoder and generator.
pub const MAX_WIDTH: usize = 2048;

/// The most features of a sample.
pub const MAX_FEATURES: usize = 8;

/// The most wrappings of a model.
pub const MAX_WRAPPINGS: usize = 16;

/// The most weights of a model.
pub const MAX_WEIGHTS: usize = 32 << 20;

/// Encoder, generator, and the distribution of what is between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Autoencoder {
    /// D samples to hidden units (`ReLU`), and those to L numbers, clamped to `-limit..=limit`.
    pub encoder: [Dense; 2],
    /// L numbers, 128 added to each, to hidden units (`ReLU`), and those to `D * F` features (`ReLU`): feature `f` of sample
    /// `i` is output `i * F + f`.
    pub generator: [Dense; 2],
    /// The largest latent number: 1 to 127.
    pub limit: u8,
    /// `[L, 2 limit + 1]`: of each latent number, how often it is `-limit..=limit`, of 65,536. Each is at least 1.
    pub frequencies: Vec<u16>,
}

/// All that coding takes, whose parts fit one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LatentParts {
    shape: Shape,
    autoencoder: Option<Autoencoder>,
    nets: Vec<CausalNet>,
    tables: SampleTables,
    wrappings: Vec<Wrapping>,
}

/// Why there is no model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LatentError {
    /// It is not what it says it is, or its parts do not fit one another.
    #[error("this is no latent model: {0}")]
    Invalid(String),
    /// Another release wrote it.
    #[error("the latent model has version {version}, and this release reads versions 2 and 3")]
    Version {
        /// What it says.
        version: String,
    },
}

impl LatentError {
    pub(super) fn invalid(what: impl std::fmt::Display) -> Self {
        Self::Invalid(what.to_string())
    }
}

impl From<EngineError> for LatentError {
    fn from(error: EngineError) -> Self {
        Self::invalid(error)
    }
}

impl From<ShapeError> for LatentError {
    fn from(error: ShapeError) -> Self {
        Self::invalid(error)
    }
}

impl Autoencoder {
    /// Numbers between encoder and generator.
    pub fn latents(&self) -> usize {
        self.encoder[1].outputs()
    }

    /// Features of a sample.
    pub fn features(&self, shape: Shape) -> usize {
        self.generator[1].outputs() / shape.samples()
    }

    /// Symbols of a latent number.
    pub fn levels(&self) -> usize {
        2 * usize::from(self.limit) + 1
    }

    fn layers(&self) -> impl Iterator<Item = &Dense> {
        self.encoder.iter().chain(&self.generator)
    }

    fn check(&self, shape: Shape) -> Result<(), LatentError> {
        let require = |holds: bool, what: &str| if holds { Ok(()) } else { Err(LatentError::invalid(what)) };
        let [first, second] = &self.encoder;
        let [third, fourth] = &self.generator;
        let latents = self.latents();
        require(first.inputs() == shape.samples(), "its encoder takes another number of samples than its shape has")?;
        require(first.outputs() == second.inputs(), "its encoder's layers do not fit one another")?;
        require((1..=MAX_LATENTS).contains(&latents), "it has more than 256 latent numbers, or none")?;
        require(third.inputs() == latents, "its generator takes another number of latents than its encoder makes")?;
        require(third.outputs() == fourth.inputs(), "its generator's layers do not fit one another")?;
        require(first.outputs().max(third.outputs()) <= MAX_WIDTH, "it has more than 2048 hidden units")?;
        require(
            fourth.outputs() % shape.samples() == 0 && (1..=MAX_FEATURES).contains(&self.features(shape)),
            "its generator does not make 1 to 8 features of each sample",
        )?;
        require((1..=MAX_LIMIT).contains(&self.limit), "the limit of its latents is not 1 to 127")?;
        require(self.frequencies.len() == latents * self.levels(), "its latents have another number of frequencies")?;
        for table in self.frequencies.chunks_exact(self.levels()) {
            let sum: u32 = table.iter().map(|frequency| u32::from(*frequency)).sum();
            require(sum == 1 << 16 && !table.contains(&0), "a latent's frequencies are 0, or do not sum to 65,536")?;
        }
        Ok(())
    }
}

impl LatentParts {
    /// A model from its parts: one net for each channel. It is an error if they do not fit one another.
    pub fn new(
        shape: Shape,
        autoencoder: Option<Autoencoder>,
        nets: Vec<CausalNet>,
        tables: SampleTables,
    ) -> Result<Self, LatentError> {
        let features = match &autoencoder {
            Some(autoencoder) => {
                autoencoder.check(shape)?;
                autoencoder.features(shape)
            }
            None => 0,
        };
        if nets.len() != shape.channels() {
            return Err(LatentError::invalid("it does not have a net for each channel"));
        }
        for (channel, net) in nets.iter().enumerate() {
            if net.features() != features {
                return Err(LatentError::invalid("a net takes another number of features than there are"));
            }
            if tables.peaks().is_some_and(|peaks| peaks.near() > Peaks::most_near(net.neighbours())) {
                return Err(LatentError::invalid("its peaks are told from neighbours that a net does not look at"));
            }
            let outside = |back: i8| usize::from(back.unsigned_abs()) > channel;
            if net.neighbours().iter().any(|neighbour| outside(neighbour.channel)) {
                return Err(LatentError::invalid("a net looks at a channel before the first"));
            }
        }
        let weights: usize = autoencoder.iter().flat_map(Autoencoder::layers).map(|layer| layer.weights().len()).sum();
        if weights > MAX_WEIGHTS {
            return Err(LatentError::invalid(format_args!("it has {weights} weights, over the cap of {MAX_WEIGHTS}")));
        }
        Ok(Self { shape, autoencoder, nets, tables, wrappings: vec![Wrapping::Raw] })
    }

    /// The model for values with images in these wrappings, 1 to 16. Without a word they are raw.
    pub fn with_wrappings(mut self, wrappings: Vec<Wrapping>) -> Result<Self, LatentError> {
        if !(1..=MAX_WRAPPINGS).contains(&wrappings.len()) || wrappings.iter().any(|one| !one.fits(self.shape)) {
            return Err(LatentError::invalid("its images are wrapped in no way that there is, or in too many"));
        }
        self.wrappings = wrappings;
        Ok(self)
    }

    /// The images that it codes.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Encoder and generator, where it has a latent.
    pub fn autoencoder(&self) -> Option<&Autoencoder> {
        self.autoencoder.as_ref()
    }

    /// The nets, one for each channel.
    pub fn nets(&self) -> &[CausalNet] {
        &self.nets
    }

    /// The distributions of samples.
    pub fn tables(&self) -> &SampleTables {
        &self.tables
    }

    /// How values hold images.
    pub fn wrappings(&self) -> &[Wrapping] {
        &self.wrappings
    }

    /// The features of all samples, if they are the same for all images: those of places.
    pub fn constant_features(&self) -> Option<Vec<u8>> {
        let Some(autoencoder) = &self.autoencoder else { return Some(Vec::new()) };
        let [first, second] = &autoencoder.generator;
        let constant =
            second.weights().iter().all(|weight| *weight == 0) || first.weights().iter().all(|weight| *weight == 0);
        constant.then(|| self.features(&vec![0; autoencoder.latents()]))
    }

    /// The definition of the latent of an image: its encoder's outputs. Empty where it has none.
    ///
    /// # Panics
    ///
    /// If the image has another number of samples.
    pub fn latent(&self, image: &[u8]) -> Vec<i16> {
        let Some(Autoencoder { encoder: [first, second], limit, .. }) = &self.autoencoder else { return Vec::new() };
        second.signed(&first.relu(image), i16::from(*limit))
    }

    /// The definition of the features of all samples, `[D, F]`. Empty where there is no latent.
    ///
    /// # Panics
    ///
    /// If the latent has another length or numbers past the limit.
    pub fn features(&self, latent: &[i16]) -> Vec<u8> {
        let Some(Autoencoder { generator: [first, second], limit, .. }) = &self.autoencoder else { return Vec::new() };
        assert!(latent.iter().all(|z| z.unsigned_abs() <= u16::from(*limit)), "latents are within their limit");
        let mut raised = Vec::new();
        raise(latent, &mut raised);
        second.relu(&first.relu(&raised))
    }

    /// The definition of what names each sample's distribution, in planar order, given the features of all.
    ///
    /// # Panics
    ///
    /// If there are more or fewer samples or features.
    pub fn names(&self, image: &[u8], features: &[u8]) -> Vec<Name> {
        let (height, width) = (self.shape.height() as isize, self.shape.width() as isize);
        assert_eq!(image.len(), self.shape.samples(), "an image has as many samples as its shape");
        let (positions, scales) = (self.tables.positions(), self.tables.scales());
        let mut names = Vec::with_capacity(image.len());
        for (channel, net) in (0..).zip(&self.nets) {
            for (row, column) in (0..height).flat_map(|row| (0..width).map(move |column| (row, column))) {
                let mut inputs: Vec<u8> = Vec::with_capacity(net.hidden().inputs());
                for near in net.neighbours() {
                    let (y, x) = (row + isize::from(near.row), column + isize::from(near.column));
                    let inside = (0..height).contains(&y) && (0..width).contains(&x);
                    let plane: isize = channel + isize::from(near.channel);
                    inputs.push(if inside { image[((plane * height + y) * width + x) as usize] } else { 0 });
                }
                let sample = ((channel * height + row) * width + column) as usize;
                inputs.extend_from_slice(&features[sample * net.features()..][..net.features()]);
                names.push(net.evaluate(&inputs, positions, scales));
            }
        }
        names
    }
}
