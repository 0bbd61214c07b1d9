//! The input partitions a worker holds, and how far it is in each.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::deliver::SlotId;
use super::topology::Route;
use crate::record::TopicPartition;
use crate::source::Positions;

/// One input partition.
#[derive(Debug)]
pub struct Slot {
    /// Its number in this worker's life.
    pub id: SlotId,
    /// The partition.
    pub at: TopicPartition,
    /// Where its records go.
    pub route: Arc<Route>,
    /// Everything before this is committed, or was never ours; `None` until the first record is read.
    pub base: Option<i64>,
    /// The next offset to read.
    pub next: i64,
    /// Whether its next record waits for a model and the worker must do something about it.
    pub waiting: bool,
    /// Whether its next record waited for a model when it was last tried.
    pub lacking: bool,
    /// Whether it has given a record, or said that it has none, since reading was last in doubt.
    pub heard: bool,
    /// Whether the newest poll said that there is no more.
    pub at_end: bool,
    /// Records before this were committed by this worker when it held the partition before: they are passed over.
    pub done: i64,
}

/// All input partitions of a worker.
#[derive(Debug, Default)]
pub struct Slots {
    slots: Vec<Slot>,
    issued: SlotId,
    last: usize,
    /// What was committed here, of partitions held now and before.
    known: BTreeMap<TopicPartition, i64>,
}

impl Slots {
    /// Adds a partition.
    pub fn add(&mut self, at: TopicPartition, route: Arc<Route>) -> SlotId {
        let id = self.issued;
        self.issued += 1;
        self.slots.push(Slot {
            id,
            at,
            route,
            base: None,
            next: 0,
            waiting: false,
            lacking: false,
            heard: false,
            at_end: false,
            done: 0,
        });
        id
    }

    /// Of these partitions those that were held before and of which something was committed.
    pub fn held_before(&self, partitions: &[TopicPartition]) -> Vec<TopicPartition> {
        partitions.iter().filter(|at| self.known.contains_key(*at)).cloned().collect()
    }

    /// Passes over what was committed here before, of partitions for which the group has a position too. Where it has none the
    /// topic was made anew, or its records are to be read from their beginning.
    pub fn pass_over_what_is_done(&mut self, committed: &Positions) {
        for slot in &mut self.slots {
            if committed.iter().any(|(at, _)| *at == slot.at) {
                slot.done = self.known.get(&slot.at).copied().unwrap_or(0);
            }
        }
    }

    /// Removes a partition.
    pub fn remove(&mut self, at: &TopicPartition) -> Option<Slot> {
        let index = self.slots.iter().position(|slot| slot.at == *at)?;
        Some(self.slots.swap_remove(index))
    }

    /// The slot of a partition; records of one partition come in runs, so the last one is looked at first.
    pub fn find(&mut self, topic: &str, partition: i32) -> Option<&mut Slot> {
        let matches = |slot: &Slot| slot.at.partition == partition && *slot.at.topic == *topic;
        if !self.slots.get(self.last).is_some_and(matches) {
            self.last = self.slots.iter().position(matches)?;
        }
        self.slots.get_mut(self.last)
    }

    /// The slot of a number.
    pub fn get(&self, id: SlotId) -> Option<&Slot> {
        self.slots.iter().find(|slot| slot.id == id)
    }

    /// All slots.
    pub fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter()
    }

    /// All slots, to change them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.slots.iter_mut()
    }

    /// A partition of this number has no more records for now. Which topic's is not said. Each says so once when it
    /// comes to its end, so it is one that has given records since; or else one that was not heard from.
    pub fn at_end(&mut self, partition: i32) {
        let rank = |slot: &Slot| match (slot.heard, slot.at_end) {
            (true, false) => 0,
            (false, _) => 1,
            (true, true) => 2,
        };
        let ours = self.slots.iter_mut().filter(|slot| slot.at.partition == partition);
        if let Some(slot) = ours.min_by_key(|slot| rank(slot)) {
            slot.at_end = true;
            slot.heard = true;
        }
    }

    /// Whether there is nothing to read and nothing to commit.
    pub fn is_idle(&self) -> bool {
        !self.is_dirty() && self.slots.iter().all(|slot| slot.at_end)
    }

    /// Whether something was read and is not committed yet.
    pub fn is_dirty(&self) -> bool {
        self.slots.iter().any(|slot| slot.base.is_some_and(|base| slot.next > base))
    }

    /// The positions to commit.
    pub fn positions(&self) -> Positions {
        let dirty = self.slots.iter().filter(|slot| slot.base.is_some_and(|base| slot.next > base));
        dirty.map(|slot| (slot.at.clone(), slot.next)).collect()
    }

    /// Notes that positions are durable.
    pub fn committed(&mut self, positions: &Positions) {
        for (at, position) in positions {
            self.known.insert(at.clone(), *position);
            if let Some(slot) = self.slots.iter_mut().find(|slot| slot.at == *at) {
                slot.base = slot.base.map_or(Some(*position), |base| Some(base.max(*position)));
            }
        }
    }

    /// Goes back to what is committed: the positions to seek to.
    pub fn rewind(&mut self) -> Positions {
        let mut positions = Positions::new();
        for slot in &mut self.slots {
            if let Some(base) = slot.base {
                slot.next = base;
                slot.at_end = false;
                positions.push((slot.at.clone(), base));
            }
        }
        positions
    }

    /// Takes the group's word for what is committed.
    pub fn believe(&mut self, committed: &Positions) {
        let committed: BTreeMap<_, _> = committed.iter().map(|(at, position)| (at, *position)).collect();
        for slot in &mut self.slots {
            if let Some(position) = committed.get(&slot.at) {
                // What was committed here and acknowledged is committed, whatever a coordinator says that has just come back.
                let known = self.known.get(&slot.at).copied().unwrap_or(0);
                slot.base = Some(known.max(*position));
            }
        }
    }

    /// The partitions.
    pub fn partitions(&self) -> Vec<TopicPartition> {
        self.slots.iter().map(|slot| slot.at.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_topics_partitions_of_one_number_each_must_speak_to_be_heard() {
        let mut slots = Slots::default();
        let route = Arc::new(Route::for_tests());
        slots.add(TopicPartition::new("shut", 0), Arc::clone(&route));
        slots.add(TopicPartition::new("open", 0), route);
        let heard = |slots: &Slots| slots.iter().map(|slot| slot.heard).collect::<Vec<_>>();
        // Records of one and then its end, again and again, say nothing about the other.
        for _ in 0..3 {
            let open = slots.find("open", 0).unwrap();
            (open.heard, open.at_end) = (true, false);
            slots.at_end(0);
            assert_eq!(heard(&slots), [false, true]);
        }
        assert!(!slots.is_idle());
        slots.at_end(0);
        assert_eq!(heard(&slots), [true, true]);
        assert!(slots.is_idle());
    }

    #[test]
    fn rewinding_goes_to_the_last_committed_position_and_not_past_it() {
        let mut slots = Slots::default();
        let route = Arc::new(Route::for_tests());
        let at = TopicPartition::new("t", 1);
        slots.add(at.clone(), Arc::clone(&route));
        slots.add(TopicPartition::new("t", 2), route);
        let slot = slots.find("t", 1).unwrap();
        slot.base = Some(10);
        slot.next = 20;
        assert!(slots.is_dirty());
        assert_eq!(slots.positions(), vec![(at.clone(), 20)]);
        slots.committed(&vec![(at.clone(), 20)]);
        assert!(!slots.is_dirty());
        slots.find("t", 1).unwrap().next = 33;
        assert_eq!(slots.rewind(), vec![(at, 20)]);
        assert!(slots.find("t", 3).is_none());
    }
}
