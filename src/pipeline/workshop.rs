//! Everything a worker of one pipeline is made from, and the making.

use std::sync::Arc;
use std::time::Duration;

use super::augment::{Augmentation, Augmenter};
use super::deliver::{AtLeastOnce, AtLeastOnceParts, Deliver, ExactlyOnce, ExactlyOnceParts, Limits};
use super::learn::Learner;
use super::observer::{Observer, WorkerObserver};
use super::pulse::Pulse;
use super::settings::{Delivery, Layout, Operation, Settings};
use super::stage::{Coder, CompressBlocks, CompressRecords, Observe, Restore, Stage};
use super::topology::Topology;
use super::worker::{Exit, Worker, WorkerParts};
use crate::codec::{CodecError, ModelSource};
use crate::sink::{KafkaProducer, ProducerSettings};
use crate::source::{ClientError, ConsumerSettings, Diagnosis, KafkaSettings, KafkaSource, Leaver};
use crate::telemetry::PublishedKind;
use crate::units::ByteSize;

/// Who this process is among the processes of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// `daemon.name`.
    pub name: String,
    /// `daemon.instance`: stable over restarts, different for every running process.
    pub instance: String,
}

/// What a [`Workshop`] is made from.
pub struct WorkshopParts {
    /// What the pipeline is told.
    pub settings: Settings,
    /// The cluster.
    pub kafka: KafkaSettings,
    /// Who we are.
    pub identity: Identity,
    /// Bytes that one worker may hold in flight.
    pub memory_per_worker: ByteSize,
    /// Time to finish in.
    pub drain_timeout: Duration,
    /// Where models are found.
    pub models: Arc<dyn ModelSource>,
    /// What learns, when the pipeline learns.
    pub learner: Option<Learner>,
    /// What generates, when the pipeline generates.
    pub augmentation: Option<Augmentation>,
    /// Who is told what happens.
    pub observer: Observer,
}

/// Makes workers of one pipeline.
#[derive(Clone)]
pub struct Workshop {
    parts: Arc<WorkshopParts>,
}

/// A worker has come to life.
pub struct Started {
    /// With which another thread can make it leave its group.
    pub leaver: Leaver,
}

/// How a worker's memory is shared out, in eighths: fetched records, records to be acknowledged, outputs that wait for
/// a commit, open blocks.
const SHARES: Shares = Shares { fetched: 3, sent: 3, spooled: 1, open: 1 };

struct Shares {
    fetched: u64,
    sent: u64,
    spooled: u64,
    open: u64,
}

impl Workshop {
    /// A workshop.
    pub fn new(parts: WorkshopParts) -> Self {
        Self { parts: Arc::new(parts) }
    }

    /// What the pipeline is told.
    pub fn settings(&self) -> &Settings {
        &self.parts.settings
    }

    /// Says to what learns how long what is written is kept.
    pub fn note_retention(&self, retention_ms: Option<i64>) {
        if let Some(learner) = &self.parts.learner {
            learner.note_retention(retention_ms);
        }
    }

    /// The cluster.
    pub fn kafka(&self) -> &KafkaSettings {
        &self.parts.kafka
    }

    /// Who is told what happens.
    pub fn observer(&self) -> &Observer {
        &self.parts.observer
    }

    /// Time to finish in.
    pub fn drain_timeout(&self) -> Duration {
        self.parts.drain_timeout
    }

    /// The consumer group of the pipeline.
    pub fn group(&self) -> String {
        format!("{}.{}", self.parts.identity.name, self.parts.settings.name)
    }

    fn transactional_id(&self, index: usize) -> String {
        let Identity { name, instance } = &self.parts.identity;
        format!("{name}-{}-{instance}-{index}", self.parts.settings.name)
    }

    fn share(&self, eighths: u64) -> u64 {
        self.parts.memory_per_worker.bytes() / 8 * eighths
    }

    /// Makes a worker and runs it to its end, on this thread.
    pub fn run(
        &self,
        index: usize,
        topology: &Arc<Topology>,
        pulse: &Arc<Pulse>,
        observer: &Arc<WorkerObserver>,
        started: impl FnOnce(Started),
    ) -> Exit {
        let stage = match self.stage() {
            Ok(stage) => stage,
            Err(CodecError::MissingModel(missing)) => {
                return Exit::Restart(ClientError::new(Diagnosis::Retriable, "loading a model", missing.to_string()));
            }
            Err(error) => return Exit::Failed(error.to_string()),
        };
        let consumer = ConsumerSettings {
            kafka: self.parts.kafka.clone(),
            group: self.group(),
            topics: self.parts.settings.from.subscription(),
            queue_bytes: self.share(SHARES.fetched),
        };
        let source = match KafkaSource::join(&consumer) {
            Ok(source) => source,
            Err(error) => return Exit::Restart(error),
        };
        started(Started { leaver: source.leaver() });
        let exactly_once = self.parts.settings.delivery == Delivery::ExactlyOnce;
        let producer = ProducerSettings {
            kafka: self.parts.kafka.clone(),
            transactional_id: exactly_once.then(|| self.transactional_id(index)),
            queue_bytes: self.share(SHARES.sent),
            max_record_bytes: topology.max_record(),
            max_batch_bytes: topology.max_batch(),
        };
        let make = move || KafkaProducer::create(&producer);
        let observer = Arc::clone(observer);
        let trouble = Arc::clone(&observer);
        if exactly_once {
            let deliver = ExactlyOnce::new(ExactlyOnceParts {
                name: format!("{}-{index}", self.parts.settings.name),
                make,
                limits: Limits::default(),
                overlap: self.parts.settings.overlap_commits,
                spool_bytes: usize::try_from(self.share(SHARES.spooled)).unwrap_or(usize::MAX),
                pulse: Arc::clone(pulse),
                metrics: observer.metrics().clone(),
                on_trouble: Box::new(move |error| match error {
                    Some(error) => trouble.recovering(error),
                    None => trouble.recovered(),
                }),
            });
            self.work(source, deliver, stage, topology, pulse, observer)
        } else {
            let deliver = AtLeastOnce::new(AtLeastOnceParts {
                make,
                limits: Limits::default(),
                pulse: Arc::clone(pulse),
                metrics: observer.metrics().clone(),
                on_uncommitted: Box::new(move |error| trouble.uncommitted(error)),
            });
            self.work(source, deliver, stage, topology, pulse, observer)
        }
    }

    fn work<D: Deliver<KafkaSource>>(
        &self,
        source: KafkaSource,
        deliver: D,
        stage: Box<dyn Stage>,
        topology: &Arc<Topology>,
        pulse: &Arc<Pulse>,
        observer: Arc<WorkerObserver>,
    ) -> Exit {
        let settings = &self.parts.settings;
        Worker::new(WorkerParts {
            source,
            deliver,
            stage,
            topology: Arc::clone(topology),
            kind: match settings.operation {
                Operation::Compress => PublishedKind::Compressed,
                Operation::Restore => PublishedKind::Restored,
                Operation::Generate => PublishedKind::Augmented,
            },
            commit_interval: settings.commit_interval,
            drain_timeout: self.parts.drain_timeout,
            augmenter: self
                .parts
                .augmentation
                .clone()
                .map(|augmentation| Augmenter::new(augmentation, settings.workers, observer.metrics().clone())),
            open_bytes: usize::try_from(self.share(SHARES.open)).unwrap_or(usize::MAX),
            pulse: Arc::clone(pulse),
            observer,
        })
        .run()
    }

    fn stage(&self) -> Result<Box<dyn Stage>, CodecError> {
        let WorkshopParts { settings, models, learner, augmentation, observer, .. } = &*self.parts;
        let augmentation = augmentation.as_ref();
        match settings.operation {
            Operation::Compress => {}
            Operation::Restore => return Ok(Box::new(Restore::new(settings, models, observer.metrics().clone()))),
            Operation::Generate => return Ok(Box::new(Observe::new(settings, learner.clone(), augmentation))),
        }
        let coder = Coder::new(settings, models, learner.clone(), augmentation, observer.metrics())?;
        Ok(match settings.layout {
            Layout::Record => Box::new(CompressRecords::new(coder, settings.headers)),
            Layout::Block => Box::new(CompressBlocks::new(coder, settings.headers, settings.block)),
        })
    }
}
