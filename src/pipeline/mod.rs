//! The data's way through one pipeline: intake, interpret, encode, deliver.

pub mod deliver;
#[cfg(test)]
mod faults;
mod health;
mod holdings;
mod inheritance;
mod learn;
mod observer;
mod output;
mod pulse;
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

pub use holdings::Holdings;
pub use learn::{Learner, Lesson, LessonParts, NewModel, Run, Subject, SubjectError};
pub use observer::{MemoryUse, Observer};
pub use pulse::Pulse;
pub use settings::{
    BlockSettings, DeadLetter, Delivery, EncodingHeader, Layout, LearnSettings, MissingModelPolicy, Operation,
    Settings, SourceTopics, TopicTemplate,
};
pub use supervisor::Pipeline;
pub use survey::survey;
pub use workshop::{Identity, Workshop, WorkshopParts};
