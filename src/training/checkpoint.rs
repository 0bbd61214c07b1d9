//! The state of a training as bytes: a safetensors file, tensors in groups, with all that is no tensor as JSON in its metadata.

use std::collections::HashMap;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tch::Tensor;

use super::TrainingError;

/// The metadata's key.
const KEY: &str = "latentd";

fn damaged(what: impl std::fmt::Display) -> TrainingError {
    TrainingError::Checkpoint(what.to_string())
}

/// What a training is of, hashed: another one's checkpoint is refused.
pub(super) fn identity(recipe: String, data: &[&[u8]]) -> String {
    let mut hash = blake3::Hasher::new();
    hash.update(recipe.as_bytes());
    for part in data {
        hash.update(blake3::hash(part).as_bytes());
    }
    hash.finalize().to_hex().to_string()
}

/// As bytes: groups of tensors of `f32` by their names.
pub(super) fn write(state: &impl Serialize, groups: &[(&str, Vec<&Tensor>)]) -> Result<Vec<u8>, TrainingError> {
    let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    for (group, (name, members)) in groups.iter().enumerate() {
        for (number, tensor) in members.iter().enumerate() {
            let shape = tensor.size().iter().map(|side| *side as usize).collect();
            let values = Vec::<f32>::try_from(tensor.f_detach()?.f_contiguous()?.f_view(-1)?)?;
            // Numbered, so that names are in the order of the tensors.
            let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            tensors.push((format!("{group}.{name}.{number:03}"), shape, bytes));
        }
    }
    let views = tensors.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).map_err(damaged)?;
        Ok((name.as_str(), view))
    });
    let views = views.collect::<Result<Vec<_>, TrainingError>>()?;
    let state = serde_json::to_string(state).map_err(damaged)?;
    let metadata = HashMap::from([(KEY.to_owned(), state)]);
    safetensors::serialize(views, Some(metadata)).map_err(damaged)
}

/// A checkpoint that is read.
pub(super) struct Saved<'a> {
    state: String,
    tensors: SafeTensors<'a>,
}

impl<'a> Saved<'a> {
    /// Of what [`write`] wrote.
    pub fn open(bytes: &'a [u8]) -> Result<Self, TrainingError> {
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
        let state = header.metadata().as_ref().and_then(|metadata| metadata.get(KEY)).cloned();
        let state = state.ok_or_else(|| damaged("it says nothing of its training"))?;
        Ok(Self { state, tensors: SafeTensors::deserialize(bytes).map_err(damaged)? })
    }

    /// All that is no tensor.
    pub fn state<S: DeserializeOwned>(&self) -> Result<S, TrainingError> {
        serde_json::from_str(&self.state).map_err(damaged)
    }

    /// The tensors of a group, which have these shapes.
    pub fn group(&self, group: usize, name: &str, shapes: &[Vec<i64>]) -> Result<Vec<Tensor>, TrainingError> {
        let each = shapes.iter().enumerate().map(|(number, shape)| {
            let view = self.tensors.tensor(&format!("{group}.{name}.{number:03}")).map_err(damaged)?;
            let same = view.shape().iter().map(|side| *side as i64).eq(shape.iter().copied());
            if view.dtype() != Dtype::F32 || !same {
                return Err(damaged("a tensor has another shape"));
            }
            let values: Vec<f32> = view.data().as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)).collect();
            Ok(Tensor::f_from_slice(&values)?.f_view(shape.as_slice())?)
        });
        each.collect()
    }
}

/// The shapes of tensors.
pub(super) fn shapes(tensors: &[&Tensor]) -> Vec<Vec<i64>> {
    tensors.iter().map(|tensor| tensor.size()).collect()
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::time::Duration;

    use super::super::images::tests::bars;
    use super::super::images::{Data, gan, vae};
    use super::super::{Budget, rows};
    use super::*;
    use crate::model::rows::{Coded, learn};
    use crate::model::{ImagesModel, Monitor, Progress};
    use crate::payload::image::Shape;

    /// Keeps checkpoints, and ends the training when it is told to.
    #[derive(Default)]
    struct Watch {
        until: Option<u32>,
        step: u32,
        kept: Vec<Vec<u8>>,
        resumed: Option<Vec<u8>>,
    }

    impl Monitor for Watch {
        fn spent(&mut self) -> Duration {
            Duration::from_millis(self.step.into())
        }
        fn progress(&mut self, progress: &Progress) -> ControlFlow<()> {
            self.step = progress.step;
            match self.until {
                Some(step) if progress.step >= step => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        }
        fn resume(&mut self) -> Option<Vec<u8>> {
            self.resumed.take()
        }
        fn checkpoint(&mut self, state: Vec<u8>) {
            self.kept.push(state);
        }
    }

    const STEPS: u32 = 140;
    const INTERVAL: u32 = 20;

    /// That a training which is ended and gone on with makes the model that it would have made, from each of so many places where it is measured, or
    /// turns to another loss, and from where it was ended.
    fn goes_on(places: usize, train: &dyn Fn(&mut Watch) -> Result<Vec<u8>, TrainingError>) {
        let mut all = Watch::default();
        let whole = train(&mut all).unwrap();
        let mut first = Watch { until: Some(110), ..Watch::default() };
        assert!(matches!(train(&mut first), Err(TrainingError::Cancelled)));
        assert_eq!(first.kept.len(), places + 1);
        for state in first.kept {
            let mut second = Watch { resumed: Some(state.clone()), ..Watch::default() };
            assert!(train(&mut second).unwrap() == whole, "it is another model");
            assert!(second.kept.len() < all.kept.len(), "it began anew");
            for length in (0..state.len()).step_by(state.len() / 40) {
                let mut cut = Watch { resumed: Some(state[..length].to_vec()), ..Watch::default() };
                assert!(matches!(train(&mut cut), Err(TrainingError::Checkpoint(_))), "{length}");
            }
        }
    }

    fn coded(count: u32) -> Coded {
        let row = |number: u32| {
            let (colour, size) = (["red", "green", "blue"][(number * 7 % 5 % 3) as usize], number * 31 % 17);
            format!("{{\"colour\":\"{colour}\",\"size\":{size},\"odd\":{}}}", size % 2).into_bytes()
        };
        let rows: Vec<Vec<u8>> = (0..count).map(row).collect();
        learn(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap()
    }

    fn budget() -> Budget {
        Budget { steps: STEPS, cpu: None }
    }

    #[test]
    fn trainings_of_rows_go_on_where_they_were() {
        let coded = coded(900);
        let recipe =
            rows::Recipe { width: 16, inner: 8, blocks: 1, batch: 64, interval: INTERVAL, ..rows::Recipe::default() };
        goes_on(5, &|watch| Ok(rows::train(&coded, &recipe, 1, budget(), watch)?.model.artefact().to_vec()));
        let recipe =
            rows::vae::Recipe { latents: 4, width: 16, batch: 64, interval: INTERVAL, ..rows::vae::Recipe::default() };
        goes_on(5, &|watch| Ok(rows::vae::train(&coded, &recipe, 1, budget(), watch)?.model.artefact().to_vec()));
        let recipe = rows::gan::Recipe {
            latents: 4,
            width: 16,
            critic: 16,
            batch: 32,
            interval: INTERVAL,
            ..rows::gan::Recipe::default()
        };
        goes_on(5, &|watch| Ok(rows::gan::train(&coded, &recipe, 1, budget(), watch)?.model.artefact().to_vec()));
    }

    #[test]
    fn trainings_of_images_go_on_where_they_were_and_another_ones_state_is_refused() {
        let (images, labels) = bars(200, 1);
        let shape = Shape::new(12, 12, 1).unwrap();
        let data = Data { shape, images: &images, labels: &labels };
        let recipe = vae::Recipe { latents: 3, width: 16, batch: 16, interval: INTERVAL, ..vae::Recipe::default() };
        let train = |seed: u64, watch: &mut Watch| {
            Ok(ImagesModel::new(&vae::train(data, &recipe, seed, budget(), watch)?.parts)?.artefact().to_vec())
        };
        goes_on(6, &|watch| train(1, watch));
        let recipe = gan::Recipe {
            latents: 4,
            hidden: 12,
            channels: vec![8, 4],
            critic: vec![8, 16],
            batch: 8,
            interval: INTERVAL,
            ..gan::Recipe::of(shape)
        };
        goes_on(5, &|watch| {
            Ok(ImagesModel::new(&gan::train(data, &recipe, 1, budget(), watch)?.parts)?.artefact().to_vec())
        });
        let mut first = Watch { until: Some(50), ..Watch::default() };
        let _: Result<_, TrainingError> = train(1, &mut first);
        let mut other = Watch { resumed: first.kept.pop(), ..Watch::default() };
        assert!(matches!(train(2, &mut other), Err(TrainingError::Checkpoint(_))));
        // Without it, it begins anew.
        assert!(train(2, &mut other).is_ok());
    }
}
