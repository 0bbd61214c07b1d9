//! Gates over features of chance.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::eigen::Eigen;
use super::*;
use crate::quality::Verdict;

/// Features that are about normal, with a scale and an offset for the first of them.
fn normals(rows: usize, width: usize, scale: f64, offset: f64, seed: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut unit = || rng.next_u32() as f64 / u32::MAX as f64;
    (0..rows * width)
        .map(|place| {
            let value = (0..12).map(|_| unit()).sum::<f64>() - 6.0;
            if place % width == 0 { value * scale + offset } else { value }
        })
        .collect()
}

#[test]
fn eigenvalues_and_roots_are_those_of_the_matrix() {
    let side = 9;
    let raw = normals(side, side, 1.0, 0.0, 1);
    // `B Bᵀ` is symmetric and has no negative eigenvalue.
    let mut matrix = vec![0.0; side * side];
    for (row, column, place) in (0..side * side * side).map(|at| (at / side / side, at / side % side, at % side)) {
        matrix[row * side + column] += raw[row * side + place] * raw[column * side + place];
    }
    let eigen = Eigen::of(matrix.clone(), side);
    let trace: f64 = matrix.iter().step_by(side + 1).sum();
    assert!((eigen.values.iter().sum::<f64>() - trace).abs() < 1e-9 * trace);
    for (place, value) in eigen.values.iter().enumerate() {
        for row in 0..side {
            let vector = |at: usize| eigen.vectors[at * side + place];
            let product: f64 = (0..side).map(|column| matrix[row * side + column] * vector(column)).sum();
            assert!((product - value * vector(row)).abs() < 1e-9 * trace);
        }
    }
    let root = eigen.root();
    for (row, column) in (0..side * side).map(|at| (at / side, at % side)) {
        let product: f64 = (0..side).map(|place| root[row * side + place] * root[place * side + column]).sum();
        assert!((product - matrix[row * side + column]).abs() < 1e-9 * trace);
    }
}

#[test]
fn distances_of_gaussians_are_those_of_the_formulas() {
    let width = 6;
    let of = |scale, offset, seed| normals(20_000, width, scale, offset, seed);
    let (plain, same, other) = (of(1.0, 0.0, 1), of(1.0, 0.0, 2), of(3.0, 2.0, 3));
    let [plain, same, other] = [&plain, &same, &other].map(|values| Features::new(width, values));
    let frechet = |a: &Features<'_>, b: &Features<'_>| Moments::of(a).frechet(&Moments::of(b));
    assert!(frechet(&plain, &same) < 0.01);
    // |m - n|² + (σ - τ)² = 4 + 4.
    assert!((frechet(&plain, &other) - 8.0).abs() < 0.15, "{}", frechet(&plain, &other));
    fn few<'a>(features: &Features<'a>) -> Features<'a> {
        features.first(1_000)
    }
    assert!(kernel_distance(&few(&plain), &few(&same)).abs() < 0.02);
    assert!(kernel_distance(&few(&plain), &few(&other)) > 0.5);
    let (covered, density) = coverage(&few(&plain), &few(&same), 5);
    assert!(covered > 0.95 && (0.9..1.1).contains(&density), "{covered} {density}");
    let away = of(1.0, 4.0, 4);
    assert!(coverage(&few(&plain), &few(&Features::new(width, &away)), 5).0 < 0.2);
    // One image again and again covers next to nothing.
    let one = plain.row(0).repeat(1_000);
    assert!(coverage(&few(&plain), &Features::new(width, &one), 5).0 < 0.05);
}

#[test]
fn real_images_pass_and_worse_ones_do_not() {
    let (train, holdout) = (normals(800, 8, 1.0, 0.0, 1), normals(800, 8, 1.0, 0.0, 2));
    let judged = |generated: &[f64], agreement: f64, accuracy: f64| {
        let evidence = Evidence {
            train: Features::new(8, &train),
            holdout: Features::new(8, &holdout),
            generated: Features::new(8, generated),
            label_agreement: Some([agreement, 0.98]),
            accuracies: Some([accuracy, 0.97]),
        };
        judge(&evidence).unwrap().into_iter().map(|gate| (gate.name, gate.verdict)).collect::<Vec<_>>()
    };
    let good = judged(&normals(800, 8, 1.0, 0.0, 3), 0.99, 0.95);
    assert!(good.iter().all(|(_, verdict)| *verdict == Verdict::Pass), "{good:?}");
    assert_eq!(good.len(), 6);
    let bad = judged(&normals(800, 8, 0.1, 4.0, 3), 0.5, 0.5);
    let blocked = [GateName::FrechetRatio, GateName::Coverage, GateName::LabelAgreement, GateName::CasRatio];
    assert!(blocked.iter().all(|name| bad.contains(&(*name, Verdict::Block))), "{bad:?}");
    let evidence = Evidence {
        train: Features::new(8, &train),
        holdout: Features::new(8, &holdout[..80]),
        generated: Features::new(8, &train),
        label_agreement: None,
        accuracies: None,
    };
    assert!(matches!(judge(&evidence), Err(QualityError::TooFew { what: "held-out", .. })));
}
