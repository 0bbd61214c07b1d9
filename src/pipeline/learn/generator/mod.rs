//! What draws records, learned beside the codec: from the same reservoir, judged by the examiner, in use by a log of its own in the
//! registry (`Course`). [`Timetable`] says when it is learned again.

mod classical;
mod course;
#[cfg(feature = "training")]
mod libtorch;
mod material;
mod timetable;
#[cfg(not(feature = "training"))]
mod without;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use course::{Course, CourseError, CourseParts};
pub use material::{Bounds, Material};
pub use timetable::{Reason, Rest, Timetable};

use super::Samples;
use super::samples::holdout_bytes;
use crate::model::rows::is_of_rows;
use crate::model::{ClassicalImages, ClassicalRows, CurvePoint, Family, is_generative, shape_of};
use crate::payload::image::Shape;
use crate::pipeline::settings::{GeneratorChoice, LabelSource, Payload, Settings};

/// Most of what is learned from: what a training takes of memory follows from it.
const MOST_ROWS: Bounds = Bounds { bytes: 16 << 20, records: 50_000 };
const MOST_IMAGES: Bounds = Bounds { bytes: 48 << 20, records: 20_000 };

/// Rows that are remembered of those that were learned from.
const REMEMBERED: usize = 5_000;

/// Records of the stream from which on a first one is learned.
const ENOUGH_ROWS: u64 = 10_000;
const ENOUGH_IMAGES: u64 = 4_000;

/// What is learned to draw from. How is in `libtorch`, or in `without` where this program is built without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawing {
    kind: Kind,
    /// Whether others are drawn from too, where somebody puts them to use.
    any: bool,
    /// CPU time of a training.
    cpu: Duration,
    /// Most records that a model holds which makes others of them, where that is said.
    bases: Option<usize>,
    /// Where its random numbers begin.
    seed: u64,
}

/// What it is, and of what.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// Rows of fields.
    Rows(Writer),
    /// Images of one shape with their classes.
    Images(Painter, Shape, Option<LabelSource>),
}

/// What draws images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Painter {
    /// The decoder of an autoencoder.
    Vae,
    /// The generator of an adversarial pair.
    Gan,
    /// Real ones, changed.
    Classical,
}

/// What draws rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writer {
    /// Value by value.
    Autoregressive,
    /// The decoder of an autoencoder.
    Vae,
    /// The generator of an adversarial pair.
    Gan,
    /// Real ones, changed.
    Classical,
}

/// A generator that was learned.
#[derive(Clone, Debug)]
pub struct Drawn {
    /// Its bytes.
    pub artefact: Arc<[u8]>,
    /// Records that it learned from.
    pub records: u64,
    /// What was measured, for people and for the manifest.
    pub metrics: BTreeMap<String, f64>,
    /// How the training went.
    pub curve: Vec<CurvePoint>,
}

impl Drawing {
    /// What a pipeline with these settings learns to draw from beside its codec, if anything.
    pub fn of(settings: &Settings) -> Option<Self> {
        let augment = settings.augment.as_ref()?;
        let kind = match (augment.generator, settings.payload) {
            (GeneratorChoice::Auto | GeneratorChoice::Vae, Payload::Image) => {
                Kind::Images(Painter::Vae, settings.shape?, augment.label.clone())
            }
            (GeneratorChoice::Gan, Payload::Image) => {
                Kind::Images(Painter::Gan, settings.shape?, augment.label.clone())
            }
            (GeneratorChoice::Classical, Payload::Image) => {
                Kind::Images(Painter::Classical, settings.shape?, augment.label.clone())
            }
            (_, Payload::Image) | (GeneratorChoice::Columns, _) => return None,
            (GeneratorChoice::Auto | GeneratorChoice::Autoregressive, _) => Kind::Rows(Writer::Autoregressive),
            (GeneratorChoice::Vae, _) => Kind::Rows(Writer::Vae),
            (GeneratorChoice::Gan, _) => Kind::Rows(Writer::Gan),
            (GeneratorChoice::Classical, _) => Kind::Rows(Writer::Classical),
        };
        let any = augment.generator == GeneratorChoice::Auto;
        Some(Self { kind, any, cpu: augment.cpu, bases: augment.bases, seed: super::SEED })
    }

    /// The kind of its models.
    pub fn family(&self) -> Family {
        match self.kind {
            Kind::Rows(Writer::Autoregressive) => Family::AUTOREGRESSIVE,
            Kind::Rows(Writer::Gan) | Kind::Images(Painter::Gan, ..) => Family::GAN,
            Kind::Rows(Writer::Vae) | Kind::Images(Painter::Vae, ..) => Family::VAE,
            Kind::Rows(Writer::Classical) | Kind::Images(Painter::Classical, ..) => Family::CLASSICAL,
        }
    }

    /// How many records a model holds, where that are more than it may.
    pub fn too_many(&self, family: &Family, artefact: &[u8]) -> Option<usize> {
        let most = self.bases.filter(|_| *family == Family::CLASSICAL)?;
        let rows = || ClassicalRows::parse(artefact).map(|model| model.bases()).ok();
        let images = || ClassicalImages::parse(artefact).map(|model| model.bases()).ok();
        rows().or_else(images).filter(|held| *held > most)
    }

    /// Whether a model that somebody put to use is drawn from: one of this kind, or any of such records where nobody chose.
    pub fn takes(&self, family: &Family, artefact: &[u8]) -> bool {
        let wanted = *family == self.family() || (self.any && is_generative(family));
        wanted
            && match self.kind {
                Kind::Images(_, shape, _) => shape_of(family, artefact) == Some(shape),
                // Families that draw images too say which.
                Kind::Rows(_) => [Family::COLUMNS, Family::AUTOREGRESSIVE].contains(family) || is_of_rows(artefact),
            }
    }

    /// Where its random numbers begin.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The settings of a training: with others it is another one.
    pub fn config(&self) -> serde_json::Value {
        let mut config = serde_json::json!({ "cpu_seconds": self.cpu.as_secs_f64(), "family": self.family() });
        if let Kind::Images(_, shape, label) = &self.kind {
            config["shape"] = shape.to_string().into();
            config["label"] = label.as_ref().map(LabelSource::to_string).into();
        }
        if self.family() == Family::CLASSICAL {
            config["bases"] = self.bases.into();
        }
        match self.kind {
            Kind::Rows(Writer::Classical) => {
                config["holds"] = "training records, coarsened to values that five or more had".into();
            }
            Kind::Images(Painter::Classical, ..) => config["holds"] = "training images, as they are".into(),
            Kind::Rows(_) | Kind::Images(..) => {}
        }
        config
    }

    /// What there is to learn from.
    pub fn material(&self, samples: &Samples) -> Material {
        let label = if let Kind::Images(.., label) = &self.kind { label.as_ref() } else { None };
        Material::of(samples, label, self.bounds())
    }

    /// What is remembered of what it learned from, to tell whether what is drawn is nearer to that: of rows.
    pub fn remembered(&self, material: &Material) -> Vec<Vec<u8>> {
        match self.kind {
            Kind::Rows(_) => material.some(REMEMBERED, self.seed),
            Kind::Images(..) => Vec::new(),
        }
    }

    /// Most of what it learns from.
    fn bounds(&self) -> Bounds {
        match self.kind {
            Kind::Rows(_) => MOST_ROWS,
            Kind::Images(..) => MOST_IMAGES,
        }
    }

    /// Most bytes of the newest records that are held back from a training, to judge what comes of it.
    fn holdout_bytes(&self) -> usize {
        match self.kind {
            Kind::Rows(_) => holdout_bytes(None),
            Kind::Images(_, shape, _) => holdout_bytes(Some(shape)),
        }
    }

    /// Records of the stream that a first training waits for.
    fn enough(&self) -> u64 {
        match self.kind {
            Kind::Rows(_) => ENOUGH_ROWS,
            Kind::Images(..) => ENOUGH_IMAGES,
        }
    }
}
