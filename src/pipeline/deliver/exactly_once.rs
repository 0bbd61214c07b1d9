//! Outputs, dead letters and offsets in one Kafka transaction (KIP-98, KIP-447).
//!
//! While a transaction commits, the next one's outputs are encoded into a spool; they are produced when the commit is
//! done. So the commit's latency (4 to 8 ms drained) costs no time of the stream.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::spool::Spool;
use super::transactor::{Outcome, Transactor};
use super::{Deliver, Interrupted, Limits, SlotId};
use crate::pipeline::pulse::Pulse;
use crate::sink::{OutRecord, SendError, TransactionalProducer};
use crate::source::{ClientError, Diagnosis, Positions, Source};
use crate::telemetry::PipelineMetrics;

/// How long to wait between two attempts to start a producer, at most.
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// Told when starting a producer fails (`Some`) and when it works again (`None`).
pub type OnTrouble = Box<dyn FnMut(Option<&ClientError>) + Send>;

/// Everything in one transaction.
pub struct ExactlyOnce<P: TransactionalProducer, F> {
    name: String,
    make: F,
    limits: Limits,
    overlap: bool,
    spool_bytes: usize,
    pulse: Arc<Pulse>,
    metrics: PipelineMetrics,
    transactor: Option<Transactor<P>>,
    state: State,
    spool: Spool,
    on_trouble: OnTrouble,
}

enum State {
    /// No transaction is open.
    Idle,
    /// A transaction is open.
    Open,
    /// The transaction is being committed.
    Committing { positions: Positions, since: Instant },
}

/// What an [`ExactlyOnce`] is made from.
pub struct ExactlyOnceParts<F> {
    /// Name of the worker, for its threads.
    pub name: String,
    /// Makes a producer.
    pub make: F,
    /// How long things may take.
    pub limits: Limits,
    /// Whether the next transaction is encoded while one commits.
    pub overlap: bool,
    /// Bytes that may wait for a commit to end.
    pub spool_bytes: usize,
    /// The worker's pulse.
    pub pulse: Arc<Pulse>,
    /// Where transactions are counted.
    pub metrics: PipelineMetrics,
    /// Told when starting a producer fails (`Some`) and when it works again (`None`).
    pub on_trouble: OnTrouble,
}

impl<P, F> ExactlyOnce<P, F>
where
    P: TransactionalProducer,
    F: FnMut() -> Result<P, ClientError>,
{
    /// A stage without a producer yet: call [`Deliver::start`].
    pub fn new(parts: ExactlyOnceParts<F>) -> Self {
        Self {
            name: parts.name,
            make: parts.make,
            limits: parts.limits,
            overlap: parts.overlap,
            spool_bytes: parts.spool_bytes,
            pulse: parts.pulse,
            metrics: parts.metrics,
            on_trouble: parts.on_trouble,
            transactor: None,
            state: State::Idle,
            spool: Spool::default(),
        }
    }

    fn transactor(&mut self) -> &mut Transactor<P> {
        self.transactor.as_mut().expect("`start` was called: the worker does so first and after every restart")
    }

    /// Drops the producer: its transaction, if any, is fenced by the next one's start.
    fn give_up(&mut self, error: ClientError) -> Interrupted {
        if self.transactor.take().is_some() {
            self.metrics.transactions_rebuilt.inc();
        }
        self.state = State::Idle;
        self.spool.clear();
        Interrupted::Restart(error)
    }

    fn wait(&mut self) -> Result<Outcome, Interrupted> {
        loop {
            self.pulse.beat();
            if let Some(outcome) = self.transactor().outcome(Duration::from_millis(50)) {
                return Ok(outcome);
            }
            if self.pulse.is_abandoned() {
                return Err(Interrupted::Cancelled);
            }
        }
    }

    /// Takes a failure in an open transaction: abort, then read again.
    fn abort(&mut self, error: ClientError) -> Interrupted {
        self.spool.clear();
        self.transactor().abort();
        match self.wait() {
            Ok(Outcome::Done | Outcome::Aborted(_)) => {
                self.state = State::Idle;
                self.metrics.transactions_aborted.inc();
                Interrupted::Rewind(error)
            }
            Ok(Outcome::Unknown(_)) => self.give_up(error),
            Err(cancelled) => cancelled,
        }
    }

    fn begin(&mut self) -> Result<(), Interrupted> {
        match self.transactor().producer().begin() {
            Ok(()) => {
                self.state = State::Open;
                Ok(())
            }
            Err(error) => Err(self.give_up(error)),
        }
    }

    fn produce(&mut self, record: &OutRecord<'_>) -> Result<(), Interrupted> {
        let mut full_since: Option<Instant> = None;
        loop {
            let limits = self.limits;
            let transactor = self.transactor.as_ref().expect("begin was called on it");
            match transactor.producer().send(record, 0) {
                Ok(()) => return Ok(()),
                Err(SendError::QueueFull) => {
                    transactor.producer().serve(Duration::from_millis(1));
                    let failure = transactor.producer().failure();
                    self.pulse.beat();
                    if self.pulse.is_abandoned() {
                        return Err(Interrupted::Cancelled);
                    }
                    let since = *full_since.get_or_insert_with(Instant::now);
                    if let Some(error) = failure {
                        return Err(self.abort(error));
                    }
                    if since.elapsed() > limits.whole {
                        let text = "no broker took a record in time";
                        return Err(self.abort(ClientError::new(Diagnosis::Unreachable, "producing", text)));
                    }
                }
                Err(SendError::Failed(error)) if matches!(error.diagnosis, Diagnosis::Fatal | Diagnosis::Fenced) => {
                    return Err(self.give_up(error));
                }
                Err(SendError::Failed(error)) => return Err(self.abort(error)),
            }
        }
    }

    /// Produces what was spooled while the last transaction committed.
    fn unspool(&mut self) -> Result<(), Interrupted> {
        if self.spool.is_empty() {
            return Ok(());
        }
        self.begin()?;
        let mut spool = std::mem::take(&mut self.spool);
        let result = spool.try_for_each(|record| self.produce(record));
        spool.clear();
        self.spool = spool;
        result
    }

    /// Takes the end of a commit.
    fn ended(&mut self, outcome: Outcome) -> Result<Option<Positions>, Interrupted> {
        let State::Committing { positions, since } = std::mem::replace(&mut self.state, State::Idle) else {
            return Ok(None);
        };
        match outcome {
            Outcome::Done => {
                self.metrics.transactions_committed.inc();
                self.metrics.transaction_seconds.observe(since.elapsed().as_secs_f64());
                match self.unspool() {
                    Ok(()) => Ok(Some(positions)),
                    // The caller would go back to before these positions, which are committed: the group must say.
                    Err(Interrupted::Rewind(error)) => Err(self.give_up(error)),
                    Err(other) => Err(other),
                }
            }
            Outcome::Aborted(error) => {
                self.metrics.transactions_aborted.inc();
                self.spool.clear();
                Err(Interrupted::Rewind(error))
            }
            Outcome::Unknown(error) => Err(self.give_up(error)),
        }
    }
}

impl<S, P, F> Deliver<S> for ExactlyOnce<P, F>
where
    S: Source<Group = P::Group>,
    P: TransactionalProducer,
    F: FnMut() -> Result<P, ClientError>,
{
    fn start(&mut self) -> Result<(), Interrupted> {
        let mut backoff = Duration::from_millis(100);
        if self.transactor.take().is_some() {
            self.metrics.transactions_rebuilt.inc();
        }
        self.state = State::Idle;
        self.spool.clear();
        loop {
            let started = (self.make)().and_then(|producer| {
                Transactor::start(&self.name, Arc::new(producer), self.limits)
                    .map_err(|error| ClientError::new(Diagnosis::Fatal, "starting a thread", error.to_string()))
            });
            let error = match started {
                Ok(mut transactor) => {
                    transactor.init();
                    self.transactor = Some(transactor);
                    match self.wait_stoppable() {
                        Ok(Outcome::Done) => {
                            (self.on_trouble)(None);
                            return Ok(());
                        }
                        Ok(Outcome::Aborted(error) | Outcome::Unknown(error)) => error,
                        Err(cancelled) => {
                            self.transactor = None;
                            return Err(cancelled);
                        }
                    }
                }
                Err(error) => error,
            };
            self.transactor = None;
            (self.on_trouble)(Some(&error));
            self.sleep(backoff)?;
            backoff = (backoff * 2).min(MAX_BACKOFF);
        }
    }

    fn emit(
        &mut self,
        record: &OutRecord<'_>,
        topic: &Arc<str>,
        _slot: SlotId,
        _position: Option<i64>,
    ) -> Result<(), Interrupted> {
        match self.state {
            State::Committing { .. } => {
                self.spool.push(record, topic);
                Ok(())
            }
            State::Idle if self.transactor.is_none() => Err(Interrupted::Cancelled),
            State::Idle => {
                self.begin()?;
                self.produce(record)
            }
            State::Open => self.produce(record),
        }
    }

    fn progress(&mut self, _source: &S, wait: Duration) -> Result<Option<Positions>, Interrupted> {
        match self.state {
            State::Idle => Ok(None),
            State::Open => {
                let producer = self.transactor().producer();
                producer.serve(Duration::ZERO);
                if let Some(error) = producer.failure() {
                    return Err(self.abort(error));
                }
                Ok(None)
            }
            State::Committing { .. } => {
                // A full spool waits for the commit: nothing grows without a bound.
                let wait = if self.spool.len() > self.spool_bytes || !self.overlap { self.limits.whole } else { wait };
                let deadline = Instant::now() + wait;
                loop {
                    self.pulse.beat();
                    let step = deadline.saturating_duration_since(Instant::now()).min(Duration::from_millis(50));
                    if let Some(outcome) = self.transactor().outcome(step) {
                        return self.ended(outcome);
                    }
                    if self.pulse.is_abandoned() {
                        return Err(Interrupted::Cancelled);
                    }
                    if Instant::now() >= deadline {
                        return Ok(None);
                    }
                }
            }
        }
    }

    fn can_commit(&self) -> bool {
        !matches!(self.state, State::Committing { .. })
    }

    fn commit(&mut self, source: &S, positions: Positions) -> Result<(), Interrupted> {
        if positions.is_empty() {
            return Ok(());
        }
        if self.transactor.is_none() {
            // A wish of the supervisor cut the start of a new producer short.
            return Err(Interrupted::Cancelled);
        }
        if matches!(self.state, State::Idle) {
            // Offsets without outputs (a block that was all aborted records) still travel in a transaction.
            self.begin()?;
        }
        let Some(group) = source.group() else {
            let error = ClientError::new(Diagnosis::Abortable, "committing", "the consumer has left its group");
            return Err(self.abort(error));
        };
        self.transactor().commit(positions.clone(), group);
        self.state = State::Committing { positions, since: Instant::now() };
        Ok(())
    }

    fn settle(&mut self, _source: &S, _deadline: Instant) -> Result<Option<Positions>, Interrupted> {
        if !matches!(self.state, State::Committing { .. }) {
            return Ok(None);
        }
        // The transactor has a deadline of its own, after which the outcome is unknown.
        let outcome = self.wait()?;
        self.ended(outcome)
    }

    fn discard(&mut self) -> Result<Option<Positions>, Interrupted> {
        self.spool.clear();
        match self.state {
            State::Idle => Ok(None),
            State::Open => {
                let error = ClientError::new(Diagnosis::Abortable, "rebalancing", "the partitions were lost");
                match self.abort(error) {
                    Interrupted::Rewind(_) => Ok(None),
                    other => Err(other),
                }
            }
            State::Committing { .. } => {
                let outcome = self.wait()?;
                match self.ended(outcome) {
                    Err(Interrupted::Rewind(_)) => Ok(None),
                    ended => ended,
                }
            }
        }
    }

    fn buffered_bytes(&self) -> usize {
        self.spool.len()
    }
}

impl<P: TransactionalProducer, F> ExactlyOnce<P, F> {
    fn wait_stoppable(&mut self) -> Result<Outcome, Interrupted> {
        loop {
            self.pulse.beat();
            let transactor = self.transactor.as_mut().expect("it was just made");
            if let Some(outcome) = transactor.outcome(Duration::from_millis(50)) {
                return Ok(outcome);
            }
            if self.pulse.stopping() || self.pulse.is_abandoned() {
                return Err(Interrupted::Cancelled);
            }
        }
    }

    fn sleep(&self, pause: Duration) -> Result<(), Interrupted> {
        let until = Instant::now() + pause;
        while Instant::now() < until {
            self.pulse.beat();
            if self.pulse.stopping() || self.pulse.is_abandoned() {
                return Err(Interrupted::Cancelled);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}
