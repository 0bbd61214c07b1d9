//! The partitions that this process holds of a pipeline, all its workers together.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::record::TopicPartition;

/// The partitions held. Cheap to clone.
///
/// Each with the number of workers that hold it: a partition that moves from one to another may be given before it is taken.
#[derive(Clone, Debug, Default)]
pub struct Holdings(Arc<Mutex<BTreeMap<TopicPartition, usize>>>);

impl Holdings {
    /// Partitions were given to a worker.
    pub fn add(&self, partitions: &[TopicPartition]) {
        let mut held = self.lock();
        for at in partitions {
            *held.entry(at.clone()).or_default() += 1;
        }
    }

    /// Partitions were taken from a worker that held them.
    pub fn remove(&self, partitions: &[TopicPartition]) {
        let mut held = self.lock();
        for at in partitions {
            if let Some(holders) = held.get_mut(at) {
                *holders -= 1;
                if *holders == 0 {
                    held.remove(at);
                }
            }
        }
    }

    /// Whether partition 0 of this topic is held: of all processes of a group, exactly one holds it, and that one
    /// trains.
    pub fn hold_first_of(&self, topic: &str) -> bool {
        self.lock().keys().any(|at| at.partition == 0 && *at.topic == *topic)
    }

    /// Whether partition 0 of any topic is held: what stands in for [`Holdings::hold_first_of`] where topics are found by
    /// a pattern. Two processes may then train; the registry lets one of them win.
    pub fn hold_a_first(&self) -> bool {
        self.lock().keys().any(|at| at.partition == 0)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TopicPartition, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_that_moves_between_workers_is_held_whichever_hears_of_it_first() {
        let holdings = Holdings::default();
        let first = [TopicPartition::new("t", 0)];
        holdings.add(&first);
        holdings.add(&first);
        holdings.remove(&first);
        assert!(holdings.hold_first_of("t"));
        holdings.remove(&first);
        holdings.remove(&first);
        assert!(!holdings.hold_first_of("t") && !holdings.hold_a_first());
    }
}
