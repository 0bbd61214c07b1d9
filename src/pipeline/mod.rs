//! The data's way through one pipeline.

mod settings;

pub use settings::{
    BlockSettings, DeadLetter, Delivery, EncodingHeader, Layout, LearnSettings, MissingModelPolicy, Operation,
    Settings, SourceTopics, TopicTemplate,
};
