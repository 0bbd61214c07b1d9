//! Keeps a pipeline's workers alive: looks topics up, starts workers, replaces those that end or hang, stops them.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::observer::WorkerObserver;
use super::pulse::Pulse;
use super::settings::Delivery;
use super::topology::Topology;
use super::worker::Exit;
use super::workshop::{Started, Workshop};
use crate::source::{ClientError, Diagnosis};

/// How long a worker may be silent before it counts as hanging. Every wait of a worker beats its pulse at least twice
/// a second; only a call of the client library that does not return is silent for so long.
const STALL: Duration = Duration::from_secs(40);

/// How long a hanging member is given to say goodbye to its group.
const LEAVE: Duration = Duration::from_secs(5);

/// How long the supervisor itself may be silent before the process counts as stuck. It beats between any two questions
/// to the cluster, none of which takes longer than half a minute when it returns at all.
const SUPERVISOR_STALL: Duration = Duration::from_secs(120);

/// Pause before a failed start is tried again, at first and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// A running pipeline.
pub struct Pipeline {
    name: String,
    wishes: Arc<Pulse>,
    thread: Option<JoinHandle<()>>,
}

impl Pipeline {
    /// Starts the pipeline's supervisor, which starts the workers.
    pub fn spawn(workshop: Workshop) -> std::io::Result<Self> {
        let name = workshop.settings().name.clone();
        let wishes = Arc::new(Pulse::default());
        let own = Arc::clone(&wishes);
        let thread = thread::Builder::new().name(format!("{name}-sup")).spawn(move || supervise(workshop, own))?;
        Ok(Self { name, wishes, thread: Some(thread) })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Asks the workers to commit what they have read, and end.
    pub fn stop(&self) {
        self.wishes.stop();
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits for the end, at most until `deadline`; false when it did not come.
    pub fn join(mut self, deadline: Instant) -> bool {
        while !self.has_ended() {
            if Instant::now() >= deadline {
                return false;
            }
            thread::sleep(Duration::from_millis(10));
        }
        self.thread.take().is_none_or(|thread| thread.join().is_ok())
    }
}

/// Runs a supervisor. A panic in it is the pipeline's end and is told as such, since nobody is left to cure anything.
fn supervise(workshop: Workshop, wishes: Arc<Pulse>) {
    let observer = workshop.observer().clone();
    let watched = Arc::clone(&wishes);
    let name = format!("{}-sup", workshop.settings().name);
    let _watched = observer.board().liveness().watch(name, SUPERVISOR_STALL, move || watched.silence());
    let run = || Supervisor { workshop, wishes, workers: Vec::new() }.run();
    if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
        observer.failed(&format!("the supervisor ended by a panic: {}", text_of(&*panic)));
    }
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

struct Supervisor {
    workshop: Workshop,
    wishes: Arc<Pulse>,
    workers: Vec<Running>,
}

/// A worker as its supervisor sees it.
struct Running {
    index: usize,
    pulse: Arc<Pulse>,
    observer: Arc<WorkerObserver>,
    leaver: Receiver<crate::source::Leaver>,
    ended: bool,
}

/// A worker's last word: its pulse tells which life of the worker it was.
struct LastWord {
    pulse: Arc<Pulse>,
    exit: Exit,
}

impl Supervisor {
    fn run(mut self) {
        if self.workshop.settings().delivery == Delivery::ExactlyOnce && self.workshop.kafka().are_embedded() {
            self.workshop.observer().failed(
                "the embedded broker shows aborted records to readers and does not fence, so `exactly-once` is refused on it: \
                 write `delivery = \"at-least-once\"`",
            );
            return;
        }
        let count = self.workshop.settings().workers;
        let (sender, inbox) = channel();
        let Some(mut topology) = self.resolve() else {
            self.workshop.observer().stopped();
            return;
        };
        self.workshop.observer().starting();
        for index in 0..count {
            self.start(index, &topology, &sender);
        }
        let mut backoff = BACKOFF.0;
        self.workshop.observer().started();
        let mut healthy_since = Instant::now();
        loop {
            self.wishes.beat();
            if self.wishes.stopping() {
                self.workshop.observer().draining();
            }
            for worker in &self.workers {
                worker.pulse.pause(self.workshop.observer().pause_wished());
                if self.wishes.stopping() {
                    worker.pulse.stop();
                }
            }
            match inbox.recv_timeout(Duration::from_millis(100)) {
                Ok(LastWord { pulse, exit }) => {
                    let Some(position) = self.workers.iter().position(|w| Arc::ptr_eq(&w.pulse, &pulse)) else {
                        // An abandoned worker has come back to life and gone.
                        continue;
                    };
                    match exit {
                        Exit::Failed(reason) => {
                            self.fail(&reason, &inbox);
                            return;
                        }
                        Exit::StoppedUncommitted(reason) if self.wishes.stopping() => {
                            self.workshop.observer().uncommitted(&reason);
                            self.workers[position].ended = true;
                        }
                        Exit::Restart(error) if !self.wishes.stopping() => {
                            self.workshop.observer().trouble(&error);
                            if healthy_since.elapsed() > BACKOFF.1 * 3 {
                                backoff = BACKOFF.0;
                            }
                            if !self.sleep(backoff) {
                                self.workers[position].ended = true;
                                continue;
                            }
                            backoff = (backoff * 2).min(BACKOFF.1);
                            healthy_since = Instant::now();
                            match self.resolve() {
                                Some(new) => topology = new,
                                None => {
                                    self.workers[position].ended = true;
                                    continue;
                                }
                            }
                            let index = self.workers.swap_remove(position).index;
                            self.start(index, &topology, &sender);
                            self.workshop.observer().started();
                        }
                        _ => self.workers[position].ended = true,
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.watch(&topology, &sender),
                Err(RecvTimeoutError::Disconnected) => unreachable!("this function holds a sender"),
            }
            if self.workers.iter().all(|worker| worker.ended) {
                self.workshop.observer().stopped();
                return;
            }
        }
    }

    /// Looks topics up until it works; `None` when asked to stop.
    fn resolve(&self) -> Option<Arc<Topology>> {
        let mut backoff = BACKOFF.0;
        loop {
            self.wishes.beat();
            match Topology::resolve(self.workshop.settings(), self.workshop.kafka(), &|| self.wishes.beat()) {
                Ok(topology) => {
                    self.workshop.note_retention(topology.retention_ms());
                    return Some(Arc::new(topology));
                }
                Err(error) => self.workshop.observer().trouble(&error),
            }
            if !self.sleep(backoff) {
                return None;
            }
            backoff = (backoff * 2).min(BACKOFF.1);
        }
    }

    fn start(&mut self, index: usize, topology: &Arc<Topology>, last_words: &Sender<LastWord>) {
        let pulse = Arc::new(Pulse::default());
        pulse.beat();
        pulse.pause(self.workshop.observer().pause_wished());
        let observer = Arc::new(self.workshop.observer().for_worker(index));
        let (leaver_out, leaver) = channel();
        let workshop = self.workshop.clone();
        let topology = Arc::clone(topology);
        let (own, told) = (Arc::clone(&pulse), Arc::clone(&observer));
        let outbox = last_words.clone();
        let name = format!("{}-{index}", workshop.settings().name);
        let spawned = thread::Builder::new().name(name.clone()).spawn(move || {
            let started = |started: Started| drop(leaver_out.send(started.leaver));
            let run = || workshop.run(index, &topology, &own, &told, started);
            let exit = catch_unwind(AssertUnwindSafe(run))
                .unwrap_or_else(|panic| Exit::Restart(ClientError::new(Diagnosis::Fatal, "working", text_of(&*panic))));
            told.ended();
            drop(outbox.send(LastWord { pulse: own, exit }));
        });
        if let Err(error) = spawned {
            let error = ClientError::new(Diagnosis::Fatal, "starting a worker", format!("no thread `{name}`: {error}"));
            drop(last_words.send(LastWord { pulse: Arc::clone(&pulse), exit: Exit::Restart(error) }));
        }
        self.workers.push(Running { index, pulse, observer, leaver, ended: false });
    }

    /// Replaces workers that hang in a call which does not return.
    fn watch(&mut self, topology: &Arc<Topology>, last_words: &Sender<LastWord>) {
        let hanging: Vec<usize> = (0..self.workers.len())
            .filter(|i| !self.workers[*i].ended && self.workers[*i].pulse.silence() > STALL)
            .collect();
        for position in hanging.into_iter().rev() {
            let worker = self.workers.swap_remove(position);
            worker.pulse.abandon();
            let text = format!("worker {} did not move for {} s and was replaced", worker.index, STALL.as_secs());
            worker.observer.replaced(&ClientError::new(Diagnosis::Fatal, "working", text));
            if let Ok(leaver) = worker.leaver.try_recv() {
                // Its partitions are free as soon as it has left; the thread itself cannot be ended from outside.
                let _ = thread::Builder::new().name("leave".to_owned()).spawn(move || leaver.leave(LEAVE));
            }
            if self.wishes.stopping() {
                continue;
            }
            self.start(worker.index, topology, last_words);
        }
    }

    /// One worker cannot go on: the others finish, and the pipeline stays stopped with the reason.
    fn fail(&mut self, reason: &str, inbox: &Receiver<LastWord>) {
        self.workshop.observer().draining();
        for worker in &self.workers {
            worker.pulse.stop();
        }
        let deadline = Instant::now() + self.workshop.drain_timeout();
        let mut left = self.workers.iter().filter(|worker| !worker.ended).count().saturating_sub(1);
        while left > 0 && Instant::now() < deadline {
            self.wishes.beat();
            if inbox.recv_timeout(Duration::from_millis(100)).is_ok() {
                left -= 1;
            }
        }
        self.workshop.observer().failed(reason);
    }

    fn sleep(&self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        while Instant::now() < until {
            self.wishes.beat();
            if self.wishes.stopping() {
                return false;
            }
            thread::sleep(Duration::from_millis(20));
        }
        !self.wishes.stopping()
    }
}
