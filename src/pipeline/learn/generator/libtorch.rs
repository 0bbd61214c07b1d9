//! Generators, trained with libtorch.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Drawing, Drawn, Kind, Material, Painter, Writer, classical};
use crate::model::manifest::metric;
use crate::model::{CurvePoint, ImagesModel, Monitor, rows, with_wrapping};
use crate::payload::image::Shape;
use crate::pipeline::learn::Turn;
use crate::pipeline::learn::pictures::Pictures;
use crate::pipeline::learn::subject::SubjectError;
use crate::pipeline::settings::LabelSource;
use crate::telemetry::thread_cpu_seconds;
use crate::training::images::{Data, gan, vae};
use crate::training::rows as training;
use crate::training::{Budget, TrainingError};

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
        let pictures = match material.pictures(shape, label) {
            Ok(pictures) => pictures,
            Err(reason) => return Ok(Err(reason)),
        };
        drop(material);
        if painter == Painter::Classical {
            let drawn = classical::of_images(shape, &pictures, (self.bases, self.seed), begun);
            // It has copied them more than once.
            drop(turn);
            return drawn;
        }
        drop(turn);
        let Pictures { samples, labels, wrapping } = pictures;
        let images = samples.len() / shape.samples();
        let data = Data { shape, images: &samples, labels: &labels };
        let (seed, budget) = (self.seed, self.budget());
        let (parts, measured, rewinds, cpu, curve) = if painter == Painter::Gan {
            let recipe = gan::Recipe::of(shape);
            let trained = Self::trained(monitor, |monitor| gan::train(data, &recipe, seed, budget, monitor))?;
            let measured = (metric::KERNEL_DISTANCE.to_owned(), trained.distance);
            (trained.parts, measured, 0, trained.cpu, trained.curve)
        } else {
            let recipe = vae::Recipe::default();
            let trained = Self::trained(monitor, |monitor| vae::train(data, &recipe, seed, budget, monitor))?;
            let measured = (metric::VALIDATION_LOSS.to_owned(), trained.validation);
            (trained.parts, measured, trained.rewinds, trained.cpu, trained.curve)
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
}
