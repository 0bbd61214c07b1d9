//! The state of a training as bytes.

use std::collections::HashMap;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use tch::{Tensor, no_grad};

use super::network::Network;
use crate::training::TrainingError;
use crate::training::adam::Adam;
use crate::training::affine::copies;
use crate::training::curve::Curve;

/// The metadata's key.
const KEY: &str = "latentd";

/// All of a training that is not a tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    /// Shape and recipe: what its weights are of. Weights of others are refused.
    pub model: String,
    /// What the training is of: shape, recipe, seed and data, hashed. Another training's checkpoint is refused.
    pub training: String,
    /// Steps done.
    pub step: u32,
    /// Steps of Adam since its moments began.
    pub moments: u32,
    /// How often it went back.
    pub rewinds: u32,
    /// What the rate is multiplied with, after rewinds.
    pub calm: f64,
    /// Bits for each validation sample.
    pub validation: f64,
    /// The least of them in this phase.
    pub best: f64,
    /// Whether the network computes with integers.
    pub quantised: bool,
    /// How the loss fell.
    pub curve: Curve,
}

/// Everything that a training goes on from.
#[derive(Debug)]
pub(super) struct Checkpoint {
    pub state: State,
    parameters: Vec<Tensor>,
    first: Vec<Tensor>,
    second: Vec<Tensor>,
    powers: Vec<Tensor>,
}

impl Checkpoint {
    /// The state of now.
    pub fn of(state: State, network: &Network, adam: &Adam) -> Self {
        Self {
            state,
            parameters: copies(&network.parameters()),
            first: copies(&adam.first.iter().collect::<Vec<_>>()),
            second: copies(&adam.second.iter().collect::<Vec<_>>()),
            powers: copies(&network.powers()),
        }
    }

    /// Gives a network its weights, and nothing else of it.
    pub fn restore_weights(&self, network: &Network) -> Result<(), TrainingError> {
        no_grad(|| {
            for (parameter, value) in network.parameters().into_iter().zip(&self.parameters) {
                parameter.shallow_clone().f_copy_(value)?;
            }
            Ok(())
        })
    }

    /// Puts network and optimiser back to it.
    pub fn restore(&self, network: &mut Network, adam: &mut Adam) -> Result<(), TrainingError> {
        self.restore_weights(network)?;
        no_grad(|| {
            for (moment, value) in adam.first.iter_mut().zip(&self.first) {
                moment.f_copy_(value)?;
            }
            for (moment, value) in adam.second.iter_mut().zip(&self.second) {
                moment.f_copy_(value)?;
            }
            network.set_powers(self.powers.iter().map(Tensor::copy).collect());
            Ok(())
        })
    }

    fn groups(&self) -> [(&'static str, &[Tensor]); 4] {
        [("parameter", &self.parameters), ("first", &self.first), ("second", &self.second), ("power", &self.powers)]
    }

    /// As a safetensors file.
    pub fn write(&self) -> Result<Vec<u8>, TrainingError> {
        let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
        for (group, (name, members)) in self.groups().into_iter().enumerate() {
            for (number, tensor) in members.iter().enumerate() {
                let shape = tensor.size().iter().map(|side| *side as usize).collect();
                let values = Vec::<f32>::try_from(tensor.f_contiguous()?.f_view(-1)?)?;
                // Numbered, so that names are in the order of the tensors.
                let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                tensors.push((format!("{group}.{name}.{number:03}"), shape, bytes));
            }
        }
        let damaged = |error: &dyn std::fmt::Display| TrainingError::Checkpoint(error.to_string());
        let views = tensors.iter().map(|(name, shape, bytes)| {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytes).map_err(|error| damaged(&error))?;
            Ok((name.as_str(), view))
        });
        let views = views.collect::<Result<Vec<_>, TrainingError>>()?;
        let state = serde_json::to_string(&self.state).map_err(|error| damaged(&error))?;
        let metadata = HashMap::from([(KEY.to_owned(), state)]);
        safetensors::serialize(views, Some(metadata)).map_err(|error| damaged(&error))
    }

    /// Reads what [`Checkpoint::write`] wrote of a network like this one.
    pub fn read(bytes: &[u8], network: &Network) -> Result<Self, TrainingError> {
        let damaged = |what: &str| TrainingError::Checkpoint(what.to_owned());
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| damaged(&error.to_string()))?;
        let state = header
            .metadata()
            .as_ref()
            .and_then(|metadata| metadata.get(KEY))
            .ok_or_else(|| damaged("it says nothing of its training"))?;
        let state: State = serde_json::from_str(state).map_err(|error| damaged(&error.to_string()))?;
        let tensors = SafeTensors::deserialize(bytes).map_err(|error| damaged(&error.to_string()))?;
        let shapes: Vec<Vec<i64>> = network.parameters().iter().map(|parameter| parameter.size()).collect();
        let read = |group: usize, name: &str, shapes: &[Vec<i64>]| {
            let each = shapes.iter().enumerate().map(|(number, shape)| {
                let view = tensors
                    .tensor(&format!("{group}.{name}.{number:03}"))
                    .map_err(|error| damaged(&error.to_string()))?;
                let same = view.shape().iter().map(|side| *side as i64).eq(shape.iter().copied());
                if view.dtype() != Dtype::F32 || !same {
                    return Err(damaged("a tensor has another shape"));
                }
                let bytes = view.data().chunks_exact(4);
                let values: Vec<f32> =
                    bytes.map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])).collect();
                Ok(Tensor::f_from_slice(&values)?.f_view(shape.as_slice())?)
            });
            each.collect::<Result<Vec<_>, TrainingError>>()
        };
        let powers = if state.quantised { network.rows() } else { Vec::new() };
        Ok(Self {
            parameters: read(0, "parameter", &shapes)?,
            first: read(1, "first", &shapes)?,
            second: read(2, "second", &shapes)?,
            powers: read(3, "power", &powers)?,
            state,
        })
    }
}
