//! Decides whether what a model draws is published: judges each model before anything of it is, and again and again while it is.
//!
//! Of all processes of a group one judges, the one that trains; its reports go to the registry, beside the model, and the
//! others do what the newest of them says.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use super::{Augmentation, Licence};
use crate::augment::{Lineage, Usage};
use crate::codec::ModelId;
use crate::model::{Condition, Family, Generator, GeneratorError, Span, is_generative, open_generator};
use crate::pipeline::learn::{Learner, Samples, newest};
use crate::pipeline::settings::Gates;
use crate::quality::{Gate, Judge, Options, QualityError, Report, Verdict};
use crate::registry::{Registry, RegistryError};
use crate::telemetry::{AugmentReport, GateReport, PipelineStatus, thread_cpu_seconds, unix_millis};

/// Most real records of a kind, and drawn ones, that are compared.
const ROWS: usize = 5_000;

/// Most bytes of records that judge, and of those that were learned from.
const HOLDOUT_BYTES: usize = 4 << 20;
const TRAIN_BYTES: usize = 16 << 20;

/// Fewest real records of each kind that a judgement is worth something with.
const FEWEST: usize = 500;

/// Shortest time between two judgements of one model.
const EVERY: Duration = Duration::from_secs(60);

/// Judging takes no more than one part in so many of the time.
const REST: u32 = 50;

/// How often another process's reports are asked for.
const ASK: Duration = Duration::from_secs(10);

/// The version of reports in the registry.
const VERSION: u32 = 1;

/// A model that may be drawn from.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Its id.
    pub model: ModelId,
    /// Its family.
    pub family: Family,
    /// Its bytes.
    pub artefact: Arc<[u8]>,
}

/// What an examiner is made from.
pub struct ExaminerParts {
    /// What the workers look at.
    pub augmentation: Augmentation,
    /// The pipeline's name.
    pub pipeline: String,
    /// Where reports go.
    pub registry: Registry,
    /// What runs the registry's requests.
    pub runtime: Handle,
    /// Who judges: name and instance of the process.
    pub by: String,
    /// What shows how it stands.
    pub status: Arc<PipelineStatus>,
}

/// Judges.
pub struct Examiner {
    parts: ExaminerParts,
    current: Option<Examined>,
}

/// The model in question.
struct Examined {
    model: ModelId,
    generator: Arc<dyn Generator>,
    trained_on: Vec<Span>,
    /// When it is judged, or asked for, next.
    due: Instant,
    /// The number of the next judgement: each draws other records.
    number: u64,
}

/// Why nothing was decided.
#[derive(Debug, thiserror::Error)]
pub enum ExaminerError {
    /// The registry does not answer.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The model draws nothing.
    #[error(transparent)]
    Generator(#[from] GeneratorError),
    /// The model draws no whole records.
    #[error(transparent)]
    Draw(#[from] crate::model::DrawError),
    /// It cannot be judged.
    #[error(transparent)]
    Quality(#[from] QualityError),
    /// A report is damaged, or of another version.
    #[error("the newest report on model {model} cannot be read: {detail}")]
    Report {
        /// The model.
        model: ModelId,
        /// What is wrong.
        detail: String,
    },
}

/// A report as the registry keeps it.
#[derive(Debug, Serialize)]
struct Filed<'a> {
    version: u32,
    model: ModelId,
    pipeline: &'a str,
    generator: &'a str,
    at_ms: i64,
    by: &'a str,
    report: &'a Report,
}

/// What another process reads of it.
#[derive(Debug, Deserialize)]
struct Read {
    version: u32,
    at_ms: i64,
    report: Ruling,
}

#[derive(Debug, Deserialize)]
struct Ruling {
    verdict: String,
    for_training: bool,
}

impl Examiner {
    /// Nothing is judged yet.
    pub fn new(parts: ExaminerParts) -> Self {
        Self { parts, current: None }
    }

    /// Looks at the model in use, and decides when it is time. `judges` says whether this process does it itself.
    pub fn look(&mut self, subject: Option<&Subject>, judges: bool, learner: &Learner) -> Result<(), ExaminerError> {
        let Some(subject) = subject.filter(|subject| is_generative(&subject.family)) else {
            if self.current.take().is_some() {
                self.parts.augmentation.grant(None);
            }
            self.tell("waiting", "no model is in use that draws records");
            return Ok(());
        };
        if self.current.as_ref().is_none_or(|current| current.model != subject.model) {
            // What a model may, the next one has to earn.
            self.parts.augmentation.grant(None);
            self.current = None;
            let generator = open_generator(&subject.family, &subject.artefact)
                .inspect_err(|error| self.tell("blocked", &error.to_string()))?;
            let ExaminerParts { registry, runtime, .. } = &self.parts;
            let trained_on = runtime.block_on(registry.manifest(&subject.model))?.window;
            let (model, due) = (subject.model, Instant::now());
            self.current = Some(Examined { model, generator, trained_on, due, number: 0 });
            if self.parts.augmentation.settings().gates == Gates::Off {
                self.license(Usage::NotForTraining, None, None);
                self.tell("publishing", "`gates` is \"off\": nothing is judged");
            } else {
                // Whoever judged it before may have done so minutes ago; until it is judged again, that counts.
                self.adopt()?;
            }
        }
        let is_due = self.current.as_ref().is_some_and(|current| Instant::now() >= current.due);
        if self.parts.augmentation.settings().gates == Gates::Off || !is_due {
            return Ok(());
        }
        if judges { self.judge(learner) } else { self.adopt() }
    }

    /// Judges what the model draws now by the newest real records.
    fn judge(&mut self, learner: &Learner) -> Result<(), ExaminerError> {
        let samples = Samples::of(&learner.snapshot(), HOLDOUT_BYTES);
        let (learned, holdout) = (samples.learned(), samples.holdout());
        let train: Vec<&[u8]> = newest(&learned, TRAIN_BYTES).iter().flat_map(|run| run.values()).collect();
        let holdout: Vec<&[u8]> = holdout.iter().flat_map(|run| run.values()).collect();
        let Some(current) = &mut self.current else { return Ok(()) };
        if train.len() < FEWEST || holdout.len() < FEWEST {
            if self.parts.augmentation.licence().is_none() {
                let reason = format!(
                    "{} and {} real records were seen: {FEWEST} on either side are needed to judge by",
                    train.len(),
                    holdout.len()
                );
                self.tell("waiting", &reason);
            }
            return Ok(());
        }
        let (began, cpu) = (Instant::now(), thread_cpu_seconds());
        let options =
            Options { rows: ROWS, seed: current.number, target: self.parts.augmentation.settings().target.clone() };
        current.number += 1;
        current.due = began + EVERY;
        let (generator, number) = (Arc::clone(&current.generator), current.number);
        let examined = examine(&*generator, number, &train, &holdout, options);
        if let Some(current) = &mut self.current {
            current.due = Instant::now() + EVERY.max(began.elapsed() * REST);
        }
        let (report, judge) = examined.inspect_err(|error| {
            // What cannot be judged is not published.
            self.parts.augmentation.grant(None);
            self.tell("blocked", &error.to_string());
        })?;
        tracing::info!(
            target: "latentd", pipeline = self.parts.pipeline, verdict = word(report.verdict),
            cpu_seconds = thread_cpu_seconds() - cpu, "generated records: judged"
        );
        let id = self.file(&report)?;
        let usage = if report.for_training { Usage::Training } else { Usage::NotForTraining };
        let state = if report.verdict == Verdict::Block {
            self.parts.augmentation.grant(None);
            "blocked"
        } else {
            self.license(usage, Some(id.clone()), Some(Arc::new(judge)));
            "publishing"
        };
        self.parts.status.set_augment(AugmentReport {
            report: Some(id),
            verdict: Some(word(report.verdict).to_owned()),
            judged_ms: Some(unix_millis()),
            gates: report.gates.iter().map(shown).collect(),
            ..self.report(state, &reason(&report))
        });
        Ok(())
    }

    /// Does what the newest report of whoever judges says.
    fn adopt(&mut self) -> Result<(), ExaminerError> {
        let Some(current) = &mut self.current else { return Ok(()) };
        let model = current.model;
        let ExaminerParts { registry, runtime, .. } = &self.parts;
        let Some((id, bytes)) = runtime.block_on(registry.newest_report(&model))? else {
            self.tell("waiting", "the model was not judged yet");
            return Ok(());
        };
        current.due = Instant::now() + ASK;
        let damaged = |detail: String| ExaminerError::Report { model, detail };
        let read: Read = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if read.version > VERSION {
            return Err(damaged(format!("its version is {}: use a newer latentd", read.version)));
        }
        let Ruling { verdict, for_training } = read.report;
        let passes = verdict == word(Verdict::Pass) || verdict == word(Verdict::Warn);
        if passes {
            let usage = if for_training { Usage::Training } else { Usage::NotForTraining };
            self.license(usage, Some(id.clone()), None);
        } else {
            self.parts.augmentation.grant(None);
        }
        let (state, reason) = match passes {
            true => ("publishing", "the newest report in the registry says so"),
            false => ("blocked", "the newest report in the registry says so"),
        };
        self.parts.status.set_augment(AugmentReport {
            report: Some(id),
            verdict: Some(verdict),
            judged_ms: Some(read.at_ms),
            ..self.report(state, reason)
        });
        Ok(())
    }

    /// Keeps a report beside its model; the report's id.
    fn file(&self, report: &Report) -> Result<String, ExaminerError> {
        let Some(current) = &self.current else { return Ok(String::new()) };
        let ExaminerParts { registry, runtime, pipeline, by, .. } = &self.parts;
        let (model, at_ms) = (current.model, unix_millis());
        let filed = Filed { version: VERSION, model, pipeline, generator: current.generator.name(), at_ms, by, report };
        let json = serde_json::to_vec_pretty(&filed)
            .map_err(|error| ExaminerError::Report { model, detail: error.to_string() })?;
        Ok(runtime.block_on(registry.keep_report(&model, at_ms, json.into()))?)
    }

    fn license(&self, usage: Usage, report: Option<String>, judge: Option<Arc<Judge>>) {
        let Some(current) = &self.current else { return };
        let lineage = Lineage {
            source: self.parts.augmentation.source().to_owned(),
            model: current.model,
            generator: current.generator.name(),
            condition: Condition::new(),
            trained_on: current.trained_on.clone(),
            report,
            usage,
            content_type: current.generator.content_type(),
        };
        let generator = Arc::clone(&current.generator);
        self.parts.augmentation.grant(Some(Arc::new(Licence { generator, lineage, judge })));
    }

    fn report(&self, state: &str, reason: &str) -> AugmentReport {
        AugmentReport {
            state: state.to_owned(),
            reason: reason.to_owned(),
            model: self.current.as_ref().map(|current| current.model.to_string()),
            generator: self.current.as_ref().map(|current| current.generator.name().to_owned()),
            ..AugmentReport::default()
        }
    }

    fn tell(&self, state: &str, reason: &str) {
        self.parts.status.set_augment(self.report(state, reason));
    }
}

/// Judges a generator by real records, some of which it may have learned from.
fn examine(
    generator: &dyn Generator,
    number: u64,
    train: &[&[u8]],
    holdout: &[&[u8]],
    options: Options,
) -> Result<(Report, Judge), ExaminerError> {
    let count = holdout.len().clamp(FEWEST, options.rows) as u64;
    let judge = Judge::new(train, holdout, options)?;
    // Seeds of partitions are hashes: this one is none of them but by a coincidence of 64 bits, which would do no harm.
    let (mut drawn, length) = (Vec::new(), u64::from(generator.run_length().max(1)));
    for run in 0..count.div_ceil(length) {
        let count = (count - run * length).min(length) as u32;
        generator.draw(number, &Condition::new(), run, count, &mut drawn)?;
    }
    let drawn: Vec<&[u8]> = drawn.iter().map(Vec::as_slice).collect();
    let report = judge.judge(&drawn)?;
    Ok((report, judge))
}

/// Why a report says what it says.
fn reason(report: &Report) -> String {
    let blocking: Vec<String> =
        report.blocking().map(|gate| format!("`{}` is {:.3}: {}", gate.name, gate.value, gate.explanation)).collect();
    match report.verdict {
        Verdict::Block => blocking.join("; "),
        Verdict::Warn => {
            let warns: Vec<String> = report
                .gates
                .iter()
                .filter(|gate| gate.verdict == Verdict::Warn)
                .map(|gate| format!("`{}` is {:.3}", gate.name, gate.value))
                .collect();
            format!("no gate blocks; worse than it should be: {}", warns.join(", "))
        }
        Verdict::Pass => "all gates pass".to_owned(),
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Warn => "warn",
        Verdict::Block => "block",
    }
}

fn shown(gate: &Gate) -> GateReport {
    GateReport {
        gate: gate.name.to_string(),
        value: gate.value,
        threshold: gate.threshold(),
        verdict: word(gate.verdict).to_owned(),
        explanation: gate.explanation.clone(),
    }
}
