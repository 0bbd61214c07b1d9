//! What happened, for whoever listens: a bounded bus.
//!
//! Publishing never waits. A listener that reads too slowly loses events and is told how many. The newest events are
//! kept, so that a listener that was cut off goes on where it was.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use utoipa::ToSchema;

use super::clock::unix_millis;
use super::state::PipelineState;

/// Events kept for listeners that come (back) later, and events that a listener may be behind.
const KEPT: usize = 256;

/// Something that happened.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Event {
    /// Unique, over restarts too; in the order of the events of one run.
    #[schema(value_type = String)]
    pub id: EventId,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// The pipeline it happened in; absent when it concerns the daemon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<String>,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// An event's place: the run of the daemon, and its number in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventId {
    run: i64,
    number: u64,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.run, self.number)
    }
}

impl Serialize for EventId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What can happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum EventKind {
    /// The pipeline is in another state, or in the same one for another reason.
    State {
        /// The state.
        state: PipelineState,
        /// Why, when there is something to say.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The pipeline is no longer in the configuration.
    Removed,
    /// Transactions were aborted; their records are read again. At most one event per second and worker.
    Aborted {
        /// Which worker's.
        worker: usize,
        /// Why the newest.
        reason: String,
        /// How many since the last event.
        count: u64,
    },
    /// The outcome of a transaction was unknown, or a worker did not move: it was replaced.
    Rebuilt {
        /// Which worker.
        worker: usize,
        /// Why.
        reason: String,
    },
    /// Partitions were given to a worker or taken from it.
    Rebalance {
        /// Which worker.
        worker: usize,
        /// Given, as `topic/number`.
        assigned: Vec<String>,
        /// Taken, as `topic/number`.
        revoked: Vec<String>,
        /// Whether the taken ones were lost, that is, given to others before the worker could finish.
        lost: bool,
    },
    /// Records went to the dead-letter topic. At most one event per second and reason.
    DeadLetters {
        /// The reason, as in the metric.
        reason: String,
        /// How many since the last event of this reason.
        count: u64,
        /// The message of the newest.
        message: String,
        /// Where the newest came from, as `topic/partition/offset`.
        origin: String,
    },
    /// Another model is in use.
    Model {
        /// Its id; absent when none is.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// Its family.
        #[serde(skip_serializing_if = "Option::is_none")]
        family: Option<String>,
    },
    /// Another codec was chosen.
    Codec {
        /// The codec, as the configuration would name it.
        codec: String,
    },
    /// Generated records are published from here on, or no longer.
    Augment {
        /// `waiting`, `publishing` or `blocked`.
        state: String,
        /// Why.
        reason: String,
        /// The model that they are drawn from.
        #[serde(skip_serializing_if = "Option::is_none")]
        model: Option<String>,
    },
    /// The configuration was read again.
    Reload {
        /// Whether it is in force.
        applied: bool,
        /// What changed, or why nothing did.
        message: String,
    },
}

impl EventKind {
    /// The name of its type in the API.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::State { .. } => "state",
            Self::Removed => "removed",
            Self::Aborted { .. } => "aborted",
            Self::Rebuilt { .. } => "rebuilt",
            Self::Rebalance { .. } => "rebalance",
            Self::DeadLetters { .. } => "dead_letters",
            Self::Model { .. } => "model",
            Self::Codec { .. } => "codec",
            Self::Augment { .. } => "augment",
            Self::Reload { .. } => "reload",
        }
    }
}

/// The bus.
#[derive(Debug)]
pub struct Events {
    run: i64,
    log: Mutex<Log>,
    live: broadcast::Sender<Arc<Event>>,
}

#[derive(Debug, Default)]
struct Log {
    published: u64,
    recent: VecDeque<Arc<Event>>,
}

impl Default for Events {
    fn default() -> Self {
        Self::new(unix_millis())
    }
}

impl Events {
    /// The bus of a run of the daemon; `run` tells it from other runs.
    fn new(run: i64) -> Self {
        Self { run, log: Mutex::default(), live: broadcast::channel(KEPT).0 }
    }

    /// Tells everybody who listens.
    pub fn publish(&self, pipeline: Option<&str>, kind: EventKind) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.published += 1;
        let id = EventId { run: self.run, number: log.published };
        let event = Arc::new(Event { id, at_ms: unix_millis(), pipeline: pipeline.map(str::to_owned), kind });
        if log.recent.len() == KEPT {
            log.recent.pop_front();
        }
        log.recent.push_back(Arc::clone(&event));
        // Sent under the lock, so that a new listener gets each event either from the log or live. An error says that
        // nobody listens.
        let _ = self.live.send(event);
    }

    /// Listens from here on, after the newest `recent` events.
    pub fn subscribe(&self, recent: usize) -> Subscription {
        self.listen(|log| log.recent.len().saturating_sub(recent))
    }

    /// Goes on after the event with this id. Events that are not kept any more are reported as missed.
    ///
    /// An id that is not of this run is of a run before it: then everything of this run is new.
    pub fn resume(&self, after: &str) -> Subscription {
        let number = after
            .split_once('-')
            .filter(|(run, _)| run.parse() == Ok(self.run))
            .and_then(|(_, number)| number.parse::<u64>().ok())
            .unwrap_or(0);
        let mut missed = 0;
        let mut subscription = self.listen(|log| {
            let oldest = log.recent.front().map_or(log.published + 1, |event| event.id.number);
            missed = oldest.saturating_sub(number.saturating_add(1));
            usize::try_from(number.saturating_add(1).saturating_sub(oldest)).unwrap_or(usize::MAX)
        });
        subscription.missed = missed;
        subscription
    }

    fn listen(&self, skip: impl FnOnce(&Log) -> usize) -> Subscription {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let skip = skip(&log);
        let backlog = log.recent.iter().skip(skip).cloned().collect();
        Subscription { missed: 0, backlog, live: self.live.subscribe() }
    }
}

/// One listener.
#[derive(Debug)]
pub struct Subscription {
    missed: u64,
    backlog: VecDeque<Arc<Event>>,
    live: broadcast::Receiver<Arc<Event>>,
}

/// What a listener hears.
#[derive(Clone, Debug)]
pub enum Heard {
    /// An event.
    Event(Arc<Event>),
    /// This many events were lost to this listener.
    Missed(u64),
}

impl Subscription {
    /// The next thing to hear; `None` when the bus is gone.
    pub async fn next(&mut self) -> Option<Heard> {
        if self.missed > 0 {
            return Some(Heard::Missed(std::mem::take(&mut self.missed)));
        }
        if let Some(event) = self.backlog.pop_front() {
            return Some(Heard::Event(event));
        }
        match self.live.recv().await {
            Ok(event) => Some(Heard::Event(event)),
            Err(RecvError::Lagged(count)) => Some(Heard::Missed(count)),
            Err(RecvError::Closed) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aborted(reason: &str) -> EventKind {
        EventKind::Aborted { worker: 0, reason: reason.to_owned(), count: 1 }
    }

    /// What a listener hears until there is nothing more at the moment.
    fn hear(subscription: &mut Subscription) -> Vec<String> {
        let mut heard = Vec::new();
        while let Some(Some(next)) = futures::FutureExt::now_or_never(subscription.next()) {
            heard.push(match next {
                Heard::Event(event) => match &event.kind {
                    EventKind::Aborted { reason, .. } => reason.clone(),
                    other => other.name().to_owned(),
                },
                Heard::Missed(count) => format!("missed {count}"),
            });
        }
        heard
    }

    #[test]
    fn a_listener_hears_what_came_after_it_and_as_much_before_as_it_wants() {
        let events = Events::new(7);
        for reason in ["a", "b", "c"] {
            events.publish(Some("p"), aborted(reason));
        }
        let (mut fresh, mut late) = (events.subscribe(0), events.subscribe(2));
        events.publish(None, aborted("d"));
        assert_eq!(hear(&mut fresh), ["d"]);
        assert_eq!(hear(&mut late), ["b", "c", "d"]);
    }

    #[test]
    fn a_listener_that_was_cut_off_goes_on_where_it_was() {
        let events = Events::new(7);
        for reason in ["a", "b", "c"] {
            events.publish(None, aborted(reason));
        }
        assert_eq!(hear(&mut events.resume("7-2")), ["c"]);
        assert_eq!(hear(&mut events.resume("7-3")), [""; 0]);
        assert_eq!(hear(&mut events.resume("6-900")), ["a", "b", "c"], "of the run before");
        assert_eq!(hear(&mut events.resume("nonsense")), ["a", "b", "c"]);
        assert_eq!(hear(&mut events.resume("7-18446744073709551615")), [""; 0]);
    }

    #[test]
    fn a_slow_listener_is_told_what_it_lost_and_holds_nobody_up() {
        let events = Events::new(7);
        let mut slow = events.subscribe(0);
        for i in 1..=KEPT + 10 {
            events.publish(None, aborted(&i.to_string()));
        }
        let heard = hear(&mut slow);
        assert_eq!(heard[0], "missed 10");
        assert_eq!(heard[1], "11");
        assert_eq!(heard.len(), KEPT + 1);
        let back = hear(&mut events.resume("7-5"));
        assert_eq!(back[..2], ["missed 5", "11"]);
    }

    #[test]
    fn an_event_names_its_type_as_the_bus_does() {
        for kind in [
            EventKind::State { state: PipelineState::Running, reason: None },
            EventKind::Removed,
            aborted("x"),
            EventKind::Rebuilt { worker: 0, reason: String::new() },
            EventKind::Rebalance { worker: 0, assigned: vec![], revoked: vec![], lost: false },
            EventKind::DeadLetters { reason: String::new(), count: 1, message: String::new(), origin: String::new() },
            EventKind::Model { id: None, family: None },
            EventKind::Codec { codec: String::new() },
            EventKind::Reload { applied: true, message: String::new() },
        ] {
            assert_eq!(serde_json::to_value(&kind).unwrap()["type"], kind.name());
        }
    }
}
