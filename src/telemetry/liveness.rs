//! Whether the threads of the process move: what `/livez` answers.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The threads that are watched. Cheap to clone.
#[derive(Clone, Default)]
pub struct Liveness(Arc<Mutex<List>>);

#[derive(Default)]
struct List {
    issued: u64,
    entries: Vec<Entry>,
}

struct Entry {
    id: u64,
    name: String,
    limit: Duration,
    silence: Box<dyn Fn() -> Duration + Send + Sync>,
}

/// A thread that does not move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// Its name.
    pub name: String,
    /// How long it has not moved.
    pub silence: Duration,
    /// How long it may.
    pub limit: Duration,
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, silence, limit } = self;
        write!(f, "thread `{name}` has not moved for {} s (limit {} s)", silence.as_secs(), limit.as_secs())
    }
}

impl Liveness {
    /// Watches a thread until the guard is dropped. `silence` tells how long ago it last gave a sign of life; `limit`
    /// is longer than whatever replaces stuck workers needs to notice, so that the process is restarted only when
    /// that has failed too.
    #[must_use = "the thread is watched as long as the guard lives"]
    pub fn watch(
        &self,
        name: impl Into<String>,
        limit: Duration,
        silence: impl Fn() -> Duration + Send + Sync + 'static,
    ) -> Watched {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        list.issued += 1;
        let id = list.issued;
        list.entries.push(Entry { id, name: name.into(), limit, silence: Box::new(silence) });
        Watched { id, liveness: self.clone() }
    }

    /// The threads that do not move.
    pub fn stuck(&self) -> Vec<Stuck> {
        let list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        list.entries
            .iter()
            .map(|entry| Stuck { name: entry.name.clone(), silence: (entry.silence)(), limit: entry.limit })
            .filter(|stuck| stuck.silence > stuck.limit)
            .collect()
    }

    /// The names of the threads watched.
    pub fn names(&self) -> Vec<String> {
        let list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        list.entries.iter().map(|entry| entry.name.clone()).collect()
    }
}

impl fmt::Debug for Liveness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Liveness").field(&self.names()).finish()
    }
}

/// A thread being watched.
#[derive(Debug)]
pub struct Watched {
    id: u64,
    liveness: Liveness,
}

impl Drop for Watched {
    fn drop(&mut self) {
        let mut list = self.liveness.0.lock().unwrap_or_else(PoisonError::into_inner);
        list.entries.retain(|entry| entry.id != self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn a_thread_is_stuck_after_its_limit_and_forgotten_with_its_guard() {
        let silence = Arc::new(AtomicU64::new(10));
        let seen = Arc::clone(&silence);
        let liveness = Liveness::default();
        let watched = liveness
            .watch("flights-0", Duration::from_secs(10), move || Duration::from_secs(seen.load(Ordering::Relaxed)));
        assert_eq!(liveness.stuck(), []);
        silence.store(11, Ordering::Relaxed);
        let stuck = liveness.stuck();
        assert_eq!(stuck[0].to_string(), "thread `flights-0` has not moved for 11 s (limit 10 s)");
        drop(watched);
        assert_eq!(liveness.stuck(), []);
    }
}
