//! The loop of learning without its thread, its registry and its clock: looks at the newest records, decides, trains, and
//! judges what came of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::codec::{Algorithm, CodecSpec, LearnedCodecs, MissingModel, ModelRef, ModelSource};
use crate::cost::Prices;
use crate::model::manifest::metric;
use crate::model::{Kept, Learned, Snapshot, Split, Verdict};
use crate::pipeline::settings::AutoSettings;

use super::audition::audition;
use super::carriage::{CarriageError, Manner};
use super::choice::{Choice, Load, Rules, Tried, choose};
use super::renewal::{Cause, Decision, Ended, Figures, Measure, Renewal, Terms, Training, Wait};
use super::subject::SubjectError;
use super::{Curriculum, Learner, Run, Setup, Subject};

/// Newest bytes of records that are coded to see what the stream takes now.
const LOOK_BYTES: usize = 512 << 10;

/// Fewest new bytes that are worth a look.
const LOOK_LEAST: usize = 32 << 10;

/// Most bytes of a holdout. What a model has not learned from is missing where a stream drifts, so it is as small as it can be
/// and still judge; a choice is made from more, because blocks are large.
const HOLDOUT: usize = 1 << 20;
const HOLDOUT_OF_CHOICE: usize = 2 << 20;

/// Largest blocks of such a look.
const LOOK_BLOCK: usize = 128 << 10;

/// Most bytes that more can be learned from.
const SAMPLES: usize = 24 << 20;

/// CPU seconds of the calling thread.
pub type CpuClock<'a> = &'a dyn Fn() -> f64;

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
    /// The choice, where there is one.
    pub choice: Option<Choice>,
    sample_bytes: usize,
    measure: Option<Measure>,
    /// Share of the bytes that it saves of what was in use.
    gain: Option<f64>,
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

/// Something better than what is in use.
#[derive(Clone, Debug)]
pub struct Better {
    /// What to code with.
    pub setup: Setup,
    /// The settings of its model's making, for the manifest.
    pub config: serde_json::Value,
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

/// Learns and judges.
pub struct Trainer {
    curriculum: Curriculum,
    prices: Prices,
    learner: Learner,
    renewal: Renewal,
    setup: Option<Setup>,
    /// Up to where the stream's newest records were looked at.
    looked_to: u64,
    /// What the last choice was made from.
    contest: Option<Contest>,
}

/// What was tried in a choice.
struct Contest {
    contenders: Vec<Better>,
    tried: Vec<Tried>,
    /// The place of what is in use among them.
    in_use: Option<usize>,
}

/// A source of no artefacts, which knows all learned codecs.
pub(super) struct Codecs;

impl ModelSource for Codecs {
    fn artefact(&self, model: ModelRef) -> Result<Arc<[u8]>, MissingModel> {
        Err(MissingModel { model, looked_in: "only what is tried is here".to_owned(), retriable: false })
    }

    fn learned(&self) -> &dyn LearnedCodecs {
        &Learned
    }
}

impl Trainer {
    /// Nothing is learned yet.
    pub fn new(curriculum: Curriculum, prices: Prices, learner: Learner) -> Self {
        let renewal = Renewal::new(Terms { every: curriculum.learn().every, prices });
        Self { curriculum, prices, learner, renewal, setup: None, looked_to: 0, contest: None }
    }

    /// What is coded with; `None` before anything was learned.
    pub fn setup(&self) -> Option<&Setup> {
        self.setup.as_ref()
    }

    /// The figures that it decides by.
    pub fn figures(&self) -> Figures {
        self.renewal.figures()
    }

    /// Something else is in use that was not learned here. What is known of its making are the manifest's metrics.
    pub fn taken(&mut self, at: Duration, records: u64, setup: Setup, metrics: &BTreeMap<String, f64>) {
        let figure = |name: &str| metrics.get(name).copied();
        let born = figure(metric::CANDIDATE).zip(figure(metric::PLAIN)).map(|(model, plain)| Measure { model, plain });
        let bytes = setup.artefact.as_ref().map_or(0, |artefact| artefact.len());
        let born = born.filter(|_| self.curriculum.auto().is_none());
        self.renewal.taken(at, records, born, figure(metric::TRAINING_SECONDS).unwrap_or(0.0), bytes);
        self.contest = None;
        self.setup = Some(setup);
    }

    /// Nothing learned is in use any more.
    pub fn gone(&mut self, at: Duration, records: u64) {
        self.renewal.gone(at, records);
        self.contest = None;
        self.setup = None;
    }

    /// What is in use now was in use before, and somebody went back to it: nothing takes its place for a while.
    pub fn held(&mut self, at: Duration) {
        self.renewal.held(at);
    }

    /// Whether it is time.
    pub fn decide(&self, at: Duration, records: u64) -> Decision {
        let (seen, bytes) = self.learner.seen();
        self.renewal.decide(at, records, self.curriculum.is_enough(seen, bytes))
    }

    /// Whether what somebody has asked for can be done now: whatever it costs, but not without records to learn from.
    pub fn decide_what_is_asked(&self) -> Decision {
        let (seen, bytes) = self.learner.seen();
        if self.curriculum.is_enough(seen, bytes) {
            Decision::Train(Cause::Asked)
        } else {
            Decision::Wait(Wait::TooLittle)
        }
    }

    /// Looks at what the newest records take.
    pub fn look(&mut self, stream: &Stream, clock: CpuClock<'_>) -> Result<(), TrainerError> {
        let Some(setup) = &self.setup else { return Ok(()) };
        let (kept, seen) = self.learner.newest(self.looked_to, LOOK_BYTES);
        let runs = samples(&kept);
        if runs.iter().map(|run| run.values_len()).sum::<usize>() < LOOK_LEAST {
            return Ok(());
        }
        let measure = self.measure(setup, &runs, stream, clock)?;
        self.looked_to = seen;
        self.renewal.look(stream.records, measure, self.sample_bytes());
        Ok(())
    }

    fn sample_bytes(&self) -> usize {
        let (_, bytes) = self.learner.seen();
        usize::try_from(bytes).unwrap_or(usize::MAX).min(SAMPLES).min(self.curriculum.learn().reservoir.as_usize())
    }

    fn measure(
        &self,
        setup: &Setup,
        runs: &[&Run],
        stream: &Stream,
        clock: CpuClock<'_>,
    ) -> Result<Measure, TrainerError> {
        if let (Some(subject), Some(artefact)) = (self.curriculum.subject(), &setup.artefact) {
            return Ok(subject.measure(artefact, runs)?);
        }
        let manner = self.curriculum.manner(stream.block_bytes.min(LOOK_BLOCK));
        let each = |tried: Tried| tried.effort.log_bytes / tried.records.max(1) as f64;
        let plain = Setup::plain(CodecSpec::new(Algorithm::Zstd));
        Ok(Measure {
            model: each(try_one(setup, runs, &manner, clock)?),
            plain: each(try_one(&plain, runs, &manner, clock)?),
        })
    }

    /// Trains and judges.
    pub fn train(&mut self, stream: &Stream, clock: CpuClock<'_>) -> Result<Lecture, TrainerError> {
        let begun = clock();
        let snapshot = self.learner.snapshot();
        let most = if self.curriculum.auto().is_some() { HOLDOUT_OF_CHOICE } else { HOLDOUT };
        let (learned, holdout) = divide(&snapshot, most);
        let mut lecture = match self.curriculum.subject() {
            Some(subject) => self.one(&subject, &learned, &holdout)?,
            None => self.choice(&learned, &holdout, stream, clock)?,
        };
        lecture.sample_bytes = self.sample_bytes();
        let after = match &lecture.outcome {
            Outcome::Take(better) => Some(&better.setup),
            Outcome::Keep(_) => self.setup.as_ref(),
            Outcome::Nothing(_) => None,
        };
        if let Some(setup) = after {
            lecture.measure = Some(self.measure(setup, newest(&holdout, LOOK_BYTES), stream, clock)?);
        }
        lecture.cpu_seconds = clock() - begun;
        lecture.metrics.insert(metric::TRAINING_SECONDS.to_owned(), lecture.cpu_seconds);
        Ok(lecture)
    }

    /// Learns the one kind of model that there is.
    fn one(&self, subject: &Subject, learned: &[&Run], holdout: &[&Run]) -> Result<Lecture, TrainerError> {
        let candidate = match subject.train(learned)? {
            Ok(candidate) => candidate,
            Err(reason) => return Ok(Lecture::new(Outcome::Nothing(format!("no {} yet: {reason}", subject.family())))),
        };
        let incumbent = self.setup.as_ref().and_then(|setup| setup.artefact.as_deref());
        let verdict: Verdict = subject.judge(&candidate, incumbent, holdout)?;
        let records: u64 = holdout.iter().map(|run| run.len() as u64).sum();
        let outcome = if verdict.decision == crate::model::Decision::Replace {
            let setup = Setup::with_model(subject.spec(), candidate);
            Outcome::Take(Better { setup, config: subject.config() })
        } else {
            Outcome::Keep(format!("{:?}", verdict.decision))
        };
        let both = verdict.candidate_bytes.zip(verdict.incumbent_bytes);
        let gain = both.map(|(candidate, incumbent)| 1.0 - candidate as f64 / incumbent.max(1) as f64);
        Ok(Lecture { metrics: verdict.metrics(records), gain, ..Lecture::new(outcome) })
    }

    /// Lets all codecs that fit carry the holdout, and chooses.
    fn choice(
        &mut self,
        learned: &[&Run],
        holdout: &[&Run],
        stream: &Stream,
        clock: CpuClock<'_>,
    ) -> Result<Lecture, TrainerError> {
        let bytes: usize = holdout.iter().map(|run| run.values_len()).sum();
        if bytes == 0 {
            return Ok(Lecture::new(Outcome::Nothing("no choice yet: there are no records".to_owned())));
        }
        // As large as they really are, were it one: what large blocks are worth differs from codec to codec.
        let manner = self.curriculum.manner(stream.block_bytes);
        let plain = |spec| Better { setup: Setup::plain(spec), config: serde_json::Value::Null };
        let mut contenders: Vec<Better> = self.curriculum.plain().into_iter().map(plain).collect();
        for subject in self.curriculum.subjects(learned) {
            match subject.train(learned)? {
                Ok(artefact) => {
                    contenders.extend(self.curriculum.codecs_of(&subject).into_iter().map(|spec| Better {
                        setup: Setup::with_model(spec, Arc::clone(&artefact)),
                        config: subject.config(),
                    }));
                }
                Err(reason) => tracing::debug!("no {} among the codecs: {reason}", subject.family()),
            }
        }
        if let Some(setup) = self.setup.clone().filter(|setup| contenders.iter().all(|one| one.setup != *setup)) {
            contenders.push(Better { setup, config: serde_json::Value::Null });
        }
        let mut tried = Vec::new();
        let mut carried = Vec::new();
        for contender in contenders {
            let in_use = self.setup.as_ref() == Some(&contender.setup);
            match try_one(&contender.setup, holdout, &manner, clock) {
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
        let Some(choice) = contest.choose(&self.rules(), &stream.load) else {
            return Ok(Lecture::new(Outcome::Nothing("no choice yet: no codec codes these records".to_owned())));
        };
        let outcome = contest.outcome(&choice);
        // What is in use is among what a choice leads to, and then saves nothing.
        let gain =
            contest.in_use.and_then(|place| choice.candidates.get(place)).zip(choice.candidates.get(choice.chosen));
        let gain = gain.map(|(in_use, chosen)| 1.0 - chosen.bytes_per_record() / in_use.bytes_per_record());
        self.contest = Some(contest);
        Ok(Lecture { metrics: figures(&choice), choice: Some(choice), gain, ..Lecture::new(outcome) })
    }

    fn rules(&self) -> Rules {
        let none = AutoSettings { learns: false, max_latency: None, max_cpu: None };
        Rules { prices: self.prices, bounds: self.curriculum.auto().unwrap_or(none) }
    }

    /// Chooses again among what was tried, where the stream asks for something else than it did then.
    pub fn reconsider(&self, load: &Load) -> Option<(Better, Choice)> {
        let contest = self.contest.as_ref().filter(|contest| contest.in_use.is_some())?;
        let choice = contest.choose(&self.rules(), load)?;
        match contest.outcome(&choice) {
            Outcome::Take(better) => Some((better, choice)),
            Outcome::Keep(_) | Outcome::Nothing(_) => None,
        }
    }

    /// Lets what was tried for the last choice carry other records: the choice in hindsight, and the place in it of what is in
    /// use. What does not code them is left out.
    pub fn hindsight(&self, runs: &[&Run], stream: &Stream, clock: CpuClock<'_>) -> Option<(Choice, Option<usize>)> {
        let contest = self.contest.as_ref()?;
        let manner = self.curriculum.manner(stream.block_bytes);
        let mut in_use = None;
        let mut tried = Vec::new();
        for (place, one) in contest.contenders.iter().enumerate() {
            let Ok(mut again) = try_one(&one.setup, runs, &manner, clock) else { continue };
            again.model_bytes = contest.tried.get(place).map_or(0, |before| before.model_bytes);
            if Some(place) == contest.in_use {
                in_use = Some(tried.len());
            }
            tried.push(again);
        }
        Some((choose(&tried, None, &self.rules(), &stream.load)?, in_use))
    }

    /// Something that was tried is in use from here on.
    pub fn adopt(&mut self, setup: Setup) {
        if let Some(contest) = &mut self.contest {
            // A dictionary may have been given another number when it was published.
            let place = |one: &Better| one.setup == setup;
            contest.in_use = contest
                .contenders
                .iter()
                .position(place)
                .or_else(|| contest.contenders.iter().position(|one| one.setup.spec == setup.spec));
        }
        self.setup = Some(setup);
    }

    /// A training has ended; where it led to something, `published` is in use from here on.
    pub fn trained(&mut self, at: Duration, took: Duration, records: u64, lecture: &Lecture, published: Option<Setup>) {
        let ended = match (&published, lecture.measure) {
            (Some(setup), Some(measure)) => Ended::Replaced {
                measure,
                artefact_bytes: setup.artefact.as_ref().map_or(0, |artefact| artefact.len()),
            },
            (_, measure) => Ended::Kept(measure.filter(|_| self.setup.is_some())),
        };
        let Lecture { cpu_seconds, sample_bytes, gain, .. } = *lecture;
        self.renewal.trained(&Training { at, took, cpu_seconds, sample_bytes, gain, ended }, records);
        if let Some(setup) = published {
            self.adopt(setup);
        }
        // What was judged by is looked at already.
        self.looked_to = self.learner.newest(u64::MAX, 0).1;
    }

    /// A training failed.
    pub fn failed(&mut self, at: Duration, took: Duration, records: u64) {
        let ended = Ended::Kept(None);
        let training = Training { at, took, cpu_seconds: 0.0, sample_bytes: self.sample_bytes(), gain: None, ended };
        self.renewal.trained(&training, records);
    }
}

impl Contest {
    fn choose(&self, rules: &Rules, load: &Load) -> Option<Choice> {
        choose(&self.tried, self.in_use, rules, load)
    }

    fn outcome(&self, choice: &Choice) -> Outcome {
        if Some(choice.chosen) == self.in_use {
            return Outcome::Keep("nothing else saves enough".to_owned());
        }
        match self.contenders.get(choice.chosen) {
            Some(better) => Outcome::Take(better.clone()),
            None => Outcome::Nothing("nothing was tried".to_owned()),
        }
    }
}

impl Lecture {
    fn new(outcome: Outcome) -> Self {
        let metrics = BTreeMap::new();
        Self { outcome, cpu_seconds: 0.0, metrics, choice: None, sample_bytes: 0, measure: None, gain: None }
    }
}

fn try_one(setup: &Setup, runs: &[&Run], manner: &Manner, clock: CpuClock<'_>) -> Result<Tried, CarriageError> {
    let models: Arc<dyn ModelSource> = Arc::new(Codecs);
    audition(setup.spec, &mut *setup.codec(&models)?, runs, manner, clock)
}

/// The figures of a choice for the manifest of the chosen model.
fn figures(choice: &Choice) -> BTreeMap<String, f64> {
    let mut figures = BTreeMap::new();
    let mut note = |name: &str, value: f64| {
        figures.insert(name.to_owned(), value);
    };
    if let Some(chosen) = choice.candidates.get(choice.chosen) {
        note(metric::CANDIDATE, chosen.bytes_per_record());
        note(metric::HOLDOUT_RECORDS, chosen.tried.records as f64);
        note(metric::RAW, chosen.tried.effort.raw_bytes / chosen.tried.records.max(1) as f64);
        note(metric::PRICE, chosen.price());
    }
    let zstd = CodecSpec::with_level(Algorithm::Zstd, 3);
    if let Some(plain) = choice.candidates.iter().find(|one| Some(one.tried.spec) == zstd) {
        note(metric::PLAIN, plain.bytes_per_record());
    }
    figures
}

fn samples(kept: &[Arc<Kept<Run>>]) -> Vec<&Run> {
    kept.iter().map(|kept| &kept.sample).collect()
}

/// What is learned from, and the newest that judge: a fifth of all, and no more than so many bytes.
fn divide(snapshot: &Snapshot<Run>, most: usize) -> (Vec<&Run>, Vec<&Run>) {
    let mut parts = snapshot.split(Split::DICTIONARY);
    let judges = newest(&parts.holdout, most).len();
    let holdout = parts.holdout.split_off(parts.holdout.len() - judges);
    parts.train.append(&mut parts.holdout);
    (parts.train, holdout)
}

/// The newest of some runs that hold about so many bytes, one at least.
fn newest<'a, 'b>(runs: &'b [&'a Run], most: usize) -> &'b [&'a Run] {
    let mut bytes = 0;
    let count = runs.iter().rev().take_while(|run| {
        bytes += run.values_len();
        bytes <= most
    });
    let count = count.count().max(1).min(runs.len());
    &runs[runs.len() - count..]
}
