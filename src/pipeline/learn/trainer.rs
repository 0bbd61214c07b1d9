//! The loop of learning without its thread, its registry and its clock: looks at the newest records, decides what to train and
//! when, and keeps the account of what came of it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::assignment::{Assignment, LOOK_BYTES, Lecture, Stream, TrainerError};
use super::choice::{Choice, Load, choose};
use super::contest::{Better, Contest, try_one};
use super::renewal::{Cause, Decision, Ended, Figures, Measure, Renewal, Terms, Training, Wait};
use super::{CpuClock, Curriculum, Learner, Run, Samples, Setup};
use crate::cost::Prices;
use crate::model::manifest::metric;
use crate::record::RecordRef;

/// Fewest new bytes that are worth a look.
const LOOK_LEAST: usize = 32 << 10;

/// Most bytes that more can be learned from.
const SAMPLES: usize = 24 << 20;

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
        let runs: Vec<&Run> = kept.iter().map(|kept| &kept.sample).collect();
        if runs.iter().map(|run| run.values_len()).sum::<usize>() < LOOK_LEAST {
            return Ok(());
        }
        let measure = self.curriculum.measure(setup, &runs, stream.block_bytes, clock)?;
        self.looked_to = seen;
        self.renewal.look(stream.records, measure, self.sample_bytes());
        Ok(())
    }

    fn sample_bytes(&self) -> usize {
        let (_, bytes) = self.learner.seen();
        usize::try_from(bytes).unwrap_or(usize::MAX).min(SAMPLES).min(self.curriculum.learn().reservoir.as_usize())
    }

    /// What is to be done for a training now.
    pub fn assign(&self, stream: &Stream) -> Assignment {
        let samples = Samples::of(&self.learner.snapshot(), self.learner.split(), self.curriculum.holdout_bytes());
        self.assignment(stream, samples.learning_from(self.curriculum.most_bytes()))
    }

    /// The same with samples that were divided before.
    pub fn assignment(&self, stream: &Stream, samples: Samples) -> Assignment {
        Assignment {
            curriculum: self.curriculum.clone(),
            prices: self.prices,
            setup: self.setup.clone(),
            stream: *stream,
            samples,
            sample_bytes: self.sample_bytes(),
        }
    }

    /// Chooses again among what was tried, where the stream asks for something else than it did then.
    pub fn reconsider(&self, load: &Load) -> Option<(Better, Choice)> {
        let contest = self.contest.as_ref().filter(|contest| contest.in_use.is_some())?;
        let choice = contest.choose(&self.curriculum.rules(self.prices), load)?;
        Some((contest.better(&choice)?.clone(), choice))
    }

    /// Lets what was tried for the last choice carry other records: the choice in hindsight, and the place in it of what is in
    /// use. What does not code them is left out.
    pub fn hindsight(&self, runs: &[&Run], stream: &Stream, clock: CpuClock<'_>) -> Option<(Choice, Option<usize>)> {
        let contest = self.contest.as_ref()?;
        let manner = self.curriculum.manner(stream.block_bytes);
        let records: Vec<RecordRef<'_>> = runs.iter().flat_map(|run| run.records()).collect();
        let mut in_use = None;
        let mut tried = Vec::new();
        for (place, one) in contest.contenders.iter().enumerate() {
            let Ok(mut again) = try_one(&one.setup, &records, &manner, clock) else { continue };
            again.model_bytes = contest.tried.get(place).map_or(0, |before| before.model_bytes);
            if Some(place) == contest.in_use {
                in_use = Some(tried.len());
            }
            tried.push(again);
        }
        Some((choose(&tried, None, &self.curriculum.rules(self.prices), &stream.load)?, in_use))
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
    pub fn trained(&mut self, at: Duration, took: Duration, records: u64, lecture: Lecture, published: Option<Setup>) {
        let ended = match (&published, lecture.measure) {
            (Some(setup), Some(measure)) => Ended::Replaced {
                measure,
                artefact_bytes: setup.artefact.as_ref().map_or(0, |artefact| artefact.len()),
            },
            (_, measure) => Ended::Kept(measure.filter(|_| self.setup.is_some())),
        };
        let Lecture { cpu_seconds, sample_bytes, gain, contest, .. } = lecture;
        if contest.is_some() {
            self.contest = contest;
        }
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
