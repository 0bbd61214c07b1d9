//! Trains a model that draws rows, judges what it draws by rows that it has not seen, and says how fast it draws:
//!
//! ```sh
//! cargo run --release --no-default-features --features training,quality --example draw_rows -- vae adult.jsonl adult-test.jsonl income cpu=90
//! ```
//!
//! The first argument is `autoregressive`, `vae` or `gan`. Settings are those of its recipe in `training::rows`, `components`, `members` and `rounds`
//! of a mixture, `cpu` (seconds), `seeds` (how many, from `seed` on), `drawn` (rows) and `save`, a file for the model.

mod printer;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use latentd::model::rows::{Coded, learn};
use latentd::model::{Condition, Family, Generator, Manifest, Monitor as _, package};
use latentd::quality::{Judge, Options};
use latentd::training::{Budget, rows};
use printer::{Printer, thread_cpu};

/// The time in manifests: none, so that the same training makes the same file.
const CREATED: &str = "1970-01-01T00:00:00Z";

/// What a training made: a generator, its bytes, and what is told of it.
struct Made {
    model: Arc<dyn Generator>,
    artefact: Arc<[u8]>,
    told: String,
}

/// Recipes of all generators, of which one is used.
#[derive(Default)]
struct Recipes {
    autoregressive: rows::Recipe,
    vae: rows::vae::Recipe,
    gan: rows::gan::Recipe,
}

impl Recipes {
    fn set(&mut self, kind: &str, name: &str, value: &str) -> anyhow::Result<()> {
        let two = || -> anyhow::Result<[f64; 2]> {
            let (first, second) = value.split_once(',').unwrap_or((value, value));
            Ok([first.parse()?, second.parse()?])
        };
        let Self { autoregressive, vae, gan } = self;
        match (kind, name) {
            ("autoregressive", "width") => autoregressive.width = value.parse()?,
            ("autoregressive", "inner") => autoregressive.inner = value.parse()?,
            ("autoregressive", "blocks") => autoregressive.blocks = value.parse()?,
            ("autoregressive", "batch") => autoregressive.batch = value.parse()?,
            ("autoregressive", "passes") => autoregressive.passes = value.parse()?,
            ("autoregressive", "rate") => autoregressive.rate = value.parse()?,
            ("vae", "latents") => vae.latents = value.parse()?,
            ("vae", "width") => vae.width = value.parse()?,
            ("vae", "beta") => vae.beta = value.parse()?,
            ("vae", "batch") => vae.batch = value.parse()?,
            ("vae", "passes") => vae.passes = value.parse()?,
            ("vae", "rate") => vae.rate = value.parse()?,
            ("vae", "draws") => vae.draws = value.parse()?,
            ("vae", "components") => vae.fit.components = value.parse()?,
            ("vae", "members") => vae.fit.members = value.parse()?,
            ("vae", "rounds") => vae.fit.rounds = value.parse()?,
            ("gan", "latents") => gan.latents = value.parse()?,
            ("gan", "width") => gan.width = value.parse()?,
            ("gan", "critic") => gan.critic = value.parse()?,
            ("gan", "pack") => gan.pack = value.parse()?,
            ("gan", "batch") => gan.batch = value.parse()?,
            ("gan", "rates") => gan.rates = two()?,
            ("gan", "gamma") => gan.gamma = two()?,
            ("gan", "temperature") => gan.temperature = value.parse()?,
            ("gan", "mean") => gan.mean = value.parse()?,
            _ => bail!("there is no setting `{name}`"),
        }
        Ok(())
    }

    /// Trains.
    fn train(&self, kind: &str, coded: &Coded, seed: u64, cpu: Duration) -> anyhow::Result<Made> {
        let mut printer = Printer::new();
        let budget = Budget { steps: u32::MAX, cpu: Some(cpu) };
        let (model, artefact, told): (Arc<dyn Generator>, _, _) = match kind {
            "autoregressive" => {
                let trained = rows::train(coded, &self.autoregressive, seed, budget, &mut printer)?;
                let artefact = Arc::clone(trained.model.artefact());
                (Arc::new(trained.model), artefact, format!("{} steps, {:.3} bits", trained.steps, trained.validation))
            }
            "vae" => {
                let trained = rows::vae::train(coded, &self.vae, seed, budget, &mut printer)?;
                let artefact = Arc::clone(trained.model.artefact());
                (Arc::new(trained.model), artefact, format!("{} steps, {:.3} bits", trained.steps, trained.validation))
            }
            "gan" => {
                let trained = rows::gan::train(coded, &self.gan, seed, budget, &mut printer)?;
                let artefact = Arc::clone(trained.model.artefact());
                (
                    Arc::new(trained.model),
                    artefact,
                    format!("{} steps, distance {:.4}", trained.steps, trained.distance),
                )
            }
            _ => bail!("`{kind}` is no generator of rows"),
        };
        let spent = printer.spent().as_secs_f64();
        let told = format!("{spent:.1} s CPU, {told}, {} bytes", artefact.len());
        Ok(Made { model, artefact, told })
    }
}

fn lines(file: &str) -> anyhow::Result<Vec<Vec<u8>>> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read `{file}`"))?;
    Ok(bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect())
}

fn refs(records: &[Vec<u8>]) -> Vec<&[u8]> {
    records.iter().map(Vec::as_slice).collect()
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, train, holdout, target, settings @ ..] = arguments.as_slice() else {
        bail!("usage: draw_rows autoregressive|vae|gan TRAIN HOLDOUT TARGET [SETTING=VALUE]...")
    };
    let (train, holdout) = (lines(train)?, lines(holdout)?);
    let mut recipes = Recipes::default();
    let (mut cpu, mut seed, mut seeds, mut count, mut save) = (Duration::from_secs(90), 1, 1, holdout.len(), None);
    for setting in settings {
        let (name, value) = setting.split_once('=').with_context(|| format!("`{setting}` sets nothing"))?;
        match name {
            "cpu" => cpu = Duration::from_secs_f64(value.parse()?),
            "seed" => seed = value.parse()?,
            "seeds" => seeds = value.parse()?,
            "drawn" => count = value.parse()?,
            "save" => save = Some(value.to_owned()),
            _ => recipes.set(kind, name, value)?,
        }
    }
    let begun = thread_cpu();
    let coded = learn(&refs(&train))?;
    println!(
        "{} rows in {} codes of {} variables, {:.1} s CPU",
        coded.rows,
        coded.sizes().iter().sum::<usize>(),
        coded.sizes().len(),
        (thread_cpu() - begun).as_secs_f64()
    );
    for seed in seed..seed + seeds {
        let Made { model, artefact, told } = recipes.train(kind, &coded, seed, cpu)?;
        println!("{kind} {}: seed {seed}, {told}", settings.join(" "));
        if let Some(path) = &save {
            let manifest = Manifest::new(&artefact, Family::new(kind.clone())?, "rows", CREATED);
            std::fs::write(path, package::pack(&manifest.to_json()?, &artefact)?)?;
        }
        let (begun, mut drawn) = (thread_cpu(), Vec::new());
        for run in 0..count.div_ceil(model.run_length() as usize) as u64 {
            model.draw(seed, &Condition::new(), run, model.run_length(), &mut drawn)?;
        }
        let rate = drawn.len() as f64 / (thread_cpu() - begun).as_secs_f64();
        println!("{rate:.0} rows/s drawn and written");
        drawn.clear();
        model.sample(seed, &Condition::new(), count as u64, &mut drawn)?;
        let options = Options { seed: 1, target: Some(target.clone()), ..Options::default() };
        let report = Judge::new(&refs(&train), &refs(&holdout), options)?.judge(&refs(&drawn))?;
        for gate in &report.gates {
            println!("{:16} {:8.4} {:?}  {}", gate.name, gate.value, gate.verdict, gate.explanation);
        }
        let value = |name: &str| report.gates.iter().find(|gate| gate.name.to_string() == name).map(|gate| gate.value);
        if let (Some(shapes), Some(pairs)) = (value("column_shapes"), value("column_pairs")) {
            println!("seed {seed}: quality {:.4}, {:?}", (shapes + pairs) / 2.0, report.verdict);
        }
    }
    Ok(())
}
