//! Generators, trained with libtorch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Drawing, Drawn, Kind, Material, Painter, Writer, classical};
use crate::model::classical::{ClassicalParts, ImagesRecipe};
use crate::model::images::MAX_CLASSES;
use crate::model::manifest::metric;
use crate::model::{ClassicalImages, CurvePoint, ImagesModel, Monitor, rows, with_wrapping};
use crate::payload::image::{Shape, Wrapping};
use crate::pipeline::learn::Turn;
use crate::pipeline::learn::pictures::Pictures;
use crate::pipeline::learn::subject::SubjectError;
use crate::pipeline::settings::LabelSource;
use crate::telemetry::thread_cpu_seconds;
use crate::training::images::{Data, gan, vae};
use crate::training::rows as training;
use crate::training::{Budget, TrainingError};

/// Fewest images that are worth a training.
const FEWEST_IMAGES: usize = 200;

impl Drawing {
    /// Learns a generator; `Err` of the inner kind says why there is none yet. The turn ends when records are what a network learns
    /// from.
    pub fn train(
        &self,
        material: Material,
        turn: Turn,
        monitor: &mut dyn Monitor,
    ) -> Result<Result<Drawn, String>, SubjectError> {
        match &self.kind {
            Kind::Rows(writer) => self.rows(*writer, (material, turn), monitor),
            Kind::Images(painter, shape, label) => {
                self.images(*painter, *shape, label.as_ref(), (material, turn), monitor)
            }
        }
    }

    /// What a training comes to, which begins anew where the checkpoint that it was to go on from is of no use.
    fn trained<T>(
        monitor: &mut dyn Monitor,
        train: impl Fn(&mut dyn Monitor) -> Result<T, TrainingError>,
    ) -> Result<T, TrainingError> {
        match train(monitor) {
            Err(TrainingError::Checkpoint(reason)) => {
                tracing::warn!(target: "latentd", "a training begins anew: its checkpoint is of no use: {reason}");
                train(monitor)
            }
            trained => trained,
        }
    }

    fn budget(&self) -> Budget {
        Budget { steps: u32::MAX, cpu: Some(self.cpu) }
    }

    fn rows(
        &self,
        writer: Writer,
        (material, turn): (Material, Turn),
        monitor: &mut dyn Monitor,
    ) -> Result<Result<Drawn, String>, SubjectError> {
        let begun = thread_cpu_seconds();
        let coded = match rows::learn(&material.values()) {
            Ok(coded) => coded,
            Err(error) => return Ok(Err(error.to_string())),
        };
        // As codes they take little.
        drop((material, turn));
        let (seed, budget, records) = (self.seed, self.budget(), coded.rows as u64);
        let drawn = |artefact: &Arc<[u8]>, measured, rewinds: u32, cpu: std::time::Duration, curve: Vec<CurvePoint>| {
            let metrics = BTreeMap::from([
                measured,
                (metric::TRAINING_SECONDS.to_owned(), cpu.as_secs_f64()),
                (metric::REWINDS.to_owned(), rewinds.into()),
            ]);
            Drawn { artefact: Arc::clone(artefact), records, metrics, curve }
        };
        Ok(Ok(match writer {
            Writer::Autoregressive => {
                let recipe = training::Recipe::default();
                let train = |monitor: &mut dyn Monitor| training::train(&coded, &recipe, seed, budget, monitor);
                let trained = Self::trained(monitor, train)?;
                let measured = (metric::BITS_PER_ROW.to_owned(), trained.validation);
                drawn(trained.model.artefact(), measured, trained.rewinds, trained.cpu, trained.curve)
            }
            Writer::Vae => {
                let recipe = training::vae::Recipe::default();
                let train = |monitor: &mut dyn Monitor| training::vae::train(&coded, &recipe, seed, budget, monitor);
                let trained = Self::trained(monitor, train)?;
                let measured = (metric::VALIDATION_LOSS.to_owned(), trained.validation);
                drawn(trained.model.artefact(), measured, trained.rewinds, trained.cpu, trained.curve)
            }
            Writer::Classical => return Ok(classical::of_rows(&coded, self.bases, self.seed, begun)),
            Writer::Gan => {
                let recipe = training::gan::Recipe::default();
                let train = |monitor: &mut dyn Monitor| training::gan::train(&coded, &recipe, seed, budget, monitor);
                let trained = Self::trained(monitor, train)?;
                let measured = (metric::PAIR_DISTANCE.to_owned(), trained.distance);
                drawn(trained.model.artefact(), measured, 0, trained.cpu, trained.curve)
            }
        }))
    }

    fn images(
        &self,
        painter: Painter,
        shape: Shape,
        label: Option<&LabelSource>,
        (material, turn): (Material, Turn),
        monitor: &mut dyn Monitor,
    ) -> Result<Result<Drawn, String>, SubjectError> {
        let begun = thread_cpu_seconds();
        let Pictures { samples, labels, wrapping } = Pictures::of(&material.labelled(), shape);
        let (images, records) = (samples.len() / shape.samples(), material.count());
        drop((material, turn));
        if images < FEWEST_IMAGES {
            let with = label.map_or_else(String::new, |label| format!(" that have a class in their {label}"));
            return Ok(Err(format!(
                "{images} of {records} records{with} are images of {shape}: its samples alone, or a PGM, PPM or PNG file of them; \
                 a training takes {FEWEST_IMAGES}"
            )));
        }
        let classes = labels.iter().collect::<BTreeSet<_>>().len();
        if classes > MAX_CLASSES {
            return Ok(Err(format!("{classes} different texts are no classes: {MAX_CLASSES} are the most")));
        }
        let data = Data { shape, images: &samples, labels: &labels };
        let (seed, budget) = (self.seed, self.budget());
        let (parts, measured, rewinds, cpu, curve) = match painter {
            Painter::Vae => {
                let recipe = vae::Recipe::default();
                let trained = Self::trained(monitor, |monitor| vae::train(data, &recipe, seed, budget, monitor))?;
                let measured = (metric::VALIDATION_LOSS.to_owned(), trained.validation);
                (trained.parts, measured, trained.rewinds, trained.cpu, trained.curve)
            }
            Painter::Classical => return self.changed(shape, &samples, &labels, &wrapping, begun),
            Painter::Gan => {
                let recipe = gan::Recipe::of(shape);
                let trained = Self::trained(monitor, |monitor| gan::train(data, &recipe, seed, budget, monitor))?;
                let measured = (metric::KERNEL_DISTANCE.to_owned(), trained.distance);
                (trained.parts, measured, 0, trained.cpu, trained.curve)
            }
        };
        let model = ImagesModel::new(&parts).map_err(TrainingError::from)?;
        let metrics = BTreeMap::from([
            measured,
            (metric::TRAINING_SECONDS.to_owned(), cpu.as_secs_f64()),
            (metric::REWINDS.to_owned(), rewinds.into()),
        ]);
        let artefact = with_wrapping(model.artefact(), &wrapping)?;
        Ok(Ok(Drawn { artefact, records: images as u64, metrics, curve }))
    }

    /// A model that holds images and makes others of them.
    fn changed(
        &self,
        shape: Shape,
        images: &[u8],
        labels: &[String],
        wrapping: &Wrapping,
        begun: f64,
    ) -> Result<Result<Drawn, String>, SubjectError> {
        let recipe = ImagesRecipe { operations: ImagesRecipe::OPERATIONS.into(), bases: self.bases.unwrap_or(0) };
        let model = ClassicalParts::of(shape, images, labels, &recipe, self.seed)
            .and_then(|(parts, _)| ClassicalImages::new(&parts));
        let model = match model {
            Ok(model) => model,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let artefact = with_wrapping(model.artefact(), wrapping)?;
        Ok(Ok(classical::drawn(artefact, images.len() / shape.samples(), model.bases(), begun)))
    }
}
