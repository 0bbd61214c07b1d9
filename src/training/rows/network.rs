//! The model as libtorch sees it: what [`crate::model::rows`] computes in a stated order, differentiable.

use rand_chacha::ChaCha8Rng;
use tch::{Kind, Tensor, no_grad};

use super::batches::{Batch, Purpose, Rows, generator};
use super::recipe::Recipe;
use crate::model::rows::{BlockWeights, Weights};
use crate::training::TrainingError;
use crate::training::layer::uniform;

/// How large outputs of blocks and logits begin, against what keeps the size of what comes in.
const CALM: f64 = 0.1;

/// Its tensors are those of [`Weights`].
#[derive(Debug)]
pub(super) struct Network {
    width: usize,
    inner: usize,
    embedding: Tensor,
    bias: Tensor,
    blocks: Vec<[Tensor; 3]>,
    output: Tensor,
    output_bias: Tensor,
}

/// Uniform numbers of this standard deviation.
fn random(shape: [usize; 2], deviation: f64, rng: &mut ChaCha8Rng) -> Result<Tensor, TrainingError> {
    let bound = deviation * 3f64.sqrt();
    let numbers = (0..shape[0] * shape[1]).map(|_| ((uniform(rng) * 2.0 - 1.0) * bound) as f32);
    let tensor = Tensor::f_from_slice(&numbers.collect::<Vec<_>>())?.f_view(shape.map(|side| side as i64))?;
    Ok(tensor.set_requires_grad(true))
}

fn zeros(length: usize) -> Result<Tensor, TrainingError> {
    Ok(Tensor::f_from_slice(&vec![0f32; length])?.set_requires_grad(true))
}

/// `[rows, heads]`: the logarithm of each wanted code's probability, of `logits: [rows, codes]` and `wanted: [rows, heads]`.
pub(super) fn log_likelihoods(logits: &Tensor, heads: &[(i64, i64)], wanted: &Tensor) -> Result<Tensor, TrainingError> {
    let mut logs = Vec::with_capacity(heads.len());
    for ((first, codes), place) in heads.iter().zip(0i64..) {
        let own = logits.f_narrow(1, *first, *codes)?.f_log_softmax(1, Kind::Float)?;
        logs.push(own.f_gather(1, &wanted.f_narrow(1, place, 1)?, false)?);
    }
    Ok(Tensor::f_cat(&logs, 1)?)
}

/// `[rows, width]`: sums of `table: [codes, width]`'s rows, of `codes: [rows, n]`.
pub(super) fn bags(table: &Tensor, codes: &Tensor, offsets: &Tensor) -> Result<Tensor, TrainingError> {
    /// Sums of a bag.
    const SUM: i64 = 0;
    let (sums, ..) = Tensor::f_embedding_bag(table, codes, offsets, false, SUM, false, None::<&Tensor>, false)?;
    Ok(sums)
}

impl Network {
    /// The network before it has learned anything but how frequent each code is.
    pub fn new(rows: &Rows<'_>, recipe: &Recipe, seed: u64) -> Result<Self, TrainingError> {
        let mut rng = generator(seed, Purpose::Weights);
        let codes = rows.codes();
        let (width, inner) = (recipe.width, recipe.inner);
        // About half of the variables are known at a time.
        let known = (rows.order.len() as f64 / 2.0).max(1.0);
        let embedding = random([codes, width], known.sqrt().recip(), &mut rng)?;
        // A code that each record has says nothing and is never learned, but told like any other where records are drawn.
        for pair in rows.first.windows(2).filter(|pair| pair[1] - pair[0] == 1) {
            let _ = no_grad(|| embedding.f_narrow(0, pair[0] as i64, 1)?.f_zero_())?;
        }
        let blocks = (0..recipe.blocks).map(|_| {
            Ok([
                random([width, inner], (2.0 / width as f64).sqrt(), &mut rng)?,
                zeros(inner)?,
                random([inner, width], CALM * (2.0 / inner as f64).sqrt(), &mut rng)?,
            ])
        });
        Ok(Self {
            width,
            inner,
            blocks: blocks.collect::<Result<_, TrainingError>>()?,
            embedding,
            bias: zeros(width)?,
            output: random([codes, width], CALM * (1.0 / width as f64).sqrt(), &mut rng)?,
            output_bias: Tensor::f_from_slice(&rows.logs())?.set_requires_grad(true),
        })
    }

    /// What is learned.
    pub fn parameters(&self) -> Vec<&Tensor> {
        let mut all = vec![&self.embedding, &self.bias, &self.output, &self.output_bias];
        all.extend(self.blocks.iter().flatten());
        all
    }

    /// What decays: all that is multiplied with.
    pub fn decay(&self, factor: f64) -> Result<(), TrainingError> {
        no_grad(|| {
            let blocks = self.blocks.iter().flat_map(|[down, _, up]| [down, up]);
            for weights in [&self.embedding, &self.output].into_iter().chain(blocks) {
                let _ = weights.shallow_clone().f_mul_scalar_(factor)?;
            }
            Ok(())
        })
    }

    /// `[rows, codes]`: the logits of all codes.
    pub fn logits(&self, batch: &Batch) -> Result<Tensor, TrainingError> {
        let sums = bags(&self.embedding, &batch.known, &batch.offsets)?;
        let mut hidden = (sums + &self.bias).f_relu()?;
        for [down, bias, up] in &self.blocks {
            let inner = (hidden.f_matmul(down)? + bias).f_relu()?;
            hidden = hidden.f_add(&inner.f_matmul(up)?)?;
        }
        Ok(hidden.f_matmul(&self.output.f_tr()?)? + &self.output_bias)
    }

    /// The mean over rows of what is asked for, weighted: nats.
    pub fn loss(&self, rows: &Rows<'_>, batch: &Batch) -> Result<Tensor, TrainingError> {
        let logits = self.logits(batch)?;
        let logs = log_likelihoods(&logits, &rows.heads(), &batch.wanted)?;
        Ok(-((logs * &batch.weights).f_sum(Kind::Float)? / batch.wanted.size()[0] as f64))
    }

    /// The weights, for the artefact.
    pub fn export(&self) -> Result<Weights, TrainingError> {
        let numbers = |tensor: &Tensor| -> Result<Vec<f32>, TrainingError> {
            Ok(Vec::<f32>::try_from(tensor.detach().f_contiguous()?.f_view(-1)?)?)
        };
        let block = |[down, bias, up]: &[Tensor; 3]| {
            Ok(BlockWeights { down: numbers(down)?, bias: numbers(bias)?, up: numbers(up)? })
        };
        Ok(Weights {
            width: self.width,
            inner: self.inner,
            embedding: numbers(&self.embedding)?,
            bias: numbers(&self.bias)?,
            blocks: self.blocks.iter().map(block).collect::<Result<_, TrainingError>>()?,
            output: numbers(&self.output)?,
            output_bias: numbers(&self.output_bias)?,
        })
    }
}
