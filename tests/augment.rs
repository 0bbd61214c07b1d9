//! What becomes of models when their own output comes back to them, without Kafka: nothing while the tap refuses it, and with the
//! guard off each learns from the one before it and they collapse; whichever process published it, before a restart too. And of a
//! licence when the stream is no longer what was learned: it is taken back.

#![cfg(feature = "daemon")]
#![allow(clippy::unwrap_used, reason = "what cannot be had fails the test, in helpers too")]

mod tools;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use latentd::config;
use latentd::model::{ColumnsModel, Family, Manifest, Split};
use latentd::pipeline::augment::Subject as Examinee;
use latentd::pipeline::learn::{Learner, Seat, Tap, Turns};
use latentd::pipeline::{Augmentation, Examiner, ExaminerParts, Ledger, LedgerParts, Settings};
use latentd::record::{HeaderRefs, RecordRef, Timestamp, TopicPartition};
use latentd::registry::Registry;
use latentd::telemetry::{PipelineInfo, PipelineStatus, StatusBoard};

/// Bytes of a run.
const RUN: usize = 64 << 10;

fn rows(file: &str, most: usize) -> Vec<Vec<u8>> {
    let text = std::fs::read(tools::data(file).unwrap()).unwrap();
    text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).take(most).map(<[u8]>::to_vec).collect()
}

fn settings() -> Settings {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("latentd.toml");
    let text = "[pipelines.p]\nfrom = \"a\"\nto = \"b\"\ncodec = \"columns\"\n[pipelines.p.learn]\nreservoir = \"64MiB\"\n\
                [pipelines.p.augment]\nto = \"c\"\n";
    std::fs::write(&path, text).unwrap();
    config::load(&path).unwrap().pipelines.remove(0)
}

/// Shows a record to a tap.
fn show<'a>(tap: &mut Tap, count: &mut i64, value: &'a [u8], headers: HeaderRefs<'a>) {
    let at = TopicPartition::new("a", 0);
    let timestamp = Timestamp::create(*count);
    tap.take(&at, &RecordRef { key: None, value: Some(value), headers, timestamp, offset: *count });
    *count += 1;
    if *count % 500 == 0 {
        tap.at_boundary();
    }
}

/// A pipeline's status.
fn status(board: &StatusBoard) -> Arc<PipelineStatus> {
    board.add(PipelineInfo {
        name: "p".to_owned(),
        operation: "compress".to_owned(),
        from: vec!["a".to_owned()],
        to: "b".to_owned(),
        codec: None,
        layout: None,
        delivery: "exactly-once".to_owned(),
        several_topics: false,
    })
}

/// Seconds that the examiner's clock is ahead.
static AHEAD: AtomicU64 = AtomicU64::new(0);

#[test]
fn a_stream_that_changes_takes_the_licence_back_at_the_next_judgement() {
    let real = rows("adult.jsonl", 24_000);
    // The same values in rows to which they do not belong.
    let cells = |row: &[u8]| -> Vec<String> {
        let text = std::str::from_utf8(row).unwrap();
        text[1..text.len() - 1].split(",\"").map(str::to_owned).collect()
    };
    let table: Vec<Vec<String>> = real[..6_000].iter().map(|row| cells(row)).collect();
    let mixed = |row: usize| -> Vec<u8> {
        let cell = |column: usize| table[(row * 7 + column * 997) % table.len()][column].as_str();
        format!("{{{}}}", (0..table[0].len()).map(cell).collect::<Vec<_>>().join(",\"")).into_bytes()
    };
    let board = StatusBoard::new("1");
    let status = status(&board);
    let learner = Learner::new(settings().learn.unwrap().reservoir, Split::Time, 1, status.metrics().clone());
    let (mut tap, mut count) = (Tap::new(learner.clone(), RUN), 0);
    real[..12_000].iter().for_each(|row| show(&mut tap, &mut count, row, HeaderRefs::new()));
    tap.at_boundary();

    let learned: Vec<&[u8]> = real[..9_000].iter().map(Vec::as_slice).collect();
    let model = ColumnsModel::train(&learned, &Default::default());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let registry = Registry::open("memory:///", &BTreeMap::new()).unwrap();
    let manifest = Manifest::new(model.artefact(), Family::COLUMNS, "p", "2026-01-01T00:00:00Z");
    runtime.block_on(registry.publish(&manifest, model.artefact().to_vec())).unwrap();
    let augmentation = Augmentation::new(settings().augment.unwrap(), "/latentd/test/p".to_owned());
    let mut examiner = Examiner::new(ExaminerParts {
        augmentation: augmentation.clone(),
        pipeline: "p".to_owned(),
        shape: None,
        registry,
        runtime: runtime.handle().clone(),
        by: "test/0".to_owned(),
        status: Arc::clone(&status),
        clock: || Instant::now() + Duration::from_secs(AHEAD.load(Ordering::Relaxed)),
    });
    let artefact = model.artefact().clone();
    let subjects = [Examinee { model: model.id(), family: Family::COLUMNS, artefact }];
    let mut seat = Seat::new(Turns::default());
    examiner.look(&subjects, true, &learner, &mut seat).unwrap();
    assert!(augmentation.licence().is_some() && !examiner.has_fallen(&model.id()), "{:?}", status.snapshot().augment);

    (0..12_000).for_each(|row| show(&mut tap, &mut count, &mixed(row), HeaderRefs::new()));
    tap.at_boundary();
    examiner.look(&subjects, true, &learner, &mut seat).unwrap();
    assert!(augmentation.licence().is_some(), "it is not time yet");
    AHEAD.store(3600, Ordering::Relaxed);
    examiner.look(&subjects, true, &learner, &mut seat).unwrap();
    let told = status.snapshot().augment.unwrap();
    println!("{}", told.reason);
    assert!(augmentation.licence().is_none() && told.state == "blocked", "{told:?}");
    assert!(examiner.has_fallen(&model.id()) && !examiner.has_fallen(&model.id()), "it is told once");
    assert!(told.reason.contains("`c2st_auc` is") || told.reason.contains("`column_pairs` is"), "{}", told.reason);
}

/// A process of the pipeline: what it publishes by, what it keeps, and how many it refused.
struct Process {
    augmentation: Augmentation,
    learner: Learner,
    tap: Tap,
    count: i64,
    status: Arc<PipelineStatus>,
}

impl Process {
    fn start(instance: &str, registry: &Registry, runtime: &tokio::runtime::Runtime) -> Self {
        let status = status(&StatusBoard::new("1"));
        let augmentation = Augmentation::new(settings().augment.unwrap(), "/latentd/test/p".to_owned());
        let ledger = Ledger::new(LedgerParts {
            augmentation: augmentation.clone(),
            pipeline: "p".to_owned(),
            instance: instance.to_owned(),
            registry: registry.clone(),
            runtime: runtime.handle().clone(),
            status: Arc::clone(&status),
        });
        let learner =
            Learner::new(settings().learn.unwrap().reservoir, Split::Time, 1, status.metrics().clone()).knowing(ledger);
        // As a lesson does that begins.
        learner.look_around();
        let tap = Tap::new(learner.clone(), RUN).knowing(augmentation.clone());
        Self { augmentation, learner, tap, count: 0, status }
    }

    fn read(&mut self, rows: &[&str]) {
        rows.iter().for_each(|row| show(&mut self.tap, &mut self.count, row.as_bytes(), HeaderRefs::new()));
        self.tap.at_boundary();
    }

    fn refused(&self) -> u64 {
        self.status.metrics().tap_refused_records.get()
    }

    /// What a training would learn from after the next look.
    fn kept(&self) -> Vec<String> {
        self.learner.look_around();
        let snapshot = self.learner.snapshot();
        let values = snapshot.samples().iter().flat_map(|kept| kept.sample.values());
        values.map(|value| String::from_utf8(value.to_vec()).unwrap()).collect()
    }
}

#[test]
fn what_another_process_published_is_not_learned_from_nor_what_one_before_a_restart_did() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let registry = Registry::open("memory:///", &BTreeMap::new()).unwrap();
    let mut b = Process::start("b", &registry, &runtime);
    let a = Process::start("a", &registry, &runtime);
    a.augmentation.emitted([&b"drawn 1"[..], b"drawn 2", b"drawn 3"].into_iter());
    // They come back to the other one before anybody has told it.
    b.read(&["real 1", "drawn 1", "real 2"]);
    b.read(&["drawn 2"]);
    assert_eq!(b.kept(), ["real 1", "drawn 1", "real 2", "drawn 2"]);
    assert_eq!(b.refused(), 0);
    a.learner.look_around();
    // What was kept already goes before anything learns from it; what comes from now on is refused.
    assert_eq!(b.kept(), ["real 1", "real 2"]);
    assert_eq!(b.refused(), 2);
    b.read(&["drawn 3", "real 3"]);
    assert_eq!(b.kept(), ["real 1", "real 2", "real 3"]);
    assert_eq!(b.refused(), 3);
    // It goes from what is kept, once and for all, with the look that comes without a training too.
    a.augmentation.emitted([&b"drawn 4"[..]].into_iter());
    b.read(&["drawn 4"]);
    a.learner.save_published();
    b.learner.look_around();
    assert_eq!(b.refused(), 4);
    // Under the same name, on another host.
    drop(a);
    let mut a = Process::start("a", &registry, &runtime);
    a.read(&["drawn 1", "real 1", "drawn 4"]);
    assert_eq!(a.kept(), ["real 1"]);
    assert_eq!(a.refused(), 2);
    let first = b.learner.snapshot();
    let places: Vec<u64> = first.samples().iter().map(|kept| kept.sequence).collect();
    assert_eq!(places, [0, 2], "runs keep their places: which of them judge is told by these");
}

#[test]
fn what_a_topic_repeats_of_itself_is_learned_from_though_its_generator_draws_it_too() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let registry = Registry::open("memory:///", &BTreeMap::new()).unwrap();
    let mut process = Process::start("a", &registry, &runtime);
    process.read(&["on", "off", "on", "off", "once"]);
    process.learner.look_around();
    process.augmentation.emitted([&b"on"[..], b"drawn", b"once"].into_iter());
    process.read(&["on", "drawn", "off"]);
    assert_eq!(process.kept(), ["on", "off", "on", "off", "on", "off"]);
    assert_eq!(process.refused(), 2, "what was drawn, and what was there once and nobody can tell from it");
    // Another process is told of nothing that the topic repeats.
    let mut other = Process::start("b", &registry, &runtime);
    process.learner.save_published();
    other.learner.look_around();
    other.read(&["on", "drawn"]);
    assert_eq!(other.kept(), ["on"]);
}

#[cfg(feature = "training")]
mod generations {
    use latentd::augment::{Lineage, Usage};
    use latentd::codec::ModelId;
    use latentd::model::rows::learn;
    use latentd::model::{Condition, Generator, open_generator};
    use latentd::pipeline::CpuTime;
    use latentd::quality::{GateName, Judge, Options, Report};
    use latentd::training::{Budget, rows as training};
    use latentd::units::ByteSize;

    use super::*;

    /// Generations that come after the first, which has seen real rows only.
    const GENERATIONS: u64 = 5;

    /// Real rows that the topic begins with. No others come after them.
    const REAL: usize = 6_000;

    /// Rows of its own that each generation puts into the topic.
    const INJECTED: usize = 12_000;

    /// Rows on each side that the judge compares.
    const JUDGED: usize = 10_000;

    /// What the learner keeps: its newest half holds fewer rows than a generation puts into the topic.
    const RESERVOIR: ByteSize = ByteSize::mib(3);

    /// Steps, and no time: what is trained is the same on a busy machine.
    const BUDGET: Budget = Budget { steps: 500, cpu: None };

    /// Of all trainings and draws, as a pipeline has one seed.
    const SEED: u64 = 1;

    const SOURCE: &str = "/latentd/test/p";

    fn refs(rows: &[Vec<u8>]) -> Vec<&[u8]> {
        rows.iter().map(Vec::as_slice).collect()
    }

    /// A topic whose generated rows come back to it, and the one learner that taps it all the time.
    struct Topic {
        /// What is published by the pipeline.
        augmentation: Augmentation,
        /// Whether the tap knows it, and rows bear the headers that say so.
        guarded: bool,
        status: Arc<PipelineStatus>,
        learner: Learner,
        tap: Tap,
        /// Records so far.
        count: i64,
    }

    impl Topic {
        fn new(guarded: bool) -> Self {
            let augmentation = Augmentation::new(settings().augment.unwrap(), SOURCE.to_owned());
            let status = status(&StatusBoard::new("1"));
            let learner = Learner::new(RESERVOIR, Split::Time, 1, status.metrics().clone());
            let mut tap = Tap::new(learner.clone(), RUN);
            if guarded {
                tap = tap.knowing(augmentation.clone());
            }
            Self { augmentation, guarded, status, learner, tap, count: 0 }
        }

        /// Real rows come.
        fn receive(&mut self, real: &[Vec<u8>]) {
            real.iter().for_each(|row| show(&mut self.tap, &mut self.count, row, HeaderRefs::new()));
            self.tap.at_boundary();
        }

        /// Rows of a model are published, and come back.
        fn receive_again(&mut self, drawn: &[Vec<u8>], model: ModelId) {
            self.augmentation.emitted(drawn.iter().map(Vec::as_slice));
            let lineage = Lineage {
                source: SOURCE.to_owned(),
                model,
                generator: "vae",
                condition: Condition::new(),
                trained_on: Vec::new(),
                report: None,
                usage: Usage::Training,
                content_type: "application/json",
            };
            let mut headers = lineage.headers();
            for (number, row) in drawn.iter().enumerate() {
                // Every other one has lost its headers on the way, and where there is no guard all have.
                let kept = self.guarded && number % 2 == 0;
                let headers = kept.then(|| headers.of(SEED, number as u64)).into_iter().flatten().collect();
                show(&mut self.tap, &mut self.count, row, headers);
            }
            self.tap.at_boundary();
        }

        /// What the learner holds now.
        fn learned(&self) -> Vec<Vec<u8>> {
            let snapshot = self.learner.snapshot();
            snapshot.samples().iter().flat_map(|kept| kept.sample.values().map(<[u8]>::to_vec)).collect()
        }

        fn refused(&self) -> u64 {
            self.status.metrics().tap_refused_records.get()
        }
    }

    /// A generator of such rows, and its model.
    fn trained(learned: &[Vec<u8>]) -> (Arc<dyn Generator>, ModelId) {
        let coded = learn(&refs(learned)).unwrap();
        let model =
            training::vae::train(&coded, &Default::default(), SEED, BUDGET, &mut CpuTime::begin()).unwrap().model;
        (open_generator(&Family::VAE, model.artefact()).unwrap(), ModelId::of(model.artefact()))
    }

    /// What a generation draws: the rows after those of the generation before it.
    fn drawn(generator: &dyn Generator, generation: u64) -> Vec<Vec<u8>> {
        let length = generator.run_length();
        let runs = INJECTED.div_ceil(length as usize) as u64;
        let mut drawn = Vec::new();
        for run in generation * runs..(generation + 1) * runs {
            generator.draw(SEED, &Condition::new(), run, length, &mut drawn).unwrap();
        }
        drawn.truncate(INJECTED);
        drawn
    }

    /// What was found of each generation.
    #[derive(Debug, Default)]
    struct Found {
        c2st: Vec<f64>,
        coverage: Vec<f64>,
    }

    impl Found {
        fn add(&mut self, report: &Report) {
            let value = |gate| report.gate(gate).unwrap().value;
            self.c2st.push(value(GateName::C2stAuc));
            self.coverage.push(value(GateName::Coverage));
        }
    }

    /// Generations that follow from one another: each learns from what the learner holds, and its output comes back.
    fn followed(judge: &Judge, real: &[Vec<u8>], guarded: bool) -> Found {
        let mut topic = Topic::new(guarded);
        topic.receive(real);
        let first = topic.learned();
        let mut made = trained(&first);
        let mut found = Found::default();
        for generation in 0..=GENERATIONS {
            let learned = topic.learned();
            if guarded {
                assert!(learned == first, "generation {generation} learns from what the first learned from");
            }
            let refused = if guarded { generation * INJECTED as u64 } else { 0 };
            assert_eq!(topic.refused(), refused, "generation {generation}");
            // Of the same rows, the same steps under the same seed make the same model.
            if learned != first {
                made = trained(&learned);
            }
            let (generator, model) = &made;
            let drawn = drawn(&**generator, generation);
            found.add(&judge.judge(&refs(&drawn[..JUDGED])).unwrap());
            topic.receive_again(&drawn, *model);
        }
        found
    }

    #[test]
    fn five_generations_of_its_own_output_change_nothing_behind_the_guard_and_collapse_without() {
        let (real, holdout) = (rows("adult.jsonl", REAL), rows("adult-test.jsonl", JUDGED));
        let options = Options { rows: JUDGED, ..Options::default() };
        let judge = Judge::new(&refs(&real), &refs(&holdout), options).unwrap();
        let guarded = followed(&judge, &real, true);
        println!("guarded: {guarded:.3?}");
        let open = followed(&judge, &real, false);
        println!("not guarded: {open:.3?}");
        let both = format!("{open:.3?} against {guarded:.3?} behind the guard");

        assert!(guarded.c2st.iter().all(|value| (value - guarded.c2st[0]).abs() <= 0.02), "{both}");
        assert_eq!(open.c2st[0], guarded.c2st[0], "the first has seen real rows only");
        // Each is worse than the worst behind the guard, and the last is plainly found out and has lost what is rare.
        let worst = guarded.c2st.iter().copied().fold(0.0, f64::max);
        assert!(open.c2st[1..].iter().all(|value| *value > worst), "{both}");
        let last = GENERATIONS as usize;
        assert!(open.c2st[last] > guarded.c2st[last] + 0.1, "{both}");
        assert!(open.coverage[last] < guarded.coverage[last] - 0.04, "{both}");
    }
}
