//! Which positions may be committed when records finish out of order: the end of the contiguous finished prefix.

use std::collections::VecDeque;

/// What was sent from one partition and has not been acknowledged as a prefix yet.
#[derive(Debug, Default)]
pub struct PrefixTracker {
    /// Token of the first entry.
    first: usize,
    entries: VecDeque<Entry>,
    durable: Option<i64>,
}

#[derive(Debug)]
struct Entry {
    /// Where reading goes on once this entry and all before it are durable; `None` when more is to come of the same
    /// source record.
    position: Option<i64>,
    done: bool,
}

impl PrefixTracker {
    /// Notes an output that is on its way. Outputs are noted in the order of their source records.
    pub fn sent(&mut self, position: Option<i64>) -> usize {
        self.entries.push_back(Entry { position, done: false });
        self.first + self.entries.len() - 1
    }

    /// Notes that an output is durable.
    pub fn finished(&mut self, token: usize) {
        let Some(index) = token.checked_sub(self.first) else { return };
        if let Some(entry) = self.entries.get_mut(index) {
            entry.done = true;
        }
        while let Some(entry) = self.entries.front().filter(|entry| entry.done) {
            self.durable = entry.position.or(self.durable);
            self.entries.pop_front();
            self.first += 1;
        }
    }

    /// The position up to which everything is durable.
    pub fn durable(&self) -> Option<i64> {
        self.durable
    }

    /// Outputs on their way.
    #[cfg(test)]
    pub fn pending(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_position_never_passes_an_unfinished_output() {
        let mut tracker = PrefixTracker::default();
        let a = tracker.sent(Some(1));
        let b = tracker.sent(None);
        let c = tracker.sent(Some(2));
        let d = tracker.sent(Some(3));
        tracker.finished(d);
        tracker.finished(c);
        assert_eq!(tracker.durable(), None);
        tracker.finished(a);
        assert_eq!(tracker.durable(), Some(1));
        tracker.finished(b);
        assert_eq!(tracker.durable(), Some(3));
        assert_eq!(tracker.pending(), 0);
    }

    proptest! {
        #[test]
        fn in_any_order_the_durable_position_is_the_finished_prefix(order in Just((0..40usize).collect::<Vec<_>>()).prop_shuffle()) {
            let mut tracker = PrefixTracker::default();
            let tokens: Vec<usize> = (0..40).map(|i| tracker.sent(Some(i + 1))).collect();
            let mut done = [false; 40];
            for index in order {
                tracker.finished(tokens[index]);
                done[index] = true;
                let prefix = done.iter().take_while(|d| **d).count() as i64;
                prop_assert_eq!(tracker.durable().unwrap_or(0), prefix);
            }
        }
    }
}
