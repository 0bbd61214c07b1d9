//! The data's way through one pipeline.

pub mod deliver;
mod pulse;
mod settings;

pub use pulse::Pulse;
pub use settings::{
    BlockSettings, DeadLetter, Delivery, EncodingHeader, Layout, LearnSettings, MissingModelPolicy, Operation,
    Settings, SourceTopics, TopicTemplate,
};
