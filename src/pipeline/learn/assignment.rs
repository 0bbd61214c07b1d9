//! A training as something to do: all that it needs, so that another thread can do it while the loop goes on.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::carriage::{CarriageError, Manner};
use super::choice::{Choice, Load};
use super::contest::{Better, Contest, figures, try_one};
use super::renewal::Measure;
use super::samples::newest;
use super::subject::{SubjectError, Taught};
use super::{CpuClock, Curriculum, Run, Samples, Setup, Subject, rivals};
use crate::cost::Prices;
use crate::model::manifest::metric;
use crate::model::{CurvePoint, Monitor, Start, Verdict};
use crate::record::RecordRef;

/// Newest bytes of records that are coded to see what the stream takes now.
pub const LOOK_BYTES: usize = 512 << 10;

/// The stream at this moment, as whoever reads it knows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stream {
    /// Records read so far.
    pub records: u64,
    /// Raw bytes of the blocks that are written.
    pub block_bytes: usize,
    /// What it asks for.
    pub load: Load,
}

/// What came of a training.
#[derive(Debug)]
pub struct Lecture {
    /// What to do now.
    pub outcome: Outcome,
    /// CPU time that it took.
    pub cpu_seconds: f64,
    /// What was measured, for people and for the manifest.
    pub metrics: BTreeMap<String, f64>,
    /// How it went, where it took minutes.
    pub curve: Vec<CurvePoint>,
    /// What was in use when it began: what it was judged against.
    pub against: Option<Setup>,
    /// The choice, where there is one.
    pub choice: Option<Choice>,
    /// What it was made from.
    pub contest: Option<Contest>,
    /// Bytes that there were to learn from.
    pub sample_bytes: usize,
    /// What the newest records take with what it leads to.
    pub measure: Option<Measure>,
    /// Share of the bytes that it saves of what was in use.
    pub gain: Option<f64>,
}

/// What to do after a training.
#[derive(Debug)]
pub enum Outcome {
    /// There is nothing to learn yet, and why.
    Nothing(String),
    /// What is in use stays, and why.
    Keep(String),
    /// This is better.
    Take(Better),
}

/// Why a training failed.
#[derive(Debug, thiserror::Error)]
pub enum TrainerError {
    /// A model could not be made or judged.
    #[error(transparent)]
    Subject(#[from] SubjectError),
    /// What is in use no longer codes.
    #[error("the newest records could not be measured: {0}")]
    Audition(#[from] CarriageError),
}

/// Everything that a training needs.
#[derive(Debug)]
pub struct Assignment {
    /// What is to be learned.
    pub curriculum: Curriculum,
    /// What CPU and bytes cost.
    pub prices: Prices,
    /// What is in use, to be better than.
    pub setup: Option<Setup>,
    /// The stream when it was given.
    pub stream: Stream,
    /// What is learned from, and what judges.
    pub samples: Samples,
    /// Bytes that there were to learn from.
    pub sample_bytes: usize,
}

impl Assignment {
    /// Trains and judges.
    pub fn work(
        &self,
        clock: CpuClock<'_>,
        start: Start<'_>,
        monitor: &mut dyn Monitor,
    ) -> Result<Lecture, TrainerError> {
        let begun = clock();
        let holdout = self.samples.holdout();
        let mut lecture = match self.curriculum.subject() {
            Some(subject) => self.one(&subject, &holdout, clock, start, monitor)?,
            None => self.choice(&holdout, clock, start, monitor)?,
        };
        lecture.sample_bytes = self.sample_bytes;
        lecture.against.clone_from(&self.setup);
        let after = match &lecture.outcome {
            Outcome::Take(better) => Some(&better.setup),
            Outcome::Keep(_) => self.setup.as_ref(),
            Outcome::Nothing(_) => None,
        };
        if let Some(setup) = after {
            let newest = match newest(&holdout, LOOK_BYTES) {
                // One at least.
                [] => &holdout[holdout.len().saturating_sub(1)..],
                newest => newest,
            };
            lecture.measure = Some(self.curriculum.measure(setup, newest, self.stream.block_bytes, clock)?);
        }
        lecture.took_cpu(clock() - begun);
        Ok(lecture)
    }

    /// Learns the one kind of model that there is.
    fn one(
        &self,
        subject: &Subject,
        holdout: &[&Run],
        clock: CpuClock<'_>,
        start: Start<'_>,
        monitor: &mut dyn Monitor,
    ) -> Result<Lecture, TrainerError> {
        let (train, validation) = (self.samples.train(), self.samples.validation());
        let Taught { artefact, state, curve, rewinds } = match subject.train(&train, &validation, start, monitor)? {
            Ok(taught) => taught,
            Err(reason) => return Ok(Lecture::new(Outcome::Nothing(format!("no {} yet: {reason}", subject.family())))),
        };
        let incumbent = self.setup.as_ref().and_then(|setup| setup.artefact.as_deref());
        let verdict: Verdict = subject.challenge(&artefact, incumbent, holdout, self.stream.block_bytes, clock)?;
        let records: u64 = holdout.iter().map(|run| run.len() as u64).sum();
        let outcome = match verdict.reason() {
            None => {
                let setup = Setup::with_model(subject.spec(), artefact);
                Outcome::Take(Better { setup, config: subject.config(), state })
            }
            Some(reason) => Outcome::Keep(reason),
        };
        let both = verdict.candidate_bytes.zip(verdict.incumbent_bytes);
        let gain = both.map(|(candidate, incumbent)| 1.0 - candidate as f64 / incumbent.max(1) as f64);
        let mut lecture = Lecture { metrics: verdict.metrics(records), gain, curve, ..Lecture::new(outcome) };
        if subject.is_long() {
            lecture.metrics.insert(metric::REWINDS.to_owned(), rewinds.into());
        }
        Ok(lecture)
    }

    /// Lets all codecs that fit carry the holdout, and chooses.
    fn choice(
        &self,
        holdout: &[&Run],
        clock: CpuClock<'_>,
        start: Start<'_>,
        monitor: &mut dyn Monitor,
    ) -> Result<Lecture, TrainerError> {
        let bytes: usize = holdout.iter().map(|run| run.values_len()).sum();
        if bytes == 0 {
            return Ok(Lecture::new(Outcome::Nothing("no choice yet: there are no records".to_owned())));
        }
        // As large as they really are, were it one: what large blocks are worth differs from codec to codec.
        let manner = self.curriculum.manner(self.stream.block_bytes);
        let records: Vec<RecordRef<'_>> = holdout.iter().flat_map(|run| run.records()).collect();
        let mut learning = Vec::new();
        let mut contenders: Vec<Better> =
            self.curriculum.plain().into_iter().map(|spec| Better::known(Setup::plain(spec))).collect();
        let (train, validation) = (self.samples.train(), self.samples.validation());
        for subject in self.curriculum.subjects(&train) {
            let start = if subject.is_long() { start } else { Start::Anew };
            match subject.train(&train, &validation, start, monitor)? {
                Ok(Taught { artefact, state, curve, .. }) => {
                    learning.extend(curve);
                    contenders.extend(self.curriculum.codecs_of(&subject).into_iter().map(|spec| Better {
                        setup: Setup::with_model(spec, Arc::clone(&artefact)),
                        config: subject.config(),
                        state: state.clone(),
                    }));
                }
                Err(reason) => tracing::debug!("no {} among the codecs: {reason}", subject.family()),
            }
        }
        if let Some(setup) = self.setup.clone().filter(|setup| contenders.iter().all(|one| one.setup != *setup)) {
            contenders.push(Better::known(setup));
        }
        let mut tried = Vec::new();
        let mut carried = Vec::new();
        for contender in contenders {
            let in_use = self.setup.as_ref() == Some(&contender.setup);
            match try_one(&contender.setup, &records, &manner, clock) {
                Ok(mut one) => {
                    // What readers have already they need not fetch.
                    let fetched = contender.setup.artefact.as_ref().filter(|_| !in_use);
                    one.model_bytes = fetched.map_or(0, |artefact| artefact.len());
                    tried.push(one);
                    carried.push(contender);
                }
                Err(error) => tracing::debug!(codec = %contender.setup.spec, "not among the codecs: {error}"),
            }
        }
        let in_use = carried.iter().position(|one| self.setup.as_ref() == Some(&one.setup));
        let contest = Contest { contenders: carried, tried, in_use };
        let Some(choice) = contest.choose(&self.curriculum.rules(self.prices), &self.stream.load) else {
            return Ok(Lecture::new(Outcome::Nothing("no choice yet: no codec codes these records".to_owned())));
        };
        let outcome = match contest.better(&choice) {
            Some(better) => Outcome::Take(better.clone()),
            None => Outcome::Keep("nothing else saves enough".to_owned()),
        };
        // What is in use is among what a choice leads to, and then saves nothing.
        let gain =
            contest.in_use.and_then(|place| choice.candidates.get(place)).zip(choice.candidates.get(choice.chosen));
        let gain = gain.map(|(in_use, chosen)| 1.0 - chosen.bytes_per_record() / in_use.bytes_per_record());
        let mut metrics = figures(&choice);
        metrics.extend(on_log(&contest, &choice, &records, &manner));
        Ok(Lecture {
            metrics,
            choice: Some(choice),
            contest: Some(contest),
            gain,
            curve: learning,
            ..Lecture::new(outcome)
        })
    }
}

/// Bytes of each record on the broker's log, for the manifest: of what was chosen, of all that needs no model, and of Kafka itself.
fn on_log(contest: &Contest, choice: &Choice, records: &[RecordRef<'_>], manner: &Manner) -> BTreeMap<String, f64> {
    let kafka = rivals::kafka(records, manner, false);
    let kafka = kafka.map(|rival| (metric::on_log(&rival.name), rival.bytes as f64 / records.len().max(1) as f64));
    let chosen = choice.candidates.get(choice.chosen);
    let chosen = chosen.map(|chosen| (metric::on_log(metric::ON_LOG_CANDIDATE), chosen.bytes_per_record()));
    let plain = contest.contenders.iter().zip(&choice.candidates).filter(|(one, _)| one.setup.artefact.is_none());
    let plain = plain.map(|(one, tried)| (metric::on_log(&one.setup.spec.to_string()), tried.bytes_per_record()));
    plain.chain(chosen).chain(kafka).collect()
}

impl Lecture {
    fn new(outcome: Outcome) -> Self {
        Self {
            outcome,
            cpu_seconds: 0.0,
            metrics: BTreeMap::new(),
            curve: Vec::new(),
            against: None,
            choice: None,
            contest: None,
            sample_bytes: 0,
            measure: None,
            gain: None,
        }
    }

    /// It took so much more CPU time.
    pub fn took_cpu(&mut self, seconds: f64) {
        self.cpu_seconds += seconds;
        self.metrics.insert(metric::TRAINING_SECONDS.to_owned(), self.cpu_seconds);
    }
}
