//! The thread that ends transactions.
//!
//! Starting, committing and aborting can block for seconds, and librdkafka can fail to return at all (after a broker's
//! kill -9, `send_offsets_to_transaction` with a timeout of 10 s did not return for over a minute). So these calls
//! run on a thread of their own: the worker goes on encoding while they run, and when no answer comes in time it
//! abandons thread and producer together and makes new ones. The old producer is fenced by the new one's
//! `init_transactions`, so whatever the stuck call does later has no effect.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::sink::TransactionalProducer;
use crate::source::{ClientError, Diagnosis, Positions};

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Timeout given to one call of the client library.
    pub call: Duration,
    /// Time for draining, sending offsets and committing, retries included.
    pub whole: Duration,
    /// How much longer than `whole` the worker waits before it takes the thread for lost.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { call: Duration::from_secs(10), whole: Duration::from_secs(20), grace: Duration::from_secs(5) }
    }
}

/// Timeout of one step of an abort.
const ABORT_STEP: Duration = Duration::from_millis(20);

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As asked: started, committed or aborted.
    Done,
    /// Not committed, and cleanly aborted: the producer is ready for the next transaction.
    Aborted(ClientError),
    /// Nobody knows: the producer must be dropped, and the group asked what is committed.
    Unknown(ClientError),
}

enum Request<G> {
    Init,
    Commit { positions: Positions, group: G },
    Abort,
}

/// A producer and the thread that ends its transactions.
pub struct Transactor<P: TransactionalProducer> {
    // Dropped before the channel, so that the last reference, whose drop may block, dies on the thread.
    producer: Arc<P>,
    requests: SyncSender<Request<P::Group>>,
    outcomes: Receiver<Outcome>,
    pending: Option<Instant>,
    limits: Limits,
}

impl<P: TransactionalProducer> Transactor<P> {
    /// Starts the thread.
    pub fn start(name: &str, producer: Arc<P>, limits: Limits) -> std::io::Result<Self> {
        let (requests, inbox) = sync_channel(1);
        let (outbox, outcomes) = sync_channel(1);
        let own = Arc::clone(&producer);
        thread::Builder::new().name(format!("{name}-txn")).spawn(move || serve(&*own, limits, &inbox, &outbox))?;
        Ok(Self { producer, requests, outcomes, pending: None, limits })
    }

    /// The producer.
    pub fn producer(&self) -> &P {
        &self.producer
    }

    /// Asks for `init_transactions`.
    pub fn init(&mut self) {
        self.request(Request::Init);
    }

    /// Asks to drain the producer, add the positions and commit.
    pub fn commit(&mut self, positions: Positions, group: P::Group) {
        self.request(Request::Commit { positions, group });
    }

    /// Asks to throw the transaction away.
    pub fn abort(&mut self) {
        self.request(Request::Abort);
    }

    fn request(&mut self, request: Request<P::Group>) {
        debug_assert!(self.pending.is_none(), "one request at a time");
        self.pending = Some(Instant::now());
        // A thread that died answers with a closed channel, which `outcome` reports.
        let _ = self.requests.try_send(request);
    }

    /// The outcome of the request under way, when there is one within `wait`.
    ///
    /// A request without an answer after its limit is [`Outcome::Unknown`]: the caller drops this transactor.
    pub fn outcome(&mut self, wait: Duration) -> Option<Outcome> {
        let since = self.pending?;
        let answer = if wait.is_zero() {
            self.outcomes.try_recv().map_err(|error| error == TryRecvError::Disconnected)
        } else {
            self.outcomes.recv_timeout(wait).map_err(|error| error == RecvTimeoutError::Disconnected)
        };
        let outcome = match answer {
            Ok(outcome) => outcome,
            Err(true) => Outcome::Unknown(lost("its thread has ended")),
            Err(false) if since.elapsed() > self.limits.whole + self.limits.grace => {
                Outcome::Unknown(lost("the client library did not return"))
            }
            Err(false) => return None,
        };
        self.pending = None;
        Some(outcome)
    }
}

fn lost(text: &str) -> ClientError {
    ClientError::new(Diagnosis::Fatal, "ending the transaction", text)
}

fn serve<P: TransactionalProducer>(
    producer: &P,
    limits: Limits,
    inbox: &Receiver<Request<P::Group>>,
    outbox: &SyncSender<Outcome>,
) {
    while let Ok(request) = inbox.recv() {
        let deadline = Instant::now() + limits.whole;
        let outcome = match request {
            Request::Init => match retried(deadline, || producer.init(limits.call)) {
                Ok(()) => Outcome::Done,
                Err(error) => Outcome::Unknown(error),
            },
            Request::Commit { positions, group } => commit(producer, &positions, &group, limits, deadline),
            Request::Abort => match abort(producer, deadline) {
                Ok(()) => Outcome::Done,
                Err(error) => Outcome::Unknown(error),
            },
        };
        if outbox.send(outcome).is_err() {
            return;
        }
    }
}

fn commit<P: TransactionalProducer>(
    producer: &P,
    positions: &Positions,
    group: &P::Group,
    limits: Limits,
    deadline: Instant,
) -> Outcome {
    let committed = drain(producer, deadline)
        .and_then(|()| retried(deadline, || producer.send_offsets(positions, group, limits.call)))
        .map_err(|error| (error, false))
        .and_then(|()| retried(deadline, || producer.commit(limits.call)).map_err(|error| (error, true)));
    match committed {
        Ok(()) => Outcome::Done,
        // A commit that was asked for and not answered may have happened.
        Err((error, true)) if error.diagnosis != Diagnosis::Abortable => Outcome::Unknown(error),
        Err((error, _)) if matches!(error.diagnosis, Diagnosis::Fatal | Diagnosis::Fenced) => Outcome::Unknown(error),
        Err((error, _)) => match abort(producer, deadline.max(Instant::now() + limits.call)) {
            Ok(()) => Outcome::Aborted(error),
            Err(_) => Outcome::Unknown(error),
        },
    }
}

/// Waits until every record is delivered, in short steps: the library's own `flush` sleeps up to 100 ms a step, which
/// made a commit cost 100 ms in place of 4 to 8.
fn drain<P: TransactionalProducer>(producer: &P, deadline: Instant) -> Result<(), ClientError> {
    while producer.in_flight() > 0 {
        producer.serve(Duration::from_millis(1));
        if let Some(error) = producer.failure() {
            return Err(error);
        }
        if Instant::now() > deadline {
            return Err(ClientError::new(
                Diagnosis::Abortable,
                "delivering",
                format!("{} records were not acknowledged in time", producer.in_flight()),
            ));
        }
    }
    producer.failure().map_or(Ok(()), Err)
}

/// Aborts in short steps, between which delivery reports are taken: the library waits for those of the records that it
/// drops, and for records in flight as long as a broker that does not answer. When that takes too long the producer is
/// given up, and the next one's epoch shuts its late records out.
///
/// Nothing is purged here. The library does so when it aborts, and then skips the sequence numbers of what it drops; a
/// purge of ours would leave a gap in them, or a record in flight that lands in the next transaction.
fn abort<P: TransactionalProducer>(producer: &P, deadline: Instant) -> Result<(), ClientError> {
    loop {
        match producer.abort(ABORT_STEP) {
            Err(error) if error.diagnosis == Diagnosis::Retriable && Instant::now() < deadline => {
                producer.serve(Duration::from_millis(5));
            }
            Err(error) if error.diagnosis == Diagnosis::Retriable => {
                return Err(ClientError { diagnosis: Diagnosis::Fatal, ..error });
            }
            result => return result,
        }
    }
}

fn retried(deadline: Instant, mut call: impl FnMut() -> Result<(), ClientError>) -> Result<(), ClientError> {
    let mut pause = Duration::from_millis(20);
    loop {
        match call() {
            Err(error) if error.diagnosis == Diagnosis::Retriable && Instant::now() + pause < deadline => {
                thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_secs(1));
            }
            // Out of time on "try again" is a timeout, and a timeout says nothing about what happened.
            Err(error) if error.diagnosis == Diagnosis::Retriable => {
                return Err(ClientError { diagnosis: Diagnosis::Fatal, ..error });
            }
            result => return result,
        }
    }
}
