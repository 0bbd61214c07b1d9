//! Rows as the network is trained on them: some variables known, the others asked for.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use tch::Tensor;

use super::recipe::Recipe;
use crate::model::rows::Coded;
use crate::training::TrainingError;
use crate::training::epochs::Epochs;
use crate::training::layer::uniform;

/// Most variables that a condition is taken to fix.
const MOST_CONDITIONS: u64 = 3;

/// What random numbers are for, each from a stream of its own.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    Weights,
    Division,
    Step(u32),
    /// The order of an epoch's rows.
    Order(u64),
    /// What is measured.
    Measure,
    /// Samples of the posterior, and mixtures.
    Mixture,
}

/// Random numbers of a purpose.
pub(super) fn generator(seed: u64, purpose: Purpose) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(match purpose {
        Purpose::Weights => 0,
        Purpose::Division => 1,
        Purpose::Step(step) => 2 + u64::from(step),
        Purpose::Measure => 1 << 40,
        Purpose::Mixture => 1 << 41,
        Purpose::Order(epoch) => (1 << 42) + epoch,
    });
    rng
}

/// A number below `limit`, which is not 0.
fn below(rng: &mut ChaCha8Rng, limit: usize) -> usize {
    ((u128::from(rng.next_u64()) * limit as u128) >> u64::BITS) as usize
}

/// Rows, divided.
#[derive(Debug)]
pub(super) struct Rows<'a> {
    codes: &'a [u16],
    variables: usize,
    /// The number of each variable's first code.
    pub first: Vec<usize>,
    /// Variables of more than one code in the order in which they are drawn.
    pub order: Vec<usize>,
    /// How many of these a time says which goes on: they come first, and are known before anything is drawn.
    leads: usize,
    /// How many are drawn whatever others are: the first of the order.
    drawn: usize,
    /// By place in the order: the code of another variable without which it is not drawn. Those that have one come last.
    guards: Vec<Option<(usize, u16)>>,
    training: Vec<usize>,
    validation: Vec<usize>,
}

/// Some rows, with what is known of each.
#[derive(Debug)]
pub(super) struct Batch {
    /// `[known]` i64: codes that are known, row after row.
    pub known: Tensor,
    /// `[rows]` i64: where each row's begin.
    pub offsets: Tensor,
    /// `[rows, live variables]` i64: what is to be told, in the order of drawing; codes of the variable.
    pub wanted: Tensor,
    /// `[rows, live variables]` f32: how much each counts; 0 where it is known.
    pub weights: Tensor,
}

/// Rows of which all is known.
#[derive(Debug)]
pub(super) struct Whole {
    /// `[rows, live variables]` i64, in the order of drawing: codes, counted over all variables.
    pub codes: Tensor,
    /// `[rows, live variables]` i64: codes of the variable.
    pub own: Tensor,
}

/// A batch while it is made.
#[derive(Default)]
struct Draft {
    known: Vec<i64>,
    offsets: Vec<i64>,
    wanted: Vec<i64>,
    weights: Vec<f32>,
}

impl<'a> Rows<'a> {
    /// Divides rows: one in so many validates, and at most so many do.
    pub fn new(coded: &'a Coded, [one_in, most]: [usize; 2], seed: u64) -> Self {
        let sizes = coded.sizes();
        let mut first = vec![0];
        sizes.iter().for_each(|size| first.push(first[first.len() - 1] + size));
        let order = coded.order().into_iter().map(usize::from);
        let order: Vec<usize> = order.filter(|variable| sizes[*variable] > 1).collect();
        let mut numbers: Vec<usize> = (0..coded.rows).collect();
        let mut rng = generator(seed, Purpose::Division);
        for place in (1..numbers.len()).rev() {
            numbers.swap(place, below(&mut rng, place + 1));
        }
        let training = numbers.split_off((coded.rows / one_in).clamp(1, most));
        let guard = |variable: &usize| coded.guards()[*variable].map(|(by, code)| (usize::from(by), code));
        let leads = coded.leads().into_iter().filter(|variable| sizes[usize::from(*variable)] > 1).count();
        let guards: Vec<Option<(usize, u16)>> = order.iter().map(guard).collect();
        let drawn = guards.iter().filter(|guard| guard.is_none()).count();
        let (codes, variables) = (coded.codes(), sizes.len());
        Self { codes, variables, first, order, leads, drawn, guards, training, validation: numbers }
    }

    /// Whether a row's variable at a place in the order is drawn.
    fn is_asked(&self, row: &[u16], place: usize) -> bool {
        self.guards[place].is_none_or(|(by, code)| row[by] == code)
    }

    /// How many are learned from.
    pub fn len(&self) -> usize {
        self.training.len()
    }

    /// Codes of variable `variable` in the rows that are learned from, counted.
    pub fn counts(&self, variable: usize) -> Vec<u32> {
        let mut counts = vec![0; self.first[variable + 1] - self.first[variable]];
        self.training.iter().for_each(|row| counts[usize::from(self.row(*row)[variable])] += 1);
        counts
    }

    fn row(&self, row: usize) -> &[u16] {
        &self.codes[row * self.variables..][..self.variables]
    }

    /// Which rows a step learns from: each once in an epoch.
    pub fn epochs(&self, batch: usize, seed: u64) -> Epochs {
        Epochs::new(self.training.clone(), batch, seed, |seed, epoch| generator(seed, Purpose::Order(epoch)))
    }

    /// Rows that are not learned from.
    pub fn validating(&self) -> &[usize] {
        &self.validation
    }

    /// Codes of all variables.
    pub fn codes(&self) -> usize {
        self.first[self.first.len() - 1]
    }

    /// Variables that have more than one code: where their codes begin, and how many there are, in the order of drawing.
    pub fn heads(&self) -> Vec<(i64, i64)> {
        let head = |variable: &usize| {
            (self.first[*variable] as i64, (self.first[variable + 1] - self.first[*variable]) as i64)
        };
        self.order.iter().map(head).collect()
    }

    /// The logarithm of each code's share of the rows that are learned from.
    pub fn logs(&self) -> Vec<f32> {
        let mut logs = vec![0f32; self.codes()];
        for variable in 0..self.first.len() - 1 {
            let counts = self.counts(variable);
            let all = counts.iter().map(|count| f64::from(*count) + 0.5).sum::<f64>();
            let own = logs[self.first[variable]..].iter_mut();
            own.zip(counts).for_each(|(log, count)| *log = ((f64::from(count) + 0.5) / all).ln() as f32);
        }
        logs
    }

    /// The codes of a row, counted over all variables.
    pub fn all_codes(&self, number: usize) -> impl Iterator<Item = usize> {
        self.row(number).iter().zip(&self.first).map(|(code, first)| first + usize::from(*code))
    }

    /// Codes of the variable of rows that are learned from, `[rows, live variables]`.
    pub fn own(&self) -> Vec<i64> {
        let rows = self.training.iter().map(|number| self.row(*number));
        rows.flat_map(|row| self.order.iter().map(|variable| i64::from(row[*variable]))).collect()
    }

    /// Rows, whole.
    pub fn whole(&self, numbers: &[usize]) -> Result<Whole, TrainingError> {
        let (mut codes, mut own) = (Vec::new(), Vec::new());
        for row in numbers.iter().map(|number| self.row(*number)) {
            for variable in &self.order {
                own.push(i64::from(row[*variable]));
                codes.push(self.first[*variable] as i64 + i64::from(row[*variable]));
            }
        }
        let shape = [numbers.len() as i64, self.order.len() as i64];
        let tensor = |numbers: &[i64]| Tensor::f_from_slice(numbers)?.f_view(shape);
        Ok(Whole { codes: tensor(&codes)?, own: tensor(&own)? })
    }

    /// A batch to learn from: the same for the same step and seed.
    pub fn batch(&self, recipe: &Recipe, seed: u64, step: u32) -> Result<Batch, TrainingError> {
        let mut rng = generator(seed, Purpose::Step(step));
        let (mut draft, mut is_known) = (Draft::default(), vec![false; self.order.len()]);
        for _ in 0..recipe.batch {
            let row = self.training[below(&mut rng, self.training.len())];
            is_known.fill(false);
            let kind = uniform(&mut rng);
            let next = self.choose(kind, recipe, &mut is_known, &mut rng);
            let unknown = is_known.iter().filter(|known| !**known).count() as f32;
            let all = self.order.len() as f32;
            let weight = |place: usize| match next {
                // Half for what is drawn next, half for what helps to learn it.
                Some(next) => 0.5 * all / unknown + if next == place { 0.5 * all } else { 0.0 },
                None => all / unknown,
            };
            draft.push(self, self.row(row), &is_known, weight);
        }
        draft.finish(recipe.batch, self.order.len())
    }

    /// Chooses which variables are known: at least one is not. The one that is drawn next, where there is an order: then nothing is known of what is
    /// drawn only beside some codes, unless a condition fixes it.
    fn choose(&self, kind: f64, recipe: &Recipe, is_known: &mut [bool], rng: &mut ChaCha8Rng) -> Option<usize> {
        let all = is_known.len();
        if kind >= recipe.ordered + recipe.conditioned {
            // Any set, each size as likely as any other.
            let size = below(rng, all);
            let mut left = size;
            for (place, known) in is_known.iter_mut().enumerate() {
                *known = below(rng, all - place) < left;
                left -= usize::from(*known);
            }
            return None;
        }
        let mut fixed = 0;
        if kind >= recipe.ordered {
            for _ in 0..=below(rng, MOST_CONDITIONS as usize).min(all - 1) {
                let place = below(rng, all);
                fixed += usize::from(!std::mem::replace(&mut is_known[place], true));
            }
            if is_known[..self.drawn].iter().all(|known| *known) {
                is_known[0] = false;
            }
        }
        let unknown: Vec<usize> = (0..self.drawn).filter(|place| !is_known[*place]).collect();
        // Whatever a condition fixes, what time it is then is not known.
        let leads = if fixed == 0 { self.leads.min(unknown.len() - 1) } else { 0 };
        let prefix = leads + below(rng, unknown.len() - leads);
        unknown[..prefix].iter().for_each(|place| is_known[*place] = true);
        Some(unknown[prefix])
    }

    /// Validation rows, of which the variables before `place` in the order are known, and that one is asked for.
    pub fn validation(&self, place: usize) -> Result<Batch, TrainingError> {
        let (mut draft, mut is_known) = (Draft::default(), vec![false; self.order.len()]);
        is_known[..place.min(self.drawn)].fill(true);
        for row in &self.validation {
            draft.push(self, self.row(*row), &is_known, |other| if other == place { 1.0 } else { 0.0 });
        }
        draft.finish(self.validation.len(), self.order.len())
    }
}

impl Draft {
    fn push(&mut self, rows: &Rows<'_>, row: &[u16], is_known: &[bool], weight: impl Fn(usize) -> f32) {
        self.offsets.push(self.known.len() as i64);
        for (place, variable) in rows.order.iter().enumerate() {
            let code = i64::from(row[*variable]);
            self.wanted.push(code);
            if is_known[place] {
                self.known.push(rows.first[*variable] as i64 + code);
                self.weights.push(0.0);
            } else {
                self.weights.push(if rows.is_asked(row, place) { weight(place) } else { 0.0 });
            }
        }
    }

    fn finish(self, rows: usize, variables: usize) -> Result<Batch, TrainingError> {
        let shape = [rows as i64, variables as i64];
        Ok(Batch {
            known: Tensor::f_from_slice(&self.known)?,
            offsets: Tensor::f_from_slice(&self.offsets)?,
            wanted: Tensor::f_from_slice(&self.wanted)?.f_view(shape)?,
            weights: Tensor::f_from_slice(&self.weights)?.f_view(shape)?,
        })
    }
}
