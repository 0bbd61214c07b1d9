//! A training under way, on a thread of its own: watched, cancelled, and gone on with after a restart.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{io, mem};

use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;

use super::{CpuTime, lock};
use crate::model::{Monitor, Progress, Span, Start};
use crate::telemetry::ProgressReport;

/// How much lower than others a thread ranks that trains for minutes: where records need all of the CPU, it gets about a tenth
/// of a core.
const NICE: i32 = 10;

/// How often the registry is told how far a training is that takes minutes.
pub const SAVE: Duration = Duration::from_secs(10);

/// How long the end of a training that was cancelled is waited for. It is asked some tens of milliseconds apart, seldom seconds.
const FAREWELL: Duration = Duration::from_secs(2);

const VERSION: u32 = 1;

/// What is known of a training beside what it learns from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    version: u32,
    /// Why it began: a word.
    pub cause: String,
    /// The settings of its making: with others it is another training.
    pub config: serde_json::Value,
    /// Offsets of what it learns from.
    pub window: Vec<Span>,
    /// BLAKE3 of its samples.
    samples: String,
    /// CPU seconds that it has had up to the state.
    spent_seconds: f64,
    /// BLAKE3 of the state behind the plan; empty where there is none yet.
    state: String,
}

impl Plan {
    /// Nothing was done yet.
    pub fn new(cause: &str, config: serde_json::Value, window: Vec<Span>, samples: &[u8]) -> Self {
        Self {
            version: VERSION,
            cause: cause.to_owned(),
            config,
            window,
            samples: hash(samples),
            spent_seconds: 0.0,
            state: String::new(),
        }
    }

    /// As bytes, with a state: one line of JSON, then the state.
    pub fn with(&self, bookmark: &Bookmark) -> Vec<u8> {
        let state = if bookmark.state.is_empty() { String::new() } else { hash(&bookmark.state) };
        let plan = Self { spent_seconds: bookmark.spent.as_secs_f64(), state, ..self.clone() };
        let mut bytes = serde_json::to_vec(&plan).unwrap_or_default();
        bytes.push(b'\n');
        bytes.extend(&bookmark.state);
        bytes
    }

    /// What [`Self::with`] wrote, if it is that and goes with these samples.
    pub fn read(bytes: &[u8], samples: &[u8]) -> Option<(Self, Bookmark)> {
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let plan: Self = serde_json::from_slice(&bytes[..end]).ok()?;
        let state = &bytes[end + 1..];
        let is_whole = if state.is_empty() { plan.state.is_empty() } else { plan.state == hash(state) };
        let spent = Duration::try_from_secs_f64(plan.spent_seconds).ok()?;
        let fits = plan.version == VERSION && is_whole && plan.samples == hash(samples);
        fits.then(|| (plan, Bookmark { spent, state: state.to_vec() }))
    }
}

fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// A place to go on from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bookmark {
    /// CPU time up to it.
    pub spent: Duration,
    /// The trainer's checkpoint; empty at the beginning.
    pub state: Vec<u8>,
}

/// A training under way, which comes to an `R`.
pub struct Study<R> {
    plan: Plan,
    begun: Instant,
    /// Whether it asks whether to go on.
    asks: bool,
    desk: Arc<Desk>,
    thread: JoinHandle<R>,
}

/// What the thread that trains and the one that watches it have in common.
#[derive(Default)]
struct Desk {
    cancelled: AtomicBool,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    progress: Option<(Progress, Duration)>,
    bookmark: Option<Bookmark>,
}

/// The trainer's side of the desk.
struct Watch {
    desk: Arc<Desk>,
    /// The checkpoint that it goes on from.
    resumed: Option<Vec<u8>>,
    /// CPU time of the training before this thread began.
    earlier: Duration,
    time: CpuTime,
}

impl Monitor for Watch {
    fn spent(&mut self) -> Duration {
        self.earlier + self.time.spent()
    }

    fn progress(&mut self, progress: &Progress) -> ControlFlow<()> {
        let spent = self.spent();
        lock(&self.desk.seen).progress = Some((*progress, spent));
        if self.desk.cancelled.load(Ordering::Acquire) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn resume(&mut self) -> Option<Vec<u8>> {
        self.resumed.take()
    }

    fn checkpoint(&mut self, state: Vec<u8>) {
        let spent = self.spent();
        lock(&self.desk.seen).bookmark = Some(Bookmark { spent, state });
    }
}

/// What a training begins with beside its samples.
pub enum Beginning {
    /// Nothing.
    Anew,
    /// Where the same one was ended.
    At(Bookmark),
    /// What another one came to.
    Warm(Vec<u8>),
}

impl Beginning {
    /// CPU time that the same training has had before.
    pub fn spent(&self) -> Duration {
        match self {
            Self::At(bookmark) if !bookmark.state.is_empty() => bookmark.spent,
            _ => Duration::ZERO,
        }
    }
}

impl<R: Send + 'static> Study<R> {
    /// Begins the `work`; `long` says that it takes minutes, and asks whether to go on. The permit, which limits how many train at
    /// the same time, is given back at the end.
    pub fn begin(
        name: &str,
        plan: Plan,
        long: bool,
        beginning: Beginning,
        permit: Option<OwnedSemaphorePermit>,
        work: impl FnOnce(Start<'_>, &mut dyn Monitor) -> R + Send + 'static,
    ) -> io::Result<Self> {
        let desk = Arc::new(Desk::default());
        let own = Arc::clone(&desk);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let _permit = permit;
            if long {
                // Refused is no reason not to train.
                let _ = rustix::process::nice(NICE);
            }
            let earlier = beginning.spent();
            let start = match &beginning {
                Beginning::At(bookmark) if !bookmark.state.is_empty() => Start::Resume(&bookmark.state),
                Beginning::Warm(state) => Start::Warm(state),
                Beginning::Anew | Beginning::At(_) => Start::Anew,
            };
            let resumed = if let Start::Resume(state) = start { Some(state.to_vec()) } else { None };
            let mut watch = Watch { desk: own, resumed, earlier, time: CpuTime::begin() };
            work(start, &mut watch)
        })?;
        Ok(Self { plan, begun: Instant::now(), asks: long, desk, thread })
    }

    /// What is known of it.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// How long it has gone on here.
    pub fn took(&self) -> Duration {
        self.begun.elapsed()
    }

    /// How far it is, for the API.
    pub fn report(&self) -> Option<ProgressReport> {
        let (progress, spent) = lock(&self.desk.seen).progress?;
        Some(ProgressReport {
            phase: progress.phase.name().to_owned(),
            fraction: progress.fraction,
            step: progress.step,
            loss: progress.loss,
            validation: progress.validated(),
            rewinds: progress.rewinds,
            cpu_seconds: spent.as_secs_f64(),
            cpu_seconds_left: progress.left.as_secs_f64(),
        })
    }

    /// The newest place to go on from, once.
    pub fn bookmark(&self) -> Option<Bookmark> {
        lock(&self.desk.seen).bookmark.take()
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// What came of it; `None` if its thread broke down.
    pub fn end(self) -> Option<R> {
        self.thread.join().ok()
    }

    /// Ends it before it is done: one that takes seconds ends by itself, and what comes of it is dropped. The place that it came
    /// to.
    pub fn cancel(self) -> Option<Bookmark> {
        self.desk.cancelled.store(true, Ordering::Release);
        let asked = Instant::now();
        while self.asks && !self.thread.is_finished() && asked.elapsed() < FAREWELL {
            std::thread::sleep(Duration::from_millis(10));
        }
        mem::take(&mut *lock(&self.desk.seen)).bookmark
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_comes_back_with_its_state_and_only_with_its_own_samples() {
        let window = vec![Span { topic: "t".to_owned(), partition: 3, first: 5, last: 9 }];
        let plan = Plan::new("first", serde_json::json!({ "shape": "8x8" }), window, b"samples");
        for state in [&b""[..], b"weights\nand more"] {
            let bookmark = Bookmark { spent: Duration::from_millis(1500), state: state.to_vec() };
            let bytes = plan.with(&bookmark);
            let (back, at) = Plan::read(&bytes, b"samples").unwrap();
            assert_eq!((&back.cause, &back.window, at), (&plan.cause, &plan.window, bookmark));
            assert!(Plan::read(&bytes, b"others").is_none());
            assert!((0..bytes.len()).all(|length| Plan::read(&bytes[..length], b"samples").is_none()));
            for place in 0..bytes.len() {
                let mut damaged = bytes.clone();
                damaged[place] ^= 1;
                let read = Plan::read(&damaged, b"samples");
                assert!(read.is_none_or(|(_, at)| at.state == state), "a state that was damaged is not gone on from");
            }
        }
    }
}
