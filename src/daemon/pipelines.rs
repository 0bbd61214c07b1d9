//! The running pipelines, and how a configuration becomes them.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::codec::ModelSource;
use crate::config::Config;
use crate::cost::Prices;
use crate::pipeline::learn::Turns;
use crate::pipeline::{
    Augmentation, Curriculum, Examiner, ExaminerParts, Holdings, Identity, Learner, Ledger, LedgerParts, Lesson,
    LessonParts, MemoryUse, Observer, Operation, Pipeline, Pulse, Settings, SourceTopics, Workshop, WorkshopParts,
};
use crate::registry::{CacheSettings, ModelCache, Registry};
use crate::source::KafkaSettings;
use crate::telemetry::{PipelineInfo, PipelineState, PipelineStatus, StatusBoard};
use crate::units::ByteSize;

/// The seed of the records that a reservoir keeps.
const RESERVOIR_SEED: u64 = 1;

/// How long the end of a pipeline's learning is waited for.
const FAREWELL: Duration = Duration::from_secs(5);

/// All pipelines of the daemon.
pub struct PipelineSet {
    board: StatusBoard,
    registry: Registry,
    runtime: Handle,
    models: Arc<dyn ModelSource>,
    memory: Arc<MemoryUse>,
    identity: Identity,
    /// Trainings of minutes that may go on at the same time.
    training_threads: Arc<Semaphore>,
    /// Whose turn it is to take much memory for what is learned.
    turns: Turns,
    set: Mutex<Set>,
}

#[derive(Default)]
struct Set {
    running: BTreeMap<String, Running>,
    /// Everything was told to stop: nothing starts any more.
    closed: bool,
}

/// Why a pipeline was not started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The daemon is stopping.
    #[error("the daemon is stopping")]
    Closed,
    /// The operating system refused a thread.
    #[error("no thread for it: {0}")]
    Thread(#[source] io::Error),
}

struct Running {
    pipeline: Pipeline,
    lesson: Option<(Arc<Pulse>, JoinHandle<()>)>,
    augmentation: Option<Augmentation>,
    ledger: Option<Ledger>,
}

/// What all pipelines of one configuration have in common.
#[derive(Clone, Debug)]
pub struct Common {
    /// The cluster.
    pub kafka: KafkaSettings,
    /// Bytes that each worker may hold in flight.
    pub memory_per_worker: ByteSize,
    /// Time to finish in.
    pub deadline: Duration,
    /// What CPU and bytes cost.
    pub prices: Prices,
}

impl PipelineSet {
    /// No pipeline yet.
    pub fn new(board: StatusBoard, registry: Registry, runtime: Handle, config: &Config) -> Self {
        let models = ModelCache::new(registry.clone(), runtime.clone(), CacheSettings::default());
        let budget = i64::try_from(config.resources.memory.bytes()).unwrap_or(i64::MAX);
        board.metrics().memory_budget.set(budget);
        Self {
            board,
            registry,
            runtime,
            models: Arc::new(models),
            memory: Arc::default(),
            identity: Identity { name: config.daemon.name.clone(), instance: config.daemon.instance.clone() },
            training_threads: Arc::new(Semaphore::new(config.resources.training_threads)),
            turns: Turns::default(),
            set: Mutex::default(),
        }
    }

    /// The daemon's condition.
    pub fn board(&self) -> &StatusBoard {
        &self.board
    }

    fn lock(&self) -> MutexGuard<'_, Set> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a pipeline. One that cannot be started is shown as failed.
    pub fn start(&self, settings: &Settings, common: &Common) -> Result<(), StartError> {
        // Held to the end: what is told to stop is all there is.
        let mut set = self.lock();
        if set.closed {
            return Err(StartError::Closed);
        }
        let status = self.board.add(describe(settings));
        let running = self.run(settings, common, &status).map_err(|error| {
            let error = StartError::Thread(error);
            status.set_state(PipelineState::Failed, &error.to_string());
            error
        })?;
        set.running.insert(settings.name.clone(), running);
        Ok(())
    }

    fn run(&self, settings: &Settings, common: &Common, status: &Arc<PipelineStatus>) -> io::Result<Running> {
        let holdings = Holdings::default();
        let observer =
            Observer::new(self.board.clone(), Arc::clone(status), Arc::clone(&self.memory), holdings.clone());
        let curriculum = Curriculum::of(settings);
        let augmentation = settings
            .augment
            .clone()
            .map(|augment| Augmentation::new(augment, format!("/latentd/{}/{}", self.identity.name, settings.name)));
        let ledger = augmentation.clone().map(|augmentation| {
            Ledger::new(LedgerParts {
                augmentation,
                pipeline: settings.name.clone(),
                instance: self.identity.instance.clone(),
                registry: self.registry.clone(),
                runtime: self.runtime.clone(),
                status: Arc::clone(status),
            })
        });
        let learner = curriculum.as_ref().map(|own| {
            let learn = own.learn();
            let learner = Learner::new(learn.reservoir, learn.split, RESERVOIR_SEED, observer.metrics().clone());
            ledger.iter().cloned().fold(learner, Learner::knowing)
        });
        let by = format!("{}/{}", self.identity.name, self.identity.instance);
        let examiner = augmentation.clone().map(|augmentation| {
            Examiner::new(ExaminerParts {
                augmentation,
                pipeline: settings.name.clone(),
                shape: settings.shape,
                registry: self.registry.clone(),
                runtime: self.runtime.clone(),
                by: by.clone(),
                status: Arc::clone(status),
                clock: Instant::now,
            })
        });
        let lesson = match (curriculum, &learner) {
            (Some(curriculum), Some(learner)) => Some(self.teach(LessonParts {
                learner: learner.clone(),
                settings: settings.clone(),
                curriculum,
                prices: common.prices,
                registry: self.registry.clone(),
                runtime: self.runtime.clone(),
                holdings,
                by,
                status: Arc::clone(status),
                examiner,
                threads: Arc::clone(&self.training_threads),
                turns: self.turns.clone(),
            })?),
            _ => None,
        };
        let workshop = Workshop::new(WorkshopParts {
            settings: settings.clone(),
            kafka: common.kafka.clone(),
            identity: self.identity.clone(),
            memory_per_worker: common.memory_per_worker,
            // Something of the deadline is left for leaving the group and for the admin server.
            drain_timeout: common.deadline * 4 / 5,
            models: Arc::clone(&self.models),
            learner,
            augmentation: augmentation.clone(),
            observer,
        });
        match Pipeline::spawn(workshop) {
            Ok(pipeline) => Ok(Running { pipeline, lesson, augmentation, ledger }),
            Err(error) => {
                if let Some((wishes, _)) = lesson {
                    wishes.stop();
                }
                Err(error)
            }
        }
    }

    /// Whether a pipeline that was started has ended by itself.
    pub fn has_ended(&self, name: &str) -> bool {
        self.lock().running.get(name).is_none_or(|running| running.pipeline.has_ended())
    }

    /// What a pipeline generates with, where it runs and generates.
    pub fn augmentation(&self, name: &str) -> Option<Augmentation> {
        self.lock().running.get(name)?.augmentation.clone()
    }

    /// Whether everything was told to stop.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    fn teach(&self, parts: LessonParts) -> io::Result<(Arc<Pulse>, JoinHandle<()>)> {
        let wishes = Arc::new(Pulse::default());
        let own = Arc::clone(&wishes);
        let name = format!("{}-learn", parts.settings.name);
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            let mut lesson = Lesson::new(parts);
            lesson.resume();
            lesson.run(&own);
        })?;
        Ok((wishes, thread))
    }

    /// Stops pipelines, all at the same time; the names of those that did not end by the deadline.
    pub fn stop(&self, names: &[String], deadline: Instant) -> Vec<String> {
        let stopping: Vec<(String, Running)> = {
            let mut set = self.lock();
            names.iter().filter_map(|name| Some((name.clone(), set.running.remove(name)?))).collect()
        };
        for (_, running) in &stopping {
            running.pipeline.stop();
            if let Some((wishes, _)) = &running.lesson {
                wishes.stop();
            }
        }
        let ended = |(name, running): (String, Running)| {
            let left = (!running.pipeline.join(deadline)).then_some(name);
            // What the workers published while they ended, when the learning may have ended before them.
            let saving =
                running.ledger.and_then(|ledger| std::thread::Builder::new().spawn(move || ledger.save()).ok());
            let threads = running.lesson.map(|(_, thread)| thread).into_iter().chain(saving);
            let threads: Vec<JoinHandle<()>> = threads.collect();
            // A training is ended and what it came to is kept; one that does not end holds nothing that anybody waits for.
            let farewell = deadline.min(Instant::now() + FAREWELL);
            while threads.iter().any(|thread| !thread.is_finished()) && Instant::now() < farewell {
                std::thread::sleep(Duration::from_millis(10));
            }
            left
        };
        stopping.into_iter().filter_map(ended).collect()
    }

    /// Stops everything; nothing starts after it. What did not end by the deadline, in words.
    pub fn stop_all(&self, deadline: Instant) -> Vec<String> {
        let names: Vec<String> = {
            let mut set = self.lock();
            set.closed = true;
            set.running.keys().cloned().collect()
        };
        self.stop(&names, deadline).into_iter().map(|name| format!("pipeline `{name}`")).collect()
    }
}

/// A pipeline as the API shows it.
fn describe(settings: &Settings) -> PipelineInfo {
    let compresses = settings.operation == Operation::Compress;
    let from = match &settings.from {
        SourceTopics::Names(names) => names.clone(),
        SourceTopics::Pattern(pattern) => vec![pattern.clone()],
    };
    PipelineInfo {
        name: settings.name.clone(),
        operation: settings.operation.name().to_owned(),
        several_topics: from.len() > 1 || matches!(settings.from, SourceTopics::Pattern(_)),
        from,
        to: settings.to.as_str().to_owned(),
        codec: compresses.then(|| settings.codec.to_string()),
        layout: compresses.then(|| settings.layout.name().to_owned()),
        delivery: settings.delivery.name().to_owned(),
    }
}
