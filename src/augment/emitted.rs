//! The newest records that were published, by digest: what comes back without its headers is known all the same.
//!
//! A digest has 64 bits. A record that nobody published is taken for one of 262,144 that somebody did once in 7 * 10^13 records.
//!
//! What the topic repeats of itself is not among them: a generator of a topic of few values draws just these, and nobody could tell
//! the one from the other. Refused, they would be missing where they are most of the topic.

use std::collections::{HashMap, HashSet, VecDeque};

use xxhash_rust::xxh3::xxh3_64;

/// Digests of what was published, by this process and by others.
#[derive(Debug, Default)]
pub struct Emitted {
    known: HashMap<u64, Times>,
    order: VecDeque<u64>,
    /// Those of this process that nobody else was told of yet.
    untold: VecDeque<u64>,
    /// What the topic repeats of itself.
    repeated: HashSet<u64>,
}

/// How often something was published, and came back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Times {
    published: u32,
    returned: u32,
}

impl Times {
    /// Whether it comes back so much more often than it was published that it must be the topic's own. What is read again after a
    /// transaction was aborted, or written twice on its way, is not that often.
    fn is_of_the_topic(self) -> bool {
        self.returned > self.published.saturating_add(1).saturating_mul(4)
    }
}

/// What a record is known by.
pub fn digest(record: &[u8]) -> u64 {
    xxh3_64(record)
}

impl Emitted {
    /// Records that are remembered, over all who publish.
    pub const MOST: usize = 1 << 18;

    /// A record was published here. The oldest of too many is forgotten.
    pub fn add(&mut self, record: &[u8]) {
        let digest = digest(record);
        if let Some(times) = self.known.get_mut(&digest) {
            times.published = times.published.saturating_add(1);
        } else if self.remember(digest) {
            push(&mut self.untold, digest);
        }
    }

    /// Others published these, the oldest first. How many of them are news.
    pub fn add_of_others(&mut self, digests: &[u64]) -> usize {
        digests.iter().filter(|digest| self.remember(**digest)).count()
    }

    /// Whether a record is one of them.
    pub fn knows(&self, record: &[u8]) -> bool {
        if self.known.is_empty() {
            return false;
        }
        let digest = digest(record);
        self.known.contains_key(&digest) && !self.repeated.contains(&digest)
    }

    /// The same of a record that comes in now, which is counted.
    pub fn refuses(&mut self, record: &[u8]) -> bool {
        if self.known.is_empty() {
            return false;
        }
        let digest = digest(record);
        let Some(times) = self.known.get_mut(&digest) else { return false };
        times.returned = times.returned.saturating_add(1);
        if times.is_of_the_topic() {
            self.known.remove(&digest);
            return false;
        }
        !self.repeated.contains(&digest)
    }

    /// The topic repeats these of itself now, by digest, and no others.
    pub fn repeats(&mut self, repeated: HashSet<u64>) {
        self.repeated = repeated;
    }

    /// What was published here and nobody else was told of yet, the oldest first. From here on it counts as told.
    pub fn take_untold(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.untold).into()
    }

    /// Whether a digest is a new one.
    fn remember(&mut self, digest: u64) -> bool {
        let is_new = !self.repeated.contains(&digest) && !self.known.contains_key(&digest);
        if is_new {
            self.known.insert(digest, Times { published: 1, returned: 0 });
        }
        if is_new && let Some(oldest) = push(&mut self.order, digest) {
            self.known.remove(&oldest);
        }
        is_new
    }
}

/// Adds the newest; the oldest, when it has to go for it.
fn push(digests: &mut VecDeque<u64>, newest: u64) -> Option<u64> {
    digests.push_back(newest);
    if digests.len() > Emitted::MOST { digests.pop_front() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = Emitted::MOST;

    fn record(number: usize) -> Vec<u8> {
        number.to_string().into_bytes()
    }

    #[test]
    fn the_newest_are_known_and_no_more_than_there_is_room_for() {
        let mut emitted = Emitted::default();
        assert!(!emitted.knows(b"0"));
        (0..MOST + 10).for_each(|number| emitted.add(&record(number)));
        emitted.add(&record(MOST));
        assert!(!emitted.knows(b"9") && emitted.knows(b"10") && emitted.knows(&record(MOST + 9)));
        assert_eq!((emitted.known.len(), emitted.order.len(), emitted.untold.len()), (MOST, MOST, MOST));
    }

    #[test]
    fn what_the_topic_repeats_is_not_taken_for_generated() {
        let mut emitted = Emitted::default();
        emitted.repeats([digest(b"often"), digest(b"sometimes")].into());
        [&b"often"[..], b"drawn"].iter().for_each(|record| emitted.add(record));
        assert!(emitted.knows(b"drawn") && !emitted.knows(b"often"));
        assert_eq!(
            (emitted.take_untold(), emitted.add_of_others(&[digest(b"sometimes")])),
            (vec![digest(b"drawn")], 0)
        );
        // What was published before the topic repeated it is let through from then on.
        emitted.repeats([digest(b"drawn")].into());
        assert!(!emitted.knows(b"drawn"));
    }

    #[test]
    fn what_comes_back_far_more_often_than_it_was_published_is_of_the_topic() {
        let mut emitted = Emitted::default();
        (0..2).for_each(|_| emitted.add(b"ok"));
        // Four times of one more than that.
        let refused = (0..40).filter(|_| emitted.refuses(b"ok")).count();
        assert_eq!((refused, emitted.knows(b"ok"), emitted.refuses(b"other")), (12, false, false));
    }

    #[test]
    fn what_others_published_is_known_and_takes_room_but_is_not_told_again() {
        let (mut one, mut other) = (Emitted::default(), Emitted::default());
        (0..100).for_each(|number| one.add(&record(number)));
        let told = one.take_untold();
        assert_eq!((told.len(), one.take_untold().len()), (100, 0));
        assert_eq!((other.add_of_others(&told), other.add_of_others(&told)), (100, 0));
        assert!(other.knows(b"0") && other.knows(b"99") && !other.knows(b"100"));
        // What another one published is that one's to tell.
        other.add(b"99");
        assert_eq!(other.take_untold().len(), 0);
        other.add(b"100");
        assert_eq!(other.take_untold().len(), 1);
        // All together have one bound.
        (1_000..1_000 + MOST - 1).for_each(|number| other.add(&record(number)));
        assert!(!other.knows(b"99") && other.knows(b"100") && other.order.len() == MOST);
    }
}
