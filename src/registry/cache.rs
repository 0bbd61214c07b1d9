//! Models for worker threads, which are not async and must not wait long: a cache in memory in front of the registry.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::{Registry, RegistryError};
use crate::codec::{LearnedCodecs, MissingModel, ModelRef, ModelSource};
use crate::model::Learned;

/// How a cache behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheSettings {
    /// Most bytes of artefacts held. The last one asked for stays even if it alone is larger.
    pub max_bytes: usize,
    /// How long one thread waits for the registry.
    pub timeout: Duration,
    /// How long "there is none" and "no answer" are believed before the registry is asked again.
    pub miss_ttl: Duration,
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self { max_bytes: 256 << 20, timeout: Duration::from_secs(20), miss_ttl: Duration::from_secs(5) }
    }
}

/// A [`ModelSource`] that keeps what it fetched.
///
/// Called from worker threads: the fetch runs on the runtime, the caller waits for it on its own thread. Threads that
/// want the same model at the same time wait for one fetch. A model never changes under its name, so what is held is
/// right for ever; only misses grow old.
pub struct ModelCache {
    registry: Registry,
    runtime: Handle,
    settings: CacheSettings,
    clock: fn() -> Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    slots: HashMap<ModelRef, Arc<Slot>>,
    held: HashMap<ModelRef, Held>,
    held_bytes: usize,
    uses: u64,
}

/// What one model's waiters wait on, and what the last miss was.
#[derive(Default)]
struct Slot(Mutex<Option<Miss>>);

struct Held {
    artefact: Arc<[u8]>,
    last_use: u64,
}

#[derive(Clone)]
struct Miss {
    error: MissingModel,
    at: Instant,
}

impl ModelCache {
    /// An empty cache in front of a registry. Fetches run on `runtime`.
    pub fn new(registry: Registry, runtime: Handle, settings: CacheSettings) -> Self {
        Self::with_clock(registry, runtime, settings, Instant::now)
    }

    /// [`ModelCache::new`] with a clock of the caller's.
    pub fn with_clock(registry: Registry, runtime: Handle, settings: CacheSettings, clock: fn() -> Instant) -> Self {
        Self { registry, runtime, settings, clock, state: Mutex::default() }
    }

    /// Puts a model in that the caller holds already: one it has just trained, or was given as a file.
    pub fn insert(&self, model: ModelRef, artefact: Arc<[u8]>) {
        self.lock().insert(model, artefact, self.settings.max_bytes);
    }

    /// Bytes of artefacts held.
    pub fn held_bytes(&self) -> usize {
        self.lock().held_bytes
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // Nothing below panics half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the registry, on the runtime, and waits.
    fn fetch(&self, model: ModelRef) -> Result<Arc<[u8]>, MissingModel> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let registry = self.registry.clone();
        let task = self.runtime.spawn(async move {
            let loaded = registry.load_ref(model).await;
            // The receiver is gone when the thread has lost patience.
            let _ = sender.send(loaded);
        });
        match receiver.recv_timeout(self.settings.timeout) {
            Ok(Ok(loaded)) => Ok(Arc::from(&loaded.artefact[..])),
            Ok(Err(error)) => Err(self.missing(model, &error)),
            Err(_) => {
                task.abort();
                let looked_in =
                    format!("registry `{}` did not answer within {:?}", self.registry.url(), self.settings.timeout);
                Err(MissingModel { model, looked_in, retriable: true })
            }
        }
    }

    fn missing(&self, model: ModelRef, error: &RegistryError) -> MissingModel {
        let looked_in = match error {
            RegistryError::NotFound { registry, remedy, .. } => format!("registry `{registry}` has none{remedy}"),
            error => error.to_string(),
        };
        // A wrong call (a registry of a newer version, say) is put right by a human: until then nobody knows whether
        // the model is there.
        let retriable = error.is_retriable() || matches!(error, RegistryError::Invalid { .. });
        MissingModel { model, looked_in, retriable }
    }
}

impl ModelSource for ModelCache {
    fn learned(&self) -> &dyn LearnedCodecs {
        &Learned
    }

    fn artefact(&self, model: ModelRef) -> Result<Arc<[u8]>, MissingModel> {
        let slot = {
            let mut state = self.lock();
            if let Some(artefact) = state.get(model) {
                return Ok(artefact);
            }
            Arc::clone(state.slots.entry(model).or_default())
        };
        // Waits here while another thread fetches the same model.
        let mut miss = slot.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(artefact) = self.lock().get(model) {
            return Ok(artefact);
        }
        let now = (self.clock)();
        if let Some(miss) = &*miss
            && now.saturating_duration_since(miss.at) < self.settings.miss_ttl
        {
            return Err(miss.error.clone());
        }
        match self.fetch(model) {
            Ok(artefact) => {
                let mut state = self.lock();
                state.insert(model, Arc::clone(&artefact), self.settings.max_bytes);
                state.slots.remove(&model);
                Ok(artefact)
            }
            Err(error) => {
                *miss = Some(Miss { error: error.clone(), at: (self.clock)() });
                drop(miss);
                self.lock().forget_misses(model, (self.clock)(), self.settings.miss_ttl);
                Err(error)
            }
        }
    }
}

/// Misses are names that streams made up, so that there may be any number of them: beyond this many, old ones go.
const MAX_SLOTS: usize = 1024;

impl State {
    fn get(&mut self, model: ModelRef) -> Option<Arc<[u8]>> {
        self.uses += 1;
        let held = self.held.get_mut(&model)?;
        held.last_use = self.uses;
        Some(Arc::clone(&held.artefact))
    }

    fn insert(&mut self, model: ModelRef, artefact: Arc<[u8]>, max_bytes: usize) {
        self.uses += 1;
        self.held_bytes += artefact.len();
        if let Some(before) = self.held.insert(model, Held { artefact, last_use: self.uses }) {
            self.held_bytes -= before.artefact.len();
        }
        while self.held_bytes > max_bytes && self.held.len() > 1 {
            let oldest = self.held.iter().min_by_key(|(_, held)| held.last_use).map(|(model, _)| *model);
            let Some(gone) = oldest.and_then(|model| self.held.remove(&model)) else { break };
            self.held_bytes -= gone.artefact.len();
        }
    }

    fn forget_misses(&mut self, keep: ModelRef, now: Instant, ttl: Duration) {
        if self.slots.len() <= MAX_SLOTS {
            return;
        }
        let is_old = |slot: &Slot| {
            // A slot that is locked is being fetched.
            slot.0
                .try_lock()
                .is_ok_and(|miss| miss.as_ref().is_none_or(|miss| now.saturating_duration_since(miss.at) >= ttl))
        };
        self.slots.retain(|model, slot| *model == keep || !is_old(slot));
        // All of them are young: a stream of made-up names. Asking again is cheaper than remembering all.
        if self.slots.len() > MAX_SLOTS {
            self.slots.retain(|model, _| *model == keep);
        }
    }
}
