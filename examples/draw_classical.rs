//! Makes rows of real ones, judges them by rows that they were not made of, and says how fast they are made:
//!
//! ```sh
//! cargo run --release --no-default-features --features quality --example draw_classical -- adult.jsonl adult-test.jsonl income \
//!     operations=smote-nc balance=income
//! ```
//!
//! Settings are those of `model::rows::ClassicalRecipe` (`operations`, with commas; `neighbours`; `bases`), `seed`, `drawn` (rows) and `balance`, a
//! field whose classes are drawn evenly.

use std::time::Duration;

use anyhow::{Context, bail};
use latentd::augment::Balance;
use latentd::model::rows::{ClassicalRecipe, learn};
use latentd::model::{ClassicalRows, Condition, Generator};
use latentd::quality::{Judge, Options};
use rustix::time::{ClockId, clock_gettime};

fn thread_cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
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
    let [train, holdout, target, settings @ ..] = arguments.as_slice() else {
        bail!("usage: draw_classical TRAIN HOLDOUT TARGET [SETTING=VALUE]...")
    };
    let (train, holdout) = (lines(train)?, lines(holdout)?);
    let (mut recipe, mut seed, mut count, mut balance) = (ClassicalRecipe::default(), 1, holdout.len(), None);
    for setting in settings {
        let (name, value) = setting.split_once('=').with_context(|| format!("`{setting}` sets nothing"))?;
        match name {
            "operations" => recipe.operations = value.split(',').map(str::parse).collect::<Result<_, _>>()?,
            "neighbours" => recipe.neighbours = value.parse()?,
            "bases" => recipe.bases = value.parse()?,
            "seed" => seed = value.parse()?,
            "drawn" => count = value.parse()?,
            "balance" => balance = Some(value),
            _ => bail!("there is no setting `{name}`"),
        }
    }
    let begun = thread_cpu();
    let model = ClassicalRows::new(&learn(&refs(&train))?, &recipe, seed)?;
    let spent = (thread_cpu() - begun).as_secs_f64();
    println!("{}: {} bases, {} bytes, {spent:.1} s CPU", settings.join(" "), model.bases(), model.artefact().len());
    let balance = balance.map(|field| Balance::new(&model, field, &Condition::new(), f64::INFINITY)).transpose()?;
    let (begun, mut drawn) = (thread_cpu(), Vec::new());
    for run in 0..count.div_ceil(model.run_length() as usize) as u64 {
        match &balance {
            Some(balance) => balance.draw(&model, seed, run, model.run_length(), &mut drawn)?,
            None => model.draw(seed, &Condition::new(), run, model.run_length(), &mut drawn)?,
        }
    }
    let rate = drawn.len() as f64 / (thread_cpu() - begun).as_secs_f64();
    println!("{rate:.0} rows/s drawn and written");
    drawn.truncate(count);
    let options = Options { seed: 1, target: Some(target.clone()), ..Options::default() };
    let report = Judge::new(&refs(&train), &refs(&holdout), options)?.judge(&refs(&drawn))?;
    for gate in &report.gates {
        println!("{:16} {:8.4} {:?}  {}", gate.name, gate.value, gate.verdict, gate.explanation);
    }
    println!("{:?}", report.verdict);
    Ok(())
}
