//! Whether a worker does its work, judged by what happens to it.
//!
//! Trouble ends with evidence that what failed works again, and with nothing else: records that flow in say nothing
//! about a commit that is refused, and those of one topic nothing about another topic's.
//!
//! Pure: the time is passed in.

use std::time::Instant;

use crate::source::{ClientError, Diagnosis, Reach};
use crate::telemetry::PipelineState;

/// So many aborts without a commit between them are more than a hiccup.
const ABORTS: u32 = 2;

/// A worker's health.
#[derive(Debug, Default)]
pub struct Health {
    joined: bool,
    paused: bool,
    reading: Option<Trouble>,
    recovery: Option<String>,
    commits: Commits,
    model: Option<String>,
}

/// Reading does not work.
#[derive(Debug)]
struct Trouble {
    since: Instant,
    /// Whether it passes by itself once everybody can be reached; if not, a human must act.
    passing: bool,
    /// Whether the group had taken the worker in when it began.
    joined: bool,
    reason: String,
}

/// How commits go.
#[derive(Debug, Default)]
struct Commits {
    /// Failures since the last one that succeeded.
    failures: u32,
    /// What the newest failure said.
    reason: String,
    /// Whether a human must act.
    refused: bool,
}

impl Health {
    /// What the worker is doing, and why.
    pub fn state(&self) -> (PipelineState, &str) {
        let commits = self.commits.refused || self.commits.failures >= ABORTS;
        let waits = self
            .recovery
            .as_deref()
            .or(commits.then_some(self.commits.reason.as_str()))
            .or(self.reading.as_ref().map(|trouble| trouble.reason.as_str()))
            .or(self.model.as_deref());
        match waits {
            Some(reason) => (PipelineState::Waiting, reason),
            None if !self.joined => (PipelineState::Starting, "joining the group"),
            None if self.paused => (PipelineState::Paused, "as asked"),
            None => (PipelineState::Running, ""),
        }
    }

    /// The group has given partitions to the worker, or said that there are none for it. It holds some, or none.
    pub fn assigned(&mut self, holds_some: bool) {
        if self.reading.as_ref().is_some_and(|trouble| !trouble.joined || !holds_some) {
            self.reading = None;
        }
        self.joined = true;
    }

    /// The group has given the worker's partitions to others; the worker joins it anew.
    pub fn lost(&mut self) {
        self.joined = false;
    }

    /// Reading failed, and is tried again.
    pub fn reading_failed(&mut self, error: &ClientError, now: Instant) {
        // "Nobody answers" follows a refusal and must not hide it.
        if error.is_passing() && self.is_in_doubt() {
            return;
        }
        let (passing, joined) = (error.is_passing(), self.joined);
        self.reading = Some(Trouble { since: now, passing, joined, reason: error.to_string() });
    }

    /// Who could be reached a moment ago.
    pub fn reached(&mut self, reach: &Reach) {
        let newer = self.reading.as_ref().is_none_or(|trouble| reach.at > trouble.since);
        match &reach.missing {
            None if newer && !self.is_in_doubt() => self.reading = None,
            Some(missing) if newer && self.joined && self.reading.is_none() => {
                let error = ClientError::new(Diagnosis::Unreachable, "consuming", missing.as_str());
                self.reading_failed(&error, reach.at);
            }
            _ => {}
        }
    }

    /// Whether some partition was refused, so that hearing from all of them would be news.
    pub fn is_in_doubt(&self) -> bool {
        self.reading.as_ref().is_some_and(|trouble| !trouble.passing)
    }

    /// Every partition has given a record, or said that it has none, since it was last in doubt.
    pub fn heard_from_all(&mut self) {
        self.reading = None;
    }

    /// Starting a producer, or asking where to read on, failed and is tried again.
    pub fn recovery_failed(&mut self, error: &ClientError) {
        self.recovery = Some(error.to_string());
    }

    /// The producer is there, and it is known where to read on.
    pub fn recovered(&mut self) {
        self.recovery = None;
    }

    /// What was read could not be committed, and is read again or committed again.
    pub fn commit_failed(&mut self, error: &ClientError) {
        self.commits.failures = self.commits.failures.saturating_add(1);
        self.commits.reason = error.to_string();
        self.commits.refused =
            matches!(error.diagnosis, Diagnosis::Refused | Diagnosis::MissingTopic | Diagnosis::Fenced);
    }

    /// Whether a commit failed since the last that succeeded.
    pub fn owes_a_commit(&self) -> bool {
        self.commits.failures > 0
    }

    /// A commit succeeded, or there is nothing to commit.
    pub fn all_committed(&mut self) {
        self.commits = Commits::default();
    }

    /// A record waits for a model.
    pub fn lacks_a_model(&mut self, missing: String) {
        self.model = Some(missing);
    }

    /// Whether a record waited for a model when last heard.
    pub fn is_lacking(&self) -> bool {
        self.model.is_some()
    }

    /// No record waits for a model any more.
    pub fn has_all_models(&mut self) {
        self.model = None;
    }

    /// The worker consumes nothing, as asked, or goes on.
    pub fn paused(&mut self, paused: bool) {
        self.paused = paused;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use PipelineState::{Paused, Running, Starting, Waiting};

    fn error(diagnosis: Diagnosis) -> ClientError {
        ClientError::new(diagnosis, "testing", diagnosis.name())
    }

    fn joined() -> Health {
        let mut health = Health::default();
        assert_eq!(health.state().0, Starting);
        health.assigned(true);
        assert_eq!(health.state(), (Running, ""));
        health
    }

    fn seconds(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn an_idle_worker_recovers_once_all_its_brokers_can_be_reached_again() {
        let start = Instant::now();
        let mut health = joined();
        health.reading_failed(&error(Diagnosis::Unreachable), seconds(start, 10));
        health.reached(&Reach { at: seconds(start, 9), missing: None });
        assert_eq!(health.state().0, Waiting, "that was before");
        health.reached(&Reach { at: seconds(start, 11), missing: Some("broker 2".to_owned()) });
        assert_eq!(health.state().0, Waiting);
        health.reached(&Reach { at: seconds(start, 13), missing: None });
        assert_eq!(health.state().0, Running);
    }

    #[test]
    fn a_leader_that_cannot_be_reached_is_trouble_even_when_no_error_told_of_it() {
        let start = Instant::now();
        let mut health = Health::default();
        health.reached(&Reach { at: start, missing: Some("the coordinator".to_owned()) });
        assert_eq!(health.state().0, Starting, "joining takes what it takes");
        health.assigned(true);
        health.reached(&Reach { at: seconds(start, 2), missing: Some("broker 2, which leads `t/1`".to_owned()) });
        let (state, reason) = health.state();
        assert!(state == Waiting && reason.contains("broker 2, which leads `t/1`"), "{reason}");
    }

    #[test]
    fn a_refusal_ends_with_word_from_every_partition_and_not_with_a_connection() {
        let start = Instant::now();
        let mut health = joined();
        health.reading_failed(&error(Diagnosis::Refused), start);
        health.reading_failed(&error(Diagnosis::Unreachable), seconds(start, 1));
        health.reached(&Reach { at: seconds(start, 2), missing: None });
        health.assigned(true);
        assert!(health.is_in_doubt() && health.state().1.contains("refused"));
        health.heard_from_all();
        assert_eq!(health.state().0, Running);
    }

    #[test]
    fn what_kept_a_worker_from_joining_is_over_when_it_has_joined() {
        let mut health = Health::default();
        health.reading_failed(&error(Diagnosis::Refused), Instant::now());
        assert_eq!(health.state().0, Waiting);
        health.assigned(true);
        assert_eq!(health.state().0, Running);
        health.reading_failed(&error(Diagnosis::MissingTopic), Instant::now());
        health.assigned(false);
        assert_eq!(health.state().0, Running, "without partitions there is nobody to hear from");
    }

    #[test]
    fn a_worker_that_lost_its_place_in_the_group_starts_over() {
        let mut health = joined();
        health.lost();
        assert_eq!(health.state().0, Starting);
        health.assigned(false);
        assert_eq!(health.state().0, Running);
    }

    #[test]
    fn commits_that_fail_again_are_trouble_until_one_succeeds_and_a_refused_one_is_at_once() {
        let mut health = joined();
        health.commit_failed(&error(Diagnosis::Abortable));
        assert_eq!(health.state().0, Running, "one is a hiccup");
        health.commit_failed(&error(Diagnosis::Abortable));
        health.recovered();
        assert_eq!(health.state().0, Waiting, "a new producer is no commit");
        health.all_committed();
        assert_eq!(health.state().0, Running);
        health.commit_failed(&error(Diagnosis::Refused));
        assert_eq!(health.state().0, Waiting);
    }

    #[test]
    fn trouble_shows_through_a_pause() {
        let mut health = joined();
        health.paused(true);
        assert_eq!(health.state().0, Paused);
        health.recovery_failed(&error(Diagnosis::Unreachable));
        assert_eq!(health.state().0, Waiting);
        health.recovered();
        health.lacks_a_model("no model".to_owned());
        assert_eq!(health.state(), (Waiting, "no model"));
        health.has_all_models();
        assert_eq!(health.state().0, Paused);
    }
}
