//! The state of a training as bytes.

use serde::{Deserialize, Serialize};
use tch::{Tensor, no_grad};

use super::network::Network;
use crate::training::TrainingError;
use crate::training::adam::Adam;
use crate::training::affine::copies;
use crate::training::checkpoint::{Saved, shapes, write};
use crate::training::curve::Curve;

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

    /// As bytes.
    pub fn write(&self) -> Result<Vec<u8>, TrainingError> {
        let groups = [
            ("parameter", &self.parameters),
            ("first", &self.first),
            ("second", &self.second),
            ("power", &self.powers),
        ];
        write(&self.state, &groups.map(|(name, members)| (name, members.iter().collect())))
    }

    /// Reads what [`Checkpoint::write`] wrote of a network like this one.
    pub fn read(bytes: &[u8], network: &Network) -> Result<Self, TrainingError> {
        let saved = Saved::open(bytes)?;
        let state: State = saved.state()?;
        let shapes = shapes(&network.parameters());
        let powers = if state.quantised { network.rows() } else { Vec::new() };
        Ok(Self {
            parameters: saved.group(0, "parameter", &shapes)?,
            first: saved.group(1, "first", &shapes)?,
            second: saved.group(2, "second", &shapes)?,
            powers: saved.group(3, "power", &powers)?,
            state,
        })
    }
}
