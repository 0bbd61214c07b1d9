//! Draws and penalties against what they are defined as.

use tch::{Kind, no_grad};

use super::networks::{Critic, codes, draw, gumbels};
use super::*;
use crate::training::adversaries::penalised;
use crate::training::affine::floats;
use crate::training::descent::UNMEASURED;

fn recipe() -> Recipe {
    Recipe { critic: 7, pack: 2, ..Recipe::default() }
}

#[test]
fn codes_are_drawn_as_often_as_their_softmax_says_and_gradients_come_through() {
    // A variable of two codes, one of one, one of three.
    let (heads, rows) = ([(0, 2), (3, 3)], 20_000);
    let logits = Tensor::from_slice(&[1.0f32, -1.0, 0.0, 0.5, 0.0, -2.0]).view([1, 6]).set_requires_grad(true);
    let mut rng = generator(1, Purpose::Weights);
    let gumbel = gumbels(rows, 6, &mut rng).unwrap();
    let drawn = draw(&logits.expand([rows as i64, 6], false), &heads, 0.7, &gumbel).unwrap();
    let values = floats(&drawn).unwrap();
    assert!(values.iter().all(|value| *value < 1e-6 || (value - 1.0).abs() < 1e-6));
    let shares: Vec<f64> = (0..6)
        .map(|code| values.iter().skip(code).step_by(6).map(|value| f64::from(*value)).sum::<f64>() / rows as f64)
        .collect();
    let softmax = |logits: &[f64]| {
        let all: f64 = logits.iter().map(|logit| logit.exp()).sum();
        logits.iter().map(|logit| logit.exp() / all).collect::<Vec<_>>()
    };
    let expected = [softmax(&[1.0, -1.0]), vec![1.0], softmax(&[0.5, 0.0, -2.0])].concat();
    // Standard errors are 0.0035 at most.
    assert!(shares.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 0.015), "{shares:?} {expected:?}");
    let own = codes(&logits.expand([rows as i64, 6], false), &heads, &gumbel).unwrap();
    for (row, own) in values.chunks_exact(6).zip(own.chunks_exact(2)) {
        assert!(row[own[0] as usize] > 0.5 && row[3 + own[1] as usize] > 0.5);
    }
    // What raises a code raises its logit, and not that of a variable with no choice.
    let gradient = Tensor::run_backward(&[drawn.narrow(1, 4, 1).sum(Kind::Float)], &[&logits], false, false);
    let gradient = floats(&gradient[0]).unwrap();
    assert!(gradient[4] > 100.0 && gradient[3] < 0.0 && gradient[5] < 0.0 && gradient[2] == 0.0, "{gradient:?}");
    assert!(gradient[..2].iter().all(|value| value.abs() < 1e-6));
}

#[test]
fn a_penalty_is_the_square_of_the_gradient_and_has_a_gradient_of_its_own() {
    let critic = Critic::new(5, &recipe(), &mut generator(3, Purpose::Weights)).unwrap();
    let rows = normals(6, 5, &mut generator(3, Purpose::Measure)).unwrap();
    let (scores, penalty) = penalised(&|rows| critic.score(rows), &rows).unwrap();
    assert_eq!(scores.size(), [3]);
    // By differences: packs of two rows of five numbers.
    let (base, step) = (floats(&rows).unwrap(), 1e-3f32);
    let at = |values: &[f32]| {
        let rows = Tensor::from_slice(values).view([6, 5]);
        floats(&no_grad(|| critic.score(&rows)).unwrap()).unwrap()
    };
    let mut square = 0.0;
    for place in 0..30 {
        let [mut up, mut down] = [base.clone(), base.clone()];
        up[place] += step;
        down[place] -= step;
        let pack = place / 10;
        square += f64::from((at(&up)[pack] - at(&down)[pack]) / (2.0 * step)).powi(2);
    }
    let found = penalty.double_value(&[]);
    assert!((found - square / 3.0).abs() < 0.02 * found, "{found} {}", square / 3.0);

    // The penalty of weights a little larger: its derivative goes through the first gradient.
    let last = critic.parameters()[4];
    let gradient = Tensor::run_backward(&[&penalty], &[last], true, false);
    let along = (&gradient[0] * last).sum(Kind::Double).double_value(&[]);
    // The score is linear in its last layer, so that the penalty is a square of it (Euler's theorem on homogeneous functions).
    assert!((along - 2.0 * found).abs() < 1e-3 * found, "{along} {found}");
}

#[test]
fn numbers_that_are_none_end_it_with_the_nearest_of_before() {
    use crate::model::Progress;
    use crate::model::rows::learn;

    /// Nobody watches.
    struct Unwatched;

    impl Monitor for Unwatched {
        fn spent(&mut self) -> Duration {
            Duration::ZERO
        }

        fn progress(&mut self, _: &Progress) -> std::ops::ControlFlow<()> {
            std::ops::ControlFlow::Continue(())
        }
    }

    let records: Vec<String> =
        (0..200).map(|n| format!("{{\"a\":\"{}\",\"b\":{}}}", ["x", "y"][n % 2], n % 3)).collect();
    let coded = learn(&records.iter().map(String::as_bytes).collect::<Vec<_>>()).unwrap();
    let rows = Rows::new(&coded, [coded.rows, 1], 1);
    let recipe = Recipe { latents: 4, width: 8, interval: 5, batch: 20, ..recipe() };
    let mut session = Session::new(&rows, &recipe, 1, Budget { steps: 100, cpu: None }).unwrap();
    (0..5).for_each(|_| assert!(session.step(&mut Unwatched).unwrap()));
    let (best, kept) = (session.adversaries.best, floats(&session.adversaries.kept[0]).unwrap());
    assert!(best < UNMEASURED);
    no_grad(|| {
        let _ = session.generator.parameters()[0].shallow_clone().f_mul_(&Tensor::from(f64::NAN)).unwrap();
    });
    assert!(!session.step(&mut Unwatched).unwrap());
    session.adversaries.mean[0] = &session.adversaries.mean[0] * f64::NAN;
    let trained = session.finish(&coded, &mut Unwatched).unwrap();
    assert_eq!((trained.steps, trained.distance), (5, best));
    assert!(kept.iter().all(|value| value.is_finite()));
}
