//! Keeps a pipeline's workers alive: looks topics up, starts workers, replaces those that end or hang, stops them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::pulse::Pulse;
use super::settings::Delivery;
use super::topology::Topology;
use super::worker::Exit;
use super::workshop::{Started, Workshop};
use crate::source::{ClientError, Diagnosis};

/// How long a worker may be silent before it counts as hanging. Every wait of a worker beats its pulse at least twice
/// a second; only a call of the client library that does not return is silent for so long.
const STALL: Duration = Duration::from_secs(40);

/// How long the supervisor itself may be silent before the process counts as not alive. It replaces whoever hangs; its own
/// longest silence is a look at every topic of a pattern while brokers answer slowly.
const STUCK: Duration = Duration::from_secs(600);

/// How long a hanging member is given to say goodbye to its group.
const LEAVE: Duration = Duration::from_secs(5);

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
        let thread = thread::Builder::new()
            .name(format!("{name}-sup"))
            .spawn(move || Supervisor { workshop, wishes: own, alive: Arc::default(), workers: Vec::new() }.run())?;
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

struct Supervisor {
    workshop: Workshop,
    wishes: Arc<Pulse>,
    /// Its own sign of life, which `/livez` looks at.
    alive: Arc<Pulse>,
    workers: Vec<Running>,
}

/// A worker as its supervisor sees it.
struct Running {
    index: usize,
    pulse: Arc<Pulse>,
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
        let alive = Arc::clone(&self.alive);
        alive.beat();
        let _watched = self.workshop.observer().board().liveness().watch(
            format!("{}-sup", self.workshop.settings().name),
            STUCK,
            move || alive.silence(),
        );
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
        let mut healthy_since = Instant::now();
        loop {
            self.alive.beat();
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
            self.alive.beat();
            match Topology::resolve(self.workshop.settings(), self.workshop.kafka()) {
                Ok(topology) => return Some(Arc::new(topology)),
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
        let (leaver_out, leaver) = channel();
        let workshop = self.workshop.clone();
        let topology = Arc::clone(topology);
        let own = Arc::clone(&pulse);
        let last_words = last_words.clone();
        let name = format!("{}-{index}", workshop.settings().name);
        let spawned = thread::Builder::new().name(name.clone()).spawn(move || {
            let run = || workshop.run(index, &topology, &own, |started: Started| drop(leaver_out.send(started.leaver)));
            let exit = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                Exit::Restart(ClientError::new(Diagnosis::Fatal, "working", text.unwrap_or_else(|| "panic".to_owned())))
            });
            drop(last_words.send(LastWord { pulse: own, exit }));
        });
        let ended = match spawned {
            Ok(_) => false,
            Err(error) => {
                let text = format!("no thread `{name}`: {error}");
                self.workshop.observer().trouble(&ClientError::new(Diagnosis::Fatal, "starting a worker", text));
                true
            }
        };
        self.workers.push(Running { index, pulse, leaver, ended });
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
            self.workshop.observer().replaced(worker.index, &ClientError::new(Diagnosis::Fatal, "working", text));
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
        for worker in &self.workers {
            worker.pulse.stop();
        }
        let deadline = Instant::now() + self.workshop.drain_timeout();
        let mut left = self.workers.iter().filter(|worker| !worker.ended).count().saturating_sub(1);
        while left > 0 {
            match inbox.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(_) => left -= 1,
                Err(_) => break,
            }
        }
        self.workshop.observer().failed(reason);
    }

    fn sleep(&self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        while Instant::now() < until {
            self.alive.beat();
            if self.wishes.stopping() {
                return false;
            }
            thread::sleep(Duration::from_millis(20));
        }
        !self.wishes.stopping()
    }
}
