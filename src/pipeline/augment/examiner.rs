//! Decides whether what a model draws is published: judges each model before anything of it is, and again and again while it is.
//!
//! Several models may be drawn from: of those the first that may be published is, in the order in which they are wanted. Of all
//! processes of a group one judges, the one that trains; its reports go to the registry, beside the model, and the others do what
//! the newest of them says.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use super::exam::{Exam, FEWEST, Sat, train_bytes};
use super::shown::{self};
use super::{Augmentation, Licence};
use crate::augment::{Balance, Lineage, Usage};
use crate::codec::ModelId;
use crate::model::{
    Condition, DrawError, Family, Generator, GeneratorError, Span, Split, is_generative, open_generator,
};
use crate::payload::image::Shape;
use crate::pipeline::learn::{Learner, Samples, Seat, Turn, holdout_bytes};
use crate::pipeline::settings::Gates;
use crate::quality::{Gate, GateName, QualityError, Report, Validator, Verdict};
use crate::registry::{Registry, RegistryError};
use crate::telemetry::{AugmentReport, PipelineStatus, thread_cpu_seconds, unix_millis};

/// Shortest time between two judgements of one model.
const EVERY: Duration = Duration::from_secs(60);

/// Judging takes no more than one part in so many of the time.
const REST: u32 = 50;

/// So many warnings in a row say that a model that passed is worse than it was: one may be chance.
const WARNINGS: u32 = 2;

/// How often another process's reports are asked for.
const ASK: Duration = Duration::from_secs(10);

/// Pause after there were too few records to judge by.
const COUNT: Duration = Duration::from_secs(2);

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
    /// The shape of its images, where records are some.
    pub shape: Option<Shape>,
    /// Where reports go.
    pub registry: Registry,
    /// What runs the registry's requests.
    pub runtime: Handle,
    /// Who judges: name and instance of the process.
    pub by: String,
    /// What shows how it stands.
    pub status: Arc<PipelineStatus>,
    /// What time it is.
    pub clock: fn() -> Instant,
}

/// Judges.
pub struct Examiner {
    parts: ExaminerParts,
    examined: Vec<Examined>,
    /// What is published from.
    granted: Option<Granted>,
    told: Option<AugmentReport>,
}

/// A model in question.
struct Examined {
    model: ModelId,
    generator: Arc<dyn Generator>,
    trained_on: Vec<Span>,
    balance: Option<Arc<Balance>>,
    /// When it is judged, or asked for, next.
    due: Instant,
    /// The number of the next judgement: each draws other records.
    number: u64,
    /// What was found; nothing yet, and why.
    standing: Result<Standing, String>,
    /// Whether that stands for good.
    settled: bool,
    /// Warnings in a row since it passed last; nothing before it has.
    warnings: Option<u32>,
    /// Whether it was found to be worse than before, or not fit at all, since somebody asked.
    fallen: bool,
    /// Rows that it learned from, where it was learned here, until it was judged by them: later ones of the stream may be others.
    learned: Vec<Vec<u8>>,
    /// Whether it copies, as was found by these rows.
    copies: Vec<Gate>,
}

/// What was found of a model.
#[derive(Clone)]
struct Standing {
    verdict: Verdict,
    usage: Usage,
    report: Option<String>,
    validator: Option<Validator>,
    shown: AugmentReport,
}

/// What is published from: the model, the report that lets it, and whether single records are looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Granted {
    model: ModelId,
    report: Option<String>,
    validates: bool,
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
    /// The model draws no whole records, or none that meet the condition.
    #[error(transparent)]
    Draw(#[from] DrawError),
    /// It cannot be judged.
    #[error(transparent)]
    Quality(#[from] QualityError),
    /// Images cannot be judged.
    #[cfg(feature = "training")]
    #[error(transparent)]
    Images(#[from] crate::training::classifier::JudgeError),
    /// Nothing judges images here.
    #[cfg(not(feature = "training"))]
    #[error(
        "images are judged by a classifier, which this latentd cannot train: build it with the feature `training`, or let another \
         process of the group judge"
    )]
    NoClassifier,
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
    #[serde(rename = "where", skip_serializing_if = "Condition::is_empty")]
    condition: &'a Condition,
    at_ms: i64,
    by: &'a str,
    /// Whether it copies is told by what it learned from, and not by other records of the topic.
    of_learned: bool,
    report: &'a Report,
}

/// What another process reads of it.
#[derive(Debug, Deserialize)]
struct Read {
    version: u32,
    #[serde(default, rename = "where")]
    condition: Condition,
    at_ms: i64,
    #[serde(default)]
    of_learned: bool,
    report: Ruling,
}

#[derive(Debug, Deserialize)]
struct Ruling {
    verdict: String,
    for_training: bool,
    /// As they are: those of a later version may be others.
    #[serde(default)]
    gates: Vec<serde_json::Value>,
}

impl Ruling {
    /// What it says of copies.
    fn copies(&self) -> Vec<Gate> {
        let gates = self.gates.iter().filter_map(|gate| Gate::deserialize(gate).ok());
        gates.filter(|gate| GateName::COPIES.contains(&gate.name)).collect()
    }
}

impl Examiner {
    /// Nothing is judged yet.
    pub fn new(parts: ExaminerParts) -> Self {
        Self { parts, examined: Vec::new(), granted: None, told: None }
    }

    /// Looks at the models that may be drawn from, the one that is wanted most first, and decides when it is time. `judges` says whether
    /// this process does it itself, for which it takes a turn.
    pub fn look(
        &mut self,
        subjects: &[Subject],
        judges: bool,
        learner: &Learner,
        seat: &mut Seat,
    ) -> Result<(), ExaminerError> {
        // What a model may, another has to earn.
        self.examined.retain(|one| subjects.iter().any(|subject| subject.model == one.model));
        let mut failed = None;
        for subject in subjects.iter().filter(|subject| is_generative(&subject.family)) {
            let considered = self.open(subject, learner).and_then(|place| self.consider(place, judges, learner, seat));
            if let Err(error) = considered {
                failed.get_or_insert(error);
            }
            // Of what is wanted less nothing is drawn.
            if self.publishes(&subject.model) {
                break;
            }
        }
        self.settle(subjects, failed.as_ref());
        failed.map_or(Ok(()), Err)
    }

    /// Judges a model that is not in use yet: nothing where nothing is judged, or there is too little to judge by. What is found
    /// counts if it is put to use next. `learned` are rows that it learned from, or none.
    pub fn try_out(
        &mut self,
        subject: &Subject,
        learned: Vec<Vec<u8>>,
        learner: &Learner,
        turn: &Turn,
    ) -> Result<Option<Verdict>, ExaminerError> {
        let place = self.open(subject, learner)?;
        self.examined[place].learned = learned;
        if self.is_due(place) {
            self.judge(place, learner, turn)?;
        }
        let gates = self.parts.augmentation.settings().gates;
        let standing = self.examined[place].standing.as_ref().ok().filter(|_| gates == Gates::Default);
        Ok(standing.map(|standing| standing.verdict))
    }

    /// Whether what a model draws may be published.
    pub fn publishes(&self, model: &ModelId) -> bool {
        let found = self.examined.iter().find(|one| one.model == *model);
        found.is_some_and(|one| one.standing.as_ref().is_ok_and(|standing| standing.verdict != Verdict::Block))
    }

    /// Whether a model was found to be worse than before, or blocked, since this was asked last.
    pub fn has_fallen(&mut self, model: &ModelId) -> bool {
        let found = self.examined.iter_mut().find(|one| one.model == *model);
        found.is_some_and(|one| std::mem::take(&mut one.fallen))
    }

    /// The place of a model among those in question.
    fn open(&mut self, subject: &Subject, learner: &Learner) -> Result<usize, ExaminerError> {
        if let Some(place) = self.examined.iter().position(|one| one.model == subject.model) {
            return Ok(place);
        }
        let generator = open_generator(&subject.family, &subject.artefact)?;
        let ExaminerParts { registry, runtime, augmentation, .. } = &self.parts;
        let trained_on = runtime.block_on(registry.manifest(&subject.model))?.window;
        let settings = augmentation.settings();
        let balance = match &settings.balance {
            _ if generator.admits(&settings.condition).is_err() => Ok(None),
            None => Ok(None),
            Some(field) => Balance::new(&*generator, field, &settings.condition, settings.drawn_for_each()).map(Some),
        };
        let refused = generator.admits(&settings.condition).err().or(balance.as_ref().err().cloned());
        let mut examined = Examined {
            model: subject.model,
            generator,
            trained_on,
            balance: balance.ok().flatten().map(Arc::new),
            due: (self.parts.clock)(),
            number: 0,
            standing: Err("the model was not judged yet".to_owned()),
            settled: false,
            warnings: None,
            fallen: false,
            learned: Vec::new(),
            copies: Vec::new(),
        };
        if let Some(error) = refused {
            examined.standing =
                Ok(Standing::refused(AugmentReport { reason: error.to_string(), ..examined.shown("blocked") }));
        } else if settings.gates == Gates::Off {
            let reason = "`gates` is \"off\": nothing is judged".to_owned();
            examined.standing = Ok(Standing::unjudged(AugmentReport { reason, ..examined.shown("publishing") }));
        }
        examined.settled = examined.standing.is_ok();
        self.examined.push(examined);
        let place = self.examined.len() - 1;
        if !self.examined[place].settled {
            // Whoever judged it before may have done so minutes ago; until it is judged again, that counts.
            self.adopt(place, learner)?;
            self.examined[place].due = (self.parts.clock)();
        }
        Ok(place)
    }

    fn is_due(&self, place: usize) -> bool {
        let one = &self.examined[place];
        !one.settled && (self.parts.clock)() >= one.due
    }

    /// Judges a model when it is time and its turn, or asks what others found.
    fn consider(
        &mut self,
        place: usize,
        judges: bool,
        learner: &Learner,
        seat: &mut Seat,
    ) -> Result<(), ExaminerError> {
        if !self.is_due(place) {
            return Ok(());
        }
        if !judges {
            return self.adopt(place, learner);
        }
        seat.take().map_or(Ok(()), |turn| self.judge(place, learner, &turn))
    }

    /// Judges what a model draws now by the newest real records.
    fn judge(&mut self, place: usize, learner: &Learner, _turn: &Turn) -> Result<(), ExaminerError> {
        let settings = self.parts.augmentation.settings().clone();
        let shape = self.parts.shape;
        let one = &mut self.examined[place];
        // What is drawn from a codec's model is judged by what that did not learn from.
        let samples = match one.generator.name() == Family::COLUMNS.as_str() {
            true => Samples::of(&learner.snapshot(), learner.split(), holdout_bytes(None)),
            false => learner.scattered(holdout_bytes(shape)),
        };
        let samples = samples.learning_from(train_bytes(shape));
        let (clock, cpu) = (self.parts.clock, thread_cpu_seconds());
        let began = clock();
        let exam =
            Exam { generator: &*one.generator, settings: &settings, shape, number: one.number, learned: &one.learned };
        let sat = exam.sit(&samples);
        one.due = clock() + EVERY.max(clock().saturating_duration_since(began) * REST);
        one.number += 1;
        let (report, judge) = match sat {
            Ok(Sat::Judged(report, judge, is_own)) => {
                one.learned = Vec::new();
                if is_own {
                    one.copies = GateName::COPIES.iter().filter_map(|name| report.gate(*name)).cloned().collect();
                }
                (Box::new(report.with(&one.copies)), judge)
            }
            Ok(Sat::TooFew { learned, held_out }) => {
                one.due = began + COUNT;
                let which = if settings.condition.is_empty() { "" } else { " that meet `where`" };
                if let Err(reason) = &mut one.standing {
                    *reason = format!(
                        "{learned} and {held_out} real records{which} were seen: {FEWEST} on either side are needed to judge by"
                    );
                }
                return Ok(());
            }
            Err(error) => {
                // What cannot be judged is not published.
                let shown = AugmentReport { reason: error.to_string(), ..one.shown("blocked") };
                one.standing = Ok(Standing::refused(shown));
                one.fallen = true;
                return Err(error);
            }
        };
        let of_learned = !one.copies.is_empty();
        tracing::info!(
            target: "latentd", pipeline = self.parts.pipeline, generator = one.generator.name(),
            verdict = report.verdict.word(), cpu_seconds = thread_cpu_seconds() - cpu, "generated records: judged"
        );
        let ExaminerParts { registry, runtime, pipeline, by, .. } = &self.parts;
        let (model, at_ms) = (one.model, unix_millis());
        let (generator, condition) = (one.generator.name(), &settings.condition);
        let filed =
            Filed { version: VERSION, model, pipeline, generator, condition, at_ms, by, of_learned, report: &report };
        let json = serde_json::to_vec_pretty(&filed)
            .map_err(|error| ExaminerError::Report { model, detail: error.to_string() })?;
        let id = runtime.block_on(registry.keep_report(&model, at_ms, json.into()))?;
        one.warnings = match report.verdict {
            Verdict::Pass => Some(0),
            Verdict::Warn => one.warnings.map(|warnings| warnings + 1),
            Verdict::Block => one.warnings,
        };
        one.fallen |= report.verdict == Verdict::Block || one.warnings == Some(WARNINGS);
        let publishes = if report.verdict == Verdict::Block { "blocked" } else { "publishing" };
        one.standing = Ok(Standing {
            verdict: report.verdict,
            usage: if report.for_training { Usage::Training } else { Usage::NotForTraining },
            report: Some(id.clone()),
            validator: judge.map(|judge| judge.validator()),
            shown: AugmentReport {
                reason: shown::reason(&report),
                report: Some(id),
                verdict: Some(report.verdict.word().to_owned()),
                judged_ms: Some(at_ms),
                gates: report.gates.iter().map(shown::gate).collect(),
                ..one.shown(publishes)
            },
        });
        Ok(())
    }

    /// Does what the newest report of whoever judges says. What single records have to be like is learned here, from real ones.
    fn adopt(&mut self, place: usize, learner: &Learner) -> Result<(), ExaminerError> {
        let ExaminerParts { registry, runtime, augmentation, shape, .. } = &self.parts;
        let one = &mut self.examined[place];
        let model = one.model;
        let newest = runtime.block_on(registry.newest_report(&model))?;
        one.due = (self.parts.clock)() + ASK;
        let Some((id, bytes)) = newest else { return Ok(()) };
        let damaged = |detail: String| ExaminerError::Report { model, detail };
        let read: Read = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if read.version > VERSION {
            return Err(damaged(format!("its version is {}: use a newer latentd", read.version)));
        }
        if read.of_learned {
            // Whatever was asked for: what copies does so in any case.
            one.copies = read.report.copies();
        }
        if read.condition != augmentation.settings().condition {
            // Of records under another condition.
            return Ok(());
        }
        let before = one.standing.as_ref().ok().filter(|standing| standing.report.as_ref() == Some(&id));
        let validator = match before.and_then(|standing| standing.validator.clone()) {
            None if shape.is_none() => validator(learner, read.at_ms.unsigned_abs()),
            known => known,
        };
        let Ruling { verdict, for_training, .. } = read.report;
        let known = [Verdict::Pass, Verdict::Warn].into_iter().find(|known| known.word() == verdict);
        let publishes = if known.is_some() { "publishing" } else { "blocked" };
        one.standing = Ok(Standing {
            verdict: known.unwrap_or(Verdict::Block),
            usage: if for_training { Usage::Training } else { Usage::NotForTraining },
            report: Some(id.clone()),
            validator,
            shown: AugmentReport {
                reason: "the newest report in the registry says so".to_owned(),
                report: Some(id),
                verdict: Some(verdict),
                judged_ms: Some(read.at_ms),
                ..one.shown(publishes)
            },
        });
        Ok(())
    }

    /// Lets the first model that may be published be published, or none, and says so.
    fn settle(&mut self, subjects: &[Subject], failed: Option<&ExaminerError>) {
        let place = |subject: &Subject| self.examined.iter().find(|one| one.model == subject.model);
        let examined: Vec<&Examined> = subjects.iter().filter_map(place).collect();
        let chosen = examined.iter().position(|one| self.publishes(&one.model));
        let (granted, mut shown) = match chosen.and_then(|chosen| examined.get(chosen)) {
            Some(one) => match &one.standing {
                Ok(standing) => {
                    let granted = Granted {
                        model: one.model,
                        report: standing.report.clone(),
                        validates: standing.validator.is_some(),
                    };
                    if self.granted.as_ref() != Some(&granted) {
                        self.parts.augmentation.grant(Some(Arc::new(self.licence(one, standing))));
                    }
                    (Some(granted), standing.shown.clone())
                }
                Err(reason) => (None, AugmentReport { reason: reason.clone(), ..one.shown("waiting") }),
            },
            None => {
                if self.granted.is_some() {
                    self.parts.augmentation.grant(None);
                }
                let shown = examined.first().map(|one| match &one.standing {
                    Ok(standing) => standing.shown.clone(),
                    Err(reason) => AugmentReport { reason: reason.clone(), ..one.shown("waiting") },
                });
                let none = match failed {
                    Some(error) => AugmentReport { reason: error.to_string(), ..state("blocked") },
                    None => {
                        AugmentReport { reason: "no model is in use that draws records".to_owned(), ..state("waiting") }
                    }
                };
                (None, shown.unwrap_or(none))
            }
        };
        let others = examined.iter().enumerate().filter(|(place, _)| *place < chosen.unwrap_or(examined.len()));
        for one in others.map(|(_, one)| *one).filter(|one| Some(one.model.to_string()) != shown.model) {
            let reason = one.standing.as_ref().map_or_else(String::as_str, |standing| standing.shown.reason.as_str());
            shown.reason = format!("{}; not from `{}`: {reason}", shown.reason, one.generator.name());
        }
        self.granted = granted;
        self.tell(shown);
    }

    fn licence(&self, one: &Examined, standing: &Standing) -> Licence {
        let augmentation = &self.parts.augmentation;
        let lineage = Lineage {
            source: augmentation.source().to_owned(),
            model: one.model,
            generator: one.generator.name(),
            condition: augmentation.settings().condition.clone(),
            trained_on: one.trained_on.clone(),
            report: standing.report.clone(),
            usage: standing.usage,
            content_type: one.generator.content_type(),
        };
        let (generator, balance) = (Arc::clone(&one.generator), one.balance.clone());
        Licence { generator, lineage, balance, validator: standing.validator.clone() }
    }

    fn tell(&mut self, report: AugmentReport) {
        if self.told.as_ref() != Some(&report) {
            self.parts.status.set_augment(report.clone());
            self.told = Some(report);
        }
    }
}

impl Examined {
    fn shown(&self, word: &str) -> AugmentReport {
        let (model, generator) = (Some(self.model.to_string()), Some(self.generator.name().to_owned()));
        AugmentReport { model, generator, ..state(word) }
    }
}

impl Standing {
    /// It cannot do what is asked of it.
    fn refused(shown: AugmentReport) -> Self {
        Self { verdict: Verdict::Block, usage: Usage::NotForTraining, report: None, validator: None, shown }
    }

    /// Nobody looks.
    fn unjudged(shown: AugmentReport) -> Self {
        Self { verdict: Verdict::Pass, ..Self::refused(shown) }
    }
}

/// Who knows what real records of rows are written like; nobody yet while few were seen.
fn validator(learner: &Learner, seed: u64) -> Option<Validator> {
    let samples = Samples::of(&learner.snapshot(), Split::Time, holdout_bytes(None)).learning_from(train_bytes(None));
    let runs = [samples.learned(), samples.holdout()].concat();
    let records: Vec<&[u8]> = runs.iter().flat_map(|run| run.values()).collect();
    (records.len() >= FEWEST).then(|| Validator::learn(&records, seed).ok()).flatten()
}

fn state(word: &str) -> AugmentReport {
    AugmentReport { state: word.to_owned(), ..AugmentReport::default() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tokio::runtime::Runtime;

    use super::*;
    use crate::model::{ColumnsModel, Manifest};
    use crate::pipeline::learn::{Run, Turns};
    use crate::pipeline::testing::{augment, info, observer};
    use crate::record::TopicPartition;
    use crate::telemetry::StatusBoard;
    use crate::units::ByteSize;

    #[test]
    fn who_does_not_judge_looks_at_single_records_too_once_enough_real_ones_were_seen() {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::open(&format!("file://{}", folder.path().display()), &BTreeMap::new()).unwrap();
        let rows: Vec<String> = (0..600).map(|i| format!("{{\"number\":{i},\"half\":{}}}", i / 2)).collect();
        let values: Vec<&[u8]> = rows.iter().map(String::as_bytes).collect();
        let model = ColumnsModel::train(&values, &Default::default());
        let subject = Subject { model: model.id(), family: Family::COLUMNS, artefact: Arc::clone(model.artefact()) };
        let runtime = Runtime::new().unwrap();
        let report = "{\"version\":1,\"at_ms\":5,\"report\":{\"verdict\":\"pass\",\"for_training\":true}}";
        runtime.block_on(async {
            let manifest = Manifest::new(model.artefact(), Family::COLUMNS, "p", "2026-01-01T00:00:00Z");
            registry.publish(&manifest, model.artefact().to_vec()).await.unwrap();
            registry.keep_report(&model.id(), 5, report.into()).await.unwrap();
        });
        let augmentation = Augmentation::new(augment(), "/latentd/test/p".to_owned());
        let mut examiner = Examiner::new(ExaminerParts {
            augmentation: augmentation.clone(),
            pipeline: "p".to_owned(),
            shape: None,
            registry,
            runtime: runtime.handle().clone(),
            by: "test".to_owned(),
            status: StatusBoard::new("test").add(info()),
            clock: Instant::now,
        });
        let learner = Learner::new(ByteSize::mib(4), Split::Time, 1, observer().metrics().clone());
        let mut seat = Seat::new(Turns::default());
        let mut look = |learner: &Learner| {
            examiner.examined.iter_mut().for_each(|one| one.due = Instant::now());
            examiner.look(std::slice::from_ref(&subject), false, learner, &mut seat).unwrap();
            augmentation.licence().unwrap()
        };
        let licence = look(&learner);
        assert_eq!(
            (licence.lineage.usage, licence.admits(b"no record")),
            (Usage::Training, true),
            "nothing is known yet"
        );
        let mut run = Run::default();
        values.iter().for_each(|value| run.push(value));
        learner.offer(&TopicPartition::new("t", 0), 0, 599, run);
        let licence = look(&learner);
        assert!(licence.admits(values[7]) && !licence.admits(b"no record") && !licence.admits(b"{\"number\":1"));
        assert!(!licence.admits(b"{\"number\":\"x\",\"half\":1}"));
    }
}
