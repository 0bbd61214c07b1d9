//! The thread that learns: has a training done when it is time, and publishes what is better.
//!
//! Of all processes of a group one trains: the one that holds partition 0 of the pipeline's first topic. The others
//! look into the registry and take what was published.

mod adoption;
mod trainings;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::pace::{Counts, Pace};
use super::renewal::Decision;
use super::study::Study;
use super::{
    Course, CourseError, CourseParts, Curriculum, Learner, Lecture, Load, Reason, Seat, Stream, Trainer, TrainerError,
    Turns,
};
use crate::codec::CodecError;
use crate::cost::Prices;
use crate::pipeline::augment::{Examiner, ExaminerError, Subject as Examinee};
use crate::pipeline::holdings::Holdings;
use crate::pipeline::pulse::Pulse;
use crate::pipeline::settings::{GeneratorChoice, Payload, Settings};
use crate::registry::{Activation, Registry, RegistryError, Signature};
use crate::telemetry::{LearningReport, PipelineStatus, ProgressReport, PublishedKind, thread_cpu_seconds};

/// How often the thread looks around.
const TICK: Duration = Duration::from_millis(500);

/// How often the newest records are looked at.
const LOOK: Duration = Duration::from_secs(10);

/// How often the registry is asked for a new model: other processes follow within ten seconds.
const FOLLOW: Duration = Duration::from_secs(8);

/// Pause after a registry did not answer.
const RETRY: Duration = Duration::from_secs(10);

/// Shortest time between two changes among codecs that were tried already.
const SWITCH: Duration = Duration::from_secs(60);

/// What a lesson is made from.
pub struct LessonParts {
    /// What the workers show their records to.
    pub learner: Learner,
    /// What the pipeline is told.
    pub settings: Settings,
    /// What it learns.
    pub curriculum: Curriculum,
    /// What CPU and bytes cost.
    pub prices: Prices,
    /// Where models go.
    pub registry: Registry,
    /// What runs the registry's requests.
    pub runtime: Handle,
    /// The partitions that this process holds.
    pub holdings: Holdings,
    /// Who changes models: name and instance of the process.
    pub by: String,
    /// What shows the model in use.
    pub status: Arc<PipelineStatus>,
    /// What judges generated records, where the pipeline generates.
    pub examiner: Option<Examiner>,
    /// A permit for each training of minutes that may go on at the same time, in all pipelines together.
    pub threads: Arc<Semaphore>,
    /// Whose turn it is to take much memory, in all pipelines together.
    pub turns: Turns,
}

/// What a training comes to.
type Lectured = Result<Lecture, TrainerError>;

/// The loop.
pub struct Lesson {
    parts: LessonParts,
    trainer: Trainer,
    begun: Instant,
    pace: Pace,
    known: Option<Activation>,
    looked: Option<Instant>,
    followed: Option<Instant>,
    switched: Option<Instant>,
    study: Option<Study<Lectured>>,
    /// What is learned to draw from beside the codec.
    course: Option<Course>,
    /// Where turns are asked for.
    seat: Seat,
    saved: Instant,
    told: Instant,
    /// Whether there is a training of this pipeline that was begun and not ended is known.
    looked_back: bool,
}

/// Why a lesson led to nothing.
#[derive(Debug, thiserror::Error)]
enum LessonError {
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Trainer(#[from] TrainerError),
    #[error("the model in the registry is of no use: {0}")]
    Codec(#[from] CodecError),
    #[error("records are not generated: {0}")]
    Examiner(#[from] ExaminerError),
    #[error("no generator was learned: {0}")]
    Course(#[from] CourseError),
    #[error("no thread to train on: {0}")]
    Thread(#[from] std::io::Error),
    #[error("the thread that trained broke down: this is an error of latentd, please report it")]
    Broken,
}

impl Lesson {
    /// A loop that has not started.
    pub fn new(parts: LessonParts) -> Self {
        let trainer = Trainer::new(parts.curriculum.clone(), parts.prices, parts.learner.clone());
        let course = Course::new(CourseParts {
            learner: parts.learner.clone(),
            settings: parts.settings.clone(),
            learn: parts.curriculum.learn(),
            registry: parts.registry.clone(),
            runtime: parts.runtime.clone(),
            by: parts.by.clone(),
            status: Arc::clone(&parts.status),
            threads: Arc::clone(&parts.threads),
        });
        let (now, seat) = (Instant::now(), Seat::new(parts.turns.clone()));
        Self {
            parts,
            course,
            seat,
            trainer,
            begun: now,
            pace: Pace::default(),
            known: None,
            looked: None,
            followed: None,
            switched: None,
            study: None,
            saved: now,
            told: now,
            looked_back: false,
        }
    }

    /// Takes the model that the registry says is in use, if it says so in time: a restart goes on where it was, and knows what was
    /// published before it.
    pub fn resume(&mut self) {
        self.parts.learner.look_around();
        if !self.parts.curriculum.is_idle()
            && let Err(error) = self.follow()
        {
            self.complain("registry", &error);
        }
        self.follow_course();
    }

    /// Runs until asked to stop.
    pub fn run(mut self, wishes: &Pulse) {
        let mut not_before = Instant::now();
        while !wishes.stopping() {
            std::thread::sleep(TICK);
            if Instant::now() < not_before {
                continue;
            }
            let stepped = self.step();
            self.seat.looked_around();
            if let Err(error) = stepped {
                self.complain("learning", &error);
                // Others go first meanwhile.
                self.seat = Seat::new(self.parts.turns.clone());
                not_before = Instant::now() + RETRY;
            }
        }
        self.leave();
        if let Some(course) = &mut self.course {
            course.leave();
        }
        self.parts.learner.save_published();
    }

    fn complain(&self, kind: &'static str, error: &LessonError) {
        self.parts.status.error(kind, error);
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    fn counts(&self) -> Counts {
        let metrics = self.parts.status.metrics();
        Counts {
            records: metrics.consumed_records.get(),
            bytes: metrics.consumed_bytes.get(),
            written: metrics.published(PublishedKind::Compressed).records.get(),
        }
    }

    fn stream(&self) -> Stream {
        let counts = self.counts();
        // A first training comes before there is much of a pace: then the mean has to do.
        let seconds = self.now().as_secs_f64().max(1.0);
        let mean_block = counts.bytes.checked_div(counts.written).and_then(|mean| usize::try_from(mean).ok());
        Stream {
            records: counts.records,
            block_bytes: self.pace.block_bytes().or(mean_block).unwrap_or(usize::MAX),
            load: Load {
                bytes_per_second: self.pace.bytes_per_second().max(counts.bytes as f64 / seconds),
                records_per_second: self.pace.records_per_second().max(counts.records as f64 / seconds),
                workers: self.parts.settings.workers,
                life: self.parts.curriculum.learn().every,
            },
        }
    }

    fn step(&mut self) -> Result<(), LessonError> {
        let looks = self.looked.is_none_or(|looked| looked.elapsed() >= LOOK);
        if looks {
            // First, so that an error is no reason to ask again at once.
            self.looked = Some(Instant::now());
            self.pace.sample(self.now(), self.counts());
        }
        if self.followed.is_none_or(|followed| followed.elapsed() >= FOLLOW) {
            self.followed = Some(Instant::now());
            self.parts.learner.look_around();
            self.follow_course();
            if !self.parts.curriculum.is_idle() {
                self.follow()?;
            }
        }
        self.examine();
        self.draw();
        if !self.trains() {
            self.leave();
            self.looked_back = false;
            self.parts.status.set_learning(LearningReport {
                decision: "wait".to_owned(),
                cause: "elsewhere".to_owned(),
                reason: "the process that holds the topic's first partition trains".to_owned(),
                ..LearningReport::default()
            });
            return Ok(());
        }
        if self.parts.curriculum.is_idle() {
            self.idle();
            return Ok(());
        }
        let stream = self.stream();
        if looks {
            // What cannot be looked at can still be replaced.
            if let Err(error) = self.trainer.look(&stream, &thread_cpu_seconds) {
                self.complain("learning", &error.into());
            }
            if self.study.is_none() {
                self.reconsider(&stream)?;
            }
        }
        if self.study.is_none() && !self.looked_back {
            self.go_on(&stream)?;
        }
        if self.study.is_some() {
            return self.attend(&stream);
        }
        let asked = self.parts.status.control().is_training_asked();
        let decision = match asked {
            true => self.trainer.decide_what_is_asked(),
            false => self.trainer.decide(self.now(), stream.records),
        };
        match decision {
            Decision::Train(cause) => self.begin(cause, &stream),
            Decision::Wait(_) => {
                self.tell(&decision);
                Ok(())
            }
        }
    }

    /// Nothing is learned to code with: what is asked for is another generator.
    fn idle(&mut self) {
        let control = self.parts.status.control();
        if control.is_training_asked() {
            control.training_begins();
            if let Some(course) = &mut self.course {
                course.wish(Reason::Asked);
            }
        }
        self.parts.status.set_learning(LearningReport {
            decision: "wait".to_owned(),
            cause: "nothing".to_owned(),
            reason: "nothing is coded here: what draws is learned alone".to_owned(),
            ..LearningReport::default()
        });
    }

    /// Lets generated records of the model in use be judged, when it is time.
    fn examine(&mut self) {
        let Some(examiner) = &mut self.parts.examiner else { return };
        let model = self.known.as_ref().and_then(|known| known.model);
        let setup = self.trainer.setup();
        let own = setup.zip(model).and_then(|(setup, model)| {
            Some(Examinee { model, family: setup.family()?, artefact: Arc::clone(setup.artefact.as_ref()?) })
        });
        let augment = self.parts.settings.augment.as_ref();
        let has_fields = self.parts.settings.payload != Payload::Image;
        let draws = augment.is_some_and(|augment| match augment.generator {
            GeneratorChoice::Auto => has_fields && !augment.is_conditional(),
            GeneratorChoice::Columns => has_fields,
            GeneratorChoice::Autoregressive
            | GeneratorChoice::Vae
            | GeneratorChoice::Gan
            | GeneratorChoice::Classical => false,
        });
        // What is learned for nothing else draws better than what codes.
        let learned = self.course.as_ref().and_then(Course::in_use).cloned();
        let subjects: Vec<Examinee> = learned.into_iter().chain(own.filter(|_| draws)).collect();
        let judges = match self.parts.settings.from.first_topic() {
            Some(topic) => self.parts.holdings.hold_first_of(topic),
            None => self.parts.holdings.hold_a_first(),
        };
        let looked = examiner.look(&subjects, judges, &self.parts.learner, &mut self.seat);
        if let Some(course) = &mut self.course
            && let Some(in_use) = course.in_use()
            && examiner.has_fallen(&in_use.model)
        {
            course.wish(Reason::Fallen);
        }
        if let Err(error) = looked {
            self.complain("augment", &error.into());
        }
    }

    /// Lets the generator be learned that is drawn from beside the codec.
    fn draw(&mut self) {
        let (trains, at) = (self.trains(), self.now());
        let Some(course) = &mut self.course else { return };
        if !trains {
            return course.rest();
        }
        if let Err(error) = course.step(at, self.parts.examiner.as_mut(), &mut self.seat) {
            self.complain("generator", &error.into());
        }
    }

    /// Takes the generator that somebody else put to use.
    fn follow_course(&mut self) {
        let at = self.now();
        if let Some(Err(error)) = self.course.as_mut().map(|course| course.follow(at)) {
            self.complain("registry", &error.into());
        }
    }

    fn tell(&self, decision: &Decision) {
        let (word, cause) = match decision {
            Decision::Train(cause) => ("train", cause.name()),
            Decision::Wait(wait) => ("wait", wait.name()),
        };
        self.report(word, cause, decision.to_string(), None);
    }

    /// Shows how learning stands, beside the figures of the moment.
    fn report(&self, decision: &str, cause: &str, reason: String, training: Option<ProgressReport>) {
        let figures = self.trainer.figures();
        self.parts.status.set_learning(LearningReport {
            decision: decision.to_owned(),
            cause: cause.to_owned(),
            reason,
            bytes_per_record: figures.live,
            expected_bytes_per_record: figures.expected,
            owed: figures.owed,
            price: figures.price,
            training,
            last: None,
        });
    }

    /// Whether this process trains.
    fn trains(&self) -> bool {
        let from = self.parts.settings.from.first_topic();
        match from {
            Some(topic) => self.parts.holdings.hold_first_of(topic),
            None => self.parts.holdings.hold_a_first(),
        }
    }

    /// Changes to another codec that was tried already, where the stream asks for it now.
    fn reconsider(&mut self, stream: &Stream) -> Result<(), LessonError> {
        if self.switched.is_some_and(|switched| switched.elapsed() < SWITCH) {
            return Ok(());
        }
        let Some((better, choice)) = self.trainer.reconsider(&stream.load) else { return Ok(()) };
        let setup = self.put_to_use(&better, None)?;
        self.trainer.adopt(setup);
        self.show_choice(Some(&choice));
        Ok(())
    }

    fn signature(&self) -> Signature {
        let at = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        Signature { by: self.parts.by.clone(), at, retention_ms: self.parts.learner.retention_ms() }
    }
}
