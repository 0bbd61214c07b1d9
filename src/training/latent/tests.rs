//! Whole trainings, of images that are drawn here.

use std::sync::Arc;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::*;
use crate::codec::Codec;
use crate::model::latent::{LatentCodec, LatentModel};
use crate::training::layer::uniform;

/// Spots of light in the dark, with noise, `[images, D]`.
pub(super) fn drawn(shape: Shape, images: usize, seed: u64) -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut raw = Vec::new();
    for _ in 0..images {
        let middle = [shape.height(), shape.width()].map(|side| uniform(&mut rng) * side as f64);
        let size = 3.0 + 6.0 * uniform(&mut rng);
        for channel in 0..shape.channels() {
            for (row, column) in (0..shape.height()).flat_map(|row| (0..shape.width()).map(move |column| (row, column)))
            {
                let distance = (row as f64 - middle[0]).powi(2) + (column as f64 - middle[1]).powi(2);
                let light = (220.0 - 30.0 * channel as f64) * (-distance / size).exp();
                raw.push(if light > 8.0 { (light + 6.0 * uniform(&mut rng)) as u8 } else { 0 });
            }
        }
    }
    raw
}

/// A recipe for the small.
pub(super) fn small(latents: usize) -> Recipe {
    Recipe {
        latents,
        width: 24,
        neighbours: 6,
        hidden: 12,
        positions: 32,
        scales: 16,
        batch: 8,
        rate: 1e-2,
        interval: 10,
        ..Recipe::default()
    }
}

/// Counts steps, keeps checkpoints, and ends the training when it is told to.
#[derive(Default)]
struct Watch {
    heard: Vec<Progress>,
    checkpoints: Vec<Vec<u8>>,
    until: Option<u32>,
}

impl Monitor for Watch {
    fn spent(&mut self) -> Duration {
        Duration::from_millis(self.heard.len() as u64)
    }

    fn progress(&mut self, progress: &Progress) -> ControlFlow<()> {
        self.heard.push(*progress);
        match self.until {
            Some(step) if progress.step >= step => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }

    fn checkpoint(&mut self, state: Vec<u8>) {
        self.checkpoints.push(state);
    }
}

/// A training of some images of 12 by 10.
struct Trial {
    training: Vec<u8>,
    validation: Vec<u8>,
    recipe: Recipe,
    steps: u32,
}

impl Trial {
    fn new(recipe: Recipe, steps: u32) -> Self {
        let shape = Self::shape();
        Self { training: drawn(shape, 200, 1), validation: drawn(shape, 40, 2), recipe, steps }
    }

    fn shape() -> Shape {
        Shape::new(12, 10, 1).unwrap()
    }

    fn run(&self, start: Start<'_>, watch: &mut Watch) -> Result<Trained, TrainingError> {
        let data = Data { shape: Self::shape(), training: &self.training, validation: &self.validation };
        train(data, &self.recipe, 5, Budget { steps: self.steps, cpu: None }, start, watch)
    }

    fn artefact(&self) -> Vec<u8> {
        LatentModel::new(&self.run(Start::Anew, &mut Watch::default()).unwrap().parts).artefact().to_vec()
    }
}

#[test]
fn a_trained_model_codes_what_it_has_not_seen_in_as_many_bytes_as_it_said() {
    for latents in [0, 3] {
        let trial = Trial::new(Recipe { interval: 100, ..small(latents) }, 300);
        let mut watch = Watch::default();
        let trained = trial.run(Start::Anew, &mut watch).unwrap();
        assert_eq!(trained.steps, 300);
        assert!(trained.rewinds <= 1, "{} rewinds", trained.rewinds);
        let before = watch.heard[0].loss;
        assert!(trained.validation.total() < before * 0.6, "{:?} of {before}", trained.validation);
        let mut codec = LatentCodec::new(Arc::new(LatentModel::new(&trained.parts)));
        let (mut coded, mut values) = (0, 0);
        for image in trial.validation.chunks_exact(120) {
            let mut output = Vec::new();
            codec.encode(image, &mut output).unwrap();
            (coded, values) = (coded + output.len(), values + 1);
            let mut back = Vec::new();
            codec.decode(&output, image.len(), &mut back).unwrap();
            assert_eq!(back, image);
        }
        let told = trained.validation.total() * 120.0 / 8.0;
        let took = coded as f64 / f64::from(values);
        assert!((told - 1.0..told + 2.0).contains(&took), "{latents}: {took} bytes, {told} told");
    }
}

#[test]
fn the_same_data_and_seed_make_the_same_artefact() {
    let trial = Trial::new(small(3), 40);
    let artefact = trial.artefact();
    assert!(artefact == trial.artefact());
    // Another training beside it changes nothing.
    std::thread::scope(|scope| {
        let beside = scope.spawn(|| Trial::new(small(0), 40).artefact());
        assert!(artefact == trial.artefact());
        assert!(artefact != beside.join().unwrap());
    });
}

#[test]
fn a_training_that_goes_on_from_a_checkpoint_ends_as_one_that_was_never_ended() {
    let trial = Trial::new(small(3), 40);
    // One with floats and one with integers.
    for until in [17, 35] {
        let mut watch = Watch { until: Some(until), ..Watch::default() };
        assert!(matches!(trial.run(Start::Anew, &mut watch), Err(TrainingError::Cancelled)));
        let checkpoint = watch.checkpoints.pop().unwrap();
        let mut watch = Watch::default();
        let trained = trial.run(Start::Resume(&checkpoint), &mut watch).unwrap();
        assert!(watch.heard.len() < 32, "it went on, and did not begin anew");
        assert!(LatentModel::new(&trained.parts).artefact()[..] == trial.artefact()[..]);
        let steps = trained.curve.iter().map(|point| point.step);
        assert!(steps.eq(1..=40), "the curve has what was before: {:?}", trained.curve);
    }
}

#[test]
fn a_warm_start_is_ahead_of_one_anew() {
    let old = Trial::new(Recipe { interval: 100, ..small(0) }, 300);
    let trained = old.run(Start::Anew, &mut Watch::default()).unwrap();
    let curve = &trained.curve;
    assert!(curve.len() <= MAX_POINTS + 1 && curve.last().unwrap().step == 300);
    assert!(curve.last().unwrap().loss < curve[0].loss * 0.6 && curve[0].validation.is_none());
    // Images that came later, and few steps.
    let mut new = Trial::new(Recipe { interval: 100, ..small(0) }, 20);
    (new.training, new.validation) = (drawn(Trial::shape(), 200, 3), drawn(Trial::shape(), 40, 4));
    let anew = new.run(Start::Anew, &mut Watch::default()).unwrap();
    let mut watch = Watch::default();
    let warm = new.run(Start::Warm(&trained.state), &mut watch).unwrap();
    assert_eq!((watch.heard[0].step, watch.heard[0].validation, warm.steps), (1, UNMEASURED, 20));
    let [anew, warm] = [anew, warm].map(|trained| trained.validation.total());
    assert!(warm < anew * 0.9, "{warm} warm, {anew} anew");
    // Not what it fits.
    let refused = |trial: &Trial, bytes: &[u8]| {
        matches!(trial.run(Start::Warm(bytes), &mut Watch::default()), Err(TrainingError::Checkpoint(_)))
    };
    assert!(refused(&Trial::new(Recipe { scales: 12, ..small(0) }, 20), &trained.state));
    assert!(refused(&Trial::new(small(3), 20), &trained.state));
    assert!(refused(&new, &trained.state[..trained.state.len() - 1]));
    assert!(matches!(new.run(Start::Resume(&trained.state), &mut Watch::default()), Err(TrainingError::Checkpoint(_))));
}

#[test]
fn checkpoints_of_other_trainings_and_damaged_ones_are_refused() {
    let trial = Trial::new(small(0), 20);
    let mut watch = Watch::default();
    trial.run(Start::Anew, &mut watch).unwrap();
    let checkpoint = watch.checkpoints.pop().unwrap();
    let refused = |trial: &Trial, bytes: &[u8]| {
        matches!(trial.run(Start::Resume(bytes), &mut Watch::default()), Err(TrainingError::Checkpoint(_)))
    };
    let other = Trial::new(Recipe { rate: 0.02, ..small(0) }, 20);
    assert!(refused(&other, &checkpoint));
    for end in (0..checkpoint.len()).step_by(checkpoint.len() / 50) {
        assert!(refused(&trial, &checkpoint[..end]), "{end}");
    }
    let mut named = checkpoint.clone();
    let at = named.windows(9).position(|bytes| bytes == b"0.paramet").unwrap();
    named[at] = b'9';
    assert!(refused(&trial, &named));
}

#[test]
fn numbers_that_are_none_lead_back_to_the_checkpoint() {
    let trial = Trial::new(small(0), 100);
    let images = Images::new(&trial.training, Trial::shape(), &trial.recipe).unwrap();
    let budget = Budget { steps: 100, cpu: None };
    let mut session = Session::new(&images, &images, &trial.recipe, 1, budget, None).unwrap();
    let mut watch = Watch::default();
    for _ in 0..10 {
        session.step(&mut watch).unwrap();
    }
    let good = session.state.validation;
    assert!(good < UNMEASURED);
    let spoil = |session: &Session<'_>, by: f64| {
        let _guard = tch::no_grad_guard();
        for parameter in session.network.parameters() {
            let _ = parameter.shallow_clone().f_mul_(&tch::Tensor::from(by)).unwrap();
        }
    };
    spoil(&session, f64::NAN);
    session.step(&mut watch).unwrap();
    assert_eq!((session.state.rewinds, session.state.step, session.state.validation), (1, 11, good));
    session.step(&mut watch).unwrap();
    assert!(session.loss.is_finite());
    // Finite, and much worse: noticed at the next checkpoint.
    spoil(&session, -30.0);
    session.settle().unwrap();
    assert_eq!(session.state.rewinds, 2);
    assert!(session.state.calm < 0.3);
    for _ in 0..MAX_REWINDS - 2 {
        session.rewind().unwrap();
    }
    assert!(matches!(session.rewind(), Err(TrainingError::Diverged { rewinds: 9 })));
}

#[test]
fn time_ends_a_training_too_and_what_cannot_be_trained_is_refused() {
    let trial = Trial::new(small(0), 10_000);
    let data = Data { shape: Trial::shape(), training: &trial.training, validation: &trial.validation };
    let cpu = Some(Duration::from_millis(25));
    let mut watch = Watch::default();
    let trained = train(data, &trial.recipe, 5, Budget { steps: 10_000, cpu }, Start::Anew, &mut watch).unwrap();
    assert_eq!(trained.steps, 25);
    assert!(watch.heard.iter().any(|progress| progress.phase == Phase::Quantised));
    assert_eq!(watch.heard.last().unwrap().phase, Phase::Calibration);
    let refuses = |recipe: Recipe| {
        matches!(Trial::new(recipe, 5).run(Start::Anew, &mut Watch::default()), Err(TrainingError::Recipe(_)))
    };
    assert!(refuses(Recipe { hidden: 0, ..small(0) }));
    assert!(refuses(Recipe { positions: 2000, scales: 32, ..small(0) }));
    assert!(refuses(Recipe { features: 0, ..small(3) }));
    let mut few = Trial::new(small(0), 5);
    few.training.truncate(120 * 5);
    assert!(matches!(few.run(Start::Anew, &mut Watch::default()), Err(TrainingError::Data(_))));
    few.training.pop();
    assert!(matches!(few.run(Start::Anew, &mut Watch::default()), Err(TrainingError::Data(_))));
}
