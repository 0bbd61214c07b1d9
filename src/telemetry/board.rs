//! The one place where the daemon's condition is written down: pipelines, readiness, liveness, events, metrics.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::Serialize;
use utoipa::ToSchema;

use super::events::{EventKind, Events};
use super::liveness::Liveness;
use super::log::ErrorLog;
use super::metrics::Metrics;
use super::pipeline_status::PipelineStatus;
use super::snapshot::PipelineInfo;
use super::state::PipelineState;

/// The daemon's condition. Cheap to clone.
#[derive(Clone)]
pub struct StatusBoard(Arc<Inner>);

struct Inner {
    metrics: Metrics,
    events: Arc<Events>,
    errors: ErrorLog,
    liveness: Liveness,
    draining: AtomicBool,
    lists: Mutex<Lists>,
}

#[derive(Default)]
struct Lists {
    pipelines: BTreeMap<String, Arc<PipelineStatus>>,
    issued: u64,
    holds: BTreeMap<u64, String>,
}

/// Whether the daemon does what it was told, and if not, why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Readiness {
    /// Whether it does.
    pub ready: bool,
    /// Why it does not; empty when it does.
    pub reasons: Vec<NotReady>,
}

/// One reason for not being ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct NotReady {
    /// The pipeline; absent when it is the daemon itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<String>,
    /// What it is doing in place of its work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<PipelineState>,
    /// Why.
    pub reason: String,
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.pipeline, self.state) {
            (Some(pipeline), Some(state)) if self.reason.is_empty() => write!(f, "pipeline `{pipeline}` is {state}"),
            (Some(pipeline), Some(state)) => write!(f, "pipeline `{pipeline}` is {state}: {}", self.reason),
            _ => f.write_str(&self.reason),
        }
    }
}

impl StatusBoard {
    /// The board of a daemon of this version.
    pub fn new(version: &str) -> Self {
        Self(Arc::new(Inner {
            metrics: Metrics::new(version),
            events: Arc::default(),
            errors: ErrorLog::default(),
            liveness: Liveness::default(),
            draining: AtomicBool::new(false),
            lists: Mutex::default(),
        }))
    }

    /// The daemon's metrics.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// The bus of events.
    pub fn events(&self) -> &Events {
        &self.0.events
    }

    /// Where repeated errors are logged.
    pub fn errors(&self) -> &ErrorLog {
        &self.0.errors
    }

    /// The threads that are watched.
    pub fn liveness(&self) -> &Liveness {
        &self.0.liveness
    }

    /// Adds a pipeline, or takes another of its name's place. A pause that was asked for stays asked for.
    pub fn add(&self, info: PipelineInfo) -> Arc<PipelineStatus> {
        let mut lists = self.lock();
        let control = lists.pipelines.get(&info.name).map(|old| old.retire()).unwrap_or_default();
        let metrics = self.0.metrics.pipeline(&info.name);
        let name = info.name.clone();
        let events = Arc::clone(&self.0.events);
        let status = Arc::new(PipelineStatus::new(info, metrics, events, self.0.errors.clone(), control));
        lists.pipelines.insert(name, Arc::clone(&status));
        status
    }

    /// Removes a pipeline and its series.
    pub fn remove(&self, name: &str) {
        let removed = self.lock().pipelines.remove(name);
        if let Some(removed) = removed {
            removed.retire();
            self.0.metrics.remove_pipeline(name);
            self.0.events.publish(Some(name), EventKind::Removed);
        }
    }

    /// A pipeline by its name.
    pub fn pipeline(&self, name: &str) -> Option<Arc<PipelineStatus>> {
        self.lock().pipelines.get(name).cloned()
    }

    /// All pipelines, by name.
    pub fn pipelines(&self) -> Vec<Arc<PipelineStatus>> {
        self.lock().pipelines.values().cloned().collect()
    }

    /// Keeps the daemon from being ready, for this reason, until the hold is dropped.
    #[must_use = "the daemon is kept from being ready as long as the hold lives"]
    pub fn hold(&self, reason: impl Into<String>) -> Hold {
        let mut lists = self.lock();
        lists.issued += 1;
        let id = lists.issued;
        lists.holds.insert(id, reason.into());
        Hold { id, board: self.clone() }
    }

    /// The daemon is ending: not ready from here on, whatever else happens.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Release);
    }

    /// Whether the daemon does what it was told.
    pub fn readiness(&self) -> Readiness {
        let daemon = |reason: String| NotReady { pipeline: None, state: None, reason };
        let mut reasons = Vec::new();
        if self.0.draining.load(Ordering::Acquire) {
            reasons.push(daemon("the daemon is stopping".to_owned()));
        }
        let (holds, pipelines) = {
            let lists = self.lock();
            (lists.holds.values().cloned().collect::<Vec<_>>(), lists.pipelines.values().cloned().collect::<Vec<_>>())
        };
        reasons.extend(holds.into_iter().map(daemon));
        for pipeline in pipelines {
            let (state, reason) = pipeline.state();
            if !state.is_ready() {
                reasons.push(NotReady {
                    pipeline: Some(pipeline.info().name.clone()),
                    state: Some(state),
                    reason: reason.unwrap_or_default(),
                });
            }
        }
        Readiness { ready: reasons.is_empty(), reasons }
    }

    /// What must be done about once a second: sample rates, say what was held back in the log.
    pub fn tick(&self, now: Instant) {
        for pipeline in self.pipelines() {
            pipeline.sample(now);
        }
        self.0.errors.tick(now);
    }

    fn lock(&self) -> MutexGuard<'_, Lists> {
        self.0.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for StatusBoard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StatusBoard").field(&self.lock().pipelines.keys().collect::<Vec<_>>()).finish()
    }
}

/// Keeps the daemon from being ready.
#[derive(Debug)]
pub struct Hold {
    id: u64,
    board: StatusBoard,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.board.lock().holds.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Heard;
    use super::*;

    fn info(name: &str) -> PipelineInfo {
        PipelineInfo {
            name: name.to_owned(),
            operation: "compress".to_owned(),
            from: vec![name.to_owned()],
            to: format!("{name}.z"),
            codec: Some("zstd:3".to_owned()),
            layout: Some("block".to_owned()),
            delivery: "exactly-once".to_owned(),
            several_topics: false,
        }
    }

    fn reasons(board: &StatusBoard) -> Vec<String> {
        board.readiness().reasons.iter().map(NotReady::to_string).collect()
    }

    #[test]
    fn the_daemon_is_ready_when_nothing_holds_it_and_every_pipeline_does_its_work() {
        let board = StatusBoard::new("1");
        let hold = board.hold("the registry is being opened");
        let flights = board.add(info("flights"));
        let trips = board.add(info("trips"));
        trips.set_state(PipelineState::Paused, "");
        flights.set_state(PipelineState::Waiting, "no broker answers");
        assert_eq!(
            reasons(&board),
            ["the registry is being opened", "pipeline `flights` is waiting: no broker answers"]
        );
        drop(hold);
        flights.set_state(PipelineState::Running, "");
        assert!(board.readiness().ready);
        board.drain();
        assert_eq!(reasons(&board), ["the daemon is stopping"]);
    }

    #[test]
    fn a_replaced_pipeline_no_longer_speaks_for_its_name() {
        let board = StatusBoard::new("1");
        let old = board.add(info("p"));
        let new = board.add(info("p"));
        new.set_state(PipelineState::Running, "");
        old.set_state(PipelineState::Stopped, "");
        assert!(board.metrics().render().contains("latentd_pipeline_state{pipeline=\"p\",state=\"running\"} 1"));
        assert!(board.readiness().ready);
    }

    #[test]
    fn a_pipeline_that_is_replaced_stays_paused_and_one_that_comes_back_does_not() {
        let board = StatusBoard::new("1");
        board.add(info("p")).control().pause();
        assert!(board.add(info("p")).control().is_paused());
        let removed = board.pipeline("p").unwrap();
        board.remove("p");
        assert!(board.pipeline("p").is_none());
        removed.set_state(PipelineState::Stopped, "");
        let mut events = board.events().subscribe(1);
        let last = futures::FutureExt::now_or_never(events.next()).flatten();
        assert!(
            matches!(last, Some(Heard::Event(event)) if event.kind == EventKind::Removed),
            "nothing is told after it"
        );
        assert!(!board.metrics().render().contains("pipeline=\"p\""));
        assert!(!board.add(info("p")).control().is_paused());
    }
}
