//! The partitions that this process holds of a pipeline, all its workers together.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::record::TopicPartition;

/// The partitions held. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Holdings(Arc<Mutex<BTreeSet<TopicPartition>>>);

impl Holdings {
    /// Partitions were given to a worker.
    pub fn add(&self, partitions: &[TopicPartition]) {
        self.lock().extend(partitions.iter().cloned());
    }

    /// Partitions were taken from a worker.
    pub fn remove(&self, partitions: &[TopicPartition]) {
        let mut held = self.lock();
        for at in partitions {
            held.remove(at);
        }
    }

    /// Whether partition 0 of this topic is held: of all processes of a group, exactly one holds it, and that one
    /// trains.
    pub fn hold_first_of(&self, topic: &str) -> bool {
        self.lock().iter().any(|at| at.partition == 0 && *at.topic == *topic)
    }

    /// Whether partition 0 of any topic is held: what stands in for [`Holdings::hold_first_of`] where topics are found by
    /// a pattern. Two processes may then train; the registry lets one of them win.
    pub fn hold_a_first(&self) -> bool {
        self.lock().iter().any(|at| at.partition == 0)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<TopicPartition>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
