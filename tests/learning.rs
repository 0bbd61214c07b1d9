//! Learning over a year of flights, without Kafka: when models are made anew, and what that is worth. The time is the test's.

#![allow(clippy::unwrap_used, reason = "what cannot be had fails the test, in helpers too")]

mod tools;

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use latentd::config;
use latentd::cost::Prices;
use latentd::model::{Split, Start};
use latentd::pipeline::Settings;
use latentd::pipeline::learn::{
    Cause, CpuTime, Curriculum, Decision, Learner, Load, Outcome, Run, Setup, Stream, Subject, Trainer,
};
use latentd::record::TopicPartition;
use latentd::telemetry::{PipelineInfo, StatusBoard, thread_cpu_seconds};

/// Bytes of rows in a run, as the tap makes them.
const RUN: usize = 64 << 10;

/// What a training takes here, of CPU and of time.
const TRAINING: f64 = 8.0;

/// Rows between a first training and the moment when it could begin.
const SPAN: usize = 20_000;

fn settings(codec: &str) -> Settings {
    settings_of(codec, "auto")
}

fn settings_of(codec: &str, payload: &str) -> Settings {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("latentd.toml");
    let shape = if payload == "image" { "shape = \"28x28\"\n" } else { "" };
    let text = format!(
        "[pipelines.p]\nfrom = \"a\"\nto = \"b\"\ncodec = \"{codec}\"\npayload = \"{payload}\"\n{shape}\
         [pipelines.p.learn]\nevery = \"30d\"\nreservoir = \"12MiB\"\ncpu = \"6s\"\n"
    );
    std::fs::write(&path, text).unwrap();
    config::load(&path).unwrap().pipelines.remove(0)
}

fn learner(settings: &Settings) -> Learner {
    let board = StatusBoard::new("1");
    let status = board.add(PipelineInfo {
        name: "p".to_owned(),
        operation: "compress".to_owned(),
        from: vec!["a".to_owned()],
        to: "b".to_owned(),
        codec: None,
        layout: None,
        delivery: "exactly-once".to_owned(),
        several_topics: false,
    });
    Learner::new(settings.learn.unwrap().reservoir, Split::Time, 1, status.metrics().clone())
}

fn runs(rows: &[&[u8]]) -> Vec<Run> {
    let mut runs = vec![Run::default()];
    for row in rows {
        if runs.last().unwrap().values_len() >= RUN {
            runs.push(Run::default());
        }
        runs.last_mut().unwrap().push(row);
    }
    runs
}

/// What a stream came to.
struct Course {
    /// The rows before each run, and bytes that a row of it took.
    live: Vec<(usize, f64)>,
    /// The rows before each training that led to a new model, and why.
    trainings: Vec<(usize, Cause)>,
    /// Rows before the first model was in use.
    first: usize,
}

impl Course {
    fn bytes_a_row(&self, from: usize, to: usize) -> f64 {
        let part: Vec<f64> =
            self.live.iter().filter(|(at, _)| (from..to).contains(at)).map(|(_, bytes)| *bytes).collect();
        part.iter().sum::<f64>() / part.len() as f64
    }
}

/// A stream of these rows, a hundred each second, of which each stands for so many records.
fn follow(rows: &[&[u8]], weight: u64) -> Course {
    let settings = settings("columns");
    let learner = learner(&settings);
    let curriculum = Curriculum::of(&settings).unwrap();
    let subject = curriculum.subject().unwrap();
    let mut trainer = Trainer::new(curriculum, Prices::default(), learner.clone());
    // Each look at the clock is a training later: nobody waits for codecs that no model is barred by.
    let looks = Cell::new(0.0);
    let clock = || {
        looks.set(looks.get() + TRAINING);
        looks.get()
    };
    let at = TopicPartition::new("a", 0);
    let mut course = Course { live: Vec::new(), trainings: Vec::new(), first: 0 };
    let (mut read, mut looked) = (0, 0.0);
    let mut pending: Option<(f64, Setup)> = None;
    let mut in_use: Option<Setup> = None;
    for run in runs(rows) {
        if let Some((_, setup)) = pending.take_if(|(from, _)| *from <= read as f64 / 100.0) {
            course.first = if in_use.is_none() { read } else { course.first };
            in_use = Some(setup);
        }
        if let Some(artefact) = in_use.as_ref().and_then(|setup| setup.artefact.as_ref()) {
            course.live.push((read, subject.measure(artefact, &[&run]).unwrap().model));
        }
        let (first, rows) = (read, run.len());
        read += rows;
        learner.offer(&at, first as i64, read as i64 - 1, run);
        let seconds = read as f64 / 100.0;
        let stream = Stream {
            records: read as u64 * weight,
            block_bytes: 1 << 20,
            load: Load {
                bytes_per_second: 30_000.0 * weight as f64,
                records_per_second: 100.0 * weight as f64,
                workers: 1,
                life: Duration::from_secs(3600),
            },
        };
        if seconds - looked >= 10.0 {
            looked = seconds;
            trainer.look(&stream, &clock).unwrap();
        }
        // Whoever trains does nothing else.
        if pending.is_some() {
            continue;
        }
        let now = Duration::from_secs_f64(seconds);
        if let Decision::Train(cause) = trainer.decide(now, stream.records) {
            let mut lecture = trainer.assign(&stream).work(&clock, Start::Anew, &mut CpuTime::begin()).unwrap();
            lecture.cpu_seconds = TRAINING;
            let ended = now + Duration::from_secs_f64(TRAINING);
            let took = Duration::from_secs_f64(TRAINING);
            let setup = match &lecture.outcome {
                Outcome::Take(better) => Some(better.setup.clone()),
                Outcome::Keep(_) | Outcome::Nothing(_) => None,
            };
            trainer.trained(ended, took, stream.records, lecture, setup.clone());
            println!("{read} rows: {cause:?}, {}", if setup.is_some() { "replaced" } else { "kept" });
            if let Some(setup) = setup {
                pending = Some((ended.as_secs_f64(), setup));
                course.trainings.push((read, cause));
            }
        }
    }
    course
}

fn train(subject: &Subject, runs: &[Run]) -> Arc<[u8]> {
    let runs: Vec<&Run> = runs.iter().collect();
    subject.train(&runs, &[], Start::Anew, &mut CpuTime::begin()).unwrap().unwrap().artefact
}

/// Bytes that a row takes under a model made of all rows before it.
fn fresh(rows: &[&[u8]], from: usize, to: usize) -> f64 {
    let settings = settings("columns");
    let (subject, _) = Subject::of(&settings).unwrap();
    let (before, after) = (runs(&rows[..from]), runs(&rows[from..to]));
    let model = train(&subject, &before);
    let measures = after.iter().map(|run| subject.measure(&model, &[run]).unwrap().model);
    measures.sum::<f64>() / after.len() as f64
}

#[test]
fn a_busy_stream_that_drifts_stays_within_a_tenth_of_a_fresh_model() {
    let file = std::fs::read(tools::data("flights.jsonl").unwrap()).unwrap();
    let rows: Vec<&[u8]> = file.split(|byte| *byte == b'\n').skip(3 * SPAN).take(4 * SPAN).collect();
    let course = follow(&rows, 100);
    // The first model is there within 30 seconds of the first 20,000 rows, 3,000 rows.
    assert!(course.first < SPAN + 3_000, "{}", course.first);
    assert_eq!(course.trainings[0].1, Cause::First);
    assert!(course.trainings[1..].iter().all(|(_, cause)| matches!(cause, Cause::PaysOff { .. })));
    // A tenth of a core at most: 72 seconds lie between two trainings.
    assert!(course.trainings.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 7_200), "{:?}", course.trainings);
    let from = 3 * SPAN;
    let (live, fresh) = (course.bytes_a_row(from, from + SPAN), fresh(&rows, from, from + SPAN));
    println!("rows {from} to {}: {live:.2} bytes each, {fresh:.2} with a model made before them", from + SPAN);
    assert!(live <= 1.1 * fresh, "{live} bytes a row, {fresh} with a fresh model");
}

#[test]
fn a_quiet_stream_is_trained_on_again_only_where_that_saves_money() {
    let file = std::fs::read(tools::data("flights.jsonl").unwrap()).unwrap();
    let rows: Vec<&[u8]> = file.split(|byte| *byte == b'\n').take(8 * SPAN).collect();
    let course = follow(&rows, 1);
    let prices = Prices::default();
    let all = course.bytes_a_row(0, rows.len());
    // With the first model for ever.
    let (subject, _) = Subject::of(&settings("columns")).unwrap();
    let first = runs(&rows[..course.trainings[0].0]);
    let first = train(&subject, &first);
    let after = runs(&rows[course.first..]);
    let never =
        after.iter().map(|run| subject.measure(&first, &[run]).unwrap().model).sum::<f64>() / after.len() as f64;
    let number = (rows.len() - course.first) as f64;
    let again = course.trainings.len() as f64 - 1.0;
    let cost = |bytes: f64, trainings: f64| {
        prices.log_bytes(bytes * number) + trainings * (prices.cpu(TRAINING) + prices.model(150e3))
    };
    let (paid, without) = (cost(all, again), cost(never, 0.0));
    println!("{again} more trainings: {all:.2} bytes a row for {paid:.2e}, without them {never:.2} for {without:.2e}");
    assert!(again <= 4.0, "{again} trainings more");
    // What was rented before it was bought is never more than the price again.
    assert!(paid <= without + cost(0.0, 1.0), "{paid} with trainings, {without} without");
}

/// The streams of the data sets, as records in their order.
fn streams() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let mut streams: Vec<(&str, Vec<Vec<u8>>)> = Vec::new();
    for name in tools::TOPICS {
        let file = std::fs::read(tools::data(name).unwrap()).unwrap();
        let rows = file.split(|byte| *byte == b'\n').filter(|row| !row.is_empty());
        streams.push((name, rows.skip(usize::from(name.ends_with(".csv"))).take(40_000).map(<[u8]>::to_vec).collect()));
    }
    // Behind a header of 16 bytes, images of 28 times 28.
    let images = std::fs::read(tools::data("t10k-images-idx3-ubyte").unwrap()).unwrap();
    streams.push(("t10k-images", images[16..].chunks(784).take(6_000).map(<[u8]>::to_vec).collect()));
    streams
}

#[test]
fn the_codec_that_is_chosen_costs_at_most_three_hundredths_more_than_the_best_in_hindsight() {
    let mut worse = Vec::new();
    println!(
        "| stream | layout | chosen | bytes a record | price of 10⁶ records | best in hindsight | its price | more | zstd-3 |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for (name, rows) in streams() {
        for layout in ["block", "record"] {
            let images = name.ends_with("images");
            let mut settings = settings_of("auto", if images { "image" } else { "auto" });
            if layout == "record" {
                settings.layout = latentd::pipeline::Layout::Record;
            }
            let learner = learner(&settings);
            let mut trainer = Trainer::new(Curriculum::of(&settings).unwrap(), Prices::default(), learner.clone());
            let rows: Vec<&[u8]> = rows.iter().map(Vec::as_slice).collect();
            let (before, after) = rows.split_at(rows.len() / 2);
            let mut read = 0;
            for run in runs(before) {
                let (first, records) = (read, run.len());
                read += records as i64;
                learner.offer(&TopicPartition::new("a", 0), first, read - 1, run);
            }
            // As little as a thousand records a second, so that every codec keeps up.
            let load = Load {
                bytes_per_second: 1e3 * rows[0].len() as f64,
                records_per_second: 1e3,
                workers: 1,
                life: Duration::from_secs(6 * 3600),
            };
            let stream = Stream { records: read as u64, block_bytes: 128 << 10, load };
            let lecture =
                trainer.assign(&stream).work(&thread_cpu_seconds, Start::Anew, &mut CpuTime::begin()).unwrap();
            let Outcome::Take(better) = &lecture.outcome else { panic!("{name}: {:?}", lecture.outcome) };
            let setup = better.setup.clone();
            trainer.trained(Duration::ZERO, Duration::ZERO, 0, lecture, Some(setup.clone()));
            let after = runs(after);
            let after: Vec<&Run> = after.iter().take((2 << 20) / RUN).collect();
            let (choice, in_use) = trainer.hindsight(&after, &stream, &thread_cpu_seconds).unwrap();
            let (best, chosen) = (&choice.candidates[choice.chosen], &choice.candidates[in_use.unwrap()]);
            let plain = choice.candidates.iter().find(|one| one.tried.spec.to_string() == "zstd:3").unwrap();
            let more = chosen.price() / best.price() - 1.0;
            println!(
                "| {name} | {layout} | {} | {:.2} | {:.5} | {} | {:.5} | {:.1} % | {:.5} |",
                setup.spec,
                chosen.bytes_per_record(),
                chosen.price(),
                best.tried.spec,
                best.price(),
                more * 100.0,
                plain.price(),
            );
            if more > 0.03 {
                worse.push((name, layout, more));
            }
        }
    }
    assert_eq!(worse, []);
}
