//! Whole trainings of all three generators, of records that are made here.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::batches::{Purpose, generator};
use super::*;
use crate::model::rows::learn;
use crate::model::{Condition, Generator, Progress};
use crate::training::affine::{floats, normals};
use crate::training::layer::uniform;

/// Counts steps, and ends the training when it is told to.
#[derive(Default)]
struct Watch {
    steps: u32,
    until: Option<u32>,
}

impl Monitor for Watch {
    fn spent(&mut self) -> Duration {
        Duration::from_millis(self.steps.into())
    }

    fn progress(&mut self, progress: &Progress) -> ControlFlow<()> {
        self.steps = progress.step;
        match self.until {
            Some(step) if progress.step >= step => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }
}

const CITIES: [&str; 3] = ["Zagreb", "Split", "Pula"];

/// Rides: by tram in one city, by boat mostly in another, and longer where they go by boat.
fn rides(count: usize) -> Vec<Vec<u8>> {
    let mut rng = generator(4, Purpose::Weights);
    let ride = |_| {
        let city = (uniform(&mut rng) * 3.0) as usize;
        let boat = uniform(&mut rng) < [0.05, 0.7, 0.3][city];
        let line = if boat { "boat" } else { ["tram", "bus"][usize::from(uniform(&mut rng) < 0.4)] };
        let minutes = (if boat { 30.0 } else { 5.0 } + 20.0 * uniform(&mut rng)) as u32;
        format!("{{\"city\":\"{}\",\"line\":\"{line}\",\"minutes\":{minutes},\"v\":1}}", CITIES[city]).into_bytes()
    };
    (0..count).map(ride).collect()
}

fn coded(rides: &[Vec<u8>]) -> Coded {
    learn(&rides.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap()
}

fn steps(steps: u32) -> Budget {
    Budget { steps, cpu: None }
}

fn small() -> Recipe {
    Recipe { width: 32, inner: 16, blocks: 1, batch: 128, rate: 3e-3, interval: 50, ..Recipe::default() }
}

fn small_vae() -> vae::Recipe {
    vae::Recipe { latents: 6, width: 32, batch: 128, rate: 1e-2, interval: 50, ..vae::Recipe::default() }
}

fn small_gan() -> gan::Recipe {
    gan::Recipe {
        latents: 8,
        width: 32,
        critic: 64,
        batch: 64,
        rates: [3e-3; 2],
        interval: 50,
        ..gan::Recipe::default()
    }
}

/// The shares of a city's lines.
type Shares = BTreeMap<(String, String), f64>;

fn shares<'a>(records: impl Iterator<Item = &'a Vec<u8>>) -> Shares {
    let mut counts = Shares::new();
    for record in records {
        let value: serde_json::Value = serde_json::from_slice(record).unwrap();
        let text = |field: &str| value[field].as_str().unwrap().to_owned();
        *counts.entry((text("city"), text("line"))).or_default() += 1.0;
    }
    let all: f64 = counts.values().sum();
    counts.values_mut().for_each(|count| *count /= all);
    counts
}

/// Half the sum of differences.
fn apart(a: &Shares, b: &Shares) -> f64 {
    let keys: std::collections::BTreeSet<_> = a.keys().chain(b.keys()).collect();
    let share = |of: &Shares, key| of.get(key).copied().unwrap_or(0.0);
    keys.into_iter().map(|key| (share(a, key) - share(b, key)).abs()).sum::<f64>() / 2.0
}

fn drawn(model: &dyn Generator, condition: &Condition) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    (0..12).for_each(|run| model.draw(3, condition, run, model.run_length(), &mut records).unwrap());
    records
}

/// That one lies near the other, number by number.
fn near(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs() / (1.0 + b.abs())).fold(0.0, f32::max);
    assert!(worst < 1e-4, "{worst}");
}

#[test]
fn under_a_condition_other_fields_are_distributed_as_they_are_under_it() {
    let rides = rides(4000);
    let coded = coded(&rides);
    let trained = train(&coded, &small(), 1, steps(900), &mut Watch::default()).unwrap();
    let all = shares(rides.iter());
    let found = apart(&all, &shares(drawn(&trained.model, &Condition::new()).iter()));
    assert!(found < 0.05, "{found}");
    for city in CITIES {
        let real = rides.iter().filter(|ride| ride.windows(city.len()).any(|part| part == city.as_bytes()));
        let real = shares(real);
        let condition = Condition::from([("city".to_owned(), city.to_owned())]);
        let found = apart(&real, &shares(drawn(&trained.model, &condition).iter()));
        // What the lines of all cities would come to in this one.
        let mut marginal = Shares::new();
        all.iter()
            .for_each(|((_, line), share)| *marginal.entry((city.to_owned(), line.clone())).or_default() += share);
        assert!(found < 0.05 && (found < apart(&real, &marginal) / 3.0 || city == "Pula"), "{city}: {found}");
    }
}

#[test]
fn what_libtorch_computes_and_what_draws_are_the_same() {
    let rides = rides(1500);
    let coded = coded(&rides);
    let rows = Rows::new(&coded, [10, 100], 1);
    let heads = rows.heads();

    // Rows of which any set is known, as a training asks for them.
    let recipe = small();
    let network = Network::new(&rows, &recipe, 1).unwrap();
    let model = RowsModel::new(&coded, &network.export().unwrap()).unwrap();
    let batch = rows.batch(&recipe, 1, 3).unwrap();
    let expected = floats(&no_grad(|| network.logits(&batch)).unwrap()).unwrap();
    let known = Vec::<i64>::try_from(&batch.known).unwrap();
    let offsets = Vec::<i64>::try_from(&batch.offsets).unwrap();
    let codes = rows.codes();
    for (row, expected) in expected.chunks_exact(codes).enumerate().take(40) {
        let end = offsets.get(row + 1).map_or(known.len(), |end| *end as usize);
        let mut told: Vec<Option<u16>> = vec![None; coded.sizes().len()];
        for code in &known[offsets[row] as usize..end] {
            let variable = rows.first.partition_point(|first| *first <= *code as usize) - 1;
            told[variable] = Some((*code as usize - rows.first[variable]) as u16);
        }
        for (place, variable) in rows.order.iter().enumerate() {
            let (first, size) = heads[place];
            near(&model.logits(&told, *variable), &expected[first as usize..(first + size) as usize]);
        }
    }

    let noise = normals(70, 6, &mut generator(2, Purpose::Mixture)).unwrap();
    let (expected, model) = vae::untrained(&coded, &small_vae(), &noise).unwrap();
    near(&model.logits(&floats(&noise).unwrap()), &expected);
    let noise = normals(70, 8, &mut generator(3, Purpose::Mixture)).unwrap();
    let (expected, model) = gan::untrained(&coded, &small_gan(), &noise).unwrap();
    near(&model.logits(&floats(&noise).unwrap()), &expected);
}

#[test]
fn an_autoencoder_and_its_mixture_draw_rows_whose_fields_go_together() {
    let rides = rides(4000);
    let trained = vae::train(&coded(&rides), &small_vae(), 1, steps(500), &mut Watch::default()).unwrap();
    assert_eq!((trained.model.name(), trained.steps), ("vae", 500));
    let found = apart(&shares(rides.iter()), &shares(drawn(&trained.model, &Condition::new()).iter()));
    assert!(found < 0.08, "{found}");
}

#[test]
fn an_adversarial_pair_draws_rows_whose_fields_go_together() {
    let rides = rides(4000);
    let coded = coded(&rides);
    let trained = gan::train(&coded, &small_gan(), 1, steps(1500), &mut Watch::default()).unwrap();
    assert_eq!((trained.model.name(), trained.steps), ("gan", 1500));
    let real = shares(rides.iter());
    let found = apart(&real, &shares(drawn(&trained.model, &Condition::new()).iter()));
    // Fields that do not go together are 0.25 away.
    let (_, alone) =
        gan::untrained(&coded, &small_gan(), &normals(1, 8, &mut generator(1, Purpose::Mixture)).unwrap()).unwrap();
    let before = apart(&real, &shares(drawn(&alone, &Condition::new()).iter()));
    assert!(found < 0.12 && before > 0.2, "{found}, and {before} before");
}

#[test]
fn the_same_data_and_seed_make_the_same_artefacts() {
    let rides = rides(600);
    let coded = coded(&rides);
    let vae = |seed| vae::train(&coded, &small_vae(), seed, steps(30), &mut Watch::default()).unwrap().model.id();
    let gan = |seed| gan::train(&coded, &small_gan(), seed, steps(30), &mut Watch::default()).unwrap().model.id();
    let ids = (vae(1), gan(1));
    std::thread::scope(|scope| {
        // Another training beside them changes nothing.
        let beside = scope.spawn(|| vae(2));
        assert_eq!((vae(1), gan(1)), ids);
        assert_ne!(beside.join().unwrap(), ids.0);
    });
    assert_ne!(gan(2), ids.1);
}

#[test]
fn what_cannot_be_trained_is_refused_and_a_monitor_ends_it() {
    let rides = rides(300);
    let coded = coded(&rides);
    let same = learn(&vec![&br#"{"a":1}"#[..]; 100]).unwrap();
    let mut watch = Watch { until: Some(3), ..Watch::default() };
    for coded in [&coded, &same] {
        let data = |steps: u32| {
            matches!(
                vae::train(coded, &small_vae(), 1, self::steps(steps), &mut Watch::default()),
                Err(TrainingError::Data(_))
            ) && matches!(
                gan::train(coded, &small_gan(), 1, self::steps(steps), &mut Watch::default()),
                Err(TrainingError::Data(_))
            )
        };
        assert!(data(0));
        assert_eq!(data(1), std::ptr::eq(coded, &same));
    }
    let cancelled = vae::train(&coded, &small_vae(), 1, steps(9), &mut watch);
    assert!(matches!(cancelled, Err(TrainingError::Cancelled)));
    let cancelled = gan::train(&coded, &small_gan(), 1, steps(9), &mut watch);
    assert!(matches!(cancelled, Err(TrainingError::Cancelled)));
    let recipe = vae::Recipe { latents: 0, ..small_vae() };
    let refused = vae::train(&coded, &recipe, 1, steps(9), &mut Watch::default());
    assert!(matches!(refused, Err(TrainingError::Recipe(_))));
    let recipe = gan::Recipe { pack: 3, ..small_gan() };
    let refused = gan::train(&coded, &recipe, 1, steps(9), &mut Watch::default());
    assert!(matches!(refused, Err(TrainingError::Recipe(_))));
}
