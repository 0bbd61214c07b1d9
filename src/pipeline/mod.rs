//! The data's way through one pipeline: intake, interpret, encode, deliver.

pub mod augment;
pub mod deliver;
#[cfg(test)]
mod faults;
mod health;
mod holdings;
mod inheritance;
pub mod kafka_zstd;
pub mod learn;
mod observer;
mod output;
mod pulse;
mod replication;
mod settings;
mod slots;
pub mod stage;
mod supervisor;
mod survey;
mod tally;
#[cfg(test)]
mod testing;
mod topology;
mod worker;
mod workshop;

pub use augment::{Augmentation, Examiner, ExaminerParts, Ledger, LedgerParts, Licence};
pub use holdings::Holdings;
pub use learn::{
    CpuTime, Curriculum, Images, Learner, Lesson, LessonParts, Pieces, Publication, Run, SEED, Subject, SubjectError,
};
pub use observer::{MemoryUse, Observer};
pub use pulse::Pulse;
pub use settings::{
    AugmentSettings, AutoSettings, BlockSettings, CodecChoice, DeadLetter, Delivery, EncodingHeader, Gates,
    GeneratorChoice, LabelSource, Layout, LearnSettings, MissingModelPolicy, Operation, Payload, Settings,
    SourceTopics, TopicTemplate,
};
pub use supervisor::Pipeline;
pub use survey::{Answer, survey};
pub use workshop::{Identity, Workshop, WorkshopParts};
