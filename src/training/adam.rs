//! Adam (Kingma and Ba 2015, arXiv:1412.6980, algorithm 1), with a limit on the gradient's length.
//!
//! libtorch has one, whose state cannot be read: here it is tensors, so that a checkpoint holds them.

use tch::{Kind, Tensor, no_grad};

use super::TrainingError;

/// Decay of the first and of the second moment, where nothing else is said.
const BETAS: [f64; 2] = [0.9, 0.999];

/// Keeps a step finite where there was no gradient yet.
const EPSILON: f64 = 1e-8;

/// Gradients longer than this are shortened to it, all parameters together.
const MAX_NORM: f64 = 1.0;

/// Moments of each parameter's gradient.
#[derive(Debug)]
pub(super) struct Adam {
    pub first: Vec<Tensor>,
    pub second: Vec<Tensor>,
    betas: [f64; 2],
}

impl Adam {
    pub fn new(parameters: &[&Tensor]) -> Result<Self, TrainingError> {
        Self::with(parameters, BETAS)
    }

    /// With these decays of moments.
    pub fn with(parameters: &[&Tensor], betas: [f64; 2]) -> Result<Self, TrainingError> {
        let zeros = || parameters.iter().map(|parameter| parameter.f_zeros_like()).collect::<Result<Vec<_>, _>>();
        Ok(Self { first: zeros()?, second: zeros()?, betas })
    }

    /// Moves the parameters against the gradient of `loss`: step `number`, counted from 1. It is false, and nothing is moved,
    /// if the gradient is not finite.
    pub fn step(
        &mut self,
        parameters: &[&Tensor],
        loss: &Tensor,
        rate: f64,
        number: u32,
    ) -> Result<bool, TrainingError> {
        let gradients = Tensor::f_run_backward(&[loss], parameters, false, false)?;
        no_grad(|| {
            let squares: Vec<Tensor> = gradients.iter().map(|gradient| gradient.square().sum(Kind::Double)).collect();
            let norm = Tensor::f_stack(&squares, 0)?.sum(Kind::Double).sqrt().f_double_value(&[])?;
            if !norm.is_finite() {
                return Ok(false);
            }
            let shorter = (MAX_NORM / norm.max(MAX_NORM)).min(1.0);
            let (number, [beta_1, beta_2]) = (f64::from(number), self.betas);
            let rate = rate * (1.0 - beta_2.powf(number)).sqrt() / (1.0 - beta_1.powf(number));
            let moments = self.first.iter_mut().zip(&mut self.second);
            for ((parameter, gradient), (first, second)) in parameters.iter().zip(&gradients).zip(moments) {
                let gradient = gradient * shorter;
                let _ = first.f_lerp_(&gradient, 1.0 - beta_1)?;
                let _ = second.f_lerp_(&gradient.square(), 1.0 - beta_2)?;
                let step = &*first / (second.sqrt() + EPSILON) * rate;
                let _ = parameter.shallow_clone().f_sub_(&step)?;
            }
            Ok(true)
        })
    }
}
